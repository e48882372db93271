/**
 * A VM that boots: a container over a copy-on-write boot disk, with a loop device as its data disk. The pocket cloud
 * switches it on and off; here it is built, looked into, and taken apart.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { until } from '../../browser/harness/until.js';

const run = promisify(execFile);

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const here = fileURLToPath(new URL('../', import.meta.url));

/** What `prepare.sh` has made. */
const base = process.env.VM_BASE ?? `${root}target/test-deps/vm-base`;

/** One command in the VM. */
const COMMAND_WITHIN_MS = 60_000;
const OUTPUT_MAX = 16 * 1024 * 1024;

/** So much of its journal goes into the message of a failing test. */
const JOURNAL_LINES = 120;

/** Told to end, it has so long at the end of a test. */
const GOES_WITHIN_MS = 10_000;

export class Vm {
  /** @param {string} dir @param {string} loop */
  constructor(dir, loop) {
    this.dir = dir;
    this.loop = loop;
    this.detach = () => {
      try {
        execFileSync('losetup', ['--detach', loop], { stdio: 'ignore' });
      } catch {
        // It has been detached.
      }
    };
    process.once('exit', this.detach);
  }

  /**
   * @param {object} options
   * @param {number} [options.megabytes] Of the data disk.
   */
  static async build({ megabytes = 16_384 } = {}) {
    if (!existsSync(`${base}/.made-of`)) throw new Error(`${base} is not there: run ${here}prepare.sh`);
    const dir = await mkdtemp(join(tmpdir(), 'pilotlight-vm-'));
    for (const name of ['upper', 'work', 'root', 'given']) await mkdir(join(dir, name));
    const layers = `lowerdir=${base},upperdir=${dir}/upper,workdir=${dir}/work`;
    await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, join(dir, 'root')]);
    const image = join(dir, 'disk');
    await writeFile(image, '');
    await truncate(image, megabytes * 1024 * 1024);
    const { stdout } = await run('losetup', ['--find', '--show', image]);
    return new Vm(dir, stdout.trim());
  }

  /** The program and the environment by which the pocket cloud switches it on. */
  get program() {
    return `${here}machine.sh`;
  }

  get env() {
    return { VM_DIR: this.dir, VM_DISK: this.loop, VM_FILES: join(this.dir, 'given') };
  }

  /** A path of the VM, from outside. @param {string} path */
  at(path) {
    return join(this.dir, 'root', path);
  }

  /** Puts a file or folder where the VM finds it as /opt/given/NAME. @param {string} path @param {string} name */
  async give(path, name) {
    await cp(path, join(this.dir, 'given', name), { recursive: true });
  }

  /** @param {string} path @param {string} text */
  async write(path, text) {
    await mkdir(dirname(this.at(path)), { recursive: true });
    await writeFile(this.at(path), text);
  }

  /** @param {string} path @param {string} text */
  async append(path, text) {
    await appendFile(this.at(path), text);
  }

  /** Process id, as seen from outside, of its init; none while it is off. */
  get init() {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const [name, ...rest] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        if (!name?.endsWith('systemd-nspawn') || !rest.includes(join(this.dir, 'root'))) continue;
        const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
        if (child) return Number(child);
      } catch {
        // It has ended meanwhile.
      }
    }
    return null;
  }

  /** Runs a command of the shell in it. @param {string} command @returns {Promise<string>} */
  async run(command) {
    const init = this.init;
    if (init === null) throw new Error(`the VM is off; it cannot run ${command}`);
    const enter = ['--target', String(init), '--mount', '--uts', '--ipc', '--pid', '--root', '--wd'];
    const shell = ['/usr/bin/env', '-i', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'bash', '-c', command];
    const { stdout } = await run('nsenter', [...enter, ...shell], { timeout: COMMAND_WITHIN_MS, maxBuffer: OUTPUT_MAX });
    return stdout;
  }

  /** What a command says, or null where it fails. @param {string} command */
  ask(command) {
    return this.run(command).then((said) => said.trim(), () => null);
  }

  /** Main process of a unit, as the VM counts. @param {string} unit */
  async pid(unit) {
    return Number(await this.run(`systemctl show --property MainPID --value ${unit}`));
  }

  /** Kills a unit's main process, and waits until another is there. @param {string} unit */
  async kill(unit) {
    const before = await this.pid(unit);
    await this.run(`kill -KILL ${before}`);
    await until(`${unit} is started again`, async () => {
      const now = Number(await this.ask(`systemctl show --property MainPID --value ${unit}`));
      return now > 0 && now !== before;
    });
  }

  /**
   * Whatever runs in it, as seen from outside: those to whom its boot disk is `/`. They may outlive the one who has started it
   * by some seconds, and keep its ports.
   */
  get living() {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
      try {
        const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
        return mounts.some((mount) => mount.split(' ')[4] === '/' && mount.includes(`upperdir=${this.dir}/upper`));
      } catch {
        return false;
      }
    });
  }

  /** @param {number} [limitMs] */
  isOff(limitMs) {
    return until('the VM is off', () => this.init === null && this.living.length === 0, limitMs);
  }

  /** Takes the power from it, if it does not go by itself. */
  async unplug() {
    await this.isOff(GOES_WITHIN_MS).catch(() => undefined);
    for (const pid of this.living) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await this.isOff();
  }

  /** What its journal holds of every boot, newest last. @param {string[]} [more] Options of journalctl. */
  async journal(more = []) {
    const options = ['--directory', this.at('var/log/journal'), '--no-pager', '--output', 'short-precise'];
    return run('journalctl', [...options, ...more], { maxBuffer: OUTPUT_MAX }).then(({ stdout }) => stdout, String);
  }

  /** What the last boot was doing, and for how long each: a line. */
  async bootTimes() {
    const lines = (await this.journal(['--unit', 'google-startup-scripts.service'])).split('\n');
    const steps = lines.flatMap((line) => {
      const told = /(\d+):(\d+):([\d.]+) \S+ \S+: \S+Z (\w+ \d+) %/.exec(line);
      return told ? [{ step: told[4], at: Number(told[1]) * 3_600 + Number(told[2]) * 60 + Number(told[3]) }] : [];
    });
    const last = steps.slice(steps.findLastIndex(({ step }) => step === 'booting 22'));
    return last.slice(1).map(({ at }, index) => `${last[index]?.step} %: ${(at - (last[index]?.at ?? at)).toFixed(1)} s`).join(', ');
  }

  /** For the message of a failing test. */
  async evidence() {
    const console = await readFile(join(this.dir, 'console.log'), 'utf8').catch(String);
    const journal = await this.journal(['--lines', String(JOURNAL_LINES)]);
    return `--- console of the VM:\n${console.slice(-2_000)}\n--- journal of the VM:\n${journal}`;
  }

  async end() {
    await run('umount', ['--lazy', this.at('')]).catch(() => undefined);
    process.removeListener('exit', this.detach);
    this.detach();
    await rm(this.dir, { recursive: true, force: true });
  }
}
