// From Start to Ready, and everything that can come in between.
import assert from 'node:assert/strict';

import { comesIn, opens, reads, sees, visit } from './harness/person.js';
import { PASSWORD } from './harness/pilotlight.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

/** So often Tab is pressed before the button sought counts as out of reach. */
const TABS_MAX = 15;

/** @param {import('playwright-core').Page} page @param {string} id */
const tabTo = async (page, id) => {
  for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
    if ((await page.evaluate(() => document.activeElement?.id)) === id) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`#${id} is not reached by ${TABS_MAX} presses of Tab`);
};

onStage('With the keyboard alone one signs in, starts and stops, and hears what happens', { speed: 10 }, async ({ page, cloud }) => {
  await visit(page, cloud.base);
  await until('the password field has the focus', () => page.evaluate(() => document.activeElement?.id === 'password'));
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await sees(page, 'Stopped');
  await page.evaluate(() => {
    const live = document.getElementById('live');
    Object.assign(window, { heard: [] });
    new MutationObserver(() => /** @type {any} */ (window).heard.push(live?.textContent)).observe(live ?? document.body, { childList: true, characterData: true, subtree: true });
  });
  await tabTo(page, 'start');
  const outline = await page.locator('#start').evaluate((button) => getComputedStyle(button).outlineStyle);
  assert.notEqual(outline, 'none', 'what has the focus shows it');
  await page.keyboard.press('Enter');
  await opens(page);
  await tabTo(page, 'stop');
  await page.keyboard.press('Enter');
  await sees(page, 'Stopped');
  const heard = await until('the end is told', async () => {
    /** @type {string[]} */
    const sentences = await page.evaluate(() => /** @type {any} */ (window).heard);
    return sentences.some((sentence) => /stopped/i.test(sentence)) && sentences;
  });
  assert.ok(heard.some((sentence) => /Starting the machine|Finding a GPU|is starting/.test(sentence)), heard.join(' | '));
  assert.ok(heard.some((sentence) => /is on/.test(sentence)), heard.join(' | '));
  assert.ok(heard.some((sentence) => /pressed Stop/.test(sentence)), heard.join(' | '));
});

onStage('A start shows its steps, the current one and, from the second time on, how long they usually take', { speed: 10 }, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  for (const time of ['first', 'second']) {
    await page.locator('#start').click();
    await sees(page, ['Placing', 'Booting']);
    await page.locator('#boot-steps [aria-current="step"]').waitFor();
    assert.equal(await page.locator('#boot-progress').isVisible(), true);
    const rows = page.locator('#boot-steps');
    if (time === 'second') await reads(page, '#boot-steps', /usually/);
    else assert.doesNotMatch(await rows.innerText(), /usually/);
    await opens(page);
    await reads(page, '#bar-place', /us-central1-a/);
    await page.locator('#stop').click();
    await sees(page, 'Stopped');
  }
});

onStage('Stop while a machine is still being looked for ends it, and nothing wakes up afterwards', {}, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await cloud.fault({ compute: { delay_ms: 2_000 } });
  await page.locator('#start').click();
  await sees(page, 'Placing');
  await page.locator('#stop').click();
  await sees(page, 'Stopped');
  await reads(page, '#last-stop-why', /pressed Stop/);
  await cloud.fault({ compute: { delay_ms: 0 } });
  await until('every machine is down', async () => (await cloud.panel()).vms.every(({ status, pid }) => status === 'TERMINATED' && pid === null));
});

onStage('Stop while the machine boots ends it', { speed: 10 }, async ({ page, cloud }) => {
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  const { pid } = await cloud.machine();
  // It stands still, so it is never ready.
  process.kill(pid, 'SIGSTOP');
  await sees(page, 'Booting');
  await page.locator('#stop').click();
  await sees(page, ['Stopping', 'Stopped']);
  await sees(page, 'Stopped');
  await reads(page, '#last-stop-why', /pressed Stop/);
  assert.deepEqual((await cloud.running()).map(({ instance }) => instance), []);
});

onStage('When one zone has no GPU the next is tried by itself', {}, async ({ page, cloud }) => {
  const { zones } = await cloud.panel();
  await cloud.fault({ zone: zones[0], stock_out: true });
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await opens(page);
  await reads(page, '#bar-place', new RegExp(zones[1] ?? 'none'));
  assert.deepEqual((await cloud.running()).map(({ zone }) => zone), [zones[1]]);
});

onStage('When no zone has a GPU the page says so, says what to do, and tries again when asked', {}, async ({ page, cloud }) => {
  const { zones } = await cloud.panel();
  for (const zone of zones) await cloud.fault({ zone, stock_out: true });
  await comesIn(page, cloud.base);
  await page.locator('#start').click();
  await sees(page, 'Failed');
  await reads(page, '#failure-title', /L4 to be had in/i);
  await reads(page, '#failure-hint', /\w+ \w+/);
  await reads(page, '#failure-retry', /another try/);
  for (const zone of zones) await cloud.fault({ zone, stock_out: false });
  await reads(page, '#start', /Try again/);
  await page.locator('#start').click();
  await opens(page);
});

onStage('Two browsers that press Start at once share one run', { limitMs: 120_000 }, async ({ page, cloud, anotherBrowser }) => {
  const other = await anotherBrowser();
  await Promise.all([comesIn(page, cloud.base), comesIn(other.page, cloud.base)]);
  await Promise.all([page.locator('#start').click(), other.page.locator('#start').click()]);
  await Promise.all([opens(page), opens(other.page)]);
  const token = await cloud.signIn();
  assert.equal((await cloud.view(token)).run, 1);
  assert.equal((await cloud.running()).length, 1);
});
