/**
 * The whole life of a workspace as its person sees it, with ComfyUI's real page in the frame: start, work, a long job,
 * an announced stop called off, the stop, its receipt, and a start again. The same wherever the functions run.
 */
import assert from 'node:assert/strict';

import { sendJob } from './job.js';
import { comesIn, comfyui, opens, reads, sees } from './person.js';
import { until } from './until.js';

/** @import { Options } from './pilotlight.js' */
/** @import { Stage } from './stage.js' */

/** How much faster than life everything goes. */
const SPEED = 30;

/** Nobody there for so long, and it stops. Policy seconds. */
const IDLE_LIMIT = 8 * 60;

/** A job longer than the idle limit, by more than all that may delay a sweep. Policy seconds. */
const LONG_JOB = IDLE_LIMIT + 5 * 60;

/** An idle machine is announced within the limit and one sweep; a slow test machine gets some more. In milliseconds. */
const IDLE_WAIT_MS = ((IDLE_LIMIT + 60) * 1_000) / SPEED + 30_000;

/** The real page is large, and drawn without a GPU. */
const REAL_PAGE_MS = 60_000;

/** What the stage needs for it. @satisfies {Options & {limitMs: number}} */
export const forALife = {
  speed: SPEED,
  realPage: true,
  args: ['--idle-limit', `${IDLE_LIMIT}s`, '--sweep-every', '30s'],
  limitMs: 230_000,
};

/** @param {Stage} stage */
export const liveALife = async ({ page, cloud, diagnostic }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await sees(page, ['Placing', 'Booting']);
  await page.locator('#boot-steps [aria-current="step"]').waitFor();
  await opens(page);
  const opening = performance.now();
  await comfyui(page).locator('#stand-in-banner').waitFor({ timeout: REAL_PAGE_MS });
  diagnostic(`ComfyUI's real page was there after ${Math.round(performance.now() - opening)} ms`);

  const run = comfyui(page).getByTestId('queue-button').or(comfyui(page).getByRole('button', { name: /^Run/ })).first();
  const drawn = page.waitForResponse((answer) => answer.url().includes('/view?') && answer.ok(), { timeout: REAL_PAGE_MS });
  await run.click({ timeout: REAL_PAGE_MS });
  assert.match((await drawn).headers()['content-type'] ?? '', /^image\//);

  const token = await cloud.signIn();
  const view = () => cloud.view(token);
  await sendJob(page, LONG_JOB);
  const sent = await until('the job is why it is on', async () => {
    const seen = await view();
    return seen.active_because === 'Queue' && seen;
  });
  await reads(page, '#bar-because', /a job in the queue/);
  await until('the job has kept it on past the idle limit', async () => {
    const seen = await view();
    assert.equal(seen.phase, 'Ready');
    return Date.parse(seen.now) > Date.parse(sent.stop_at) && Date.parse(seen.stop_at) > Date.parse(sent.stop_at);
  }, IDLE_WAIT_MS);

  await sees(page, 'Draining', IDLE_WAIT_MS);
  await reads(page, '#drain-title', /stops in/);
  await page.locator('#keep-running').click();
  await opens(page, 5_000);
  assert.equal((await view()).active_because, 'Person');

  await sees(page, 'Draining', IDLE_WAIT_MS);
  await sees(page, 'Stopped', IDLE_WAIT_MS);
  await reads(page, '#last-stop-why', /nobody had used it for 8 minutes/);
  await reads(page, '#last-stop-receipt', /That run took .* and cost \$\d/);
  await reads(page, '#last-stop-safe', /Your files are safe/);
  assert.deepEqual((await cloud.running()).map(({ instance }) => instance), []);

  await page.locator('#start').click();
  await opens(page);
  assert.equal((await view()).run, 2);
  await comfyui(page).locator('#stand-in-banner').waitFor({ timeout: REAL_PAGE_MS });
};
