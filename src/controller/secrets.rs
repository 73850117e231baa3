//! Secrets of people, read when something is about to be sent, and never kept.

use crate::cluster::Cluster;
use crate::cluster::webhook::Secret;
use crate::controller::ask::text;

/// A Secret that somebody labelled as one that Serin may send; or in words why there is none.
pub(super) async fn sendable(cluster: &Cluster, home: &str, name: &str) -> Result<Secret, String> {
    match cluster.secret(home, name).await {
        Ok(Some(secret)) if secret.is_for_sending() => Ok(secret),
        Ok(Some(_)) => Err(format!(
            "Secret {name:?} in {home:?} is not meant to be sent: label it serin.dev/credentials=true"
        )),
        Ok(None) => Err(format!("there is no Secret {name:?} in {home:?}")),
        Err(error) if error.code() == Some(403) => Err(format!(
            "Serin may not read Secret {name:?} in {home:?}: bind ClusterRole serin-secrets to its account there"
        )),
        Err(error) => Err(text(&error)),
    }
}
