//! Verbs by annotation: each does its work once, and is refused aloud where it does not fit.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::objects;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, RETREAT, Scenario};
use crate::timeline::between;
use crate::verdict::seconds;

/// A verb is in the status within this time (SAFETY L5 asks for 1 s; a busy machine is slower).
const HEARD: Duration = Duration::from_secs(5);

pub(super) async fn every_verb_works_once(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &plan()).await?;
    let load = s.load().await?;
    refused_while_idle(s).await?;
    s.ship("2.0.0").await?;
    s.weight(10, RELEASE).await?;
    accepted(s, "pause").await?;
    refused(s, "promote", "paused").await?;
    accepted(s, "resume").await?;
    accepted(s, "skip").await?;
    s.until("it waits at 50 %", RELEASE, |canary| {
        text(canary, "/status/step/waiting") == "Approval"
    })
    .await?;
    refused(s, "retry", "phase").await?;
    abort(s).await?;
    accepted(s, "retry").await?;
    s.weight(10, RELEASE).await?;
    accepted(s, "promote-full").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    let forced = s.last_release("Promoted")?;
    ensure!(
        forced["marks"].to_string().contains("Forced"),
        "not marked: {forced}"
    );
    s.canary_is_gone().await?;
    afterwards(s).await?;
    s.no_request_lost(load)?;
    ensure!(s.timeline().tags_on_main().contains("2.0.0"));
    Ok(())
}

/// Verbs about what was promoted, or is held.
async fn afterwards(s: &Scenario) -> Result<()> {
    s.ship("3.0.0").await?;
    s.stands(RELEASE).await?;
    accepted(s, "promote").await?;
    s.until("3.0.0 is promoted", RELEASE, |canary| {
        text(canary, "/status/phase") == "Succeeded"
    })
    .await?;
    s.main_runs("3.0.0").await?;
    s.canary_is_gone().await?;
    accepted(s, "rollback").await?;
    s.main_runs("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.canary_is_gone().await?;
    s.ship("4.0.0").await?;
    s.stands(RELEASE).await?;
    accepted(s, "undo").await?;
    s.phase("Initialized", RETREAT).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    accepted(s, "restart").await?;
    s.phase("Progressing", RELEASE).await?;
    accepted(s, "abort").await.map(drop)
}

async fn refused_while_idle(s: &Scenario) -> Result<()> {
    for (verb, why) in [
        ("promote", "phase"),
        ("abort", "phase"),
        ("pause", "phase"),
        ("resume", "phase"),
        ("skip", "phase"),
        ("undo", "nothing is held"),
    ] {
        refused(s, verb, why).await?;
    }
    let wrong = ["annotate", "canary", "app", "serin.dev/request=promot"];
    let said = s.kubectl(&wrong).await?;
    ensure!(
        said.code != 0 && said.err.contains("no verb"),
        "a word that is no verb is not refused: {said:?}"
    );
    Ok(())
}

/// Weight 0 within a second of the annotation.
async fn abort(s: &Scenario) -> Result<()> {
    let asked = SystemTime::now();
    accepted(s, "abort").await?;
    s.phase("Failed", RETREAT).await?;
    s.canary_is_gone().await?;
    let timeline = s.timeline();
    let zero = timeline.last_zero().context("the weight is not 0")?;
    let asked = timeline.first(Kind::Canary, asked, |record| {
        record.text("/metadata/annotations/serin.dev~1request") == "abort"
    });
    let asked = asked.context("nobody asked")?;
    s.number(
        "abort: weight 0 after (s)",
        seconds(between(asked, zero)),
        1.0,
    )?;
    s.last_release("Aborted").map(drop)
}

fn plan() -> serde_json::Value {
    json!({
        "interval": "3s",
        "threshold": 2,
        "maxWait": "20s",
        "steps": [{"setWeight": 10}, {"checks": 2}, {"setWeight": 50}, {"checks": 1}, {"pause": {}}],
    })
}

async fn accepted(s: &Scenario, verb: &str) -> Result<()> {
    handled(s, verb, "Accepted").await.map(drop)
}

async fn refused(s: &Scenario, verb: &str, why: &str) -> Result<()> {
    let said = handled(s, verb, "Refused").await?;
    ensure!(said.contains(why), "{verb}: {said:?} does not say {why:?}");
    Ok(())
}

/// Asks, and waits until the status has the outcome and the annotation is gone. Returns what was said.
async fn handled(s: &Scenario, verb: &str, outcome: &str) -> Result<String> {
    let before = text(&s.canary(), "/status/lastRequest/id").to_owned();
    s.request(verb).await?;
    let what = format!("{verb} is handled");
    s.until(&what, HEARD, |canary| {
        text(canary, "/status/lastRequest/id") != before
            && text(canary, "/metadata/annotations/serin.dev~1request").is_empty()
    })
    .await?;
    let last = s.canary()["status"]["lastRequest"].clone();
    ensure!(
        text(&last, "/verb") == verb && text(&last, "/outcome") == outcome,
        "{verb} was not {outcome}: {last}"
    );
    Ok(text(&last, "/message").to_owned())
}

pub(super) async fn a_viewer_cannot_ask_for_a_verb(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 1, &objects::quick()).await?;
    let allow = |role: &str| {
        let role = format!("--clusterrole={role}");
        async move {
            let bind = ["create", "rolebinding", "someone", &role, "--user=someone"];
            s.kubectl(&bind).await?.fine().map(drop)
        }
    };
    let ask = [
        "annotate",
        "canary",
        "app",
        "serin.dev/request=abort",
        "--as=someone",
    ];
    allow("serin-view").await?;
    let said = s.kubectl(&ask).await?;
    ensure!(
        said.code != 0 && said.err.contains("orbidden"),
        "not refused: {said:?}"
    );
    ensure!(
        s.canary()["status"]["lastRequest"].is_null(),
        "the request was heard"
    );
    let free = ["delete", "rolebinding", "someone"];
    s.kubectl(&free).await?.fine()?;
    allow("serin-operator").await?;
    s.kubectl(&ask).await?.fine()?;
    s.until("the request is handled", HEARD, |canary| {
        text(canary, "/status/lastRequest/by") == "someone"
    })
    .await
}
