/**
 * A start that failed: why, what to do, and for an admin the way out when the zone that may have the disk is gone.
 *
 * @import { Deed, User, View } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { consentsToMove, consentWords, failureLink, lostZone, zoneGoneWords } from './care-words.js';
import { byId, setAttribute, setOffer, setOrHide, setText, show } from './dom.js';
import { offer } from './workspace-logic.js';
import { failureDetail, retryWords } from './workspace-words.js';

/** Nobody consents by a slip: the zone's name is typed. @param {Controller} controller */
const mountMoveDisk = (controller) => {
  const opener = byId('move-disk', HTMLButtonElement);
  const dialog = byId('confirm-move', HTMLDialogElement);
  const words = byId('confirm-move-words', HTMLElement);
  const label = byId('confirm-move-label', HTMLElement);
  const form = byId('confirm-move-form', HTMLFormElement);
  const zone = byId('confirm-move-zone', HTMLInputElement);
  const yes = byId('confirm-move-yes', HTMLButtonElement);
  /** @type {View|null} */
  let shown = null;

  const consents = () => shown !== null && consentsToMove(shown, zone.value);
  const weigh = () => (yes.disabled = !consents());
  opener.addEventListener('click', () => {
    zone.value = '';
    weigh();
    dialog.showModal();
  });
  zone.addEventListener('input', weigh);
  byId('confirm-move-no', HTMLButtonElement).addEventListener('click', () => dialog.close());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!consents()) return;
    dialog.close();
    void controller.moveDisk(zone.value.trim());
  });

  /** @param {View} view @param {User} user @param {Deed|null} pending */
  return (view, user, pending) => {
    const offered = offer('move-disk', view, user);
    shown = view;
    setOffer(opener, offered, pending !== null);
    setText(opener, pending === 'move-disk' ? 'Moving the disk…' : 'Move the disk…');
    setText(words, consentWords(view));
    setText(label, lostZone(view) === null ? 'Type the name of the zone that is gone' : 'Type the zone’s name');
    if (dialog.open && !offered.enabled) dialog.close();
    if (dialog.open) weigh();
  };
};

/** @param {Controller} controller */
export const mountFailure = (controller) => {
  const root = byId('failure', HTMLElement);
  const [title, hint, retry, detail, more] = ['title', 'hint', 'retry', 'detail', 'more'].map((name) => byId(`failure-${name}`, HTMLElement));
  const link = byId('failure-link', HTMLAnchorElement);
  const drawMove = mountMoveDisk(controller);
  /** @param {View} view @param {User} user @param {Deed|null} pending @param {number} now */
  return (view, user, pending, now) => {
    const { failure } = view;
    show(root, failure !== null);
    drawMove(view, user, pending);
    if (!failure || !title || !hint || !retry || !detail || !more) return;
    setText(title, `${failure.title.replace(/\.$/, '')}.`);
    setOrHide(hint, failure.hint ?? '');
    setOrHide(more, zoneGoneWords(view, user));
    setOrHide(retry, retryWords(view, now));
    setOrHide(detail, failureDetail(failure));
    const where = failureLink(failure);
    setOrHide(link, where?.words ?? '');
    if (where) setAttribute(link, 'href', where.url);
  };
};
