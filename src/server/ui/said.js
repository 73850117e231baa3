/** Tells people who listen to the page what was decided, and nothing else: weights and checks would never end. */

import { GROUPS, stateOf } from './words.js';

/** Between two announcements, in milliseconds. */
const PAUSE = 4000;
/** @type {Map<string, string>} */
const waiting = new Map();
let timer = 0;

/** @param {import('./words.js').Item[]} items whose state is another now */
export function announce(items) {
  for (const item of items) {
    const { group, word } = stateOf(item);
    const counts = group === 'attention' || item.phase === 'Succeeded';
    if (counts)
      waiting.set(`${item.namespace}/${item.name}`, `${item.name} in ${item.namespace}: ${word}. ${item.message}`);
  }
  if (waiting.size > 0 && !timer) timer = setTimeout(speak, 250);
}

function speak() {
  const words =
    waiting.size > 2 ? [`${waiting.size} Canaries changed; see “${GROUPS.attention}”.`] : [...waiting.values()];
  const said = document.getElementById('said');
  if (said && words.length > 0) said.textContent = words.join(' ');
  const some = waiting.size > 0;
  waiting.clear();
  timer = some ? setTimeout(speak, PAUSE) : 0;
}
