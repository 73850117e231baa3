/** Asks for a token. */

import { h } from './dom.js';

/**
 * @param {{words: string, again: boolean, keep: (token: string | null) => void, cancel: (() => void) | null}} of `again`: a token was refused
 * @returns {import('./dom.js').Wanted}
 */
export function login({ words, again, keep, cancel }) {
  const submit = (event) => {
    event.preventDefault();
    const token = event.target.elements.token.value.trim().replace(/^Bearer\s+/i, '');
    if (token) keep(token);
  };
  return h(
    'div',
    { key: 'login', class: 'login' },
    h('img', { src: '/ui/serin.svg', alt: '', width: '56', height: '56' }),
    h('h1', null, 'Who are you?'),
    h('p', null, again ? 'Serin did not accept this token. Perhaps it ran out.' : 'Serin wants a token for this.'),
    words && h('p', { class: 'server-words' }, `“${words}”`),
    h(
      'form',
      { on: { submit } },
      h(
        'label',
        { class: 'field' },
        h('span', null, 'Bearer token'),
        h('input', {
          name: 'token',
          type: 'password',
          autocomplete: 'off',
          spellcheck: 'false',
          required: true,
          once: (field) => field.focus(),
        }),
      ),
      h(
        'div',
        { class: 'dialog-buttons' },
        cancel && h('button', { key: 'back', type: 'button', class: 'button', on: { click: cancel } }, 'Back'),
        again &&
          h(
            'button',
            { key: 'none', type: 'button', class: 'button', on: { click: () => keep(null) } },
            'Without a token',
          ),
        h('button', { type: 'submit', class: 'button is-onward' }, 'Go on'),
      ),
    ),
    h('p', { class: 'soft' }, 'Get one for a service account that may read Canaries:'),
    h('pre', { tabindex: '0', 'aria-label': 'Command' }, h('code', null, 'kubectl create token NAME -n NAMESPACE')),
    h('p', { class: 'soft' }, 'It is kept for this tab only, and forgotten when the tab is closed.'),
  );
}

/**
 * Asks for a namespace, where not all may be seen.
 *
 * @param {{words: string, choose: (namespace: string) => void}} of
 * @returns {import('./dom.js').Wanted}
 */
export function denied({ words, choose }) {
  const submit = (event) => {
    event.preventDefault();
    const namespace = event.target.elements.namespace.value.trim();
    if (namespace) choose(namespace);
  };
  return h(
    'div',
    { key: 'denied', class: 'login' },
    h('h1', null, 'Which namespace?'),
    h('p', null, 'You may not see the Canaries of all namespaces. Perhaps those of one.'),
    h('p', { class: 'server-words' }, `“${words}”`),
    h(
      'form',
      { on: { submit } },
      h(
        'label',
        { class: 'field' },
        h('span', null, 'Namespace'),
        h('input', {
          name: 'namespace',
          autocomplete: 'off',
          spellcheck: 'false',
          required: true,
          once: (field) => field.focus(),
        }),
      ),
      h('div', { class: 'dialog-buttons' }, h('button', { type: 'submit', class: 'button is-onward' }, 'Show it')),
    ),
  );
}
