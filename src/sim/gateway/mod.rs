//! A gateway: its controller accepts Gateways and routes, its data plane follows what was accepted a little later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::sim::account;
use crate::sim::api::{Actor, Api, Part, Who};
use crate::sim::field::{list, named, number, stamp, text};
use crate::sim::queue::Queue;
use crate::sim::store::{Event, Happened, Key};

/// What a GatewayClass names as its controller to get this one.
pub const CONTROLLER: &str = "sim.serin.dev/gateway";

const GROUP: &str = "gateway.networking.k8s.io";
const ROUTES: [&str; 2] = ["httproutes", "grpcroutes"];

/// Which parents of a route are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// All of them.
    #[default]
    All,
    /// The first of them only, as when one of two gateways is broken.
    First,
    /// None: the controller is down.
    None,
}

/// How the gateway treats routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habit {
    /// Which parents are answered.
    pub answers: Answers,
    /// How long after a change it is accepted.
    pub accepts_after: SignedDuration,
    /// How long after that it is in force.
    pub in_force_after: SignedDuration,
}

impl Default for Habit {
    fn default() -> Self {
        Self {
            answers: Answers::All,
            accepts_after: SignedDuration::from_millis(100),
            in_force_after: SignedDuration::from_millis(200),
        }
    }
}

/// What is in force, and since when.
type Table = BTreeMap<Key, Vec<(Timestamp, Option<Arc<Value>>)>>;

/// What the data plane does, to be asked by whoever sends traffic, and the habit of the gateway. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    habit: Habit,
    table: Table,
}

impl Routing {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The habit from now on.
    pub fn set(&self, habit: Habit) {
        self.inner().habit = habit;
    }

    fn habit(&self) -> Habit {
        self.inner().habit
    }

    /// A route as it is in force now, which may be older than what is stored.
    #[must_use]
    pub fn in_force(&self, now: Timestamp, route: &Key) -> Option<Arc<Value>> {
        let inner = self.inner();
        let of_route = inner.table.get(route)?.iter();
        let mut past = of_route.rev().filter(|(since, _)| *since <= now);
        past.next().and_then(|(_, route)| route.clone())
    }

    /// The routes that are in force now for a host.
    #[must_use]
    pub fn routes(&self, now: Timestamp, host: &str) -> Vec<Key> {
        let keys: Vec<_> = self.inner().table.keys().cloned().collect();
        let takes = |key: &Key| {
            self.in_force(now, key)
                .is_some_and(|route| takes_host(&route, host))
        };
        keys.into_iter().filter(takes).collect()
    }

    /// Where requests of a route go that match no header: `namespace/name` of Services, and their weights.
    #[must_use]
    pub fn split(&self, now: Timestamp, route: &Key) -> Vec<(String, i64)> {
        let Some(object) = self.in_force(now, route) else {
            return Vec::new();
        };
        let mut rules = list(&object, "/spec/rules").iter();
        let plain = rules.find(|rule| {
            let matches = list(rule, "/matches");
            matches.is_empty() || matches.iter().any(|it| list(it, "/headers").is_empty())
        });
        plain.map_or_else(Vec::new, |rule| backends(rule, &route.namespace))
    }

    fn put(&self, key: &Key, from: Timestamp, now: Timestamp, route: Option<Arc<Value>>) {
        let mut inner = self.inner();
        let of_route = inner.table.entry(key.clone()).or_default();
        of_route.retain(|(since, _)| *since < from);
        // Only the newest of what has been in force can still be asked for.
        let past = of_route.partition_point(|(since, _)| *since <= now);
        of_route.drain(..past.saturating_sub(1));
        of_route.push((from, route));
    }
}

fn takes_host(route: &Value, host: &str) -> bool {
    let hosts = list(route, "/spec/hostnames");
    hosts.is_empty()
        || hosts
            .iter()
            .filter_map(Value::as_str)
            .any(|known| match known.strip_prefix('*') {
                Some(end) => host.ends_with(end),
                None => known == host,
            })
}

/// The backends of a rule: `namespace/name` and weight.
#[must_use]
pub fn backends(rule: &Value, namespace: &str) -> Vec<(String, i64)> {
    let of = |backend: &Value| {
        let namespace = match text(backend, "/namespace") {
            "" => namespace,
            other => other,
        };
        let weight = number(backend, "/weight").unwrap_or(1);
        (format!("{namespace}/{}", text(backend, "/name")), weight)
    };
    list(rule, "/backendRefs").iter().map(of).collect()
}

/// The controller of GatewayClasses, Gateways and routes.
#[derive(Debug)]
pub struct Gateways {
    queue: Queue,
    routing: Routing,
    who: Who,
    begun: bool,
}

impl Gateways {
    /// A controller whose habit and data plane are shared with others.
    #[must_use]
    pub fn new(routing: Routing) -> Self {
        Self {
            queue: Queue::default(),
            routing,
            who: account::service_account("gateway-system", "gateway", "gateway-controller"),
            begun: false,
        }
    }
}

impl Actor for Gateways {
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp> {
        if !self.begun {
            self.begun = true;
            for plural in ["gatewayclasses", "gateways", ROUTES[0], ROUTES[1]] {
                self.queue.add_all(api, GROUP, plural, None);
            }
        }
        for event in changed {
            self.hear(api, event);
        }
        for key in self.queue.take(api.now()) {
            match key.plural.as_str() {
                "gatewayclasses" => accept_class(api, &self.who, &key),
                "gateways" => accept_gateway(api, &self.who, &key),
                _ => self.accept_route(api, &key),
            }
        }
        self.queue.next()
    }
}

impl Gateways {
    fn hear(&mut self, api: &Api, event: &Event) {
        let due = later(api.now(), self.routing.habit().accepts_after);
        let plural = event.key.plural.as_str();
        match (event.key.group.as_str(), plural) {
            (GROUP, _) if ROUTES.contains(&plural) && has_news(event) => {
                self.queue.at(Key::clone(&event.key), due);
            }
            (GROUP, _) if ROUTES.contains(&plural) => {}
            (GROUP, _) => {
                for plural in ["gateways", ROUTES[0], ROUTES[1]] {
                    self.queue.add_all(api, GROUP, plural, None);
                }
                self.queue.add(Key::clone(&event.key));
            }
            ("", "services") if event.happened != Happened::Modified => {
                for plural in ROUTES {
                    self.queue
                        .add_all(api, GROUP, plural, Some(&event.key.namespace));
                }
            }
            _ => {}
        }
    }

    /// Answers for a route as it is now, and lets the data plane follow.
    fn accept_route(&self, api: &Api, key: &Key) {
        let now = api.now();
        let habit = self.routing.habit();
        let in_force = later(now, habit.in_force_after);
        let Some(route) = api.get(key) else {
            self.routing.put(key, in_force, now, None);
            return;
        };
        let parents = parents(api, key, &route, habit.answers);
        if parents.is_empty() && habit.answers == Answers::None {
            return;
        }
        let accepted = parents
            .iter()
            .any(|parent| text(parent, "/conditions/0/status") == "True");
        let mut all: Vec<_> = list(&route, "/status/parents").to_vec();
        all.retain(|parent| text(parent, "/controllerName") != CONTROLLER);
        all.extend(parents);
        let written = api.update(&self.who, key, Part::Status, |route| {
            route["status"]["parents"] = Value::Array(all);
        });
        drop(written);
        let route = Some(route).filter(|_| accepted);
        self.routing.put(key, in_force, now, route);
    }
}

/// Whether a route is another one than before, apart from its status.
fn has_news(event: &Event) -> bool {
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    event.happened != Happened::Modified
        || event
            .before
            .as_ref()
            .is_none_or(|before| generation(before) != generation(&event.object))
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// A condition, which keeps the time of its last change.
fn condition(
    known: &[Value],
    kind: &str,
    holds: bool,
    reason: &str,
    about: (i64, Timestamp),
) -> Value {
    let status = if holds { "True" } else { "False" };
    let same = known
        .iter()
        .find(|it| text(it, "/type") == kind && text(it, "/status") == status);
    let since = same.map_or_else(|| stamp(about.1), |it| it["lastTransitionTime"].clone());
    json!({
        "type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": about.0,
        "lastTransitionTime": since,
    })
}

fn generation(object: &Value) -> i64 {
    number(object, "/metadata/generation").unwrap_or(1)
}

fn accept_class(api: &Api, who: &Who, key: &Key) {
    let Some(class) = api.get(key) else { return };
    if text(&class, "/spec/controllerName") != CONTROLLER {
        return;
    }
    let about = (generation(&class), api.now());
    let written = api.update(who, key, Part::Status, |class| {
        let known = list(class, "/status/conditions").to_vec();
        class["status"]["conditions"] =
            json!([condition(&known, "Accepted", true, "Accepted", about)]);
    });
    drop(written);
}

fn accept_gateway(api: &Api, who: &Who, key: &Key) {
    let Some(gateway) = api.get(key).filter(|gateway| is_ours(api, gateway)) else {
        return;
    };
    let about = (generation(&gateway), api.now());
    let listeners: Vec<_> = list(&gateway, "/spec/listeners")
        .iter()
        .map(|listener| listener_status(api, key, listener, about))
        .collect();
    let written = api.update(who, key, Part::Status, |gateway| {
        let known = list(gateway, "/status/conditions").to_vec();
        let made = [("Accepted", "Accepted"), ("Programmed", "Programmed")];
        let made = made.map(|(kind, reason)| condition(&known, kind, true, reason, about));
        gateway["status"] = json!({
            "addresses": [{"type": "IPAddress", "value": "10.96.0.80"}], "conditions": made, "listeners": listeners,
        });
    });
    drop(written);
}

fn listener_status(api: &Api, gateway: &Key, listener: &Value, about: (i64, Timestamp)) -> Value {
    let name = text(listener, "/name");
    let object = api.get(gateway);
    let known = object
        .as_deref()
        .map_or(&[][..], |object| list(object, "/status/listeners"));
    let known = named(known, name).map_or(&[][..], |listener| list(listener, "/conditions"));
    let attached = ROUTES
        .iter()
        .flat_map(|plural| api.list(GROUP, plural, None))
        .filter(|(key, route)| {
            let parents = list(route, "/spec/parentRefs").iter();
            parents
                .clone()
                .any(|parent| parent_key(parent, &key.namespace) == *gateway)
        });
    let made = [
        ("Accepted", "Accepted"),
        ("Programmed", "Programmed"),
        ("ResolvedRefs", "ResolvedRefs"),
    ];
    json!({
        "name": name, "attachedRoutes": attached.count(),
        "supportedKinds": [{"group": GROUP, "kind": "HTTPRoute"}, {"group": GROUP, "kind": "GRPCRoute"}],
        "conditions": made.map(|(kind, reason)| condition(known, kind, true, reason, about)),
    })
}

fn is_ours(api: &Api, gateway: &Value) -> bool {
    let class = Key::new(
        GROUP,
        "gatewayclasses",
        "",
        text(gateway, "/spec/gatewayClassName"),
    );
    api.get(&class)
        .is_some_and(|class| text(&class, "/spec/controllerName") == CONTROLLER)
}

/// The Gateway or Service that a route names as a parent.
fn parent_key(parent: &Value, namespace: &str) -> Key {
    let namespace = match text(parent, "/namespace") {
        "" => namespace,
        other => other,
    };
    let (group, plural) = match text(parent, "/kind") {
        "Service" => ("", "services"),
        _ => (GROUP, "gateways"),
    };
    Key::new(group, plural, namespace, text(parent, "/name"))
}

/// The answers for those parents of a route that exist and are ours.
fn parents(api: &Api, key: &Key, route: &Value, answers: Answers) -> Vec<Value> {
    let all = list(route, "/spec/parentRefs").iter();
    let known = list(route, "/status/parents");
    let made = all.filter_map(|parent| {
        let parent_key = parent_key(parent, &key.namespace);
        let object = api.get(&parent_key)?;
        let is_service = parent_key.plural == "services";
        if !is_service && !is_ours(api, &object) {
            return None;
        }
        let is_allowed = is_service || allows(&object, parent, &key.namespace);
        let mut same = known
            .iter()
            .filter(|it| it["parentRef"] == *parent && text(it, "/controllerName") == CONTROLLER);
        let known = same.next().map_or(&[][..], |it| list(it, "/conditions"));
        Some(answer(api, key, route, parent, (known, is_allowed)))
    });
    let most = match answers {
        Answers::All => usize::MAX,
        Answers::First => 1,
        Answers::None => 0,
    };
    made.take(most).collect()
}

fn answer(api: &Api, key: &Key, route: &Value, parent: &Value, judged: (&[Value], bool)) -> Value {
    let (known, is_allowed) = judged;
    let about = (generation(route), api.now());
    let accepted = if is_allowed {
        "Accepted"
    } else {
        "NotAllowedByListeners"
    };
    let resolved = has_backends(api, key, route);
    let reason = if resolved {
        "ResolvedRefs"
    } else {
        "BackendNotFound"
    };
    json!({
        "parentRef": parent, "controllerName": CONTROLLER,
        "conditions": [
            condition(known, "Accepted", is_allowed, accepted, about),
            condition(known, "ResolvedRefs", resolved, reason, about),
        ],
    })
}

/// Whether a listener of a Gateway takes routes of a namespace.
fn allows(gateway: &Value, parent: &Value, namespace: &str) -> bool {
    let section = text(parent, "/sectionName");
    let same = text(gateway, "/metadata/namespace") == namespace;
    list(gateway, "/spec/listeners").iter().any(|listener| {
        let all = text(listener, "/allowedRoutes/namespaces/from") == "All";
        (all || same) && (section.is_empty() || section == text(listener, "/name"))
    })
}

fn has_backends(api: &Api, key: &Key, route: &Value) -> bool {
    let rules = list(route, "/spec/rules").iter();
    let mut all = rules.flat_map(|rule| backends(rule, &key.namespace));
    all.all(|(name, _)| {
        let (namespace, name) = name.split_once('/').unwrap_or_default();
        api.get(&Key::new("", "services", namespace, name))
            .is_some()
    })
}

#[cfg(test)]
mod tests;
