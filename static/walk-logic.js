/**
 * The walk from placement to placement: which tries to list, when a start waits between two rounds, how long one may
 * ask it to go on. Pure; the sentences are in `walk-words.js`.
 *
 * @import { Attempt, View } from './types.js'
 */

/** More tries than this are folded away: the last rounds tell enough. */
const TRIES_SHOWN = 6;

/** What a start accepts, in minutes. */
export const KEEP_TRYING_MAX_MINUTES = 2_880;

/** The hour of "until tomorrow", on the person's own clock. */
const MORNING_HOUR = 9;

/** @param {Attempt} attempt Tried, and no machine came of it. */
export const isDry = ({ outcome }) => outcome === 'dry' || outcome === 'timed_out';

/**
 * The tries to list while a machine is looked for, while it boots, and after none was found.
 * @param {View} view
 * @returns {{earlier: Attempt[], shown: Attempt[]}}
 */
export const walkOf = (view) => {
  const walk = ['Placing', 'Booting', 'Failed'].includes(view.phase) ? view.walk ?? [] : [];
  const fold = Math.max(0, walk.length - TRIES_SHOWN);
  return { earlier: walk.slice(0, fold), shown: walk.slice(fold) };
};

/** All zones were dry, and the next round is yet to come. @param {View} view */
export const isWaiting = (view) => view.phase === 'Placing' && Boolean(view.keep_trying?.next_at);

/** Going on by itself may help: the start has failed, or has last failed, because no zone had a machine. @param {View} view */
export const offersKeepTrying = (view) => {
  if (view.phase === 'Failed') return view.failure?.can_keep_trying === true;
  const walk = view.walk ?? [];
  return view.phase === 'Stopped' && view.last_stop?.reason === 'StartFailed' && walk.length > 0 && walk.every(isDry);
};

/**
 * For how long one may ask it to keep trying, in minutes. The last choice ends tomorrow morning.
 * @param {number} now Milliseconds since the epoch, on the policy's clock.
 * @returns {{id: string, minutes: number}[]}
 */
export const keepTryingChoices = (now) => {
  const morning = new Date(now);
  morning.setDate(morning.getDate() + 1);
  morning.setHours(MORNING_HOUR, 0, 0, 0);
  const untilMorning = Math.ceil((morning.getTime() - now) / 60_000);
  return [
    { id: '60', minutes: 60 },
    { id: '240', minutes: 240 },
    { id: '720', minutes: 720 },
    { id: 'morning', minutes: Math.min(untilMorning, KEEP_TRYING_MAX_MINUTES) },
  ];
};

/** The run on show was begun because the one before it was interrupted. @param {View} view */
export const isRestart = (view) =>
  (view.restarts ?? 0) > 0 &&
  (view.last_stop?.reason === 'Preempted' || view.last_stop?.reason === 'HostError') &&
  view.phase !== 'Stopped';
