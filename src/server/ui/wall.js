/** All Canaries for a screen on the wall: what is going on, large enough to be read from across the room, and nothing to operate. */

import { h, lazy } from './dom.js';
import { keyOf } from './fleet.js';
import { icon } from './icons.js';
import { badge, changeLine, sentence, steps, weightBar } from './parts.js';
import { pins } from './pins.js';
import { detailAt } from './route.js';
import { ago, clock, next as timeTo, since } from './time.js';
import { GROUPS, count, outcomeOf, stateOf } from './words.js';

/** A tile is about so many times as wide as it is high. */
const SHAPE = 2.6;
/** More tiles than these beside and below each other could not be read from afar: on a wide screen, and on a high one. */
const MOST = { wide: [4, 4], high: [2, 8] };
/** One tile alone does not fill the screen. */
const LEAST_ROWS = 2;
/** Below this width it is in somebody's hand: then tiles stand below each other, and the page scrolls. */
const HAND = 720;
/** Verdicts that are told at the bottom. */
const TOLD = 3;

/**
 * @param {{fleet: import('./fleet.js').Fleet, filter: import('./fleet.js').Filter, size: {width: number, height: number}}} of
 * @returns {import('./dom.js').Wanted[]}
 */
export function wall({ fleet, filter, size }) {
  const { groups, counts } = fleet.select(filter, pins());
  const busy = [...groups.attention, ...groups.progress];
  const { columns, rows } = grid(busy.length, size);
  const room = size.width < HAND ? Infinity : columns * rows;
  const drawn = busy.length > room ? busy.slice(0, room - 1) : busy;
  return [
    h(
      'div',
      { key: 'wall', class: 'wall' },
      h('h1', { class: 'unseen' }, 'Canaries'),
      numbers(counts, filter),
      !fleet.known
        ? h('p', { class: 'wall-calm', 'aria-busy': 'true' }, 'Asking Serin for its Canaries…')
        : busy.length === 0
          ? calm(counts)
          : h(
              'ul',
              { key: 'tiles', class: 'tiles', role: 'list', style: { '--columns': `${columns}`, '--rows': `${rows}` } },
              drawn.map((item) => lazy(keyOf(item), [item], () => tile(item))),
              busy.length > drawn.length && rest(busy.slice(drawn.length)),
            ),
      latest(groups.quiet),
    ),
  ];
}

/**
 * How many tiles stand beside and below each other, so that they are as large as can be.
 *
 * @param {number} count
 * @param {{width: number, height: number}} size
 * @returns {{columns: number, rows: number}}
 */
export function grid(count, { width, height }) {
  const [most, deep] = width >= height ? MOST.wide : MOST.high;
  let best = { columns: most, rows: deep, scale: 0 };
  for (let columns = 1; columns <= most; columns += 1) {
    const rows = Math.max(LEAST_ROWS, Math.ceil(count / columns));
    const scale = Math.min(width / columns / SHAPE, height / rows);
    if (rows <= deep && scale > best.scale) best = { columns, rows, scale };
  }
  return { columns: best.columns, rows: best.rows };
}

function numbers(counts, filter) {
  const only = [filter.ns, filter.q && `“${filter.q}”`, filter.phase, filter.pinned && 'pinned only'].filter(Boolean);
  return h(
    'div',
    { key: 'numbers', class: 'wall-top' },
    h(
      'ul',
      { class: 'wall-numbers', role: 'list' },
      Object.entries(GROUPS).map(([name, words]) =>
        h(
          'li',
          { key: name, class: `wall-number is-${name}${counts[name] === 0 ? ' is-none' : ''}` },
          h('b', null, counts[name]),
          ' ',
          h('span', null, name === 'attention' && counts[name] !== 1 ? 'need attention' : words.toLowerCase()),
        ),
      ),
    ),
    only.length > 0 && h('p', { class: 'wall-only' }, `only ${only.join(', ')}`),
    h('p', { class: 'wall-clock' }, clock()),
  );
}

function tile(item) {
  const state = stateOf(item);
  return h(
    'li',
    { class: `tile is-${state.kind} is-in-${state.group}` },
    h(
      'div',
      { class: 'tile-in' },
      h(
        'div',
        { class: 'tile-top' },
        h('a', { class: 'name', href: detailAt(item), title: item.name }, item.name),
        h('span', { class: 'tile-percent' }, item.weight, h('small', null, ' %')),
      ),
      h(
        'div',
        { class: 'tile-what' },
        badge(state),
        h('span', { class: 'tile-version' }, changeLine(item.stable, item.candidate, item.name)),
      ),
      weightBar(item.weight),
      h(
        'div',
        { class: 'tile-where' },
        h('span', { class: 'tile-namespace' }, item.namespace),
        item.step && h('span', { class: 'steps' }, steps(item.step)),
        h('span', { class: 'tile-time' }, time(item)),
      ),
      h('p', { class: 'tile-message' }, sentence(item.message)),
    ),
  );
}

function time(item) {
  if (item.nextAt) return ['next ', timeTo(item.nextAt)];
  return item.since && ['for ', since(item.since)];
}

function rest(items) {
  const urgent = items.filter((item) => stateOf(item).group === 'attention').length;
  return h(
    'li',
    { key: 'rest', class: 'tile is-rest' },
    h(
      'div',
      { class: 'tile-in' },
      h('b', null, `+ ${items.length}`),
      h('span', null, urgent > 0 ? `more, ${urgent} of them need attention` : 'more in progress'),
    ),
  );
}

function calm(counts) {
  const all = Object.values(counts).reduce((sum, number) => sum + number, 0);
  return h(
    'div',
    { key: 'calm', class: 'wall-calm' },
    h('span', { class: 'sign' }, icon('check')),
    h('p', null, all === 0 ? 'No Canaries here' : 'All quiet'),
    all > 0 && h('p', { class: 'soft' }, `${count(all, 'Canary', 'Canaries')}, nothing to do`),
  );
}

/** The newest verdicts of those that are at rest. */
function latest(quiet) {
  const ended = quiet.filter((item) => item.lastOutcome && item.since);
  const newest = ended.sort((one, other) => (one.since < other.since ? 1 : -1)).slice(0, TOLD);
  if (newest.length === 0) return null;
  return h(
    'ul',
    { key: 'latest', class: 'wall-latest', role: 'list' },
    newest.map((item) => {
      const outcome = outcomeOf(item.lastOutcome);
      return h(
        'li',
        { key: keyOf(item) },
        badge({ ...outcome, word: '' }),
        h('b', null, item.name),
        ` ${outcome.word.toLowerCase()} `,
        ago(item.since),
      );
    }),
  );
}

let asked = false;
let lock = null;

/**
 * Keeps the screen from going dark while the wall is shown, where the browser can.
 *
 * @param {boolean} wanted
 */
export async function keepAwake(wanted) {
  if (!wanted) {
    asked = false;
    await lock?.release();
    lock = null;
  } else if (!asked && !document.hidden && navigator.wakeLock) {
    asked = true;
    await holdAwake();
  }
}

/** A browser that says no is not asked again, until one comes back to the wall. */
async function holdAwake() {
  try {
    const held = await navigator.wakeLock.request('screen');
    held.addEventListener('release', () => {
      asked = false;
    });
    if (asked) lock = held;
    else await held.release();
  } catch {
    // The battery is low, or it is not allowed here.
  }
}
