//! Values against those worked out by hand from what Prometheus documents.

use std::time::Duration;

use crate::sim::promql::evaluate::{self, Times, Value};
use crate::sim::promql::labels::Labels;
use crate::sim::promql::parse;
use crate::sim::samples::{Page, Samples};

/// Series in a short form, each with a value for every 10 s from 0 on; `_` is none.
fn samples(rows: &[(&[(&str, &str)], &str)]) -> Samples {
    let mut samples = Samples::new(Duration::from_secs(3600));
    for (number, (labels, values)) in rows.iter().enumerate() {
        let target = Labels::of([("instance", format!("i{number}").as_str())]);
        let labels = labels.iter().copied();
        let columns: std::sync::Arc<[Labels]> = vec![Labels::of(labels)].into();
        for (value, at) in values.split_whitespace().zip((0..).step_by(10_000)) {
            let values = value.parse().ok().map(|value| vec![value]);
            let (target, columns) = (target.clone(), columns.clone());
            let page = Page {
                target,
                columns,
                values,
            };
            samples.record(&page, at);
        }
    }
    samples
}

fn world() -> Samples {
    let counter = |pod, status| {
        [
            ("__name__", "requests"),
            ("job", "app"),
            ("pod", pod),
            ("status", status),
        ]
    };
    let bucket = |le| [("__name__", "seconds_bucket"), ("pod", "a"), ("le", le)];
    samples(&[
        (&counter("a", "200"), "0 10 20 30 40 50 60"),
        (&counter("a", "500"), "0 0 0 1 2 3 6"),
        // The process begins again at 30 s.
        (&counter("b", "200"), "100 200 300 0 100 200 300"),
        // It goes at 40 s.
        (&counter("c", "200"), "1 2 3 4 _ _ _"),
        (&bucket("0.1"), "0 0 0 0 0 0 50"),
        (&bucket("0.5"), "0 0 0 0 0 0 90"),
        (&bucket("1.0"), "0 0 0 0 0 0 100"),
        (&bucket("+Inf"), "0 0 0 0 0 0 100"),
        (&[("__name__", "gauge"), ("pod", "a")], "1 5 2 NaN 4 4 -3"),
    ])
}

/// The value as one line a series, sorted.
fn shown(value: &Value) -> String {
    match value {
        Value::Scalar(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Vector(points) => {
            let rounded = |value: f64| (value * 1e9).round() / 1e9;
            let lines = points
                .iter()
                .map(|point| format!("{} {}", point.labels, rounded(point.value)));
            let mut lines: Vec<_> = lines.collect();
            lines.sort();
            lines.join("\n")
        }
        Value::Matrix(series) => {
            let lines = series.iter().map(|series| {
                let values: Vec<_> = series
                    .samples
                    .iter()
                    .map(|s| format!("{}@{}", s.value, s.at / 1000))
                    .collect();
                format!("{} {}", series.labels, values.join(" "))
            });
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

#[track_caller]
fn check_at(query: &str, second: i64, expected: &str) {
    let expr = parse(query).unwrap_or_else(|refused| panic!("{query}: {refused}"));
    let value = evaluate::at(&expr, &world(), second * 1000);
    let found = value.map_or_else(|failed| format!("failed: {failed}"), |value| shown(&value));
    let expected: Vec<_> = expected.lines().map(str::trim).collect();
    assert_eq!(found, expected.join("\n"), "{query} at {second}");
}

#[track_caller]
fn check(query: &str, expected: &str) {
    check_at(query, 60, expected);
}

#[test]
fn selectors_find_the_latest_samples() {
    check(
        r#"requests{pod="a"}"#,
        "requests{job=\"app\", pod=\"a\", status=\"200\"} 60\nrequests{job=\"app\", pod=\"a\", status=\"500\"} 6",
    );
    check(r#"count(requests{status=~"5.*"})"#, "{} 1");
    check(r#"count(requests{pod!="a"})"#, "{} 1");
    check(r#"count(requests{pod!~"a|x"})"#, "{} 1");
    check(r#"count({__name__=~"req.+",nope=""})"#, "{} 3");
    check(r#"gauge offset 10s"#, r#"gauge{pod="a"} 4"#);
    check(r#"gauge @ 20"#, r#"gauge{pod="a"} 2"#);
    check(r#"gauge @ end() offset 40s"#, r#"gauge{pod="a"} 2"#);
    check_at("gauge", 67, r#"gauge{pod="a"} -3"#);
    check_at("gauge", -1, "");
}

#[test]
fn a_series_is_present_for_five_minutes_or_until_it_ends() {
    check_at("gauge", 359, r#"gauge{pod="a"} -3"#);
    check_at("gauge", 360, "");
    check_at(
        r#"requests{pod="c"}"#,
        39,
        r#"requests{job="app", pod="c", status="200"} 4"#,
    );
    check_at(r#"requests{pod="c"}"#, 40, "");
    check_at(r#"up{instance="i3"}"#, 40, r#"up{instance="i3"} 0"#);
}

#[test]
fn ranges_leave_out_their_start() {
    check(r#"gauge[20s]"#, r#"gauge{pod="a"} 4@50 -3@60"#);
    check(
        r#"requests{pod="c"}[1m]"#,
        r#"requests{job="app", pod="c", status="200"} 2@10 3@20 4@30"#,
    );
}

#[test]
fn rates_are_stretched_to_the_window() {
    // Samples at 40, 50 and 60 s; the window begins 10 s before the first, as far as they are apart.
    check(
        r#"rate(requests{pod="a",status="200"}[30s])"#,
        r#"{job="app", pod="a", status="200"} 1"#,
    );
    check(
        r#"increase(requests{pod="a",status="200"}[30s])"#,
        r#"{job="app", pod="a", status="200"} 30"#,
    );
    // 2, 3, 6 at 40, 50, 60 s: 4 within 20 s, and 10 s more at the start, but not more than it takes back to zero (10 s).
    check(
        r#"increase(requests{status="500"}[30s])"#,
        r#"{job="app", pod="a", status="500"} 6"#,
    );
    // 1, 2, 3, 6 at 30 … 60 s: 5 within 30 s; to zero it is 6 s.
    check(
        r#"increase(requests{status="500"}[40s])"#,
        r#"{job="app", pod="a", status="500"} 6"#,
    );
    // 1, 5, 2 at 0, 10, 20 s: 6 within 20 s; both ends are far, so half of 10 s each, but only 3.3 s back to zero.
    check_at("increase(gauge[10m])", 25, r#"{pod="a"} 8.5"#);
}

#[test]
fn counters_that_fall_begin_again() {
    // 300, 0, 100, 200, 300 from 20 s on: 300 - 300 + 300, within 40 s; the window is stretched by 10 s.
    check(
        r#"increase(requests{pod="b"}[50s])"#,
        r#"{job="app", pod="b", status="200"} 375"#,
    );
    check(
        r#"resets(requests{pod="b"}[1m])"#,
        r#"{job="app", pod="b", status="200"} 1"#,
    );
    check_at(
        r#"irate(requests{pod="b"}[1m])"#,
        30,
        r#"{job="app", pod="b", status="200"} 0"#,
    );
    check(
        r#"irate(requests{pod="b"}[1m])"#,
        r#"{job="app", pod="b", status="200"} 10"#,
    );
    check(r#"rate(requests{pod="b"}[10s])"#, "");
    check(r#"delta(gauge[20s])"#, r#"{pod="a"} -14"#);
    check(r#"idelta(gauge[20s])"#, r#"{pod="a"} -7"#);
}

#[test]
fn values_over_time() {
    check("sum_over_time(gauge[20s])", r#"{pod="a"} 1"#);
    check("avg_over_time(gauge[20s])", r#"{pod="a"} 0.5"#);
    check("max_over_time(gauge[1m])", r#"{pod="a"} 5"#);
    check("min_over_time(gauge[1m])", r#"{pod="a"} -3"#);
    check("count_over_time(gauge[1m])", r#"{pod="a"} 6"#);
    check("last_over_time(gauge[1m])", r#"gauge{pod="a"} -3"#);
    check("changes(gauge[1m])", r#"{pod="a"} 4"#);
}

#[test]
fn groups_become_one() {
    check("sum(requests)", "{} 366");
    check("sum by (pod) (requests)", "{pod=\"a\"} 66\n{pod=\"b\"} 300");
    check(
        "sum(requests) without (pod, job)",
        "{status=\"200\"} 360\n{status=\"500\"} 6",
    );
    check("avg by (job) (requests)", r#"{job="app"} 122"#);
    check("max(requests) - min(requests)", "{} 294");
    check("group by (__name__) (requests)", "requests{} 1");
    check("sum by (nope) (requests)", "{} 366");
    check("sum(nothing)", "");
    check("max(gauge @ 30)", "{} NaN");
}

#[test]
fn quantiles_are_interpolated() {
    check(
        "histogram_quantile(0.5, seconds_bucket)",
        r#"{pod="a"} 0.1"#,
    );
    check(
        "histogram_quantile(0.25, seconds_bucket)",
        r#"{pod="a"} 0.05"#,
    );
    check(
        "histogram_quantile(0.7, sum by (le) (seconds_bucket))",
        "{} 0.3",
    );
    check("histogram_quantile(1, seconds_bucket)", r#"{pod="a"} 1"#);
    check("histogram_quantile(2, seconds_bucket)", r#"{pod="a"} inf"#);
    check_at(
        "histogram_quantile(0.5, seconds_bucket)",
        50,
        r#"{pod="a"} NaN"#,
    );
    check(
        r#"histogram_quantile(0.5, seconds_bucket{le!="+Inf"})"#,
        r#"{pod="a"} NaN"#,
    );
    // As many as at or below the bound before: the highest finite bound is all that can be told.
    check(
        r#"histogram_quantile(0.99, seconds_bucket{le=~"0.1|.Inf"})"#,
        r#"{pod="a"} 0.1"#,
    );
    check("histogram_quantile(0.9, gauge)", "");
}

#[test]
fn sets_go_by_labels_without_the_name() {
    check(r#"count(requests{pod="a"} or requests)"#, "{} 3");
    check(
        r#"gauge or requests{pod="b"}"#,
        "gauge{pod=\"a\"} -3\nrequests{job=\"app\", pod=\"b\", status=\"200\"} 300",
    );
    check(r#"gauge and on(pod) requests"#, r#"gauge{pod="a"} -3"#);
    check(
        r#"requests unless on(pod) gauge"#,
        r#"requests{job="app", pod="b", status="200"} 300"#,
    );
    check(r#"gauge and requests"#, "");
    check("vector(1) or vector(2)", "{} 1");
}

#[test]
fn arithmetic_pairs_equal_labels() {
    check("1 + 2 * 3 ^ 2 ^ 0 - -4", "11");
    check("-2 ^ 2", "-4");
    check("7 % 4 / 2", "1.5");
    check("gauge * 2", r#"{pod="a"} -6"#);
    check("100 - gauge", r#"{pod="a"} 103"#);
    check("-gauge", r#"{pod="a"} 3"#);
    check(
        r#"sum by (pod) (requests{status="500"}) / sum by (pod) (requests) * 100"#,
        r#"{pod="a"} 9.090909091"#,
    );
    check("1 / 0", "inf");
    check("vector(0) / vector(0)", "{} NaN");
    check(
        r#"gauge + ignoring(job,status) requests{pod="a",status="200"}"#,
        r#"{pod="a"} 57"#,
    );
    check(
        "gauge + on(pod) requests",
        "failed: found duplicate series for the match group {pod=\"a\"} on the right hand-side of the operation: \
        [requests{job=\"app\", pod=\"a\", status=\"200\"}, requests{job=\"app\", pod=\"a\", status=\"500\"}];\
        many-to-many matching not allowed: matching labels must be unique on one side",
    );
    check(
        "requests + on(pod) gauge",
        "failed: multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
    );
}

#[test]
fn comparisons_leave_out_or_say_so() {
    check("vector(0) > 0", "");
    check(
        "requests < 10",
        r#"requests{job="app", pod="a", status="500"} 6"#,
    );
    check(
        "10 > requests",
        r#"requests{job="app", pod="a", status="500"} 6"#,
    );
    check("gauge > bool 0", r#"{pod="a"} 0"#);
    check("1 < bool 2", "1");
    check("gauge == on(pod) gauge", r#"{pod="a"} -3"#);
    check("gauge == gauge", r#"gauge{pod="a"} -3"#);
    check("gauge >= 1", "");
}

#[test]
fn functions_of_values() {
    check("time()", "60");
    check("timestamp(gauge offset 10s)", r#"{pod="a"} 50"#);
    check("timestamp((gauge))", r#"{pod="a"} 60"#);
    check_at("timestamp(gauge)", 65, r#"{pod="a"} 60"#);
    check_at("timestamp(gauge + 0)", 65, r#"{pod="a"} 65"#);
    check("scalar(gauge)", "-3");
    check("scalar(requests)", "NaN");
    check("vector(time())", "{} 60");
    check("clamp_min(gauge, 0)", r#"{pod="a"} 0"#);
    check("clamp_max(gauge, -5)", r#"{pod="a"} -5"#);
    check("clamp(gauge, 1, 0)", "");
    check("abs(gauge)", r#"{pod="a"} 3"#);
    check("round(vector(2.5))", "{} 3");
    check("round(vector(2.34), 0.1)", "{} 2.3");
    check(r#"absent(nothing{a="b",c=~"d.+"})"#, r#"{a="b"} 1"#);
    check("absent(gauge)", "");
    check(r#""text""#, "text");
    check("5m", "300");
}

#[test]
fn labels_are_replaced() {
    check(
        r#"label_replace(gauge, "k", "canary.all", "", "")"#,
        r#"gauge{k="canary.all", pod="a"} -3"#,
    );
    check(
        r#"label_replace(gauge, "pod", "x-$1", "pod", "(.*)")"#,
        r#"gauge{pod="x-a"} -3"#,
    );
    check(
        r#"label_replace(gauge, "pod", "", "pod", ".*")"#,
        "gauge{} -3",
    );
    check(
        r#"label_replace(gauge, "k", "v", "pod", "b")"#,
        r#"gauge{pod="a"} -3"#,
    );
    check(
        r#"label_replace(requests, "pod", "", "", "")"#,
        "failed: vector cannot contain metrics with the same labelset",
    );
    check(
        r#"label_replace(gauge, "k", "v", "pod", "(")"#,
        "failed: invalid regular expression in label_replace(): (",
    );
    check(
        r#"rate({__name__=~"requests|gauge",pod="b"}[1m])"#,
        r#"{job="app", pod="b", status="200"} 8"#,
    );
}

#[test]
fn a_range_is_asked_step_by_step() {
    let expr = parse("gauge - gauge @ start()").unwrap();
    let times = Times {
        first: 0,
        last: 25_000,
        step: 10_000,
    };
    let series = evaluate::over(&expr, &world(), times).unwrap();
    assert_eq!(shown(&Value::Matrix(series)), r#"{pod="a"} 0@0 4@10 1@20"#);
}
