/** What stands around every page: the bar on top, and the banner when the connection is lost. */

import { h } from './dom.js';
import { icon } from './icons.js';
import { nextTheme, theme, themeWords } from './theme.js';
import { clockTime, duration } from './time.js';

const THEME_ICONS = { auto: 'half', light: 'sun', dark: 'moon' };

/**
 * @param {{line: import('./stream.js').Line, who: {user: string | null, anonymous: boolean} | null, home: string,
 *   help: () => void, leave: () => void, redraw: () => void, turnWall: () => void, wall: boolean}} of
 * @returns {import('./dom.js').Wanted[]}
 */
export function topBar({ line, who, home, help, leave, redraw, turnWall, wall }) {
  const logo = h('img', { src: '/ui/serin.svg', alt: '', width: '26', height: '26' });
  const lamp = h('span', { class: 'lamp', 'aria-hidden': 'true' });
  return [
    h('a', { key: 'brand', class: 'brand', href: home }, logo, 'Serin'),
    h('div', { key: 'state', class: `link is-${line.kind}` }, lamp, lineWords(line)),
    h(
      'div',
      { key: 'tools', class: 'tools' },
      who && person(who, leave),
      wallSwitch(turnWall, wall),
      themeSwitch(redraw),
      helpButton(help),
    ),
  ];
}

function person({ user }, leave) {
  const title = user ? 'Use another token' : 'You only read. Give a token to do more';
  const props = { key: 'who', type: 'button', class: 'tool who', title, on: { click: leave } };
  return h('button', props, icon('person'), user || 'Sign in');
}

function themeSwitch(redraw) {
  const click = () => {
    nextTheme();
    redraw();
  };
  const words = `Colours: ${themeWords()}`;
  const props = { key: 'theme', type: 'button', class: 'tool', title: words, 'aria-label': words, on: { click } };
  return h('button', props, icon(THEME_ICONS[theme()]));
}

function wallSwitch(turnWall, wall) {
  const names = { title: wall ? 'Leave the wall screen (Esc)' : 'Wall screen (w)', 'aria-label': 'Wall screen' };
  const state = { 'aria-pressed': String(wall), 'aria-keyshortcuts': 'w' };
  const props = { key: 'wall', type: 'button', class: 'tool wall-switch', ...names, ...state };
  return h('button', { ...props, on: { click: turnWall } }, icon('screen'));
}

function helpButton(help) {
  const names = { title: 'Keys', 'aria-label': 'Help with keys', 'aria-keyshortcuts': '?' };
  return h('button', { key: 'help', type: 'button', class: 'tool', ...names, on: { click: help } }, '?');
}

function lineWords(line) {
  if (line.kind === 'refused' && line.status === 401) return 'waits for a token';
  if (line.kind === 'refused' && line.status === 403) return 'no access';
  const words = {
    live: 'live',
    polling: 'asked every 3 s',
    connecting: 'connecting',
    lost: 'not live',
    refused: 'not live',
  };
  return words[line.kind];
}

/**
 * What is said while what is shown is old.
 *
 * @param {{line: import('./stream.js').Line, again: () => void}} of
 * @returns {import('./dom.js').Wanted | null}
 */
export function banner({ line, again }) {
  if (line.kind !== 'lost') return null;
  return h(
    'section',
    { key: 'banner', class: 'banner', 'aria-label': 'Connection' },
    icon('dots'),
    h('p', null, h('b', null, 'Reconnecting…'), ' ', lastHeard(line), h('span', { class: 'soft' }, line.words)),
    h('button', { type: 'button', class: 'button', on: { click: again } }, 'Try now'),
  );
}

function lastHeard(line) {
  if (!line.lastAt) return '';
  const gone = duration(Date.now() - line.lastAt);
  return h('span', { title: clockTime(line.lastAt) }, `last update ${gone} ago. `);
}
