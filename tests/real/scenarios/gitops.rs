//! Flux's own controllers apply an application out of git and wait for what becomes of its release.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::flux::Flux;
use crate::objects::{self, APP};
use crate::record::{Kind, text};
use crate::scenario::{ADOPTION, RELEASE, RETREAT, Scenario};

/// Flux looks at what it waits for every five seconds, and applies again as often.
const LOOKS: Duration = Duration::from_secs(12);

/// How long Flux may take beside Serin: a fetch, and its look every five seconds.
const MORE: Duration = Duration::from_secs(30);

/// Ready is promoted, and nothing before; a rejection fails the Kustomization at once and names an object that knows why. Applying the rejected version
/// again and again is no release, and a revert moves no Pod.
pub(super) async fn flux_waits_for_the_verdict(s: &Scenario) -> Result<()> {
    let flux = Flux::new(s, &json!({"wait": true, "timeout": "3m"})).await?;
    adopted(s, &flux, None).await?;
    let load = s.load().await?;
    let good = ship(s, &flux, "2.0.0", None).await?;
    s.stands(RELEASE).await?;
    tokio::time::sleep(LOOKS).await;
    flux.waits(&good).await?;
    s.request("promote").await?;
    flux.ready(&good, RELEASE).await?;
    let phase = text(&s.canary(), "/status/phase").to_owned();
    ensure!(phase == "Succeeded", "Flux was ready in phase {phase}");
    s.main_runs("2.0.0").await?;
    let from = SystemTime::now();
    let bad = ship(s, &flux, "3.0.0-errors50", None).await?;
    let said = flux.failed(&bad, RELEASE).await?;
    s.phase("Failed", RETREAT).await?;
    names_what_failed(s, &said)?;
    s.canary_is_gone().await?;
    applied_again_it_stays_rejected(s, &flux, &bad).await?;
    let back = flux.revert().await?;
    flux.ready(&back, RETREAT + MORE).await?;
    s.main_runs("2.0.0").await?;
    s.main_untouched(from, SystemTime::now())?;
    s.main_ran_only(&["1.0.0", "2.0.0"])?;
    s.no_request_lost(load)?;
    pruned(s, &flux).await
}

/// A timeout that is shorter than the plan is no verdict: Flux says so, applies again, and the canary goes on where it is. What somebody
/// changes meanwhile is put right under the hold, and a template that is put back by hand comes again as a release.
pub(super) async fn flux_applies_again_under_a_hold(s: &Scenario) -> Result<()> {
    let check = json!([{"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "name": APP, "namespace": s.namespace}]);
    let flux = Flux::new(s, &json!({"healthChecks": check, "timeout": "10s"})).await?;
    adopted(s, &flux, Some("one")).await?;
    let load = s.load().await?;
    let from = SystemTime::now();
    let good = ship(s, &flux, "2.0.0", Some("two")).await?;
    s.stands(RELEASE).await?;
    let said = flux.failed(&good, MORE).await?;
    ensure!(said.contains("timeout waiting for"), "Flux says {said}");
    drift_is_put_right(s).await?;
    still_held(s)?;
    ensure!(s.releases() == 0, "a release has ended: {}", s.canary());
    s.put("1.0.0").await?;
    s.phase("Initialized", RETREAT).await?;
    s.stands(RELEASE).await?;
    still_held(s)?;
    s.main_untouched(from, SystemTime::now())?;
    s.request("promote").await?;
    flux.ready(&good, RELEASE).await?;
    s.last_release("Promoted")?;
    s.main_runs("2.0.0").await?;
    let releases = s.releases();
    tokio::time::sleep(LOOKS).await;
    s.main_runs("2.0.0").await?;
    ensure!(s.releases() == releases, "applying again began a release");
    s.main_ran_only(&["1.0.0", "2.0.0"])?;
    s.no_request_lost(load).map(drop)
}

/// The first version, out of git, with its Canary.
async fn adopted(s: &Scenario, flux: &Flux<'_>, revision: Option<&str>) -> Result<()> {
    let first = ship(s, flux, "1.0.0", revision).await?;
    flux.ready(&first, ADOPTION + MORE).await?;
    s.phase("Initialized", ADOPTION).await
}

/// Commits a version, stamped if there is a revision.
async fn ship(s: &Scenario, flux: &Flux<'_>, tag: &str, revision: Option<&str>) -> Result<String> {
    s.world.images(&[tag]).await?;
    let mut deployment = objects::deployment(tag, 2);
    let mut canary = objects::canary(&s.host(), &objects::until(50));
    if let Some(revision) = revision {
        canary["spec"]["revision"] = json!(revision);
        deployment["metadata"]["annotations"] = json!({"serin.dev/revision": revision});
    }
    let all = [objects::service(), deployment, canary];
    flux.push(&format!("ship {tag}"), &all).await
}

/// Flux tells which objects had failed when it looked, the Canary, its target, or both; not why, which the Canary does.
fn names_what_failed(s: &Scenario, said: &str) -> Result<()> {
    let failed = |kind| format!("{kind}/{}/{APP} status: 'Failed'", s.namespace);
    let named = said.contains(&failed("Canary")) || said.contains(&failed("Deployment"));
    ensure!(
        named && said.contains("failed early due to stalled resources"),
        "Flux says {said}"
    );
    let conditions = s.canary()["status"]["conditions"].clone();
    let stalled = conditions.as_array().into_iter().flatten();
    let why: Vec<_> = stalled
        .filter(|one| one["type"] == "Stalled" && one["status"] == "True")
        .map(|one| text(one, "/message").to_owned())
        .collect();
    ensure!(
        why.iter().any(|one| one.contains("request-success-rate")),
        "the Canary says {why:?}"
    );
    Ok(())
}

async fn applied_again_it_stays_rejected(s: &Scenario, flux: &Flux<'_>, bad: &str) -> Result<()> {
    let releases = s.releases();
    tokio::time::sleep(LOOKS).await;
    flux.waits(bad).await?;
    ensure!(
        s.releases() == releases,
        "a rejected version was tried again"
    );
    let phase = text(&s.canary(), "/status/phase").to_owned();
    ensure!(
        phase == "Failed",
        "the rejected version is in phase {phase}"
    );
    still_held(s)
}

fn target(s: &Scenario) -> Value {
    s.get(Kind::Deployment, APP).unwrap_or_default()
}

fn still_held(s: &Scenario) -> Result<()> {
    let target = target(s);
    ensure!(
        target["spec"]["paused"] == true
            && text(&target, "/metadata/labels/serin.dev~1held") == "true",
        "the target is not held: {target}"
    );
    Ok(())
}

/// Somebody changes what git says of the Deployment, beside its template.
async fn drift_is_put_right(s: &Scenario) -> Result<()> {
    let label = ["label", "deployment", APP, "--overwrite", "app=other"];
    s.kubectl(&label).await?.fine()?;
    let right = |found: Option<&Value>| {
        found.is_some_and(|target| text(target, "/metadata/labels/app") == APP)
    };
    s.until_object(
        "Flux puts the label back",
        (Kind::Deployment, APP),
        MORE,
        right,
    )
    .await
}

/// Who deletes the Kustomization takes the application away, its Canary and what Serin made for it.
async fn pruned(s: &Scenario, flux: &Flux<'_>) -> Result<()> {
    flux.prune().await?;
    for kind in [Kind::Deployment, Kind::Canary, Kind::Service, Kind::Route] {
        let what = format!("{kind:?} {APP} is pruned");
        s.until_object(&what, (kind, APP), RETREAT, |found| found.is_none())
            .await?;
    }
    Ok(())
}
