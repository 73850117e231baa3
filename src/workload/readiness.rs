//! From Pods and endpoints to one word: does the canary serve?

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::Diagnosis;
use crate::objects::{Deployment, Pod, ReplicaSet, Seen, mark, selects};
use crate::rollout::observed::{Arm, CanaryArm, Readiness};
use crate::workload::diagnosis;
use crate::workload::site::is_own;

/// The canary workload as the watches saw it last; `None`: there is none of ours. Where it has a Service, its endpoints count.
#[must_use]
pub fn observe_canary(canary: &Canary, seen: &Seen, with_service: bool) -> Option<CanaryArm> {
    let workload = seen.deployments.get(&canary.canary_name())?;
    if !is_own(canary, &workload.meta) {
        return None;
    }
    let pods = pods(workload, seen);
    let ready = ready_pods(workload, &pods, seen);
    let behind = with_service.then(|| endpoints(canary, seen));
    let serving = behind
        .as_ref()
        .map_or(ready.len(), |behind| ready.intersection(behind).count());
    let diagnosis = diagnosis::of(workload, &pods, &sets(workload, seen));
    let readiness = readiness(canary, workload, &diagnosis, &ready, behind.as_ref());
    let restarts = pods.iter().flat_map(|pod| &pod.containers);
    let ready_since = pods.iter().filter(|pod| ready.contains(&pod.meta.name));
    let ready_since = ready_since
        .filter_map(|pod| Some((pod.meta.name.clone(), Moment::new(pod.ready_since()?))))
        .collect();
    Some(CanaryArm {
        arm: Arm {
            revision: workload
                .meta
                .annotations
                .get(mark::RUNS)
                .cloned()
                .unwrap_or_default(),
            replicas: workload.replicas,
            ready: i32::try_from(serving).unwrap_or(i32::MAX),
            readiness,
        },
        ready_since,
        restarts: restarts.map(|container| container.restarts).sum(),
        diagnosis,
        deleting: workload.meta.deleting,
    })
}

fn pods<'a>(workload: &Deployment, seen: &'a Seen) -> Vec<&'a Arc<Pod>> {
    let pods = seen.pods.values();
    pods.filter(|pod| selects(&workload.selector, &pod.meta.labels))
        .collect()
}

fn sets<'a>(workload: &'a Deployment, seen: &'a Seen) -> Vec<&'a Arc<ReplicaSet>> {
    seen.replica_sets_of(&workload.meta.uid).collect()
}

/// Names of the ready Pods that run the workload's current template.
fn ready_pods(workload: &Deployment, pods: &[&Arc<Pod>], seen: &Seen) -> BTreeSet<String> {
    let old: BTreeSet<_> = sets(workload, seen)
        .into_iter()
        .filter(|set| set.template.revision != workload.template.revision)
        .map(|set| set.meta.uid.as_str())
        .collect();
    let current = |pod: &&&Arc<Pod>| {
        let owner = pod.meta.owner.as_ref();
        !owner.is_some_and(|owner| old.contains(owner.uid.as_str()))
    };
    let ready = pods.iter().filter(|pod| pod.ready && !pod.meta.deleting);
    ready
        .filter(current)
        .map(|pod| pod.meta.name.clone())
        .collect()
}

/// Names of the Pods behind the canary Service.
fn endpoints(canary: &Canary, seen: &Seen) -> BTreeSet<String> {
    let endpoints = seen.endpoints(&canary.canary_service_name());
    endpoints.into_keys().collect()
}

/// A Pod of the canary is ready.
pub(crate) fn has_ready_pods(canary: &Canary, seen: &Seen) -> bool {
    let workload = seen.deployments.get(&canary.canary_name());
    workload.is_some_and(|workload| !ready_pods(workload, &pods(workload, seen), seen).is_empty())
}

/// The canary Service has exactly the canary's ready Pods behind it, and there are some.
pub(crate) fn is_behind_service(canary: &Canary, seen: &Seen) -> bool {
    let Some(workload) = seen.deployments.get(&canary.canary_name()) else {
        return false;
    };
    let ready = ready_pods(workload, &pods(workload, seen), seen);
    !ready.is_empty() && ready == endpoints(canary, seen)
}

fn readiness(
    canary: &Canary,
    workload: &Deployment,
    diagnosis: &[Diagnosis],
    ready: &BTreeSet<String>,
    behind: Option<&BTreeSet<String>>,
) -> Readiness {
    let name = &workload.meta.name;
    if let Some(worst) = diagnosis.iter().find(|found| found.hopeless) {
        return Readiness::Stuck(format!(
            "{}: {}: {}",
            worst.object, worst.reason, worst.message
        ));
    }
    if workload.observed_generation < workload.meta.generation {
        return Readiness::Progressing(format!("Deployment {name} was not looked at yet"));
    }
    let (updated, wanted) = (workload.updated, workload.replicas);
    if wanted == 0 {
        return Readiness::Progressing(format!("no Pod of {name} is wanted"));
    }
    if updated != wanted {
        return Readiness::Progressing(format!("{updated} of {wanted} Pods of {name} exist"));
    }
    let needed = needed(canary, wanted);
    if ready.len() < needed {
        let count = ready.len();
        let first = diagnosis.first();
        let why = first.map_or_else(String::new, |first| {
            format!("; {}: {}", first.object, first.message)
        });
        return Readiness::Progressing(format!(
            "{count} of {needed} Pods of {name} are ready{why}"
        ));
    }
    match behind {
        Some(behind) if behind != ready => {
            let service = canary.canary_service_name();
            let missing = ready.difference(behind).count();
            let foreign = behind.difference(ready).count();
            Readiness::Progressing(format!(
                "Service {service} lacks {missing} ready Pods and has {foreign} others behind it"
            ))
        }
        _ => Readiness::Ready,
    }
}

/// ⌈threshold·wanted⌉, and at least one.
fn needed(canary: &Canary, wanted: i32) -> usize {
    let percent = i64::from(canary.spec.analysis.canary_ready_threshold.clamp(1, 100));
    let needed = (percent * i64::from(wanted.max(0)) + 99) / 100;
    usize::try_from(needed).unwrap_or(usize::MAX).max(1)
}
