//! Invariants of the gate and of the release: G1, G3, G12, E3, C1.

use serde_json::Value;
use serin::sim::store::{Event, Happened};

use crate::story::objects;
use crate::story::oracle::state::{State, by_serin, unpaused};

fn images(status: &Value) -> Vec<&str> {
    let images = status["images"].as_array().into_iter().flatten();
    images.filter_map(Value::as_str).collect()
}

fn image(deployment: &Value) -> &str {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    container["image"].as_str().unwrap_or_default()
}

/// G1: the hold ends for the candidate that passed, or for what serves.
pub(crate) fn only_what_was_analysed(state: &State, event: &Event) -> Option<String> {
    if !unpaused(event) || !by_serin(event) {
        return None;
    }
    let status = state.status();
    let image = image(&event.object);
    let serves = images(&status["stable"]).contains(&image);
    let passed = images(&status["candidate"]).contains(&image)
        && matches!(status["phase"].as_str(), Some("Promoting"));
    let never_ran = status["stable"].is_null();
    (!serves && !passed && !never_ran)
        .then(|| format!("{image} was released in phase {}", status["phase"]))
}

/// G3: Serin ends a pause only where the gate holds, and begins one only with its mark (`restart` does).
pub(crate) fn a_persons_pause(_: &State, event: &Event) -> Option<String> {
    let before = event.before.as_ref()?;
    let paused = |object: &Value| object["spec"]["paused"] == true;
    if *event.key != objects::target()
        || !by_serin(event)
        || paused(before) == paused(&event.object)
    {
        return None;
    }
    let marked = if paused(before) {
        before
    } else {
        &event.object
    };
    let held = !marked["metadata"]["labels"]["serin.dev/held"].is_null();
    (!held).then(|| "Serin wrote a pause that is not its own".to_owned())
}

/// G12: Serin writes a template of the target only to put stable, or what was promoted, back.
pub(crate) fn a_template_goes_back_only(state: &State, event: &Event) -> Option<String> {
    let before = event.before.as_ref()?;
    let changed = *event.key == objects::target()
        && before["spec"]["template"] != event.object["spec"]["template"];
    if !changed || !by_serin(event) {
        return None;
    }
    let image = image(&event.object);
    let stable = images(&state.status()["stable"]).contains(&image);
    let history = state.status()["history"].as_array().into_iter().flatten();
    let promoted = history
        .filter(|it| it["outcome"] == "Promoted")
        .any(|it| images(it).contains(&image));
    (!stable && !promoted).then(|| format!("Serin wrote the template of {image}"))
}

/// E3: promotion begins after the last step, unless an exception is named.
pub(crate) fn every_step_before_promotion(_: &State, event: &Event) -> Option<String> {
    let before = &event.before.as_ref()?["status"];
    let status = &event.object["status"];
    let begins = *event.key == objects::canary_key()
        && status["phase"] == "Promoting"
        && before["phase"] != "Promoting";
    if !begins || !status["candidate"]["exception"].is_null() {
        return None;
    }
    let same = before["candidate"]["revision"] == status["candidate"]["revision"];
    let last = before["step"]["index"].as_u64().map(|index| index + 1);
    let done = before["phase"] == "WaitingPromotion"
        || before["phase"] == "Progressing" && last == before["step"]["of"].as_u64();
    (!same || !done).then(|| format!("promoted after step {last:?} in {}", before["phase"]))
}

/// C1, C5: the size of the main release is never lowered by Serin.
pub(crate) fn stable_is_never_scaled_down(_: &State, event: &Event) -> Option<String> {
    let replicas = |object: &Value| object["spec"]["replicas"].as_i64().unwrap_or(1);
    let before = replicas(event.before.as_ref()?);
    let ours =
        *event.key == objects::target() && event.happened == Happened::Modified && by_serin(event);
    (ours && replicas(&event.object) < before)
        .then(|| format!("from {before} to {}", replicas(&event.object)))
}
