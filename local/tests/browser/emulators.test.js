// The whole life once more, with the functions as three processes on Google's own emulators.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { emulatorsMissing } from './harness/emulators.js';
import { forALife, liveALife } from './harness/life.js';
import { onStage } from './harness/stage.js';

const SENTENCE = "The same life with the functions as three processes on Google's emulators";

const missing = emulatorsMissing();
if (missing === null) {
  onStage(SENTENCE, { ...forALife, args: [...forALife.args, '--emulators'] }, async (stage) => {
    const { functions } = await stage.cloud.panel();
    const names = (functions ?? []).filter(({ pid }) => pid !== null).map(({ name }) => name);
    if (names.join() !== 'auth,lifecycle,reaper') throw new Error(`not three processes: ${names}`);
    await liveALife(stage);
    const told = (await stage.cloud.panel()).notices.map(({ type }) => type);
    assert.ok(told.includes('run.ready') && told.includes('run.stopped'), `lifecycle's own process sends notices: ${told}`);
  });
} else if (process.env.CI === 'true') {
  test(SENTENCE, () => { throw new Error(missing); });
} else {
  console.error(`NOT RUN: ${SENTENCE}\n  ${missing}`);
}
