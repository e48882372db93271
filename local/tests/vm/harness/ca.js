/**
 * A certificate authority that speaks ACME: Debian's pebble, which really asks the VM's port 80, and a name server that
 * says where the VM is.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Child } from '../../browser/harness/child.js';
import { until } from '../../browser/harness/until.js';

const ACME = '127.0.0.1:14000';
const MANAGEMENT = '127.0.0.1:15000';
const NAMES = '127.0.0.1:8053';

export class CertificateAuthority {
  /** @type {Child[]} */
  #children = [];

  /** @param {string} address Of the VM. */
  constructor(address) {
    this.address = address;
    this.dir = mkdtempSync(join(tmpdir(), 'pilotlight-ca-'));
    // pebble is a web server itself, whose certificate its callers have to trust.
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const files = ['-keyout', join(this.dir, 'key.pem'), '-out', join(this.dir, 'own.pem')];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', ...kind, ...subject, ...files], { stdio: 'ignore' });
    const pebble = {
      listenAddress: ACME,
      managementListenAddress: MANAGEMENT,
      certificate: join(this.dir, 'own.pem'),
      privateKey: join(this.dir, 'key.pem'),
      httpPort: 80,
      tlsPort: 443,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
    };
    writeFileSync(join(this.dir, 'pebble.json'), JSON.stringify({ pebble }));
  }

  /** Of its directory. */
  get url() {
    return `https://${ACME}/dir`;
  }

  /** The certificate by which its own web server is known. */
  get ownCertificate() {
    return join(this.dir, 'own.pem');
  }

  async start() {
    const none = ['-http01', '', '-https01', '', '-tlsalpn01', ''];
    const addresses = ['-defaultIPv4', this.address, '-defaultIPv6', '', '-dns01', NAMES, '-management', '127.0.0.1:8055'];
    this.#children = [
      new Child('pebble-challtestsrv', [...none, ...addresses]),
      new Child('pebble', ['-config', join(this.dir, 'pebble.json'), '-dnsserver', NAMES], {
        ...process.env,
        PEBBLE_VA_NOSLEEP: '1',
      }),
    ];
    await until('the authority answers', () => this.root().catch(() => null));
  }

  /** Its root certificate, made anew at each start. @returns {Promise<string>} */
  root() {
    return new Promise((resolve, reject) => {
      // What it shows is what we want to know; nothing to check it against before.
      const asked = request(`https://${MANAGEMENT}/roots/0`, { rejectUnauthorized: false, agent: false }, (answer) => {
        let text = '';
        answer.on('data', (part) => { text += part; });
        answer.on('end', () => resolve(text));
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** How many certificates it was asked for. */
  get orders() {
    return [...(this.#children[1]?.printed ?? '').matchAll(/POST \/order-plz/g)].length;
  }

  get log() {
    return this.#children[1]?.printed ?? '';
  }

  /** The outage. */
  async stop() {
    for (const child of this.#children) await child.end();
    this.#children = [];
  }

  async end() {
    await this.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}
