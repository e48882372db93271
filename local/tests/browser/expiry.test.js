// A token's whole life of a day, at six hundred times the pace: two and a half minutes in which nothing is done.
import { comesIn, reads, sees, signIn } from './harness/person.js';
import { onStage } from './harness/stage.js';

/** A day at this pace, with the tolerance for clocks that differ and some more. */
const DAY_MS = 155_000;

onStage('After a day a token is over: the page asks to sign in again, and one is back where one was', { speed: 600, limitMs: 230_000 }, async ({ page, cloud, witness }) => {
  witness.expected = new Set(['401']);
  await comesIn(page, cloud.base);
  await reads(page, '#sign-in-why', /back where you were/, DAY_MS);
  await signIn(page);
  await sees(page, 'Stopped');
});
