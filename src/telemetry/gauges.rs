//! Gauges of Canaries, made anew at each scrape from the objects themselves.

use std::sync::Arc;

use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{FloatGauge, Labels};
use crate::crd::canary::Canary;
use crate::crd::comparison::ComparisonStatus;
use crate::crd::moment::Moment;
use crate::crd::status::{CanaryStatus, CheckStatus, CheckVerdict, Phase};

type Gauges = Family<Labels, FloatGauge>;

/// The word for the way in which a Canary is tried.
#[must_use]
pub fn strategy(canary: &Canary, provider: &str) -> &'static str {
    let analysis = &canary.spec.analysis;
    if !analysis.matches.is_empty() {
        "ab"
    } else if provider == "kubernetes" || analysis.iterations.is_some() {
        "bluegreen"
    } else {
        "canary"
    }
}

/// A registry with the gauges of these Canaries.
pub(super) fn registry(canaries: &[Arc<Canary>], default_provider: &str) -> Registry {
    let families = Families::default();
    for canary in canaries {
        Gauging::of(canary, &families).all(canary, default_provider);
    }
    families.into_registry()
}

#[derive(Debug, Default)]
struct Families {
    info: Gauges,
    phase: Gauges,
    weight: Gauges,
    step: Gauges,
    steps: Gauges,
    failed_checks: Gauges,
    gate_armed: Gauges,
    held: Gauges,
    transition: Gauges,
    deadline: Gauges,
    checks: Measured,
}

impl Families {
    fn into_registry(self) -> Registry {
        let mut registry = Registry::default();
        let mut add =
            |name: &str, help: &str, family: Gauges| registry.register(name, help, family);
        add("serin_canary_info", "What a Canary is", self.info);
        add(
            "serin_canary_phase",
            "1 for the phase that it is in",
            self.phase,
        );
        add(
            "serin_canary_weight",
            "Share of the traffic in percent",
            self.weight,
        );
        add(
            "serin_canary_step",
            "Step of the attempt, from 1",
            self.step,
        );
        add("serin_canary_steps", "Steps of the attempt", self.steps);
        add(
            "serin_canary_failed_checks",
            "Failed checks of the attempt",
            self.failed_checks,
        );
        add(
            "serin_canary_gate_armed",
            "1 while a changed template would be held",
            self.gate_armed,
        );
        add("serin_canary_held", "1 while a template is held", self.held);
        add(
            "serin_canary_transition_timestamp_seconds",
            "When its state last changed",
            self.transition,
        );
        add(
            "serin_canary_deadline_timestamp_seconds",
            "Until when the step has to make progress",
            self.deadline,
        );
        self.checks.register(&mut registry);
        registry
    }
}

/// What was measured.
#[derive(Debug, Default)]
struct Measured {
    value: Gauges,
    samples: Gauges,
    no_data: Gauges,
    threshold: Gauges,
    evidence: Gauges,
    evidence_limit: Gauges,
}

impl Measured {
    fn register(self, registry: &mut Registry) {
        let mut add =
            |name: &str, help: &str, family: Gauges| registry.register(name, help, family);
        add(
            "serin_metric_value",
            "Value of a check in the last round",
            self.value,
        );
        add(
            "serin_metric_samples",
            "Requests or values behind it",
            self.samples,
        );
        add(
            "serin_metric_no_data",
            "1 if nothing was measured",
            self.no_data,
        );
        add("serin_metric_threshold", "Limit of a check", self.threshold);
        add(
            "serin_metric_evidence",
            "Evidence of the comparison with stable, as a natural logarithm",
            self.evidence,
        );
        add(
            "serin_metric_evidence_limit",
            "Evidence that decides",
            self.evidence_limit,
        );
    }
}

/// Writes the gauges of one Canary.
struct Gauging<'a> {
    families: &'a Families,
    namespace: String,
    name: String,
}

impl<'a> Gauging<'a> {
    fn of(canary: &Canary, families: &'a Families) -> Self {
        Self {
            families,
            namespace: canary.home(),
            name: canary.metadata.name.clone().unwrap_or_default(),
        }
    }

    fn set(&self, family: &Gauges, more: &[(&'static str, &str)], value: f64) {
        let mut labels = super::labels(&[("namespace", &self.namespace), ("name", &self.name)]);
        labels.extend(super::labels(more));
        family.get_or_create(&labels).set(value);
    }

    fn all(&self, canary: &Canary, default_provider: &str) {
        let provider = canary.provider(default_provider);
        let info = [
            ("target", canary.target_name()),
            ("target_kind", canary.spec.target_ref.kind.as_str()),
            ("provider", provider),
            ("strategy", strategy(canary, provider)),
        ];
        self.set(&self.families.info, &info, 1.0);
        let Some(status) = &canary.status else {
            return;
        };
        self.phase(status);
        self.weights(status);
        self.progress(status);
        for check in &status.checks {
            self.check(check);
        }
        for compared in &status.comparison {
            self.comparison(compared);
        }
    }

    fn phase(&self, status: &CanaryStatus) {
        for phase in Phase::ALL {
            let here = f64::from(u8::from(phase == status.phase));
            self.set(&self.families.phase, &[("phase", phase.as_str())], here);
        }
        self.set(&self.families.gate_armed, &[], claim(gated(status)));
        self.set(&self.families.held, &[], claim(holds(status.phase)));
        if let Some(at) = transition(status) {
            self.set(&self.families.transition, &[], at);
        }
    }

    fn weights(&self, status: &CanaryStatus) {
        let traffic = &status.traffic;
        let observed = traffic.observed.as_deref().and_then(leading_number);
        let kinds = [
            ("desired", Some(f64::from(traffic.wanted))),
            ("written", Some(f64::from(traffic.written))),
            ("observed", observed),
        ];
        for (kind, percent) in kinds {
            let Some(percent) = percent else { continue };
            let weight = &self.families.weight;
            self.set(weight, &[("arm", "canary"), ("kind", kind)], percent);
            self.set(
                weight,
                &[("arm", "stable"), ("kind", kind)],
                100.0 - percent,
            );
        }
    }

    fn progress(&self, status: &CanaryStatus) {
        let step = status.step.as_ref();
        let index = step.map_or(0, |step| step.index + 1);
        let of = step.map_or(status.plan.len(), |step| step.of as usize);
        self.set(&self.families.step, &[], f64::from(index));
        self.set(&self.families.steps, &[], of as f64);
        self.set(
            &self.families.failed_checks,
            &[],
            f64::from(status.failed_checks),
        );
        if let Some(step) = step {
            let deadline = step.deadline_at.as_seconds();
            self.set(&self.families.deadline, &[], deadline);
        }
    }

    fn check(&self, check: &CheckStatus) {
        let arm = |arm: &'static str| [("metric", check.name.as_str()), ("arm", arm)];
        let values = [("canary", &check.value), ("stable", &check.stable)];
        for (name, value) in values {
            if let Some(value) = value.as_deref().and_then(leading_number) {
                self.set(&self.families.checks.value, &arm(name), value);
            }
        }
        if let Some(samples) = check.samples {
            self.set(
                &self.families.checks.samples,
                &arm("canary"),
                samples as f64,
            );
        }
        let no_data = claim(check.verdict == CheckVerdict::NoData);
        self.set(&self.families.checks.no_data, &arm("canary"), no_data);
        for (bound, limit) in check.limit.as_deref().map(bounds).unwrap_or_default() {
            let labels = [("metric", check.name.as_str()), ("bound", bound)];
            self.set(&self.families.checks.threshold, &labels, limit);
        }
    }

    /// Evidence against the canary, and that for promotion, with what decides.
    fn comparison(&self, of: &ComparisonStatus) {
        let bounds = [
            ("worse", Some(&of.evidence), &of.evidence_limit),
            ("promotion", of.proof.as_ref(), &of.proof_limit),
        ];
        for (bound, evidence, limit) in bounds {
            let labels = [("metric", of.metric.as_str()), ("bound", bound)];
            let Some(evidence) = evidence.and_then(|it| leading_number(it)) else {
                continue;
            };
            self.set(&self.families.checks.evidence, &labels, evidence);
            if let Some(limit) = leading_number(limit) {
                self.set(&self.families.checks.evidence_limit, &labels, limit);
            }
        }
    }
}

fn claim(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn gated(status: &CanaryStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Gated" && condition.status == "True")
}

/// The phases in which the target carries a template that it does not run.
fn holds(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion | Phase::Failed
    )
}

fn transition(status: &CanaryStatus) -> Option<f64> {
    let conditions = status
        .conditions
        .iter()
        .map(|condition| Moment::new(condition.last_transition_time.0));
    let step = status.step.as_ref().map(|step| step.started_at);
    conditions.chain(step).max().map(Moment::as_seconds)
}

/// The number that a text for people begins with, as in `99.93%` or `210 ms`.
fn leading_number(text: &str) -> Option<f64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The bounds in a text such as `>= 99`, `≤ 500 ms`, or both.
fn bounds(limit: &str) -> Vec<(&'static str, f64)> {
    let bound = |sign: char| match sign {
        '>' | '≥' => Some("min"),
        '<' | '≤' => Some("max"),
        _ => None,
    };
    limit
        .char_indices()
        .filter_map(|(at, sign)| {
            let rest = limit[at + sign.len_utf8()..].trim_start_matches(['=', ' ']);
            Some((bound(sign)?, leading_number(rest)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_for_people_are_numbers_for_scrapers() {
        let rows = [
            (">= 99", vec![("min", 99.0)]),
            ("≤ 500 ms", vec![("max", 500.0)]),
            (">= 1, <= 5", vec![("min", 1.0), ("max", 5.0)]),
            ("none", vec![]),
        ];
        for (text, expected) in rows {
            assert_eq!(bounds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_the_number_in_front() {
        let rows = [
            ("99.93%", Some(99.93)),
            ("-2", Some(-2.0)),
            ("no data", None),
            ("NaN", None),
        ];
        for (text, expected) in rows {
            assert_eq!(leading_number(text), expected, "{text}");
        }
    }
}
