//! Provider `none`: workers without a Service. Their Pods work as soon as they run, so scaling is the weight.

use crate::crd::canary::{Canary, Metric};
use crate::objects::{Change, Deployment, Live, ObjectKey, Seen, mark};
use crate::rollout::observed::{
    Abilities, Acceptance, Problem, Routes, Split, TrafficKind, Weight,
};
use crate::router::beyond::{self, Beyond};
use crate::router::{Router, RouterError, refusal};

/// Checks of requests, which workers do not get.
const BUILT_IN: [&str; 2] = ["request-success-rate", "request-duration"];

/// The router of provider `none`. Its weight stands on the canary workload, which the adapter of workloads writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workers;

impl Router for Workers {
    fn abilities(&self) -> Abilities {
        Abilities {
            traffic: TrafficKind::Replicas,
            settle_seconds: 0,
        }
    }

    fn problems(&self, canary: &Canary, _: &Seen) -> Vec<Problem> {
        let spec = &canary.spec;
        let fields = [
            ("spec.service", spec.service.is_some()),
            ("spec.routeRefs", !spec.route_refs.is_empty()),
            ("spec.ingressRef", spec.ingress_ref.is_some()),
            ("spec.routeRef", spec.route_ref.is_some()),
            ("spec.upstreamRef", spec.upstream_ref.is_some()),
        ];
        let fields = fields.into_iter().filter(|(_, is_set)| *is_set);
        let fields = fields.map(|(field, _)| {
            format!("{field}: provider none is for workers without a Service; take it out, or choose another spec.provider")
        });
        let metrics = spec.analysis.metrics.iter().filter(is_built_in);
        let metrics = metrics.map(|metric| {
            format!(
                "spec.analysis.metrics: {} counts requests, which provider none does not route; measure the Pods with a MetricTemplate in templateRef",
                metric.name
            )
        });
        fields
            .chain(metrics)
            .map(|message| refusal("ProviderUnavailable", message))
            .chain(beyond::problems(canary, Beyond::NOTHING))
            .chain(beyond::back_at_once(canary))
            .collect()
    }

    fn objects(&self, _: &Canary) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn observe(&self, canary: &Canary, seen: &Seen) -> Result<Option<Split>, RouterError> {
        let workload = seen.deployments.get(&canary.canary_name());
        let uid = canary.identity();
        let workload =
            workload.filter(|workload| workload.meta.labels.get(mark::CANARY_UID) == Some(&uid));
        let (weight, acceptance) = match workload {
            Some(workload) => (weight(workload), acceptance(workload)),
            None => (Some(Weight::ZERO), Acceptance::Accepted),
        };
        Ok(Some(Split {
            routes: weight.map(|weight| Routes::share(weight.percent())),
            acceptance,
            editor: None,
        }))
    }

    fn render(&self, _: &Canary, _: &Live, _: Routes) -> Result<Vec<Change>, RouterError> {
        Ok(Vec::new())
    }

    fn finalize(&self, _: &Canary, _: &Live) -> Result<Vec<Change>, RouterError> {
        Ok(Vec::new())
    }
}

fn is_built_in(metric: &&Metric) -> bool {
    let measured = metric.template_ref.is_some() || metric.query.is_some();
    BUILT_IN.contains(&metric.name.as_str()) && !measured
}

/// The weight on the workload; `None`: it says something else.
fn weight(workload: &Deployment) -> Option<Weight> {
    let Some(text) = workload.meta.annotations.get(mark::WEIGHT) else {
        return Some(Weight::ZERO);
    };
    let percent = text.parse().ok().filter(|percent| *percent <= 100);
    percent.map(Weight::new)
}

/// In force as soon as all Pods are ready, and no more than all are there.
fn acceptance(workload: &Deployment) -> Acceptance {
    let Deployment {
        meta,
        replicas,
        total,
        ready,
        ..
    } = workload;
    let place = format!("Deployment {}/{}", meta.namespace, meta.name);
    if workload.observed_generation < meta.generation {
        Acceptance::Pending(format!(
            "{place}: its controller has not seen generation {} yet",
            meta.generation
        ))
    } else if ready < replicas {
        Acceptance::Pending(format!("{place}: {ready} of {replicas} Pods are ready"))
    } else if total > replicas {
        Acceptance::Pending(format!(
            "{place}: {total} Pods are there instead of {replicas}"
        ))
    } else {
        Acceptance::Accepted
    }
}
