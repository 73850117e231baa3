//! What a watch last saw of one kind.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

/// Namespace and name.
pub type Place = (String, String);

/// The objects of one kind, by namespace and name; whole only once its first list is done.
#[derive(Debug)]
pub struct Shelf<T> {
    inner: RwLock<Inner<T>>,
    /// Counts the changes of what can be read: who waits for one is woken by it.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner<T> {
    objects: BTreeMap<Place, Arc<T>>,
    /// A list that is not complete yet.
    next: Option<BTreeMap<Place, Arc<T>>>,
    synced: bool,
    /// A list was done, or could not be had.
    answered: bool,
}

impl<T> Inner<T> {
    fn within<'a>(
        &'a self,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Place, &'a Arc<T>)> {
        let first = (namespace.unwrap_or_default().to_owned(), String::new());
        let here = move |home: &str| namespace.is_none_or(|namespace| home == namespace);
        let objects = self.objects.range(first..);
        objects.take_while(move |((home, _), _)| here(home))
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            inner: RwLock::new(Inner {
                objects: BTreeMap::new(),
                next: None,
                synced: false,
                answered: false,
            }),
            changes: watch::Sender::new(0),
        }
    }
}

impl<T> Shelf<T> {
    /// One object.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.read(|inner| {
            inner
                .objects
                .get(&(namespace.to_owned(), name.to_owned()))
                .cloned()
        })
    }

    /// All objects with their places, or those of one namespace.
    #[must_use]
    pub fn list(&self, namespace: Option<&str>) -> Vec<(Place, Arc<T>)> {
        self.read(|inner| {
            let owned = |(place, object): (&Place, &Arc<T>)| (place.clone(), object.clone());
            inner.within(namespace).map(owned).collect()
        })
    }

    /// All objects, or those of one namespace.
    #[must_use]
    pub fn objects(&self, namespace: Option<&str>) -> Vec<Arc<T>> {
        self.read(|inner| {
            let objects = inner.within(namespace);
            objects.map(|(_, object)| object.clone()).collect()
        })
    }

    /// The objects of one namespace by name.
    #[must_use]
    pub fn by_name(&self, namespace: &str) -> BTreeMap<String, Arc<T>> {
        self.list(Some(namespace))
            .into_iter()
            .map(|((_, name), object)| (name, object))
            .collect()
    }

    /// The first list is done.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.read(|inner| inner.synced)
    }

    /// It is known whether there is something to be read.
    pub(crate) fn answered(&self) -> bool {
        self.read(|inner| inner.answered)
    }

    /// What should be here cannot be read. What was seen before stays.
    pub(crate) fn fail(&self) {
        self.write(|inner| inner.answered = true);
    }

    /// Told of every change; several at once may be told as one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Puts an object in; returns what was there.
    pub(crate) fn put(&self, place: Place, object: Arc<T>) -> Option<Arc<T>> {
        self.change(|inner| inner.objects.insert(place, object))
    }

    /// Takes an object out.
    pub(crate) fn take(&self, place: &Place) -> Option<Arc<T>> {
        self.change(|inner| inner.objects.remove(place))
    }

    /// A list begins: what is there stays readable until it is done.
    pub(crate) fn begin(&self) {
        self.write(|inner| inner.next = Some(BTreeMap::new()));
    }

    /// An object of a list.
    pub(crate) fn gather(&self, place: Place, object: Arc<T>) {
        self.write(|inner| {
            inner
                .next
                .get_or_insert_with(BTreeMap::new)
                .insert(place, object)
        });
    }

    /// The list is done: it is what there is now. Returns everything that was there before or is there now.
    pub(crate) fn finish(&self) -> Vec<(Place, Arc<T>)> {
        self.change(|inner| {
            let next = inner.next.take().unwrap_or_default();
            let before = std::mem::replace(&mut inner.objects, next);
            inner.synced = true;
            inner.answered = true;
            let mut touched = before;
            touched.extend(
                inner
                    .objects
                    .iter()
                    .map(|(place, object)| (place.clone(), object.clone())),
            );
            touched.into_iter().collect()
        })
    }

    fn read<R>(&self, with: impl FnOnce(&Inner<T>) -> R) -> R {
        with(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<R>(&self, with: impl FnOnce(&mut Inner<T>) -> R) -> R {
        let done = self.write(with);
        self.changes.send_modify(|count| *count += 1);
        done
    }

    fn write<R>(&self, with: impl FnOnce(&mut Inner<T>) -> R) -> R {
        with(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}
