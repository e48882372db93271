/**
 * ComfyUI in the page: gets a ticket once per run, opens anew when its session has ended, and forgets it with its run.
 * A part of the controller, which it is handed. Tickets stay in memory: never in the page's address, history or a log.
 *
 * @import { Answer, Problem, State } from './types.js'
 * @import { Controller } from './controller.js'
 */
import {
  embeddableOrigin,
  frameKey,
  frameMessage,
  isUp,
  opensByItself,
  reopening,
  TICKET_ATTEMPTS_MAX,
} from './frame-logic.js';
import { backOff } from './presence-logic.js';
import { selectedKnown } from './workspace-logic.js';

/** @type {Problem} */
const UNSAFE_ADDRESS = {
  code: 'unsafe_address',
  title: 'ComfyUI’s address is not safe to open',
  detail: 'Only HTTPS is opened, from an address other than this page’s own.',
  hint: 'Tell the owner: the machine’s certificate or address is not set up.',
};

/** @type {Problem} */
const KEEPS_ENDING = {
  code: 'session_keeps_ending',
  title: 'ComfyUI’s session keeps ending',
  detail: 'It was opened anew three times within a minute.',
  hint: 'Your work in it is kept by ComfyUI. Open it again when you like.',
};

/** @type {Problem} */
const UNREACHABLE = { code: 'unreachable', title: 'ComfyUI could not be opened yet', hint: 'The page tries again by itself.' };

export class FrameKeeper {
  #serial = 0;
  #asking = false;
  #tries = { key: '', attempts: 0, retryAt: -Infinity };
  /** @type {number[]} */ #reopenedAt = [];

  /** @param {Controller} controller */
  constructor(controller) {
    this.controller = controller;
  }

  /** @returns {State} */
  get #state() {
    return this.controller.state;
  }

  drop() {
    this.#state.frame = null;
    this.#state.frameProblem = null;
  }

  /** A run that is over has nothing to show, and the next one needs a ticket of its own. */
  dropIfOver() {
    const { frame, known } = this.#state;
    const up = known?.some(({ view }) => isUp(view) && frameKey(view) === frame?.key);
    if (frame && !up) this.drop();
  }

  /** When a refused ticket is to be asked for again; Infinity when none is. */
  nextTryAt() {
    const { frame, frameProblem } = this.#state;
    const waiting = frame === null && frameProblem !== null && this.#tries.attempts < TICKET_ATTEMPTS_MAX;
    return waiting ? this.#tries.retryAt : Infinity;
  }

  /** Opens the workspace on show, if it is up, not open yet, and its next try is due. */
  async openIfWanted() {
    const { session } = this.#state;
    const known = selectedKnown(this.#state);
    if (!session || !known || this.#asking || !opensByItself(known.view, session.user)) return;
    const key = frameKey(known.view);
    if (this.#state.frame?.key === key) return;
    if (this.#tries.key !== key) this.#tries = { key, attempts: 0, retryAt: -Infinity };
    const due = this.controller.around.monotonic() >= this.#tries.retryAt;
    if (due && this.#tries.attempts < TICKET_ATTEMPTS_MAX) await this.#open(key);
  }

  /** @param {string} key */
  async #open(key) {
    this.#asking = true;
    const ticket = await this.#ticket();
    this.#asking = false;
    const known = selectedKnown(this.#state);
    if (!known || frameKey(known.view) !== key) return;
    if ('url' in ticket) {
      this.#state.frame = { key, ...ticket, serial: ++this.#serial, loaded: false };
      this.#state.frameProblem = null;
      this.#tries = { key, attempts: 0, retryAt: -Infinity };
    } else if (this.#state.session) {
      const attempts = this.#tries.attempts + 1;
      const { monotonic, chance } = this.controller.around;
      this.#tries = { key, attempts, retryAt: monotonic() + backOff(attempts, chance()) };
      this.#state.frameProblem = ticket.problem;
    }
    this.controller.draw();
  }

  /** @returns {Promise<{url: string, origin: string}|{problem: Problem, answer: Answer}>} */
  async #ticket() {
    const answer = await this.controller.tell('ticket');
    if (answer.kind === 'problem') return { problem: answer.problem, answer };
    if (answer.kind !== 'ok') return { problem: UNREACHABLE, answer };
    const url = /** @type {{url?: unknown}|null} */ (answer.body)?.url;
    const origin = embeddableOrigin(url, this.controller.around.ownOrigin);
    return origin === null ? { problem: UNSAFE_ADDRESS, answer } : { url: String(url), origin };
  }

  /** The person asks: earlier failures no longer count. */
  async reopen() {
    this.drop();
    this.#tries = { key: '', attempts: 0, retryAt: -Infinity };
    this.#reopenedAt = [];
    this.controller.draw();
    const known = selectedKnown(this.#state);
    if (known && isUp(known.view) && !this.#asking) await this.#open(frameKey(known.view));
  }

  /** @returns {Promise<Answer>} */
  async openInTab() {
    const ticket = await this.#ticket();
    if ('url' in ticket) {
      this.controller.around.openTab(ticket.url);
      return { kind: 'aborted' };
    }
    return ticket.answer.kind === 'ok'
      ? { kind: 'problem', status: 200, problem: ticket.problem, retryAfterMs: null }
      : ticket.answer;
  }

  /** @param {number} serial */
  loaded(serial) {
    if (this.#state.frame?.serial !== serial) return;
    this.#state.frame.loaded = true;
    this.controller.draw();
  }

  /**
   * A message from the embedded ComfyUI; the caller has checked that it came from our iframe's own window.
   * @param {string} origin @param {unknown} data
   */
  heard(origin, data) {
    const { frame } = this.#state;
    if (frame === null || origin !== frame.origin) return;
    const message = frameMessage(data);
    if (message === 'person') this.controller.heardPerson();
    if (message === 'session_ended') void this.#sessionEnded();
  }

  async #sessionEnded() {
    const now = this.controller.around.monotonic();
    const { recent, allowed } = reopening(this.#reopenedAt, now);
    this.drop();
    if (!allowed) {
      this.#tries = { ...this.#tries, attempts: TICKET_ATTEMPTS_MAX };
      this.#state.frameProblem = KEEPS_ENDING;
      this.controller.draw();
      return;
    }
    this.#reopenedAt = [...recent, now];
    this.controller.draw();
    // While hidden nothing is opened; the question asked on becoming visible opens it.
    if (this.controller.around.visible()) await this.openIfWanted();
  }
}
