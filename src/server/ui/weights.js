/** The canary's share of the traffic over time. */

import { chart } from './chart.js';
import { h } from './dom.js';
import { outcomeOf } from './words.js';

const MARKS = [0, 25, 50, 75, 100].map((value) => ({ value, words: `${value} %` }));

/**
 * @param {{window: ReturnType<import('./recording.js').Recording['window']>, recording: import('./recording.js').Recording,
 *   all: boolean, choose: (all: boolean) => void, redraw: () => void}} of
 * @returns {import('./dom.js').Wanted}
 */
export function weights(of) {
  const { window, all, choose } = of;
  return h(
    'section',
    { key: 'weights', class: 'panel weights', 'aria-labelledby': 'weights-title' },
    h(
      'div',
      { class: 'panel-top' },
      h('h2', { id: 'weights-title' }, 'Traffic'),
      h(
        'div',
        { class: 'switch', role: 'group', 'aria-label': 'Time shown' },
        h(
          'button',
          { type: 'button', 'aria-pressed': String(!all), on: { click: () => choose(false) } },
          window.live ? 'This release' : 'Last release',
        ),
        h('button', { type: 'button', 'aria-pressed': String(all), on: { click: () => choose(true) } }, 'All recorded'),
      ),
    ),
    window.points.length > 0 ? weightChart(of) : h('p', { class: 'empty' }, 'Nothing was recorded of this release.'),
  );
}

function weightChart({ window, recording, redraw }) {
  const { points, from, to } = window;
  const line = (pick) => [
    ...points.map((point) => ({ at: point.at, value: pick(point) })),
    { at: to, value: pick(points.at(-1)) },
  ];
  return chart({
    key: 'weight',
    label: 'The canary’s share of the traffic over time',
    axis: 'Canary’s share of the traffic',
    from,
    to,
    low: 0,
    high: 100,
    marks: MARKS,
    redraw,
    lines: [
      { name: 'written', kind: 'canary', steps: true, fill: true, spots: line((point) => point.written) },
      { name: 'wanted', kind: 'wanted', steps: true, spots: line((point) => point.wanted) },
      { name: 'observed', kind: 'observed', dots: true, spots: observed(points) },
    ],
    flags: ends(recording, from, to),
    times: points.map((point) => point.at),
    read: (at) => reading(points.find((point) => point.at === at)),
  });
}

function observed(points) {
  const fresh = points.filter(
    (point, place) => point.observed !== undefined && point.observed !== points[place - 1]?.observed,
  );
  return fresh.map((point) => ({ at: point.at, value: share(point.observed) }));
}

function share(text) {
  const number = Number.parseFloat(text);
  return Number.isFinite(number) ? number : null;
}

function ends(recording, from, to) {
  return recording.releases
    .map((release) => ({ at: Date.parse(release.endedAt), ...outcomeOf(release.outcome) }))
    .filter(({ at }) => at >= from && at <= to)
    .map(({ at, word, kind }) => ({ at, words: word, kind }));
}

function reading(point) {
  if (!point) return [];
  return [
    { name: 'wanted', kind: 'wanted', words: `${point.wanted} %` },
    { name: 'written', kind: 'canary', words: `${point.written} %` },
    {
      name: 'observed',
      kind: 'observed',
      words: point.observed === undefined ? 'not measured' : `${point.observed.replace(/ ?%$/, '')} %`,
    },
    ...(point.failedChecks > 0 ? [{ name: 'failed checks', kind: 'bad', words: String(point.failedChecks) }] : []),
  ];
}
