/**
 * A test with the program and a browser on the stage. It ends with both gone, and with two questions that every test
 * answers: did anything leave this machine, and did our own page complain?
 */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

import { Chromium } from './chromium.js';
import { Pilotlight } from './pilotlight.js';
import { Witness } from './witness.js';

/** @import { Options } from './pilotlight.js' */

export const screenshots = fileURLToPath(new URL('../screenshots/', import.meta.url));

/** A whole test, start and end of everything included. */
const TEST_LIMIT_MS = 170_000;

/** So much of what the program has printed goes into the message of a failing test. */
const LOG_SHOWN = 6_000;
const HEARD_SHOWN = 40;

/**
 * @typedef {object} Stage
 * @property {Pilotlight} cloud
 * @property {Chromium} chromium
 * @property {import('playwright-core').Page} page
 * @property {Witness} witness
 * @property {(words: string) => void} diagnostic Printed beside the result.
 * @property {() => Promise<{chromium: Chromium, page: import('playwright-core').Page, witness: Witness}>} anotherBrowser
 */

/**
 * @param {string} sentence What must hold.
 * @param {Options & {limitMs?: number, todo?: string}} options `todo`: why it does not hold yet.
 * @param {(stage: Stage) => Promise<void>} play
 */
export const onStage = (sentence, { limitMs = TEST_LIMIT_MS, todo, ...options }, play) =>
  test(sentence, { timeout: limitMs, todo }, async (context) => {
    /** @type {{end: () => Promise<void>}[]} */
    const toEnd = [];
    /** @type {{page: import('playwright-core').Page, witness: Witness, name: string}[]} */
    const watched = [];
    try {
      const cloud = await Pilotlight.start(options);
      toEnd.push(cloud);
      const anotherBrowser = async () => {
        const chromium = await Chromium.start();
        toEnd.push(chromium);
        const witness = new Witness(chromium.context, cloud.base);
        const page = await chromium.firstPage();
        watched.push({ page, witness, name: `browser ${watched.length + 1}` });
        return { chromium, page, witness };
      };
      const first = await anotherBrowser();
      try {
        await play({ cloud, ...first, anotherBrowser, diagnostic: (words) => context.diagnostic(words) });
        for (const { witness } of watched) {
          assert.deepEqual(witness.strangers, [], 'requests left this machine');
          assert.deepEqual(witness.errors, [], 'our own page complained');
        }
      } catch (error) {
        throw await withEvidence(sentence, error, cloud, watched);
      }
    } finally {
      for (const one of toEnd.reverse()) await one.end();
    }
  });

/**
 * The error, with everything that tells why.
 * @param {string} sentence @param {unknown} error @param {Pilotlight} cloud
 * @param {{page: import('playwright-core').Page, witness: Witness, name: string}[]} watched
 */
const withEvidence = async (sentence, error, cloud, watched) => {
  await mkdir(screenshots, { recursive: true });
  const parts = [error instanceof Error ? error.stack ?? error.message : String(error)];
  for (const [index, { page, witness, name }] of watched.entries()) {
    const path = `${screenshots}failed-${sentence.replace(/\W+/g, '-').slice(0, 80)}-${index + 1}.png`;
    const pictured = await page.screenshot({ path, timeout: 5_000 }).then(() => path, (reason) => `no screenshot: ${reason}`);
    parts.push(`--- ${name} at ${page.url()}: ${pictured}`);
    parts.push(`console:\n${witness.heard.slice(-HEARD_SHOWN).join('\n')}`);
    parts.push(`asked lately: ${witness.asked.slice(-HEARD_SHOWN).map(({ method, path: asked }) => `${method} ${asked}`).join(', ')}`);
  }
  parts.push(`--- pilotlight printed:\n${cloud.log.slice(-LOG_SHOWN)}`);
  return new Error(parts.join('\n'), { cause: error });
};
