//! Is a Canary in order: its target, its Service, its route and its spec? The rules are those of the controller.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::cli::doctor::controller::Install;
use crate::cli::doctor::finding::{Check, Finding, Fix, State};
use crate::controller::observe;
use crate::crd::canary::Canary;
use crate::objects::Kind;
use crate::rollout::observed::{Acceptance, Observed, Presence, Problem, Severity, TrafficKind};
use crate::router;

/// Kinds that could not be read, each with the reason.
pub(super) type Unread = BTreeMap<Kind, String>;

/// Kinds without which nothing can be said of a Canary.
const NEEDED: [Kind; 3] = [Kind::Deployment, Kind::ReplicaSet, Kind::Service];

/// How a Canary is, as the controller would see it.
#[must_use]
pub(super) fn judge(
    canary: &Canary,
    observed: &Observed,
    unread: &Unread,
    install: &Install,
) -> Vec<Finding> {
    let unseen: Vec<_> = NEEDED
        .iter()
        .filter_map(|kind| Some(unseen(*kind, unread.get(kind)?)))
        .collect();
    if !unseen.is_empty() {
        return unseen;
    }
    let mut found: Vec<_> = observed
        .problems
        .iter()
        .map(|it| problem(canary, it))
        .collect();
    let routes = route_kinds(canary);
    let blind = routes.iter().any(|kind| unread.contains_key(kind));
    found.retain(|it| it.check != Check::Route || !blind);
    found.extend(watched(canary, install));
    found.extend(workload(canary, observed));
    found.extend(route(canary, observed, unread, &found));
    if found.iter().all(|it| it.state == State::Ok) {
        found.extend(stalled(canary));
    }
    if found.iter().all(|it| it.check != Check::Canary) {
        found.insert(
            0,
            Finding::ok(Check::Canary, "target, Service and spec are in order"),
        );
    }
    found
}

fn unseen(kind: Kind, why: &str) -> Finding {
    Finding::unknown(
        Check::Canary,
        format!("{kind:?}s cannot be read: {why}"),
        Fix::say("ask somebody with the role view there"),
    )
}

/// Whether the controller looks at this namespace, and has done so.
fn watched(canary: &Canary, install: &Install) -> Option<Finding> {
    let home = canary.home();
    if let Some(only) = install.watches.as_ref().filter(|only| **only != home) {
        let what = format!("the controller watches namespace {only} alone");
        let fix = "take --namespace off the controller, or let the chart's `namespaces` have this one too";
        return Some(Finding::failed(Check::Canary, what, Fix::say(fix)));
    }
    if canary.status.is_none() {
        let fix = format!(
            "kubectl -n {} logs deployment/{}",
            install.namespace, install.name
        );
        return Some(Finding::failed(
            Check::Canary,
            "the controller has not looked at it",
            Fix::run(fix),
        ));
    }
    None
}

/// One of the controller's own objections.
fn problem(canary: &Canary, problem: &Problem) -> Finding {
    let check = match problem.reason {
        "ProviderUnavailable"
        | "ProviderUnknown"
        | "ProviderRetired"
        | "RouteNotReady"
        | "RouteConflict"
        | "WeightsTooCoarse"
        | "CanaryBackendMissing" => Check::Route,
        "MetricInvalid" | "GrpcNotCounted" => Check::Metrics,
        _ => Check::Canary,
    };
    let fix = mend(canary, problem);
    match problem.severity {
        Severity::Refused => Finding::failed(check, problem.message.clone(), fix),
        Severity::Warning => Finding::warning(check, problem.message.clone(), fix),
    }
}

/// The message says what would be right; this is where.
fn mend(canary: &Canary, problem: &Problem) -> Fix {
    if problem.message.contains("install the Gateway API") {
        return Fix::run(
            "kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/latest/download/standard-install.yaml",
        );
    }
    let (home, name) = (canary.home(), canary.name_any());
    let mut words = problem.message.split_whitespace();
    let object = match (words.next(), words.next()) {
        (
            Some(kind @ ("Deployment" | "Service" | "HTTPRoute" | "GRPCRoute" | "NetworkPolicy")),
            Some(named),
        ) => {
            let named = named.trim_end_matches(':');
            let named = named.rsplit_once('/').map_or(named, |(_, name)| name);
            format!("{}/{named}", kind.to_lowercase())
        }
        _ => format!("canary/{name}"),
    };
    Fix::run(format!("kubectl -n {home} edit {object}"))
}

fn workload(canary: &Canary, observed: &Observed) -> Vec<Finding> {
    let home = canary.home();
    let mut found = Vec::new();
    match &observed.target {
        None => {
            let what = format!(
                "its target, deployment/{}, does not exist",
                canary.target_name()
            );
            let fix = format!(
                "create it, or `kubectl -n {home} delete canary {}`",
                canary.name_any()
            );
            found.push(Finding::failed(Check::Canary, what, Fix::say(fix)));
        }
        Some(target) if !target.available => {
            let what = format!(
                "its target, deployment/{}, is not available: {} Pods are ready",
                canary.target_name(),
                target.ready
            );
            let fix = format!(
                "kubectl -n {home} describe deployment {}",
                canary.target_name()
            );
            found.push(Finding::warning(Check::Canary, what, Fix::run(fix)));
        }
        Some(_) => {}
    }
    let by_service = observed.abilities.traffic != TrafficKind::Replicas;
    if by_service && observed.services.apex == Presence::Missing && observed.target.is_some() {
        let what = format!(
            "service/{} does not exist; the controller makes it when the target is available",
            canary.service_name()
        );
        let fix = format!("serin -n {home} diagnose {}", canary.name_any());
        found.push(Finding::warning(Check::Canary, what, Fix::run(fix)));
    }
    found
}

/// The command that shows the route, or the Service where there is none.
fn look_at(canary: &Canary, kind: Option<&Kind>) -> Fix {
    let spec = &canary.spec;
    let route = spec.route_refs.first().map(|route| &route.name);
    let shared = spec.ingress_ref.as_ref().or(spec.route_ref.as_ref());
    let shared = shared.map(|reference| &reference.name);
    let named = route.or(shared).map_or(canary.service_name(), |name| name);
    let kind = kind.map_or("service".to_owned(), |kind| {
        kind.api_resource().kind.to_lowercase()
    });
    Fix::run(format!(
        "kubectl -n {} describe {kind} {named}",
        canary.home()
    ))
}

/// Kinds of the routes that a Canary needs.
fn route_kinds(canary: &Canary) -> Vec<Kind> {
    let kinds = observe::routes(canary);
    if kinds.is_empty() {
        return vec![Kind::HttpRoute];
    }
    kinds.into_iter().collect()
}

/// Of a provider that could be tried against its definitions alone, this is said, too.
fn accepted(canary: &Canary) -> String {
    let provider = canary.spec.provider.as_deref().unwrap_or_default();
    if router::UNTRIED.contains(&provider) {
        return format!(
            "it is accepted. Provider {provider} was tried against its definitions, not against the real one: watch its first release"
        );
    }
    "it is accepted".to_owned()
}

/// Whether whoever runs the route has taken it.
fn route(
    canary: &Canary,
    observed: &Observed,
    unread: &Unread,
    found: &[Finding],
) -> Option<Finding> {
    let of_gateway = observed.abilities.traffic == TrafficKind::Weighted;
    let kinds = if of_gateway {
        route_kinds(canary)
    } else {
        vec![Kind::EndpointSlice]
    };
    let unreadable = kinds
        .iter()
        .find_map(|kind| Some((kind, unread.get(kind)?)));
    if let Some((kind, why)) = unreadable {
        let fix = Fix::say(format!("ask somebody who may read {kind:?}s there"));
        let what = format!("whether traffic goes where it should cannot be read: {why}");
        return Some(Finding::unknown(Check::Route, what, fix));
    }
    if found
        .iter()
        .any(|it| it.check == Check::Route && it.state == State::Failed)
    {
        return None;
    }
    let look = || look_at(canary, kinds.first().filter(|_| of_gateway));
    Some(
        match observed.split.as_ref().map(|split| &split.acceptance) {
            Some(Acceptance::Accepted) => Finding::ok(Check::Route, accepted(canary)),
            Some(Acceptance::Pending(why)) if unread.contains_key(&Kind::Gateway) => {
                let what = format!("whether its Gateway runs it cannot be read: {why}");
                Finding::unknown(
                    Check::Route,
                    what,
                    Fix::say("ask somebody who may read Gateways"),
                )
            }
            Some(Acceptance::Pending(why)) => Finding::failed(
                Check::Route,
                format!("it is not accepted yet: {why}"),
                look(),
            ),
            Some(Acceptance::Rejected(why)) => {
                Finding::failed(Check::Route, format!("it is not accepted: {why}"), look())
            }
            None => {
                let fix = format!("serin -n {} diagnose {}", canary.home(), canary.name_any());
                Finding::warning(
                    Check::Route,
                    "the controller has not made it yet",
                    Fix::run(fix),
                )
            }
        },
    )
}

/// What keeps the controller from working, as it says itself, where nothing of it was seen here. A verdict is no such thing.
fn stalled(canary: &Canary) -> impl Iterator<Item = Finding> {
    let conditions = canary.status.iter().flat_map(|status| &status.conditions);
    let (home, name) = (canary.home(), canary.name_any());
    let mine = |type_: &str, status: &str| type_ == "Stalled" && status == "True";
    let stalled =
        conditions.filter(move |it| mine(&it.type_, &it.status) && it.reason != "CanaryFailed");
    stalled.map(move |it| {
        let what = format!("the controller says {}: {}", it.reason, it.message);
        Finding::failed(
            Check::Canary,
            what,
            Fix::run(format!("serin -n {home} diagnose {name}")),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollout::observed::{Abilities, Split};

    fn canary() -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
            "spec": {"targetRef": {"name": "web"}}, "status": {"phase": "Initialized"},
        }))
        .unwrap()
    }

    fn seen(acceptance: Option<Acceptance>, problems: Vec<Problem>) -> Observed {
        let split = acceptance.map(|acceptance| Split {
            routes: None,
            acceptance,
            editor: None,
        });
        Observed {
            split,
            problems,
            abilities: Abilities::default(),
            ..Observed::default()
        }
    }

    fn problem_of(reason: &'static str, message: &str) -> Problem {
        Problem {
            reason,
            message: message.to_owned(),
            severity: Severity::Refused,
        }
    }

    fn of(found: &[Finding], check: Check) -> Vec<(State, String, String)> {
        let found = found.iter().filter(|one| one.check == check);
        found
            .map(|one| {
                (
                    one.state,
                    one.what.clone(),
                    one.fix.as_ref().map_or("", Fix::text).to_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn a_route_is_as_its_gateway_says() {
        let rows = [
            (Some(Acceptance::Accepted), State::Ok, "it is accepted"),
            (
                Some(Acceptance::Pending(
                    "Gateway ops/gw does not exist".to_owned(),
                )),
                State::Failed,
                "Gateway ops/gw does not exist",
            ),
            (
                Some(Acceptance::Rejected("NoMatchingParent".to_owned())),
                State::Failed,
                "NoMatchingParent",
            ),
            (None, State::Warning, "has not made it yet"),
        ];
        for (acceptance, state, words) in rows {
            let found = judge(
                &canary(),
                &seen(acceptance, Vec::new()),
                &Unread::new(),
                &Install::default(),
            );
            let route = of(&found, Check::Route).remove(0);
            assert_eq!(route.0, state, "{route:?}");
            assert!(route.1.contains(words), "{route:?}");
        }
    }

    #[test]
    fn an_objection_of_the_controller_says_where_to_mend_it() {
        let rows = [
            (
                "ProviderUnavailable",
                "the cluster has no HTTPRoute of …: install the Gateway API, or …",
                Check::Route,
                "standard-install.yaml",
            ),
            (
                "ServiceRefused",
                "Service shop/web has no selector",
                Check::Canary,
                "kubectl -n shop edit service/web",
            ),
            (
                "TargetRefused",
                "Deployment shop/web has strategy Recreate",
                Check::Canary,
                "kubectl -n shop edit deployment/web",
            ),
            (
                "MetricInvalid",
                "spec.analysis.metrics[0].query: is empty",
                Check::Metrics,
                "kubectl -n shop edit canary/web",
            ),
        ];
        for (reason, message, check, fix) in rows {
            let found = judge(
                &canary(),
                &seen(None, vec![problem_of(reason, message)]),
                &Unread::new(),
                &Install::default(),
            );
            let one = of(&found, check).remove(0);
            assert_eq!((one.0, one.1.as_str()), (State::Failed, message));
            assert!(one.2.contains(fix), "{one:?}");
        }
    }

    #[test]
    fn what_may_not_be_read_is_not_called_missing() {
        let unread = |kind| Unread::from([(kind, "forbidden".to_owned())]);
        let found = judge(
            &canary(),
            &seen(None, Vec::new()),
            &unread(Kind::Deployment),
            &Install::default(),
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].state, State::Unknown);
        let gone = problem_of(
            "ProviderUnavailable",
            "the cluster has no HTTPRoute: install the Gateway API",
        );
        let found = judge(
            &canary(),
            &seen(None, vec![gone]),
            &unread(Kind::HttpRoute),
            &Install::default(),
        );
        assert_eq!(of(&found, Check::Route)[0].0, State::Unknown);
        let pending = Some(Acceptance::Pending(
            "Gateway ops/gw does not exist".to_owned(),
        ));
        let found = judge(
            &canary(),
            &seen(pending, Vec::new()),
            &unread(Kind::Gateway),
            &Install::default(),
        );
        assert_eq!(of(&found, Check::Route)[0].0, State::Unknown);
    }

    #[test]
    fn a_missing_target_and_a_controller_that_looks_elsewhere_are_said() {
        let install = Install {
            watches: Some("ops".to_owned()),
            ..Install::default()
        };
        let found = judge(&canary(), &seen(None, Vec::new()), &Unread::new(), &install);
        let found = of(&found, Check::Canary);
        assert!(
            found[0].1.contains("watches namespace ops alone"),
            "{found:?}"
        );
        assert!(
            found[1].1.contains("deployment/web, does not exist"),
            "{found:?}"
        );
        let mut new = canary();
        new.status = None;
        let found = judge(
            &new,
            &seen(None, Vec::new()),
            &Unread::new(),
            &Install::default(),
        );
        assert!(
            found
                .iter()
                .any(|one| one.what == "the controller has not looked at it")
        );
    }
}
