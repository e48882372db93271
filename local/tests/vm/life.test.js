/**
 * The whole life of a VM as its person lives it: a first boot from nothing, work in ComfyUI's real page over HTTPS,
 * processes that are shot, an idle end in order, and a second boot that finds everything where it was.
 */
import assert from 'node:assert/strict';

import { sendJob } from '../browser/harness/job.js';
import { comesIn, comfyui, opens, reads, sees } from '../browser/harness/person.js';
import { until } from '../browser/harness/until.js';
import { DOMAIN, inWorld } from './harness/world.js';

const IDLE_LIMIT = 8 * 60;
const SPEED = 30;
const IDLE_WAIT_MS = ((IDLE_LIMIT + 60) * 1_000) / SPEED + 40_000;

/** From Start to ComfyUI, everything to be made. */
const BOOT_MS = 90_000;

/** The real page is large, and drawn without a GPU. */
const REAL_PAGE_MS = 60_000;

const UPLOAD_BYTES = 500 * 1024 * 1024;

/** More than the gateway and nginx together hold of an upload at any time, and far less than it. */
const HELD_KB_MAX = 120 * 1024;

/** nginx cuts a WebSocket that has been silent for a minute, unless it is told otherwise. Real time. */
const SILENT_MS = 65_000;

/** The most memory that processes of these names have ever held, in kB. @param {import('./harness/vm.js').Vm} vm @param {string} names */
const peaks = async (vm, names) => {
  const told = await vm.run(`for pid in $(pgrep '${names}'); do grep VmHWM /proc/$pid/status; done`);
  return [...told.matchAll(/(\d+) kB/g)].map(([, kb]) => Number(kb));
};

/** Whether ComfyUI, as the page shows it, is answered. @param {import('playwright-core').Page} page */
const isLetIn = (page) =>
  comfyui(page).locator('#stand-in-banner').evaluate(
    () => fetch('/prompt').then(({ ok }) => ok, () => false), undefined, { timeout: 5_000 },
  ).catch(() => false);

const args = ['--idle-limit', `${IDLE_LIMIT}s`, '--sweep-every', '30s'];

inWorld('a VM sets itself up, is worked with, and is stopped when idle', { domain: DOMAIN, args }, async (world, diagnostic) => {
  const { cloud, vm } = world;
  const chromium = await world.browser();
  const page = await chromium.firstPage();

  await comesIn(page, cloud.base);
  const pressed = performance.now();
  await page.locator('#start').click();
  await sees(page, ['Placing', 'Booting']);
  await sees(page, ['Ready', 'Failed'], BOOT_MS);
  await opens(page);
  diagnostic(`first boot: ${Math.round(performance.now() - pressed)} ms from Start to Ready; ${await vm.bootTimes()}`);
  await comfyui(page).locator('#stand-in-banner').waitFor({ timeout: REAL_PAGE_MS });
  const shown = page.frames().find((frame) => frame.url().startsWith(`https://${DOMAIN}/`));
  assert.ok(shown, 'ComfyUI is shown from its domain, over HTTPS');

  const run = comfyui(page).getByTestId('queue-button').or(comfyui(page).getByRole('button', { name: /^Run/ })).first();
  const drawn = page.waitForResponse((answer) => answer.url().includes('/view?') && answer.ok(), { timeout: REAL_PAGE_MS });
  await run.click({ timeout: REAL_PAGE_MS });
  assert.match((await drawn).headers()['content-type'] ?? '', /^image\//);

  const token = await cloud.signIn();
  const caller = await world.caller();
  const enter = async () => (await caller.enter(await world.ticket(token))).cookie ?? '';
  const uploaded = await caller.upload('/api/upload/image', UPLOAD_BYTES, { cookie: await enter() });
  assert.equal(uploaded.status, 200, uploaded.body);
  const held = await peaks(vm, 'gateway|nginx');
  assert.ok(held.length >= 3 && held.every((kb) => kb < HELD_KB_MAX), `held while 500 MB passed: ${held.join(', ')} kB`);
  diagnostic(`500 MB passed; the most that the gateway or nginx held: ${Math.max(...held)} kB`);

  for (const unit of ['comfyui.service', 'pilotlight-gateway.service', 'nginx.service']) {
    await vm.kill(unit);
    await until(`after ${unit} was killed, ComfyUI answers`, async () => {
      const answer = await caller.call('/prompt', { headers: { cookie: await enter() } }).catch(() => null);
      return answer?.status === 200;
    });
    await until(`after ${unit} was killed, the page is let in again`, () => isLetIn(page), REAL_PAGE_MS);
  }
  assert.equal((await cloud.view(token)).run, 1);

  // A WebSocket on which nobody says anything, while a job keeps the machine on.
  const socket = await caller.socket('/ws?clientId=silent', { cookie: await enter() });
  let cut = false;
  socket.on('close', () => { cut = true; });
  socket.resume();
  await sendJob(page, (SILENT_MS / 1_000) * SPEED);
  const silentUntil = performance.now() + SILENT_MS;

  assert.deepEqual(await world.diagnosis(), []);

  await until('more than a minute has passed', () => performance.now() > silentUntil, SILENT_MS + 5_000);
  assert.ok(!cut, 'nobody cuts a WebSocket because it is silent');
  assert.ok(['Ready', 'Draining'].includes((await cloud.view(token)).phase));
  socket.destroy();

  const certificate = 'openssl x509 -noout -serial -in /run/pilotlight/certificate/fullchain.pem';
  const serial = await vm.run(certificate);
  const orders = world.ca.orders;
  await vm.run('echo mine > /mnt/pilotlight/comfyui/output/picture.png');

  await sees(page, 'Draining', IDLE_WAIT_MS);
  await sees(page, 'Stopped', IDLE_WAIT_MS);
  await reads(page, '#last-stop-why', /nobody had used it for 8 minutes/);
  await vm.isOff();
  // Told by its gateway or by Compute Engine, whichever is quicker: either way in order. `alone.test.js` has the first alone.
  const last = await vm.journal(['--unit', 'comfyui.service', '--lines', '20']);
  assert.match(last, /Stopped comfyui\.service/, 'ComfyUI was let end before the power went');

  const again = performance.now();
  await page.locator('#start').click();
  await opens(page, BOOT_MS);
  diagnostic(`second boot: ${Math.round(performance.now() - again)} ms from Start to Ready; ${await vm.bootTimes()}`);
  await comfyui(page).locator('#stand-in-banner').waitFor({ timeout: REAL_PAGE_MS });
  assert.equal((await cloud.view(token)).run, 2);
  assert.equal(await vm.run(certificate), serial);
  assert.equal(world.ca.orders, orders, 'the certificate was used again');
  assert.equal(await vm.run('cat /mnt/pilotlight/comfyui/output/picture.png'), 'mine\n');
});
