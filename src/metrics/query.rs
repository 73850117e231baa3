//! Questions for Prometheus: the built-in ones (PROVIDERS 2), and those of templates (PROVIDERS 3).

use std::collections::BTreeMap;
use std::time::Duration;

use minijinja::Value;

use crate::analysis::{Measure, MetricPlan};
use crate::crd::moment::Moment;
use crate::metrics::template::{self, Context};
use crate::metrics::{MetricError, Source};
use crate::rollout::observed::Reading;

/// The `controllerName` of Traefik's GatewayClass.
const TRAEFIK: &str = "traefik.io/gateway-controller";

/// Names that one arm of the traffic goes by in series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArmNames {
    /// The workload.
    pub workload: String,
    /// The Service that its traffic goes through.
    pub service: String,
    /// Its Pods, as the EndpointSlices name them.
    pub pods: Vec<String>,
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
    /// The query as a person can ask it.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.join("\nor ")
    }
}

/// What counts the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// The application: a Pod counts for the arm that it belongs to.
    Pod,
    /// A proxy counts for both arms, by label.
    Proxy,
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
    /// The window of a reading; `None`: it reads counters.
    #[must_use]
    pub fn of(reading: Reading) -> Option<Self> {
        match reading {
            Reading::Counters(_) => None,
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

/// The query for the raw counters of both arms.
///
/// Traefik counts for the Services that it routes to; elsewhere the application's own series are read, by the names of its
/// Pods. Arms without a Pod are left out there, since a selector without a name would find other people's series.
///
/// # Errors
///
/// If the metric is not one of counters.
pub fn counters(subject: &Subject<'_>, plan: &MetricPlan) -> Result<CounterQuery, MetricError> {
    if plan.measure != Measure::Share {
        let message = format!("{} is not measured by counters", plan.name);
        return Err(MetricError::Rejected(message));
    }
    let (series, process) = match subject.gateway_controller {
        Some(TRAEFIK) => (&TRAEFIK_SERIES, Process::Proxy),
        _ => (&APP_SERIES, Process::Pod),
    };
    let slower_than = plan.limit.slower_than_ms.map(|ms| ms / 1000.0);
    let mut parts = Vec::new();
    for (label, arm) in [("canary", &subject.canary), ("stable", &subject.stable)] {
        let selectors = match process {
            Process::Proxy => traefik_selectors(subject, arm),
            Process::Pod => pod_selectors(subject.namespace, &arm.pods),
        };
        if !selectors.is_empty() {
            let kinds = series.kinds(&selectors, slower_than.is_some());
            parts.extend(
                kinds.map(|(kind, vector)| labelled(&vector, "k", &format!("{label}.{kind}"))),
            );
        }
    }
    Ok(CounterQuery {
        parts,
        process,
        slower_than,
        pods: subject.canary.pods.len() + subject.stable.pods.len(),
    })
}

/// The series of one kind of process (PROVIDERS 2.2).
struct Series {
    requests: &'static str,
    errors: &'static str,
    buckets: &'static str,
    /// Labels that name the process, and the job that scraped it.
    by: &'static str,
}

const TRAEFIK_SERIES: Series = Series {
    requests: "traefik_service_requests_total",
    errors: r#"code=~"5..""#,
    buckets: "traefik_service_request_duration_seconds_bucket",
    by: "job,instance",
};

const APP_SERIES: Series = Series {
    requests: "http_request_duration_seconds_count",
    errors: r#"status=~"5.*""#,
    buckets: "http_request_duration_seconds_bucket",
    by: "job,pod,kubernetes_pod_name",
};

impl Series {
    /// The vectors of one arm, each with its kind: requests and errors, or buckets; and the times of their samples.
    fn kinds(
        &self,
        selectors: &[String],
        buckets: bool,
    ) -> std::vec::IntoIter<(&'static str, String)> {
        let by = self.by;
        let kinds = if buckets {
            let infinite = r#"le="+Inf""#;
            vec![
                (
                    "le",
                    format!("sum by ({by},le) ({})", either(self.buckets, selectors, "")),
                ),
                ("at", newest(by, self.buckets, selectors, infinite)),
            ]
        } else {
            vec![
                (
                    "all",
                    format!("sum by ({by}) ({})", either(self.requests, selectors, "")),
                ),
                (
                    "bad",
                    format!(
                        "sum by ({by}) ({})",
                        either(self.requests, selectors, self.errors)
                    ),
                ),
                ("at", newest(by, self.requests, selectors, "")),
            ]
        };
        kinds.into_iter()
    }
}

/// A series by each spelling of its selector; a series that both find is there once.
fn either(series: &str, selectors: &[String], matcher: &str) -> String {
    let vectors: Vec<_> = vectors(series, selectors, matcher).collect();
    vectors.join(" or ")
}

/// Times of the samples. `timestamp` stands around every selector for itself: around anything else it would be the time of
/// the query.
fn newest(by: &str, series: &str, selectors: &[String], matcher: &str) -> String {
    let vectors = vectors(series, selectors, matcher).map(|vector| format!("timestamp({vector})"));
    let vectors: Vec<_> = vectors.collect();
    format!("max by ({by}) ({})", vectors.join(" or "))
}

fn vectors(series: &str, selectors: &[String], matcher: &str) -> impl Iterator<Item = String> {
    let comma = if matcher.is_empty() { "" } else { "," };
    selectors
        .iter()
        .map(move |selector| format!("{series}{{{selector}{comma}{matcher}}}"))
}

/// The vector with a label of this value.
pub(super) fn labelled(vector: &str, label: &str, value: &str) -> String {
    format!(r#"label_replace({vector}, "{label}", "{value}", "", "")"#)
}

/// Selectors of Traefik's series for one backend, in both spellings: a scrape without `honorLabels` renames its `service`.
///
/// Up to 3.7.5 Traefik names a backend of a Gateway route by namespace, Service and port; routes share it. From 3.7.6 on
/// the name begins with the route, its Gateway and entry point, the rule's index and a hash of its match, and ends with the
/// backend's position, so that it can only be matched by pattern. Both forms name namespace and Service in full, and
/// neither pattern of stable finds the canary.
fn traefik_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let (namespace, service) = (quoted(subject.namespace), quoted(&arm.service));
    let routes: Vec<_> = subject
        .routes
        .iter()
        .map(|route| normalized(route))
        .collect();
    let route = match routes.as_slice() {
        [] => ".+".to_owned(),
        routes => format!("({})", one_of(routes)),
    };
    let home = normalized(subject.namespace);
    let old = quoted(&normalized(&format!(
        "{}-{}-http",
        subject.namespace, arm.service
    )));
    let new =
        format!("httproute-{home}-{route}-gw-.+-[0-9a-f]{{20}}-svc-{namespace}-{service}-[0-9]+");
    let pattern = format!("({old}-{}|{new})@kubernetesgateway", subject.port);
    ["service", "exported_service"]
        .map(|label| format!("{label}=~{}", string(&pattern)))
        .into()
}

/// A name as Traefik normalises it: parts of letters and digits, joined by `-`.
fn normalized(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_alphanumeric());
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// Selectors of series of these Pods, by the labels of the Prometheus Operator and of older relabelling.
fn pod_selectors(namespace: &str, pods: &[String]) -> Vec<String> {
    if pods.is_empty() {
        return Vec::new();
    }
    let (namespace, pods) = (string(namespace), string(&one_of(pods)));
    vec![
        format!("namespace={namespace},pod=~{pods}"),
        format!("kubernetes_namespace={namespace},kubernetes_pod_name=~{pods}"),
    ]
}

/// A pattern of RE2 for exactly these names.
fn one_of(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    quoted.join("|")
}

/// A text that stands for itself in RE2.
fn quoted(text: &str) -> String {
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
fn string(text: &str) -> String {
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
            server: "http://prometheus",
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
