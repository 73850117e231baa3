//! What each store is asked, and what every kind of answer means.

mod cloudwatch;
mod external;
mod splunk;
mod stackdriver;

use std::borrow::Cow;

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

fn provider(spec: serde_json::Value) -> MetricServer {
    serde_json::from_value(spec).unwrap()
}

fn key(name: &str) -> Option<String> {
    let found = match name {
        "address" => "http://store.test",
        "token" => "s3cret\n",
        "org" => "my org",
        "datadog_api_key"
        | "datadog_application_key"
        | "newrelic_query_key"
        | "dynatrace_token"
        | "sf_token_key" => "s3cret",
        "newrelic_account_id" => "42",
        _ => return None,
    };
    Some(found.to_owned())
}

/// The request as lines: what is asked, the headers in their order, the body.
fn asked(type_: &str, query: &str) -> String {
    let provider = provider(json!({"type": type_, "headers": {"x-tenant": ["shop"]}}));
    let question = Question {
        provider: Some(&provider),
        server: &Server::at("http://store.test/"),
        home: "shop",
        query,
        from: Moment::new("2026-11-22T10:00:00Z".parse().unwrap()),
        to: Moment::new("2026-11-22T10:01:00.5Z".parse().unwrap()),
        now: Moment::new("2026-11-22T10:01:02Z".parse().unwrap()),
        secret: Some(&key),
        access: Some("s3cret"),
    };
    let request = request(Store::named(type_).unwrap(), &question).unwrap();
    assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    for (name, value) in request.headers() {
        lines.push(format!("{name}: {}", value.to_str().unwrap()));
    }
    lines.push(String::from_utf8_lossy(request.body()).into_owned());
    lines.join("\n").trim_end().to_owned()
}

#[test]
fn each_store_is_asked_in_its_own_way() {
    let rows: [(&str, &str, Expect); 4] = [
        (
            "prometheus",
            "sum(x)",
            expect![[r#"
            POST http://store.test/api/v1/query
            content-type: application/x-www-form-urlencoded
            accept: application/json
            authorization: Bearer s3cret
            x-tenant: shop
            query=sum%28x%29&time=1795341660.500"#]],
        ),
        (
            "datadog",
            "avg:errors{app:web}",
            expect![[r#"
            GET http://store.test/api/v1/query?from=1795341600&to=1795341660&query=avg%3Aerrors%7Bapp%3Aweb%7D
            accept: application/json
            dd-api-key: s3cret
            dd-application-key: s3cret
            x-tenant: shop"#]],
        ),
        (
            "dynatrace",
            "errors:filter(eq(app,web))",
            expect![[r#"
            GET http://store.test/api/v2/metrics/query?metricSelector=errors%3Afilter%28eq%28app%2Cweb%29%29&resolution=Inf&from=1795341600000&to=1795341660000
            accept: application/json
            authorization: Api-Token s3cret
            x-tenant: shop"#]],
        ),
        (
            "graphite",
            "target=summarize(\n  errors.web, '1min')",
            expect![[r#"
                GET http://store.test/render?target=summarize(%0A%20%20errors.web,%20'1min')&from=1795341600&until=1795341660&format=json
                accept: application/json
                authorization: Bearer s3cret
                x-tenant: shop"#]],
        ),
    ];
    for (type_, query, expected) in rows {
        expected.assert_eq(&asked(type_, query));
    }
}

#[test]
fn the_others_too_and_a_window_that_is_written_stays() {
    let rows: [(&str, &str, Expect); 4] = [
        (
            "graphite",
            "target=errors&from=-5min",
            expect![[r#"
            GET http://store.test/render?target=errors&from=-5min&format=json
            accept: application/json
            authorization: Bearer s3cret
            x-tenant: shop"#]],
        ),
        (
            "influxdb",
            "from(bucket: \"a\")",
            expect![[r#"
            POST http://store.test/api/v2/query?org=my%20org
            content-type: application/vnd.flux
            accept: text/csv
            authorization: Token s3cret
            x-tenant: shop
            from(bucket: "a")"#]],
        ),
        (
            "newrelic",
            "SELECT average(duration) FROM T",
            expect![[r#"
                GET http://store.test/v1/accounts/42/query?nrql=SELECT%20average%28duration%29%20FROM%20T%20SINCE%2060%20seconds%20ago
                accept: application/json
                x-query-key: s3cret
                x-tenant: shop"#]],
        ),
        (
            "web",
            "/score?app=web",
            expect![[r#"
            GET http://store.test/score?app=web
            accept: application/json
            authorization: Bearer s3cret
            x-tenant: shop"#]],
        ),
    ];
    for (type_, query, expected) in rows {
        expected.assert_eq(&asked(type_, query));
    }
    let since = asked("newrelic", "SELECT count(*) FROM T SINCE 5 minutes ago");
    assert!(!since.contains("seconds"), "{since}");
}

#[test]
fn what_a_secret_lacks_is_named_and_it_goes_nowhere_else() {
    type Key = fn(&str) -> Option<String>;
    let foreign: Key = |name| (name == "address").then(|| "http://other.test".to_owned());
    let bare: Key = |name| (name == "address").then(|| "http://store.test".to_owned());
    let none: Key = |_| None;
    let rows = [
        (
            "datadog",
            bare,
            "there is no key datadog_api_key in the Secret",
        ),
        ("influxdb", bare, "there is no key org in the Secret"),
        (
            "newrelic",
            bare,
            "there is no key newrelic_account_id in the Secret",
        ),
        (
            "dynatrace",
            bare,
            "there is no key dynatrace_token in the Secret",
        ),
        ("splunk", bare, "there is no key sf_token_key in the Secret"),
        ("web", bare, "has neither token, nor username and password"),
        ("web", foreign, "its Secret is for another address"),
        ("prometheus", none, "its Secret has no key address"),
    ];
    for (type_, key, expected) in rows {
        let provider = provider(json!({"type": type_}));
        let now = Moment::new("2026-11-22T10:00:00Z".parse().unwrap());
        let question = Question {
            provider: Some(&provider),
            server: &STORE,
            home: "shop",
            query: "x",
            from: now,
            to: now,
            now,
            secret: Some(&key),
            access: None,
        };
        let error = request(Store::named(type_).unwrap(), &question).unwrap_err();
        assert!(matches!(error, MetricError::Rejected(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{type_}: {error}");
    }
}

/// Where a store is.
static STORE: Server<'static> = Server::At(Cow::Borrowed("http://store.test"));

/// A question for the minute from 10:00 to 10:01.
fn minute<'a>(provider: &'a MetricServer, query: &'a str) -> Question<'a> {
    Question {
        provider: Some(provider),
        server: &STORE,
        home: "shop",
        query,
        from: Moment::new("2026-11-22T10:00:00Z".parse().unwrap()),
        to: Moment::new("2026-11-22T10:01:00Z".parse().unwrap()),
        now: Moment::new("2026-11-22T10:01:02Z".parse().unwrap()),
        secret: None,
        access: None,
    }
}

/// What an answer with this status and body comes to: the value, `no data`, `again` or `never`, with the reason.
fn read(type_: &str, status: u16, body: &str) -> String {
    let provider = provider(json!({"type": type_, "jsonPath": "{$.data[0].score}"}));
    told(
        Store::named(type_).unwrap(),
        &minute(&provider, "x"),
        status,
        body,
    )
}

/// The same for any question.
fn told(store: Store, question: &Question<'_>, status: u16, body: &str) -> String {
    let answer = Response::builder()
        .status(status)
        .body(Bytes::from(body.to_owned()));
    match value(store, question, &answer.unwrap()) {
        Ok(Some(value)) => value.to_string(),
        Ok(None) => "no data".to_owned(),
        Err(MetricError::Rejected(why)) => format!("never: {why}"),
        Err(error) => format!("again: {error}"),
    }
}

/// 1795341600 is 10:00:00; the minute that begins at 10:00:30 is not over at 10:01:00.
const MINUTES: &str = r#"{"series": [{"interval": 60, "pointlist": [[1795341540000, 3.0], [1795341600000, 2.5], [1795341630000, 99.0]]}]}"#;

/// Store, status, body, and what that comes to.
const ANSWERS: &[(&str, u16, &str, &str)] = &[
    ("datadog", 200, MINUTES, "2.5"),
    ("datadog", 200, r#"{"series": []}"#, "no data"),
    (
        "datadog",
        200,
        r#"{"series": [{"interval": 60, "pointlist": [[1795341600000, null]]}]}"#,
        "no data",
    ),
    (
        "datadog",
        200,
        r#"{"series": [{"pointlist": []}, {"pointlist": []}]}"#,
        "never: the query finds 2 series",
    ),
    (
        "datadog",
        200,
        r#"{"error": "s3cret is wrong"}"#,
        "again: the metrics server says that it could not answer",
    ),
    (
        "dynatrace",
        200,
        r#"{"result": [{"data": [{"values": [1.5]}]}]}"#,
        "1.5",
    ),
    (
        "dynatrace",
        200,
        r#"{"result": [{"data": [{"values": [null]}]}]}"#,
        "no data",
    ),
    ("dynatrace", 200, r#"{"result": [{"data": []}]}"#, "no data"),
    (
        "dynatrace",
        200,
        r#"{"result": [{"data": [{"values": [1]}, {"values": [2]}]}]}"#,
        "never: the query finds 2 series",
    ),
    (
        "graphite",
        200,
        r#"[{"target": "a", "datapoints": [[1, 10], [2.5, 20], [null, 30]]}]"#,
        "2.5",
    ),
    ("graphite", 200, "[]", "no data"),
    (
        "graphite",
        200,
        r#"[{"datapoints": [[null, 10]]}]"#,
        "no data",
    ),
    (
        "graphite",
        200,
        r#"[{"datapoints": []}, {"datapoints": []}]"#,
        "never: the query finds 2 series",
    ),
    (
        "influxdb",
        200,
        "#datatype,string,long,double\r\n,result,table,_value\r\n,,0,2.5\r\n\r\n",
        "2.5",
    ),
    (
        "influxdb",
        200,
        ",result,table,_field,_value\n,,0,\"a,\"\"b\"\"\",7\n",
        "7",
    ),
    ("influxdb", 200, "\r\n", "no data"),
    ("influxdb", 200, ",result,table,_value\n,,0,\n", "no data"),
    (
        "influxdb",
        200,
        ",result,table,_value\n,,0,1\n,,1,2\n",
        "never: the query finds 2 records",
    ),
    (
        "influxdb",
        200,
        ",result,table\n,,0\n",
        "again: the answer has no column _value",
    ),
    (
        "influxdb",
        200,
        ",error,reference\n,s3cret,1\n",
        "again: InfluxDB says that the query failed",
    ),
    (
        "newrelic",
        200,
        r#"{"results": [{"average.duration": 0.25}]}"#,
        "0.25",
    ),
    (
        "newrelic",
        200,
        r#"{"results": [{"average.duration": null}]}"#,
        "no data",
    ),
    ("newrelic", 200, r#"{"results": []}"#, "no data"),
    (
        "newrelic",
        200,
        r#"{"results": [{"a": 1, "b": 2}]}"#,
        "never: the query finds 2 numbers",
    ),
    ("web", 200, r#"{"data": [{"score": 99}]}"#, "99"),
    ("web", 200, r#"{"data": [{"score": "98.5"}]}"#, "98.5"),
    ("web", 200, r#"{"data": [{"score": true}]}"#, "1"),
    ("web", 200, r#"{"data": [{"score": null}]}"#, "no data"),
    ("web", 200, r#"{"data": []}"#, "no data"),
    ("web", 200, r#"{"data": [{"score": "NaN"}]}"#, "no data"),
    (
        "web",
        200,
        r#"{"data": [{"score": {}}]}"#,
        "never: at {$.data[0].score} stands an object",
    ),
    (
        "web",
        200,
        r#"{"data": [{"score": "s3cret"}]}"#,
        "never: at {$.data[0].score} stands another text",
    ),
];

#[test]
fn every_store_tells_a_value_from_no_data_and_from_an_error() {
    for &(type_, status, body, expected) in ANSWERS {
        let found = read(type_, status, body);
        assert!(found.starts_with(expected), "{type_} {body}: {found}");
        assert!(!found.contains("s3cret"), "{found}");
    }
}

#[test]
fn an_answer_that_is_none_never_passes() {
    for type_ in [
        "cloudwatch",
        "datadog",
        "dynatrace",
        "externalmetrics",
        "graphite",
        "influxdb",
        "newrelic",
        "splunk",
        "web",
    ] {
        let rows = [
            (200, "<html>s3cret</html>", "again: "),
            (200, r#"{"data": [{"sc"#, "again: "),
            (302, "", "again: the metrics server says 302"),
            (401, "s3cret", "never: the metrics server says 401"),
            (403, "s3cret", "never: the metrics server says 403"),
            (429, "", "again: the metrics server says 429"),
            (503, "s3cret", "again: the metrics server says 503"),
        ];
        for (status, body, expected) in rows {
            let found = read(type_, status, body);
            assert!(
                found.starts_with(expected),
                "{type_} {status} {body}: {found}"
            );
            assert!(!found.contains("s3cret"), "{found}");
        }
    }
}

#[test]
fn a_path_is_followed_or_refused() {
    let answer = r#"{"a": {"b.c": [{"d": 1}, {"d": 2}]}, "e": 3}"#;
    let rows = [
        ("$.e", "3"),
        ("{$.e}", "3"),
        ("e", "3"),
        ("$.a['b.c'][1].d", "2"),
        ("$.a.b", "no data"),
        ("$..e", "never"),
        ("$.a[*]", "never"),
        ("$.a[", "never"),
    ];
    for (path, expected) in rows {
        let provider =
            provider(json!({"type": "web", "address": "http://store.test", "jsonPath": path}));
        let reply = Response::new(Bytes::from(answer));
        let found = match value(Store::Web, &minute(&provider, "x"), &reply) {
            Ok(value) => value.map_or("no data".to_owned(), |value| value.to_string()),
            Err(error) => {
                assert!(problem(&provider, "x").is_some(), "{error}");
                "never".to_owned()
            }
        };
        assert_eq!(found, expected, "{path}");
    }
}
