/**
 * Numbers and moments as words. Pure; knows nothing of workspaces. English, with 24-hour clocks and unambiguous dates.
 */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Below this, minutes alone would look frozen, so the seconds show. */
const SECONDS_SHOW_BELOW = 2 * MINUTE;

/** @param {number} usd */
export const money = (usd) => (usd > 0 && usd < 0.01 ? 'under $0.01' : `$${usd.toFixed(2)}`);

/** @param {number} value @param {string} one */
export const plural = (value, one) => `${value} ${one}${value === 1 ? '' : 's'}`;

/**
 * A length of time, to the precision a person wants: `8 s`, `12 min`, `1 h 5 min`, `3 days`.
 * @param {number} seconds
 */
export const duration = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < 2 * DAY) {
    const minutes = Math.floor((whole % HOUR) / MINUTE);
    return `${Math.floor(whole / HOUR)} h${minutes ? ` ${minutes} min` : ''}`;
  }
  return plural(Math.floor(whole / DAY), 'day');
};

/**
 * A length of time for comparing with another: seconds still show in minutes. `1 min 15 s`.
 * @param {number} seconds
 */
export const precise = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE || whole >= HOUR || whole % MINUTE === 0) return duration(whole);
  return `${Math.floor(whole / MINUTE)} min ${whole % MINUTE} s`;
};

/**
 * A limit given in minutes, spelled out: `30 minutes`, `12 hours`.
 * @param {number} minutes
 */
export const limit = (minutes) => {
  if (minutes < 1) return 'less than a minute';
  return minutes >= 60 && minutes % 60 === 0 ? plural(minutes / 60, 'hour') : plural(minutes, 'minute');
};

/**
 * A countdown: `1:05`, `1:00:05`.
 * @param {number} seconds
 */
export const countdown = (seconds) => {
  const whole = Math.max(0, Math.ceil(seconds));
  const pad = (/** @type {number} */ part) => String(part).padStart(2, '0');
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  return whole >= HOUR
    ? `${Math.floor(whole / HOUR)}:${pad(minutes)}:${pad(whole % MINUTE)}`
    : `${minutes}:${pad(whole % MINUTE)}`;
};

/**
 * What is left until a deadline: minutes while it is far, a countdown when it is near.
 * @param {number} seconds
 */
export const left = (seconds) => (seconds < SECONDS_SHOW_BELOW ? countdown(seconds) : duration(seconds));

/** @param {number} seconds */
export const ago = (seconds) => (seconds < MINUTE ? 'just now' : `${duration(seconds)} ago`);

/**
 * `14:05`, or `21 Nov, 14:05` when it is not on the day of `now`.
 * @param {string} iso
 * @param {number} now Milliseconds since the epoch.
 * @param {string} [timeZone] For tests; the person's own otherwise.
 */
export const clockTime = (iso, now, timeZone) => {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return 'an unknown time';
  const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone });
  const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone });
  const sameDay = day.format(at) === day.format(now);
  return sameDay ? time.format(at) : `${day.format(at)}, ${time.format(at)}`;
};

/**
 * A day as a person says it: `30 July 2026`. Empty for what is no day.
 * @param {string|null|undefined} iso `2026-07-30`; it lies in no zone, so it is not moved into one.
 */
export const calendarDay = (iso) => {
  const at = new Date(`${iso ?? ''}T00:00:00Z`);
  if (Number.isNaN(at.getTime())) return '';
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' }).format(at);
};

/**
 * `nvidia-tesla-t4` is how Google spells it; people say NVIDIA T4.
 * @param {string|null} accelerator
 */
export const gpuName = (accelerator) =>
  accelerator
    ? accelerator
        .split('-')
        .filter((part) => part !== 'tesla' && part !== '')
        .map((part) => part.toUpperCase())
        .join(' ')
    : 'no GPU';
