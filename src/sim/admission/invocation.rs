//! Policies that concern a request, and what their expressions see of it.

use std::sync::Arc;

use serde_json::Value;

use crate::sim::admission::GROUP;
use crate::sim::admission::authorize::Rights;
use crate::sim::admission::matching::{Subject, matches};
use crate::sim::admission::policy::Policy;
use crate::sim::cel::scope::Scope;
use crate::sim::cel::value::Val;
use crate::sim::store::Store;

/// A policy that concerns a request, by one of its bindings.
pub(super) struct Invocation {
    pub(super) name: String,
    pub(super) policy: Arc<Policy>,
    pub(super) binding: Arc<Value>,
}

impl Invocation {
    pub(super) fn binding_name(&self) -> &str {
        name(&self.binding)
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The bindings of a policy, in the order of their names.
pub(super) fn bindings(store: &Store, plural: &str, policy: &str) -> Vec<Arc<Value>> {
    let all = store.list(GROUP, plural, None);
    all.filter(|(_, binding)| binding["spec"]["policyName"] == policy)
        .map(|(_, binding)| binding.clone())
        .collect()
}

/// Those of the policies that concern a request.
pub(super) fn invocations(
    policies: Vec<(Arc<Value>, Arc<Policy>)>,
    bindings: impl Fn(&str) -> Vec<Arc<Value>>,
    subject: &Subject<'_>,
) -> Vec<Invocation> {
    let mut found = Vec::new();
    for (object, policy) in policies {
        if !matches(&object["spec"]["matchConstraints"], subject) {
            continue;
        }
        let name = name(&object);
        let bound = bindings(name)
            .into_iter()
            .filter(|binding| matches(&binding["spec"]["matchResources"], subject));
        found.extend(bound.map(|binding| Invocation {
            name: name.to_owned(),
            policy: policy.clone(),
            binding,
        }));
    }
    found
}

/// What the expressions of a policy see.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) object: Option<&'a Value>,
    pub(super) old: Option<&'a Value>,
    pub(super) request: &'a Value,
    pub(super) namespace: Option<&'a Value>,
    pub(super) rights: &'a Rights<'a>,
}

impl<'a> Sight<'a> {
    fn plain(&self) -> Scope<'a> {
        let value = |json: Option<&'a Value>| json.map_or(Val::Null, Val::of);
        Scope::default()
            .with("object", value(self.object))
            .with("oldObject", value(self.old))
            .with("request", Val::of(self.request))
    }

    /// For match conditions.
    pub(super) fn of_conditions(&self) -> Scope<'a> {
        self.plain().with_authorizer(self.rights)
    }

    /// For what makes a message: everything but the authorizer.
    pub(super) fn of_messages(&self, policy: &'a Policy) -> Scope<'a> {
        let namespace = self.namespace.map_or(Val::Null, Val::of);
        self.plain()
            .with("namespaceObject", namespace)
            .with_variables(
                policy
                    .variables
                    .iter()
                    .map(|(name, expression)| (name.as_str(), expression)),
            )
    }

    /// For validations and mutations.
    pub(super) fn of_rules(&self, policy: &'a Policy) -> Scope<'a> {
        self.of_messages(policy).with_authorizer(self.rights)
    }

    /// Whether the match conditions of a policy hold. A failure counts only if none of them is false.
    pub(super) fn meets(&self, policy: &Policy) -> Result<bool, String> {
        let mut faults = Vec::new();
        for condition in &policy.conditions {
            let scope = self.of_conditions();
            match condition.evaluate(&scope) {
                Ok(value) if value.is_true() => {}
                Ok(_) => return Ok(false),
                Err(fault) => faults.push(failed(condition.text(), fault.text())),
            }
        }
        match faults.as_slice() {
            [] => Ok(true),
            _ if policy.fails_open => Ok(false),
            [one] => Err(one.clone()),
            all => Err(format!("[{}]", all.join(", "))),
        }
    }
}

/// What is said of an expression without a value.
pub(super) fn failed(expression: &str, fault: &str) -> String {
    format!("expression '{expression}' resulted in error: {fault}")
}
