// What the first view costs, and the rules that its server sets for it.
import assert from 'node:assert/strict';

import { visit } from './harness/person.js';
import { onStage } from './harness/stage.js';
import { until } from './harness/until.js';

/** DESIGN's budget for what is transferred at first view. */
const FIRST_VIEW_MAX_BYTES = 60_000;

onStage('The first view takes at most 60 kB over the wire, and nothing inline may run in it', {}, async ({ page, cloud, chromium, diagnostic }) => {
  const wire = await chromium.context.newCDPSession(page);
  await wire.send('Network.enable');
  let [bytes, files] = [0, 0];
  wire.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
    files += 1;
  });
  const answer = await visit(page, cloud.base);
  await page.locator('#password').waitFor();
  await until('the icon and all modules have come', () => page.evaluate(() => document.readyState === 'complete'));
  diagnostic(`first view: ${files} files, ${bytes} bytes transferred, headers included`);
  assert.ok(bytes > 1_000, `only ${bytes} bytes were seen`);
  assert.ok(bytes <= FIRST_VIEW_MAX_BYTES, `${bytes} bytes in ${files} files`);
  const policy = answer?.headers()['content-security-policy'] ?? '';
  assert.match(policy, /default-src 'none'|default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval/);
  assert.equal(await page.locator('script:not([src]), style, [style], [onclick]').count(), 0);
});
