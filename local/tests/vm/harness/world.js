/**
 * A whole world for one VM: the pocket cloud with its control plane, the VM's boot disk and data disk, its bucket with
 * the bundle and ComfyUI, and the authority for its certificate. All in the namespace that `inside.sh` has made.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Chromium } from '../../browser/harness/chromium.js';
import { Pilotlight } from '../../browser/harness/pilotlight.js';
import { CertificateAuthority } from './ca.js';
import { Caller } from './caller.js';
import { Relay } from './relay.js';
import { Storage } from './storage.js';
import { Vm } from './vm.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const here = fileURLToPath(new URL('../', import.meta.url));

/** As `inside.sh` has them. */
export const ADDRESS = '203.0.113.10';
export const OTHER_ADDRESS = '203.0.113.66';
export const DOMAIN = 'comfy.pilotlight.test';

/** The page's; nobody else is in this network. */
const PORT = 8080;

/** How much faster than life the cloud and the policy's clock go; what runs in the VM takes its own time. */
const SPEED = 30;

/** A whole test. */
const TEST_LIMIT_MS = 300_000;

/** So much of what the program has printed goes into the message of a failing test. */
const LOG_SHOWN = 4_000;

const digestOf = (/** @type {string} */ path) => createHash('sha256').update(readFileSync(path)).digest('hex');

/**
 * @typedef {object} Options
 * @property {string} [domain] Without one, the certificate is for the address.
 * @property {number} [speed]
 * @property {Record<string, string>} [metadata] Beside what every VM here is told.
 * @property {string[]} [args] Of the pocket cloud.
 * @property {number} [megabytes] Of the data disk.
 */

export class World {
  /** @type {(() => Promise<unknown>)[]} */
  #toEnd = [];

  /** @param {string} [domain] */
  constructor(domain) {
    this.host = domain ?? ADDRESS;
  }

  /** @param {Options} options */
  static async build(options) {
    const world = new World(options.domain);
    try {
      await world.#build(options);
      return world;
    } catch (error) {
      await world.end();
      throw error;
    }
  }

  /** @param {Options} options */
  async #build({ domain, speed = SPEED, metadata = {}, args = [], megabytes }) {
    this.dir = this.#ends(await mkdtemp(join(tmpdir(), 'pilotlight-world-')), (dir) => rm(dir, { recursive: true, force: true }));
    this.vm = this.#ends(await Vm.build({ megabytes }), (vm) => vm.end());
    this.storage = this.#ends(await Storage.start(), (storage) => storage.end());
    this.relay = this.#ends(await Relay.to(PORT), (relay) => relay.end());
    this.ca = this.#ends(new CertificateAuthority(ADDRESS), (ca) => ca.end());
    await this.ca.start();
    const bundle = await World.#bundle(this.dir);
    const archive = await World.#comfyui(this.dir);
    this.storage.objects.set('pilotlight/bundle.tar.gz', bundle);
    this.storage.objects.set('pilotlight/comfyui.tar.gz', archive);
    await World.#furnish(this.vm, this.ca, domain);
    const told = {
      'startup-script': await readFile(`${root}vm/startup.sh`, 'utf8'),
      control_url: this.relay.url,
      control_audience: `http://localhost:${PORT}`,
      bundle_url: 'gs://pilotlight/bundle.tar.gz',
      bundle_sha256: digestOf(bundle),
      comfyui_version: 'test-1',
      comfyui_source: 'gs://pilotlight/comfyui.tar.gz',
      comfyui_sha256: digestOf(archive),
      acme_server: this.ca.url,
      ...(domain ? { domain_name: domain, ssl_email: 'owner@pilotlight.test' } : {}),
      ...metadata,
    };
    const cloud = await Pilotlight.start({
      speed,
      port: PORT,
      env: { ...this.vm.env, STORAGE: this.storage.url },
      args: [
        '--placements', '1', '--vm-program', this.vm.program, '--vm-origin', `https://${this.host}`, '--vm-address', ADDRESS,
        ...Object.entries(told).flatMap(([key, value]) => ['--vm-metadata', `${key}=${value}`]),
        ...args,
      ],
    });
    this.cloud = this.#ends(cloud, async () => {
      await cloud.end();
      await this.vm.unplug();
    });
  }

  /**
   * Notes how a part is ended, after those that were made later.
   * @template T @param {T} part @param {(part: T) => Promise<unknown>} end
   */
  #ends(part, end) {
    this.#toEnd.push(() => end(part));
    return part;
  }

  /** The bundle as a VM gets it, with the gateway of this build, less what only a debugger needs. @param {string} dir */
  static async #bundle(dir) {
    const gateway = process.env.GATEWAY ?? `${root}target/debug/gateway`;
    if (!existsSync(gateway)) throw new Error(`${gateway} is not there: build it with cargo build -p gateway`);
    const small = join(dir, 'gateway');
    await run('objcopy', ['--strip-debug', gateway, small]);
    await run(`${root}vm/bundle.sh`, [join(dir, 'bundle'), small]);
    const { stdout } = await run('find', [join(dir, 'bundle'), '-name', '*.tar.gz']);
    return stdout.trim();
  }

  /** ComfyUI as an archive: its stand-in, started by a `main.py` that takes ComfyUI's arguments. @param {string} dir */
  static async #comfyui(dir) {
    const archive = join(dir, 'comfyui.tar.gz');
    await run('tar', ['--create', '--gzip', '--file', archive, '--directory', `${here}guest`, 'comfyui']);
    return archive;
  }

  /** What a VM has of the world around it: names, authorities to trust, ComfyUI's stand-in with the real page. @param {Vm} vm @param {CertificateAuthority} ca @param {string | undefined} domain */
  static async #furnish(vm, ca, domain) {
    await vm.write('etc/hosts', `127.0.0.1 localhost\n${domain ? `${ADDRESS} ${domain}\n` : ''}`);
    // Whoever trusts what the system trusts, trusts it; certbot has its own list, unless it is told.
    const trusted = 'etc/ssl/certs/ca-certificates.crt';
    await vm.append(trusted, await readFile(ca.ownCertificate, 'utf8'));
    await vm.write('etc/systemd/system.conf.d/tests.conf', `[Manager]\nDefaultEnvironment=REQUESTS_CA_BUNDLE=/${trusted}\n`);
    await vm.give(`${here}guest/age-certificate.py`, 'age-certificate.py');
    await vm.give(`${root}target/debug/stand-in`, 'stand-in');
    await vm.give(`${root}target/test-deps/comfyui-frontend/comfyui_frontend_package/static`, 'frontend');
  }

  /** Somebody who calls the VM over HTTPS. */
  async caller() {
    return new Caller(this.host, ADDRESS, await this.ca.root());
  }

  /** A person's browser, which trusts the authority as it trusts those of the world. */
  async browser() {
    const home = join(this.dir, 'home');
    const database = `sql:${home}/.pki/nssdb`;
    await mkdir(`${home}/.pki/nssdb`, { recursive: true });
    await writeFile(join(this.dir, 'root.pem'), await this.ca.root());
    await run('certutil', ['-N', '--empty-password', '-d', database]);
    await run('certutil', ['-A', '-n', 'authority', '-t', 'C,,', '-i', join(this.dir, 'root.pem'), '-d', database]);
    const names = `MAP ${DOMAIN} ${ADDRESS}, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE ${ADDRESS}`;
    const before = process.env.HOME;
    process.env.HOME = home;
    try {
      const chromium = await Chromium.start([`--host-resolver-rules=${names}`]);
      return this.#ends(chromium, (browser) => browser.end());
    } finally {
      process.env.HOME = before;
    }
  }

  /** Presses Start, as somebody signed in elsewhere. @param {string} token */
  start(token) {
    return this.cloud.call('/api/workspaces/main/start', { token, body: {} });
  }

  /** A ticket's address. @param {string} token @returns {Promise<string>} */
  async ticket(token) {
    return (await this.ticketWithEnd(token)).url;
  }

  /** @param {string} token @returns {Promise<{url: string, expires_at: string}>} */
  async ticketWithEnd(token) {
    const answer = await this.cloud.call('/api/workspaces/main/ticket', { token, body: {} });
    if (!answer.ok) throw new Error(`no ticket: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** What the VM's doctor finds failing. @returns {Promise<{check: string, found: string}[]>} */
  async diagnosis() {
    /** @type {{check: string, status: string, found: string}[]} */
    const verdicts = JSON.parse(await this.vm.run('export METADATA; source /run/pilotlight/settings; pilotlight doctor --json || true'));
    if (!verdicts.some(({ status }) => status === 'ok')) throw new Error(`the doctor has found nothing well: ${JSON.stringify(verdicts)}`);
    // The stand-in for ComfyUI has no torch to ask.
    return verdicts.filter(({ check, status }) => status === 'FAIL' && check !== 'cuda').map(({ check, found }) => ({ check, found }));
  }

  async evidence() {
    return `${await this.vm.evidence()}\n--- pilotlight printed:\n${this.cloud.log.slice(-LOG_SHOWN)}`;
  }

  async end() {
    for (const end of this.#toEnd.reverse()) await end();
  }
}

/**
 * A test with a world of its own.
 * @param {string} sentence What must hold. @param {Options} options
 * @param {(world: World, diagnostic: (words: string) => void) => Promise<void>} play
 */
export const inWorld = (sentence, options, play) =>
  test(sentence, { timeout: TEST_LIMIT_MS }, async (context) => {
    const world = await World.build(options);
    try {
      await play(world, (words) => context.diagnostic(words));
    } catch (error) {
      const why = error instanceof Error ? error.stack ?? error.message : String(error);
      throw new Error(`${why}\n${await world.evidence()}`, { cause: error });
    } finally {
      await world.end();
    }
  });
