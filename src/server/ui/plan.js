/** The plan of a release as a line of steps, and where on it the release is. */

import { h } from './dom.js';
import { icon } from './icons.js';
import { duration, until } from './time.js';
import { WAITS, count } from './words.js';

/** Checks that are drawn one by one. */
const DRAWN_CHECKS = 10;

/**
 * @param {any} view
 * @param {import('./recording.js').Recording} recording tells where an attempt ended that is over
 * @returns {import('./dom.js').Wanted | null}
 */
export function plan(view, recording) {
  if (view.plan.length === 0) return null;
  const here = place(view, recording);
  return h(
    'section',
    { key: 'plan', class: 'panel plan', 'aria-labelledby': 'plan-title' },
    h(
      'div',
      { class: 'panel-top' },
      h('h2', { id: 'plan-title' }, 'Plan'),
      h('p', { class: 'aside' }, summary(view, here)),
    ),
    h(
      'ol',
      { class: 'track', role: 'list' },
      view.plan.map((step, index) => stop(view, step, index, here)),
      finish(view, here),
    ),
  );
}

/** Position in the plan, from 0; its length once all steps are done; -1 before the first. */
function place(view, recording) {
  const { step, plan: steps, phase } = view;
  if (['Promoting', 'Finalising', 'Succeeded'].includes(phase))
    return { at: steps.length, state: phase === 'Succeeded' ? 'done' : 'here' };
  if (phase === 'Failed') return { at: (lastStep(recording, view) ?? 0) - 1, state: 'failed' };
  if (phase === 'WaitingPromotion' && !step) return { at: steps.length, state: 'here' };
  return { at: step ? step.number - 1 : -1, state: 'here' };
}

function lastStep(recording, view) {
  const points = recording.points.filter(
    (point) => point.step && (!point.revision || point.revision === view.candidate?.revision),
  );
  return points.at(-1)?.step.number;
}

function summary(view, here) {
  const { current, step } = view;
  if (here.state === 'failed') return here.at >= 0 ? `ended in step ${here.at + 1} of ${view.plan.length}` : 'ended';
  if (here.at >= view.plan.length) return 'all steps passed';
  if (!step || !current) return '';
  const attempt = current.attempt > 1 ? `, attempt ${current.attempt}` : '';
  return [
    `step ${step.number} of ${step.of}${attempt} · `,
    current.waiting ? (WAITS[current.waiting] ?? current.waiting) : timer(current),
    current.waiting ? null : [' · rejected without progress in ', until(current.deadlineAt)],
  ];
}

function timer(current) {
  return current.nextAt ? ['next check in ', until(current.nextAt)] : 'being prepared';
}

function stateAt(index, here) {
  if (index < here.at || here.state === 'done') return 'done';
  return index === here.at ? here.state : 'ahead';
}

const STATE_WORDS = { done: 'passed', here: 'now', ahead: 'to come', failed: 'ended here' };

function stop(view, step, index, here) {
  const state = stateAt(index, here);
  return h(
    'li',
    { key: `s${index}`, class: `stop is-${state}`, 'aria-current': state === 'here' ? 'step' : null },
    node(state),
    h(
      'span',
      { class: 'stop-weight' },
      step.weight,
      h('small', null, ' %'),
      h('span', { class: 'unseen' }, `, ${STATE_WORDS[state]}`),
    ),
    beside(step),
    checks(view, step, state),
    pause(view, step, state),
  );
}

// What the canary gets beside its share of the requests.
function beside(step) {
  const parts = [
    step.matched && 'matching requests',
    step.headerRoutes && `requests of ${step.headerRoutes.join(', ')}`,
    step.mirror && `copies of ${step.mirror} %`,
  ].filter(Boolean);
  return parts.length === 0 ? null : h('span', { class: 'stop-checks' }, `and ${parts.join(', ')}`);
}

function node(state) {
  const sign = { done: 'check', failed: 'cross' }[state];
  return h('span', { class: 'node', 'aria-hidden': 'true' }, sign && icon(sign));
}

function checks(view, step, state) {
  if (step.checks === 0) return h('span', { class: 'stop-checks' }, 'no checks');
  const passed =
    state === 'done' ? step.checks : state === 'here' ? Math.min(view.current?.passed ?? 0, step.checks) : 0;
  const words = state === 'here' ? `${passed} of ${count(step.checks, 'check')}` : count(step.checks, 'check');
  const drawn =
    step.checks <= DRAWN_CHECKS &&
    Array.from({ length: step.checks }, (_, place) => h('span', { class: place < passed ? 'pip is-done' : 'pip' }));
  return h(
    'span',
    { class: 'stop-checks' },
    drawn && h('span', { class: 'pips', 'aria-hidden': 'true' }, drawn),
    words,
  );
}

function pause(view, step, state) {
  if (step.pause.kind === 'none') return null;
  const waits = state === 'here' && view.current?.waiting;
  const words =
    step.pause.kind === 'timed' ? `then waits ${duration(step.pause.seconds * 1000)}` : 'then a person approves';
  return h(
    'span',
    { class: waits ? 'stop-pause is-waiting' : 'stop-pause' },
    icon(step.pause.kind === 'timed' ? 'clock' : 'person'),
    words,
  );
}

function finish(view, here) {
  const over = here.at >= view.plan.length;
  const state = over ? here.state : 'ahead';
  const words =
    {
      Promoting: 'the main release rolls',
      Finalising: 'traffic goes back to it',
      WaitingPromotion: 'waits for an approval',
      Succeeded: 'it is the main release',
    }[view.phase] ?? '';
  return h(
    'li',
    { key: 'end', class: `stop is-end is-${state}`, 'aria-current': state === 'here' ? 'step' : null },
    node(state),
    h('span', { class: 'stop-weight' }, 'Promote'),
    h('span', { class: 'stop-checks' }, words),
  );
}
