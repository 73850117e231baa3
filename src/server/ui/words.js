/** What things are called on the page. */

/**
 * @typedef {{namespace: string, name: string, target: {kind: string, name: string}, phase: string, message: string,
 *   weight: number, step?: {number: number, of: number}, candidate?: Version, stable?: Version, needsDecision: boolean,
 *   suspended: boolean, since?: string, nextAt?: string, lastOutcome?: string, labels?: Record<string, string>}} Item
 * @typedef {{revision: string, images: string[], since?: string}} Version
 * @typedef {{group: 'attention' | 'progress' | 'quiet', kind: string, icon: string, word: string, rank: number}} State
 */

/** The groups of the overview, in their order. */
export const GROUPS = {
  attention: 'Needs attention',
  progress: 'In progress',
  quiet: 'Quiet',
};

/** Every phase, in the order of the life of a release. */
export const PHASES = [
  'Initializing',
  'Initialized',
  'Waiting',
  'Progressing',
  'WaitingPromotion',
  'Promoting',
  'Finalising',
  'Succeeded',
  'Failed',
  'Terminating',
];

const PHASE_STATES = {
  Initializing: ['progress', 'setup', 'dots', 'Setting up', 3],
  Initialized: ['quiet', 'idle', 'ring', 'Idle', 2],
  Waiting: ['attention', 'decide', 'hand', 'Waits to start', 0],
  Progressing: ['progress', 'going', 'arrow', 'Progressing', 0],
  WaitingPromotion: ['attention', 'decide', 'hand', 'Waits to promote', 0],
  Promoting: ['progress', 'going', 'arrow', 'Promoting', 1],
  Finalising: ['progress', 'going', 'arrow', 'Finishing', 2],
  Succeeded: ['quiet', 'good', 'check', 'Promoted', 1],
  Failed: ['attention', 'bad', 'cross', 'Rejected', 1],
  Terminating: ['progress', 'setup', 'dots', 'Being removed', 4],
};

/**
 * What a Canary's state means for the person who looks.
 *
 * @param {Item} item
 * @returns {State}
 */
export function stateOf(item) {
  const [group, kind, icon, word, rank] = PHASE_STATES[item.phase] ?? ['progress', 'setup', 'dots', item.phase, 5];
  if (item.suspended && !['Succeeded', 'Initialized', 'Failed'].includes(item.phase)) {
    return { group: 'attention', kind: 'held', icon: 'pause', word: 'Suspended', rank: 2 };
  }
  if (item.needsDecision && kind !== 'decide') {
    return { group: 'attention', kind: 'decide', icon: 'hand', word: 'Waits for you', rank: 0 };
  }
  return { group, kind, icon, word, rank };
}

/** How attempts end: icon, word, kind. */
const OUTCOMES = {
  Promoted: ['check', 'Promoted', 'good'],
  RolledBack: ['cross', 'Rejected', 'bad'],
  Aborted: ['stop', 'Aborted', 'bad'],
  Superseded: ['skip', 'Superseded', 'idle'],
  Skipped: ['skip', 'Skipped', 'idle'],
  Bypassed: ['bypass', 'Bypassed Serin', 'bad'],
};

/** @param {string} outcome @returns {{icon: string, word: string, kind: string}} */
export function outcomeOf(outcome) {
  const [icon, word, kind] = OUTCOMES[outcome] ?? ['ring', outcome, 'idle'];
  return { icon, word, kind };
}

const VERDICTS = {
  Pass: ['check', 'passes', 'good'],
  Unproven: ['check', 'passes, by few samples', 'idle'],
  Inconclusive: ['dots', 'not decided yet', 'idle'],
  NoData: ['dots', 'no data', 'held'],
  Invalid: ['bypass', 'contradicts itself', 'held'],
  Fail: ['cross', 'fails', 'bad'],
};

/** @param {string} verdict @returns {{icon: string, word: string, kind: string}} */
export function verdictOf(verdict) {
  const [icon, word, kind] = VERDICTS[verdict] ?? ['ring', verdict, 'idle'];
  return { icon, word, kind };
}

/** What exceptions mean. */
export const MARKS = {
  Unproven: 'too little traffic for evidence',
  Forced: 'a person, or the spec, wanted it without the rest of the checks',
  RollForward: 'stable was broken, so the candidate needed only to be ready',
  KnownGood: 'it had been promoted before',
};

/** What a standing step waits for. */
export const WAITS = {
  Approval: 'waits for an approval',
  Paused: 'paused by a person',
  NoEvidence: 'evidence was missing until the deadline',
  Contested: 'somebody else keeps changing the route',
};

const VERBS = {
  promote: 'Promote',
  'promote-full': 'Promote in full',
  abort: 'Abort',
  pause: 'Pause',
  resume: 'Resume',
  retry: 'Retry',
  skip: 'Skip step',
  rollback: 'Roll back',
  restart: 'Restart',
  undo: 'Undo',
};

/** @param {string} verb @returns {string} */
export function verbWord(verb) {
  return VERBS[verb] ?? verb;
}

/**
 * An image in its parts: `registry/team/app:1.2@sha256:…` is `app` and `1.2`.
 *
 * @param {string} image
 * @returns {{repository: string, name: string, tag: string}}
 */
export function imageParts(image) {
  const [plain, digest] = image.split('@');
  const colon = plain.lastIndexOf(':');
  const tagged = colon > plain.lastIndexOf('/');
  const repository = tagged ? plain.slice(0, colon) : plain;
  const short = digest ? digest.replace(/^sha256:/, '').slice(0, 12) : '';
  const tag = tagged ? plain.slice(colon + 1) : short || 'latest';
  return { repository, name: repository.slice(repository.lastIndexOf('/') + 1), tag };
}

/**
 * What a release changes, in a few words: from `app:1.24`, `app:2.0.0` is name `app`, from `1.24`, to `2.0.0`.
 *
 * @param {Version | undefined} stable
 * @param {Version | undefined} candidate
 * @returns {{name: string, from: string, to: string, more: number}}
 */
export function change(stable, candidate) {
  const before = stable?.images ?? [];
  const after = candidate?.images ?? [];
  const differs = after.findIndex((image, place) => image !== before[place]);
  const place = Math.max(0, differs);
  const more = after.filter((image, other) => other > place && image !== before[other]).length;
  const old = before[place] ? imageParts(before[place]) : null;
  const fresh = after[place] ? imageParts(after[place]) : null;
  if (!fresh) return { name: old?.name ?? '', from: old?.tag ?? '', to: '', more: 0 };
  const moved = old && old.name !== fresh.name;
  return { name: fresh.name, from: old ? (moved ? `${old.name}:${old.tag}` : old.tag) : '', to: fresh.tag, more };
}

/** @param {number} count @param {string} one @param {string} [many] @returns {string} `3 checks` */
export function count(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
