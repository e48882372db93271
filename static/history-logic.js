/**
 * What the history of a workspace adds up to: hours and dollars of each day, and where and when zones were dry. Pure;
 * loaded with the history, not with the page.
 *
 * @import { Attempt, Run } from './types.js'
 */
import { isDry } from './walk-logic.js';

/** Days of the chart, today included. */
export const DAYS = 30;

/** A pattern is told of no fewer tries than this. */
const TRIES_MIN = 4;

/** The longest window, in hours, that is told as a time of day. */
const WINDOW_MAX_HOURS = 6;

/** A zone that was dry in less than this share of the tries is not worth a warning. */
const DRY_SHARE_MIN = 0.5;

/** @param {unknown} value @returns {value is Record<string, any>} */
const isObject = (value) => typeof value === 'object' && value !== null;

/** @param {unknown} value @returns {value is string} */
const isMoment = (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value));

/** @param {unknown} value @returns {value is Run} */
const isRun = (value) =>
  isObject(value) &&
  typeof value.run === 'number' &&
  isMoment(value.started_at) &&
  isMoment(value.ended_at) &&
  typeof value.reason === 'string' &&
  typeof value.billed_seconds === 'number' &&
  typeof value.cost_usd === 'number';

/**
 * A page of runs, newest first, or null for what is none.
 * @param {unknown} body
 * @returns {{runs: Run[], next: number|null}|null}
 */
export const runsFrom = (body) => {
  if (!isObject(body) || !Array.isArray(body.runs)) return null;
  return { runs: body.runs.filter(isRun), next: typeof body.next === 'number' ? body.next : null };
};

/** A local day's name, `2026-11-22`. @param {Date} at */
const dayOf = (at) =>
  [at.getFullYear(), String(at.getMonth() + 1).padStart(2, '0'), String(at.getDate()).padStart(2, '0')].join('-');

/** The first moment of the local day that lies `days` after the one of `at`. @param {Date} at @param {number} days */
const midnight = (at, days) => new Date(at.getFullYear(), at.getMonth(), at.getDate() + days);

/**
 * A run's billed time, cut at each local midnight; its cost goes with the time. What is billed ends with the run, so
 * what was spent on looking for a machine lies before it.
 * @param {Run} run
 * @returns {{day: string, seconds: number, usd: number}[]}
 */
export const splitByDay = (run) => {
  const end = Date.parse(run.ended_at);
  const begin = Math.max(end - run.billed_seconds * 1_000, Date.parse(run.started_at));
  if (!(end > begin)) return run.cost_usd > 0 ? [{ day: dayOf(new Date(end)), seconds: 0, usd: run.cost_usd }] : [];
  const parts = [];
  for (let from = begin; from < end; ) {
    const until = Math.min(midnight(new Date(from), 1).getTime(), end);
    const share = (until - from) / (end - begin);
    parts.push({ day: dayOf(new Date(from)), seconds: (until - from) / 1_000, usd: run.cost_usd * share });
    from = until;
  }
  return parts;
};

/** The first moment of the chart. @param {number} now */
export const chartBegin = (now) => midnight(new Date(now), 1 - DAYS).getTime();

/**
 * The last days, oldest first, each with its billed seconds and dollars.
 * @param {Run[]} runs @param {number} now
 * @returns {{day: string, at: Date, seconds: number, usd: number}[]}
 */
export const byDay = (runs, now) => {
  const days = Array.from({ length: DAYS }, (_, index) => {
    const at = midnight(new Date(now), index + 1 - DAYS);
    return { day: dayOf(at), at, seconds: 0, usd: 0 };
  });
  const found = new Map(days.map((day) => [day.day, day]));
  for (const part of runs.flatMap(splitByDay)) {
    const day = found.get(part.day);
    if (!day) continue;
    day.seconds += part.seconds;
    day.usd += part.usd;
  }
  return days;
};

/** @typedef {{tries: number, dry: number}} Tally */

/** Outcomes that say whether there was a machine. */
const TOLD = new Set(['dry', 'timed_out', 'up', 'preempted']);

/**
 * Tries by zone and hour of the local day; what was not answered, or refused, says nothing.
 * @param {Run[]} runs
 * @returns {{zone: string, hours: Tally[]}[]} Zones by name, 24 hours each.
 */
export const stockOuts = (runs) => {
  /** @type {Map<string, Tally[]>} */
  const zones = new Map();
  for (const attempt of runs.flatMap(({ walk }) => walk ?? [])) {
    if (!TOLD.has(attempt.outcome)) continue;
    const hours = zones.get(attempt.zone) ?? Array.from({ length: 24 }, () => ({ tries: 0, dry: 0 }));
    zones.set(attempt.zone, hours);
    const tally = hours[new Date(attempt.at).getHours()];
    if (!tally) continue;
    tally.tries += 1;
    tally.dry += isDry(attempt) ? 1 : 0;
  }
  return [...zones].map(([zone, hours]) => ({ zone, hours })).sort((a, b) => (a.zone < b.zone ? -1 : 1));
};

/** @param {Tally[]} tallies @returns {Tally} */
export const sum = (tallies) =>
  tallies.reduce((so, { tries, dry }) => ({ tries: so.tries + tries, dry: so.dry + dry }), { tries: 0, dry: 0 });

/**
 * How sure one may be that a share is high: the lower end of Wilson's interval at 90 %. Five of five says more than one
 * of one.
 * @param {Tally} tally
 */
const certainty = ({ tries, dry }) => {
  const z = 1.645;
  const share = dry / tries;
  const spread = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * tries)) / tries);
  return (share + (z * z) / (2 * tries) - spread) / (1 + (z * z) / tries);
};

/**
 * The zone and time of day of which the tries teach most, or null where they teach nothing.
 * @param {{zone: string, hours: Tally[]}[]} table
 * @returns {{zone: string, from: number, until: number, tries: number, dry: number}|null}
 */
export const lesson = (table) => {
  const windows = table.flatMap(({ zone, hours }) =>
    hours.flatMap((_, from) =>
      Array.from({ length: WINDOW_MAX_HOURS }, (_, more) => {
        const inside = Array.from({ length: more + 1 }, (_, index) => hours[(from + index) % 24] ?? { tries: 0, dry: 0 });
        return { zone, from, until: (from + more + 1) % 24, length: more + 1, ...sum(inside) };
      }),
    ),
  );
  const telling = windows.filter(({ tries, dry }) => tries >= TRIES_MIN && dry / tries >= DRY_SHARE_MIN);
  const [best] = telling.sort((a, b) => certainty(b) - certainty(a) || a.length - b.length);
  if (!best) return null;
  const { length: _, ...told } = best;
  return told;
};

/** The try that led to a machine, if any did. @param {Run} run @returns {Attempt|null} */
export const gotten = ({ walk }) => walk?.findLast(({ outcome }) => outcome === 'up' || outcome === 'preempted') ?? null;

/** How dark a cell of the heat table is, 0 to 4; null where nothing was tried. @param {Tally} tally */
export const heat = ({ tries, dry }) => (tries === 0 ? null : Math.ceil((dry / tries) * 4));
