//! Google Cloud Monitoring: PromQL at its endpoint that speaks as Prometheus does. Google takes no key, but a token that it lends for a
//! claim which the key has signed: that is asked for first, and used for an hour.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use ring::digest::{Context, SHA256};
use serde::Deserialize;
use serde_json::json;

use crate::crd::moment::Moment;
use crate::metrics::MetricError;
use crate::metrics::prometheus::form_encoded;
use crate::metrics::store::grant::Grant;
use crate::metrics::store::{self, Question, get, put};

/// Where it is if nothing else is written.
pub(super) const USUAL: &str = "https://monitoring.googleapis.com";

/// Addresses at which Google lends tokens, of which a key names one. The claim goes nowhere else, whatever the key says.
const LENDERS: [&str; 3] = [
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
];

/// What the token may be used for: to read metrics.
const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.read";

/// Seconds for which a claim is good; Google takes no longer one.
const CLAIMED: i64 = 3_600;

/// The key of a service account, as Google gives it to people.
#[derive(Deserialize)]
struct Key {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    project_id: Option<String>,
    token_uri: String,
}

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let project = project(question)?;
    let (query, at) = (form_encoded(question.query), question.to.as_seconds());
    let path = format!(
        "/v1/projects/{project}/location/global/prometheus/api/v1/query?query={query}&time={at:.3}"
    );
    let mut request = get(&question.at(&path))?;
    let token = question
        .access
        .ok_or_else(|| rejected("there is no token of Google"))?;
    put(
        &mut request,
        header::AUTHORIZATION.as_str(),
        &format!("Bearer {token}"),
        true,
    )?;
    Ok(request)
}

/// The project that is asked: what the Secret says, or else the key. It becomes a part of a path.
fn project(question: &Question<'_>) -> Result<String, MetricError> {
    let own = question.secret.and_then(|secret| secret("project"));
    let project = match own {
        Some(project) => project.trim().to_owned(),
        None => key(question)?
            .project_id
            .ok_or_else(|| rejected("there is no key project in the Secret"))?,
    };
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "-:._".contains(letter);
    let is_one = project.chars().all(letters)
        && project.contains(|letter: char| letter.is_ascii_alphanumeric());
    if is_one {
        Ok(project)
    } else {
        Err(rejected("key project of the Secret is no project"))
    }
}

fn key(question: &Question<'_>) -> Result<Key, MetricError> {
    let text = question.key("serviceAccountKey")?;
    // What serde says of it could quote it.
    serde_json::from_str(&text).map_err(|_| {
        rejected("key serviceAccountKey of the Secret is no key of a service account in JSON")
    })
}

/// What a token is lent for.
pub(super) fn grant(question: &Question<'_>) -> Result<Grant, MetricError> {
    let key = key(question)?;
    if !LENDERS.contains(&key.token_uri.as_str()) {
        return Err(rejected(
            "token_uri of serviceAccountKey is no address of Google's",
        ));
    }
    let now = question.now.timestamp().as_second();
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": key.private_key_id});
    let claims = json!({
        "iss": key.client_email,
        "scope": SCOPE,
        "aud": key.token_uri,
        "iat": now,
        "exp": now + CLAIMED,
    });
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let mut id = Context::new(&SHA256);
    for text in [&key.client_email, &key.private_key, &key.token_uri] {
        id.update(text.as_bytes());
        id.update(&[0]);
    }
    Ok(Grant {
        id: id.finish().as_ref().to_vec(),
        unsigned: format!("{}.{}", part(head), part(claims)),
        key: der(&key.private_key)?,
        lender: key.token_uri,
    })
}

/// The request for a token, with the signed claim.
pub(super) fn claim(
    lender: &str,
    unsigned: &str,
    signature: &[u8],
) -> Result<Request<Bytes>, MetricError> {
    let kind = form_encoded("urn:ietf:params:oauth:grant-type:jwt-bearer");
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let request = Request::builder()
        .method(Method::POST)
        .uri(lender)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .body(Bytes::from(format!(
            "grant_type={kind}&assertion={unsigned}.{signature}"
        )));
    request.map_err(|error| MetricError::Rejected(error.to_string()))
}

/// The bytes of a key in PEM.
fn der(pem: &str) -> Result<Vec<u8>, MetricError> {
    let wrong = || rejected("private_key of serviceAccountKey is no key in PEM");
    let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
    let inside = pem
        .trim()
        .strip_prefix(begin)
        .and_then(|rest| rest.strip_suffix(end));
    let inside: String = inside.ok_or_else(wrong)?.split_whitespace().collect();
    STANDARD.decode(inside).map_err(|_| wrong())
}

/// Why a query is not in the language that Google still answers, if it is not.
pub(super) fn problem(query: &str) -> Option<String> {
    let first = query.trim_start_matches(|letter: char| letter == '{' || letter.is_whitespace());
    let rest = first.strip_prefix("fetch")?;
    rest.starts_with(char::is_whitespace).then(|| {
        "is in MQL, which Google does not support since 22 July 2025: write it in PromQL, for instance \
         rate(istio_io:service_server_request_count{monitored_resource=\"k8s_container\"}[1m])"
            .to_owned()
    })
}

fn rejected(why: &str) -> MetricError {
    MetricError::Rejected(why.to_owned())
}

/// What comes back for a claim.
#[derive(Deserialize)]
struct Lent {
    access_token: String,
    expires_in: u32,
}

/// The token that an answer lends, and until when.
pub(super) fn token(
    answer: &Response<Bytes>,
    now: Moment,
) -> Result<(String, Moment), MetricError> {
    let status = answer.status();
    if !status.is_success() {
        let why = format!("Google lends no token for serviceAccountKey, and says {status}");
        let again = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        return Err(if again {
            MetricError::Unreachable(why)
        } else {
            MetricError::Rejected(why)
        });
    }
    let lent: Lent = store::json(answer)?;
    let length = std::time::Duration::from_secs(lent.expires_in.into());
    Ok((lent.access_token, now.after(length)))
}
