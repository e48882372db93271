/**
 * Cloud Storage as far as the VM asks for it: an object by its name, in parts, to whoever shows an access token.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';

export class Storage {
  /** Path of the file behind each object, by `bucket/object`. @type {Map<string, string>} */
  objects = new Map();

  /** What was asked for, and how it was answered. @type {string[]} */
  asked = [];

  static async start() {
    const storage = new Storage();
    storage.server = createServer((request, response) => {
      storage.#answer(request, response).catch((error) => response.destroy(error));
    });
    storage.server.listen(0, '127.0.0.1');
    await once(storage.server, 'listening');
    return storage;
  }

  get url() {
    const address = this.server?.address();
    if (!address || typeof address === 'string') throw new Error('the bucket does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  /** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
  async #answer(request, response) {
    const match = /^\/storage\/v1\/b\/([^/]+)\/o\/([^?]+)\?alt=media$/.exec(request.url ?? '');
    const path = match && this.objects.get(`${match[1]}/${decodeURIComponent(match[2] ?? '')}`);
    const allowed = /^Bearer ya29\./.test(request.headers.authorization ?? '');
    const size = path ? (await stat(path)).size : 0;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const status = !allowed ? 401 : !path ? 404 : from >= size && from > 0 ? 416 : from > 0 ? 206 : 200;
    this.asked.push(`${status} ${request.url}`);
    if (status >= 400 || !path) {
      response.writeHead(status).end();
      return;
    }
    const range = status === 206 ? { 'content-range': `bytes ${from}-${size - 1}/${size}` } : {};
    response.writeHead(status, { 'content-length': size - from, 'accept-ranges': 'bytes', ...range });
    createReadStream(path, { start: from }).pipe(response);
  }

  async end() {
    this.server?.closeAllConnections();
    this.server?.close();
  }
}
