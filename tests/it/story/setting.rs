//! What there is when a story begins.

use serde_json::{Value, json};
use serin::sim::proxies::Proxies;
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::users::Destination;

use crate::story::objects;

/// The application, its users and its Canary.
#[derive(Clone)]
pub(crate) struct Setting {
    /// The spec of the Canary.
    pub(crate) spec: Value,
    /// Pods of the target.
    pub(crate) replicas: i64,
    /// Version that runs at the start.
    pub(crate) tag: &'static str,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Where users send them.
    pub(crate) destination: Destination,
    /// Whose proxies lead them to Pods.
    pub(crate) proxies: Proxies,
    /// Objects of the team beside Deployment and Service.
    pub(crate) objects: Vec<Value>,
    /// Other users: their name, where they send requests, and how many.
    pub(crate) others: Vec<(Name, Destination, Rate)>,
}

/// A short analysis.
pub(crate) fn quick() -> Value {
    json!({"interval": "10s", "checks": 1, "threshold": 2, "stepWeights": [10, 50, 100]})
}

impl Setting {
    /// Three Pods behind a route that Serin makes, with 200 requests a second and a short analysis.
    pub(crate) fn usual() -> Self {
        Self {
            spec: objects::canary(&quick())["spec"].clone(),
            replicas: 3,
            tag: "1.0.0",
            rate: 200.0,
            destination: Destination::Host("shop.example".to_owned(), "/".to_owned()),
            proxies: Proxies::Gateway,
            objects: Vec::new(),
            others: Vec::new(),
        }
    }

    /// The same with other fields in the Canary's spec; null takes one away.
    pub(crate) fn with(mut self, spec: &Value) -> Self {
        json_patch::merge(&mut self.spec, spec);
        self
    }

    /// The route is the team's own.
    pub(crate) fn own_route() -> Self {
        let refs = json!([{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "name": objects::APP, "insertCanary": true}]);
        let mut setting = Self::usual().with(&json!({
            "routeRefs": refs, "service": {"hosts": null, "gatewayRefs": null}}));
        setting.objects.push(objects::own_route());
        setting
    }

    /// Blue/green by the Service's selector, switched by a person.
    pub(crate) fn blue_green() -> Self {
        let mut setting = Self::usual().with(&json!({
            "provider": "kubernetes", "service": {"hosts": null, "gatewayRefs": null},
            "analysis": {"stepWeights": null, "checks": null, "iterations": 2}}));
        setting.destination = Destination::Service(Name::new(objects::HOME, objects::APP));
        setting
    }

    /// A worker without a Service: a weight is a share of the replicas.
    pub(crate) fn worker() -> Self {
        let mut setting = Self::usual().with(&json!({"provider": "none", "service": null}));
        setting.replicas = 10;
        setting.rate = 0.0;
        setting
    }

    /// Everything that the team applies.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let mut canary = objects::canary(&Value::Null);
        canary["spec"] = self.spec.clone();
        let mut all = vec![objects::deployment(self.tag, self.replicas)];
        if !canary["spec"]["service"].is_null() {
            all.push(objects::service());
        }
        all.extend(self.objects.iter().cloned());
        all.push(canary);
        all
    }
}
