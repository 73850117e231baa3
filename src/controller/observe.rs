//! From what the watches saw to what the core decides on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;

use crate::cluster::Shelves;
use crate::controller::Defaults;
use crate::crd::canary::{Canary, CanaryIdle};
use crate::crd::refusals;
use crate::metrics::query::{ArmNames, Subject};
use crate::metrics::{self, Templates};
use crate::objects::{Kind, Seen};
use crate::rollout::observed::{Observed, Problem, Severity, TrafficKind};
use crate::router::{self, Router, RouterError};
use crate::workload;

/// One Canary with everything that was seen around it.
pub(crate) struct View {
    pub(crate) seen: Seen,
    pub(crate) templates: Templates,
    pub(crate) router: Option<Box<dyn Router>>,
    pub(crate) observed: Observed,
    /// The `controllerName` of the gateway that runs the route.
    gateway: Option<String>,
    routes: Vec<String>,
}

/// Reads the shelves for one Canary.
pub(crate) fn observe(canary: &Canary, shelves: &Shelves, defaults: &Defaults, epoch: i64) -> View {
    let home = canary.home();
    let seen = shelves.seen(&home);
    let templates = templates(shelves, &home);
    let provider = canary.provider(&defaults.provider);
    let router = router::for_provider(provider);
    let mut problems = problems(canary, &seen, shelves);
    let mut observed = Observed {
        epoch,
        policies: shelves.admission(),
        ..Observed::default()
    };
    match &router {
        None => problems.push(router::unknown(provider)),
        Some(router) => route(canary, &seen, router.as_ref(), &mut observed, &mut problems),
    }
    let with_service = observed.abilities.traffic != TrafficKind::Replicas;
    observed.target = workload::observe_target(canary, &seen);
    observed.canary = workload::observe_canary(canary, &seen, with_service);
    observed.services = services(canary, &seen, with_service);
    observed.capacity = workload::observe_capacity(canary, &seen);
    let server = defaults.metrics_server.as_deref();
    let (plans, mistakes) = metrics::plan(canary, &templates, server, provider);
    observed.metrics = plans;
    observed.metrics_server = metrics::server(canary, server).is_some();
    problems.extend(mistakes);
    observed.problems = problems;
    let routes = route_names(canary);
    let gateway = gateway(&seen, &home, &routes);
    View {
        seen,
        templates,
        router,
        observed,
        gateway,
        routes,
    }
}

/// Kinds of the routes that this Canary, with its provider, reads and writes.
pub(crate) fn routes(canary: &Canary) -> BTreeSet<Kind> {
    let provider = canary.spec.provider.as_deref().unwrap_or_default();
    let objects = router::for_provider(provider).map(|router| router.objects(canary));
    let kinds = objects.into_iter().flatten().map(|key| key.kind);
    kinds.filter(|kind| kind.is_route()).collect()
}

fn templates(shelves: &Shelves, home: &str) -> Templates {
    shelves
        .templates
        .list(Some(home))
        .into_iter()
        .collect::<BTreeMap<_, _>>()
}

fn problems(canary: &Canary, seen: &Seen, shelves: &Shelves) -> Vec<Problem> {
    let later = refusals::refusals(canary)
        .into_iter()
        .map(|refusal| Problem {
            reason: "ConfigurationError",
            message: format!("{}: {}", refusal.field, refusal.message),
            severity: Severity::Refused,
        });
    later
        .chain(workload::problems(canary, seen))
        .chain(rival(canary, shelves))
        .collect()
}

/// Of two Canaries with one target the older acts (SAFETY P5).
fn rival(canary: &Canary, shelves: &Shelves) -> Option<Problem> {
    let age = |canary: &Canary| (canary.creation_timestamp(), canary.name_any());
    let others = shelves.canaries.list(Some(&canary.home()));
    let older = others.into_iter().map(|(_, other)| other).find(|other| {
        let same = other.spec.target_ref.name == canary.spec.target_ref.name
            || shares_service(canary, other);
        same && other.identity() != canary.identity() && age(other) < age(canary)
    })?;
    let message = format!(
        "spec.targetRef: Canary {} has Deployment {} or its Service already, and is older; delete one of the two",
        older.name_any(),
        canary.target_name()
    );
    Some(Problem {
        reason: "NameTaken",
        message,
        severity: Severity::Refused,
    })
}

fn shares_service(one: &Canary, other: &Canary) -> bool {
    one.spec.service.is_some()
        && other.spec.service.is_some()
        && one.service_name() == other.service_name()
}

fn route(
    canary: &Canary,
    seen: &Seen,
    router: &dyn Router,
    observed: &mut Observed,
    problems: &mut Vec<Problem>,
) {
    observed.abilities = router.abilities();
    problems.extend(router.problems(canary, seen));
    match router.observe(canary, seen) {
        Ok(split) => observed.split = split,
        Err(RouterError::Refused(problem)) => problems.push(problem),
        Err(error) => {
            problems.push(Problem {
                reason: "RouteNotReady",
                message: error.to_string(),
                severity: Severity::Refused,
            });
        }
    }
}

fn services(
    canary: &Canary,
    seen: &Seen,
    with_service: bool,
) -> crate::rollout::observed::Services {
    if !with_service {
        return crate::rollout::observed::Services {
            selects_canary: true,
            points_at_canary: true,
            idle: true,
            ..Default::default()
        };
    }
    workload::observe_services(canary, seen, idle(canary))
}

/// What the spec says of `<service>-canary` while idle.
pub(crate) fn idle(canary: &Canary) -> CanaryIdle {
    let service = canary.spec.service.as_ref();
    service
        .map(|service| service.canary_idle)
        .unwrap_or_default()
}

fn route_names(canary: &Canary) -> Vec<String> {
    let named: Vec<String> = canary
        .spec
        .route_refs
        .iter()
        .map(|route| route.name.clone())
        .collect();
    if !named.is_empty() {
        return named;
    }
    let route = canary.spec.route_ref.as_ref().map(|it| it.name.clone());
    match route.into_iter().zip(canary.route_copy_name()).next() {
        Some((first, second)) => vec![first, second],
        None => vec![canary.service_name().to_owned()],
    }
}

/// The controller that the route's status names first.
fn gateway(seen: &Seen, home: &str, routes: &[String]) -> Option<String> {
    let of_ours = |key: &&crate::objects::ObjectKey| {
        matches!(key.kind, Kind::HttpRoute | Kind::GrpcRoute)
            && key.namespace == home
            && routes.contains(&key.name)
    };
    let route = seen.routes.iter().find(|(key, _)| of_ours(key))?.1;
    let parents = route.data["status"]["parents"].as_array()?;
    parents
        .iter()
        .find_map(|parent| parent["controllerName"].as_str())
        .map(str::to_owned)
}

impl View {
    /// What the metrics of this Canary are measured on.
    pub(crate) fn subject<'a>(
        &'a self,
        canary: &'a Canary,
        home: &'a str,
        name: &'a str,
    ) -> Subject<'a> {
        let status = canary.status.as_ref();
        let candidate = status.and_then(|status| status.candidate.as_ref());
        let arm = |workload: String, service: String, endpoints: BTreeMap<String, String>| {
            let (pods, addresses) = endpoints.into_iter().unzip();
            ArmNames {
                workload,
                service,
                pods,
                addresses,
            }
        };
        let (stable, under_test) = (
            canary.service_name().to_owned(),
            canary.canary_service_name(),
        );
        let (serving, tried) = (self.seen.endpoints(&stable), self.canary_pods(&under_test));
        Subject {
            namespace: home,
            name,
            port: canary
                .spec
                .service
                .as_ref()
                .map_or(80, |service| service.port),
            ingress: canary
                .spec
                .ingress_ref
                .as_ref()
                .map_or("", |ingress| &ingress.name),
            routes: &self.routes,
            provider: canary.spec.provider.as_deref().unwrap_or_default(),
            gateway_controller: self.gateway.as_deref(),
            stable: arm(canary.target_name().to_owned(), stable, serving),
            canary: arm(canary.canary_name(), under_test, tried),
            revision: candidate.map_or("", |candidate| &candidate.revision),
            step: status
                .and_then(|status| status.step.as_ref())
                .map_or(0, |step| step.index),
            weight: status.map_or(0, |status| status.traffic.wanted),
        }
    }

    /// The canary's Pods, with their addresses: those behind its Service that exist; none while it points at stable.
    fn canary_pods(&self, service: &str) -> BTreeMap<String, String> {
        if self.observed.canary.is_none() {
            return BTreeMap::new();
        }
        let mut behind = self.seen.endpoints(service);
        behind.retain(|name, _| self.seen.pods.contains_key(name));
        behind
    }
}

/// A snapshot of Canaries for the API, of one namespace or of all.
pub(crate) fn canaries(shelves: &Shelves, namespace: Option<&str>) -> Vec<Arc<Canary>> {
    shelves.canaries.objects(namespace)
}
