//! What proves to a hook who calls it, and that nobody changed what was said.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use jiff::Timestamp;
use ring::hmac;

/// The header of the signature: `t=SECONDS,v1=HEX`, an HMAC-SHA256 over `SECONDS.BODY`.
const SIGNATURE: HeaderName = HeaderName::from_static("serin-signature");

/// Why a Secret cannot be used for a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It does not say where it may be sent.
    #[error("its Secret has no key address, which says where to it may be sent")]
    Unbound,
    /// It may be sent to another address.
    #[error("its Secret is for another address")]
    Elsewhere,
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
    pub fn new(
        url: &str,
        secret: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, CredentialError> {
        let address = secret("address").ok_or(CredentialError::Unbound)?;
        if !is_below(url, address.trim()) {
            return Err(CredentialError::Elsewhere);
        }
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

/// Whether an address is another one, or lies below it: `http://a/b` and `http://a/b/c` are below `http://a/b`, `http://a/bc` is not.
fn is_below(url: &str, address: &str) -> bool {
    let (Ok(url), Ok(address)) = (url.parse::<Uri>(), address.parse::<Uri>()) else {
        return false;
    };
    let place = |uri: &Uri| (uri.scheme().cloned(), uri.authority().cloned());
    let within = address.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(within);
    place(&url) == place(&address)
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

    #[test]
    fn a_secret_goes_to_its_own_address_and_below() {
        let rows = [
            ("http://tools.test/gate", "http://tools.test/", true),
            ("http://tools.test/gate", "http://tools.test", true),
            ("http://tools.test/gate", "http://tools.test/gate", true),
            (
                "http://tools.test/gate/1?x=1",
                "http://tools.test/gate/",
                true,
            ),
            ("http://tools.test/gates", "http://tools.test/gate", false),
            ("http://other.test/gate", "http://tools.test/", false),
            ("http://tools.test:8080/", "http://tools.test/", false),
            ("http://tools.test/", "https://tools.test/", false),
            ("http://tools.test.evil/", "http://tools.test", false),
            ("http://tools.test/", "tools", false),
        ];
        for (url, address, below) in rows {
            assert_eq!(is_below(url, address), below, "{url} {address}");
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
            (headers(&[("token", "s3cret")]), CredentialError::Unbound),
            (headers(&[PLACE]), CredentialError::Empty),
            (
                headers(&[PLACE, ("token", "s3\ncret")]),
                CredentialError::Unsendable,
            ),
            (
                headers(&[("address", "http://other.test/"), ("token", "t")]),
                CredentialError::Elsewhere,
            ),
        ];
        for (found, expected) in rows {
            assert_eq!(found.unwrap_err(), expected);
        }
    }
}
