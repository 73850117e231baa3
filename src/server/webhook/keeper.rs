//! Keeps the webhook's certificates: makes them, hands them to the server, and tells the API servers whom to trust. Every replica
//! does; of two that write at once one is refused, and takes what the other wrote.

use std::time::Duration;

use tracing::{info, warn};

use crate::admission::certificate::{self, Certificates};
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterError};
use crate::server::tls::Served;
use crate::server::webhook::Own;

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(30);
/// Shortest time between two looks.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// What is kept, and where.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// Namespace of Service and Secret.
    pub namespace: String,
    /// Name of the Service, which the certificate is made for, and of the Secret, which keeps it.
    pub name: String,
    /// How long a certificate is valid.
    pub life: Duration,
    /// The time.
    pub clock: Clock,
    /// The name of Serin's own account, which is learned on the way.
    pub own: Own,
}

/// Why certificates could not be kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("Secret {0} is missing: apply Serin's manifests again, it is part of them")]
    NoSecret(String),
    #[error("make a certificate")]
    Make(#[from] rcgen::Error),
    #[error(
        "the certificate in Secret {0} cannot be used; empty the Secret, and a new one is made"
    )]
    Unusable(String, #[source] rustls::Error),
}

/// Looks after the certificates for ever.
pub async fn keep(keeper: Keeper, cluster: Cluster, served: Served) {
    let pause = (keeper.life / 20).clamp(SHORTEST_LOOK, LOOK);
    loop {
        let wait = match keeper.look(&cluster, &served).await {
            Ok(()) => pause,
            Err(error) => {
                let conflict = matches!(&error, KeepError::Cluster(error) if error.is_conflict());
                if !conflict {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, "the webhook's certificate could not be looked after");
                }
                SHORTEST_LOOK
            }
        };
        tokio::time::sleep(wait).await;
    }
}

impl Keeper {
    async fn look(&self, cluster: &Cluster, served: &Served) -> Result<(), KeepError> {
        if self.own.name().is_none()
            && let Some(name) = cluster.own_name().await?
        {
            self.own.learn(name);
        }
        let trusted = cluster.trusted_bundle().await?;
        let certificates = self.turn(cluster, trusted.as_deref()).await?;
        if let Some(serving) = &certificates.serving {
            let unusable = |error| KeepError::Unusable(self.place(), error);
            served.set(serving).map_err(unusable)?;
        }
        let wanted = certificates.trusted();
        if trusted.as_deref() != Some(&wanted) {
            cluster.trust(&wanted).await?;
            info!("API servers are told which certificates of the webhook to trust");
        }
        Ok(())
    }

    /// The certificates as the Secret keeps them, after what is due now was written there.
    async fn turn(
        &self,
        cluster: &Cluster,
        trusted: Option<&str>,
    ) -> Result<Certificates, KeepError> {
        let (namespace, name) = (self.namespace.as_str(), self.name.as_str());
        let found = cluster.secret(namespace, name).await?;
        let mut secret = found.ok_or_else(|| KeepError::NoSecret(self.place()))?;
        let certificates = Certificates::of(&secret.data);
        let now = self.clock.now();
        let make = || certificate::make(&self.names(), now, self.life);
        let Some(turned) =
            certificates.turned(now, self.life, trusted.unwrap_or_default(), make)?
        else {
            return Ok(certificates);
        };
        secret.data = turned.data();
        cluster.write_secret(namespace, name, secret).await?;
        info!(certificates = ?turned, "the webhook's certificates were changed");
        Ok(turned)
    }

    fn names(&self) -> [String; 2] {
        let short = format!("{}.{}.svc", self.name, self.namespace);
        let long = format!("{short}.cluster.local");
        [short, long]
    }

    fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
