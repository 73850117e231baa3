//! What lives in every namespace: the account `default`, and the certificates by which Pods know the API server; and how a
//! namespace is emptied before it goes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api};
use crate::sim::field::is_going;
use crate::sim::store::{Event, Key};

/// The controllers that make it, and make it again.
#[derive(Debug, Default)]
pub struct Residents {
    begun: bool,
}

impl Actor for Residents {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        let all = api.list("", "namespaces", None);
        let mine = |event: &&Event| event.key.group.is_empty();
        let names: BTreeSet<&str> = if self.begun {
            changed
                .iter()
                .filter(mine)
                .filter_map(|event| match event.key.plural.as_str() {
                    "namespaces" => Some(event.key.name.as_str()),
                    "serviceaccounts" | "configmaps" => Some(event.key.namespace.as_str()),
                    _ => None,
                })
                .collect()
        } else {
            all.iter().map(|(key, _)| key.name.as_str()).collect()
        };
        self.begun = true;
        for (key, space) in &all {
            if is_going(space) {
                clear(api, key);
            } else if names.contains(key.name.as_str()) {
                settle(api, &key.name);
            }
        }
        None
    }
}

/// Deletes what is in a namespace; the namespace itself, once nothing is.
fn clear(api: &Api, space: &Key) {
    let who = account::controller("namespace-controller");
    let mut left = false;
    for kind in api.kinds().iter().filter(|kind| kind.namespaced) {
        for (key, object) in api.list(&kind.group, &kind.plural, Some(&space.name)) {
            // Refused where a policy forbids it: then the namespace waits.
            if !is_going(&object) {
                drop(api.delete(&who, &key));
            }
            left |= api.get(&key).is_some();
        }
    }
    if !left {
        api.finalize(space);
    }
}

fn settle(api: &Api, namespace: &str) {
    let (accounts, root) = ("serviceaccounts", "configmaps");
    let certificates = json!({"ca.crt": "none: this server is not reached by Pods\n"});
    for (plural, name, controller, object) in [
        (
            accounts,
            "default",
            "service-account-controller",
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {}}),
        ),
        (
            root,
            "kube-root-ca.crt",
            "root-ca-cert-publisher",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": certificates}),
        ),
    ] {
        let key = Key::new("", plural, namespace, name);
        if api.get(&key).is_none() {
            let object: Value = object;
            // The namespace may go just now.
            drop(api.create(&account::controller(controller), &key, object));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::sim::api::Who;
    use crate::sim::world;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_inhabited_and_emptied_before_it_goes() {
        let api = Api::new(Clock::simulated());
        let mut actors: Vec<Box<dyn Actor>> = vec![Box::new(Residents::default())];
        let mut seen = 0;
        api.add_namespace("shop");
        world::settle(&api, &mut actors, &mut seen);
        let account = Key::new("", "serviceaccounts", "shop", "default");
        assert!(api.get(&account).is_some());
        let who = Who::system("admin");
        api.delete(&who, &account).unwrap();
        let kept = Key::new("", "configmaps", "shop", "kept");
        let object = json!({"metadata": {"finalizers": ["a.b/c"]}});
        api.create(&who, &kept, object).unwrap();
        world::settle(&api, &mut actors, &mut seen);
        assert!(api.get(&account).is_some(), "it is made again");
        let space = Key::new("", "namespaces", "", "shop");
        api.delete(&who, &space).unwrap();
        world::settle(&api, &mut actors, &mut seen);
        assert_eq!(api.get(&space).unwrap()["status"]["phase"], "Terminating");
        assert!(api.get(&account).is_none() && api.get(&kept).is_some());
        let part = crate::sim::api::Part::Main;
        let free = |object: &mut Value| object["metadata"]["finalizers"] = json!([]);
        api.update(&who, &kept, part, free).unwrap();
        world::settle(&api, &mut actors, &mut seen);
        assert!(api.get(&space).is_none());
    }
}
