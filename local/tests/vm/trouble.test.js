/**
 * What goes wrong at a boot is told to the person in words, and costs no data.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { comesIn, reads, sees } from '../browser/harness/person.js';
import { until } from '../browser/harness/until.js';
import { Caller } from './harness/caller.js';
import { ADDRESS, DOMAIN, inWorld } from './harness/world.js';

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
  await reads(page, 'main', /its byte 3145728 is not zero/);
  await reads(page, 'main', /Not a byte of it was changed/);
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
    return boot?.step === 'getting_certificate' && boot.detail.includes('198.51.100.9') && boot.detail.includes(ADDRESS);
  }, BOOT_MS);
  await vm.run(`printf '127.0.0.1 localhost\\n${ADDRESS} ${DOMAIN}\\n' > /etc/hosts`);
  await comesTo(world, token, ['Ready']);
  assert.equal(await answers(), 200);

  // A renewal, by the timer's own service, when it is due and not before.
  const renew = () => vm.run('systemctl start pilotlight-certificate.service');
  const serial = () => vm.run('openssl x509 -noout -serial -in /run/pilotlight/certificate/fullchain.pem');
  const shown = () => vm.run(`openssl s_client -connect 127.0.0.1:443 -servername ${DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial`);
  const first = await serial();
  assert.equal(await shown(), first);
  await renew();
  assert.equal(await serial(), first, 'one that is not due is left');
  await vm.run(`/opt/pilotlight/certbot/bin/python /opt/given/age-certificate.py /run/pilotlight/certificate ${DOMAIN}`);
  const aged = await serial();
  await renew();
  const renewed = await serial();
  assert.ok(renewed !== first && renewed !== aged, 'one that is due is renewed');
  // What was connected before nginx took it up may still see the old one.
  await until('nginx shows the new one', async () => (await shown()) === renewed);
  assert.equal(await answers(), 200);

  // The disk is full, and the authority is down: it comes up all the same.
  await vm.run('cd /mnt/pilotlight/comfyui/output && fallocate --length "$(($(stat --file-system --format "%a * %S" .) - 8192))" large; cat /dev/zero > rest || true');
  const free = Number((await vm.run('df --output=avail --block-size=1K /mnt/pilotlight')).split('\n')[1]);
  assert.ok(free < 1_024, `the disk is full: ${free} kB are free`);
  await stop();
  const kept = await ca.root();
  await ca.stop();
  const pressed = performance.now();
  assert.equal((await world.start(token)).status, 202);
  await comesTo(world, token, ['Ready']);
  diagnostic(`a boot on a full disk, the authority down: ${Math.round(performance.now() - pressed)} ms`);
  const caller = new Caller(DOMAIN, ADDRESS, kept);
  const { cookie } = await caller.enter(await world.ticket(token));
  assert.equal((await caller.call('/prompt', { headers: { cookie: cookie ?? '' } })).status, 200);
});
