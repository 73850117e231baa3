//! The controller dies before each write of each tale in turn, and another one goes on: the end is the same, no step is cut short, and
//! nothing is released twice. Actions are made of several writes in the adapters; `tests/it/crashes.rs` dies between those, too.

use serde_json::{Value, json};

use crate::crd::status::{Outcome, Phase, Release};
use crate::rollout::observed::Readiness;
use crate::rollout::tests::fast;
use crate::rollout::tests::model::Model;

/// A release as it is told, from an adopted target to rest.
pub(super) struct Tale {
    pub(super) name: &'static str,
    pub(super) analysis: fn() -> Value,
    pub(super) tell: fn(&mut Model),
}

pub(super) const TALES: [Tale; 11] = [
    Tale {
        name: "good",
        analysis: fast,
        tell: |model| model.ship("v2"),
    },
    Tale {
        name: "errors",
        analysis: fast,
        tell: |model| {
            model.errors = 0.2;
            model.ship("v2");
        },
    },
    Tale {
        name: "cannot start",
        analysis: fast,
        tell: |model| {
            model.health = Readiness::Stuck("ImagePullBackOff".to_owned());
            model.ship("v2");
        },
    },
    Tale {
        name: "superseded",
        analysis: fast,
        tell: |model| {
            model.ship("v2");
            model.run_to(10);
            model.ship("v3");
        },
    },
    Tale {
        name: "taken back by its owner",
        analysis: fast,
        tell: |model| {
            model.ship("v2");
            model.run_to(50);
            model.ship("v1");
        },
    },
    Tale {
        name: "aborted",
        analysis: fast,
        tell: |model| {
            model.ship("v2");
            model.run_to(50);
            model.ask("abort");
        },
    },
    Tale {
        name: "approved",
        analysis: || json!({"interval": "10s", "steps": [{"setWeight": 20}, {"checks": 1}, {"pause": {}}, {"setWeight": 100}]}),
        tell: |model| {
            model.ship("v2");
            model.run_until(|model| {
                model
                    .status()
                    .step
                    .is_some_and(|step| step.waiting.is_some())
            });
            model.ask("promote");
        },
    },
    Tale {
        name: "blue/green",
        analysis: || json!({"interval": "10s", "checks": 1, "iterations": 3}),
        tell: |model| model.ship("v2"),
    },
    Tale {
        name: "tried again",
        analysis: fast,
        tell: |model| {
            model.errors = 0.2;
            model.ship("v2");
            model.run();
            model.errors = 0.0;
            model.ask("retry");
        },
    },
    Tale {
        name: "with an autoscaler",
        analysis: fast,
        tell: |model| {
            model.seen.capacity.autoscaler = Some("app".to_owned());
            model.ship("v2");
        },
    },
    Tale {
        name: "deleted under way",
        analysis: fast,
        tell: |model| {
            model.ship("v2");
            model.run_to(10);
            model.delete();
        },
    },
];

/// How a tale ended, and whether the controller died in it.
fn told(tale: &Tale, dies_after: Option<usize>) -> (String, bool) {
    let mut model = Model::adopted(&(tale.analysis)());
    model.dies_after = dies_after;
    (tale.tell)(&mut model);
    model.run_until(|model| model.canary.metadata.finalizers.is_none());
    let died = dies_after.is_some() && model.dies_after.is_none();
    let all = model.trace.iter();
    let mut released: Vec<_> = all.filter(|line| line.starts_with("Release")).collect();
    let releases = released.len();
    released.dedup();
    assert_eq!(releases, released.len(), "{}: twice", tale.name);
    (end(&mut model), died)
}

fn end(model: &mut Model) -> String {
    let (status, weight) = (model.status(), model.weight());
    let history: Vec<_> = status.history.iter().map(release).collect();
    let target = model.target();
    let (serving, gate) = (target.serving[0].revision.clone(), target.gate.clone());
    let (canary, finalizers) = (&model.seen.canary, &model.canary.metadata.finalizers);
    format!(
        "{}, {serving} serves, gate {gate:?}, weight {weight}, canary {canary:?}, finalizers {finalizers:?}, {history:?}",
        status.phase
    )
}

/// Of a promotion it says how many rounds had passed; the reasons of the rest have values of a moment.
fn release(release: &Release) -> String {
    let promoted = release.outcome == Outcome::Promoted;
    let rounds = if promoted { &release.reason } else { "" };
    format!("{} {:?} {rounds}", release.revision, release.outcome)
}

#[test]
fn a_death_before_any_write_changes_nothing() {
    let mut deaths = 0;
    for tale in &TALES {
        let (expected, _) = told(tale, None);
        let rest = [Phase::Initialized, Phase::Succeeded, Phase::Failed];
        let rests = rest
            .iter()
            .any(|phase| expected.starts_with(phase.as_str()));
        let goes = tale.name == "deleted under way" && expected.contains("finalizers None");
        assert!(rests || goes, "{}: {expected}", tale.name);
        for writes in 0.. {
            let (end, died) = told(tale, Some(writes));
            assert_eq!(end, expected, "{}, dead after {writes} writes", tale.name);
            if !died {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 200, "{deaths}");
}
