/**
 * The door to the history: its code and its style come when it is first opened, so that the first view stays small.
 *
 * @import { Known, View } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { byId, setText } from './dom.js';
import { policyNow } from './workspace-logic.js';

/** @type {import('./types.js').Problem} */
const NOT_LOADED = {
  code: 'not_loaded',
  title: 'The history could not be loaded',
  hint: 'Check your connection and reload the page.',
};

const loadStyle = () => {
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = 'history.css';
  document.head.append(link);
};

/** @param {Controller} controller */
export const mountHistoryOpener = (controller) => {
  const dialog = byId('history', HTMLDialogElement);
  const title = byId('history-title', HTMLElement);
  const body = byId('history-body', HTMLElement);
  /** @type {Promise<(view: View, now: number) => void>|null} */
  let loading = null;
  /** @type {Known|null} */
  let shown = null;

  const load = () => {
    loadStyle();
    return import('./history-view.js').then(({ mountHistory }) => mountHistory(controller, body));
  };

  const open = async () => {
    const known = shown;
    if (known === null) return;
    setText(title, `History of ${known.view.title}`);
    dialog.showModal();
    try {
      loading ??= load();
      (await loading)(known.view, policyNow(known, controller.around.monotonic()));
    } catch {
      loading = null;
      dialog.close();
      controller.notify(NOT_LOADED);
    }
  };
  for (const id of ['history-of-card', 'history-of-panel']) byId(id, HTMLButtonElement).addEventListener('click', () => void open());
  byId('history-close', HTMLButtonElement).addEventListener('click', () => dialog.close());

  return {
    /** What hides the banner of a drain, or shows a workspace that is no longer on show, closes. @param {Known|null} known */
    update: (known) => {
      const drains = known?.view.phase === 'Draining' && shown?.view.phase !== 'Draining';
      if (dialog.open && (drains || known?.view.id !== shown?.view.id)) dialog.close();
      shown = known;
    },
  };
};
