//! `helm uninstall` of an application at every point of a release: Serin lets go of it, and it can come back.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use crate::load::Load;
use crate::objects::APP;
use crate::pipeline::Pipeline;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, RETREAT, Scenario};
use crate::verdict::seconds;

/// A point of a release.
struct Moment {
    /// The Canary's phase at this point.
    phase: &'static str,
    /// What is shipped to get there, over 1.0.0; nothing if empty.
    tag: &'static str,
    /// With which values.
    values: &'static [&'static str],
}

/// At rest, and on the way to a verdict.
static BEFORE_THE_VERDICT: [Moment; 4] = [
    Moment {
        phase: "Initialized",
        tag: "",
        values: &[],
    },
    // With one weight, a person is asked before any traffic.
    Moment {
        phase: "Waiting",
        tag: "2.0.0",
        values: &["canary.manual=true", "canary.stepWeights={100}"],
    },
    Moment {
        phase: "Progressing",
        tag: "2.0.0",
        values: &["canary.analysis.checks=100"],
    },
    // At the approval behind the first weight.
    Moment {
        phase: "Progressing",
        tag: "2.0.0",
        values: &["canary.manual=true"],
    },
];

/// While the main release rolls, and rejected but still held.
static AFTER_THE_VERDICT: [Moment; 2] = [
    // Its Pods start slowly, so that it is still rolling when it is uninstalled.
    Moment {
        phase: "Promoting",
        tag: "2.0.0-start5",
        values: &["canary.stepWeights={100}"],
    },
    Moment {
        phase: "Failed",
        tag: "2.0.0-errors50",
        values: &[],
    },
];

/// Everything that a release of our chart, or Serin for it, makes in a namespace.
const KINDS: &str = "all,canaries,httproutes,poddisruptionbudgets,controllerrevisions,endpointslices,secrets,configmaps,\
    serviceaccounts,roles,rolebindings";

/// What is in every namespace.
const OF_THE_NAMESPACE: [&str; 2] = ["configmap/kube-root-ca.crt", "serviceaccount/default"];

/// How long users are watched at each moment.
const SERVED: Duration = Duration::from_secs(3);

/// How long Kubernetes itself may take to collect what belonged to what is gone.
const COLLECTED: Duration = Duration::from_secs(20);

/// Before a verdict nothing is left of the application, and it can be installed again.
pub(super) async fn uninstalled_before_the_verdict_it_leaves_nothing(s: &Scenario) -> Result<()> {
    at_each(s, &BEFORE_THE_VERDICT).await
}

/// After it neither.
pub(super) async fn uninstalled_after_the_verdict_it_leaves_nothing(s: &Scenario) -> Result<()> {
    at_each(s, &AFTER_THE_VERDICT).await
}

/// One after the other in one namespace, so that each finds what the one before has left.
async fn at_each(s: &Scenario, moments: &[Moment]) -> Result<()> {
    let pipeline = Pipeline::new(s);
    for moment in moments {
        let load = installed(s, &pipeline).await?;
        reach(s, &pipeline, moment).await?;
        uninstall(s, &pipeline, moment, load)
            .await
            .with_context(|| format!("uninstalled in phase {}", moment.phase))?;
    }
    let load = installed(s, &pipeline).await?;
    tokio::time::sleep(SERVED).await;
    s.no_request_lost(load).map(drop)
}

/// The application at rest, with users.
async fn installed(s: &Scenario, pipeline: &Pipeline<'_>) -> Result<Load> {
    pipeline.begin("1.0.0").await?;
    s.reachable().await?;
    s.load().await
}

async fn reach(s: &Scenario, pipeline: &Pipeline<'_>, moment: &Moment) -> Result<()> {
    if !moment.tag.is_empty() {
        s.world.images(&[moment.tag]).await?;
        // The plan first: whether one of the same upgrade counts is another matter.
        for tag in ["1.0.0", moment.tag] {
            let image = format!("image.tag={tag}");
            let mut values = vec![image.as_str(), "canary.enabled=true"];
            values.extend(moment.values);
            pipeline.release("upgrade", &values, &[]).await?.fine()?;
            s.until("the plan is known", RETREAT, |canary| {
                canary["status"]["observedGeneration"] == canary["metadata"]["generation"]
            })
            .await?;
        }
    }
    s.phase(moment.phase, RELEASE).await?;
    if moment.values.contains(&"canary.manual=true") {
        return s.stands(RELEASE).await;
    }
    match moment.phase {
        "Progressing" => s.weight(20, RELEASE).await,
        "Failed" => held(s),
        _ => Ok(()),
    }
}

/// The rejected template stands in the target, and the gate keeps it from running.
fn held(s: &Scenario) -> Result<()> {
    let target = s.get(Kind::Deployment, APP).unwrap_or_default();
    let held = text(&target, "/metadata/labels/serin.dev~1held");
    ensure!(held == "true", "it is not held: {}", target["metadata"]);
    Ok(())
}

/// Nobody was lost up to here; then all of it goes, in good time.
async fn uninstall(
    s: &Scenario,
    pipeline: &Pipeline<'_>,
    moment: &Moment,
    load: Load,
) -> Result<()> {
    // The last second is not counted yet; there has to be one before it.
    tokio::time::sleep(SERVED).await;
    let seen = load.window(s.begun, SystemTime::now() - Duration::from_secs(1))?;
    ensure!(seen.replies() > 0, "no user was there");
    ensure!(seen.lost == 0, "{} requests were lost before", seen.lost);
    let phase = text(&s.canary(), "/status/phase").to_owned();
    ensure!(phase == moment.phase, "it is in phase {phase} already");
    let begun = Instant::now();
    let gone = ["uninstall", APP, "--wait", "--timeout", "90s"];
    pipeline.call(&gone).await?.fine()?;
    drop(load);
    for (kind, name) in [
        (Kind::Canary, APP),
        (Kind::Deployment, APP),
        (Kind::Deployment, "app-canary"),
    ] {
        let what = format!("{kind:?} {name} is gone");
        s.until_object(&what, (kind, name), RETREAT, |found| found.is_none())
            .await?;
    }
    nothing_is_left(s).await?;
    let name = format!("uninstalled in {} (s)", moment.phase);
    s.number(&name, seconds(begun.elapsed()), 60.0)
}

async fn nothing_is_left(s: &Scenario) -> Result<()> {
    let begun = Instant::now();
    loop {
        let all = s.kubectl(&["get", KINDS, "-o", "name"]).await?.fine()?;
        let left: Vec<_> = all
            .lines()
            .filter(|name| !OF_THE_NAMESPACE.contains(name))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        ensure!(begun.elapsed() < COLLECTED, "left behind: {left:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
