/**
 * What a person does and sees in the page.
 *
 * @import { Locator, Page } from 'playwright-core'
 */
import { PASSWORD } from './pilotlight.js';
import { WAIT_LIMIT_MS } from './until.js';

/** @param {Page} page @param {string} base */
export const visit = (page, base) => page.goto(base, { waitUntil: 'load', timeout: WAIT_LIMIT_MS });

/** @param {Page} page @param {string} [password] */
export const signIn = async (page, password = PASSWORD) => {
  await page.locator('#password').fill(password);
  await page.locator('#sign-in-button').click();
};

/**
 * Waits until the page shows one of these phases, on the card or in the bar.
 * @param {Page} page @param {string | string[]} phases @param {number} [limitMs]
 */
export const sees = async (page, phases, limitMs = WAIT_LIMIT_MS) => {
  const wanted = [phases].flat().map((phase) => `[data-phase="${phase}"]:visible`);
  await page.locator(wanted.join(', ')).first().waitFor({ timeout: limitMs });
};

/**
 * Waits until the workspace is up and its ticket has been had. Stopped before that, the ticket is refused.
 * @param {Page} page @param {number} [limitMs]
 */
export const opens = async (page, limitMs = WAIT_LIMIT_MS) => {
  await sees(page, 'Ready', limitMs);
  await page.locator('#comfyui').waitFor({ state: 'attached', timeout: limitMs });
};

/**
 * Waits until words are there to be read.
 * @param {Page} page @param {string} place @param {RegExp} words @param {number} [limitMs]
 * @returns {Promise<Locator>}
 */
export const reads = async (page, place, words, limitMs = WAIT_LIMIT_MS) => {
  const found = page.locator(place).filter({ hasText: words });
  try {
    await found.first().waitFor({ timeout: limitMs });
  } catch {
    const there = await page.locator(place).allInnerTexts();
    throw new Error(`${place} was to say ${words}; it says ${JSON.stringify(there)}`);
  }
  return found.first();
};

/** Signs in and waits for the workspace. @param {Page} page @param {string} base */
export const comesIn = async (page, base) => {
  await visit(page, base);
  await signIn(page);
  await sees(page, ['Stopped', 'Placing', 'Booting', 'Ready', 'Draining', 'Stopping', 'Failed']);
};

/** ComfyUI inside the page. @param {Page} page */
export const comfyui = (page) => page.frameLocator('#comfyui');
