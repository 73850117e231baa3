//! Canaries that go, in every phase, and Serin itself.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::install;
use crate::objects::{self, APP};
use crate::record::{Kind, text};
use crate::scenario::{ADOPTION, RELEASE, RETREAT, Scenario};
use crate::world::HOME;

/// Idle: gate and finalizer go, and no Pod notices.
pub(super) async fn deleted_while_idle_it_moves_no_pod(s: &Scenario) -> Result<()> {
    adopt(s, 2, &objects::quick()).await?;
    let load = s.load().await?;
    let from = SystemTime::now();
    gone(s).await?;
    s.main_runs("1.0.0").await?;
    unmarked(s)?;
    s.no_request_lost(load)?;
    s.main_untouched(from, SystemTime::now())
}

/// In mid canary: nothing unverified is released, and stable stays.
pub(super) async fn deleted_in_mid_canary_it_puts_stable_back(s: &Scenario) -> Result<()> {
    adopt(s, 2, &objects::until(50)).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    let from = SystemTime::now();
    gone(s).await?;
    s.main_runs("1.0.0").await?;
    s.canary_is_gone().await?;
    unmarked(s)?;
    s.no_request_lost(load)?;
    s.main_untouched(from, SystemTime::now())?;
    s.main_ran_only(&["1.0.0"])
}

/// While the main release rolls to what passed: it ends on one of the two good revisions, without a gap.
pub(super) async fn deleted_while_promoting_it_ends_on_one_revision(s: &Scenario) -> Result<()> {
    adopt(s, 3, &objects::quick()).await?;
    let load = s.load().await?;
    s.ship("2.0.0-start2").await?;
    s.phase("Promoting", RELEASE).await?;
    gone(s).await?;
    if s.main_runs("2.0.0-start2").await.is_err() {
        s.main_runs("1.0.0").await?;
    }
    s.canary_is_gone().await?;
    unmarked(s)?;
    s.no_request_lost(load).map(drop)
}

/// Together with its namespace, in mid canary: nothing can be made there any more, and nothing needs to be.
pub(super) async fn deleted_with_its_namespace_it_lets_go_at_once(s: &Scenario) -> Result<()> {
    adopt(s, 2, &objects::until(50)).await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    let delete = ["delete", "namespace", &s.namespace, "--wait=false"];
    s.world.kubectl(&delete).await?.fine()?;
    let ends = |found: Option<&Value>| {
        found.is_none_or(|canary| !text(canary, "/metadata/deletionTimestamp").is_empty())
    };
    let canary = (Kind::Canary, APP);
    s.until_object("the Canary is deleted", canary, RETREAT, ends)
        .await?;
    let begun = Instant::now();
    s.until_object("Serin lets go", canary, 2 * RETREAT, |found| {
        found.is_none()
    })
    .await?;
    s.number("deletion to gone (s)", begun.elapsed().as_secs_f64(), 20.0)
}

/// Rejected and held: the rejected template never runs.
pub(super) async fn deleted_after_a_rejection_it_releases_nothing(s: &Scenario) -> Result<()> {
    adopt(s, 2, &objects::until(50)).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    s.request("abort").await?;
    s.phase("Failed", RETREAT).await?;
    gone(s).await?;
    s.main_runs("1.0.0").await?;
    unmarked(s)?;
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])
}

/// `Hold` leaves the target as it is: paused, with what was tried, and free.
pub(super) async fn deleted_with_policy_hold_it_leaves_the_target_paused(
    s: &Scenario,
) -> Result<()> {
    s.apply(&objects::route(ROUTE, &s.host())).await?;
    let mut canary = objects::canary_of_route(ROUTE, &objects::until(50));
    canary["spec"]["deletionPolicy"] = json!("Hold");
    s.adopt_as("1.0.0", 2, &canary).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    gone(s).await?;
    let target = s.get(Kind::Deployment, APP).unwrap_or_default();
    ensure!(
        target["spec"]["paused"] == true,
        "it is not paused: {}",
        target["spec"]
    );
    unmarked(s)?;
    s.canary_is_gone().await?;
    s.no_request_lost(load)?;
    s.main_ran_only(&["1.0.0"])
}

/// The target went first, before adoption was done, and in mid canary.
pub(super) async fn deleted_after_its_target_it_ends_too(s: &Scenario) -> Result<()> {
    s.apply(&objects::canary(&s.host(), &objects::quick()))
        .await?;
    s.phase("Initializing", ADOPTION).await?;
    gone(s).await?;
    s.adopt("1.0.0", 1, &objects::until(50)).await?;
    s.ship("2.0.0").await?;
    s.until("a canary runs", RELEASE, |canary| {
        text(canary, "/status/phase") == "Progressing"
    })
    .await?;
    s.delete(Kind::Deployment, APP).await?;
    s.until_object(
        "the target is gone",
        (Kind::Deployment, APP),
        RETREAT,
        |found| found.is_none(),
    )
    .await?;
    gone(s).await?;
    s.canary_is_gone().await
}

/// Deletes the Canary as a person does, and waits until it is gone.
async fn gone(s: &Scenario) -> Result<()> {
    s.delete(Kind::Canary, APP).await?;
    let gone = |found: Option<&Value>| found.is_none();
    s.until_object("the Canary is gone", (Kind::Canary, APP), ENDING, gone)
        .await
}

/// A promotion that has to be taken back takes the longest.
const ENDING: Duration = Duration::from_secs(120);

/// A Canary with a route of the user, which stays when the Canary goes.
async fn adopt(s: &Scenario, replicas: i32, analysis: &Value) -> Result<()> {
    s.apply(&objects::route(ROUTE, &s.host())).await?;
    s.adopt_as(
        "1.0.0",
        replicas,
        &objects::canary_of_route(ROUTE, analysis),
    )
    .await
}

/// Name of the user's route.
const ROUTE: &str = "web";

/// Nothing of Serin is on the target.
fn unmarked(s: &Scenario) -> Result<()> {
    let target = s.get(Kind::Deployment, APP).unwrap_or_default();
    let labels = target["metadata"]["labels"].to_string();
    ensure!(!labels.contains("serin.dev/"), "marks are left: {labels}");
    Ok(())
}

/// Serin comes and goes again while users are there: no Pod moves, no request is lost.
pub(super) async fn serin_comes_and_goes_unnoticed(s: &Scenario) -> Result<()> {
    s.deploy("1.0.0", 3).await?;
    s.apply(&objects::route(ROUTE, &s.host())).await?;
    s.main_runs("1.0.0").await?;
    let load = s.load().await?;
    let from = SystemTime::now();
    s.apply(&objects::canary_of_route(ROUTE, &objects::quick()))
        .await?;
    s.phase("Initialized", ADOPTION).await?;
    let disarmed = disarm(s).await;
    scale(s, 1).await?;
    disarmed?;
    s.main_untouched(from, SystemTime::now())?;
    s.no_request_lost(load).map(drop)
}

/// Stops the controller and takes everything of Serin off, as before an uninstallation.
async fn disarm(s: &Scenario) -> Result<()> {
    scale(s, 0).await?;
    let said = s.world.serin(&["disarm", "--all", "--force"]).await?;
    ensure!(said.code == 0, "disarm: {said:?}");
    let unmarked = |found: Option<&Value>| {
        found.is_some_and(|one| !one["metadata"]["labels"].to_string().contains("serin.dev/"))
    };
    s.until_object(
        "the target is disarmed",
        (Kind::Deployment, APP),
        RETREAT,
        unmarked,
    )
    .await?;
    // Nothing holds any more: a change rolls out at once.
    s.let_go(RETREAT).await?;
    gone(s).await
}

async fn scale(s: &Scenario, replicas: usize) -> Result<()> {
    let count = format!("--replicas={replicas}");
    let scale = ["scale", "deployment/serin", "-n", HOME, &count];
    s.world.kubectl(&scale).await?.fine()?;
    install::rolled_out(&s.world).await?;
    s.world.controllers_ready(replicas).await
}
