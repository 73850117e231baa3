/** Where in the UI one is: it stands in the fragment of the address, so that it can be kept as a bookmark. */

/**
 * @typedef {{page: 'overview', filter: import('./fleet.js').Filter} | {page: 'detail', namespace: string, name: string}} Route
 */

const FIELDS = ['q', 'ns', 'phase', 'group', 'sort', 'pinned', 'wall'];

/** Everything, in the usual order. @type {import('./fleet.js').Filter} */
export const ALL = { q: '', ns: '', phase: '', group: '', sort: '', pinned: '', wall: '' };

/** @param {string} hash @returns {Route} */
export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#/, '').split('?');
  const parts = path.split('/').filter(Boolean);
  if (parts.length === 2) {
    const [namespace, name] = parts.map(decode);
    return { page: 'detail', namespace, name };
  }
  const asked = new URLSearchParams(query);
  const filter = Object.fromEntries(FIELDS.map((field) => [field, asked.get(field) ?? '']));
  return { page: 'overview', filter: /** @type {any} */ (filter) };
}

/** @param {import('./fleet.js').Filter} filter @returns {string} */
export function overviewAt(filter) {
  const query = new URLSearchParams(FIELDS.filter((field) => filter[field]).map((field) => [field, filter[field]]));
  return query.size > 0 ? `#/?${query}` : '#/';
}

/** @param {{namespace: string, name: string}} of @returns {string} */
export function detailAt({ namespace, name }) {
  return `#/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
