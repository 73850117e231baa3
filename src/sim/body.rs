//! What stands in the body of a request, and whether all of it means something.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::Value;

use crate::sim::kinds::Served;
use crate::sim::refusal::Refusal;
use crate::sim::{openapi, protobuf};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A body in JSON or YAML.
pub(crate) fn read(body: &Bytes) -> Result<Value, Refusal> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text =
        std::str::from_utf8(body).map_err(|_| Refusal::bad_request("the body is no text"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| Refusal::bad_request(format!("cannot read the body: {error}")))
}

/// The body as JSON or YAML, whatever it came in.
pub(crate) fn plain(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refusal> {
    let kind = media_type(headers);
    if kind != PROTOBUF || body.is_empty() {
        return Ok(body);
    }
    let object = protobuf::read(&body).ok_or_else(|| unsupported(kind))?;
    Ok(object.to_string().into())
}

/// What the body is said to be.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default()
}

/// 415: nobody reads this.
pub(crate) fn unsupported(kind: &str) -> Refusal {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
         application/merge-patch+json, application/apply-patch+yaml; this is {kind:?}"
    );
    Refusal::new(415, "UnsupportedMediaType", message)
}

/// What becomes of fields that a kind does not have: they are always taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    /// Nobody hears of it.
    Ignore,
    /// The client is told.
    Warn,
    /// The request is refused.
    Strict,
}

impl Validation {
    /// As `fieldValidation` says it.
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        match text {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => Err(Refusal::new(
                422,
                "Invalid",
                format!(
                    "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
                ),
            )),
        }
    }

    /// Takes out the fields that the kind does not have; says them as warnings.
    pub(crate) fn strip(
        &self,
        kind: &Served,
        object: &mut Value,
        refuse: impl FnOnce(&str) -> Refusal,
    ) -> Result<Vec<String>, Refusal> {
        let unknown = openapi::strip(kind, object);
        let words: Vec<_> = unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\""))
            .collect();
        match self {
            Self::Strict if !words.is_empty() => {
                let why = format!("strict decoding error: {}", words.join(", "));
                Err(refuse(&why))
            }
            Self::Ignore => Ok(Vec::new()),
            _ => Ok(words),
        }
    }
}

/// The reply, with these warnings.
pub(crate) fn warned<B>(mut reply: Response<B>, warnings: &[String]) -> Response<B> {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        // Only letters that no header may have are in the way.
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            reply.headers_mut().append(header::WARNING, value);
        }
    }
    reply
}
