//! The API of external metrics of Kubernetes: asked of the API server with Serin's own account, or of a server that speaks it. The
//! query is `NAMESPACE/METRIC?labelSelector=…`, as in Flagger's templates.

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use serde::Deserialize;

use crate::metrics::MetricError;
use crate::metrics::prometheus::form_encoded;
use crate::metrics::store::{Question, Server, get, json, nonsense, only};

/// How a query is written.
const FORM: &str =
    "write NAMESPACE/METRIC?labelSelector=KEY%3DVALUE, where the selector may be left out";

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let wanted = Wanted::read(question.query).map_err(MetricError::Rejected)?;
    // With its own account Serin can read more than who writes the template.
    if *question.server == Server::Cluster && wanted.namespace != question.home {
        let (other, home) = (wanted.namespace, question.home);
        let why = format!(
            "the metric lies in namespace {other:?}, but only those of {home:?} may be read"
        );
        return Err(MetricError::Rejected(why));
    }
    let (namespace, metric) = (form_encoded(wanted.namespace), form_encoded(wanted.metric));
    let mut path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}");
    if let Some(selector) = wanted.selector {
        path.push_str(&format!("?labelSelector={}", form_encoded(&selector)));
    }
    get(&question.at(&path))
}

/// What is wrong with a query, as far as it can be seen before its variables have values.
pub(super) fn problem(query: &str) -> Option<String> {
    let path = query.split('?').next().unwrap_or_default();
    let named = path.trim().trim_start_matches('/').contains('/');
    (!named).then(|| format!("names no namespace, where Flagger takes \"default\": {FORM}"))
}

/// What a query asks for.
struct Wanted<'a> {
    namespace: &'a str,
    metric: &'a str,
    selector: Option<String>,
}

impl<'a> Wanted<'a> {
    fn read(query: &'a str) -> Result<Self, String> {
        let (path, parameters) = query.trim().split_once('?').unwrap_or((query.trim(), ""));
        let mut parts = path.split('/');
        let (Some(namespace), Some(metric), None) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("the query is no path of a metric: {FORM}"));
        };
        if [namespace, metric]
            .iter()
            .any(|part| ["", ".", ".."].contains(part))
        {
            return Err(format!("the query names no metric: {FORM}"));
        }
        let mut selector = None;
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            if name != "labelSelector" || selector.is_some() {
                return Err(format!(
                    "the query has {name:?}, which is no part of it: {FORM}"
                ));
            }
            selector = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        Ok(Self {
            namespace,
            metric,
            selector,
        })
    }
}

#[derive(Deserialize)]
struct Answer {
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    timestamp: Option<Timestamp>,
    value: String,
}

/// The only value, unless it is older than the window.
pub(super) fn value(
    question: &Question<'_>,
    answer: &Response<Bytes>,
) -> Result<Option<f64>, MetricError> {
    let answer: Answer = json(answer)?;
    let Some(item) = only(answer.items.unwrap_or_default(), "values")? else {
        return Ok(None);
    };
    let old = item
        .timestamp
        .is_some_and(|at| at < question.from.timestamp());
    let value = quantity(&item.value);
    let value = value.ok_or_else(|| nonsense("the value is no quantity of Kubernetes"))?;
    Ok(Some(value).filter(|_| !old))
}

/// A number in Kubernetes' form: `1500m` is 1.5, `2k` 2000, `1Ki` 1024, `1e3` 1000.
fn quantity(text: &str) -> Option<f64> {
    let end = text.find(|letter: char| !matches!(letter, '0'..='9' | '.' | '+' | '-'));
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let decimal = |exponent: &str| format!("{number}e{exponent}").parse().ok();
    let binary = |power: i32| Some(number.parse::<f64>().ok()? * 1024_f64.powi(power));
    match suffix {
        "" => decimal("0"),
        "n" => decimal("-9"),
        "u" => decimal("-6"),
        "m" => decimal("-3"),
        "k" => decimal("3"),
        "M" => decimal("6"),
        "G" => decimal("9"),
        "T" => decimal("12"),
        "P" => decimal("15"),
        "E" => decimal("18"),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        other => {
            let exponent: i32 = other.strip_prefix(['e', 'E'])?.parse().ok()?;
            decimal(&exponent.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly_or_not_at_all() {
        let rows = [
            ("0", Some(0.0)),
            ("13", Some(13.0)),
            ("1500m", Some(1.5)),
            ("1100m", Some(1.1)),
            ("11111e-4", Some(1.1111)),
            ("-5", Some(-5.0)),
            ("+.5", Some(0.5)),
            ("2k", Some(2_000.0)),
            ("2K", None),
            ("3M", Some(3e6)),
            ("3G", Some(3e9)),
            ("3T", Some(3e12)),
            ("3P", Some(3e15)),
            ("1E", Some(1e18)),
            ("1E3", Some(1e3)),
            ("1e3", Some(1e3)),
            ("5u", Some(5e-6)),
            ("5n", Some(5e-9)),
            ("1Ki", Some(1_024.0)),
            ("1.5Mi", Some(1_572_864.0)),
            ("1Gi", Some(1_073_741_824.0)),
            ("1Ti", Some(1_099_511_627_776.0)),
            ("1Pi", Some(1_125_899_906_842_624.0)),
            ("1Ei", Some(1_152_921_504_606_846_976.0)),
            ("", None),
            ("m", None),
            ("1 m", None),
            ("1e", None),
            ("NaN", None),
            ("inf", None),
            ("1-2", None),
            ("0x10", None),
        ];
        for (text, expected) in rows {
            assert_eq!(quantity(text), expected, "{text}");
        }
    }
}
