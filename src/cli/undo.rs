//! `serin undo`: stable's template goes back on a held target. Needs a kubeconfig alone; with the controller dead it breaks the glass
//! itself, which is safe because the template is by then the one that serves.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::cli::connect::{MANAGER, Session};
use crate::cli::exit::Exit;
use crate::cli::serving::{Serving, serving};
use crate::cli::{find, screen};
use crate::crd::canary::Canary;
use crate::objects::{Deployment, Kind, mark};

/// How long the controller may take to end the hold before it counts as dead.
const RELEASE: Duration = Duration::from_secs(10);
/// How long it may take while its status shows that it works: traffic goes back before the hold ends.
const RELEASE_AT_WORK: Duration = Duration::from_secs(90);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Times that a write is tried when somebody else wrote in between.
const TRIES: u32 = 5;

/// Undoes, and says each thing that is done.
pub(super) async fn run(session: &Session, name: &str) -> Result<Exit> {
    // Without its Canary, or without the kind, a held Deployment can still be put right.
    let canary = find::canary_if_any(session, name).await.ok().flatten();
    let name = match &canary {
        Some(canary) => canary.target_name().to_owned(),
        None => find::bare(name)?.to_owned(),
    };
    let undo = Undo {
        session,
        name,
        canary,
    };
    let target = undo.target().await?;
    if !held(&find::understand(&target)?) {
        screen::complain(&format!(
            "nothing is held: deployment/{} carries no template that waits",
            undo.name
        ));
        return Ok(Exit::Failed);
    }
    let serving = undo.put_back().await?;
    undo.warn_of_traffic();
    if undo.released().await? {
        screen::line(&format!(
            "the controller ended the hold: deployment/{} is as before",
            undo.name
        ))?;
        return Ok(Exit::Done);
    }
    undo.break_glass(&serving).await
}

fn held(target: &Deployment) -> bool {
    target.meta.labels.contains_key(mark::HELD)
}

struct Undo<'a> {
    session: &'a Session,
    /// Name of the target.
    name: String,
    canary: Option<Canary>,
}

impl Undo<'_> {
    async fn target(&self) -> Result<DynamicObject> {
        let found = find::deployment(self.session, &self.name).await?;
        found.with_context(|| {
            format!(
                "there is no deployment/{} in namespace {}",
                self.name, self.session.namespace
            )
        })
    }

    /// Writes the serving template; the target stays held.
    async fn put_back(&self) -> Result<Serving> {
        for _ in 0..TRIES {
            let target = self.target().await?;
            let serving = self.serving(&target).await?;
            if find::understand(&target)?.template.revision == serving.revision {
                screen::line(&format!(
                    "deployment/{} carries the template that serves already",
                    self.name
                ))?;
                return Ok(serving);
            }
            let version = target.resource_version();
            let patch = json!([
                {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
                {"op": "replace", "path": "/spec/template", "value": serving.template},
            ]);
            let written = self
                .write(json_patch(patch)?, "put the template back")
                .await;
            if written.as_ref().is_err_and(gate_is_deaf) {
                screen::line("nobody answers the gate's webhook: breaking the glass first")?;
                self.take_marks_off().await?;
                continue;
            }
            if written?.is_some() {
                let images = serving.images.join(", ");
                screen::line(&format!(
                    "put the template of replicaset/{} ({images}) back on deployment/{}, which is still held",
                    serving.replica_set, self.name
                ))?;
                self.leave_no_trace().await?;
                return Ok(serving);
            }
        }
        bail!(
            "deployment/{} is written by somebody else all the time: try again",
            self.name
        )
    }

    async fn serving(&self, target: &DynamicObject) -> Result<Serving> {
        let status = self
            .canary
            .as_ref()
            .and_then(|canary| canary.status.as_ref());
        let stable = status.and_then(|status| status.stable.as_ref());
        let stable = stable.map(|stable| stable.replica_set.as_str());
        let found = serving(self.session, target, stable).await?;
        found.with_context(|| {
            format!(
                "no ReplicaSet of deployment/{} has Pods, so what served is not known: put the right template back yourself \
                 (helm rollback, git revert, kubectl apply)",
                self.name
            )
        })
    }

    /// Writes to the target; `None`: somebody else wrote in between.
    async fn write(&self, patch: Patch<Value>, what: &str) -> Result<Option<DynamicObject>> {
        let api = self.session.objects(Kind::Deployment);
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api.patch(&self.name, &params, &patch).await {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{what} on deployment/{}", self.name)),
        }
    }

    /// Takes our entry out of `managedFields`: owning the template, it would be in the way of the next `helm upgrade`. It takes
    /// a write of its own, and the Deployment controller writes at the same time, so it may take a few.
    async fn leave_no_trace(&self) -> Result<()> {
        for _ in 0..TRIES {
            let target = self.target().await?;
            let fields = target
                .metadata
                .managed_fields
                .as_deref()
                .unwrap_or_default();
            let ours = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(MANAGER);
            let Some(index) = fields.iter().position(ours) else {
                return Ok(());
            };
            let patch = json!([
                {"op": "replace", "path": "/metadata/resourceVersion", "value": target.resource_version()},
                {"op": "remove", "path": format!("/metadata/managedFields/{index}")},
            ]);
            self.write(json_patch(patch)?, "leave no trace").await?;
        }
        screen::complain(&format!(
            "the manager {MANAGER} stays in managedFields of deployment/{}; the next `helm upgrade` may need --force-conflicts",
            self.name
        ));
        Ok(())
    }

    fn warn_of_traffic(&self) {
        let status = self
            .canary
            .as_ref()
            .and_then(|canary| canary.status.as_ref());
        let written = status.map_or(0, |status| status.traffic.written);
        if written > 0 {
            screen::complain(&format!(
                "{written}% of the traffic goes to the canary until the controller takes it back"
            ));
        }
    }

    /// Whether the controller ends the hold, which leaves the gate where it is. While its status changes it is at work, and gets more time.
    async fn released(&self) -> Result<bool> {
        let before = self
            .canary
            .as_ref()
            .and_then(|canary| canary.resource_version());
        let mut waited = Duration::ZERO;
        loop {
            let target = find::understand(&self.target().await?)?;
            if !held(&target) {
                return Ok(target.meta.labels.contains_key(mark::GATE));
            }
            if waited >= RELEASE_AT_WORK || (waited >= RELEASE && self.version().await == before) {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
    }

    /// Version of the Canary now; the one of before if it cannot be read.
    async fn version(&self) -> Option<String> {
        let canary = self.canary.as_ref()?;
        let now = self.session.api::<Canary>().get(&canary.name_any()).await;
        now.map_or_else(|_| canary.resource_version(), |now| now.resource_version())
    }

    /// Takes the marks off in a write of their own, as the gate demands.
    async fn take_marks_off(&self) -> Result<()> {
        let labels = json!({mark::GATE: null, mark::HELD: null, mark::REVERTING: null, mark::CONTESTED: null});
        self.insist("take the marks off", |target| {
            let version = target.resource_version();
            Ok(json!({"metadata": {"resourceVersion": version, "labels": labels.clone()}}))
        })
        .await?;
        screen::line(&format!(
            "took {} and {} off deployment/{}",
            mark::GATE,
            mark::HELD,
            self.name
        ))
    }

    /// Merges a change into the target as it is now. The Deployment controller writes at the same time, so it may take a few tries;
    /// `change` looks at the target before each.
    async fn insist(
        &self,
        what: &str,
        change: impl Fn(&DynamicObject) -> Result<Value>,
    ) -> Result<()> {
        for _ in 0..TRIES {
            let change = change(&self.target().await?)?;
            if self.write(Patch::Merge(change), what).await?.is_some() {
                return Ok(());
            }
        }
        bail!(
            "{what}: deployment/{} is written by somebody else all the time: run undo again",
            self.name
        )
    }

    /// Takes the marks off, then lets the Deployment go on, if the template that was compared is still there.
    async fn break_glass(&self, serving: &Serving) -> Result<Exit> {
        screen::line("the controller does not end the hold: breaking the glass")?;
        if held(&self.serves(&self.target().await?, serving)?) {
            self.take_marks_off().await?;
        }
        self.insist("resume", |target| {
            self.serves(target, serving)?;
            let version = target.resource_version();
            Ok(json!({"metadata": {"resourceVersion": version}, "spec": {"paused": null}}))
        })
        .await?;
        self.leave_no_trace().await?;
        screen::line(&format!(
            "resumed deployment/{}; it runs what it ran, and no Pod restarts",
            self.name
        ))?;
        screen::line(
            "the next release is not held until the controller is back and arms the gate again",
        )?;
        Ok(Exit::Done)
    }

    /// The target, understood, if it carries the template that serves.
    fn serves(&self, target: &DynamicObject, serving: &Serving) -> Result<Deployment> {
        let target = find::understand(target)?;
        if target.template.revision != serving.revision {
            bail!(
                "deployment/{} carries another template than the one that serves: somebody, or an admission webhook, changed it. \
                 It does not go on; see what it carries, and run undo again",
                self.name
            );
        }
        Ok(target)
    }
}

/// The gate is a webhook, and no replica of Serin answers it: an armed Deployment takes no template.
fn gate_is_deaf(error: &anyhow::Error) -> bool {
    let said = format!("{error:#}");
    said.contains("failed calling webhook") && said.contains("hold.serin.dev")
}

fn json_patch(operations: Value) -> Result<Patch<Value>> {
    let patch = serde_json::from_value(operations).context("make a JSON patch")?;
    Ok(Patch::Json(patch))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::{Method, Request};
    use kube::Client;
    use kube::client::Body;

    use super::*;
    use crate::cli::embedded;
    use crate::clock::Clock;
    use crate::sim::api::{Api, Part, Who};
    use crate::sim::store::Key;
    use crate::sim::world;

    fn deployment(name: &str) -> Key {
        Key::new("apps", "deployments", "default", name)
    }

    fn template(image: &str) -> Value {
        json!({
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "image": image}]},
        })
    }

    /// A held Deployment with another template than its one ReplicaSet with Pods; no controller is there.
    fn held_one() -> Api {
        let api = embedded::installed().unwrap().copy(Clock::simulated());
        let who = embedded::person("alice");
        let selector = json!({"matchLabels": {"app": "web"}});
        let target = api.create(&who, &deployment("web"), json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "labels": {"serin.dev/held": "x"}},
            "spec": {"replicas": 1, "paused": true, "selector": selector, "template": template("app:2")},
        }));
        let uid = target.unwrap()["metadata"]["uid"].clone();
        let set = Key::new("apps", "replicasets", "default", "web-1");
        let mut served = template("app:1");
        served["metadata"]["labels"]["pod-template-hash"] = json!("1");
        let made = api.create(&who, &set, json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": "web-1", "namespace": "default", "labels": {"app": "web", "pod-template-hash": "1"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": true}],
            },
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web", "pod-template-hash": "1"}}, "template": served},
        }));
        made.unwrap();
        let ready = json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 1});
        let wrote = api.update(&who, &set, Part::Status, |set| set["status"] = ready);
        wrote.unwrap();
        api
    }

    /// A client in whose way the Deployment controller gets at every second write.
    fn disturbed(api: &Api) -> Client {
        let (inner, api) = (world::client(api, &embedded::person("bob")), api.clone());
        let count = Arc::new(AtomicU32::new(0));
        let send = move |request: Request<Body>| {
            let is_write = *request.method() == Method::PATCH;
            if is_write && count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                let status = |object: &mut Value| {
                    let seen = object["status"]["observedGeneration"].as_i64();
                    object["status"]["observedGeneration"] = json!(seen.unwrap_or_default() + 1);
                };
                let who = Who::system("kube-controller-manager");
                let wrote = api.update(&who, &deployment("web"), Part::Status, status);
                wrote.unwrap();
            }
            let inner = inner.clone();
            async move { inner.send(request).await }
        };
        Client::new(tower::service_fn(send), "default")
    }

    /// On a busy machine the status of the Deployment was written between the comparison and the last write, and it stayed paused.
    #[tokio::test(start_paused = true)]
    async fn writes_of_the_deployment_controller_are_no_obstacle() {
        let api = held_one();
        let session = Session::over(disturbed(&api), "default");
        assert_eq!(run(&session, "web").await.unwrap(), Exit::Done);
        let target = api.get(&deployment("web")).unwrap();
        assert_eq!(
            target.pointer("/spec/template/spec/containers/0/image"),
            Some(&json!("app:1"))
        );
        assert_eq!(target.pointer("/spec/paused"), None);
        assert_eq!(target.pointer("/metadata/labels/serin.dev~1held"), None);
    }
}
