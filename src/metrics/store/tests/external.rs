//! External metrics: which may be read with Serin's own account, and what a quantity comes to.

use super::*;

fn own() -> MetricServer {
    provider(json!({"type": "externalmetrics"}))
}

/// The request, or why there is none.
fn to(server: &Server<'_>, query: &str) -> String {
    let provider = own();
    let mut question = minute(&provider, query);
    question.server = server;
    match request(Store::ExternalMetrics, &question) {
        Ok(request) => format!("{} {}", request.method(), request.uri()),
        Err(error) => error.to_string(),
    }
}

const API: &str = "GET /apis/external.metrics.k8s.io/v1beta1/namespaces";

#[test]
fn the_api_server_is_asked_for_the_namespace_of_the_canary_alone() {
    let rows = [
        ("shop/jobs", "/shop/jobs"),
        (
            " shop/jobs?labelSelector=env%3Dprod \n",
            "/shop/jobs?labelSelector=env%3Dprod",
        ),
        (
            "shop/jobs?labelSelector=env=prod,a!=b",
            "/shop/jobs?labelSelector=env%3Dprod%2Ca%21%3Db",
        ),
        ("shop/jobs?labelSelector=", "/shop/jobs"),
        (
            "shop/datadogmetric@shop:rate",
            "/shop/datadogmetric%40shop%3Arate",
        ),
    ];
    for (query, expected) in rows {
        assert_eq!(to(&Server::Cluster, query), format!("{API}{expected}"));
    }
    let rows = [
        (
            "default/jobs",
            "the metric lies in namespace \"default\", but only those of \"shop\"",
        ),
        ("jobs", "the query is no path of a metric"),
        ("shop/a/b", "the query is no path of a metric"),
        ("/jobs", "the query names no metric"),
        ("shop/", "the query names no metric"),
        ("shop/..", "the query names no metric"),
        (
            "shop/jobs?watch=1",
            "the query has \"watch\", which is no part of it",
        ),
        (
            "shop/jobs?labelSelector=a&labelSelector=b",
            "the query has \"labelSelector\"",
        ),
    ];
    for (query, expected) in rows {
        let found = to(&Server::Cluster, query);
        assert!(found.starts_with(expected), "{query}: {found}");
    }
}

#[test]
fn a_server_of_its_own_is_asked_for_any_namespace() {
    let server = Server::at("https://metrics.test:8443/");
    let expected = "GET https://metrics.test:8443/apis/external.metrics.k8s.io/v1beta1/namespaces/default/jobs";
    assert_eq!(to(&server, "default/jobs"), expected);
    expect![[r#"
        GET http://store.test/apis/external.metrics.k8s.io/v1beta1/namespaces/default/jobs?labelSelector=a%3Db
        accept: application/json
        authorization: Bearer s3cret
        x-tenant: shop"#]].assert_eq(&asked(
        "externalmetrics",
        "default/jobs?labelSelector=a%3Db",
    ));
}

#[test]
fn headers_of_a_template_never_reach_the_api_server() {
    let headers = json!({"Impersonate-User": ["admin"]});
    let provider = provider(json!({"type": "externalmetrics", "headers": headers}));
    let mut question = minute(&provider, "shop/jobs");
    question.server = &Server::Cluster;
    let error = request(Store::ExternalMetrics, &question).unwrap_err();
    assert_eq!(
        error.to_string(),
        "headers and credentials are for a server at an address"
    );
}

fn comes_to(status: u16, body: &str) -> String {
    let provider = own();
    let mut question = minute(&provider, "shop/jobs");
    question.server = &Server::Cluster;
    told(Store::ExternalMetrics, &question, status, body)
}

#[test]
fn the_only_item_counts_unless_it_is_old() {
    let item = |at: &str, value: &str| {
        format!(r#"{{"metricName": "jobs", "timestamp": {at}, "value": {value}}}"#)
    };
    let now = "\"2026-11-22T10:00:30Z\"";
    let rows = [
        (item(now, "\"1500m\""), "1.5"),
        (item(now, "\"2Ki\""), "2048"),
        (item(now, "\"0\""), "0"),
        (item("null", "\"7\""), "7"),
        (item("\"2026-11-22T09:59:59Z\"", "\"7\""), "no data"),
        (
            item(now, "\"s3cret\""),
            "again: the value is no quantity of Kubernetes",
        ),
        (
            item(now, "7"),
            "again: the metrics server answers in a form that is not its own",
        ),
        (
            item("\"soon\"", "\"7\""),
            "again: the metrics server answers in a form that is not its own",
        ),
        (String::new(), "no data"),
        (
            item(now, "\"1\"") + "," + &item(now, "\"2\""),
            "never: the query finds 2 values where it needs one",
        ),
    ];
    for (items, expected) in rows {
        let body = format!(r#"{{"kind": "ExternalMetricValueList", "items": [{items}]}}"#);
        assert_eq!(comes_to(200, &body), expected, "{items}");
    }
    assert_eq!(comes_to(200, r#"{"items": null}"#), "no data");
}

#[test]
fn a_right_that_is_missing_is_named() {
    let found = comes_to(403, "s3cret");
    let expected = "never: Serin may not read external metrics in \"shop\": bind ClusterRole serin-external-metrics to its account there";
    assert_eq!(found, expected);
}

#[test]
fn without_an_address_nothing_of_a_template_goes_to_the_api_server() {
    let rows = [
        (
            json!({"secretRef": {"name": "a"}}),
            "provider.secretRef: is for a server at an address; write one",
        ),
        (
            json!({"headers": {"a": ["b"]}}),
            "provider.headers: is for a server at an address; write one",
        ),
        (json!({}), ""),
    ];
    for (more, expected) in rows {
        let mut spec = json!({"type": "externalmetrics"});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let found = problem(&provider(spec.clone()), "shop/jobs").unwrap_or_default();
        assert!(
            found.starts_with(expected) && found.is_empty() == expected.is_empty(),
            "{found}"
        );
        spec["address"] = "https://metrics.test".into();
        assert_eq!(problem(&provider(spec), "shop/jobs"), None);
    }
    for query in ["jobs", "/jobs?labelSelector=a/b"] {
        let found = problem(&own(), query).unwrap();
        assert!(
            found.starts_with("query: names no namespace, where Flagger takes \"default\""),
            "{found}"
        );
    }
}
