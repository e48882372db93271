/**
 * What a workspace's view means for the page: its clocks, its boot steps, what may be pressed. Pure; the sentences are
 * in `workspace-words.js`.
 *
 * @import { Boot, Deed, Known, State, User, View } from './types.js'
 */
import { canAct, WATCH_ONLY } from './session-logic.js';
import { isUp } from './frame-logic.js';

/** The steps of a start, in order. */
export const BOOT_STEPS = ['placing', 'booting', 'mounting_disk', 'installing', 'getting_certificate', 'starting_comfyui'];

/** Activity younger than this counts as going on now. Seconds of the policy's clock. */
const GOING_ON_WITHIN = 90;

/** How far the two clocks of a computer drift apart only when it slept, or when somebody set one. */
const CLOCK_JUMP_MS = 5_000;

/** @param {View} view */
export const rateOf = (view) => (view.clock_rate !== undefined && view.clock_rate > 0 ? view.clock_rate : 1);

/**
 * The policy's clock now: the view's own, ticked on by the time since it came.
 * @param {Known} known @param {number} monotonicNow
 * @returns {number} Milliseconds since the epoch.
 */
export const policyNow = (known, monotonicNow) =>
  Date.parse(known.view.now) + Math.max(0, monotonicNow - known.receivedAt) * rateOf(known.view);

/**
 * Whole and fractional seconds from now until a moment; negative when it has passed, null when it is unknown.
 * @param {string|null|undefined} iso @param {number} now
 */
export const secondsUntil = (iso, now) => {
  const at = iso ? Date.parse(iso) : NaN;
  return Number.isNaN(at) ? null : (at - now) / 1_000;
};

/** @param {string|null|undefined} iso @param {number} now */
export const secondsSince = (iso, now) => {
  const until = secondsUntil(iso, now);
  return until === null ? null : -until;
};

/**
 * Real milliseconds until the idle deadline, or Infinity when there is none to wait for.
 * @param {Known} known @param {number} monotonicNow
 */
export const msUntilStop = (known, monotonicNow) => {
  const seconds = known.view.phase === 'Ready' ? secondsUntil(known.view.stop_at, policyNow(known, monotonicNow)) : null;
  return seconds === null ? Infinity : (seconds * 1_000) / rateOf(known.view);
};

/**
 * Only what has the fields that everything here stands on is taken for a view.
 * @param {unknown} body
 * @returns {body is View}
 */
export const isView = (body) => {
  if (typeof body !== 'object' || body === null) return false;
  const { id, title, phase, run, now } = /** @type {Record<string, unknown>} */ (body);
  return (
    [id, title, phase].every((part) => typeof part === 'string') &&
    typeof run === 'number' &&
    typeof now === 'string' &&
    !Number.isNaN(Date.parse(now))
  );
};

/**
 * The workspace on show: the chosen one, or the only one.
 * @param {State} state
 */
export const selectedKnown = (state) => {
  if (state.known === null) return null;
  if (state.known.length === 1) return state.known[0] ?? null;
  return state.known.find(({ view }) => view.id === state.selected) ?? null;
};

/**
 * @param {State} state
 * @returns {'sign-in'|'loading'|'list'|'card'|'open'}
 */
export const screenOf = (state) => {
  if (state.session === null) return 'sign-in';
  if (state.known === null) return 'loading';
  const selected = selectedKnown(state);
  if (selected === null) return 'list';
  return isUp(selected.view) ? 'open' : 'card';
};

/** No keep-alive moves the hard limit, so a drain that it began is not to be kept from ending. @param {View} view */
export const drainsAtHardLimit = (view) => view.ending === 'HardLimit';

/** @param {View} view @param {number} now */
export const isActiveNow = (view, now) => {
  const since = secondsSince(view.last_active_at, now);
  return view.active_because !== null && since !== null && since <= GOING_ON_WITHIN;
};

/** A stop would throw a job away: worth one question. @param {View} view */
export const stopNeedsConfirming = (view) => view.working === 'Queue';

/**
 * Whether a deed's button shows, whether it can be pressed, and if not, why not.
 * @param {Deed} deed @param {View} view @param {User} user
 * @returns {{shown: boolean, enabled: boolean, reason: string}}
 */
export const offer = (deed, view, user) => {
  const shown = {
    'start': ['Stopped', 'Failed', 'Stopping'].includes(view.phase),
    'stop': ['Placing', 'Booting', 'Ready', 'Draining'].includes(view.phase),
    'extend': isUp(view),
    'keep-running': view.phase === 'Draining',
    'open-tab': isUp(view),
    'prefer': true,
    'move-disk': view.phase === 'Failed' && view.failure?.code === 'zone_gone' && user.role === 'admin',
  }[deed];
  if (!shown) return { shown, enabled: false, reason: '' };
  if (!canAct(user)) return { shown, enabled: false, reason: WATCH_ONLY };
  if (deed === 'start' && view.phase === 'Stopping') {
    return { shown, enabled: false, reason: 'It can be started again as soon as it has stopped.' };
  }
  if (deed === 'extend' && view.budget?.used_up && user.role !== 'admin') {
    return { shown, enabled: false, reason: 'This month’s budget is used up.' };
  }
  if (deed === 'keep-running' && drainsAtHardLimit(view)) {
    return { shown, enabled: false, reason: 'Nothing moves the longest time a run may take; start it again afterwards.' };
  }
  return { shown, enabled: true, reason: '' };
};

/**
 * @typedef {{step: string, state: 'done'|'current'|'to_come', seconds: number|null, usual: number|null}} BootRow
 */

/**
 * The steps of a start as rows. The current one ticks on; one that this start skipped is left out.
 * @param {View} view @param {number} now
 * @returns {BootRow[]}
 */
export const bootRows = (view, now) => {
  const boot = view.boot;
  const current = boot?.step ?? (view.phase === 'Booting' ? 'booting' : 'placing');
  const heard = boot?.steps ?? [];
  const order = [...BOOT_STEPS, ...heard.map(({ step }) => step), current];
  const steps = order.filter((step, index) => order.indexOf(step) === index);
  const at = steps.indexOf(current);
  const sinceView = Math.max(0, secondsSince(view.now, now) ?? 0);
  return steps.flatMap((step, index) => {
    const found = heard.find((candidate) => candidate.step === step);
    const state = index === at ? 'current' : found ? 'done' : 'to_come';
    if (state === 'to_come' && index < at) return [];
    const ticked = state === 'current' ? sinceView : 0;
    const seconds = state === 'to_come' ? null : (found?.seconds ?? 0) + ticked;
    return [{ step, state, seconds, usual: found?.usual_seconds ?? null }];
  });
};

/**
 * How far the start is, 0 to 100, or null when nobody knows.
 * @param {Boot|null} boot
 */
export const bootPercent = (boot) =>
  typeof boot?.percent === 'number' ? Math.min(Math.max(boot.percent, 0), 100) : null;

/** The burner's flames. */
const FLAMES = 5;

/**
 * How many of them are lit: one for each step done, all when it is up and not before, though there are more steps.
 * @param {View} view
 */
export const flamesLit = (view) => {
  switch (view.phase) {
    case 'Ready':
      return FLAMES;
    case 'Draining':
      return 2;
    case 'Placing':
    case 'Booting':
      return stepsDone(view);
    default:
      return 0;
  }
};

/** @param {View} view */
const stepsDone = (view) => {
  const done = BOOT_STEPS.indexOf(view.boot?.step ?? (view.phase === 'Booting' ? 'booting' : 'placing'));
  return Math.min(Math.max(0, done), FLAMES - 1);
};

/**
 * The monotonic clock stands still while a computer sleeps and the wall clock does not; either may also be set. When
 * the distance between them has changed, the ticking clocks on the page are wrong until the server is asked again.
 * @param {number} earlier @param {number} current Wall minus monotonic, then and now, in milliseconds.
 */
export const clockJumped = (earlier, current) => Math.abs(current - earlier) > CLOCK_JUMP_MS;
