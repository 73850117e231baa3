//! The embedded cluster with its applications.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use serin::cli::embedded;
use serin::clock::Clock;
use serin::sim::api::{Api, Part};
use serin::sim::listen::{self, People};
use serin::sim::prometheus;
use serin::sim::store::{Event, Key};
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::users::Destination;
use serin::sim::world::{self, World};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::controller::Places;

/// Canaries in a namespace.
const TOGETHER: usize = 20;
/// Writes that a slow watch may be behind.
const REMEMBERED: usize = 50_000;
/// Pods for which a node is added; it has room for more.
const PODS: usize = 25;
/// The token of the controller.
const TOKEN: &str = "serin";

/// The cluster, and what it counts.
pub(crate) struct Cluster {
    world: World,
    canaries: usize,
    kubeconfig: PathBuf,
    tally: Arc<Mutex<Tally>>,
    prometheus: String,
    questions: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the writes so far came to.
#[derive(Debug, Default)]
struct Tally {
    writes: u64,
    asked: BTreeMap<(String, String), Timestamp>,
    reactions: Vec<Duration>,
    exposed: BTreeMap<(String, String), Timestamp>,
    /// From the first share of an application's last version to none.
    exposures: BTreeMap<(String, String), Duration>,
}

impl Tally {
    fn take(&mut self, event: &Event) {
        let place = (event.key.namespace.clone(), event.key.name.clone());
        self.writes += u64::from(by_serin(event));
        if event.key.plural == "canaries" && !by_serin(event) && asks(event) {
            self.asked.insert(place, event.signed.at);
        } else if event.key.plural == "httproutes" && by_serin(event) {
            self.routed(place, event);
        }
    }

    fn routed(&mut self, place: (String, String), event: &Event) {
        let since = |at: Timestamp| event.signed.at.duration_since(at).unsigned_abs();
        if !is_zero(event) {
            self.exposed.entry(place).or_insert(event.signed.at);
            return;
        }
        self.reactions.extend(self.asked.remove(&place).map(since));
        if let Some(exposed) = self.exposed.remove(&place) {
            self.exposures.insert(place, since(exposed));
        }
    }
}

/// Counts every write, for ever.
async fn count(api: Api, tally: Arc<Mutex<Tally>>) {
    let mut seen = api.revision();
    loop {
        for event in api.since(seen).unwrap_or_default() {
            seen = event.revision;
            locked(&tally).take(&event);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn locked(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    /// Writes of the controller.
    pub(crate) writes: u64,
    /// Requests to Prometheus.
    pub(crate) questions: u64,
}

impl Kept {
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            writes: self.writes - before.writes,
            questions: self.questions - before.questions,
        }
    }
}

/// Application number so and so.
fn name(number: usize) -> Name {
    Name::new(
        &format!("team-{}", number / TOGETHER),
        &format!("app-{number}"),
    )
}

fn key(group: &str, plural: &str, number: usize) -> Key {
    let Name { namespace, name } = name(number);
    Key::new(group, plural, &namespace, &name)
}

impl Cluster {
    /// Makes the applications; users come to the first `active` of them.
    pub(crate) async fn start(canaries: usize, active: usize) -> Result<Self> {
        let mut world = World::new(Clock::System, 1);
        world.api.remember(REMEMBERED);
        world.nodes.nodes += canaries / PODS;
        embedded::install(&world).map_err(|refusal| anyhow!("{}", refusal.message))?;
        for number in 0..canaries {
            let application = name(number);
            world.api.add_namespace(&application.namespace);
            for object in objects(&application) {
                world
                    .put(object)
                    .map_err(|refusal| anyhow!("{}", refusal.message))?;
            }
            if number < active {
                let host = Destination::Host(host(&application), "/".to_owned());
                world.send(&application, host, Rate::Constant(20.0));
            }
        }
        let questions = Arc::new(AtomicU64::new(0));
        let mut tasks = vec![tokio::spawn(world::live(world.api.clone(), world.actors()))];
        let (prometheus, served) = serve_prometheus(&world, questions.clone()).await?;
        let (kubeconfig, listening) = serve_api(&world.api).await?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let counting = tokio::spawn(count(world.api.clone(), tally.clone()));
        tasks.extend([served, listening, counting]);
        Ok(Self {
            world,
            canaries,
            kubeconfig,
            tally,
            prometheus,
            questions,
            tasks,
        })
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            kubeconfig: self.kubeconfig.clone(),
            prometheus: self.prometheus.clone(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.api.now()
    }

    pub(crate) fn seconds_since(&self, began: Timestamp) -> f64 {
        self.now().duration_since(began).as_secs_f64()
    }

    /// Every application has its Pod.
    pub(crate) fn is_up(&self) -> bool {
        let targets = self.world.api.list("apps", "deployments", None);
        let ready = targets
            .iter()
            .filter(|(_, it)| it["status"]["readyReplicas"] == 1);
        ready.count() >= self.canaries
    }

    /// How many Canaries are in a phase.
    pub(crate) fn phase(&self, phase: &str) -> usize {
        self.count(|status| status["phase"] == phase)
    }

    /// How many Canaries have reached a weight.
    pub(crate) fn at_weight(&self, weight: i64) -> usize {
        self.count(|status| status["canaryWeight"].as_i64().unwrap_or(0) >= weight)
    }

    fn count(&self, is: impl Fn(&Value) -> bool) -> usize {
        let canaries = self.world.api.list("serin.dev", "canaries", None);
        canaries.iter().filter(|(_, it)| is(&it["status"])).count()
    }

    pub(crate) fn kept(&self) -> Kept {
        Kept {
            writes: locked(&self.tally).writes,
            questions: self.questions.load(Ordering::SeqCst),
        }
    }

    /// Waits until something holds.
    pub(crate) async fn wait(
        &self,
        what: &str,
        patience: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        let began = self.now();
        while !holds(self) {
            if self.seconds_since(began) > patience.as_secs_f64() {
                bail!(
                    "after {} s it does not hold that {what}",
                    patience.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Ships a new version of some applications.
    pub(crate) fn ship(&self, numbers: Range<usize>, image: &str) -> Result<()> {
        for number in numbers {
            self.edit(&key("apps", "deployments", number), |target| {
                target["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
            })?;
        }
        Ok(())
    }

    /// How long each of these applications led users to its last version, which was rejected.
    pub(crate) fn exposures(&self, numbers: Range<usize>) -> Vec<Duration> {
        let tally = locked(&self.tally);
        let places = numbers.map(|number| {
            let Name { namespace, name } = name(number);
            (namespace, name)
        });
        places
            .filter_map(|place| tally.exposures.get(&place).copied())
            .collect()
    }

    /// Aborts the first releases, one after the other; how long each took until weight 0 was written.
    pub(crate) async fn abort(&self, count: usize, patience: Duration) -> Result<Vec<Duration>> {
        for number in 0..count {
            self.edit(&key("serin.dev", "canaries", number), |canary| {
                canary["metadata"]["annotations"]["serin.dev/request"] = json!("abort");
            })?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let enough = |it: &Self| locked(&it.tally).reactions.len() >= count;
        self.wait("every abort was followed", patience, enough)
            .await?;
        Ok(locked(&self.tally).reactions.clone())
    }

    /// Changes what lists show of an application's Canary; the words by which a reader knows it.
    pub(crate) fn change(&self, number: usize) -> Result<String> {
        let words = format!("change-{number}");
        let label = json!(words);
        self.edit(&key("serin.dev", "canaries", number), |canary| {
            canary["metadata"]["labels"]["bench"] = label;
        })?;
        Ok(words)
    }

    fn edit(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Result<()> {
        let who = embedded::person("bench");
        let written = self.world.api.update(&who, key, Part::Main, change);
        written
            .map(drop)
            .map_err(|refusal| anyhow!("{}", refusal.message))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        drop(std::fs::remove_file(&self.kubeconfig));
    }
}

fn by_serin(event: &Event) -> bool {
    *event.signed.by == *embedded::account().user
}

fn asks(event: &Event) -> bool {
    !event.object["metadata"]["annotations"]["serin.dev/request"].is_null()
}

fn is_zero(event: &Event) -> bool {
    event.object["spec"]["rules"][0]["backendRefs"][1]["weight"] == 0
}

async fn serve_prometheus(
    world: &World,
    questions: Arc<AtomicU64>,
) -> Result<(String, JoinHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let count = axum::middleware::map_request(move |request: axum::extract::Request| {
        questions.fetch_add(1, Ordering::SeqCst);
        std::future::ready(request)
    });
    let router = prometheus::router(world.prometheus.clone()).layer(count);
    let served = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
    Ok((format!("http://{address}"), served))
}

async fn serve_api(api: &Api) -> Result<(PathBuf, JoinHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let config = listen::kubeconfig(listener.local_addr()?, TOKEN, "bench");
    let file = std::env::temp_dir().join(format!("serin-bench-{}", std::process::id()));
    std::fs::write(&file, config)?;
    let people = People {
        tokens: [(TOKEN.to_owned(), embedded::account())].into(),
        stranger: None,
    };
    let api = api.clone();
    let never = std::future::pending();
    Ok((
        file,
        tokio::spawn(listen::serve(listener, api, people, never)),
    ))
}

fn host(application: &Name) -> String {
    format!("{}.{}.example", application.name, application.namespace)
}

/// A Deployment of one Pod, its Service, and a Canary that makes a route.
fn objects(application: &Name) -> [Value; 3] {
    let Name { namespace, name } = application;
    let metadata = json!({"name": name, "namespace": namespace, "labels": {"app": name}});
    [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}, "annotations": {
                        "prometheus.io/scrape": "true", "prometheus.io/port": "8080"}},
                    "spec": {"containers": [{"name": "app", "image": "app:1.0.0",
                        "ports": [{"name": "http", "containerPort": 8080}]}]},
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        }),
        json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": metadata,
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "service": {"port": 80, "targetPort": "http", "hosts": [host(application)],
                    "gatewayRefs": [{"name": "gw", "namespace": "default"}]},
                "analysis": {"interval": "30s", "checks": 2, "threshold": 3, "stepWeights": [10, 50, 100]},
            },
        }),
    ]
}
