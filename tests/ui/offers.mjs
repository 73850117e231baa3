// Which verbs the mock allows, and what each would do, in a sentence.

/** @returns {{verb: string, effect: string, danger: boolean}[]} what may be asked for now */
export function offers(release) {
  const { phase } = release.state;
  const from = short(release.stable.images[0]);
  const to = short(release.candidate?.images[0]);
  if (phase === 'Progressing') return inProgress(release, from, to);
  if (phase === 'Failed') {
    const forced = `${to} was rejected, and becomes the main release all the same. The history says that you forced it.`;
    const again = verb('retry', `A new attempt for ${to}, from the first step.`);
    return [again, verb('promote-full', forced, true), ...back(release)];
  }
  if (phase === 'Promoting') {
    return [verb('abort', `The main release goes back to ${from} before traffic does; ${to} is rejected.`, true)];
  }
  return phase === 'Finalising' ? [] : idle(release, from);
}

/** An image without where it comes from. */
export function short(image) {
  return image?.slice(image.lastIndexOf('/') + 1);
}

function verb(name, effect, danger = false) {
  return { verb: name, effect, danger };
}

function inProgress({ plan, state, step, steps }, from, to) {
  const planned = steps[step.index];
  const following = steps[step.index + 1];
  const onward = following ? `goes on to ${following.weight} %` : 'is promoted';
  const always = [
    verb(
      'promote-full',
      `What is left of the plan is skipped: ${to} becomes the main release without further checks. The history says that you forced it.`,
      true,
    ),
    verb('abort', `All traffic goes back to ${from} at once; ${to} is rejected and its Pods are deleted.`, true),
  ];
  if (step.waiting === 'Paused')
    return [verb('resume', `${to} goes on at ${state.weight} %, with its checks.`), ...always];
  if (step.waiting === 'Approval' && plan === 'blueGreen') {
    return [verb('promote', `All users are switched from ${from} to ${to} at once.`, true), ...always];
  }
  if (step.waiting === 'Approval') {
    return [verb('promote', `The approval at ${planned.weight} % is given; ${to} ${onward}.`), ...always];
  }
  return [
    verb('pause', `${to} stays at ${state.weight} % until somebody resumes it.`),
    verb('skip', `The step at ${planned.weight} % counts as passed; ${to} ${onward}.`, true),
    ...always,
  ];
}

function idle(release, from) {
  return [verb('restart', `A canary of the same images (${from}) goes through the plan.`), ...back(release)];
}

function back(release) {
  const before = release.history.find((one) => release.canReturn(one));
  return before ? [verb('rollback', putsBack(release, before), true)] : [];
}

/** What a rollback to this line of the history would do. */
export function putsBack({ kind, name }, { version }) {
  const what = version.images.map(short).join(', ');
  return `${what}, which was promoted before, is put back on ${kind} ${name} at once, without analysis.`;
}
