//! What the body and the headers of a verb say.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::crd::request::{LONGEST_REASON, clean};
use crate::server::BODY_LIMIT;
use crate::server::problem::Problem;

/// How long a body may take.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// Characters of a revision.
const LONGEST_REVISION: usize = 128;
/// Characters of a key.
pub(super) const LONGEST_KEY: usize = 128;

/// The body of a verb. It may be left out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Details {
    /// Why: it goes into status and Events.
    #[schemars(length(max = 1000))]
    reason: Option<String>,
    /// Only if this is the candidate; of a rollback while idle, the revision to put back.
    #[schemars(length(min = 1, max = 128))]
    revision: Option<String>,
    /// Of `promote`: leave out what is still to come, which is `promote-full`.
    #[schemars(default)]
    force: Option<bool>,
}

/// What somebody wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The verb.
    pub(super) verb: &'static str,
    /// Why.
    pub(super) reason: Option<String>,
    /// Which revision.
    pub(super) revision: Option<String>,
    /// The identity that the sender gives.
    pub(super) key: Option<String>,
}

impl Wanted {
    /// What a key stands for: with another verb or revision it would be another request.
    pub(super) fn fingerprint(&self) -> String {
        let revision = self.revision.as_deref().unwrap_or_default();
        let reason = self.reason.as_deref().unwrap_or_default();
        format!("{} {revision} {reason}", self.verb)
    }
}

/// Reads what is wanted with a verb.
pub(super) async fn read(
    verb: &'static str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Wanted, Problem> {
    let details = details(headers, body).await?;
    let force = details.force.unwrap_or_default();
    let verb = match verb {
        "promote" | "promote-full" if force => "promote-full",
        other if force => return Err(refuse(format!("force does not go with {other}"))),
        verb => verb,
    };
    let reason = details.reason.as_deref();
    if reason.is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        return Err(refuse(format!(
            "reason: {LONGEST_REASON} characters at most"
        )));
    }
    let revision = details.revision;
    let fits = |revision: &String| {
        (1..=LONGEST_REVISION).contains(&revision.chars().count()) && clean(revision) == *revision
    };
    if revision.as_ref().is_some_and(|revision| !fits(revision)) {
        return Err(refuse(format!(
            "revision: 1 to {LONGEST_REVISION} characters, without quotation marks, backslashes and control characters"
        )));
    }
    Ok(Wanted {
        verb,
        reason: reason.map(clean).filter(|reason| !reason.is_empty()),
        revision,
        key: key(headers)?,
    })
}

async fn details(headers: &HeaderMap, body: Body) -> Result<Details, Problem> {
    let read = axum::body::to_bytes(body, BODY_LIMIT);
    let read = tokio::time::timeout(BODY_DEADLINE, read).await;
    let body = read
        .map_err(|_| {
            let detail = format!("the body did not come within {} s", BODY_DEADLINE.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
        })?
        .map_err(|_| {
            let detail = format!("a body may have {BODY_LIMIT} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        })?;
    if body.is_empty() {
        return Ok(Details::default());
    }
    let type_ = headers.get(header::CONTENT_TYPE);
    let type_ = type_.and_then(|value| value.to_str().ok());
    let essence = type_.and_then(|value| value.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body has to be application/json",
        ));
    }
    serde_json::from_slice(&body).map_err(|error| refuse(format!("the body: {error}")))
}

/// The key of a request. In the annotation it must not hold what admission refuses.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all("idempotency-key").iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if all.next().is_some() || !(1..=LONGEST_KEY).contains(&text.len()) || !printable {
        return Err(refuse(format!(
            "Idempotency-Key: once, 1 to {LONGEST_KEY} printable characters"
        )));
    }
    let escaped = text.replace('%', "%25").replace('"', "%22");
    Ok(Some(escaped.replace('\\', "%5C")))
}

fn refuse(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_printable_and_fit_the_annotation() {
        let long = "k".repeat(LONGEST_KEY);
        let longer = "k".repeat(LONGEST_KEY + 1);
        let rows = [
            ("a-1", Ok(Some("a-1".to_owned()))),
            (long.as_str(), Ok(Some(long.clone()))),
            (longer.as_str(), Err(())),
            ("", Err(())),
            (r#"a"b\c%"#, Ok(Some("a%22b%5Cc%25".to_owned()))),
        ];
        for (value, expected) in rows {
            let headers: HeaderMap = [(
                header::HeaderName::from_static("idempotency-key"),
                value.parse().unwrap(),
            )]
            .into_iter()
            .collect();
            assert_eq!(key(&headers).map_err(drop), expected, "{value}");
        }
        assert_eq!(key(&HeaderMap::new()).map_err(drop), Ok(None));
    }
}
