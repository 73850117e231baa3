//! Datadog: `GET /api/v1/query`.

use bytes::Bytes;
use http::{Request, Response};
use serde::Deserialize;

use crate::crd::moment::Moment;
use crate::metrics::MetricError;
use crate::metrics::prometheus::form_encoded;
use crate::metrics::store::{Question, get, json, nonsense, only, put};

/// Where it is if nothing else is written.
pub(super) const USUAL: &str = "https://api.datadoghq.com";

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let (from, to) = question.seconds();
    let query = form_encoded(question.query.trim());
    let mut request =
        get(&question.at(&format!("/api/v1/query?from={from}&to={to}&query={query}")))?;
    put(
        &mut request,
        "dd-api-key",
        &question.key("datadog_api_key")?,
        true,
    )?;
    let key = question.key("datadog_application_key")?;
    put(&mut request, "dd-application-key", &key, true)?;
    Ok(request)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    /// Milliseconds and value.
    pointlist: Vec<(f64, Option<f64>)>,
    /// Seconds of one point.
    #[serde(default)]
    interval: f64,
}

/// The newest point whose time is over: one that still fills is of fewer samples than the rest.
pub(super) fn value(answer: &Response<Bytes>, to: Moment) -> Result<Option<f64>, MetricError> {
    let answer: Answer = json(answer)?;
    if answer.error.is_some_and(|error| !error.is_empty()) {
        return Err(nonsense("the metrics server says that it could not answer"));
    }
    let Some(series) = only(answer.series, "series")? else {
        return Ok(None);
    };
    let end = to.as_seconds();
    let over = |at: &f64| at / 1000.0 + series.interval <= end;
    let points = series.pointlist.iter().rev();
    Ok(points
        .filter(|(at, _)| over(at))
        .find_map(|(_, value)| *value))
}
