//! The template that a held target serves: that of the ReplicaSet with its Pods.

use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::cli::connect::Session;
use crate::digest::{self, TEMPLATE_HASH};
use crate::objects::{Kind, ReplicaSet};

/// What a target serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// Name of the ReplicaSet.
    pub replica_set: String,
    /// Hash of the template.
    pub revision: String,
    /// Its images.
    pub images: Vec<String>,
    /// The template, as a Deployment carries it.
    pub template: Value,
}

/// What this target serves; `None`: no ReplicaSet can be told to be stable. `stable` is the ReplicaSet of the Canary's status.
pub async fn serving(
    session: &Session,
    target: &DynamicObject,
    stable: Option<&str>,
) -> Result<Option<Serving>> {
    let api = session.objects(Kind::ReplicaSet);
    let list = api
        .list(&ListParams::default())
        .await
        .context("list ReplicaSets")?;
    let uid = target.uid().unwrap_or_default();
    let mut sets = Vec::new();
    for object in list.items {
        let value = serde_json::to_value(&object).context("read a ReplicaSet")?;
        let set = digest::replica_set(&value)
            .with_context(|| format!("read replicaset/{}", object.name_any()))?;
        if set
            .meta
            .owner
            .as_ref()
            .is_some_and(|owner| owner.uid == uid)
        {
            sets.push((set, value));
        }
    }
    let chosen = choose(sets.iter().map(|(set, _)| set), stable);
    Ok(chosen.map(|at| describe(&sets[at].0, &sets[at].1)))
}

/// Stable's ReplicaSet by the status, if it has ready Pods; else the one with the most; and of a target without Pods stable's, or
/// none: which of the others served is not known.
fn choose<'a>(sets: impl Iterator<Item = &'a ReplicaSet>, stable: Option<&str>) -> Option<usize> {
    let rank = |set: &ReplicaSet| {
        (
            set.ready > 0 && Some(set.meta.name.as_str()) == stable,
            set.ready,
            set.total,
        )
    };
    let named = |set: &ReplicaSet| Some(set.meta.name.as_str()) == stable;
    let sets: Vec<_> = sets.collect();
    let best = (0..sets.len()).max_by_key(|at| rank(sets[*at]))?;
    if sets[best].total > 0 {
        return Some(best);
    }
    sets.iter().position(|set| named(set))
}

fn describe(set: &ReplicaSet, object: &Value) -> Serving {
    let mut template = object["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(TEMPLATE_HASH);
    }
    Serving {
        replica_set: set.meta.name.clone(),
        revision: set.template.revision.clone(),
        images: set.template.images.clone(),
        template,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, total: i32, ready: i32) -> ReplicaSet {
        let mut set = ReplicaSet {
            total,
            ready,
            ..ReplicaSet::default()
        };
        set.meta.name = name.to_owned();
        set
    }

    #[test]
    fn the_serving_replica_set_is_the_one_with_pods() {
        let rows = [
            (
                "one serves",
                vec![set("a", 0, 0), set("b", 3, 3)],
                Some("a"),
                Some("b"),
            ),
            (
                "in mid roll the status decides",
                vec![set("a", 2, 2), set("b", 3, 3)],
                Some("a"),
                Some("a"),
            ),
            (
                "without a status the most Pods",
                vec![set("a", 2, 2), set("b", 3, 3)],
                None,
                Some("b"),
            ),
            (
                "broken, but the only one",
                vec![set("a", 3, 0)],
                None,
                Some("a"),
            ),
            (
                "at zero the status decides",
                vec![set("a", 0, 0), set("b", 0, 0)],
                Some("a"),
                Some("a"),
            ),
            (
                "at zero without a status nobody knows",
                vec![set("a", 0, 0), set("b", 0, 0)],
                None,
                None,
            ),
            ("none", vec![], Some("a"), None),
        ];
        for (name, sets, stable, expected) in rows {
            let chosen = choose(sets.iter(), stable).map(|at| sets[at].meta.name.as_str());
            assert_eq!(chosen, expected, "{name}");
        }
    }

    #[test]
    fn the_template_is_that_of_the_deployment() {
        let object = serde_json::json!({
            "metadata": {"name": "web-1", "uid": "u", "namespace": "shop", "resourceVersion": "1"},
            "spec": {"template": {
                "metadata": {"labels": {"app": "web", "pod-template-hash": "1"}},
                "spec": {"containers": [{"name": "app", "image": "app:1", "unknown": true}]}
            }}
        });
        let serving = describe(&digest::replica_set(&object).unwrap(), &object);
        assert_eq!(
            serving.template["metadata"]["labels"],
            serde_json::json!({"app": "web"})
        );
        assert_eq!(serving.template["spec"]["containers"][0]["unknown"], true);
        assert_eq!(serving.revision, digest::revision(&serving.template));
    }
}
