//! Questions for Prometheus: the built-in ones (PROVIDERS 2), and those of templates (PROVIDERS 3).

use std::collections::BTreeMap;
use std::time::Duration;

use minijinja::Value;

use crate::analysis::{Measure, MetricPlan};
use crate::crd::moment::Moment;
use crate::metrics::series::{Counted, Process};
use crate::metrics::template::{self, Context};
use crate::metrics::{MetricError, Source};
use crate::rollout::observed::Reading;

/// Names that one arm of the traffic goes by in series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArmNames {
    /// The workload.
    pub workload: String,
    /// The Service that its traffic goes through.
    pub service: String,
    /// Its Pods, as the EndpointSlices name them.
    pub pods: Vec<String>,
    /// Their addresses.
    pub addresses: Vec<String>,
}

/// What is measured: the two arms of one Canary, as they are now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject<'a> {
    /// Namespace of the Canary and all it names.
    pub namespace: &'a str,
    /// Name of the Canary.
    pub name: &'a str,
    /// Port of the Services.
    pub port: i32,
    /// The Ingress, if one is named.
    pub ingress: &'a str,
    /// Names of the routes that split the traffic; none: it is not known which.
    pub routes: &'a [String],
    /// The provider that routes.
    pub provider: &'a str,
    /// The `controllerName` that the route's status names; `None`: no gateway routes, or none has said so.
    pub gateway_controller: Option<&'a str>,
    /// Stable's names.
    pub stable: ArmNames,
    /// The canary's names.
    pub canary: ArmNames,
    /// The revision under test.
    pub revision: &'a str,
    /// Position in the plan.
    pub step: u32,
    /// Weight of the canary, in percent.
    pub weight: u8,
}

/// Asks for the raw counters of both arms of one Canary for one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterQuery {
    /// The parts, each with a label `k` that says arm and kind, for instance `canary.bad`.
    pub(super) parts: Vec<String>,
    /// What a process is.
    pub(super) process: Process,
    /// The limit that makes a request bad, in the unit of the buckets; `None`: errors are bad.
    pub(super) slower_than: Option<f64>,
    /// Number of Pods that the selectors name.
    pub(super) pods: usize,
}

impl CounterQuery {
    /// Nobody counts: there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The query as a person can ask it.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.join("\nor ")
    }
}

/// Who counts requests, and under which names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The proxy's name; `None`: the application itself does.
    pub by: Option<&'static str>,
    /// Its series of requests.
    pub requests: &'static str,
    /// Its series of durations.
    pub buckets: &'static str,
}

/// One window of a value, for one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Measured on the canary; otherwise on stable.
    pub canary: bool,
    /// Begin of the window at the earliest.
    pub start: Moment,
    /// End of the window.
    pub at: Moment,
}

impl Window {
    /// When what is asked for begins: not before the window, and an interval before its end at most.
    #[must_use]
    pub fn begin(self, interval: Duration) -> Moment {
        let end = self.at.timestamp();
        let begin = end.saturating_sub(interval).map_or(self.start, Moment::new);
        begin.max(self.start)
    }

    /// The window of a reading; `None`: it reads counters.
    #[must_use]
    pub fn of(reading: Reading) -> Option<Self> {
        match reading {
            Reading::Counters(_) | Reading::History { .. } | Reading::Usual(_) => None,
            Reading::Canary { start, at } => Some(Self {
                canary: true,
                start,
                at,
            }),
            Reading::Stable { start, at } => Some(Self {
                canary: false,
                start,
                at,
            }),
        }
    }
}

/// The query of a template for one arm and window.
///
/// # Errors
///
/// If the template names what there is not; `plan` says so before.
pub fn value(
    source: &Source<'_>,
    subject: &Subject<'_>,
    window: Window,
) -> Result<String, MetricError> {
    let context = Context {
        values: values(source, subject, window),
        service: subject.stable.service.clone(),
    };
    template::render(source.query, &context).map_err(MetricError::Rejected)
}

fn values(source: &Source<'_>, subject: &Subject<'_>, window: Window) -> Value {
    let arm = if window.canary {
        &subject.canary
    } else {
        &subject.stable
    };
    let length = window.at.since(window.start).min(source.interval);
    let end = window.at.timestamp().as_second();
    let begin = end.saturating_sub_unsigned(length.as_secs());
    let variables = source.variables.clone();
    Value::from(BTreeMap::from([
        ("name", Value::from(subject.name)),
        ("namespace", Value::from(subject.namespace)),
        ("service", Value::from(subject.stable.service.as_str())),
        ("target", Value::from(arm.workload.as_str())),
        ("ingress", Value::from(subject.ingress)),
        (
            "route",
            Value::from(subject.routes.first().map_or("", String::as_str)),
        ),
        ("interval", Value::from(duration(source.interval))),
        ("window", Value::from(duration(length))),
        ("start", Value::from(begin)),
        ("end", Value::from(end)),
        ("revision", Value::from(subject.revision)),
        ("step", Value::from(subject.step)),
        ("weight", Value::from(subject.weight)),
        ("variables", Value::from(variables)),
        ("canary", names(&subject.canary)),
        ("stable", names(&subject.stable)),
        ("arm", names(arm)),
    ]))
}

fn names(arm: &ArmNames) -> Value {
    Value::from(BTreeMap::from([
        ("workload", arm.workload.clone()),
        ("service", arm.service.clone()),
        ("pods", one_of(&arm.pods)),
    ]))
}

/// A duration as PromQL writes it; below a second it would hold no sample.
fn duration(duration: Duration) -> String {
    match duration.as_secs().max(1) {
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Whose counters are asked for the built-in checks.
#[must_use]
pub fn counts(subject: &Subject<'_>) -> Counts {
    Counted::of(subject).counts()
}

/// The query for the raw counters of both arms.
///
/// # Errors
///
/// If the metric is not one of counters.
pub fn counters(subject: &Subject<'_>, plan: &MetricPlan) -> Result<CounterQuery, MetricError> {
    counters_of(subject, plan, &both(subject))
}

/// The query for the raw counters of stable alone.
///
/// # Errors
///
/// If the metric is not one of counters.
pub fn stable(subject: &Subject<'_>, plan: &MetricPlan) -> Result<CounterQuery, MetricError> {
    counters_of(subject, plan, &[("stable", &subject.stable)])
}

/// The query for stable's durations in the last hour, by buckets, and milliseconds in a unit of their bounds; `None`: stable has no
/// series.
#[must_use]
pub fn durations(subject: &Subject<'_>) -> Option<(String, f64)> {
    let counted = Counted::of(subject);
    let selectors = (counted.select)(subject, &subject.stable);
    let query = counted.series.hour(&selectors);
    (!selectors.is_empty()).then_some((query, counted.series.unit_ms))
}

/// The query for the counters of both arms where durations are native histograms; `None`: the metric is not one of durations.
#[must_use]
pub fn native(subject: &Subject<'_>, plan: &MetricPlan) -> Option<CounterQuery> {
    let series = Counted::of(subject).series;
    let bound = series.bound(plan.limit.slower_than_ms?);
    let native = |selectors: &[String]| series.native(selectors, bound).into_iter().flatten();
    Some(asked(subject, &both(subject), None, native))
}

fn both<'a>(subject: &'a Subject<'_>) -> [(&'static str, &'a ArmNames); 2] {
    [("canary", &subject.canary), ("stable", &subject.stable)]
}

fn counters_of(
    subject: &Subject<'_>,
    plan: &MetricPlan,
    arms: &[(&str, &ArmNames)],
) -> Result<CounterQuery, MetricError> {
    if plan.measure != Measure::Share {
        let message = format!("{} is not measured by counters", plan.name);
        return Err(MetricError::Rejected(message));
    }
    let series = Counted::of(subject).series;
    let slower_than = plan.limit.slower_than_ms.map(|ms| series.bound(ms));
    let kinds = |selectors: &[String]| series.kinds(selectors, slower_than.is_some());
    Ok(asked(subject, arms, slower_than, kinds))
}

/// The query for these kinds of vectors of each arm that has series.
fn asked<Kinds: IntoIterator<Item = (&'static str, String)>>(
    subject: &Subject<'_>,
    arms: &[(&str, &ArmNames)],
    slower_than: Option<f64>,
    kinds: impl Fn(&[String]) -> Kinds,
) -> CounterQuery {
    let counted = Counted::of(subject);
    let mut parts = Vec::new();
    for (label, arm) in arms {
        let selectors = (counted.select)(subject, arm);
        if !selectors.is_empty() {
            let kinds = kinds(&selectors).into_iter();
            parts.extend(
                kinds.map(|(kind, vector)| labelled(&vector, "k", &format!("{label}.{kind}"))),
            );
        }
    }
    CounterQuery {
        parts,
        process: counted.process,
        slower_than,
        pods: arms.iter().map(|(_, arm)| arm.pods.len()).sum(),
    }
}

/// The vector with a label of this value.
pub(super) fn labelled(vector: &str, label: &str, value: &str) -> String {
    format!(r#"label_replace({vector}, "{label}", "{value}", "", "")"#)
}

/// A pattern of RE2 for exactly these names.
pub(super) fn one_of(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    quoted.join("|")
}

/// A text that stands for itself in RE2.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// A string of PromQL.
pub(super) fn string(text: &str) -> String {
    let text = text
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use jiff::Timestamp;

    use super::*;
    use crate::analysis::Limit;
    use crate::crd::canary::OnNoData;
    use crate::metrics::series::TRAEFIK;

    fn plan(slower_than_ms: Option<f64>) -> MetricPlan {
        MetricPlan {
            name: "m".to_owned(),
            measure: Measure::Share,
            limit: Limit {
                tolerated_millionths: Some(10_000),
                slower_than_ms,
                ..Limit::default()
            },
            on_no_data: OnNoData::Wait,
            dry_run: false,
            min_samples: None,
            window_seconds: 60,
            default: true,
        }
    }

    fn subject() -> Subject<'static> {
        let arm = |workload: &str, service: &str, pods: &[&str]| ArmNames {
            workload: workload.to_owned(),
            service: service.to_owned(),
            pods: pods.iter().map(|&pod| pod.to_owned()).collect(),
            ..ArmNames::default()
        };
        Subject {
            namespace: "shop",
            name: "podinfo",
            port: 80,
            stable: arm("podinfo", "web", &["podinfo-a-1", "podinfo-a.2"]),
            canary: arm("podinfo-canary", "web-canary", &["podinfo-canary-b-1"]),
            revision: "5c4cdc8ff",
            step: 1,
            weight: 50,
            ..Subject::default()
        }
    }

    fn check(subject: &Subject<'_>, slower_than_ms: Option<f64>, expected: &Expect) {
        let query = counters(subject, &plan(slower_than_ms)).expect("a query");
        expected.assert_eq(&query.text());
    }

    #[test]
    fn the_apps_own_series_are_asked_by_pod() {
        check(
            &subject(),
            None,
            &expect![[r#"
            label_replace(sum by (job,pod,kubernetes_pod_name) (http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-canary-b-1"} or http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1"}), "k", "canary.all", "", "")
            or label_replace(sum by (job,pod,kubernetes_pod_name) (http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-canary-b-1",status=~"5.*"} or http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1",status=~"5.*"}), "k", "canary.bad", "", "")
            or label_replace(max by (job,pod,kubernetes_pod_name) (timestamp(http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-canary-b-1"}) or timestamp(http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1"})), "k", "canary.at", "", "")
            or label_replace(sum by (job,pod,kubernetes_pod_name) (http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-a-1|podinfo-a\\.2"} or http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-a-1|podinfo-a\\.2"}), "k", "stable.all", "", "")
            or label_replace(sum by (job,pod,kubernetes_pod_name) (http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-a-1|podinfo-a\\.2",status=~"5.*"} or http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-a-1|podinfo-a\\.2",status=~"5.*"}), "k", "stable.bad", "", "")
            or label_replace(max by (job,pod,kubernetes_pod_name) (timestamp(http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-a-1|podinfo-a\\.2"}) or timestamp(http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-a-1|podinfo-a\\.2"})), "k", "stable.at", "", "")"#]],
        );
    }

    #[test]
    fn durations_ask_for_all_buckets() {
        let mut subject = subject();
        subject.stable.pods.clear();
        check(
            &subject,
            Some(500.0),
            &expect![[r#"
            label_replace(sum by (job,pod,kubernetes_pod_name,le) (http_request_duration_seconds_bucket{namespace="shop",pod=~"podinfo-canary-b-1"} or http_request_duration_seconds_bucket{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1"}), "k", "canary.le", "", "")
            or label_replace(max by (job,pod,kubernetes_pod_name) (timestamp(http_request_duration_seconds_bucket{namespace="shop",pod=~"podinfo-canary-b-1",le="+Inf"}) or timestamp(http_request_duration_seconds_bucket{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1",le="+Inf"})), "k", "canary.at", "", "")"#]],
        );
    }

    /// What it comes to in a real Prometheus is tried by tests/helm/claims/native.py.
    #[test]
    fn native_histograms_count_alike() {
        let query = native(&subject(), &plan(Some(500.0))).expect("a query");
        let file = "../../tests/golden/metrics/prometheus/native.promql";
        expect_test::expect_file![file].assert_eq(&(query.text() + "\n"));
        assert_eq!(query.slower_than, None, "it counts without buckets");
        assert_eq!(native(&subject(), &plan(None)), None);
    }

    #[test]
    fn traefik_is_asked_by_service() {
        let routes = ["shop.example".to_owned()];
        let subject = Subject {
            gateway_controller: Some(TRAEFIK),
            routes: &routes,
            ..subject()
        };
        check(
            &subject,
            None,
            &expect![[r#"
            label_replace(sum by (job,instance) (traefik_service_requests_total{service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway"} or traefik_service_requests_total{exported_service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway"}), "k", "canary.all", "", "")
            or label_replace(sum by (job,instance) (traefik_service_requests_total{service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway",code=~"5.."} or traefik_service_requests_total{exported_service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway",code=~"5.."}), "k", "canary.bad", "", "")
            or label_replace(max by (job,instance) (timestamp(traefik_service_requests_total{service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway"}) or timestamp(traefik_service_requests_total{exported_service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway"})), "k", "canary.at", "", "")
            or label_replace(sum by (job,instance) (traefik_service_requests_total{service=~"(shop-web-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-[0-9]+)@kubernetesgateway"} or traefik_service_requests_total{exported_service=~"(shop-web-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-[0-9]+)@kubernetesgateway"}), "k", "stable.all", "", "")
            or label_replace(sum by (job,instance) (traefik_service_requests_total{service=~"(shop-web-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-[0-9]+)@kubernetesgateway",code=~"5.."} or traefik_service_requests_total{exported_service=~"(shop-web-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-[0-9]+)@kubernetesgateway",code=~"5.."}), "k", "stable.bad", "", "")
            or label_replace(max by (job,instance) (timestamp(traefik_service_requests_total{service=~"(shop-web-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-[0-9]+)@kubernetesgateway"}) or timestamp(traefik_service_requests_total{exported_service=~"(shop-web-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-[0-9]+)@kubernetesgateway"})), "k", "stable.at", "", "")"#]],
        );
    }

    #[test]
    fn no_pods_ask_for_nothing() {
        let mut subject = subject();
        subject.stable.pods.clear();
        subject.canary.pods.clear();
        check(&subject, None, &expect![[""]]);
    }

    #[test]
    fn a_value_has_no_counters() {
        let mut plan = plan(None);
        plan.measure = Measure::Value;
        let refused = counters(&subject(), &plan);
        assert!(
            matches!(refused, Err(MetricError::Rejected(_))),
            "{refused:?}"
        );
    }

    fn rendered(query: &str, window: Window) -> String {
        let source = Source {
            store: crate::metrics::store::Store::Prometheus,
            provider: None,
            server: crate::metrics::store::Server::at("http://prometheus"),
            query,
            variables: &BTreeMap::new(),
            interval: Duration::from_secs(60),
        };
        value(&source, &subject(), window).expect("a query")
    }

    fn window(canary: bool, seconds: i64) -> Window {
        let moment = |at: i64| Moment::new(Timestamp::from_second(at).expect("a time"));
        Window {
            canary,
            start: moment(1000),
            at: moment(1000 + seconds),
        }
    }

    #[test]
    fn the_target_is_the_arm_that_is_measured() {
        let query = r#"{{ target }} {{ arm.service }} {{ target }}-canary {{ stable.workload }} {{ canary.workload }}"#;
        let canary = rendered(query, window(true, 60));
        assert_eq!(
            canary,
            "podinfo-canary web-canary web-canary podinfo podinfo-canary"
        );
        let stable = rendered(query, window(false, 60));
        assert_eq!(stable, "podinfo web web-canary podinfo podinfo-canary");
    }

    #[test]
    fn the_window_never_reaches_back_before_its_start() {
        let query = "[{{ interval }}] [{{ window }}] {{ start }} {{ end }}";
        assert_eq!(rendered(query, window(true, 40)), "[1m] [40s] 1000 1040");
        assert_eq!(rendered(query, window(true, 90)), "[1m] [1m] 1030 1090");
        assert_eq!(rendered(query, window(true, 0)), "[1m] [1s] 1000 1000");
    }

    #[test]
    fn facts_of_the_step_are_values() {
        let query = r#"{{ revision }} {{ step }} {{ weight }} "{{ stable.pods }}""#;
        let expected = r#"5c4cdc8ff 1 50 "podinfo-a-1|podinfo-a\\.2""#;
        assert_eq!(rendered(query, window(true, 60)), expected);
    }
}
