/** Who is asking: a bearer token, kept for this tab alone. */

const KEY = 'serin.token';
let kept = null;

/** Takes `#token=…` out of the address, before anything else can see or keep it. */
export function takeToken() {
  const fragment = location.hash.replace(/^#/, '');
  if (!fragment.startsWith('token=')) return;
  const [first, ...others] = fragment.split('&');
  const token = decode(first.slice('token='.length)).trim();
  if (token) keepToken(token);
  const next = others.find((part) => part.startsWith('/')) ?? '/';
  history.replaceState(null, '', `${location.pathname}${location.search}#${next}`);
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @returns {string | null} */
export function token() {
  return kept ?? stored((storage) => storage.getItem(KEY));
}

/** @param {string | null} value null forgets it */
export function keepToken(value) {
  kept = value;
  stored((storage) => (value ? storage.setItem(KEY, value) : storage.removeItem(KEY)));
}

/** Storage can be switched off in a browser; then the token lives as long as the page. */
function stored(use) {
  try {
    return use(sessionStorage) ?? null;
  } catch {
    return null;
  }
}
