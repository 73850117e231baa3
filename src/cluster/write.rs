//! Writes: each carries what it was decided on, so that a write that comes too late fails instead of doing harm.

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, EvictParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use crate::cluster::{Cluster, ClusterError, MANAGER, limited};
use crate::crd::canary::Canary;
use crate::objects::{Change, Kind, ObjectKey, mark};

/// What a write left behind: until the watches have seen it, what they show is out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object has this version now.
    Version(ObjectKey, String),
    /// The object with this UID goes.
    Gone(ObjectKey, String),
    /// Nothing that a watch will show.
    Nothing,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It stands on the Canary.
    Written,
    /// This one stands there, and was not handled yet.
    Standing(String),
    /// The Canary is gone.
    Missing,
}

impl Cluster {
    /// Performs one change.
    ///
    /// # Errors
    /// As the API server says. An object that is gone already counts as deleted.
    pub async fn apply(&self, change: Change) -> Result<Written, ClusterError> {
        match change {
            Change::Apply(object) => self.server_side_apply(MANAGER, true, &object).await,
            Change::ApplyAs(manager, object) => {
                self.server_side_apply(manager, false, &object).await
            }
            Change::Patch(key, patch) => self.json_patch(&key, patch).await,
            Change::PatchWithoutTrace(key, patch) => self.patch_without_trace(&key, patch).await,
            Change::PatchStatus(key, patch) => self.patch_status(&key, &patch).await,
            Change::Scale(key, replicas) => self.scale(&key, replicas).await,
            Change::Delete(key, uid) => self.delete(&key, uid).await,
            Change::Evict(key) => self.evict(&key).await,
        }
    }

    async fn server_side_apply(
        &self,
        manager: &str,
        force: bool,
        object: &DynamicObject,
    ) -> Result<Written, ClusterError> {
        let key = key_of(object);
        let mut params = PatchParams::apply(manager);
        params.force = force;
        let name = key.name.clone();
        let written = limited(
            "apply",
            &key,
            self.api(&key).patch(&name, &params, &Patch::Apply(object)),
        )
        .await?;
        Ok(version(key, &written))
    }

    async fn json_patch(&self, key: &ObjectKey, patch: Value) -> Result<Written, ClusterError> {
        let written = self.send_json_patch(key, patch).await?;
        Ok(version(key.clone(), &written))
    }

    async fn send_json_patch(
        &self,
        key: &ObjectKey,
        patch: Value,
    ) -> Result<DynamicObject, ClusterError> {
        let source = |error: serde_json::Error| ClusterError::Api {
            verb: "patch",
            what: key.to_string(),
            source: Box::new(kube::Error::SerdeError(error)),
        };
        let patch: json_patch::Patch = serde_json::from_value(patch).map_err(source)?;
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        limited(
            "patch",
            key,
            self.api(key)
                .patch(&key.name, &params, &Patch::Json::<()>(patch)),
        )
        .await
    }

    /// After the patch our entry in `managedFields` goes, or the owner's next apply would meet a conflict (PROVIDERS 0.2, rule 4).
    async fn patch_without_trace(
        &self,
        key: &ObjectKey,
        patch: Value,
    ) -> Result<Written, ClusterError> {
        let written = self.send_json_patch(key, patch).await?;
        let fields = written
            .metadata
            .managed_fields
            .as_deref()
            .unwrap_or_default();
        let ours = fields
            .iter()
            .position(|entry| entry.manager.as_deref() == Some(MANAGER));
        let Some(index) = ours else {
            return Ok(version(key.clone(), &written));
        };
        let erase = json!([
            {"op": "test", "path": format!("/metadata/managedFields/{index}/manager"), "value": MANAGER},
            {"op": "remove", "path": format!("/metadata/managedFields/{index}")},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": written.metadata.resource_version},
        ]);
        match self.send_json_patch(key, erase).await {
            Ok(clean) => Ok(version(key.clone(), &clean)),
            // The trace is found and removed by the next write; the weight itself stands.
            Err(error) if error.is_conflict() => Ok(version(key.clone(), &written)),
            Err(error) => Err(error),
        }
    }

    async fn patch_status(&self, key: &ObjectKey, patch: &Value) -> Result<Written, ClusterError> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let written = limited(
            "patch the status of",
            key,
            self.api(key)
                .patch_status(&key.name, &params, &Patch::Strategic(patch)),
        )
        .await?;
        Ok(version(key.clone(), &written))
    }

    async fn scale(&self, key: &ObjectKey, replicas: i32) -> Result<Written, ClusterError> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = json!({"spec": {"replicas": replicas}});
        limited(
            "scale",
            key,
            self.api(key)
                .patch_scale(&key.name, &params, &Patch::Merge(&patch)),
        )
        .await?;
        Ok(Written::Nothing)
    }

    async fn delete(&self, key: &ObjectKey, uid: String) -> Result<Written, ClusterError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.clone()),
                ..Preconditions::default()
            }),
            ..DeleteParams::background()
        };
        match limited("delete", key, self.api(key).delete(&key.name, &params)).await {
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(Written::Nothing),
            Err(error) => Err(error),
            Ok(_) => Ok(Written::Gone(key.clone(), uid)),
        }
    }

    async fn evict(&self, key: &ObjectKey) -> Result<Written, ClusterError> {
        let api: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client(), &key.namespace);
        match limited("evict", key, api.evict(&key.name, &EvictParams::default())).await {
            // 429: a budget forbids it for now.
            Err(error) if matches!(error.code(), Some(404 | 429)) => Ok(Written::Nothing),
            Err(error) => Err(error),
            Ok(_) => Ok(Written::Nothing),
        }
    }

    /// Puts our finalizer on a Canary, or takes it off.
    ///
    /// # Errors
    /// As the API server says.
    pub async fn set_finalizer(
        &self,
        canary: &Canary,
        wanted: bool,
    ) -> Result<Written, ClusterError> {
        let mut finalizers = canary.metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|finalizer| finalizer != mark::FINALIZER);
        if wanted {
            finalizers.push(mark::FINALIZER.to_owned());
        }
        let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": canary.metadata.resource_version}});
        self.merge_canary(canary, &patch).await
    }

    /// Takes a handled request off a Canary, if it is still the one that was handled.
    ///
    /// # Errors
    /// As the API server says.
    pub async fn acknowledge(&self, canary: &Canary, text: &str) -> Result<Written, ClusterError> {
        let annotations = canary.metadata.annotations.as_ref();
        if annotations
            .and_then(|all| all.get(mark::REQUEST))
            .map(String::as_str)
            != Some(text)
        {
            return Ok(Written::Nothing);
        }
        let patch = json!({"metadata": {
            "annotations": {mark::REQUEST: null, mark::REQUESTED_BY: null},
            "resourceVersion": canary.metadata.resource_version,
        }});
        self.merge_canary(canary, &patch).await
    }

    /// Writes a request of somebody to a Canary, if no other one stands there. Admission lets Serin alone say who asks.
    ///
    /// # Errors
    /// As the API server says; a conflict means that somebody else wrote in between.
    pub async fn place_request(
        &self,
        canary: &Canary,
        text: &str,
        by: &str,
    ) -> Result<Placed, ClusterError> {
        let api: Api<Canary> = Api::namespaced(self.client(), &canary.home());
        let name = canary.metadata.name.clone().unwrap_or_default();
        let key = ObjectKey::new(Kind::Canary, &canary.home(), &name);
        let live = limited("read", &key, api.get_opt(&name)).await?;
        let Some(live) = live.filter(|live| live.metadata.uid == canary.metadata.uid) else {
            return Ok(Placed::Missing);
        };
        let annotations = live.metadata.annotations.as_ref();
        if let Some(standing) = annotations.and_then(|all| all.get(mark::REQUEST)) {
            return Ok(Placed::Standing(standing.clone()));
        }
        let patch = json!({"metadata": {
            "annotations": {mark::REQUEST: text, mark::REQUESTED_BY: by},
            "resourceVersion": live.metadata.resource_version,
        }});
        match self.merge_canary(&live, &patch).await? {
            Written::Nothing => Ok(Placed::Missing),
            Written::Version(..) | Written::Gone(..) => Ok(Placed::Written),
        }
    }

    async fn merge_canary(&self, canary: &Canary, patch: &Value) -> Result<Written, ClusterError> {
        let api: Api<Canary> = Api::namespaced(self.client(), &canary.home());
        let name = canary.metadata.name.clone().unwrap_or_default();
        let key = ObjectKey::new(Kind::Canary, &canary.home(), &name);
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match limited(
            "patch",
            &key,
            api.patch(&name, &params, &Patch::Merge(patch)),
        )
        .await
        {
            Err(error) if error.code() == Some(404) => Ok(Written::Nothing),
            Err(error) => Err(error),
            Ok(written) => Ok(Written::Version(
                key,
                written.metadata.resource_version.unwrap_or_default(),
            )),
        }
    }
}

fn key_of(object: &DynamicObject) -> ObjectKey {
    let kind = object
        .types
        .as_ref()
        .and_then(|types| Kind::named(&types.api_version, &types.kind))
        .unwrap_or(Kind::Deployment);
    let metadata = &object.metadata;
    ObjectKey::new(
        kind,
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

fn version(key: ObjectKey, object: &DynamicObject) -> Written {
    Written::Version(
        key,
        object.metadata.resource_version.clone().unwrap_or_default(),
    )
}
