//! What the controllers of proxies say of the objects that they are told by, where somebody waits for it: Contour and Gloo.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part};
use crate::sim::field::{list, number, stamp, text};
use crate::sim::proxies::gloo::{SERVICES, TABLES, UPSTREAMS};
use crate::sim::proxies::httpproxy::{PROXIES, included};
use crate::sim::proxies::objects::Objects;
use crate::sim::proxies::{KindName, Proxies};
use crate::sim::store::{Event, Happened, Key};

/// How long after a change they say something.
const LATER: SignedDuration = SignedDuration::from_millis(200);

/// The controller of some proxies.
#[derive(Debug)]
pub struct Reports {
    proxies: Proxies,
    begun: bool,
    due: Option<Timestamp>,
}

impl Reports {
    /// A controller that has said nothing yet.
    #[must_use]
    pub fn new(proxies: Proxies) -> Self {
        Self {
            proxies,
            begun: false,
            due: None,
        }
    }

    fn concerns(&self, event: &Event) -> bool {
        let (group, plural) = (event.key.group.as_str(), event.key.plural.as_str());
        let generation = |object: &Value| object["metadata"]["generation"].clone();
        let before = event.before.as_ref();
        let same = before.is_some_and(|before| generation(before) == generation(&event.object));
        let is_new = event.happened != Happened::Modified || !same;
        let kinds = self.proxies.kinds();
        is_new && (kinds.contains(&(group, plural)) || (group, plural) == ("", "services"))
    }
}

impl Actor for Reports {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        if !matches!(self.proxies, Proxies::Contour | Proxies::Gloo) {
            return None;
        }
        let now = api.now();
        if !self.begun || changed.iter().any(|event| self.concerns(event)) {
            self.begun = true;
            let due = now.saturating_add(LATER).unwrap_or(Timestamp::MAX);
            self.due.get_or_insert(due);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            let objects = Objects::read(api, self.proxies.kinds());
            match self.proxies {
                Proxies::Contour => contour(api, &objects),
                _ => gloo(api, &objects),
            }
        }
        self.due
    }
}

fn write(api: &Api, key: &Key, status: impl FnOnce(&Value) -> Value) {
    let who = account::service_account("edge", "controller", "controller");
    // What is gone in the meantime needs no status.
    drop(api.update(&who, key, Part::Status, |object| {
        object["status"] = status(object);
    }));
}

/// A proxy below no host is an orphan, and one that names a Service which is not there is wrong.
fn contour(api: &Api, objects: &Objects) {
    let all = objects.list(PROXIES);
    let roots = all
        .iter()
        .filter(|(_, proxy)| proxy.pointer("/spec/virtualhost").is_some());
    let below = roots.flat_map(|(key, root)| included(objects, &key.namespace, root));
    let below: BTreeSet<_> = below.map(|name| (name.namespace, name.name)).collect();
    for (key, proxy) in all {
        let there = |service: &Value| {
            let name = text(service, "/name");
            api.get(&Key::new("", "services", &key.namespace, name))
                .is_some()
        };
        let mut services = list(proxy, "/spec/routes")
            .iter()
            .flat_map(|route| list(route, "/services"));
        let (word, reason) = if !below.contains(&(key.namespace.clone(), key.name.clone())) {
            ("orphaned", "Orphaned")
        } else if services.all(there) {
            ("valid", "Valid")
        } else {
            ("invalid", "ErrorPresent")
        };
        let now = api.now();
        write(api, key, |proxy| {
            let valid = if word == "valid" { "True" } else { "False" };
            let known = proxy.pointer("/status/conditions/0");
            let same = known.filter(|known| text(known, "/status") == valid);
            let since = same.map_or_else(|| stamp(now), |it| it["lastTransitionTime"].clone());
            json!({
                "currentStatus": word, "description": "",
                "conditions": [{
                    "type": "Valid", "status": valid, "reason": reason, "message": "",
                    "observedGeneration": number(proxy, "/metadata/generation"), "lastTransitionTime": since,
                }],
            })
        });
    }
}

/// What leads to an Upstream that is not there is taken with a warning.
fn gloo(api: &Api, objects: &Objects) {
    let named = |route: &Value| {
        let several = list(route, "/routeAction/multi/destinations").iter();
        let several = several.filter_map(|entry| entry.get("destination"));
        let single = route.pointer("/routeAction/single");
        let upstreams = several.chain(single).filter_map(|it| it.get("upstream"));
        let there = |it: &Value| {
            let found = objects.get(UPSTREAMS, text(it, "/namespace"), text(it, "/name"));
            found.is_some()
        };
        upstreams.into_iter().all(there)
    };
    let routes: [(KindName, &str); 3] = [
        (SERVICES, "/spec/virtualHost/routes"),
        (TABLES, "/spec/routes"),
        (UPSTREAMS, ""),
    ];
    for (kind, pointer) in routes {
        for (key, object) in objects.list(kind) {
            let whole = pointer.is_empty() || list(object, pointer).iter().all(named);
            let state = if whole { "Accepted" } else { "Warning" };
            let status =
                json!({"statuses": {"gloo-system": {"reportedBy": "gloo", "state": state}}});
            write(api, key, |_| status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::stage::Stage;

    fn definition(stage: &Stage, (group, plural): KindName, kind: &str) {
        let name = format!("{plural}.{group}");
        let key = Key::new(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "",
            &name,
        );
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let object = json!({"spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}}],
        }});
        stage.create(&key, object);
    }

    fn key((group, plural): KindName, name: &str) -> Key {
        Key::new(group, plural, "test", name)
    }

    #[test]
    fn contour_says_what_it_took_up() {
        let mut stage = Stage::new(vec![Box::new(Reports::new(Proxies::Contour))]);
        definition(&stage, PROXIES, "HTTPProxy");
        let child = key(PROXIES, "app");
        let routes = json!([{"services": [{"name": "app", "port": 80}]}]);
        stage.create(&child, json!({"spec": {"routes": routes}}));
        stage.pass(1);
        let said = |stage: &Stage| {
            let word = stage.read(&child, "/status/currentStatus");
            format!(
                "{} {}",
                word.as_str().unwrap(),
                stage.condition(&child, "Valid")
            )
        };
        assert_eq!(said(&stage), "orphaned False Orphaned");
        let root = json!({"spec": {"virtualhost": {"fqdn": "a"}, "includes": [{"name": "app"}]}});
        stage.create(&key(PROXIES, "web"), root);
        stage.pass(1);
        assert_eq!(said(&stage), "invalid False ErrorPresent");
        let service = json!({"spec": {"ports": [{"port": 80}]}});
        stage.create(&Key::new("", "services", "test", "app"), service);
        stage.pass(1);
        assert_eq!(said(&stage), "valid True Valid");
        stage.change(&child, |it| it["spec"]["routes"][0]["x"] = json!(1));
        let seen = "/status/conditions/0/observedGeneration";
        assert_eq!(stage.read(&child, seen), json!(1));
        stage.pass(1);
        assert_eq!(stage.read(&child, seen), json!(2));
    }

    #[test]
    fn gloo_warns_of_what_leads_nowhere() {
        let mut stage = Stage::new(vec![Box::new(Reports::new(Proxies::Gloo))]);
        definition(&stage, TABLES, "RouteTable");
        definition(&stage, UPSTREAMS, "Upstream");
        let table = key(TABLES, "app");
        let route =
            json!({"routeAction": {"single": {"upstream": {"name": "app", "namespace": "test"}}}});
        stage.create(&table, json!({"spec": {"routes": [route]}}));
        stage.pass(1);
        let state = "/status/statuses/gloo-system/state";
        assert_eq!(stage.read(&table, state), json!("Warning"));
        stage.create(&key(UPSTREAMS, "app"), json!({"spec": {"kube": {}}}));
        stage.pass(1);
        assert_eq!(stage.read(&table, state), json!("Accepted"));
        assert_eq!(stage.read(&key(UPSTREAMS, "app"), state), json!("Accepted"));
    }
}
