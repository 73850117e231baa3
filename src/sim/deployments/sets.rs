//! The ReplicaSets of a Deployment: which one has its template, how a new one is made, and which old ones go.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::api::Part;
use crate::sim::deployments::condition::{Condition, find};
use crate::sim::deployments::{Turn, size};
use crate::sim::field::{annotation, count, is_going, number, pairs, text};
use crate::sim::owner::{controls, reference};
use crate::sim::refusal::Refusal;
use crate::sim::report::Said;
use crate::sim::seed::{digest, letters};
use crate::sim::store::Key;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ROLLBACK: &str = "deprecated.deployment.rollback.to";
const HASH: &str = "pod-template-hash";

/// Annotations of a Deployment that its ReplicaSets do not get.
const OWN: [&str; 6] = [REVISION, HISTORY, DESIRED, MOST, LAST_APPLIED, ROLLBACK];

/// A ReplicaSet, as it was read.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) key: Key,
    pub(super) object: Arc<Value>,
}

impl Set {
    pub(super) fn replicas(&self) -> i64 {
        size::replicas(&self.object)
    }

    pub(super) fn available(&self) -> i64 {
        count(&self.object, "/status/availableReplicas")
    }

    /// The replicas of the Deployment when this one was last scaled.
    pub(super) fn desired(&self) -> Option<i64> {
        annotation(&self.object, DESIRED)?.parse().ok()
    }

    pub(super) fn revision(&self) -> i64 {
        let revision = annotation(&self.object, REVISION);
        revision.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Oldest first.
    pub(super) fn by_age(&self, other: &Self) -> Ordering {
        let created = |set: &Self| text(&set.object, "/metadata/creationTimestamp").to_owned();
        created(self)
            .cmp(&created(other))
            .then_with(|| self.key.cmp(&other.key))
    }

    fn template(&self) -> Value {
        let mut template = normal(&self.object["spec"]["template"]);
        if let Some(labels) = template.pointer_mut("/metadata/labels") {
            labels
                .as_object_mut()
                .and_then(|labels| labels.remove(HASH));
        }
        normal(&template)
    }
}

/// The ReplicaSets of a Deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    /// The one that has its template, if there is one.
    pub(super) new: Option<Set>,
    /// All others, oldest first.
    pub(super) old: Vec<Set>,
}

impl Sets {
    pub(super) fn all(&self) -> impl Iterator<Item = &Set> {
        self.old.iter().chain(self.new.as_ref())
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Set> {
        self.all().filter(|set| set.replicas() > 0)
    }

    /// Replicas that all of them are to have.
    pub(super) fn replicas(&self) -> i64 {
        self.all().map(Set::replicas).sum()
    }

    /// A count of the status, of all of them.
    pub(super) fn sum(&self, name: &str) -> i64 {
        let pointer = format!("/status/{name}");
        self.all().map(|set| count(&set.object, &pointer)).sum()
    }

    pub(super) fn available(&self) -> i64 {
        self.sum("availableReplicas")
    }
}

impl Turn<'_> {
    /// The ReplicaSets, after the newest was given the annotations that it has to have; none is made.
    pub(super) fn sets(&mut self, owned: &[Set]) -> Result<Sets, Refusal> {
        let mut sets = self.divide(owned);
        if let Some(new) = sets.new.take() {
            let revision = next_revision(&sets.old);
            sets.new = Some(self.renew(new, revision)?);
        }
        Ok(sets)
    }

    /// The same; one is made if none has the template.
    pub(super) fn sets_with_new(&mut self, owned: &[Set]) -> Result<(Sets, Set), Refusal> {
        let mut sets = self.sets(owned)?;
        let new = match sets.new.clone() {
            Some(new) => new,
            None => self.make(&sets.old)?,
        };
        sets.new = Some(new.clone());
        Ok((sets, new))
    }

    fn divide(&self, owned: &[Set]) -> Sets {
        let template = normal(&self.deployment["spec"]["template"]);
        let new = owned.iter().position(|set| set.template() == template);
        let mut old = owned.to_vec();
        Sets {
            new: new.map(|at| old.remove(at)),
            old,
        }
    }

    /// Brings annotations and `minReadySeconds` of the newest ReplicaSet up to date, and the revision of the Deployment.
    fn renew(&mut self, new: Set, revision: i64) -> Result<Set, Refusal> {
        let ready_after = self.deployment["spec"].get("minReadySeconds").cloned();
        let mut object = Value::clone(&new.object);
        annotate(&mut object, &self.deployment, revision);
        if count(&object, "/spec/minReadySeconds")
            != count(&self.deployment, "/spec/minReadySeconds")
        {
            object["spec"]["minReadySeconds"] = ready_after.unwrap_or_default();
        }
        if object != *new.object {
            let written = self.api.update(self.who, &new.key, Part::Main, |set| {
                set["metadata"]["annotations"] = object["metadata"]["annotations"].take();
                set["spec"]["minReadySeconds"] = object["spec"]["minReadySeconds"].take();
            })?;
            return Ok(Set {
                object: written,
                ..new
            });
        }
        let before = self.deployment.clone();
        self.deployment["metadata"]["annotations"][REVISION] = json!(new.revision().to_string());
        if size::progress_deadline(&self.deployment).is_some() && self.has_no_progress() {
            let message = format!("Found new replica set {:?}", new.key.name);
            let found = Condition::new("Progressing", "True", "FoundNewReplicaSet", &message);
            found.put(&mut self.deployment["status"], self.api.now());
        }
        if self.deployment != before {
            self.write_status()?;
        }
        Ok(new)
    }

    fn has_no_progress(&self) -> bool {
        find(&self.deployment["status"], "Progressing").is_none()
    }

    /// Makes the ReplicaSet of the template.
    fn make(&mut self, old: &[Set]) -> Result<Set, Refusal> {
        let revision = next_revision(old);
        let (key, object) = self.draft(old, revision);
        let replicas = size::replicas(&object);
        let made = match self.api.create(self.who, &key, object) {
            Ok(object) => Set { key, object },
            Err(refusal) if refusal.reason == "AlreadyExists" => {
                return self.collide(&key, refusal);
            }
            Err(refusal) => return self.fail_to_make(&key, refusal),
        };
        let name = &made.key.name;
        if replicas > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {replicas}");
            self.report(Said::normal("ScalingReplicaSet", &message));
        }
        self.deployment["metadata"]["annotations"][REVISION] = json!(revision.to_string());
        if size::progress_deadline(&self.deployment).is_some() {
            let message = format!("Created new replica set {name:?}");
            let made = Condition::new("Progressing", "True", "NewReplicaSetCreated", &message);
            made.put(&mut self.deployment["status"], self.api.now());
        }
        self.write_status()?;
        Ok(made)
    }

    fn draft(&self, old: &[Set], revision: i64) -> (Key, Value) {
        let deployment = &self.deployment;
        let spec = &deployment["spec"];
        let collisions = count(deployment, "/status/collisionCount");
        let hash = letters(
            digest(&format!("{} {collisions}", normal(&spec["template"]))),
            10,
        );
        let name = format!("{}-{hash}", self.name());
        let key = Key::new("apps", "replicasets", &self.key.namespace, &name);
        let mut template = spec["template"].clone();
        template["metadata"]["labels"][HASH] = json!(hash);
        let mut selector = spec["selector"].clone();
        selector["matchLabels"][HASH] = json!(hash);
        let present = old.iter().map(Set::replicas).sum();
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "labels": template["metadata"]["labels"],
                "ownerReferences": [reference("apps/v1", "Deployment", deployment)],
            },
            "spec": {"replicas": size_of_new(deployment, 0, present), "selector": selector, "template": template},
        });
        if number(deployment, "/spec/minReadySeconds").is_some() {
            object["spec"]["minReadySeconds"] = spec["minReadySeconds"].clone();
        }
        annotate(&mut object, deployment, revision);
        annotate_size(&mut object, deployment);
        (key, object)
    }

    /// The name is taken: by this template's ReplicaSet, or by another one with the same hash, and then the next look
    /// tries another name.
    fn collide(&mut self, key: &Key, refusal: Refusal) -> Result<Set, Refusal> {
        let object = self.api.get(key).ok_or_else(|| refusal.clone())?;
        let found = Set {
            key: key.clone(),
            object,
        };
        let template = normal(&self.deployment["spec"]["template"]);
        if controls(&self.deployment, &found.object) && found.template() == template {
            return Ok(found);
        }
        let collisions = count(&self.deployment, "/status/collisionCount");
        self.deployment["status"]["collisionCount"] = json!(collisions + 1);
        self.write_status()?;
        Err(refusal)
    }

    fn fail_to_make(&mut self, key: &Key, refusal: Refusal) -> Result<Set, Refusal> {
        let name = &key.name;
        let message = format!(
            "Failed to create new replica set {name:?}: {}",
            refusal.message
        );
        self.report(Said::warning("ReplicaSetCreateError", &message));
        if size::progress_deadline(&self.deployment).is_some() {
            let failed = Condition::new("Progressing", "False", "ReplicaSetCreateError", &message);
            failed.put(&mut self.deployment["status"], self.api.now());
            self.write_status()?;
        }
        Err(refusal)
    }

    /// Deletes the oldest revisions over the limit, but none that still has Pods.
    pub(super) fn forget_old(&self, sets: &Sets) -> Result<(), Refusal> {
        let Some(limit) = size::history_limit(&self.deployment) else {
            return Ok(());
        };
        let mut old: Vec<_> = sets
            .old
            .iter()
            .filter(|set| !is_going(&set.object))
            .collect();
        let over = usize::try_from(old.len() as i64 - limit).unwrap_or(0);
        old.sort_by(|one, other| {
            let revisions = one.revision().cmp(&other.revision());
            revisions.then_with(|| one.by_age(other))
        });
        for set in old.into_iter().take(over) {
            let observed = count(&set.object, "/status/observedGeneration");
            let is_observed = count(&set.object, "/metadata/generation") <= observed;
            if set.replicas() == 0 && count(&set.object, "/status/replicas") == 0 && is_observed {
                self.api.delete(self.who, &set.key)?;
            }
        }
        Ok(())
    }
}

/// How many replicas the newest ReplicaSet of a Deployment may have now, if it has so many, and all together have so many.
pub(super) fn size_of_new(deployment: &Value, has: i64, all: i64) -> i64 {
    let wanted = size::replicas(deployment);
    if !size::is_rolling(deployment) {
        return wanted;
    }
    let room = wanted + size::max_surge(deployment) - all;
    has + room.min(wanted - has).max(0)
}

fn next_revision(old: &[Set]) -> i64 {
    old.iter().map(Set::revision).max().unwrap_or(0) + 1
}

/// Copies the annotations of the Deployment, and gives a revision that is not lower than before; earlier ones are listed.
fn annotate(set: &mut Value, deployment: &Value, revision: i64) {
    for (name, value) in pairs(deployment, "/metadata/annotations") {
        if !OWN.contains(&name.as_str()) {
            set["metadata"]["annotations"][name] = value.clone();
        }
    }
    let known = annotation(set, REVISION).map(str::to_owned);
    let number = known.as_deref().map_or(Some(0), |known| known.parse().ok());
    if number.is_none_or(|number: i64| number >= revision) {
        return;
    }
    if let Some(known) = known {
        let history = match annotation(set, HISTORY) {
            None | Some("") => known,
            Some(earlier) => format!("{earlier},{known}"),
        };
        set["metadata"]["annotations"][HISTORY] = json!(history);
    }
    set["metadata"]["annotations"][REVISION] = json!(revision.to_string());
}

/// Notes for which size of the Deployment a ReplicaSet was scaled.
pub(super) fn annotate_size(set: &mut Value, deployment: &Value) {
    let wanted = size::replicas(deployment);
    let most = wanted + size::max_surge(deployment);
    set["metadata"]["annotations"][DESIRED] = json!(wanted.to_string());
    set["metadata"]["annotations"][MOST] = json!(most.to_string());
}

/// A template without what means nothing: fields that are null, and labels, annotations and lists that are empty.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name, normal(value)))
            .filter(|(name, value)| !means_nothing(name, value))
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Array(items) => items.iter().map(normal).collect(),
        other => other.clone(),
    }
}

fn means_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => {
            fields.is_empty()
                && ["labels", "annotations", "nodeSelector", "resources"].contains(&name)
        }
        _ => false,
    }
}
