use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::sim::promql::labels::NAME;

/// What the product asks for its own checks, for a Canary with one Pod an arm.
const QUERY: &str = r#"label_replace((label_replace(sum by (job,pod,kubernetes_pod_name) (http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-canary-b-1"} or http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1"}), "k", "canary.all", "", "") or label_replace(sum by (job,pod,kubernetes_pod_name) (http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-canary-b-1",status=~"5.*"} or http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1",status=~"5.*"}), "k", "canary.bad", "", "") or label_replace(max by (job,pod,kubernetes_pod_name) (timestamp(http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-canary-b-1"}) or timestamp(http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1"})), "k", "canary.at", "", "")), "q", "0", "", "")
or label_replace((label_replace(sum by (job,pod,kubernetes_pod_name) (http_request_duration_seconds_count{namespace="shop",pod=~"podinfo-a-1|podinfo-a\\.2"} or http_request_duration_seconds_count{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-a-1|podinfo-a\\.2"}), "k", "stable.all", "", "")), "q", "1", "", "")"#;

/// Durations of the canary.
const BUCKETS: &str = r#"label_replace(sum by (job,pod,kubernetes_pod_name,le) (http_request_duration_seconds_bucket{namespace="shop",pod=~"podinfo-canary-b-1"} or http_request_duration_seconds_bucket{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1"}), "k", "canary.le", "", "")
or label_replace(max by (job,pod,kubernetes_pod_name) (timestamp(http_request_duration_seconds_bucket{namespace="shop",pod=~"podinfo-canary-b-1",le="+Inf"}) or timestamp(http_request_duration_seconds_bucket{kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-b-1",le="+Inf"})), "k", "canary.at", "", "")"#;

/// Traefik's count of the canary.
const TRAEFIK: &str = r#"label_replace(sum by (job,instance) (traefik_service_requests_total{service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway"} or traefik_service_requests_total{exported_service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway"}), "k", "canary.all", "", "")
or label_replace(sum by (job,instance) (traefik_service_requests_total{service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway",code=~"5.."} or traefik_service_requests_total{exported_service=~"(shop-web-canary-http-80|httproute-shop-(shop-example)-gw-.+-[0-9a-f]{20}-svc-shop-web-canary-[0-9]+)@kubernetesgateway",code=~"5.."}), "k", "canary.bad", "", "")"#;

/// Name, labels and value of a series.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

fn page(target: &[(&str, &str)], series: &[Row<'_>]) -> Page {
    let target = Labels::of(target.iter().copied());
    let columns = series.iter().map(|(name, labels, _)| {
        let labels = labels
            .iter()
            .copied()
            .chain(target.iter())
            .chain([(NAME, *name)]);
        Labels::of(labels)
    });
    Page {
        columns: columns.collect(),
        values: Some(series.iter().map(|(_, _, value)| *value).collect()),
        target: target.clone(),
    }
}

fn pod(name: &str, ok: f64, failed: f64) -> Page {
    let instance = format!("{name}:8080");
    page(
        &[
            ("job", "podinfo"),
            ("namespace", "shop"),
            ("pod", name),
            ("instance", &instance),
        ],
        &[
            (
                "http_request_duration_seconds_count",
                &[("status", "200")],
                ok,
            ),
            (
                "http_request_duration_seconds_count",
                &[("status", "500")],
                failed,
            ),
            (
                "http_request_duration_seconds_bucket",
                &[("status", "200"), ("le", "0.1")],
                ok,
            ),
            (
                "http_request_duration_seconds_bucket",
                &[("status", "200"), ("le", "+Inf")],
                ok,
            ),
            (
                "http_request_duration_seconds_bucket",
                &[("status", "500"), ("le", "0.1")],
                0.0,
            ),
            (
                "http_request_duration_seconds_bucket",
                &[("status", "500"), ("le", "+Inf")],
                failed,
            ),
        ],
    )
}

fn proxy() -> Page {
    let new = "httproute-shop-shop-example-gw-default-gw-ep-web-0-0123456789abcdef0123-svc-shop-web-canary-1@kubernetesgateway";
    page(
        &[("job", "traefik"), ("instance", "10.244.0.3:8082")],
        &[
            (
                "traefik_service_requests_total",
                &[("service", new), ("code", "200")],
                90.0,
            ),
            (
                "traefik_service_requests_total",
                &[("service", new), ("code", "503")],
                10.0,
            ),
            (
                "traefik_service_requests_total",
                &[
                    ("service", "shop-web-http-80@kubernetesgateway"),
                    ("code", "200"),
                ],
                7.0,
            ),
        ],
    )
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn started() -> Prometheus {
    Prometheus::new(Scraping::default(), second(1000))
}

/// A Prometheus that has scraped once, at 1005 s.
fn prometheus() -> Prometheus {
    let mut prometheus = started();
    prometheus.scrape(&[
        pod("podinfo-canary-b-1", 90.0, 10.0),
        pod("podinfo-a-1", 400.0, 0.0),
        pod("podinfo-a.2", 500.0, 0.0),
        pod("podinfo-ax2", 900.0, 0.0),
        proxy(),
    ]);
    prometheus
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What the series of a query are, one a line.
fn asked(prometheus: &Prometheus, query: &str) -> Vec<String> {
    let body = format!("query={}&time=1007.000", encoded(query));
    let (status, reply) = prometheus.answer("/api/v1/query", "", &body);
    assert_eq!(
        (status, &reply["status"]),
        (200, &json!("success")),
        "{reply}"
    );
    let series = reply["data"]["result"].as_array().unwrap();
    let lines = series
        .iter()
        .map(|series| format!("{} {}", series["metric"], series["value"]));
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn the_products_questions_for_pods_are_answered() {
    assert_eq!(
        asked(&prometheus(), QUERY),
        [
            r#"{"job":"podinfo","k":"canary.all","pod":"podinfo-canary-b-1","q":"0"} [1007,"100"]"#,
            r#"{"job":"podinfo","k":"canary.at","pod":"podinfo-canary-b-1","q":"0"} [1007,"1005"]"#,
            r#"{"job":"podinfo","k":"canary.bad","pod":"podinfo-canary-b-1","q":"0"} [1007,"10"]"#,
            r#"{"job":"podinfo","k":"stable.all","pod":"podinfo-a-1","q":"1"} [1007,"400"]"#,
            r#"{"job":"podinfo","k":"stable.all","pod":"podinfo-a.2","q":"1"} [1007,"500"]"#,
        ]
    );
}

#[test]
fn the_products_questions_for_durations_are_answered() {
    assert_eq!(
        asked(&prometheus(), BUCKETS),
        [
            r#"{"job":"podinfo","k":"canary.at","pod":"podinfo-canary-b-1"} [1007,"1005"]"#,
            r#"{"job":"podinfo","k":"canary.le","le":"+Inf","pod":"podinfo-canary-b-1"} [1007,"100"]"#,
            r#"{"job":"podinfo","k":"canary.le","le":"0.1","pod":"podinfo-canary-b-1"} [1007,"90"]"#,
        ]
    );
}

#[test]
fn the_products_questions_for_traefik_are_answered() {
    assert_eq!(
        asked(&prometheus(), TRAEFIK),
        [
            r#"{"instance":"10.244.0.3:8082","job":"traefik","k":"canary.all"} [1007,"100"]"#,
            r#"{"instance":"10.244.0.3:8082","job":"traefik","k":"canary.bad"} [1007,"10"]"#,
        ]
    );
    assert!(asked(&prometheus(), "vector(0) > 0").is_empty());
}

#[test]
fn a_target_that_goes_ends_its_series_at_once_or_after_five_minutes() {
    for (ends_series, there) in [(true, 0), (false, 1)] {
        let scraping = Scraping {
            ends_series,
            ..Scraping::default()
        };
        let mut prometheus = Prometheus::new(scraping, second(1000));
        prometheus.scrape(&[pod("a", 1.0, 0.0)]);
        prometheus.scrape(&[]);
        let count = |at: &str| {
            let query = format!("query=up&time={at}");
            let (_, reply) = prometheus.answer("/api/v1/query", &query, "");
            reply["data"]["result"].as_array().unwrap().len()
        };
        assert_eq!(
            (
                count("1009.999"),
                count("1010"),
                count("1304"),
                count("1305")
            ),
            (1, there, there, 0)
        );
    }
}

#[test]
fn a_target_that_does_not_answer_is_down() {
    let mut prometheus = started();
    prometheus.scrape(&[pod("a", 1.0, 0.0)]);
    let silent = Page {
        values: None,
        ..pod("a", 0.0, 0.0)
    };
    prometheus.scrape(&[silent]);
    let (_, reply) = prometheus.answer("/api/v1/query", "query=%7Bpod=%22a%22%7D", "");
    let series = reply["data"]["result"].as_array().unwrap();
    assert_eq!(
        (series.len(), &series[0]["value"]),
        (1, &json!([1010, "0"]))
    );
    assert_eq!(series[0]["metric"]["__name__"], "up");
}

#[test]
fn scrapes_keep_to_the_interval_and_are_spread_over_it() {
    let scraping = Scraping {
        moments: 5,
        ..Scraping::default()
    };
    let mut prometheus = Prometheus::new(scraping, second(1000));
    assert_eq!(prometheus.next_scrape(), second(1001));
    let pages: Vec<_> = (0..50)
        .map(|number| pod(&format!("p{number}"), 1.0, 0.0))
        .collect();
    let mut found = Vec::new();
    for _ in 0..5 {
        let due = pages.iter().filter(|page| prometheus.is_due(&page.target));
        let due: Vec<_> = due.cloned().collect();
        found.push(due.len());
        prometheus.scrape(&due);
    }
    assert_eq!(found.iter().sum::<usize>(), 50);
    assert!(found.iter().all(|due| (3..20).contains(due)), "{found:?}");
    let (_, reply) = prometheus.answer("/api/v1/query", "query=count(up)", "");
    assert_eq!(reply["data"]["result"][0]["value"], json!([1005, "50"]));
}

#[test]
fn samples_are_forgotten() {
    let scraping = Scraping {
        retention: Duration::from_secs(20),
        ..Scraping::default()
    };
    let mut prometheus = Prometheus::new(scraping, second(1000));
    for _ in 0..10 {
        prometheus.scrape(&[pod("a", 1.0, 0.0)]);
    }
    let (_, reply) = prometheus.answer("/api/v1/query", "query=count_over_time(up[1h])", "");
    assert_eq!(reply["data"]["result"][0]["value"][1], "4");
    for _ in 0..5 {
        prometheus.scrape(&[]);
    }
    assert_eq!(
        prometheus
            .samples
            .latest(&[], second(1050).as_millisecond()),
        []
    );
}

#[track_caller]
fn replies(path: &str, query: &str, expected: &(u16, serde_json::Value)) {
    let reply = prometheus().answer(path, query, "");
    assert_eq!(reply, *expected, "{path}?{query}");
}

fn result(kind: &str, result: &serde_json::Value) -> (u16, serde_json::Value) {
    let data = json!({"resultType": kind, "result": result});
    (200, json!({"status": "success", "data": data}))
}

fn refused(status: u16, kind: &str, why: &str) -> (u16, serde_json::Value) {
    (
        status,
        json!({"status": "error", "errorType": kind, "error": why}),
    )
}

#[test]
fn values_look_like_those_of_prometheus() {
    let check = |query, kind, value| replies("/api/v1/query", query, &result(kind, &value));
    check("query=42.5&time=1000", "scalar", json!([1000, "42.5"]));
    check("query=Inf", "scalar", json!([1005, "+Inf"]));
    check("query=%22a%22&time=1000.5", "string", json!([1000.5, "a"]));
    let nothing = json!([{"metric": {}, "value": [1, "NaN"]}]);
    check(
        "query=vector(0)/0&time=1970-01-01T00:00:01Z",
        "vector",
        nothing,
    );
    let up = json!([{
        "metric": {
            "__name__": "up", "instance": "podinfo-a-1:8080", "job": "podinfo", "namespace": "shop", "pod": "podinfo-a-1",
        },
        "values": [[1005, "1"]],
    }]);
    check("query=up%7Bpod=%22podinfo-a-1%22%7D[1m]", "matrix", up);
    let series = json!([{"metric": {}, "values": [[1005, "5"], [1010, "5"]]}]);
    let query = "query=count(up)&start=1000&end=1012&step=5s";
    replies("/api/v1/query_range", query, &result("matrix", &series));
}

#[test]
fn refusals_look_like_those_of_prometheus() {
    let rows = [
        (
            "query",
            "query=sum(up)+%2B",
            "\"query\": 1:10: parse error: unexpected end of input",
        ),
        (
            "query",
            "query=up&time=x",
            "\"time\": cannot parse \"x\" to a valid timestamp",
        ),
        (
            "query",
            "",
            "\"query\": 1:1: parse error: no expression found in input",
        ),
        (
            "query_range",
            "query=1&start=2&end=1&step=1",
            "\"end\": end timestamp must not be before start time",
        ),
        (
            "query_range",
            "query=1&start=1&end=2&step=0",
            "\"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "query_range",
            "query=up[1m]&start=1&end=2&step=1",
            "\"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
    ];
    for (path, query, why) in rows {
        let expected = refused(400, "bad_data", &format!("invalid parameter {why}"));
        replies(&format!("/api/v1/{path}"), query, &expected);
    }
    let query = "query=label_replace(up,%22a%22,%22b%22,%22c%22,%22(%22)";
    let why = "invalid regular expression in label_replace(): (";
    replies("/api/v1/query", query, &refused(422, "execution", why));
}

#[test]
fn other_paths_are_those_of_prometheus() {
    let prometheus = prometheus();
    assert_eq!(prometheus.answer("/nope", "", "").0, 404);
    assert_eq!(prometheus.answer("/-/healthy", "", "").0, 200);
    let (_, build) = prometheus.answer("/api/v1/status/buildinfo", "", "");
    assert!(build["data"]["version"].is_string());
}

#[tokio::test]
async fn the_service_takes_forms() {
    let router = router(Arc::new(Mutex::new(prometheus())));
    let request = Request::post("http://prometheus:9090/api/v1/query")
        .body(Body::from("query=count(up)&time=1006"))
        .unwrap();
    let reply = router.oneshot(request).await.unwrap();
    assert_eq!(reply.headers()["content-type"], "application/json");
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    let expected = r#"{"data":{"result":[{"metric":{},"value":[1006,"5"]}],"resultType":"vector"},"status":"success"}"#;
    assert_eq!(body, expected);
}
