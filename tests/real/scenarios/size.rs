//! What Serin costs: calls while nothing happens, writes while something does, and memory.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::audit::Call;
use crate::objects::{self, APP};
use crate::process;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, Scenario};

/// So long an idle Canary is watched for calls.
const QUIET: Duration = Duration::from_secs(60);

/// So long the last tick may go on after it wrote its status.
const TOLD: Duration = Duration::from_secs(3);

/// Canaries of the test of memory.
const MANY: usize = 100;

/// Most memory with them, in MiB: what is the controller's own, for pages of the program are shared and can be dropped.
const MEMORY: f64 = 40.0;

/// Writes that one step may take: scale, weight, status; with routes of the user one more.
const WRITES: f64 = 4.0;
const WRITES_USERS_ROUTE: f64 = 5.0;

pub(super) async fn an_idle_canary_costs_no_call(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 1, &objects::quick()).await?;
    let load = s.load_of(20.0).await?;
    // Events come after the status: the adoption is told to its end before anything is counted.
    tokio::time::sleep(TOLD).await;
    let from = SystemTime::now();
    tokio::time::sleep(QUIET).await;
    let calls = ours(s, from, SystemTime::now())?;
    let lines: Vec<_> = calls.iter().map(Call::line).collect();
    s.number("idle: API calls in 60 s", lines.len() as f64, 0.0)
        .with_context(|| format!("{lines:?}"))?;
    s.no_request_lost(load).map(drop)
}

pub(super) async fn a_step_takes_four_writes(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &objects::quick()).await?;
    writes(s, "writes of a step", WRITES).await
}

pub(super) async fn a_step_on_a_users_route_takes_five_writes(s: &Scenario) -> Result<()> {
    s.apply(&objects::route("web", &s.host())).await?;
    let canary = objects::canary_of_route("web", &objects::quick());
    s.adopt_as("1.0.0", 2, &canary).await?;
    writes(s, "writes of a step (user's route)", WRITES_USERS_ROUTE).await
}

/// Writes between the begins of two steps, from the second to the third, with one check.
async fn writes(s: &Scenario, name: &str, most: f64) -> Result<()> {
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.no_request_lost(load)?;
    let begun = step_begins(s);
    let [_, second, third] = begun.as_slice() else {
        anyhow::bail!("not three steps but {}", begun.len());
    };
    let calls = ours(s, *second, *third)?;
    let lines: Vec<_> = calls
        .iter()
        .filter(|call| call.writes())
        .map(Call::line)
        .collect();
    s.number(name, lines.len() as f64, most)
        .with_context(|| format!("{lines:?}"))
}

/// When each step began, by its own word.
fn step_begins(s: &Scenario) -> Vec<SystemTime> {
    let mut begins: Vec<(i64, SystemTime)> = Vec::new();
    for record in s.world.recorder.all(&s.namespace) {
        let started: Option<jiff::Timestamp> = record.text("/status/step/startedAt").parse().ok();
        let index = record
            .object
            .pointer("/status/step/index")
            .and_then(Value::as_i64);
        if let (Kind::Canary, Some(started), Some(index)) = (record.kind, started, index)
            && begins.iter().all(|(known, _)| *known != index)
        {
            begins.push((index, started.into()));
        }
    }
    begins.into_iter().map(|(_, at)| at).collect()
}

/// The controller's calls about this namespace.
fn ours(s: &Scenario, from: SystemTime, to: SystemTime) -> Result<Vec<Call>> {
    let calls = s.world.audit.calls(from, to)?;
    let ours = calls
        .into_iter()
        .filter(|call| call.namespace == s.namespace);
    Ok(ours.collect())
}

pub(super) async fn a_hundred_canaries_fit_into_40_mib(s: &Scenario) -> Result<()> {
    for number in 0..MANY {
        let name = format!("app-{number:03}");
        for mut object in [
            objects::service(),
            objects::deployment("1.0.0", 0),
            objects::canary(&format!("{name}.example.com"), &objects::quick()),
        ] {
            object["metadata"]["name"] = json!(name);
            rename(&mut object, &name);
            s.apply(&object).await?;
        }
    }
    let what = "all Canaries are adopted";
    let recorder = &s.world.recorder;
    let adopted = |record: &&crate::record::Record| record.text("/status/phase") == "Initialized";
    recorder
        .wait(what, ADOPTION, |recorder| {
            let canaries = recorder.present(&s.namespace, Kind::Canary);
            (canaries.iter().filter(adopted).count() == MANY).then_some(())
        })
        .await?;
    let pod = s.world.controller()?;
    let (resident, own) = process::memory(s.world.controller_process(&pod)?)?;
    s.number(
        "100 canaries: resident memory (MiB)",
        resident as f64 / 1024.0,
        1000.0,
    )?;
    s.number(
        "100 canaries: memory of its own (MiB)",
        own as f64 / 1024.0,
        MEMORY,
    )?;
    ensure!(s.get(Kind::Canary, APP).is_none(), "names are mixed up");
    Ok(())
}

/// A hundred adoptions on two busy cores.
const ADOPTION: Duration = Duration::from_secs(120);

/// Gives an object of the application another application's name.
fn rename(object: &mut Value, name: &str) {
    match text(object, "/kind") {
        "Service" => object["spec"]["selector"]["app"] = json!(name),
        "Deployment" => {
            object["spec"]["selector"]["matchLabels"]["app"] = json!(name);
            object["spec"]["template"]["metadata"]["labels"]["app"] = json!(name);
        }
        _ => object["spec"]["targetRef"]["name"] = json!(name),
    }
}
