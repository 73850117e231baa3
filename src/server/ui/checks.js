/** What is checked: the last round with its evidence, and every round before as a chart against the limit. */

import { chart } from './chart.js';
import { h } from './dom.js';
import { badge, sentence } from './parts.js';
import { bounds, limitWords, numberWords, quantity, range } from './scale.js';
import { ago } from './time.js';
import { verdictOf } from './words.js';

/**
 * @param {{view: any, window: ReturnType<import('./recording.js').Recording['window']>, redraw: () => void}} of
 * @returns {import('./dom.js').Wanted}
 */
export function checks({ view, window, redraw }) {
  const names = namesOf([...window.points.flatMap((point) => point.checks), ...view.checks]);
  const { count, threshold } = view.failedChecks;
  return h(
    'section',
    { key: 'checks', class: 'panel checks', 'aria-labelledby': 'checks-title' },
    h(
      'div',
      { class: 'panel-top' },
      h('h2', { id: 'checks-title' }, 'Checks'),
      h('p', { class: count > 0 ? 'aside is-bad' : 'aside' }, `${count} failed, ${Math.max(1, threshold)} roll back`),
    ),
    names.length === 0
      ? h('p', { class: 'empty' }, 'Nothing has been checked yet.')
      : h(
          'ul',
          { class: 'cards', role: 'list' },
          names.map((name) => card(name, view, window, redraw)),
        ),
  );
}

/** Those with numbers first, then by name: a card keeps its place, whatever its verdict is. */
function namesOf(all) {
  const plain = new Map();
  for (const { name, canary, stable } of all) {
    plain.set(name, plain.get(name) !== false && !quantity(canary) && !quantity(stable));
  }
  return [...plain.keys()].sort((one, other) => plain.get(one) - plain.get(other) || (one < other ? -1 : 1));
}

function card(name, view, window, redraw) {
  const rounds = roundsOf(name, window.points);
  const last = view.checks.find((check) => check.name === name) ?? rounds.at(-1)?.check;
  const verdict = verdictOf(last.verdict);
  return h(
    'li',
    { key: name, class: `card is-${verdict.kind}` },
    h('div', { class: 'card-top' }, h('h3', { title: name }, name), badge(verdict)),
    evidence(last),
    plot(name, rounds, window, redraw),
    h(
      'p',
      { class: 'card-words' },
      joined([
        last.message && sentence(last.message),
        last.samples > 0 && `${last.samples.toLocaleString()} ${last.samples === 1 ? 'sample' : 'samples'}`,
        last.at && ago(last.at),
      ]),
    ),
  );
}

/** Readiness and the like have one value, and nothing to compare it with. */
function evidence({ canary, stable, limit }) {
  if (!canary && !stable && !limit) return null;
  const compared = (stable || limit) && [
    pair('stable', stable ?? '–', 'stable'),
    pair('limit', limitWords(limit) || 'none', 'limit'),
  ];
  return h('dl', { class: 'evidence' }, pair('canary', canary ?? '–', 'canary'), compared);
}

function joined(parts) {
  return parts.filter(Boolean).flatMap((part, place) => (place > 0 ? [' · ', part] : [part]));
}

function pair(term, words, kind) {
  return h('div', { class: `pair is-${kind}` }, h('dt', null, term), h('dd', { title: words }, words));
}

/** Between two attempts nothing was checked. */
const AT_REST = ['Failed', 'Succeeded', 'Initialized'];

/**
 * The rounds of one check. A round stands in every later point too, until there is another. The first round of a later attempt
 * is marked, so that no line leads to it.
 */
function roundsOf(name, points) {
  const rounds = [];
  let before = '';
  let rested = false;
  for (const point of points) {
    const check = point.checks.find((one) => one.name === name);
    const words = check ? JSON.stringify([check.canary, check.stable, check.verdict]) : '';
    if (check && words !== before) {
      rounds.push({ at: point.at, check, anew: rested });
      rested = false;
    }
    rested ||= AT_REST.includes(point.phase);
    before = words;
  }
  return rounds;
}

function plot(name, rounds, window, redraw) {
  const spots = (field) =>
    rounds.flatMap(({ at, check, anew }) => {
      const spot = { at, value: quantity(check[field])?.number ?? null };
      return anew ? [{ at, value: null }, spot] : [spot];
    });
  const [canary, stable] = [spots('canary'), spots('stable')];
  const values = [...canary, ...stable].map((spot) => spot.value).filter((value) => value !== null);
  if (values.length === 0) return null;
  const limits = bounds(rounds.at(-1).check.limit);
  const unit = quantity(rounds.at(-1).check.canary)?.unit ?? '';
  const axis = range([...values, ...limits.map((limit) => limit.number)], {
    floor: 0,
    ...(unit === '%' && { ceiling: 100 }),
  });
  return chart({
    key: `check/${name}`,
    label: `${name} over time`,
    axis: `Value${unit && `, ${unit}`}`,
    from: window.from,
    to: window.to,
    ...axis,
    marks: axis.marks.map((value) => ({ value, words: numberWords(value) })),
    limits,
    redraw,
    most: 3,
    lines: [
      { name: 'stable', kind: 'stable', dots: true, spots: stable },
      { name: 'canary', kind: 'canary', dots: true, spots: canary },
    ],
    crosses: rounds
      .filter(({ check }) => check.verdict === 'Fail')
      .map(({ at, check }) => ({ at, value: quantity(check.canary)?.number ?? axis.low })),
    times: rounds.map(({ at }) => at),
    read: (at) => reading(rounds.find((round) => round.at === at)?.check),
  });
}

function reading(check) {
  if (!check) return [];
  return [
    { name: 'canary', kind: 'canary', words: check.canary ?? 'no data' },
    { name: 'stable', kind: 'stable', words: check.stable ?? 'no data' },
    { name: 'limit', kind: 'limit', words: limitWords(check.limit) || 'none' },
    { name: 'verdict', kind: verdictOf(check.verdict).kind, words: verdictOf(check.verdict).word },
  ];
}
