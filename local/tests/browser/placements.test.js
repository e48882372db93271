// Zones without machines, machines that Google takes back, and machines that come too late, as the page tells of them.
import assert from 'node:assert/strict';

import { comesIn, comfyui, opens, reads, sees } from './harness/person.js';
import { photograph } from './harness/photographer.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

/** @import { Page } from 'playwright-core' */
/** @import { Pilotlight } from './harness/pilotlight.js' */

/** One that runs, and two that wait. */
const JOBS = 3;

/** A picture whose blur takes an hour. */
const LONG_JOB = {
  client_id: 'a-test',
  prompt: {
    1: { class_type: 'EmptyImage', inputs: { width: 64, height: 48, batch_size: 1, color: 255 } },
    2: { class_type: 'ImageBlur', inputs: { image: ['1', 0], blur_radius: 31, sigma: 1, stand_in_seconds: 3600 } },
    3: { class_type: 'PreviewImage', inputs: { images: ['2', 0] } },
  },
};

/** Zone and outcome of each try that is shown. @param {Page} page */
const shownWalk = (page) =>
  page.locator('#walk-rows li').evaluateAll((rows) => rows.map((row) => `${row.querySelector('.try-zone')?.textContent} ${row.getAttribute('data-outcome')}`));

/** ComfyUI's frame, once it is there. @param {Page} page */
const frameOf = (page) => until('ComfyUI is in its frame', () => page.frames().find((frame) => frame !== page.mainFrame() && frame.url().startsWith('http')));

/** Names of the prompts that ComfyUI has, the one that runs first. @param {Page} page @returns {Promise<string[]>} */
const queueOf = async (page) => (await frameOf(page)).evaluate(async () => {
  const queue = await (await fetch('/queue')).json();
  return [...queue.queue_running, ...queue.queue_pending].map(([, id]) => id);
});

/** How often an instance of a zone was asked to stop. @param {Pilotlight} cloud @param {string} zone @returns {Promise<number>} */
const stopsIn = async (cloud, zone) => {
  const { compute } = await cloud.panel();
  const { items = [] } = await (await fetch(`${compute}projects/local/zones/${zone}/operations`)).json();
  return items.filter((/** @type {{operationType: string}} */ { operationType }) => operationType === 'stop').length;
};

onStage('The walk from a dry zone to the next is seen, and a machine that comes too late disturbs nothing', { speed: 20 }, async ({ page, cloud }) => {
  const [first, second] = (await cloud.panel()).zones;
  await cloud.fault({ zone: first, stock_out: true, after_seconds: 20 });
  await cloud.fault({ zone: first, late_success_seconds: 240 });
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await until('the next zone is tried', async () => (await shownWalk(page)).length === 2);
  const held = await cloud.comfyuiPid();
  process.kill(held, 'SIGSTOP');
  await sees(page, 'Booting');
  assert.deepEqual(await shownWalk(page), [`${first} dry`, `${second} up`]);
  await photograph(page, '16-walk');
  process.kill(held, 'SIGCONT');
  await opens(page);
  await until('the late machine was up and has been stopped', async () => (await stopsIn(cloud, first ?? '')) > 0);
  await until('it is down again', async () => (await cloud.running()).length === 1);
  await reads(page, '#bar-place', new RegExp(second ?? 'none'));
  await opens(page, 1_000);
  await photograph(page, '17-late-success');
});

onStage('When all zones are dry one has it tried on, and the history tells how it went', { speed: 20 }, async ({ page, cloud }) => {
  const { zones } = await cloud.panel();
  for (const zone of zones) await cloud.fault({ zone, stock_out: true, after_seconds: 10 });
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await sees(page, 'Failed');
  await page.locator('#keep-trying-start').waitFor();
  await photograph(page, '18-all-dry');
  await page.locator('#keep-trying-for').selectOption('60');
  await page.locator('#keep-trying-start').click();
  await reads(page, '#waiting', /All zones were dry at .* Next try in .* giving up at/);
  await photograph(page, '19-keep-trying');
  await cloud.fault({ zone: zones[0], stock_out: false });
  await opens(page);
  await reads(page, '#bar-place', new RegExp(zones[0] ?? 'none'));
  await page.locator('#stop').click();
  await sees(page, 'Stopped');

  await page.locator('#history-of-card').click();
  await reads(page, '#history-body', /Run 2/);
  await reads(page, '#history-body', /no zone had a machine to give/);
  await reads(page, '#history-body', /pressed Stop/);
  await reads(page, '#history-lesson', /\d+ of \d+ tries/);
  await page.locator('#history-body svg').first().waitFor();
  await photograph(page, '20-history');
});

onStage('A run that is preempted in the middle of a job goes on elsewhere, and its prompts are put back when one agrees', {
  speed: 20,
  args: ['--placements', '4', '--spot', 'first'],
}, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  await comfyui(page).locator('#run').waitFor();
  const frame = await frameOf(page);
  const ids = await frame.evaluate(async ([job, count]) => {
    const made = [];
    for (let at = 0; at < count; at += 1) {
      const answer = await fetch('/prompt', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(job) });
      made.push((await answer.json()).prompt_id);
    }
    return made;
  }, /** @type {const} */ ([LONG_JOB, JOBS]));
  await reads(page, '#bar-because', /job|queue/i);
  const taken = await cloud.machine();
  await cloud.fault({ instance: taken.instance, preempt: true });
  await sees(page, ['Placing', 'Booting']);
  await reads(page, '#interruption', /Google took the machine back at .* started again on another \(1st restart\)/);
  await photograph(page, '21-interrupted');
  await opens(page);
  assert.notEqual((await cloud.machine()).zone, taken.zone);
  await reads(page, '#kept-words', /3 prompts/);
  await comfyui(page).locator('#run').waitFor();
  await photograph(page, '22-kept-prompts');
  assert.deepEqual(await queueOf(page), [], 'nothing is put back that nobody has agreed to');
  await page.locator('#details').click();
  await page.locator('#restore-queue').check();
  await photograph(page, '23-agreed');
  await page.keyboard.press('Escape');
  await until('the prompts are back', async () => (await queueOf(page)).length >= JOBS);
  await page.locator('#kept').waitFor({ state: 'hidden' });
  assert.deepEqual(await queueOf(page), ids, 'each once, in their order');
});
