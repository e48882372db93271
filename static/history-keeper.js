/**
 * Asks for the history of one workspace, page by page. Loaded with the history, not with the page.
 *
 * @import { Answer, Problem, Run } from './types.js'
 * @import { Controller } from './controller.js'
 */
import { chartBegin, runsFrom } from './history-logic.js';

/** The most that one answer may hold. */
const RUNS_PER_PAGE = 100;

/** A thousand runs are years; more is for a query of the database. */
export const PAGES_MAX = 10;

/** @type {Problem} */
const UNREACHABLE = { code: 'unreachable', title: 'The history could not be had', hint: 'Try again in a moment.' };

/** @type {Problem} */
const NOT_UNDERSTOOD = { code: 'unexpected_answer', title: 'The history is not in words that this page understands', hint: 'Reload the page: it may be older than the server.' };

/**
 * @typedef {object} History
 * @property {string} workspace
 * @property {Run[]} runs Newest first.
 * @property {number|null} next
 * @property {number} pages
 * @property {boolean} busy
 * @property {Problem|null} problem
 */

export class HistoryKeeper {
  /** @type {History|null} */ history = null;

  /** @param {Controller} controller @param {(history: History) => void} draw */
  constructor(controller, draw) {
    this.controller = controller;
    this.draw = draw;
  }

  /**
   * Begins anew, and asks on until the chart's days are covered.
   * @param {string} workspace @param {number} now Milliseconds since the epoch, on the policy's clock.
   */
  async open(workspace, now) {
    const history = { workspace, runs: [], next: null, pages: 0, busy: false, problem: null };
    this.history = history;
    await this.#page(history);
    while (history === this.history && this.hasMore() && this.#oldest(history) >= chartBegin(now)) await this.#page(history);
  }

  /** @param {History} history */
  #oldest(history) {
    return Date.parse(history.runs.at(-1)?.ended_at ?? '');
  }

  /** Whether there are older runs that may be asked for. */
  hasMore() {
    const { history } = this;
    return history !== null && history.problem === null && history.next !== null && history.pages < PAGES_MAX;
  }

  /** There are older ones, but not on this page. */
  isFull() {
    return this.history !== null && this.history.next !== null && this.history.pages >= PAGES_MAX;
  }

  /** The next page, or the one that has failed again. */
  async more() {
    const { history } = this;
    if (history === null || history.busy || this.isFull()) return;
    if (history.problem !== null || history.next !== null) await this.#page(history);
  }

  /** @param {History} history */
  async #page(history) {
    history.busy = true;
    history.problem = null;
    this.draw(history);
    const before = history.next === null ? '' : `&before=${history.next}`;
    const path = `/api/workspaces/${encodeURIComponent(history.workspace)}/runs?limit=${RUNS_PER_PAGE}${before}`;
    const answer = await this.controller.call(path, {});
    // Another one was opened meanwhile.
    if (history !== this.history) return;
    history.busy = false;
    this.#take(history, answer);
    this.draw(history);
  }

  /** @param {History} history @param {Answer} answer */
  #take(history, answer) {
    const page = answer.kind === 'ok' ? runsFrom(answer.body) : null;
    if (page) {
      history.runs = [...history.runs, ...page.runs];
      history.next = page.next;
      history.pages += 1;
    } else {
      history.problem = answer.kind === 'ok' ? NOT_UNDERSTOOD : answer.kind === 'problem' ? answer.problem : UNREACHABLE;
    }
  }
}
