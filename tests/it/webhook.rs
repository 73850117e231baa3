//! The webhook's certificates on a cluster: made, kept, trusted, and put right.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use serin::cli::embedded;
use serin::clock::Clock;
use serin::cluster::Cluster;
use serin::server::tls::Served;
use serin::server::webhook::{Keeper, Own, keep};
use serin::sim::world::client;
use tokio::task::JoinSet;

/// A cluster with the objects of `deploy/older`, and replicas that look after the certificate.
struct Stage {
    client: Client,
    clock: Clock,
    replicas: JoinSet<()>,
    served: Vec<Served>,
}

impl Stage {
    async fn new() -> Self {
        let clock = Clock::simulated();
        let api = serin::sim::api::Api::new(clock);
        api.add_namespace("serin-system");
        let stage = Self {
            client: client(&api, &embedded::person("alice")),
            clock,
            replicas: JoinSet::new(),
            served: Vec::new(),
        };
        stage.make_secret().await;
        let hook = |name: &str| {
            json!({
                "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": {"name": "serin-webhook", "namespace": "serin-system", "path": "/hold"}},
            })
        };
        let hooks = json!({"metadata": {"name": "serin-gate"}, "webhooks": [hook("hold.serin.dev"), hook("stamp.serin.dev")]});
        let hooks = serde_json::from_value(hooks).unwrap();
        stage
            .hooks()
            .create(&PostParams::default(), &hooks)
            .await
            .unwrap();
        stage
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), "serin-system")
    }

    fn hooks(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    async fn make_secret(&self) {
        let secret =
            serde_json::from_value(json!({"metadata": {"name": "serin-webhook"}})).unwrap();
        self.secrets()
            .create(&PostParams::default(), &secret)
            .await
            .unwrap();
    }

    fn replica(&mut self, life: Duration) {
        let keeper = Keeper {
            namespace: "serin-system".to_owned(),
            name: "serin-webhook".to_owned(),
            life,
            clock: self.clock,
            own: Own::default(),
        };
        let client = self.client.clone();
        let cluster = Cluster::over(move || Ok(client.clone())).unwrap();
        let served = Served::default();
        self.served.push(served.clone());
        self.replicas.spawn(keep(keeper, cluster, served));
    }

    /// The certificate that serves, as the Secret has it.
    async fn serving(&self) -> Option<String> {
        let secret = self.secrets().get("serin-webhook").await.unwrap();
        let text = secret.data?.remove("tls.crt")?;
        Some(String::from_utf8(text.0).unwrap())
    }

    /// What the API servers trust, which is the same for both webhooks.
    async fn trusted(&self) -> String {
        let hooks = self
            .hooks()
            .get("serin-gate")
            .await
            .unwrap()
            .webhooks
            .unwrap();
        let bundles: BTreeSet<Vec<u8>> = hooks
            .into_iter()
            .map(|hook| {
                hook.client_config
                    .ca_bundle
                    .unwrap_or(ByteString(Vec::new()))
                    .0
            })
            .collect();
        assert_eq!(bundles.len(), 1, "the webhooks differ");
        String::from_utf8(bundles.into_iter().next().unwrap()).unwrap()
    }

    async fn change_hooks(&self, patch: Value) {
        let patch = Patch::Strategic(patch);
        self.hooks()
            .patch("serin-gate", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn two_replicas_agree_on_one_certificate() {
    let mut stage = Stage::new().await;
    stage.replica(HOUR);
    stage.replica(HOUR);
    pass(5).await;
    assert!(stage.served.iter().all(Served::is_there));
    let serving = stage.serving().await.unwrap();
    assert_eq!(stage.trusted().await, serving);
    pass(60).await;
    assert_eq!(stage.serving().await.unwrap(), serving);
}

#[tokio::test(start_paused = true)]
async fn whoever_serves_is_trusted_over_many_lives() {
    let mut stage = Stage::new().await;
    stage.replica(HOUR);
    stage.replica(HOUR);
    let mut seen = BTreeSet::new();
    for _ in 0..6 * 60 {
        pass(60).await;
        let serving = stage.serving().await.unwrap();
        assert!(stage.trusted().await.contains(&serving));
        seen.insert(serving);
    }
    assert!(
        (8..=10).contains(&seen.len()),
        "{} certificates in six hours",
        seen.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_somebody_took_away_is_put_back() {
    let mut stage = Stage::new().await;
    stage.replica(HOUR);
    pass(5).await;
    let trusted = stage.trusted().await;
    let other = json!([{"name": "stamp.serin.dev", "clientConfig": {"caBundle": "eA=="}}]);
    let rows = [
        json!({"webhooks": [{"name": "hold.serin.dev", "clientConfig": {"caBundle": null}}]}),
        json!({"webhooks": other}),
    ];
    for row in rows {
        stage.change_hooks(row.clone()).await;
        pass(31).await;
        assert_eq!(stage.trusted().await, trusted, "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_lost_is_filled_again_when_it_is_back() {
    let mut stage = Stage::new().await;
    stage.replica(HOUR);
    pass(5).await;
    let before = stage.serving().await.unwrap();
    stage
        .secrets()
        .delete("serin-webhook", &DeleteParams::default())
        .await
        .unwrap();
    pass(60).await;
    stage.make_secret().await;
    pass(31).await;
    let after = stage.serving().await.unwrap();
    assert_ne!(after, before);
    assert_eq!(stage.trusted().await, after);
    assert_eq!(stage.replicas.len(), 1, "it goes on");
}
