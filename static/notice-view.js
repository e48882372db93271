/**
 * What went wrong with a question or a deed: the strip that says the server is out of reach, and the one that says why
 * something was refused.
 *
 * @import { State } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { byId, setText, show } from './dom.js';
import { countdown } from './format.js';
import { problemSentence } from './session-logic.js';

/**
 * `say` is for what is news; the strips themselves count seconds down, which nobody wants read out.
 * @param {Controller} controller @param {() => boolean} online @param {(words: string) => void} say
 */
export const mountNotices = (controller, online, say) => {
  const offline = byId('offline', HTMLElement);
  const offlineTitle = byId('offline-title', HTMLElement);
  const offlineDetail = byId('offline-detail', HTMLElement);
  const notice = byId('notice', HTMLElement);
  const title = byId('notice-title', HTMLElement);
  const detail = byId('notice-detail', HTMLElement);

  byId('try-now', HTMLButtonElement).addEventListener('click', () => controller.askSoon());
  byId('notice-dismiss', HTMLButtonElement).addEventListener('click', () => controller.dismissNotice());

  /** @type {State['notice']} */
  let saidNotice = null;
  let saidOffline = '';

  /** @param {State} state @param {number} monotonicNow */
  const updateOffline = ({ trouble, session }, monotonicNow) => {
    show(offline, session !== null && trouble !== null);
    if (trouble === null || session === null) {
      if (saidOffline && session !== null) say('The server answers again.');
      saidOffline = '';
      return;
    }
    const wait = Math.max(0, trouble.retryAt - monotonicNow) / 1_000;
    const again = wait > 0 ? `Trying again in ${countdown(wait)}.` : 'Trying again now.';
    const words = trouble.kind === 'refused' ? 'The server has trouble.' : online() ? 'No answer from the server.' : 'You are offline.';
    if (words !== saidOffline) say(`${words} The page tries again by itself.`);
    saidOffline = words;
    setText(offlineTitle, words);
    setText(offlineDetail, [trouble.detail && `${trouble.detail}.`, 'What you see may be out of date.', again].filter(Boolean).join(' '));
  };

  return {
    /** @param {State} state @param {number} monotonicNow */
    update: (state, monotonicNow) => {
      updateOffline(state, monotonicNow);
      const said = state.session === null ? null : state.notice;
      show(notice, said !== null);
      const news = said !== saidNotice;
      saidNotice = said;
      if (said === null) return;
      if (news) say([said.title, problemSentence(said)].join('. '));
      const wait = Math.max(0, (said.retryAt ?? 0) - monotonicNow) / 1_000;
      setText(title, `${said.title.replace(/\.$/, '')}.`);
      setText(detail, [problemSentence(said), wait > 0 ? `Try again in ${countdown(wait)}.` : ''].filter(Boolean).join(' '));
    },
  };
};
