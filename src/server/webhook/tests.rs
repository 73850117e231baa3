//! The webhook's answers, and its certificate while connections go on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::{Own, app};
use crate::admission::certificate::{Pair, make};
use crate::clock::Clock;
use crate::server::listen::serve_tls;
use crate::server::tls::Served;
use crate::telemetry::Telemetry;

const NAME: &str = "serin-webhook.serin-system.svc";

fn question(old: &str, new: &str) -> Value {
    let deployment = |image: &str| {
        json!({
            "metadata": {"labels": {"serin.dev/gate": "uid"}},
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u-1", "operation": "UPDATE", "userInfo": {"username": "olga", "groups": []},
            "object": deployment(new), "oldObject": deployment(old), "dryRun": false, "options": {"kind": "UpdateOptions"}},
    })
}

async fn ask(telemetry: &Telemetry, path: &str, body: String) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .unwrap();
    let reply = app(telemetry.clone(), Own::default())
        .oneshot(request)
        .await
        .unwrap();
    let status = reply.status();
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn a_changed_template_is_answered_with_a_patch() {
    let telemetry = Telemetry::new("none");
    let (status, answer) = ask(&telemetry, "/hold", question("web:1", "web:2").to_string()).await;
    let patch = answer["response"]["patch"].as_str().unwrap();
    let patch: k8s_openapi::ByteString = serde_json::from_value(json!(patch)).unwrap();
    let patch: Value = serde_json::from_slice(&patch.0).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        patch,
        json!([
            {"op": "add", "path": "/metadata/labels/serin.dev~1held", "value": "true"},
            {"op": "add", "path": "/spec/paused", "value": true},
        ])
    );
    assert_eq!(answer["response"]["uid"], "u-1");
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    let counted = telemetry.encode(&[]);
    assert!(
        counted.contains(r#"serin_webhook_reviews_total{webhook="hold",result="changed"} 1"#),
        "{counted}"
    );
}

#[tokio::test]
async fn what_passes_as_it_is_has_no_patch() {
    let telemetry = Telemetry::new("none");
    for path in ["/hold", "/stamp"] {
        let (status, answer) = ask(&telemetry, path, question("web:1", "web:1").to_string()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            answer,
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "u-1", "allowed": true}}),
        );
    }
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let telemetry = Telemetry::new("none");
    let rows = [
        ("/hold", "{".to_owned(), StatusCode::BAD_REQUEST),
        ("/hold", "{}".to_owned(), StatusCode::UNPROCESSABLE_ENTITY),
        (
            "/hold",
            " ".repeat(9 * 1024 * 1024),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "/else",
            question("a", "b").to_string(),
            StatusCode::NOT_FOUND,
        ),
    ];
    for (path, body, expected) in rows {
        assert_eq!(ask(&telemetry, path, body).await.0, expected, "{path}");
    }
}

/// The status line that a client gets who trusts these certificates.
async fn reply(address: std::net::SocketAddr, trusted: &[&Pair]) -> Result<String, std::io::Error> {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots
            .add(CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap())
            .unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(NAME).unwrap();
    let stream = TcpStream::connect(address).await?;
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    stream
        .write_all(b"GET /hold HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await?;
    let mut reply = [0; 64];
    let length = stream.read(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply[..length])
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned())
}

/// A certificate of the webhook.
fn pair() -> Pair {
    let (names, now) = ([NAME.to_owned()], Clock::System.now());
    make(&names, now, Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn certificates_change_while_it_serves() {
    let (one, two) = (pair(), pair());
    let served = Served::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve_tls(
        listener,
        served.acceptor().unwrap(),
        app(Telemetry::new("none"), Own::default()),
        async { drop(stopped.await) },
    ));
    assert!(
        reply(address, &[&one]).await.is_err(),
        "there is no certificate yet"
    );
    served.set(&one).unwrap();
    assert_eq!(
        reply(address, &[&one]).await.unwrap(),
        "HTTP/1.1 405 Method Not Allowed"
    );
    assert!(
        reply(address, &[&two]).await.is_err(),
        "a stranger's certificate is trusted"
    );
    served.set(&two).unwrap();
    assert_eq!(
        reply(address, &[&one, &two]).await.unwrap(),
        "HTTP/1.1 405 Method Not Allowed"
    );
    assert!(
        reply(address, &[&one]).await.is_err(),
        "the old certificate still serves"
    );
    drop(stop);
    serving.await.unwrap();
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (mut one, two) = (pair(), pair());
    one.key = two.key;
    let served = Served::default();
    assert!(served.set(&one).is_err());
    assert!(!served.is_there());
}
