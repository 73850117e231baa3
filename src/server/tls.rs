//! TLS with a certificate that changes while connections go on.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::admission::certificate::Pair;

/// The certificate that new connections get. A clone is the same one.
#[derive(Clone, Default)]
pub struct Served(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Served").field(&self.is_there()).finish()
    }
}

impl Served {
    /// Serves with this certificate from now on.
    ///
    /// # Errors
    /// When certificate and key cannot be read, or do not belong together.
    pub fn set(&self, pair: &Pair) -> Result<(), rustls::Error> {
        self.set_pem(pair.certificate.as_bytes(), pair.key.as_bytes())
    }

    /// The same with a chain of certificates and a key in PEM.
    ///
    /// # Errors
    /// As for `set`.
    pub fn set_pem(&self, certificate: &[u8], key: &[u8]) -> Result<(), rustls::Error> {
        let unread =
            |error: rustls::pki_types::pem::Error| rustls::Error::General(error.to_string());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(unread)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain.map_err(unread)?, key, &provider)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }

    /// Whether there is one at all.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.current().is_some()
    }

    /// Takes connections with whichever certificate there is at the time.
    ///
    /// # Errors
    /// Never with the versions of TLS that the provider knows.
    pub fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// The first certificate of the chain that is served.
    #[must_use]
    pub fn first(&self) -> Option<CertificateDer<'static>> {
        self.current()?.cert.first().cloned()
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}
