/** What came before: finished attempts, the last request of a person, and the claims of the Canary. */

import { h } from './dom.js';
import { badge, breakable, sentence, shortImage } from './parts.js';
import { ALL, overviewAt } from './route.js';
import { labelTerm } from './search.js';
import { ago, duration, fullTime } from './time.js';
import { MARKS, count, outcomeOf, verbWord } from './words.js';

/**
 * @param {{view: any, old: boolean, gone: boolean, act: (verb: any) => void}} page
 * @returns {import('./dom.js').Wanted}
 */
export function history(page) {
  const { view } = page;
  return h(
    'section',
    { key: 'history', class: 'panel history', 'aria-labelledby': 'history-title' },
    h(
      'div',
      { class: 'panel-top' },
      h('h2', { id: 'history-title' }, 'History'),
      h('p', { class: 'aside' }, view.history.length > 0 ? count(view.history.length, 'attempt') : ''),
    ),
    view.history.length === 0
      ? h('p', { class: 'empty' }, 'No release has ended yet.')
      : h(
          'ol',
          { class: 'attempts', role: 'list' },
          view.history.map((one) => attempt(one, page)),
        ),
  );
}

function attempt(one, page) {
  const known = page.view.name;
  const { version, outcome, reason, marks, by, endedAt } = one;
  const images = version.images.map((image) => shortImage(image, known));
  const why = reason ? sentence(reason) : h('span', { class: 'soft' }, 'no reason was recorded');
  return h(
    'li',
    { key: `${version.revision}/${endedAt}`, class: 'attempt' },
    h('div', { class: 'attempt-outcome' }, badge(outcomeOf(outcome))),
    h('div', { class: 'attempt-version' }, images, h('code', { class: 'revision' }, version.revision)),
    h('div', { class: 'attempt-reason' }, h('p', null, why, marks.map(mark)), putBack(one, page)),
    h('p', { class: 'attempt-by' }, by ? `by ${by}` : 'by Serin'),
    h('p', { class: 'attempt-took' }, took(one)),
    h('p', { class: 'attempt-when' }, ago(endedAt)),
  );
}

/** What was promoted before can be had again, where the server offers it: with the effect, and with a reason. */
function putBack({ version, rollback }, { act, old, gone }) {
  if (!rollback || gone) return null;
  const verb = { verb: 'rollback', to: version.revision, effect: rollback, danger: true };
  const props = { type: 'button', class: 'button is-small', title: rollback, disabled: old, 'data-to': version.revision };
  return h('button', { ...props, on: { click: () => act(verb) } }, 'Roll back to this…');
}

function mark(name) {
  const words = MARKS[name] ?? '';
  return h('span', { class: 'mark', title: words }, name, h('span', { class: 'unseen' }, `: ${words}`));
}

function took({ version, endedAt }) {
  const start = Date.parse(version.since ?? '');
  if (!Number.isFinite(start)) return null;
  const title = `${fullTime(start)} to ${fullTime(endedAt)}`;
  return h('span', { title }, `took ${duration(Date.parse(endedAt) - start)}`);
}

/** @param {any} view @returns {import('./dom.js').Wanted} */
export function facts(view) {
  const { lastRequest, conditions } = view;
  return h(
    'section',
    { key: 'facts', class: 'panel facts', 'aria-labelledby': 'facts-title' },
    h('div', { class: 'panel-top' }, h('h2', { id: 'facts-title' }, 'State')),
    h(
      'dl',
      { class: 'pairs' },
      fact('Target', `${view.target.kind}/${view.target.name}`),
      fact('Routed by', view.provider ?? 'the controller’s default'),
      fact('Phase', view.phase),
      labels(view),
      fact('Seen', view.upToDate ? 'the spec as it is now' : 'an older spec; the new one is being looked at'),
    ),
    lastRequest && request(lastRequest),
    conditions.length > 0 && [
      h('h3', null, 'Conditions'),
      h('ul', { class: 'claims', role: 'list' }, conditions.map(claim)),
    ],
  );
}

/** Each finds all that have it. */
function labels(view) {
  const all = Object.entries(view.labels ?? {}).map(([key, value]) => labelTerm(key, value));
  if (all.length === 0) return null;
  const link = (term) =>
    h('a', { key: term, class: 'label', href: overviewAt({ ...ALL, q: term }), title: `All with ${term}` }, breakable(term));
  return h('div', null, h('dt', null, 'Labels'), h('dd', { class: 'labels' }, all.map(link)));
}

function fact(term, words) {
  return h('div', null, h('dt', null, term), h('dd', null, words));
}

function request({ verb, by, reason, at, outcome, message }) {
  const followed = outcome === 'Accepted';
  return [
    h('h3', null, 'Last request'),
    h(
      'div',
      { class: 'request' },
      h(
        'p',
        null,
        badge({
          kind: followed ? 'good' : 'bad',
          icon: followed ? 'check' : 'cross',
          word: `${verbWord(verb)} ${followed ? 'followed' : 'refused'}`,
        }),
      ),
      h('p', { class: 'request-by' }, by ? `${by}, ` : '', ago(at)),
      reason && h('p', null, `“${reason}”`),
      message && h('p', { class: 'soft' }, sentence(message)),
    ),
  ];
}

function claim({ type, status, reason, message }) {
  return h(
    'li',
    { key: type, title: message },
    h('span', { class: 'claim-type' }, type),
    h('span', { class: `claim-status is-${status.toLowerCase()}` }, status),
    h('span', { class: 'soft' }, reason),
  );
}
