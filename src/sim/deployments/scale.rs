//! Scaling: of one ReplicaSet, and of all in proportion when somebody scales the Deployment in mid roll or while it is paused.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::json;

use crate::sim::api::Part;
use crate::sim::deployments::sets::{MOST, Set, Sets, annotate_size};
use crate::sim::deployments::{Turn, size};
use crate::sim::field::{annotation, count};
use crate::sim::refusal::Refusal;
use crate::sim::report::Said;

impl Turn<'_> {
    /// Scales one ReplicaSet; says whether its size changed.
    pub(super) fn scale_set(&self, set: &Set, replicas: i64) -> Result<bool, Refusal> {
        if set.replicas() == replicas {
            return Ok(false);
        }
        self.write_size(set, replicas)?;
        let (name, before) = (&set.key.name, set.replicas());
        let way = if before < replicas { "up" } else { "down" };
        let message = format!("Scaled {way} replica set {name} from {before} to {replicas}");
        self.report(Said::normal("ScalingReplicaSet", &message));
        Ok(true)
    }

    fn write_size(&self, set: &Set, replicas: i64) -> Result<(), Refusal> {
        let written = self.api.update(self.who, &set.key, Part::Main, |object| {
            object["spec"]["replicas"] = json!(replicas);
            annotate_size(object, &self.deployment);
        });
        written.map(|_| ())
    }

    /// Gives the replicas of the Deployment to its ReplicaSets: all to the only active one, to the newest if none is active,
    /// else in proportion.
    pub(super) fn scale(&self, sets: &Sets) -> Result<(), Refusal> {
        let wanted = size::replicas(&self.deployment);
        let active: Vec<_> = sets.active().collect();
        match active.as_slice() {
            [] => match sets.new.as_ref().or(sets.old.last()) {
                Some(newest) => self.scale_set(newest, wanted).map(|_| ()),
                None => Ok(()),
            },
            [only] => self.scale_set(only, wanted).map(|_| ()),
            _ if self.is_saturated(sets.new.as_ref()) => {
                for old in sets.old.iter().filter(|set| set.replicas() > 0) {
                    self.scale_set(old, 0)?;
                }
                Ok(())
            }
            several if size::is_rolling(&self.deployment) => self.scale_in_proportion(several),
            _ => Ok(()),
        }
    }

    /// Whether the newest ReplicaSet has all replicas, and all of them are available.
    fn is_saturated(&self, new: Option<&Set>) -> bool {
        let wanted = size::replicas(&self.deployment);
        new.is_some_and(|new| {
            [Some(new.replicas()), new.desired(), Some(new.available())] == [Some(wanted); 3]
        })
    }

    fn scale_in_proportion(&self, active: &[&Set]) -> Result<(), Refusal> {
        let sizes = self.proportions(active);
        for set in active {
            let replicas = sizes.get(&set.key).copied().unwrap_or(set.replicas());
            if !self.scale_set(set, replicas)? {
                self.write_size(set, replicas)?;
            }
        }
        Ok(())
    }

    /// The sizes that keep the proportions: rounded from the largest ReplicaSet to the smallest, the rest to the largest.
    fn proportions(&self, active: &[&Set]) -> BTreeMap<crate::sim::store::Key, i64> {
        let wanted = size::replicas(&self.deployment);
        let allowed = match wanted {
            0 => 0,
            wanted => wanted + size::max_surge(&self.deployment),
        };
        let present: i64 = active.iter().map(|set| set.replicas()).sum();
        let to_add = allowed - present;
        let mut ordered = active.to_vec();
        ordered.sort_by(|one, other| larger_first(one, other, to_add > 0));
        let mut added = 0;
        let mut sizes = BTreeMap::new();
        for set in &ordered {
            let part = self.proportion(set, to_add, added);
            added += part;
            sizes.insert(set.key.clone(), set.replicas() + part);
        }
        if let Some(largest) = ordered.first().and_then(|set| sizes.get_mut(&set.key)) {
            *largest = (*largest + to_add - added).max(0);
        }
        sizes
    }

    fn proportion(&self, set: &Set, to_add: i64, added: i64) -> i64 {
        let left = to_add - added;
        match left.cmp(&0) {
            _ if to_add == 0 => 0,
            Ordering::Equal => 0,
            _ if to_add > 0 => self.fraction(set).min(left),
            _ => self.fraction(set).max(left),
        }
    }

    /// How much a ReplicaSet grows, or shrinks, when it keeps its share.
    fn fraction(&self, set: &Set) -> i64 {
        let wanted = size::replicas(&self.deployment);
        if wanted == 0 {
            return -set.replicas();
        }
        let most = wanted + size::max_surge(&self.deployment);
        let noted = annotation(&set.object, MOST).and_then(|most| most.parse().ok());
        let before = match noted {
            None | Some(0) => count(&self.deployment, "/status/replicas"),
            Some(before) => before,
        };
        if before == 0 {
            return 0;
        }
        let share = (set.replicas() * most) as f64 / before as f64;
        share.round() as i64 - set.replicas()
    }
}

/// The larger first; of the same size the newer when Pods are added, else the older.
fn larger_first(one: &Set, other: &Set, newer: bool) -> Ordering {
    let age = one.by_age(other);
    other
        .replicas()
        .cmp(&one.replicas())
        .then(if newer { age.reverse() } else { age })
}
