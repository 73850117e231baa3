// The Canaries that the mock plays.

import { Release } from './release.mjs';

const HOUR = 3600;

const PAST = [
  [3 * HOUR, 'Promoted', '1.0.0', 'all checks passed'],
  [27 * HOUR, 'RolledBack', '0.9.9', 'request-success-rate 91.20% violates >= 99% (412 requests)'],
  [30 * HOUR, 'Promoted', '0.9.8', 'forced: what was left was skipped', 'alice@example.com', ['Forced']],
  [5 * 24 * HOUR, 'Superseded', '0.9.7', 'another template took its place'],
  [9 * 24 * HOUR, 'Promoted', '0.9.6', 'all checks passed', undefined, ['Unproven']],
];

const TEAMS = ['payments', 'browse', 'platform'];

/** A dozen, each with a story of its own. */
function dozen(now) {
  const soon = (seconds) => now + seconds * 1000;
  return [
    new Release({ name: 'storefront', extraChecks: true, shipAt: soon(0.5), plan: 'usual' }),
    new Release({ name: 'checkout', flaw: 'errors20', shipAt: soon(1), rests: 0, interval: 5 }),
    new Release({ name: 'search', flaw: 'slow', shipAt: soon(4), rests: 0, interval: 6 }),
    new Release({ name: 'reviews', flaw: 'missing', shipAt: soon(1), rests: 0 }),
    new Release({
      name: 'payments',
      plan: 'approval',
      shipAt: soon(0.5),
      interval: 2,
      sidecars: ['registry.example.com/mesh/proxy:3.1.4'],
    }),
    new Release({
      name: 'website',
      plan: 'blueGreen',
      provider: 'kubernetes',
      namespace: 'marketing',
      shipAt: soon(0.5),
      interval: 2,
    }),
    new Release({
      name: 'mailer',
      provider: 'none',
      namespace: 'batch',
      metrics: false,
      interval: 8,
      shipAt: soon(2),
      rests: 40,
    }),
    new Release({
      name: 'recommendations',
      plan: 'long',
      namespace: 'discovery',
      shipAt: soon(0.5),
      interval: 5,
      version: [24, 11, 0],
    }),
    new Release({ name: 'inventory', plan: 'pauses', namespace: 'logistics', shipAt: soon(1), interval: 3 }),
    new Release({ name: 'identity', namespace: 'platform', shipAt: 0 }),
    new Release({
      name: 'internal-customer-notification-preferences-service',
      namespace: 'customer-communication-platform',
      shipAt: 0,
      version: [2026, 11, 30],
    }),
    new Release({ name: 'ledger', namespace: 'finance', shipAt: soon(0.5), interval: 4, suspendAfter: 7 }),
  ].map((release, place) => {
    release.labels = { team: TEAMS[place % TEAMS.length], tier: place % 2 === 0 ? 'edge' : 'core' };
    release.remember(now - place * 977_000, PAST);
    return release;
  });
}

/** Many of them, for lists that must stay fast: every tenth is at work. */
function many(count, now) {
  const states = ['dozen', 'pauses', 'long'];
  return Array.from({ length: count }, (_, place) => {
    const namespace = `team-${String(place % 12).padStart(2, '0')}`;
    const at = place % 10 === 0 ? now + 200 + place * 5 : 0;
    const release = new Release({
      name: `service-${String(place).padStart(4, '0')}`,
      namespace,
      plan: states[place % 3] === 'dozen' ? 'usual' : states[place % 3],
      shipAt: at,
      interval: 1 + (place % 4),
      rests: 3,
      flaw: place % 70 === 0 ? 'errors20' : '',
      labels: { team: TEAMS[place % TEAMS.length] },
    });
    release.remember(now - place * 61_000, PAST.slice(0, 2));
    return release;
  });
}

const BAD = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>';

/** Names and messages that want to do harm. The API server would not take the names; the UI must not rely on it. */
function evil(now) {
  const release = new Release({
    name: `x"><img src=x onerror=window.broken=1>`,
    namespace: 'shop',
    image: `app${BAD}`,
    shipAt: now + 300,
    interval: 1,
    flaw: 'missing',
    rests: 0,
  });
  release.remember(now, [[60, 'Promoted', BAD, BAD, BAD, ['Forced']]]);
  release.lastRequest = {
    verb: BAD,
    id: 'x',
    by: BAD,
    reason: BAD,
    at: new Date(now).toISOString(),
    outcome: 'Refused',
    message: BAD,
  };
  const say = release.say.bind(release);
  release.say = (message) => say(`${message} ${BAD} javascript:window.broken=1`);
  const late = new Release({ name: 'plain', namespace: '../../whoami', shipAt: 0 });
  late.remember(now, []);
  late.state.message = `${'very '.repeat(200)}long ${BAD}`;
  return [release, late];
}

/** The fleet, and what happens in it. */
export class Fleet {
  constructor({ count = 0, empty = false, bad = false } = {}) {
    const now = Date.now();
    this.all = empty ? [] : bad ? evil(now) : count > 0 ? many(count, now) : dozen(now);
    this.seen = new Map();
    this.changed = () => {};
  }

  find(namespace, name) {
    return this.all.find((release) => release.namespace === namespace && release.name === name);
  }

  tick() {
    const now = Date.now();
    for (const release of this.all) {
      const rested = release.isAtRest();
      release.tick(now);
      if (rested && release.isAtRest() && this.seen.has(release)) continue;
      if (release.suspendAfter && release.candidate && now - release.candidate.since > release.suspendAfter * 1000) {
        release.suspended = true;
        release.suspendAfter = 0;
        release.say(`${release.state.weight} %: suspended by the spec; abort still works`);
        release.step.nextAt = undefined;
      }
      this.look(release, now);
    }
  }

  look(release, now = Date.now()) {
    release.record(now);
    const words = JSON.stringify(release.view());
    if (this.seen.get(release) === words) return;
    this.seen.set(release, words);
    this.changed(release);
  }
}
