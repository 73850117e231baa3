//! Users, the Pods that answer them, and the Prometheus that watches: reads the objects that are live, and lets time pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::sim::api::{Actor, Api};
use crate::sim::behaviour;
use crate::sim::field::{list, text};
use crate::sim::prometheus::{Prometheus, locked};
use crate::sim::proxies::following::Following;
use crate::sim::proxies::{self, Proxies, To};
use crate::sim::store::{Event, Happened, Key};
use crate::sim::traffic::behaviour::{Behaviour, version_of_image};
use crate::sim::traffic::route::{self, Asked, Backend};
use crate::sim::traffic::{Branch, Name, Pod, Traffic};

/// The group of the Gateway API.
const GATEWAY: &str = "gateway.networking.k8s.io";
/// The group of EndpointSlices.
const DISCOVERY: &str = "discovery.k8s.io";

/// How long a slice of time is at most, if nothing changes.
const SLICE: Duration = Duration::from_secs(1);

/// Whom the users of an application ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A host, at a path, through a gateway.
    Host(String, String),
    /// The same with a header, by name and value.
    Marked(String, String, (String, String)),
    /// A Service of the cluster.
    Service(Name),
    /// The same with a header, by name and value.
    MarkedService(Name, (String, String)),
}

impl Destination {
    /// A request that goes there.
    #[must_use]
    pub fn asked(&self) -> proxies::Asked<'_> {
        let (to, path, header) = match self {
            Self::Host(host, path) => (To::Host(host), path.as_str(), None),
            Self::Marked(host, path, header) => (To::Host(host), path.as_str(), Some(header)),
            Self::Service(service) => (To::Service(service), "/", None),
            Self::MarkedService(service, header) => (To::Service(service), "/", Some(header)),
        };
        proxies::Asked { to, path, header }
    }
}

/// Says how a Pod answers at a time.
pub type Behaviours = Box<dyn Fn(&Pod, Timestamp) -> Behaviour + Send>;

/// The users of all applications, as an actor of the cluster.
pub struct Users {
    traffic: Arc<Mutex<Traffic>>,
    prometheus: Arc<Mutex<Prometheus>>,
    behaviours: Behaviours,
    /// Whom they ask, and the namespaces that the way leads through.
    applications: BTreeMap<Name, (Destination, BTreeSet<String>)>,
    /// The proxies between them and the Pods, if these are not a gateway of the Gateway API.
    following: Option<Following>,
    has_begun: bool,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("applications", &self.applications)
            .finish_non_exhaustive()
    }
}

impl Users {
    /// Users of these applications; how much they ask is the traffic's.
    #[must_use]
    pub fn new(
        traffic: Arc<Mutex<Traffic>>,
        prometheus: Arc<Mutex<Prometheus>>,
        applications: BTreeMap<Name, Destination>,
        behaviours: Behaviours,
    ) -> Self {
        let applications = applications.into_iter();
        Self {
            traffic,
            prometheus,
            behaviours,
            applications: applications
                .map(|(name, to)| (name, (to, BTreeSet::new())))
                .collect(),
            following: None,
            has_begun: false,
        }
    }

    /// The same with these proxies between them and the Pods.
    #[must_use]
    pub fn through(mut self, proxies: Proxies) -> Self {
        self.following = (proxies != Proxies::Gateway).then(|| Following::new(proxies));
        if let Some((family, target)) = proxies.counter() {
            locked(&self.traffic).count_in_proxy(family, target);
        }
        self
    }

    /// Counts up to now with the ways and Pods as they were, and scrapes when that is due.
    fn catch_up(&self, now: Timestamp) {
        let mut traffic = locked(&self.traffic);
        let mut prometheus = locked(&self.prometheus);
        loop {
            let slice = traffic
                .now()
                .saturating_add(SLICE)
                .unwrap_or(Timestamp::MAX);
            let scrape = prometheus.next_scrape();
            traffic.advance(now.min(slice).min(scrape), &*self.behaviours);
            if scrape <= now && traffic.now() >= scrape {
                let pages = traffic.pages(|target| prometheus.is_due(target));
                prometheus.scrape(&pages);
            } else if traffic.now() >= now {
                return;
            }
        }
    }

    /// Takes over what changed.
    fn note(&mut self, api: &Api, changed: &[Event]) {
        if !self.has_begun {
            self.has_begun = true;
            if let Some(following) = &mut self.following {
                following.begin(api);
            }
            for (key, object) in api.list("", "pods", None) {
                self.meet(api, &key, &object);
            }
            return self.reroute(api, |_, _| true);
        }
        for event in changed.iter().filter(|event| is_of(event, "", "pods")) {
            match event.happened {
                Happened::Added | Happened::Modified => self.meet(api, &event.key, &event.object),
                Happened::Deleted => {
                    let name = Name::new(&event.key.namespace, &event.key.name);
                    locked(&self.traffic).pod_gone(&name);
                }
            }
        }
        self.rename(api, changed);
        if let Some(following) = &mut self.following {
            let told = following.hear(api, changed);
            let moved = told || changed.iter().any(leads_to_pods);
            return self.reroute(api, |_, _| moved);
        }
        self.reroute(api, |destination, namespaces| {
            changed
                .iter()
                .any(|event| concerns(event, destination, namespaces))
        });
    }

    /// A Pod is there, or changed.
    fn meet(&self, api: &Api, key: &Key, object: &Value) {
        let mut pod = pod(key, object);
        if let Some(following) = &self.following {
            let services = api.list("", "services", Some(&key.namespace));
            let services = services.iter().map(|(_, service)| &**service);
            pod.sidecar = proxies::sidecar(following.proxies(), (key, object), services);
        }
        locked(&self.traffic).pod(pod);
    }

    /// Kuma names sidecars after Services, which may come to select other Pods.
    fn rename(&self, api: &Api, changed: &[Event]) {
        let proxies = self.following.as_ref().map(Following::proxies);
        if proxies != Some(Proxies::Kuma) {
            return;
        }
        let services = changed.iter().filter(|event| is_of(event, "", "services"));
        let namespaces: BTreeSet<_> = services.map(|event| &event.key.namespace).collect();
        for namespace in namespaces {
            for (key, object) in api.list("", "pods", Some(namespace)) {
                self.meet(api, &key, &object);
            }
        }
    }

    /// Looks for the way of these applications again.
    fn reroute(&mut self, api: &Api, is_stale: impl Fn(&Destination, &BTreeSet<String>) -> bool) {
        let mut applications = std::mem::take(&mut self.applications);
        let proxies = self.following.as_ref().map(Following::proxies);
        let has_sidecar = proxies.is_some_and(Proxies::is_mesh);
        for (name, (destination, namespaces)) in &mut applications {
            if is_stale(destination, namespaces) {
                let backends = self.backends(api, destination);
                *namespaces = backends
                    .iter()
                    .map(|one| one.service.namespace.clone())
                    .collect();
                let to_service = matches!(destination.asked().to, To::Service(_));
                let on_node = to_service && !has_sidecar;
                let branches = backends
                    .iter()
                    .map(|backend| branch(api, backend, on_node))
                    .collect();
                locked(&self.traffic).route(name, branches);
            }
        }
        self.applications = applications;
    }

    fn backends(&self, api: &Api, destination: &Destination) -> Vec<Backend> {
        let asked = destination.asked();
        if let Some(following) = &self.following {
            let is_ready = |service: &Name| !pods(api, service, false).is_empty();
            return following.way(asked, &is_ready).unwrap_or_default();
        }
        let host = match asked.to {
            To::Host(host) => host,
            To::Service(service) => return vec![Backend::new(service.clone(), 1)],
        };
        let asked = Asked {
            host,
            path: asked.path,
            header: asked.header,
        };
        let mut routes = api.list(GATEWAY, "httproutes", None);
        routes.retain(|(_, route)| !is_of_mesh(route));
        route::backends(&routes, asked).unwrap_or_default()
    }
}

/// Whether a route is for what Pods send to Services, and not for a gateway.
fn is_of_mesh(route: &Value) -> bool {
    let parents = list(route, "/spec/parentRefs");
    let services = parents.iter().filter(|it| text(it, "/kind") == "Service");
    !parents.is_empty() && services.count() == parents.len()
}

impl Actor for Users {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        let now = api.now();
        self.catch_up(now);
        self.note(api, changed);
        let scrape = locked(&self.prometheus).next_scrape();
        let told = self.following.as_ref().and_then(Following::next);
        Some(told.map_or(scrape, |told| told.min(scrape)))
    }
}

fn is_of(event: &Event, group: &str, plural: &str) -> bool {
    event.key.group == group && event.key.plural == plural
}

/// Whether an event may change the way to a destination.
fn concerns(event: &Event, destination: &Destination, namespaces: &BTreeSet<String>) -> bool {
    if is_of(event, GATEWAY, "httproutes") {
        let objects = [Some(&event.object), event.before.as_ref()];
        return match destination.asked().to {
            To::Host(host) => objects
                .iter()
                .flatten()
                .any(|route| route::is_for(route, host)),
            To::Service(_) => false,
        };
    }
    leads_to_pods(event) && namespaces.contains(&event.key.namespace)
}

/// Whether an event may change the Pods behind a Service.
fn leads_to_pods(event: &Event) -> bool {
    let kinds = [
        ("", "pods"),
        ("", "services"),
        (DISCOVERY, "endpointslices"),
    ];
    kinds
        .iter()
        .any(|(group, plural)| is_of(event, group, plural))
}

fn branch(api: &Api, backend: &Backend, on_node: bool) -> Branch {
    Branch {
        weight: backend.weight,
        pods: pods(api, &backend.service, on_node),
        counted: backend.counted.clone(),
        copies: backend.copies,
    }
}

/// The Pods behind a Service; one that is not there has none.
fn pods(api: &Api, service: &Name, on_node: bool) -> Vec<Name> {
    let Name { namespace, name } = service;
    let found = api.get(&Key::new("", "services", namespace, name));
    let pods = found.map(|object| {
        let slices = api.list(DISCOVERY, "endpointslices", Some(namespace));
        let label = "/metadata/labels/kubernetes.io~1service-name";
        let slices = slices.into_iter().map(|(_, slice)| slice);
        let own: Vec<_> = slices.filter(|slice| text(slice, label) == name).collect();
        if own.is_empty() {
            return route::selected(&object, &api.list("", "pods", Some(namespace)));
        }
        route::endpoints(&own, service, on_node)
    });
    pods.unwrap_or_default()
}

/// What matters of a Pod. It answers from the start of its container to its end, ready or not.
fn pod(key: &Key, object: &Value) -> Pod {
    let annotation = |name: &str| {
        text(
            object,
            &format!("/metadata/annotations/prometheus.io~1{name}"),
        )
    };
    let label = |name: &str| {
        Some(text(object, &format!("/metadata/labels/{name}"))).filter(|label| !label.is_empty())
    };
    let job = label("app.kubernetes.io~1name")
        .or_else(|| label("app"))
        .unwrap_or("pods");
    let port = Some(annotation("port"))
        .filter(|port| !port.is_empty())
        .unwrap_or("8080");
    let image = text(object, "/spec/containers/0/image");
    let container = list(object, "/status/containerStatuses").first();
    let runs = container.is_none_or(|container| container.pointer("/state/running").is_some());
    Pod {
        name: Name::new(&key.namespace, &key.name),
        address: format!("{}:{port}", text(object, "/status/podIP")),
        job: (annotation("scrape") == "true").then(|| job.to_owned()),
        image: image.to_owned(),
        version: version_of_image(image).to_owned(),
        starts: container
            .and_then(|container| container.get("restartCount")?.as_u64())
            .unwrap_or(0),
        answers: runs && text(object, "/status/phase") == "Running",
        replies: list(object, "/spec/containers")
            .first()
            .map_or_else(Behaviour::default, |container| {
                behaviour::Behaviour::of(container).replies
            }),
        sidecar: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_read_as_the_test_clusters_prometheus_does() {
        let mut object = json!({
            "metadata": {
                "labels": {"app": "old", "app.kubernetes.io/name": "web"},
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9100"},
            },
            "spec": {"containers": [{"image": "app:2.0.0-errors5"}]},
            "status": {"phase": "Running", "podIP": "10.244.0.7", "containerStatuses": [{"restartCount": 2, "state": {"running": {}}}]},
        });
        let key = Key::new("", "pods", "shop", "web-1");
        let expected = Pod {
            name: Name::new("shop", "web-1"),
            address: "10.244.0.7:9100".to_owned(),
            job: Some("web".to_owned()),
            image: "app:2.0.0-errors5".to_owned(),
            version: "2.0.0".to_owned(),
            starts: 2,
            answers: true,
            replies: Behaviour {
                error_rate: 0.05,
                ..Behaviour::default()
            },
            sidecar: None,
        };
        assert_eq!(pod(&key, &object), expected);
        object["status"]["containerStatuses"][0]["state"] = json!({"terminated": {}});
        object["metadata"] = json!({});
        let found = pod(&key, &object);
        assert_eq!((found.answers, found.job), (false, None));
    }

    #[test]
    fn events_concern_those_whose_way_they_change() {
        let event = |key: Key, object: Value| Event {
            revision: 1,
            key: Arc::new(key),
            happened: Happened::Modified,
            object: Arc::new(object),
            before: None,
            signed: crate::sim::store::Signature::default(),
        };
        let host = Destination::Host("a.example".to_owned(), "/".to_owned());
        let service = Destination::Service(Name::new("shop", "web"));
        let namespaces = BTreeSet::from(["shop".to_owned()]);
        let route = |host: &str| {
            let object = json!({"spec": {"hostnames": [host]}});
            event(Key::new(GATEWAY, "httproutes", "far", "r"), object)
        };
        assert!(concerns(&route("*.example"), &host, &namespaces));
        assert!(!concerns(&route("b.example"), &host, &namespaces));
        assert!(!concerns(&route("a.example"), &service, &namespaces));
        let slice = |namespace| {
            event(
                Key::new(DISCOVERY, "endpointslices", namespace, "s"),
                json!({}),
            )
        };
        assert!(concerns(&slice("shop"), &service, &namespaces));
        assert!(!concerns(&slice("other"), &service, &namespaces));
        assert!(!concerns(
            &event(Key::new("", "secrets", "shop", "s"), json!({})),
            &host,
            &namespaces
        ));
    }
}
