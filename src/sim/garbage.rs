//! Collects what has no owner any more: in the background, before its owner goes (foreground), or not at all (orphan).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{is_going, is_true, list, text, uid};
use crate::sim::kinds::built_in;
use crate::sim::store::{Event, Happened, Key};

/// Finalizer of an owner that goes after what it owns.
pub const FOREGROUND: &str = "foregroundDeletion";

/// Finalizer of an owner that leaves what it owns behind.
pub const ORPHAN: &str = "orphan";

/// The garbage collector. Whoever deletes with a propagation policy sets `foregroundDeletion` or `orphan` as a finalizer.
#[derive(Debug)]
pub struct Garbage {
    who: Who,
    begun: bool,
    /// By `uid` of the owner.
    owned: BTreeMap<String, BTreeSet<Key>>,
    /// Owners that are gone.
    gone: BTreeSet<String>,
    /// Owners that wait for what they own, or for it to be let go.
    waiting: BTreeSet<Key>,
}

impl Default for Garbage {
    fn default() -> Self {
        Self {
            who: account::controller("generic-garbage-collector"),
            begun: false,
            owned: BTreeMap::new(),
            gone: BTreeSet::new(),
            waiting: BTreeSet::new(),
        }
    }
}

impl Actor for Garbage {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        if !self.begun {
            self.begun = true;
            self.begin(api);
        }
        let mut orphans = BTreeSet::new();
        for event in changed {
            if event.happened == Happened::Deleted {
                orphans.extend(self.forget(&event.key, &event.object));
            } else {
                orphans.extend(self.know(&event.key, &event.object));
            }
        }
        for key in orphans {
            self.collect(api, &key);
        }
        for key in std::mem::take(&mut self.waiting) {
            if self.finish(api, &key) {
                self.waiting.insert(key);
            }
        }
        None
    }
}

impl Garbage {
    fn begin(&mut self, api: &Api) {
        for kind in built_in() {
            for (key, object) in api.list(&kind.group, &kind.plural, None) {
                self.know(&key, &object);
            }
        }
    }

    /// Notes who owns an object; gives its key if an owner is gone.
    fn know(&mut self, key: &Key, object: &Value) -> Option<Key> {
        let mut is_orphan = false;
        for owner in owners(object) {
            is_orphan |= self.gone.contains(owner);
            self.owned
                .entry(owner.to_owned())
                .or_default()
                .insert(key.clone());
        }
        if is_going(object) && (has(object, FOREGROUND) || has(object, ORPHAN)) {
            self.waiting.insert(key.clone());
        }
        is_orphan.then(|| key.clone())
    }

    /// Notes that an object is gone; gives what it owned.
    fn forget(&mut self, key: &Key, object: &Value) -> BTreeSet<Key> {
        for owner in owners(object) {
            if let Some(owned) = self.owned.get_mut(owner) {
                owned.remove(key);
            }
        }
        self.waiting.remove(key);
        self.gone.insert(uid(object).to_owned());
        self.owned.get(uid(object)).cloned().unwrap_or_default()
    }

    /// Deletes an object if none of its owners is left.
    fn collect(&self, api: &Api, key: &Key) {
        let Some(object) = api.get(key) else { return };
        let mut left = owners(&object).filter(|owner| !self.gone.contains(*owner));
        let mut any = owners(&object);
        if any.next().is_some() && left.next().is_none() && !is_going(&object) {
            drop(api.delete(&self.who, key));
        }
    }

    /// Does for an owner what its finalizer stands for; says whether that will take longer.
    fn finish(&self, api: &Api, key: &Key) -> bool {
        let Some(owner) = api.get(key).filter(|owner| is_going(owner)) else {
            return false;
        };
        let owned = self.owned.get(uid(&owner)).cloned().unwrap_or_default();
        if has(&owner, ORPHAN) {
            for key in &owned {
                self.let_go(api, key, uid(&owner));
            }
            self.take_off(api, key, ORPHAN);
            return false;
        }
        if !has(&owner, FOREGROUND) {
            return false;
        }
        let mut blocked = false;
        for key in &owned {
            blocked |= self.end_first(api, key, uid(&owner));
        }
        if !blocked {
            self.take_off(api, key, FOREGROUND);
        }
        blocked
    }

    /// Deletes what is owned, in the foreground too; says whether its owner has to wait for it.
    fn end_first(&self, api: &Api, key: &Key, owner: &str) -> bool {
        let Some(object) = api.get(key) else {
            return false;
        };
        let mut references = list(&object, "/metadata/ownerReferences").iter();
        let reference = references.find(|reference| text(reference, "/uid") == owner);
        if !is_going(&object) {
            let owns = self
                .owned
                .get(uid(&object))
                .is_some_and(|owned| !owned.is_empty());
            if owns {
                self.put_on(api, key, FOREGROUND);
            }
            drop(api.delete(&self.who, key));
        }
        reference.is_some_and(|reference| is_true(reference, "/blockOwnerDeletion"))
            && api.get(key).is_some()
    }

    fn let_go(&self, api: &Api, key: &Key, owner: &str) {
        let written = api.update(&self.who, key, Part::Main, |object| {
            let mut owners = list(object, "/metadata/ownerReferences").to_vec();
            owners.retain(|reference| text(reference, "/uid") != owner);
            object["metadata"]["ownerReferences"] = Value::Array(owners);
        });
        drop(written);
    }

    fn put_on(&self, api: &Api, key: &Key, finalizer: &str) {
        let written = api.update(&self.who, key, Part::Main, |object| {
            let mut finalizers = list(object, "/metadata/finalizers").to_vec();
            finalizers.push(Value::from(finalizer));
            object["metadata"]["finalizers"] = Value::Array(finalizers);
        });
        drop(written);
    }

    fn take_off(&self, api: &Api, key: &Key, finalizer: &str) {
        let written = api.update(&self.who, key, Part::Main, |object| {
            let mut finalizers = list(object, "/metadata/finalizers").to_vec();
            finalizers.retain(|known| known != finalizer);
            object["metadata"]["finalizers"] = Value::Array(finalizers);
        });
        drop(written);
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let references = list(object, "/metadata/ownerReferences").iter();
    references.map(|reference| text(reference, "/uid"))
}

fn has(object: &Value, finalizer: &str) -> bool {
    list(object, "/metadata/finalizers")
        .iter()
        .any(|known| known == finalizer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sim::behaviour::Behaviours;
    use crate::sim::deployments::Deployments;
    use crate::sim::nodes::{Nodes, Size};
    use crate::sim::pods::Pods;
    use crate::sim::replica_sets::ReplicaSets;
    use crate::sim::stage::{Stage, deployment, web};

    fn stage() -> Stage {
        let mut stage = Stage::new(vec![
            Box::new(Nodes::new(Size::default())),
            Box::new(Deployments::default()),
            Box::new(ReplicaSets::default()),
            Box::new(Pods::new(Behaviours::default())),
            Box::new(Garbage::default()),
        ]);
        stage.create(&deployment("web"), web("1.0"));
        stage.pass(20);
        stage
    }

    /// How many Deployments, ReplicaSets and Pods there are.
    fn left(stage: &Stage) -> [usize; 3] {
        [
            ("apps", "deployments"),
            ("apps", "replicasets"),
            ("", "pods"),
        ]
        .map(|(group, plural)| stage.api.list(group, plural, None).len())
    }

    #[test]
    fn what_a_deployment_owns_goes_after_it_before_it_or_not_at_all() {
        for (finalizer, at_once, at_last) in [
            (None, [0, 0, 2], [0, 0, 0]),
            (Some(FOREGROUND), [1, 1, 2], [0, 0, 0]),
            (Some(ORPHAN), [0, 1, 2], [0, 1, 2]),
        ] {
            let mut stage = stage();
            let key = deployment("web");
            if let Some(finalizer) = finalizer {
                stage.change(&key, |it| it["metadata"]["finalizers"] = json!([finalizer]));
            }
            stage.api.delete(&account::admin(), &key).unwrap();
            stage.settle();
            assert_eq!(left(&stage), at_once, "{finalizer:?}");
            stage.pass(30);
            assert_eq!(left(&stage), at_last, "{finalizer:?}");
        }
    }
}
