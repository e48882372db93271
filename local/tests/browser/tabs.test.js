// More than one tab, and what survives signing out.
import assert from 'node:assert/strict';

import { comesIn, comfyui, opens, reads, sees, signIn, visit } from './harness/person.js';
import { onStage } from './harness/stage.js';

/** Looked at again, a page does not wait for its next turn to ask. */
const CATCHES_UP_MS = 3_000;

onStage('Two windows side by side show the same, and what is stopped in one is seen in the other', {}, async ({ page, cloud, chromium }) => {
  await comesIn(page, cloud.base);
  const second = await chromium.newWindow();
  await visit(second, cloud.base);
  await sees(second, 'Stopped');
  await page.locator('#start').click();
  await Promise.all([opens(page), opens(second)]);
  await Promise.all([page, second].map((tab) => comfyui(tab).locator('#run').waitFor()));
  await second.locator('#stop').click();
  await Promise.all([sees(page, 'Stopped'), sees(second, 'Stopped')]);
  await reads(page, '#last-stop-why', /pressed Stop/);
});

onStage('A tab in the background catches up when it is looked at', {}, async ({ page, cloud, chromium }) => {
  await comesIn(page, cloud.base);
  const second = await chromium.context.newPage();
  await visit(second, cloud.base);
  await sees(second, 'Stopped');
  await second.locator('#start').click();
  await opens(second);
  assert.equal(await page.evaluate(() => document.visibilityState), 'hidden');
  await page.bringToFront();
  await opens(page, CATCHES_UP_MS);
  await page.locator('#stop').click();
  await second.bringToFront();
  await sees(second, ['Stopping', 'Stopped'], CATCHES_UP_MS);
});

onStage('Signing out in one tab signs out the other', {}, async ({ page, cloud, chromium }) => {
  await comesIn(page, cloud.base);
  const second = await chromium.context.newPage();
  await visit(second, cloud.base);
  await sees(second, 'Stopped');
  await second.locator('#sign-out').click();
  await second.locator('#sign-in').waitFor();
  await page.locator('#sign-in').waitFor();
});

onStage('Signed out elsewhere while ComfyUI is open, one signs in again and finds it as it was', {}, async ({ page, cloud, witness }) => {
  witness.expected = new Set(['401']);
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  const body = comfyui(page).locator('body');
  await body.waitFor();
  await body.evaluate((element) => element.setAttribute('data-unsaved', 'work'));
  const token = await page.evaluate(() => JSON.parse(localStorage.getItem('pilotlight.session') ?? '{}').token);
  assert.equal((await cloud.call('/api/logout', { token, method: 'POST' })).status, 204);
  await reads(page, '#sign-in-why', /back where you were/);
  await signIn(page);
  await opens(page);
  await comfyui(page).locator('body[data-unsaved="work"]').waitFor();
});
