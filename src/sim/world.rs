//! The cluster as a whole: the API server, who acts in it, its users, and the doors through which a client comes in.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::clock::Clock;
use crate::sim::api::{Actor, Api, Who};
use crate::sim::autoscaler::Autoscalers;
use crate::sim::behaviour::Behaviours;
use crate::sim::deployments::Deployments;
use crate::sim::disruption::Disruptions;
use crate::sim::endpoints::Endpoints;
use crate::sim::garbage::Garbage;
use crate::sim::gateway::{self, Gateways, Routing};
use crate::sim::nodes::{Nodes, Size};
use crate::sim::pods::Pods;
use crate::sim::prometheus::{Prometheus, Scraping};
use crate::sim::proxies::{Proxies, Reports};
use crate::sim::refusal::Refusal;
use crate::sim::replica_sets::ReplicaSets;
use crate::sim::requests;
use crate::sim::residents::Residents;
use crate::sim::roles::{self, Aggregation};
use crate::sim::store::{Event, Key};
use crate::sim::traffic::rate::Rate;
use crate::sim::traffic::{Chance, Name, Pod, Traffic};
use crate::sim::type_check::TypeCheck;
use crate::sim::users::{Destination, Users};

/// A cluster with everybody in it, before it comes to life.
pub struct World {
    /// The API server.
    pub api: Api,
    /// What applications do.
    pub behaviours: Behaviours,
    /// What the gateway does.
    pub routing: Routing,
    /// Whose proxies lead users to Pods, from when everybody comes to life.
    pub proxies: Proxies,
    /// What the nodes are.
    pub nodes: Size,
    /// What users did, and what became of it.
    pub traffic: Arc<Mutex<Traffic>>,
    /// What was measured.
    pub prometheus: Arc<Mutex<Prometheus>>,
    applications: BTreeMap<Name, Destination>,
}

impl World {
    /// A cluster without objects. Its chance is that of the seed.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self::on(Api::new(clock), seed)
    }

    /// The cluster of this API server.
    #[must_use]
    pub fn on(api: Api, seed: u64) -> Self {
        let now = api.now();
        Self {
            behaviours: Behaviours::default(),
            routing: Routing::default(),
            proxies: Proxies::default(),
            nodes: Size::default(),
            traffic: Arc::new(Mutex::new(Traffic::new(seed, Chance::Drawn, now))),
            prometheus: Arc::new(Mutex::new(Prometheus::new(Scraping::default(), now))),
            applications: BTreeMap::new(),
            api,
        }
    }

    /// Applies manifests, separated by `---`, as an administrator does.
    ///
    /// # Errors
    /// As the API server refuses, or when they cannot be read.
    pub fn apply(&self, manifests: &str) -> Result<(), Refusal> {
        for text in manifests.split("\n---") {
            let object: Value = serde_saphyr::from_str(text)
                .map_err(|error| Refusal::bad_request(error.to_string()))?;
            if !object.is_null() {
                self.put(object)?;
            }
        }
        Ok(())
    }

    /// Makes an object, or writes it over the one that is there.
    ///
    /// # Errors
    /// As the API server refuses.
    pub fn put(&self, object: Value) -> Result<(), Refusal> {
        let who = Who {
            user: "admin".to_owned(),
            groups: vec!["system:masters".to_owned()],
            manager: "kubectl".to_owned(),
        };
        let key = self.key(&object)?;
        if self.api.get(&key).is_none() {
            return self.api.create(&who, &key, object).map(drop);
        }
        let change = |live: &mut Value| {
            for (field, value) in object.as_object().into_iter().flatten() {
                if field == "metadata" {
                    json_patch::merge(&mut live["metadata"], value);
                } else {
                    live[field] = value.clone();
                }
            }
        };
        let part = crate::sim::api::Part::Main;
        self.api.update(&who, &key, part, change).map(drop)
    }

    fn key(&self, object: &Value) -> Result<Key, Refusal> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let kinds = self.api.kinds();
        let served = kinds
            .iter()
            .find(|served| served.kind == kind && served.api_version() == version);
        let served = served.ok_or_else(|| {
            Refusal::bad_request(format!(
                "no matches for kind {kind:?} in version {version:?}"
            ))
        })?;
        let metadata = &object["metadata"];
        let mut namespace = String::new();
        if served.namespaced {
            namespace = text(&metadata["namespace"]);
            if namespace.is_empty() {
                "default".clone_into(&mut namespace);
            }
        }
        Ok(Key::new(
            &served.group,
            &served.plural,
            &namespace,
            &text(&metadata["name"]),
        ))
    }

    /// Makes the gateway that every cluster here has, `default/gw`.
    pub fn add_gateway(&self) {
        let objects = [
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "sim"},
                "spec": {"controllerName": gateway::CONTROLLER}}),
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                "metadata": {"name": "gw", "namespace": "default"},
                "spec": {"gatewayClassName": "sim", "listeners": [
                    {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]}}),
        ];
        for object in objects {
            // Both are valid, and new.
            drop(self.put(object));
        }
    }

    /// Makes the roles that every cluster has.
    pub fn add_roles(&self) {
        for object in roles::built_in() {
            // All are valid, and new.
            drop(self.put(object));
        }
    }

    /// Users of an application ask at this rate.
    pub fn send(&mut self, application: &Name, to: Destination, rate: Rate) {
        self.applications.insert(application.clone(), to);
        crate::sim::prometheus::locked(&self.traffic).send(application, rate);
    }

    /// Everybody in the cluster.
    #[must_use]
    pub fn actors(&self) -> Vec<Box<dyn Actor>> {
        vec![
            Box::new(self.users()),
            Box::new(Nodes::new(self.nodes.clone())),
            Box::new(Deployments::default()),
            Box::new(ReplicaSets::default()),
            Box::new(Pods::new(self.behaviours.clone())),
            Box::new(Endpoints::default()),
            Box::new(Disruptions::default()),
            Box::new(Autoscalers::default()),
            Box::new(Garbage::default()),
            Box::new(Residents::default()),
            Box::new(Aggregation::default()),
            Box::new(TypeCheck::default()),
            Box::new(Gateways::new(self.routing.clone())),
            Box::new(Reports::new(self.proxies)),
        ]
    }

    fn users(&self) -> Users {
        let behaviours = self.behaviours.clone();
        let answers = move |pod: &Pod, now| {
            let said = behaviours.replies(&pod.name.namespace, &pod.image, now);
            said.unwrap_or(pod.replies)
        };
        let users = Users::new(
            self.traffic.clone(),
            self.prometheus.clone(),
            self.applications.clone(),
            Box::new(answers),
        );
        users.through(self.proxies)
    }
}

/// A client that needs no socket: its requests are answered in process.
#[must_use]
pub fn client(api: &Api, who: &Who) -> kube::Client {
    let (api, who) = (api.clone(), who.clone());
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (api, who) = (api.clone(), who.clone());
        async move { Ok::<_, Infallible>(requests::answer(&api, &who, request.map(Body::new)).await) }
    });
    kube::Client::new(service, "default")
}

/// Lets everybody act, whenever something changes or is due, for ever.
pub async fn live(api: Api, mut actors: Vec<Box<dyn Actor>>) {
    let mut changed = api.subscribe();
    let mut seen = 0;
    loop {
        changed.mark_unchanged();
        let due = settle(&api, &mut actors, &mut seen);
        let until = due.map(|at| wait(&api, at));
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = sleep(until) => {}
        }
    }
}

/// Lets everybody act until nobody writes any more; says when somebody wants to be called again.
pub fn settle(api: &Api, actors: &mut [Box<dyn Actor>], seen: &mut u64) -> Option<Timestamp> {
    loop {
        let events = since(api, seen);
        let before = api.revision();
        let due = actors
            .iter_mut()
            .filter_map(|actor| actor.act(api, &events))
            .min();
        if api.revision() == before && *seen == before {
            return due;
        }
    }
}

/// The writes since the last look; when some are forgotten, everything that is there counts as new.
fn since(api: &Api, seen: &mut u64) -> Vec<Event> {
    let events = api.since(*seen).unwrap_or_else(|_| api.all_anew());
    *seen = events
        .last()
        .map_or_else(|| api.revision(), |event| event.revision);
    events
}

fn wait(api: &Api, at: Timestamp) -> Instant {
    let left = at.duration_since(api.now());
    let left = Duration::try_from(left).unwrap_or_default();
    Instant::now() + left.max(Duration::from_millis(1))
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
