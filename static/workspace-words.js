/**
 * A workspace in plain English: what is happening, why it stopped, what it cost, that the files are safe. Pure.
 *
 * @import { Failure, LastStop, Placement, Signal, StopReason, View } from './types.js'
 * @import { BootRow } from './workspace-logic.js'
 */
import { ago, calendarDay, clockTime, duration, gpuName, left, limit, money, precise } from './format.js';
import { budgetWords } from './care-words.js';
import { isUp } from './frame-logic.js';
import { isWaiting } from './walk-logic.js';
import { interruptionWords, walkAnnouncement } from './walk-words.js';
import { bootRows, drainsAtHardLimit, isActiveNow, secondsSince, secondsUntil } from './workspace-logic.js';

/** @type {Record<Signal, string>} */
const SIGNALS = {
  Queue: 'a job in the queue',
  Traffic: 'somebody using ComfyUI',
  Gpu: 'work on the GPU',
  Person: 'a person’s own input',
};

/** @type {Record<string, string>} */
const STEP_LABELS = {
  placing: 'Finding a machine',
  booting: 'Starting the machine',
  mounting_disk: 'Attaching your disk',
  installing: 'Installing what is missing',
  getting_certificate: 'Getting a certificate',
  starting_comfyui: 'Starting ComfyUI',
};

/** @type {Record<string, string>} */
const PHASE_LABELS = { Stopped: 'Off', Placing: 'Finding a GPU', Booting: 'Starting', Ready: 'On', Draining: 'Stops soon' };

/** @param {Signal|null} signal */
export const signalWords = (signal) => (signal === null ? '' : SIGNALS[signal] ?? signal);

/** @param {string} phase */
export const phaseLabel = (phase) => PHASE_LABELS[phase] ?? phase;

/** @param {View} view */
export const headline = (view) => {
  switch (view.phase) {
    case 'Stopped':
      return `${view.title} is off`;
    case 'Placing':
      return isWaiting(view) ? `Waiting for a GPU for ${view.title}` : `Finding a GPU for ${view.title}`;
    case 'Booting':
      return `${view.title} is starting`;
    case 'Ready':
      return `${view.title} is on`;
    case 'Draining':
      return `${view.title} stops soon`;
    case 'Stopping':
      return `${view.title} is stopping`;
    case 'Failed':
      return `${view.title} did not start`;
    default:
      return `${view.title}: ${view.phase}`;
  }
};

/** @param {View} view */
const arrivalWords = (view) =>
  view.limits ? ` If nobody opens it within ${limit(view.limits.arrival_minutes)}, it stops by itself.` : '';

/** What the phase means for the person, in a sentence or two. @param {View} view */
export const explanation = (view) => {
  switch (view.phase) {
    case 'Stopped':
      return 'The GPU machine is off and not billed. Your models, outputs and custom nodes are safe on its disk.';
    case 'Placing':
      return isWaiting(view)
        ? 'Google Cloud had no machine to give in any zone. It is asked again by itself, also while this page is closed.'
        : 'Google Cloud is asked for a machine. When one place has none to give, the next is tried by itself.';
    case 'Booting':
      return `ComfyUI opens here as soon as it is up.${arrivalWords(view)}`;
    case 'Ready':
      return 'ComfyUI is up.';
    case 'Draining':
      return drainWords(view);
    case 'Stopping':
      return `The machine is being shut down${endingWords(view)}. Your files are safe: they stay on its disk.`;
    case 'Failed':
      return 'Nothing is running, and your files are safe on the disk.';
    default:
      return '';
  }
};

/** @param {View} view */
const endingWords = (view) => (view.ending ? ` ${STOP_REASONS[view.ending]?.(view) ?? ''}`.trimEnd() : '');

/** @param {StopReason} reason @param {View} view */
export const stopReasonWords = (reason, view) => STOP_REASONS[reason]?.(view) ?? `(${reason})`;

/** Why it is about to stop. @param {View} view */
export const drainWords = (view) => {
  if (drainsAtHardLimit(view)) {
    return view.limits
      ? `It has been on for ${limit(view.limits.hard_minutes)}, the longest a run may take.`
      : 'It has reached the longest time a run may take.';
  }
  if (view.ending === 'Budget') return 'This month’s budget is used up, and nobody is using it.';
  if (view.opened === false) return 'Nobody has opened it since it started.';
  return view.limits ? `Nobody has used it for ${limit(view.limits.idle_minutes)}.` : 'Nobody has used it for a while.';
};

/** @param {View} view @param {number} now */
export const drainTitle = (view, now) => {
  const seconds = secondsUntil(view.drain_ends_at, now);
  if (seconds === null) return `${view.title} stops soon`;
  return seconds <= 0 ? `${view.title} stops now` : `${view.title} stops in ${left(seconds)}`;
};

/** @param {BootRow} row */
export const bootLabel = ({ step }) => STEP_LABELS[step] ?? step.replaceAll('_', ' ');

/** @param {BootRow} row */
export const bootNote = ({ state, seconds, usual }) => {
  const took = seconds === null ? '' : precise(seconds);
  const usually = usual === null ? '' : `usually ${precise(usual)}`;
  if (state === 'to_come') return usually;
  if (state === 'current' && usual !== null && seconds !== null && seconds > usual * 2 + 5) {
    return `${took}, longer than the usual ${precise(usual)}`;
  }
  return [took, usually].filter(Boolean).join(' · ');
};

/** How long the whole start has taken so far. @param {View} view @param {number} now */
export const bootClock = (view, now) => {
  const since = secondsSince(view.started_at, now);
  const usual = view.boot?.usual_seconds ?? null;
  const soFar = since === null ? '' : `${precise(since)} so far`;
  return [soFar, usual === null ? '' : `usually about ${precise(usual)} in all`].filter(Boolean).join(', ');
};

/** @type {Record<StopReason, (view: View) => string>} */
const STOP_REASONS = {
  Idle: (view) => `because nobody had used it for ${view.limits ? limit(view.limits.idle_minutes) : 'a while'}`,
  NeverOpened: () => 'because nobody had opened it',
  User: () => 'because somebody pressed Stop',
  HardLimit: (view) =>
    `because it had been on for ${view.limits ? limit(view.limits.hard_minutes) : 'as long as it may'}, the longest a run may take`,
  Silent: () => 'because the machine had stopped answering',
  Preempted: () => 'because Google took the spot machine back',
  HostError: () => 'because Google’s computer under it broke down',
  Budget: () => 'because this month’s budget was used up',
  MachineStopped: () => 'because the machine itself was stopped, not from this page',
  StartFailed: () => 'because it could not be started',
};

/**
 * Why and when the last run ended, and what it came to.
 * @param {View} view @param {LastStop} stop @param {number} now
 */
export const lastStopWords = (view, stop, now) => {
  const since = secondsSince(stop.at, now);
  const when = since === null ? '' : ` ${ago(since)}`;
  const why = stopReasonWords(stop.reason, view);
  const signal = stop.signal && ['Idle', 'Silent', 'HardLimit'].includes(stop.reason);
  return {
    why: `It stopped${when} ${why}.`,
    signal: signal ? `The last sign of use was ${signalWords(stop.signal)}.` : '',
    receipt: receiptWords(stop),
    safe: 'Your files are safe on the disk.',
  };
};

/** @param {LastStop} stop */
const receiptWords = ({ seconds, cost_usd }) => {
  const hasCost = typeof cost_usd === 'number';
  if (typeof seconds === 'number') return `That run took ${duration(seconds)}${hasCost ? ` and cost ${money(cost_usd)}` : ''}.`;
  return hasCost ? `That run cost ${money(cost_usd)}.` : '';
};

/**
 * What was said by whoever refused, or by a machine that could not set itself up: several lines, as they came.
 * @param {Failure} failure
 */
export const failureDetail = ({ code, detail }) => {
  if (!detail) return '';
  return code.startsWith('boot_') ? `What the machine said last:\n${detail}` : `What Google said: ${detail}`;
};

/** When a failed start is worth another try. @param {View} view @param {number} now */
export const retryWords = (view, now) => {
  const seconds = secondsUntil(view.failure?.retry_at, now);
  if (seconds === null) return '';
  return seconds > 0 ? `Worth another try in ${left(seconds)}.` : 'Worth another try now.';
};

/**
 * The facts of a workspace, as terms and values; what is unknown is left out.
 * @param {View} view @param {number} now
 * @returns {{term: string, value: string}[]}
 */
export const facts = (view, now) => {
  const { placement, cost, limits } = view;
  const hard = view.hard_stop_at && view.phase !== 'Stopped' ? clockTime(view.hard_stop_at, now) : null;
  /** @type {[string, string|null|undefined|false][]} */
  const rows = [
    ['GPU', placement && gpuName(placement.accelerator)],
    ['Zone', placement?.zone],
    ['Machine', placement && `${placement.machine_type}${placement.spot ? ', spot' : ''}`],
    ['Price', placement && priceWords(placement)],
    ['This run', view.run > 0 && isOn(view) && typeof cost?.run_usd === 'number' && runCost(view)],
    ['This month', monthWords(view)],
    ['Unused, it stops after', limits && limit(limits.idle_minutes)],
    hard ? ['At the latest', hard] : ['At the latest after', limits && limit(limits.hard_minutes)],
  ];
  return rows.flatMap(([term, value]) => (value ? [{ term, value }] : []));
};

/** What an hour costs, and how old that knowledge is. @param {Placement} placement */
const priceWords = ({ usd_per_hour, price_date }) => {
  if (typeof usd_per_hour !== 'number') return '';
  const day = calendarDay(price_date);
  return `${money(usd_per_hour)} per hour${day ? ` (list price of ${day})` : ''}`;
};

/** Where the card has a meter of the budget, it is not said twice. @param {View} view */
const monthWords = (view) => {
  const { budget, cost } = view;
  if (budget) return isUp(view) ? budgetWords(budget) : '';
  return typeof cost?.month_usd === 'number' ? money(cost.month_usd) : '';
};

/** @param {View} view */
const isOn = (view) => view.phase !== 'Stopped' && view.phase !== 'Failed';

/** @param {View} view */
const runCost = ({ cost }) => {
  const idle = cost?.idle_usd ?? 0;
  return `${money(cost?.run_usd ?? 0)}${idle >= 0.01 ? `, of it ${money(idle)} unused` : ''}`;
};

/** The slim bar over ComfyUI. @param {View} view @param {number} now */
export const barWords = (view, now) => {
  const up = secondsSince(view.ready_at ?? view.started_at, now);
  const stop = view.phase === 'Draining' ? secondsUntil(view.drain_ends_at, now) : secondsUntil(view.stop_at, now);
  const run = view.cost?.run_usd;
  return {
    phase: phaseLabel(view.phase),
    place: view.placement ? `${shortMachine(view.placement)} · ${view.placement.zone}` : '',
    up: up === null ? '' : `up ${duration(up)}`,
    cost: typeof run === 'number' ? `${money(run)} so far` : '',
    stops: stop === null ? '' : stop <= 0 ? 'stops now' : `stops in ${left(stop)}`,
    because: becauseWords(view, now),
  };
};

/** @param {Placement} placement */
const shortMachine = ({ accelerator, machine_type }) =>
  accelerator ? gpuName(accelerator).replace('NVIDIA ', '') : machine_type;

/** What keeps it on, or how long nothing has. @param {View} view @param {number} now */
export const becauseWords = (view, now) => {
  if (view.working) return `kept on by ${signalWords(view.working)}`;
  if (view.active_because === null) return '';
  const since = secondsSince(view.last_active_at, now);
  const signal = signalWords(view.active_because);
  if (isActiveNow(view, now)) return `kept on by ${signal}`;
  return since === null ? `last used: ${signal}` : `last used ${ago(since)}: ${signal}`;
};

/**
 * What a screen reader hears when something has changed, or '' when nothing worth saying has.
 * @param {View|null} before @param {View} after @param {number} now
 */
export const announcement = (before, after, now) => {
  const restarted = before?.id === after.id && (after.restarts ?? 0) > (before.restarts ?? 0);
  if (restarted && interruptionWords(after, now)) return interruptionWords(after, now);
  if (before && before.id === after.id && before.phase === after.phase) return stepAnnouncement(before, after, now);
  switch (after.phase) {
    case 'Ready':
      return before?.phase === 'Draining' ? `${after.title} keeps running.` : `${after.title} is on.`;
    case 'Draining':
      return `${drainTitle(after, now)}. ${drainWords(after)} Press Keep running to go on.`;
    case 'Stopped':
      return after.last_stop && before
        ? Object.values(lastStopWords(after, after.last_stop, now)).filter(Boolean).join(' ')
        : `${headline(after)}.`;
    case 'Failed':
      return [headline(after), after.failure?.title, after.failure?.hint].filter(Boolean).join('. ');
    default:
      return `${headline(after)}.`;
  }
};

/** @param {View} before @param {View} after @param {number} now */
const stepAnnouncement = (before, after, now) => {
  const walked = walkAnnouncement(before, after, now);
  if (walked) return walked;
  if (!after.boot || before.boot?.step === after.boot.step) return '';
  const row = bootRows(after, now).find(({ state }) => state === 'current');
  return row ? `${bootLabel(row)}.` : '';
};

/** What the browser's tab says. @param {View|null} view @param {number} now */
export const documentTitle = (view, now) => {
  if (view === null) return 'Pilotlight';
  const lead = view.phase === 'Draining' ? drainTitle(view, now) : `${phaseLabel(view.phase)} · ${view.title}`;
  return `${lead} · Pilotlight`;
};
