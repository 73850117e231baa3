//! The target as the core sees it, its size, and its Pods.

use std::sync::Arc;

use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::digest;
use crate::objects::{Change, Deployment, Kind, Live, ObjectKey, ReplicaSet, Seen, mark};
use crate::rollout::observed::{Gate, LiveTarget, Serving, Target};
use crate::workload::services::uses_services;
use crate::workload::site::{Site, is_own};
use crate::workload::{WorkloadError, autoscaler, gate, history};

/// Longest start of a generated name; the API server adds five characters to it.
const GENERATED_BASE: usize = 58;

/// The target as the watches saw it last; `None`: it does not exist.
#[must_use]
pub fn observe_target(canary: &Canary, seen: &Seen) -> Option<Target> {
    let target = seen.deployments.get(canary.target_name())?;
    let serving = serving(target, seen);
    let stable = stable_revision(canary, &serving);
    let gate = gate_of(canary, target);
    let held = gate == Gate::Held;
    Some(Target {
        uid: target.meta.uid.clone(),
        revision: target.template.revision.clone(),
        images: target.template.images.clone(),
        containers: target.template.containers.clone(),
        declared: target.meta.annotations.get(mark::REVISION).cloned(),
        bypass: target.meta.labels.get(mark::BYPASS).cloned(),
        contested: target.meta.labels.contains_key(mark::CONTESTED),
        replicas: target.replicas,
        ready: target.ready,
        ready_updated: ready_updated(canary, target, seen),
        complete: is_complete(target),
        available: is_available(target),
        stuck: stuck(target),
        verdict: verdict(target),
        leftovers: held && history::has_leftovers(canary, seen, target, &stable),
        kept: target.meta.annotations.get(history::KEPT) == Some(&stable),
        gitops: target.gitops.clone(),
        writer: target.template_manager.clone(),
        configs: configs(target, seen, &stable),
        gate,
        serving,
    })
}

/// The revision that the status names as stable; before there is one, that which serves.
fn stable_revision(canary: &Canary, serving: &[Serving]) -> String {
    let status = canary.status.as_ref();
    let noted = status.and_then(|status| status.stable.as_ref());
    let noted = noted.map(|stable| stable.revision.clone());
    let first = || serving.first().map(|set| set.revision.clone());
    noted
        .filter(|revision| !revision.is_empty())
        .or_else(first)
        .unwrap_or_default()
}

/// The hold counts first: a held template stays held while it is put back.
fn gate_of(canary: &Canary, target: &Deployment) -> Gate {
    let has = |label: &str| target.meta.labels.contains_key(label);
    let armed = target.meta.labels.get(mark::GATE) == Some(&canary.identity());
    if target.paused && !has(mark::HELD) {
        Gate::PausedByOther
    } else if target.paused && has(mark::GATE) {
        Gate::Held
    } else if !armed {
        Gate::Open
    } else if has(mark::REVERTING) {
        Gate::Reverting
    } else if has(mark::HELD) {
        Gate::Held
    } else {
        Gate::Armed
    }
}

/// The ReplicaSets with Pods: most ready Pods first, then the larger, then the newer.
fn serving(target: &Deployment, seen: &Seen) -> Vec<Serving> {
    let sets = seen.replica_sets_of(&target.meta.uid);
    let mut sets: Vec<&Arc<ReplicaSet>> = sets
        .filter(|set| set.replicas > 0 || set.total > 0)
        .collect();
    sets.sort_by(|one, two| {
        let rank = |set: &ReplicaSet| (set.ready, set.replicas, set.meta.created);
        let order = rank(two).cmp(&rank(one));
        order.then_with(|| one.meta.name.cmp(&two.meta.name))
    });
    let serving = |set: &Arc<ReplicaSet>| Serving {
        replica_set: set.meta.name.clone(),
        revision: set.template.revision.clone(),
        images: set.template.images.clone(),
        replicas: set.replicas,
        ready: set.ready,
    };
    sets.into_iter().map(serving).collect()
}

/// Ready Pods of the live template behind the apex Service. The target's Pods are not watched: their names say whose they are.
fn ready_updated(canary: &Canary, target: &Deployment, seen: &Seen) -> i32 {
    let sets = seen.replica_sets_of(&target.meta.uid);
    let updated: Vec<_> = sets
        .filter(|set| set.template.revision == target.template.revision)
        .collect();
    let ready: i32 = updated.iter().map(|set| set.ready).sum();
    // A Service that may be switched to the canary says nothing about the target's own Pods.
    let switched = canary.spec.provider.as_deref() == Some("kubernetes");
    if !uses_services(canary) || switched {
        return ready;
    }
    let endpoints = seen.endpoints(canary.service_name());
    let behind = endpoints
        .keys()
        .filter(|pod| updated.iter().any(|set| is_pod_of(pod, &set.meta.name)));
    i32::try_from(behind.count()).unwrap_or(i32::MAX).min(ready)
}

fn is_pod_of(pod: &str, replica_set: &str) -> bool {
    let mut base = format!("{replica_set}-");
    base.truncate(GENERATED_BASE);
    pod.starts_with(&base)
}

fn is_complete(target: &Deployment) -> bool {
    let all = [target.updated, target.total, target.available];
    !target.paused
        && target.observed_generation >= target.meta.generation
        && all.iter().all(|count| *count == target.replicas)
}

fn is_available(target: &Deployment) -> bool {
    let condition = target.condition("Available");
    let said = condition.is_some_and(|condition| condition.status == "True");
    said || (target.replicas > 0 && target.available >= target.replicas)
}

fn late(target: &Deployment) -> Option<&str> {
    let condition = target.condition("Progressing")?;
    let late = condition.status == "False" && condition.reason == "ProgressDeadlineExceeded";
    late.then_some(condition.message.as_str())
}

fn stuck(target: &Deployment) -> Option<String> {
    let message = late(target).filter(|text| !text.starts_with(gate::VERDICT))?;
    (!target.paused).then(|| message.to_owned())
}

fn verdict(target: &Deployment) -> Option<String> {
    let message = late(target).filter(|text| text.starts_with(gate::VERDICT))?;
    Some(message.to_owned())
}

fn configs(target: &Deployment, seen: &Seen, stable: &str) -> Vec<String> {
    let mut sets = seen.replica_sets_of(&target.meta.uid);
    let set = sets.find(|set| set.template.revision == stable);
    let template = set.map_or(&target.template, |set| &set.template);
    template.configs.iter().cloned().collect()
}

/// The target as a live read saw it, for the handshake; `None`: there is no target.
#[must_use]
pub fn live_target(canary: &Canary, live: &Live) -> Option<LiveTarget> {
    let key = ObjectKey::new(Kind::Deployment, &canary.home(), canary.target_name());
    let target = live.get(&key)?;
    let annotations = target.metadata.annotations.as_ref();
    Some(LiveTarget {
        declared: annotations.and_then(|all| all.get(mark::REVISION).cloned()),
        revision: digest::revision(&target.data["spec"]["template"]),
        resource_version: target.metadata.resource_version.clone().unwrap_or_default(),
    })
}

/// Scales the target up, within its autoscaler's maximum; never down (SAFETY C5).
pub(crate) fn scale_up(site: Site<'_>, replicas: i32) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    let most = autoscaler::of_target(site.canary, site.seen).map(|scaler| scaler.max);
    let wanted = most.map_or(replicas, |most| replicas.min(most));
    let now = target.digest()?.replicas;
    let scale = || Change::Scale(target.key.clone(), wanted);
    Ok((wanted > now).then(scale).into_iter().collect())
}

/// Stable's Pods, by the endpoints of the apex Service.
pub(crate) fn stable_pods(canary: &Canary, seen: &Seen) -> Vec<ObjectKey> {
    let own = |name: &str| {
        let pod = seen.pods.get(name);
        pod.is_some_and(|pod| is_own(canary, &pod.meta))
    };
    let endpoints = seen.endpoints(canary.service_name());
    let pods = endpoints.keys().filter(|name| !own(name));
    pods.map(|name| ObjectKey::new(Kind::Pod, &canary.home(), name))
        .collect()
}

/// Evicts the oldest of stable's Pods that is older than `before`, once all that are wanted are ready again.
pub(crate) fn evict(site: Site<'_>, before: Moment) -> Result<Vec<Change>, WorkloadError> {
    let Some(target) = site.seen.deployments.get(site.canary.target_name()) else {
        return Ok(Vec::new());
    };
    if target.ready < target.replicas {
        return Ok(Vec::new());
    }
    let mut pods = Vec::new();
    for key in stable_pods(site.canary, site.seen) {
        let Some(pod) = site.live.get(&key) else {
            continue;
        };
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(Vec::new());
        }
        let created = pod.metadata.creation_timestamp.as_ref();
        pods.extend(created.map(|created| (Moment::new(created.0), key)));
    }
    let oldest = pods
        .into_iter()
        .min()
        .filter(|(created, _)| *created < before);
    Ok(oldest
        .map(|(_, key)| Change::Evict(key))
        .into_iter()
        .collect())
}
