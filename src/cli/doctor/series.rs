//! Is there something to judge a release by: a metrics server that answers, and series of what runs now?

use http::Uri;

use crate::analysis::{Measure, MetricPlan};
use crate::cli::doctor::finding::{Check, Finding, Fix};
use crate::crd::canary::Canary;
use crate::crd::status::CheckVerdict;
use crate::metrics::query::Counts;

/// How a metrics server can be asked from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is a Service of the cluster, which the API server reaches.
    Service {
        /// Its namespace.
        namespace: String,
        /// Scheme, name and port, as the API server's proxy takes them.
        service: String,
        /// What the address has behind the host.
        path: String,
        /// Its name alone.
        name: String,
        /// The address says itself that it is a Service.
        certain: bool,
    },
    /// It has an address outside.
    Outside,
}

impl Way {
    /// The way to an address, as a Pod in this namespace understands it.
    #[must_use]
    pub(super) fn to(address: &str, home: &str) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        let (scheme, host) = (uri.scheme_str()?, uri.host()?);
        let port = uri
            .port_u16()
            .unwrap_or(if scheme == "https" { 443 } else { 80 });
        let labels: Vec<_> = host.split('.').collect();
        let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
        let (name, namespace, certain) = match labels.as_slice() {
            _ if is_address || host == "localhost" => return Some(Self::Outside),
            [name] => (*name, home, true),
            [name, namespace] => (*name, *namespace, false),
            [name, namespace, "svc", ..] => (*name, *namespace, true),
            _ => return Some(Self::Outside),
        };
        Some(Self::Service {
            namespace: namespace.to_owned(),
            service: format!("{scheme}:{name}:{port}"),
            path: uri.path().trim_end_matches('/').to_owned(),
            name: name.to_owned(),
            certain,
        })
    }
}

/// What came of a question about stable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    /// So many processes are counted, or there is a value.
    There(usize),
    /// Nothing.
    Nothing,
    /// The server refused the question.
    Refused(String),
    /// The server cannot answer, or is not there.
    Down(String),
    /// It could not be asked from here.
    Unasked(String),
    /// Stable has no ready Pod to measure.
    NoPods,
}

/// How one metric of a Canary is.
#[must_use]
pub(super) fn judge(
    canary: &Canary,
    plan: &MetricPlan,
    measured: &Measured,
    counted: Counts,
) -> Finding {
    let (home, name) = (
        canary.home(),
        canary.metadata.name.as_deref().unwrap_or_default(),
    );
    let metric = &plan.name;
    match measured {
        Measured::There(_) => Finding::ok(
            Check::Metrics,
            format!("{metric} of what runs now is there"),
        ),
        Measured::Nothing => {
            Finding::failed(Check::Metrics, nothing(plan), scrape(canary, plan, counted))
        }
        Measured::Refused(why) => {
            let fix = Fix::run(format!("kubectl -n {home} edit canary/{name}"));
            Finding::failed(
                Check::Metrics,
                format!("{metric}: the question is refused: {why}"),
                fix,
            )
        }
        Measured::Down(why) => {
            let fix = "start it, or set the address that is right: spec.metricsServer, or --metrics-server of the controller";
            Finding::failed(
                Check::Metrics,
                format!("{metric} cannot be measured: {why}"),
                Fix::say(fix),
            )
        }
        Measured::NoPods => {
            let fix = Fix::run(format!("kubectl -n {home} get endpointslices,pods"));
            Finding::warning(
                Check::Metrics,
                format!(
                    "{metric}: no ready Pod is behind its Service, so there is nothing to measure"
                ),
                fix,
            )
        }
        Measured::Unasked(why) => told(canary, plan, why),
    }
}

fn nothing(plan: &MetricPlan) -> String {
    match plan.measure {
        Measure::Share => format!(
            "{} has no series of what runs now: a release would find no evidence",
            plan.name
        ),
        Measure::Value => format!(
            "{}: its query finds nothing for what runs now: a release would find no evidence",
            plan.name
        ),
    }
}

fn scrape(canary: &Canary, plan: &MetricPlan, counted: Counts) -> Fix {
    let series = match plan.limit.slower_than_ms {
        None => counted.requests,
        Some(_) => counted.buckets,
    };
    Fix::say(match plan.measure {
        Measure::Value => "try the query in Prometheus with the names of this Canary; if it needs requests, send some first".to_owned(),
        Measure::Share => match counted.by {
            Some(proxy) => format!(
                "let Prometheus scrape {proxy}, with its metrics of Services on ({series}); if nobody has called it yet, call it first"
            ),
            None => format!(
                "let Prometheus scrape the Pods of deployment/{} ({series}, with the labels namespace and pod); if nobody has called them yet, call them first",
                canary.target_name()
            ),
        },
    })
}

/// What the controller found in its last round, where nobody else can ask.
fn told(canary: &Canary, plan: &MetricPlan, why: &str) -> Finding {
    let checks = canary.status.iter().flat_map(|status| &status.checks);
    let last = checks.into_iter().find(|check| check.name == plan.name);
    let fix = || Fix::say("the next release tells; `serin status` shows its checks");
    match last {
        Some(check) if matches!(check.verdict, CheckVerdict::NoData | CheckVerdict::Invalid) => {
            let what = format!(
                "{}: by the controller's last round, {:?}{}",
                plan.name,
                check.verdict,
                check
                    .message
                    .as_ref()
                    .map(|text| format!(": {text}"))
                    .unwrap_or_default()
            );
            Finding::warning(Check::Metrics, what, fix())
        }
        Some(check) => Finding::ok(
            Check::Metrics,
            format!("{}: the controller measured it at {}", plan.name, check.at),
        ),
        None => Finding::unknown(
            Check::Metrics,
            format!("{} was not asked for from here: {why}", plan.name),
            fix(),
        ),
    }
}

/// Without a metrics server, where requests could be judged.
#[must_use]
pub(super) fn without_server() -> Finding {
    Finding::warning(
        Check::Metrics,
        "there is no metrics server: readiness and restarts alone judge a release",
        Fix::say("set spec.metricsServer, or --metrics-server of the controller, to a Prometheus"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::doctor::finding::State;
    use crate::metrics;
    use crate::metrics::query::{self, Subject};

    #[test]
    fn a_service_of_the_cluster_is_told_from_another_host() {
        let way = |address: &str| match Way::to(address, "serin-system") {
            Some(Way::Service {
                namespace,
                service,
                path,
                certain,
                ..
            }) => format!("{namespace} {service} {path} {certain}"),
            Some(Way::Outside) => "outside".to_owned(),
            None => "nowhere".to_owned(),
        };
        let rows = [
            (
                "http://prometheus.monitoring:9090",
                "monitoring http:prometheus:9090  false",
            ),
            (
                "http://prometheus.monitoring.svc.cluster.local:9090/prom/",
                "monitoring http:prometheus:9090 /prom true",
            ),
            (
                "https://prometheus.monitoring.svc",
                "monitoring https:prometheus:443  true",
            ),
            ("http://prometheus", "serin-system http:prometheus:80  true"),
            ("https://prometheus.example.com", "outside"),
            ("http://10.0.0.1:9090", "outside"),
            ("http://[::1]:9090", "outside"),
            ("http://localhost:9090", "outside"),
            ("prometheus", "nowhere"),
        ];
        for (address, expected) in rows {
            assert_eq!(way(address), expected, "{address}");
        }
    }

    fn canary(checks: &Value) -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"targetRef": {"name": "web"}, "metricsServer": "http://p:9090", "service": {"port": 80},
                "analysis": {"metrics": [{"name": "request-duration", "thresholdRange": {"max": 500}},
                    {"name": "own", "query": "vector(1)", "thresholdRange": {"max": 1}}]}},
            "status": {"checks": checks},
        }))
        .unwrap()
    }

    fn app() -> Counts {
        query::counts(&Subject::default())
    }

    fn traefik() -> Counts {
        query::counts(&Subject {
            provider: "traefik",
            ..Subject::default()
        })
    }

    #[test]
    fn what_was_measured_is_judged() {
        let canary = canary(&json!([]));
        let (plans, _) = metrics::plan(&canary, &metrics::Templates::new(), None, "gatewayapi:v1");
        let (duration, own) = (&plans[0], &plans[1]);
        let down = Measured::Down("no Service p in serin-system".to_owned());
        let unasked = Measured::Unasked("forbidden".to_owned());
        let rows = [
            (duration, Measured::There(3), State::Ok, "is there", ""),
            (
                duration,
                Measured::Nothing,
                State::Failed,
                "has no series",
                "http_request_duration_seconds_bucket",
            ),
            (
                own,
                Measured::Nothing,
                State::Failed,
                "its query finds nothing",
                "try the query",
            ),
            (
                own,
                Measured::Refused("parse error".to_owned()),
                State::Failed,
                "parse error",
                "edit canary/web",
            ),
            (duration, down, State::Failed, "no Service p", "start it"),
            (
                duration,
                Measured::NoPods,
                State::Warning,
                "no ready Pod",
                "pods",
            ),
            (
                duration,
                unasked,
                State::Unknown,
                "forbidden",
                "next release",
            ),
        ];
        for (plan, measured, state, words, fix) in rows {
            let found = judge(&canary, plan, &measured, app());
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.what.contains(words), "{found:?}");
            assert!(
                found.fix.as_ref().map_or("", Fix::text).contains(fix),
                "{found:?}"
            );
        }
        let proxy = judge(&canary, duration, &Measured::Nothing, traefik()).fix;
        let buckets = "traefik_service_request_duration_seconds_bucket";
        assert!(proxy.unwrap().text().contains(buckets));
    }

    #[test]
    fn who_cannot_ask_takes_the_controllers_word() {
        let checks = |verdict: &str| json!([{"name": "request-duration", "verdict": verdict, "message": "no series match", "at": "2030-01-01T00:00:00Z"}]);
        for (verdict, state) in [
            ("Pass", State::Ok),
            ("Fail", State::Ok),
            ("NoData", State::Warning),
        ] {
            let canary = canary(&checks(verdict));
            let (plans, _) =
                metrics::plan(&canary, &metrics::Templates::new(), None, "gatewayapi:v1");
            let found = judge(
                &canary,
                &plans[0],
                &Measured::Unasked("forbidden".to_owned()),
                app(),
            );
            assert_eq!(found.state, state, "{found:?}");
        }
    }
}
