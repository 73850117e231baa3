//! What Serin says about itself: its log, and the metrics named `serin_…` (PROVIDERS 6.1).

pub mod gauges;
pub mod log;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::crd::canary::Canary;

/// Labels of one series, in the order in which they are written.
type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;
/// A gauge of a float: weights, times and measured values.
type FloatGauge = Gauge<f64, AtomicU64>;

/// Media type of what `encode` returns.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serin's own metrics. A clone counts into the same series.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Series>);

#[derive(Debug)]
struct Series {
    registry: Registry,
    default_provider: String,
    leader: Gauge,
    reconciles: Counters,
    reconcile_seconds: Histogram,
    runs: Counters,
    run_seconds: Histograms,
    api_requests: Counters,
    route_writes: Counters,
    route_resets: Counters,
    provider_requests: Counters,
    provider_seconds: Histograms,
    watch_restarts: Counters,
    breaches: Counters,
    reviews: Counters,
    notifications: Counters,
    rollback_reaction: Histogram,
}

impl Telemetry {
    /// Metrics that have counted nothing yet. The default provider is that of Canaries that name none.
    #[must_use]
    pub fn new(default_provider: &str) -> Self {
        let mut series = Series {
            registry: Registry::default(),
            default_provider: default_provider.to_owned(),
            leader: Gauge::default(),
            reconciles: Counters::default(),
            reconcile_seconds: calls(),
            runs: Counters::default(),
            run_seconds: Histograms::new_with_constructor(runs),
            api_requests: Counters::default(),
            route_writes: Counters::default(),
            route_resets: Counters::default(),
            provider_requests: Counters::default(),
            provider_seconds: Histograms::new_with_constructor(calls),
            watch_restarts: Counters::default(),
            breaches: Counters::default(),
            reviews: Counters::default(),
            notifications: Counters::default(),
            rollback_reaction: reactions(),
        };
        series.register_counters();
        series.register_others();
        Self(Arc::new(series))
    }

    /// A tick of one Canary ended with this result (`ok`, `error`, `conflict`, …).
    pub fn reconciled(&self, result: &str, seconds: f64) {
        count(&self.0.reconciles, &[("result", result)]);
        self.0.reconcile_seconds.observe(seconds);
    }

    /// An attempt ended. Outcome and proof are written in lower case.
    pub fn run_ended(&self, run: &Run<'_>, seconds: f64) {
        let outcome = run.outcome.to_lowercase();
        let labels = [
            ("outcome", outcome.as_str()),
            ("proof", &run.proof.to_lowercase()),
            ("strategy", run.strategy),
            ("provider", run.provider),
        ];
        count(&self.0.runs, &labels);
        observe(&self.0.run_seconds, &labels[..1], seconds);
    }

    /// A request to the API server was answered with this status code; 0: there was no answer.
    pub fn api_request(&self, verb: &str, resource: &str, code: u16) {
        let code = code.to_string();
        let labels = [("verb", verb), ("resource", resource), ("code", &code)];
        count(&self.0.api_requests, &labels);
    }

    /// A traffic object was written.
    pub fn route_write(&self, provider: &str, result: &str) {
        let labels = [("provider", provider), ("result", result)];
        count(&self.0.route_writes, &labels);
    }

    /// Weights of somebody else were put right.
    pub fn route_reset(&self, provider: &str) {
        count(&self.0.route_resets, &[("provider", provider)]);
    }

    /// A metrics server was asked.
    pub fn provider_request(&self, type_: &str, result: &str, seconds: f64) {
        let labels = [("type", type_), ("result", result)];
        count(&self.0.provider_requests, &labels);
        observe(&self.0.provider_seconds, &labels, seconds);
    }

    /// A watch had to begin again with a list.
    pub fn watch_restart(&self, resource: &str) {
        count(&self.0.watch_restarts, &[("resource", resource)]);
    }

    /// An action that breaks the invariant with this id (SAFETY 1) was dropped.
    pub fn invariant_breach(&self, id: &str) {
        count(&self.0.breaches, &[("id", id)]);
    }

    /// The gate's webhook of this name was asked about a write.
    pub fn reviewed(&self, webhook: &str, changed: bool) {
        let result = if changed { "changed" } else { "unchanged" };
        count(&self.0.reviews, &[("webhook", webhook), ("result", result)]);
    }

    /// A message to people was sent to a system of this type, or could not be.
    pub fn notified(&self, type_: &str, result: &str) {
        count(
            &self.0.notifications,
            &[("type", type_), ("result", result)],
        );
    }

    /// So long after the bad sample, weight 0 was in force.
    pub fn rollback_reaction(&self, seconds: f64) {
        self.0.rollback_reaction.observe(seconds);
    }

    /// Whether this replica leads.
    pub fn leader(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// Everything as OpenMetrics text. The gauges of Canaries are made from this list, so they go with their object.
    #[must_use]
    pub fn encode(&self, canaries: &[Arc<Canary>]) -> String {
        let gauges = gauges::registry(canaries, &self.0.default_provider);
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.0.registry)
            .and_then(|()| encode_registry(&mut text, &gauges))
            .and_then(|()| encode_eof(&mut text));
        if written.is_err() {
            // Cannot happen for a string; without its end a scraper takes the text for an error.
            text.clear();
        }
        text
    }
}

/// What the counter of ended attempts tells apart.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// An `Outcome`.
    pub outcome: &'a str,
    /// `complete`, or the exception that a promotion owes itself to.
    pub proof: &'a str,
    /// As `gauges::strategy` names it.
    pub strategy: &'a str,
    /// The provider.
    pub provider: &'a str,
}

impl Series {
    fn register_counters(&mut self) {
        let mut add = |name: &str, help: &str, family: &Counters| {
            self.registry.register(name, help, family.clone());
        };
        add("serin_reconcile", "Ticks by result", &self.reconciles);
        add("serin_runs", "Attempts that ended", &self.runs);
        add(
            "serin_api_requests",
            "Requests to the API server",
            &self.api_requests,
        );
        add(
            "serin_route_writes",
            "Writes of traffic objects",
            &self.route_writes,
        );
        add(
            "serin_route_resets",
            "Foreign weights that were put right",
            &self.route_resets,
        );
        add(
            "serin_provider_requests",
            "Questions to metrics servers",
            &self.provider_requests,
        );
        add(
            "serin_watch_restarts",
            "Watches that began again",
            &self.watch_restarts,
        );
        add(
            "serin_invariant_breaches",
            "Actions dropped because they break an invariant",
            &self.breaches,
        );
        add(
            "serin_webhook_reviews",
            "Writes that the gate's webhook was asked about",
            &self.reviews,
        );
        add(
            "serin_notifications",
            "Messages to people",
            &self.notifications,
        );
    }

    fn register_others(&mut self) {
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        let registry = &mut self.registry;
        registry.register("serin_build", "Version of Serin", build);
        registry.register(
            "serin_leader",
            "1 on the replica that leads",
            self.leader.clone(),
        );
        registry.register(
            "serin_reconcile_duration_seconds",
            "Length of a tick",
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "serin_run_duration_seconds",
            "Length of an attempt",
            self.run_seconds.clone(),
        );
        registry.register(
            "serin_provider_request_duration_seconds",
            "Time until a metrics server answered",
            self.provider_seconds.clone(),
        );
        registry.register(
            "serin_rollback_reaction_seconds",
            "From the bad sample to weight 0 in force",
            self.rollback_reaction.clone(),
        );
    }
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

fn count(family: &Counters, pairs: &[(&'static str, &str)]) {
    family.get_or_create(&labels(pairs)).inc();
}

fn observe(family: &Histograms, pairs: &[(&'static str, &str)], seconds: f64) {
    family.get_or_create(&labels(pairs)).observe(seconds);
}

/// A call within the cluster: milliseconds to the deadline of 10 s.
fn calls() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

/// An attempt: a minute to a day.
fn runs() -> Histogram {
    Histogram::new([
        60.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0,
    ])
}

/// A rollback: the goal is a few seconds after the sample.
fn reactions() -> Histogram {
    Histogram::new([0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0])
}

#[cfg(test)]
mod tests;
