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
            has_begun: false,
        }
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
            for (key, object) in api.list("", "pods", None) {
                locked(&self.traffic).pod(pod(&key, &object));
            }
            return self.reroute(api, |_, _| true);
        }
        let pods = changed.iter().filter(|event| is_of(event, "", "pods"));
        for event in pods {
            self.note_pod(event);
        }
        self.reroute(api, |destination, namespaces| {
            changed
                .iter()
                .any(|event| concerns(event, destination, namespaces))
        });
    }

    fn note_pod(&self, event: &Event) {
        let mut traffic = locked(&self.traffic);
        match event.happened {
            Happened::Added | Happened::Modified => traffic.pod(pod(&event.key, &event.object)),
            Happened::Deleted => {
                traffic.pod_gone(&Name::new(&event.key.namespace, &event.key.name));
            }
        }
    }

    /// Looks for the way of these applications again.
    fn reroute(&mut self, api: &Api, is_stale: impl Fn(&Destination, &BTreeSet<String>) -> bool) {
        let mut applications = std::mem::take(&mut self.applications);
        for (name, (destination, namespaces)) in &mut applications {
            if is_stale(destination, namespaces) {
                let backends = backends(api, destination);
                *namespaces = backends
                    .iter()
                    .map(|one| one.service.namespace.clone())
                    .collect();
                let branches = backends
                    .iter()
                    .map(|backend| branch(api, backend, destination));
                let branches = branches.collect();
                locked(&self.traffic).route(name, branches);
            }
        }
        self.applications = applications;
    }
}

fn backends(api: &Api, destination: &Destination) -> Vec<Backend> {
    let (host, path, header) = match destination {
        Destination::Host(host, path) => (host, path, None),
        Destination::Marked(host, path, header) => (host, path, Some(header)),
        Destination::Service(service) => {
            return vec![Backend {
                service: service.clone(),
                weight: 1,
                counted_as: String::new(),
            }];
        }
    };
    let asked = Asked { host, path, header };
    route::backends(&api.list(GATEWAY, "httproutes", None), asked).unwrap_or_default()
}

impl Actor for Users {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        let now = api.now();
        self.catch_up(now);
        self.note(api, changed);
        Some(locked(&self.prometheus).next_scrape())
    }
}

fn is_of(event: &Event, group: &str, plural: &str) -> bool {
    event.key.group == group && event.key.plural == plural
}

/// Whether an event may change the way to a destination.
fn concerns(event: &Event, destination: &Destination, namespaces: &BTreeSet<String>) -> bool {
    if is_of(event, GATEWAY, "httproutes") {
        let objects = [Some(&event.object), event.before.as_ref()];
        return match destination {
            Destination::Host(host, _) | Destination::Marked(host, ..) => objects
                .iter()
                .flatten()
                .any(|route| route::is_for(route, host)),
            Destination::Service(_) => false,
        };
    }
    let kinds = [
        ("", "pods"),
        ("", "services"),
        (DISCOVERY, "endpointslices"),
    ];
    let is_known = kinds
        .iter()
        .any(|(group, plural)| is_of(event, group, plural));
    is_known && namespaces.contains(&event.key.namespace)
}

/// The Pods behind a backend; a Service that is not there has none.
fn branch(api: &Api, backend: &Backend, destination: &Destination) -> Branch {
    let Name { namespace, name } = &backend.service;
    let pods = api
        .get(&Key::new("", "services", namespace, name))
        .map(|service| {
            let on_node = matches!(destination, Destination::Service(_));
            let slices = api.list(DISCOVERY, "endpointslices", Some(namespace));
            let label = "/metadata/labels/kubernetes.io~1service-name";
            let slices = slices.into_iter().map(|(_, slice)| slice);
            let own: Vec<_> = slices.filter(|slice| text(slice, label) == name).collect();
            if own.is_empty() {
                return route::selected(&service, &api.list("", "pods", Some(namespace)));
            }
            route::endpoints(&own, &backend.service, on_node)
        });
    Branch {
        weight: backend.weight,
        pods: pods.unwrap_or_default(),
        service: (!backend.counted_as.is_empty()).then(|| backend.counted_as.clone()),
    }
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
