//! What the gate as a webhook keeps in the cluster: a Secret, and the certificates that API servers trust.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::cluster::{Cluster, ClusterError, MANAGER, limited};
use crate::objects::mark;

/// Name of the configuration.
pub const CONFIGURATION: &str = "serin-gate";

/// The text of a Secret, and the version that was read.
#[derive(Clone)]
pub struct Secret {
    /// Its data. What is not text is left out.
    pub data: BTreeMap<String, String>,
    metadata: ObjectMeta,
    kind: Option<String>,
}

impl Secret {
    /// Whether somebody said that Serin may send what stands in it.
    #[must_use]
    pub fn is_for_sending(&self) -> bool {
        let labels = self.metadata.labels.as_ref();
        let label = labels.and_then(|labels| labels.get(mark::CREDENTIALS));
        label.is_some_and(|value| value == "true")
    }
}

impl Cluster {
    /// A Secret. It is read when it is needed, and never kept.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Secret>, ClusterError> {
        let api: Api<v1::Secret> = Api::namespaced(self.client(), namespace);
        let what = format!("Secret {namespace}/{name}");
        let found = limited("read", &what, api.get_opt(name)).await?;
        Ok(found.map(|secret| Secret {
            data: texts(secret.data.unwrap_or_default()),
            metadata: secret.metadata,
            kind: secret.type_,
        }))
    }

    /// Writes the very version of a Secret that was read; a conflict means that somebody else wrote.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn write_secret(
        &self,
        namespace: &str,
        name: &str,
        secret: Secret,
    ) -> Result<(), ClusterError> {
        let api: Api<v1::Secret> = Api::namespaced(self.client(), namespace);
        let data = secret.data.into_iter();
        let mut metadata = secret.metadata;
        metadata.managed_fields = None;
        let next = v1::Secret {
            data: Some(
                data.map(|(key, text)| (key, ByteString(text.into_bytes())))
                    .collect(),
            ),
            metadata,
            type_: secret.kind,
            ..v1::Secret::default()
        };
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let what = format!("Secret {namespace}/{name}");
        limited("write", &what, api.replace(name, &params, &next)).await?;
        Ok(())
    }

    /// The certificates that API servers trust for the webhook, in PEM; nothing if its webhooks do not all say the same.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn trusted_bundle(&self) -> Result<Option<String>, ClusterError> {
        let found = self.configuration().await?;
        let hooks = found.webhooks.unwrap_or_default().into_iter();
        let mut bundles: Vec<_> = hooks.map(|hook| hook.client_config.ca_bundle).collect();
        bundles.dedup();
        let [Some(bundle)] = bundles.as_slice() else {
            return Ok(None);
        };
        Ok(String::from_utf8(bundle.0.clone()).ok())
    }

    /// Makes API servers trust these certificates for the webhook.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn trust(&self, bundle: &str) -> Result<(), ClusterError> {
        let hooks = self.configuration().await?.webhooks.unwrap_or_default();
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let hooks: Vec<_> = hooks
            .iter()
            .map(|hook| json!({"name": hook.name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client());
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Strategic(json!({"webhooks": hooks}));
        limited(
            "write",
            &CONFIGURATION,
            api.patch(CONFIGURATION, &params, &patch),
        )
        .await?;
        Ok(())
    }

    async fn configuration(&self) -> Result<MutatingWebhookConfiguration, ClusterError> {
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client());
        let what = format!("MutatingWebhookConfiguration {CONFIGURATION}");
        limited("read", &what, api.get(CONFIGURATION)).await
    }
}

fn texts(data: BTreeMap<String, ByteString>) -> BTreeMap<String, String> {
    let texts = data.into_iter();
    texts
        .filter_map(|(key, bytes)| Some((key, String::from_utf8(bytes.0).ok()?)))
        .collect()
}
