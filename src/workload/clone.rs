//! The canary workload: a copy of the target that no selector of stable's matches, and its helpers.

use std::collections::BTreeSet;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, Labels, ObjectKey, Seen, mark, selects};
use crate::workload::WorkloadError;
use crate::workload::copy::stripped;
use crate::workload::gate::changed;
use crate::workload::labels::{
    Rewrites, canary_selector, pod_labels, rewrite_selectors, rewrites, rewritten,
};
use crate::workload::site::{Site, Target, is_own, object};
use crate::workload::{autoscaler, services};

/// How the canary shall be.
pub(crate) struct Place<'a> {
    pub(crate) revision: &'a str,
    pub(crate) replicas: i32,
    pub(crate) weight: u8,
    pub(crate) autoscale: bool,
}

/// The canary workload and its helpers, which exist or may be made, and what they are copied from.
pub(crate) fn objects(canary: &Canary, seen: &Seen) -> Vec<ObjectKey> {
    let key = |kind, name: &str| ObjectKey::new(kind, &canary.home(), name);
    let mut keys = vec![
        key(Kind::Deployment, &canary.canary_name()),
        key(Kind::HorizontalPodAutoscaler, &canary.canary_name()),
    ];
    for name in budgets(canary, seen) {
        keys.push(key(Kind::PodDisruptionBudget, &name));
        keys.push(key(Kind::PodDisruptionBudget, &copied_budget(&name)));
    }
    let own = seen
        .budgets
        .values()
        .filter(|budget| is_own(canary, &budget.meta));
    keys.extend(own.map(|budget| key(Kind::PodDisruptionBudget, &budget.meta.name)));
    keys.extend(autoscaler::objects(canary, seen));
    keys.sort();
    keys.dedup();
    keys
}

/// PodDisruptionBudgets that select the target's Pods.
fn budgets(canary: &Canary, seen: &Seen) -> BTreeSet<String> {
    let Some(target) = seen.deployments.get(canary.target_name()) else {
        return BTreeSet::new();
    };
    let of_target = seen.budgets.values().filter(|budget| {
        selects(&budget.selector, &target.template.labels) && !is_own(canary, &budget.meta)
    });
    of_target.map(|budget| budget.meta.name.clone()).collect()
}

fn copied_budget(name: &str) -> String {
    format!("{name}-canary")
}

/// Helpers first, then the workload, then, once one of its Pods is ready, the Service that points at it.
pub(crate) fn place(site: Site<'_>, place: &Place<'_>) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    let live = target.revision();
    if live != place.revision {
        let text = format!("has revision {live}, not {}", place.revision);
        return Err(changed(&target, &text));
    }
    let mut changes = Vec::new();
    if !place.autoscale {
        let name = site.canary.canary_name();
        changes.extend(site.delete_own(Kind::HorizontalPodAutoscaler, &name));
    }
    changes.extend(copy_budgets(site)?);
    let workload = workload(site, &target, place)?;
    changes.extend(site.apply(workload, Kind::Deployment)?);
    if place.autoscale {
        changes.extend(autoscaler::copy(site, place.replicas)?);
    }
    if has_ready_pods(site) {
        changes.extend(services::point_at_canary(site)?);
    }
    Ok(changes)
}

/// A Service without a ready Pod is no backend: Traefik, for one, then answers nothing at all on the route.
fn has_ready_pods(site: Site<'_>) -> bool {
    let canary = site.own(Kind::Deployment, &site.canary.canary_name());
    canary.is_some_and(|canary| canary.data["status"]["readyReplicas"].as_i64() > Some(0))
}

fn copy_budgets(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    let mut changes = Vec::new();
    for name in budgets(site.canary, site.seen) {
        let copied = copied_budget(&name);
        let taken = site.live(Kind::PodDisruptionBudget, &copied).is_some()
            && site.own(Kind::PodDisruptionBudget, &copied).is_none();
        // Somebody else's budget of that name may protect the canary or not; it is no reason not to try the release.
        if let Some(original) = site
            .live(Kind::PodDisruptionBudget, &name)
            .filter(|_| !taken)
        {
            let copy = budget_copy(site.canary, original, &name);
            changes.extend(site.apply(copy, Kind::PodDisruptionBudget)?);
        }
    }
    Ok(changes)
}

/// A number of Pods that have to stay counts stable's Pods. The canary has fewer, and would block every drain: one may go.
fn budget_copy(canary: &Canary, original: &DynamicObject, name: &str) -> DynamicObject {
    let mut spec = original.data["spec"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    if spec.get("minAvailable").is_some_and(Value::is_number) {
        spec.remove("minAvailable");
        spec.insert("maxUnavailable".to_owned(), json!(1));
    }
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": canary_selector(canary)}),
    );
    let body = json!({"spec": spec});
    let mut copy = object(
        canary,
        Kind::PodDisruptionBudget,
        &copied_budget(name),
        body,
    );
    copy.metadata.labels = Some(own_labels(canary, original, &Rewrites::new()));
    copy
}

/// Labels of a copy: the original's, but for those of other owners, and ours.
pub(crate) fn own_labels(canary: &Canary, original: &DynamicObject, rewrites: &Rewrites) -> Labels {
    let labels = original.metadata.labels.as_ref().map(stripped);
    let mut labels = rewritten(&labels.unwrap_or_default(), rewrites);
    labels.insert(mark::CANARY_UID.to_owned(), canary.identity());
    labels
}

fn workload(
    site: Site<'_>,
    target: &Target<'_>,
    place: &Place<'_>,
) -> Result<DynamicObject, WorkloadError> {
    let canary = site.canary;
    let digest = target.digest()?;
    let rewrites = rewrites(canary, &digest, site.seen);
    let replicas = replicas(site, place)?;
    let template = template(target, &rewrites, &pod_labels(canary, &digest, site.seen));
    let mut spec = target.object.data["spec"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    spec.insert("replicas".to_owned(), json!(replicas));
    spec.insert("paused".to_owned(), json!(false));
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": canary_selector(canary)}),
    );
    spec.insert("template".to_owned(), template);
    let name = canary.canary_name();
    let mut workload = object(canary, Kind::Deployment, &name, json!({"spec": spec}));
    workload.metadata.labels = Some(own_labels(canary, target.object, &rewrites));
    workload.metadata.annotations = Some(annotations(target, place));
    Ok(workload)
}

fn annotations(target: &Target<'_>, place: &Place<'_>) -> Labels {
    let original = target.object.metadata.annotations.as_ref();
    let mut annotations = original.map(stripped).unwrap_or_default();
    annotations.insert(mark::RUNS.to_owned(), place.revision.to_owned());
    annotations.insert(mark::WEIGHT.to_owned(), place.weight.to_string());
    annotations
}

/// With a copied autoscaler the number is its own: Serin never takes Pods back that it added (SAFETY C5).
fn replicas(site: Site<'_>, place: &Place<'_>) -> Result<i64, WorkloadError> {
    let name = site.canary.canary_name();
    let wanted = i64::from(place.replicas);
    let Some(live) = site.own(Kind::Deployment, &name) else {
        return Ok(wanted);
    };
    let key = site.key(Kind::Deployment, &name);
    if live.metadata.deletion_timestamp.is_some() {
        return Err(WorkloadError::Changed(format!("{key} is being deleted")));
    }
    let runs = live.metadata.annotations.as_ref();
    let runs = runs.and_then(|annotations| annotations.get(mark::RUNS));
    if runs.map(String::as_str) != Some(place.revision) {
        let text = format!("{key} does not run revision {}", place.revision);
        return Err(WorkloadError::Changed(text));
    }
    let scaled = live.data["spec"]["replicas"].as_i64().unwrap_or(wanted);
    Ok(if place.autoscale {
        scaled.max(wanted)
    } else {
        wanted
    })
}

fn template(target: &Target<'_>, rewrites: &Rewrites, labels: &Labels) -> Value {
    let mut template = target.template().as_object().cloned().unwrap_or_default();
    let metadata = template.get("metadata").and_then(Value::as_object);
    let mut metadata = metadata.cloned().unwrap_or_default();
    metadata.insert("labels".to_owned(), json!(labels));
    template.insert("metadata".to_owned(), Value::Object(metadata));
    let mut template = Value::Object(template);
    rewrite_selectors(&mut template, rewrites);
    dedupe_env(&mut template);
    template
}

/// Server-side apply refuses a variable that is set twice; for the kubelet the last one counts.
fn dedupe_env(template: &mut Value) {
    for list in ["/spec/initContainers", "/spec/containers"] {
        let containers = template.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
                let mut known = BTreeSet::new();
                env.reverse();
                env.retain(|entry| known.insert(entry["name"].to_string()));
                env.reverse();
            }
        }
    }
}

/// The autoscaler's copy goes before the workload, and the budgets after it.
pub(crate) fn remove(site: Site<'_>) -> Vec<Change> {
    let name = site.canary.canary_name();
    let mut changes = Vec::new();
    changes.extend(site.delete_own(Kind::HorizontalPodAutoscaler, &name));
    changes.extend(site.delete_own(Kind::Deployment, &name));
    let keys = objects(site.canary, site.seen);
    let budgets = keys
        .iter()
        .filter(|key| key.kind == Kind::PodDisruptionBudget);
    changes.extend(budgets.filter_map(|key| site.delete_own(key.kind, &key.name)));
    changes
}
