//! Invariants of the process: P3, P8, and what is given back in the end (T10, C3).

use serin::sim::store::{Event, Happened};

use crate::story::objects;
use crate::story::oracle::state::{State, by_serin};

/// P3: one attempt releases the target once for its candidate; each further time was a person's new pause, of which there is none.
pub(crate) fn released_once(state: &State, _: &Event) -> Option<String> {
    let mut twice = state.releases.iter().filter(|(_, times)| **times > 2);
    twice
        .next()
        .map(|(attempt, times)| format!("attempt {attempt} released {times} times"))
}

/// P8: what may carry traffic has no owner.
pub(crate) fn nothing_hangs_on_an_owner(_: &State, event: &Event) -> Option<String> {
    let owners = event.object["metadata"]["ownerReferences"].as_array();
    let owned = owners.is_some_and(|all| all.iter().any(|it| it["kind"] == "Canary"));
    let ours = event.happened == Happened::Added && by_serin(event);
    (ours && owned).then(|| format!("{:?} is owned by the Canary", event.key))
}

/// T10, C3: at rest the team's Service selects what it did, and no lock is left on its autoscaler.
pub(crate) fn given_back(state: &State) -> Vec<String> {
    let phase = state.status()["phase"].as_str().unwrap_or_default();
    if !["", "Initialized", "Succeeded", "Failed"].contains(&phase) {
        return Vec::new();
    }
    let mut left = Vec::new();
    if let Some(apex) = state.get(&objects::service_key())
        && apex["spec"]["selector"] != objects::service()["spec"]["selector"]
    {
        left.push(format!(
            "T10: the Service selects {}",
            apex["spec"]["selector"]
        ));
    }
    for scaler in state.all("horizontalpodautoscalers") {
        if scaler["spec"]["behavior"]["scaleDown"]["selectPolicy"] == "Disabled" {
            left.push("C3: the autoscaler is still locked".to_owned());
        }
    }
    left
}
