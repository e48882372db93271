/**
 * The walk from placement to placement as it happens, the wait between two rounds, and the offer to keep trying.
 *
 * @import { Attempt, Deed, User, View } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { byId, part, setAttribute, setOffer, setOrHide, setRows, setText, show } from './dom.js';
import { keepTryingChoices, offersKeepTrying, walkOf } from './walk-logic.js';
import { attemptWords, choiceWords, earlierWords, interruptionWords, keepTryingWords } from './walk-words.js';
import { offer } from './workspace-logic.js';

/** @param {string} id */
const mountRows = (id) => {
  const place = byId(id, HTMLElement);
  const template = byId('walk-row', HTMLTemplateElement);
  /** @param {Attempt[]} attempts @param {number} now */
  return (attempts, now) =>
    setRows(place, template, attempts, (element, attempt) => {
      const words = attemptWords(attempt, now);
      setAttribute(element, 'data-outcome', attempt.outcome);
      setText(part(element, '.try-zone'), words.zone);
      setText(part(element, '.try-kind'), words.kind);
      setText(part(element, '.try-outcome'), words.outcome);
      setText(part(element, '.try-at'), words.at);
    });
};

export const mountWalk = () => {
  const root = byId('walk', HTMLElement);
  const folded = byId('walk-earlier', HTMLElement);
  const summary = byId('walk-earlier-words', HTMLElement);
  const waiting = byId('waiting', HTMLElement);
  const interruption = byId('interruption', HTMLElement);
  const [drawEarlier, drawShown] = [mountRows('walk-earlier-rows'), mountRows('walk-rows')];
  /** @param {View} view @param {number} now */
  return (view, now) => {
    const { earlier, shown } = walkOf(view);
    show(root, shown.length > 0);
    show(folded, earlier.length > 0);
    setText(summary, earlierWords(earlier, now));
    drawEarlier(earlier, now);
    drawShown(shown, now);
    setOrHide(waiting, keepTryingWords(view, now));
    setOrHide(interruption, interruptionWords(view, now));
  };
};

/** @param {Controller} controller */
export const mountKeepTrying = (controller) => {
  const root = byId('keep-trying', HTMLElement);
  const select = byId('keep-trying-for', HTMLSelectElement);
  const button = byId('keep-trying-start', HTMLButtonElement);
  let now = 0;

  for (const choice of keepTryingChoices(now)) {
    select.add(new Option(choiceWords(choice), choice.id, choice.id === '240', choice.id === '240'));
  }
  button.addEventListener('click', () => {
    const chosen = keepTryingChoices(now).find(({ id }) => id === select.value);
    if (chosen) void controller.start(chosen.minutes);
  });

  /** @param {View} view @param {User} user @param {Deed|null} pending @param {number} policyNow */
  return (view, user, pending, policyNow) => {
    now = policyNow;
    const offered = offer('start', view, user);
    show(root, offered.shown && offersKeepTrying(view));
    setOffer(button, offered, pending !== null);
    if (select.disabled === offered.enabled) select.disabled = !offered.enabled;
  };
};
