/**
 * The program under test: `pilotlight` with a pocket Google Cloud, on a port of its own.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { Child } from './child.js';
import { until } from './until.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

const program = process.env.PILOTLIGHT ?? `${root}target/debug/pilotlight`;

/** The real ComfyUI page; `prepare.sh` puts it there. */
const realPage = process.env.COMFYUI_FRONTEND ?? `${root}target/test-deps/comfyui-frontend/comfyui_frontend_package/static`;

export const PASSWORD = 'correct horse battery staple';

/** One answer of the program. */
const ANSWER_WITHIN_MS = 10_000;

/** The first child of a process whose command line holds a word. @param {number | undefined} parent @param {string} word */
const childWith = async (parent, word) => {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    // After the name, which may hold anything, in brackets: the state, then the parent.
    const itsParent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    if (itsParent === parent && line.split('\0').includes(word)) return Number(pid);
  }
  return null;
};

/**
 * @typedef {object} Options
 * @property {number} [speed]
 * @property {boolean} [realPage] Whether ComfyUI's real page is behind the gateway, or the stand-in's own small one.
 * @property {string[]} [args]
 * @property {number} [port] Any that is free, when none is named.
 * @property {Record<string, string>} [env] Of its own, beside ours.
 */

/** @typedef {{instance: string, zone: string, status: string, gateway: string|null, pid: number|null, disks: string[]}} Vm */

export class Pilotlight {
  /** @param {Child} child @param {string} base */
  constructor(child, base) {
    this.child = child;
    this.base = base;
  }

  /** @param {Options} options */
  static async start({ speed = 60, realPage: withRealPage = false, args = [], port = 0, env: more }) {
    if (!existsSync(program)) throw new Error(`${program} is not there: build it with cargo build -p local`);
    const all = ['--port', String(port), '--password', PASSWORD, '--speed', String(speed), ...args];
    const env = { ...process.env, ...more };
    if (withRealPage) {
      if (!existsSync(`${realPage}/index.html`)) throw new Error(`${realPage} holds no page: run prepare.sh`);
      all.push('--comfyui-frontend', realPage);
    } else if (!more) {
      // Without Python to ask, no installed real page is found.
      env.PATH = '/nonexistent';
    }
    const child = new Child(program, all, env);
    const base = await until('pilotlight tells its address', () => {
      if (child.hasEnded) throw new Error(`pilotlight has ended:\n${child.printed}`);
      return /Pilotlight is at\s+(http:\/\/\S+)/.exec(child.printed)?.[1] ?? null;
    });
    return new Pilotlight(child, base);
  }

  /** What it has printed lately. */
  get log() {
    return this.child.printed;
  }

  /** @param {string} path @param {RequestInit} [init] */
  async #fetch(path, init = {}) {
    const headers = { accept: 'application/json', 'content-type': 'application/json', ...init.headers };
    return fetch(`${this.base}${path}`, { ...init, headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  }

  /** What runs, as the panel tells it. @returns {Promise<{compute: string, vms: Vm[], zones: string[], dry_zones: string[], zone_faults: {zone: string, late_success_seconds: number|null}[], notices: {type: string}[], faults: Record<string, number>, functions?: {name: string, pid: number|null}[]}>} */
  async panel() {
    return (await this.#fetch('/local')).json();
  }

  /** The machines that are up. */
  async running() {
    return (await this.panel()).vms.filter(({ status }) => status === 'RUNNING');
  }

  /** The one machine that is up, once it is. @returns {Promise<Vm & {pid: number}>} */
  async machine() {
    return until('one machine runs', async () => {
      const [vm] = await this.running();
      return vm && vm.pid !== null ? /** @type {Vm & {pid: number}} */ (vm) : null;
    });
  }

  /** The process that stands in for ComfyUI on the machine that is up. */
  comfyuiPid() {
    return until('ComfyUI has a process', () => childWith(this.child.process.pid, 'vm-stand-in'));
  }

  /** @param {object} fault */
  async fault(fault) {
    const answer = await this.#fetch('/local/faults', { method: 'POST', body: JSON.stringify(fault) });
    if (!answer.ok) throw new Error(`the panel refused ${JSON.stringify(fault)}: ${await answer.text()}`);
  }

  /** A request as somebody signed in elsewhere. @param {string} path @param {{token?: string, body?: unknown, method?: string}} [request] */
  async call(path, { token, body, method = body === undefined ? 'GET' : 'POST' } = {}) {
    /** @type {Record<string, string>} */
    const headers = token ? { 'x-auth-token': token } : {};
    return this.#fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  }

  /** Signs in elsewhere. @returns {Promise<string>} The token. */
  async signIn() {
    const answer = await this.call('/api/login', { body: { password: PASSWORD } });
    return (await answer.json()).token;
  }

  /** The workspace, as somebody elsewhere sees it. @param {string} token */
  async view(token) {
    return (await this.call('/api/workspaces/main', { token })).json();
  }

  end() {
    return this.child.end();
  }
}
