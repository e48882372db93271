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
  /** @type {Chromium[]} */
  #browsers = [];

  /** @param {{dir: string, vm: Vm, ca: CertificateAuthority, storage: Storage, relay: Relay, cloud: Pilotlight, domain?: string}} parts */
  constructor({ dir, vm, ca, storage, relay, cloud, domain }) {
    this.dir = dir;
    this.vm = vm;
    this.ca = ca;
    this.storage = storage;
    this.relay = relay;
    this.cloud = cloud;
    this.host = domain ?? ADDRESS;
    /** @type {string[]} */
    this.told = [];
  }

  /** @param {Options} options */
  static async build({ domain, speed = SPEED, metadata = {}, args = [], megabytes }) {
    const dir = await mkdtemp(join(tmpdir(), 'pilotlight-world-'));
    const [vm, storage, relay] = await Promise.all([Vm.build({ megabytes }), Storage.start(), Relay.to(PORT)]);
    const ca = new CertificateAuthority(ADDRESS);
    await ca.start();
    const bundle = await World.#bundle(dir);
    const archive = await World.#comfyui(dir);
    storage.objects.set('pilotlight/bundle.tar.gz', bundle);
    storage.objects.set('pilotlight/comfyui.tar.gz', archive);
    await World.#furnish(vm, ca, domain);
    const told = {
      'startup-script': await readFile(`${root}vm/startup.sh`, 'utf8'),
      control_url: relay.url,
      control_audience: `http://localhost:${PORT}`,
      bundle_url: 'gs://pilotlight/bundle.tar.gz',
      bundle_sha256: digestOf(bundle),
      comfyui_version: 'test-1',
      comfyui_source: 'gs://pilotlight/comfyui.tar.gz',
      comfyui_sha256: digestOf(archive),
      acme_server: ca.url,
      ...(domain ? { domain_name: domain, ssl_email: 'owner@pilotlight.test' } : {}),
      ...metadata,
    };
    const cloud = await Pilotlight.start({
      speed,
      port: PORT,
      env: { ...vm.env, STORAGE: storage.url },
      args: [
        '--placements', '1', '--vm-program', vm.program, '--vm-origin', `https://${domain ?? ADDRESS}`, '--vm-address', ADDRESS,
        ...Object.entries(told).flatMap(([key, value]) => ['--vm-metadata', `${key}=${value}`]),
        ...args,
      ],
    });
    return new World({ dir, vm, ca, storage, relay, cloud, domain });
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
    await vm.write('etc/ssl/certs/acme.pem', await readFile(ca.ownCertificate, 'utf8'));
    await vm.write('etc/systemd/system.conf.d/tests.conf', '[Manager]\nDefaultEnvironment=REQUESTS_CA_BUNDLE=/etc/ssl/certs/acme.pem\n');
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
      this.#browsers.push(chromium);
      return chromium;
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
    const answer = await this.cloud.call('/api/workspaces/main/ticket', { token, body: {} });
    if (!answer.ok) throw new Error(`no ticket: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).url;
  }

  async evidence() {
    return `${await this.vm.evidence()}\n--- pilotlight printed:\n${this.cloud.log.slice(-LOG_SHOWN)}`;
  }

  async end() {
    for (const browser of this.#browsers) await browser.end();
    await this.cloud.end();
    await this.vm.isOff().catch(() => undefined);
    for (const part of [this.relay, this.storage, this.ca, this.vm]) await part.end();
    await rm(this.dir, { recursive: true, force: true });
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
