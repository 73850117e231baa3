//! Candidates that do not start: rejected in time, with the reason and what to try.

use std::time::SystemTime;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::objects::{self, APP};
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, Scenario};
use crate::timeline::between;
use crate::verdict::seconds;

/// A missing image is rejected within this time, whatever the deadline (SAFETY, waits).
const IMAGE: f64 = 45.0;

/// Deadline of the others, so that they take no longer than needed.
const DEADLINE: i32 = 15;

/// Rejected candidates may take so much longer than the deadline until the status says so.
const SLACK: f64 = 10.0;

pub(super) async fn a_missing_image_is_rejected_within_45_seconds(s: &Scenario) -> Result<()> {
    adopt(s, 600).await?;
    let shipped = SystemTime::now();
    s.put("99.99").await?;
    rejected(s, shipped, &["ImagePull", "not found"]).await?;
    s.number(
        "missing image: rejected after (s)",
        after(s, shipped),
        IMAGE,
    )
}

pub(super) async fn a_crash_loop_is_rejected_with_its_exit_code(s: &Scenario) -> Result<()> {
    adopt(s, DEADLINE).await?;
    let shipped = SystemTime::now();
    s.ship("2.0.0-crash").await?;
    rejected(s, shipped, &["CrashLoopBackOff", "1"]).await?;
    in_time(s, shipped)
}

pub(super) async fn a_canary_that_is_never_ready_is_rejected(s: &Scenario) -> Result<()> {
    adopt(s, DEADLINE).await?;
    let shipped = SystemTime::now();
    s.ship("2.0.0-notready").await?;
    rejected(s, shipped, &["eadiness"]).await?;
    in_time(s, shipped)
}

pub(super) async fn a_failing_init_container_is_named(s: &Scenario) -> Result<()> {
    adopt(s, DEADLINE).await?;
    s.world.images(&["2.0.0"]).await?;
    let shipped = SystemTime::now();
    let init = json!([{"name": "migrate", "image": "app:2.0.0", "args": ["exit", "3"]}]);
    change(s, "initContainers", init).await?;
    rejected(s, shipped, &["migrate", "3"]).await?;
    in_time(s, shipped)
}

pub(super) async fn no_room_on_the_node_is_said(s: &Scenario) -> Result<()> {
    adopt(s, DEADLINE).await?;
    let shipped = SystemTime::now();
    let mut containers =
        objects::deployment("1.0.0", 2)["spec"]["template"]["spec"]["containers"].take();
    containers[0]["resources"]["requests"]["cpu"] = json!("400");
    change(s, "containers", containers).await?;
    rejected(s, shipped, &["nsufficient cpu"]).await?;
    in_time(s, shipped)
}

/// One Pod of stable with traffic is enough here: it only has to stay what it is.
async fn adopt(s: &Scenario, deadline: i32) -> Result<()> {
    let mut canary = objects::canary(&s.host(), &objects::quick());
    canary["spec"]["progressDeadlineSeconds"] = json!(deadline);
    s.adopt_as("1.0.0", 1, &canary).await
}

async fn change(s: &Scenario, field: &str, value: Value) -> Result<()> {
    let change = json!({"spec": {"template": {"spec": {field: value}}}});
    s.merge(Kind::Deployment, APP, &change).await
}

/// Failed, with a diagnosis that holds all these words and a hint; stable stays as it was, and no user saw the canary.
async fn rejected(s: &Scenario, shipped: SystemTime, words: &[&str]) -> Result<()> {
    s.phase("Failed", RELEASE).await?;
    let canary = s.canary();
    let diagnosis = canary["status"]["diagnosis"].as_array().cloned();
    let diagnosis = diagnosis.unwrap_or_default();
    let said = format!("{} {diagnosis:?}", text(&canary, "/status/message"));
    for word in words {
        ensure!(said.contains(word), "no {word:?} in {said}");
    }
    let hinted = diagnosis.iter().any(|one| !text(one, "/hint").is_empty());
    ensure!(hinted, "nothing to try is named: {said}");
    s.canary_is_gone().await?;
    let weights = s.timeline().weight_values();
    ensure!(
        weights.iter().all(|weight| *weight == 0),
        "weights {weights:?}"
    );
    s.main_ran_only(&["1.0.0"])?;
    s.main_untouched(shipped, SystemTime::now())?;
    s.last_release("RolledBack").map(drop)
}

fn in_time(s: &Scenario, shipped: SystemTime) -> Result<()> {
    let most = f64::from(DEADLINE) + SLACK;
    s.number(
        "does not start: rejected after (s)",
        after(s, shipped),
        most,
    )
}

fn after(s: &Scenario, shipped: SystemTime) -> f64 {
    let failed = s.timeline().phase_from("Failed", shipped);
    failed.map_or(f64::INFINITY, |failed| seconds(between(shipped, failed)))
}
