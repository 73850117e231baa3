//! What a watch last saw of one kind.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Namespace and name.
pub type Place = (String, String);

/// The objects of one kind, by namespace and name; whole only once its first list is done.
#[derive(Debug)]
pub struct Shelf<T> {
    inner: RwLock<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    objects: BTreeMap<Place, Arc<T>>,
    /// A list that is not complete yet.
    next: Option<BTreeMap<Place, Arc<T>>>,
    synced: bool,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            inner: RwLock::new(Inner {
                objects: BTreeMap::new(),
                next: None,
                synced: false,
            }),
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

    /// All objects, or those of one namespace.
    #[must_use]
    pub fn list(&self, namespace: Option<&str>) -> Vec<(Place, Arc<T>)> {
        self.read(|inner| match namespace {
            None => inner
                .objects
                .iter()
                .map(|(place, object)| (place.clone(), object.clone()))
                .collect(),
            Some(namespace) => inner
                .objects
                .range((namespace.to_owned(), String::new())..)
                .take_while(|((home, _), _)| home == namespace)
                .map(|(place, object)| (place.clone(), object.clone()))
                .collect(),
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

    /// Puts an object in; returns what was there.
    pub(crate) fn put(&self, place: Place, object: Arc<T>) -> Option<Arc<T>> {
        self.write(|inner| inner.objects.insert(place, object))
    }

    /// Takes an object out.
    pub(crate) fn take(&self, place: &Place) -> Option<Arc<T>> {
        self.write(|inner| inner.objects.remove(place))
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
        self.write(|inner| {
            let next = inner.next.take().unwrap_or_default();
            let before = std::mem::replace(&mut inner.objects, next);
            inner.synced = true;
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

    fn write<R>(&self, with: impl FnOnce(&mut Inner<T>) -> R) -> R {
        with(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}
