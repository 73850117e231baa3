//! What controllers of routes say of them in conditions.

use serde_json::Value;

use crate::rollout::observed::Acceptance;

/// Reasons of `False` that pass by themselves: the controller has not looked, or has not seen the Service yet.
const PASSING: [&str; 2] = ["Pending", "BackendNotFound"];

/// The worst of several words; of equals the first.
pub(super) fn worst(words: impl IntoIterator<Item = Acceptance>) -> Acceptance {
    let rank = |word: &Acceptance| match word {
        Acceptance::Accepted => 0,
        Acceptance::Pending(_) => 1,
        Acceptance::Rejected(_) => 2,
    };
    words.into_iter().fold(Acceptance::Accepted, |worst, word| {
        if rank(&word) > rank(&worst) {
            word
        } else {
            worst
        }
    })
}

/// This condition has to be true, at this generation.
pub(super) fn fulfilled(
    conditions: &Value,
    type_: &str,
    generation: i64,
    subject: &str,
) -> Acceptance {
    let Some(condition) = condition(conditions, type_) else {
        return Acceptance::Pending(format!("{subject}: {type_} is not reported yet"));
    };
    let observed = condition["observedGeneration"].as_i64().unwrap_or_default();
    if observed < generation {
        return Acceptance::Pending(format!(
            "{subject}: {type_} is said of generation {observed}, not yet of {generation}"
        ));
    }
    let status = condition["status"].as_str().unwrap_or("Unknown");
    let reason = condition["reason"].as_str().unwrap_or_default();
    let why = format!("{subject}: {type_} is {status}{}", because(condition));
    match status {
        "True" => Acceptance::Accepted,
        "False" if !PASSING.contains(&reason) => Acceptance::Rejected(why),
        _ => Acceptance::Pending(why),
    }
}

/// The condition of this type.
pub(super) fn condition<'a>(conditions: &'a Value, type_: &str) -> Option<&'a Value> {
    let of_type = |condition: &&Value| condition["type"].as_str() == Some(type_);
    conditions.as_array()?.iter().find(of_type)
}

/// Reason and message of a condition, in brackets.
pub(super) fn because(condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().filter(|text| !text.is_empty());
    match (text("reason"), text("message")) {
        (Some(reason), Some(message)) => format!(" ({reason}: {message})"),
        (Some(text), None) | (None, Some(text)) => format!(" ({text})"),
        (None, None) => String::new(),
    }
}
