//! The gate as a webhook: its flags, and what `serin controller` runs for it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::server;
use crate::server::tls::Served;
use crate::server::webhook::{Keeper, Own};
use crate::telemetry::Telemetry;

/// Shortest life of a certificate: API servers and replicas hear of a new one within seconds, and not within less.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

/// How long it goes on answering after it was told to stop: until then some node may still send API servers here.
const FAREWELL: Duration = Duration::from_secs(5);

/// Flags of the webhook.
#[derive(Clone, Debug, ClapArgs)]
pub struct WebhookArgs {
    /// Serve the gate as a webhook, for Kubernetes before 1.36, behind the Service of this name; the Secret of the same name
    /// keeps its certificate
    #[arg(
        id = "webhook",
        long = "webhook",
        env = "SERIN_WEBHOOK",
        value_name = "NAME"
    )]
    pub name: Option<String>,
    /// Address of the webhook
    #[arg(
        long = "webhook-listen",
        env = "SERIN_WEBHOOK_LISTEN",
        default_value = "0.0.0.0:9443",
        value_name = "ADDRESS"
    )]
    pub webhook_listen: SocketAddr,
    /// How long a certificate of the webhook is valid, at least 1m
    #[arg(
        long = "webhook-certificate-life",
        env = "SERIN_WEBHOOK_CERTIFICATE_LIFE",
        default_value = "90d",
        value_parser = life,
        value_name = "TIME"
    )]
    pub certificate_life: Duration,
}

fn life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if life < SHORTEST_LIFE {
        return Err("a certificate has to live for 1m at least".to_owned());
    }
    Ok(life)
}

/// The gate as a webhook, as the flags want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Namespace of Service and Secret.
    pub namespace: String,
    /// Name of Service and Secret.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How long a certificate is valid.
    pub life: Duration,
}

impl Webhook {
    /// What these flags mean to a controller in this namespace; nothing if they do not ask for a webhook.
    pub(super) fn meant(args: &WebhookArgs, namespace: String) -> Option<Self> {
        let name = args.name.clone().filter(|name| !name.is_empty())?;
        Some(Self {
            namespace,
            name,
            listen: args.webhook_listen,
            life: args.certificate_life,
        })
    }

    /// Takes the address. Nothing is answered yet.
    pub(super) async fn open(self, cluster: Cluster, telemetry: Telemetry) -> Result<Open> {
        let listener = TcpListener::bind(self.listen).await;
        let served = Served::default();
        Ok(Open {
            listener: listener.with_context(|| format!("listen on {}", self.listen))?,
            tls: served.acceptor().context("set up TLS of the webhook")?,
            keeper: Keeper {
                namespace: self.namespace,
                name: self.name,
                life: self.life,
                clock: Clock::System,
                own: Own::default(),
            },
            served,
            cluster,
            telemetry,
        })
    }
}

/// A webhook that has its address.
pub(super) struct Open {
    listener: TcpListener,
    tls: TlsAcceptor,
    keeper: Keeper,
    served: Served,
    cluster: Cluster,
    telemetry: Telemetry,
}

impl Open {
    /// Answers API servers, and looks after the certificate meanwhile, until some seconds after the stop.
    pub(super) async fn answer(self, stopped: impl Future<Output = ()>) {
        let app = server::webhook::app(self.telemetry, self.keeper.own.clone());
        let farewell = async {
            stopped.await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            () = server::webhook::keep(self.keeper, self.cluster, self.served) => {}
            () = server::listen::serve_tls(self.listener, self.tls, app, farewell) => {}
        }
    }
}

/// What a replica waits for before it is ready, by name.
type Unsynced = Arc<dyn Fn() -> Vec<&'static str> + Send + Sync>;

/// The caches, and the certificate: a replica without it is no place to send API servers to.
pub(super) fn waited_for(caches: Unsynced, webhook: Option<&Open>) -> Unsynced {
    let Some(webhook) = webhook else {
        return caches;
    };
    let served = webhook.served.clone();
    Arc::new(move || {
        let certificate = (!served.is_there()).then_some("the webhook's certificate");
        caches().into_iter().chain(certificate).collect()
    })
}
