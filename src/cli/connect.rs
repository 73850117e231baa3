//! The connection to a cluster, chosen as kubectl chooses it.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::{Api, Client, Config, Resource};

use crate::cli::args::ClusterArgs;
use crate::objects::Kind;

/// The manager in whose name this command writes.
pub const MANAGER: &str = "serin-cli";
/// How long the API server may take for a reply.
const CALL: Duration = Duration::from_secs(30);

/// A client and the namespace that is meant.
#[derive(Clone)]
pub struct Session {
    client: Client,
    /// The namespace that is meant.
    pub namespace: String,
}

impl Session {
    /// Connects to the cluster that the arguments name.
    pub async fn open(args: &ClusterArgs) -> Result<Self> {
        let mut config = config(args).await?;
        config.default_retry = false;
        config.connect_timeout = Some(CALL);
        config.read_timeout = Some(CALL);
        config.write_timeout = Some(CALL);
        let namespace = args.namespace.clone().filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("connect to the cluster")?;
        Ok(Self { client, namespace })
    }

    /// Objects of one kind of ours in this namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of one kind of ours in all namespaces.
    #[must_use]
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// Whole objects of another kind in this namespace: what is not understood is not lost.
    #[must_use]
    pub fn objects(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.api_resource())
    }

    /// The same cluster, another namespace.
    #[must_use]
    pub fn at(&self, namespace: &str) -> Self {
        Self {
            client: self.client.clone(),
            namespace: namespace.to_owned(),
        }
    }
}

async fn config(args: &ClusterArgs) -> Result<Config> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    if let Some(path) = &args.kubeconfig {
        let file = Kubeconfig::read_from(path).map_err(kube::Error::InferKubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &options).await;
        return Ok(config.map_err(kube::Error::InferKubeconfig)?);
    }
    if options.context.is_some() {
        let config = Config::from_kubeconfig(&options).await;
        return Ok(config.map_err(kube::Error::InferKubeconfig)?);
    }
    Ok(Config::infer().await.map_err(kube::Error::InferConfig)?)
}
