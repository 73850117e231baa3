//! Invariants of the traffic: T1, T2, T3, T5, T6, T8.

use jiff::SignedDuration;
use serde_json::Value;
use serin::sim::store::{Event, Happened};

use crate::story::log::{canary_weight, weight};
use crate::story::objects;
use crate::story::oracle::state::{State, by_serin};

/// T1: where the canary gets requests it stands once, alone or beside stable and nobody else, and every percentage has a whole number.
/// Stable stands more than once where users are kept by a cookie.
pub(crate) fn weights_add_up(_: &State, event: &Event) -> Option<String> {
    if *event.key != objects::route_key() || !by_serin(event) || event.happened == Happened::Deleted
    {
        return None;
    }
    let rules = event.object["spec"]["rules"]
        .as_array()
        .into_iter()
        .flatten();
    let sums = rules.filter_map(|rule| {
        let backends = rule["backendRefs"].as_array()?;
        let named = |name: &str| backends.iter().filter(|it| it["name"] == name).count();
        let (stable, canary) = (named("app"), named("app-canary"));
        let weights = backends.iter().map(|it| it["weight"].as_i64().unwrap_or(1));
        let others = backends.len() - stable - canary;
        (canary > 0).then(|| (stable, canary, others, weights.sum::<i64>()))
    });
    let kept = !event.object["spec"]["rules"][1].is_null();
    let is_right = |(stable, canary, others, sum): (usize, usize, usize, i64)| {
        let arms = if kept { stable < 16 } else { stable == 1 };
        arms && canary == 1 && others == 0 && sum >= 100 && sum % 100 == 0
    };
    let mut wrong = sums.filter(|sums| !is_right(*sums));
    wrong
        .next()
        .map(|sums| format!("stable, canary, others and sum are {sums:?}"))
}

fn raised(event: &Event) -> Option<i64> {
    let after = weight(event)?;
    let before = event.before.as_ref().and_then(|it| canary_weight(it));
    (by_serin(event) && after > before.unwrap_or(0)).then_some(after)
}

/// T2: the position in the plan goes up by one at most, and what is wanted is the plan's weight there.
pub(crate) fn one_step_at_a_time(_: &State, event: &Event) -> Option<String> {
    let status = &event.object["status"];
    if *event.key != objects::canary_key() || status["phase"] != "Progressing" {
        return None;
    }
    let before = event.before.as_ref().map(|it| it["status"].clone());
    let before = before.unwrap_or_default();
    let index = status["step"]["index"].as_u64()?;
    let same = before["candidate"]["attempt"] == status["candidate"]["attempt"];
    let was = before["step"]["index"].as_u64().filter(|_| same);
    if was.map_or(index > 0, |was| index > was + 1) {
        return Some(format!("from step {was:?} to {index}"));
    }
    let planned = status["plan"][index as usize]["weight"].as_i64();
    let wanted = status["traffic"]["wanted"].as_i64().unwrap_or(0);
    (wanted > planned.unwrap_or(0)).then(|| format!("{wanted} % wanted in step {index}"))
}

/// T2: no weight is written that the status does not want.
pub(crate) fn never_above_the_plan(state: &State, event: &Event) -> Option<String> {
    let raised = raised(event)?;
    let wanted = state.status()["traffic"]["wanted"].as_i64().unwrap_or(0);
    (raised > wanted).then(|| format!("{raised} % written, {wanted} % wanted"))
}

/// T3: no share without the Pods that carry it, ready and in endpoints.
pub(crate) fn no_share_without_readiness(state: &State, event: &Event) -> Option<String> {
    let raised = raised(event)?;
    let target = state.get(&objects::target())?;
    let desired = target["spec"]["replicas"].as_i64().unwrap_or(1);
    let needed = usize::try_from((raised * desired + 99) / 100)
        .unwrap_or(0)
        .max(1);
    let (ready, endpoints) = (state.ready("app-canary"), state.endpoints("app-canary"));
    (ready < needed || endpoints < needed).then(|| {
        format!("{raised} % with {ready} ready Pods and {endpoints} endpoints of {needed}")
    })
}

/// Longer than a second, and than any late view in these tests.
const SOON: SignedDuration = SignedDuration::from_secs(4);

/// T5: after a failure the weight is 0 soon, and stays so.
pub(crate) fn fail_means_zero(state: &State, event: &Event) -> Option<String> {
    let failed = state.failed_since?;
    let (weight, _) = state.weight();
    let late = event.signed.at.duration_since(failed) > SOON;
    (weight > 0 && late).then(|| format!("{weight} % after the failure at {failed}"))
}

/// T6: the canary shrinks or goes when nothing is sent to it any more.
pub(crate) fn confirmed_before_it_shrinks(state: &State, event: &Event) -> Option<String> {
    let before = event.before.as_ref()?;
    if *event.key != objects::clone_key() || !by_serin(event) {
        return None;
    }
    let replicas = |object: &Value| object["spec"]["replicas"].as_i64().unwrap_or(1);
    let dies = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
    let shrinks = event.happened == Happened::Deleted
        || dies(&event.object) && !dies(before)
        || replicas(&event.object) < replicas(before);
    let (weight, accepted) = state.weight();
    // A weight that was never accepted by anybody sends nothing.
    (shrinks && (weight > 0 || !accepted) && takes_part(state))
        .then(|| format!("the route has {weight} %, accepted: {accepted}"))
}

/// Whether weights are in a route at all.
fn takes_part(state: &State) -> bool {
    let route = state.get(&objects::route_key());
    route.is_some_and(|route| canary_weight(route).is_some())
}

fn covers(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().into_iter().flatten();
    let mut selector = selector.peekable();
    selector.peek().is_some() && selector.all(|(name, value)| labels[name] == *value)
}

/// T8: neither stable's selector nor its Service takes the canary's Pods for its own.
pub(crate) fn arms_do_not_overlap(state: &State, event: &Event) -> Option<String> {
    if *event.key != objects::clone_key() || event.happened == Happened::Deleted {
        return None;
    }
    let labels = &event.object["spec"]["template"]["metadata"]["labels"];
    let target = state.get(&objects::target())?;
    if covers(&target["spec"]["selector"]["matchLabels"], labels) {
        return Some("the target's selector matches the canary's Pods".to_owned());
    }
    let apex = state.get(&objects::service_key());
    let switched =
        apex.is_some_and(|it| !it["metadata"]["annotations"]["serin.dev/selector"].is_null());
    apex.filter(|apex| !switched && covers(&apex["spec"]["selector"], labels))
        .map(|_| "stable's Service selects the canary's Pods".to_owned())
}
