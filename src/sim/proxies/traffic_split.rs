//! The Service Mesh Interface: TrafficSplits, which hold for every request to their root Service in the mesh.

use serde_json::Value;

use crate::sim::field::{list, text};
use crate::sim::proxies::{Asked, KindName, Sight, To};
use crate::sim::quantity;
use crate::sim::traffic::Name;
use crate::sim::traffic::route::Backend;

/// TrafficSplits, in whatever version they are served.
pub(super) const SPLITS: KindName = ("split.smi-spec.io", "trafficsplits");

/// The oldest split of a Service counts; without one its requests go to the Service. The root as a leaf means its own endpoints.
pub(super) fn way(sight: Sight<'_>, asked: Asked<'_>) -> Option<Vec<Backend>> {
    let To::Service(service) = asked.to else {
        return None;
    };
    let mut splits = sight.objects.list(SPLITS).iter();
    let split = splits
        .find(|(key, split)| key.namespace == service.namespace && root(split) == service.name);
    let Some((key, split)) = split else {
        return Some(vec![Backend::new(service.clone(), 1)]);
    };
    let backends = list(split, "/spec/backends").iter().map(|entry| {
        let name = Name::new(&key.namespace, text(entry, "/service"));
        Backend::new(name, weight(&entry["weight"]))
    });
    Some(backends.collect())
}

/// The root Service; its name may be written in full.
fn root(split: &Value) -> &str {
    let name = text(split, "/spec/service");
    name.split('.').next().unwrap_or(name)
}

/// A number, or in the first version a quantity, in thousandths: `90` and `900m` may stand beside each other there.
fn weight(weight: &Value) -> u32 {
    let thousandths = quantity::thousandths(Some(weight));
    thousandths.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proxies::Proxies;
    use crate::sim::proxies::shown::Scene;

    #[test]
    fn a_split_holds_for_its_root() {
        let scene = Scene::new(
            Proxies::Smi,
            "
apiVersion: split.smi-spec.io/v1alpha1
kind: TrafficSplit
metadata: {name: split}
spec: {service: app.shop, backends: [{service: app, weight: 900m}, {service: app-canary, weight: '1'}, {service: other, weight: 2}]}
",
        );
        let service = Name::new("shop", "app");
        let found = scene.shown(To::Service(&service), "/", None);
        assert_eq!(found, "app:900 app-canary:1000 other:2000");
        let leaf = Name::new("shop", "app-canary");
        assert_eq!(scene.shown(To::Service(&leaf), "/", None), "app-canary:1");
    }
}
