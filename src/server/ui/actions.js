/** The dialog in which a verb is asked for: what it will do, why, and what came of it. */

import { Refusal, request } from './api.js';
import { h, put } from './dom.js';
import { icon } from './icons.js';
import { sentence } from './parts.js';
import { verbWord } from './words.js';

/** Verbs that mean the candidate that was seen, and none that came later. */
const OF_CANDIDATE = new Set(['promote', 'promote-full', 'abort', 'pause', 'resume', 'retry', 'skip', 'undo']);
/** After so many milliseconds the controller should have taken notice. */
const PATIENCE = 20_000;

let dialog = null;
/** What is asked for: `stage` is ask, sending, sent, done or refused. */
let wish = null;

/**
 * Opens the dialog.
 *
 * @param {any} view the Canary
 * @param {{verb: string, effect: string, danger: boolean, to?: string}} verb `to` is the revision that a rollback puts back
 * @param {{unauthorized: () => void}} hooks
 */
export function askFor(view, verb, hooks) {
  wish = {
    view,
    ...verb,
    hooks,
    stage: 'ask',
    key: newKey(),
    words: '',
    allowed: [],
    id: null,
    revision: view.candidate?.revision,
  };
  dialog ??= make();
  paint();
  if (!dialog.open) dialog.showModal();
  dialog.querySelector(wish.danger ? 'textarea' : '.is-confirm')?.focus();
}

/** `randomUUID` is only there on pages that came over TLS; these bytes are there always. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {any} view as it is now: what was asked for may be answered, or be impossible meanwhile */
export function heardOf(view) {
  if (!wish || !dialog?.open || view.namespace !== wish.view.namespace || view.name !== wish.view.name) return;
  wish.view = view;
  const last = view.lastRequest;
  if (wish.id && last?.id === wish.id && ['sending', 'sent'].includes(wish.stage)) {
    const followed = last.outcome === 'Accepted';
    stage(followed ? 'done' : 'refused', last.message ?? '');
    return;
  }
  const now = offered(view);
  if (wish.stage === 'ask') {
    wish.possible = Boolean(now);
    wish.changed ||=
      !now || now.effect !== wish.effect || (view.candidate?.revision !== wish.revision && OF_CANDIDATE.has(wish.verb));
    if (now) wish.effect = now.effect;
    wish.revision = view.candidate?.revision;
  }
  paint();
}

/** What is wished, as it is offered now. A rollback to a chosen revision is offered by that one's line in the history. */
function offered(view) {
  if (!wish.to) return (view.verbs ?? []).find((one) => one.verb === wish.verb);
  const past = view.history.find(({ version, rollback }) => version.revision === wish.to && rollback);
  return past && { effect: past.rollback };
}

/** @returns {boolean} whether the dialog is open */
export function isAsking() {
  return Boolean(dialog?.open);
}

function make() {
  const element = document.createElement('dialog');
  element.className = 'dialog';
  element.setAttribute('aria-labelledby', 'dialog-title');
  element.setAttribute('aria-describedby', 'dialog-effect');
  element.addEventListener('close', () => {
    wish = null;
  });
  document.body.append(element);
  return element;
}

function paint() {
  if (!wish) return;
  const form = h(
    'form',
    { key: wish.key, on: { submit } },
    h(
      'h2',
      { id: 'dialog-title' },
      `${verbWord(wish.verb)} ${wish.view.name}`,
      h('span', { class: 'soft' }, wish.view.namespace),
    ),
    h('p', { id: 'dialog-effect', class: 'effect' }, sentence(wish.effect)),
    wish.changed &&
      wish.stage === 'ask' &&
      h(
        'p',
        { class: 'notice is-held', role: 'alert' },
        icon('bypass'),
        wish.possible === false
          ? 'Something changed meanwhile: this is not possible any more.'
          : 'Something changed meanwhile: read again what will happen.',
      ),
    ['ask', 'sending'].includes(wish.stage) && reasonField(),
    outcome(),
    buttons(),
  );
  put(dialog, form);
}

function reasonField() {
  return h(
    'label',
    { class: 'field' },
    h(
      'span',
      null,
      'Reason',
      h('span', { class: 'soft' }, wish.danger ? 'is recorded with your name' : 'optional, is recorded with your name'),
    ),
    h('textarea', {
      name: 'reason',
      rows: '2',
      maxlength: '500',
      required: wish.danger,
      disabled: wish.stage === 'sending',
      readonly: wish.lost,
      placeholder: 'Why? The next person will read it.',
      on: { keydown: sendByKey },
    }),
  );
}

function sendByKey(event) {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
}

function outcome() {
  const { stage: at, words, allowed } = wish;
  if (at === 'ask' && !words) return null;
  const [kind, sign, title] = {
    ask: ['bad', 'cross', 'It was not sent through'],
    sending: ['idle', 'dots', 'Sending…'],
    sent: ['idle', 'dots', 'Accepted. Waiting for the controller to follow it…'],
    done: ['good', 'check', 'Followed'],
    refused: ['bad', 'cross', 'Refused'],
  }[at];
  return h(
    'div',
    { class: `notice is-${kind}`, role: 'status' },
    icon(sign),
    h(
      'div',
      null,
      h('b', null, title),
      words && h('p', null, sentence(words)),
      at === 'done' && h('p', { class: 'soft' }, `Now: ${wish.view.message}`),
      allowed.length > 0 && h('p', null, `Possible now: ${allowed.map(verbWord).join(', ')}.`),
    ),
  );
}

function buttons() {
  const asking = ['ask', 'sending'].includes(wish.stage);
  return h(
    'div',
    { class: 'dialog-buttons' },
    h(
      'button',
      { key: 'close', type: 'button', class: 'button', on: { click: () => dialog.close() } },
      asking ? 'Cancel' : 'Close',
    ),
    asking &&
      h(
        'button',
        {
          key: 'confirm',
          type: 'submit',
          disabled: wish.stage === 'sending' || wish.possible === false,
          class: `button is-confirm ${wish.danger ? 'is-danger is-strong' : 'is-onward'}`,
        },
        wish.lost ? 'Send again' : `${verbWord(wish.verb)} ${wish.view.name}`,
      ),
  );
}

async function submit(event) {
  event.preventDefault();
  const asked = wish;
  const reason = event.target.elements.reason.value.trim();
  if (asked.danger && !reason) {
    event.target.elements.reason.focus();
    stage('ask', 'Say why: this needs a reason.');
    return;
  }
  stage('sending', '');
  try {
    const revision = OF_CANDIDATE.has(asked.verb) ? asked.revision : asked.to;
    const reply = await request(asked.view, { verb: asked.verb, reason, revision, key: asked.key });
    if (wish !== asked) return;
    wish.id = String(reply.id ?? '');
    if (wish.stage === 'sending') stage('sent', reply.message ?? '');
    heardOf(wish.view);
    setTimeout(
      () =>
        wish === asked &&
        wish.stage === 'sent' &&
        stage('sent', 'The controller has not taken notice yet. The request is kept: it will.'),
      PATIENCE,
    );
  } catch (error) {
    if (wish === asked) refused(error);
  }
}

function refused(error) {
  const refusal = error instanceof Refusal ? error : new Refusal(0, String(error?.message ?? error));
  wish.allowed = refusal.allowed;
  if (refusal.status === 401) {
    const { hooks } = wish;
    dialog.close();
    hooks.unauthorized();
  } else if (refusal.status === 0 || refusal.status >= 500) {
    wish.lost = true;
    stage(
      'ask',
      `${refusal.message}. Whether the request arrived is not known. To send it again is safe: it is followed once.`,
    );
  } else {
    stage('refused', refusal.status === 403 ? `You may not: ${refusal.message}` : refusal.message);
  }
}

function stage(name, words) {
  wish.stage = name;
  wish.words = words;
  paint();
  if (!['ask', 'sending'].includes(name)) dialog.querySelector('.dialog-buttons button')?.focus();
}
