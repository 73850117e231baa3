/** All Canaries as they were last heard of, and which of them are wanted. Nothing here touches the page. */

import { comparing, order } from './order.js';
import { fits, terms } from './search.js';
import { GROUPS, stateOf } from './words.js';

/**
 * @typedef {import('./words.js').Item} Item
 * @typedef {{q: string, ns: string, phase: string, group: string, sort: string, pinned: string, wall: string}} Filter `pinned` and
 *   `wall` are set or empty
 */

/** @param {{namespace: string, name: string}} of @returns {string} */
export function keyOf(of) {
  return `${of.namespace}/${of.name}`;
}

/** The Canaries that are known. */
export class Fleet {
  constructor() {
    /** @type {Map<string, Item>} */
    this.items = new Map();
    /** Whether a list was ever received. */
    this.known = false;
  }

  /** Another part of the fleet is looked at. */
  forget() {
    this.items.clear();
    this.known = false;
  }

  /**
   * Takes in an event. Items that did not change stay the same objects.
   *
   * @param {string} type
   * @param {any} data
   * @returns {Item[]} those whose state is another now, if this was not the first list
   */
  hear(type, data) {
    if (type === 'list') return this.#all(data.items ?? []);
    if (type === 'gone') {
      this.items.delete(keyOf(data));
      return [];
    }
    return type === 'canary' ? this.#one(data) : [];
  }

  #all(items) {
    const first = !this.known;
    this.known = true;
    const here = new Set(items.map(keyOf));
    for (const key of this.items.keys()) if (!here.has(key)) this.items.delete(key);
    const turned = items.flatMap((item) => this.#one(item));
    return first ? [] : turned;
  }

  #one(item) {
    const key = keyOf(item);
    const before = this.items.get(key);
    if (before && JSON.stringify(before) === JSON.stringify(item)) return [];
    this.items.set(key, item);
    return before && stateOf(before).word !== stateOf(item).word ? [item] : [];
  }

  /** @returns {[string, number][]} namespaces with how many Canaries each has, by name */
  namespaces() {
    const found = new Map();
    for (const { namespace } of this.items.values()) found.set(namespace, (found.get(namespace) ?? 0) + 1);
    return [...found].sort(([one], [other]) => order(one, other));
  }

  /** @returns {number} how many need attention */
  urgent() {
    let count = 0;
    for (const item of this.items.values()) if (stateOf(item).group === 'attention') count += 1;
    return count;
  }

  /**
   * Those that are wanted, in groups, and how many each group would have.
   *
   * @param {Filter} filter
   * @param {Set<string>} pinned keys
   * @returns {{groups: Record<string, Item[]>, counts: Record<string, number>, total: number, pinned: number}}
   */
  select(filter, pinned) {
    const groups = Object.fromEntries(Object.keys(GROUPS).map((name) => [name, []]));
    const asked = terms(filter.q);
    const isPinned = (item) => pinned.has(keyOf(item));
    let pinnedCount = 0;
    for (const item of this.items.values()) {
      if (!wanted(item, filter, asked)) continue;
      const is = pinned.size > 0 && isPinned(item);
      pinnedCount += Number(is);
      if (is || !filter.pinned) groups[stateOf(item).group].push(item);
    }
    const counts = Object.fromEntries(Object.entries(groups).map(([name, items]) => [name, items.length]));
    const total = Object.values(counts).reduce((sum, number) => sum + number, 0);
    for (const [name, items] of Object.entries(groups)) {
      if (filter.group && filter.group !== name) groups[name] = [];
      else items.sort(comparing(name, filter.sort, isPinned));
    }
    return { groups, counts, total, pinned: pinnedCount };
  }
}

function wanted(item, filter, asked) {
  if (filter.ns && item.namespace !== filter.ns) return false;
  if (filter.phase && item.phase !== filter.phase) return false;
  return fits(item, asked);
}
