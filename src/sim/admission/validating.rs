//! Validating policies.

use serde_json::Value;

use crate::sim::admission::authorize::Rights;
use crate::sim::admission::invocation::{Invocation, Sight, failed};
use crate::sim::admission::policy::{Policy, Validation};
use crate::sim::admission::review::{self, Review};
use crate::sim::cel::scope::Scope;
use crate::sim::refusal::{Cause, Refusal};
use crate::sim::store::Store;

/// Why a policy says no.
struct Denial {
    reason: String,
    message: String,
}

impl Denial {
    fn failure(message: String) -> Self {
        Self {
            reason: String::new(),
            message,
        }
    }
}

/// Asks the policies; the first denial is told, the warnings are returned.
pub(super) fn validate(
    store: &Store,
    invocations: &[Invocation],
    review: &Review<'_>,
) -> Result<Vec<String>, Refusal> {
    if invocations.is_empty() {
        return Ok(Vec::new());
    }
    let (request, rights) = (review.request(), Rights::of(store, review));
    let namespace = review::namespace(store, review);
    let sight = Sight {
        object: review.object,
        old: review.old,
        request: &request,
        namespace: namespace.as_deref(),
        rights: &rights,
    };
    let (mut denied, mut warnings) = (None, Vec::new());
    for invocation in invocations {
        for denial in judge(&invocation.policy, &sight) {
            if acts(&invocation.binding, "Warn") {
                let at = format!("Validation failed for {}", named(invocation));
                warnings.push(format!("{at}: {}", denial.message));
            }
            if acts(&invocation.binding, "Deny") && denied.is_none() {
                denied = Some(refusal(review, invocation, &denial));
            }
        }
    }
    denied.map_or(Ok(warnings), Err)
}

fn acts(binding: &Value, action: &str) -> bool {
    binding["spec"]["validationActions"]
        .as_array()
        .is_some_and(|actions| actions.iter().any(|found| found == action))
}

fn named(invocation: &Invocation) -> String {
    format!(
        "ValidatingAdmissionPolicy '{}' with binding '{}'",
        invocation.name,
        invocation.binding_name()
    )
}

fn judge(policy: &Policy, sight: &Sight<'_>) -> Vec<Denial> {
    let failure = |message| {
        if policy.fails_open {
            Vec::new()
        } else {
            vec![Denial::failure(message)]
        }
    };
    if let Some(wrong) = policy.wrong.first() {
        return failure(wrong.message.clone());
    }
    match sight.meets(policy) {
        Err(message) => return failure(message),
        Ok(false) => return Vec::new(),
        Ok(true) => {}
    }
    let (scope, messages) = (sight.of_rules(policy), sight.of_messages(policy));
    let validations = policy.validations.iter();
    validations
        .filter_map(|validation| match validation.expression.evaluate(&scope) {
            Ok(value) if value.is_true() => None,
            Ok(_) => Some(Denial {
                reason: validation.reason.clone(),
                message: said(validation, &messages),
            }),
            Err(_) if policy.fails_open => None,
            Err(fault) => Some(Denial::failure(failed(
                validation.expression.text(),
                fault.text(),
            ))),
        })
        .collect()
}

/// Longer messages, and those of several lines, are not taken from an expression.
const LONGEST: usize = 5 * 1024;

/// What a validation says: by its expression, else by its message, else by what did not hold.
fn said<'a>(validation: &'a Validation, scope: &Scope<'a>) -> String {
    let made = validation
        .message_expression
        .as_ref()
        .and_then(|expression| {
            let value = expression.evaluate(scope).ok()?;
            let text = value.as_text()?.trim();
            (!text.is_empty() && text.len() <= LONGEST && !text.contains('\n'))
                .then(|| text.to_owned())
        });
    made.unwrap_or_else(|| match validation.message.as_str() {
        "" => format!("failed expression: {}", validation.expression.text()),
        message => message.to_owned(),
    })
}

fn refusal(review: &Review<'_>, invocation: &Invocation, denial: &Denial) -> Refusal {
    let message = format!("{} denied request: {}", named(invocation), denial.message);
    let (code, reason) = match denial.reason.as_str() {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    let mut refusal = Refusal::forbidden(&review.about(), &message);
    (refusal.code, refusal.reason) = (code, reason);
    refusal.causes.push(Cause {
        reason: String::new(),
        field: String::new(),
        message,
    });
    refusal
}
