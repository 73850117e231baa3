//! The API server itself, without HTTP: what the service and the actors in the cluster both go through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::sim::admission::Mutator;
use crate::sim::kinds::{self, Served};
use crate::sim::refusal::Refusal;
use crate::sim::rules::Rules;
use crate::sim::store::{Event, Expired, Happened, Key, Signature, Store};
use crate::sim::tokens::Token;
use crate::sim::write::{Delete, Request};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// User name.
    pub user: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Field manager.
    pub manager: String,
}

impl Who {
    /// A part of the cluster itself, which may do everything.
    #[must_use]
    pub fn system(manager: &str) -> Self {
        Self {
            user: format!("system:{manager}"),
            groups: vec!["system:masters".to_owned()],
            manager: manager.to_owned(),
        }
    }
}

/// The part of an object that a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status.
    Status,
    /// The number of replicas, through the `scale` subresource.
    Scale,
}

/// Somebody in the cluster who acts by himself: a controller, a gateway, a kubelet.
pub trait Actor: Send {
    /// Looks at what changed since the last call (at the first: at everything), does what is due, and says when to be called
    /// again at the latest. It is called until it writes nothing more.
    fn act(&mut self, api: &Api, changed: &[Event]) -> Option<Timestamp>;
}

/// The API server. Clones are the same server.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Api at revision {}", self.revision())
    }
}

struct Inner {
    time: Time,
    state: Mutex<State>,
    /// Held from reading an object until it is written.
    writing: Mutex<()>,
    /// The last revision: who waits for changes is woken by it.
    revision: watch::Sender<u64>,
}

/// Where the server has its time from.
enum Time {
    Clock(Clock),
    /// Set by hand.
    Set(Mutex<Timestamp>),
}

/// Objects, and the revision that they are of.
pub(crate) type Snapshot = (u64, Vec<(Key, Arc<Value>)>);

/// All that the server remembers.
pub(crate) struct State {
    pub(crate) store: Store,
    kinds: BTreeMap<(String, String), Arc<Served>>,
    pub(crate) rules: Rules,
    /// Who has which token.
    tokens: BTreeMap<String, Token>,
    /// Counts what needs a name or a number of its own.
    pub(crate) made: u64,
}

impl Api {
    /// A server that holds nothing but the namespaces that every cluster has.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::with(Time::Clock(clock))
    }

    /// A server whose time is set by hand.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self::with(Time::Set(Mutex::new(now)))
    }

    /// Sets the time of a server that has it from nowhere else.
    pub fn set_now(&self, now: Timestamp) {
        if let Time::Set(time) = &self.inner.time {
            *time.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    /// Another server with the same objects, to go its own way.
    #[must_use]
    pub fn copy(&self, clock: Clock) -> Self {
        let state = self.state();
        let copied = State {
            store: state.store.clone(),
            kinds: state.kinds.clone(),
            rules: state.rules.copy(),
            tokens: state.tokens.clone(),
            made: state.made,
        };
        Self {
            inner: Arc::new(Inner {
                time: Time::Clock(clock),
                revision: watch::Sender::new(copied.store.revision()),
                state: Mutex::new(copied),
                writing: Mutex::default(),
            }),
        }
    }

    fn with(time: Time) -> Self {
        let kinds = kinds::built_in()
            .into_iter()
            .map(|kind| ((kind.group.clone(), kind.plural.clone()), Arc::new(kind)))
            .collect();
        let api = Self {
            inner: Arc::new(Inner {
                time,
                state: Mutex::new(State {
                    store: Store::default(),
                    kinds,
                    rules: Rules::default(),
                    tokens: BTreeMap::new(),
                    made: 0,
                }),
                writing: Mutex::default(),
                revision: watch::Sender::new(0),
            }),
        };
        for name in ["default", "kube-system"] {
            api.add_namespace(name);
        }
        api
    }

    /// Makes a namespace, if it is not there.
    pub fn add_namespace(&self, name: &str) {
        let key = Key::new("", "namespaces", "", name);
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        // Refused only if it exists already.
        drop(self.create(&Who::system("cluster"), &key, object));
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.inner.time {
            Time::Clock(clock) => clock.now(),
            Time::Set(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Somebody has this token from now on.
    pub fn issue(&self, token: &str, of: Token) {
        self.state().tokens.insert(token.to_owned(), of);
    }

    /// The token of these letters.
    #[must_use]
    pub fn token(&self, letters: &str) -> Option<Token> {
        self.state().tokens.get(letters).cloned()
    }

    /// Told of every write.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.revision.subscribe()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        self.inner
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait for changes.
    pub(crate) fn tell(&self) {
        let revision = self.state().store.revision();
        self.inner.revision.send_if_modified(|last| {
            let moved = *last != revision;
            *last = revision;
            moved
        });
    }

    /// The kind with this group and plural.
    #[must_use]
    pub fn kind(&self, group: &str, plural: &str) -> Option<Arc<Served>> {
        let key = (group.to_owned(), plural.to_owned());
        self.state().kinds.get(&key).cloned()
    }

    /// Every kind that is served.
    #[must_use]
    pub fn kinds(&self) -> Vec<Arc<Served>> {
        self.state().kinds.values().cloned().collect()
    }

    /// Serves a kind from now on, or serves it anew.
    pub(crate) fn serve(&self, kind: Served) {
        let key = (kind.group.clone(), kind.plural.clone());
        self.state().kinds.insert(key, Arc::new(kind));
    }

    /// Serves a kind no more.
    pub(crate) fn withdraw(&self, group: &str, plural: &str) {
        let key = (group.to_owned(), plural.to_owned());
        let mut state = self.state();
        state.kinds.remove(&key);
        state.rules.forget(group, plural);
    }

    /// Somebody changes objects on their way in from now on, as a mutating webhook does.
    pub fn invite(&self, mutator: Box<dyn Mutator>) {
        self.state().rules.invite(mutator);
    }

    /// The number of the last write.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.state().store.revision()
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.state().store.get(key)
    }

    /// Objects of a kind, of one namespace or of all.
    #[must_use]
    pub fn list(
        &self,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
    ) -> Vec<(Key, Arc<Value>)> {
        let state = self.state();
        let found = state.store.list(group, plural, namespace);
        found
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect()
    }

    /// Objects of a kind together with the revision that they are of: this one, or the last.
    ///
    /// # Errors
    /// When the writes since that revision are forgotten.
    pub(crate) fn snapshot(
        &self,
        (group, plural): (&str, &str),
        namespace: Option<&str>,
        revision: Option<u64>,
    ) -> Result<Snapshot, Expired> {
        let state = self.state();
        let revision = revision.unwrap_or_else(|| state.store.revision());
        let found = state.store.list_at(group, plural, namespace, revision)?;
        Ok((revision, found))
    }

    /// The writes after a revision.
    ///
    /// # Errors
    /// When some of them are forgotten.
    pub fn since(&self, revision: u64) -> Result<Vec<Event>, Expired> {
        Ok(self.state().store.since(revision)?.cloned().collect())
    }

    /// Every object as if it had just been made, for who does not know what happened.
    pub(crate) fn all_anew(&self) -> Vec<Event> {
        let state = self.state();
        let revision = state.store.revision();
        let all = state.store.all().map(|(key, object)| Event {
            revision,
            key: Arc::new(key.clone()),
            happened: Happened::Added,
            object: object.clone(),
            before: None,
            signed: Signature::default(),
        });
        all.collect()
    }

    /// The last revision, and the writes after an earlier one to objects of the same kind as this one.
    ///
    /// # Errors
    /// When some of the writes are forgotten.
    pub(crate) fn told(&self, revision: u64, like: &Key) -> Result<(u64, Vec<Event>), Expired> {
        let state = self.state();
        let alike = state.store.since(revision)?;
        let alike = alike.filter(|event| event.key.is_alike(like));
        Ok((state.store.revision(), alike.cloned().collect()))
    }

    /// Remembers so many events from now on, so that memory does not grow with time.
    pub fn remember(&self, events: usize) {
        self.state().store.remember(events);
    }

    /// Forgets the events so far, as etcd's compaction does: watches that are behind have to list again.
    pub fn compact(&self) {
        self.state().store.compact();
    }

    /// Makes an object; `metadata.generateName` counts.
    ///
    /// # Errors
    /// As a real API server refuses.
    pub fn create(&self, who: &Who, key: &Key, object: Value) -> Result<Arc<Value>, Refusal> {
        self.create_as(&Request::of(who), key, object)
    }

    /// Reads an object, changes it, and writes it; nothing is written if nothing changed.
    ///
    /// # Errors
    /// As a real API server refuses.
    pub fn update(
        &self,
        who: &Who,
        key: &Key,
        part: Part,
        change: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Refusal> {
        self.change(&Request::of(who).part(part), key, |object| {
            change(object);
            Ok(())
        })
    }

    /// Deletes an object: at once, or once its finalizers are gone. What it owns is collected.
    ///
    /// # Errors
    /// As a real API server refuses.
    pub fn delete(&self, who: &Who, key: &Key) -> Result<(), Refusal> {
        self.delete_as(&Request::of(who), key, &Delete::default())
            .map(drop)
    }
}
