//! Rollouts: step by step within surge and unavailability, or all at once after the old Pods are gone.

use crate::sim::deployments::sets::{Set, Sets, size_of_new};
use crate::sim::deployments::{Turn, size};
use crate::sim::field::{count, text};
use crate::sim::owner::controls;
use crate::sim::refusal::Refusal;

impl Turn<'_> {
    /// One step of a rolling update: the new ReplicaSet grows, or old ones shrink.
    pub(super) fn roll(&mut self, owned: &[Set]) -> Result<(), Refusal> {
        let (sets, new) = self.sets_with_new(owned)?;
        let moved = self.grow(&sets, &new)? || self.shrink_old(&sets, &new)?;
        if !moved && self.is_complete() {
            self.forget_old(&sets)?;
        }
        self.write_progress(&sets)
    }

    fn grow(&self, sets: &Sets, new: &Set) -> Result<bool, Refusal> {
        let wanted = size::replicas(&self.deployment);
        if new.replicas() >= wanted {
            return self.scale_set(new, wanted);
        }
        let replicas = size_of_new(&self.deployment, new.replicas(), sets.replicas());
        self.scale_set(new, replicas)
    }

    /// Takes Pods from old ReplicaSets: first those that are not available, then as many as there are available ones too many.
    fn shrink_old(&self, sets: &Sets, new: &Set) -> Result<bool, Refusal> {
        let least = size::replicas(&self.deployment) - size::max_unavailable(&self.deployment);
        let missing = new.replicas() - new.available();
        let most = sets.replicas() - least - missing;
        if most <= 0 || sets.replicas() == new.replicas() {
            return Ok(false);
        }
        let mut sizes: Vec<_> = sets.old.iter().map(|set| (set, set.replicas())).collect();
        take(&mut sizes, most, |set, has| has - set.available());
        take(&mut sizes, sets.available() - least, |_, has| has);
        let mut moved = false;
        for (set, replicas) in sizes {
            moved |= self.scale_set(set, replicas)?;
        }
        Ok(moved)
    }

    /// `Recreate`: old Pods go, and when the last is gone the new ones come.
    pub(super) fn recreate(&mut self, owned: &[Set]) -> Result<(), Refusal> {
        let sets = self.sets(owned)?;
        let mut moved = false;
        for set in &sets.old {
            moved |= self.scale_set(set, 0)?;
        }
        if moved || self.runs_old_pods(&sets) {
            return self.write_progress(&sets);
        }
        let (sets, new) = self.sets_with_new(owned)?;
        self.scale_set(&new, size::replicas(&self.deployment))?;
        if self.is_complete() {
            self.forget_old(&sets)?;
        }
        self.write_progress(&sets)
    }

    fn runs_old_pods(&self, sets: &Sets) -> bool {
        let counted: i64 = sets
            .old
            .iter()
            .map(|set| count(&set.object, "/status/replicas"))
            .sum();
        let namespace = Some(self.key.namespace.as_str());
        let mut pods = self.api.list("", "pods", namespace).into_iter();
        counted > 0
            || pods.any(|(_, pod)| {
                let ended = ["Succeeded", "Failed"].contains(&text(&pod, "/status/phase"));
                !ended && sets.old.iter().any(|set| controls(&set.object, &pod))
            })
    }
}

/// Takes at most so many Pods, from the oldest ReplicaSet on, as many from each as `part` allows of the set and its size.
fn take(sizes: &mut [(&Set, i64)], most: i64, part: impl Fn(&Set, i64) -> i64) {
    let mut left = most;
    for (set, replicas) in sizes {
        let taken = part(set, *replicas).min(left).clamp(0, *replicas);
        *replicas -= taken;
        left -= taken;
    }
}
