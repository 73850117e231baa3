//! What the target may come back to: stable's template is kept, and what could come back instead goes (SAFETY G11, G12).

use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::digest;
use crate::objects::{Change, Deployment, Kind, Labels, ObjectKey, ReplicaSet, Seen, mark};
use crate::rollout::decision::Action;
use crate::rollout::observed::Problem;
use crate::workload::WorkloadError;
use crate::workload::gate::changed;
use crate::workload::site::{Site, delete, label, object, refusal};

/// Annotation of the target: the revision whose template is kept in a ControllerRevision.
pub(crate) const KEPT: &str = "serin.dev/kept";

/// Name of the ControllerRevision that keeps a template. Its data cannot be changed, so each revision has its own.
fn kept_name(canary: &Canary, revision: &str) -> String {
    format!("{}-serin-{revision}", canary.target_name())
}

/// The ControllerRevisions that may exist.
fn kept_names(canary: &Canary, seen: &Seen) -> Vec<String> {
    let target = seen.deployments.get(canary.target_name());
    let noted = target.and_then(|target| target.meta.annotations.get(KEPT));
    let status = canary.status.as_ref();
    let stable = status.and_then(|status| status.stable.as_ref());
    let revisions = noted
        .into_iter()
        .chain(stable.map(|stable| &stable.revision));
    let mut names: Vec<_> = revisions
        .filter(|revision| !revision.is_empty())
        .map(|revision| kept_name(canary, revision))
        .collect();
    names.dedup();
    names
}

/// What `Disarm`, `Preserve` and `Revert` have to read beside the target.
pub(crate) fn objects(canary: &Canary, action: &Action, seen: &Seen) -> Vec<ObjectKey> {
    let mut keys: Vec<_> = kept_names(canary, seen)
        .iter()
        .map(|name| ObjectKey::new(Kind::ControllerRevision, &canary.home(), name))
        .collect();
    let mut sets: Vec<&Arc<ReplicaSet>> = Vec::new();
    match action {
        Action::Preserve { stable, candidate } => {
            sets.extend(of_revision(canary, seen, stable));
            sets.extend(leftovers(canary, seen, stable, candidate));
            keys.push(kept_key(canary, stable));
        }
        Action::Revert { revision } => {
            sets.extend(of_revision(canary, seen, revision));
            keys.push(kept_key(canary, revision));
        }
        _ => {}
    }
    let named =
        |set: &Arc<ReplicaSet>| ObjectKey::new(Kind::ReplicaSet, &canary.home(), &set.meta.name);
    keys.extend(sets.into_iter().map(named));
    keys.sort();
    keys.dedup();
    keys
}

fn kept_key(canary: &Canary, revision: &str) -> ObjectKey {
    let name = kept_name(canary, revision);
    ObjectKey::new(Kind::ControllerRevision, &canary.home(), &name)
}

fn sets<'a>(canary: &Canary, seen: &'a Seen) -> Vec<&'a Arc<ReplicaSet>> {
    let target = seen.deployments.get(canary.target_name());
    let uid = target.map(|target| target.meta.uid.as_str());
    uid.map(|uid| seen.replica_sets_of(uid).collect())
        .unwrap_or_default()
}

/// The target's ReplicaSet that runs this revision; of several the one with the most Pods.
fn of_revision<'a>(canary: &Canary, seen: &'a Seen, revision: &str) -> Option<&'a Arc<ReplicaSet>> {
    let sets = sets(canary, seen).into_iter();
    sets.filter(|set| set.template.revision == revision)
        .max_by_key(|set| (set.ready, set.replicas, set.meta.created))
}

/// ReplicaSets without Pods that the Deployment controller could scale up from zero instead of stable's: those equal to the
/// candidate, and those that are not older than stable's.
pub(crate) fn leftovers<'a>(
    canary: &Canary,
    seen: &'a Seen,
    stable: &str,
    candidate: &str,
) -> Vec<&'a Arc<ReplicaSet>> {
    let since = of_revision(canary, seen, stable).map(|set| set.meta.created);
    let newer = |set: &ReplicaSet| since.is_some_and(|since| set.meta.created >= since);
    let mut sets = sets(canary, seen);
    sets.retain(|set| {
        let empty = set.replicas == 0 && set.total == 0 && !set.meta.deleting;
        let own = set.template.revision == stable;
        empty && !own && (set.template.revision == candidate || newer(set))
    });
    sets
}

/// Something has to go before nothing but stable can come back from zero.
pub(crate) fn has_leftovers(
    canary: &Canary,
    seen: &Seen,
    target: &Deployment,
    stable: &str,
) -> bool {
    !leftovers(canary, seen, stable, &target.template.revision).is_empty()
}

/// Keeps stable's template, notes that on the target, and deletes what could come back instead.
pub(crate) fn preserve(
    site: Site<'_>,
    stable: &str,
    candidate: &str,
) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    if !target.is_held() {
        return Err(changed(&target, "is not held any more"));
    }
    let template = kept_template(site, stable)
        .ok_or_else(|| WorkloadError::Refused(lost(site.canary, stable)))?;
    let mut changes = Vec::new();
    if kept(site, &kept_name(site.canary, stable)).is_none() {
        let kept = kept_object(site.canary, stable, &template);
        changes.extend(site.apply(kept, Kind::ControllerRevision)?);
    }
    changes.extend(target.patch(target.set_annotation(KEPT, stable)));
    for set in leftovers(site.canary, site.seen, stable, candidate) {
        changes.extend(delete_empty(site, &set.meta.name));
    }
    let standing = kept_name(site.canary, stable);
    for name in kept_names(site.canary, site.seen) {
        if name != standing {
            changes.extend(forget(site, &name));
        }
    }
    Ok(changes)
}

/// What keeps a template. Its name says which revision, so one that another Canary left serves as well.
fn kept<'a>(site: Site<'a>, name: &str) -> Option<&'a DynamicObject> {
    let kept = site.live(Kind::ControllerRevision, name)?;
    label(kept, mark::CANARY_UID).map(|_| kept)
}

fn forget(site: Site<'_>, name: &str) -> Option<Change> {
    kept(site, name).map(|object| delete(site.key(Kind::ControllerRevision, name), object))
}

/// Deletes what was kept, when the gate goes.
pub(crate) fn forget_all(site: Site<'_>) -> impl Iterator<Item = Change> {
    let names = kept_names(site.canary, site.seen).into_iter();
    names.filter_map(move |name| forget(site, &name))
}

/// Deletes a ReplicaSet that has no Pods, by the live object.
fn delete_empty(site: Site<'_>, name: &str) -> Option<Change> {
    let set = site.live(Kind::ReplicaSet, name)?;
    let wanted = set.data["spec"]["replicas"].as_i64().unwrap_or(1);
    let exist = set.data["status"]["replicas"].as_i64().unwrap_or(0);
    let going = set.metadata.deletion_timestamp.is_some();
    (wanted == 0 && exist == 0 && !going).then(|| delete(site.key(Kind::ReplicaSet, name), set))
}

fn kept_object(canary: &Canary, revision: &str, template: &Value) -> DynamicObject {
    let body = json!({"data": {"spec": {"template": template}}, "revision": 1});
    let name = kept_name(canary, revision);
    let mut kept = object(canary, Kind::ControllerRevision, &name, body);
    kept.metadata.labels = Some(Labels::from([(
        mark::CANARY_UID.to_owned(),
        canary.identity(),
    )]));
    kept
}

/// The template of this revision: kept, still live on the target, or in a ReplicaSet.
fn kept_template(site: Site<'_>, revision: &str) -> Option<Value> {
    let name = kept_name(site.canary, revision);
    let kept = kept(site, &name).map(|kept| &kept.data["data"]["spec"]["template"]);
    let set = of_revision(site.canary, site.seen, revision);
    let set = set.and_then(|set| site.live(Kind::ReplicaSet, &set.meta.name));
    let set = set.map(|set| &set.data["spec"]["template"]);
    let live = site.target().ok().map(|target| target.template());
    let found = [kept, set, live].into_iter().flatten();
    let mut found = found.filter(|template| digest::revision(template) == revision);
    found.next().map(without_hash)
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    let labels = template.pointer_mut("/metadata/labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.remove(digest::TEMPLATE_HASH);
    }
    template
}

fn lost(canary: &Canary, revision: &str) -> Problem {
    let message = format!(
        "the template of revision {revision} of Deployment {}/{} is in no ReplicaSet and in no ControllerRevision: put it back from where it was deployed",
        canary.home(),
        canary.target_name()
    );
    refusal("StableLost", message)
}

/// Puts a former template back, marked as reverting. A hold stays, to be released by the next write.
pub(crate) fn revert(site: Site<'_>, revision: &str) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    if target.is_paused() && !target.is_held() {
        return Err(changed(&target, "is paused by a person"));
    }
    if target.revision() == revision {
        return Ok(Vec::new());
    }
    let template = kept_template(site, revision)
        .ok_or_else(|| WorkloadError::Refused(lost(site.canary, revision)))?;
    let mut operations = target.set_label(mark::REVERTING, "true");
    operations.push(json!({"op": "replace", "path": "/spec/template", "value": template}));
    Ok(target.patch(operations))
}
