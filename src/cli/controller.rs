//! `serin controller`: its flags, and the hand-over to the controller.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{ArgAction, Args as ClapArgs};
use futures::future::OptionFuture;
use kube::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::cli::api::{self, Doors};
use crate::cli::tls::{Files, Following, TlsArgs};
use crate::cli::webhook::{self, Webhook, WebhookArgs};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::controller::{Controller, Defaults};
use crate::crd::names::PROVIDERS;
use crate::http_client::Http;
use crate::http_client::guard::{self, Guard};
use crate::server;
use crate::server::health::Health;
use crate::telemetry::Telemetry;
use crate::telemetry::log::{self, LogFormat};

/// Flags of `serin controller`. Each is also an environment variable, `SERIN_` and its name.
#[derive(Clone, Debug, ClapArgs)]
pub struct ControllerArgs {
    /// Provider of Canaries that name none
    #[arg(long, env = "SERIN_PROVIDER", default_value = "gatewayapi:v1", value_parser = PROVIDERS)]
    pub provider: String,
    /// Prometheus server of Canaries that name none
    #[arg(long, env = "SERIN_METRICS_SERVER", value_name = "URL")]
    pub metrics_server: Option<http::Uri>,
    /// Hosts of metrics servers and hooks that are asked wherever they are, and quoted: HOST or HOST:PORT, may be repeated
    #[arg(
        long,
        env = "SERIN_TRUSTED_HOSTS",
        value_name = "HOST",
        value_delimiter = ','
    )]
    pub trusted_hosts: Vec<String>,
    /// Address of probes, metrics and API
    #[arg(long, env = "SERIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Let everybody who reaches that address read Canaries there; else their tokens are asked for
    #[arg(long, env = "SERIN_ANONYMOUS_READS")]
    pub anonymous_reads: bool,
    /// Whom tokens have to be meant for; may be repeated; by default the API server
    #[arg(
        long,
        env = "SERIN_API_AUDIENCE",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub api_audience: Vec<String>,
    /// TLS of that address.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// The gate as a webhook.
    #[command(flatten)]
    pub webhook: WebhookArgs,
    /// Work only while holding the lease
    #[arg(long, env = "SERIN_LEADER_ELECT", default_value_t = true, action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub leader_elect: bool,
    /// Namespace of the lease; by default POD_NAMESPACE, then serin-system
    #[arg(long, env = "SERIN_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of this replica in the lease; by default POD_NAME, then HOSTNAME
    #[arg(long, env = "SERIN_IDENTITY")]
    pub identity: Option<String>,
    /// Canaries that are worked on at the same time
    #[arg(long, env = "SERIN_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Form of the log
    #[arg(long, env = "SERIN_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Level of the log: error, warn, info, debug, trace, or directives such as serin=debug,kube=info
    #[arg(long, env = "SERIN_LOG", default_value = "info")]
    pub log_level: String,
}

/// What the controller is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Provider of Canaries that name none.
    pub provider: String,
    /// Prometheus server of Canaries that name none.
    pub metrics_server: Option<String>,
    /// Where requests may go.
    pub guard: Guard,
    /// The only namespace that is watched; `None`: all.
    pub namespace: Option<String>,
    /// Address of probes, metrics and API.
    pub listen: SocketAddr,
    /// Who may come in there.
    pub doors: Doors,
    /// The certificate of that address; `None`: it is not encrypted.
    pub tls: Option<Files>,
    /// The lease to hold while working; `None`: work without one.
    pub lease: Option<Lease>,
    /// Canaries that are worked on at the same time.
    pub concurrency: u16,
    /// The gate as a webhook, where the API server has no policies that hold.
    pub webhook: Option<Webhook>,
}

/// The lease, and who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its namespace.
    pub namespace: String,
    /// Name of this replica.
    pub identity: String,
}

impl Settings {
    /// The same for the shell.
    fn shell(&self) -> crate::controller::Settings {
        let (lease_namespace, identity) = match &self.lease {
            Some(lease) => (lease.namespace.clone(), lease.identity.clone()),
            None => (String::new(), String::new()),
        };
        crate::controller::Settings {
            namespace: self.namespace.clone(),
            defaults: Defaults {
                provider: self.provider.clone(),
                metrics_server: self.metrics_server.clone(),
            },
            concurrency: usize::from(self.concurrency),
            elect: self.lease.is_some(),
            lease_namespace,
            identity,
            clock: Clock::System,
        }
    }

    /// What these flags mean, where `env` answers for the variables that Kubernetes sets in a Pod.
    pub fn meant(
        args: &ControllerArgs,
        namespace: Option<String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let namespace = namespace.filter(|name| !name.is_empty());
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let home = || set("POD_NAMESPACE").unwrap_or_else(|| "serin-system".to_owned());
        let identity = args.identity.clone().or_else(|| set("POD_NAME"));
        let lease = match (args.leader_elect, identity.or_else(|| set("HOSTNAME"))) {
            (false, _) => None,
            (true, Some(identity)) => Some(Lease {
                namespace: args.lease_namespace.clone().unwrap_or_else(&home),
                identity,
            }),
            (true, None) => {
                bail!("this replica has no name: set --identity, or --leader-elect=false")
            }
        };
        Ok(Self {
            provider: args.provider.clone(),
            guard: guard(args, set),
            metrics_server: args.metrics_server.as_ref().map(ToString::to_string),
            namespace,
            listen: args.listen,
            doors: Doors {
                anonymous_reads: args.anonymous_reads,
                audiences: args.api_audience.clone(),
            },
            tls: Files::meant(&args.tls),
            lease,
            concurrency: args.concurrency,
            webhook: Webhook::meant(&args.webhook, home()),
        })
    }
}

/// Trusts the hosts that are named, and the metrics server of all: whoever starts the controller chose them.
fn guard(args: &ControllerArgs, set: impl Fn(&str) -> Option<String>) -> Guard {
    let mut trusted = args.trusted_hosts.clone();
    trusted.extend(args.metrics_server.as_ref().map(ToString::to_string));
    Guard::new(&trusted, &guard::ours(set))
}

/// Runs the controller until it is told to stop.
pub(super) async fn run(args: &ControllerArgs, namespace: Option<String>) -> Result<()> {
    log::start(args.log_format, &args.log_level)?;
    let settings = Settings::meant(args, namespace, |name| std::env::var(name).ok())?;
    start(settings).await
}

/// Runs controller and HTTP server side by side; both end in order on SIGTERM or SIGINT.
async fn start(settings: Settings) -> Result<()> {
    let config = Config::infer()
        .await
        .context("find the API server: neither a kubeconfig nor a Pod's account is here")?;
    let telemetry = Telemetry::new(&settings.provider);
    let http = Http::new(settings.guard.clone())
        .context("set up the client for metrics servers and hooks")?;
    let cluster = Cluster::new(config).context("make a client of the API server")?;
    let webhook = settings.webhook.clone();
    let webhook = webhook.map(|webhook| webhook.open(cluster.clone(), telemetry.clone()));
    let webhook = OptionFuture::from(webhook).await.transpose()?;
    let controller = Controller::new(cluster, http, telemetry.clone(), settings.shell());
    let unsynced = webhook::waited_for(controller.unsynced(), webhook.as_ref());
    let health = Health::waiting_for(&unsynced());
    let seen = (health.clone(), telemetry);
    let state = api::state(&controller, seen, Clock::System, settings.doors);
    let recording = tokio::spawn(state.recorder.clone().follow(controller.changes()));
    let surface = Surface::open(settings.listen, settings.tls).await?;
    let (stop, stopped) = watch::channel(false);
    let syncing = tokio::spawn(follow(health, unsynced));
    let serving = tokio::spawn(surface.serve(state, told(stopped.clone())));
    let webhook = OptionFuture::from(webhook.map(|open| open.answer(told(stopped.clone()))));
    let signals = async move {
        signal().await;
        stop.send_replace(true);
    };
    tokio::join!(controller.run(told(stopped)), signals, webhook);
    syncing.abort();
    recording.abort();
    serving.await.context("serve HTTP")
}

/// The address of probes, metrics and API, with its certificate.
struct Surface {
    listener: TcpListener,
    tls: Option<(TlsAcceptor, Following)>,
}

impl Surface {
    async fn open(address: SocketAddr, files: Option<Files>) -> Result<Self> {
        let tls = files.map(Files::open).transpose()?;
        let with_acceptor = |tls: Following| {
            let acceptor = tls.served.acceptor().context("set up TLS")?;
            anyhow::Ok((acceptor, tls))
        };
        let listener = TcpListener::bind(address).await;
        Ok(Self {
            listener: listener.with_context(|| format!("listen on {address}"))?,
            tls: tls.map(with_acceptor).transpose()?,
        })
    }

    async fn serve(self, state: server::State, stopped: impl Future<Output = ()>) {
        let app = server::app(state);
        let Some((acceptor, following)) = self.tls else {
            return server::listen::serve(self.listener, app, stopped).await;
        };
        let serving = server::listen::serve_tls(self.listener, acceptor, app, stopped);
        tokio::select! {
            () = serving => {}
            () = following.follow() => {}
        }
    }
}

/// Says of each cache when its first list is done, until all are.
pub(super) async fn follow(
    health: Health,
    unsynced: Arc<dyn Fn() -> Vec<&'static str> + Send + Sync>,
) {
    let all = health.missing();
    loop {
        let missing = unsynced();
        for part in all.iter().filter(|part| !missing.contains(&part.as_str())) {
            health.synced(part);
        }
        if missing.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ends when the stop is given, or whoever could give it is gone.
pub(crate) async fn told(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Ends with SIGTERM, as a kubelet sends it, or SIGINT, as a terminal does.
async fn signal() {
    let mut terminate = match tokio::signal::unix::signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return warn!(%error, "signals cannot be heard; the controller stops"),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    info!("told to stop");
}
