/** The page of one Canary. */

import { checks } from './checks.js';
import { h } from './dom.js';
import { keyOf } from './fleet.js';
import { facts, history } from './history.js';
import { icon } from './icons.js';
import { badge, imageLine, pin, sentence, weightBar } from './parts.js';
import { turnPin } from './pins.js';
import { plan } from './plan.js';
import { since } from './time.js';
import { weights } from './weights.js';
import { stateOf, verbWord } from './words.js';

/** The verb that goes on, if it is allowed, is the one that is most likely wanted. */
const ONWARD = ['promote', 'resume', 'retry'];
/** The way back, which has to be found at once. */
const ALARMING = ['abort', 'rollback'];
/** Beside others these are seldom wanted. */
const RARE = ['promote-full', 'rollback', 'restart', 'undo'];

/**
 * @param {{view: any, gone: boolean, missing: string, namespace: string, name: string, home: string,
 *   recording: import('./recording.js').Recording, all: boolean, choose: (all: boolean) => void, old: boolean,
 *   act: (verb: any) => void, redraw: () => void, pins: Set<string>}} page
 * @returns {import('./dom.js').Wanted[]}
 */
export function detail(page) {
  const { view, missing } = page;
  if (missing) return [nobody(page)];
  if (!view)
    return [
      h(
        'div',
        { key: 'asking', class: 'detail', 'aria-busy': 'true' },
        crumbs(page),
        h('h1', null, page.name),
        h('p', { class: 'soft' }, 'Asking Serin…'),
      ),
    ];
  return [
    h(
      'div',
      { key: `${view.namespace}/${view.name}`, class: 'detail' },
      head(page),
      versions(view),
      plan(view, page.recording),
      troubles(view),
      isSilent(page) ? columns(history(page), facts(view)) : release(page),
    ),
  ];
}

/** Nothing goes on, and nothing was recorded: then there is only the past to see. */
function isSilent({ view, recording }) {
  const { live, points } = recording.window(view, true);
  return !live && view.checks.length === 0 && points.every((point) => point.wanted === 0 && point.checks.length === 0);
}

function release(page) {
  const { view, recording, all, choose, redraw } = page;
  const window = recording.window(view, all);
  return [
    columns(weights({ window, recording, all, choose, redraw }), facts(view)),
    checks({ view, window, redraw }),
    history(page),
  ];
}

function columns(...both) {
  return h('div', { key: 'columns', class: 'columns' }, both);
}

function crumbs({ home, namespace }) {
  return h(
    'nav',
    { class: 'crumbs', 'aria-label': 'Where this is' },
    h('a', { href: home, 'aria-keyshortcuts': 'Escape' }, icon('back'), 'All Canaries'),
    h('span', { class: 'soft' }, namespace),
  );
}

function nobody(page) {
  return h(
    'div',
    { key: 'nobody', class: 'detail' },
    crumbs(page),
    h(
      'div',
      { class: 'placeholder' },
      h('h1', null, page.name),
      h('p', null, page.missing),
      h('a', { class: 'button', href: page.home }, 'All Canaries'),
    ),
  );
}

function head(page) {
  const { view } = page;
  const state = stateOf(view);
  return h(
    'header',
    { class: 'head' },
    crumbs(page),
    h(
      'div',
      { class: 'head-line' },
      h('div', { class: 'head-name' }, h('h1', null, view.name), star(page)),
      badge(state),
      view.since && h('span', { class: 'soft' }, 'for ', since(view.since)),
    ),
    verbs(page),
    h(
      'p',
      { class: 'message' },
      page.gone ? 'This Canary was deleted. What is shown is how it was.' : sentence(view.message),
    ),
  );
}

function star({ view, pins, redraw }) {
  const key = keyOf(view);
  return pin(view.name, pins.has(key), () => {
    turnPin(key);
    redraw();
  });
}

function verbs({ view, act, old, gone }) {
  const allowed = view.verbs ?? [];
  if (gone || allowed.length === 0) return h('p', { class: 'verbs is-none' }, gone ? '' : 'nothing to be done now');
  const usual = allowed.filter((one) => !RARE.includes(one.verb));
  const rare = usual.length > 0 ? allowed.filter((one) => RARE.includes(one.verb)) : [];
  const drawn = usual.length > 0 ? usual : allowed;
  const onward = ONWARD.find((verb) => drawn.some((one) => one.verb === verb));
  return h(
    'div',
    { class: 'verbs', role: 'group', 'aria-label': 'What can be done now' },
    drawn.map((one) =>
      h(
        'button',
        {
          key: one.verb,
          type: 'button',
          disabled: old,
          title: one.effect,
          'data-verb': one.verb,
          class: ALARMING.includes(one.verb) ? 'button is-danger' : one.verb === onward ? 'button is-onward' : 'button',
          on: { click: () => act(one) },
        },
        `${verbWord(one.verb)}…`,
      ),
    ),
    rare.length > 0 && more(rare, old, act),
  );
}

/** What is seldom wanted stands in a list that says what each would do. */
function more(rare, old, act) {
  const choose = (event, one) => {
    event.currentTarget.closest('details').open = false;
    act(one);
  };
  return h(
    'details',
    { key: 'more', class: 'more-verbs', on: { keydown: closeByKey, focusout: closeBehind } },
    h('summary', { class: 'button' }, 'More'),
    h(
      'ul',
      { role: 'list' },
      rare.map((one) =>
        h(
          'li',
          { key: one.verb },
          h(
            'button',
            { type: 'button', disabled: old, 'data-verb': one.verb, on: { click: (event) => choose(event, one) } },
            h('b', null, `${verbWord(one.verb)}…`),
            h('span', null, sentence(one.effect)),
          ),
        ),
      ),
    ),
  );
}

function closeByKey(event) {
  if (event.key !== 'Escape' || !event.currentTarget.open) return;
  event.preventDefault();
  event.currentTarget.open = false;
  event.currentTarget.querySelector('summary').focus();
}

function closeBehind(event) {
  if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
}

function versions(view) {
  const { stable, candidate, traffic } = view;
  const idle = ['Succeeded', 'Initialized'].includes(view.phase);
  const under = candidate && !(idle && candidate.revision === stable?.revision);
  return h(
    'section',
    { key: 'versions', class: 'versions', 'aria-label': 'Versions' },
    version('Stable', 'the main release', stable, under ? candidate : null),
    h(
      'div',
      { class: 'between' },
      h('div', { class: 'between-weight' }, view.weight, h('small', null, ' %')),
      h(
        'div',
        { class: 'between-words' },
        under && (view.current || view.weight > 0) ? 'of the traffic goes to the canary' : 'all traffic is on stable',
      ),
      weightBar(view.weight, view.weight === 0),
      h(
        'dl',
        { class: 'between-three' },
        share('wanted', `${traffic.wanted} %`),
        share('written', `${traffic.written} %`),
        share('observed', traffic.observed === undefined ? '–' : `${traffic.observed.replace(/ ?%$/, '')} %`),
      ),
    ),
    under
      ? version(
          view.phase === 'Failed' ? 'Rejected' : 'Candidate',
          view.phase === 'Failed' ? 'held, serves nobody' : 'the canary',
          candidate,
          stable,
        )
      : h(
          'div',
          { class: 'version is-empty' },
          h('h2', null, 'Candidate'),
          h('p', { class: 'soft' }, 'None. A new version of the target starts one.'),
        ),
  );
}

/** Images that both versions have stand back. */
function version(title, role, of, other) {
  return h(
    'div',
    { class: `version is-${title.toLowerCase()}` },
    h('h2', null, title, h('span', { class: 'soft' }, role)),
    of
      ? h(
          'div',
          { class: 'images' },
          of.images.length > 0
            ? of.images.map((image) =>
                h('div', { class: other?.images.includes(image) ? 'is-same' : null }, imageLine(image)),
              )
            : h('span', { class: 'soft' }, 'images are not known'),
        )
      : h('p', { class: 'soft' }, 'not known yet'),
    of &&
      h(
        'p',
        { class: 'version-facts' },
        h('code', { class: 'revision' }, of.revision),
        of.since && h('span', null, 'for ', since(of.since)),
      ),
  );
}

function share(term, words) {
  return h('div', null, h('dt', null, term), h('dd', null, words));
}

function troubles(view) {
  if (view.diagnosis.length === 0) return null;
  return h(
    'section',
    { key: 'troubles', class: 'panel troubles', 'aria-labelledby': 'troubles-title' },
    h('div', { class: 'panel-top' }, h('h2', { id: 'troubles-title' }, 'Why the canary’s Pods do not start')),
    h(
      'ul',
      { class: 'trouble-list', role: 'list' },
      view.diagnosis.map((trouble, place) =>
        h(
          'li',
          { key: `${trouble.object}/${trouble.container}/${place}` },
          h(
            'p',
            { class: 'trouble-reason' },
            icon('cross'),
            h('b', null, trouble.reason),
            h('span', { class: 'soft' }, trouble.object, trouble.container && ` · container ${trouble.container}`),
          ),
          h('p', { class: 'trouble-message' }, sentence(trouble.message)),
          trouble.hint && h('p', { class: 'hint' }, h('b', null, 'Try: '), sentence(trouble.hint)),
        ),
      ),
    ),
  );
}
