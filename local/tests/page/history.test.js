/** The history: what days and zones add up to, and how it is asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, createWorld, refusal, viewOf } from './world.js';

// Days and hours are the person's own.
process.env.TZ = 'Europe/Berlin';

const { byDay, chartBegin, DAYS, gotten, heat, lesson, runsFrom, splitByDay, stockOuts } = await import('../../../static/history-logic.js');
const { chartWords, hoursWords, lessonWords, runWords, tallyWords } = await import('../../../static/history-words.js');
const { HistoryKeeper, PAGES_MAX } = await import('../../../static/history-keeper.js');

/** 19:00 in Berlin. */
const NOW = Date.parse('2026-11-22T18:00:00Z');

const attempt = (changes = {}) => ({
  instance: 'comfyui-main-a', zone: 'us-central1-a', spot: true, at: '2026-11-22T13:30:00Z', outcome: 'up', ...changes,
});
const run = (changes = {}) => ({
  run: 7,
  started_at: '2026-11-22T12:00:00Z',
  ready_at: '2026-11-22T12:02:00Z',
  ended_at: '2026-11-22T14:00:00Z',
  reason: 'Idle',
  failure: null,
  instance: 'comfyui-main-a',
  zone: 'us-central1-a',
  billed_seconds: 7_200,
  cost_usd: 1.4,
  walk: [attempt()],
  started_by: 'ada',
  restart_of: null,
  ...changes,
});

test('only what looks like runs is taken for some', () => {
  assert.deepEqual(runsFrom({ runs: [run()], next: 6 }), { runs: [run()], next: 6 });
  assert.deepEqual(runsFrom({ runs: [run(), { run: 8 }, null, run({ ended_at: 'later' })], next: null }), { runs: [run()], next: null });
  assert.deepEqual([null, [], {}, { runs: 'none' }].map(runsFrom), [null, null, null, null]);
});

test('a run over midnight is split between its days, dollars with hours', () => {
  const parts = splitByDay(run({ started_at: '2026-11-21T21:00:00Z', ended_at: '2026-11-22T01:00:00Z', billed_seconds: 14_400, cost_usd: 4 }));
  assert.deepEqual(parts, [
    { day: '2026-11-21', seconds: 7_200, usd: 2 },
    { day: '2026-11-22', seconds: 7_200, usd: 2 },
  ]);
});

test('what is billed lies at the end of a run, behind the looking for a machine', () => {
  const parts = splitByDay(run({ started_at: '2026-11-21T20:00:00Z', ended_at: '2026-11-22T00:00:00Z', billed_seconds: 3_600, cost_usd: 1 }));
  assert.deepEqual(parts, [{ day: '2026-11-22', seconds: 3_600, usd: 1 }]);
});

test('a day on which the clock is set back has its twenty-five hours', () => {
  const parts = splitByDay(run({ started_at: '2026-10-24T21:00:00Z', ended_at: '2026-10-26T00:00:00Z', billed_seconds: 27 * 3_600, cost_usd: 27 }));
  assert.deepEqual(parts.map(({ day, seconds }) => [day, seconds / 3_600]), [['2026-10-24', 1], ['2026-10-25', 25], ['2026-10-26', 1]]);
  assert.equal(Math.round(parts.reduce((sum, { usd }) => sum + usd, 0)), 27);
});

test('a run that was never billed fills no day', () => {
  assert.deepEqual(splitByDay(run({ billed_seconds: 0, cost_usd: 0 })), []);
  assert.deepEqual(splitByDay(run({ billed_seconds: 0, cost_usd: 0.1 })), [{ day: '2026-11-22', seconds: 0, usd: 0.1 }]);
});

test('the chart has thirty days, today last, each with the sum of its runs', () => {
  const days = byDay([run(), run({ run: 6 }), run({ started_at: '2026-09-01T12:00:00Z', ended_at: '2026-09-01T14:00:00Z' })], NOW);
  assert.equal(days.length, DAYS);
  assert.deepEqual([days[0].day, days.at(-1).day], ['2026-10-24', '2026-11-22']);
  assert.deepEqual([days.at(-1).seconds, days.at(-1).usd], [14_400, 2.8]);
  assert.equal(days.slice(0, -1).every(({ seconds, usd }) => seconds === 0 && usd === 0), true);
  assert.equal(chartBegin(NOW), days[0].at.getTime());
});

test('the chart is told in a sentence', () => {
  assert.equal(chartWords(byDay([run()], NOW)), 'In the last 30 days it was on for 2.0 h on 1 day, for $1.40.');
  assert.equal(chartWords(byDay([], NOW)), 'It was not on in the last 30 days.');
  assert.deepEqual([5_400, 359, 61, 0].map(hoursWords), ['1.5 h', '6 min', '1 min', '0.0 h']);
});

/** So many tries in one zone at an hour of the day in Berlin. */
const tries = (zone, hour, dry, up) =>
  run({
    walk: [...Array(dry).fill('dry'), ...Array(up).fill('up')].map((outcome) =>
      attempt({ zone, outcome, at: `2026-11-22T${String((hour + 23) % 24).padStart(2, '0')}:10:00Z` }),
    ),
  });

test('tries are counted by zone and hour of the local day; one that got no answer got no machine', () => {
  const walk = [attempt({ outcome: 'timed_out' }), attempt({ outcome: 'preempted' }), attempt({ outcome: 'trying' }), attempt({ at: 'never' })];
  const table = stockOuts([run({ walk }), tries('us-central1-b', 0, 1, 0), run({ walk: undefined })]);
  assert.deepEqual(table.map(({ zone }) => zone), ['us-central1-a', 'us-central1-b']);
  assert.deepEqual(table[0].hours[14], { tries: 2, dry: 1 });
  assert.deepEqual(table[1].hours[0], { tries: 1, dry: 1 });
  assert.equal(table[0].hours.reduce((sum, hour) => sum + hour.tries, 0), 2);
});

test('the lesson names the zone and the hours that are dry most surely', () => {
  const runs = [tries('us-central1-a', 14, 3, 0), tries('us-central1-a', 17, 4, 2), tries('us-central1-a', 9, 0, 9), tries('us-central1-b', 15, 1, 8)];
  assert.deepEqual(lesson(stockOuts(runs)), { zone: 'us-central1-a', from: 14, until: 18, tries: 9, dry: 7 });
  assert.equal(lessonWords(stockOuts(runs)), 'us-central1-a was dry in 7 of 9 tries between 14 and 18 o’clock.');
});

test('nine of ten teach more than four of four', () => {
  assert.match(lessonWords(stockOuts([tries('a', 3, 4, 0), tries('b', 12, 9, 1)])), /^b was dry in 9 of 10 tries between 12 and 13 /);
});

test('a window may lie over midnight, and ends at 24', () => {
  assert.match(lessonWords(stockOuts([tries('a', 23, 3, 0), tries('a', 0, 3, 0)])), /6 of 6 tries between 23 and 1 o’clock/);
  assert.match(lessonWords(stockOuts([tries('a', 23, 5, 0)])), /between 23 and 24 o’clock/);
});

test('one dry try is no lesson, and nothing dry is good news', () => {
  assert.equal(lesson(stockOuts([tries('a', 3, 1, 0)])), null);
  assert.equal(lessonWords(stockOuts([tries('a', 3, 1, 0), tries('a', 12, 0, 8)])), '1 of 9 tries got no machine; that is too few, or too even, to name a time of the day.');
  assert.equal(lessonWords(stockOuts([tries('a', 3, 0, 4)])), 'No zone was dry: all 4 tries got a machine.');
  assert.equal(lessonWords(stockOuts([tries('a', 3, 0, 1)])), 'No zone was dry: the one try got a machine.');
  assert.equal(lessonWords([]), 'No try has been recorded yet.');
});

test('a cell is as dark as the hour was dry, and its numbers say the same', () => {
  const cells = [[0, 0], [4, 0], [4, 1], [4, 2], [4, 4]].map(([all, dry]) => ({ tries: all, dry }));
  assert.deepEqual(cells.map(heat), [null, 0, 1, 2, 4]);
  assert.deepEqual(cells.map(tallyWords), ['', '0/4', '1/4', '2/4', '4/4']);
});

test('a run is told with its end, its cost, where it ran and who started it', () => {
  assert.deepEqual(runWords(run(), viewOf(), NOW), {
    title: 'Run 7',
    when: '13:00 – 15:00',
    took: '2 h, $1.40',
    why: 'It ended because nobody had used it for 30 minutes.',
    where: 'comfyui-main-a · us-central1-a · Spot · started by ada',
  });
});

test('a run over midnight names both days', () => {
  const words = (started_at, ended_at) => runWords(run({ started_at, ended_at }), viewOf(), NOW).when;
  assert.equal(words('2026-11-20T22:00:00Z', '2026-11-21T01:00:00Z'), '20 Nov, 23:00 – 21 Nov, 02:00');
  assert.equal(words('2026-11-20T12:00:00Z', '2026-11-20T14:00:00Z'), '20 Nov, 13:00 – 15:00');
});

test('a run that failed says of what, and one that took the place of another of which', () => {
  const failed = run({ reason: 'StartFailed', failure: 'StockOut', instance: null, zone: null, billed_seconds: 0, cost_usd: 0, walk: [attempt({ outcome: 'dry' })], started_by: null });
  const words = runWords(failed, viewOf(), NOW);
  assert.equal(words.why, 'It ended because it could not be started: no zone had a machine to give.');
  assert.equal(words.took, 'cost nothing');
  assert.equal(words.where, '');
  assert.match(runWords(run({ restart_of: 6, started_by: null }), viewOf(), NOW).where, /Spot · restart of run 6$/);
  assert.match(runWords(run({ failure: 'Eclipse' }), viewOf(), NOW).why, /: Eclipse\.$/);
  assert.equal(gotten(failed), null);
});

/** A keeper whose server has so many runs, one for each day back from now. */
const keeperOf = async (count, script = () => undefined) => {
  const world = createWorld();
  await world.begin();
  const runs = Array.from({ length: count }, (_, index) => {
    const end = new Date(NOW - index * 86_400_000).toISOString();
    return run({ run: count - index, started_at: end, ended_at: end });
  });
  world.script = (asked) => {
    const url = new URL(asked.path, 'https://page.example.com');
    if (!url.pathname.endsWith('/runs')) return undefined;
    const said = script(asked, url);
    if (said !== undefined) return said;
    const rest = runs.filter((each) => each.run < Number(url.searchParams.get('before') ?? Infinity));
    const page = rest.slice(0, Number(url.searchParams.get('limit')) / 10);
    return answer(200, { runs: page, next: rest.length > page.length ? page.at(-1).run : null });
  };
  world.heard();
  const keeper = new HistoryKeeper(world.controller, (history) => void (world.shown = history));
  return { world, keeper };
};

test('the history is asked for until the chart’s days are covered, and then when asked', async () => {
  const { world, keeper } = await keeperOf(60);
  await keeper.open('main', NOW);
  assert.deepEqual(world.heard(), [
    'GET workspaces/main/runs?limit=100',
    'GET workspaces/main/runs?limit=100&before=51',
    'GET workspaces/main/runs?limit=100&before=41',
    'GET workspaces/main/runs?limit=100&before=31',
  ]);
  assert.equal(keeper.history.runs.length, 40);
  await keeper.more();
  assert.deepEqual(world.heard(), ['GET workspaces/main/runs?limit=100&before=21']);
});

test('no more than ten pages are asked for', async () => {
  const { world, keeper } = await keeperOf(500);
  await keeper.open('main', NOW);
  for (let press = 0; press < 20; press++) await keeper.more();
  assert.equal(world.heard().length, PAGES_MAX);
  assert.deepEqual([keeper.hasMore(), keeper.isFull()], [false, true]);
});

test('a history that ends is not asked for again', async () => {
  const { world, keeper } = await keeperOf(3);
  await keeper.open('main', NOW);
  await keeper.more();
  assert.equal(world.heard().length, 1);
  assert.deepEqual([keeper.hasMore(), keeper.isFull()], [false, false]);
});

test('a page that fails is told, keeps what is there, and is asked for again when asked', async () => {
  let broken = false;
  const { keeper } = await keeperOf(60, () => (broken ? refusal(503, 'unavailable') : undefined));
  await keeper.open('main', NOW);
  broken = true;
  await keeper.more();
  assert.equal(keeper.history.problem.code, 'unavailable');
  assert.equal(keeper.history.runs.length, 40);
  broken = false;
  await keeper.more();
  assert.equal(keeper.history.problem, null);
  assert.equal(keeper.history.runs.length, 50);
});

test('what is no history is said to be not understood, and being out of reach is said', async () => {
  const { keeper } = await keeperOf(1, () => answer(200, { runs: 'none' }));
  await keeper.open('main', NOW);
  assert.equal(keeper.history.problem.code, 'unexpected_answer');
  const { world, keeper: lost } = await keeperOf(1);
  world.reachable = false;
  await lost.open('main', NOW);
  assert.equal(lost.history.problem.code, 'unreachable');
});

test('of two histories opened one after the other, the later stays', async () => {
  const held = [];
  const { world, keeper } = await keeperOf(3, ({ path }) => (path.includes('/main/') ? new Promise((resolve) => held.push(resolve)) : undefined));
  const first = keeper.open('main', NOW);
  await keeper.open('video', NOW);
  held[0](answer(200, { runs: [run({ run: 99 })], next: null }));
  await first;
  assert.equal(world.shown.workspace, 'video');
  assert.deepEqual(world.shown.runs.map((each) => each.run), [3, 2, 1]);
});
