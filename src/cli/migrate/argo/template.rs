//! An `AnalysisTemplate`: a MetricTemplate for each of its Prometheus metrics, and what a Canary says of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::argo::condition::{self, Limits};
use crate::cli::migrate::fields::{Fields, metadata};
use crate::cli::simulate::files::Manifest;

/// What of a metric has no place in a limit on a value.
const NO_PLACE: [(&str, &str); 4] = [
    (
        "inconclusiveLimit",
        "a value passes or fails, and nothing is inconclusive",
    ),
    (
        "consecutiveErrorLimit",
        "an error of the server is no value: onNoData says what it means, and by default a person decides",
    ),
    (
        "consecutiveSuccessLimit",
        "the steps say how many rounds have to pass",
    ),
    (
        "initialDelay",
        "the first sample is taken once the weight is in force",
    ),
];

/// One metric of a template, as a Canary uses it.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    /// Its name.
    pub(super) name: String,
    /// The MetricTemplate.
    pub(super) template: String,
    /// The limits; `None`: a person has to write them.
    pub(super) limits: Option<Limits>,
    /// Names of the arguments that the query uses.
    pub(super) variables: Vec<String>,
    /// `interval`, if it says one.
    pub(super) interval: Option<String>,
    /// How many measurements.
    pub(super) count: i64,
    /// Failed checks that end the analysis.
    pub(super) failures: i64,
    /// It decides nothing.
    pub(super) dry: bool,
}

/// A template that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    /// What it measures.
    pub(super) measures: Vec<Measure>,
    /// Arguments and their defaults.
    pub(super) arguments: BTreeMap<String, Option<String>>,
    /// The MetricTemplates.
    pub(super) objects: Vec<Value>,
}

/// Reads a template and says what became of it.
pub(super) fn read(manifest: &Manifest, account: &mut Account) -> Template {
    let mut spec = Fields::new("spec", manifest.object.get("spec").cloned());
    let mut template = Template {
        arguments: arguments(&mut spec, account),
        ..Template::default()
    };
    let why =
        "runs of an analysis are not objects of their own; the Canary's status keeps the checks";
    spec.forget(&[("measurementRetention", why)], account);
    let dry = dry(&mut spec, account);
    let metrics = spec.list("metrics");
    let alone = metrics.len() == 1;
    for (path, metric) in metrics {
        let name = metric["name"].as_str().unwrap_or_default();
        let made = if alone {
            manifest.name().to_owned()
        } else {
            format!("{}-{name}", manifest.name())
        };
        let is_dry = dry.iter().any(|pattern| pattern == name || pattern == ".*");
        let mut source = Fields::new(&path, Some(metric));
        if let Some((mut measure, object)) = measure(&mut source, &made, manifest, account) {
            measure.dry = is_dry;
            account.made.push(("MetricTemplate".to_owned(), made));
            template.measures.push(measure);
            template.objects.push(object);
        }
        source.close(account);
    }
    spec.hand_over(
        &[(
            "templates",
            "other templates are not followed: name them in the Rollout",
        )],
        account,
    );
    spec.close(account);
    template
}

/// Names of the metrics that decide nothing.
fn dry(spec: &mut Fields, account: &mut Account) -> Vec<String> {
    let field = spec.path("dryRun");
    let rows = spec.list("dryRun");
    if !rows.is_empty() {
        account.change(&field, "is dryRun of the Canary's metrics");
    }
    let names = rows.into_iter();
    names
        .filter_map(|(_, row)| row["metricName"].as_str().map(str::to_owned))
        .collect()
}

fn arguments(spec: &mut Fields, account: &mut Account) -> BTreeMap<String, Option<String>> {
    let field = spec.path("args");
    let rows = spec.list("args");
    if !rows.is_empty() {
        account.change(
            &field,
            "are templateVariables of the Canaries that use them",
        );
    }
    let named = |(_, row): (String, Value)| {
        let name = row["name"].as_str()?.to_owned();
        Some((name, row["value"].as_str().map(str::to_owned)))
    };
    rows.into_iter().filter_map(named).collect()
}

fn measure(
    metric: &mut Fields,
    made: &str,
    manifest: &Manifest,
    account: &mut Account,
) -> Option<(Measure, Value)> {
    let name = metric.text("name").unwrap_or_default();
    account.keep(&metric.path("name"));
    let path = metric.path("provider");
    let mut provider = metric
        .below("provider")
        .unwrap_or_else(|| Fields::new(&path, None));
    let Some(mut prometheus) = provider.below("prometheus") else {
        let kinds: Vec<_> = provider.rest().into_iter().map(|(kind, _)| kind).collect();
        let text = format!(
            "metric {name:?} asks {}, and only Prometheus is asked yet: the metric is left out; measure the same with Prometheus",
            kinds.join(", ")
        );
        account.ask(metric.path("").trim_end_matches('.'), &text);
        metric.clear();
        return None;
    };
    let (query, variables) = rewritten(&prometheus.text("query").unwrap_or_default());
    account.change(
        &prometheus.path("query"),
        &format!(
            "is the query of MetricTemplate {made}, with {{{{ variables.x }}}} for {{{{args.x}}}}"
        ),
    );
    let mut server = Map::from_iter([("type".to_owned(), json!("prometheus"))]);
    prometheus.keep(&["address"], &mut server, account);
    prometheus.forget(
        &[("timeout", "every question has a deadline of its own")],
        account,
    );
    prometheus.hand_over(
        &[
            ("insecure", "a certificate that cannot be verified is not taken yet: let Prometheus have one that can"),
            ("headers", "headers are not sent yet"),
            ("authentication", "credentials are not sent yet: give the controller a server that asks for none"),
            ("rangeQuery", "ranges are not asked for: the value is that of the moment"),
        ],
        account,
    );
    prometheus.close(account);
    provider.close(account);
    let (interval, count, failures) = pace(metric, account);
    let measure = Measure {
        limits: limits(metric, &name, account),
        interval,
        count,
        failures,
        name,
        template: made.to_owned(),
        variables,
        dry: false,
    };
    metric.forget(&NO_PLACE, account);
    let mut metadata = metadata(&manifest.object);
    metadata.insert("name".to_owned(), json!(made));
    let object = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "MetricTemplate", "metadata": metadata,
        "spec": {"provider": server, "query": query},
    });
    Some((measure, object))
}

/// Interval, measurements and failed checks of a metric: the Canary has one of each for all.
fn pace(metric: &mut Fields, account: &mut Account) -> (Option<String>, i64, i64) {
    let rows = [
        (
            "interval",
            "is the Canary's analysis.interval, if no other is shorter",
        ),
        (
            "count",
            "is the number of checks of the step that names the template",
        ),
        (
            "failureLimit",
            "is the Canary's analysis.threshold less one, if no other is smaller",
        ),
    ];
    for (name, text) in rows {
        let field = metric.path(name);
        if metric.has(name) {
            account.change(&field, text);
        }
    }
    let interval = metric.text("interval");
    let count = metric.number("count").unwrap_or(1).max(1);
    let failures = metric.number("failureLimit").unwrap_or(0).max(0);
    (interval, count, failures.saturating_add(1))
}

/// The limits of a metric, and in which words they were written.
fn limits(metric: &mut Fields, name: &str, account: &mut Account) -> Option<Limits> {
    let (on_success, on_failure) = (
        metric.path("successCondition"),
        metric.path("failureCondition"),
    );
    let passes = metric.text("successCondition");
    let fails = metric.text("failureCondition");
    let (field, text, read) = match (&passes, &fails) {
        (Some(passes), _) => (on_success, passes, condition::success(passes)),
        (None, Some(fails)) => (on_failure.clone(), fails, condition::failure(fails)),
        (None, None) => {
            let text = format!(
                "metric {name:?} has no condition: write its thresholdRange into the Canary"
            );
            account.ask(&on_success, &text);
            return None;
        }
    };
    if passes.is_some() && fails.is_some() {
        let text =
            "what neither condition took was inconclusive, and fails now; successCondition counts";
        account.change(&on_failure, text);
    }
    let Some(limits) = read else {
        let text = format!(
            "{text:?} is more than limits: write a thresholdRange for metric {name:?} into the Canary, and computing into the query"
        );
        account.ask(&field, &text);
        return None;
    };
    let looser = if limits.loosened {
        "; a value on the limit passes, which it did not"
    } else {
        ""
    };
    account.change(
        &field,
        &format!("{text} is the Canary's thresholdRange{looser}"),
    );
    Some(limits)
}

/// The query with Serin's names for arguments, and the arguments that it uses.
fn rewritten(query: &str) -> (String, Vec<String>) {
    let (mut text, mut names) = (String::new(), Vec::new());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((inside, behind)) = after.split_once("}}") else {
            text.push_str("{{");
            rest = after;
            continue;
        };
        if let Some(name) = inside.trim().strip_prefix("args.") {
            text.push_str(&format!("{{{{ variables.{} }}}}", variable(name)));
            if !names.contains(&name.to_owned()) {
                names.push(name.to_owned());
            }
        } else {
            text.push_str(&format!("{{{{{inside}}}}}"));
        }
        rest = behind;
    }
    text.push_str(rest);
    (text, names)
}

/// The name of a variable: an expression would take `-` for minus.
pub(super) fn variable(argument: &str) -> String {
    argument.replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_variables() {
        let (text, names) =
            rewritten("x{a=\"{{args.a-b}}\"} / {{ args.c }} + {{args.c}} {{ other }} {{");
        let wanted =
            "x{a=\"{{ variables.a_b }}\"} / {{ variables.c }} + {{ variables.c }} {{ other }} {{";
        assert_eq!(text, wanted);
        assert_eq!(names, ["a-b", "c"]);
    }
}
