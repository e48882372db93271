/**
 * What somebody who is signed in sees: the list, the card, what is open, what surrounds it. Loaded while one signs in,
 * so that the first view is small.
 *
 * @import { Known, State, View } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { mountCard } from './card-view.js';
import { mountCare } from './care-view.js';
import { mountHistoryOpener } from './history-opener.js';
import { mountList } from './list-view.js';
import { mountOpen } from './open-view.js';
import { policyNow, screenOf } from './workspace-logic.js';
import { announcement, documentTitle } from './workspace-words.js';

/** Says what has changed to those who do not see it. @param {(words: string) => void} say */
const createAnnounce = (say) => {
  /** @type {View|null} */
  let last = null;
  /** @param {View|null} view @param {number} now */
  return (view, now) => {
    const said = view && (last?.id === view.id ? last : null) !== view ? announcement(last, view, now) : '';
    if (said) say(said);
    last = view;
  };
};

/** @param {Controller} controller @param {(words: string) => void} say */
export const mountInside = (controller, say) => {
  const [list, card, open] = [mountList(controller), mountCard(controller), mountOpen(controller)];
  const [care, history] = [mountCare(controller), mountHistoryOpener(controller)];
  const announce = createAnnounce(say);

  return {
    /** @param {State} state @param {ReturnType<typeof screenOf>} screen @param {Known|null} known @param {number} monotonicNow */
    update: (state, screen, known, monotonicNow) => {
      const user = state.session?.user;
      const where = screen === 'card' || screen === 'open' ? screen : null;
      list.update(state, monotonicNow);
      if (known && user && where) {
        card.update(known, user, state.pending, monotonicNow);
        open.update(state, where, known, user, monotonicNow);
      }
      care.update(where, known, user, state.pending, monotonicNow);
      history.update(user ? known : null);
      open.updateFrame(state, known?.view ?? null);
      const now = known ? policyNow(known, monotonicNow) : 0;
      const shown = user && known ? known.view : null;
      announce(shown, now);
      const title = documentTitle(shown, now);
      if (document.title !== title) document.title = title;
    },
  };
};
