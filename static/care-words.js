/**
 * What surrounds a run, in plain English: the month's budget, the disk's zones, prompts that were kept, and what can be
 * done about a failure. Pure.
 *
 * @import { Budget, Failure, User, View } from './types.js'
 */
import { money, plural } from './format.js';
import { isUp } from './frame-logic.js';
import { canAct } from './session-logic.js';

/** From here on the meter warns; notices go out at the same point. */
export const BUDGET_WARNS_AT_PERCENT = 80;

/** @param {number} usd Whole dollars stay whole: a budget is a round number. */
const budgetMoney = (usd) => (Number.isInteger(usd) ? `$${usd}` : money(usd));

/** @param {Budget} budget */
export const budgetLevel = (budget) =>
  budget.used_up ? 'used-up' : budget.percent >= BUDGET_WARNS_AT_PERCENT ? 'warned' : 'fine';

/** @param {Budget} budget */
export const budgetWords = ({ spent_usd, monthly_usd, percent }) =>
  `${money(spent_usd)} of ${budgetMoney(monthly_usd)}, ${Math.floor(percent)} %`;

/** What a budget that is nearly or wholly used up leads to. @param {View} view @param {User} user */
export const budgetNote = (view, user) => {
  const { budget } = view;
  if (!budget || budgetLevel(budget) === 'fine') return '';
  const run =
    budget.when_used_up === 'hard_limit'
      ? 'a run that is on goes on to its latest end'
      : 'a run that is on stops once nobody has used it for 5 minutes';
  if (!budget.used_up) return `When it is used up, nobody but an admin can start it, and ${run}.`;
  if (isUp(view)) return `This month’s budget is used up: ${run}, and cannot be extended.`;
  return user.role === 'admin'
    ? 'This month’s budget is used up. As an admin you can start it all the same.'
    : 'This month’s budget is used up: until the month is over only an admin can start it.';
};

/** The strip above ComfyUI, which says only what ends the run. @param {View} view @param {User} user */
export const budgetStripWords = (view, user) => (isUp(view) && view.budget?.used_up ? budgetNote(view, user) : '');

/** A disk that no other zone can read. @param {View} view */
export const diskWords = ({ disk }) =>
  disk && !disk.regional
    ? `Its disk is in one zone, ${disk.zones.join(', ')}: where that is dry there is no other. How to move it: docs/operate.md, “Move a disk to another zone”.`
    : '';

/**
 * Prompts that were waiting when the machine was taken back: whether to put them back is the person's to say.
 * @param {View} view @param {User} user
 * @returns {{words: string, asks: boolean}}
 */
export const keptWords = ({ kept_prompts, restore_queue }, user) => {
  const kept = kept_prompts ?? 0;
  if (kept === 0) return { words: '', asks: false };
  const were = `${plural(kept, 'prompt')} ${kept === 1 ? 'was' : 'were'} in the queue when the machine was taken back.`;
  if (!restore_queue) return { words: were, asks: canAct(user) };
  return { words: `${were} ${kept === 1 ? 'It is' : 'They are'} put back into the queue.`, asks: false };
};

/**
 * Where to do something about a failure; only an HTTPS address is made a link.
 * @param {Failure} failure
 * @returns {{url: string, words: string}|null}
 */
export const failureLink = ({ code, url }) => {
  if (!url || !URL.canParse(url) || new URL(url).protocol !== 'https:') return null;
  return { url, words: code === 'quota' ? 'Open the quotas in the Google Cloud console' : 'Open it in the Google Cloud console' };
};

/** What is left to do when the zone that may have the disk does not answer. @param {View} view @param {User} user */
export const zoneGoneWords = (view, user) => {
  if (view.failure?.code !== 'zone_gone') return '';
  return user.role === 'admin'
    ? 'Where you know that nothing there writes to the disk any more, it can be moved without asking that zone.'
    : 'An admin who knows that nothing there writes to the disk any more can have it moved without asking that zone.';
};

/** The zone that is gone; null where the failure names none. @param {View} view */
export const lostZone = ({ failure }) => failure?.zone ?? null;

/**
 * Whether what was typed consents to moving the disk away from a zone.
 * @param {View} view @param {string} typed
 */
export const consentsToMove = (view, typed) => {
  const lost = lostZone(view);
  return lost === null ? (view.disk?.zones ?? []).includes(typed.trim()) : typed.trim() === lost;
};

/** @param {View} view */
export const consentWords = (view) => {
  const lost = lostZone(view);
  const which = lost === null ? 'One of the disk’s zones' : `The zone ${lost}`;
  return `${which} is gone for good or for now, and nothing there writes to the disk any more: move the disk without asking it.`;
};
