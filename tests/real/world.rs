//! What all scenarios share: the cluster, its record, and Serin in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;

use crate::audit::Audit;
use crate::contour;
use crate::flux;
use crate::git::Host;
use crate::prepare::Places;
use crate::process::{self, Said};
use crate::record::{Kind, Recorder, number, text};

/// The namespace of the controller.
pub(crate) const HOME: &str = "serin-system";

/// How long a controller may take to be ready again after a kill, with the kubelet's back-off.
const BACK: Duration = Duration::from_secs(60);

/// The cluster of this run.
pub(crate) struct World {
    pub(crate) places: Places,
    pub(crate) client: Client,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) audit: Audit,
    state: PathBuf,
    kubeconfig: PathBuf,
    images: OnceCell<()>,
    flux: OnceCell<Host>,
    contour: OnceCell<()>,
}

impl World {
    /// Connects to the cluster and begins to record.
    pub(crate) async fn new(places: Places) -> Result<Arc<Self>> {
        let state = process::call(places.cluster(&["path"])).await?.fine()?;
        let state = PathBuf::from(state.trim());
        let kubeconfig = state.join("kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Kubeconfig::read_from(&kubeconfig).context("read the kubeconfig")?;
        let config = Config::from_custom_kubeconfig(config, &options).await?;
        let client = Client::try_from(config)?;
        Ok(Arc::new(Self {
            places,
            client,
            recorder: Arc::default(),
            audit: Audit::new(state.join("audit.log")),
            state,
            kubeconfig,
            images: OnceCell::new(),
            flux: OnceCell::new(),
            contour: OnceCell::new(),
        }))
    }

    /// Begins to record; the definitions have to be served by now.
    pub(crate) fn record(&self) {
        for kind in Recorder::kinds() {
            let (recorder, client) = (Arc::clone(&self.recorder), self.client.clone());
            tokio::spawn(async move { recorder.follow(client, kind).await });
        }
    }

    /// A command of the cluster's tool, to its end.
    pub(crate) async fn cluster(&self, arguments: &[&str]) -> Result<String> {
        let said = process::call(self.places.cluster(arguments)).await?;
        said.fine()
            .with_context(|| format!("cluster {}", arguments.join(" ")))
    }

    /// What a person with all rights types after `kubectl`.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<Said> {
        process::call(self.kubectl_command(arguments)).await
    }

    /// The same, with a manifest on standard input.
    pub(crate) async fn kubectl_with(&self, arguments: &[&str], manifest: &str) -> Result<Said> {
        process::feed(self.kubectl_command(arguments), manifest).await
    }

    fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.kubectl_program());
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// The kubectl that fits the cluster.
    pub(crate) fn kubectl_program(&self) -> PathBuf {
        self.state.join("bin/kubectl")
    }

    /// The cluster's own Helm.
    pub(crate) fn helm_program(&self) -> PathBuf {
        self.state.join("bin/helm")
    }

    /// The key with which the cluster signs tokens of accounts.
    pub(crate) fn signing_key(&self) -> PathBuf {
        self.state.join("pki/service-accounts.key")
    }

    /// How the administrator reaches the cluster.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs the binary under test as a person does.
    pub(crate) async fn serin(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = Command::new(self.places.binary("serin"));
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig);
        process::call(command).await
    }

    /// Gives images to the cluster: every tag of `app` is the same program.
    pub(crate) async fn images(&self, tags: &[&str]) -> Result<()> {
        self.images
            .get_or_try_init(|| async { self.controller_image().await })
            .await?;
        let app = self.places.binary("app");
        let images: Vec<_> = tags
            .iter()
            .map(|tag| format!("app:{tag}={}", app.display()))
            .collect();
        let mut arguments = vec!["image"];
        arguments.extend(images.iter().map(String::as_str));
        self.cluster(&arguments).await.map(drop)
    }

    /// Flux, installed when a scenario first asks for it.
    pub(crate) async fn flux(&self) -> Result<&Host> {
        self.flux.get_or_try_init(|| flux::install(self)).await
    }

    /// Contour, installed when a scenario first asks for it.
    pub(crate) async fn contour(&self) -> Result<()> {
        let installed = self.contour.get_or_try_init(|| contour::install(self));
        installed.await.map(drop)
    }

    async fn controller_image(&self) -> Result<()> {
        let image = format!("serin:0.1.0={}", self.places.binary("serin").display());
        self.cluster(&["image", &image]).await.map(drop)
    }

    /// Names of the controller's Pods that are ready.
    pub(crate) fn controllers(&self) -> Vec<String> {
        let pods = self.recorder.present(HOME, Kind::Pod);
        pods.into_iter()
            .filter(|pod| text(&pod.object, "/metadata/deletionTimestamp").is_empty())
            .filter(|pod| ready(&pod.object))
            .map(|pod| pod.name)
            .collect()
    }

    /// Process of the controller in a Pod.
    pub(crate) fn controller_process(&self, pod: &str) -> Result<u32> {
        let variable = format!("POD_NAME={pod}");
        process::find(&self.places.binary("serin"), &variable)
            .with_context(|| format!("Pod {pod} runs no controller"))
    }

    /// Kills the one controller at once, as a crash does.
    pub(crate) fn crash_controller(&self) -> Result<()> {
        let pod = self.controller()?;
        process::signal(self.controller_process(&pod)?, "KILL")
    }

    /// The Pod of the only controller.
    pub(crate) fn controller(&self) -> Result<String> {
        match self.controllers().as_slice() {
            [pod] => Ok(pod.clone()),
            other => bail!("not one controller is ready but {other:?}"),
        }
    }

    /// Waits until so many controllers are ready.
    pub(crate) async fn controllers_ready(&self, count: usize) -> Result<()> {
        let what = format!("{count} controllers ready");
        self.recorder
            .wait(&what, BACK, |_| {
                (self.controllers().len() == count).then_some(())
            })
            .await
    }

    /// Waits until one controller is ready, and it is not this one: that a killed Pod is gone is seen late.
    pub(crate) async fn another_controller(&self, killed: &str) -> Result<()> {
        let what = format!("a controller after {killed} is ready");
        self.recorder
            .wait(&what, BACK, |_| {
                let ready = self.controllers();
                (ready.len() == 1 && ready[0] != killed).then_some(())
            })
            .await
    }

    /// How often the containers of the controllers were started again.
    pub(crate) fn controller_restarts(&self) -> i64 {
        let pods = self.recorder.present(HOME, Kind::Pod);
        pods.iter()
            .map(|pod| number(&pod.object, "/status/containerStatuses/0/restartCount"))
            .sum()
    }
}

/// Whether a Pod has the condition `Ready`.
pub(crate) fn ready(pod: &serde_json::Value) -> bool {
    let conditions = pod.pointer("/status/conditions");
    conditions
        .and_then(serde_json::Value::as_array)
        .is_some_and(|all| {
            all.iter()
                .any(|one| one["type"] == "Ready" && one["status"] == "True")
        })
}
