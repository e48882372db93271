import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EPOCH, readyView, viewOf } from './world.js';
import { ago, calendarDay, clockTime, countdown, duration, gpuName, left, limit, money, precise } from '../../../static/format.js';
import {
  backOff,
  BACK_OFF_MAX_MS,
  isOwnInput,
  keepAliveAt,
  keepAliveGap,
  nobodyYet,
  pollDelay,
} from '../../../static/presence-logic.js';
import {
  bootPercent,
  bootRows,
  clockJumped,
  flamesLit,
  isView,
  offer,
  policyNow,
  screenOf,
  stopNeedsConfirming,
} from '../../../static/workspace-logic.js';

const ADMIN = { name: 'ann', role: 'admin' };
const VIEWER = { name: 'vic', role: 'viewer' };
const PHASES = ['Stopped', 'Placing', 'Booting', 'Ready', 'Draining', 'Stopping', 'Failed'];
const known = (view) => ({ view, etag: null, receivedAt: 1_000 });

test('money is in dollars and cents, and a trifle is not nothing', () => {
  assert.deepEqual([0, 0.004, 0.707, 12.4].map(money), ['$0.00', 'under $0.01', '$0.71', '$12.40']);
});

test('lengths of time are as precise as a person wants', () => {
  assert.deepEqual([0, 59.9, 60, 3_900, 7_200, 200_000].map(duration), ['0 s', '59 s', '1 min', '1 h 5 min', '2 h', '2 days']);
  assert.deepEqual([45, 75, 120, 3_700].map(precise), ['45 s', '1 min 15 s', '2 min', '1 h 1 min']);
  assert.deepEqual([65, 3_605, -3].map(countdown), ['1:05', '1:00:05', '0:00']);
  assert.deepEqual([119, 120].map(left), ['1:59', '2 min']);
  assert.deepEqual([5, 600].map(ago), ['just now', '10 min ago']);
  assert.deepEqual([0, 1, 30, 60, 720, 90].map(limit), ['less than a minute', '1 minute', '30 minutes', '1 hour', '12 hours', '90 minutes']);
});

test('a day is said in full, wherever one lives, and what is no day is not said', () => {
  assert.equal(calendarDay('2026-07-30'), '30 July 2026');
  assert.equal(calendarDay('2024-02-29'), '29 February 2024');
  assert.deepEqual([null, undefined, '', 'rubbish', '2026-13-01'].map(calendarDay), ['', '', '', '', '']);
});

test('a moment on another day says which', () => {
  assert.equal(clockTime('2026-11-22T14:05:00Z', EPOCH, 'UTC'), '14:05');
  assert.equal(clockTime('2026-11-21T14:05:00Z', EPOCH, 'UTC'), '21 Nov, 14:05');
  assert.equal(clockTime('rubbish', EPOCH, 'UTC'), 'an unknown time');
});

test('accelerators are called what people call them', () => {
  assert.deepEqual(['nvidia-l4', 'nvidia-tesla-t4', 'nvidia-a100-80gb', '', null].map(gpuName), [
    'NVIDIA L4',
    'NVIDIA T4',
    'NVIDIA A100 80GB',
    'no GPU',
    'no GPU',
  ]);
});

test('whatever the server says, questions keep their bounds', () => {
  assert.deepEqual([0, 1_500, 1e9, NaN, undefined].map((ms) => pollDelay(ms)), [250, 1_500, 60_000, 5_000, 5_000]);
  assert.deepEqual([pollDelay(20_000, 3_000), pollDelay(20_000, -1), pollDelay(1_000, 3_000)], [3_500, 20_000, 1_000]);
});

test('retries double up to a minute', () => {
  assert.deepEqual([1, 2, 3, 4].map((attempts) => backOff(attempts, 0)), [1_000, 2_000, 4_000, 8_000]);
  assert.equal(backOff(1, 1), 1_250);
  assert.equal(backOff(1_000_000, 1), BACK_OFF_MAX_MS);
});

test('a keep-alive is due only when there is new input to tell', () => {
  assert.equal(keepAliveAt(nobodyYet(), 1), null);
  assert.equal(keepAliveAt({ inputAt: 50, toldInputAt: 10, sentAt: 10 }, 1), 20_010);
  assert.equal(keepAliveAt({ inputAt: 50, toldInputAt: 50, sentAt: 10 }, 1), null);
  assert.deepEqual([0.5, 1, 10, 60].map(keepAliveGap), [20_000, 20_000, 2_000, 1_000]);
});

test('a resting pointer, a held key and a script are nobody', () => {
  const move = (screenX) => ({ type: 'pointermove', isTrusted: true, screenX, screenY: 0 });
  assert.equal(isOwnInput(move(5), null), false);
  assert.equal(isOwnInput(move(5), { x: 4, y: 0 }), false);
  assert.equal(isOwnInput(move(9), { x: 4, y: 0 }), true);
  assert.equal(isOwnInput({ type: 'keydown', isTrusted: true, repeat: true }, null), false);
  assert.equal(isOwnInput({ type: 'keydown', isTrusted: true, repeat: false }, null), true);
  assert.equal(isOwnInput({ type: 'wheel', isTrusted: false }, null), false);
});

test('the clock ticks on at the policy’s rate', () => {
  assert.equal(policyNow(known(viewOf()), 3_000), EPOCH + 2_000);
  assert.equal(policyNow(known(viewOf({ clock_rate: 60 })), 3_000), EPOCH + 120_000);
  assert.equal(policyNow(known(viewOf({ clock_rate: 0 })), 3_000), EPOCH + 2_000);
});

test('a sleep or a set clock is told from ordinary drift', () => {
  assert.equal(clockJumped(100, 1_100), false);
  assert.equal(clockJumped(100, 60_100), true);
  assert.equal(clockJumped(60_100, 100), true);
});

test('only what looks like a view is one', () => {
  assert.equal(isView(viewOf()), true);
  for (const body of [null, [], {}, viewOf({ now: 'yesterday' }), viewOf({ run: '3' }), viewOf({ phase: null })]) {
    assert.equal(isView(body), false);
  }
});

test('one workspace is gone straight to, several are a list', () => {
  const state = (over) => ({ session: { user: ADMIN }, known: null, selected: null, ...over });
  assert.equal(screenOf(state({ session: null })), 'sign-in');
  assert.equal(screenOf(state({})), 'loading');
  assert.equal(screenOf(state({ known: [] })), 'list');
  assert.equal(screenOf(state({ known: [known(viewOf())] })), 'card');
  assert.equal(screenOf(state({ known: [known(readyView())] })), 'open');
  const two = [known(viewOf()), known(viewOf({ id: 'video' }))];
  assert.equal(screenOf(state({ known: two })), 'list');
  assert.equal(screenOf(state({ known: two, selected: 'video' })), 'card');
  assert.equal(screenOf(state({ known: two, selected: 'gone' })), 'list');
});

test('each phase offers its own deeds', () => {
  const shown = (deed) => PHASES.filter((phase) => offer(deed, viewOf({ phase }), ADMIN).shown);
  const enabled = (deed) => PHASES.filter((phase) => offer(deed, viewOf({ phase }), ADMIN).enabled);
  assert.deepEqual(shown('start'), ['Stopped', 'Stopping', 'Failed']);
  assert.deepEqual(enabled('start'), ['Stopped', 'Failed']);
  assert.deepEqual(enabled('stop'), ['Placing', 'Booting', 'Ready', 'Draining']);
  assert.deepEqual(enabled('extend'), ['Ready', 'Draining']);
  assert.deepEqual(enabled('keep-running'), ['Draining']);
});

test('a viewer sees each button, and why it cannot be pressed', () => {
  const refused = offer('start', viewOf(), VIEWER);
  assert.equal(refused.shown, true);
  assert.equal(refused.enabled, false);
  assert.match(refused.reason, /viewer/);
});

test('only an admin moves a disk, and only away from a zone that is gone', () => {
  const gone = viewOf({ phase: 'Failed', failure: { code: 'zone_gone', title: 'gone' } });
  const dry = viewOf({ phase: 'Failed', failure: { code: 'stock_out', title: 'dry' } });
  assert.equal(offer('move-disk', gone, ADMIN).enabled, true);
  assert.equal(offer('move-disk', gone, { name: 'una', role: 'user' }).shown, false);
  assert.equal(offer('move-disk', dry, ADMIN).shown, false);
});

test('with the budget used up nobody but an admin extends', () => {
  const view = readyView({ budget: { monthly_usd: 50, spent_usd: 50, percent: 100, used_up: true, when_used_up: 'next_idle' } });
  const refused = offer('extend', view, { name: 'una', role: 'user' });
  assert.equal(refused.enabled, false);
  assert.match(refused.reason, /budget/);
  assert.equal(offer('extend', view, ADMIN).enabled, true);
});

test('the hard limit is not to be kept from', () => {
  const drain = (ending) => offer('keep-running', readyView({ phase: 'Draining', ending }), ADMIN);
  assert.equal(drain('HardLimit').enabled, false);
  assert.match(drain('HardLimit').reason, /longest/);
  assert.equal(drain('Idle').enabled, true);
});

test('stopping asks first only while a job is running', () => {
  const asks = (changes) => stopNeedsConfirming(readyView(changes));
  assert.equal(asks({ working: 'Queue', active_because: 'Queue' }), true);
  assert.equal(asks({ working: 'Queue', active_because: 'Person' }), true, 'a hand on the mouse does not hide the job');
  assert.equal(asks({ working: 'Traffic', active_because: 'Queue' }), false);
  assert.equal(asks({ working: null, active_because: 'Queue' }), false);
});

const booting = (changes = {}) =>
  viewOf({
    phase: 'Booting',
    boot: {
      step: 'starting_comfyui',
      percent: 80,
      detail: '',
      usual_seconds: 75,
      steps: [
        { step: 'placing', seconds: 5, usual_seconds: 6 },
        { step: 'booting', seconds: 21, usual_seconds: null },
        { step: 'starting_comfyui', seconds: 19, usual_seconds: 31 },
      ],
      ...changes,
    },
  });

test('boot steps: what is done, what goes on, and nothing that was skipped', () => {
  assert.deepEqual(bootRows(booting(), EPOCH + 4_000), [
    { step: 'placing', state: 'done', seconds: 5, usual: 6 },
    { step: 'booting', state: 'done', seconds: 21, usual: null },
    { step: 'starting_comfyui', state: 'current', seconds: 23, usual: 31 },
  ]);
});

test('a start of which nothing is known yet shows what is to come', () => {
  const rows = bootRows(viewOf({ phase: 'Placing' }), EPOCH);
  assert.deepEqual(rows.map(({ state }) => state), ['current', ...Array(5).fill('to_come')]);
});

test('a step this page does not know is shown all the same', () => {
  const rows = bootRows(booting({ step: 'warming_up', steps: [] }), EPOCH);
  assert.deepEqual(rows.at(-1), { step: 'warming_up', state: 'current', seconds: 0, usual: null });
});

test('percent stays a percent', () => {
  assert.deepEqual([{ percent: -5 }, { percent: 140 }, { percent: 40 }, { percent: null }, null].map(bootPercent), [0, 100, 40, null, null]);
});

test('the burner has a flame for each step done', () => {
  assert.equal(flamesLit(viewOf()), 0);
  assert.equal(flamesLit(viewOf({ phase: 'Placing' })), 0);
  assert.equal(flamesLit(booting()), 4);
  assert.equal(flamesLit(booting({ step: 'getting_certificate' })), 4, 'the last one waits until it is up');
  assert.equal(flamesLit(booting({ step: 'installing' })), 3);
  assert.equal(flamesLit(booting({ step: 'warming_up' })), 0);
  assert.equal(flamesLit(readyView()), 5);
});
