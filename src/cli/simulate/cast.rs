//! Who takes part in a simulation: the objects of the files, and what is made up because no file has it.

use serde_json::{Value, json};

use crate::cli::simulate::files::Manifest;
use crate::cli::simulate::problem::{Broken, Place, Problem};
use crate::crd::canary::{Canary, CanarySpec, RouteRef};
use crate::sim::field::{list, text};

/// Image of an application that no file has.
const IMAGE: &str = "simulated:1.0.0";

/// Pods of an application that no file has.
const REPLICAS: i64 = 3;

/// The group of the Gateway API.
const GATEWAY: &str = "gateway.networking.k8s.io";

/// The objects of a simulation.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The Canary, as it was written.
    pub manifest: Manifest,
    /// The Canary, as it was understood.
    pub canary: Canary,
    /// What else the files have.
    pub others: Vec<Manifest>,
    /// What is made up.
    pub made_up: Vec<Value>,
}

/// Finds the one Canary; a name chooses among several.
///
/// # Errors
/// When there is none, or more than one.
pub fn canary(
    manifests: Vec<Manifest>,
    name: Option<&str>,
) -> Result<(Manifest, Vec<Manifest>), Broken> {
    let is_canary = |it: &Manifest| it.kind() == "Canary" && it.group() == "serin.dev";
    let (canaries, others): (Vec<_>, Vec<_>) = manifests.into_iter().partition(is_canary);
    let mut fit = canaries.clone();
    fit.retain(|it| name.is_none_or(|name| it.name() == name));
    match (fit.as_slice(), name) {
        ([one], _) => Ok((one.clone(), others)),
        ([], None) => {
            let message = "no file holds a Canary (apiVersion: serin.dev/v1beta1, kind: Canary)";
            Err(Problem::new("simulate", Place::default(), "", message).into())
        }
        ([], Some(name)) => {
            let names: Vec<_> = canaries.iter().map(Manifest::name).collect();
            let message = format!("no Canary {name:?} in the files, but {}", names.join(", "));
            Err(Problem::new("simulate", Place::default(), "", &message).into())
        }
        ([_, more @ ..], _) => {
            let again = |it: &Manifest| {
                let message =
                    "is another Canary; one is simulated at a time: choose it with --canary NAME";
                it.problem("metadata.name", message)
            };
            Err(Broken(more.iter().map(again).collect()))
        }
    }
}

impl Cast {
    /// All that takes part beside this Canary.
    #[must_use]
    pub fn new(manifest: Manifest, canary: Canary, others: Vec<Manifest>) -> Self {
        let mut cast = Self {
            manifest,
            canary,
            others,
            made_up: Vec::new(),
        };
        cast.make_up_target();
        cast.make_up_routes();
        cast.make_up_autoscaler();
        cast.make_up_configuration();
        cast
    }

    /// The namespace of the release.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.manifest.namespace()
    }

    /// The name of the target.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.canary.spec.target_ref.name
    }

    fn spec(&self) -> &CanarySpec {
        &self.canary.spec
    }

    fn has(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let is = |object: &Value| {
            text(object, "/kind") == kind
                && text(object, "/metadata/namespace") == namespace
                && text(object, "/metadata/name") == name
        };
        self.others.iter().any(|it| is(&it.object)) || self.made_up.iter().any(is)
    }

    /// The target, which a file or nobody has.
    #[must_use]
    pub fn deployment(&self) -> Option<&Value> {
        let objects = self.others.iter().map(|it| &it.object).chain(&self.made_up);
        objects.into_iter().find(|it| {
            text(it, "/kind") == "Deployment"
                && text(it, "/metadata/namespace") == self.namespace()
                && text(it, "/metadata/name") == self.target()
        })
    }

    fn make_up_target(&mut self) {
        if self.has("Deployment", self.namespace(), self.target()) {
            return;
        }
        let name = self.target();
        let service = self.spec().service.as_ref();
        let port = service.map(|service| json!(service.target_port.clone()));
        let (named, number) = match port {
            Some(Value::String(name)) => (name, 8080),
            Some(Value::Number(number)) => ("http".to_owned(), number.as_i64().unwrap_or(8080)),
            _ => (
                "http".to_owned(),
                service.map_or(8080, |it| i64::from(it.port)),
            ),
        };
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace(), "labels": {"app": name}},
            "spec": {
                "replicas": REPLICAS,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{
                        "name": "app", "image": IMAGE,
                        "ports": [{"name": named, "containerPort": number}],
                        "readinessProbe": {
                            "httpGet": {"path": "/readyz", "port": named}, "periodSeconds": 1, "failureThreshold": 1,
                        },
                    }]},
                },
            },
        });
        self.made_up.push(deployment);
    }

    /// Gateways that the route hangs on, and routes that are named.
    fn make_up_routes(&mut self) {
        let spec = self.spec().clone();
        let gateways = spec
            .service
            .iter()
            .flat_map(|service| &service.gateway_refs);
        for gateway in gateways {
            let home = gateway.namespace.as_deref().unwrap_or(self.namespace());
            let is_gateway = gateway.kind.as_deref().unwrap_or("Gateway") == "Gateway";
            if is_gateway && !self.has("Gateway", home, &gateway.name) {
                let listener = gateway.section_name.as_deref().unwrap_or("http");
                let port = gateway.port.unwrap_or(80);
                let made = made_gateway(home, &gateway.name, (listener, port));
                self.made_up.push(made);
            }
        }
        for route in &spec.route_refs {
            let is_known = ["HTTPRoute", "GRPCRoute"].contains(&route.kind.as_str());
            if is_known && !self.has(&route.kind, self.namespace(), &route.name) {
                let made = self.made_route(route);
                self.made_up.push(made);
            }
        }
    }

    /// A route with both backends.
    fn made_route(&self, route: &RouteRef) -> Value {
        let service = self.spec().service.as_ref();
        let apex = service.and_then(|it| it.name.as_deref());
        let apex = apex.unwrap_or(self.target());
        let port = service.map_or(80, |it| it.port);
        let stable = route.stable.as_deref().unwrap_or(apex);
        let canary = route.canary.clone().unwrap_or(format!("{apex}-canary"));
        let mut rule = json!({"backendRefs": [
            {"name": stable, "port": port, "weight": 100}, {"name": canary, "port": port, "weight": 0},
        ]});
        if let Some(name) = &route.rule {
            rule["name"] = json!(name);
        }
        json!({
            "apiVersion": route.api_version, "kind": route.kind,
            "metadata": {"name": route.name, "namespace": self.namespace()},
            "spec": {
                "parentRefs": [{"name": "gw", "namespace": "default"}],
                "hostnames": [format!("{}.example", self.target())],
                "rules": [rule],
            },
        })
    }

    fn make_up_autoscaler(&mut self) {
        let Some(scaler) = self.spec().autoscaler_ref.clone() else {
            return;
        };
        if scaler.kind != "HorizontalPodAutoscaler"
            || self.has(&scaler.kind, self.namespace(), &scaler.name)
        {
            return;
        }
        let made = json!({
            "apiVersion": "autoscaling/v2", "kind": scaler.kind,
            "metadata": {"name": scaler.name, "namespace": self.namespace()},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.target()},
                "minReplicas": REPLICAS, "maxReplicas": 10,
                "metrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
                }}],
            },
        });
        self.made_up.push(made);
    }

    /// ConfigMaps and Secrets that the target reads, with the keys that it asks for.
    fn make_up_configuration(&mut self) {
        let Some(deployment) = self.deployment().cloned() else {
            return;
        };
        for (kind, name, key) in needed(&deployment) {
            let home = self.namespace().to_owned();
            let is =
                |it: &&mut Value| text(it, "/kind") == kind && text(it, "/metadata/name") == name;
            if let Some(made) = self.made_up.iter_mut().find(is) {
                made["stringData"][&key] = json!("simulated");
                made["data"][&key] = json!("c2ltdWxhdGVk");
            } else if !self.has(kind, &home, &name) {
                self.made_up.push(json!({
                    "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": home},
                    "data": {key: "c2ltdWxhdGVk"},
                }));
            }
        }
    }

    /// The object of a file as the simulated cluster can have it: its gateways are the simulated one, its nodes take every
    /// Pod, and its Prometheus scrapes the release.
    #[must_use]
    pub fn adapted(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        let is_target = text(&object, "/metadata/name") == self.target();
        match text(&object, "/kind") {
            "Gateway" => object["spec"]["gatewayClassName"] = json!("sim"),
            "Deployment" if is_target => self.prepare(&mut object),
            _ => {}
        }
        object
    }

    fn prepare(&self, deployment: &mut Value) {
        if let Some(revision) = &self.spec().revision {
            deployment["metadata"]["annotations"]["serin.dev/revision"] = json!(revision);
        }
        let template = &mut deployment["spec"]["template"];
        let annotations = &mut template["metadata"]["annotations"];
        if annotations["prometheus.io/scrape"] != json!("true") {
            annotations["prometheus.io/scrape"] = json!("true");
        }
        let Some(pod) = template["spec"].as_object_mut() else {
            return;
        };
        for field in [
            "nodeSelector",
            "affinity",
            "tolerations",
            "topologySpreadConstraints",
            "priorityClassName",
            "runtimeClassName",
            "schedulerName",
        ] {
            pod.remove(field);
        }
    }
}

fn made_gateway(namespace: &str, name: &str, (listener, port): (&str, i32)) -> Value {
    json!({
        "apiVersion": format!("{GATEWAY}/v1"), "kind": "Gateway", "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": "sim", "listeners": [{
            "name": listener, "port": port, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}},
        }]},
    })
}

/// Kind, name and key of what the Pods of a Deployment read.
fn needed(deployment: &Value) -> Vec<(&'static str, String, String)> {
    let pod = &deployment["spec"]["template"]["spec"];
    let mut found = Vec::new();
    let mut need = |kind, name: &str, key: &str| {
        if !name.is_empty() {
            found.push((kind, name.to_owned(), key.to_owned()));
        }
    };
    for volume in list(pod, "/volumes") {
        need("ConfigMap", text(volume, "/configMap/name"), "simulated");
        need("Secret", text(volume, "/secret/secretName"), "simulated");
    }
    let containers = list(pod, "/containers")
        .iter()
        .chain(list(pod, "/initContainers"));
    for container in containers {
        for from in list(container, "/envFrom") {
            need("ConfigMap", text(from, "/configMapRef/name"), "simulated");
            need("Secret", text(from, "/secretRef/name"), "simulated");
        }
        for variable in list(container, "/env") {
            for (kind, field) in [("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")] {
                let reference = &variable["valueFrom"][field];
                need(kind, text(reference, "/name"), text(reference, "/key"));
            }
        }
    }
    found
}
