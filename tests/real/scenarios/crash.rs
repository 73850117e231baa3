//! The controller dies, freezes, or has a rival.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::install;
use crate::objects;
use crate::process;
use crate::record::{number, text};
use crate::scenario::{RELEASE, Scenario};
use crate::timeline::between;
use crate::verdict::seconds;
use crate::world::HOME;

/// A moment in the life of a release.
struct Moment {
    name: &'static str,
    is: fn(&Value) -> bool,
}

/// Ten moments, each at another kind of write.
const MOMENTS: [Moment; 10] = [
    Moment {
        name: "the candidate was held",
        is: |one| phase(one, "Progressing"),
    },
    Moment {
        name: "the canary is starting",
        is: |one| says(one, "waiting for the canary"),
    },
    Moment {
        name: "10 % was wanted",
        is: |one| wanted(one) >= 10 && says(one, "moving to 10"),
    },
    Moment {
        name: "10 % was accepted",
        is: |one| weight(one) >= 10,
    },
    Moment {
        name: "the clock of step 1 runs",
        is: |one| index(one) >= 0 && clock(one),
    },
    Moment {
        name: "step 2 began",
        is: |one| index(one) >= 1,
    },
    Moment {
        name: "50 % was accepted",
        is: |one| weight(one) >= 50,
    },
    Moment {
        name: "step 3 began",
        is: |one| index(one) >= 2,
    },
    Moment {
        name: "promotion began",
        is: |one| phase(one, "Promoting"),
    },
    Moment {
        name: "traffic goes back",
        is: |one| phase(one, "Finalising"),
    },
];

/// Killed at ten moments of one release: the same end, nothing twice, no step early.
pub(super) async fn a_crash_at_any_moment_changes_nothing(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &objects::quick()).await?;
    let load = s.load().await?;
    let shipped = SystemTime::now();
    s.ship("2.0.0").await?;
    for Moment { name, is } in &MOMENTS {
        s.until(name, RELEASE, |one| is(one) || is_past(one))
            .await?;
        kill_again(s)
            .await
            .with_context(|| format!("when {name}"))?;
    }
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    s.last_release("Promoted")?;
    ensure!(
        s.releases() == 1,
        "{} releases in the history",
        s.releases()
    );
    let attempt = s.canary()["status"]["history"][0]["attempt"].clone();
    ensure!(attempt == 1, "it took attempt {attempt}");
    s.no_early_step(&[10, 50, 100])?;
    let weights = s.timeline().weight_values();
    ensure!(
        weights == [0, 10, 50, 100, 0],
        "the weights were {weights:?}"
    );
    s.main_ran_only(&["1.0.0", "2.0.0"])?;
    s.went_through(
        shipped,
        &["Progressing", "Promoting", "Finalising", "Succeeded"],
    )
}

/// The controller is dead at once, and another one leads as if the lease had run out: that it does run out is another
/// scenario's matter, and ten times 15 s.
async fn kill_again(s: &Scenario) -> Result<()> {
    let killed = s.world.controller()?;
    kill_for_good(s, &killed).await?;
    s.world.another_controller(&killed).await?;
    let free = json!({"spec": {"holderIdentity": ""}}).to_string();
    let patch = [
        "patch",
        "lease",
        "serin",
        "-n",
        HOME,
        "--type=merge",
        "-p",
        &free,
    ];
    s.world.kubectl(&patch).await?.fine()?;
    leader(s).await.map(drop)
}

/// Kills a controller so that its kubelet does not start it again, and so that it can neither finish nor give up its lease.
async fn kill_for_good(s: &Scenario, pod: &str) -> Result<()> {
    let process = s.world.controller_process(pod)?;
    process::signal(process, "STOP")?;
    let delete = [
        "delete",
        "pod",
        "-n",
        HOME,
        pod,
        "--wait=false",
        "--grace-period=0",
        "--force",
    ];
    let deleted = s.world.kubectl(&delete).await;
    // Its kubelet may have been faster.
    let _ = process::signal(process, "KILL");
    deleted?.fine().map(drop)
}

fn phase(canary: &Value, phase: &str) -> bool {
    text(canary, "/status/phase") == phase
}
fn is_past(canary: &Value) -> bool {
    phase(canary, "Succeeded")
}
fn says(canary: &Value, words: &str) -> bool {
    text(canary, "/status/message").contains(words)
}
fn weight(canary: &Value) -> i64 {
    number(canary, "/status/canaryWeight")
}
fn wanted(canary: &Value) -> i64 {
    number(canary, "/status/traffic/wanted")
}
fn clock(canary: &Value) -> bool {
    !text(canary, "/status/step/clockAt").is_empty()
}
fn index(canary: &Value) -> i64 {
    let index = canary.pointer("/status/step/index").and_then(Value::as_i64);
    index.unwrap_or(-1)
}

/// The kubelet starts a killed controller again in its Pod, and it goes on.
pub(super) async fn a_killed_controller_comes_back_by_itself(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &objects::until(10)).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    let restarts = s.world.controller_restarts();
    s.world.crash_controller()?;
    s.world
        .recorder
        .wait("the controller was started again", RELEASE, |_| {
            (s.world.controller_restarts() > restarts).then_some(())
        })
        .await?;
    s.world.controllers_ready(1).await?;
    s.request("promote").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load).map(drop)
}

/// A second controller takes over within this time after the first died (SAFETY: leases).
const TAKE_OVER: f64 = 20.0;

pub(super) async fn a_second_controller_takes_over(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &objects::until(10)).await?;
    let load = s.load().await?;
    scale(s, 2).await?;
    let result = with_two(s).await;
    scale(s, 1).await?;
    result?;
    s.request("abort").await?;
    s.phase("Failed", RELEASE).await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])
}

async fn with_two(s: &Scenario) -> Result<()> {
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    let first = leader(s).await?;
    let killed = SystemTime::now();
    kill_for_good(s, &first).await?;
    s.request("pause").await?;
    s.until("the second controller answers", RELEASE, |canary| {
        text(canary, "/status/lastRequest/verb") == "pause"
    })
    .await?;
    let took = seconds(between(killed, SystemTime::now()));
    s.number("second controller takes over after (s)", took, TAKE_OVER)?;
    s.world.controllers_ready(2).await?;
    frozen(s).await
}

/// Frozen past its lease and thawed in the middle of the other's term, the first one changes nothing.
async fn frozen(s: &Scenario) -> Result<()> {
    let first = leader(s).await?;
    let process = s.world.controller_process(&first)?;
    process::signal(process, "STOP")?;
    let asked = s.request("resume").await;
    let answered = s.until("the other controller answers", RELEASE, |canary| {
        text(canary, "/status/lastRequest/verb") == "resume"
    });
    let answered = answered.await;
    let thawed = SystemTime::now();
    process::signal(process, "CONT")?;
    asked?;
    answered?;
    ensure!(
        leader(s).await? != first,
        "the frozen controller still leads"
    );
    let epoch = s.canary()["status"]["epoch"].clone();
    tokio::time::sleep(AFTER_THAW).await;
    let calls = s.world.audit.calls(thawed, SystemTime::now())?;
    let wrong: Vec<_> = calls
        .iter()
        .filter(|call| call.pod == first && call.writes() && call.code < 400)
        .map(crate::audit::Call::line)
        .collect();
    ensure!(s.canary()["status"]["epoch"] == epoch, "the epoch changed");
    ensure!(wrong.is_empty(), "written after the thaw: {wrong:?}");
    Ok(())
}

/// So long a thawed controller may try to write; nothing else is due meanwhile.
const AFTER_THAW: Duration = Duration::from_secs(5);

/// The Pod that holds the lease.
async fn leader(s: &Scenario) -> Result<String> {
    let get = [
        "get",
        "lease",
        "serin",
        "-n",
        HOME,
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    for _ in 0..LOOKS {
        let holder = s.world.kubectl(&get).await?.fine()?;
        if !holder.is_empty() {
            return Ok(holder);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("nobody leads")
}

/// A controller that may lead looks at the lease each 2 s.
const LOOKS: u32 = 50;

async fn scale(s: &Scenario, replicas: usize) -> Result<()> {
    let count = format!("--replicas={replicas}");
    let scale = ["scale", "deployment/serin", "-n", HOME, &count];
    s.world.kubectl(&scale).await?.fine()?;
    install::rolled_out(&s.world).await?;
    s.world.controllers_ready(replicas).await
}
