/** A wire to a port, that can be cut and mended: what is said while it is cut is never answered. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Relay {
  /** @type {Set<import('node:net').Socket>} */
  sockets = new Set();
  isCut = false;

  /** @param {number} port Of loopback, where the wire ends. */
  static async to(port) {
    const relay = new Relay();
    relay.server = createServer((near) => {
      if (relay.isCut) {
        near.destroy();
        return;
      }
      const far = connect(port, '127.0.0.1');
      for (const [one, other] of [[near, far], [far, near]]) {
        if (!one || !other) continue;
        relay.sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          relay.sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
    relay.server.listen(0, '127.0.0.1');
    await once(relay.server, 'listening');
    return relay;
  }

  get url() {
    const address = this.server?.address();
    if (!address || typeof address === 'string') throw new Error('the relay does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  cut() {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  mend() {
    this.isCut = false;
  }

  async end() {
    this.cut();
    this.server?.close();
  }
}
