//! From Argo Rollouts: a `Rollout` becomes a Deployment and a Canary, an `AnalysisTemplate` MetricTemplates.

mod checks;
mod condition;
mod routers;
mod strategy;
mod template;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::argo::checks::Scene;
use crate::cli::migrate::argo::template::Template;
use crate::cli::migrate::fields::{Fields, metadata};
use crate::cli::simulate::files::Manifest;

/// Kinds of templates for analyses.
pub const TEMPLATES: [&str; 2] = ["AnalysisTemplate", "ClusterAnalysisTemplate"];

/// What of the files a Rollout may refer to.
#[derive(Default)]
pub struct Book {
    /// By namespace and name; without a namespace those of the cluster.
    templates: BTreeMap<(Option<String>, String), Template>,
    /// Ports of Services, by namespace and name.
    services: BTreeMap<(String, String), i64>,
}

impl Book {
    /// Notes the port of a Service.
    pub fn note_service(&mut self, manifest: &Manifest, home: &str) {
        if let Some(port) = manifest
            .object
            .pointer("/spec/ports/0/port")
            .and_then(Value::as_i64)
        {
            let key = (home.to_owned(), manifest.name().to_owned());
            self.services.insert(key, port);
        }
    }

    /// Reads a template, and returns the MetricTemplates that it becomes.
    pub fn read_template(
        &mut self,
        manifest: &Manifest,
        home: &str,
        account: &mut Account,
    ) -> Vec<Value> {
        let template = template::read(manifest, account);
        let of_cluster = manifest.kind() == "ClusterAnalysisTemplate";
        if of_cluster {
            account.ask(
                "metadata",
                "a MetricTemplate belongs to a namespace: apply a copy in each that uses it",
            );
        }
        let objects = template.objects.clone();
        let home = (!of_cluster).then(|| home.to_owned());
        self.templates
            .insert((home, manifest.name().to_owned()), template);
        objects
    }

    fn template(&self, reference: &Value, home: &str) -> Option<&Template> {
        let name = reference["templateName"].as_str()?.to_owned();
        let of_cluster = reference["clusterScope"] == json!(true);
        let home = (!of_cluster).then(|| home.to_owned());
        self.templates.get(&(home, name))
    }

    fn port(&self, home: &str, service: &str) -> Option<i64> {
        let key = (home.to_owned(), service.to_owned());
        self.services.get(&key).copied()
    }
}

/// Serin's objects for a Rollout: the Deployment, unless there is one, and the Canary.
#[must_use]
pub fn rollout(manifest: &Manifest, home: &str, book: &Book, account: &mut Account) -> Vec<Value> {
    let mut spec = Fields::new("spec", manifest.object.get("spec").cloned());
    let mut canary = Map::new();
    let target = target(&mut spec, manifest, account);
    canary.insert(
        "targetRef".to_owned(),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": target.name}),
    );
    pace(&mut spec, &mut canary, account);
    let rolling = {
        let scene = Scene {
            book,
            home,
            renamed: None,
        };
        strategy::convert(&mut spec, (manifest, scene), &mut canary, account)
    };
    let mut objects = Vec::new();
    if let Some(mut deployment) = target.deployment {
        deployment.extend(rolling.map(|it| ("strategy".to_owned(), it)));
        account
            .made
            .push(("Deployment".to_owned(), target.name.clone()));
        objects.push(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&manifest.object), "spec": deployment,
        }));
    } else if rolling.is_some() {
        account.drop(
            "spec.strategy",
            "maxSurge and maxUnavailable are those of the Deployment that workloadRef names",
        );
    }
    spec.close(account);
    account
        .made
        .push(("Canary".to_owned(), manifest.name().to_owned()));
    objects.push(json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": owned(metadata(&manifest.object)), "spec": canary,
    }));
    objects
}

/// Deadlines, ways back, and what a Rollout was told once.
fn pace(spec: &mut Fields, canary: &mut Map<String, Value>, account: &mut Account) {
    deadline(spec, canary, account);
    if let Some(mut window) = spec.below("rollbackWindow") {
        if let Some(revisions) = window.number("revisions") {
            account.change(
                "spec.rollbackWindow.revisions",
                "is now rollbackWindow of the Canary",
            );
            canary.insert("rollbackWindow".to_owned(), json!(revisions));
        }
        window.close(account);
    }
    spec.forget(
        &[
            (
                "paused",
                "a Rollout's own pause; hold a release with `serin pause`",
            ),
            ("restartAt", "Pods are restarted with `serin restart`"),
            (
                "analysis",
                "runs of an analysis are not kept as objects; historyLimit keeps finished releases",
            ),
        ],
        account,
    );
}

/// The Canary has the Rollout's name and labels; its annotations are the workload's.
fn owned(mut metadata: Map<String, Value>) -> Map<String, Value> {
    metadata.remove("annotations");
    metadata
}

/// The target: its name, and its spec if the Rollout held it.
struct Target {
    name: String,
    deployment: Option<Map<String, Value>>,
}

fn target(spec: &mut Fields, manifest: &Manifest, account: &mut Account) -> Target {
    let mut kept = Map::new();
    let Some(mut reference) = spec.below("workloadRef") else {
        if spec.clone().number("revisionHistoryLimit") == Some(0) {
            let why = "is left out: with 0, nothing of stable is left to go back to";
            spec.forget(&[("revisionHistoryLimit", why)], account);
        }
        let names = [
            "replicas",
            "selector",
            "template",
            "minReadySeconds",
            "revisionHistoryLimit",
        ];
        spec.keep(&names, &mut kept, account);
        return Target {
            name: manifest.name().to_owned(),
            deployment: Some(kept),
        };
    };
    let name = reference.text("name").unwrap_or_default();
    let kind = reference.text("kind").unwrap_or_default();
    account.change("spec.workloadRef", "is now targetRef of the Canary");
    if kind != "Deployment" {
        let text = format!("{kind} is not taken: Serin releases Deployments");
        account.ask("spec.workloadRef.kind", &text);
    }
    if reference.text("scaleDown").as_deref() != Some("never") {
        let text = format!(
            "Argo scales Deployment {name} down: give it its replicas back and wait for its Pods before the Rollout goes"
        );
        account.ask("spec.workloadRef.scaleDown", &text);
    }
    reference.forget(&[("apiVersion", "apps/v1 is written")], account);
    reference.close(account);
    for row in [
        "replicas",
        "selector",
        "minReadySeconds",
        "revisionHistoryLimit",
    ] {
        spec.forget(&[(row, "is the Deployment's own")], account);
    }
    Target {
        name,
        deployment: None,
    }
}

fn deadline(spec: &mut Fields, canary: &mut Map<String, Value>, account: &mut Account) {
    spec.keep(&["progressDeadlineSeconds"], canary, account);
    match spec.flag("progressDeadlineAbort") {
        Some(true) => account.drop("spec.progressDeadlineAbort", "is what Serin always does at the deadline"),
        _ => account.change(
            "spec.progressDeadlineAbort",
            "is not set: Argo went on past the deadline; Serin rejects the release and says what kept it",
        ),
    }
}
