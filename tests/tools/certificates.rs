//! Servers whose certificate nobody signed: they are asked by nobody but who says that this does not matter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serin::http_client::guard::Guard;
use serin::http_client::{Certificate, Http, HttpError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Says yes to everybody, with a certificate of its own.
async fn server() -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let chain = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("in PEM");
    let key = made.signing_key.serialize_pem();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("in PEM");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a pair")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let _ = stream.read(&mut [0; 1024]).await;
                let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = stream.write_all(reply).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("https://localhost:{}/", address.port())
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_taken_where_that_is_said_and_nowhere_else() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = server().await;
    let http = Http::new(Guard::new(&["localhost"], &[])).expect("a client");
    let ask = |certificate| {
        let request = Request::get(&address).body(Bytes::new());
        http.send_to(
            certificate,
            request.expect("a request"),
            Duration::from_secs(10),
        )
    };
    for _ in 0..2 {
        let refused = ask(Certificate::Verified).await;
        assert!(
            matches!(refused, Err(HttpError::Connection { .. })),
            "{refused:?}"
        );
        let taken = ask(Certificate::Unverified).await;
        assert_eq!(taken.expect("a reply").body(), "ok");
    }
}
