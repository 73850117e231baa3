/** Times and durations as people read them, and elements that tell them and stay right. */

import { h } from './dom.js';

/** Milliseconds that the server's clock is ahead of ours. */
let ahead = 0;
/** While what is shown is old, nothing is counted down. */
let stopped = false;

/** Now, by the server's clock. @returns {number} milliseconds */
export function now() {
  return Date.now() + ahead;
}

/**
 * Learns the server's clock from a reply. One second is the precision of the header; less is no difference.
 *
 * @param {string | null} date the header `Date`
 */
export function learnClock(date) {
  const there = Date.parse(date ?? '');
  if (!Number.isFinite(there)) return;
  const gap = there + 500 - Date.now();
  ahead = Math.abs(gap) > 1500 ? gap : 0;
}

/** @param {boolean} value nothing is counted down from now on */
export function stopClocks(value) {
  stopped = value;
  tellTimes();
}

/**
 * A duration in its two largest units.
 *
 * @param {number} ms
 * @returns {string}
 */
export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  const m = Math.round(s / 60);
  if (s < 600) return rest(Math.floor(s / 60), 'min', s % 60, 's');
  if (m < 90) return `${m} min`;
  const hours = Math.round(m / 60);
  if (hours < 10) return rest(Math.floor(m / 60), 'h', m % 60, 'min');
  if (hours < 48) return `${hours} h`;
  return `${Math.round(hours / 24)} d`;
}

function rest(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** @param {number} ms @returns {string} a duration in its largest unit */
function brief(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min`;
  return s < 48 * 3600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`;
}

/** @param {string | number} at @returns {string} the time of day */
export function clockTime(at) {
  return new Date(at).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
}

/** @param {string | number} at @returns {string} day and time */
export function fullTime(at) {
  const date = new Date(at);
  const day = date.toLocaleDateString([], { year: 'numeric', month: 'short', day: 'numeric' });
  return `${day}, ${clockTime(at)}`;
}

/** @param {string} at @returns {import('./dom.js').Wanted} `3 min ago` */
export function ago(at) {
  return h('time', { datetime: at, title: fullTime(at), 'data-time': 'ago', opaque: true, once: tell });
}

/** @param {string} at @returns {import('./dom.js').Wanted} `3 min` */
export function since(at) {
  return h('time', { datetime: at, title: fullTime(at), 'data-time': 'since', opaque: true, once: tell });
}

/** @param {string} at @returns {import('./dom.js').Wanted} `12 s`, or `due` */
export function until(at) {
  return h('time', { datetime: at, title: fullTime(at), 'data-time': 'until', opaque: true, once: tell });
}

/** @param {string} at @returns {import('./dom.js').Wanted} the same where there is little room */
export function next(at) {
  return h('time', { datetime: at, title: fullTime(at), 'data-time': 'next', opaque: true, once: tell });
}

/** @returns {import('./dom.js').Wanted} the time of day, by the server's clock */
export function clock() {
  return h('time', { datetime: '', 'data-time': 'clock', opaque: true, once: tell });
}

/** Brings every time on the page up to date. */
export function tellTimes() {
  for (const element of document.querySelectorAll('time[data-time]')) tell(element);
}

function tell(element) {
  const at = Date.parse(element.dateTime);
  const words = told(element.dataset.time, at, now());
  if (element.textContent !== words) element.textContent = words;
}

function told(kind, at, moment) {
  if (kind === 'clock') return clockTime(moment).slice(0, 5);
  if (kind === 'until') return stopped ? '–' : at - moment < 500 ? 'due' : duration(at - moment);
  if (kind === 'next') return stopped ? '–' : at - moment < 500 ? 'due' : brief(at - moment);
  const gone = brief(moment - at);
  if (kind === 'since') return gone;
  return moment - at < 3000 ? 'just now' : `${gone} ago`;
}
