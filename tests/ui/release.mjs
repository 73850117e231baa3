// One Canary of the mock: its releases go through the phases as Serin's do, in a second or two where Serin takes minutes.

import { offers, putsBack } from './offers.mjs';

const PULL_PATIENCE = 12;

const none = { kind: 'none' };
const approval = { kind: 'approval' };
const timed = (seconds) => ({ kind: 'timed', seconds });

/** Plans: weight, checks, the stop after them. */
export const PLANS = {
  usual: [
    [10, 3, none],
    [50, 3, none],
    [100, 3, none],
  ],
  approval: [
    [10, 2, none],
    [50, 2, approval],
    [100, 2, none],
  ],
  pauses: [
    [5, 2, none],
    [20, 2, timed(20)],
    [50, 3, none],
    [100, 2, none],
  ],
  blueGreen: [
    [0, 3, approval],
    [100, 1, none],
  ],
  long: [
    [1, 2, none],
    [5, 2, none],
    [10, 3, none],
    [20, 3, none],
    [35, 3, none],
    [50, 3, none],
    [75, 2, none],
    [100, 3, none],
  ],
};

const iso = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
const hash = (text) =>
  [...text]
    .reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0, 7)
    .toString(16)
    .padStart(9, '5c4')
    .slice(0, 9);

export class Release {
  constructor(of) {
    Object.assign(
      this,
      {
        kind: 'Deployment',
        provider: 'gatewayapi:v1',
        plan: 'usual',
        flaw: '',
        interval: 4,
        threshold: 2,
        namespace: 'shop',
        rests: 25,
        metrics: true,
      },
      of,
    );
    this.version = of.version ?? [1, 0, 0];
    this.app = of.image ?? `registry.example.com/${this.namespace}/${this.name}`;
    this.stable = this.make('');
    this.state = {
      phase: 'Succeeded',
      message: `idle: revision ${this.stable.revision} was promoted`,
      weight: 0,
      written: 0,
      observed: undefined,
      failed: 0,
      checks: [],
      diagnosis: [],
    };
    this.history = [];
    this.points = [];
    this.attempt = 3;
  }

  make(flaw) {
    const images = [`${this.app}:${this.version.join('.')}${flaw}`, ...(this.sidecars ?? [])];
    return { revision: hash(images.join() + this.name), images };
  }

  /** The past, so that nothing begins empty. */
  remember(now, past) {
    this.stable.since = now - (past.at(0)?.[0] ?? 3600) * 1000;
    this.since = this.stable.since;
    const newest = past.find(([, outcome]) => outcome === 'Promoted');
    const tagOf = (one) => (one === newest && one[2] === '1.0.0' ? this.version.join('.') : one[2]);
    this.history = past.map((one) => [one, tagOf(one)]).map(([[ago, outcome, , reason, by, marks = []], tag]) => ({
      version: {
        revision: tag === this.version.join('.') ? this.stable.revision : hash(tag + this.name),
        images: [`${this.app}:${tag}`],
        since: iso(now - ago * 1000 - 612_000),
      },
      outcome,
      marks,
      reason,
      ...(by && { by }),
      endedAt: iso(now - ago * 1000),
    }));
    this.lastOutcome = this.history[0]?.outcome;
  }

  ship(now) {
    const [major, minor, patch] = this.version;
    this.version = this.flaw ? [major, minor, patch + 1] : [major, minor + 1, 0];
    this.candidate = { ...this.make(this.flaw && `-${this.flaw}`), since: now };
    this.attempt += 1;
    this.steps = PLANS[this.plan].map(([weight, checks, pause]) => ({ weight, checks, pause }));
    this.begin(now);
  }

  begin(now) {
    this.state = {
      ...this.state,
      phase: 'Progressing',
      failed: 0,
      checks: [],
      diagnosis: [],
      weight: 0,
      written: 0,
      observed: undefined,
    };
    this.since = now;
    this.candidate.since = now;
    this.enter(0, now);
    this.say(`${this.steps[0].weight} %: starting 1 Pod of ${this.candidate.revision}`);
  }

  enter(index, now) {
    this.step = {
      index,
      startedAt: now,
      passed: 0,
      ready: now + 2000,
      nextAt: undefined,
      deadline: now + 600_000,
      waiting: undefined,
    };
    this.wanted = this.steps[index].weight;
  }

  say(message) {
    this.state.message = message;
  }

  /** Nothing happens to it by itself, until it ships again. */
  isAtRest() {
    return ['Succeeded', 'Initialized', 'Failed'].includes(this.state.phase);
  }

  tick(now) {
    const { phase } = this.state;
    if (this.isAtRest()) {
      if (this.shipAt && now >= this.shipAt && !this.suspended) {
        this.shipAt = undefined;
        this.ship(now);
      }
    } else if (phase === 'Progressing') this.progress(now);
    else if (phase === 'Promoting' && now > this.turnAt) {
      Object.assign(this.state, {
        phase: 'Finalising',
        message: 'the main release is complete; traffic goes back to it',
      });
      this.turnAt = now + 3000;
    } else if (phase === 'Finalising' && now > this.turnAt) this.promoted(now);
  }

  progress(now) {
    if (this.suspended || this.step.waiting) return;
    if (this.flaw === 'missing') return this.cannotStart(now);
    if (now < this.step.ready) return;
    const planned = this.steps[this.step.index];
    if (this.state.written !== planned.weight || this.state.weight !== planned.weight) {
      Object.assign(this.state, { weight: planned.weight, written: planned.weight, observed: undefined });
      this.step.nextAt = now + this.interval * 1000;
      this.say(`${planned.weight} %: the route is written, its traffic settles`);
      return;
    }
    if (!this.step.nextAt) this.step.nextAt = now + this.interval * 1000;
    if (now < this.step.nextAt) return;
    if (this.step.pausedUntil) this.next(now);
    else this.check(now, planned);
  }

  cannotStart(now) {
    const age = (now - this.candidate.since) / 1000;
    if (age < 3) return;
    const image = this.candidate.images[0];
    this.state.diagnosis = [
      {
        object: `Pod/${this.name}-canary-${this.candidate.revision.slice(0, 5)}-x7k2p`,
        container: 'app',
        reason: 'ImagePullBackOff',
        message: `the registry has no image ${image}: manifest unknown`,
        hint: 'push the image, or correct its tag in the Deployment; then `retry`',
      },
    ];
    this.say(`0 of 1 canary Pods are ready: ImagePullBackOff, ${image} was not found`);
    if (age > PULL_PATIENCE)
      this.reject(now, 'RolledBack', `the canary cannot start: ImagePullBackOff, ${image} was not found`);
  }

  check(now, planned) {
    this.judge(now, planned);
    const worst = this.state.checks[0];
    if (planned.weight > 0) this.state.observed = (planned.weight + (Math.random() - 0.5) * 1.4).toFixed(1);
    this.step.nextAt = now + this.interval * 1000;
    if (worst.verdict === 'Fail') {
      this.state.failed += 1;
      const reason = `${worst.name} ${worst.canary} violates ${worst.limit} (${worst.samples} requests)`;
      this.say(`failed check ${this.state.failed} of ${this.threshold}: ${reason}`);
      if (this.state.failed >= this.threshold) this.reject(now, 'RolledBack', reason);
      return;
    }
    this.step.passed += 1;
    this.say(
      `${planned.weight} %: ${Math.min(this.step.passed, planned.checks)} of ${planned.checks} checks passed; ${worst.name} ${worst.canary ?? ''}${worst.limit ? `, ${worst.limit}` : ''}`,
    );
    if (this.step.passed >= planned.checks) this.passed(now, planned);
  }

  passed(now, planned) {
    if (planned.pause.kind === 'approval') {
      this.step.waiting = 'Approval';
      this.step.nextAt = undefined;
      this.say(
        this.plan === 'blueGreen'
          ? 'all checks passed without traffic; waits for a person to switch'
          : `${planned.weight} %: checks passed; waits for a person's approval`,
      );
    } else if (planned.pause.kind === 'timed') {
      this.step.pausedUntil = now + planned.pause.seconds * 1000;
      this.step.nextAt = this.step.pausedUntil;
      this.say(`${planned.weight} %: checks passed; stays for ${planned.pause.seconds} s`);
    } else this.next(now);
  }

  next(now) {
    if (this.step.index + 1 < this.steps.length) {
      this.enter(this.step.index + 1, now);
      this.say(`${this.wanted} %: the canary gets the Pods that it needs`);
      return;
    }
    Object.assign(this.state, { phase: 'Promoting', message: `the main release rolls to ${this.candidate.images[0]}` });
    this.step = undefined;
    this.since = now;
    this.turnAt = now + 4000;
  }

  promoted(now) {
    if (this.putBackBy) this.end(now, 'Promoted', 'put back by request', this.putBackBy, ['KnownGood']);
    else this.ends(now);
    this.putBackBy = undefined;
    this.stable = { ...this.candidate, since: now };
    Object.assign(this.state, { phase: 'Succeeded', message: `idle: revision ${this.stable.revision} was promoted` });
    this.candidate = undefined;
    this.clear(now);
  }

  ends(now) {
    this.end(
      now,
      'Promoted',
      this.forcedBy
        ? 'forced: what was left was skipped'
        : this.metrics
          ? 'all checks passed'
          : 'ready; no metrics server',
      this.forcedBy,
    );
  }

  reject(now, outcome, reason, by) {
    this.end(now, outcome, reason, by);
    Object.assign(this.state, {
      phase: 'Failed',
      message: `rejected: ${reason}; all traffic is on stable, and the target stays held`,
    });
    this.clear(now);
  }

  end(now, outcome, reason, by, marks = this.forcedBy ? ['Forced'] : this.metrics ? [] : ['Unproven']) {
    this.history.unshift({
      version: { revision: this.candidate.revision, images: this.candidate.images, since: iso(this.candidate.since) },
      outcome,
      marks,
      reason,
      ...(by && { by }),
      endedAt: iso(now),
    });
    this.history.length = Math.min(10, this.history.length);
    this.lastOutcome = outcome;
    this.forcedBy = undefined;
  }

  clear(now) {
    Object.assign(this.state, { weight: 0, written: 0, observed: undefined });
    this.wanted = 0;
    this.step = undefined;
    this.since = now;
    if (this.rests) this.shipAt = now + this.rests * 1000;
  }

  judge(now, planned) {
    const rough = (middle, spread) => middle + (Math.random() - 0.5) * spread;
    const weight = planned.weight;
    const at = iso(now);
    const checks = [{ name: 'readiness', verdict: 'Pass', message: 'all Pods are ready, none restarted', at }];
    if (this.metrics && weight > 0) {
      const samples = Math.round(weight * rough(80, 10));
      const success = this.flaw === 'errors20' ? rough(81, 3) : rough(99.95, 0.06);
      const slow = this.flaw === 'slow' ? rough(320, 30) : rough(104, 12);
      checks.push({
        name: 'request-success-rate',
        verdict: success < 99 ? 'Fail' : 'Pass',
        canary: `${success.toFixed(2)}%`,
        stable: `${rough(99.95, 0.06).toFixed(2)}%`,
        limit: '>= 99%',
        samples,
        at,
      });
      checks.push({
        name: 'request-duration',
        verdict: slow > 250 ? 'Fail' : 'Pass',
        canary: `${slow.toFixed(0)} ms`,
        stable: `${rough(101, 12).toFixed(0)} ms`,
        limit: '<= 250 ms',
        samples,
        at,
      });
      if (this.extraChecks)
        checks.push(
          {
            name: 'queue-depth',
            verdict: 'Pass',
            canary: rough(14, 4).toFixed(1),
            stable: rough(13, 4).toFixed(1),
            limit: '>= 0, <= 40',
            samples: 1,
            at,
          },
          {
            name: 'checkout/conversion-compared-with-stable',
            verdict: 'Inconclusive',
            canary: `${rough(4.1, 0.4).toFixed(2)}%`,
            stable: `${rough(4.2, 0.3).toFixed(2)}%`,
            samples: 212,
            message: 'too few samples to tell them apart',
            at,
          },
        );
    }
    const order = ['Fail', 'Inconclusive', 'NoData', 'Pass'];
    this.state.checks = checks.sort((one, other) => order.indexOf(one.verdict) - order.indexOf(other.verdict));
    if (this.state.checks[0].verdict === 'Inconclusive') this.state.checks.push(this.state.checks.shift());
  }

  /** Follows a verb, as a person asked for it. */
  act({ verb, id, by, reason, to }, now) {
    this.lastRequest = { verb, id, by, reason, at: iso(now), outcome: 'Accepted', message: 'done' };
    const does = {
      promote: () => this.next(now),
      'promote-full': () => {
        this.forcedBy = by;
        this.state.phase = 'Promoting';
        this.step = { index: this.steps.length - 1 };
        this.next(now);
      },
      abort: () => this.reject(now, 'Aborted', reason || 'aborted by a person', by),
      pause: () => {
        Object.assign(this.step, { waiting: 'Paused', nextAt: undefined });
        this.say(`${this.state.weight} %: paused by ${by}`);
      },
      resume: () => {
        Object.assign(this.step, { waiting: undefined, nextAt: now + this.interval * 1000 });
        this.say(`${this.state.weight} %: goes on`);
      },
      skip: () => this.next(now),
      retry: () => {
        this.attempt += 1;
        this.shipAt = undefined;
        this.begin(now);
      },
      restart: () => this.ship(now),
      rollback: () => this.putBack(now, to, by),
    };
    does[verb]();
  }

  /** A version that was promoted before is promoted again at once: it is known to be good. */
  putBack(now, to, by) {
    if (this.candidate && this.step) return this.reject(now, 'Aborted', 'aborted by a person', by);
    const { version } = this.history.find((one) => (to ? one.version.revision === to : this.canReturn(one)));
    this.candidate = { ...version, since: now };
    this.steps = [];
    this.shipAt = undefined;
    this.putBackBy = by;
    Object.assign(this.state, { phase: 'Promoting', message: `the main release rolls to ${version.images[0]}` });
    this.since = now;
    this.turnAt = now + 3000;
  }

  canReturn({ outcome, version: { revision } }) {
    return this.isAtRest() && outcome === 'Promoted' && revision !== this.stable.revision;
  }

  item() {
    const { phase, message, weight } = this.state;
    return drop({
      namespace: this.namespace,
      name: this.name,
      labels: this.labels,
      target: { kind: this.kind, name: this.target ?? this.name },
      phase,
      message,
      weight,
      step: this.step && { number: this.step.index + 1, of: this.steps.length },
      candidate: version(this.candidate),
      stable: version(this.stable),
      needsDecision: Boolean(this.step?.waiting) || ['Waiting', 'WaitingPromotion'].includes(phase),
      suspended: Boolean(this.suspended),
      since: this.since && iso(this.since),
      lastOutcome: this.lastOutcome,
      nextAt: this.step?.nextAt && iso(this.step.nextAt),
    });
  }

  view() {
    const { state, step } = this;
    return drop({
      ...this.item(),
      provider: this.provider,
      plan: this.steps ?? [],
      current:
        step &&
        drop({
          attempt: this.attempt,
          passed: step.passed,
          startedAt: iso(step.startedAt),
          nextAt: step.nextAt && iso(step.nextAt),
          deadlineAt: iso(step.deadline),
          waiting: step.waiting,
        }),
      traffic: drop({ wanted: this.wanted ?? 0, written: state.written, observed: state.observed }),
      failedChecks: { count: state.failed, threshold: this.threshold },
      checks: state.checks,
      diagnosis: state.diagnosis,
      lastRequest: this.lastRequest && drop(this.lastRequest),
      history: this.history.map((one) => (this.canReturn(one) ? { ...one, rollback: putsBack(this, one) } : one)),
      conditions: this.conditions(),
      upToDate: true,
      verbs: offers(this),
    });
  }

  conditions() {
    const idle = ['Succeeded', 'Initialized'].includes(this.state.phase);
    const failed = this.state.phase === 'Failed';
    const since = iso(this.since ?? 0);
    return [
      {
        type: 'Ready',
        status: idle ? 'True' : 'False',
        reason: failed ? 'Rejected' : idle ? 'Idle' : 'Progressing',
        message: this.state.message,
        since,
      },
      {
        type: 'Promoted',
        status: failed ? 'False' : idle ? 'True' : 'Unknown',
        reason: this.state.phase,
        message: this.state.message,
        since,
      },
      { type: 'Gated', status: 'True', reason: 'Proved', message: 'a changed template would be held now', since },
    ];
  }

  /** Adds a point to the recording if something is another. */
  record(now) {
    const { phase, checks, written, observed, failed } = this.state;
    const point = drop({
      at: iso(now),
      phase,
      revision: this.candidate?.revision,
      wanted: this.wanted ?? 0,
      written,
      observed,
      step: this.item().step,
      failedChecks: failed,
      checks: checks.map(({ name, verdict, canary, stable, limit }) => drop({ name, verdict, canary, stable, limit })),
    });
    const words = JSON.stringify({ ...point, at: 0 });
    if (words !== this.recorded) this.points.push(point);
    this.recorded = words;
    if (this.points.length > 512) this.points.shift();
  }

  timeline() {
    const releases = this.history.map(({ version: of, outcome, endedAt }) => ({
      revision: of.revision,
      images: of.images,
      outcome,
      startedAt: of.since,
      endedAt,
    }));
    return { since: this.points[0]?.at ?? iso(Date.now()), points: this.points, releases };
  }
}

function version(of) {
  return of && drop({ revision: of.revision, images: of.images, since: of.since && iso(of.since) });
}

function drop(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
