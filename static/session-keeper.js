/**
 * Signing in and out, and the token in between. A part of the controller, which it is handed.
 *
 * The token is in localStorage: it survives a reload, a second tab needs no second sign-in, and signing out in one tab
 * signs out the others. Scripts that could read it there could as well use the page's own session, so the defence is
 * that none can run: the page loads only its own files, and ComfyUI is embedded from another origin.
 *
 * @import { Answer, Problem, Session, State } from './types.js'
 * @import { Request } from './request.js'
 * @import { Controller } from './controller.js'
 */
import { REFRESH_EVERY_MS, refreshDue, sessionFrom, sessionFromStorage } from './session-logic.js';

export const STORAGE_KEY = 'pilotlight.session';

/** @type {Problem} */
const UNREACHABLE = {
  code: 'unreachable',
  title: 'The server could not be reached',
  hint: 'Check your connection and try again.',
};

/** @type {Problem} */
const MAY_STILL_COUNT = {
  code: 'sign_out_untold',
  title: 'You are signed out here, but the server could not be told',
  detail: 'The session this browser has forgotten ends by itself within a day.',
};

export class SessionKeeper {
  #triedRefreshAt = 0;

  /** @param {Controller} controller */
  constructor(controller) {
    this.controller = controller;
  }

  /** @returns {State} */
  get #state() {
    return this.controller.state;
  }

  /** @returns {Session|null} */
  stored() {
    try {
      return sessionFromStorage(this.controller.around.storage.getItem(STORAGE_KEY));
    } catch {
      return null; // Storage is switched off: this tab alone remembers.
    }
  }

  /** @param {Session|null} session */
  #store(session) {
    try {
      if (session) this.controller.around.storage.setItem(STORAGE_KEY, JSON.stringify(session));
      else this.controller.around.storage.removeItem(STORAGE_KEY);
    } catch {
      // As above; the session lives in memory.
    }
  }

  /**
   * A request as the person signed in. When another tab has renewed the token since, the newer one gets a second try.
   * @param {string} url @param {Request} request
   * @returns {Promise<Answer>}
   */
  async call(url, request) {
    const used = this.#state.session;
    if (used === null) return { kind: 'aborted' };
    const answer = await this.controller.request(url, { ...request, token: used.token });
    if (answer.kind !== 'problem' || answer.status !== 401) return answer;
    if (this.#state.session?.token === used.token) this.#state.session = this.#newer(used);
    const newer = this.#state.session;
    if (newer && newer.token !== used.token) {
      const again = await this.controller.request(url, { ...request, token: newer.token });
      if (again.kind !== 'problem' || again.status !== 401) return again;
    }
    this.#leave('expired');
    return { kind: 'aborted' };
  }

  /** @param {Session} used @returns {Session} */
  #newer(used) {
    const stored = this.stored();
    return stored && stored.user.name === used.user.name ? stored : used;
  }

  /** @param {string} user @param {string} password */
  async signIn(user, password) {
    const { signIn } = this.#state;
    if (signIn.busy || this.controller.around.monotonic() < signIn.retryAt) return;
    signIn.busy = true;
    signIn.problem = null;
    this.controller.draw();
    const body = user === '' ? { password } : { user, password };
    const answer = await this.controller.request('/api/login', { method: 'POST', body });
    signIn.busy = false;
    const session = answer.kind === 'ok' ? sessionFrom(answer.body, this.controller.around.wall()) : null;
    if (session) this.#enter(session);
    else this.#refused(answer);
    this.controller.draw();
  }

  /** @param {Answer} answer */
  #refused(answer) {
    const { signIn } = this.#state;
    signIn.problem = answer.kind === 'problem' ? answer.problem : UNREACHABLE;
    const wait = answer.kind === 'problem' ? answer.retryAfterMs : null;
    signIn.retryAt = wait === null ? 0 : this.controller.around.monotonic() + wait;
  }

  /**
   * Signed in. Whoever comes back finds the page as it was; somebody else must not see it.
   * @param {Session} session
   */
  #enter(session) {
    if (this.#lastUser !== session.user.name) this.#forget();
    this.#lastUser = session.user.name;
    this.#state.session = session;
    this.#state.left = 'fresh';
    this.#state.notice = null;
    this.#store(session);
    this.controller.askSoon();
  }

  /** @type {string|null} */ #lastUser = null;

  #forget() {
    this.#state.known = null;
    this.controller.frames.drop();
  }

  /** @param {'expired'|'signed_out'} left */
  #leave(left) {
    if (this.#state.session) this.#lastUser = this.#state.session.user.name;
    const stored = this.stored();
    if (stored && stored.token === this.#state.session?.token) this.#store(null);
    this.#state.session = null;
    this.#state.left = left;
    this.controller.hush();
    this.controller.draw();
  }

  async signOut() {
    const session = this.#state.session;
    if (session === null) return;
    this.#leave('signed_out');
    this.#store(null);
    this.#forget();
    this.controller.draw();
    const answer = await this.controller.request('/api/logout', { method: 'POST', token: session.token });
    const told = answer.kind === 'ok' || (answer.kind === 'problem' && answer.status === 401);
    if (!told && this.#state.session === null) this.#state.signIn.problem = MAY_STILL_COUNT;
    this.controller.draw();
  }

  /** Another tab has signed in, signed out, or renewed the token. */
  changedElsewhere() {
    const stored = this.stored();
    const current = this.#state.session;
    if (stored === null) {
      if (current) this.#leave('expired');
    } else if (current === null) {
      this.#enter(stored);
      this.controller.draw();
    } else if (stored.user.name !== current.user.name) {
      this.#enter(stored);
      this.controller.draw();
    } else {
      this.#state.session = stored;
    }
  }

  /**
   * Renews the token of a person at work, so that a long day does not end at the sign-in form.
   * @param {number} rate @param {number} sinceInputMs Since the person's last input.
   */
  async refreshIfDue(rate, sinceInputMs) {
    const { wall } = this.controller.around;
    const session = this.#state.session;
    const atWork = sinceInputMs < REFRESH_EVERY_MS / rate;
    if (session === null || !atWork || !refreshDue(session, wall(), rate, this.#triedRefreshAt)) return;
    this.#triedRefreshAt = wall();
    const answer = await this.controller.request('/api/session/refresh', { method: 'POST', token: session.token });
    const fresh = answer.kind === 'ok' ? sessionFrom(answer.body, wall()) : null;
    if (fresh && this.#state.session?.token === session.token) {
      this.#state.session = fresh;
      this.#store(fresh);
    }
  }
}
