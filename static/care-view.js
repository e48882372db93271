/**
 * What surrounds a run: the month's budget, the disk's zones, and the prompts that are kept over an interruption.
 *
 * @import { Deed, Known, User, View } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { budgetLevel, budgetNote, budgetStripWords, budgetWords, diskWords, keptWords } from './care-words.js';
import { byId, setAttribute, setOffer, setOrHide, setText, show } from './dom.js';
import { interruptionWords } from './walk-words.js';
import { offer, policyNow } from './workspace-logic.js';

const mountBudget = () => {
  const root = byId('budget', HTMLElement);
  const meter = byId('budget-meter', HTMLMeterElement);
  const words = byId('budget-words', HTMLElement);
  const note = byId('budget-note', HTMLElement);
  const strip = byId('budget-strip', HTMLElement);
  const stripWords = byId('budget-strip-words', HTMLElement);
  /** @param {View} view @param {User} user */
  return (view, user) => {
    const { budget } = view;
    const said = budgetStripWords(view, user);
    show(strip, said !== '');
    setText(stripWords, said);
    show(root, Boolean(budget));
    if (!budget) return;
    const filled = Math.min(Math.max(budget.percent, 0), 100);
    setAttribute(root, 'data-level', budgetLevel(budget));
    if (meter.value !== filled) meter.value = filled;
    setText(words, budgetWords(budget));
    setOrHide(note, budgetNote(view, user));
  };
};

/** One preference that moves between card and panel, as Stop does. @param {Controller} controller */
const mountPreference = (controller) => {
  const root = byId('preference', HTMLElement);
  const box = byId('restore-queue', HTMLInputElement);
  const places = { card: byId('preference-in-card', HTMLElement), open: byId('preference-in-panel', HTMLElement) };
  box.addEventListener('change', () => void controller.prefer(box.checked));
  /** @param {'card'|'open'} where @param {View} view @param {User} user @param {Deed|null} pending */
  return (where, view, user, pending) => {
    if (root.parentElement !== places[where]) places[where].append(root);
    const { enabled } = offer('prefer', view, user);
    if (box.disabled === enabled) box.disabled = !enabled;
    // While it is told, it shows what the person has said; then what is true.
    const agreed = view.restore_queue === true;
    if (pending !== 'prefer' && box.checked !== agreed) box.checked = agreed;
  };
};

/** @param {Controller} controller */
const mountKept = (controller) => {
  const root = byId('kept', HTMLElement);
  const words = byId('kept-words', HTMLElement);
  const back = byId('put-back', HTMLButtonElement);
  back.addEventListener('click', () => void controller.prefer(true));
  /** @param {View} view @param {User} user @param {Deed|null} pending */
  return (view, user, pending) => {
    const kept = keptWords(view, user);
    show(root, kept.words !== '');
    setText(words, kept.words);
    setOffer(back, { shown: kept.asks, enabled: kept.asks }, pending !== null);
    setText(back, pending === 'prefer' ? 'One moment…' : 'Put them back');
  };
};

/** @param {Controller} controller */
export const mountCare = (controller) => {
  const strips = byId('care-strips', HTMLElement);
  const disk = byId('disk-note', HTMLElement);
  const interruption = byId('details-interruption', HTMLElement);
  const [drawBudget, drawPreference, drawKept] = [mountBudget(), mountPreference(controller), mountKept(controller)];
  return {
    /** @param {'card'|'open'|null} where Null while neither shows. @param {Known|null} known @param {User|undefined} user @param {Deed|null} pending @param {number} monotonicNow */
    update: (where, known, user, pending, monotonicNow) => {
      show(strips, where !== null);
      if (where === null || known === null || user === undefined) return;
      const { view } = known;
      drawBudget(view, user);
      drawPreference(where, view, user, pending);
      drawKept(view, user, pending);
      setOrHide(disk, diskWords(view));
      setOrHide(interruption, interruptionWords(view, policyNow(known, monotonicNow)));
    },
  };
};
