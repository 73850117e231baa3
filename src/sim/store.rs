//! What the API server remembers: objects, a revision that counts every write, and the last writes as events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

/// Names an object as its address does.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural of the kind, such as `deployments`.
    pub plural: String,
    /// Namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn new(group: &str, plural: &str, namespace: &str, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Whether both are of one kind.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.group == other.group && self.plural == other.plural
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It is new.
    Added,
    /// It changed.
    Modified,
    /// It is gone; the event has it as it was.
    Deleted,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counts every write of the store.
    pub revision: u64,
    /// The object.
    pub key: Arc<Key>,
    /// What happened.
    pub happened: Happened,
    /// The object afterwards, or before it went.
    pub object: Arc<Value>,
    /// The object before.
    pub before: Option<Arc<Value>>,
    /// When, and by whom.
    pub signed: Signature,
}

/// When something was written, and which user wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The time.
    pub at: Timestamp,
    /// The user.
    pub by: Arc<str>,
}

/// The revision asked for is older than what is remembered: a watch has to list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

/// Objects, and the events of the last writes.
#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    revision: u64,
    events: VecDeque<Event>,
    /// Events up to this revision are forgotten.
    forgotten: u64,
    /// Under this the next writes stand.
    signature: Signature,
    /// Events that are remembered, if somebody said how many.
    most: Option<usize>,
}

/// Events that are remembered, unless somebody says otherwise; who is further behind has to list again.
const REMEMBERED: usize = 20_000;

impl Store {
    /// The number of the last write.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// Objects of a kind, of one namespace or of all, in the order of their keys.
    pub fn list<'a>(
        &'a self,
        group: &'a str,
        plural: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let from = Key::new(group, plural, namespace.unwrap_or_default(), "");
        self.objects
            .range(from..)
            .take_while(move |(key, _)| key.group == group && key.plural == plural)
            .take_while(move |(key, _)| namespace.is_none_or(|wanted| key.namespace == wanted))
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The next writes are made now, by this user.
    pub fn sign(&mut self, at: Timestamp, by: &str) {
        self.signature.at = at;
        if *self.signature.by != *by {
            self.signature.by = Arc::from(by);
        }
    }

    /// Writes an object, with the number of this write as its `resourceVersion`.
    pub fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = Value::String(self.revision.to_string());
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        let happened = if before.is_some() {
            Happened::Modified
        } else {
            Happened::Added
        };
        self.tell(key, happened, object.clone(), before);
        object
    }

    /// Takes an object away.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.revision += 1;
        let mut last = Value::clone(&before);
        last["metadata"]["resourceVersion"] = Value::String(self.revision.to_string());
        let last = Arc::new(last);
        self.tell(key.clone(), Happened::Deleted, last.clone(), Some(before));
        Some(last)
    }

    fn tell(
        &mut self,
        key: Key,
        happened: Happened,
        object: Arc<Value>,
        before: Option<Arc<Value>>,
    ) {
        self.events.push_back(Event {
            revision: self.revision,
            key: Arc::new(key),
            happened,
            object,
            before,
            signed: self.signature.clone(),
        });
        self.forget_old();
    }

    /// Remembers so many events from now on.
    pub fn remember(&mut self, most: usize) {
        self.most = Some(most);
        self.forget_old();
    }

    fn forget_old(&mut self) {
        while self.events.len() > self.most.unwrap_or(REMEMBERED) {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.forgotten = event.revision;
        }
    }

    /// Forgets every event so far: watches that are not up to date have to list again.
    pub fn compact(&mut self) {
        while !self.events.is_empty() {
            self.forget_one();
        }
        self.forgotten = self.revision;
    }

    /// The events after a revision, oldest first.
    ///
    /// # Errors
    /// When some of them are forgotten.
    pub fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, Expired> {
        if revision < self.forgotten {
            return Err(Expired);
        }
        let first = self
            .events
            .partition_point(|event| event.revision <= revision);
        Ok(self.events.range(first..))
    }

    /// Objects of a kind, of one namespace or of all, as they were at a revision.
    ///
    /// # Errors
    /// When the writes since then are forgotten.
    pub fn list_at(
        &self,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Vec<(Key, Arc<Value>)>, Expired> {
        let now = self.list(group, plural, namespace);
        let mut found: BTreeMap<Key, Arc<Value>> = now
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        let events: Vec<_> = self.since(revision)?.collect();
        let mine = |key: &Key| {
            key.group == group
                && key.plural == plural
                && namespace.is_none_or(|namespace| key.namespace == namespace)
        };
        for event in events.into_iter().rev().filter(|event| mine(&event.key)) {
            match &event.before {
                Some(before) => found.insert(Key::clone(&event.key), before.clone()),
                None => found.remove(&*event.key),
            };
        }
        Ok(found.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key::new("", "pods", namespace, name)
    }

    #[test]
    fn a_list_of_the_past_is_as_it_was() {
        let mut store = Store::default();
        let names = |store: &Store, revision| -> Vec<String> {
            let found = store.list_at("", "pods", Some("a"), revision).unwrap();
            let spoken = found
                .iter()
                .map(|(key, object)| format!("{}{}", key.name, object["value"]));
            spoken.collect()
        };
        store.put(key("a", "x"), json!({"metadata": {}, "value": 1}));
        store.put(key("a", "y"), json!({"metadata": {}, "value": 1}));
        let past = store.revision();
        store.put(key("a", "x"), json!({"metadata": {}, "value": 2}));
        store.remove(&key("a", "y"));
        store.put(key("a", "z"), json!({"metadata": {}, "value": 1}));
        store.put(key("b", "x"), json!({"metadata": {}, "value": 1}));
        assert_eq!(names(&store, past), ["x1", "y1"]);
        assert_eq!(names(&store, store.revision()), ["x2", "z1"]);
        store.compact();
        assert!(store.list_at("", "pods", None, past).is_err());
    }

    #[test]
    fn lists_are_of_one_kind_and_of_one_namespace_or_all() {
        let mut store = Store::default();
        for (plural, namespace, name) in [
            ("pods", "a", "2"),
            ("pods", "a", "1"),
            ("pods", "b", "1"),
            ("podtemplates", "a", "1"),
        ] {
            store.put(
                Key::new("", plural, namespace, name),
                json!({"metadata": {}}),
            );
        }
        let names = |namespace| {
            store
                .list("", "pods", namespace)
                .map(|(key, _)| format!("{}/{}", key.namespace, key.name))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["a/1", "a/2", "b/1"]);
        assert_eq!(names(Some("a")), ["a/1", "a/2"]);
        assert!(names(Some("c")).is_empty());
    }

    #[test]
    fn events_follow_a_revision_until_they_are_forgotten() {
        let mut store = Store::default();
        store.put(key("a", "1"), json!({"metadata": {}}));
        store.put(key("a", "1"), json!({"metadata": {}}));
        store.remove(&key("a", "1"));
        let happened: Vec<_> = store
            .since(0)
            .unwrap()
            .map(|event| (event.revision, event.happened))
            .collect();
        assert_eq!(
            happened,
            [
                (1, Happened::Added),
                (2, Happened::Modified),
                (3, Happened::Deleted)
            ]
        );
        assert_eq!(store.since(2).unwrap().count(), 1);
        store.remember(2);
        assert_eq!(store.since(0).map(Iterator::count), Err(Expired));
        assert_eq!(store.since(1).unwrap().count(), 2);
        store.compact();
        assert_eq!(store.since(2).map(Iterator::count), Err(Expired));
        assert_eq!(store.since(3).unwrap().count(), 0);
        for _ in 0..3 {
            store.put(key("a", "1"), json!({"metadata": {}}));
        }
        assert_eq!(store.since(4).unwrap().count(), 2);
        assert_eq!(store.since(3).map(Iterator::count), Err(Expired));
    }
}
