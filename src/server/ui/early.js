/* Runs before the first paint, so that a page in the dark does not flash. */
(() => {
  try {
    const theme = localStorage.getItem('serin.theme');
    if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is switched off: the system's choice it is.
  }
})();
