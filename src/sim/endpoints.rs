//! The controller of EndpointSlices: which Pods serve a Service, a moment after they do.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{after_ms, is_going, is_true, list, named, text, uid};
use crate::sim::owner::reference;
use crate::sim::queue::Queue;
use crate::sim::refusal::Refusal;
use crate::sim::replica_sets::ready_since;
use crate::sim::seed::{digest, letters};
use crate::sim::selector::includes;
use crate::sim::store::{Event, Key};

/// The label by which the slices of a Service are found.
pub const SERVICE: &str = "kubernetes.io/service-name";

/// Milliseconds from a change to the slice that shows it.
const DELAY: i64 = 200;

/// Endpoints of one slice.
const IN_A_SLICE: usize = 100;

/// The controller of EndpointSlices.
#[derive(Debug)]
pub struct Endpoints {
    queue: Queue,
    who: Who,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            queue: Queue::default(),
            who: account::controller("endpointslice-controller"),
        }
    }
}

impl Actor for Endpoints {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        self.queue.begin(api, "", "services");
        for event in changed {
            self.hear(api, event);
        }
        let now = api.now();
        for key in self.queue.take(now) {
            if write(api, &self.who, &key).is_err() {
                self.queue.at(key, after_ms(now, 1000));
            }
        }
        self.queue.next()
    }
}

impl Endpoints {
    fn hear(&mut self, api: &Api, event: &Event) {
        let due = after_ms(api.now(), DELAY);
        match (event.key.group.as_str(), event.key.plural.as_str()) {
            ("", "services") => self.queue.at(Key::clone(&event.key), due),
            ("", "pods") => self.hear_of_pod(api, event, due),
            ("discovery.k8s.io", "endpointslices") => {
                if let Some(service) = service_of(&event.object) {
                    let key = Key::new("", "services", &event.key.namespace, service);
                    self.queue.at(key, due);
                }
            }
            _ => {}
        }
    }

    fn hear_of_pod(&mut self, api: &Api, event: &Event, due: Timestamp) {
        let namespace = Some(event.key.namespace.as_str());
        for (key, service) in api.list("", "services", namespace) {
            let selector = service.pointer("/spec/selector");
            let mut objects = event.before.iter().chain([&event.object]);
            if objects.any(|pod| includes(selector, pod)) {
                self.queue.at(key, due);
            }
        }
    }
}

/// The Service whose slice this is.
#[must_use]
pub fn service_of(slice: &Value) -> Option<&str> {
    slice.pointer("/metadata/labels")?.get(SERVICE)?.as_str()
}

/// The slices of a Service.
#[must_use]
pub fn slices(api: &Api, namespace: &str, service: &str) -> Vec<(Key, std::sync::Arc<Value>)> {
    let mut found = api.list("discovery.k8s.io", "endpointslices", Some(namespace));
    found.retain(|(_, slice)| service_of(slice) == Some(service));
    found
}

fn write(api: &Api, who: &Who, key: &Key) -> Result<(), Refusal> {
    let known = slices(api, &key.namespace, &key.name);
    let service = api.get(key).filter(|service| !is_going(service));
    let wanted = service.map_or_else(Vec::new, |service| wanted(api, key, &service));
    for (at, wanted) in wanted.iter().enumerate() {
        match known.get(at) {
            Some((slice, _)) => {
                api.update(who, slice, Part::Main, |slice| {
                    for part in ["addressType", "endpoints", "ports"] {
                        slice[part] = wanted[part].clone();
                    }
                })?;
            }
            None => make(api, who, key, at, wanted)?,
        }
    }
    for (slice, _) in known.iter().skip(wanted.len()) {
        api.delete(who, slice)?;
    }
    Ok(())
}

fn make(api: &Api, who: &Who, service: &Key, at: usize, wanted: &Value) -> Result<(), Refusal> {
    let owner = &wanted["metadata"]["ownerReferences"][0];
    let number = digest(&format!("{} {at}", text(owner, "/uid")));
    let name = format!("{}-{}", service.name, letters(number, 5));
    let key = Key::new(
        "discovery.k8s.io",
        "endpointslices",
        &service.namespace,
        &name,
    );
    api.create(who, &key, wanted.clone()).map(|_| ())
}

/// The slices that a Service is to have: one at least, if it selects at all.
fn wanted(api: &Api, key: &Key, service: &Value) -> Vec<Value> {
    let selector = service.pointer("/spec/selector");
    if selector
        .and_then(Value::as_object)
        .is_none_or(Map::is_empty)
    {
        return Vec::new();
    }
    let early = is_true(service, "/spec/publishNotReadyAddresses");
    let pods = api.list("", "pods", Some(&key.namespace));
    let pods: Vec<_> = pods
        .iter()
        .map(|(_, pod)| pod)
        .filter(|pod| includes(selector, pod) && is_listed(pod))
        .collect();
    let endpoints: Vec<_> = pods.iter().map(|pod| endpoint(pod, early)).collect();
    let ports = ports(service, pods.first().map(|pod| &***pod));
    let slice = |endpoints: &[Value]| slice(key, service, endpoints, &ports);
    if endpoints.is_empty() {
        return vec![slice(&[])];
    }
    endpoints.chunks(IN_A_SLICE).map(slice).collect()
}

fn is_listed(pod: &Value) -> bool {
    let ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    !ended && !text(pod, "/status/podIP").is_empty()
}

fn endpoint(pod: &Value, early: bool) -> Value {
    let going = is_going(pod);
    let serving = early || ready_since(pod).is_some();
    json!({
        "addresses": [text(pod, "/status/podIP")],
        "conditions": {"ready": serving && (early || !going), "serving": serving, "terminating": going},
        "nodeName": text(pod, "/spec/nodeName"),
        "targetRef": {
            "kind": "Pod", "name": text(pod, "/metadata/name"), "namespace": text(pod, "/metadata/namespace"),
            "uid": uid(pod),
        },
    })
}

/// The ports of a Service, as the Pods have them.
fn ports(service: &Value, pod: Option<&Value>) -> Vec<Value> {
    let of = |port: &Value| {
        let protocol = match text(port, "/protocol") {
            "" => "TCP",
            protocol => protocol,
        };
        let target = target(port, pod)?;
        Some(json!({"name": text(port, "/name"), "port": target, "protocol": protocol}))
    };
    list(service, "/spec/ports").iter().filter_map(of).collect()
}

/// The number of a port: its own, or that which containers give to a name.
fn target(port: &Value, pod: Option<&Value>) -> Option<Value> {
    match port.get("targetPort") {
        Some(Value::String(name)) => {
            let containers = list(pod?, "/spec/containers").iter();
            let mut ports =
                containers.filter_map(|container| named(list(container, "/ports"), name));
            ports.next()?.get("containerPort").cloned()
        }
        Some(number) if number.is_number() => Some(number.clone()),
        _ => port.get("port").cloned(),
    }
}

fn slice(key: &Key, service: &Value, endpoints: &[Value], ports: &[Value]) -> Value {
    let mut labels = service
        .pointer("/metadata/labels")
        .cloned()
        .unwrap_or_else(|| json!({}));
    labels[SERVICE] = json!(key.name);
    labels["endpointslice.kubernetes.io/managed-by"] = json!("endpointslice-controller.k8s.io");
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"labels": labels, "ownerReferences": [reference("v1", "Service", service)]},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::behaviour::Behaviours;
    use crate::sim::deployments::Deployments;
    use crate::sim::nodes::{Nodes, Size};
    use crate::sim::pods::Pods;
    use crate::sim::replica_sets::ReplicaSets;
    use crate::sim::stage::{Stage, deployment, web};

    fn stage(tag: &str) -> Stage {
        let mut stage = Stage::new(vec![
            Box::new(Nodes::new(Size::default())),
            Box::new(Deployments::default()),
            Box::new(ReplicaSets::default()),
            Box::new(Pods::new(Behaviours::default())),
            Box::new(Endpoints::default()),
        ]);
        let service = json!({"metadata": {"labels": {"team": "x"}}, "spec": {
            "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
        stage.create(&Key::new("", "services", "test", "web"), service);
        stage.create(&deployment("web"), web(tag));
        stage.pass(20);
        stage
    }

    /// `ready serving terminating` of each endpoint.
    fn endpoints(stage: &Stage) -> Vec<String> {
        let (_, slice) = slices(&stage.api, "test", "web").remove(0);
        let endpoints = list(&slice, "/endpoints").iter();
        let said = |it: &Value| {
            let conditions = ["ready", "serving", "terminating"];
            let said = conditions
                .into_iter()
                .filter(|name| is_true(it, &format!("/conditions/{name}")));
            said.collect::<Vec<_>>().join(" ")
        };
        endpoints.map(said).collect()
    }

    #[test]
    fn a_slice_has_the_ready_pods_and_the_ports_by_number() {
        let stage = stage("1.0");
        let (_, slice) = slices(&stage.api, "test", "web").remove(0);
        assert_eq!(endpoints(&stage), ["ready serving"; 2]);
        assert_eq!(
            slice["ports"],
            json!([{"name": "http", "port": 8080, "protocol": "TCP"}])
        );
        assert_eq!(slice["metadata"]["labels"]["team"], "x");
        assert_eq!(slice["metadata"]["ownerReferences"][0]["name"], "web");
        assert_eq!(endpoints(&self::stage("1.0-notready")), [""; 2]);
    }

    #[test]
    fn a_pod_that_ends_serves_on_and_is_not_ready_and_then_goes() {
        let mut stage = stage("1.0-drain5");
        let (pod, _) = stage.api.list("", "pods", None).remove(0);
        stage.api.delete(&account::admin(), &pod).unwrap();
        stage.settle();
        assert_eq!(endpoints(&stage), ["ready serving"; 2], "not at once");
        stage.pass(1);
        let mut now = endpoints(&stage);
        now.sort();
        assert_eq!(now[..2], ["ready serving", "serving terminating"]);
        stage.pass(20);
        assert_eq!(endpoints(&stage), ["ready serving"; 2]);
    }

    #[test]
    fn a_service_without_a_selector_has_none_and_a_deleted_one_loses_its_own() {
        let mut stage = stage("1.0");
        stage.create(
            &Key::new("", "services", "test", "bare"),
            json!({"spec": {"ports": [{"port": 80}]}}),
        );
        stage
            .api
            .delete(&account::admin(), &Key::new("", "services", "test", "web"))
            .unwrap();
        stage.pass(1);
        assert!(
            stage
                .api
                .list("discovery.k8s.io", "endpointslices", None)
                .is_empty()
        );
    }
}
