//! What the HTTP API replies (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Number, Value as Json, json};

use crate::sim::prometheus::Prometheus;
use crate::sim::promql::evaluate::{self, Point, Times, Value};
use crate::sim::promql::labels::Labels;
use crate::sim::promql::parse;
use crate::sim::promql::syntax::{Expr, Kind};
use crate::sim::samples::{Sample, Series};

/// Most times that a query over a range is evaluated for.
const MAX_STEPS: i64 = 11_000;

/// Queries that are remembered as they were read.
const KNOWN: usize = 256;

/// A status and what comes with it.
type Reply = (u16, Json);

impl Prometheus {
    /// The reply to a request: its path, what stands behind `?`, and its body, which may be a form. Without a `time` the time
    /// of the last scrape is meant. A reply that is a text is no JSON.
    #[must_use]
    pub fn answer(&self, path: &str, query: &str, body: &str) -> (u16, Json) {
        let mut form = fields(query);
        form.extend(fields(body));
        let result = match path.trim_end_matches('/') {
            "/api/v1/query" => self.query(&form),
            "/api/v1/query_range" => self.query_range(&form),
            "/api/v1/status/buildinfo" => Ok(success(&build())),
            "/-/healthy" => Ok((200, json!("Prometheus Server is Healthy.\n"))),
            "/-/ready" => Ok((200, json!("Prometheus Server is Ready.\n"))),
            _ => Err((404, json!("404 page not found\n"))),
        };
        result.unwrap_or_else(|refused| refused)
    }

    fn query(&self, form: &BTreeMap<String, String>) -> Result<Reply, Reply> {
        let time = match form.get("time") {
            None => self.now,
            Some(text) => time("time", text)?,
        };
        let expr = self.expression(form)?;
        let value = evaluate::at(&expr, &self.samples, time);
        let value = value.map_err(|failed| refusal(422, "execution", &failed.to_string()))?;
        Ok(success(&outcome(&value, time)))
    }

    fn query_range(&self, form: &BTreeMap<String, String>) -> Result<Reply, Reply> {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        let times = Times {
            first: time("start", field("start"))?,
            last: time("end", field("end"))?,
            step: step(field("step"))?,
        };
        if times.last < times.first {
            return Err(bad("end", "end timestamp must not be before start time"));
        }
        if (times.last - times.first) / times.step > MAX_STEPS {
            let why = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
                (?step=XX)";
            return Err(refusal(400, "bad_data", why));
        }
        let expr = self.expression(form)?;
        if !matches!(expr.kind(), Kind::Scalar | Kind::Vector) {
            let why = format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                expr.kind().name()
            );
            return Err(bad("query", &why));
        }
        let series = evaluate::over(&expr, &self.samples, times);
        let series = series.map_err(|failed| refusal(422, "execution", &failed.to_string()))?;
        Ok(success(&outcome(&Value::Matrix(series), times.last)))
    }

    /// What a query says; the same ones come again and again, and reading one takes as long as answering it.
    fn expression(&self, form: &BTreeMap<String, String>) -> Result<Arc<Expr>, Reply> {
        let query = form.get("query").map_or("", String::as_str);
        if let Some(known) = self.read.borrow().get(query) {
            return Ok(known.clone());
        }
        let read = parse(query).map_err(|refused| bad("query", &refused.to_string()))?;
        let read = Arc::new(read);
        let mut known = self.read.borrow_mut();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(query.to_owned(), read.clone());
        Ok(read)
    }
}

/// Seconds since 1970 or RFC 3339, in milliseconds.
fn time(name: &str, text: &str) -> Result<i64, Reply> {
    if let Some(seconds) = text
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite())
    {
        return Ok((seconds * 1000.0).round() as i64);
    }
    let time: Result<Timestamp, _> = text.parse();
    time.map(Timestamp::as_millisecond)
        .map_err(|_| bad(name, &format!("cannot parse {text:?} to a valid timestamp")))
}

/// Seconds or a duration, in milliseconds.
fn step(text: &str) -> Result<i64, Reply> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| seconds.is_finite());
    let unread = || {
        bad(
            "step",
            &format!("cannot parse {text:?} to a valid duration"),
        )
    };
    let step = match seconds {
        Some(seconds) => (seconds * 1000.0) as i64,
        None => match parse(text) {
            Ok(Expr::Number(seconds)) => (seconds * 1000.0) as i64,
            Ok(_) | Err(_) => return Err(unread()),
        },
    };
    if step <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(bad("step", why));
    }
    Ok(step)
}

fn bad(parameter: &str, why: &str) -> Reply {
    refusal(
        400,
        "bad_data",
        &format!("invalid parameter \"{parameter}\": {why}"),
    )
}

fn refusal(status: u16, kind: &str, why: &str) -> Reply {
    (
        status,
        json!({"status": "error", "errorType": kind, "error": why}),
    )
}

fn success(data: &Json) -> Reply {
    (200, json!({"status": "success", "data": data}))
}

fn build() -> Json {
    json!({
        "version": "3.0.0", "revision": "simulated", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
    })
}

fn outcome(value: &Value, at: i64) -> Json {
    let (kind, result) = match value {
        Value::Scalar(value) => ("scalar", pair(Sample { at, value: *value })),
        Value::Text(text) => ("string", json!([seconds(at), text])),
        Value::Vector(points) => (
            "vector",
            points.iter().map(|point| present(point, at)).collect(),
        ),
        Value::Matrix(series) => ("matrix", series.iter().map(history).collect()),
    };
    json!({"resultType": kind, "result": result})
}

fn present(point: &Point, at: i64) -> Json {
    let value = point.value;
    json!({"metric": metric(&point.labels), "value": pair(Sample { at, value })})
}

fn history(series: &Series) -> Json {
    let values: Vec<_> = series.samples.iter().copied().map(pair).collect();
    json!({"metric": metric(&series.labels), "values": values})
}

fn metric(labels: &Labels) -> Json {
    labels.json()
}

fn pair(sample: Sample) -> Json {
    json!([seconds(sample.at), number(sample.value)])
}

/// Milliseconds as a number of seconds, with a fraction where there is one.
fn seconds(milliseconds: i64) -> Json {
    if milliseconds % 1000 == 0 {
        return json!(milliseconds / 1000);
    }
    Number::from_f64(milliseconds as f64 / 1000.0).map_or(Json::Null, Json::Number)
}

/// A number as Go writes it, without an exponent.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// The fields of a form; of two with one name the first counts.
fn fields(form: &str) -> BTreeMap<String, String> {
    let pairs: Vec<_> = form_urlencoded::parse(form.as_bytes())
        .into_owned()
        .collect();
    pairs.into_iter().rev().collect()
}
