//! What proves to a hook who calls it, and that nobody changed what was said.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};
use jiff::Timestamp;
use ring::hmac;

use crate::crd::bound::{self, Keys};

/// The header of the signature: `t=SECONDS,v1=HEX`, an HMAC-SHA256 over `SECONDS.BODY`.
const SIGNATURE: HeaderName = HeaderName::from_static("serin-signature");

/// Why a Secret cannot be used for a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It does not say where it may be sent, or says somewhere else.
    #[error("{0}")]
    Unbound(&'static str),
    /// There is nothing in it.
    #[error("its Secret has neither token, nor username and password, nor signingKey")]
    Empty,
    /// What is in it cannot stand in a header.
    #[error("its Secret has a token, username or password with characters that no header may have")]
    Unsendable,
}

/// What one Secret gives. It is never printed.
pub struct Credentials {
    authorization: Option<HeaderValue>,
    signing: Option<hmac::Key>,
}

impl Credentials {
    /// The keys `token`, or `username` and `password`, and `signingKey` of a Secret, for a hook at or below its `address`.
    ///
    /// # Errors
    ///
    /// If the Secret is for somewhere else, or of no use.
    pub fn new(url: &str, secret: Keys<'_>) -> Result<Self, CredentialError> {
        bound::may_go(url, secret).map_err(CredentialError::Unbound)?;
        let value = match (secret("token"), secret("username")) {
            (Some(token), _) => Some(format!("Bearer {}", token.trim())),
            (None, Some(user)) => {
                let pair = format!("{user}:{}", secret("password").unwrap_or_default());
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            (None, None) => None,
        };
        let authorization = value.map(sensitive).transpose()?;
        let key = secret("signingKey");
        let signing = key.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.trim().as_bytes()));
        if authorization.is_none() && signing.is_none() {
            return Err(CredentialError::Empty);
        }
        Ok(Self {
            authorization,
            signing,
        })
    }

    /// Puts them on a request that is sent now.
    pub fn put(&self, request: &mut Request<Bytes>, now: Timestamp) {
        if let Some(value) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        let Some(key) = &self.signing else { return };
        let at = now.as_second();
        let mut context = hmac::Context::with_key(key);
        context.update(format!("{at}.").as_bytes());
        context.update(request.body());
        let signature = context.sign();
        let hex = signature.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let text = format!("t={at},v1={}", hex.collect::<String>());
        if let Ok(value) = HeaderValue::from_str(&text) {
            request.headers_mut().insert(SIGNATURE, value);
        }
    }
}

fn sensitive(text: String) -> Result<HeaderValue, CredentialError> {
    let value = HeaderValue::try_from(text);
    let mut value = value.map_err(|_| CredentialError::Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    fn headers(pairs: &'static [(&str, &str)]) -> Result<Vec<String>, CredentialError> {
        let credentials = Credentials::new("http://tools.test/gate", &secret(pairs))?;
        let body = Bytes::from_static(br#"{"name":"podinfo"}"#);
        let mut request = Request::post("http://tools.test/gate").body(body).unwrap();
        credentials.put(&mut request, Timestamp::from_second(1_700_000_000).unwrap());
        let seen = format!("{:?}", request.headers());
        assert!(!seen.contains("s3cret"), "{seen}");
        let values = request.headers().iter();
        Ok(values
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect())
    }

    #[test]
    fn each_way_to_prove_oneself_is_a_header() {
        const PLACE: (&str, &str) = ("address", "http://tools.test/");
        assert_eq!(
            headers(&[PLACE, ("token", "s3cret\n")]).unwrap(),
            ["authorization: Bearer s3cret"]
        );
        assert_eq!(
            headers(&[PLACE, ("username", "serin"), ("password", "s3cret")]).unwrap(),
            ["authorization: Basic c2VyaW46czNjcmV0"]
        );
        // printf '1700000000.{"name":"podinfo"}' | openssl dgst -sha256 -hmac s3cret
        assert_eq!(
            headers(&[PLACE, ("signingKey", "s3cret")]).unwrap(),
            [
                "serin-signature: t=1700000000,v1=c601be936b95be46ec238c7b6041408a6df1f885cf8b1aa78850218271fba13f"
            ]
        );
        let rows = [
            (headers(&[("token", "s3cret")]), "no key address"),
            (headers(&[PLACE]), "neither token"),
            (
                headers(&[PLACE, ("token", "s3\ncret")]),
                "no header may have",
            ),
            (
                headers(&[("address", "http://other.test/"), ("token", "t")]),
                "another address",
            ),
        ];
        for (found, expected) in rows {
            let why = found.unwrap_err().to_string();
            assert!(why.contains(expected), "{why}");
        }
    }
}
