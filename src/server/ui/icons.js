/** Signs, drawn on a grid of 16. Each has a shape of its own, so that none depends on its colour. */

import { h } from './dom.js';

const SHAPES = {
  check: ['M3.5 8.5l3 3 6-7'],
  cross: ['M4 4l8 8M12 4l-8 8'],
  hand: ['M8 2.5v6', 'M8 12.4v.1'],
  arrow: ['M2.5 8h10M9 4.5L12.5 8 9 11.5'],
  pause: ['M5.5 3.5v9M10.5 3.5v9'],
  stop: ['M4 4h8v8H4z'],
  skip: ['M3.5 4l5 4-5 4zM12 4v8'],
  dots: ['M3.5 8h.1M8 8h.1M12.5 8h.1'],
  ring: ['M12 8a4 4 0 1 1-8 0 4 4 0 0 1 8 0z'],
  bypass: ['M2.5 12c3 0 3-8 5.5-8s2.5 8 5.5 8'],
  clock: ['M13.5 8a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0z', 'M8 5v3l2 1.5'],
  person: ['M8 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z', 'M3 13.5c.5-3 2.5-4 5-4s4.5 1 5 4'],
  star: ['M8 2.2l1.8 3.7 4 .6-2.9 2.8.7 4L8 11.4l-3.6 1.9.7-4L2.2 6.5l4-.6z'],
  screen: ['M2 3.5h12v8H2z', 'M6 14h4M8 11.5V14'],
  back: ['M9.5 3.5L5 8l4.5 4.5'],
  search: ['M11 7a4 4 0 1 1-8 0 4 4 0 0 1 8 0z', 'M10 10l3.5 3.5'],
  sun: [
    'M10.5 8a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z',
    'M8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1',
  ],
  moon: ['M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z'],
  half: ['M13.5 8a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0z', 'M8 2.5v11M8 5h4.5M8 8h5.5M8 11h4.5'],
};

/**
 * @param {string} name one of the shapes
 * @param {string} [label] what it says where no word stands beside it
 * @returns {import('./dom.js').Wanted}
 */
export function icon(name, label) {
  const props = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
  const paths = (SHAPES[name] ?? SHAPES.ring).map((d) => h('path', { d }));
  return h('svg', { class: 'icon', viewBox: '0 0 16 16', ...props }, paths);
}
