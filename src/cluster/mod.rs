//! The door to Kubernetes: reads, writes and Events. It decides nothing.

mod events;
mod external;
mod raw;
mod review;
mod shelf;
mod shelves;
mod told;
mod watch;
pub mod webhook;
mod write;

use std::sync::Arc;
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::json;

pub use crate::cluster::review::{Deed, Subject};
pub use crate::cluster::shelf::{Place, Shelf};
pub use crate::cluster::shelves::Shelves;
pub use crate::cluster::told::Hear;
pub use crate::cluster::watch::{Changed, Watches};
pub use crate::cluster::write::{Placed, Written};
use crate::crd::alert_provider::AlertProvider;
use crate::crd::canary::Canary;
use crate::crd::status::CanaryStatus;
use crate::objects::{Live, ObjectKey};

/// The name under which Serin's own fields stand in `managedFields`.
pub const MANAGER: &str = "serin";

/// Deadline of one API call (SAFETY, waits).
pub const CALL: Duration = Duration::from_secs(10);

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server refused, or could not be reached.
    #[error("{verb} {what}")]
    Api {
        /// What was attempted.
        verb: &'static str,
        /// On which object.
        what: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer within the deadline.
    #[error("{verb} {what}: no answer within {} s", CALL.as_secs())]
    Late {
        /// What was attempted.
        verb: &'static str,
        /// On which object.
        what: String,
    },
}

impl ClusterError {
    /// Somebody else wrote in between: what was decided is out of date, and nothing is wrong.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// The HTTP status of the API server's refusal, if it answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Late { .. } => None,
        }
    }
}

/// Reads and writes, with a deadline each; the client repeats nothing by itself.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    connect: Connect,
}

/// Makes a client on a connection of its own.
type Connect = Arc<dyn Fn() -> Result<Client, kube::Error> + Send + Sync>;

impl Cluster {
    /// A door over a connection to the API server.
    ///
    /// # Errors
    /// When the configuration cannot make a client.
    pub fn new(mut config: Config) -> Result<Self, kube::Error> {
        config.default_retry = false;
        Self::over(move || Client::try_from(config.clone()))
    }

    /// A door over any clients, such as those of a simulated API server.
    ///
    /// # Errors
    /// When the first client cannot be made.
    pub fn over(
        connect: impl Fn() -> Result<Client, kube::Error> + Send + Sync + 'static,
    ) -> Result<Self, kube::Error> {
        Ok(Self {
            client: connect()?,
            connect: Arc::new(connect),
        })
    }

    /// The same door, where every answer is told.
    #[must_use]
    pub fn telling(self, hear: Hear) -> Self {
        let Self { client, connect } = self;
        Self {
            client: told::telling(client, Arc::clone(&hear)),
            connect: Arc::new(move || Ok(told::telling(connect()?, Arc::clone(&hear)))),
        }
    }

    /// The client itself, for watches and the lease.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Objects as they are now. A key without an object is left out.
    ///
    /// # Errors
    /// When one of them could not be read: then nothing is known about any.
    pub async fn read(&self, keys: &[ObjectKey]) -> Result<Live, ClusterError> {
        let mut live = Live::new();
        for key in keys {
            let found = limited("read", key, self.api(key).get_opt(&key.name)).await?;
            if let Some(object) = found {
                live.insert(key.clone(), object);
            }
        }
        Ok(live)
    }

    /// Writes the status of the very version that was read; a conflict means that it is out of date.
    ///
    /// # Errors
    /// As the API server says; after one nothing else of the tick may be written.
    pub async fn write_status(
        &self,
        canary: &Canary,
        status: &CanaryStatus,
    ) -> Result<Canary, ClusterError> {
        let api: Api<Canary> = Api::namespaced(self.client.clone(), &canary.home());
        let name = canary.metadata.name.clone().unwrap_or_default();
        let mut next = canary.clone();
        next.status = Some(status.clone());
        next.metadata.managed_fields = None;
        let what = format!("status of Canary {}/{name}", canary.home());
        let params = PostParams::default();
        limited("write", &what, api.replace_status(&name, &params, &next)).await
    }

    /// The AlertProvider of this name, if there is one.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn alert_provider(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<AlertProvider>, ClusterError> {
        let api: Api<AlertProvider> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("AlertProvider {namespace}/{name}");
        limited("read", &what, api.get_opt(name)).await
    }

    /// Changes the template of a target in a dry run, on a connection of its own: held, if the gate is a fact (SAFETY G4).
    ///
    /// # Errors
    /// When the dry run could not be made.
    pub async fn probe_gate(&self, key: &ObjectKey) -> Result<bool, ClusterError> {
        let fail = |source| ClusterError::Api {
            verb: "connect for",
            what: key.to_string(),
            source: Box::new(source),
        };
        let client = (self.connect)().map_err(fail)?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(client, &key.namespace, &key.kind.api_resource());
        let probe =
            json!({"spec": {"template": {"metadata": {"annotations": {"serin.dev/probe": "1"}}}}});
        let params = PatchParams {
            dry_run: true,
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let answer = limited(
            "dry-run a change of",
            key,
            api.patch(&key.name, &params, &Patch::Merge(&probe)),
        )
        .await?;
        let held = answer
            .metadata
            .labels
            .as_ref()
            .is_some_and(|labels| labels.contains_key(crate::objects::mark::HELD));
        Ok(held && answer.data["spec"]["paused"] == true)
    }

    fn api(&self, key: &ObjectKey) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &key.namespace,
            &key.kind.api_resource(),
        )
    }
}

/// Runs a call with the deadline of every call.
async fn limited<T>(
    verb: &'static str,
    what: &impl ToString,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(ClusterError::Api {
            verb,
            what: what.to_string(),
            source: Box::new(source),
        }),
        Err(_) => Err(ClusterError::Late {
            verb,
            what: what.to_string(),
        }),
    }
}
