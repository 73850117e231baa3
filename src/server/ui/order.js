/** In which order Canaries stand within their group. */

import { stateOf } from './words.js';

/**
 * @typedef {import('./words.js').Item} Item
 * @typedef {(one: Item, other: Item) => number} Compare
 */

/** What one can sort by, beside the usual order. A minus before the name turns it round. */
export const SORTS = {
  name: 'name',
  state: 'state',
  weight: 'share of traffic',
  next: 'next check',
  since: 'last change',
};

/** @type {Record<string, Compare>} each with what is most likely looked for first */
const COMPARES = {
  name: (one, other) => order(one.name, other.name) || order(one.namespace, other.namespace),
  state: (one, other) => stateOf(one).rank - stateOf(other).rank || order(stateOf(one).word, stateOf(other).word),
  weight: (one, other) => other.weight - one.weight,
  next: (one, other) => order(one.nextAt ?? '~', other.nextAt ?? '~'),
  since: (one, other) => order(other.since ?? '', one.since ?? ''),
};

/**
 * How a group is sorted: those that are pinned first, then as it is wished, or else the most urgent, or by name.
 *
 * @param {string} group
 * @param {string} sort one of `SORTS`, perhaps with a minus; anything else is the usual order
 * @param {(item: Item) => boolean} isPinned
 * @returns {Compare}
 */
export function comparing(group, sort, isPinned) {
  const wish = COMPARES[sort.replace(/^-/, '')];
  const turned = sort.startsWith('-') ? -1 : 1;
  const usual = group === 'attention' ? byUrgency : byPlace;
  const compare = wish ? (one, other) => turned * wish(one, other) || byPlace(one, other) : usual;
  return (one, other) => Number(isPinned(other)) - Number(isPinned(one)) || compare(one, other);
}

/**
 * What a click on a heading wishes next: in that order, turned round, as usual.
 *
 * @param {string} sort as it is now
 * @param {string} by
 * @returns {string}
 */
export function nextSort(sort, by) {
  return sort === by ? `-${by}` : sort === `-${by}` ? '' : by;
}

function byUrgency(one, other) {
  const rank = stateOf(one).rank - stateOf(other).rank;
  return rank || order(other.since ?? '', one.since ?? '') || byPlace(one, other);
}

function byPlace(one, other) {
  return order(one.namespace, other.namespace) || order(one.name, other.name);
}

/** @param {string} one @param {string} other @returns {number} */
export function order(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}
