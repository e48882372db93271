// Getting in, being kept out, and coming back.
import assert from 'node:assert/strict';

import { comesIn, reads, sees, signIn, visit } from './harness/person.js';
import { PASSWORD } from './harness/pilotlight.js';
import { onStage } from './harness/stage.js';

/** More wrong guesses than any throttle forgives. */
const GUESSES_MAX = 25;

onStage('A wrong password is told, too many of them have to wait, and after the wait one gets in', { speed: 100 }, async ({ page, cloud, witness }) => {
  witness.expected = new Set(['401', '429']);
  await visit(page, cloud.base);
  await signIn(page, 'a wrong guess');
  await reads(page, '#sign-in-problem', /password/i);
  assert.equal(await page.locator('#password').inputValue(), '', 'the wrong password is not kept');
  let guess = 0;
  const refused = async () => (await cloud.call('/api/login', { body: { password: `a wrong guess, number ${guess}` } })).status;
  while ((await refused()) === 401 && guess < GUESSES_MAX) guess += 1;
  await signIn(page, 'one guess too many');
  await reads(page, '#sign-in-button', /Try again in/);
  const asked = witness.count('POST', /login$/);
  await page.locator('#password').fill(PASSWORD);
  await page.locator('#password').press('Enter');
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal(witness.count('POST', /login$/), asked, 'while one has to wait, nothing is asked');
  await reads(page, '#sign-in-button', /^Sign in$/);
  await signIn(page);
  await sees(page, 'Stopped');
});

onStage('Signed out elsewhere leads back to sign-in, and from there to where one was', {}, async ({ page, cloud, witness }) => {
  witness.expected = new Set(['401']);
  await comesIn(page, cloud.base);
  const token = await page.evaluate(() => JSON.parse(localStorage.getItem('pilotlight.session') ?? '{}').token);
  const revoked = await cloud.call('/api/logout', { token, method: 'POST' });
  assert.equal(revoked.status, 204);
  await reads(page, '#sign-in-why', /signed out/i);
  await signIn(page);
  await sees(page, 'Stopped');
});
