//! Tokens that the API server never gave out: one of its own whose time is over, and one that somebody else signed.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::PrivateSec1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// Seconds for which the token has been over.
const OVER: i64 = 120;

/// The same token, signed by the cluster's key in `file`, but over since two minutes.
pub(crate) fn expired(token: &str, file: &Path) -> Result<String> {
    let (head, mut claims) = open(token)?;
    ensure!(head["alg"] == "ES256", "the token is signed as {head}");
    let end = claims["exp"].as_i64().context("it never ends")?;
    let back = end - jiff::Timestamp::now().as_second() + OVER;
    for name in ["exp", "iat", "nbf"] {
        let time = claims[name].as_i64().context("a time is missing")?;
        claims[name] = json!(time - back);
    }
    sign(&head, &claims, &cluster_key(file)?)
}

/// A token that says the same, signed by a key that the cluster does not know.
pub(crate) fn forged(token: &str) -> Result<String> {
    let random = SystemRandom::new();
    let new = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    let new = new.map_err(|_| anyhow!("no new key"))?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, new.as_ref(), &random);
    let (head, claims) = open(token)?;
    sign(&head, &claims, &key.map_err(|why| anyhow!("{why}"))?)
}

/// Head and claims of a token.
fn open(token: &str) -> Result<(Value, Value)> {
    let mut parts = token.split('.').map(|part| -> Result<Value> {
        Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
    });
    let head = parts.next().context("no head")??;
    Ok((head, parts.next().context("no claims")??))
}

fn sign(head: &Value, claims: &Value, key: &EcdsaKeyPair) -> Result<String> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let said = format!("{}.{}", part(head), part(claims));
    let signature = key.sign(&SystemRandom::new(), said.as_bytes());
    let signature = signature.map_err(|_| anyhow!("it cannot be signed"))?;
    Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The key in a file of RFC 5915: 32 bytes behind the head of 7, and the public point of 65 bytes at the end.
fn cluster_key(file: &Path) -> Result<EcdsaKeyPair> {
    let read = PrivateSec1KeyDer::from_pem_file(file).context("read the cluster's key")?;
    let bytes = read.secret_sec1_der();
    let private = bytes.get(7..39).context("a short key")?;
    let public = &bytes[bytes.len().saturating_sub(65)..];
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        private,
        public,
        &random,
    );
    key.map_err(|why| anyhow!("the cluster's key: {why}"))
}
