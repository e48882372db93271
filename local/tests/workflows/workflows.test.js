import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { before, test } from 'node:test';
import { createLint } from './lint.js';

const FOLDER = new URL('../../../.github/workflows/', import.meta.url);

let lint;

before(async () => {
  lint = await createLint();
});

test('nothing is wrong with the workflows that there are', async () => {
  const names = await readdir(FOLDER);
  assert.ok(names.length > 0);
  for (const name of names) {
    assert.deepEqual(lint(await readFile(new URL(name, FOLDER), 'utf8'), name), [], name);
  }
});

const wrong = async (from, to) => {
  const good = await readFile(new URL('ci.yml', FOLDER), 'utf8');
  assert.notEqual(good.replace(from, to), good, `${from} is in it`);
  return lint(good.replace(from, to), 'ci.yml').join('\n');
};

test('an action that is not pinned is found', async () => {
  assert.match(await wrong(/checkout@[0-9a-f]{40}/, 'checkout@v6'), /actions\/checkout@v6 # v6\.0\.2 is not pinned/);
});

test('rights for all jobs are found', async () => {
  assert.match(await wrong('permissions: {}', 'permissions: write-all'), /each job says its own/);
});

test('a key, an expression and a machine that GitHub does not know are found', async () => {
  assert.match(await wrong('timeout-minutes:', 'timeout-minute:'), /unexpected key "timeout-minute"/);
  assert.match(await wrong('github.ref }}', 'github.reff }}'), /property "reff" is not defined/);
  assert.match(await wrong('ubuntu-24.04', 'ubuntu-1.04'), /label "ubuntu-1.04" is unknown/);
});
