//! What was written and not yet seen back: a view older than our own last write is never acted on (SAFETY P4).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Written;
use crate::crd::canary::Canary;
use crate::objects::{Kind, Meta, ObjectKey, Seen};

/// After so long a write that was not seen back is forgotten: somebody else may have removed its object.
const PATIENCE: Duration = Duration::from_secs(5);

/// Our last writes around one Canary.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    versions: BTreeMap<ObjectKey, (u64, Instant)>,
    gone: BTreeMap<ObjectKey, (String, Instant)>,
}

impl Fresh {
    pub(crate) fn wrote(&mut self, written: &Written) {
        let now = Instant::now();
        match written {
            Written::Version(key, version) => {
                self.gone.remove(key);
                self.versions.insert(key.clone(), (number(version), now));
            }
            Written::Gone(key, uid) => {
                self.versions.remove(key);
                self.gone.insert(key.clone(), (uid.clone(), now));
            }
            Written::Nothing => {}
        }
    }

    /// The Canary as the watch has it is older than our last write to it.
    pub(crate) fn outdated(&mut self, canary: &Canary) -> bool {
        let key = ObjectKey::new(
            Kind::Canary,
            &canary.home(),
            canary.metadata.name.as_deref().unwrap_or_default(),
        );
        let seen = number(
            canary
                .metadata
                .resource_version
                .as_deref()
                .unwrap_or_default(),
        );
        self.forget();
        self.versions
            .get(&key)
            .is_some_and(|(version, _)| seen < *version)
    }

    /// Something that we wrote is not seen yet.
    pub(crate) fn ahead_of(&mut self, seen: &Seen) -> bool {
        self.forget();
        let older = self
            .versions
            .iter()
            .any(|(key, (version, _))| match meta(seen, key) {
                Lookup::Found(version_seen, _) => version_seen < *version,
                Lookup::Absent => true,
                Lookup::Unwatched => false,
            });
        let lingers = self
            .gone
            .iter()
            .any(|(key, (uid, _))| match meta(seen, key) {
                Lookup::Found(_, Some(seen)) => seen == *uid,
                _ => false,
            });
        older || lingers
    }

    fn forget(&mut self) {
        self.versions.retain(|_, (_, at)| at.elapsed() < PATIENCE);
        self.gone.retain(|_, (_, at)| at.elapsed() < PATIENCE);
    }
}

enum Lookup {
    /// Version, and the UID while it is not being deleted.
    Found(u64, Option<String>),
    Absent,
    Unwatched,
}

fn meta(seen: &Seen, key: &ObjectKey) -> Lookup {
    let name = &key.name;
    let found = |meta: Option<&Meta>| {
        meta.map_or(Lookup::Absent, |meta| {
            Lookup::Found(
                number(&meta.resource_version),
                (!meta.deleting).then(|| meta.uid.clone()),
            )
        })
    };
    match key.kind {
        Kind::Deployment => found(seen.deployments.get(name).map(|object| &object.meta)),
        Kind::Service => found(seen.services.get(name).map(|object| &object.meta)),
        Kind::PodDisruptionBudget => found(seen.budgets.get(name).map(|object| &object.meta)),
        Kind::HorizontalPodAutoscaler => {
            found(seen.autoscalers.get(name).map(|object| &object.meta))
        }
        Kind::ReplicaSet => found(seen.replica_sets.get(name).map(|object| &object.meta)),
        kind if kind.is_route() => seen.routes.get(key).map_or(Lookup::Absent, |route| {
            let version = number(
                route
                    .metadata
                    .resource_version
                    .as_deref()
                    .unwrap_or_default(),
            );
            Lookup::Found(
                version,
                route
                    .metadata
                    .uid
                    .clone()
                    .filter(|_| route.metadata.deletion_timestamp.is_none()),
            )
        }),
        _ => Lookup::Unwatched,
    }
}

/// Versions of one resource are counted up (Kubernetes 1.35 made that a promise).
fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}
