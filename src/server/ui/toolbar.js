/** What stands above the list: groups, search, and the order. */

import { h } from './dom.js';
import { icon } from './icons.js';
import { SORTS } from './order.js';
import { GROUPS, PHASES } from './words.js';

/**
 * @typedef {import('./fleet.js').Filter} Filter
 * @param {{fleet: import('./fleet.js').Fleet, filter: Filter, selected: ReturnType<import('./fleet.js').Fleet['select']>,
 *   narrow: (change: Partial<Filter>) => void}} of
 * @returns {import('./dom.js').Wanted}
 */
export function toolbar(of) {
  const { fleet, filter, narrow } = of;
  return h(
    'div',
    { class: 'toolbar', role: 'search', 'aria-label': 'Which Canaries' },
    groups(of),
    pinnedOnly(of),
    search(of),
    choice('Namespace', filter.ns, fleet.namespaces(), (ns) => narrow({ ns })),
    choice(
      'Phase',
      filter.phase,
      PHASES.map((phase) => [phase, null]),
      (phase) => narrow({ phase }),
    ),
    sorting(of),
  );
}

function groups({ filter, narrow, selected: { counts, total } }) {
  return h(
    'div',
    { class: 'tabs', role: 'group', 'aria-label': 'Group' },
    tab('', 'All', total, filter, narrow),
    Object.entries(GROUPS).map(([name, words]) => tab(name, words, counts[name], filter, narrow)),
  );
}

/** Those that are pinned in this browser, and no others. */
function pinnedOnly({ filter, narrow, selected }) {
  const on = Boolean(filter.pinned);
  const words = `Pinned only, ${selected.pinned}`;
  const click = () => narrow({ pinned: on ? '' : '1' });
  const props = { type: 'button', class: 'pinned-only', title: words, 'aria-label': words, 'aria-pressed': String(on) };
  return h('button', { ...props, on: { click } }, icon('star'), h('span', { class: 'number' }, selected.pinned));
}

function search({ filter, narrow }) {
  return h(
    'label',
    { class: 'search' },
    icon('search'),
    h('span', { class: 'unseen' }, 'Search'),
    h('input', {
      id: 'search',
      type: 'search',
      placeholder: 'Name, image, label=value',
      autocomplete: 'off',
      spellcheck: 'false',
      'aria-keyshortcuts': '/',
      value: filter.q,
      on: { input: (event) => narrow({ q: event.target.value }) },
    }),
    h('kbd', { 'aria-hidden': 'true' }, '/'),
  );
}

function sorting({ filter, narrow }) {
  const names = Object.entries(SORTS).map(([name, words]) => [name, `By ${words}`]);
  const turned = filter.sort.startsWith('-') && SORTS[filter.sort.slice(1)];
  const all = turned ? [...names, [filter.sort, `By ${turned}, turned`]] : names;
  const entries = all.map(([name, words]) => [name, null, words]);
  return choice('Order', filter.sort, entries, (sort) => narrow({ sort }));
}

function tab(group, words, number, filter, narrow) {
  return h(
    'button',
    {
      key: group,
      type: 'button',
      class: `tab is-${group || 'all'}`,
      'aria-pressed': String(filter.group === group),
      on: { click: () => narrow({ group }) },
    },
    h('span', { class: 'tab-words' }, tabWords(words)),
    h('span', { class: 'number' }, number),
  );
}

/** Where there is little room only the last word stands. */
function tabWords(words) {
  const [last, ...before] = words.split(' ').reverse();
  return before.length > 0 ? [h('span', { class: 'roomy' }, `${before.reverse().join(' ')} `), last] : words;
}

/** A field to choose from: `entries` are values with how many there are, or null, and perhaps other words. */
function choice(label, value, entries, chosen) {
  const known = value === '' || entries.some(([entry]) => entry === value);
  const listed = known ? entries : [...entries, [value, 0]];
  return h(
    'label',
    { class: value ? 'choice is-set' : 'choice' },
    h('span', { class: 'unseen' }, label),
    h(
      'select',
      { value, on: { change: (event) => chosen(event.target.value) } },
      h('option', { value: '' }, label),
      listed.map(([entry, number, words = entry]) =>
        h('option', { key: entry, value: entry }, number === null ? words : `${words} (${number})`),
      ),
    ),
  );
}
