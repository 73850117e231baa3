//! Graphite: `GET /render`. The query is what stands behind the question mark, `target=…` and what else is wanted.

use bytes::Bytes;
use http::{Request, Response};
use serde::Deserialize;

use crate::metrics::MetricError;
use crate::metrics::store::{Question, get, json, only};

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let query = question.query.trim().trim_start_matches('?');
    let mut query: String = query.bytes().map(encoded).collect();
    if !query.contains("from=") {
        let (from, to) = question.seconds();
        query.push_str(&format!("&from={from}&until={to}"));
    }
    get(&question.at(&format!("/render?{query}&format=json")))
}

/// What may stand in a query of a URL, as it is; anything else, such as line ends between the parts of a target, in percent form.
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte) {
        return char::from(byte).to_string();
    }
    format!("%{byte:02X}")
}

#[derive(Deserialize)]
struct Series {
    /// Value and seconds.
    datapoints: Vec<(Option<f64>, f64)>,
}

/// The last value that there is of the only series.
pub(super) fn value(answer: &Response<Bytes>) -> Result<Option<f64>, MetricError> {
    let series: Vec<Series> = json(answer)?;
    let points = only(series, "series")?.map(|series| series.datapoints);
    let points = points.unwrap_or_default().into_iter().rev();
    Ok(points.map(|(value, _)| value).find_map(|value| value))
}
