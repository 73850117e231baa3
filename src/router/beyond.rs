//! What the canary may get beyond its share: requests that `analysis.match` describes, and copies; and whether users are kept where
//! they are. Not every route has words for that.

use serde_json::{Value, json};

use crate::crd::analysis::Analysis;
use crate::crd::canary::Canary;
use crate::crd::header_route::{HeaderRoute, Standing};
use crate::crd::matching::{RequestMatch, TextMatch};
use crate::rollout::observed::{Problem, Routes, Weight};
use crate::router::refusal;

/// What a route has words for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beyond {
    /// Requests by header and query.
    pub(super) matches: bool,
    /// Copies of requests.
    pub(super) mirror: bool,
    /// A cookie that keeps users where they are.
    pub(super) affinity: bool,
}

impl Beyond {
    /// A share alone.
    pub(super) const NOTHING: Self = Self {
        matches: false,
        mirror: false,
        affinity: false,
    };
}

/// What of the spec a provider has no words for.
pub(super) fn problems(canary: &Canary, can: Beyond) -> Vec<Problem> {
    let by_request = "apisix, contour, gatewayapi:v1, gloo, istio, kuma, linkerd or nginx";
    let asked = [
        (asks_match(canary) && !can.matches, "match", by_request),
        (
            asks_header_route(canary) && !can.matches,
            "steps[].setHeaderRoute",
            by_request,
        ),
        (
            asks_mirror(&canary.spec.analysis) && !can.mirror,
            "mirror",
            "contour, istio or kuma",
        ),
        (
            canary.spec.analysis.session_affinity.is_some() && !can.affinity,
            "sessionAffinity",
            "gatewayapi:v1 or istio",
        ),
    ];
    let refused = asked.into_iter().filter(|(refused, ..)| *refused);
    let refused = refused.map(|(_, field, able)| {
        let why = why(canary, able);
        refusal(
            "ProviderUnavailable",
            format!("spec.analysis.{field}: {why}, or take the field out"),
        )
    });
    refused.collect()
}

/// What a provider that moves all users at once has to say of a way back in steps.
pub(super) fn back_at_once(canary: &Canary) -> Option<Problem> {
    canary.spec.analysis.step_weight_promotion?;
    let provider = canary.spec.provider.as_deref().unwrap_or_default();
    let message = format!(
        "spec.analysis.stepWeightPromotion: provider {provider} gives no share back in steps; take it out, or choose another spec.provider"
    );
    Some(refusal("ProviderUnavailable", message))
}

fn why(canary: &Canary, able: &str) -> String {
    if canary.spec.route_refs.is_empty() {
        let provider = canary.spec.provider.as_deref().unwrap_or("gatewayapi:v1");
        return format!("provider {provider} cannot do that; choose {able}");
    }
    "routes named in spec.routeRefs stay yours, and nothing but weights is changed in them; take routeRefs out, so that Serin makes a route of its own".to_owned()
}

/// Whether the Canary asks for more than a share.
pub(super) fn is_asked(canary: &Canary) -> bool {
    let analysis = &canary.spec.analysis;
    asks_match(canary)
        || asks_header_route(canary)
        || asks_mirror(analysis)
        || analysis.session_affinity.is_some()
}

fn asks_match(canary: &Canary) -> bool {
    !canary.spec.analysis.matches.is_empty()
}

fn asks_mirror(analysis: &Analysis) -> bool {
    let steps = analysis.steps.iter().filter_map(|step| step.set_mirror);
    analysis.mirror || steps.into_iter().any(|percent| percent > 0)
}

/// Whether a step of the spec, or of the plan that is under way, gives the canary requests by their headers.
fn asks_header_route(canary: &Canary) -> bool {
    let steps = &canary.spec.analysis.steps;
    let asked = steps.iter().any(|step| step.set_header_route.is_some());
    let status = canary.status.as_ref();
    asked || status.is_some_and(|status| !status.header_routes.is_empty())
}

/// The requests that are to be matched now: none, unless the route shall have a rule for them. Those of a step are as they were
/// when the attempt began.
pub(super) fn matches(canary: &Canary, routes: Routes) -> Vec<RequestMatch> {
    let always = canary.spec.analysis.matches.iter();
    let always = always.filter(|_| routes.matched).cloned();
    let status = canary.status.as_ref();
    let planned = status.map_or(&[][..], |status| &status.header_routes);
    let of_step = routes.headers.of(planned).flat_map(HeaderRoute::requests);
    always.chain(of_step).collect()
}

/// Everything that may have to be matched at some time.
pub(super) fn all_matches(canary: &Canary) -> Vec<RequestMatch> {
    let analysis = &canary.spec.analysis;
    let steps = analysis.steps.iter();
    let of_steps = steps.filter_map(|step| step.set_header_route.as_ref());
    let of_steps = of_steps.flat_map(HeaderRoute::requests);
    analysis.matches.iter().cloned().chain(of_steps).collect()
}

/// Which routes a spec says: of those that its weight and its share of copies allow the one that would be written as it stands.
///
/// # Errors
///
/// What is wrong with the Canary's own words.
pub(super) fn read(
    canary: &Canary,
    can: Beyond,
    (weight, mirror): (Option<Weight>, Weight),
    stands: impl Fn(Routes) -> Result<bool, Problem>,
) -> Result<Option<Routes>, Problem> {
    let share = Routes {
        canary: weight.unwrap_or(Weight::ZERO),
        mirror,
        ..Routes::default()
    };
    for (matched, headers) in rules(canary, can) {
        let routes = Routes {
            matched,
            headers,
            ..share
        };
        if stands(routes)? {
            return Ok(weight.map(|_| routes));
        }
    }
    Ok(None)
}

/// The rules for requests that a route may have, the likeliest first: what is wanted, what the plan says, what the spec says, none.
/// Without a description there is no rule to be seen: then what is wanted stands.
fn rules(canary: &Canary, can: Beyond) -> Vec<(bool, Standing)> {
    let rule = |routes: Routes| (routes.matched, routes.headers);
    let status = canary.status.as_ref().filter(|_| can.matches);
    let wanted = status.map(|status| rule(Routes::wanted(&status.traffic)));
    let plan = status.map_or(&[][..], |status| &status.plan);
    let planned = plan.iter().map(|step| rule(Routes::planned(step)));
    let always = (can.matches && asks_match(canary), Standing::default());
    let mut rules = Vec::new();
    for rule in wanted
        .into_iter()
        .chain(planned)
        .chain([always, (false, Standing::default())])
    {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// The share of copies that a number says; what is no percentage is none.
pub(super) fn copied(share: &Value) -> Weight {
    let share = share.as_u64().and_then(|share| u8::try_from(share).ok());
    Weight::new(share.unwrap_or(0))
}

/// Conditions of a rule of the Gateway API for these requests, with every default written out.
pub(super) fn gateway_api(matches: &[RequestMatch]) -> Value {
    let condition = |(name, text): (&String, &TextMatch)| match text.exact.as_deref() {
        Some(whole) => json!({"type": "Exact", "name": name, "value": whole}),
        None => json!({"type": "RegularExpression", "name": name, "value": text.anchored()}),
    };
    let one = |request: &RequestMatch| {
        let mut one = json!({"path": {"type": "PathPrefix", "value": "/"}});
        if !request.headers.is_empty() {
            one["headers"] = request.headers.iter().map(condition).collect();
        }
        if !request.query_params.is_empty() {
            one["queryParams"] = request.query_params.iter().map(condition).collect();
        }
        one
    };
    matches.iter().map(one).collect()
}

/// The same for a VirtualService of Istio, whose headers are in small letters.
pub(super) fn istio(matches: &[RequestMatch]) -> Value {
    let condition = |text: &TextMatch| match text.said().first() {
        Some(("suffix", _)) | None => json!({"regex": text.pattern()}),
        Some((how, what)) => json!({*how: what}),
    };
    let one = |request: &RequestMatch| {
        let mut one = json!({});
        for (name, text) in &request.headers {
            one["headers"][name.to_ascii_lowercase()] = condition(text);
        }
        for (name, text) in &request.query_params {
            one["queryParams"][name] = condition(text);
        }
        one
    };
    matches.iter().map(one).collect()
}

/// The conditions of a route of Contour for one description; all of them have to be true.
pub(super) fn contour(request: &RequestMatch) -> Value {
    let condition = |kind: &str, name: &String, text: &TextMatch| match text.exact.as_deref() {
        Some(whole) => json!({kind: {"name": name, "exact": whole}}),
        None => json!({kind: {"name": name, "regex": text.anchored()}}),
    };
    let headers = request.headers.iter();
    let headers = headers.map(|(name, text)| condition("header", name, text));
    let params = request.query_params.iter();
    let params = params.map(|(name, text)| condition("queryParameter", name, text));
    std::iter::once(json!({"prefix": "/"}))
        .chain(headers)
        .chain(params)
        .collect()
}
