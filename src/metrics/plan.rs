//! Which metrics judge a Canary, and what is wrong with those that cannot.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::{Limit, Measure, MetricPlan};
use crate::crd::canary::{Canary, Metric, OnNoData, TemplateRef, ThresholdRange};
use crate::metrics::store::{self, Store};
use crate::metrics::{DURATION, SUCCESS_RATE, Templates, address_problem, interval, template};
use crate::rollout::observed::{Problem, Severity};

/// Event reason of a metric that cannot be measured as it is written.
const INVALID: &str = "MetricInvalid";

/// Tolerated share of bad requests where nobody wrote one, in millionths: success ≥ 99 %, and p99 for durations.
const DEFAULT_TOLERATED: i64 = 10_000;

fn counts_grpc(canary: &Canary) -> bool {
    let service = canary.spec.service.as_ref();
    let protocol = service.and_then(|service| service.app_protocol.as_deref());
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("grpc"))
}

/// What all metrics of a Canary have in common.
pub(super) struct Planner<'a> {
    home: String,
    templates: &'a Templates,
    server: Option<&'a str>,
    provider: &'a str,
    grpc: bool,
    /// What the attempt holds against stable, and whether there is an attempt.
    of_stable: BTreeMap<String, f64>,
    tries: bool,
}

/// How one metric is measured, and its limit.
struct Measured {
    measure: Measure,
    limit: Limit,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        canary: &Canary,
        templates: &'a Templates,
        server: Option<&'a str>,
        provider: &'a str,
    ) -> Self {
        let status = canary.status.as_ref();
        let memory = status.and_then(|status| status.memory.as_ref());
        Self {
            of_stable: memory.map_or_else(BTreeMap::new, |it| it.slower_than_ms.clone()),
            tries: status.is_some_and(|status| status.candidate.is_some()),
            home: canary.home(),
            templates,
            server,
            provider,
            // The sidecars of Linkerd read the status of gRPC.
            grpc: counts_grpc(canary) && provider != "linkerd" && !provider.starts_with("smi:"),
        }
    }

    /// The plans of these metrics, or of the built-in ones if there are none; adds what is wrong to what was found.
    pub(super) fn plans(&self, metrics: &[Metric], found: &mut Vec<Problem>) -> Vec<MetricPlan> {
        if let Some(server) = self.server
            && let Some(why) = address_problem(server)
        {
            // An address with credentials is not repeated.
            found.push(refusal(
                INVALID,
                format!("spec.metricsServer: the address {why}"),
            ));
        }
        if metrics.is_empty() {
            self.defaults(found)
        } else {
            self.written(metrics, found)
        }
    }

    fn defaults(&self, found: &mut Vec<Problem>) -> Vec<MetricPlan> {
        if self.server.is_none() || self.provider == "none" {
            return Vec::new();
        }
        if self.grpc {
            let message = "errors of gRPC are not counted by HTTP status, so nothing but readiness judges the canary; name \
                a metric template in spec.analysis.metrics";
            found.push(warning("GrpcNotCounted", message.to_owned()));
            return Vec::new();
        }
        let metric = Metric {
            name: SUCCESS_RATE.to_owned(),
            ..Metric::default()
        };
        let limit = tolerated(DEFAULT_TOLERATED);
        vec![planned(&metric, Measure::Share, limit, true)]
    }

    fn written(&self, metrics: &[Metric], found: &mut Vec<Problem>) -> Vec<MetricPlan> {
        let mut names = BTreeSet::new();
        let mut plans = Vec::new();
        for (index, metric) in metrics.iter().enumerate() {
            let field = format!("spec.analysis.metrics[{index}]");
            if !names.insert(&metric.name) {
                let message = format!("{field}.name: {:?} is there twice", metric.name);
                found.push(refusal(INVALID, message));
                continue;
            }
            match self.measured(&field, metric) {
                // Stable had no durations when the attempt began: there is nothing to compare with.
                Ok(it) if self.tries && it.limit.slower_than_ms == Some(f64::INFINITY) => {}
                Ok(Measured { measure, limit }) => {
                    let least = self.least_window(metric, measure);
                    found.extend(warnings(&field, metric, least));
                    plans.push(planned(metric, measure, limit, false));
                }
                Err(problem) => found.push(problem),
            }
        }
        plans
    }

    fn measured(&self, field: &str, metric: &Metric) -> Result<Measured, Problem> {
        if metric.name.is_empty() {
            return Err(refused(field, "name", "is empty"));
        }
        if metric.min_samples.is_some_and(|samples| samples < 1) {
            return Err(refused(field, "minSamples", "must be at least 1"));
        }
        let range = range(field, metric)?;
        match (&metric.template_ref, &metric.query) {
            (Some(_), Some(_)) => Err(refused(
                field,
                "query",
                "and templateRef exclude each other",
            )),
            (Some(reference), None) => {
                self.check_template(field, metric, reference)?;
                value(field, range)
            }
            (None, Some(query)) => {
                self.need_server(field)?;
                check_query(&format!("{field}.query"), query, metric)?;
                value(field, range)
            }
            (None, None) => self.built_in(field, &metric.name, range),
        }
    }

    /// Seconds that a window should have: a range of Prometheus needs two scrapes, a rate about four (ANALYSIS M6), and 15 s between
    /// scrapes are usual; other stores have points of their own length.
    fn least_window(&self, metric: &Metric, measure: Measure) -> u64 {
        let usual = match measure {
            Measure::Share => 30,
            Measure::Value => 60,
        };
        let reference = metric.template_ref.as_ref();
        let key = reference.map(|it| (self.home.clone(), it.name.clone()));
        let template = key.and_then(|key| self.templates.get(&key));
        let own = template.and_then(|it| store::least_window(&it.spec.provider, &it.spec.query));
        own.unwrap_or(usual)
    }

    fn built_in(
        &self,
        field: &str,
        name: &str,
        range: ThresholdRange,
    ) -> Result<Measured, Problem> {
        let limit = match name {
            SUCCESS_RATE => success_limit(field, range)?,
            DURATION if range.max.is_none() => {
                least_duration(field, range)?;
                Limit::of_stable(self.of_stable.get(DURATION).copied())
            }
            DURATION => duration_limit(field, range)?,
            other => {
                let why = format!(
                    "{other:?} is not built in ({SUCCESS_RATE} and {DURATION} are), so it needs a templateRef or a query"
                );
                return Err(refused(field, "name", &why));
            }
        };
        self.need_server(field)?;
        if self.provider == "none" {
            let why = "is counted at a Service, and provider none has none; name a template";
            return Err(refused(field, "name", why));
        }
        if self.grpc && name == SUCCESS_RATE {
            let message = format!(
                "{field}.name: errors of gRPC are not counted by HTTP status; name a metric template"
            );
            return Err(refusal("GrpcNotCounted", message));
        }
        Ok(Measured {
            measure: Measure::Share,
            limit,
        })
    }

    fn need_server(&self, field: &str) -> Result<(), Problem> {
        if self.server.is_some() {
            return Ok(());
        }
        let message = format!("{field}: there is no metrics server to ask; set spec.metricsServer");
        Err(refusal(INVALID, message))
    }

    fn check_template(
        &self,
        field: &str,
        metric: &Metric,
        reference: &TemplateRef,
    ) -> Result<(), Problem> {
        let namespace = reference.namespace.as_deref().unwrap_or(&self.home);
        if namespace != self.home {
            let why = format!(
                "the template lies in namespace {namespace:?}, but only those of {:?} may be used",
                self.home
            );
            return Err(refused(field, "templateRef", &why));
        }
        let key = (self.home.clone(), reference.name.clone());
        let Some(template) = self.templates.get(&key) else {
            let why = format!("there is no MetricTemplate {:?} in {:?}", key.1, key.0);
            return Err(refused(field, "templateRef", &why));
        };
        let field = format!("{field}.templateRef: MetricTemplate {:?}", reference.name);
        let provider = &template.spec.provider;
        if let Some(why) = store::problem(provider, &template.spec.query) {
            return Err(refusal(INVALID, format!("{field}: spec.{why}")));
        }
        if provider.address.is_none() && Store::named(&provider.type_) == Some(Store::Prometheus) {
            self.need_server(&field)?;
        }
        check_query(
            &format!("{field}: spec.query"),
            &template.spec.query,
            metric,
        )
    }
}

fn check_query(field: &str, query: &str, metric: &Metric) -> Result<(), Problem> {
    template::check(query, &metric.template_variables)
        .map_err(|why| refusal("TemplateUnsupported", format!("{field}: {why}")))
}

/// The limits as a range, whichever way they are written.
fn range(field: &str, metric: &Metric) -> Result<ThresholdRange, Problem> {
    let range = match (metric.threshold_range, metric.threshold) {
        (Some(_), Some(_)) => {
            return Err(refused(
                field,
                "threshold",
                "and thresholdRange exclude each other",
            ));
        }
        (Some(range), None) => range,
        (None, Some(min)) if metric.name == SUCCESS_RATE => ThresholdRange {
            min: Some(min),
            max: None,
        },
        (None, max) => ThresholdRange { min: None, max },
    };
    let limits = [range.min, range.max];
    if limits.into_iter().flatten().any(|limit| !limit.is_finite()) {
        return Err(refused(field, "thresholdRange", "must be finite"));
    }
    if let (Some(min), Some(max)) = (range.min, range.max)
        && min > max
    {
        let why = format!("no value is at least {min} and at most {max}");
        return Err(refused(field, "thresholdRange", &why));
    }
    Ok(range)
}

fn value(field: &str, range: ThresholdRange) -> Result<Measured, Problem> {
    if range.min.is_none() && range.max.is_none() {
        return Err(refused(field, "thresholdRange", "needs min, max or both"));
    }
    Ok(Measured {
        measure: Measure::Value,
        limit: Limit {
            min: range.min,
            max: range.max,
            ..Limit::default()
        },
    })
}

fn success_limit(field: &str, range: ThresholdRange) -> Result<Limit, Problem> {
    let Some(min) = range.min else {
        let why = format!("{SUCCESS_RATE} needs a min, in percent");
        return Err(refused(field, "thresholdRange", &why));
    };
    if !(0.0..=100.0).contains(&min) {
        return Err(refused(
            field,
            "thresholdRange.min",
            "must be 0 to 100, in percent",
        ));
    }
    if range.max.is_some_and(|max| max < 100.0) {
        let why = format!("a {SUCCESS_RATE} cannot be too good");
        return Err(refused(field, "thresholdRange.max", &why));
    }
    Ok(tolerated(millionths((100.0 - min) / 100.0)))
}

fn duration_limit(field: &str, range: ThresholdRange) -> Result<Limit, Problem> {
    let max = range.max.unwrap_or_default();
    if max <= 0.0 {
        return Err(refused(
            field,
            "thresholdRange.max",
            "must be above 0, in milliseconds",
        ));
    }
    least_duration(field, range)?;
    Ok(Limit {
        slower_than_ms: Some(max),
        ..tolerated(DEFAULT_TOLERATED)
    })
}

fn least_duration(field: &str, range: ThresholdRange) -> Result<(), Problem> {
    if range.min.is_some_and(|min| min > 0.0) {
        let why = format!("a {DURATION} cannot be too short");
        return Err(refused(field, "thresholdRange.min", &why));
    }
    Ok(())
}

fn tolerated(millionths: i64) -> Limit {
    Limit {
        tolerated_millionths: Some(millionths),
        ..Limit::default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a share of at most one, rounded to millionths"
)]
fn millionths(share: f64) -> i64 {
    (share * 1e6).round() as i64
}

fn planned(metric: &Metric, measure: Measure, limit: Limit, default: bool) -> MetricPlan {
    MetricPlan {
        name: metric.name.clone(),
        measure,
        limit,
        on_no_data: if default {
            OnNoData::Wait
        } else {
            metric.on_no_data
        },
        dry_run: metric.dry_run,
        min_samples: metric.min_samples,
        window_seconds: u32::try_from(interval(metric).as_secs()).unwrap_or(u32::MAX),
        default,
    }
}

/// What is said about a metric that is planned all the same.
fn warnings(field: &str, metric: &Metric, least: u64) -> Vec<Problem> {
    let mut found = Vec::new();
    let window = interval(metric).as_secs();
    if window < least {
        let message = format!(
            "{field}.interval: {window}s may hold too few samples to judge by; {least}s would do"
        );
        found.push(warning(INVALID, message));
    }
    if metric.threshold.is_some() {
        let message = format!("{field}.threshold: write thresholdRange instead");
        found.push(warning(INVALID, message));
    }
    found
}

fn refused(field: &str, name: &str, why: &str) -> Problem {
    refusal(INVALID, format!("{field}.{name}: {why}"))
}

fn refusal(reason: &'static str, message: String) -> Problem {
    Problem {
        reason,
        message,
        severity: Severity::Refused,
    }
}

fn warning(reason: &'static str, message: String) -> Problem {
    Problem {
        reason,
        message,
        severity: Severity::Warning,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::crd::metric_template::MetricTemplate;
    use crate::metrics::plan;

    const SERVER: &str = "http://prometheus.monitoring:9090";

    fn canary(spec: &Value) -> Canary {
        let mut whole = json!({
            "apiVersion": "serin.dev/v1beta1",
            "kind": "Canary",
            "metadata": {"name": "podinfo", "namespace": "shop"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}}
        });
        let fields = spec.as_object().expect("an object").clone();
        whole["spec"]
            .as_object_mut()
            .expect("an object")
            .extend(fields);
        serde_json::from_value(whole).expect("a Canary")
    }

    fn with_metric(metric: &Value) -> Canary {
        canary(&json!({"analysis": {"metrics": [metric]}}))
    }

    fn templates(provider: &Value, query: &str) -> Templates {
        let template: MetricTemplate = serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1beta1",
            "kind": "MetricTemplate",
            "metadata": {"name": "errors", "namespace": "shop"},
            "spec": {"provider": provider, "query": query}
        }))
        .expect("a MetricTemplate");
        let key = ("shop".to_owned(), "errors".to_owned());
        Templates::from([(key, Arc::new(template))])
    }

    /// The plans of a metric without a problem.
    fn planned_as(metric: &Value, templates: &Templates) -> MetricPlan {
        let (plans, problems) = plan(
            &with_metric(metric),
            templates,
            Some(SERVER),
            "gatewayapi:v1",
        );
        assert_eq!(problems, []);
        plans.into_iter().next().expect("a plan")
    }

    /// The only problem of a metric that is not planned.
    #[track_caller]
    fn problem(metric: &Value, templates: &Templates) -> Problem {
        let (plans, problems) = plan(
            &with_metric(metric),
            templates,
            Some(SERVER),
            "gatewayapi:v1",
        );
        assert_eq!(plans, []);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].severity, Severity::Refused);
        problems.into_iter().next().expect("a problem")
    }

    #[test]
    fn the_success_rate_is_the_default() {
        let (plans, problems) = plan(
            &canary(&json!({})),
            &Templates::new(),
            Some(SERVER),
            "gatewayapi:v1",
        );
        assert_eq!(problems, []);
        assert_eq!(plans.len(), 1);
        let only = &plans[0];
        assert_eq!((only.name.as_str(), only.default), (SUCCESS_RATE, true));
        assert_eq!(only.limit, tolerated(10_000));
        assert_eq!((only.measure, only.window_seconds), (Measure::Share, 60));
    }

    #[test]
    fn without_server_or_service_nothing_is_measured() {
        for (server, provider) in [(None, "gatewayapi:v1"), (Some(SERVER), "none")] {
            let found = plan(&canary(&json!({})), &Templates::new(), server, provider);
            assert_eq!(found, (Vec::new(), Vec::new()));
        }
        let own = canary(&json!({"metricsServer": SERVER}));
        assert_eq!(plan(&own, &Templates::new(), None, "kubernetes").0.len(), 1);
    }

    #[test]
    fn grpc_is_not_counted_by_http_status() {
        let service = json!({"port": 80, "appProtocol": "grpc"});
        let grpc = canary(&json!({"service": service}));
        let (plans, problems) = plan(&grpc, &Templates::new(), Some(SERVER), "linkerd");
        assert!(plans.len() == 1 && problems.is_empty(), "{problems:?}");
        let (plans, problems) = plan(&grpc, &Templates::new(), Some(SERVER), "gatewayapi:v1");
        assert_eq!(plans, []);
        assert_eq!(
            (problems[0].reason, problems[0].severity),
            ("GrpcNotCounted", Severity::Warning)
        );
        let metrics = json!([{"name": SUCCESS_RATE, "thresholdRange": {"min": 99}}]);
        let grpc = canary(&json!({"service": service, "analysis": {"metrics": metrics}}));
        let (plans, problems) = plan(&grpc, &Templates::new(), Some(SERVER), "gatewayapi:v1");
        assert_eq!(plans, []);
        assert_eq!(
            (problems[0].reason, problems[0].severity),
            ("GrpcNotCounted", Severity::Refused)
        );
    }

    #[test]
    fn built_in_limits_become_shares() {
        let none = Templates::new();
        for (min, expected) in [
            (99.0, 10_000),
            (99.95, 500),
            (100.0, 0),
            (90.0, 100_000),
            (99.9, 1_000),
        ] {
            let metric = json!({"name": SUCCESS_RATE, "thresholdRange": {"min": min}, "interval": "2m", "minSamples": 7});
            let plan = planned_as(&metric, &none);
            assert_eq!(plan.limit.tolerated_millionths, Some(expected), "{min}");
            assert_eq!((plan.window_seconds, plan.min_samples), (120, Some(7)));
            assert!(!plan.default);
        }
        let plan = planned_as(
            &json!({"name": DURATION, "thresholdRange": {"max": 500}}),
            &none,
        );
        assert_eq!(plan.limit.slower_than_ms, Some(500.0));
        assert_eq!(plan.limit.tolerated_millionths, Some(10_000));
    }

    /// What is slow is found when an attempt begins; without that there is nothing to compare in it.
    #[test]
    fn a_duration_without_a_limit_is_compared_with_stables() {
        let metrics =
            json!([{"name": SUCCESS_RATE, "thresholdRange": {"min": 99}}, {"name": DURATION}]);
        let mut canary = canary(&json!({"analysis": {"metrics": metrics}}));
        let slow = |canary: &Canary| {
            let (plans, problems) = plan(canary, &Templates::new(), Some(SERVER), "gatewayapi:v1");
            assert_eq!(problems, []);
            let plan = plans.iter().find(|it| it.name == DURATION);
            plan.map(|it| (it.limit.is_of_stable(), it.limit.slower_than_ms))
        };
        assert_eq!(slow(&canary), Some((true, Some(f64::INFINITY))));
        let status = |memory: Value| {
            let candidate = json!({"revision": "a", "images": [], "containers": "", "attempt": 1});
            serde_json::from_value(json!({"candidate": candidate, "memory": memory}))
        };
        canary.status = Some(status(json!({"slowerThanMs": {DURATION: 250.0}})).expect("a status"));
        assert_eq!(slow(&canary), Some((true, Some(250.0))));
        canary.status = Some(status(json!({})).expect("a status"));
        assert_eq!(slow(&canary), None);
    }

    #[test]
    fn templates_and_queries_are_values() {
        let templates = templates(&json!({"type": "prometheus"}), r#"x{app="{{ target }}"}"#);
        let reference = json!({"name": "errors"});
        let range = json!({"min": 1, "max": 2});
        let metrics = [
            json!({"name": "errors", "templateRef": reference, "thresholdRange": range, "onNoData": "fail"}),
            json!({"name": "errors", "query": "vector(1)", "thresholdRange": range, "onNoData": "fail"}),
            json!({"name": SUCCESS_RATE, "templateRef": reference, "thresholdRange": range, "onNoData": "fail"}),
        ];
        for metric in metrics {
            let plan = planned_as(&metric, &templates);
            assert_eq!(
                (plan.measure, plan.on_no_data),
                (Measure::Value, OnNoData::Fail)
            );
            assert_eq!((plan.limit.min, plan.limit.max), (Some(1.0), Some(2.0)));
        }
    }

    #[test]
    fn a_template_may_have_a_server_of_its_own() {
        let metric = json!({"name": "errors", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 1}});
        let own = templates(
            &json!({"type": "prometheus", "address": SERVER}),
            "vector(1)",
        );
        let (plans, problems) = plan(&with_metric(&metric), &own, None, "none");
        assert_eq!((plans.len(), problems), (1, Vec::new()));
        let canary = with_metric(&metric);
        let source = crate::metrics::source(&canary, &own, None, "errors").expect("a source");
        assert_eq!(
            (source.server.address(), source.query),
            (Some(SERVER), "vector(1)")
        );
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a row for each mistake")]
    fn mistakes_name_their_field() {
        let none = Templates::new();
        let range = json!({"max": 1});
        let rows = [
            (
                json!({"name": "x", "thresholdRange": range}),
                ".name: \"x\" is not built in",
            ),
            (
                json!({"name": SUCCESS_RATE}),
                ".thresholdRange: request-success-rate needs a min",
            ),
            (
                json!({"name": SUCCESS_RATE, "thresholdRange": {"min": 101}}),
                ".thresholdRange.min: must be 0 to 100",
            ),
            (
                json!({"name": SUCCESS_RATE, "thresholdRange": {"min": 9, "max": 99}}),
                ".thresholdRange.max: ",
            ),
            (
                json!({"name": DURATION, "thresholdRange": {"max": 0}}),
                ".thresholdRange.max: must be above 0",
            ),
            (
                json!({"name": DURATION, "thresholdRange": {"min": 5, "max": 9}}),
                ".thresholdRange.min: ",
            ),
            (
                json!({"name": "x", "query": "1", "thresholdRange": {"min": 2, "max": 1}}),
                ".thresholdRange: no value",
            ),
            (
                json!({"name": "x", "query": "1", "thresholdRange": range, "threshold": 1}),
                ".threshold: and",
            ),
            (
                json!({"name": "x", "query": "1"}),
                ".thresholdRange: needs min, max or both",
            ),
            (
                json!({"name": "x", "query": "{{ nope }}", "thresholdRange": range}),
                ".query: {{ nope }}",
            ),
            (
                json!({"name": "x", "query": "1", "thresholdRange": range, "minSamples": 0}),
                ".minSamples: ",
            ),
            (
                json!({"name": "", "query": "1", "thresholdRange": range}),
                ".name: is empty",
            ),
            (
                json!({"name": "x", "templateRef": {"name": "y"}, "thresholdRange": range}),
                ".templateRef: there is no",
            ),
            (
                json!({"name": "x", "templateRef": {"name": "y", "namespace": "z"}, "thresholdRange": range}),
                ".templateRef: the template lies in namespace \"z\"",
            ),
        ];
        for (metric, expected) in rows {
            let message = problem(&metric, &none).message;
            let expected = format!("spec.analysis.metrics[0]{expected}");
            assert!(
                message.starts_with(&expected),
                "{message} does not begin with {expected}"
            );
        }
    }

    #[test]
    fn templates_of_another_kind_are_refused() {
        let rows = [
            (
                json!({"type": "keptn"}),
                "1",
                "spec.provider.type: keptn is not asked, for nobody maintains it any more; take web",
            ),
            (
                json!({"type": "externalmetrics", "insecureSkipVerify": true}),
                "shop/jobs",
                "spec.provider.insecureSkipVerify: is for a server at an address",
            ),
            (
                json!({"type": "prometheus", "address": "prometheus:9090"}),
                "1",
                "spec.provider.address: must begin",
            ),
            (
                json!({"type": "prometheus"}),
                "{{ variables.a }}",
                "spec.query: {{ variables.a }}",
            ),
            (
                json!({"type": "prometheus"}),
                "{{ .Name | upper }}",
                "spec.query: {{ .Name | upper }}",
            ),
        ];
        for (provider, query, expected) in rows {
            refuses(&provider, query, expected);
        }
    }

    /// A metric of the template with this server and query is refused with these words.
    fn refuses(provider: &serde_json::Value, query: &str, expected: &str) {
        let metric =
            json!({"name": "x", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 1}});
        let message = problem(&metric, &templates(provider, query)).message;
        let expected =
            format!("spec.analysis.metrics[0].templateRef: MetricTemplate \"errors\": {expected}");
        assert!(
            message.starts_with(&expected),
            "{message} does not begin with {expected}"
        );
    }

    #[test]
    fn a_store_needs_what_it_cannot_be_asked_without() {
        let rows = [
            (
                json!({"type": "datadog"}),
                "spec.provider.secretRef: is missing",
            ),
            (
                json!({"type": "cloudwatch"}),
                "spec.provider.region: is missing",
            ),
            (
                json!({"type": "cloudwatch", "region": "a.b"}),
                "spec.provider.region: \"a.b\" is none",
            ),
            (
                json!({"type": "cloudwatch", "region": "eu-central-1"}),
                "spec.provider.secretRef: is missing; cloudwatch answers nobody without credentials; what AWS lends",
            ),
            (
                json!({"type": "web", "region": "eu-central-1"}),
                "spec.provider.region: is for type cloudwatch alone",
            ),
            (
                json!({"type": "graphite"}),
                "spec.provider.address: is missing",
            ),
            (
                json!({"type": "web", "address": "http://a.test"}),
                "spec.provider.jsonPath: is missing",
            ),
            (
                json!({"type": "web", "address": "http://a.test", "jsonPath": "$..a"}),
                "spec.provider.jsonPath: \"$..a\" is not of the form",
            ),
            (
                json!({"type": "prometheus", "jsonPath": "$.a"}),
                "spec.provider.jsonPath: is for type web alone",
            ),
            (
                json!({"type": "prom"}),
                "spec.provider.type: \"prom\" is unknown",
            ),
        ];
        for (provider, expected) in rows {
            refuses(&provider, "1", expected);
        }
    }

    #[test]
    fn a_metric_without_a_server_is_a_mistake() {
        let metric = json!({"name": SUCCESS_RATE, "thresholdRange": {"min": 99}});
        let (plans, problems) = plan(
            &with_metric(&metric),
            &Templates::new(),
            None,
            "gatewayapi:v1",
        );
        assert_eq!(plans, []);
        let expected =
            "spec.analysis.metrics[0]: there is no metrics server to ask; set spec.metricsServer";
        assert_eq!(problems[0].message, expected);
    }

    #[test]
    fn names_are_there_once() {
        let metric = json!({"name": "x", "query": "vector(1)", "thresholdRange": {"max": 1}});
        let twice = canary(&json!({"analysis": {"metrics": [metric, metric]}}));
        let (plans, problems) = plan(&twice, &Templates::new(), Some(SERVER), "none");
        assert_eq!(plans.len(), 1);
        assert_eq!(
            problems[0].message,
            "spec.analysis.metrics[1].name: \"x\" is there twice"
        );
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        let own = canary(&json!({"metricsServer": "http://user:secret@prometheus"}));
        let (_, problems) = plan(&own, &Templates::new(), None, "gatewayapi:v1");
        let expected = "spec.metricsServer: the address must not carry credentials";
        assert_eq!(problems[0].message, expected);
    }

    #[test]
    fn short_ranges_warn() {
        let rows = [
            (
                json!({"name": SUCCESS_RATE, "thresholdRange": {"min": 99}, "interval": "29s"}),
                true,
            ),
            (
                json!({"name": SUCCESS_RATE, "thresholdRange": {"min": 99}, "interval": "30s"}),
                false,
            ),
            (
                json!({"name": "x", "query": "1", "thresholdRange": {"min": 99}, "interval": "30s"}),
                true,
            ),
            (
                json!({"name": "x", "query": "1", "thresholdRange": {"min": 99}}),
                false,
            ),
            (json!({"name": SUCCESS_RATE, "threshold": 99}), true),
        ];
        for (metric, warned) in rows {
            let (plans, problems) = plan(
                &with_metric(&metric),
                &Templates::new(),
                Some(SERVER),
                "gatewayapi:v1",
            );
            assert_eq!(
                (plans.len(), problems.len()),
                (1, usize::from(warned)),
                "{metric}"
            );
            assert!(
                problems
                    .iter()
                    .all(|problem| problem.severity == Severity::Warning)
            );
        }
    }
}
