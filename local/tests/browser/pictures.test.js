// Every stage of the page, to be looked at: light, dark and on a phone, in `screenshots/`.
import assert from 'node:assert/strict';

import { comfyui, opens, reads, sees, signIn, visit } from './harness/person.js';
import { photograph } from './harness/photographer.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

/** Slow enough to hold still for three pictures each. */
const SPEED = 10;

const REAL_PAGE_MS = 60_000;

onStage('The stages up to Ready and back to Stopped are pictured', {
  speed: SPEED,
  realPage: true,
  args: ['--idle-limit', '5m', '--sweep-every', '30s'],
  limitMs: 230_000,
}, async ({ page, cloud, witness }) => {
  witness.expected = new Set(['401']);
  await visit(page, cloud.base);
  await page.locator('#password').waitFor();
  await photograph(page, '01-sign-in');
  await signIn(page, 'a wrong guess');
  await reads(page, '#sign-in-problem', /password/i);
  await photograph(page, '02-wrong-password');
  await signIn(page);
  await sees(page, 'Stopped');
  await photograph(page, '03-stopped-first');
  // Once through, so that the second time shows how long it usually takes.
  await page.locator('#start').click();
  await opens(page);
  await page.locator('#stop').click();
  await sees(page, 'Stopping');
  await photograph(page, '11-stopping');
  await sees(page, 'Stopped');

  await page.locator('#start').click();
  await cloud.machine();
  // ComfyUI stands still, so the machine goes on booting until the pictures are taken.
  const held = await cloud.comfyuiPid();
  process.kill(held, 'SIGSTOP');
  await page.locator('#boot-steps [aria-current="step"]', { hasText: 'Starting ComfyUI' }).waitFor();
  await photograph(page, '05-booting');
  process.kill(held, 'SIGCONT');
  await opens(page);

  await comfyui(page).locator('#stand-in-banner').waitFor({ timeout: REAL_PAGE_MS });
  const run = comfyui(page).getByTestId('queue-button').or(comfyui(page).getByRole('button', { name: /^Run/ })).first();
  const drawn = page.waitForResponse((answer) => answer.url().includes('/view?') && answer.ok(), { timeout: REAL_PAGE_MS });
  await run.click({ timeout: REAL_PAGE_MS });
  await drawn;
  await photograph(page, '06-ready');
  await page.locator('#extend').click();
  await photograph(page, '07-extend');
  await page.keyboard.press('Escape');
  await page.locator('#details').click();
  await photograph(page, '08-details');
  await page.keyboard.press('Escape');

  await sees(page, 'Draining', 60_000);
  await photograph(page, '09-draining');
  await page.locator('#keep-running').click();
  await opens(page, 5_000);
  await photograph(page, '10-kept');
  await page.locator('#stop').click();
  await sees(page, 'Stopped');
  await reads(page, '#last-stop-why', /pressed Stop/);
  await photograph(page, '12-stopped-receipt');

  await cloud.fault({ compute: { delay_ms: 4_000 } });
  await page.locator('#start').click();
  await sees(page, 'Placing');
  await photograph(page, '04-placing');
});

onStage('A failure, a page without network, and the panel are pictured', {}, async ({ page, cloud, chromium, witness }) => {
  witness.expected = new Set(['net::ERR_INTERNET_DISCONNECTED']);
  const { zones } = await cloud.panel();
  for (const zone of zones) await cloud.fault({ zone, stock_out: true });
  await visit(page, cloud.base);
  await signIn(page);
  await page.locator('#start').click();
  await sees(page, 'Failed');
  await photograph(page, '13-failed');
  for (const zone of zones) await cloud.fault({ zone, stock_out: false });
  await page.locator('#start').click();
  await opens(page);
  await comfyui(page).locator('#run').waitFor();
  await chromium.context.setOffline(true);
  await page.locator('#offline').waitFor();
  await photograph(page, '14-offline');
  await chromium.context.setOffline(false);
  await page.locator('#offline').waitFor({ state: 'hidden' });
  const panel = await chromium.context.newPage();
  await panel.goto(`${cloud.base}/local`);
  await panel.locator('#vms tr').first().waitFor();
  assert.ok(await until('the panel shows the machine that runs', () => panel.locator('#vms tr', { hasText: 'RUNNING' }).count()));
  await photograph(panel, '15-panel');
});
