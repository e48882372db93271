/** The walk from placement to placement, the wait between two rounds, and starts after an interruption. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EPOCH, readyView, viewOf } from './world.js';

// Read when a moment is first said, so it comes before.
process.env.TZ = 'Europe/Berlin';

const { isRestart, isWaiting, keepTryingChoices, KEEP_TRYING_MAX_MINUTES, offersKeepTrying, walkOf } = await import('../../../static/walk-logic.js');
const { attemptWords, choiceWords, earlierWords, interruptionWords, keepTryingWords, walkAnnouncement } = await import(
  '../../../static/walk-words.js'
);
const { announcement, explanation, headline } = await import('../../../static/workspace-words.js');
const { policyNow } = await import('../../../static/workspace-logic.js');

const attempt = (changes = {}) => ({
  instance: 'comfyui-main-a',
  zone: 'us-central1-a',
  spot: true,
  at: '2026-11-22T17:59:00Z',
  outcome: 'dry',
  ...changes,
});
const placing = (changes = {}) => viewOf({ phase: 'Placing', wish: 'Running', walk: [attempt()], ...changes });
const waiting = (changes = {}) =>
  placing({ keep_trying: { until: '2026-11-22T22:00:00Z', next_at: '2026-11-22T18:04:00Z', rounds: 3 }, ...changes });
const interrupted = (changes = {}) =>
  viewOf({ phase: 'Booting', restarts: 2, last_stop: { reason: 'Preempted', at: '2026-11-22T17:58:00Z', signal: null }, ...changes });

test('the tries show while a machine is looked for, while it boots and when none was found', () => {
  const phases = ['Stopped', 'Placing', 'Booting', 'Ready', 'Draining', 'Stopping', 'Failed'];
  const shown = phases.filter((phase) => walkOf(viewOf({ phase, walk: [attempt()] })).shown.length > 0);
  assert.deepEqual(shown, ['Placing', 'Booting', 'Failed']);
  assert.deepEqual(walkOf(viewOf({ phase: 'Placing' })), { earlier: [], shown: [] });
});

test('of many tries the last six show, and the others are folded away, none lost', () => {
  const walk = Array.from({ length: 8 }, (_, index) => attempt({ instance: `i${index}` }));
  const { earlier, shown } = walkOf(placing({ walk }));
  assert.deepEqual(earlier.map(({ instance }) => instance), ['i0', 'i1']);
  assert.deepEqual(shown.map(({ instance }) => instance), ['i2', 'i3', 'i4', 'i5', 'i6', 'i7']);
  assert.equal(earlierWords(earlier, EPOCH), '2 earlier tries, from 18:59 on');
  assert.equal(earlierWords([attempt()], EPOCH), '1 earlier try, from 18:59 on');
  assert.equal(earlierWords([], EPOCH), '');
});

test('a try is told with its zone, its kind, its outcome and its time', () => {
  assert.deepEqual(attemptWords(attempt(), EPOCH), { zone: 'us-central1-a', kind: 'Spot', outcome: 'none to be had', at: '18:59' });
  const outcomes = ['trying', 'dry', 'timed_out', 'up', 'preempted', 'eclipsed'].map((outcome) => attemptWords(attempt({ outcome, spot: false }), EPOCH).outcome);
  assert.deepEqual(outcomes, ['trying…', 'none to be had', 'no answer in time', 'got one', 'taken back by Google', 'eclipsed']);
  assert.equal(attemptWords(attempt({ spot: false }), EPOCH).kind, 'standard');
});

test('the wait says when all were dry, counts down to the next try, and says when it gives up', () => {
  assert.equal(keepTryingWords(waiting(), EPOCH), 'All zones were dry at 18:59. Next try in 4 min; giving up at 23:00.');
  assert.match(keepTryingWords(waiting(), EPOCH + 180_000), /Next try in 1:00;/);
  assert.match(keepTryingWords(waiting(), EPOCH + 241_000), /Next try now;/);
  assert.match(keepTryingWords(waiting({ walk: [] }), EPOCH), /^All zones were dry\. Next/);
});

test('the wait counts on the policy’s clock, however fast that is', () => {
  const known = { view: waiting({ clock_rate: 60 }), etag: null, receivedAt: 0 };
  assert.match(keepTryingWords(known.view, policyNow(known, 3_000)), /Next try in 1:00;/);
});

test('a round that goes on says which, and a first one until when it would go on', () => {
  const trying = (rounds) => placing({ keep_trying: { until: '2026-11-22T22:00:00Z', next_at: null, rounds } });
  assert.equal(keepTryingWords(trying(3), EPOCH), 'Round 4. Giving up at 23:00.');
  assert.equal(keepTryingWords(trying(0), EPOCH), 'If all zones are dry, it is tried again until 23:00.');
  assert.equal(keepTryingWords(placing(), EPOCH), '');
  assert.equal(keepTryingWords(waiting({ phase: 'Failed' }), EPOCH), '');
});

test('waiting is no looking for a machine, and the page need not stay open', () => {
  assert.equal(isWaiting(waiting()), true);
  assert.equal(isWaiting(placing()), false);
  assert.equal(headline(waiting()), 'Waiting for a GPU for ComfyUI');
  assert.match(explanation(waiting()), /while this page is closed/);
  assert.equal(headline(placing()), 'Finding a GPU for ComfyUI');
  assert.match(explanation(placing()), /the next is tried/);
});

test('to keep trying is offered where it may help', () => {
  const failed = (can_keep_trying) => viewOf({ phase: 'Failed', failure: { code: 'stock_out', title: 'dry', can_keep_trying } });
  assert.equal(offersKeepTrying(failed(true)), true);
  assert.equal(offersKeepTrying(failed(false)), false);
  assert.equal(offersKeepTrying(viewOf({ phase: 'Failed', failure: { code: 'quota', title: 'quota' } })), false);
  const stopped = (walk, reason = 'StartFailed') => viewOf({ walk, last_stop: { reason, at: '2026-11-22T17:00:00Z', signal: null } });
  assert.equal(offersKeepTrying(stopped([attempt(), attempt({ outcome: 'timed_out' })])), true);
  assert.equal(offersKeepTrying(stopped([attempt(), attempt({ outcome: 'up' })])), false);
  assert.equal(offersKeepTrying(stopped([attempt()], 'User')), false);
  assert.equal(offersKeepTrying(stopped([])), false);
});

test('one may keep trying for hours, or until nine tomorrow by one’s own clock', () => {
  const minutes = (iso) => keepTryingChoices(Date.parse(iso)).map((choice) => choice.minutes);
  assert.deepEqual(minutes('2026-11-22T18:00:00Z'), [60, 240, 720, 14 * 60]);
  assert.deepEqual(minutes('2026-11-22T18:00:30Z').at(-1), 14 * 60, 'a begun minute counts');
  assert.deepEqual(minutes('2026-10-24T20:00:00Z').at(-1), 12 * 60, 'the night in which the clock is set back is an hour longer');
  for (let hour = 0; hour < 24; hour++) {
    const [, , , last] = keepTryingChoices(EPOCH + hour * 3_600_000);
    assert.ok(last.minutes >= 1 && last.minutes <= KEEP_TRYING_MAX_MINUTES, `${last.minutes}`);
  }
  assert.deepEqual(keepTryingChoices(EPOCH).map(choiceWords), ['for 1 hour', 'for 4 hours', 'for 12 hours', 'until tomorrow 9:00']);
});

test('an interruption says what happened, when, and what follows', () => {
  const said = (changes) => interruptionWords(interrupted(changes), EPOCH);
  assert.equal(said(), 'Google took the machine back at 18:58. It is being started again on another (2nd restart).');
  assert.match(said({ restarts: 1, phase: 'Placing' }), /\(1st restart\)/);
  assert.match(said({ restarts: 3 }), /\(3rd restart\)/);
  assert.match(said({ restarts: 4 }), /\(4th restart\)/);
  assert.match(said({ phase: 'Ready' }), /This is the 2nd restart, on another\.$/);
  assert.match(said({ phase: 'Failed' }), /The 2nd restart failed\.$/);
  const broken = { reason: 'HostError', at: '2026-11-22T17:58:00Z', signal: null };
  assert.match(said({ last_stop: broken }), /^Google’s computer under the machine broke down at 18:58\./);
});

test('what is no restart after an interruption says nothing', () => {
  assert.equal(isRestart(interrupted()), true);
  for (const changes of [{ restarts: 0 }, { phase: 'Stopped' }, { last_stop: null }, { last_stop: { reason: 'User', at: '2026-11-22T17:58:00Z' } }]) {
    assert.equal(isRestart(interrupted(changes)), false);
    assert.equal(interruptionWords(interrupted(changes), EPOCH), '');
  }
});

test('a screen reader hears each try and its outcome once, and the wait without its ticking', () => {
  const trying = placing({ walk: [attempt({ outcome: 'trying' })] });
  assert.equal(announcement(placing({ walk: [] }), trying, EPOCH), 'us-central1-a, Spot: trying…');
  assert.equal(announcement(trying, placing(), EPOCH), 'us-central1-a, Spot: none to be had.');
  assert.equal(announcement(placing(), placing(), EPOCH), '');
  assert.match(announcement(placing(), waiting(), EPOCH), /^All zones were dry .+ giving up at 23:00\.$/);
  assert.equal(announcement(waiting(), waiting(), EPOCH + 1_000), '');
  assert.equal(walkAnnouncement(readyView(), readyView({ walk: [attempt({ outcome: 'up' })] }), EPOCH), '');
});

test('a screen reader hears of an interruption', () => {
  assert.match(announcement(readyView({ restarts: 1 }), interrupted({ phase: 'Placing' }), EPOCH), /^Google took the machine back/);
  assert.equal(announcement(interrupted({ phase: 'Placing' }), interrupted(), EPOCH), 'ComfyUI is starting.');
});
