//! Gates that name no living Canary are taken off: copies of manifests, restored backups, Canaries that went without us (GATE).

use serde_json::{Value, json};
use tracing::{info, warn};

use crate::cluster::ClusterError;
use crate::controller::{Context, ask};
use crate::objects::{Change, ObjectKey, mark};

/// Takes every orphaned gate off. What is held stays paused, but for a Deployment that never ran: availability first.
pub(crate) async fn sweep(context: &Context) {
    if context.leadership.term().is_none() || !context.shelves.unsynced().is_empty() {
        return;
    }
    for key in context.orphans() {
        match disarm(context, &key).await {
            Ok(true) => info!(%key, "took off a gate that names no living Canary"),
            Ok(false) => {}
            Err(error) => {
                warn!(%key, error = ask::text(&error), "a gate without a Canary could not be taken off")
            }
        }
    }
}

async fn disarm(context: &Context, key: &ObjectKey) -> Result<bool, ClusterError> {
    let live = context.cluster.read(std::slice::from_ref(key)).await?;
    let Some(target) = live.get(key) else {
        return Ok(false);
    };
    let labels = target.metadata.labels.clone().unwrap_or_default();
    if !labels.contains_key(mark::GATE) {
        return Ok(false);
    }
    let uid = target.metadata.uid.clone().unwrap_or_default();
    let ran = context
        .shelves
        .seen(&key.namespace)
        .replica_sets_of(&uid)
        .next()
        .is_some();
    let mut patch = vec![
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": target.metadata.resource_version}),
    ];
    for label in [mark::GATE, mark::HELD, mark::REVERTING, mark::CONTESTED] {
        if labels.contains_key(label) {
            patch.push(json!({"op": "remove", "path": format!("/metadata/labels/{}", label.replace('/', "~1"))}));
        }
    }
    if labels.contains_key(mark::HELD) && !ran {
        patch.push(json!({"op": "replace", "path": "/spec/paused", "value": false}));
    }
    context
        .cluster
        .apply(Change::Patch(key.clone(), Value::Array(patch)))
        .await
        .map(|_| true)
}
