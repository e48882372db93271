/**
 * Puts the page together: the browser's side of `Surroundings`, the views, and one `draw` that shows the state. What only
 * somebody signed in sees comes later.
 *
 * @import { Problem, State, Surroundings } from './types.js'
 */
import { Controller } from './controller.js';
import { byId, setAttribute, setText, show } from './dom.js';
import { mountNotices } from './notice-view.js';
import { STORAGE_KEY } from './session-keeper.js';
import { mountSignIn } from './sign-in-view.js';
import { screenOf, selectedKnown } from './workspace-logic.js';

/** Clocks on the page move this often, while it is visible. */
const TICK_MS = 500;

/** What could not be loaded is asked for again no sooner than this. */
const LOAD_AGAIN_MS = 5_000;

/** @type {Problem} */
const NOT_LOADED = { code: 'not_loaded', title: 'A part of the page could not be loaded', hint: 'Check your connection and reload the page.' };

const INPUTS = ['pointerdown', 'pointermove', 'keydown', 'wheel'];

/** Where storage is switched off, asking for it throws; then this tab alone remembers. @returns {Surroundings['storage']} */
const browserStorage = () => {
  try {
    return window.localStorage;
  } catch {
    return { getItem: () => null, setItem: () => undefined, removeItem: () => undefined };
  }
};

/** @returns {Surroundings} */
const browser = () => ({
  fetch: (input, init) => window.fetch(input, init),
  storage: browserStorage(),
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  chance: () => Math.random(),
  setTimer: (run, ms) => window.setTimeout(run, ms),
  clearTimer: (timer) => window.clearTimeout(/** @type {number|undefined} */ (timer ?? undefined)),
  visible: () => document.visibilityState === 'visible',
  ownOrigin: window.location.origin,
  openTab: (url) => void window.open(url, '_blank', 'noopener,noreferrer'),
  rememberSelected: (id) =>
    window.history.replaceState(null, '', id === null ? window.location.pathname : `#${encodeURIComponent(id)}`),
  selectedAtStart: selectedFromAddress(),
});

const selectedFromAddress = () => {
  try {
    return decodeURIComponent(window.location.hash.slice(1)) || null;
  } catch {
    return null;
  }
};

const controller = new Controller(browser(), (state) => draw(state));

const signIn = mountSignIn(controller.sessions);

const sections = {
  'loading': byId('loading', HTMLElement),
  'sign-in': byId('sign-in', HTMLElement),
  'list': byId('list', HTMLElement),
  'card': byId('workspace', HTMLElement),
  'open': byId('stage', HTMLElement),
};
const bar = byId('bar', HTMLElement);
const account = byId('account', HTMLElement);
const who = byId('who', HTMLElement);
const live = byId('live', HTMLElement);
const say = (/** @type {string} */ words) => setText(live, words);
const notices = mountNotices(controller, () => navigator.onLine, say);

/** @type {ReturnType<import('./inside.js').mountInside>|null} */
let inside = null;
let loadAt = -Infinity;

/** Loads what is inside as soon as somebody signs in, while the server thinks about the password. @param {State} state */
const loadInside = async (state) => {
  const wanted = state.session !== null || state.signIn.busy;
  if (inside !== null || !wanted || performance.now() < loadAt) return;
  loadAt = Infinity;
  const loaded = await import('./inside.js').catch(() => null);
  if (loaded === null) {
    loadAt = performance.now() + LOAD_AGAIN_MS;
    controller.notify(NOT_LOADED);
    return;
  }
  inside = loaded.mountInside(controller, say);
  if (controller.state.notice === NOT_LOADED) controller.state.notice = null;
  controller.draw();
};

/** Where the focus goes when what had it has gone. */
const landings = { 'loading': null, 'sign-in': 'password', 'list': 'list-title', 'card': 'headline', 'open': 'bar-phase' };

/** @type {ReturnType<typeof screenOf>|null} */
let lastScreen = null;

/** @param {ReturnType<typeof screenOf>} screen @param {Element|null} before */
const keepFocus = (screen, before) => {
  const had = before !== null && before !== document.body;
  const stillThere = had && before.isConnected && before.checkVisibility() && !before.matches(':disabled');
  if (stillThere) {
    if (document.activeElement !== before && before instanceof HTMLElement) before.focus();
    return;
  }
  const arrived = screen !== lastScreen && (had || screen === 'sign-in');
  const lost = had && screen === lastScreen;
  const landing = landings[screen];
  if ((arrived || lost) && landing) document.getElementById(landing)?.focus();
};

/** @param {State} state @param {ReturnType<typeof screenOf>} screen */
const drawAccount = (state, screen) => {
  const place = byId(screen === 'open' ? 'account-in-panel' : 'account-in-masthead', HTMLElement);
  if (account.parentElement !== place) place.append(account);
  show(account, state.session !== null);
  const user = state.session?.user;
  setText(who, user ? `${user.name}${user.role === 'viewer' ? ' (viewer)' : ''}` : '');
};

/** @param {State} state */
function draw(state) {
  const before = document.activeElement;
  const monotonicNow = performance.now();
  void loadInside(state);
  const screen = inside === null && state.session !== null ? 'loading' : screenOf(state);
  setAttribute(document.body, 'data-screen', screen);
  for (const [name, section] of Object.entries(sections)) show(section, name === screen);
  show(bar, screen === 'open');
  drawAccount(state, screen);
  signIn.update(state, monotonicNow);
  notices.update(state, monotonicNow);
  inside?.update(state, screen, selectedKnown(state), monotonicNow);
  keepFocus(screen, before);
  lastScreen = screen;
}

byId('sign-out', HTMLButtonElement).addEventListener('click', () => void controller.sessions.signOut());
for (const type of INPUTS) {
  window.addEventListener(type, (event) => controller.heardInput(event), { capture: true, passive: true });
}
document.addEventListener('visibilitychange', () => controller.visibilityChanged());
window.addEventListener('pageshow', ({ persisted }) => persisted && controller.askSoon());
window.addEventListener('online', () => controller.askSoon());
// The question that fails is what tells: the line may be down for this tab and up for the server.
window.addEventListener('offline', () => controller.askSoon());
window.addEventListener('storage', ({ key }) => (key === STORAGE_KEY || key === null) && controller.sessions.changedElsewhere());
window.addEventListener('hashchange', () => controller.select(selectedFromAddress()));
window.setInterval(() => document.visibilityState === 'visible' && controller.tick(), TICK_MS);

controller.begin();
