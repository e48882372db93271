/**
 * Sees everything that a browser asks for and complains of, so that each test can end with: nothing left this machine,
 * and our own page broke none of its rules.
 */

/** @import { BrowserContext, ConsoleMessage, Page, Request } from 'playwright-core' */

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Addresses that are no request to anybody. */
const LOCAL_SCHEMES = new Set(['data:', 'blob:', 'about:', 'chrome:', 'devtools:', 'chrome-error:']);

/** @param {string} address */
const leavesLoopback = (address) => {
  const { protocol, hostname } = new URL(address);
  return !LOCAL_SCHEMES.has(protocol) && !LOOPBACK.has(hostname);
};

/** What Chromium says of its own accord about an answer that is not 2xx, or that never came. */
const FAILED_REQUEST = /^Failed to load resource: (?:the server responded with a status of (\d+)|(net::\w+))/;

export class Witness {
  /** Addresses outside this machine that were asked. @type {string[]} */ strangers = [];
  /** Errors of our own page. @type {string[]} */ errors = [];
  /** Everything, for the message of a failing test. @type {string[]} */ heard = [];
  /** Requests of the page to its own origin: method and path. @type {{method: string, path: string}[]} */ asked = [];
  /** What the test itself brings about: statuses such as '401', or net errors. @type {Set<string>} */ expected = new Set();

  /** @param {BrowserContext} context @param {string} ownOrigin */
  constructor(context, ownOrigin) {
    this.ownOrigin = ownOrigin;
    context.on('request', (request) => this.#request(request));
    context.on('console', (message) => this.#console(message));
    context.on('weberror', (error) => this.#pageError(error.page(), error.error()));
    for (const page of context.pages()) this.#watch(page);
    context.on('page', (page) => this.#watch(page));
  }

  /** @param {Page} page */
  #watch(page) {
    page.on('websocket', (socket) => leavesLoopback(socket.url()) && this.strangers.push(socket.url()));
    page.on('crash', () => this.errors.push('the tab crashed'));
  }

  /** @param {Request} request */
  #request(request) {
    if (leavesLoopback(request.url())) this.strangers.push(`${request.method()} ${request.url()}`);
    const { origin, pathname } = new URL(request.url());
    if (origin === this.ownOrigin) this.asked.push({ method: request.method(), path: pathname });
  }

  /** @param {Page | null} page @param {Error} error */
  #pageError(page, error) {
    this.heard.push(`uncaught: ${error.stack ?? error.message}`);
    // ComfyUI's own mistakes are not ours to judge.
    if (page && String(error.stack).includes(this.ownOrigin)) this.errors.push(`uncaught: ${error.stack}`);
  }

  /** @param {ConsoleMessage} message */
  #console(message) {
    const { url } = message.location();
    const said = `${message.type()}: ${message.text()} (${url})`;
    this.heard.push(said);
    // A breach of the page's policy comes without an address; ComfyUI's own mistakes, with its own.
    const ours = url === '' || url.startsWith(this.ownOrigin);
    if (message.type() !== 'error' || !ours) return;
    const failed = FAILED_REQUEST.exec(message.text());
    if (failed && this.expected.has(failed[1] ?? failed[2] ?? '')) return;
    this.errors.push(said);
  }

  /** How often the page has asked for this so far. @param {string} method @param {RegExp} path */
  count(method, path) {
    return this.asked.filter((request) => request.method === method && path.test(request.path)).length;
  }
}
