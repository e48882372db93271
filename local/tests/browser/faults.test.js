// What goes wrong behind the page, and what the page makes of it.
import assert from 'node:assert/strict';

import { comesIn, comfyui, opens, reads, sees } from './harness/person.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

onStage('When the machine dies, the page says that it stopped, and not through the page', {}, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  process.kill((await cloud.machine()).pid, 'SIGKILL');
  await sees(page, 'Stopped');
  await reads(page, '#last-stop-why', /machine itself was stopped/);
  assert.equal(await page.locator('#comfyui').count(), 0, 'what is gone is not shown');
  await page.locator('#start').click();
  await opens(page);
});

onStage('When ComfyUI falls it comes back by itself, in the page that was open and in one opened meanwhile', { speed: 10 }, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  const home = comfyui(page).locator('#run');
  await home.waitFor();
  const fallen = await cloud.comfyuiPid();
  process.kill(fallen, 'SIGKILL');
  const frame = page.frames().find((candidate) => candidate !== page.mainFrame());
  assert.ok(frame);
  await frame.evaluate(() => location.reload());
  await reads(page, '#bar-phase', /On/);
  await comfyui(page).getByText(/ComfyUI is starting/).first().waitFor();
  await home.waitFor();
  assert.notEqual(await cloud.comfyuiPid(), fallen);
  await opens(page);
});

onStage('A machine that Google takes back is told as such, and another one takes its place', {}, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  const { instance } = await cloud.machine();
  await cloud.fault({ instance, preempt: true });
  await reads(page, '#interruption', /Google took the machine back/);
  await opens(page);
  assert.notEqual((await cloud.machine()).instance, instance);
});

onStage('Without a network the page says so, and goes on by itself when there is one again', {}, async ({ page, cloud, chromium, witness }) => {
  witness.expected = new Set(['net::ERR_INTERNET_DISCONNECTED']);
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  await chromium.context.setOffline(true);
  await reads(page, '#offline', /You are offline/);
  await chromium.context.setOffline(false);
  await page.locator('#offline').waitFor({ state: 'hidden' });
  await opens(page);
});

onStage('When the server is gone the page says so', {}, async ({ page, cloud, witness }) => {
  witness.expected = new Set(['net::ERR_CONNECTION_REFUSED', 'net::ERR_EMPTY_RESPONSE', 'net::ERR_CONNECTION_RESET', 'net::ERR_INCOMPLETE_CHUNKED_ENCODING']);
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  await cloud.end();
  await reads(page, '#offline', /No answer from the server/);
});

onStage('A message pushed a hundred times starts one machine, and stops it once', {}, async ({ page, cloud }) => {
  await cloud.fault({ queue: { repeat: 100 } });
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  assert.equal((await cloud.running()).length, 1);
  await page.locator('#stop').click();
  await sees(page, 'Stopped');
  const token = await cloud.signIn();
  assert.equal((await cloud.view(token)).run, 1);
  await until('the machine is down', async () => (await cloud.running()).length === 0);
});
