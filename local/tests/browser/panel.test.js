// The pocket cloud's own panel, by clicking.
import assert from 'node:assert/strict';

import { comesIn, opens, reads } from './harness/person.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

onStage('On the panel one makes a zone dry, sets the queue and Compute Engine, and takes a machine back', {}, async ({ page, cloud, chromium }) => {
  await comesIn(page, cloud.base);
  const panel = await chromium.context.newPage();
  await panel.goto(`${cloud.base}/local`);
  const [first, second] = (await cloud.panel()).zones;
  const dry = panel.getByLabel(`${first} is dry`);
  await dry.check();
  await until('the zone is dry', async () => (await cloud.panel()).dry_zones.includes(first ?? ''));

  await panel.locator('#queue [name="repeat"]').fill('3');
  await panel.locator('#queue button').click();
  await until('messages come three times more', async () => (await cloud.panel()).faults.repeat === 3);
  await panel.locator('#compute [name="delay_ms"]').fill('20');
  await panel.locator('#compute button').click();
  await until('Compute Engine is slower', async () => (await cloud.panel()).faults.delay_ms === 20);

  await page.bringToFront();
  await page.locator('#start').click();
  await opens(page);
  await reads(page, '#bar-place', new RegExp(second ?? 'none'));

  await panel.bringToFront();
  const row = panel.locator('#vms tr').filter({ hasText: 'RUNNING' });
  await row.locator('code').waitFor();
  assert.match(await row.innerText(), new RegExp(second ?? 'none'));
  await row.getByRole('button', { name: 'Preempt' }).click();
  await panel.locator('#notices li', { hasText: 'run.preempted' }).waitFor();
  await reads(panel, '#notices', /Google took/);
  await dry.uncheck();
  await until('the zone is not dry', async () => !(await cloud.panel()).dry_zones.includes(first ?? ''));

  await panel.getByLabel(`${first} comes up late`).check();
  await reads(panel, '#zones', new RegExp(`${first} is dry: .* its machine is up 120 s later`));
  const later = panel.getByLabel(`Seconds until the machine in ${first} is up all the same`);
  await later.fill('90');
  await later.press('Enter');
  await until('it is up sooner', async () => (await cloud.panel()).zone_faults.some(({ zone, late_success_seconds: late }) => zone === first && late === 90));
  await panel.getByLabel(`${first} is gone`).check();
  await reads(panel, '#zones', new RegExp(`${first} does not answer`));
  await panel.getByLabel(`${first} is gone`).uncheck();
  await panel.getByLabel(`${first} comes up late`).uncheck();
  await reads(panel, '#zones', new RegExp(`${first} has machines`));
});
