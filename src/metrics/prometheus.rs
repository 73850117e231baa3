//! Prometheus' HTTP API: requests for many Canaries at once, and what the replies say (ANALYSIS 2.1).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use serde::Deserialize;

use crate::analysis::Counter;
use crate::crd::moment::Moment;
use crate::metrics::batch::Batch;
use crate::metrics::query::CounterQuery;
use crate::metrics::series::Process;
use crate::metrics::{MetricError, address_problem};

/// Characters of a server's own words that are repeated.
const MAX_WORDS: usize = 200;

/// A request for the value of a query at a time.
///
/// # Errors
///
/// If the address of the server cannot be used.
pub fn request(server: &str, query: &str, at: Moment) -> Result<Request<Bytes>, MetricError> {
    post(
        server,
        "query",
        query,
        &format!("time={:.3}", at.as_seconds()),
    )
}

/// A request to one way of the API, with a query and the times that it is for.
pub(super) fn post(
    server: &str,
    way: &str,
    query: &str,
    times: &str,
) -> Result<Request<Bytes>, MetricError> {
    if let Some(why) = address_problem(server) {
        let message = format!("the address of the metrics server {why}");
        return Err(MetricError::Rejected(message));
    }
    let query = form_encoded(query);
    Request::builder()
        .method(Method::POST)
        .uri(format!("{}/api/v1/{way}", server.trim_end_matches('/')))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .body(Bytes::from(format!("query={query}&{times}")))
        .map_err(|error| {
            MetricError::Rejected(format!("the address of the metrics server: {error}"))
        })
}

/// A text as a value of a form: everything but letters, digits and `-._~` in percent form.
pub(super) fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The counters that a reply holds for each question of its batch, in their order.
///
/// A reply without series is an answer: no counters. What is wrong with the series of one question is an error of that
/// question alone.
///
/// # Errors
///
/// If the whole reply is no answer.
pub fn parse<Id>(
    reply: &Response<Bytes>,
    batch: &Batch<Id>,
) -> Result<Vec<Result<Vec<Counter>, MetricError>>, MetricError> {
    let Outcome::Vector(series) = outcome(reply)? else {
        return Err(nonsense("the reply is no vector"));
    };
    let mut found: BTreeMap<usize, Vec<Series>> = BTreeMap::new();
    for series in series {
        let position = series.label("q").parse();
        let position = position.map_err(|_| nonsense("a series answers no question"))?;
        found.entry(position).or_default().push(series);
    }
    let answers = batch.queries().enumerate().map(|(position, query)| {
        let series = found.remove(&position).unwrap_or_default();
        counters(query, series)
    });
    Ok(answers.collect())
}

/// The value that a reply holds: a number, or the only series. `None`: nothing, or nothing finite.
///
/// # Errors
///
/// If the reply is no answer, or has several series: which one was meant is not Serin's to choose.
pub fn value(reply: &Response<Bytes>) -> Result<Option<f64>, MetricError> {
    let value = match outcome(reply)? {
        Outcome::Scalar(Sample(_, value)) => Some(number(&value)?),
        Outcome::Matrix(_) => return Err(nonsense("the reply is no value")),
        Outcome::Vector(series) => match series.as_slice() {
            [] => None,
            [only] => Some(only.number()?),
            several => {
                let message = format!(
                    "the query finds {} series where it needs one",
                    several.len()
                );
                return Err(MetricError::Rejected(message));
            }
        },
    };
    Ok(value.filter(|value| value.is_finite()))
}

/// A reply of the API, as far as it matters.
#[derive(Deserialize)]
struct Reply {
    status: String,
    data: Option<Outcome>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    /// Said by servers that answer from a part of their stores.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(super) enum Outcome {
    Vector(Vec<Series>),
    Matrix(Vec<Past>),
    Scalar(Sample),
}

/// A series over time.
#[derive(Deserialize)]
pub(super) struct Past {
    pub(super) metric: BTreeMap<String, String>,
    #[serde(rename = "values")]
    samples: Vec<(f64, String)>,
}

impl Past {
    /// Its samples, by their times.
    pub(super) fn samples(self) -> impl Iterator<Item = (Moment, Series)> {
        let Self { metric, samples } = self;
        samples.into_iter().filter_map(move |(time, value)| {
            let time = jiff::Timestamp::from_millisecond((time * 1000.0).round() as i64).ok()?;
            let value = Some(Sample(serde::de::IgnoredAny, value));
            let metric = metric.clone();
            Some((Moment::new(time), Series { metric, value }))
        })
    }
}

/// Time and value, which is a text, since JSON has no infinity.
#[derive(Deserialize)]
pub(super) struct Sample(#[serde(rename = "time")] serde::de::IgnoredAny, String);

#[derive(Deserialize)]
pub(super) struct Series {
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
}

impl Series {
    fn label(&self, name: &str) -> &str {
        self.metric.get(name).map_or("", String::as_str)
    }

    /// For a count of requests: a series that says that it was taken at this time.
    pub(super) fn taken(&self, at: Moment) -> Option<Self> {
        let arm = self.label("k").strip_suffix(".all")?;
        let mut metric = self.metric.clone();
        metric.insert("k".to_owned(), format!("{arm}.at"));
        let at = at.as_seconds().to_string();
        let value = Some(Sample(serde::de::IgnoredAny, at));
        Some(Self { metric, value })
    }

    fn number(&self) -> Result<f64, MetricError> {
        match &self.value {
            Some(Sample(_, value)) => number(value),
            None => Err(nonsense("a series has no value")),
        }
    }
}

fn number(text: &str) -> Result<f64, MetricError> {
    let unread = |_| nonsense(&format!("{:?} is no number", cut(text)));
    text.parse().map_err(unread)
}

/// What a reply comes to. Only a success without a warning is one: a warning can mean that series are missing (ANALYSIS
/// M14). A refusal of the query, which never heals by itself, is told apart from a server that cannot answer now.
pub(super) fn outcome(reply: &Response<Bytes>) -> Result<Outcome, MetricError> {
    let status = reply.status();
    let Ok(read) = serde_json::from_slice::<Reply>(reply.body()) else {
        return Err(unread(status));
    };
    if !status.is_success() || read.status != "success" {
        let message = format!("the metrics server says {status}: {}", cut(&read.error));
        return Err(if is_refusal(status) {
            MetricError::Rejected(message)
        } else {
            MetricError::Unreachable(message)
        });
    }
    if let Some(warning) = read.warnings.first() {
        return Err(MetricError::Warned(cut(warning)));
    }
    if read.is_partial {
        return Err(MetricError::Warned("it is partial".to_owned()));
    }
    read.data.ok_or_else(|| nonsense("the reply has no data"))
}

/// A reply that is not Prometheus' own: a page of a proxy, or half of one. Its text is nobody's business.
fn unread(status: StatusCode) -> MetricError {
    if is_refusal(status) {
        return MetricError::Rejected(format!("the metrics server says {status}"));
    }
    MetricError::Unreachable(format!(
        "the metrics server says {status}, but not as Prometheus does"
    ))
}

/// Whether asking again cannot help. 408 and 429 are about time, and 422 is what Prometheus says of a query that it could
/// not run, which may be a limit.
fn is_refusal(status: StatusCode) -> bool {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !later.contains(&status)
}

/// The first words of a server, without what would break a line.
fn cut(text: &str) -> String {
    let words = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    words.take(MAX_WORDS).collect()
}

pub(super) fn nonsense(why: &str) -> MetricError {
    MetricError::Unreachable(why.to_owned())
}

/// What is known of one process for one arm.
#[derive(Default)]
struct Found {
    all: Option<f64>,
    bad: f64,
    at: Option<f64>,
    /// Counts up to each bound.
    buckets: Vec<(f64, f64)>,
}

/// Process, whether it counts for the canary, and the job that scraped it.
type Key = (String, bool, String);

/// The counters of one question. A process that two jobs scrape counts everything twice; the first job by name is taken
/// (ANALYSIS M10).
pub(super) fn counters(
    query: &CounterQuery,
    series: Vec<Series>,
) -> Result<Vec<Counter>, MetricError> {
    let mut found: BTreeMap<Key, Found> = BTreeMap::new();
    for series in series {
        let (arm, kind) = series.label("k").split_once('.').ok_or_else(unnamed)?;
        let process = process(query.process, &series);
        let key = (process, arm == "canary", series.label("job").to_owned());
        take(found.entry(key).or_default(), kind, &series)?;
    }
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (process, _, job) in found.keys() {
        let first = first.entry(process.clone()).or_insert_with(|| job.clone());
        if job < first {
            first.clone_from(job);
        }
    }
    let once = found
        .into_iter()
        .filter(|((process, _, job), _)| first.get(process) == Some(job));
    once.map(|((process, canary, _), found)| counter(query, process, canary, found))
        .collect()
}

fn unnamed() -> MetricError {
    nonsense("a series names no part of the question")
}

/// The process that a series counts for.
fn process(process: Process, series: &Series) -> String {
    match process {
        Process::Proxy => series.label("instance").to_owned(),
        Process::ProxyOfPod => format!("{} {}", series.label("instance"), series.label("node")),
        Process::Pod => ["pod", "kubernetes_pod_name", "instance"]
            .into_iter()
            .map(|label| series.label(label))
            .find(|name| !name.is_empty())
            .unwrap_or_default()
            .to_owned(),
    }
}

fn take(found: &mut Found, kind: &str, series: &Series) -> Result<(), MetricError> {
    let value = series.number()?;
    if !value.is_finite() {
        return Err(nonsense("a counter is not finite"));
    }
    match kind {
        "all" => found.all = Some(value),
        "bad" => found.bad = value,
        "at" => found.at = Some(value),
        "le" => found.buckets.push((number(series.label("le"))?, value)),
        _ => return Err(unnamed()),
    }
    Ok(())
}

fn counter(
    query: &CounterQuery,
    process: String,
    canary: bool,
    found: Found,
) -> Result<Counter, MetricError> {
    let (all, bad) = match query.slower_than {
        Some(limit) => slower(found.buckets, limit)?,
        None => (
            found
                .all
                .ok_or_else(|| nonsense("errors without requests"))?,
            found.bad,
        ),
    };
    Ok(Counter {
        process,
        canary,
        canary_pod: canary && query.process == Process::Pod,
        all,
        bad,
        at: found
            .at
            .ok_or_else(|| nonsense("a counter without a time"))?,
    })
}

/// The bound of the buckets in a reply that at least 99 % of the requests keep, or the highest finite one; `None`: there are no requests.
///
/// # Errors
///
/// If the reply is no answer, or its series are no buckets.
pub fn usual(reply: &Response<Bytes>) -> Result<Option<f64>, MetricError> {
    let Outcome::Vector(series) = outcome(reply)? else {
        return Err(nonsense("the reply is no vector"));
    };
    let bucket = |it: &Series| Ok((number(it.label("le"))?, it.number()?));
    let mut buckets = series.iter().map(bucket).collect::<Result<Vec<_>, _>>()?;
    buckets.retain(|(_, count)| count.is_finite());
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = buckets.pop().filter(|(bound, _)| bound.is_infinite());
    let Some((_, all)) = all.filter(|(_, all)| *all > 0.0) else {
        return Ok(None);
    };
    let keeps = buckets.iter().find(|(_, count)| *count >= 0.99 * all);
    Ok(keeps.or(buckets.last()).map(|(bound, _)| *bound))
}

/// All requests, and those slower than the limit, from cumulative buckets.
///
/// If the limit is no bound, the requests of the bucket around it are taken as evenly spread, which is the same as to
/// interpolate the quantile: over 1 % above the next bound always fails a p99, at most 1 % above the one below always passes
/// (ANALYSIS 3). A limit above the highest finite bound can never be seen to be passed, and is refused.
fn slower(mut buckets: Vec<(f64, f64)>, limit: f64) -> Result<(f64, f64), MetricError> {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some((bound, all)) = buckets.pop().filter(|(bound, _)| bound.is_infinite()) else {
        return Err(nonsense("buckets without one for all requests"));
    };
    debug_assert!(bound > 0.0);
    if limit.is_infinite() {
        return Ok((all, 0.0));
    }
    let above = buckets.iter().position(|(bound, _)| *bound >= limit);
    let Some((above, at)) = above.and_then(|at| Some((buckets.get(at)?, at))) else {
        let highest = buckets.last().map_or(0.0, |(bound, _)| *bound);
        let message = format!("the limit of {limit} s lies above the highest bucket, {highest} s");
        return Err(MetricError::Rejected(message));
    };
    let below = at.checked_sub(1).and_then(|at| buckets.get(at)).copied();
    let below = below.unwrap_or((0.0, 0.0));
    let share = (limit - below.0) / (above.0 - below.0);
    let within = below.1 + share * (above.1 - below.1);
    Ok((all, (all - within).max(0.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::batch::{Question, group};

    const SERVER: &str = "http://prometheus.monitoring:9090/prefix/";

    /// A stored reply.
    macro_rules! golden {
        ($name:literal) => {
            reply(
                200,
                include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/tests/golden/metrics/prometheus/",
                    $name,
                    ".json"
                )),
            )
        };
    }

    fn reply(status: u16, body: &str) -> Response<Bytes> {
        let mut reply = Response::new(Bytes::from(body.to_owned()));
        *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
        reply
    }

    fn with_status(status: u16, mut reply: Response<Bytes>) -> Response<Bytes> {
        *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
        reply
    }

    fn moment(second: i64) -> Moment {
        Moment::new(jiff::Timestamp::from_second(second).expect("a time"))
    }

    fn query(process: Process, slower_than: Option<f64>, pods: usize) -> CounterQuery {
        CounterQuery {
            parts: vec!["a".to_owned(), "b".to_owned()],
            process,
            slower_than,
            pods,
        }
    }

    fn batch(process: Process, slower_than: Option<f64>, number: usize) -> Batch<usize> {
        let question = |id| Question {
            id,
            server: SERVER.to_owned(),
            query: query(process, slower_than, 1),
            at: moment(1000),
        };
        let mut batches = group((0..number).map(question).collect());
        batches.remove(0)
    }

    fn counter(process: &str, canary: bool, (all, bad): (f64, f64), at: f64) -> Counter {
        Counter {
            process: process.to_owned(),
            canary,
            canary_pod: false,
            all,
            bad,
            at,
        }
    }

    fn of_proxies(
        reply: &Response<Bytes>,
        number: usize,
    ) -> Vec<Result<Vec<Counter>, MetricError>> {
        parse(reply, &batch(Process::Proxy, None, number)).expect("an answer")
    }

    #[test]
    fn counters_are_told_apart_by_process_and_arm() {
        let answers = of_proxies(&golden!("two_proxies"), 1);
        let expected = vec![
            counter("10.42.0.7:9100", false, (1000.0, 1.0), 1_764_071_995.25),
            counter("10.42.0.7:9100", true, (120.0, 2.0), 1_764_071_995.25),
            counter("10.42.1.9:9100", true, (80.0, 0.0), 1_764_071_990.0),
        ];
        assert_eq!(answers[0], Ok(expected));
    }

    #[test]
    fn one_silent_canary_hides_no_other() {
        let answers = of_proxies(&golden!("one_silent_canary"), 3);
        assert_eq!(
            (&answers[0], &answers[2]),
            (&Ok(Vec::new()), &Ok(Vec::new()))
        );
        let only = counter("10.42.0.7:9100", true, (60.0, 60.0), 1_764_071_995.0);
        assert_eq!(answers[1], Ok(vec![only]));
    }

    #[test]
    fn a_broken_series_is_an_error_of_its_own_question() {
        let answers = of_proxies(&golden!("nan_counter"), 2);
        assert!(
            matches!(answers[0], Err(MetricError::Unreachable(_))),
            "{answers:?}"
        );
        assert!(answers[1].is_ok());
        let answers = of_proxies(&golden!("errors_only"), 1);
        assert!(
            matches!(answers[0], Err(MetricError::Unreachable(_))),
            "{answers:?}"
        );
    }

    #[test]
    fn a_doubled_scrape_counts_once() {
        let answers = of_proxies(&golden!("doubled_scrape"), 1);
        let first = counter("10.42.0.7:9100", true, (90.0, 0.0), 1_764_071_991.0);
        assert_eq!(answers[0], Ok(vec![first]));
    }

    #[test]
    fn pods_of_the_canary_are_known_as_such() {
        let batch = batch(Process::Pod, None, 1);
        let answers = parse(&golden!("legacy_labels"), &batch).expect("an answer");
        let canary = Counter {
            canary_pod: true,
            ..counter("podinfo-canary-a", true, (12.0, 0.0), 1_764_071_995.0)
        };
        let stable = counter("podinfo-b", false, (34.0, 0.0), 1_764_071_995.0);
        assert_eq!(answers[0], Ok(vec![stable, canary]));
    }

    #[test]
    fn slow_requests_are_counted_from_buckets() {
        let rows = [
            (0.3, Ok(500.0)),
            (1.2, Ok(100.0)),
            (5.0, Ok(4.0)),
            // A third of the way from 0.3 to 1.2.
            (0.6, Ok(1000.0 - 500.0 - 400.0 / 3.0)),
            (0.05, Ok(950.0)),
            (
                5.1,
                Err("the limit of 5.1 s lies above the highest bucket, 5 s"),
            ),
        ];
        for (limit, expected) in rows {
            let batch = batch(Process::Pod, Some(limit), 1);
            let mut answers = parse(&golden!("buckets"), &batch).expect("an answer");
            let answer = answers.remove(0);
            let rounded = |bad: f64| (bad * 1e6).round();
            let bad = answer.map(|counters| (counters[0].all, rounded(counters[0].bad)));
            let bad = bad.map_err(|error| error.to_string());
            let expected = expected.map(|bad| (1000.0, rounded(bad)));
            assert_eq!(bad, expected.map_err(str::to_owned), "{limit}");
        }
    }

    #[test]
    fn what_nearly_all_requests_keep_is_a_bound() {
        let reply = |counts: &[(&str, &str)]| {
            let series = counts.iter().map(
                |(le, count)| serde_json::json!({"metric": {"le": le}, "value": [1000, count]}),
            );
            let data =
                serde_json::json!({"resultType": "vector", "result": series.collect::<Vec<_>>()});
            reply(
                200,
                &serde_json::json!({"status": "success", "data": data}).to_string(),
            )
        };
        let rows = [
            (
                vec![("0.1", "90"), ("0.5", "99"), ("2", "100"), ("+Inf", "100")],
                Some(0.5),
            ),
            (
                vec![("+Inf", "100"), ("2", "100"), ("0.1", "98.9")],
                Some(2.0),
            ),
            (
                vec![("0.1", "10"), ("0.5", "20"), ("+Inf", "100")],
                Some(0.5),
            ),
            (vec![("0.1", "0"), ("+Inf", "0")], None),
            (vec![("0.1", "NaN"), ("+Inf", "NaN")], None),
            (vec![], None),
        ];
        for (counts, expected) in rows {
            assert_eq!(usual(&reply(&counts)), Ok(expected), "{counts:?}");
        }
        assert!(usual(&golden!("two_proxies")).is_err(), "no buckets");
    }

    #[test]
    fn a_limit_above_the_top_bucket_is_refused() {
        let refused = slower(vec![(0.5, 1.0), (f64::INFINITY, 2.0)], 0.6);
        assert!(
            matches!(refused, Err(MetricError::Rejected(_))),
            "{refused:?}"
        );
        let refused = slower(vec![(f64::INFINITY, 2.0)], 0.6);
        assert!(
            matches!(refused, Err(MetricError::Rejected(_))),
            "{refused:?}"
        );
        let nonsense = slower(vec![(0.5, 1.0)], 0.5);
        assert!(
            matches!(nonsense, Err(MetricError::Unreachable(_))),
            "{nonsense:?}"
        );
    }

    #[test]
    fn a_warned_reply_never_passes() {
        for reply in [golden!("warned"), golden!("partial")] {
            let batch = batch(Process::Proxy, None, 1);
            assert!(matches!(parse(&reply, &batch), Err(MetricError::Warned(_))));
            assert!(matches!(value(&reply), Err(MetricError::Warned(_))));
        }
        assert_eq!(
            value(&golden!("informed")),
            Ok(Some(0.25)),
            "an info is no warning"
        );
    }

    #[test]
    fn values_are_the_only_one_or_none() {
        assert_eq!(value(&golden!("value")), Ok(Some(0.25)));
        assert_eq!(value(&golden!("scalar")), Ok(Some(42.5)));
        for reply in [golden!("empty"), golden!("value_nan"), golden!("value_inf")] {
            assert_eq!(value(&reply), Ok(None));
        }
        let several = value(&golden!("value_many"));
        assert!(
            matches!(several, Err(MetricError::Rejected(_))),
            "{several:?}"
        );
    }

    #[test]
    fn a_proxy_that_counts_by_address_is_a_process_for_each() {
        let batch = batch(Process::ProxyOfPod, None, 1);
        let answers = parse(&golden!("pods_of_a_proxy"), &batch).expect("an answer");
        let at = 1_764_071_995.25;
        let expected = vec![
            counter("10.42.0.7:9091 10.1.0.6", false, (400.0, 0.0), at),
            counter("10.42.0.7:9091 10.1.0.7", false, (600.0, 1.0), at),
            counter("10.42.0.7:9091 10.1.0.8", true, (120.0, 2.0), at),
        ];
        assert_eq!(answers[0], Ok(expected));
    }

    #[test]
    fn an_empty_reply_is_an_answer() {
        assert_eq!(of_proxies(&golden!("empty"), 1)[0], Ok(Vec::new()));
    }

    #[test]
    fn refusals_are_told_from_outages() {
        let refused = value(&with_status(400, golden!("bad_query")));
        let expected = "the metrics server says 400 Bad Request: invalid parameter \"query\": 1:8: parse error: \
            unexpected end of input";
        assert_eq!(refused, Err(MetricError::Rejected(expected.to_owned())));
        let outages = [
            with_status(503, golden!("timeout")),
            with_status(200, golden!("bad_query")),
            with_status(429, golden!("bad_query")),
            reply(200, "<html>log in</html>"),
            reply(502, "<html>bad gateway</html>"),
            reply(302, ""),
            reply(200, r#"{"status":"success","data":{"resultTy"#),
            reply(200, r#"{"status":"success"}"#),
            golden!("matrix"),
            golden!("native_histogram"),
        ];
        for reply in outages {
            let error = value(&reply).expect_err("no answer");
            assert!(matches!(error, MetricError::Unreachable(_)), "{error:?}");
            assert!(!error.to_string().contains("html"), "{error}");
        }
        assert!(matches!(
            value(&reply(404, "not found")),
            Err(MetricError::Rejected(_))
        ));
        let unasked = parse(&golden!("unasked"), &batch(Process::Proxy, None, 1));
        assert!(matches!(unasked, Err(MetricError::Unreachable(_))));
    }

    #[test]
    fn a_servers_words_are_cut() {
        let body = serde_json::json!({"status": "error", "error": "x\n".repeat(500)}).to_string();
        let error = value(&reply(400, &body)).expect_err("refused").to_string();
        assert!(error.len() < 300 && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_request_is_a_form() {
        let request = request(SERVER, "up{a=\"é\"} + 1", moment(1000)).expect("a request");
        assert_eq!(request.method(), Method::POST);
        assert_eq!(
            request.uri(),
            "http://prometheus.monitoring:9090/prefix/api/v1/query"
        );
        let expected = "query=up%7Ba%3D%22%C3%A9%22%7D%20%2B%201&time=1000.000";
        assert_eq!(request.body(), expected);
    }

    #[test]
    fn an_address_that_is_none_is_a_mistake() {
        for server in [
            "",
            "prometheus:9090",
            "ftp://a",
            "http://u:p@a",
            "http://a?x=1",
        ] {
            let refused = super::request(server, "up", moment(1000));
            assert!(matches!(refused, Err(MetricError::Rejected(_))), "{server}");
        }
    }

    proptest! {
        /// Whatever a server sends, reading it ends in an answer or an error.
        #[test]
        fn no_reply_breaks_the_reader(status in 200_u16..600, body in ".{0,200}") {
            let reply = reply(status, &body);
            drop(value(&reply));
            drop(parse(&reply, &batch(Process::Proxy, None, 2)));
        }

        /// Slow requests are never more than all, and fewer with a higher limit.
        #[test]
        fn slow_ones_are_some_of_all(counts in proptest::collection::vec(0_u16..100, 5), limit in 0.01_f64..4.0) {
            let mut total = 0.0;
            let bounds = [0.1, 0.3, 1.2, 5.0, f64::INFINITY];
            let buckets: Vec<_> = bounds.iter().zip(counts).map(|(bound, count)| {
                total += f64::from(count);
                (*bound, total)
            }).collect();
            let (all, bad) = slower(buckets.clone(), limit).expect("below the top");
            let (_, fewer) = slower(buckets, limit + 0.5).expect("below the top");
            prop_assert!(all >= bad && bad >= fewer && fewer >= 0.0);
        }
    }
}
