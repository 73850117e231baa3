//! InfluxDB 2: Flux by `POST /api/v2/query`, answered as annotated CSV.

use bytes::Bytes;
use http::{Method, Request, Response, header};

use crate::metrics::MetricError;
use crate::metrics::prometheus::form_encoded;
use crate::metrics::store::{Question, nonsense, only, put};

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let organisation = form_encoded(&question.key("org")?);
    let request = Request::builder()
        .method(Method::POST)
        .uri(question.at(&format!("/api/v2/query?org={organisation}")))
        .header(header::CONTENT_TYPE, "application/vnd.flux")
        .header(header::ACCEPT, "text/csv")
        .body(Bytes::from(question.query.to_owned()));
    let mut request = request.map_err(|error| MetricError::Rejected(error.to_string()))?;
    let token = format!("Token {}", question.key("token")?);
    put(&mut request, header::AUTHORIZATION.as_str(), &token, true)?;
    Ok(request)
}

/// The column `_value` of the only record. A table has lines of annotations, one of names, and records; an empty line ends it.
pub(super) fn value(answer: &Response<Bytes>) -> Result<Option<f64>, MetricError> {
    let text = std::str::from_utf8(answer.body());
    let text = text.map_err(|_| nonsense("the answer of InfluxDB is no text"))?;
    let (mut values, mut column) = (Vec::new(), None);
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        let fields = fields(line);
        if line.is_empty() {
            column = None;
        } else if line.starts_with('#') {
        } else if let Some(column) = column {
            values.push(fields.get(column).cloned().unwrap_or_default());
        } else if fields.iter().any(|name| name == "error") {
            return Err(nonsense("InfluxDB says that the query failed"));
        } else {
            let at = fields.iter().position(|name| name == "_value");
            column = Some(at.ok_or_else(|| nonsense("the answer has no column _value"))?);
        }
    }
    let Some(text) = only(values, "records")? else {
        return Ok(None);
    };
    if text.is_empty() {
        return Ok(None);
    }
    let value = text.parse();
    value.map(Some).map_err(|_| nonsense("_value is no number"))
}

/// The fields of a line; one in quotes may hold commas, and two quotes for one.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}
