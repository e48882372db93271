// Nobody there: what is stopped, and what the page says when somebody comes back.
import assert from 'node:assert/strict';

import { comesIn, opens, reads, sees } from './harness/person.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

/** Policy minutes; five seconds at sixty times the pace. */
const QUICK = ['--idle-limit', '5m', '--sweep-every', '30s'];

onStage('A visible tab that nobody touches is stopped all the same', { args: QUICK }, async ({ page, cloud, witness }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  assert.equal(await page.evaluate(() => document.visibilityState), 'visible');
  await sees(page, 'Draining');
  const told = witness.count('POST', /keep-alive$/);
  assert.ok(told <= 1, `the press on Start may be told once, not ${told} times`);
  await sees(page, 'Stopped');
  await reads(page, '#last-stop-why', /nobody had (used|opened) it/);
  await reads(page, '#last-stop-receipt', /took .* and cost \$/);
  await reads(page, '#last-stop-safe', /safe/);
  assert.equal(witness.count('POST', /keep-alive$/), told);
});

onStage('While a laptop sleeps the machine stops, and on waking the page tells the truth', { args: QUICK }, async ({ page, cloud, chromium }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  chromium.sleep();
  const token = await cloud.signIn();
  await until('the machine is stopped', async () => (await cloud.view(token)).phase === 'Stopped');
  chromium.wake();
  await sees(page, 'Stopped', 5_000);
  await reads(page, '#last-stop-why', /nobody had (used|opened) it/);
});

onStage('A hidden tab asks nothing, and asks at once when it is looked at again', { args: QUICK }, async ({ page, cloud, chromium, witness }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  const other = await chromium.context.newPage();
  await other.bringToFront();
  await until('the tab is hidden', () => page.evaluate(() => document.visibilityState === 'hidden'));
  const token = await cloud.signIn();
  const asked = witness.asked.length;
  await until('the machine is stopped', async () => (await cloud.view(token)).phase === 'Stopped');
  assert.ok(witness.asked.length - asked <= 1, 'a question that was under way may end; no other is asked');
  await page.bringToFront();
  await sees(page, 'Stopped', 5_000);
});

onStage('At the longest time a run may take it ends, and nothing keeps it running', { args: ['--hard-limit', '8m'] }, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await sees(page, 'Draining');
  await reads(page, '#drain-why', /longest time a run may take/);
  assert.equal(await page.locator('#keep-running').getAttribute('aria-disabled'), 'true');
  await sees(page, 'Stopped');
  await reads(page, '#last-stop-why', /on for 8 minutes, the longest a run may take/);
});
