/**
 * The walk from placement to placement in plain English: each try, the wait between two rounds, and what interrupted
 * the run before. Pure.
 *
 * @import { Attempt, Outcome, View } from './types.js'
 */
import { clockTime, left } from './format.js';
import { isRestart, isWaiting } from './walk-logic.js';
import { secondsUntil } from './workspace-logic.js';

/** @type {Record<Outcome, string>} */
const OUTCOMES = {
  trying: 'trying…',
  dry: 'none to be had',
  timed_out: 'no answer in time',
  up: 'got one',
  preempted: 'taken back by Google',
  refused: 'refused',
  given_up: 'given up',
};

/** @type {Record<string, string>} */
const CHOICES = { '60': 'for 1 hour', '240': 'for 4 hours', '720': 'for 12 hours', 'morning': 'until tomorrow 9:00' };

/** @param {Attempt} attempt */
export const kindWords = ({ spot }) => (spot ? 'Spot' : 'standard');

/**
 * One try as a row.
 * @param {Attempt} attempt @param {number} now
 */
export const attemptWords = (attempt, now) => ({
  zone: attempt.zone,
  kind: kindWords(attempt),
  outcome: OUTCOMES[attempt.outcome] ?? attempt.outcome,
  at: clockTime(attempt.at, now),
});

/** @param {Attempt[]} earlier The tries that are folded away. @param {number} now */
export const earlierWords = (earlier, now) =>
  earlier[0] ? `${earlier.length} earlier ${earlier.length === 1 ? 'try' : 'tries'}, from ${clockTime(earlier[0].at, now)} on` : '';

/**
 * What is to come while a start keeps trying; empty for a plain one.
 * @param {View} view @param {number} now
 */
export const keepTryingWords = (view, now) => {
  const { keep_trying: trying } = view;
  if (view.phase !== 'Placing' || !trying) return '';
  const until = clockTime(trying.until, now);
  if (!isWaiting(view)) {
    return trying.rounds > 0 ? `Round ${trying.rounds + 1}. Giving up at ${until}.` : `If all zones are dry, it is tried again until ${until}.`;
  }
  const last = view.walk?.at(-1);
  const dry = last ? `All zones were dry at ${clockTime(last.at, now)}.` : 'All zones were dry.';
  const seconds = secondsUntil(trying.next_at, now) ?? 0;
  const next = seconds > 0 ? `Next try in ${left(seconds)}` : 'Next try now';
  return `${dry} ${next}; giving up at ${until}.`;
};

/** @param {{id: string}} choice */
export const choiceWords = ({ id }) => CHOICES[id] ?? id;

/** @param {number} value */
const ordinal = (value) => `${value}${{ 1: 'st', 2: 'nd', 3: 'rd' }[value] ?? 'th'}`;

/**
 * What ended the run before, while the next one takes its place.
 * @param {View} view @param {number} now
 */
export const interruptionWords = (view, now) => {
  if (!isRestart(view) || !view.last_stop) return '';
  const at = clockTime(view.last_stop.at, now);
  const what = view.last_stop.reason === 'HostError' ? `Google’s computer under the machine broke down at ${at}.` : `Google took the machine back at ${at}.`;
  const which = `${ordinal(view.restarts ?? 0)} restart`;
  if (view.phase === 'Placing' || view.phase === 'Booting') return `${what} It is being started again on another (${which}).`;
  if (view.phase === 'Failed') return `${what} The ${which} failed.`;
  return `${what} This is the ${which}, on another.`;
};

/**
 * What a screen reader hears of the walk, once for each change.
 * @param {View} before @param {View} after @param {number} now
 */
export const walkAnnouncement = (before, after, now) => {
  if (isWaiting(after) && !isWaiting(before)) return keepTryingWords(after, now);
  const [was, is] = [before.walk?.at(-1), after.walk?.at(-1)];
  if (after.phase !== 'Placing' || !is || (was?.at === is.at && was.instance === is.instance && was.outcome === is.outcome)) return '';
  const { zone, kind, outcome } = attemptWords(is, now);
  return `${zone}, ${kind}: ${outcome}.`.replace('….', '…');
};
