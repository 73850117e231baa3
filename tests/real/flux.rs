//! Flux: its own controllers as Pods of the cluster, and what a team sees of them.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use kube::api::{ApiResource, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::git::{Host, Repository};
use crate::objects::APP;
use crate::record::text;
use crate::scenario::Scenario;
use crate::world::World;

/// Names the folder of Flux's programs for the part of the run that happens in the cluster's network.
pub(crate) const FOLDER: &str = "SERIN_REAL_FLUX";

/// What is installed beside the definitions.
const CONTROLLERS: &str = include_str!("flux/controllers.yaml");

/// The namespace of the controllers.
const HOME: &str = "flux-system";

/// How often the status is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Puts Flux into the cluster, and begins to serve repositories.
pub(crate) async fn install(world: &World) -> Result<Host> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let folder = folder.context("there is no Flux")?;
    let mut images = vec!["image".to_owned()];
    for name in ["source-controller", "kustomize-controller"] {
        images.push(format!("{name}:flux={}", folder.join(name).display()));
    }
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    world.cluster(&images).await?;
    let definitions = folder.join("definitions");
    let definitions = definitions.to_string_lossy();
    let apply = ["apply", "--server-side", "-f"];
    let all = [&apply[..], &[&*definitions]].concat();
    world.kubectl(&all).await?.fine()?;
    let all = [&apply[..], &["-"]].concat();
    world.kubectl_with(&all, CONTROLLERS).await?.fine()?;
    let wait = "wait deployment --all --for=condition=Available --timeout=90s -n";
    let wait: Vec<_> = wait.split(' ').chain([HOME]).collect();
    world.kubectl(&wait).await?.fine().context("start Flux")?;
    Host::new(world.places.out.join("git")).await
}

/// A repository of this scenario's namespace, and the Kustomization that applies it.
pub(crate) struct Flux<'a> {
    s: &'a Scenario,
    pub(crate) repository: Repository,
}

impl<'a> Flux<'a> {
    /// An empty repository and, with these settings, what applies it once something is in it.
    pub(crate) async fn new(s: &'a Scenario, settings: &Value) -> Result<Self> {
        let host = s.world.flux().await?;
        let repository = host.repository(&s.namespace).await?;
        let metadata = json!({"name": APP, "namespace": s.namespace});
        let source = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": metadata,
            // The team says when there is something new, as a webhook of its forge would.
            "spec": {"url": repository.url, "ref": {"branch": "main"}, "interval": "10m"},
        });
        let mut apply = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": metadata,
            "spec": {
                "sourceRef": {"kind": "GitRepository", "name": APP},
                "targetNamespace": s.namespace,
                "interval": "5s",
                "retryInterval": "5s",
                "prune": true,
            },
        });
        if let (Some(spec), Some(settings)) = (apply["spec"].as_object_mut(), settings.as_object())
        {
            spec.extend(settings.clone());
        }
        s.apply(&source).await?;
        s.apply(&apply).await?;
        Ok(Self { s, repository })
    }

    /// Commits these objects and tells Flux.
    pub(crate) async fn push(&self, message: &str, objects: &[Value]) -> Result<String> {
        let revision = self.repository.commit(message, objects).await?;
        self.tell().await?;
        Ok(revision)
    }

    /// Takes the last commit back and tells Flux.
    pub(crate) async fn revert(&self) -> Result<String> {
        let revision = self.repository.revert().await?;
        self.tell().await?;
        Ok(revision)
    }

    /// Asks for a look at the repository, as `flux reconcile source git` does.
    async fn tell(&self) -> Result<()> {
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let asked = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": now}}});
        let api = self.s.api(&source());
        api.patch(APP, &PatchParams::default(), &Patch::Merge(&asked))
            .await
            .context("tell Flux")
            .map(drop)
    }

    /// Deletes the Kustomization: Flux deletes what it applied.
    pub(crate) async fn prune(&self) -> Result<()> {
        let api = self.s.api(&kustomization());
        let deleted = api.delete(APP, &kube::api::DeleteParams::default()).await;
        deleted.context("delete the Kustomization")?;
        Ok(())
    }

    /// Waits until Flux calls a revision applied and ready.
    pub(crate) async fn ready(&self, revision: &str, patience: Duration) -> Result<()> {
        let said = self.until(patience, |seen| {
            seen.ready == "True" && seen.applied == revision
        });
        said.await.context("Flux is not ready").map(drop)
    }

    /// Waits until Flux calls a revision failed. Returns why.
    pub(crate) async fn failed(&self, revision: &str, patience: Duration) -> Result<String> {
        let said = self.until(patience, |seen| {
            seen.reason == "HealthCheckFailed" && seen.attempted == revision
        });
        Ok(said.await.context("Flux has not failed")?.message)
    }

    /// Flux does not call this revision ready now.
    pub(crate) async fn waits(&self, revision: &str) -> Result<()> {
        let seen = self.look().await?;
        ensure!(
            seen.ready != "True" && seen.applied != revision,
            "Flux does not wait for the verdict: {seen:?}"
        );
        Ok(())
    }

    async fn until(&self, patience: Duration, is: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let begun = Instant::now();
        loop {
            let seen = self.look().await?;
            if is(&seen) {
                return Ok(seen);
            }
            if begun.elapsed() > patience {
                bail!("after {patience:?} it says {seen:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self) -> Result<Seen> {
        let object = self.s.api(&kustomization()).get(APP).await?;
        let status = &object.data["status"];
        let conditions = status["conditions"].as_array();
        let ready = conditions.and_then(|all| all.iter().find(|one| one["type"] == "Ready"));
        let ready = ready.cloned().unwrap_or_default();
        let of = |object: &Value, field: &str| text(object, field).to_owned();
        Ok(Seen {
            ready: of(&ready, "/status"),
            reason: of(&ready, "/reason"),
            message: of(&ready, "/message"),
            applied: of(status, "/lastAppliedRevision"),
            attempted: of(status, "/lastAttemptedRevision"),
        })
    }
}

/// What the Kustomization says.
#[derive(Debug)]
struct Seen {
    ready: String,
    reason: String,
    message: String,
    applied: String,
    attempted: String,
}

fn kustomization() -> ApiResource {
    let (group, version) = ("kustomize.toolkit.fluxcd.io", "v1");
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, "Kustomization"))
}

fn source() -> ApiResource {
    let gvk = GroupVersionKind::gvk("source.toolkit.fluxcd.io", "v1", "GitRepository");
    ApiResource::from_gvk_with_plural(&gvk, "gitrepositories")
}
