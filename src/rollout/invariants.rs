//! Invariants of SAFETY that every action has to keep: the net under the planner. What would break one is left out, and said.

use crate::rollout::decision::Action;
use crate::rollout::observed::{Gate, Routes, TrafficKind, Weight};
use crate::rollout::size;
use crate::rollout::tick::Tick;

/// Splits a plan into what may be done and what must not, with the reason of each breach. After a breach nothing follows: later
/// actions rely on earlier ones.
pub(crate) fn sift(tick: &Tick<'_>, plan: Vec<Action>) -> (Vec<Action>, Vec<String>) {
    let mut kept = Vec::new();
    for action in plan {
        match breach(tick, &action) {
            None => kept.push(action),
            Some(why) => return (kept, vec![why]),
        }
    }
    (kept, Vec::new())
}

fn breach(tick: &Tick<'_>, action: &Action) -> Option<String> {
    let broken = match action {
        Action::Release { revision } => released_unverified(tick, revision),
        Action::Route(routes) => raised_unready(tick, *routes),
        Action::Remove => removed_in_use(tick),
        Action::Arm => armed_too_early(tick),
        Action::Revert { revision } => reverted_to_unknown(tick, revision),
        Action::ScaleUp(replicas) => scaled_down(tick, *replicas),
        _ => None,
    };
    broken.map(|(id, why)| format!("{id}: {why}; {action:?} was left out"))
}

type Broken = Option<(&'static str, String)>;

/// G1: only what was analysed, or what serves already, is released; G3: only what the gate holds.
fn released_unverified(tick: &Tick<'_>, revision: &str) -> Broken {
    use crate::crd::status::Phase;
    let target = tick.target()?;
    if target.gate != Gate::Held || target.revision != revision {
        return Some((
            "G3",
            format!("revision {revision} is not what the gate holds"),
        ));
    }
    let promoted = tick.status.phase == Phase::Promoting && tick.candidate_revision() == revision;
    let serves =
        tick.stable_revision() == revision || tick.status.revert.as_deref() == Some(revision);
    let never_ran = tick.status.stable.is_none() && target.serving.is_empty();
    (!promoted && !serves && !never_ran)
        .then(|| ("G1", format!("revision {revision} was not analysed")))
}

/// T3: no share without readiness. Keeping or lowering a share is always allowed.
fn raised_unready(tick: &Tick<'_>, routes: Routes) -> Broken {
    let written = tick.written().unwrap_or_default();
    if written.or(routes) == written {
        return None;
    }
    let ready = tick.canary_arm().map_or(0, |canary| canary.arm.ready);
    let needed = size::canary(tick, routes);
    let threshold = i64::from(tick.spec.analysis.canary_ready_threshold.clamp(1, 100));
    if i64::from(ready) * 100 < i64::from(needed) * threshold {
        return Some((
            "T3",
            format!("{ready} of {needed} canary Pods are ready for {routes}"),
        ));
    }
    unplanned(tick, routes)
}

/// T2: only what the plan says, or what was in force.
fn unplanned(tick: &Tick<'_>, routes: Routes) -> Broken {
    let weight = routes.canary;
    let mut plan = tick.status.plan.iter().map(Routes::planned);
    let shared = plan.any(|step| step.canary == weight) || weight == Weight::ALL;
    let shared = shared || weight.percent() == tick.status.canary_weight;
    let mut plan = tick.status.plan.iter().map(Routes::planned);
    let beside = !routes.beside()
        || plan.any(|step| {
            Routes {
                canary: weight,
                ..step
            } == routes
        });
    (!shared || !beside).then(|| ("T2", format!("{routes} is no weight of the plan")))
}

/// T6: the canary never goes while a weight may send to it.
fn removed_in_use(tick: &Tick<'_>) -> Broken {
    if tick.kind() == TrafficKind::Replicas {
        return None;
    }
    let written = tick.written().unwrap_or_default();
    (written.reach() || tick.wanted().reach()).then(|| {
        (
            "T6",
            format!("the route still sends {written} to the canary"),
        )
    })
}

/// G5: no gate before the target is available.
fn armed_too_early(tick: &Tick<'_>) -> Broken {
    let complete = tick.target().is_some_and(|target| target.complete);
    (!complete).then(|| {
        (
            "G5",
            "the target is not rolled out and available".to_owned(),
        )
    })
}

/// C5: the size of the main release is its users' and its autoscaler's; it is only ever raised.
fn scaled_down(tick: &Tick<'_>, replicas: i32) -> Broken {
    let now = tick.target().map_or(0, |target| target.replicas);
    (replicas <= now).then(|| ("C5", format!("the main release has {now} Pods already")))
}

/// G12: a template is written only to go back, to a revision that was stable or promoted.
fn reverted_to_unknown(tick: &Tick<'_>, revision: &str) -> Broken {
    let stable = tick.stable_revision() == revision;
    let promoted = tick
        .status
        .history
        .iter()
        .any(|release| release.revision == revision);
    (!stable && !promoted).then(|| ("G12", format!("revision {revision} was never stable")))
}
