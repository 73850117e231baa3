//! One scenario's own namespace, and what a team and its users do in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::gateway::{self, GATEWAY};
use crate::load::Load;
use crate::objects::{self, APP};
use crate::process::Said;
use crate::record::{Kind, text};
use crate::report::Number;
use crate::timeline::Timeline;
use crate::world::World;

/// Requests a second, unless a scenario says otherwise.
pub(crate) const RATE: f64 = 200.0;

/// How long an adoption may take: route, Services, and two proofs of the gate 5 s apart.
pub(crate) const ADOPTION: Duration = Duration::from_secs(40);

/// How long an analysis of three steps and what follows it may take on a busy machine.
pub(crate) const RELEASE: Duration = Duration::from_secs(120);

/// How long a way back may take: weight 0, drained, canary gone.
pub(crate) const RETREAT: Duration = Duration::from_secs(60);

/// The name under which the team writes.
const TEAM: &str = "team";

/// One run of one scenario.
pub(crate) struct Scenario {
    pub(crate) world: Arc<World>,
    pub(crate) namespace: String,
    /// When it began.
    pub(crate) begun: SystemTime,
    numbers: Mutex<Vec<Number>>,
}

impl Scenario {
    /// Makes the namespace.
    pub(crate) async fn new(world: &Arc<World>, namespace: String) -> Result<Self> {
        let scenario = Self {
            world: Arc::clone(world),
            namespace,
            begun: SystemTime::now(),
            numbers: Mutex::default(),
        };
        let name = &scenario.namespace;
        let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let api = Api::<DynamicObject>::all_with(world.client.clone(), &resource(&space));
        api.create(
            &kube::api::PostParams::default(),
            &serde_json::from_value(space)?,
        )
        .await
        .context("make the namespace")?;
        Ok(scenario)
    }

    /// The name by which users call the application.
    pub(crate) fn host(&self) -> String {
        format!("{}.example.com", self.namespace)
    }

    /// Applies an object as the team does.
    pub(crate) async fn apply(&self, object: &Value) -> Result<()> {
        let name = text(object, "/metadata/name");
        let api = self.api(&resource(object));
        let params = PatchParams::apply(TEAM).force();
        api.patch(name, &params, &Patch::Apply(object))
            .await
            .with_context(|| format!("apply {} {name}", text(object, "/kind")))
            .map(drop)
    }

    /// Merges something into an object, as somebody.
    pub(crate) async fn merge(&self, kind: Kind, name: &str, change: &Value) -> Result<()> {
        let api = self.api(&kind.resource());
        api.patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .with_context(|| format!("change {kind:?} {name}"))
            .map(drop)
    }

    /// Deletes an object.
    pub(crate) async fn delete(&self, kind: Kind, name: &str) -> Result<()> {
        let api = self.api(&kind.resource());
        api.delete(name, &kube::api::DeleteParams::default())
            .await
            .with_context(|| format!("delete {kind:?} {name}"))
            .map(drop)
    }

    /// The objects of a kind in this namespace.
    pub(crate) fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.world.client.clone(), &self.namespace, resource)
    }

    /// The application without Serin: Deployment and Service.
    pub(crate) async fn deploy(&self, tag: &str, replicas: i32) -> Result<()> {
        self.world.images(&[tag]).await?;
        self.apply(&objects::service()).await?;
        self.apply(&objects::deployment(tag, replicas)).await
    }

    /// The application of one tag, adopted by a Canary with a route of Serin's.
    pub(crate) async fn adopt(&self, tag: &str, replicas: i32, analysis: &Value) -> Result<()> {
        self.adopt_as(tag, replicas, &objects::canary(&self.host(), analysis))
            .await
    }

    /// The same with any Canary.
    pub(crate) async fn adopt_as(&self, tag: &str, replicas: i32, canary: &Value) -> Result<()> {
        self.deploy(tag, replicas).await?;
        self.apply(canary).await?;
        self.phase("Initialized", ADOPTION).await
    }

    /// Ships another tag, as `kubectl set image` does.
    pub(crate) async fn ship(&self, tag: &str) -> Result<()> {
        self.world.images(&[tag]).await?;
        self.put(tag).await
    }

    /// The same without making sure that the image exists.
    pub(crate) async fn put(&self, tag: &str) -> Result<()> {
        let image = format!("{APP}=app:{tag}");
        let set = ["set", "image", "deployment/app", &image];
        self.kubectl(&set).await?.fine().map(drop)
    }

    /// Asks for a verb, as a person with kubectl does.
    pub(crate) async fn request(&self, verb: &str) -> Result<()> {
        let request = format!("serin.dev/request={verb}");
        let annotate = ["annotate", "canary", APP, "--overwrite", &request];
        self.kubectl(&annotate).await?.fine().map(drop)
    }

    /// What a person types after `kubectl -n NAMESPACE`.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<Said> {
        let mut all = vec!["-n", &self.namespace];
        all.extend(arguments);
        self.world.kubectl(&all).await
    }

    /// The Canary as the watch last saw it.
    pub(crate) fn canary(&self) -> Value {
        self.get(Kind::Canary, APP).unwrap_or_default()
    }

    /// An object of this namespace, if it is there.
    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        self.world.recorder.get(&self.namespace, kind, name)
    }

    /// Waits for a phase.
    pub(crate) async fn phase(&self, phase: &str, patience: Duration) -> Result<()> {
        let what = format!("phase {phase}");
        self.until(&what, patience, |canary| {
            text(canary, "/status/phase") == phase
        })
        .await
    }

    /// Waits for a weight in the status: the router has it.
    pub(crate) async fn weight(&self, weight: i64, patience: Duration) -> Result<()> {
        let what = format!("weight {weight}");
        self.until(&what, patience, |canary| {
            canary["status"]["canaryWeight"] == weight
        })
        .await
    }

    /// Waits until the Canary stands at a pause for a person.
    pub(crate) async fn stands(&self, patience: Duration) -> Result<()> {
        self.until("an approval is waited for", patience, |canary| {
            text(canary, "/status/step/waiting") == "Approval"
        })
        .await
    }

    /// Waits until no finalizer is left on the Canary: nothing of Serin is in the way when it is deleted.
    pub(crate) async fn let_go(&self, patience: Duration) -> Result<()> {
        self.until("no finalizer is left", patience, |canary| {
            canary["metadata"]["finalizers"].is_null()
        })
        .await
    }

    /// Waits until something is true of the Canary.
    pub(crate) async fn until(
        &self,
        what: &str,
        patience: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let waited = self.world.recorder.wait(what, patience, |recorder| {
            recorder
                .get(&self.namespace, Kind::Canary, APP)
                .filter(|canary| is(canary))
        });
        let Err(error) = waited.await else {
            return Ok(());
        };
        let canary = self.canary();
        bail!(
            "{error}; it is {} at weight {}: {}",
            text(&canary, "/status/phase"),
            canary["status"]["canaryWeight"],
            text(&canary, "/status/message")
        )
    }

    /// Waits until something is true of an object, or of its absence.
    pub(crate) async fn until_object(
        &self,
        what: &str,
        (kind, name): (Kind, &str),
        patience: Duration,
        is: impl Fn(Option<&Value>) -> bool,
    ) -> Result<()> {
        let waited = self.world.recorder.wait(what, patience, |recorder| {
            let object = recorder.get(&self.namespace, kind, name);
            is(object.as_ref()).then_some(())
        });
        waited.await
    }

    /// What has happened here so far.
    pub(crate) fn timeline(&self) -> Timeline {
        Timeline::new(self.world.recorder.all(&self.namespace))
    }

    /// Begins 200 requests a second through the gateway, once it knows the application.
    pub(crate) async fn load(&self) -> Result<Load> {
        self.load_of(RATE).await
    }

    /// The same at another rate.
    pub(crate) async fn load_of(&self, rate: f64) -> Result<Load> {
        self.load_at(GATEWAY, rate).await
    }

    /// The same through another proxy.
    pub(crate) async fn load_at(&self, proxy: &str, rate: f64) -> Result<Load> {
        let host = self.host();
        let mut tries = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..400 {
            tries.tick().await;
            if gateway::answers(proxy, &host).await {
                let url = format!("http://{proxy}/");
                return Ok(Load::start(None, &url, &host, rate)?);
            }
        }
        bail!("the proxy at {proxy} does not know {host}")
    }

    /// Waits until the gateway has sent every request to the application for some seconds: it may still forget a route
    /// that came again.
    pub(crate) async fn reachable(&self) -> Result<()> {
        let host = self.host();
        let mut tries = tokio::time::interval(Duration::from_millis(100));
        let mut row = 0;
        for _ in 0..400 {
            tries.tick().await;
            row = if gateway::answers(GATEWAY, &host).await {
                row + 1
            } else {
                0
            };
            if row == 40 {
                return Ok(());
            }
        }
        bail!("the gateway does not know {host} for long")
    }

    /// Tells every Pod here what to do from now on, as `examples/app` is told.
    pub(crate) async fn order(&self, what: &str) -> Result<()> {
        let pods = resource(&json!({"apiVersion": "v1", "kind": "Pod"}));
        let pods = self
            .api(&pods)
            .list(&kube::api::ListParams::default())
            .await?;
        let addresses = pods.items.iter().filter_map(|pod| {
            let address = pod.data["status"]["podIP"].as_str()?;
            Some(format!("{address}:8080"))
        });
        for address in addresses {
            gateway::order(&address, &format!("/admin?{what}")).await?;
        }
        Ok(())
    }

    /// Keeps a number for the table at the end, and fails if it exceeds its bound.
    pub(crate) fn number(&self, name: &str, value: f64, most: f64) -> Result<()> {
        let number = Number {
            name: name.to_owned(),
            value,
            most,
        };
        self.numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(number);
        if value > most {
            bail!("{name}: {value:.3}, at most {most}");
        }
        Ok(())
    }

    /// The numbers that were kept.
    pub(crate) fn numbers(&self) -> Vec<Number> {
        let numbers = self.numbers.lock();
        numbers.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Group, version and plural of an object.
pub(crate) fn resource(object: &Value) -> ApiResource {
    let version = text(object, "/apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(
        group,
        version,
        text(object, "/kind"),
    ))
}
