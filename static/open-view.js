/**
 * One workspace that is open: the slim bar, the drain banner, and ComfyUI in an iframe that fills the rest.
 *
 * @import { Deed, Known, State, User, View } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { factRows } from './card-view.js';
import { byId, setAttribute, setOffer, setOrHide, setText, show } from './dom.js';
import { clockTime } from './format.js';
import { frameKey } from './frame-logic.js';
import { canAct, problemSentence, WATCH_ONLY } from './session-logic.js';
import { offer, policyNow, stopNeedsConfirming } from './workspace-logic.js';
import { barWords, becauseWords, drainTitle, drainWords, facts } from './workspace-words.js';

/** Everything ComfyUI needs, but not steering this page elsewhere: its custom nodes are strangers' code. */
const SANDBOX =
  'allow-scripts allow-same-origin allow-forms allow-downloads allow-modals allow-pointer-lock allow-popups ' +
  'allow-popups-to-escape-sandbox';

/** A button that opens a panel below it; closed by a press elsewhere, by Escape, and by going into ComfyUI. */
const mountDrop = (/** @type {string} */ buttonId, /** @type {string} */ panelId) => {
  const button = byId(buttonId, HTMLButtonElement);
  const panel = byId(panelId, HTMLElement);
  const set = (/** @type {boolean} */ open) => {
    show(panel, open);
    setAttribute(button, 'aria-expanded', String(open));
  };
  button.addEventListener('click', () => set(panel.hidden));
  document.addEventListener('pointerdown', ({ target }) => {
    if (target instanceof Node && !panel.contains(target) && !button.contains(target)) set(false);
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape' || panel.hidden) return;
    const inside = panel.contains(document.activeElement);
    set(false);
    if (inside) button.focus();
  });
  window.addEventListener('blur', () => set(false));
  return { panel, close: () => set(false), button };
};

/** Stop is one button that moves between card and bar. @param {Controller} controller */
const mountStop = (controller) => {
  const button = byId('stop', HTMLButtonElement);
  const places = { card: byId('stop-in-card', HTMLElement), open: byId('stop-in-bar', HTMLElement) };
  const dialog = byId('confirm-stop', HTMLDialogElement);
  let asks = false;
  button.addEventListener('click', () => {
    if (asks) dialog.showModal();
    else void controller.stop();
  });
  byId('confirm-stop-no', HTMLButtonElement).addEventListener('click', () => dialog.close());
  byId('confirm-stop-yes', HTMLButtonElement).addEventListener('click', () => {
    dialog.close();
    void controller.stop();
  });
  /** @param {'card'|'open'} where @param {View} view @param {User} user @param {Deed|null} pending */
  return (where, view, user, pending) => {
    if (button.parentElement !== places[where]) places[where].append(button);
    const offered = offer('stop', view, user);
    asks = stopNeedsConfirming(view);
    // A job that ends meanwhile leaves the question open: it must not vanish under somebody's pointer.
    if (dialog.open && !offered.enabled) dialog.close();
    setOffer(button, offered, pending !== null);
    const rest = view.phase === 'Placing' && view.keep_trying ? 'Cancel' : 'Stop';
    setText(button, pending === 'stop' ? 'Stopping…' : rest);
  };
};

/** The iframe is made anew for each opening, which leaves no trace of the ticket in the history. @param {Controller} controller */
const mountFrame = (controller) => {
  const place = byId('frame-place', HTMLElement);
  /** @type {HTMLIFrameElement|null} */
  let iframe = null;
  let serial = 0;

  /** @param {NonNullable<State['frame']>} frame @param {string} title */
  const open = (frame, title) => {
    const made = document.createElement('iframe');
    made.id = 'comfyui';
    made.title = title;
    made.referrerPolicy = 'no-referrer';
    made.allow = 'clipboard-read; clipboard-write; fullscreen';
    made.setAttribute('sandbox', SANDBOX);
    made.addEventListener('load', () => controller.frames.loaded(frame.serial));
    made.src = frame.url;
    place.replaceChildren(made);
    return made;
  };
  window.addEventListener('message', ({ source, origin, data }) => {
    if (iframe !== null && source === iframe.contentWindow) controller.frames.heard(origin, data);
  });

  /** @param {State['frame']} frame @param {View|null} view The one on show, which need not be the one in the frame. */
  return (frame, view) => {
    show(place, frame !== null && view !== null && frame.key === frameKey(view));
    if (frame === null) {
      iframe?.remove();
      iframe = null;
    } else if (iframe === null || frame.serial !== serial) {
      iframe = open(frame, view?.title ?? 'ComfyUI');
      serial = frame.serial;
    }
  };
};

/** @param {Controller} controller */
const mountNote = (controller) => {
  const root = byId('stage-note', HTMLElement);
  const title = byId('stage-note-title', HTMLElement);
  const detail = byId('stage-note-detail', HTMLElement);
  const again = byId('reopen', HTMLButtonElement);
  again.addEventListener('click', () => void controller.frames.reopen());
  /** @param {State} state @param {View} view @param {User} user */
  return ({ frame, frameProblem }, view, user) => {
    const mine = frame?.key === frameKey(view);
    show(root, !(mine && frame.loaded));
    const watching = !canAct(user);
    const waiting = !mine && (frameProblem !== null || view.phase === 'Draining');
    show(again, waiting && !watching);
    if (watching) setText(title, `${view.title} is on`);
    else if (frameProblem) setText(title, `${frameProblem.title}.`);
    else setText(title, waiting ? `${view.title} is on, but not open here` : `Opening ${view.title}…`);
    setOrHide(detail, watching ? WATCH_ONLY : frameProblem ? problemSentence(frameProblem) : '');
  };
};

/** @param {Controller} controller */
const mountDrain = (controller) => {
  const root = byId('drain', HTMLElement);
  const title = byId('drain-title', HTMLElement);
  const why = byId('drain-why', HTMLElement);
  const keep = byId('keep-running', HTMLButtonElement);
  keep.addEventListener('click', () => void controller.keepRunning());
  /** @param {State} state @param {View} view @param {User} user @param {number} now @param {number} monotonicNow */
  return ({ pending, keptUntil }, view, user, now, monotonicNow) => {
    const lingers = view.phase === 'Ready' && monotonicNow < keptUntil;
    const offered = offer('keep-running', view, user);
    show(root, view.phase === 'Draining' || lingers);
    setAttribute(root, 'data-kept', String(lingers));
    setText(title, lingers ? `${view.title} keeps running` : drainTitle(view, now));
    setText(why, lingers ? 'You are here, so the clock starts again.' : offered.reason || drainWords(view));
    setOffer(keep, lingers ? { shown: true, enabled: true } : offered, pending !== null);
    setText(keep, pending === 'keep-running' ? 'One moment…' : 'Keep running');
  };
};

/** @param {Controller} controller */
const mountExtend = (controller) => {
  const extend = mountDrop('extend', 'extend-menu');
  const note = byId('extend-note', HTMLElement);
  extend.panel.addEventListener('click', ({ target }) => {
    const minutes = target instanceof HTMLElement ? Number(target.dataset.minutes) : NaN;
    if (!(minutes > 0)) return;
    extend.close();
    extend.button.focus();
    void controller.extend(minutes);
  });
  /** @param {View} view @param {User} user @param {Deed|null} pending @param {number} now */
  return (view, user, pending, now) => {
    setOffer(extend.button, offer('extend', view, user), pending !== null);
    const hard = view.hard_stop_at ? clockTime(view.hard_stop_at, now) : '';
    setOrHide(note, hard && `At the latest it stops at ${hard}.`);
  };
};

/** @param {Controller} controller */
const mountBar = (controller) => {
  const root = byId('bar', HTMLElement);
  const phase = byId('bar-phase-text', HTMLElement);
  const spans = ['stops', 'cost', 'up', 'place', 'because'].map((name) => byId(`bar-${name}`, HTMLElement));
  const openTab = byId('open-tab', HTMLButtonElement);
  const because = byId('details-because', HTMLElement);
  const drawFacts = factRows(byId('details-facts', HTMLElement));
  const drawExtend = mountExtend(controller);
  mountDrop('details', 'details-panel');
  openTab.addEventListener('click', () => void controller.openInTab());
  /** @param {View} view @param {User} user @param {Deed|null} pending @param {number} now */
  return (view, user, pending, now) => {
    const words = barWords(view, now);
    const said = [words.stops, words.cost, words.up, words.place, words.because];
    setAttribute(root, 'data-phase', view.phase);
    setText(phase, `${view.title} · ${words.phase}`);
    spans.forEach((span, index) => setOrHide(span, said[index] ?? ''));
    setOffer(openTab, offer('open-tab', view, user), pending !== null);
    setOrHide(because, [words.up, words.stops, becauseWords(view, now)].filter(Boolean).join(' · '));
    drawFacts(facts(view, now));
    drawExtend(view, user, pending, now);
  };
};

/** @param {Controller} controller */
export const mountOpen = (controller) => {
  const drawBar = mountBar(controller);
  const drawStop = mountStop(controller);
  const drawDrain = mountDrain(controller);
  const drawNote = mountNote(controller);
  const drawFrame = mountFrame(controller);

  return {
    /** @param {State} state @param {'card'|'open'} where @param {Known} known @param {User} user @param {number} monotonicNow */
    update: (state, where, known, user, monotonicNow) => {
      const { view } = known;
      const now = policyNow(known, monotonicNow);
      drawBar(view, user, state.pending, now);
      drawStop(where, view, user, state.pending);
      drawDrain(state, view, user, now, monotonicNow);
      drawNote(state, view, user);
    },
    /** Also while another screen shows: what was open stays open behind the sign-in form. @param {State} state @param {View|null} view */
    updateFrame: (state, view) => drawFrame(state.frame, view),
  };
};
