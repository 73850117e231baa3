//! The target's autoscaler: locked against scaling down while a canary runs, and copied for the canary (SAFETY C2 to C5).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Autoscaler, Change, Kind, Labels, ObjectKey, Seen, mark};
use crate::rollout::observed::Capacity;
use crate::workload::WorkloadError;
use crate::workload::clone::own_labels;
use crate::workload::labels::Rewrites;
use crate::workload::site::{Site, is_own, locked, object, pointer, remove};

/// The manager that owns the lock, and nothing else.
const MANAGER: &str = "serin-capacity";
/// The policy that forbids scaling down.
const DISABLED: &str = "Disabled";
/// Where the policy stands.
const POLICY: &str = "/spec/behavior/scaleDown/selectPolicy";
/// Annotation of the autoscaler while it is locked: the policy of another manager, to be given back.
const BEFORE: &str = "serin.dev/scale-down";
/// Above this weight stable's load says too little about the whole (SAFETY C4).
const LARGEST_TELLING_WEIGHT: u8 = 50;

/// The autoscaler of the target: the one that the spec names, or the one that scales it.
pub(crate) fn of_target<'a>(canary: &Canary, seen: &'a Seen) -> Option<&'a Arc<Autoscaler>> {
    if let Some(named) = &canary.spec.autoscaler_ref {
        let fits = is_plain(&named.kind);
        return seen.autoscalers.get(&named.name).filter(|_| fits);
    }
    seen.autoscalers.values().find(|scaler| {
        scaler.target_kind == "Deployment"
            && scaler.target == canary.target_name()
            && !is_own(canary, &scaler.meta)
    })
}

fn is_plain(kind: &str) -> bool {
    kind.is_empty() || kind == "HorizontalPodAutoscaler"
}

/// The state of the lock, and what the autoscaler says about size.
#[must_use]
pub fn observe_capacity(canary: &Canary, seen: &Seen) -> Capacity {
    let Some(scaler) = of_target(canary, seen) else {
        return Capacity {
            unprotected: unfound(canary),
            ..Capacity::default()
        };
    };
    let unprotected = foreign_scaler(scaler);
    Capacity {
        autoscaler: Some(scaler.meta.name.clone()),
        locked: is_locked(scaler),
        foreign_policy: foreign_policy(scaler),
        wants: wants(canary, scaler, seen),
        most: Some(scaler.max),
        copyable: scaler.per_pod && unprotected.is_none() && !is_name_taken(canary, seen),
        unprotected,
    }
}

/// Somebody else's autoscaler has the name of the copy.
fn is_name_taken(canary: &Canary, seen: &Seen) -> bool {
    let named = seen.autoscalers.get(&canary.canary_name());
    named.is_some_and(|scaler| !is_own(canary, &scaler.meta))
}

fn unfound(canary: &Canary) -> Option<String> {
    let named = canary.spec.autoscaler_ref.as_ref()?;
    Some(if is_plain(&named.kind) {
        format!(
            "spec.autoscalerRef: HorizontalPodAutoscaler {} does not exist",
            named.name
        )
    } else {
        format!(
            "spec.autoscalerRef: {} {} cannot be kept from scaling down by this version",
            named.kind, named.name
        )
    })
}

/// An autoscaler that another controller writes would be put back.
fn foreign_scaler(scaler: &Autoscaler) -> Option<String> {
    let owner = scaler.meta.owner.as_ref()?;
    Some(format!(
        "HorizontalPodAutoscaler {} is controlled by {} {}, which would take the lock off",
        scaler.meta.name, owner.kind, owner.name
    ))
}

fn is_locked(scaler: &Autoscaler) -> bool {
    let ours = scaler
        .select_policy_managers
        .iter()
        .any(|name| name == MANAGER)
        || scaler.meta.annotations.contains_key(BEFORE);
    ours && scaler.select_policy.as_deref() == Some(DISABLED)
}

/// The policy that another manager wants: it stands there now, or is noted while the lock is on.
fn foreign_policy(scaler: &Autoscaler) -> Option<String> {
    let noted = scaler.meta.annotations.get(BEFORE).cloned();
    let foreign = scaler
        .select_policy_managers
        .iter()
        .any(|name| name != MANAGER);
    let standing = scaler
        .select_policy
        .clone()
        .filter(|policy| foreign && policy != DISABLED);
    standing.or(noted)
}

/// N·r/(1 − w/100): stable sees only its share of the load. No more than the autoscaler would ever ask for.
fn wants(canary: &Canary, scaler: &Autoscaler, seen: &Seen) -> Option<i32> {
    let weight = canary
        .status
        .as_ref()
        .map_or(0, |status| status.canary_weight);
    if !scaler.per_pod || weight > LARGEST_TELLING_WEIGHT {
        return None;
    }
    let pods = f64::from(seen.deployments.get(canary.target_name())?.replicas);
    let share = 1.0 - f64::from(weight) / 100.0;
    let wanted = (pods * scaler.pressure? / share - 1e-9).ceil();
    let most = f64::from(scaler.max.max(0));
    // Within 0 and a number of 32 bits, so nothing is cut.
    Some(wanted.clamp(0.0, most) as i32)
}

/// The target's autoscaler and the canary's copy.
pub(crate) fn objects(canary: &Canary, seen: &Seen) -> Vec<ObjectKey> {
    let scaler = of_target(canary, seen).map(|scaler| scaler.meta.name.clone());
    let names = scaler.into_iter().chain([canary.canary_name()]);
    names
        .map(|name| ObjectKey::new(Kind::HorizontalPodAutoscaler, &canary.home(), &name))
        .collect()
}

/// Forbids the target's autoscaler to scale down: by an apply that owns this field alone, or where another manager has a policy, by a
/// patch without trace that notes the policy.
pub(crate) fn lock(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    let Some(scaler) = of_target(site.canary, site.seen) else {
        return Ok(Vec::new());
    };
    let name = &scaler.meta.name;
    let Some(live) = site.live(Kind::HorizontalPodAutoscaler, name) else {
        return Ok(Vec::new());
    };
    let standing = live.data.pointer(POLICY).and_then(Value::as_str);
    if is_locked(scaler) && standing == Some(DISABLED) {
        return Ok(Vec::new());
    }
    match (foreign_policy(scaler), standing) {
        (Some(_), Some(policy)) if policy != DISABLED => {
            let mut operations = Vec::new();
            if live.metadata.annotations.is_none() {
                operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
            }
            let note = format!("/metadata/annotations/{}", pointer(BEFORE));
            operations.push(json!({"op": "add", "path": note, "value": policy}));
            operations.push(json!({"op": "replace", "path": POLICY, "value": DISABLED}));
            let key = site.key(Kind::HorizontalPodAutoscaler, name);
            Ok(vec![Change::PatchWithoutTrace(
                key,
                locked(live, operations),
            )])
        }
        _ => {
            let body = json!({"spec": {"behavior": {"scaleDown": {"selectPolicy": DISABLED}}}});
            Ok(vec![apply_lock(site.canary, name, body)])
        }
    }
}

fn apply_lock(canary: &Canary, name: &str, body: Value) -> Change {
    let lock = object(canary, Kind::HorizontalPodAutoscaler, name, body);
    Change::ApplyAs(MANAGER, Box::new(lock))
}

/// Deletes the canary's autoscaler and gives the target's its policy back.
pub(crate) fn unlock(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    let copy = site.canary.canary_name();
    let mut changes: Vec<_> = site
        .delete_own(Kind::HorizontalPodAutoscaler, &copy)
        .into_iter()
        .collect();
    let Some(scaler) = of_target(site.canary, site.seen) else {
        return Ok(changes);
    };
    let name = &scaler.meta.name;
    let Some(live) = site.live(Kind::HorizontalPodAutoscaler, name) else {
        return Ok(changes);
    };
    let noted = live.metadata.annotations.as_ref();
    if let Some(policy) = noted.and_then(|annotations| annotations.get(BEFORE)) {
        let mut operations = vec![remove("/metadata/annotations", BEFORE)];
        // Somebody else may have put another policy there meanwhile, or none.
        if live.data.pointer(POLICY).and_then(Value::as_str) == Some(DISABLED) {
            operations.push(json!({"op": "replace", "path": POLICY, "value": policy}));
        }
        let key = site.key(Kind::HorizontalPodAutoscaler, name);
        changes.push(Change::PatchWithoutTrace(key, locked(live, operations)));
    }
    let fields = live.metadata.managed_fields.iter().flatten();
    let mut managers = fields.filter_map(|entry| entry.manager.as_deref());
    if managers.any(|manager| manager == MANAGER) {
        changes.push(apply_lock(site.canary, name, json!({})));
    }
    Ok(changes)
}

/// The target's autoscaler for the canary: it adds Pods for load, and never takes any away.
pub(crate) fn copy(site: Site<'_>, least: i32) -> Result<Option<Change>, WorkloadError> {
    let Some(scaler) = of_target(site.canary, site.seen) else {
        return Ok(None);
    };
    let Some(original) = site.live(Kind::HorizontalPodAutoscaler, &scaler.meta.name) else {
        return Ok(None);
    };
    let name = site.canary.canary_name();
    let mut body = json!({"spec": original.data["spec"]});
    let spec = &mut body["spec"];
    let most = spec["maxReplicas"].as_i64().unwrap_or(0);
    spec["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    spec["minReplicas"] = json!(least);
    spec["maxReplicas"] = json!(most.max(i64::from(least)));
    spec["behavior"]["scaleDown"] = json!({"selectPolicy": DISABLED});
    let mut copy = object(site.canary, Kind::HorizontalPodAutoscaler, &name, body);
    let mut labels = own_labels(site.canary, original, &Rewrites::new());
    labels.insert(mark::CANARY_UID.to_owned(), site.canary.identity());
    copy.metadata.labels = Some(labels);
    copy.metadata.annotations = None::<Labels>;
    site.apply(copy, Kind::HorizontalPodAutoscaler)
}
