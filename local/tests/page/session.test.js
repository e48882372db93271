import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, createWorld, EPOCH, readyView, refusal, viewOf } from './world.js';
import {
  canAct,
  problemFrom,
  problemSentence,
  refreshDue,
  RETRY_AFTER_MAX_MS,
  retryAfterMs,
  sessionFrom,
  sessionFromStorage,
} from '../../../static/session-logic.js';

const begun = async (options) => {
  const world = createWorld(options);
  await world.begin();
  return world;
};
const store = (world, user, token) =>
  world.stored.set('pilotlight.session', JSON.stringify({ token, user: { name: user, role: 'admin' }, obtainedAt: 0 }));

test('storage that somebody has tampered with signs nobody in', () => {
  for (const stored of [null, '', '{', '[]', '{"token":7}', '{"token":"t"}', '{"token":"","user":{"name":"a"}}']) {
    assert.equal(sessionFromStorage(stored), null, String(stored));
  }
});

test('an unknown role is the least one', () => {
  const session = sessionFrom({ token: 't', user: { name: 'eve', role: 'root' } }, 0);
  assert.equal(session.user.role, 'viewer');
  assert.equal(canAct(session.user), false);
  assert.equal(canAct({ name: 'ann', role: 'user' }), true);
});

test('Retry-After is read as seconds or as a date, and bounded', () => {
  assert.equal(retryAfterMs('20', 0), 20_000);
  assert.equal(retryAfterMs('Sun, 22 Nov 2026 18:00:30 GMT', EPOCH), 30_000);
  assert.equal(retryAfterMs('Sun, 22 Nov 2026 17:00:00 GMT', EPOCH), 0);
  assert.equal(retryAfterMs('999999999', 0), RETRY_AFTER_MAX_MS);
  for (const nothing of [null, '', 'soon']) assert.equal(retryAfterMs(nothing, 0), null);
});

test('what is no problem document still makes a sentence', () => {
  const problem = problemFrom('<html>', 502);
  assert.equal(problem.code, 'unexpected_answer');
  assert.match(problemSentence(problem), /status 502/);
  assert.equal(problemSentence({ code: 'c', title: 'T', detail: 'T', hint: 'Do this.' }), 'Do this.');
});

test('a token is renewed hourly on the policy’s clock, and not in a hurry', () => {
  const session = { token: 't', user: { name: 'a', role: 'admin' }, obtainedAt: 0 };
  assert.equal(refreshDue(session, 3_599_000, 1, 0), false);
  assert.equal(refreshDue(session, 3_600_000, 1, 0), true);
  assert.equal(refreshDue(session, 60_000, 60, 0), true);
  assert.equal(refreshDue(session, 3_600_000, 1, 3_590_000), false);
});

test('a wrong password is said, and nobody is signed in', async () => {
  const world = await begun({ signedIn: false });
  world.script = () => refusal(401, 'wrong_password');
  await world.controller.sessions.signIn('ann', 'no');
  assert.equal(world.controller.state.signIn.problem.code, 'wrong_password');
  assert.equal(world.controller.state.session, null);
  assert.deepEqual(world.asked[0].body, { user: 'ann', password: 'no' });
});

test('a throttled sign-in waits as told before it asks again', async () => {
  const world = await begun({ signedIn: false });
  world.script = ({ path }) => (path === '/api/login' ? refusal(429, 'throttled', { 'retry-after': '20' }) : undefined);
  await world.controller.sessions.signIn('', 'pw');
  await world.controller.sessions.signIn('', 'pw');
  assert.equal(world.heard().length, 1);
  world.script = () => undefined;
  await world.pass(20_000);
  await world.controller.sessions.signIn('', 'pw');
  assert.notEqual(world.controller.state.session, null);
});

test('an expired session leads to sign-in, and signing in again finds the page as it was', async () => {
  const views = [viewOf(), readyView({ id: 'video', title: 'Video' })];
  const world = await begun({ views, selected: 'video' });
  const { frame } = world.controller.state;
  assert.equal(frame.key, 'video/3');
  world.script = ({ path }) => (path === '/api/login' ? undefined : refusal(401, 'expired'));
  await world.pass(20_000);
  assert.equal(world.controller.state.session, null);
  assert.equal(world.controller.state.left, 'expired');
  assert.equal(world.stored.size, 0);
  world.heard();
  await world.pass(600_000);
  assert.deepEqual(world.heard(), []);

  world.script = () => undefined;
  await world.controller.sessions.signIn('', 'pw');
  await world.pass(0);
  assert.equal(world.controller.state.selected, 'video');
  assert.equal(world.controller.state.frame, frame);
  assert.ok(!world.heard().some((line) => line.endsWith('ticket')));
});

test('somebody else signing in finds nothing of the one before', async () => {
  const world = await begun({ view: readyView() });
  assert.notEqual(world.controller.state.frame, null);
  world.script = ({ path }) =>
    path === '/api/login' ? answer(200, { token: 't9', user: { name: 'eve', role: 'viewer' } }) : refusal(401, 'expired');
  await world.pass(20_000);
  await world.controller.sessions.signIn('eve', 'pw');
  assert.equal(world.controller.state.frame, null);
  assert.equal(world.controller.state.known, null);
});

test('signing out forgets at once, even when the server cannot be told', async () => {
  const world = await begun({ view: readyView() });
  world.reachable = false;
  await world.controller.sessions.signOut();
  assert.equal(world.controller.state.session, null);
  assert.equal(world.controller.state.frame, null);
  assert.equal(world.stored.size, 0);
  assert.equal(world.controller.state.signIn.problem.code, 'sign_out_untold');
});

test('an answer that comes after signing out is for nobody', async () => {
  const world = await begun();
  let release = () => undefined;
  world.script = ({ path }) =>
    path.endsWith('/start') ? new Promise((resolve) => (release = () => resolve(answer(202, viewOf({ phase: 'Placing' }))))) : undefined;
  const start = world.controller.start();
  await world.settle();
  await world.controller.sessions.signOut();
  release();
  await start;
  assert.equal(world.controller.state.known, null);
  assert.equal(world.controller.state.pending, null);
});

test('a token that another tab has renewed is taken over, without a sign-in', async () => {
  const world = await begun();
  world.script = ({ token }) => (token === 'token-1' ? refusal(401, 'revoked') : undefined);
  store(world, 'admin', 'token-7');
  await world.pass(20_000);
  assert.equal(world.controller.state.session.token, 'token-7');
  assert.equal(world.controller.state.trouble, null);
});

test('signing out in one tab signs out the other, and signing in likewise', async () => {
  const world = await begun();
  world.stored.clear();
  world.controller.sessions.changedElsewhere();
  assert.equal(world.controller.state.session, null);
  store(world, 'admin', 'token-8');
  world.controller.sessions.changedElsewhere();
  assert.equal(world.controller.state.session.token, 'token-8');
});

test('a person at work gets a fresh token; a page nobody touches does not', async () => {
  const world = await begun({ view: readyView() });
  await world.pass(3_700_000);
  assert.ok(!world.heard().includes('POST session/refresh'));
  world.press();
  await world.pass(20_000);
  assert.ok(world.heard().includes('POST session/refresh'));
  assert.equal(world.controller.state.session.token, 'token-2');
  assert.match(world.stored.get('pilotlight.session'), /token-2/);
});
