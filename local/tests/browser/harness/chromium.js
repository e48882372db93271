/**
 * Debian's Chromium, started by hand as a person's is, and connected to. A driver's own start would switch off the
 * blocking of third-party cookies and the partitioning of storage, which the iframe has to live with.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { Child } from './child.js';
import { until, within } from './until.js';

const program = process.env.CHROMIUM ?? 'chromium';

/**
 * What is switched off is what would call home, and what a machine without screen and GPU has not got. What of the
 * browser's own calls remains (form filling, accounts, updates) finds no address: nothing leaves this machine.
 */
const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage',
  '--no-first-run', '--no-default-browser-check', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-crash-reporter', '--no-proxy-server',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
  '--remote-debugging-port=0', '--window-size=1280,800',
];

const CONNECTS_WITHIN_MS = 30_000;

export class Chromium {
  /** @param {Child} child @param {import('playwright-core').Browser} browser @param {string} profile */
  constructor(child, browser, profile) {
    this.child = child;
    this.browser = browser;
    this.profile = profile;
  }

  /** @param {string[]} [flags] More flags, such as a home page. */
  static async start(flags = []) {
    const profile = await mkdtemp(join(tmpdir(), 'pilotlight-browser-'));
    const child = new Child(program, [...FLAGS, ...flags, `--user-data-dir=${profile}`, 'about:blank']);
    try {
      const port = await until('Chromium tells its port', async () => {
        if (child.hasEnded) throw new Error(`Chromium has ended:\n${child.printed}`);
        return (await readFile(join(profile, 'DevToolsActivePort'), 'utf8').catch(() => '')).split('\n')[0] || null;
      });
      // No defaults: the driver would else pretend that every tab is looked at, and a hidden one would not be hidden.
      const connecting = chromium.connectOverCDP(`http://127.0.0.1:${port}`, { timeout: CONNECTS_WITHIN_MS, noDefaults: true });
      return new Chromium(child, await connecting, profile);
    } catch (error) {
      await Chromium.#clear(child, profile);
      throw error;
    }
  }

  /** The person's own context: a new one would be a guest's, with settings of its own. */
  get context() {
    const [context] = this.browser.contexts();
    if (!context) throw new Error('Chromium has no context');
    return context;
  }

  /** The tab that it has opened with. */
  async firstPage() {
    return this.context.pages()[0] ?? this.context.newPage();
  }

  /** A window beside the first: both are looked at, where of two tabs only one is. */
  async newWindow() {
    const opened = this.context.waitForEvent('page', { timeout: CONNECTS_WITHIN_MS });
    const session = await this.browser.newBrowserCDPSession();
    await session.send('Target.createTarget', { url: 'about:blank', newWindow: true });
    return opened;
  }

  /** The lid is closed: every process of the browser stands still. */
  sleep() {
    this.child.signal('SIGSTOP');
  }

  wake() {
    this.child.signal('SIGCONT');
  }

  async end() {
    this.wake();
    await within('closing Chromium', this.browser.close(), CONNECTS_WITHIN_MS).catch(() => undefined);
    await Chromium.#clear(this.child, this.profile);
  }

  /** @param {Child} child @param {string} profile */
  static async #clear(child, profile) {
    await child.end();
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
