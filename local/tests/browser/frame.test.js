// ComfyUI in the frame: who gets in, with what, and what the bar above it does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { sendJob } from './harness/job.js';
import { comesIn, comfyui, opens, reads, sees } from './harness/person.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

/** @import { Stage } from './harness/stage.js' */

/** A question stays until it is answered. */
const ANSWERS_MS = 5_000;

/** Comes in, starts, and waits for ComfyUI's page. @param {Stage} stage */
const begins = async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  await comfyui(page).locator('#run').waitFor();
  const { gateway } = await cloud.machine();
  assert.ok(gateway);
  return gateway;
};

onStage('The frame lives on one partitioned cookie, in a browser that lets no other through', {}, async (stage) => {
  const gateway = await begins(stage);
  const { page, chromium } = stage;
  const wire = await chromium.context.newCDPSession(page);
  const { cookies } = await wire.send('Storage.getCookies');
  const ours = cookies.filter(({ domain }) => domain === new URL(gateway).hostname);
  assert.deepEqual(
    ours.map(({ name, secure, httpOnly, sameSite, partitionKey }) => [name.startsWith('__Host-'), secure, httpOnly, sameSite, partitionKey?.topLevelSite]),
    [[true, true, true, 'None', 'http://localhost']],
  );
  const kept = await comfyui(page).locator('body').evaluate(() => {
    document.cookie = 'third=party; SameSite=None; Secure';
    return document.cookie;
  });
  assert.equal(kept, '', 'a third-party cookie was to be blocked, as Chromium does by default');
});

onStage('The ticket is in no address that stays', {}, async (stage) => {
  const gateway = await begins(stage);
  const addresses = stage.page.frames().map((frame) => frame.url());
  assert.deepEqual(addresses, [`${stage.cloud.base}/`, `${gateway}/`]);
  assert.equal(await stage.page.evaluate(() => history.length), 2, 'about:blank and the page');
});

onStage('Without a ticket nobody gets in, and no other site can frame it', {}, async (stage) => {
  const gateway = await begins(stage);
  stage.witness.expected = new Set(['401']);
  const stranger = await stage.chromium.context.newPage();
  const answer = await stranger.goto(gateway);
  assert.equal(answer?.status(), 401);
  await reads(stranger, 'main', /Pilotlight/);
  assert.equal(await stranger.locator('#run').count(), 0);

  const elsewhere = createServer((_, reply) => {
    reply.setHeader('content-type', 'text/html');
    reply.end(`<!doctype html><title>Elsewhere</title><iframe src="${gateway}/"></iframe>`);
  });
  elsewhere.listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  try {
    const { port } = /** @type {import('node:net').AddressInfo} */ (elsewhere.address());
    await stranger.goto(`http://localhost:${port}/`);
    await until('the frame is refused', () => stranger.frames()[1]?.url().startsWith('chrome-error://'));
    await until('the browser says why', () => stage.witness.errors.some((error) => /frame-ancestors/.test(error)));
    stage.witness.errors = stage.witness.errors.filter((error) => !/frame-ancestors/.test(error));
  } finally {
    elsewhere.closeAllConnections();
    elsewhere.close();
  }
});

onStage('ComfyUI opens in a tab of its own, on a ticket of its own', {}, async (stage) => {
  const gateway = await begins(stage);
  const { page, chromium } = stage;
  const opened = chromium.context.waitForEvent('page');
  await page.locator('#open-tab').click();
  const tab = await opened;
  await tab.locator('#run').waitFor();
  assert.equal(tab.url(), `${gateway}/`);
  assert.equal(await tab.evaluate(() => window.opener), null);
});

onStage('Extend moves the end, and the bar says so', {}, async (stage) => {
  await begins(stage);
  const { page, cloud } = stage;
  const token = await cloud.signIn();
  const before = Date.parse((await cloud.view(token)).stop_at);
  await page.locator('#extend').click();
  await page.locator('#extend-menu [data-minutes="120"]').click();
  // What was used meanwhile moves it by the idle limit, half an hour, at most.
  await until('the end has moved by more than an hour', async () => Date.parse((await cloud.view(token)).stop_at) - before > 3_600_000);
  await reads(page, '#bar-stops', /stops in (2 h|1 h)/);
});

onStage('Stop asks first when a job would be lost', {
  speed: 10,
}, async (stage) => {
  await begins(stage);
  const { page } = stage;
  await sendJob(page, 3_600);
  await reads(page, '#bar-because', /kept on by a job in the queue/);
  await page.locator('#stop').click();
  await page.locator('#confirm-stop[open]').waitFor({ timeout: ANSWERS_MS });
  await page.locator('#confirm-stop-no').click({ timeout: ANSWERS_MS });
  await page.locator('#confirm-stop').waitFor({ state: 'hidden' });
  await reads(page, '#bar-because', /kept on by a job in the queue/);
  await page.locator('#stop').click();
  await page.locator('#confirm-stop-yes').click();
  await sees(page, 'Stopped');
  await reads(page, '#last-stop-why', /pressed Stop/);
});

onStage('A person who only moves the pointer over ComfyUI is somebody who is there', { args: ['--idle-limit', '5m', '--sweep-every', '30s'] }, async (stage) => {
  await begins(stage);
  const { page, cloud } = stage;
  const token = await cloud.signIn();
  const first = await cloud.view(token);
  let step = 0;
  await until('the end has moved twice as far as nobody there would have let it', async () => {
    step += 1;
    await page.mouse.move(200 + (step % 20) * 30, 400);
    const seen = await cloud.view(token);
    assert.equal(seen.phase, 'Ready');
    return Date.parse(seen.now) > Date.parse(first.stop_at) + 300_000;
  });
  assert.ok(['Person', 'Traffic'].includes((await cloud.view(token)).active_because));
});
