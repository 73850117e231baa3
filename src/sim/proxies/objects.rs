//! The objects that proxies are told by, as they were read at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::sim::api::Api;
use crate::sim::field::text;
use crate::sim::proxies::KindName;
use crate::sim::store::Key;

/// An object and its name.
pub type Named = (Key, Arc<Value>);

/// Objects of some kinds, the oldest of each kind first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects(BTreeMap<(String, String), Vec<Named>>);

impl Objects {
    /// Reads what is live of these kinds.
    #[must_use]
    pub fn read(api: &Api, kinds: &[KindName]) -> Self {
        let all = kinds
            .iter()
            .flat_map(|(group, plural)| api.list(group, plural, None));
        Self::shared(all)
    }

    /// These objects.
    #[must_use]
    pub fn of(objects: impl IntoIterator<Item = (Key, Value)>) -> Self {
        let objects = objects.into_iter();
        Self::shared(objects.map(|(key, object)| (key, Arc::new(object))))
    }

    fn shared(objects: impl IntoIterator<Item = Named>) -> Self {
        let mut sorted: BTreeMap<_, Vec<Named>> = BTreeMap::new();
        for (key, object) in objects {
            let kind = (key.group.clone(), key.plural.clone());
            sorted.entry(kind).or_default().push((key, object));
        }
        for list in sorted.values_mut() {
            list.sort_by(|one, other| age(one).cmp(&age(other)));
        }
        Self(sorted)
    }

    /// All objects of a kind.
    #[must_use]
    pub fn list(&self, (group, plural): KindName) -> &[Named] {
        let kind = (group.to_owned(), plural.to_owned());
        self.0.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// One object.
    #[must_use]
    pub fn get(&self, kind: KindName, namespace: &str, name: &str) -> Option<&Value> {
        let is = |(key, _): &&Named| key.namespace == namespace && key.name == name;
        let found = self.list(kind).iter().find(is);
        found.map(|(_, object)| &**object)
    }
}

fn age((key, object): &Named) -> (&str, &str, &str) {
    let made = text(object, "/metadata/creationTimestamp");
    (made, &key.namespace, &key.name)
}
