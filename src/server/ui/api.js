/** Requests to Serin's API. */

import { token } from './session.js';
import { learnClock } from './time.js';

const BASE = '/api/v1';
/** A reply that takes longer does not come any more, in milliseconds. */
const DEADLINE = 12_000;

/** What the server, or the network, said no with. */
export class Refusal extends Error {
  /**
   * @param {number} status 0: there was no reply
   * @param {string} detail
   * @param {string[]} [allowed] verbs that are possible now
   */
  constructor(status, detail, allowed = []) {
    super(detail);
    this.status = status;
    this.allowed = allowed;
  }
}

/** @param {string} namespace @param {string} name @returns {string} */
export function pathOf(namespace, name) {
  return `/namespaces/${encodeURIComponent(namespace)}/canaries/${encodeURIComponent(name)}`;
}

/**
 * A request with the token. Anything but success is a `Refusal`.
 *
 * @param {string} path below /api/v1
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const bearer = token();
  if (bearer) headers.set('Authorization', `Bearer ${bearer}`);
  let reply;
  try {
    reply = await fetch(BASE + path, {
      ...options,
      headers,
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
    });
  } catch (error) {
    throw new Refusal(0, error.name === 'AbortError' ? 'no answer in time' : 'Serin cannot be reached');
  }
  learnClock(reply.headers.get('Date'));
  if (!reply.ok) throw await refusal(reply);
  return reply;
}

async function refusal(reply) {
  let problem = {};
  try {
    problem = await reply.json();
  } catch {
    // Not from Serin itself: a proxy's own page. The status has to do.
  }
  const detail = problem.detail || problem.title || `the answer was ${reply.status} ${reply.statusText}`;
  return new Refusal(reply.status, String(detail), Array.isArray(problem.allowed) ? problem.allowed.map(String) : []);
}

/** @param {string} path @returns {Promise<any>} */
export async function get(path) {
  const reply = await ask(path, { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(DEADLINE) });
  return reply.json();
}

/**
 * Asks for a verb. With the same key it can be sent again without being done twice.
 *
 * @param {{namespace: string, name: string}} canary
 * @param {{verb: string, reason?: string, revision?: string, key: string}} wish
 * @returns {Promise<{id: string, verb: string, message: string}>}
 */
export async function request(canary, { verb, reason, revision, key }) {
  const full = verb === 'promote-full';
  const body = { ...(reason && { reason }), ...(revision && { revision }), ...(full && { force: true }) };
  const reply = await ask(`${pathOf(canary.namespace, canary.name)}/${full ? 'promote' : encodeURIComponent(verb)}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json', 'Idempotency-Key': key },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE),
  });
  return reply.json();
}
