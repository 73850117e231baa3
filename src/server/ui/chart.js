/**
 * Lines over time. The lines are SVG, stretched to whatever width there is; words stand beside them as text, so that they keep
 * their size. One reads it with the pointer, or with the arrow keys once it has the focus.
 */

import { h } from './dom.js';
import { timeMarks } from './scale.js';
import { clockTime } from './time.js';

const WIDTH = 1000;
const HEIGHT = 100;
/** With little room fewer times are named. */
const narrow = matchMedia('(max-width: 720px)');
/** Where each chart is being read: the time, by its key. @type {Map<string, number>} */
const cursors = new Map();

/**
 * @typedef {{at: number, value: number | null}} Spot a value of null ends the line
 * @typedef {{name: string, kind: string, steps?: boolean, fill?: boolean, dots?: boolean, spots: Spot[]}} Line
 * @typedef {{key: string, label: string, axis: string, from: number, to: number, low: number, high: number,
 *   marks: {value: number, words: string}[], lines: Line[], limits?: {side: string, number: number, words: string}[],
 *   flags?: {at: number, words: string, kind: string}[], crosses?: Spot[], times: number[],
 *   read: (at: number) => {name: string, kind: string, words: string}[], redraw: () => void, most?: number}} Chart
 *   `times` are those that can be read
 * @param {Chart} chart
 * @returns {import('./dom.js').Wanted}
 */
export function chart(chart) {
  const at = cursor(chart);
  return h(
    'figure',
    { key: chart.key, class: 'chart' },
    h('figcaption', { class: 'chart-top' }, h('span', { class: 'axis-name' }, chart.axis), legend(chart)),
    h(
      'div',
      { class: 'chart-grid' },
      h(
        'div',
        { class: 'y-marks', 'aria-hidden': 'true' },
        chart.marks.map((mark) => h('span', { style: { '--y': `${yShare(chart, mark.value)}` } }, mark.words)),
      ),
      h('div', plotProps(chart, at), drawing(chart), flags(chart), crosses(chart), at !== null && reading(chart, at)),
      h(
        'div',
        { class: 'x-marks', 'aria-hidden': 'true' },
        timeMarks(chart.from, chart.to, narrow.matches ? 3 : (chart.most ?? 5))
          .filter((mark) => (chart.to - mark.at) / (chart.to - chart.from) > 0.04)
          .map((mark) => timeMark(chart, mark)),
      ),
    ),
  );
}

/** The first does not stand below the axis of values. */
function timeMark(chart, { at, words }) {
  const early = (at - chart.from) / (chart.to - chart.from) < 0.06;
  return h('span', { class: early ? 'is-early' : null, style: { '--x': share(chart, at) } }, words);
}

function legend({ lines, limits = [] }) {
  return h(
    'ul',
    { class: 'legend', role: 'list' },
    lines.map((line) => h('li', { class: `key is-${line.kind}` }, line.name)),
    limits.length > 0 && h('li', { class: 'key is-limit' }, `limit ${limits.map((limit) => limit.words).join(', ')}`),
  );
}

function plotProps(chart, at) {
  const place = at === null ? chart.times.length - 1 : chart.times.indexOf(at);
  return {
    class: 'plot',
    tabindex: '0',
    role: 'slider',
    'aria-orientation': 'horizontal',
    'aria-label': `${chart.label}. Arrow keys read it.`,
    'aria-valuemin': '0',
    'aria-valuemax': String(Math.max(0, chart.times.length - 1)),
    'aria-valuenow': String(Math.max(0, place)),
    'aria-valuetext': chart.times.length > 0 ? spoken(chart, chart.times[Math.max(0, place)]) : 'nothing recorded',
    on: {
      pointermove: (event) => point(chart, event),
      pointerdown: (event) => point(chart, event),
      pointerleave: () => leave(chart),
      blur: () => leave(chart),
      keydown: (event) => press(chart, event),
    },
  };
}

function spoken(chart, at) {
  return `${clockTime(at)}: ${chart
    .read(at)
    .map(({ name, words }) => `${name} ${words}`)
    .join(', ')}`;
}

function drawing(chart) {
  return h(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    chart.marks.map((mark) => h('path', { class: 'grid', d: `M0 ${y(chart, mark.value)}H${WIDTH}` })),
    (chart.limits ?? []).map((limit) => forbidden(chart, limit)),
    chart.lines.map((line) => [
      line.fill && h('path', { class: `area is-${line.kind}`, d: area(chart, line) }),
      h('path', { class: `line is-${line.kind}`, d: path(chart, line) }),
      line.dots && h('path', { class: `dots is-${line.kind}`, d: dots(chart, line) }),
    ]),
  );
}

/** What lies beyond a limit is tinted. */
function forbidden(chart, { side, number }) {
  const edge = y(chart, number);
  const bottom = side === 'min';
  return [
    h('path', { class: 'beyond', d: bottom ? `M0 ${edge}H${WIDTH}V${HEIGHT}H0z` : `M0 0H${WIDTH}V${edge}H0z` }),
    h('path', { class: 'limit', d: `M0 ${edge}H${WIDTH}` }),
  ];
}

function path(chart, { spots, steps }) {
  let d = '';
  let open = false;
  for (const { at, value } of spots) {
    if (value === null) open = false;
    else {
      d += open
        ? steps
          ? `H${x(chart, at)}V${y(chart, value)}`
          : `L${x(chart, at)} ${y(chart, value)}`
        : `M${x(chart, at)} ${y(chart, value)}`;
      open = true;
    }
  }
  return d;
}

function area(chart, line) {
  const spots = line.spots.filter((spot) => spot.value !== null);
  if (spots.length < 2) return '';
  return `${path(chart, { ...line, spots })}V${HEIGHT}H${x(chart, spots[0].at)}z`;
}

/** A dot is a line without length, and with round ends: it stays round when the drawing is stretched. */
function dots(chart, { spots }) {
  return spots
    .filter((spot) => spot.value !== null)
    .map((spot) => `M${x(chart, spot.at)} ${y(chart, spot.value)}h0`)
    .join('');
}

function flags(chart) {
  return (chart.flags ?? []).map((flag) =>
    h(
      'span',
      { class: `flag is-${flag.kind}`, style: { '--x': share(chart, flag.at) }, 'aria-hidden': 'true' },
      h('span', { class: 'flag-words' }, flag.words),
    ),
  );
}

function crosses(chart) {
  return (chart.crosses ?? []).map((spot) =>
    h(
      'span',
      {
        class: 'failed-spot',
        'aria-hidden': 'true',
        style: { '--x': share(chart, spot.at), '--y': String(yShare(chart, spot.value)) },
      },
      '×',
    ),
  );
}

function reading(chart, at) {
  const place = (at - chart.from) / (chart.to - chart.from);
  return h(
    'div',
    { class: place > 0.6 ? 'reading is-left' : 'reading', style: { '--x': share(chart, at) } },
    h(
      'div',
      { class: 'tip' },
      h('div', { class: 'tip-time' }, clockTime(at)),
      chart
        .read(at)
        .map(({ name, kind, words }) =>
          h('div', { class: `tip-line is-${kind}` }, h('span', null, name), h('b', null, words)),
        ),
    ),
  );
}

function cursor(chart) {
  const at = cursors.get(chart.key);
  if (at === undefined || chart.times.length === 0) return null;
  return nearest(chart.times, at);
}

function point(chart, event) {
  const box = event.currentTarget.getBoundingClientRect();
  const at = chart.from + ((event.clientX - box.left) / box.width) * (chart.to - chart.from);
  read(chart, nearest(chart.times, at));
}

function leave(chart) {
  if (cursors.delete(chart.key)) chart.redraw();
}

function press(chart, event) {
  const { times } = chart;
  const at = cursors.get(chart.key);
  const place = at === undefined ? times.length : times.indexOf(nearest(times, at));
  const to = {
    ArrowLeft: place - 1,
    ArrowDown: place - 1,
    ArrowRight: place + 1,
    ArrowUp: place + 1,
    Home: 0,
    End: times.length - 1,
  }[event.key];
  if (event.key === 'Escape' && at !== undefined) {
    event.stopPropagation();
    leave(chart);
  }
  if (to === undefined || times.length === 0) return;
  event.preventDefault();
  read(chart, times[Math.max(0, Math.min(times.length - 1, to))]);
}

function read(chart, at) {
  if (at === undefined || cursors.get(chart.key) === at) return;
  cursors.set(chart.key, at);
  chart.redraw();
}

function nearest(times, at) {
  let best = times[0];
  for (const time of times) if (Math.abs(time - at) <= Math.abs(best - at)) best = time;
  return best;
}

function x({ from, to }, at) {
  return round(((at - from) / (to - from)) * WIDTH);
}

function y({ low, high }, value) {
  const inside = Math.max(low, Math.min(high, value));
  return round(HEIGHT - ((inside - low) / (high - low)) * HEIGHT);
}

function share({ from, to }, at) {
  return String(round((at - from) / (to - from), 10_000));
}

function yShare({ low, high }, value) {
  return round((Math.max(low, Math.min(high, value)) - low) / (high - low), 10_000);
}

function round(number, by = 10) {
  return Math.round(number * by) / by;
}
