/** What was recorded of one Canary: weights and checks over time, and the releases that they belong to. */

import { now } from './time.js';

/** Points that are kept here; the server keeps as many. */
const MOST = 512;

/**
 * @typedef {{at: number, phase: string, revision?: string, wanted: number, written: number, observed?: string,
 *   step?: {number: number, of: number}, failedChecks: number, checks: any[]}} Point
 * @typedef {{revision: string, images: string[], outcome: string, startedAt?: string, endedAt: string}} Release
 */

/** The recording of one Canary. */
export class Recording {
  constructor() {
    /** @type {Point[]} */
    this.points = [];
    /** @type {Release[]} */
    this.releases = [];
    /** When the recording began, in milliseconds; null: nothing was recorded before this page was opened. */
    this.since = null;
  }

  /** @param {any} timeline as the server gives it */
  load(timeline) {
    this.points = (timeline.points ?? []).map((point) => ({ ...point, at: Date.parse(point.at) }));
    this.releases = timeline.releases ?? [];
    this.since = timeline.since ? Date.parse(timeline.since) : null;
  }

  /**
   * Takes in what was heard since then.
   *
   * @param {any} view a Canary, whole
   */
  hear(view) {
    const last = this.points.at(-1);
    const point = pointOf(view, Math.max(now(), last?.at ?? 0));
    if (last && signature(last) === signature(point)) return;
    this.points.push(point);
    if (this.points.length > MOST) this.points.shift();
    this.releases = (view.history ?? []).map(({ version, outcome, endedAt }) => ({
      revision: version.revision,
      images: version.images,
      outcome,
      startedAt: version.since,
      endedAt,
    }));
  }

  /**
   * The part of the recording that is shown: the release that goes on, or the last one; or everything.
   *
   * @param {any} view
   * @param {boolean} all
   * @returns {{points: Point[], from: number, to: number, live: boolean}}
   */
  window(view, all) {
    const live = Boolean(view.current) || ['Promoting', 'Finalising', 'Waiting'].includes(view.phase);
    const [start, end] = all ? [0, live ? now() : Infinity] : this.#release(view, live);
    const first = this.points.findIndex((point) => point.at >= start);
    const from = first < 0 ? this.points.length : first;
    const points = this.points.slice(from).filter((point) => point.at <= end + 1000);
    if (points.length === 0) return { points, from: start || now() - 60_000, to: now(), live };
    const begin = points[0].at;
    const last = live ? now() : Math.min(end, points.at(-1).at);
    return { points, from: begin, to: Math.max(last, begin + 10_000), live };
  }

  #release(view, live) {
    if (live)
      return [Date.parse(view.candidate?.since ?? view.current?.startedAt ?? view.since) || now() - 600_000, now()];
    const last = view.history?.[0];
    if (!last) return [0, Infinity];
    const end = Date.parse(last.endedAt);
    return [Date.parse(last.version.since ?? '') || end - 600_000, end + 5000];
  }
}

function pointOf(view, at) {
  return {
    at,
    phase: view.phase,
    revision: view.candidate?.revision,
    wanted: view.traffic.wanted,
    written: view.traffic.written,
    observed: view.traffic.observed,
    step: view.step,
    failedChecks: view.failedChecks.count,
    checks: (view.checks ?? []).map(({ name, verdict, canary, stable, limit }) => ({
      name,
      verdict,
      canary,
      stable,
      limit,
    })),
  };
}

function signature({ phase, revision, wanted, written, observed, step, failedChecks, checks }) {
  const rounds = checks.map(({ name, verdict, canary, stable }) => [name, verdict, canary, stable]);
  return JSON.stringify([phase, revision, wanted, written, observed, step?.number, failedChecks, rounds]);
}
