//! What has to be true in more than one scenario.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use kube::api::{ApiResource, GroupVersionKind, ListParams};
use serde_json::Value;

use crate::load::program::report::Report;
use crate::load::{Load, within_sigma};
use crate::objects::APP;
use crate::record::{Kind, text};
use crate::scenario::{RETREAT, Scenario};

/// Fewer replies than this in a window say nothing about a share.
const FEW: u64 = 100;

/// How often a step that goes on is looked at, half a second apart.
const LOOKS: u32 = 20;

/// How many standard errors a share may be off.
const SIGMAS: f64 = 4.0;

impl Scenario {
    /// Ends the load: no request was lost, and none went astray.
    pub(crate) fn no_request_lost(&self, mut load: Load) -> Result<Report> {
        let report = load.end()?;
        let begun = since_1970(self.begun);
        let when: Vec<_> = load
            .losses()
            .into_iter()
            .map(|(second, count)| format!("{count} at {:.0} s", second as f64 - begun))
            .collect();
        let Report {
            sent,
            lost,
            stray,
            errors,
            ..
        } = &report;
        ensure!(*sent > 0, "no request was sent");
        self.number("lost requests", *lost as f64, 0.0)
            .with_context(|| format!("{lost} of {sent} lost: {errors:?}, {when:?}"))?;
        self.number("stray requests", *stray as f64, 0.0)
            .with_context(|| format!("{when:?}"))?;
        Ok(report)
    }

    /// The users' shares were those of the weights, in every step so far. A step that is still going on is waited for until
    /// it has replies to judge.
    pub(crate) async fn shares_follow_weights(&self, load: &Load) -> Result<()> {
        for _ in 0..LOOKS {
            if self.judge_shares(load)? > 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("no step lasted long enough to be judged")
    }

    /// Number of windows that had enough replies, all of them right.
    fn judge_shares(&self, load: &Load) -> Result<usize> {
        let mut judged = 0;
        for window in self.timeline().windows() {
            let report = load.window(window.from, window.to)?;
            let (share, expected) = (report.share(&window.version), window.weight as f64 / 100.0);
            let replies = report.replies();
            if replies < FEW {
                continue;
            }
            judged += 1;
            let error = (share - expected).abs() * 100.0;
            let name = format!("share error at {} % (points)", window.weight);
            self.number(&name, error, 100.0)?;
            ensure!(
                within_sigma(share, expected, replies, SIGMAS),
                "at weight {} % the canary got {:.1} % of {replies} requests",
                window.weight,
                share * 100.0
            );
        }
        Ok(judged)
    }

    /// Nothing of the canary is left: no workload, no copies, no weight.
    pub(crate) async fn canary_is_gone(&self) -> Result<()> {
        let name = format!("{APP}-canary");
        self.until_object(
            "the canary is gone",
            (Kind::Deployment, &name),
            RETREAT,
            |found| found.is_none(),
        )
        .await?;
        let weight = self.timeline().weight_values().last().copied();
        ensure!(weight.unwrap_or(0) == 0, "the weight is still {weight:?}");
        for (group, version, kind) in [
            ("policy", "v1", "PodDisruptionBudget"),
            ("autoscaling", "v2", "HorizontalPodAutoscaler"),
        ] {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let ours = ListParams::default().labels("serin.dev/canary-uid");
            let left = self.api(&resource).list(&ours).await?;
            let names: Vec<_> = left.iter().map(|one| one.metadata.name.clone()).collect();
            ensure!(names.is_empty(), "{kind} left: {names:?}");
        }
        Ok(())
    }

    /// The main release ran these tags and no other.
    pub(crate) fn main_ran_only(&self, tags: &[&str]) -> Result<()> {
        let ran = self.timeline().tags_on_main();
        let expected = tags.iter().map(|tag| (*tag).to_owned()).collect();
        ensure!(
            ran == expected,
            "the main release ran {ran:?}, not {tags:?}"
        );
        Ok(())
    }

    /// No Pod of the main release was started, ended or restarted between two times.
    pub(crate) fn main_untouched(&self, from: SystemTime, to: SystemTime) -> Result<()> {
        let moved = self.timeline().moved_on_main(from, to);
        ensure!(
            moved.is_empty(),
            "Pods of the main release moved: {moved:?}"
        );
        Ok(())
    }

    /// All Pods of the main release run this tag and are available, and nothing holds it.
    pub(crate) async fn main_runs(&self, tag: &str) -> Result<()> {
        let image = format!("app:{tag}");
        let what = format!("the main release runs {tag}");
        self.until_object(&what, (Kind::Deployment, APP), RETREAT, |found| {
            found.is_some_and(|one| {
                let status = &one["status"];
                text(one, "/spec/template/spec/containers/0/image") == image
                    && one["spec"]["paused"] != true
                    && status["observedGeneration"] == one["metadata"]["generation"]
                    && status["replicas"] == one["spec"]["replicas"]
                    && status["updatedReplicas"] == one["spec"]["replicas"]
                    && status["availableReplicas"] == one["spec"]["replicas"]
            })
        })
        .await
    }

    /// The phases that followed each other since a time.
    pub(crate) fn went_through(&self, from: SystemTime, phases: &[&str]) -> Result<()> {
        let all = self.timeline().phases();
        let seen: Vec<_> = all
            .iter()
            .filter(|(at, _)| *at > from)
            .map(|(_, phase)| phase.as_str())
            .collect();
        let mut rest = seen.iter();
        for phase in phases {
            if !rest.any(|seen| seen == phase) {
                bail!("the phases were {seen:?}, not {phases:?}");
            }
        }
        Ok(())
    }

    /// The newest entry of the history, with its outcome.
    pub(crate) fn last_release(&self, outcome: &str) -> Result<Value> {
        let last = self.canary()["status"]["history"][0].clone();
        ensure!(
            text(&last, "/outcome") == outcome,
            "the last release is {last}, not {outcome}"
        );
        Ok(last)
    }

    /// Number of entries in the history.
    pub(crate) fn releases(&self) -> usize {
        let canary = self.canary();
        canary["status"]["history"].as_array().map_or(0, Vec::len)
    }

    /// The weight never rose but by the plan, one step after the other, until it fell.
    pub(crate) fn no_early_step(&self, plan: &[i64]) -> Result<()> {
        let weights = self.timeline().weight_values();
        for pair in weights.windows(2) {
            let &[old, new] = pair else { continue };
            let position = |weight| plan.iter().position(|one| *one == weight);
            let next = match position(old) {
                Some(at) => plan.get(at + 1).copied(),
                None => plan.first().copied(),
            };
            // A canary that lost its Pods comes back at the step where it was.
            let back = old == 0 && weights.contains(&new);
            ensure!(
                new <= old || Some(new) == next || back,
                "the weight went from {old} to {new}: {weights:?}"
            );
        }
        Ok(())
    }
}

/// How long a thing took, as the table has it.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn since_1970(time: SystemTime) -> f64 {
    let since = time.duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
