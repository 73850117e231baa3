//! Phase by phase: what has to be seen before the next one follows.

use std::time::Duration;

use crate::crd::status::{Ending, Phase};
use crate::rollout::observed::{Answer, Check};
use crate::rollout::tick::{Asked, Tick};
use crate::rollout::{alerts, attempt, ending, hooks, idle, progress, promotion, request};

/// No tick passes through more phases than this: a longer way would be a loop.
const MOST_PHASES: usize = 8;

/// How long both sides of the handshake may take to name the same revision (GATE).
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(60);

/// Takes the tick through requests, handshake and phases, until nothing follows.
pub(crate) fn run(tick: &mut Tick<'_>) -> Asked<()> {
    tick.status.epoch = Some(tick.seen.epoch.max(tick.status.epoch.unwrap_or(0)));
    tick.sense();
    alerts::tell(tick)?;
    rehash(tick);
    if tick.deleting() && tick.status.phase != Phase::Terminating {
        begin_ending(tick);
    }
    request::take(tick)?;
    if !handshake(tick)? {
        return Ok(());
    }
    trouble(tick);
    hooks::tell(tick)?;
    for _ in 0..MOST_PHASES {
        let before = tick.status.phase;
        step(tick)?;
        if tick.status.phase == before {
            break;
        }
    }
    Ok(())
}

/// Stable's ReplicaSet is the same, so whatever its template hashes to now is stable's revision: an upgrade of Serin or of the API
/// server changes hashes and no template (SAFETY G10).
fn rehash(tick: &mut Tick<'_>) {
    let (Some(target), Some(stable)) = (tick.target(), &mut tick.status.stable) else {
        return;
    };
    let same = target
        .serving
        .iter()
        .find(|set| set.replica_set == stable.replica_set);
    let Some(set) = same.filter(|_| stable.target_uid == target.uid) else {
        return;
    };
    if tick.status.revert.as_ref() == Some(&stable.revision) {
        tick.status.revert = Some(set.revision.clone());
    }
    stable.revision.clone_from(&set.revision);
}

fn step(tick: &mut Tick<'_>) -> Asked<()> {
    match tick.status.phase {
        Phase::Initializing => idle::initialize(tick),
        Phase::Initialized | Phase::Succeeded | Phase::Failed => idle::watch(tick),
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion => progress::advance(tick),
        Phase::Promoting => {
            promotion::promote(tick);
            Ok(())
        }
        Phase::Finalising => {
            promotion::finalise(tick);
            Ok(())
        }
        Phase::Terminating => {
            ending::end(tick);
            Ok(())
        }
    }
}

fn begin_ending(tick: &mut Tick<'_>) {
    if attempt::is_open(tick) {
        attempt::close(
            tick,
            crate::crd::status::Outcome::Aborted,
            "the Canary was deleted".to_owned(),
            None,
        );
    }
    tick.leave();
    tick.status.ending = Some(Ending {
        since: tick.now,
        given_back: None,
    });
    tick.go(Phase::Terminating);
}

/// A new generation counts as seen once the target names the revision that it names. False: not yet, nothing else may happen.
///
/// The target is read live for that: the cache may still hold what stood there before the pipeline's write (GATE, the handshake).
fn handshake(tick: &mut Tick<'_>) -> Asked<bool> {
    let generation = tick.canary.metadata.generation;
    if tick.status.observed_generation == generation || tick.deleting() {
        return Ok(true);
    }
    let Answer::Target(live) = tick.answer(Check::Target)? else {
        tick.wake_in(1);
        return Ok(true);
    };
    let stale = match (live, tick.target()) {
        (Some(live), Some(target)) => live.revision != target.revision,
        (live, target) => live.is_some() != target.is_some(),
    };
    if stale {
        tick.wake_at(tick.now.after(Duration::from_millis(100)));
        return Ok(false);
    }
    let declared = live.as_ref().and_then(|live| live.declared.clone());
    if tick.spec.revision.is_some() && declared != tick.spec.revision {
        return Ok(mismatch(tick, declared));
    }
    tick.status.observed_generation = generation;
    tick.status.handshake_at = None;
    Ok(true)
}

/// The target names another revision than the Canary: waits, then says which differs.
fn mismatch(tick: &mut Tick<'_>, declared: Option<String>) -> bool {
    let since = *tick.status.handshake_at.get_or_insert(tick.now);
    let expires = since.after(HANDSHAKE);
    if tick.now < expires {
        tick.wake_at(expires.min(tick.now.after(Duration::from_secs(2))));
        return false;
    }
    let wanted = tick.spec.revision.clone().unwrap_or_default();
    let found = declared.unwrap_or_else(|| "nothing".to_owned());
    let text = format!(
        "spec.revision is {wanted:?}, but the annotation serin.dev/revision of Deployment {} says {found:?}; both must be the \
         hash of the same rendered Pod template",
        tick.spec.target_ref.name
    );
    if tick.status.message != text {
        tick.warn("RevisionMismatch", text.clone());
    }
    tick.status.observed_generation = tick.canary.metadata.generation;
    tick.status.handshake_at = None;
    true
}

/// Remembers since when something is wrong with spec or cluster.
fn trouble(tick: &mut Tick<'_>) {
    if tick.refusal().is_none() {
        tick.status.trouble_at = None;
    } else if tick.status.trouble_at.is_none() {
        tick.status.trouble_at = Some(tick.now);
        let all = tick
            .seen
            .problems
            .iter()
            .filter(|problem| problem.severity == crate::rollout::observed::Severity::Refused);
        for problem in all.cloned().collect::<Vec<_>>() {
            tick.warn(problem.reason, problem.message);
        }
        tick.wake_in(60);
    } else if let Some(since) = tick.status.trouble_at {
        let stalls = since.after(Duration::from_secs(60));
        if stalls > tick.now {
            tick.wake_at(stalls);
        }
    }
}
