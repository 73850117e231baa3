//! A team's pipeline: releases of `chart/pipeline-app` by Helm, as a runner calls it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::objects::APP;
use crate::process::{self, Said};
use crate::scenario::Scenario;

/// Names Helm 3's program for the part of the run that happens in the cluster's network.
pub(crate) const HELM3: &str = "SERIN_REAL_HELM3";

/// No call of Helm takes longer.
const LONGEST: Duration = Duration::from_secs(240);

/// A release named like the application, in the scenario's namespace.
pub(crate) struct Pipeline<'a> {
    pub(crate) s: &'a Scenario,
    helm: PathBuf,
    /// Files of values of the repository, of every call.
    files: Vec<&'a str>,
    /// What every call sets.
    values: Vec<String>,
}

impl<'a> Pipeline<'a> {
    /// A pipeline with the cluster's own Helm.
    pub(crate) fn new(s: &'a Scenario) -> Self {
        Self {
            helm: s.world.helm_program(),
            files: vec!["tests/helm/values-cluster.yaml"],
            values: vec![format!("httpRoute.hostnames[0]={}", s.host())],
            s,
        }
    }

    /// A pipeline with Helm 3, whose upgrades wait by a hook.
    pub(crate) fn with_helm_3(s: &'a Scenario) -> Result<Self> {
        let helm = std::env::var_os(HELM3).map(PathBuf::from);
        let helm = helm.filter(|program| program.is_file());
        ensure!(helm.is_some(), "there is no Helm 3");
        let mut pipeline = Self::new(s).set(&["canary.waitHook.enabled=true"]);
        pipeline.helm = helm.unwrap_or_default();
        Ok(pipeline)
    }

    /// The same with more values.
    pub(crate) fn set(mut self, values: &[&str]) -> Self {
        let more = values.iter().map(|value| (*value).to_owned());
        self.values.extend(more);
        self
    }

    /// The same with one more file of values.
    pub(crate) fn with_file(mut self, file: &'a str) -> Self {
        self.files.push(file);
        self
    }

    /// The first release, with a Canary, once Serin protects it.
    pub(crate) async fn begin(&self, tag: &str) -> Result<()> {
        self.s.world.images(&[tag]).await?;
        let image = format!("image.tag={tag}");
        let said = self
            .release(
                "install",
                &[&image, "canary.enabled=true"],
                &["--wait", "--timeout", "90s"],
            )
            .await?;
        said.fine()?;
        self.s.phase("Initialized", crate::scenario::ADOPTION).await
    }

    /// An upgrade to a tag that only succeeds once the tag is verified, and otherwise takes itself back.
    pub(crate) async fn ship(&self, tag: &str) -> Result<Said> {
        self.s.world.images(&[tag]).await?;
        self.upgrade(tag, "120s").await
    }

    /// The same without making sure that the image exists.
    pub(crate) async fn upgrade(&self, tag: &str, timeout: &str) -> Result<Said> {
        let image = format!("image.tag={tag}");
        let values = [image.as_str(), "canary.enabled=true"];
        let mut flags = vec!["--wait", "--timeout", timeout];
        flags.push(self.atomic());
        self.release("upgrade", &values, &flags).await
    }

    fn atomic(&self) -> &'static str {
        if self.helm == self.s.world.helm_program() {
            "--rollback-on-failure"
        } else {
            "--atomic"
        }
    }

    /// `helm install` or `helm upgrade` of our chart.
    pub(crate) async fn release(
        &self,
        verb: &str,
        values: &[&str],
        flags: &[&str],
    ) -> Result<Said> {
        process::call_for(self.command(verb, values, flags), LONGEST).await
    }

    /// The command, for who starts it and does other things meanwhile.
    pub(crate) fn command(&self, verb: &str, values: &[&str], flags: &[&str]) -> Command {
        let root = &self.s.world.places.root;
        let chart = root.join("chart/pipeline-app");
        let mut command = program(self.s, &self.helm, &self.s.namespace);
        command.args([verb, APP]).arg(&chart);
        for file in &self.files {
            command.arg("--values").arg(root.join(file));
        }
        for value in self
            .values
            .iter()
            .map(String::as_str)
            .chain(values.iter().copied())
        {
            command.args(["--set", value]);
        }
        command.args(flags);
        command
    }

    /// Another command of Helm about the release.
    pub(crate) async fn call(&self, arguments: &[&str]) -> Result<Said> {
        helm(self.s, &self.helm, &self.s.namespace, arguments).await
    }

    /// The revisions of the release as Helm tells them, oldest first: status and description.
    pub(crate) async fn history(&self) -> Result<Vec<(String, String)>> {
        let said = self.call(&["history", APP, "--output", "json"]).await?;
        let entries: serde_json::Value = serde_json::from_str(&said.fine()?)?;
        let text = |entry: &serde_json::Value, field: &str| {
            entry[field].as_str().unwrap_or_default().to_owned()
        };
        let entries = entries.as_array().into_iter().flatten();
        Ok(entries
            .map(|entry| (text(entry, "status"), text(entry, "description")))
            .collect())
    }
}

/// What Helm says in a namespace.
pub(crate) async fn helm(
    s: &Scenario,
    helm: &Path,
    namespace: &str,
    arguments: &[&str],
) -> Result<Said> {
    let mut command = program(s, helm, namespace);
    command.args(arguments);
    process::call_for(command, LONGEST).await
}

/// Helm with folders of its own.
fn program(s: &Scenario, helm: &Path, namespace: &str) -> Command {
    let mut command = Command::new(helm);
    let home = s.world.places.out.join("helm");
    for (variable, folder) in [
        ("HELM_CACHE_HOME", "cache"),
        ("HELM_CONFIG_HOME", "config"),
        ("HELM_DATA_HOME", "data"),
    ] {
        command.env(variable, home.join(folder));
    }
    command
        .env("KUBECONFIG", s.world.kubeconfig())
        .args(["--namespace", namespace]);
    command
}
