/** Canaries that somebody has pinned in this browser: they stand first in their group. */

const KEY = 'serin.pinned';
/** @type {Set<string>} */
let pinned = read();

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return new Set(Array.isArray(kept) ? kept.filter((key) => typeof key === 'string') : []);
  } catch {
    return new Set();
  }
}

/** @returns {Set<string>} keys of the pinned, another set after each change */
export function pins() {
  return pinned;
}

/** @param {string} key of a Canary: pins it, or lets it go */
export function turnPin(key) {
  pinned = new Set(pinned);
  if (!pinned.delete(key)) pinned.add(key);
  try {
    if (pinned.size > 0) localStorage.setItem(KEY, JSON.stringify([...pinned].sort()));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is switched off: they are pinned while the page is open.
  }
}

/** @param {() => void} changed called when another tab has pinned something */
export function watchPins(changed) {
  addEventListener('storage', (event) => {
    if (event.key !== KEY && event.key !== null) return;
    pinned = read();
    changed();
  });
}
