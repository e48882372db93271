import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EPOCH, readyView, viewOf } from './world.js';
import {
  announcement,
  barWords,
  bootClock,
  bootLabel,
  bootNote,
  documentTitle,
  drainTitle,
  drainWords,
  explanation,
  facts,
  failureDetail,
  headline,
  lastStopWords,
  retryWords,
} from '../../../static/workspace-words.js';
import { BOOT_STEPS } from '../../../static/workspace-logic.js';

const REASONS = ['Idle', 'NeverOpened', 'User', 'HardLimit', 'Silent', 'Preempted', 'HostError', 'Budget', 'MachineStopped', 'StartFailed'];
const stop = (changes = {}) => ({
  reason: 'Idle',
  at: '2026-11-22T15:00:00Z',
  signal: 'Queue',
  run: 2,
  cost_usd: 0.85,
  seconds: 4_320,
  ...changes,
});

test('the last stop says why, when, what was the last sign of use, what it cost, and that files are safe', () => {
  assert.deepEqual(lastStopWords(viewOf(), stop(), EPOCH), {
    why: 'It stopped 3 h ago because nobody had used it for 30 minutes.',
    signal: 'The last sign of use was a job in the queue.',
    receipt: 'That run took 1 h 12 min and cost $0.85.',
    safe: 'Your files are safe on the disk.',
  });
});

test('every reason to stop has words of its own', () => {
  const words = REASONS.map((reason) => lastStopWords(viewOf(), stop({ reason }), EPOCH).why);
  assert.equal(new Set(words).size, REASONS.length);
  for (const why of words) assert.match(why, /^It stopped 3 h ago because .+\.$/);
});

test('a reason this page does not know is named, not hidden', () => {
  assert.match(lastStopWords(viewOf(), stop({ reason: 'Eclipse', signal: null }), EPOCH).why, /Eclipse/);
});

test('a receipt says only what is known', () => {
  const receipt = (changes) => lastStopWords(viewOf(), stop(changes), EPOCH).receipt;
  assert.equal(receipt({ seconds: null }), 'That run cost $0.85.');
  assert.equal(receipt({ cost_usd: null }), 'That run took 1 h 12 min.');
  assert.equal(receipt({ seconds: null, cost_usd: null }), '');
});

test('every phase has a headline and an explanation, and an unknown one breaks nothing', () => {
  for (const phase of ['Stopped', 'Placing', 'Booting', 'Ready', 'Draining', 'Stopping', 'Failed']) {
    assert.match(headline(viewOf({ phase })), /ComfyUI/);
    assert.match(explanation(viewOf({ phase })), /\.$/);
  }
  assert.equal(headline(viewOf({ phase: 'Melting' })), 'ComfyUI: Melting');
});

test('stopping says why and that files are safe', () => {
  assert.equal(
    explanation(viewOf({ phase: 'Stopping', ending: 'User' })),
    'The machine is being shut down because somebody pressed Stop. Your files are safe: they stay on its disk.',
  );
});

test('the drain counts down and says why', () => {
  const view = (changes) => readyView({ phase: 'Draining', drain_ends_at: '2026-11-22T18:01:05Z', ...changes });
  assert.equal(drainTitle(view(), EPOCH), 'ComfyUI stops in 1:05');
  assert.equal(drainTitle(view(), EPOCH + 70_000), 'ComfyUI stops now');
  assert.equal(drainTitle(view({ drain_ends_at: null }), EPOCH), 'ComfyUI stops soon');
  assert.equal(drainWords(view()), 'Nobody has used it for 30 minutes.');
  assert.equal(drainWords(view({ opened: false })), 'Nobody has opened it since it started.');
  assert.equal(drainWords(view({ ending: 'Budget' })), 'This month’s budget is used up, and nobody is using it.');
  assert.equal(drainWords(view({ ending: 'HardLimit' })), 'It has been on for 12 hours, the longest a run may take.');
});

test('the bar says what keeps it on, and since when nothing has', () => {
  const view = readyView({
    ready_at: '2026-11-22T17:18:00Z',
    last_active_at: '2026-11-22T17:59:50Z',
    active_because: 'Queue',
    stop_at: '2026-11-22T18:28:00Z',
    cost: { run_usd: 0.51, month_usd: 12.9, idle_usd: 0 },
  });
  assert.deepEqual(barWords(view, EPOCH), {
    phase: 'On',
    place: 'L4 · us-central1-a',
    up: 'up 42 min',
    cost: '$0.51 so far',
    stops: 'stops in 28 min',
    because: 'kept on by a job in the queue',
  });
  assert.equal(barWords(view, EPOCH + 300_000).because, 'last used 5 min ago: a job in the queue');
});

test('a bar of which nothing is known is empty, not wrong', () => {
  assert.deepEqual(barWords(readyView({ placement: null, cost: null }), EPOCH), {
    phase: 'On',
    place: '',
    up: '',
    cost: '',
    stops: '',
    because: '',
  });
});

test('the price is told with the day of its list, where that is known', () => {
  const price = (changes) => facts(viewOf({ placement: { ...viewOf().placement, ...changes } }), EPOCH)[3];
  assert.deepEqual(price({}), { term: 'Price', value: '$0.71 per hour (list price of 30 July 2026)' });
  assert.deepEqual(price({ price_date: null }), { term: 'Price', value: '$0.71 per hour' });
  assert.equal(price({ usd_per_hour: null })?.term, 'This month');
});

test('a budget is told once: by the card’s meter, or among the facts of a run', () => {
  const budget = { monthly_usd: 50, spent_usd: 41.2, percent: 82, used_up: false, when_used_up: 'next_idle' };
  const month = (view) => facts(view, EPOCH).find(({ term }) => term === 'This month')?.value;
  assert.equal(month(viewOf({ budget })), undefined);
  assert.equal(month(readyView({ budget })), '$41.20 of $50, 82 %');
  assert.equal(month(viewOf({ budget: null })), '$12.40');
});

test('facts leave out what is unknown', () => {
  const terms = (view) => facts(view, EPOCH).map(({ term }) => term);
  assert.deepEqual(terms(viewOf()), ['GPU', 'Zone', 'Machine', 'Price', 'This month', 'Unused, it stops after', 'At the latest after']);
  assert.deepEqual(terms(viewOf({ placement: null, cost: null, limits: null })), []);
  const running = facts(readyView({ cost: { run_usd: 0.5, month_usd: 1, idle_usd: 0.03 } }), EPOCH);
  assert.equal(running.find(({ term }) => term === 'This run').value, '$0.50, of it $0.03 unused');
});

test('a step that takes too long is said to', () => {
  assert.equal(bootNote({ step: 's', state: 'current', seconds: 20, usual: 30 }), '20 s · usually 30 s');
  assert.equal(bootNote({ step: 's', state: 'current', seconds: 75, usual: 30 }), '1 min 15 s, longer than the usual 30 s');
  assert.equal(bootNote({ step: 's', state: 'to_come', seconds: null, usual: null }), '');
});

test('the whole start is compared with the usual', () => {
  const view = viewOf({ started_at: '2026-11-22T17:59:12Z', boot: { step: 'booting', percent: 1, detail: '', usual_seconds: 75 } });
  assert.equal(bootClock(view, EPOCH), '48 s so far, usually about 1 min 15 s in all');
  assert.equal(bootClock(viewOf(), EPOCH), '');
});

test('a failure has the words of whoever spoke them, line for line', () => {
  const detail = (code, words) => failureDetail({ code, title: '', detail: words });
  assert.equal(detail('stock_out', 'ZONE_RESOURCE_POOL_EXHAUSTED'), 'What Google said: ZONE_RESOURCE_POOL_EXHAUSTED');
  assert.equal(detail('boot_failed', '<b>pip</b>:\nno space'), 'What the machine said last:\n<b>pip</b>:\nno space');
  assert.equal(detail('boot_timed_out', 'PyTorch'), 'What the machine said last:\nPyTorch');
  assert.deepEqual(['', null, undefined].map((none) => detail('boot_failed', none)), ['', '', '']);
});

test('each step of a start has words of its own', () => {
  const labels = BOOT_STEPS.map((step) => bootLabel({ step, state: 'current', seconds: 0, usual: null }));
  assert.equal(labels[BOOT_STEPS.indexOf('getting_certificate')], 'Getting a certificate');
  for (const [index, label] of labels.entries()) assert.notEqual(label, BOOT_STEPS[index].replaceAll('_', ' '));
});

test('a failure says when another try is worth it', () => {
  const failed = (retry_at) => viewOf({ phase: 'Failed', failure: { code: 'stock_out', title: 'No L4', retry_at } });
  assert.equal(retryWords(failed('2026-11-22T18:04:10Z'), EPOCH), 'Worth another try in 4 min.');
  assert.equal(retryWords(failed('2026-11-22T17:00:00Z'), EPOCH), 'Worth another try now.');
  assert.equal(retryWords(failed(null), EPOCH), '');
});

test('a screen reader hears each change once, and no ticking', () => {
  const draining = readyView({ phase: 'Draining', drain_ends_at: '2026-11-22T18:02:00Z' });
  assert.equal(announcement(null, viewOf(), EPOCH), 'ComfyUI is off.');
  assert.equal(announcement(viewOf(), readyView(), EPOCH), 'ComfyUI is on.');
  assert.equal(announcement(readyView(), readyView(), EPOCH), '');
  assert.match(announcement(readyView(), draining, EPOCH), /stops in 2 min\. Nobody .+ Press Keep running/);
  assert.equal(announcement(draining, readyView(), EPOCH), 'ComfyUI keeps running.');
  assert.match(announcement(readyView(), viewOf({ last_stop: stop() }), EPOCH), /because nobody had used it .+ \$0\.85\. Your files are safe/);
  const failure = { code: 'stock_out', title: 'No L4', hint: 'Try later' };
  assert.equal(announcement(viewOf(), viewOf({ phase: 'Failed', failure }), EPOCH), 'ComfyUI did not start. No L4. Try later');
});

test('a screen reader hears each boot step', () => {
  const at = (step) => viewOf({ phase: 'Booting', boot: { step, percent: 1, detail: '', usual_seconds: null, steps: [] } });
  assert.equal(announcement(at('booting'), at('mounting_disk'), EPOCH), 'Attaching your disk.');
  assert.equal(announcement(at('booting'), at('booting'), EPOCH), '');
});

test('the browser’s tab says what matters most', () => {
  assert.equal(documentTitle(null, EPOCH), 'Pilotlight');
  assert.equal(documentTitle(readyView(), EPOCH), 'On · ComfyUI · Pilotlight');
  const draining = readyView({ phase: 'Draining', drain_ends_at: '2026-11-22T18:01:00Z' });
  assert.equal(documentTitle(draining, EPOCH), 'ComfyUI stops in 1:00 · Pilotlight');
});
