//! The template, or the size, changes while a release is under way.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::objects::{self, APP};
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, RETREAT, Scenario};
use crate::timeline::between;
use crate::verdict::seconds;

pub(super) async fn stable_put_back_aborts_and_restarts_nothing(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &objects::until(50)).await?;
    let load = s.load().await?;
    let shipped = SystemTime::now();
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    s.shares_follow_weights(&load).await?;
    let back = SystemTime::now();
    s.put("1.0.0").await?;
    s.phase("Initialized", RETREAT).await?;
    s.canary_is_gone().await?;
    s.main_runs("1.0.0").await?;
    let zero = s.timeline().last_zero().context("the weight is not 0")?;
    s.number(
        "stable put back: weight 0 after (s)",
        seconds(between(back, zero)),
        1.0,
    )?;
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])?;
    s.main_untouched(shipped, SystemTime::now())?;
    s.last_release("Aborted").map(drop)
}

pub(super) async fn a_third_version_supersedes_and_starts_over(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &objects::until(50)).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    s.ship("3.0.0").await?;
    s.until("3.0.0 is the candidate", RETREAT, |canary| {
        is_candidate(canary, "3.0.0")
    })
    .await?;
    s.stands(RELEASE).await?;
    s.last_release("Superseded")?;
    s.shares_follow_weights(&load).await?;
    s.request("promote").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("3.0.0").await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    let weights = s.timeline().weight_values();
    ensure!(
        weights.ends_with(&[50, 0, 50, 0]),
        "the weights were {weights:?}"
    );
    s.main_ran_only(&["1.0.0", "3.0.0"])
}

pub(super) async fn a_third_version_in_promotion_waits_its_turn(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 4, &objects::quick()).await?;
    let load = s.load().await?;
    s.ship("2.0.0-start2").await?;
    s.phase("Promoting", RELEASE).await?;
    s.ship("3.0.0").await?;
    s.until("3.0.0 is the candidate", RELEASE, |canary| {
        is_candidate(canary, "3.0.0")
    })
    .await?;
    let released = s.last_release("Promoted")?;
    ensure!(
        released["images"].to_string().contains("2.0.0"),
        "2.0.0 was not promoted first: {released}"
    );
    s.until("3.0.0 is promoted", RELEASE, |canary| {
        text(canary, "/status/phase") == "Succeeded" && s.releases() == 2
    })
    .await?;
    s.main_runs("3.0.0").await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    s.went_through(
        s.begun,
        &["Promoting", "Progressing", "Promoting", "Succeeded"],
    )
}

fn is_candidate(canary: &Value, tag: &str) -> bool {
    text(canary, "/status/candidate/images/0") == format!("app:{tag}")
        && canary["status"]["candidate"]["verdict"].is_null()
}

pub(super) async fn from_zero_only_stable_comes_back(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &objects::until(50)).await?;
    let load = s.load().await?;
    s.ship("2.0.0-errors40").await?;
    s.phase("Failed", RELEASE).await?;
    s.no_request_lost(load)?;
    s.canary_is_gone().await?;
    down_and_up(s, 2).await?;
    s.put("1.0.0").await?;
    s.phase("Initialized", RETREAT).await?;
    s.ship("3.0.0").await?;
    s.until("the canary gets traffic", RELEASE, |canary| {
        canary["status"]["canaryWeight"] == 50
    })
    .await?;
    down_and_up(s, 2).await?;
    s.main_ran_only(&["1.0.0"])
}

/// A person takes all Pods away and brings them back.
async fn down_and_up(s: &Scenario, replicas: i32) -> Result<()> {
    scale(s, 0).await?;
    let gone = |found: Option<&Value>| found.is_some_and(|one| one["status"]["replicas"].is_null());
    s.until_object("all Pods are gone", (Kind::Deployment, APP), RETREAT, gone)
        .await?;
    scale(s, replicas).await?;
    let back = |found: Option<&Value>| {
        found.is_some_and(|one| one["status"]["readyReplicas"] == json!(replicas))
    };
    s.until_object("all Pods are back", (Kind::Deployment, APP), RETREAT, back)
        .await
}

async fn scale(s: &Scenario, replicas: i32) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    let scale = ["scale", "deployment/app", &replicas];
    s.kubectl(&scale).await?.fine().map(drop)
}

pub(super) async fn a_growing_target_grows_its_canary(s: &Scenario) -> Result<()> {
    s.apply(&objects::autoscaler(2, 6)).await?;
    let mut canary = objects::canary(&s.host(), &objects::until(50));
    canary["spec"]["autoscalerRef"] =
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": APP});
    s.adopt_as("1.0.0", 2, &canary).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    let pods = s.world.recorder.present(&s.namespace, Kind::Pod);
    let mains = pods
        .iter()
        .filter(|pod| pod.text("/metadata/labels/app") == APP);
    for pod in mains {
        // The cluster's metrics server reads from here what a Pod uses: three times what it asked for.
        let busy = json!({"metadata": {"annotations": {"test.serin.dev/cpu": "30m"}}});
        s.merge(Kind::Pod, &pod.name, &busy).await?;
    }
    let ready = |name: &'static str, least: i64| {
        let what = format!("{name} has {least} Pods");
        async move {
            let grown = |found: Option<&Value>| {
                found.is_some_and(|one| one["status"]["readyReplicas"].as_i64() >= Some(least))
            };
            s.until_object(&what, (Kind::Deployment, name), GROWTH, grown)
                .await
        }
    };
    ready(APP, 6).await?;
    ready("app-canary", 3).await?;
    s.request("promote").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load).map(drop)
}

/// Somebody makes stable smaller in mid canary, and then aborts: it is as large as before when its traffic comes back.
pub(super) async fn a_stable_made_smaller_is_widened_on_the_way_back(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &objects::until(50)).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    scale(s, 1).await?;
    let ready = |least: i64| {
        move |found: Option<&Value>| {
            found.is_some_and(|one| one["status"]["readyReplicas"] == json!(least))
        }
    };
    let main = (Kind::Deployment, APP);
    s.until_object("one Pod is left", main, RETREAT, ready(1))
        .await?;
    s.request("abort").await?;
    s.until_object("all are back", main, RETREAT, ready(3))
        .await?;
    s.phase("Failed", RETREAT).await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])
}

/// The autoscaler looks every 15 s.
const GROWTH: Duration = Duration::from_secs(90);
