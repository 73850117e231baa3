//! Releases as they are meant to go: promoted when they are good, rolled back when they are not.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::objects::{self, APP};
use crate::prometheus;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, RETREAT, Scenario};
use crate::timeline::between;
use crate::verdict::seconds;

/// The control: what the cluster, its gateway and the application lose by themselves is not Serin's.
pub(super) async fn a_rollout_without_serin_loses_nothing(s: &Scenario) -> Result<()> {
    s.deploy("1.0.0", 6).await?;
    s.apply(&objects::route("web", &s.host())).await?;
    s.main_runs("1.0.0").await?;
    let load = s.load().await?;
    for tag in ["2.0.0", "3.0.0"] {
        s.ship(tag).await?;
        s.main_runs(tag).await?;
    }
    s.no_request_lost(load).map(drop)
}

/// 10 → 50 → 100, with the objects that a careful team has beside its Deployment.
pub(super) async fn a_good_release_is_promoted(s: &Scenario) -> Result<()> {
    s.apply(&objects::budget()).await?;
    s.adopt("1.0.0", 3, &objects::quick()).await?;
    let load = s.load().await?;
    let shipped = SystemTime::now();
    s.main_untouched(s.begun_settled(), shipped)?;
    s.ship("2.0.0").await?;
    let rollout = ["rollout", "status", "deployment/app", "--timeout=120s"];
    let promoted = s.kubectl(&rollout).await?;
    ensure!(promoted.code == 0, "rollout status: {promoted:?}");
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.shares_follow_weights(&load).await?;
    let report = s.no_request_lost(load)?;
    ensure!(report.share("2.0.0") > 0.0, "nobody saw the new version");
    let timeline = s.timeline();
    let weights = timeline.weight_values();
    ensure!(
        weights.ends_with(&[0, 10, 50, 100, 0]),
        "the weights were {weights:?}"
    );
    let promoting = timeline.phase_from("Promoting", shipped);
    let promoting = promoting.context("it was never Promoting")?;
    s.main_untouched(shipped, promoting)?;
    s.main_ran_only(&["1.0.0", "2.0.0"])?;
    s.went_through(
        shipped,
        &["Progressing", "Promoting", "Finalising", "Succeeded"],
    )?;
    s.last_release("Promoted").map(drop)
}

/// One of twenty replies fails: back at once, and the pipeline's own tool fails with the reason.
pub(super) async fn errors_roll_back_and_say_so(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &objects::quick()).await?;
    let load = s.load().await?;
    let shipped = SystemTime::now();
    s.ship("2.0.0-errors5").await?;
    let rollout = ["rollout", "status", "deployment/app", "--timeout=120s"];
    let said = s.kubectl(&rollout).await?;
    s.phase("Failed", RELEASE).await?;
    s.canary_is_gone().await?;
    ensure!(said.code == 1, "rollout status: {said:?}");
    let message = text(&s.canary(), "/status/message").to_owned();
    ensure!(
        message.contains("request-success-rate") && message.contains("99"),
        "the reason names no value and limit: {message:?}"
    );
    ensure!(
        format!("{}{}", said.out, said.err).contains("progress deadline"),
        "rollout status says {said:?}"
    );
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])?;
    s.main_untouched(shipped, SystemTime::now())?;
    s.no_early_step(&[10, 50, 100])?;
    s.last_release("RolledBack").map(drop)
}

/// `onFailure: Pause`: nobody is sent there any more, and the canary stands for whoever wants to look, until somebody decides.
pub(super) async fn a_rejected_canary_is_kept_on_request(s: &Scenario) -> Result<()> {
    let mut analysis = objects::quick();
    analysis["onFailure"] = json!("Pause");
    s.adopt("1.0.0", 2, &analysis).await?;
    let load = s.load().await?;
    s.ship("2.0.0-errors5").await?;
    s.phase("Failed", RELEASE).await?;
    s.until("the weight is 0", RETREAT, |canary| {
        canary["status"]["canaryWeight"] == 0
    })
    .await?;
    tokio::time::sleep(KEPT).await;
    let kept = s.get(Kind::Deployment, "app-canary");
    let kept = kept.context("the canary was deleted")?;
    ensure!(
        kept["status"]["readyReplicas"].as_i64() >= Some(1),
        "the canary has no Pods: {}",
        kept["status"]
    );
    s.put("1.0.0").await?;
    s.phase("Initialized", RETREAT).await?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])
}

/// A canary that is kept still stands after so long.
const KEPT: Duration = Duration::from_secs(8);

/// One of five replies fails at half of the traffic: back within one interval of the first bad sample that could be asked for.
pub(super) async fn many_errors_roll_back_within_an_interval(s: &Scenario) -> Result<()> {
    let mut analysis = objects::quick();
    analysis["interval"] = json!(format!("{INTERVAL}s"));
    analysis["stepWeights"] = json!([50, 100]);
    s.adopt("1.0.0", 3, &analysis).await?;
    let load = s.load().await?;
    let shipped = SystemTime::now();
    s.ship("2.0.0-errors20").await?;
    s.phase("Failed", RELEASE).await?;
    s.canary_is_gone().await?;
    let zero = s.timeline().last_zero().context("the weight is not 0")?;
    let bad = first_bad_sample(&s.namespace, shipped, zero).await?;
    let took = seconds(between(bad, zero));
    s.number(
        "first bad sample to weight 0, interval 10 s (s)",
        took,
        INTERVAL + WRITE,
    )?;
    let report = s.no_request_lost(load)?;
    let hurt = report
        .by_version
        .values()
        .map(|counts| counts.app_errors)
        .sum::<u64>();
    s.number("20 % errors at 50 %: users hurt", hurt as f64, 1000.0)
}

/// Interval of that analysis, in seconds.
const INTERVAL: f64 = 10.0;

/// Asking and writing may take a second more, as they may after an abort.
const WRITE: f64 = 1.0;

/// When Prometheus first knew of a reply that failed, by the counters that Serin asks for.
async fn first_bad_sample(namespace: &str, from: SystemTime, to: SystemTime) -> Result<SystemTime> {
    let query = format!(
        "sum(http_request_duration_seconds_count{{namespace=\"{namespace}\",pod=~\"app-canary-.*\",status=~\"5..\"}})>0"
    );
    let reply = prometheus::range(&query, from, to).await?;
    let values = reply.pointer("/data/result/0/values/0/0");
    let first = values
        .and_then(Value::as_f64)
        .context("Prometheus knows of no failure")?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(first))
}

/// Slower than an absolute limit that the team wrote.
pub(super) async fn slow_replies_roll_back(s: &Scenario) -> Result<()> {
    let mut analysis = objects::quick();
    analysis["metrics"] = json!([
        {"name": "request-duration", "thresholdRange": {"max": 250}, "interval": "30s"},
    ]);
    s.adopt("1.0.0", 3, &analysis).await?;
    let load = s.load().await?;
    let shipped = SystemTime::now();
    s.ship("2.0.0-latency400").await?;
    s.phase("Failed", RELEASE).await?;
    s.canary_is_gone().await?;
    let message = text(&s.canary(), "/status/message").to_owned();
    ensure!(
        message.contains("request-duration") && message.contains("250"),
        "the reason names no value and limit: {message:?}"
    );
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])?;
    s.main_untouched(shipped, SystemTime::now())
}

/// Stable cannot start, and the fix goes through without being compared to it.
pub(super) async fn the_fix_of_a_broken_stable_ships(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0-unready12", 2, &objects::quick()).await?;
    s.until_object(
        "stable is broken",
        (Kind::Deployment, APP),
        RETREAT,
        |found| found.is_some_and(|one| one["status"]["readyReplicas"].is_null()),
    )
    .await?;
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    let last = s.last_release("Promoted")?;
    ensure!(
        last["marks"].to_string().contains("RollForward"),
        "not marked: {last}"
    );
    Ok(())
}

impl Scenario {
    /// From here on the Pods of the first rollout are all there.
    fn begun_settled(&self) -> SystemTime {
        let lives = self.timeline().lives();
        let started = lives.into_values().map(|life| life.from).max();
        started.unwrap_or(self.begun) + Duration::from_millis(1)
    }
}
