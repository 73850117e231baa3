//! Amazon CloudWatch: `GetMetricData` in AWS's JSON protocol. The query is the array of `MetricDataQueries`.

use bytes::Bytes;
use http::{Method, Request, Response, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::metrics::MetricError;
use crate::metrics::store::sigv4::{self, Scope, Signer};
use crate::metrics::store::{Question, json, nonsense, only};

/// The operation, as the JSON protocol names it.
const TARGET: &str = "GraniteServiceVersion20100801.GetMetricData";

/// Where a region's CloudWatch is; regions apart from the world need an address.
pub(super) fn usual(region: &str) -> Option<String> {
    let world = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    is_region(region).then(|| format!("https://monitoring.{region}.{world}"))
}

/// Whether it can be a region: it becomes a part of a host's name.
pub(super) fn is_region(region: &str) -> bool {
    let letters =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    !region.is_empty() && region.chars().all(letters)
}

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let region = question.provider.and_then(|it| it.region.as_deref());
    let region = region.ok_or_else(|| MetricError::Rejected("there is no region".to_owned()))?;
    let (from, to) = question.seconds();
    let body = json!({
        "StartTime": from,
        "EndTime": to,
        "ScanBy": "TimestampDescending",
        "MetricDataQueries": queries(question.query)?,
    });
    let request = Request::builder()
        .method(Method::POST)
        .uri(question.at("/"))
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.0")
        .header("x-amz-target", TARGET)
        .body(Bytes::from(body.to_string()));
    let mut request = request.map_err(|error| MetricError::Rejected(error.to_string()))?;
    let session = question
        .secret
        .and_then(|secret| secret("aws_session_token"));
    let signer = Signer {
        id: question.key("aws_access_key_id")?,
        secret: question.key("aws_secret_access_key")?,
        session: session.map(|text| text.trim().to_owned()),
    };
    let scope = Scope {
        region,
        service: "monitoring",
        at: question.now.timestamp(),
    };
    sigv4::sign(&mut request, &signer, &scope)?;
    Ok(request)
}

fn queries(query: &str) -> Result<Vec<Value>, MetricError> {
    serde_json::from_str(query).map_err(|error| {
        MetricError::Rejected(format!(
            "the query is no JSON array of MetricDataQueries: {error}"
        ))
    })
}

/// The longest period that a query names, in seconds.
pub(super) fn longest_period(query: &str) -> Option<u64> {
    longest(&queries(query).ok()?).map(|seconds| seconds as u64)
}

/// Seconds of one point of the result with this id. That of an expression follows from what it is made of, which is not looked
/// at: no point is shorter than the longest period of all.
fn period(query: &str, id: &str) -> Result<f64, MetricError> {
    let queries = queries(query)?;
    let own = queries.iter().find(|it| it["Id"] == id).and_then(seconds);
    let found = own
        .or_else(|| longest(&queries))
        .filter(|seconds| *seconds >= 1.0);
    found.ok_or_else(|| MetricError::Rejected("the query says no Period".to_owned()))
}

fn longest(queries: &[Value]) -> Option<f64> {
    queries.iter().filter_map(seconds).reduce(f64::max)
}

fn seconds(query: &Value) -> Option<f64> {
    let of_metric = query["MetricStat"]["Period"].as_f64();
    of_metric.or_else(|| query["Period"].as_f64())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    metric_data_results: Vec<Found>,
    #[serde(default)]
    next_token: Option<String>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    id: String,
    /// Begin of each point, in seconds.
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    status_code: String,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    #[serde(default)]
    code: String,
}

/// The newest point that lies in the window as a whole: one that begins before it is of another time, and one that still fills is
/// of fewer samples than the rest.
pub(super) fn value(
    question: &Question<'_>,
    answer: &Response<Bytes>,
) -> Result<Option<f64>, MetricError> {
    let answer: Answer = json(answer)?;
    let rest = answer.next_token.is_some_and(|token| !token.is_empty());
    if rest || !is_calm(answer.messages.as_deref()) {
        return Err(nonsense("CloudWatch says that its answer is not whole"));
    }
    let Some(found) = only(answer.metric_data_results, "results")? else {
        return Ok(None);
    };
    match found.status_code.as_str() {
        "Complete" if is_calm(found.messages.as_deref()) => {}
        "Forbidden" => {
            let why = "CloudWatch says that the keys of the Secret may not read this metric";
            return Err(MetricError::Rejected(why.to_owned()));
        }
        _ => return Err(nonsense("CloudWatch says that its answer is not whole")),
    }
    if found.timestamps.len() != found.values.len() {
        return Err(nonsense(
            "the answer of CloudWatch has not as many times as values",
        ));
    }
    let length = period(question.query, &found.id)? * 1e3;
    let times = found.timestamps.into_iter().map(|at| at * 1e3);
    Ok(question.newest_whole(length, times.zip(found.values)))
}

/// Whether the messages tell of nothing but points that came to no number, such as a division by zero: those are left out.
fn is_calm(messages: Option<&[Message]>) -> bool {
    let mut messages = messages.unwrap_or_default().iter();
    messages.all(|message| message.code == "ArithmeticError")
}

/// Whether a refusal says that there were too many requests. AWS says so with the status of a wrong request.
pub(super) fn is_busy(answer: &Response<Bytes>) -> bool {
    let Ok(error) = serde_json::from_slice::<Value>(answer.body()) else {
        return false;
    };
    let kind = error["__type"].as_str().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    kind.starts_with("Throttl")
        || kind.starts_with("TooManyRequests")
        || kind.starts_with("RequestLimitExceeded")
}
