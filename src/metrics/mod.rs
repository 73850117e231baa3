//! What is measured, how it is asked for, and what the replies say. Requests and replies are data here; others send them.

pub mod batch;
pub mod history;
mod plan;
pub mod prometheus;
pub mod punctual;
pub mod query;
mod series;
pub mod store;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Uri;

use crate::analysis::MetricPlan;
use crate::crd::canary::{Canary, Metric};
use crate::crd::metric_template::{MetricServer, MetricTemplate};
use crate::metrics::plan::Planner;
use crate::metrics::store::{Server, Store};
use crate::rollout::observed::{Answer, Problem};

/// Name of the built-in check of the share of requests without an error.
pub const SUCCESS_RATE: &str = "request-success-rate";

/// Name of the built-in check of the share of requests that are slower than a limit.
pub const DURATION: &str = "request-duration";

/// The MetricTemplates of the cluster, by namespace and name.
pub type Templates = BTreeMap<(String, String), Arc<MetricTemplate>>;

/// Why a question got no usable reply; a variant for each thing that can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// The server did not answer, or not as a Prometheus does: ask again later.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered, but says itself that the reply may be incomplete: it never passes, ask again later.
    #[error("the reply carries a warning: {0}")]
    Warned(String),
    /// The question is wrong: somebody has to change the configuration.
    #[error("{0}")]
    Rejected(String),
}

impl From<MetricError> for Answer {
    fn from(error: MetricError) -> Self {
        match error {
            MetricError::Rejected(why) => Self::Rejected(why),
            unreachable => Self::Unreachable(unreachable.to_string()),
        }
    }
}

/// Where the value of a metric comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source<'a> {
    /// What answers.
    pub store: Store,
    /// The server as the template describes it; `None`: there is no template.
    pub provider: Option<&'a MetricServer>,
    /// The server.
    pub server: Server<'a>,
    /// The query, with its variables.
    pub query: &'a str,
    /// Values of `{{ variables.x }}`.
    pub variables: &'a BTreeMap<String, String>,
    /// Length of the window.
    pub interval: std::time::Duration,
}

/// The metrics that judge this Canary, and what is wrong with the others; a metric with an error is not in the plan.
///
/// `default` is the controller's metrics server, `provider` what routes the traffic. Without any metric in the spec, and
/// with a server and a Service to count at, the built-in success rate is planned with a limit of 99 %. Latency is
/// planned where the spec names it: with its limit, or compared with stable's durations if it has none.
#[must_use]
pub fn plan(
    canary: &Canary,
    templates: &Templates,
    default: Option<&str>,
    provider: &str,
) -> (Vec<MetricPlan>, Vec<Problem>) {
    let mut problems = Vec::new();
    let planner = Planner::new(canary, templates, server(canary, default), provider);
    let plans = planner.plans(&canary.spec.analysis.metrics, &mut problems);
    (plans, problems)
}

/// The server that answers for this Canary's built-in checks: its own, or else the controller's.
#[must_use]
pub fn server<'a>(canary: &'a Canary, default: Option<&'a str>) -> Option<&'a str> {
    canary.spec.metrics_server.as_deref().or(default)
}

/// Where the value of the metric with this name comes from; `None`: it is not in the spec, built in, or its template or
/// server is missing, which `plan` has said.
#[must_use]
pub fn source<'a>(
    canary: &'a Canary,
    templates: &'a Templates,
    default: Option<&'a str>,
    name: &str,
) -> Option<Source<'a>> {
    let metric = canary
        .spec
        .analysis
        .metrics
        .iter()
        .find(|metric| metric.name == name)?;
    let server = server(canary, default);
    let template = match &metric.template_ref {
        Some(reference) => {
            let key = (canary.home(), reference.name.clone());
            Some(&templates.get(&key)?.spec)
        }
        None => None,
    };
    let provider = template.map(|template| &template.provider);
    let store = provider.map_or(Some(Store::Prometheus), |it| Store::named(&it.type_))?;
    let server = server.filter(|_| store == Store::Prometheus);
    let own = provider.and_then(|provider| provider.address.as_deref());
    Some(Source {
        store,
        provider,
        server: match own.or(server) {
            Some(address) => Server::at(address),
            None => store.usual(provider?)?,
        },
        query: match template {
            Some(template) => &template.query,
            None => metric.query.as_deref()?,
        },
        variables: &metric.template_variables,
        interval: interval(metric),
    })
}

/// Window of a metric: a minute if nothing is written, and a second at least.
fn interval(metric: &Metric) -> std::time::Duration {
    let written = metric.interval.filter(|interval| !interval.is_negative());
    let interval = written.map_or(std::time::Duration::from_secs(60), Into::into);
    interval.max(std::time::Duration::from_secs(1))
}

/// What is wrong with the address of a server, if anything is.
fn address_problem(address: &str) -> Option<&'static str> {
    let Ok(uri) = address.parse::<Uri>() else {
        return Some("is no URL");
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.is_empty() {
        Some("must begin with http:// or https:// and a host")
    } else if authority.contains('@') {
        Some("must not carry credentials")
    } else if uri.query().is_some() {
        Some("must not carry a query")
    } else {
        None
    }
}
