/**
 * Takes a stage's picture three times over: light, dark, and on a phone.
 *
 * @import { Page } from 'playwright-core'
 */
import { mkdir } from 'node:fs/promises';

import { screenshots } from './stage.js';

const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

/** @param {Page} page */
const settled = (page) =>
  page.evaluate(async () => {
    await document.fonts.ready;
    const running = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
    await Promise.all(running.map(({ finished }) => finished.catch(() => undefined)));
    await new Promise((resume) => requestAnimationFrame(() => requestAnimationFrame(resume)));
  });

/** @param {Page} page @param {string} stage */
export const photograph = async (page, stage) => {
  await mkdir(screenshots, { recursive: true });
  const views = /** @type {const} */ ([
    ['light', 'light', DESK],
    ['dark', 'dark', DESK],
    ['phone', 'light', PHONE],
  ]);
  for (const [name, colorScheme, size] of views) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    await settled(page);
    await page.screenshot({ path: `${screenshots}${stage}-${name}.png` });
  }
  await page.setViewportSize(DESK);
  await page.emulateMedia({ colorScheme: 'light' });
};
