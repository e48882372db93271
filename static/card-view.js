/**
 * One workspace that is not open: off, coming up, stopping or failed; what it is, and why it stopped last time.
 *
 * @import { Deed, Known, User, View } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { byId, part, setAttribute, setOffer, setOrHide, setRows, setText, show } from './dom.js';
import { mountFailure } from './failure-view.js';
import { money } from './format.js';
import { mountKeepTrying, mountWalk } from './walk-view.js';
import { isWaiting } from './walk-logic.js';
import { bootPercent, bootRows, flamesLit, offer, policyNow } from './workspace-logic.js';
import { bootClock, bootLabel, bootNote, explanation, facts, headline, lastStopWords } from './workspace-words.js';

const STATE_WORDS = { done: ', done', current: ', under way', to_come: ', to come' };

/** @param {HTMLElement} place @returns {(rows: {term: string, value: string}[]) => void} */
export const factRows = (place) => {
  const template = byId('fact-row', HTMLTemplateElement);
  return (rows) =>
    setRows(place, template, rows, (element, { term, value }) => {
      setText(part(element, 'dt'), term);
      setText(part(element, 'dd'), value);
    });
};

const mountBoot = () => {
  const root = byId('boot', HTMLElement);
  const progress = byId('boot-progress', HTMLProgressElement);
  const steps = byId('boot-steps', HTMLElement);
  const template = byId('boot-row', HTMLTemplateElement);
  const detail = byId('boot-detail', HTMLElement);
  const clock = byId('boot-clock', HTMLElement);
  /** @param {View} view @param {number} now */
  return (view, now) => {
    const shown = (view.phase === 'Placing' || view.phase === 'Booting') && !isWaiting(view);
    show(root, shown);
    if (!shown) return;
    const percent = bootPercent(view.boot);
    if (percent === null) progress.removeAttribute('value');
    else if (progress.value !== percent || !progress.hasAttribute('value')) progress.value = percent;
    setRows(steps, template, bootRows(view, now), (element, row) => {
      setAttribute(element, 'data-state', row.state);
      if (row.state === 'current') setAttribute(element, 'aria-current', 'step');
      else element.removeAttribute('aria-current');
      setText(part(element, '.row-label'), bootLabel(row));
      setText(part(element, '.row-note'), bootNote(row));
      setText(part(element, '.row-state'), STATE_WORDS[row.state]);
    });
    setOrHide(detail, view.boot?.detail ?? '');
    setOrHide(clock, bootClock(view, now));
  };
};

const mountLastStop = () => {
  const root = byId('last-stop', HTMLElement);
  const why = byId('last-stop-why', HTMLElement);
  const receipt = byId('last-stop-receipt', HTMLElement);
  const safe = byId('last-stop-safe', HTMLElement);
  /** @param {View} view @param {number} now */
  return (view, now) => {
    const atRest = view.phase === 'Stopped' || view.phase === 'Failed';
    show(root, atRest && view.last_stop !== null);
    if (!atRest || view.last_stop === null) return;
    const words = lastStopWords(view, view.last_stop, now);
    setText(why, [words.why, words.signal].filter(Boolean).join(' '));
    setOrHide(receipt, words.receipt);
    setText(safe, words.safe);
  };
};

/** @param {View} view */
const priceWords = (view) => {
  const hour = view.placement?.usd_per_hour;
  const offered = view.phase === 'Stopped' || view.phase === 'Failed';
  return offered && typeof hour === 'number' ? `${money(hour)} per hour while it is on` : '';
};

/** @param {Controller} controller */
export const mountCard = (controller) => {
  const root = byId('workspace', HTMLElement);
  const burner = byId('burner', SVGElement);
  const title = byId('headline', HTMLElement);
  const words = byId('explanation', HTMLElement);
  const start = byId('start', HTMLButtonElement);
  const price = byId('price', HTMLElement);
  const reason = byId('reason', HTMLElement);
  const drawFacts = factRows(byId('facts', HTMLElement));
  const [drawBoot, drawFailure, drawLastStop] = [mountBoot(), mountFailure(controller), mountLastStop()];
  const [drawWalk, drawKeepTrying] = [mountWalk(), mountKeepTrying(controller)];

  start.addEventListener('click', () => void controller.start());

  return {
    /** @param {Known} known @param {User} user @param {Deed|null} pending @param {number} monotonicNow */
    update: (known, user, pending, monotonicNow) => {
      const { view } = known;
      const now = policyNow(known, monotonicNow);
      const [startOffer, stopOffer] = [offer('start', view, user), offer('stop', view, user)];
      setAttribute(root, 'data-phase', view.phase);
      setAttribute(burner, 'data-lit', String(flamesLit(view)));
      setText(title, headline(view));
      setText(words, explanation(view));
      setOffer(start, startOffer, pending !== null);
      setText(start, pending === 'start' ? 'Starting…' : view.phase === 'Failed' ? 'Try again' : `Start ${view.title}`);
      setOrHide(price, priceWords(view));
      setOrHide(reason, startOffer.reason || stopOffer.reason);
      drawBoot(view, now);
      drawFailure(view, user, pending, now);
      drawWalk(view, now);
      drawKeepTrying(view, user, pending, now);
      drawLastStop(view, now);
      drawFacts(facts(view, now));
    },
  };
};
