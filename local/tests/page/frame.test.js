import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, createWorld, readyView, refusal } from './world.js';
import { embeddableOrigin, frameMessage, opensByItself, reopening } from '../../../static/frame-logic.js';

const OWN = 'https://page.example.com';
const COMFY = 'https://comfy.example.com';
const tickets = (world) => world.heard().filter((line) => line.endsWith('/ticket')).length;

const begun = async (options = {}) => {
  const world = createWorld({ view: readyView(), ...options });
  await world.begin();
  return world;
};
const say = async (world, kind, origin = COMFY) => {
  world.controller.frames.heard(origin, { source: 'pilotlight', kind });
  await world.pass(0);
};

test('only HTTPS, or plain HTTP on this very machine, is embedded, and never our own origin', () => {
  assert.equal(embeddableOrigin(`${COMFY}/_enter?ticket=t`, OWN), COMFY);
  assert.equal(embeddableOrigin('http://127.0.0.1:8189/x', 'http://localhost:8080'), 'http://127.0.0.1:8189');
  for (const url of ['http://comfy.example.com/', 'http://127.0.0.1.evil.example/', 'javascript:alert(1)', `${OWN}/x`, '/x', '', 7, null]) {
    assert.equal(embeddableOrigin(url, OWN), null, String(url));
  }
});

test('only our own script’s two messages are understood', () => {
  assert.equal(frameMessage({ source: 'pilotlight', kind: 'person' }), 'person');
  assert.equal(frameMessage({ source: 'pilotlight', kind: 'session_ended' }), 'session_ended');
  for (const data of [null, 'person', { kind: 'person' }, { source: 'other', kind: 'person' }, { source: 'pilotlight', kind: 'stop' }]) {
    assert.equal(frameMessage(data), null);
  }
});

test('a run that drains is not opened by the page alone', () => {
  const user = { name: 'a', role: 'user' };
  assert.equal(opensByItself(readyView(), user), true);
  assert.equal(opensByItself(readyView({ phase: 'Draining' }), user), false);
  assert.equal(opensByItself(readyView(), { name: 'v', role: 'viewer' }), false);
});

test('three reopenings within a minute are the most', () => {
  assert.equal(reopening([0, 10, 20], 30).allowed, false);
  assert.deepEqual(reopening([0, 10, 20], 60_015), { recent: [20], allowed: true });
});

test('one ticket opens one run, however often it is polled', async () => {
  const world = await begun();
  assert.equal(tickets(world), 1);
  assert.equal(world.controller.state.frame.key, 'main/3');
  await world.pass(200_000);
  assert.equal(tickets(world), 0);
});

test('the next run gets a ticket and a frame of its own', async () => {
  const world = await begun();
  const first = world.controller.state.frame.serial;
  world.view = readyView({ phase: 'Stopping' });
  await world.pass(20_000);
  assert.equal(world.controller.state.frame, null);
  world.view = readyView({ run: 4 });
  await world.pass(20_000);
  assert.equal(world.controller.state.frame.key, 'main/4');
  assert.ok(world.controller.state.frame.serial > first);
});

test('draining keeps the frame', async () => {
  const world = await begun();
  const { frame } = world.controller.state;
  world.view = readyView({ phase: 'Draining' });
  await world.pass(20_000);
  assert.equal(world.controller.state.frame, frame);
});

test('a person’s input inside ComfyUI is told like any other', async () => {
  const world = await begun();
  world.heard();
  await say(world, 'person');
  assert.deepEqual(world.heard(), ['POST workspaces/main/keep-alive']);
});

test('messages from any other origin are not heard', async () => {
  const world = await begun();
  world.heard();
  await say(world, 'person', 'https://evil.example.com');
  await say(world, 'session_ended', 'https://evil.example.com');
  assert.deepEqual(world.heard(), []);
});

test('an ended session is opened anew three times a minute, then the person is asked', async () => {
  const world = await begun();
  world.heard();
  for (let time = 0; time < 4; time++) await say(world, 'session_ended');
  assert.equal(tickets(world), 3);
  assert.equal(world.controller.state.frame, null);
  assert.equal(world.controller.state.frameProblem.code, 'session_keeps_ending');
  await world.pass(120_000);
  assert.equal(tickets(world), 0);
  await world.controller.frames.reopen();
  assert.equal(tickets(world), 1);
  assert.equal(world.controller.state.frameProblem, null);
});

test('a session that ends while the page is hidden is opened anew when it shows', async () => {
  const world = await begun();
  world.visible = false;
  world.controller.visibilityChanged();
  world.heard();
  await say(world, 'session_ended');
  assert.equal(tickets(world), 0);
  world.visible = true;
  world.controller.visibilityChanged();
  await world.pass(0);
  assert.equal(tickets(world), 1);
});

test('a refused ticket is asked for again, ever more slowly, a few times', async () => {
  const world = createWorld({ view: readyView() });
  world.script = ({ path }) => (path.endsWith('/ticket') ? refusal(409, 'not_ready') : undefined);
  await world.begin();
  assert.equal(world.controller.state.frameProblem.code, 'not_ready');
  await world.pass(600_000);
  assert.equal(tickets(world), 5);
});

test('a ticket that comes late for a run that is over opens nothing', async () => {
  const world = createWorld({ view: readyView() });
  let release = () => undefined;
  world.script = ({ path }) =>
    path.endsWith('/ticket') ? new Promise((resolve) => (release = () => resolve(answer(200, { url: `${COMFY}/x` })))) : undefined;
  await world.begin();
  world.controller.adopt(readyView({ phase: 'Stopping' }), null);
  world.controller.adopt(readyView({ run: 4, phase: 'Placing' }), null);
  release();
  await world.settle();
  assert.equal(world.controller.state.frame, null);
});

test('an unsafe address is not opened, and said to be unsafe', async () => {
  const world = createWorld({ view: readyView() });
  world.script = ({ path }) => (path.endsWith('/ticket') ? answer(200, { url: 'http://comfy.example.com/' }) : undefined);
  await world.begin();
  assert.equal(world.controller.state.frame, null);
  assert.equal(world.controller.state.frameProblem.code, 'unsafe_address');
});

test('a new tab gets a fresh ticket of its own', async () => {
  const world = await begun();
  world.heard();
  await world.controller.openInTab();
  assert.equal(tickets(world), 1);
  assert.deepEqual(world.opened, [`${COMFY}/_enter?ticket=secret`]);
});

test('a viewer gets no ticket', async () => {
  const world = await begun({ role: 'viewer' });
  await world.pass(60_000);
  assert.equal(tickets(world), 0);
});
