/** Keys, and the dialog that lists them. */

import { h, put } from './dom.js';
import { kbd } from './parts.js';

const LIST = [
  [['/'], 'search'],
  [['j', 'k'], 'next, previous Canary'],
  [['Enter'], 'open it'],
  [['Esc'], 'leave the search, the dialog, the Canary, the wall'],
  [['1', '2', '3', '0'], 'needs attention, in progress, quiet, all'],
  [['p'], 'pin the Canary that has the focus, or let it go'],
  [['4'], 'pinned only'],
  [['w'], 'for a screen on the wall'],
  [['t'], 'dark, light, as the system'],
  [['←', '→'], 'read a chart that has the focus'],
  [['?'], 'these keys'],
];

/**
 * @param {{home: () => void, group: (name: string) => void, theme: () => void, wall: () => void}} does
 */
export function listen(does) {
  document.addEventListener('keydown', (event) => {
    if (
      event.defaultPrevented ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      document.querySelector('dialog[open]')
    )
      return;
    if (event.key === 'Escape') return escape(event, does);
    if (types(event.target)) return;
    const groups = { 0: '', 1: 'attention', 2: 'progress', 3: 'quiet' };
    if (event.key === '/') focusSearch(event);
    else if (event.key === 'j' || event.key === 'k') step(event, event.key === 'j' ? 1 : -1);
    else if (event.key === '?') help();
    else if (event.key === 't') does.theme();
    else if (event.key === 'w') does.wall();
    else if (event.key === 'p') pinHere();
    else if (event.key === '4') document.querySelector('.pinned-only')?.click();
    else if (event.key in groups && search()) does.group(groups[event.key]);
  });
}

function types(element) {
  return element.matches?.('input, textarea, select, [contenteditable]');
}

function search() {
  return document.getElementById('search');
}

/** The Canary whose row has the focus, or whose page it is. */
function pinHere() {
  const row = document.activeElement.closest('.row');
  (row ?? document.querySelector('.head'))?.querySelector('.pin')?.click();
}

function focusSearch(event) {
  const field = search();
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

function escape(event, does) {
  const field = search();
  if (field && document.activeElement === field) {
    if (field.value) {
      field.value = '';
      field.dispatchEvent(new Event('input'));
    } else field.blur();
  } else if (types(event.target)) event.target.blur();
  else does.home();
}

function step(event, by) {
  const names = [...document.querySelectorAll('.rows .name, .tile .name')];
  if (names.length === 0) return;
  event.preventDefault();
  const here = names.indexOf(document.activeElement);
  const next = here < 0 ? (by > 0 ? 0 : names.length - 1) : Math.max(0, Math.min(names.length - 1, here + by));
  names[next].focus({ preventScroll: true });
  names[next].closest('.row, .tile').scrollIntoView({ block: 'nearest' });
}

/** Shows the keys. */
export function help() {
  const dialog = document.getElementById('help') ?? make();
  put(
    dialog,
    h('h2', { id: 'help-title' }, 'Keys'),
    h(
      'dl',
      { class: 'keys' },
      LIST.map(([keys, words]) => h('div', null, h('dt', null, keys.map(kbd)), h('dd', null, words))),
    ),
    h(
      'div',
      { class: 'dialog-buttons' },
      h('button', { type: 'button', class: 'button', on: { click: () => dialog.close() } }, 'Close'),
    ),
  );
  dialog.showModal();
}

function make() {
  const dialog = document.createElement('dialog');
  dialog.id = 'help';
  dialog.className = 'dialog';
  dialog.setAttribute('aria-labelledby', 'help-title');
  document.body.append(dialog);
  return dialog;
}
