import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, createWorld, readyView, refusal, viewOf } from './world.js';

const KEEP_ALIVE = 'POST workspaces/main/keep-alive';
const POLL = 'GET workspaces/main';
const keepAlives = (world) => world.heard().filter((line) => line === KEEP_ALIVE).length;

const begun = async (options) => {
  const world = createWorld(options);
  await world.begin();
  return world;
};

test('the page asks for its configuration once and then for the list', async () => {
  const world = await begun();
  assert.deepEqual(world.heard(), ['GET /config.json', 'GET workspaces']);
  await world.pass(20_000);
  assert.deepEqual(world.heard(), [POLL]);
});

test('calls to lifecycle go where the configuration says, and sign-in stays at home', async () => {
  const world = createWorld();
  world.script = ({ path }) => (path === '/config.json' ? answer(200, { lifecycle_origin: 'https://life.example.com/' }) : undefined);
  await world.begin();
  assert.equal(world.asked.at(-1).path, 'https://life.example.com/api/workspaces');
  await world.controller.sessions.signOut();
  assert.equal(world.asked.at(-1).path, '/api/logout');
});

test('nothing is asked before sign-in, and everything after it', async () => {
  const world = await begun({ signedIn: false });
  assert.deepEqual(world.heard(), []);
  await world.controller.sessions.signIn('', 'pw');
  await world.pass(0);
  assert.deepEqual(world.asked[0].body, { password: 'pw' });
  assert.deepEqual(world.heard(), ['POST login', 'GET /config.json', 'GET workspaces']);
  assert.match(world.stored.get('pilotlight.session'), /token-1/);
});

test('the page obeys the server on when to ask next, within bounds', async () => {
  const world = await begun({ view: viewOf({ poll_after_ms: 1 }) });
  world.heard();
  await world.pass(1_000);
  assert.equal(world.heard().length, 4);
});

test('the idle deadline is asked about when it passes, not a round later', async () => {
  const world = await begun({ view: readyView({ stop_at: '2026-11-22T18:00:25Z' }) });
  world.heard();
  await world.pass(20_000);
  world.script = ({ etag }) => (etag === null ? undefined : answer(304));
  assert.deepEqual(world.heard(), [POLL]);
  await world.pass(25_499);
  assert.deepEqual(world.heard(), [POLL]);
  await world.pass(1);
  assert.deepEqual(world.heard(), [POLL]);
});

test('an unchanged answer keeps the view and the distance', async () => {
  const world = await begun();
  await world.pass(20_000);
  world.script = ({ etag }) => (etag === '"1"' ? answer(304) : undefined);
  world.heard();
  await world.pass(20_000);
  assert.equal(world.asked[0].etag, '"1"');
  assert.equal(world.controller.state.known[0].view.phase, 'Stopped');
  assert.deepEqual(world.heard(), [POLL]);
});

test('a forgotten open tab never sends a keep-alive', async () => {
  const world = await begun({ view: readyView() });
  world.heard();
  await world.pass(3_600_000);
  const heard = world.heard();
  assert.equal(heard.filter((line) => line === KEEP_ALIVE).length, 0);
  assert.equal(heard.length, 180);
});

test('a person’s input is told at once, and then at most every twenty seconds', async () => {
  const world = await begun({ view: readyView() });
  world.heard();
  for (let second = 0; second < 59; second++) {
    world.press();
    await world.pass(1_000);
  }
  assert.equal(keepAlives(world), 3);
});

test('a keep-alive says how long ago the input was, in seconds of the browser’s own clock', async () => {
  const world = await begun({ view: readyView({ clock_rate: 10 }) });
  world.press();
  await world.pass(500);
  world.press();
  await world.pass(1_500);
  world.press();
  const told = world.asked.filter(({ path }) => path.endsWith('keep-alive')).map(({ body }) => body);
  assert.deepEqual(told, [
    { visible: true, interacted_seconds_ago: 0 },
    { visible: true, interacted_seconds_ago: 1.5 },
  ]);
});

test('a keep-alive stands in for the poll', async () => {
  const world = await begun({ view: readyView() });
  await world.pass(15_000);
  world.heard();
  world.press();
  await world.pass(19_000);
  assert.deepEqual(world.heard(), [KEEP_ALIVE]);
});

test('what a script does is no input', async () => {
  const world = await begun({ view: readyView() });
  world.heard();
  world.controller.heardInput({ type: 'pointerdown', isTrusted: false });
  await world.pass(1_000);
  assert.deepEqual(world.heard(), []);
});

test('a hidden page asks nothing, and asks afresh as soon as it shows', async () => {
  const world = await begun({ view: readyView() });
  await world.pass(20_000);
  world.visible = false;
  world.controller.visibilityChanged();
  world.press();
  world.heard();
  await world.pass(3_600_000);
  assert.deepEqual(world.heard(), []);
  world.visible = true;
  world.controller.visibilityChanged();
  await world.pass(0);
  assert.equal(world.asked[0].etag, null);
  assert.deepEqual(world.heard(), [POLL]);
});

test('a keep-alive that never arrived is told again', async () => {
  const world = await begun({ view: readyView() });
  world.reachable = false;
  world.press();
  await world.pass(0);
  assert.equal(world.controller.state.trouble.kind, 'unreachable');
  world.reachable = true;
  world.heard();
  await world.pass(40_000);
  assert.equal(keepAlives(world), 1);
  assert.equal(world.controller.state.trouble, null);
});

test('out of reach, the page tries again ever more slowly, and at once when the network is back', async () => {
  const world = await begun();
  world.reachable = false;
  world.heard();
  await world.pass(20_000 + 1_000 + 2_000 + 4_000);
  assert.equal(world.heard().length, 4);
  world.reachable = true;
  world.controller.askSoon();
  await world.pass(0);
  assert.deepEqual(world.heard(), [POLL]);
  assert.equal(world.controller.state.trouble, null);
});

test('too many requests: the page waits as long as it is told', async () => {
  const world = await begun();
  world.script = () => refusal(429, 'too_many', { 'retry-after': '30' });
  await world.pass(20_000);
  world.heard();
  await world.pass(29_000);
  assert.deepEqual(world.heard(), []);
  await world.pass(1_000);
  assert.equal(world.heard().length, 1);
});

test('pressing Start twice asks for one start', async () => {
  const world = await begun();
  world.heard();
  const presses = [world.controller.start(), world.controller.start()];
  assert.equal(world.controller.state.pending, 'start');
  await Promise.all(presses);
  assert.deepEqual(world.heard(), ['POST workspaces/main/start']);
  assert.equal(world.controller.state.pending, null);
});

test('an answer from before a deed does not overwrite the answer to it', async () => {
  const world = await begun();
  let release = () => undefined;
  world.script = ({ method, path, signal }) => {
    if (method === 'POST') return answer(202, viewOf({ phase: 'Placing', wish: 'Running', run: 4 }));
    if (path !== '/api/workspaces/main') return undefined;
    return new Promise((resolve, reject) => {
      release = () => resolve(answer(200, viewOf()));
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  };
  await world.pass(20_000);
  await world.controller.start();
  release();
  await world.settle();
  assert.equal(world.controller.state.known[0].view.phase, 'Placing');
});

test('a refusal is shown with its hint, and the truth is asked for', async () => {
  const world = await begun({ view: viewOf({ phase: 'Stopping' }) });
  world.script = ({ path }) => (path.endsWith('/start') ? refusal(409, 'still_stopping') : undefined);
  world.heard();
  await world.controller.start();
  assert.equal(world.controller.state.notice.code, 'still_stopping');
  assert.equal(world.controller.state.notice.hint, 'a hint');
  await world.pass(0);
  assert.deepEqual(world.heard(), ['POST workspaces/main/start', POLL]);
});

test('a deed refused for haste says when to try again', async () => {
  const world = await begun();
  world.script = ({ path }) => (path.endsWith('/start') ? refusal(429, 'slow_down', { 'retry-after': '7' }) : undefined);
  await world.controller.start();
  assert.equal(world.controller.state.notice.retryAt - world.now, 7_000);
});

test('Keep running tells of the press, and starts when that was not enough', async () => {
  const world = await begun({ view: readyView({ phase: 'Draining' }) });
  world.heard();
  await world.controller.keepRunning();
  assert.deepEqual(world.asked[0].body, { visible: true, interacted_seconds_ago: 0 });
  assert.deepEqual(world.heard(), [KEEP_ALIVE, 'POST workspaces/main/start']);
});

test('Keep running needs no start when the keep-alive was enough, and the banner lingers', async () => {
  const world = await begun({ view: readyView({ phase: 'Draining' }) });
  world.heard();
  world.view = readyView();
  await world.controller.keepRunning();
  assert.deepEqual(world.heard().slice(0, 1), [KEEP_ALIVE]);
  assert.equal(world.controller.state.known[0].view.phase, 'Ready');
  assert.ok(world.controller.state.keptUntil > world.now);
});

test('a plain start says nothing, one that keeps trying says for how long', async () => {
  const world = await begun();
  await world.controller.start();
  assert.equal(world.asked.at(-1).body, undefined);
  await world.controller.start(240);
  assert.deepEqual(world.asked.at(-1).body, { keep_trying_minutes: 240 });
});

test('a start that the budget refuses is told with what can be done', async () => {
  const world = await begun();
  const refused = { title: 'This month’s budget is used up', code: 'budget_used_up', detail: '$50.10 of $50.', hint: 'Ask an admin.' };
  world.script = ({ path }) => (path.endsWith('/start') ? answer(409, refused) : undefined);
  await world.controller.start();
  const { code, detail, hint } = world.controller.state.notice;
  assert.deepEqual([code, detail, hint], ['budget_used_up', '$50.10 of $50.', 'Ask an admin.']);
});

test('a preference is told, and the answer is what is true', async () => {
  const world = await begun();
  world.script = ({ path, body }) => (path.endsWith('/preferences') ? answer(200, viewOf(body)) : undefined);
  world.heard();
  await world.controller.prefer(true);
  assert.deepEqual(world.asked[0].body, { restore_queue: true });
  assert.deepEqual(world.heard(), ['POST workspaces/main/preferences']);
  assert.equal(world.controller.state.known[0].view.restore_queue, true);
});

test('moving the disk names the zone that is gone', async () => {
  const world = await begun();
  world.script = ({ path }) => (path.endsWith('/move-disk') ? refusal(409, 'nothing_to_move') : undefined);
  world.heard();
  await world.controller.moveDisk('us-central1-a');
  assert.deepEqual(world.asked[0].body, { lost_zone: 'us-central1-a' });
  assert.equal(world.controller.state.notice.code, 'nothing_to_move');
});

test('extending sends the minutes', async () => {
  const world = await begun({ view: readyView() });
  await world.controller.extend(60);
  assert.deepEqual(world.asked.at(-1).body, { minutes: 60 });
});

test('after a sleep the page notices that its clocks are wrong, and asks afresh', async () => {
  const world = await begun();
  await world.pass(20_000);
  world.heard();
  world.controller.tick();
  await world.pass(0);
  assert.deepEqual(world.heard(), []);
  world.wallOffset += 3_600_000;
  world.controller.tick();
  await world.pass(0);
  assert.equal(world.asked[0].etag, null);
  assert.deepEqual(world.heard(), [POLL]);
});

test('of several workspaces, the chosen one is asked about, and remembered', async () => {
  const views = [viewOf(), viewOf({ id: 'video', title: 'Video' })];
  const world = await begun({ views });
  world.heard();
  await world.pass(20_000);
  assert.deepEqual(world.heard(), ['GET workspaces']);
  world.controller.select('video');
  await world.pass(0);
  assert.deepEqual(world.heard(), ['GET workspaces/video']);
  assert.deepEqual(world.remembered, ['video']);
});

test('a workspace that is gone leads back to the list', async () => {
  const views = [viewOf(), viewOf({ id: 'video', title: 'Video' })];
  const world = await begun({ views, selected: 'video' });
  world.views = [viewOf()];
  await world.pass(20_000);
  assert.equal(world.controller.state.selected, null);
  await world.pass(2_000);
  assert.deepEqual(world.controller.state.known.map(({ view }) => view.id), ['main']);
});

test('an answer that is no view is said to be not understood, and breaks nothing', async () => {
  const world = await begun();
  world.script = ({ path }) => (path === '/api/workspaces/main' ? answer(200, { id: 7 }) : undefined);
  await world.pass(20_000);
  assert.equal(world.controller.state.notice.code, 'unexpected_answer');
  assert.equal(world.controller.state.known[0].view.phase, 'Stopped');
});

test('a viewer’s input keeps nothing alive', async () => {
  const world = await begun({ role: 'viewer', view: readyView() });
  world.heard();
  world.press();
  await world.pass(5_000);
  assert.deepEqual(world.heard(), []);
});
