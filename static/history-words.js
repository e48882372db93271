/**
 * The history of a workspace in plain English. Pure; loaded with the history, not with the page.
 *
 * @import { Run, View } from './types.js'
 * @import { Tally } from './history-logic.js'
 */
import { clockTime, duration, money, plural } from './format.js';
import { DAYS, gotten, lesson, sum } from './history-logic.js';
import { kindWords } from './walk-words.js';
import { stopReasonWords } from './workspace-words.js';

/** What a start failed of, by the names that the domain has for it. @type {Record<string, string>} */
const FAILURES = {
  StockOut: 'no zone had a machine to give',
  Quota: 'the project’s quota does not allow it',
  Permission: 'Pilotlight lacks a permission',
  NotFound: 'the machine or its disk does not exist',
  Refused: 'Google refused it',
  PlacingTimedOut: 'no answer came in time',
  BootTimedOut: 'ComfyUI did not come up in time',
  BootFailed: 'the machine could not set itself up',
  ZoneGone: 'the zone that may have the disk did not answer',
};

/** @param {Date} at */
export const dayWords = (at) => new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' }).format(at);

/** Less than this many seconds are told in minutes: a tenth of an hour would be rounded to nothing. */
const MINUTES_BELOW = 360;

/** Hours as a chart has them: `3.4 h`, and short ones as `4 min`. @param {number} seconds */
export const hoursWords = (seconds) => (0 < seconds && seconds < MINUTES_BELOW ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`);

/**
 * What the chart shows, for those who do not see it.
 * @param {{at: Date, seconds: number, usd: number}[]} days
 */
export const chartWords = (days) => {
  const used = days.filter(({ seconds, usd }) => seconds > 0 || usd > 0);
  if (used.length === 0) return `It was not on in the last ${DAYS} days.`;
  const seconds = used.reduce((so, day) => so + day.seconds, 0);
  const usd = used.reduce((so, day) => so + day.usd, 0);
  return `In the last ${DAYS} days it was on for ${hoursWords(seconds)} on ${plural(used.length, 'day')}, for ${money(usd)}.`;
};

/** @param {Run} run @param {number} now */
const whenWords = ({ started_at, ended_at }, now) => {
  const [from, until] = [clockTime(started_at, now), clockTime(ended_at, now)];
  const sameDay = clockTime(started_at, Date.parse(ended_at)) === from.replace(/^.*, /, '');
  return `${from} – ${sameDay ? until.replace(/^.*, /, '') : until}`;
};

/**
 * One run as a row.
 * @param {Run} run @param {View} view @param {number} now
 */
export const runWords = (run, view, now) => {
  const got = gotten(run);
  const failed = run.failure ? FAILURES[run.failure] ?? run.failure : '';
  const place = [run.instance, run.zone, got && kindWords(got)];
  const origin = [run.started_by && `started by ${run.started_by}`, typeof run.restart_of === 'number' && `restart of run ${run.restart_of}`];
  return {
    title: `Run ${run.run}`,
    when: whenWords(run, now),
    took: run.billed_seconds > 0 ? `${duration(run.billed_seconds)}, ${money(run.cost_usd)}` : 'cost nothing',
    why: `It ended ${stopReasonWords(run.reason, view)}${failed ? `: ${failed}` : ''}.`,
    where: [...place, ...origin].filter(Boolean).join(' · '),
  };
};

/**
 * What the table of zones and hours teaches, in one sentence.
 * @param {{zone: string, hours: Tally[]}[]} table
 */
export const lessonWords = (table) => {
  const all = sum(table.flatMap(({ hours }) => hours));
  if (all.tries === 0) return 'No try has been recorded yet.';
  if (all.dry === 0) return `No zone was dry: ${all.tries === 1 ? 'the one try' : `all ${all.tries} tries`} got a machine.`;
  const found = lesson(table);
  if (!found) return `${all.dry} of ${all.tries} tries got no machine; that is too few, or too even, to name a time of the day.`;
  const until = found.until === 0 ? 24 : found.until;
  return `${found.zone} was dry in ${found.dry} of ${found.tries} tries between ${found.from} and ${until} o’clock.`;
};

/** One cell of the table, for those who do not see its shade. @param {Tally} tally */
export const tallyWords = ({ tries, dry }) => (tries === 0 ? '' : `${dry}/${tries}`);
