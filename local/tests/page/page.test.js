/** What is served, as files: small, complete, and fit for a strict Content-Security-Policy. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const FOLDER = fileURLToPath(new URL('../../../static/', import.meta.url));

/** The page's budget for its first view, compressed. */
const BYTES_MAX = 60_000;

/** Ids that the browser tests, and the views, hold on to. */
const HOOKS = [
  'sign-in', 'password', 'user', 'sign-in-button', 'start', 'stop', 'keep-running', 'extend', 'open-tab', 'boot-steps',
  'failure', 'last-stop', 'live', 'offline', 'walk', 'walk-rows', 'waiting', 'interruption', 'keep-trying',
  'keep-trying-start', 'keep-trying-for', 'failure-link', 'move-disk', 'confirm-move', 'budget', 'disk-note',
  'restore-queue', 'kept', 'put-back', 'history', 'history-of-card', 'history-of-panel',
];

const files = readdirSync(FOLDER);
const text = (name) => readFileSync(`${FOLDER}${name}`, 'utf8');
const html = text('index.html');
const modules = files.filter((name) => name.endsWith('.js'));
const matches = (source, pattern) => [...source.matchAll(pattern)].map(([, found]) => found);

/** @param {string} name @param {Set<string>} seen */
const reach = (name, seen = new Set()) => {
  if (seen.has(name)) return seen;
  seen.add(name);
  const code = text(name).replaceAll(/\/\*[\s\S]*?\*\//g, '');
  for (const next of matches(code, /from '\.\/([^']+)'/g)) reach(next, seen);
  return seen;
};

/** What is loaded when it is first asked for. @param {Iterable<string>} names */
const onDemand = (names) => [...names].flatMap((name) => matches(text(name).replaceAll(/\/\*[\s\S]*?\*\//g, ''), /import\('\.\/([^']+)'\)/g));

test('the page fits its budget, compressed', () => {
  const served = ['index.html', 'style.css', 'care.css', 'favicon.svg', ...reach('app.js')];
  const bytes = served.map((name) => gzipSync(text(name)).length).reduce((sum, each) => sum + each, 0);
  assert.ok(bytes <= BYTES_MAX, `${bytes} bytes`);
});

test('the lines of what went wrong stay lines', () => {
  assert.match(text('style.css'), /#failure-detail \{[^}]*white-space: pre-wrap/);
});

test('only pages, styles, modules and icons are served', () => {
  assert.deepEqual(files.filter((name) => !/\.(html|css|js|svg)$/.test(name)), []);
});

test('every module that runs is preloaded, and nothing else is', () => {
  const needed = [...reach('app.js')].filter((name) => name !== 'app.js').sort();
  assert.deepEqual(matches(html, /rel="modulepreload" href="([^"]+)"/g).sort(), needed);
});

test('what is inside comes on signing in, the history when it is opened, and no module is left over', () => {
  const early = reach('app.js');
  const inside = reach('inside.js');
  const all = new Set([...early, ...inside, ...reach('history-view.js')]);
  assert.deepEqual(onDemand(early), ['inside.js']);
  assert.deepEqual(onDemand(inside), ['history-view.js']);
  const onlyForHistory = [...all].filter((name) => !early.has(name) && !inside.has(name)).sort();
  assert.deepEqual(onlyForHistory, ['history-keeper.js', 'history-logic.js', 'history-view.js', 'history-words.js']);
  assert.deepEqual(modules.filter((name) => !all.has(name)), ['types.js']);
  assert.doesNotMatch(html, /history\.css/);
});

test('nothing inline: no scripts, styles or handlers in the page', () => {
  assert.deepEqual(matches(html, /(<script(?![^>]* src=)[^>]*>)/g), []);
  assert.deepEqual(matches(html, /(<style[^>]*>)/g), []);
  assert.deepEqual(matches(html, /\s(style|on[a-z]+)=/g), []);
});

test('no module builds HTML from text, runs text, or sets inline styles', () => {
  const banned = /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|cssText)|setAttribute\(\s*'style'/;
  for (const name of modules) assert.doesNotMatch(text(name), banned, name);
});

test('nothing is loaded from elsewhere', () => {
  for (const name of files) {
    const foreign = matches(text(name), /((?:src|href|url|from|import)\s*[=(]?\s*["'(]https?:[^"')]+)/g);
    assert.deepEqual(foreign, [], name);
  }
});

test('ids are unique, and the ones held on to exist', () => {
  const ids = matches(html, /\sid="([^"]+)"/g);
  assert.deepEqual(ids.filter((id, index) => ids.indexOf(id) !== index), []);
  const held = modules.flatMap((name) => matches(text(name), /byId\('([^']+)'/g));
  for (const id of [...HOOKS, ...held]) assert.ok(ids.includes(id), `#${id}`);
});

test('every part that a label, a description or a control names exists', () => {
  const ids = new Set(matches(html, /\sid="([^"]+)"/g));
  const named = matches(html, /\s(?:for|aria-labelledby|aria-describedby|aria-controls)="([^"]+)"/g);
  for (const id of named) assert.ok(ids.has(id), `#${id}`);
});

test('the iframe gets no name, and says what it may do', () => {
  const code = text('open-view.js');
  assert.doesNotMatch(code, /made\.name\b/);
  assert.match(code, /made\.allow = 'clipboard-read; clipboard-write; fullscreen'/);
  assert.doesNotMatch(code, /allow-top-navigation/);
});
