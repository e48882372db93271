/**
 * The page's one controller: holds the state, asks the server, tells it of a person, and does what is pressed. All
 * effects go through `Surroundings`, so this runs without a browser; what to draw is the views' business.
 *
 * One question is under way at a time. A deed cuts the question short, so no older answer overwrites a newer one.
 *
 * @import { Answer, Deed, Known, Problem, Session, State, Surroundings, View } from './types.js'
 * @import { Request } from './request.js'
 */
import { createRequest } from './request.js';
import { FrameKeeper } from './frame-keeper.js';
import { backOff, interactedSecondsAgo, isOwnInput, keepAliveAt, nobodyYet, pollDelay, POLL_MAX_MS } from './presence-logic.js';
import { isUp } from './frame-logic.js';
import { canAct } from './session-logic.js';
import { SessionKeeper } from './session-keeper.js';
import { clockJumped, isView, msUntilStop, rateOf, selectedKnown } from './workspace-logic.js';

/** The drain banner stays this long after it was called off, so that no click lands on what it covered. */
const BANNER_LINGERS_MS = 5_000;

/** @type {Problem} */
const NOT_UNDERSTOOD = {
  code: 'unexpected_answer',
  title: 'The server gave an answer this page does not understand',
  hint: 'Reload the page: it may be older than the server.',
};

/** @type {Problem} */
const ANSWER_LOST = {
  code: 'unreachable',
  title: 'The server could not be reached',
  detail: 'It may or may not have heard you.',
  hint: 'The page keeps asking and shows what is true; pressing again is safe.',
};

/** @param {Session|null} session @param {string|null} selected @returns {State} */
const startState = (session, selected) => ({
  session,
  left: 'fresh',
  signIn: { busy: false, problem: null, retryAt: 0 },
  known: null,
  selected,
  pending: null,
  notice: null,
  trouble: null,
  frame: null,
  frameProblem: null,
  keptUntil: -Infinity,
});

export class Controller {
  /** @type {unknown} */ #timer = null;
  /** @type {AbortController|null} */ #asking = null;
  /** @type {string|null} */ #lifecycle = null;
  /** @type {{x: number, y: number}|null} */ #pointer = null;
  #presence = nobodyYet();
  #askAt = 0;
  #clockGap;

  /** @param {Surroundings} around @param {(state: State) => void} draw */
  constructor(around, draw) {
    this.around = around;
    this.request = createRequest(around);
    this.sessions = new SessionKeeper(this);
    this.frames = new FrameKeeper(this);
    this.state = startState(this.sessions.stored(), around.selectedAtStart);
    this.draw = () => draw(this.state);
    this.#clockGap = around.wall() - around.monotonic();
  }

  begin() {
    this.draw();
    this.askSoon();
  }

  // ---- asking ----

  /** Asks at once, and afresh: what is known may be from before a sleep. */
  askSoon() {
    this.#askAt = this.around.monotonic();
    for (const known of this.state.known ?? []) known.etag = null;
    this.#schedule();
  }

  #rate() {
    const known = selectedKnown(this.state);
    return known ? rateOf(known.view) : 1;
  }

  /** When a keep-alive may go out, or null: nothing to tell, nobody to tell it of, or nothing that it would keep. */
  #keepAliveAt() {
    const known = selectedKnown(this.state);
    if (!known || !isUp(known.view) || !canAct(this.state.session?.user)) return null;
    return keepAliveAt(this.#presence, this.#rate());
  }

  #schedule() {
    this.around.clearTimer(this.#timer);
    const idle = this.#asking === null && this.state.pending === null;
    if (!idle || this.state.session === null || !this.around.visible()) return;
    const keepAlive = this.state.trouble ? null : this.#keepAliveAt();
    const at = Math.min(this.#askAt, keepAlive ?? Infinity, this.frames.nextTryAt());
    this.#timer = this.around.setTimer(() => void this.#ask(), Math.max(0, at - this.around.monotonic()));
  }

  async #ask() {
    if (this.#asking !== null) return;
    const asking = new AbortController();
    this.#asking = asking;
    const answer = await this.#question(asking.signal);
    if (this.#asking !== asking) return;
    this.#asking = null;
    this.#settle(answer);
    await this.sessions.refreshIfDue(this.#rate(), this.around.monotonic() - this.#presence.inputAt);
    await this.frames.openIfWanted();
    this.#schedule();
  }

  /** @param {AbortSignal} signal @returns {Promise<Answer>} */
  async #question(signal) {
    const known = selectedKnown(this.state);
    if (known === null) return this.call('/api/workspaces', { signal });
    const keepAlive = this.#keepAliveAt();
    if (keepAlive !== null && keepAlive <= this.around.monotonic()) return this.#keepAlive(signal);
    return this.call(this.#path(known.view), { signal, etag: known.etag });
  }

  /** @param {AbortSignal} signal */
  async #keepAlive(signal) {
    const { inputAt } = this.#presence;
    const now = this.around.monotonic();
    this.#presence.sentAt = now;
    const interacted_seconds_ago = interactedSecondsAgo(this.#presence, now);
    const answer = await this.tell('keep-alive', { visible: true, interacted_seconds_ago }, signal);
    // Refused is told too; only what never arrived is to be told again.
    if (answer.kind === 'ok' || answer.kind === 'problem') this.#presence.toldInputAt = inputAt;
    return answer;
  }

  /** @param {Answer} answer */
  #settle(answer) {
    if (this.state.session === null || answer.kind === 'aborted') return;
    if (answer.kind === 'unreachable') {
      this.#troubled('unreachable', '', null);
    } else if (answer.kind === 'problem') {
      if (answer.status === 404) this.#forgetSelected(answer.problem);
      this.#troubled('refused', answer.problem.title, answer.retryAfterMs);
    } else {
      this.state.trouble = null;
      if (answer.kind === 'ok') this.#take(answer.body, answer.etag);
      this.#askAt = this.around.monotonic() + this.#pollDelay();
    }
    this.draw();
  }

  #pollDelay() {
    const known = selectedKnown(this.state);
    const views = known ? [known] : this.state.known ?? [];
    const now = this.around.monotonic();
    return Math.min(POLL_MAX_MS, ...views.map((each) => pollDelay(each.view.poll_after_ms, msUntilStop(each, now))));
  }

  /** @param {'unreachable'|'refused'} kind @param {string} detail @param {number|null} retryAfterMs */
  #troubled(kind, detail, retryAfterMs) {
    const attempts = (this.state.trouble?.attempts ?? 0) + 1;
    this.#askAt = this.around.monotonic() + Math.max(backOff(attempts, this.around.chance()), retryAfterMs ?? 0);
    this.state.trouble = { kind, detail, attempts, retryAt: this.#askAt };
  }

  /** @param {Problem} problem */
  #forgetSelected(problem) {
    this.state.known = null;
    this.state.selected = null;
    this.state.notice = problem;
    this.around.rememberSelected(null);
  }

  /** @param {unknown} body @param {string|null} etag */
  #take(body, etag) {
    const list = /** @type {{workspaces?: unknown}|null} */ (body)?.workspaces;
    if (Array.isArray(list)) {
      this.state.known = list.filter(isView).map((view) => this.#knownFrom(view, null));
      this.frames.dropIfOver();
    } else if (isView(body)) {
      this.adopt(body, etag);
    } else {
      this.state.notice = NOT_UNDERSTOOD;
    }
  }

  /** @param {View} view @param {string|null} etag @returns {Known} */
  #knownFrom(view, etag) {
    return { view, etag, receivedAt: this.around.monotonic() };
  }

  /** Takes a newer view of one workspace. @param {View} view @param {string|null} etag */
  adopt(view, etag) {
    const known = this.state.known ?? [];
    const before = known.find((candidate) => candidate.view.id === view.id)?.view;
    const calledOff = before?.phase === 'Draining' && view.phase === 'Ready' && before.run === view.run;
    if (calledOff) this.state.keptUntil = this.around.monotonic() + BANNER_LINGERS_MS;
    const fresh = this.#knownFrom(view, etag);
    this.state.known = before ? known.map((old) => (old.view.id === view.id ? fresh : old)) : [...known, fresh];
    this.frames.dropIfOver();
  }

  // ---- requests ----

  /** @param {View} view */
  #path(view) {
    return `/api/workspaces/${encodeURIComponent(view.id)}`;
  }

  /**
   * A request to lifecycle as the person signed in; a refused token leads back to sign-in.
   * @param {string} path @param {Request} request
   * @returns {Promise<Answer>}
   */
  async call(path, request) {
    if (this.#lifecycle === null) {
      const config = await this.request('/config.json', { signal: request.signal });
      if (config.kind !== 'ok') return config;
      const origin = /** @type {{lifecycle_origin?: unknown}|null} */ (config.body)?.lifecycle_origin;
      this.#lifecycle = typeof origin === 'string' ? origin.replace(/\/$/, '') : '';
    }
    return this.sessions.call(`${this.#lifecycle}${path}`, request);
  }

  /**
   * @param {'start'|'stop'|'extend'|'keep-alive'|'ticket'|'preferences'|'move-disk'} what @param {unknown} [body] @param {AbortSignal} [signal]
   * @returns {Promise<Answer>}
   */
  async tell(what, body, signal) {
    const known = selectedKnown(this.state);
    if (!known) return { kind: 'aborted' };
    return this.call(`${this.#path(known.view)}/${what}`, { method: 'POST', body, signal });
  }

  // ---- deeds ----

  /**
   * Does one thing that was pressed; a second press while it is under way is the same press.
   * @param {Deed} deed @param {() => Promise<Answer>} work
   */
  async #do(deed, work) {
    if (this.state.pending !== null || this.state.session === null) return;
    this.#asking?.abort();
    this.#asking = null;
    this.state.pending = deed;
    this.state.notice = null;
    this.draw();
    const answer = await work();
    this.state.pending = null;
    // Signed out meanwhile: the answer is for somebody who is no longer there.
    if (this.state.session !== null) this.#done(answer);
    this.draw();
    await this.frames.openIfWanted();
    this.#schedule();
  }

  /** @param {Answer} answer */
  #done(answer) {
    const now = this.around.monotonic();
    this.#askAt = now;
    if (answer.kind === 'ok' && isView(answer.body)) {
      this.adopt(answer.body, answer.etag);
      this.#askAt += this.#pollDelay();
    } else if (answer.kind === 'problem') {
      this.#askAt += answer.retryAfterMs ?? 0;
      this.state.notice = { ...answer.problem, retryAt: answer.retryAfterMs === null ? null : this.#askAt };
    } else if (answer.kind === 'unreachable') {
      this.state.notice = ANSWER_LOST;
    }
  }

  /** @param {number} [keepTryingMinutes] How long to go on when all zones are dry; a plain start gives up at once. */
  start(keepTryingMinutes) {
    const body = keepTryingMinutes === undefined ? undefined : { keep_trying_minutes: keepTryingMinutes };
    return this.#do('start', () => this.tell('start', body));
  }

  stop() {
    return this.#do('stop', () => this.tell('stop'));
  }

  /** @param {number} minutes */
  extend(minutes) {
    return this.#do('extend', () => this.tell('extend', { minutes }));
  }

  /** The press is itself a person's input; where that is not enough, a start means "keep running". */
  keepRunning() {
    return this.#do('keep-running', async () => {
      this.#presence.sentAt = this.around.monotonic();
      const answer = await this.tell('keep-alive', { visible: true, interacted_seconds_ago: 0 });
      if (answer.kind === 'ok') this.#presence.toldInputAt = this.#presence.inputAt;
      const kept = answer.kind === 'ok' && isView(answer.body) && answer.body.phase === 'Ready';
      return kept || answer.kind === 'unreachable' ? answer : this.tell('start');
    });
  }

  /** @param {boolean} restoreQueue */
  prefer(restoreQueue) {
    return this.#do('prefer', () => this.tell('preferences', { restore_queue: restoreQueue }));
  }

  /** @param {string} lostZone A zone that somebody vouches for being gone. */
  moveDisk(lostZone) {
    return this.#do('move-disk', () => this.tell('move-disk', { lost_zone: lostZone }));
  }

  openInTab() {
    return this.#do('open-tab', () => this.frames.openInTab());
  }

  // ---- what the browser tells ----

  /** @param {{type: string, isTrusted: boolean, repeat?: boolean, screenX?: number, screenY?: number}} event */
  heardInput(event) {
    const own = isOwnInput(event, this.#pointer);
    if (event.isTrusted && event.screenX !== undefined && (own || this.#pointer === null)) {
      this.#pointer = { x: event.screenX, y: event.screenY ?? 0 };
    }
    if (own) this.heardPerson();
  }

  heardPerson() {
    if (!this.around.visible()) return;
    this.#presence.inputAt = this.around.monotonic();
    if (this.#asking === null && this.#keepAliveAt() !== null) this.#schedule();
  }

  visibilityChanged() {
    // What was not told before the page was hidden is too old to tell now.
    this.#presence.toldInputAt = this.#presence.inputAt;
    if (this.around.visible()) this.askSoon();
    else this.around.clearTimer(this.#timer);
  }

  /** Once or twice a second, while visible. */
  tick() {
    const gap = this.around.wall() - this.around.monotonic();
    if (clockJumped(this.#clockGap, gap)) {
      this.#clockGap = gap;
      this.askSoon();
    }
    this.draw();
  }

  /** @param {string|null} id */
  select(id) {
    this.state.selected = id;
    this.state.notice = null;
    this.around.rememberSelected(id);
    this.#asking?.abort();
    this.#asking = null;
    this.draw();
    this.askSoon();
  }

  /** @param {Problem} problem Of a part of the page, to be told like one of a deed. */
  notify(problem) {
    this.state.notice = problem;
    this.draw();
  }

  dismissNotice() {
    this.state.notice = null;
    this.draw();
  }

  /** Nobody is signed in any more: nothing more is asked, and nothing that was under way is listened to. */
  hush() {
    this.#asking?.abort();
    this.#asking = null;
    this.around.clearTimer(this.#timer);
    this.state.trouble = null;
  }
}
