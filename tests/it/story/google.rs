//! Google in small: it lends a token for a claim that the key of a service account has signed, and measures for whoever has one.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, Uri, header};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::json;

/// The private key of the account.
const KEY: &str = include_str!("../../golden/stores/rsa.txt");

/// Who lends, and what it is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Google(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    value: f64,
    /// Tokens that were lent; the last one is good.
    lent: u32,
    /// Host and path of each request.
    asked: Vec<String>,
}

impl Google {
    /// From now on this is measured.
    pub(crate) fn measures(&self, value: f64) {
        self.0.lock().unwrap().value = value;
    }

    /// Takes back what it has lent.
    pub(crate) fn revoke(&self) {
        self.0.lock().unwrap().lent += 1;
    }

    /// How often each address was asked so far, in the order of the addresses.
    pub(crate) fn asked(&self, address: &str) -> usize {
        let inner = self.0.lock().unwrap();
        inner.asked.iter().filter(|asked| *asked == address).count()
    }

    /// All requests.
    pub(crate) fn requests(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    /// Its two addresses, beside other routes.
    pub(crate) fn on(&self, router: Router) -> Router {
        let query = "/v1/projects/{project}/location/global/prometheus/api/v1/query";
        let google = Router::new()
            .route("/token", post(lend))
            .route(query, get(measure))
            .with_state(self.clone());
        router.merge(google)
    }
}

/// The key of the account, as Google gives it to people.
pub(crate) fn account() -> String {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{KEY}-----END PRIVATE KEY-----\n");
    let key = json!({
        "project_id": "shop-42", "private_key_id": "k1", "private_key": pem,
        "client_email": "serin@shop-42.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    });
    key.to_string()
}

fn note(google: &mut Inner, uri: &Uri) {
    let host = uri.host().unwrap_or_default();
    google.asked.push(format!("{host}{}", uri.path()));
}

async fn lend(State(google): State<Google>, uri: Uri, body: Bytes) -> Response {
    let mut google = google.0.lock().unwrap();
    note(&mut google, &uri);
    if !is_signed(std::str::from_utf8(&body).unwrap()) {
        return (StatusCode::BAD_REQUEST, "invalid_grant").into_response();
    }
    google.lent += 1;
    let token = format!("t0ken-{}", google.lent);
    axum::Json(json!({"access_token": token, "expires_in": 3_599})).into_response()
}

/// Whether the account's key has signed what is claimed.
fn is_signed(form: &str) -> bool {
    let (_, claim) = form.split_once("&assertion=").unwrap();
    let (text, signature) = claim.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key: String = KEY.split_whitespace().collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(key).unwrap()).unwrap();
    let public = key.public().as_ref().to_vec();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    public.verify(text.as_bytes(), &signature).is_ok()
}

async fn measure(State(google): State<Google>, uri: Uri, headers: HeaderMap) -> Response {
    let mut google = google.0.lock().unwrap();
    note(&mut google, &uri);
    let expected = format!("Bearer t0ken-{}", google.lent);
    if headers[header::AUTHORIZATION] != expected.as_str() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let series = json!({"metric": {}, "value": [0, google.value.to_string()]});
    let data = json!({"resultType": "vector", "result": [series]});
    axum::Json(json!({"status": "success", "data": data})).into_response()
}
