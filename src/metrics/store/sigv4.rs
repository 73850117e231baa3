//! Signatures of requests to AWS, version 4: a hash of the request under a key that follows from day, region and service, so that
//! the secret itself is never sent.

use bytes::Bytes;
use http::{Request, Uri};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};

use crate::metrics::MetricError;
use crate::metrics::store::put;

/// How the signature is made, as AWS names it.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs.
pub(super) struct Signer {
    /// The access key's id, which is no secret.
    pub(super) id: String,
    /// The access key's secret.
    pub(super) secret: String,
    /// The token of keys that are lent for some hours.
    pub(super) session: Option<String>,
}

/// What a signature is good for.
pub(super) struct Scope<'a> {
    /// Region of the service.
    pub(super) region: &'a str,
    /// Name of the service.
    pub(super) service: &'a str,
    /// When it is signed; AWS takes it for some minutes.
    pub(super) at: Timestamp,
}

/// Signs host, headers and body of a request without a query. Headers that are added later are not signed.
pub(super) fn sign(
    request: &mut Request<Bytes>,
    signer: &Signer,
    scope: &Scope<'_>,
) -> Result<(), MetricError> {
    let time = scope.at.strftime("%Y%m%dT%H%M%SZ").to_string();
    put(request, "x-amz-date", &time, false)?;
    if let Some(session) = &signer.session {
        put(request, "x-amz-security-token", session, true)?;
    }
    let headers = headers(request);
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let (method, path) = (request.method(), request.uri().path());
    let body = hex(digest(&SHA256, request.body()).as_ref());
    let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{body}");
    let day = &time[..8];
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let signed = format!("{ALGORITHM}\n{time}\n{place}\n{hash}");
    let first = format!("AWS4{}", signer.secret);
    let parts = [day, scope.region, scope.service, "aws4_request"];
    let key = parts
        .iter()
        .fold(first.into_bytes(), |key, part| hash_under(&key, part));
    let signature = hex(&hash_under(&key, &signed));
    let id = &signer.id;
    let proof = format!(
        "{ALGORITHM} Credential={id}/{place}, SignedHeaders={names}, Signature={signature}"
    );
    put(request, "authorization", &proof, true)
}

/// The headers that are signed, by name: all that there are, and the host as it will be sent.
fn headers(request: &Request<Bytes>) -> Vec<(String, String)> {
    let mut found = vec![("host".to_owned(), host(request.uri()))];
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        found.push((name.as_str().to_owned(), value.trim().to_owned()));
    }
    found.sort();
    found
}

/// Host and port of an address; the port that goes without saying is left out, as in the header.
fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let usual = match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    match uri.port_u16() {
        Some(port) if port != usual => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

fn hash_under(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token of AWS's own test vectors.
    const SESSION: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    /// Headers that are signed, and the signature, as its published test vectors sign.
    fn signed(mut request: Request<Bytes>, session: Option<&str>) -> (String, String) {
        let signer = Signer {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: session.map(str::to_owned),
        };
        let scope = Scope {
            region: "us-east-1",
            service: "service",
            at: "2015-08-30T12:36:00Z".parse().unwrap(),
        };
        sign(&mut request, &signer, &scope).unwrap();
        assert!(!format!("{request:?}").contains("Signature"), "{request:?}");
        let proof = request.headers()["authorization"].to_str().unwrap();
        let begin = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
        let rest = proof.strip_prefix(begin).unwrap();
        let (headers, signature) = rest.split_once(", Signature=").unwrap();
        (headers.to_owned(), signature.to_owned())
    }

    fn post(body: &'static str) -> Request<Bytes> {
        let request = Request::post("https://example.amazonaws.com/");
        request.body(Bytes::from_static(body.as_bytes())).unwrap()
    }

    /// Signatures of the vectors get-vanilla, post-vanilla, post-x-www-form-urlencoded and post-sts-header-before of AWS.
    #[test]
    fn signatures_are_those_that_aws_publishes() {
        let get = Request::get("https://example.amazonaws.com/").body(Bytes::new());
        let mut form = post("Param1=value1");
        put(
            &mut form,
            "content-type",
            "application/x-www-form-urlencoded",
            false,
        )
        .unwrap();
        let rows = [
            (
                get.unwrap(),
                None,
                "host;x-amz-date",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                post(""),
                None,
                "host;x-amz-date",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                form,
                None,
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                post(""),
                Some(SESSION),
                "host;x-amz-date;x-amz-security-token",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ];
        for (request, session, headers, signature) in rows {
            assert_eq!(
                signed(request, session),
                (headers.to_owned(), signature.to_owned())
            );
        }
    }

    #[test]
    fn the_port_is_signed_unless_it_goes_without_saying() {
        let rows = [
            ("https://a.test/", "a.test"),
            ("https://a.test:443/", "a.test"),
            ("http://a.test:80/", "a.test"),
            ("https://a.test:8443/", "a.test:8443"),
            ("http://a.test:443/", "a.test:443"),
        ];
        for (address, expected) in rows {
            assert_eq!(host(&address.parse().unwrap()), expected);
        }
    }
}
