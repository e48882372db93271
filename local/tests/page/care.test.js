/** What surrounds a run: the budget, the disk, kept prompts, and what can be done about a failure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readyView, viewOf } from './world.js';
import {
  budgetLevel,
  budgetNote,
  budgetStripWords,
  budgetWords,
  consentsToMove,
  consentWords,
  diskWords,
  failureLink,
  keptWords,
  lostZone,
  zoneGoneWords,
} from '../../../static/care-words.js';

const ADMIN = { name: 'ann', role: 'admin' };
const USER = { name: 'una', role: 'user' };
const VIEWER = { name: 'vic', role: 'viewer' };
const budget = (changes = {}) => ({ monthly_usd: 50, spent_usd: 41.2, percent: 82, used_up: false, when_used_up: 'next_idle', ...changes });
const gone = (changes = {}) =>
  viewOf({
    phase: 'Failed',
    disk: { regional: true, zones: ['us-central1-a', 'us-central1-b'] },
    failure: { code: 'zone_gone', title: 'us-central1-a does not answer', zone: 'us-central1-a', ...changes },
  });

test('the budget is told in dollars and percent, and never rounded up', () => {
  assert.equal(budgetWords(budget()), '$41.20 of $50, 82 %');
  assert.equal(budgetWords(budget({ monthly_usd: 12.5, percent: 99.9 })), '$41.20 of $12.50, 99 %');
});

test('the meter warns from eighty percent on', () => {
  const levels = [79.9, 80, 99].map((percent) => budgetLevel(budget({ percent })));
  assert.deepEqual(levels, ['fine', 'warned', 'warned']);
  assert.equal(budgetLevel(budget({ percent: 100, used_up: true })), 'used-up');
});

test('a budget that is nearly used up says what will happen, and one that is not says nothing', () => {
  assert.equal(budgetNote(viewOf({ budget: budget({ percent: 40 }) }), USER), '');
  assert.equal(budgetNote(viewOf({ budget: null }), USER), '');
  assert.match(budgetNote(viewOf({ budget: budget() }), USER), /^When it is used up, nobody but an admin .+ stops once nobody has used it for 5 minutes\.$/);
  assert.match(budgetNote(viewOf({ budget: budget({ when_used_up: 'hard_limit' }) }), USER), /goes on to its latest end\.$/);
});

test('a budget that is used up says what happens, to whom', () => {
  const used = budget({ percent: 101, used_up: true });
  assert.match(budgetNote(viewOf({ budget: used }), USER), /only an admin can start it\.$/);
  assert.match(budgetNote(viewOf({ budget: used }), ADMIN), /As an admin you can start it all the same\.$/);
  assert.match(budgetNote(readyView({ budget: used }), USER), /stops once nobody has used it for 5 minutes, and cannot be extended\.$/);
});

test('above ComfyUI only a budget that ends the run is told', () => {
  const used = budget({ percent: 101, used_up: true });
  assert.match(budgetStripWords(readyView({ budget: used }), USER), /used up/);
  assert.equal(budgetStripWords(viewOf({ budget: used }), USER), '');
  assert.equal(budgetStripWords(readyView({ budget: budget() }), USER), '');
  assert.equal(budgetStripWords(readyView(), USER), '');
});

test('a disk in one zone says so, and where to read how it is moved', () => {
  const words = diskWords(viewOf({ disk: { regional: false, zones: ['us-central1-a'] } }));
  assert.match(words, /^Its disk is in one zone, us-central1-a: where that is dry there is no other\./);
  assert.match(words, /docs\/operate\.md, “Move a disk to another zone”\.$/);
  assert.equal(diskWords(viewOf({ disk: { regional: true, zones: ['us-central1-a', 'us-central1-b'] } })), '');
  assert.equal(diskWords(viewOf()), '');
});

test('kept prompts ask once, and say what becomes of them when they may go back', () => {
  const kept = (changes, user = USER) => keptWords(viewOf(changes), user);
  assert.deepEqual(kept({ kept_prompts: 3 }), { words: '3 prompts were in the queue when the machine was taken back.', asks: true });
  assert.deepEqual(kept({ kept_prompts: 1 }).words, '1 prompt was in the queue when the machine was taken back.');
  assert.equal(kept({ kept_prompts: 3 }, VIEWER).asks, false);
  assert.equal(kept({ kept_prompts: 3, restore_queue: true }).asks, false);
  assert.match(kept({ kept_prompts: 3, restore_queue: true }).words, /They are put back into the queue/);
  assert.match(kept({ kept_prompts: 1, restore_queue: true }).words, /It is put back/);
  assert.deepEqual([kept({}), kept({ kept_prompts: 0 })], [{ words: '', asks: false }, { words: '', asks: false }]);
});

test('a failure links to where something can be done, by HTTPS alone', () => {
  const url = 'https://console.cloud.google.com/iam-admin/quotas?project=p';
  assert.deepEqual(failureLink({ code: 'quota', title: '', url }), { url, words: 'Open the quotas in the Google Cloud console' });
  assert.equal(failureLink({ code: 'permission', title: '', url }).words, 'Open it in the Google Cloud console');
  for (const bad of [null, undefined, '', 'quotas', 'javascript:alert(1)', 'http://console.cloud.google.com/']) {
    assert.equal(failureLink({ code: 'quota', title: '', url: bad }), null, String(bad));
  }
});

test('a zone that is gone: an admin is told the way out, the others whom to ask', () => {
  assert.match(zoneGoneWords(gone(), ADMIN), /it can be moved/);
  assert.match(zoneGoneWords(gone(), USER), /^An admin who knows/);
  assert.equal(zoneGoneWords(viewOf({ phase: 'Failed', failure: { code: 'quota', title: '' } }), ADMIN), '');
});

test('consent names the zone that the failure names', () => {
  assert.equal(lostZone(gone()), 'us-central1-a');
  assert.equal(consentsToMove(gone(), ' us-central1-a '), true);
  for (const typed of ['', 'us-central1', 'us-central1-b', 'US-CENTRAL1-A']) assert.equal(consentsToMove(gone(), typed), false, typed);
  assert.match(consentWords(gone()), /^The zone us-central1-a is gone .+: move the disk without asking it\.$/);
});

test('where the failure names no zone, the admin must', () => {
  const unnamed = gone({ zone: null });
  assert.equal(lostZone(unnamed), null);
  assert.equal(consentsToMove(unnamed, 'us-central1-b'), true);
  assert.equal(consentsToMove(unnamed, 'europe-west4-a'), false);
  assert.match(consentWords(unnamed), /^One of the disk’s zones is gone/);
});
