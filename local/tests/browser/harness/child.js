/**
 * A process in a group of its own: what it prints is kept for the message of a failing test, and when it is ended,
 * everything that it has started ends with it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { within } from './until.js';

/** So many of the last characters it has printed are kept. */
const PRINTED_KEPT = 60_000;

/** From SIGTERM to SIGKILL, and from SIGKILL to gone. */
const ENDS_WITHIN_MS = 8_000;

export class Child {
  printed = '';

  /** @param {string} program @param {string[]} args @param {NodeJS.ProcessEnv} [env] */
  constructor(program, args, env = process.env) {
    this.program = program;
    this.process = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env });
    this.exited = once(this.process, 'exit').catch((error) => this.#keep(`${program} cannot be started: ${error}\n`));
    this.process.stdout.on('data', (text) => this.#keep(String(text)));
    this.process.stderr.on('data', (text) => this.#keep(String(text)));
    // A test runner that dies must not leave it behind.
    this.killNow = () => this.signal('SIGKILL');
    process.once('exit', this.killNow);
  }

  /** @param {string} text */
  #keep(text) {
    this.printed = (this.printed + text).slice(-PRINTED_KEPT);
  }

  get hasEnded() {
    return this.process.pid === undefined || this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Signals the whole group. @param {NodeJS.Signals} signal */
  signal(signal) {
    if (this.process.pid === undefined) return;
    try {
      process.kill(-this.process.pid, signal);
    } catch {
      // A group that is gone already needs no signal.
    }
  }

  async end() {
    process.removeListener('exit', this.killNow);
    if (!this.hasEnded) {
      this.signal('SIGCONT');
      this.signal('SIGTERM');
      await within(`the end of ${this.program}`, this.exited, ENDS_WITHIN_MS).catch(() => undefined);
    }
    this.signal('SIGKILL');
    if (!this.hasEnded) await within(`the end of ${this.program}, killed`, this.exited, ENDS_WITHIN_MS);
  }
}
