//! Mutating policies and those who play webhooks, in one pass or two.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::sim::admission::authorize::Rights;
use crate::sim::admission::invocation::{Invocation, Sight, failed};
use crate::sim::admission::policy::{Form, Policy};
use crate::sim::admission::review::{self, Review};
use crate::sim::admission::{Admission, Mutator, patch};
use crate::sim::cel::Expression;
use crate::sim::refusal::{Cause, Refusal};
use crate::sim::store::Store;

const POLICIES: &str = "mutatingadmissionpolicies";

/// Who of one kind was asked, and who is to be asked again.
#[derive(Default)]
struct Asked {
    before: BTreeSet<String>,
    again: BTreeSet<String>,
    /// The object after the last of them.
    last: Option<Value>,
}

impl Asked {
    /// Everybody who was asked so far has to see what changed.
    fn recall(&mut self) {
        self.again.append(&mut self.before);
    }

    /// At the beginning of a second pass: others changed the object meanwhile.
    fn resume(&mut self, object: &Value) {
        if self.last.as_ref() != Some(object) {
            self.recall();
        }
    }
}

/// Where a request stands.
#[derive(Default)]
struct Passage {
    is_second: bool,
    needs_second: bool,
    policies: Asked,
    mutators: Asked,
}

/// Runs one pass and, if anybody changed something or might have, a second; never a third.
pub(super) fn mutate(
    store: &Store,
    admission: &mut Admission,
    review: &Review<'_>,
    mutators: &[Box<dyn Mutator>],
) -> Result<Option<Value>, Refusal> {
    let Some(object) = review.object else {
        return Ok(None);
    };
    if mutators.is_empty() && admission.invocations(store, POLICIES, review).is_empty() {
        return Ok(None);
    }
    let mut object = object.clone();
    let mut passage = Passage::default();
    loop {
        let now = Review {
            object: Some(&object),
            ..*review
        };
        let invocations = admission.invocations(store, POLICIES, &now);
        if !invocations.is_empty() {
            object = ask_policies(store, &invocations, &now, &mut passage)?;
        }
        ask_mutators(mutators, review, &mut object, &mut passage);
        if passage.is_second || !passage.needs_second {
            return Ok(Some(object));
        }
        passage.is_second = true;
    }
}

/// Asks the policies. Which of them concern the request was decided before the first of them changed anything.
fn ask_policies(
    store: &Store,
    invocations: &[Invocation],
    review: &Review<'_>,
    passage: &mut Passage,
) -> Result<Value, Refusal> {
    let mut object = review.object.cloned().unwrap_or_default();
    let (request, rights) = (review.request(), Rights::of(store, review));
    let namespace = review::namespace(store, review);
    if passage.is_second {
        passage.policies.resume(&object);
    }
    let (mut failures, mut has_run) = (Vec::new(), false);
    for invocation in invocations {
        let sight = Sight {
            object: Some(&object),
            old: review.old,
            request: &request,
            namespace: namespace.as_deref(),
            rights: &rights,
        };
        match ask(invocation, &sight, passage) {
            Ok(None) => {}
            Ok(Some(changed)) => {
                has_run = true;
                note(invocation, changed != object, passage);
                object = changed;
            }
            Err(why) if !invocation.policy.fails_open => failures.push(said(invocation, &why)),
            Err(_) => {}
        }
    }
    // A policy that ran counts as one that changed something, as the real API server takes it.
    if has_run {
        passage.policies.recall();
        passage.needs_second = true;
    }
    passage.policies.last = Some(object.clone());
    if failures.is_empty() {
        Ok(object)
    } else {
        Err(refusal(review, failures))
    }
}

fn key(invocation: &Invocation) -> String {
    format!("{}/{}", invocation.name, invocation.binding_name())
}

/// What a policy makes of the object; nothing if it is not asked.
fn ask(
    invocation: &Invocation,
    sight: &Sight<'_>,
    passage: &Passage,
) -> Result<Option<Value>, String> {
    let policy = &*invocation.policy;
    if let Some(wrong) = policy.wrong.first() {
        return Err(wrong.message.clone());
    }
    if !sight.meets(policy)?
        || (passage.is_second && !passage.policies.again.contains(&key(invocation)))
    {
        return Ok(None);
    }
    let mut object = sight.object.cloned().unwrap_or_default();
    for (form, expression) in &policy.mutations {
        let change = change(
            policy,
            expression,
            &Sight {
                object: Some(&object),
                ..*sight
            },
        )?;
        object = match form {
            Form::JsonPatch => patch::json_patch(object, change)?,
            Form::ApplyConfiguration => patch::apply(object, change),
        };
    }
    Ok(Some(object))
}

/// What the expression of a mutation says.
fn change(policy: &Policy, expression: &Expression, sight: &Sight<'_>) -> Result<Value, String> {
    let scope = sight.of_rules(policy);
    let value = expression.evaluate(&scope).and_then(|value| value.json());
    value.map_err(|fault| failed(expression.text(), fault.text()))
}

fn note(invocation: &Invocation, has_changed: bool, passage: &mut Passage) {
    if has_changed {
        passage.policies.recall();
        passage.needs_second = true;
    }
    if invocation.policy.is_reinvoked {
        passage.policies.before.insert(key(invocation));
    }
}

fn said(invocation: &Invocation, why: &str) -> String {
    format!(
        "policy '{}' with binding '{}' denied request: {why}",
        invocation.name,
        invocation.binding_name()
    )
}

fn refusal(review: &Review<'_>, failures: Vec<String>) -> Refusal {
    let message = failures.first().cloned().unwrap_or_default();
    let mut refusal = Refusal::new(403, "Invalid", message).about(&review.about());
    let cause = |message| Cause {
        reason: String::new(),
        field: String::new(),
        message,
    };
    refusal.causes = failures.into_iter().map(cause).collect();
    refusal
}

fn ask_mutators(
    mutators: &[Box<dyn Mutator>],
    review: &Review<'_>,
    object: &mut Value,
    passage: &mut Passage,
) {
    if passage.is_second {
        passage.mutators.resume(object);
    }
    for mutator in mutators {
        if passage.is_second && !passage.mutators.again.contains(mutator.name()) {
            continue;
        }
        let before = object.clone();
        mutator.mutate(review, object);
        if *object != before {
            passage.mutators.recall();
            passage.needs_second = true;
        }
        if mutator.is_reinvoked() {
            passage.mutators.before.insert(mutator.name().to_owned());
        }
    }
    passage.mutators.last = Some(object.clone());
}
