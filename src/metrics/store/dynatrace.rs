//! Dynatrace: `GET /api/v2/metrics/query`, one value for the whole window.

use bytes::Bytes;
use http::{Request, Response, header};
use serde::Deserialize;

use crate::metrics::MetricError;
use crate::metrics::prometheus::form_encoded;
use crate::metrics::store::{Question, get, json, only, put};

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let (from, to) = question.seconds();
    let query = form_encoded(question.query.trim());
    let path = format!(
        "/api/v2/metrics/query?metricSelector={query}&resolution=Inf&from={}&to={}",
        from * 1000,
        to * 1000
    );
    let mut request = get(&question.at(&path))?;
    let token = format!("Api-Token {}", question.key("dynatrace_token")?);
    put(&mut request, header::AUTHORIZATION.as_str(), &token, true)?;
    Ok(request)
}

#[derive(Deserialize)]
struct Answer {
    result: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(default)]
    data: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<Option<f64>>,
}

pub(super) fn value(answer: &Response<Bytes>) -> Result<Option<f64>, MetricError> {
    let answer: Answer = json(answer)?;
    let series = answer.result.into_iter().flat_map(|metric| metric.data);
    let Some(series) = only(series.collect(), "series")? else {
        return Ok(None);
    };
    let values: Vec<f64> = series.values.into_iter().flatten().collect();
    only(values, "values")
}
