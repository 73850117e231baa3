//! What stable's processes counted over a stretch of time, in one request (ANALYSIS 4.6).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::analysis::Counter;
use crate::crd::moment::Moment;
use crate::metrics::MetricError;
use crate::metrics::prometheus::{self, Outcome, Past, Series, counters, nonsense};
use crate::metrics::query::CounterQuery;
use crate::metrics::series::Process;

/// From one point to the next: a usual scrape interval. A server that scrapes less often repeats itself.
const STEP: Duration = Duration::from_secs(15);

/// Points of one reply are at most about so many, so that it stays below a mebibyte.
const MOST_POINTS: usize = 10_000;

/// The request for the counters of a query between two times.
///
/// # Errors
///
/// If the address of the server cannot be used.
pub fn request(
    server: &str,
    query: &CounterQuery,
    (from, to): (Moment, Moment),
) -> Result<Request<Bytes>, MetricError> {
    let times = usize::try_from(to.since(from).as_secs() / STEP.as_secs()).unwrap_or(usize::MAX);
    let points = times.saturating_mul(query.pods.max(1) * query.parts.len().max(1));
    let stretch = u32::try_from(points / MOST_POINTS + 1).unwrap_or(u32::MAX);
    let step = (STEP * stretch).as_secs();
    let (from, to) = (from.as_seconds(), to.as_seconds());
    let times = format!("start={from:.3}&end={to:.3}&step={step}");
    prometheus::post(server, "query_range", &query.text(), &times)
}

/// The counters that a reply holds, time by time, oldest first.
///
/// # Errors
///
/// If it is no answer, or its series are not those of the query.
pub fn parse(
    reply: &Response<Bytes>,
    query: &CounterQuery,
) -> Result<Vec<Vec<Counter>>, MetricError> {
    let times = by_time(reply)?;
    let read = times.into_values().map(|series| counters(query, series));
    read.collect()
}

/// The series of a reply, time by time.
fn by_time(reply: &Response<Bytes>) -> Result<BTreeMap<Moment, Vec<Series>>, MetricError> {
    let Outcome::Matrix(all) = prometheus::outcome(reply)? else {
        return Err(nonsense("the reply is no matrix"));
    };
    let mut times: BTreeMap<Moment, Vec<Series>> = BTreeMap::new();
    for (time, series) in all.into_iter().flat_map(Past::samples) {
        times.entry(time).or_default().push(series);
    }
    Ok(times)
}

/// The counters of a reply that somebody kept, by time: a label `k` tells `canary.all`, `canary.bad`, `stable.all` and `stable.bad`
/// apart, as in Serin's own questions. Where nothing says when a sample was taken (`canary.at`), it was at that time.
///
/// # Errors
///
/// If it is no answer, or its series are none of these.
pub fn recorded(body: &[u8]) -> Result<BTreeMap<Moment, Vec<Counter>>, MetricError> {
    let query = CounterQuery {
        parts: Vec::new(),
        process: Process::Pod,
        slower_than: None,
        pods: 0,
    };
    let times = by_time(&Response::new(Bytes::copy_from_slice(body)))?;
    let read = times.into_iter().map(|(at, series)| {
        let taken = series
            .iter()
            .filter_map(|it| it.taken(at))
            .collect::<Vec<_>>();
        let series = taken.into_iter().chain(series).collect();
        Ok((at, counters(&query, series)?))
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use http::StatusCode;

    use super::*;

    fn query(pods: usize) -> CounterQuery {
        CounterQuery {
            parts: vec!["up".to_owned(), "down".to_owned()],
            process: Process::Pod,
            slower_than: None,
            pods,
        }
    }

    fn hour() -> (Moment, Moment) {
        let to: jiff::Timestamp = "2030-01-01T01:00:00Z".parse().unwrap();
        let from = to - Duration::from_secs(3600);
        (Moment::new(from), Moment::new(to))
    }

    fn reply(data: &str) -> Response<Bytes> {
        let body = format!(r#"{{"status": "success", "data": {data}}}"#);
        let reply = Response::builder().status(StatusCode::OK);
        reply.body(Bytes::from(body)).unwrap()
    }

    #[test]
    fn one_request_asks_for_the_whole_hour() {
        let asked = request("http://prometheus:9090/", &query(2), hour()).unwrap();
        let body = String::from_utf8(asked.body().to_vec()).unwrap();
        expect![[r#"
            http://prometheus:9090/api/v1/query_range
            query=up%0Aor%20down&start=1893456000.000&end=1893459600.000&step=15"#]]
        .assert_eq(&format!("{}\n{body}", asked.uri()));
    }

    /// A reply for a hundred Pods stays as small as one for ten.
    #[test]
    fn many_pods_are_asked_for_fewer_times() {
        for (pods, step) in [
            (1, "step=15"),
            (20, "step=15"),
            (50, "step=45"),
            (100, "step=75"),
        ] {
            let asked = request("http://prometheus:9090", &query(pods), hour()).unwrap();
            let body = String::from_utf8(asked.body().to_vec()).unwrap();
            assert!(body.ends_with(step), "{pods}: {body}");
        }
    }

    #[test]
    fn a_reply_is_read_time_by_time() {
        let series = |k: &str, values: &str| {
            format!(r#"{{"metric": {{"pod": "a", "k": "stable.{k}"}}, "values": {values}}}"#)
        };
        let all = [
            series("all", r#"[[60, "100"], [75, "130"]]"#),
            series("bad", r#"[[75, "2"]]"#),
            series("at", r#"[[60, "58"], [75, "73.5"]]"#),
        ];
        let data = format!(
            r#"{{"resultType": "matrix", "result": [{}]}}"#,
            all.join(",")
        );
        let read = parse(&reply(&data), &query(1)).unwrap();
        let counts = read.iter().flatten().map(|it| (it.at, it.all, it.bad));
        assert_eq!(
            counts.collect::<Vec<_>>(),
            [(58.0, 100.0, 0.0), (73.5, 130.0, 2.0)]
        );
    }

    /// What somebody kept of his own queries says when it was asked, and that is when it counts.
    #[test]
    fn a_recording_needs_no_times_of_samples() {
        let series = |k: &str, values: &str| {
            format!(r#"{{"metric": {{"pod": "a", "k": "{k}"}}, "values": {values}}}"#)
        };
        let all = [
            series("canary.all", r#"[[60, "100"], [75, "130"]]"#),
            series("canary.bad", r#"[[75, "2"]]"#),
            series("canary.at", r#"[[75, "73.5"]]"#),
        ];
        let data = format!(
            r#"{{"resultType": "matrix", "result": [{}]}}"#,
            all.join(",")
        );
        let read = recorded(reply(&data).body()).unwrap();
        let counts = read.values().flatten();
        let counts = counts.map(|it| (it.canary, it.at, it.all, it.bad));
        assert_eq!(
            counts.collect::<Vec<_>>(),
            [(true, 60.0, 100.0, 0.0), (true, 73.5, 130.0, 2.0)]
        );
    }

    #[test]
    fn what_is_no_history_is_an_error() {
        let none = r#"{"resultType": "matrix", "result": []}"#;
        assert_eq!(parse(&reply(none), &query(1)), Ok(Vec::new()));
        let wrong = [
            r#"{"resultType": "vector", "result": []}"#,
            r#"{"resultType": "matrix", "result": [{"metric": {"k": "stable.all"}, "values": [[1, "many"]]}]}"#,
            r#"{"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"]]}]}"#,
        ];
        for data in wrong {
            assert!(parse(&reply(data), &query(1)).is_err(), "{data}");
        }
    }
}
