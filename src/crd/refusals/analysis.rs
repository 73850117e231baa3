//! What is wrong with steps, checks and limits.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::crd::canary::{Analysis, CanarySpec, Metric, Step};
use crate::crd::refusals::{Findings, affinity, hooks, matching};

/// The checks that need no MetricTemplate.
const BUILT_IN: [&str; 2] = ["request-success-rate", "request-duration"];

/// Adds what is wrong with `spec.analysis` and the durations of the spec.
pub(super) fn check(spec: &CanarySpec, found: &mut Findings) {
    ways(&spec.analysis, found);
    weights(&spec.analysis, found);
    steps(&spec.analysis.steps, found);
    durations(spec, found);
    metrics(spec, found);
    hooks::check(&spec.analysis, found);
    matching::check(&spec.analysis, found);
    affinity::check(&spec.analysis, found);
    comparison(&spec.analysis, found);
    later(&spec.analysis, found);
}

fn ways(analysis: &Analysis, found: &mut Findings) {
    let stated = [
        !analysis.step_weights.is_empty(),
        analysis.step_weight.is_some(),
        !analysis.steps.is_empty(),
        analysis.iterations.is_some(),
    ];
    found.refuse_if(
        stated.into_iter().filter(|stated| *stated).count() > 1,
        "analysis",
        "states the steps in more than one way; keep one of stepWeights, stepWeight (with maxWeight), steps and iterations",
    );
    let [by_weights, by_step, ..] = stated;
    found.refuse_if(
        analysis.max_weight.is_some() && !by_step && !by_weights,
        "analysis.maxWeight",
        "needs analysis.stepWeight",
    );
}

fn weights(analysis: &Analysis, found: &mut Findings) {
    let percent = |weight: &i32| (1..=100).contains(weight);
    found.refuse_if(
        !analysis.step_weights.iter().all(percent) || !rises(&analysis.step_weights),
        "analysis.stepWeights",
        "must rise from step to step, from 1 to 100, for instance [10, 50, 100]",
    );
    let by = analysis.step_weight.as_ref();
    let most = analysis.max_weight.as_ref();
    found.refuse_if(
        by.is_some_and(|by| !percent(by)),
        "analysis.stepWeight",
        "must be 1 to 100",
    );
    found.refuse_if(
        most.is_some_and(|most| !percent(most)),
        "analysis.maxWeight",
        "must be 1 to 100",
    );
    found.refuse_if(
        by.zip(most).is_some_and(|(by, most)| by > most),
        "analysis.stepWeight",
        "is greater than analysis.maxWeight, so no step is left",
    );
}

fn rises(weights: &[i32]) -> bool {
    weights.is_sorted_by(|earlier, later| earlier < later)
}

fn steps(steps: &[Step], found: &mut Findings) {
    for (index, step) in steps.iter().enumerate() {
        let field = format!("analysis.steps[{index}]");
        let Step {
            set_weight,
            pause,
            checks,
            set_mirror,
            set_header_route,
        } = step;
        let set = [
            set_weight.is_some(),
            pause.is_some(),
            checks.is_some(),
            set_mirror.is_some(),
            set_header_route.is_some(),
        ];
        found.refuse_if(
            set.into_iter().filter(|set| *set).count() != 1,
            &field,
            "has exactly one of setWeight, pause, checks, setMirror and setHeaderRoute; make a second entry for the second",
        );
        found.refuse_if(
            *checks == Some(0),
            &format!("{field}.checks"),
            "must be 1 or more",
        );
    }
    let weights: Vec<i32> = steps.iter().filter_map(|step| step.set_weight).collect();
    found.refuse_if(
        !rises(&weights) || !weights.iter().all(|weight| (0..=100).contains(weight)),
        "analysis.steps",
        "setWeight must rise from step to step, up to 100, for instance 10, 50, 100",
    );
}

fn durations(spec: &CanarySpec, found: &mut Findings) {
    let analysis = &spec.analysis;
    let second = Duration::from_secs(1);
    let mut fields = vec![
        (
            "approvalDeadline".to_owned(),
            spec.approval_deadline,
            second,
        ),
        (
            "analysis.interval".to_owned(),
            Some(analysis.interval),
            second,
        ),
        ("analysis.bake".to_owned(), analysis.bake, Duration::ZERO),
        ("analysis.maxWait".to_owned(), analysis.max_wait, second),
    ];
    for (index, step) in analysis.steps.iter().enumerate() {
        let pause = step.pause.as_ref().and_then(|pause| pause.duration);
        fields.push((
            format!("analysis.steps[{index}].pause.duration"),
            pause,
            second,
        ));
    }
    for (index, metric) in analysis.metrics.iter().enumerate() {
        fields.push((
            format!("analysis.metrics[{index}].interval"),
            metric.interval,
            second,
        ));
    }
    for (index, hook) in analysis.webhooks.iter().enumerate() {
        let field = format!("analysis.webhooks[{index}].timeout");
        fields.push((field, hook.timeout, second));
    }
    for (field, duration, least) in fields {
        let message = format!("must be at least {least:?}, for instance 90s, 5m or 1h30m");
        found.refuse_if(
            duration.is_some_and(|duration| duration < least),
            &field,
            &message,
        );
    }
}

fn metrics(spec: &CanarySpec, found: &mut Findings) {
    let workers = spec.provider.as_deref() == Some("none");
    let mut names = BTreeSet::new();
    for (index, metric) in spec.analysis.metrics.iter().enumerate() {
        let field = format!("analysis.metrics[{index}]");
        found.refuse_if(
            !names.insert(&metric.name),
            &format!("{field}.name"),
            "is there twice; names are unique",
        );
        found.refuse_if(
            metric.template_ref.is_some() && metric.query.is_some(),
            &field,
            "templateRef and query exclude each other; keep one",
        );
        let bare = metric.template_ref.is_none() && metric.query.is_none();
        let built_in = BUILT_IN.contains(&metric.name.as_str());
        found.refuse_if(
            bare && !built_in,
            &format!("{field}.name"),
            "is not built in (request-success-rate and request-duration are), so it needs a templateRef or a query",
        );
        found.refuse_if(
            bare && built_in && workers,
            &format!("{field}.name"),
            "is counted at a Service, and provider none has none; name a MetricTemplate in templateRef",
        );
        limits(&field, metric, found);
    }
}

fn limits(field: &str, metric: &Metric, found: &mut Findings) {
    let range = metric.threshold_range.unwrap_or_default();
    found.refuse_if(
        metric.threshold.is_none() && range.min.is_none() && range.max.is_none(),
        field,
        "a metric without a limit cannot fail; write thresholdRange with min, max or both",
    );
    found.refuse_if(
        metric.threshold.is_some() && metric.threshold_range.is_some(),
        field,
        "threshold and thresholdRange exclude each other; keep thresholdRange",
    );
    found.refuse_if(
        range.min.zip(range.max).is_some_and(|(min, max)| min > max),
        &format!("{field}.thresholdRange"),
        "min is greater than max, so no value could pass",
    );
}

fn comparison(analysis: &Analysis, found: &mut Findings) {
    let Some(comparison) = &analysis.comparison else {
        return;
    };
    let both = comparison.tolerance.zip(comparison.non_inferiority);
    found.refuse_if(
        both.is_some_and(|(tolerance, bound)| tolerance > bound),
        "analysis.comparison.tolerance",
        "is greater than nonInferiority: what is tolerated could never be promoted",
    );
}

fn later(analysis: &Analysis, found: &mut Findings) {
    found.later(
        analysis.config_tracking,
        "analysis.configTracking",
        "it comes",
    );
}
