/**
 * When to ask the server, and when to tell it that a person is there.
 *
 * Asking is never activity. Telling is, so it needs a visible page and a person's own input: an open, forgotten tab
 * must let the machine stop. Pure: the controller owns the timers.
 */

/** The server says when to ask next; these bound what it may say. */
export const POLL_MIN_MS = 250;
export const POLL_MAX_MS = 60_000;

/** A deadline is asked about this long after it has passed, so that the server has seen it pass. */
const AFTER_DEADLINE_MS = 500;

/** Asked when a view does not say. */
export const POLL_DEFAULT_MS = 5_000;

/** One keep-alive in twenty seconds is plenty for limits that are minutes long. Seconds of the policy's clock. */
export const KEEP_ALIVE_EVERY_MS = 20_000;

/** However fast the policy's clock runs, real requests keep this distance. */
export const KEEP_ALIVE_FLOOR_MS = 1_000;

/** Retries wait 1, 2, 4 … seconds, and never longer than this. */
export const BACK_OFF_MAX_MS = 60_000;

/** A hand on the desk shakes the pointer; a person moves it. In pixels. */
const MOVED_AT_LEAST = 3;

/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * @param {number|undefined} pollAfterMs What the server said, perhaps some unchanged answers ago.
 * @param {number} [untilNextMs] Until the deadline the view tells of: nobody should hear of that a whole round late.
 */
export const pollDelay = (pollAfterMs, untilNextMs = Infinity) => {
  const said = typeof pollAfterMs === 'number' && Number.isFinite(pollAfterMs) ? pollAfterMs : POLL_DEFAULT_MS;
  const next = untilNextMs > 0 ? untilNextMs + AFTER_DEADLINE_MS : Infinity;
  return clamp(Math.min(said, next), POLL_MIN_MS, POLL_MAX_MS);
};

/**
 * @param {number} attempts Failures in a row, from 1.
 * @param {number} chance 0 to 1, so that many pages do not return in step.
 */
export const backOff = (attempts, chance) =>
  Math.min(1_000 * 2 ** (clamp(attempts, 1, 16) - 1) * (1 + chance / 4), BACK_OFF_MAX_MS);

/** @param {number} rate */
export const keepAliveGap = (rate) => clamp(KEEP_ALIVE_EVERY_MS / rate, KEEP_ALIVE_FLOOR_MS, KEEP_ALIVE_EVERY_MS);

/**
 * What the page remembers of its person. All monotonic milliseconds; `-Infinity` is never.
 * @typedef {{inputAt: number, toldInputAt: number, sentAt: number}} Presence
 */

/** @returns {Presence} */
export const nobodyYet = () => ({ inputAt: -Infinity, toldInputAt: -Infinity, sentAt: -Infinity });

/**
 * The moment from which a keep-alive may be sent, or null when there is nothing to tell.
 * @param {Presence} presence
 * @param {number} rate
 */
export const keepAliveAt = (presence, rate) =>
  presence.inputAt > presence.toldInputAt ? presence.sentAt + keepAliveGap(rate) : null;

/**
 * Seconds of the browser's own clock since the person's last input, to a tenth; the server knows the policy's rate.
 * @param {Presence} presence @param {number} now
 */
export const interactedSecondsAgo = (presence, now) => Math.max(0, Math.round((now - presence.inputAt) / 100) / 10);

/**
 * Whether an event is a person's own deed. Scripts are not (isTrusted), nor is a key that something lies on, nor the
 * move that a browser reports when the page shifts under a resting pointer.
 * @param {{type: string, isTrusted: boolean, repeat?: boolean, screenX?: number, screenY?: number}} event
 * @param {{x: number, y: number}|null} lastPointer Where the pointer last counted.
 */
export const isOwnInput = (event, lastPointer) => {
  if (!event.isTrusted || event.repeat) return false;
  if (event.type !== 'pointermove') return true;
  if (lastPointer === null) return false;
  const dx = (event.screenX ?? 0) - lastPointer.x;
  const dy = (event.screenY ?? 0) - lastPointer.y;
  return Math.hypot(dx, dy) >= MOVED_AT_LEAST;
};
