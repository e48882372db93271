/**
 * What goes wrong at a boot is told to the person in words, and costs no data.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { comesIn, opens, reads, sees } from '../browser/harness/person.js';
import { until } from '../browser/harness/until.js';
import { DOMAIN, inWorld } from './harness/world.js';

const BOOT_MS = 90_000;

/** @param {string} path */
const digest = async (path) => {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part);
  return hash.digest('hex');
};

/** @param {import('./harness/world.js').World} world @param {string} token @param {string[]} phases */
const comesTo = (world, token, phases) =>
  until(`it comes to ${phases.join(' or ')}`, async () => {
    const view = await world.cloud.view(token);
    return phases.includes(view.phase) && view;
  }, BOOT_MS);

inWorld('a disk that holds something else is told of, and not one byte of it is changed', { domain: DOMAIN, megabytes: 64 }, async (world) => {
  const image = join(world.vm.dir, 'disk');
  const file = await open(image, 'r+');
  await file.write(Buffer.from('somebody keeps their pictures here, without a file system'), 0, undefined, 3 * 1024 * 1024);
  await file.close();
  const before = await digest(image);
  const chromium = await world.browser();
  const page = await chromium.firstPage();
  await comesIn(page, world.cloud.base);
  await page.locator('#start').click();
  await sees(page, 'Failed', BOOT_MS);
  await reads(page, 'main', /could not set itself up/);
  await reads(page, 'main', /disk/);
  await page.screenshot({ path: join(world.dir, 'failed.png') });
  await world.vm.isOff(60_000);
  assert.equal(await digest(image), before);
});

inWorld('trouble at later boots: a full disk, the authority down, a name that points elsewhere', { domain: DOMAIN }, async (world, diagnostic) => {
  const { cloud, vm, ca } = world;
  const token = await cloud.signIn();
  const stop = async () => {
    await cloud.call('/api/workspaces/main/stop', { token, body: {} });
    await vm.isOff(60_000);
    await comesTo(world, token, ['Stopped']);
  };
  const answers = async () => {
    const caller = await world.caller();
    const { cookie } = await caller.enter(await world.ticket(token));
    return (await caller.call('/prompt', { headers: { cookie: cookie ?? '' } })).status;
  };

  // The name points elsewhere: waited for, told, and gone on with as soon as it is right.
  await vm.write('etc/hosts', `127.0.0.1 localhost\n198.51.100.9 ${DOMAIN}\n`);
  assert.equal((await world.start(token)).status, 202);
  await until('the person is told where the name points', async () => {
    const { boot } = await cloud.view(token);
    return boot?.step === 'getting_certificate' && boot.detail.includes('198.51.100.9') && boot.detail.includes('203.0.113.10');
  }, BOOT_MS);
  await vm.run(`printf '127.0.0.1 localhost\\n203.0.113.10 ${DOMAIN}\\n' > /etc/hosts`);
  await comesTo(world, token, ['Ready']);
  assert.equal(await answers(), 200);

  // A renewal that is due, by the timer's own service.
  const serial = 'openssl x509 -noout -serial -in /mnt/pilotlight/certificates/current/fullchain.pem';
  const shown = () => vm.run(`openssl s_client -connect 127.0.0.1:443 -servername ${DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial`);
  const first = await vm.run(serial);
  assert.equal(await shown(), first);
  const root = await ca.root();
  await vm.run('systemctl start pilotlight-certificate.service');
  assert.equal(await vm.run(serial), first, 'one that is not due is left');
  await vm.run('mkdir -p /run/systemd/system/pilotlight-certificate.service.d && printf "[Service]\\nEnvironment=RENEW_ALWAYS=true\\n" > /run/systemd/system/pilotlight-certificate.service.d/tests.conf && systemctl daemon-reload && systemctl start pilotlight-certificate.service');
  assert.notEqual(await vm.run(serial), first, 'one that is due is renewed');
  assert.equal(await shown(), await vm.run(serial), 'and nginx shows the new one');
  assert.equal(await ca.root(), root);

  // The disk is full, and the authority is down: it comes up all the same.
  await vm.run('dd if=/dev/zero of=/mnt/pilotlight/comfyui/output/large bs=1M status=none 2>/dev/null || true');
  await stop();
  const kept = await ca.root();
  await ca.stop();
  const pressed = performance.now();
  assert.equal((await world.start(token)).status, 202);
  await comesTo(world, token, ['Ready']);
  diagnostic(`a boot on a full disk, the authority down: ${Math.round(performance.now() - pressed)} ms`);
  const { Caller } = await import('./harness/caller.js');
  const caller = new Caller(DOMAIN, '203.0.113.10', kept);
  const { cookie } = await caller.enter(await world.ticket(token));
  assert.equal((await caller.call('/prompt', { headers: { cookie: cookie ?? '' } })).status, 200);
});
