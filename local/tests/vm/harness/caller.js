/**
 * Somebody who speaks HTTPS to the VM without a browser, and may say what no browser would.
 */
import { request } from 'node:https';
import { isIP } from 'node:net';

/** One answer. */
const ANSWER_WITHIN_MS = 20_000;

/** @typedef {{status: number, headers: import('node:http').IncomingHttpHeaders, body: string}} Answer */

export class Caller {
  /**
   * @param {string} host By which the VM is called.
   * @param {string} address Where it is.
   * @param {string} root Of the authority, as PEM.
   */
  constructor(host, address, root) {
    this.host = host;
    this.address = address;
    this.root = root;
  }

  /** @param {string} path @param {import('node:https').RequestOptions} [options] */
  #options(path, options = {}) {
    const named = isIP(this.host) ? {} : { servername: this.host };
    return {
      host: this.address, port: 443, path, ca: this.root, agent: false, ...named, ...options,
      headers: { host: this.host, ...options.headers },
    };
  }

  /**
   * @param {string} path
   * @param {import('node:https').RequestOptions & {body?: string | Buffer}} [options]
   * @returns {Promise<Answer>}
   */
  call(path, { body, ...options } = {}) {
    return new Promise((resolve, reject) => {
      const asked = request({ ...this.#options(path, options), timeout: ANSWER_WITHIN_MS }, (answer) => {
        let text = '';
        answer.on('data', (part) => { text += part; });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
        answer.on('error', reject);
      });
      asked.on('timeout', () => asked.destroy(new Error(`no answer to ${path} within ${ANSWER_WITHIN_MS} ms`)));
      // A WebSocket that is let in.
      asked.on('upgrade', (answer, socket) => {
        socket.destroy();
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: '' });
      });
      asked.on('error', reject);
      asked.end(body);
    });
  }

  /** Turns a ticket into the cookie of its run. @param {string} url Of the ticket. */
  async enter(url) {
    const { pathname, search } = new URL(url);
    const answer = await this.call(`${pathname}${search}`);
    const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0];
    return { ...answer, cookie };
  }

  /** What a WebSocket asks with. */
  static get handshake() {
    return {
      connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
  }

  /**
   * A WebSocket that is held open. @param {string} path @param {import('node:http').OutgoingHttpHeaders} headers
   * @returns {Promise<import('node:stream').Duplex>}
   */
  socket(path, headers) {
    return new Promise((resolve, reject) => {
      const asked = request(this.#options(path, { headers: { ...Caller.handshake, ...headers } }));
      asked.on('upgrade', (_, socket) => resolve(socket));
      asked.on('response', (answer) => reject(new Error(`the WebSocket was answered ${answer.statusCode}`)));
      asked.on('error', reject);
      asked.end();
    });
  }

  /**
   * Sends a body of zeros as an upload, as fast as it is taken.
   * @param {string} path @param {number} bytes @param {import('node:http').OutgoingHttpHeaders} headers
   * @returns {Promise<Answer>}
   */
  upload(path, bytes, headers) {
    const boundary = 'pilotlight-upload';
    const head = Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="image"; filename="large.bin"\r\n` +
      'content-type: application/octet-stream\r\n\r\n',
    );
    const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
    const piece = Buffer.alloc(1024 * 1024);
    return new Promise((resolve, reject) => {
      const asked = request(this.#options(path, {
        method: 'POST',
        headers: {
          'content-type': `multipart/form-data; boundary=${boundary}`,
          'content-length': head.length + bytes + tail.length,
          ...headers,
        },
      }), (answer) => {
        let text = '';
        answer.on('data', (part) => { text += part; });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
      });
      asked.on('error', reject);
      asked.write(head);
      let left = bytes;
      const pour = () => {
        while (left > 0) {
          const part = left >= piece.length ? piece : piece.subarray(0, left);
          left -= part.length;
          if (!asked.write(part)) {
            asked.once('drain', pour);
            return;
          }
        }
        asked.end(tail);
      };
      pour();
    });
  }
}
