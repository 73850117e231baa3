//! Everything that happened to the objects of the run, as a watch saw it, and waiting for what is to happen.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;

/// How soon a watch that was cut is made again.
const AGAIN: Duration = Duration::from_millis(200);

/// A kind that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Canary,
    Deployment,
    Route,
    Ingress,
    IngressRoute,
    TraefikService,
    Service,
    Pod,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Canary,
        Self::Deployment,
        Self::Route,
        Self::Ingress,
        Self::IngressRoute,
        Self::TraefikService,
        Self::Service,
        Self::Pod,
    ];

    /// How the API server knows it.
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Canary => ("serin.dev", "v1beta1", "Canary", "canaries"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Route => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::IngressRoute => ("traefik.io", "v1alpha1", "IngressRoute", "ingressroutes"),
            Self::TraefikService => (
                "traefik.io",
                "v1alpha1",
                "TraefikService",
                "traefikservices",
            ),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Pod => ("", "v1", "Pod", "pods"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// One state of one object.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// When the watch said so.
    pub(crate) at: SystemTime,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The object, or its last state if it is gone.
    pub(crate) object: Value,
    pub(crate) gone: bool,
}

impl Record {
    /// The text at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        text(&self.object, pointer)
    }
}

/// The text at a JSON pointer; empty if there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The number at a JSON pointer; 0 if there is none.
pub(crate) fn number(object: &Value, pointer: &str) -> i64 {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// What was recorded, by namespace.
#[derive(Debug)]
pub(crate) struct Recorder {
    log: Mutex<BTreeMap<String, Vec<Record>>>,
    changed: watch::Sender<u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            log: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Recorder {
    /// Watches a kind for as long as the run lasts.
    pub(crate) async fn follow(&self, client: Client, kind: Kind) {
        let api = Api::<DynamicObject>::all_with(client, &kind.resource());
        let mut events = watcher(api, watcher::Config::default()).boxed();
        let mut listed = Vec::new();
        loop {
            match events.next().await {
                Some(Ok(Event::Apply(object))) => self.put(kind, object, false),
                Some(Ok(Event::Delete(object))) => self.put(kind, object, true),
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(object))) => {
                    listed.push((object.namespace().unwrap_or_default(), object.name_any()));
                    self.put(kind, object, false);
                }
                Some(Ok(Event::InitDone)) => self.forget_others(kind, &listed),
                Some(Err(_)) => tokio::time::sleep(AGAIN).await,
                None => return,
            }
        }
    }

    /// The kinds that are followed.
    pub(crate) fn kinds() -> [Kind; 8] {
        Kind::ALL
    }

    fn put(&self, kind: Kind, object: DynamicObject, gone: bool) {
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let Ok(object) = serde_json::to_value(object) else {
            return;
        };
        let record = Record {
            at: SystemTime::now(),
            kind,
            name,
            object,
            gone,
        };
        self.log().entry(namespace).or_default().push(record);
        self.changed.send_modify(|number| *number += 1);
    }

    /// After a new list, what is not in it is gone.
    fn forget_others(&self, kind: Kind, listed: &[(String, String)]) {
        let mut log = self.log();
        for (namespace, records) in log.iter_mut() {
            let gone: Vec<_> = last_of_each(records)
                .into_iter()
                .filter(|record| record.kind == kind && !record.gone)
                .filter(|record| !listed.contains(&(namespace.clone(), record.name.clone())))
                .map(|record| Record {
                    at: SystemTime::now(),
                    gone: true,
                    ..record.clone()
                })
                .collect();
            records.extend(gone);
        }
        drop(log);
        self.changed.send_modify(|number| *number += 1);
    }

    /// All records of a namespace, oldest first.
    pub(crate) fn all(&self, namespace: &str) -> Vec<Record> {
        self.log().get(namespace).cloned().unwrap_or_default()
    }

    /// The present objects of a kind in a namespace.
    pub(crate) fn present(&self, namespace: &str, kind: Kind) -> Vec<Record> {
        let log = self.log();
        let records = log.get(namespace).map_or(&[][..], Vec::as_slice);
        last_of_each(records)
            .into_iter()
            .filter(|record| record.kind == kind && !record.gone)
            .cloned()
            .collect()
    }

    /// An object, if it is there.
    pub(crate) fn get(&self, namespace: &str, kind: Kind, name: &str) -> Option<Value> {
        let log = self.log();
        let last = log
            .get(namespace)?
            .iter()
            .rev()
            .find(|record| record.kind == kind && record.name == name)?;
        (!last.gone).then(|| last.object.clone())
    }

    /// Forgets a namespace that is done with.
    pub(crate) fn forget(&self, namespace: &str) {
        self.log().remove(namespace);
    }

    /// Waits until a question about the record has an answer.
    pub(crate) async fn wait<T>(
        &self,
        what: &str,
        patience: Duration,
        mut ask: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + patience;
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(answer) = ask(self) {
                return Ok(answer);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{what}: not within {} s", patience.as_secs());
            }
            let _ = tokio::time::timeout(left, changed.changed()).await;
        }
    }

    fn log(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Record>>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last_of_each(records: &[Record]) -> Vec<&Record> {
    let mut last: BTreeMap<(Kind, &str), &Record> = BTreeMap::new();
    for record in records {
        last.insert((record.kind, &record.name), record);
    }
    let mut all: Vec<_> = last.into_values().collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}
