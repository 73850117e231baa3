//! What a pipeline sees that releases with Helm: an atomic upgrade means "verified by a canary".

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::objects::APP;
use crate::pipeline::Pipeline;
use crate::process::Said;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, RETREAT, Scenario};
use crate::timeline::between;
use crate::verdict::seconds;

/// Helm may go on for so long after the verdict: it looks every second or two, and rolls back.
const NOTICE: f64 = 20.0;

/// `helm upgrade --wait --rollback-on-failure` returns 0 once the new version is the main release, and not before.
pub(super) async fn helm_returns_after_promotion(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    let load = s.load().await?;
    promoted(s, pipeline.ship("2.0.0").await?).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.last_release("Promoted")?;
    let weights = s.timeline().weight_values();
    ensure!(
        weights.ends_with(&[0, 20, 50, 100, 0]),
        "the weights were {weights:?}"
    );
    let said = pipeline.call(&["test", APP]).await?;
    said.fine().context("helm test")?;
    s.no_request_lost(load).map(drop)
}

/// A version that fails requests: Helm says which check failed, has rolled back, and no good Pod was touched.
pub(super) async fn helm_fails_with_the_verdict(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    let load = s.load().await?;
    let shipped = SystemTime::now();
    let said = pipeline.ship("2.0.0-errors20").await?;
    let ended = SystemTime::now();
    refused(&said, &["request-success-rate", "99"])?;
    let verdict = s.timeline().phase_from("Failed", shipped);
    let verdict = verdict.context("it never failed")?;
    let took = seconds(between(verdict, ended));
    s.number("verdict to the end of helm upgrade (s)", took, NOTICE)?;
    at_rest(s, &pipeline, "1.0.0").await?;
    s.main_ran_only(&["1.0.0"])?;
    s.main_untouched(shipped, ended)?;
    // Nothing is stuck: the next release goes out as if nothing had been.
    pipeline.ship("3.0.0").await?.fine()?;
    s.main_runs("3.0.0").await?;
    s.no_request_lost(load).map(drop)
}

/// An image that nobody can pull ends the upgrade with what the kubelet says, well before its own timeout.
pub(super) async fn helm_hears_of_a_missing_image(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    let begun = Instant::now();
    let said = pipeline.upgrade("99.99", "60s").await?;
    let whole = format!("{}{}", said.out, said.err);
    refused(&said, &["ImagePull", "99.99"])?;
    ensure!(
        !whole.contains("deadline exceeded"),
        "it timed out: {whole}"
    );
    s.number("helm: missing image (s)", seconds(begun.elapsed()), 75.0)?;
    at_rest(s, &pipeline, "1.0.0").await?;
    s.main_ran_only(&["1.0.0"])
}

/// `helm rollback` to a version that was promoted not long ago needs no new analysis.
pub(super) async fn helm_rolls_back_at_once(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    let load = s.load().await?;
    pipeline.ship("2.0.0").await?.fine()?;
    pipeline.ship("3.0.0").await?.fine()?;
    s.main_runs("3.0.0").await?;
    s.canary_is_gone().await?;
    let from = SystemTime::now();
    let back = ["rollback", APP, "2", "--wait", "--timeout", "60s"];
    pipeline.call(&back).await?.fine()?;
    s.main_runs("2.0.0").await?;
    s.no_request_lost(load)?;
    s.number(
        "helm rollback (s)",
        seconds(between(from, SystemTime::now())),
        45.0,
    )?;
    let weights = s.timeline().weights();
    let stepped = weights
        .iter()
        .any(|(at, weight)| *at > from && *weight == 50);
    ensure!(!stepped, "it was analysed again");
    Ok(())
}

/// Helm 3 takes a held Deployment for ready; the chart's hook makes its upgrade wait all the same, with the same ends.
pub(super) async fn helm_3_waits_by_a_hook(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::with_helm_3(s)?;
    pipeline.begin("1.0.0").await?;
    let load = s.load().await?;
    promoted(s, pipeline.ship("2.0.0").await?).await?;
    s.main_runs("2.0.0").await?;
    let said = pipeline.ship("3.0.0-errors20").await?;
    ensure!(
        said.code != 0,
        "Helm took a rejected version for good: {said:?}"
    );
    at_rest(s, &pipeline, "2.0.0").await?;
    s.no_request_lost(load)?;
    // The hook's own Pod runs another image.
    let ran = s.timeline().tags_on_main();
    ensure!(
        !ran.contains("3.0.0-errors20"),
        "the main release ran {ran:?}"
    );
    Ok(())
}

/// In mid canary, `serin abort` ends the upgrade that waits, so that a hotfix need not wait for it.
pub(super) async fn an_abort_frees_helm(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s).set(&["canary.manual=true"]);
    pipeline.begin("1.0.0").await?;
    let load = s.load().await?;
    s.world.images(&["2.0.0"]).await?;
    let values = ["image.tag=2.0.0", "canary.enabled=true"];
    let flags = ["--wait", "--timeout", "180s"];
    let upgrade = pipeline.release("upgrade", &values, &flags);
    let abort = async {
        s.stands(RELEASE).await?;
        let asked = ["-n", &s.namespace, "abort", APP, "--reason", "hotfix"];
        let begun = Instant::now();
        s.world.serin(&asked).await?.fine()?;
        anyhow::Ok(begun)
    };
    let (said, asked) = tokio::join!(async { (upgrade.await, Instant::now()) }, abort);
    let (said, ended) = said;
    let free = ended.saturating_duration_since(asked?);
    refused(&said?, &["abort"])?;
    s.number("abort to the end of helm upgrade (s)", seconds(free), 10.0)?;
    pipeline.ship_approved("3.0.0").await?;
    s.main_runs("3.0.0").await?;
    s.main_ran_only(&["1.0.0", "3.0.0"])?;
    s.no_request_lost(load).map(drop)
}

/// A runner that is killed while it waits leaves a lock behind; Serin goes on, and the way that the docs name opens the lock.
pub(super) async fn a_killed_runner_is_recovered(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    let load = s.load().await?;
    s.world.images(&["2.0.0"]).await?;
    let values = ["image.tag=2.0.0", "canary.enabled=true"];
    let mut runner = pipeline
        .command("upgrade", &values, &["--wait", "--timeout", "180s"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let under_way = s.weight(20, RELEASE).await;
    runner.kill()?;
    runner.wait()?;
    under_way?;
    let locked = pipeline.ship("3.0.0").await?;
    refused(&locked, &["another operation"])?;
    // What the interrupted upgrade began is verified none the less.
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    let back = ["rollback", APP, "--wait", "--timeout", "90s"];
    pipeline.call(&back).await?.fine()?;
    pipeline.ship("3.0.0").await?.fine()?;
    s.main_runs("3.0.0").await?;
    s.no_request_lost(load).map(drop)
}

/// `helm uninstall` in mid canary takes everything with it.
pub(super) async fn an_uninstalled_application_leaves_nothing(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s).set(&["canary.manual=true"]);
    pipeline.begin("1.0.0").await?;
    s.world.images(&["2.0.0"]).await?;
    let values = ["image.tag=2.0.0", "canary.enabled=true"];
    pipeline.release("upgrade", &values, &[]).await?.fine()?;
    s.stands(RELEASE).await?;
    let gone = ["uninstall", APP, "--wait", "--timeout", "90s"];
    pipeline.call(&gone).await?.fine()?;
    for (kind, name) in [
        (Kind::Deployment, APP),
        (Kind::Deployment, "app-canary"),
        (Kind::Canary, APP),
    ] {
        let what = format!("{kind:?} {name} is gone");
        s.until_object(&what, (kind, name), RETREAT, |found| found.is_none())
            .await?;
    }
    let kinds = "all,httproutes,poddisruptionbudgets,controllerrevisions";
    let mut left = s.kubectl(&["get", kinds, "-o", "name"]).await?.fine()?;
    for _ in 0..20 {
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        left = s.kubectl(&["get", kinds, "-o", "name"]).await?.fine()?;
    }
    ensure!(left.is_empty(), "left behind: {left}");
    Ok(())
}

/// `canary.enabled=false` together with a new tag ships that tag.
pub(super) async fn a_release_without_a_canary_goes_out_directly(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    s.world.images(&["2.0.0"]).await?;
    let values = ["image.tag=2.0.0", "canary.enabled=false"];
    let flags = ["--wait", "--timeout", "90s"];
    pipeline.release("upgrade", &values, &flags).await?.fine()?;
    s.main_runs("2.0.0").await?;
    s.until_object(
        "the Canary is gone",
        (Kind::Canary, APP),
        RETREAT,
        |found| found.is_none(),
    )
    .await?;
    let deployment = live(s, "deployment").await?;
    let marks = deployment["metadata"]["labels"].as_object();
    let marks: Vec<_> = marks
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("serin.dev/") && *name != "serin.dev/bypass")
        .collect();
    ensure!(marks.is_empty(), "marks are left: {marks:?}");
    Ok(())
}

/// A change of values alone is a release like any other; what is not in the Pod template is none.
pub(super) async fn values_alone_are_a_canary(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    let same = ["image.tag=1.0.0", "canary.enabled=true"];
    let rebuilt = [
        same[0],
        same[1],
        "metadata.buildNumber=42",
        "canary.weight=30",
    ];
    let flags = ["--wait", "--timeout", "120s"];
    let begun = SystemTime::now();
    pipeline
        .release("upgrade", &rebuilt, &flags)
        .await?
        .fine()?;
    s.main_untouched(begun, SystemTime::now())?;
    ensure!(s.releases() == 0, "a rebuild was taken for a release");
    let changed = [
        same[0],
        same[1],
        "podAnnotations.note=changed",
        "canary.weight=30",
    ];
    pipeline
        .release("upgrade", &changed, &flags)
        .await?
        .fine()?;
    s.last_release("Promoted")?;
    let weights = s.timeline().weight_values();
    ensure!(
        weights.ends_with(&[0, 30, 50, 100, 0]),
        "the weights were {weights:?}"
    );
    Ok(())
}

/// From the guide's literal chart to ours, and a canary switched on: the Deployment is the same one all the time.
pub(super) async fn the_guides_chart_is_upgraded(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    s.world.images(&["1.0.0", "2.0.0"]).await?;
    let guide = s.world.places.root.join("tests/helm/guide-chart");
    let guide = guide.to_string_lossy();
    let old = [
        "install",
        APP,
        &guide,
        "--set",
        "image.repository=app,image.tag=1.0.0",
        "--set",
        "healthcheck.port=8080,healthcheck.path=/healthz",
        "--wait",
        "--timeout",
        "90s",
    ];
    pipeline.call(&old).await?.fine()?;
    let before = live(s, "deployment").await?;
    let flags = ["--wait", "--timeout", "120s"];
    let off = ["image.tag=1.0.0", "canary.enabled=false"];
    pipeline.release("upgrade", &off, &flags).await?.fine()?;
    s.main_runs("1.0.0").await?;
    let from = SystemTime::now();
    let on = ["image.tag=1.0.0", "canary.enabled=true"];
    pipeline.release("upgrade", &on, &flags).await?.fine()?;
    s.main_untouched(from, SystemTime::now())?;
    pipeline.ship("2.0.0").await?.fine()?;
    s.main_runs("2.0.0").await?;
    let after = live(s, "deployment").await?;
    for path in ["/metadata/uid", "/spec/selector/matchLabels"] {
        ensure!(
            before.pointer(path) == after.pointer(path),
            "{path} changed"
        );
    }
    Ok(())
}

/// Two releases side by side, as the guide has them, are answered with the one command that replaces them.
pub(super) async fn a_second_release_as_canary_is_refused(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    let chart = s.world.places.root.join("chart/pipeline-app");
    let chart = chart.to_string_lossy();
    let second = [
        "install",
        "app-canary",
        &chart,
        "--set",
        "canary.enabled=true",
        "--set",
        "image.tag=2.0.0",
    ];
    let said = pipeline.call(&second).await?;
    refused(&said, &["helm upgrade app", "image.tag=2.0.0"])
}

/// The staging values, released like production beside it.
pub(super) async fn staging_values_release(s: &Scenario) -> Result<()> {
    released_with(s, "values-staging.yaml", 1).await
}

/// The production values, released like staging beside it.
pub(super) async fn production_values_release(s: &Scenario) -> Result<()> {
    released_with(s, "values-prod.yaml", 3).await
}

async fn released_with(s: &Scenario, file: &str, replicas: i64) -> Result<()> {
    let values = s.world.places.root.join("chart/pipeline-app").join(file);
    let values = values.to_string_lossy();
    let pipeline = Pipeline::new(s);
    s.world.images(&["1.0.0", "2.0.0"]).await?;
    let file = ["--values", &values, "--wait", "--timeout", "120s"];
    for (verb, tag) in [
        ("install", "image.tag=1.0.0"),
        ("upgrade", "image.tag=2.0.0"),
    ] {
        // The files of the chart name an image of theirs.
        let image = ["image.repository=app", tag, "canary.enabled=true"];
        pipeline.release(verb, &image, &file).await?.fine()?;
    }
    s.main_runs("2.0.0").await?;
    let deployment = live(s, "deployment").await?;
    ensure!(
        deployment["spec"]["replicas"] == replicas,
        "not {replicas} replicas"
    );
    s.last_release("Promoted").map(drop)
}

impl Pipeline<'_> {
    /// A release of which somebody approves every step.
    async fn ship_approved(&self, tag: &str) -> Result<()> {
        let approve = async {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                if text(&self.s.canary(), "/status/step/waiting") == "Approval" {
                    // Asked a moment too late it is refused, and asked again.
                    drop(self.s.request("promote").await);
                }
            }
        };
        tokio::select! {
            said = self.ship(tag) => said?.fine().map(drop),
            () = approve => Ok(()),
        }
    }
}

/// Helm returned 0, and not before the Canary said that the version is promoted.
async fn promoted(s: &Scenario, said: Said) -> Result<()> {
    said.fine()?;
    let canary = live(s, "canary").await?;
    let phase = text(&canary, "/status/phase");
    ensure!(phase == "Succeeded", "Helm returned in phase {phase}");
    Ok(())
}

/// An object named like the application, as the API server has it now.
async fn live(s: &Scenario, kind: &str) -> Result<Value> {
    let said = s.kubectl(&["get", kind, APP, "-o", "json"]).await?.fine()?;
    Ok(serde_json::from_str(&said)?)
}

/// Helm failed, and its message has these words.
pub(super) fn refused(said: &Said, words: &[&str]) -> Result<()> {
    let whole = format!("{}{}", said.out, said.err);
    ensure!(said.code != 0, "Helm succeeded: {whole}");
    for word in words {
        ensure!(whole.contains(word), "no {word:?} in: {whole}");
    }
    Ok(())
}

/// After a rollback by Helm: its history tells the story, nothing is held, and the good version runs.
async fn at_rest(s: &Scenario, pipeline: &Pipeline<'_>, tag: &str) -> Result<()> {
    s.main_runs(tag).await?;
    s.canary_is_gone().await?;
    let deployment = live(s, "deployment").await?;
    let held = &deployment["metadata"]["labels"]["serin.dev/held"];
    ensure!(held.is_null(), "the Deployment is still held");
    let history = pipeline.history().await?;
    let statuses: Vec<_> = history.iter().map(|(status, _)| status.as_str()).collect();
    ensure!(
        statuses.ends_with(&["failed", "deployed"]),
        "Helm's history is {history:?}"
    );
    let last = &history[history.len() - 1].1;
    ensure!(
        last.starts_with("Rollback"),
        "the last revision is {last:?}"
    );
    Ok(())
}
