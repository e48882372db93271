// The witness itself: what it swears to in every other test is worth something only if it would have noticed.
import assert from 'node:assert/strict';

import { visit } from './harness/person.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

/** @param {string} address */
const ask = (address) => fetch(address).then(() => undefined, () => undefined);

onStage('The witness notices a request to another machine, and a breach of the page’s own rules', {}, async ({ page, cloud, chromium, witness }) => {
  await visit(page, cloud.base);
  await page.evaluate(ask, 'http://elsewhere.invalid/');
  await until('the breach is noticed', () => witness.errors.some((error) => /Content Security Policy/.test(error)));
  witness.errors.length = 0;
  await page.evaluate(ask, `${cloud.base}/api/session`);
  await until('the refusal that no test expected is noticed', () => witness.errors.some((error) => /401/.test(error)));
  witness.errors.length = 0;
  const lawless = await chromium.context.newPage();
  await lawless.evaluate(ask, 'http://elsewhere.invalid/');
  assert.ok(witness.strangers.every((stranger) => stranger.endsWith('http://elsewhere.invalid/')), witness.strangers.join());
  assert.ok(witness.strangers.length >= 1);
  witness.strangers.length = 0;
});
