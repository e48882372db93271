/**
 * Several workspaces to choose from. With one there is nothing to choose, and this never shows.
 *
 * @import { State } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { byId, part, setAttribute, setRows, setText, show } from './dom.js';
import { selectedKnown } from './workspace-logic.js';
import { barWords, phaseLabel } from './workspace-words.js';
import { policyNow } from './workspace-logic.js';
import { isUp } from './frame-logic.js';

/** @param {Controller} controller */
export const mountList = (controller) => {
  const rows = byId('list-rows', HTMLElement);
  const template = byId('list-row', HTMLTemplateElement);
  const empty = byId('list-empty', HTMLElement);
  const back = byId('all-workspaces', HTMLButtonElement);

  back.addEventListener('click', () => controller.select(null));
  rows.addEventListener('click', (event) => {
    const row = event.target instanceof Element ? event.target.closest('li') : null;
    if (row?.dataset.id !== undefined) controller.select(row.dataset.id);
  });

  return {
    /** @param {State} state @param {number} monotonicNow */
    update: (state, monotonicNow) => {
      const known = state.known ?? [];
      show(empty, known.length === 0);
      show(back, state.session !== null && known.length > 1 && selectedKnown(state) !== null);
      setRows(rows, template, known, (element, each) => {
        const { view } = each;
        const words = barWords(view, policyNow(each, monotonicNow));
        setAttribute(element, 'data-id', view.id);
        setAttribute(element, 'data-at', view.phase);
        setText(part(element, '.row-title'), view.title);
        setText(part(element, '.row-phase'), phaseLabel(view.phase));
        setText(part(element, '.row-note'), [words.place, isUp(view) ? words.stops : ''].filter(Boolean).join(' · '));
      });
    },
  };
};
