//! Values from stores of metrics other than Prometheus, and from Prometheus with credentials (PROVIDERS 3.2): what each is asked, and
//! what its answer says. A value, no data, or an error: never a guess.

mod datadog;
mod dynatrace;
mod graphite;
mod influxdb;
mod newrelic;
#[cfg(test)]
mod tests;
mod web;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use serde::de::DeserializeOwned;

use crate::crd::bound::{self, Keys};
use crate::crd::metric_template::MetricServer;
use crate::crd::moment::Moment;
use crate::metrics::{MetricError, address_problem, prometheus};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Prometheus, and whoever speaks as it does.
    Prometheus,
    /// Datadog.
    Datadog,
    /// Dynatrace.
    Dynatrace,
    /// Graphite.
    Graphite,
    /// InfluxDB 2.
    InfluxDb,
    /// New Relic.
    NewRelic,
    /// Any server that answers with JSON.
    Web,
}

impl Store {
    /// The store of a type; `None`: it is not asked yet, or unknown.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "prometheus" => Self::Prometheus,
            "datadog" => Self::Datadog,
            "dynatrace" => Self::Dynatrace,
            "graphite" => Self::Graphite,
            "influxdb" => Self::InfluxDb,
            "newrelic" => Self::NewRelic,
            "web" => Self::Web,
            _ => return None,
        })
    }

    /// Where it is if the template does not say so; `None`: nobody knows. That of Prometheus is the Canary's metrics server.
    #[must_use]
    pub fn usual(self) -> Option<&'static str> {
        match self {
            Self::Datadog => Some(datadog::USUAL),
            Self::NewRelic => Some(newrelic::USUAL),
            _ => None,
        }
    }
}

/// A question for one value, over one window.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The server as a template describes it; `None`: there is no template.
    pub provider: Option<&'a MetricServer>,
    /// Its address.
    pub address: &'a str,
    /// The query, with its values.
    pub query: &'a str,
    /// Begin of the window.
    pub from: Moment,
    /// End of the window.
    pub to: Moment,
    /// The keys of the template's Secret, if it names one.
    pub secret: Option<Keys<'a>>,
}

impl Question<'_> {
    /// A key that the Secret must have.
    fn key(&self, name: &str) -> Result<String, MetricError> {
        let found = self.secret.and_then(|secret| secret(name));
        let found = found.map(|text| text.trim().to_owned());
        found.ok_or_else(|| {
            let why = format!("there is no key {name} in the Secret of spec.provider.secretRef");
            MetricError::Rejected(why)
        })
    }

    /// The address with this path behind it.
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.address.trim_end_matches('/'))
    }

    fn seconds(&self) -> (i64, i64) {
        let second = |moment: Moment| moment.timestamp().as_second();
        (second(self.from), second(self.to))
    }
}

/// The request that asks.
///
/// # Errors
///
/// If the address cannot be used, the Secret lacks a key, or is for another address.
pub fn request(store: Store, question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    if let Some(why) = address_problem(question.address) {
        let message = format!("the address of the metrics server {why}");
        return Err(MetricError::Rejected(message));
    }
    if let Some(secret) = question.secret {
        let bound = bound::may_go(question.address, secret);
        bound.map_err(|why| MetricError::Rejected(why.to_owned()))?;
    }
    let mut request = match store {
        Store::Prometheus => prometheus::request(question.address, question.query, question.to)?,
        Store::Datadog => datadog::request(question)?,
        Store::Dynatrace => dynatrace::request(question)?,
        Store::Graphite => graphite::request(question)?,
        Store::InfluxDb => influxdb::request(question)?,
        Store::NewRelic => newrelic::request(question)?,
        Store::Web => web::request(question)?,
    };
    if matches!(store, Store::Prometheus | Store::Graphite | Store::Web) {
        prove(&mut request, question)?;
    }
    let headers = question.provider.iter().flat_map(|it| &it.headers);
    for (name, values) in headers {
        for value in values {
            put(&mut request, name, value, false)?;
        }
    }
    Ok(request)
}

/// The value that an answer holds; `None`: no data.
///
/// # Errors
///
/// If the answer is none, or holds several values: which one was meant is not Serin's to choose.
pub fn value(
    store: Store,
    provider: Option<&MetricServer>,
    answer: &Response<Bytes>,
    to: Moment,
) -> Result<Option<f64>, MetricError> {
    if store == Store::Prometheus {
        return prometheus::value(answer);
    }
    let status = answer.status();
    if !status.is_success() {
        return Err(refusal(status));
    }
    let value = match store {
        Store::Prometheus | Store::Datadog => datadog::value(answer, to)?,
        Store::Dynatrace => dynatrace::value(answer)?,
        Store::Graphite => graphite::value(answer)?,
        Store::InfluxDb => influxdb::value(answer)?,
        Store::NewRelic => newrelic::value(answer)?,
        Store::Web => {
            let path = provider.and_then(|provider| provider.json_path.as_deref());
            web::value(answer, path.unwrap_or("$"))?
        }
    };
    Ok(value.filter(|value| value.is_finite()))
}

/// What is wrong with a `jsonPath`, if anything is.
#[must_use]
pub fn path_problem(path: &str) -> Option<String> {
    web::check(path).err()
}

/// Asking again cannot help if the question or the credentials are wrong. 408 and 429 are about time.
fn refusal(status: StatusCode) -> MetricError {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    let message = format!("the metrics server says {status}");
    if status.is_client_error() && !later.contains(&status) {
        MetricError::Rejected(message)
    } else {
        MetricError::Unreachable(message)
    }
}

/// `token`, or `username` and `password`, where a store has no way of its own.
fn prove(request: &mut Request<Bytes>, question: &Question<'_>) -> Result<(), MetricError> {
    let Some(secret) = question.secret else {
        return Ok(());
    };
    let value = match (secret("token"), secret("username")) {
        (Some(token), _) => format!("Bearer {}", token.trim()),
        (None, Some(user)) => {
            let pair = format!("{}:{}", user.trim(), question.key("password")?);
            format!("Basic {}", STANDARD.encode(pair))
        }
        (None, None) => {
            let why = "the Secret of spec.provider.secretRef has neither token, nor username and password";
            return Err(MetricError::Rejected(why.to_owned()));
        }
    };
    put(request, header::AUTHORIZATION.as_str(), &value, true)
}

/// Adds a header; a secret one is not printed.
fn put(
    request: &mut Request<Bytes>,
    name: &str,
    value: &str,
    secret: bool,
) -> Result<(), MetricError> {
    let wrong = || MetricError::Rejected(format!("header {name:?} cannot be sent"));
    let header = HeaderName::try_from(name).map_err(|_| wrong())?;
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
    value.set_sensitive(secret);
    request.headers_mut().append(header, value);
    Ok(())
}

fn get(url: &str) -> Result<Request<Bytes>, MetricError> {
    let url: Uri = url
        .parse()
        .map_err(|_| MetricError::Rejected("address and query together are no URL".to_owned()))?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(url)
        .header(header::ACCEPT, "application/json")
        .body(Bytes::new());
    request.map_err(|error| MetricError::Rejected(error.to_string()))
}

/// An answer in JSON.
fn json<T: DeserializeOwned>(answer: &Response<Bytes>) -> Result<T, MetricError> {
    serde_json::from_slice(answer.body())
        .map_err(|_| nonsense("the metrics server answers in a form that is not its own"))
}

fn nonsense(why: &str) -> MetricError {
    MetricError::Unreachable(why.to_owned())
}

/// The only one of several; none is no data.
fn only<T>(found: Vec<T>, what: &str) -> Result<Option<T>, MetricError> {
    if found.len() > 1 {
        let message = format!("the query finds {} {what} where it needs one", found.len());
        return Err(MetricError::Rejected(message));
    }
    Ok(found.into_iter().next())
}
