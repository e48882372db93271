/**
 * The history of a workspace: a chart of the last days, when which zone was dry, and each run with its end. Loaded when
 * it is first asked for.
 *
 * @import { View } from './types.js'
 * @import { Controller } from './controller.js'
 * @import { History } from './history-keeper.js'
 */
import { setOrHide, setText, show } from './dom.js';
import { money } from './format.js';
import { HistoryKeeper } from './history-keeper.js';
import { byDay, heat, stockOuts } from './history-logic.js';
import { chartWords, dayWords, hoursWords, lessonWords, runWords, tallyWords } from './history-words.js';
import { problemSentence } from './session-logic.js';

const SVG = 'http://www.w3.org/2000/svg';

/** One bar and its gap, and the height of the chart, in units of the drawing. */
const [STEP, BAR, HEIGHT] = [10, 7, 100];

/** What is not nothing is seen: the least height of a bar. */
const SEEN = 1.5;

/** @param {string} tag @param {string} [text] @param {string} [className] */
const make = (tag, text = '', className = '') => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
};

/** @param {string} tag @param {Record<string, string|number>} attributes */
const makeSvg = (tag, attributes) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
};

/** @typedef {ReturnType<typeof byDay>} Days */

/**
 * @param {'hours'|'dollars'} what @param {string} title @param {Days} days
 * @param {(day: Days[number]) => number} valueOf @param {(value: number) => string} say
 */
const makeChart = (what, title, days, valueOf, say) => {
  const most = Math.max(...days.map(valueOf));
  const svg = makeSvg('svg', { 'viewBox': `0 0 ${days.length * STEP} ${HEIGHT}`, 'preserveAspectRatio': 'none', 'aria-hidden': 'true', 'focusable': 'false' });
  days.forEach((day, index) => {
    const value = valueOf(day);
    const height = value > 0 ? Math.max((value / most) * HEIGHT, SEEN) : 0;
    const bar = makeSvg('rect', { x: index * STEP + (STEP - BAR) / 2, y: HEIGHT - height, width: BAR, height });
    const told = makeSvg('title', {});
    told.textContent = `${dayWords(day.at)}: ${say(value)}`;
    bar.append(told);
    svg.append(bar);
  });
  const figure = make('figure', '', `chart chart-${what}`);
  const caption = make('figcaption');
  caption.append(make('span', title), make('span', most > 0 ? `most in a day: ${say(most)}` : '', 'aside'));
  const axis = make('p', '', 'axis');
  axis.append(...[days[0], days.at(-1)].map((day) => make('span', day ? dayWords(day.at) : '')));
  figure.append(caption, svg, axis);
  return figure;
};

/** @param {string[]} heads @param {Node[][]} rows The first cell of each row is its head. @param {string} caption */
const makeTable = (heads, rows, caption) => {
  const table = make('table');
  const head = make('tr');
  for (const text of heads) {
    const cell = make('th', text);
    cell.setAttribute('scope', 'col');
    head.append(cell);
  }
  const [top, body] = [make('thead'), make('tbody')];
  top.append(head);
  for (const cells of rows) {
    const row = make('tr');
    row.append(...cells);
    body.append(row);
  }
  table.append(make('caption', caption), top, body);
  return table;
};

/** @param {string} text */
const makeRowHead = (text) => {
  const cell = make('th', text);
  cell.setAttribute('scope', 'row');
  return cell;
};

/** A table wider than its place is scrolled, with the keyboard too. @param {HTMLElement} table @param {string} label */
const makeScroller = (table, label) => {
  const scroller = make('div', '', 'scroller');
  scroller.tabIndex = 0;
  scroller.setAttribute('role', 'region');
  scroller.setAttribute('aria-label', label);
  scroller.append(table);
  return scroller;
};

/** @param {Days} days */
const makeDayTable = (days) => {
  const details = document.createElement('details');
  details.id = 'history-days';
  const rows = days.filter(({ seconds, usd }) => seconds > 0 || usd > 0).reverse();
  const cells = rows.map(({ at, seconds, usd }) => [makeRowHead(dayWords(at)), make('td', hoursWords(seconds)), make('td', money(usd))]);
  details.append(make('summary', 'As a table'), makeTable(['Day', 'Hours', 'Dollars'], cells, 'Hours and dollars of each day'));
  show(details, rows.length > 0);
  return details;
};

/** @param {ReturnType<typeof stockOuts>} table */
const makeHeat = (table) => {
  const rows = table.map(({ zone, hours }) => [
    makeRowHead(zone),
    ...hours.map((tally) => {
      const cell = make('td', tallyWords(tally));
      const shade = heat(tally);
      if (shade !== null) cell.dataset.heat = String(shade);
      return cell;
    }),
  ]);
  const heads = ['Zone', ...Array.from({ length: 24 }, (_, hour) => String(hour))];
  const label = 'Tries that got no machine / all tries, by zone and hour of the day';
  const made = makeTable(heads, rows, label);
  made.id = 'history-heat';
  return makeScroller(made, label);
};

/** @param {ReturnType<typeof runWords>} words */
const makeRun = (words) => {
  const [row, head] = [make('li'), make('p', '', 'run-head')];
  head.append(make('strong', words.title), make('span', words.when), make('span', words.took, 'run-took'));
  row.append(head, make('p', words.why), make('p', words.where, 'run-where'));
  return row;
};

/** What stays while the history is drawn anew, so that a button keeps its focus. @param {HTMLElement} place */
const makeSkeleton = (place) => {
  const said = { chart: make('p'), lesson: make('p'), problem: make('p'), full: make('p') };
  said.chart.id = 'history-sum';
  said.lesson.id = 'history-lesson';
  said.problem.id = 'history-problem';
  said.problem.setAttribute('role', 'alert');
  said.full.id = 'history-full';
  const [charts, table, list] = [make('div', '', 'charts'), make('div'), make('ol')];
  list.id = 'history-runs';
  list.tabIndex = -1;
  const more = document.createElement('button');
  more.type = 'button';
  more.id = 'history-more';
  const section = (/** @type {Node[]} */ ...parts) => {
    const made = make('section');
    made.append(...parts);
    return made;
  };
  const sums = [section(make('h3', 'The last 30 days'), said.chart, charts), section(make('h3', 'When zones were dry'), said.lesson, table)];
  const runs = section(make('h3', 'Runs'), list, said.full);
  place.replaceChildren(...sums, runs, said.problem, more);
  return { said, charts, table, list, more, sums, runs };
};

/**
 * @param {Controller} controller @param {HTMLElement} place
 * @returns {(view: View, now: number) => void} Opens the history of a workspace.
 */
export const mountHistory = (controller, place) => {
  const parts = makeSkeleton(place);
  /** @type {{view: View, now: number}|null} */
  let shown = null;

  /** @param {History} history */
  const draw = (history) => {
    if (shown === null) return;
    const { view, now } = shown;
    const [days, table] = [byDay(history.runs, now), stockOuts(history.runs)];
    place.setAttribute('aria-busy', String(history.busy));
    parts.sums.forEach((section) => show(section, history.runs.length > 0));
    show(parts.runs, history.pages > 0);
    setText(parts.said.chart, chartWords(days));
    parts.charts.replaceChildren(
      makeChart('hours', 'Hours', days, ({ seconds }) => seconds, hoursWords),
      makeChart('dollars', 'Dollars', days, ({ usd }) => usd, money),
      makeDayTable(days),
    );
    setText(parts.said.lesson, lessonWords(table));
    parts.table.replaceChildren(...(table.length > 0 ? [makeHeat(table)] : []));
    parts.list.replaceChildren(...history.runs.map((run) => makeRun(runWords(run, view, now))));
    setOrHide(parts.said.full, history.runs.length === 0 ? 'There has been no run yet.' : keeper.isFull() ? 'There are older runs than this page shows.' : '');
    const { problem } = history;
    setOrHide(parts.said.problem, problem ? [`${problem.title}.`, problemSentence(problem)].join(' ').trim() : '');
    const offersMore = history.busy || problem !== null || keeper.hasMore();
    // The last page has come: what had the focus goes, and the runs take it.
    if (!offersMore && document.activeElement === parts.more) parts.list.focus({ preventScroll: true });
    show(parts.more, offersMore);
    parts.more.setAttribute('aria-disabled', String(history.busy));
    setText(parts.more, history.busy ? 'One moment…' : problem ? 'Try again' : 'Show older runs');
  };
  const keeper = new HistoryKeeper(controller, draw);
  parts.more.addEventListener('click', () => void keeper.more());

  return (view, now) => {
    shown = { view, now };
    void keeper.open(view.id, now);
  };
};
