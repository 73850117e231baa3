//! The analyses of a Rollout, brought together: Serin checks all metrics at every step.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::argo::Book;
use crate::cli::migrate::argo::template::{Measure, variable};
use crate::cli::migrate::fields::Fields;

/// The metrics that a Rollout's analyses name.
#[derive(Default)]
pub(super) struct Checks {
    metrics: Vec<Value>,
    intervals: Vec<String>,
    threshold: Option<i64>,
}

/// Where templates are found, and which Service is the canary's in the old and the new world.
pub(super) struct Scene<'a> {
    /// Everything in the files.
    pub(super) book: &'a Book,
    /// The namespace of the Rollout.
    pub(super) home: &'a str,
    /// The old name of the canary's Service, and the new one.
    pub(super) renamed: Option<(String, String)>,
}

impl Checks {
    /// Adds the metrics of one analysis, and says how many rounds it takes.
    pub(super) fn add(
        &mut self,
        mut analysis: Fields,
        scene: &Scene<'_>,
        account: &mut Account,
    ) -> i64 {
        let written = arguments(&mut analysis, account);
        let mut rounds = 1;
        for (path, reference) in analysis.list("templates") {
            let name = reference["templateName"].as_str().unwrap_or_default();
            let Some(template) = scene.book.template(&reference, scene.home) else {
                let text = format!(
                    "{name:?} is in no file: give migrate the AnalysisTemplate as well; without it this is not checked"
                );
                account.ask(&path, &text);
                continue;
            };
            account.change(
                &path,
                &format!(
                    "the metrics of {name} are in spec.analysis.metrics, and checked at every step"
                ),
            );
            for measure in &template.measures {
                rounds = rounds.max(measure.count);
                let mut values = template.arguments.clone();
                values.extend(written.clone());
                self.measure(measure, &values, (&path, scene), account);
            }
        }
        analysis.forget(
            &[
                ("startingStep", "metrics are checked from the first step on"),
                (
                    "analysisRunMetadata",
                    "runs of an analysis are not objects of their own",
                ),
                (
                    "measurementRetention",
                    "the Canary's status keeps the checks",
                ),
            ],
            account,
        );
        analysis.close(account);
        rounds
    }

    fn measure(
        &mut self,
        measure: &Measure,
        values: &BTreeMap<String, Option<String>>,
        (path, scene): (&str, &Scene<'_>),
        account: &mut Account,
    ) {
        let mut variables = Map::new();
        for name in &measure.variables {
            let Some(Some(value)) = values.get(name) else {
                let text = format!(
                    "argument {name:?} has no value in the files: write spec.analysis.metrics[].templateVariables.{}",
                    variable(name)
                );
                account.ask(path, &text);
                continue;
            };
            let value = match &scene.renamed {
                Some((old, new)) if old == value => {
                    account.change(path, &format!("argument {name}: {old} is now {new}"));
                    new
                }
                _ => value,
            };
            variables.insert(variable(name), json!(value));
        }
        let mut metric = Map::new();
        metric.insert("name".to_owned(), json!(measure.name));
        metric.insert("templateRef".to_owned(), json!({"name": measure.template}));
        if !variables.is_empty() {
            metric.insert("templateVariables".to_owned(), Value::Object(variables));
        }
        if let Some(limits) = measure.limits {
            let mut range = Map::new();
            range.extend(limits.min.map(|min| ("min".to_owned(), number(min))));
            range.extend(limits.max.map(|max| ("max".to_owned(), number(max))));
            metric.insert("thresholdRange".to_owned(), Value::Object(range));
        }
        if measure.dry {
            metric.insert("dryRun".to_owned(), json!(true));
        }
        if self.is_there(&metric) {
            return;
        }
        self.metrics.push(Value::Object(metric));
        if measure.dry {
            return;
        }
        self.intervals.extend(measure.interval.clone());
        let failures = self
            .threshold
            .map_or(measure.failures, |it| it.min(measure.failures));
        self.threshold = Some(failures);
    }

    /// Whether the same metric is there; another one of its name gets a new name.
    fn is_there(&self, metric: &Map<String, Value>) -> bool {
        self.metrics.iter().any(|it| it.as_object() == Some(metric))
    }

    /// Writes metrics, interval and threshold.
    pub(super) fn write(mut self, made: &mut Map<String, Value>, account: &mut Account) {
        if self.metrics.is_empty() {
            account.change(
                "spec.strategy",
                "has no analysis: Serin checks readiness, and request-success-rate ≥ 99 % where it has a metrics server",
            );
            return;
        }
        distinguish(&mut self.metrics);
        let shortest = self
            .intervals
            .iter()
            .filter_map(|text| Some((humantime::parse_duration(text).ok()?, text)))
            .min();
        if let Some((_, text)) = shortest.filter(|(length, _)| *length >= Duration::from_secs(1)) {
            made.insert("interval".to_owned(), json!(text));
            account.change(
                "spec.strategy",
                &format!("analysis.interval is {text}, the shortest of its metrics; Serin has one for all"),
            );
        }
        let threshold = self.threshold.unwrap_or(1);
        made.insert("threshold".to_owned(), json!(threshold));
        account.change(
            "spec.strategy",
            &format!("analysis.threshold is {threshold}, one more than the least failureLimit of its metrics; Serin has one for all"),
        );
        made.insert("metrics".to_owned(), json!(self.metrics));
    }
}

/// Names are unique in a Canary.
fn distinguish(metrics: &mut [Value]) {
    let mut seen = BTreeMap::<String, usize>::new();
    for metric in metrics {
        let name = metric["name"].as_str().unwrap_or_default().to_owned();
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            metric["name"] = json!(format!("{name}-{count}"));
        }
    }
}

fn arguments(analysis: &mut Fields, account: &mut Account) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    for (path, row) in analysis.list("args") {
        let Some(name) = row["name"].as_str() else {
            continue;
        };
        let value = row["value"].as_str().map(str::to_owned);
        if value.is_none() {
            let text = format!(
                "argument {name:?} is taken from an object: write its value into templateVariables, or use {{{{ canary.workload }}}} and the like in the query"
            );
            account.ask(&path, &text);
        }
        if value.is_some() {
            account.keep(&path);
        }
        found.insert(name.to_owned(), value);
    }
    found
}

/// Whole numbers without a fraction.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if (whole as f64 - value).abs() < f64::EPSILON {
        json!(whole)
    } else {
        json!(value)
    }
}
