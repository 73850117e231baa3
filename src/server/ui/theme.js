/** Dark, light, or as the system has it. */

const KEY = 'serin.theme';
const ORDER = ['auto', 'light', 'dark'];
const WORDS = { auto: 'as the system', light: 'light', dark: 'dark' };

/** @returns {'auto' | 'light' | 'dark'} */
export function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'dark' || chosen === 'light' ? chosen : 'auto';
}

/** @returns {string} the choice in words */
export function themeWords() {
  return WORDS[theme()];
}

/** Goes on to the next choice, and keeps it. */
export function nextTheme() {
  const next = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  if (next === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // It holds for this page, then.
  }
}
