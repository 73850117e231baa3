/** What stands in the search: words, labels as kubectl writes them, and what is not wanted. Nothing here touches the page. */

import { stateOf } from './words.js';

/**
 * @typedef {{text: string, not: boolean, key?: string, value?: string | null}} Term `value` of null: the label has only to be there
 */

/** A label: `team=payments`, `team==payments`, `tier!=batch`, `team=` for any value. */
const LABEL = /^(!?)([\w][\w./-]*)(==|!=|=)(.*)$/;

/** @param {string} words @returns {Term[]} */
export function terms(words) {
  return words.split(/\s+/).filter(Boolean).map(term);
}

function term(word) {
  const [, mark, key, sign, value] = LABEL.exec(word) ?? [];
  if (key) return { text: word, key, value: value === '' ? null : value, not: (mark === '!') !== (sign === '!=') };
  const not = word.length > 1 && word.startsWith('!');
  return { text: (not ? word.slice(1) : word).toLowerCase(), not };
}

/**
 * @param {import('./words.js').Item} item
 * @param {Term[]} all
 * @returns {boolean} whether all of them fit
 */
export function fits(item, all) {
  if (all.length === 0) return true;
  const words = all.some((one) => !one.key) ? wordsOf(item) : '';
  return all.every((one) => (one.key ? has(item, one) : words.includes(one.text)) !== one.not);
}

/** A star at the end of a value stands for whatever follows. */
function has(item, { key, value }) {
  const found = item.labels?.[key];
  if (found === undefined || value === null) return found !== undefined;
  return value.endsWith('*') ? found.startsWith(value.slice(0, -1)) : found === value;
}

/** @type {WeakMap<import('./words.js').Item, string>} */
const read = new WeakMap();

function wordsOf(item) {
  const known = read.get(item);
  if (known !== undefined) return known;
  const images = [...(item.candidate?.images ?? []), ...(item.stable?.images ?? [])];
  const all = [item.namespace, item.name, item.target.name, stateOf(item).word, ...images, item.message];
  const words = all.join('\n').toLowerCase();
  read.set(item, words);
  return words;
}

/**
 * The labels that a search asks for, with the values that there are.
 *
 * @param {Iterable<import('./words.js').Item>} items
 * @param {string} words
 * @returns {{key: string, values: string[]}[]}
 */
export function labelsAsked(items, words) {
  const keys = [...new Set(terms(words).flatMap((one) => one.key ?? []))];
  return keys.map((key) => {
    const values = [...items].flatMap((item) => item.labels?.[key] ?? []);
    return { key, values: [...new Set(values)].sort() };
  });
}

/**
 * The search that finds all with a label.
 *
 * @param {string} key
 * @param {string} value
 * @returns {string}
 */
export function labelTerm(key, value) {
  return `${key}=${value}`;
}
