/** The page with all Canaries. */

import { h, lazy } from './dom.js';
import { keyOf } from './fleet.js';
import { SORTS, nextSort } from './order.js';
import { badge, changeLine, pin, sentence, steps, weightBar } from './parts.js';
import { pins, turnPin } from './pins.js';
import { ALL, detailAt } from './route.js';
import { labelsAsked } from './search.js';
import { ago, next as timeTo, since } from './time.js';
import { toolbar } from './toolbar.js';
import { GROUPS, outcomeOf, stateOf } from './words.js';

/**
 * @typedef {import('./fleet.js').Filter} Filter
 * @typedef {import('./words.js').Item} Item
 * @param {{fleet: import('./fleet.js').Fleet, filter: Filter, narrow: (change: Partial<Filter>) => void, redraw: () => void}} of
 * @returns {import('./dom.js').Wanted[]}
 */
export function overview(of) {
  const { fleet, filter } = of;
  const page = { ...of, selected: fleet.select(filter, pins()) };
  return [
    h(
      'div',
      { key: 'overview', class: 'overview' },
      h('h1', { class: 'unseen' }, 'Canaries'),
      toolbar(page),
      fleet.known ? body(page, filter) : waiting(),
    ),
  ];
}

function waiting() {
  return h('div', { class: 'placeholder', 'aria-busy': 'true' }, h('p', null, 'Asking Serin for its Canaries…'));
}

function body(page, filter) {
  const { groups } = page.selected;
  if (page.fleet.items.size === 0) return none();
  if (Object.values(groups).every((items) => items.length === 0)) return nothingFound(page, filter);
  return h(
    'div',
    { class: 'groups' },
    headings(page),
    Object.entries(GROUPS).map(([name, words]) => group(name, words, groups[name], page.redraw)),
  );
}

/** Columns, and what each sorts by. */
const COLUMNS = [
  ['State', 'state'],
  ['Canary', 'name'],
  ['Version', ''],
  ['Traffic to the canary', 'weight'],
  ['Next', 'next'],
  ['What is happening', 'since'],
];

function headings({ filter, narrow }) {
  return h(
    'div',
    { class: 'row headings', role: 'group', 'aria-label': 'Order within the groups' },
    COLUMNS.map(([words, by]) => (by ? heading(words, by, filter, narrow) : h('span', null, words))),
  );
}

function heading(words, by, { sort }, narrow) {
  const now = sort.replace(/^-/, '') === by;
  const click = () => narrow({ sort: nextSort(sort, by) });
  const title = `Sort by ${SORTS[by]}`;
  const props = { type: 'button', class: `heading is-${by}`, title, 'aria-pressed': String(now), on: { click } };
  const arrow = now && h('span', { class: 'sorted' }, sort.startsWith('-') ? '↑' : '↓');
  return h('span', null, h('button', props, words, h('span', { class: 'unseen' }, `: ${title}`), arrow));
}

function group(name, words, items, redraw) {
  if (items.length === 0) return null;
  const pinned = pins();
  return h(
    'section',
    { key: name, class: `group is-${name}`, 'aria-labelledby': `group-${name}` },
    h('h2', { id: `group-${name}` }, words, h('span', { class: 'number' }, items.length)),
    h(
      'ul',
      { class: 'rows', role: 'list' },
      items.map((item) => {
        const is = pinned.has(keyOf(item));
        return lazy(keyOf(item), [item, is], () => safeRow(item, is, redraw));
      }),
    ),
  );
}

/** One that cannot be shown never takes the others with it. */
function safeRow(item, pinned, redraw) {
  try {
    return row(item, pinned, redraw);
  } catch (error) {
    console.error(item, error);
    return h(
      'li',
      { class: 'row' },
      h('div', { class: 'cell-name' }, h('a', { class: 'name', href: detailAt(item) }, item.name)),
      h('p', { class: 'cell-message' }, 'This Canary cannot be shown here.'),
    );
  }
}

function row(item, pinned, redraw) {
  const state = stateOf(item);
  const quiet = state.group === 'quiet';
  return h(
    'li',
    { class: `row is-${state.kind}${quiet ? ' is-calm' : ''}` },
    h('div', { class: 'cell-state' }, badge(state)),
    h(
      'div',
      { class: 'cell-name' },
      h('a', { class: 'name', href: detailAt(item), title: item.name }, item.name),
      h('span', { class: 'namespace', title: item.namespace }, item.namespace),
      pin(item.name, pinned, () => {
        turnPin(keyOf(item));
        redraw();
      }),
    ),
    h('div', { class: 'cell-version' }, changeLine(item.stable, quiet ? undefined : item.candidate, item.name)),
    h('div', { class: 'cell-weight' }, quiet ? lastTime(item) : traffic(item)),
    h('div', { class: 'cell-next' }, next(item)),
    h('p', { class: 'cell-message', title: item.message }, sentence(item.message)),
  );
}

function traffic(item) {
  if (item.phase === 'Failed' && item.weight === 0) return h('span', { class: 'last' }, 'all of it on stable');
  return [
    weightBar(item.weight),
    h('span', { class: 'percent' }, `${item.weight} %`),
    h('span', { class: 'steps' }, item.step && steps(item.step)),
  ];
}

function lastTime(item) {
  if (!item.lastOutcome) return h('span', { class: 'last' }, 'no release yet');
  const outcome = outcomeOf(item.lastOutcome);
  return h('span', { class: 'last' }, `${outcome.word.toLowerCase()} `, item.since && ago(item.since));
}

function next(item) {
  if (item.nextAt) return [h('span', { class: 'unseen' }, 'next check in '), timeTo(item.nextAt)];
  const state = stateOf(item);
  if (!item.since || state.group === 'quiet') return null;
  return h('span', { class: 'sofar' }, 'for ', since(item.since));
}

function nothingFound({ fleet, narrow }, filter) {
  const words = [
    filter.q && `“${filter.q}”`,
    filter.ns && `namespace ${filter.ns}`,
    filter.phase && `phase ${filter.phase}`,
    filter.group && `“${GROUPS[filter.group] ?? filter.group}”`,
    filter.pinned && '“Pinned only”',
  ]
    .filter(Boolean)
    .join(', ');
  const all = () => narrow({ ...ALL, sort: filter.sort, wall: filter.wall });
  return h(
    'div',
    { class: 'placeholder' },
    h('h2', null, 'No Canary fits'),
    h('p', null, `Nothing matches ${words}.`),
    filter.pinned && h('p', null, 'The star beside a name pins a Canary: it stands first in its group then.'),
    labelsAsked(fleet.items.values(), filter.q).map(labelHint),
    h('button', { type: 'button', class: 'button', on: { click: all } }, 'Show all'),
  );
}

/** Values that are named where a search by label finds nothing. */
const NAMED_VALUES = 12;

function labelHint({ key, values }) {
  const named = values.slice(0, NAMED_VALUES).join(', ');
  const more = values.length > NAMED_VALUES ? ` and ${values.length - NAMED_VALUES} more` : '';
  const words = values.length > 0 ? ` is one of: ${named}${more}.` : ' is no label of any Canary here.';
  return h('p', { key: `label/${key}` }, h('code', null, key), words);
}

const EXAMPLE = `apiVersion: serin.dev/v1beta1
kind: Canary
metadata: {name: my-app, namespace: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: my-app}
  service: {port: 80}`;

function none() {
  return h(
    'div',
    { class: 'placeholder is-wide' },
    h('img', { src: '/ui/serin.svg', alt: '', width: '56', height: '56' }),
    h('h2', null, 'No Canaries yet'),
    h(
      'p',
      null,
      'Add one beside a Deployment that you have. It restarts no Pod; from then on every new version is tried on a small share of the traffic first.',
    ),
    h('pre', { tabindex: '0', 'aria-label': 'A Canary' }, h('code', null, EXAMPLE)),
    h(
      'p',
      null,
      'Save it as ',
      h('code', null, 'canary.yaml'),
      ', then ',
      h('code', null, 'kubectl apply -f canary.yaml'),
      '. It appears here by itself.',
    ),
  );
}
