//! New Relic: NRQL by the query API of Insights, in Flagger's keys.

use bytes::Bytes;
use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::metrics::MetricError;
use crate::metrics::prometheus::form_encoded;
use crate::metrics::store::{Question, get, json, only, put};

/// Where it is if nothing else is written; accounts of the EU have another.
pub(super) const USUAL: &str = "https://insights-api.newrelic.com";

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let account = question.key("newrelic_account_id")?;
    if !account.chars().all(|letter| letter.is_ascii_digit()) {
        let why = "key newrelic_account_id of the Secret is no number";
        return Err(MetricError::Rejected(why.to_owned()));
    }
    let mut query = question.query.trim().to_owned();
    if !query.to_lowercase().contains(" since ") {
        let seconds = question.to.since(question.from).as_secs();
        query.push_str(&format!(" SINCE {seconds} seconds ago"));
    }
    let path = format!("/v1/accounts/{account}/query?nrql={}", form_encoded(&query));
    let mut request = get(&question.at(&path))?;
    let key = question.key("newrelic_query_key")?;
    put(&mut request, "x-query-key", &key, true)?;
    Ok(request)
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Map<String, Value>>,
}

/// The only number of the only result.
pub(super) fn value(answer: &Response<Bytes>) -> Result<Option<f64>, MetricError> {
    let answer: Answer = json(answer)?;
    let result = only(answer.results, "results")?.unwrap_or_default();
    let numbers: Vec<f64> = result.values().filter_map(Value::as_f64).collect();
    only(numbers, "numbers")
}
