//! Admission: the stored policies, and whoever else changes objects on their way in, in the order of a real API server.
//!
//! A policy is read once for each version of it that is stored. Where a real API server asks for the equivalent of a
//! resource in another version, this does not: every kind is served in one.

mod authorize;
mod invocation;
mod matching;
mod mutating;
mod patch;
mod policy;
pub mod review;
mod selector;
mod validating;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::sim::admission::invocation::{Invocation, invocations};
use crate::sim::admission::policy::Policy;
use crate::sim::admission::review::Review;
use crate::sim::refusal::{Cause, Refusal};
use crate::sim::store::{Key, Store};

/// API group of the policies.
const GROUP: &str = "admissionregistration.k8s.io";

/// Somebody who changes objects on their way in, after the policies, as a mutating webhook does.
pub trait Mutator: Send + Sync {
    /// Its name; two have different ones.
    fn name(&self) -> &str;

    /// Whether it is called a second time if others changed the object after it.
    fn is_reinvoked(&self) -> bool {
        false
    }

    /// Changes the object, or leaves it as it is.
    fn mutate(&self, review: &Review<'_>, object: &mut Value);
}

/// The policies as they were read last.
#[derive(Debug, Default)]
pub struct Admission {
    policies: BTreeMap<Key, (Arc<Value>, Arc<Policy>)>,
}

impl Admission {
    /// Changes an object on its way in, as the mutating policies and then the mutators say; whom later changes concern is
    /// asked a second time. Nothing comes back when the object concerns none of them.
    ///
    /// # Errors
    /// When a policy fails that is to fail closed.
    pub fn mutate(
        &mut self,
        store: &Store,
        review: &Review<'_>,
        mutators: &[Box<dyn Mutator>],
    ) -> Result<Option<Value>, Refusal> {
        if matching::is_exempt(review) {
            return Ok(None);
        }
        mutating::mutate(store, self, review, mutators)
    }

    /// Judges an object, with the changes made; returns the warnings.
    ///
    /// # Errors
    /// When a policy denies it.
    pub fn validate(&mut self, store: &Store, review: &Review<'_>) -> Result<Vec<String>, Refusal> {
        if matching::is_exempt(review) {
            return Ok(Vec::new());
        }
        let invocations = self.invocations(store, "validatingadmissionpolicies", review);
        validating::validate(store, &invocations, review)
    }

    /// The policies of a kind that concern a request, each with its bindings, in the order of their names.
    fn invocations(&mut self, store: &Store, plural: &str, review: &Review<'_>) -> Vec<Invocation> {
        let policies: Vec<_> = store
            .list(GROUP, plural, None)
            .filter(|(_, object)| matching::names(&object["spec"]["matchConstraints"], review))
            .map(|(key, object)| (object.clone(), self.policy(key, object)))
            .collect();
        if policies.is_empty() {
            return Vec::new();
        }
        let bindings = plural.replace("policies", "policybindings");
        let namespace = review::namespace(store, review);
        let of = |name: &str| invocation::bindings(store, &bindings, name);
        invocations(
            policies,
            of,
            &matching::Subject {
                review,
                namespace: namespace.as_deref(),
            },
        )
    }

    fn policy(&mut self, key: &Key, object: &Arc<Value>) -> Arc<Policy> {
        if let Some((source, policy)) = self.policies.get(key)
            && Arc::ptr_eq(source, object)
        {
            return policy.clone();
        }
        let policy = Arc::new(Policy::read(object));
        self.policies
            .insert(key.clone(), (object.clone(), policy.clone()));
        policy
    }
}

/// What is wrong with the expressions of a policy that is about to be stored.
#[must_use]
pub fn wrong(policy: &Value) -> Vec<Cause> {
    Policy::read(policy).wrong
}

#[cfg(test)]
mod tests;
