/** Small things that several pages show. */

import { h } from './dom.js';
import { icon } from './icons.js';
import { limitWords } from './scale.js';
import { change, imageParts } from './words.js';

/**
 * A state as sign and word.
 *
 * @param {{kind: string, icon: string, word: string}} state
 * @returns {import('./dom.js').Wanted}
 */
export function badge(state) {
  return h('span', { class: `badge is-${state.kind}` }, h('span', { class: 'sign' }, icon(state.icon)), state.word);
}

/**
 * The share of the canary.
 *
 * @param {number} weight in percent
 * @param {boolean} [quiet] nothing is under test
 * @returns {import('./dom.js').Wanted}
 */
export function weightBar(weight, quiet = false) {
  const share = Math.max(0, Math.min(100, weight)) / 100;
  return h(
    'span',
    { class: quiet ? 'bar is-quiet' : 'bar', 'aria-hidden': 'true', style: { '--share': String(share) } },
    h('span', { class: 'bar-fill' }),
  );
}

/** Steps that are drawn one by one; with more there is no room. */
const DRAWN_STEPS = 8;

/**
 * Where in its plan a release is.
 *
 * @param {{number: number, of: number}} step
 * @returns {any}
 */
export function steps({ number, of }) {
  const words = `step ${number} of ${of}`;
  if (of > DRAWN_STEPS) return words;
  const pips = Array.from({ length: of }, (_, place) => {
    const state = place + 1 < number ? 'pip is-done' : place + 1 === number ? 'pip is-here' : 'pip';
    return h('span', { class: state });
  });
  return [h('span', { class: 'pips', 'aria-hidden': 'true' }, pips), words];
}

/**
 * A star that pins a Canary.
 *
 * @param {string} name
 * @param {boolean} pinned
 * @param {() => void} turn
 * @returns {import('./dom.js').Wanted}
 */
export function pin(name, pinned, turn) {
  const title = pinned ? 'Unpin (p)' : 'Pin: stands first in its group (p)';
  const props = { key: 'pin', type: 'button', class: pinned ? 'pin is-pinned' : 'pin', title };
  const said = { 'aria-label': `Pin ${name}`, 'aria-pressed': String(pinned), 'aria-keyshortcuts': 'p' };
  return h('button', { ...props, ...said, on: { click: turn } }, icon('star'));
}

/**
 * What a release changes: `app 1.24 → 2.0.0`. An image that is called like the Canary is not named again.
 *
 * @param {import('./words.js').Version | undefined} stable
 * @param {import('./words.js').Version | undefined} candidate
 * @param {string} known name of the Canary
 * @returns {import('./dom.js').Wanted}
 */
export function changeLine(stable, candidate, known) {
  const what = change(stable, candidate);
  const title = [...(stable?.images ?? []), candidate ? '→' : '', ...(candidate?.images ?? [])].join(' ');
  return h(
    'span',
    { class: 'change', title },
    what.name !== known && h('span', { class: 'image-name' }, what.name),
    what.from && h('span', { class: what.to ? 'tag is-from' : 'tag' }, what.from),
    what.to &&
      h('span', { class: 'to' }, h('span', { 'aria-hidden': 'true' }, '→'), h('span', { class: 'unseen' }, 'to')),
    what.to && h('span', { class: 'tag is-to' }, what.to),
    what.more > 0 && h('span', { class: 'more' }, `+${what.more}`),
  );
}

/**
 * An image where there is little room: its tag alone, if it is called like the Canary.
 *
 * @param {string} image
 * @param {string} known name of the Canary
 * @returns {import('./dom.js').Wanted}
 */
export function shortImage(image, known) {
  const { name, tag } = imageParts(image);
  return h('span', { class: 'image', title: image }, h('b', null, name === known ? tag : `${name}:${tag}`));
}

/**
 * An image: name and tag, and behind them or below where it comes from.
 *
 * @param {string} image
 * @returns {import('./dom.js').Wanted}
 */
export function imageLine(image) {
  const { repository, name } = imageParts(image);
  const home = repository.slice(0, repository.length - name.length);
  return h(
    'span',
    { class: 'image', title: image },
    h('b', null, image.slice(home.length)),
    home && h('small', null, home.replace(/\/$/, '')),
  );
}

/**
 * A sentence of the server: with the signs that people write, commands set apart, and places where long names may break.
 *
 * @param {string | undefined} text
 * @returns {import('./dom.js').Wanted[]}
 */
export function sentence(text) {
  const parts = limitWords(text).split(/`([^`\n]+)`/);
  return parts.flatMap((part, place) => (place % 2 === 1 ? [h('code', null, part)] : breakable(part)));
}

/**
 * A text with places where it may break.
 *
 * @param {string} text
 * @returns {import('./dom.js').Wanted[]}
 */
export function breakable(text) {
  const pieces = text.split(/(?<=[/@=])(?=\S)/);
  return pieces.flatMap((piece, place) => (place > 0 ? [h('wbr'), piece] : [piece]));
}

/** @param {string} text @returns {import('./dom.js').Wanted} */
export function kbd(text) {
  return h('kbd', null, text);
}
