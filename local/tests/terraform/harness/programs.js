/**
 * The control plane's own program: its tools, its check of what it is told, and its functions, started as Cloud Run does.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../../', import.meta.url));

const program = process.env.CONTROL_PLANE ?? `${process.env.CARGO_TARGET_DIR ?? `${root}target`}/debug/control-plane`;

/** Nothing that a program does here takes longer on a slow machine. */
const WITHIN_MS = 30_000;

/** @typedef {Record<string, string>} Environment */
/** @typedef {{failed: boolean, stdout: string, stderr: string}} Ended */

/**
 * Runs to its end, with nothing in its environment but what is given.
 * @param {string} file @param {string[]} args
 * @param {{env?: NodeJS.ProcessEnv, cwd?: string, input?: string, limitMs?: number}} [options]
 * @returns {Promise<Ended>}
 */
export const run = (file, args, { env = {}, cwd, input = '', limitMs = WITHIN_MS } = {}) =>
  new Promise((resolve) => {
    const options = { env, cwd, timeout: limitMs, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(file, args, options, (error, stdout, stderr) =>
      resolve({ failed: error !== null, stdout, stderr: `${stderr}${error?.killed ? `\nnot done within ${limitMs} ms` : ''}` }),
    );
    // Who does not read it may have gone before it is written.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });

/** @param {string[]} args @param {{env?: Environment, input?: string}} [options] */
export const controlPlane = (args, options) => {
  if (!existsSync(program)) throw new Error(`${program} is not there: build it with cargo build -p control-plane`);
  return run(program, args, options);
};

/** A function that runs. */
export class Service {
  /** @param {import('node:child_process').ChildProcess} child @param {string} base */
  constructor(child, base) {
    this.child = child;
    this.base = base;
  }

  /**
   * As a container starts: the command is what the process is called, and nothing else tells it who it is.
   * @param {string} command @param {Environment} env
   * @returns {Promise<Service>}
   */
  static start(command, env) {
    // Any port that is free, in the place of the container's.
    const child = spawn(program, [], { argv0: command, env: { ...env, PORT: '0' }, stdio: ['ignore', 'ignore', 'pipe'] });
    const killNow = () => child.kill('SIGKILL');
    process.once('exit', killNow);
    child.once('exit', () => process.removeListener('exit', killNow));
    let printed = '';
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => end('it did not listen in time'), WITHIN_MS);
      const end = (/** @type {string} */ why) => {
        clearTimeout(limit);
        child.kill('SIGKILL');
        reject(new Error(`${command}: ${why}; it said: ${printed}`));
      };
      child.once('error', (error) => end(String(error)));
      child.once('exit', () => end('it ended'));
      createInterface({ input: child.stderr }).on('line', (line) => {
        printed = `${printed}${line}\n`.slice(-10_000);
        const port = /"address":"[^"]*:(\d+)"/.exec(line)?.[1];
        if (port === undefined) return;
        clearTimeout(limit);
        child.removeAllListeners('exit');
        child.once('exit', () => process.removeListener('exit', killNow));
        resolve(new Service(child, `http://127.0.0.1:${port}`));
      });
    });
  }

  /** @param {string} path @param {RequestInit} [init] */
  ask(path, init) {
    return fetch(`${this.base}${path}`, { redirect: 'manual', signal: AbortSignal.timeout(WITHIN_MS), ...init });
  }

  async end() {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await gone;
  }
}
