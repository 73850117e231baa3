//! The stages of `pipelines/release` as a runner calls them, on a real cluster: staging beside production.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::objects::APP;
use crate::process::{self, Said};
use crate::scenario::{ADOPTION, Scenario};

/// No stage takes longer.
const LONGEST: Duration = Duration::from_secs(300);

/// A good version goes to staging, is tested there, goes to production and is promoted; a bad one ends the pipeline in production and
/// is rolled back.
pub(super) async fn the_pipeline_ships_the_good_and_stops_the_bad(s: &Scenario) -> Result<()> {
    let done = all(s).await;
    let staging = staging(s);
    let delete = [
        "delete",
        "namespace",
        &staging,
        "--wait=false",
        "--ignore-not-found",
    ];
    s.world.kubectl(&delete).await?.fine()?;
    done
}

async fn all(s: &Scenario) -> Result<()> {
    for environment in ["staging", "production"] {
        ships(s, environment, "1.0.0").await?;
        gated(s, environment).await?;
    }
    s.phase("Initialized", ADOPTION).await?;
    let load = s.load().await?;
    for environment in ["staging", "production"] {
        ships(s, environment, "2.0.0").await?;
        image(s, environment, "2.0.0").await?;
    }
    s.last_release("Promoted")?;
    s.main_runs("2.0.0").await?;
    // Staging has no users, so nothing is wrong there yet.
    ships(s, "staging", "3.0.0-errors50").await?;
    let said = stage(s, &["deploy", "production"], "3.0.0-errors50").await?;
    ensure!(said.code == 1, "exit code {}: {}", said.code, said.err);
    for words in ["request-success-rate", "RolledBack", "was not deployed"] {
        ensure!(said.err.contains(words), "no {words:?} in: {}", said.err);
    }
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    let ran = s.timeline().tags_on_main();
    ensure!(
        !ran.contains("3.0.0-errors50"),
        "the main release ran {ran:?}"
    );
    // And the next one goes through as if nothing had been.
    ships(s, "production", "3.0.1").await?;
    s.main_runs("3.0.1").await?;
    s.no_request_lost(load).map(drop)
}

/// Everything that comes before a release of one environment, the release, and its tests.
async fn ships(s: &Scenario, environment: &str, tag: &str) -> Result<()> {
    s.world.images(&[tag]).await?;
    for words in ["validate", "render", "diff", "deploy", "test"] {
        let said = stage(s, &[words, environment], tag).await?;
        ensure!(said.code == 0, "{words} {environment}: {said:?}");
    }
    Ok(())
}

/// One call of the script.
async fn stage(s: &Scenario, words: &[&str], tag: &str) -> Result<Said> {
    let root = &s.world.places.root;
    let values = |environment: &str| {
        let chart = root.join(format!("chart/pipeline-app/values-{environment}.yaml"));
        let cluster = root.join("tests/helm/values-cluster.yaml");
        format!("{} {}", chart.display(), cluster.display())
    };
    let set = |host: &str| format!("canary.enabled=true,httpRoute.hostnames[0]={host}");
    let home = s.world.places.out.join("stages").join(&s.namespace);
    let mut command = Command::new(root.join("pipelines/release"));
    command
        .args(words)
        .env("KUBECONFIG", s.world.kubeconfig())
        .env("HELM", s.world.helm_program())
        .env("KUBECTL", s.world.kubectl_program())
        .env("SERIN", s.world.places.binary("serin"))
        .env("OUT", home.join("rendered"))
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .env("CHART", root.join("chart/pipeline-app"))
        .env("RELEASE", APP)
        .env("NAMESPACE_STAGING", staging(s))
        .env("NAMESPACE_PRODUCTION", &s.namespace)
        .env("VALUES_STAGING", values("staging"))
        .env("VALUES_PRODUCTION", values("prod"))
        // Nobody is on staging: readiness decides there, after one step.
        .env(
            "SET_STAGING",
            format!("{},canary.stepWeights={{100}}", set("staging.example.com")),
        )
        .env("SET_PRODUCTION", set(&s.host()))
        .env("IMAGE_TAG", tag)
        .env("GIT_COMMIT", "0123abc")
        .env("BUILD_NUMBER", "7");
    process::call_for(command, LONGEST).await
}

/// The namespace of staging; production is the scenario's own.
fn staging(s: &Scenario) -> String {
    format!("{}-staging", s.namespace)
}

fn namespace(s: &Scenario, environment: &str) -> String {
    match environment {
        "staging" => staging(s),
        _ => s.namespace.clone(),
    }
}

/// Serin protects what runs there.
async fn gated(s: &Scenario, environment: &str) -> Result<()> {
    let namespace = namespace(s, environment);
    let wait = [
        "wait",
        "-n",
        &namespace,
        "canary/app",
        "--for=condition=Gated",
        "--timeout=60s",
    ];
    s.world.kubectl(&wait).await?.fine().map(drop)
}

/// The main release there has this tag, and all of it is rolled out.
async fn image(s: &Scenario, environment: &str, tag: &str) -> Result<()> {
    let namespace = namespace(s, environment);
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let get = ["get", "-n", &namespace, "deployment/app", "-o", image];
    let runs = s.world.kubectl(&get).await?.fine()?;
    ensure!(runs == format!("app:{tag}"), "{environment} runs {runs}");
    let status = [
        "rollout",
        "status",
        "-n",
        &namespace,
        "deployment/app",
        "--timeout=20s",
    ];
    s.world.kubectl(&status).await?.fine().map(drop)
}
