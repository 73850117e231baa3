//! Adoption and idling: the handshake, the gate's proofs, what comes past the gate, and the end of a Canary.

use std::time::Duration;

use crate::crd::canary::DeletionPolicy;
use crate::crd::status::{Outcome, Phase};
use crate::rollout::observed::{Acceptance, Answer, Check, Gate};
use crate::rollout::tests::model::{Model, routes, serving};
use crate::rollout::tests::{fast, outcomes};

fn condition(model: &Model, type_: &str) -> String {
    let conditions = model.status().conditions;
    let found = conditions.into_iter().find(|found| found.type_ == type_);
    found.map_or_else(String::new, |found| found.status)
}

#[test]
fn the_handshake_waits_until_both_name_one_revision() {
    let mut model = Model::adopted(&fast());
    model.edit(|spec| spec.revision = Some("hash-2".to_owned()));
    model.ship("v2");
    model.run_for(Duration::from_secs(30));
    assert_eq!(model.phase(), Phase::Initialized, "{:#?}", model.trace);
    assert_eq!(condition(&model, "Ready"), "False");
    model.target().declared = Some("hash-2".to_owned());
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    assert_eq!(condition(&model, "Ready"), "True");
}

#[test]
fn the_handshake_ends_after_a_minute() {
    let mut model = Model::adopted(&fast());
    model.edit(|spec| spec.revision = Some("hash-2".to_owned()));
    model.run_for(Duration::from_secs(50));
    assert_ne!(model.status().observed_generation, Some(2));
    model.run_for(Duration::from_secs(15));
    assert_eq!(model.status().observed_generation, Some(2));
}

/// Helm writes the Deployment first, and its Canary with the plan for it a moment later, or never.
#[test]
fn a_plan_that_comes_behind_its_version_counts() {
    for late in [Some(2), None] {
        let mut model = Model::adopted(&fast());
        model.edit(|spec| spec.revision = Some("hash-1".to_owned()));
        model.target().declared = Some("hash-1".to_owned());
        model.run_for(Duration::from_secs(5));
        model.ship("v2");
        model.target().declared = Some("hash-2".to_owned());
        model.run_for(Duration::from_secs(late.unwrap_or(50)));
        assert!(!model.did("Place"), "{late:?}: {:#?}", model.trace);
        if late.is_some() {
            model.edit(|spec| {
                spec.revision = Some("hash-2".to_owned());
                spec.analysis.step_weights = vec![100];
            });
        }
        model.run_for(Duration::from_secs(15));
        let steps = model.status().plan.len();
        assert_eq!(steps == 1, late.is_some(), "{late:?}: {steps} steps");
        assert!(model.did("Place"), "{late:?}: {:#?}", model.trace);
    }
}

#[test]
fn a_cache_behind_the_live_target_is_not_believed() {
    let mut model = Model::adopted(&fast());
    model.edit(|spec| spec.revision = Some("hash-2".to_owned()));
    model.live = Some(("v2".to_owned(), Some("hash-2".to_owned())));
    model.run_for(Duration::from_secs(5));
    assert_eq!(model.status().observed_generation, Some(1));
    model.target().declared = Some("hash-2".to_owned());
    model.ship("v2");
    model.run();
    assert_eq!(model.status().observed_generation, Some(2));
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn terms_of_leaders_only_rise() {
    let mut model = Model::adopted(&fast());
    for (term, written) in [(3, 3), (2, 3), (4, 4)] {
        model.seen.epoch = term;
        model.tick();
        assert_eq!(model.status().epoch, Some(written));
    }
}

#[test]
fn the_gate_counts_after_two_dry_runs() {
    let mut model = Model::new(&fast());
    model.run_until(|model| model.did("Arm"));
    model.tick();
    let gate = model.status().gate.unwrap();
    assert!(gate.first_proof.is_some() && gate.proved_at.is_none());
    assert_eq!(condition(&model, "Gated"), "Unknown");
    let first = model.now;
    model.run_until(|model| model.phase() == Phase::Initialized);
    assert!(model.now >= first + Duration::from_secs(5));
    assert_eq!(condition(&model, "Gated"), "True");
}

#[test]
fn a_gate_that_does_not_hold_adopts_nothing() {
    let open = Answer::GateOpen("no policy matched".to_owned());
    let lost = Answer::Unreachable("timeout".to_owned());
    for answer in [open, lost] {
        let mut model = Model::new(&fast());
        model.gate = answer;
        model.run_for(Duration::from_secs(300));
        assert_eq!(model.phase(), Phase::Initializing);
        assert_eq!(condition(&model, "Gated"), "False");
        model.gate = Answer::GateHeld;
        model.run();
        assert_eq!(model.phase(), Phase::Initialized);
    }
}

#[test]
fn other_policies_are_proved_again() {
    let mut model = Model::adopted(&fast());
    model.seen.policies = Some("p2".to_owned());
    model.tick();
    assert_eq!(condition(&model, "Gated"), "Unknown");
    model.run();
    assert_eq!(condition(&model, "Gated"), "True");
    assert_eq!(model.status().gate.unwrap().policies, "p2");
    model.seen.policies = None;
    model.tick();
    assert_eq!(condition(&model, "Gated"), "False");
    let asked = model.seen.answers.contains_key(&Check::Gate);
    assert!(!asked, "there is nothing to try");
}

#[test]
fn policies_that_go_in_mid_release_are_told() {
    for policies in [None, Some("p2".to_owned())] {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_to(10);
        model.seen.policies = policies;
        model.tick();
        assert_eq!(condition(&model, "Gated"), "False");
    }
}

#[test]
fn a_target_that_a_person_paused_is_left_alone() {
    let mut model = Model::new(&fast());
    model.target().gate = Gate::PausedByOther;
    model.run_for(Duration::from_secs(60));
    assert_eq!(model.phase(), Phase::Initializing);
    assert!(
        !model.did("Arm") && !model.did("Release"),
        "{:#?}",
        model.trace
    );
    assert!(model.status().message.contains("paused by a person"));
}

#[test]
fn a_namesake_of_the_target_is_a_new_baseline() {
    let mut model = Model::adopted(&fast());
    let target = model.target();
    (target.uid, target.gate) = ("t2".to_owned(), Gate::Open);
    target.revision = "v7".to_owned();
    target.serving = serving("v7");
    model.tick();
    assert_eq!(model.phase(), Phase::Initializing);
    model.run();
    let stable = model.status().stable.unwrap();
    assert_eq!(
        (stable.revision.as_str(), stable.target_uid.as_str()),
        ("v7", "t2")
    );
    assert_eq!(outcomes(&model), []);
}

#[test]
fn a_replica_set_made_anew_is_stables() {
    let mut model = Model::adopted(&fast());
    model.target().serving[0].replica_set = "app-anew".to_owned();
    model.run();
    assert_eq!(model.status().stable.unwrap().replica_set, "app-anew");
    assert_eq!(
        (model.phase(), outcomes(&model)),
        (Phase::Initialized, vec![])
    );
}

#[test]
fn what_came_past_the_gate_is_in_the_history() {
    for gate in [Gate::Armed, Gate::Open] {
        let mut model = Model::adopted(&fast());
        let target = model.target();
        (target.revision, target.gate) = ("v2".to_owned(), gate);
        target.complete = false;
        model.run_for(Duration::from_secs(10));
        assert_eq!(outcomes(&model), [], "it still rolls");
        model.target().complete = true;
        model.target().serving = serving("v2");
        model.run();
        assert_eq!(outcomes(&model), [Outcome::Bypassed]);
        assert_eq!(model.status().history[0].by.as_deref(), Some("kubectl"));
        assert_eq!(model.status().stable.unwrap().revision, "v2");
        assert_eq!(
            (model.phase(), model.target().gate.clone()),
            (Phase::Initialized, Gate::Armed)
        );
    }
}

#[test]
fn what_was_rejected_is_not_tried_again_by_itself() {
    let mut model = Model::adopted(&fast());
    model.errors = 0.1;
    model.ship("v2");
    model.run();
    model.errors = 0.0;
    model.run_for(Duration::from_secs(3600));
    assert_eq!(
        (model.phase(), model.status().history.len()),
        (Phase::Failed, 1)
    );
    // Another annotation of the template, the same containers.
    model.target().revision = "v2 with a note".to_owned();
    model.run_for(Duration::from_secs(60));
    assert_eq!(
        (model.phase(), model.status().history.len()),
        (Phase::Failed, 1)
    );
    assert!(model.status().message.starts_with("same containers"));
    model.ship("v3");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn an_undone_candidate_is_over_when_stable_has_rolled_out() {
    let mut model = Model::adopted(&fast());
    model.errors = 0.1;
    model.ship("v2");
    model.run();
    model.never_starts = Some("v1".to_owned());
    model.ask("undo");
    model.run_for(Duration::from_secs(60));
    assert!(
        model.did("Revert") && model.did("Release { revision: \"v1\" }"),
        "{:#?}",
        model.trace
    );
    assert_eq!(model.status().revert.as_deref(), Some("v1"));
    model.target().complete = true;
    model.run();
    assert_eq!(
        (model.phase(), model.status().revert),
        (Phase::Initialized, None)
    );
}

/// The manager writes the aborted template again: that is no new attempt.
#[test]
fn under_gitops_a_late_abort_is_final() {
    for (gitops, end) in [
        (Some("Flux".to_owned()), Phase::Failed),
        (None, Phase::Initialized),
    ] {
        let mut model = Model::adopted(&fast());
        model.target().gitops = gitops;
        model.never_starts = Some("v2".to_owned());
        model.ship("v2");
        model.run_until(|model| model.did("Release"));
        model.pass(Duration::from_secs(1));
        model.ask("abort");
        model.run();
        assert_eq!(model.phase(), end, "{:#?}", model.trace);
        model.ship("v2");
        model.run_for(Duration::from_secs(10));
        let again = model.phase() == Phase::Progressing;
        assert_eq!(again, end == Phase::Initialized);
    }
}

#[test]
fn nothing_is_released_to_a_target_without_pods_but_what_is_said() {
    let mut model = Model::adopted(&fast());
    model.resize(0);
    model.target().serving.clear();
    model.ship("v2");
    model.run();
    assert_eq!(
        (model.phase(), outcomes(&model)),
        (Phase::Succeeded, vec![Outcome::Skipped])
    );
    assert!(!model.did("Place"), "{:#?}", model.trace);
}

#[test]
fn a_held_candidate_is_not_ready() {
    let mut model = Model::adopted(&fast());
    assert_eq!(condition(&model, "Ready"), "True");
    model.edit(|spec| spec.suspend = true);
    model.ship("v2");
    model.tick();
    assert_eq!(
        condition(&model, "Ready"),
        "True",
        "suspended: somebody wants it so"
    );
    model.edit(|spec| spec.suspend = false);
    model.seen.services.idle = false;
    model.tick();
    assert_eq!(
        (model.phase(), condition(&model, "Ready").as_str()),
        (Phase::Initialized, "False")
    );
}

#[test]
fn the_finalizer_goes_after_ten_minutes_and_not_before() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(50);
    model.router = Acceptance::Pending("the router is gone".to_owned());
    let began = model.now;
    model.delete();
    model.run_until(|model| model.canary.metadata.finalizers.is_none());
    let took = model.now.duration_since(began).as_secs();
    assert!((600..=610).contains(&took), "{took} s");
    assert!(
        model.did("GiveBack") && model.at("GiveBack") < model.at("LetGo"),
        "{:#?}",
        model.trace
    );
}

#[test]
fn the_end_waits_until_the_lock_is_off() {
    for routed in [true, false] {
        let mut model = Model::adopted(&fast());
        model.seen.capacity.autoscaler = Some("app".to_owned());
        model.ship("v2");
        model.run_until(|model| model.phase() == Phase::Finalising);
        model.delete();
        if !routed {
            model.seen.split = None;
        }
        model.run_until(|model| model.canary.metadata.finalizers.is_none());
        assert!(!model.seen.capacity.locked, "{routed}");
        assert!(model.did("Unlock"), "{routed}");
        assert!(
            model.at("Unlock") < model.at("GiveBack"),
            "{:#?}",
            model.trace
        );
    }
}

/// No canary is left, and somebody changed the route: it is back before it is given back.
#[test]
fn the_end_waits_until_the_route_is_back() {
    let mut model = Model::adopted(&fast());
    model.router = Acceptance::Pending("not seen".to_owned());
    model.seen.split.as_mut().unwrap().routes = routes(50);
    model.delete();
    model.run_for(Duration::from_secs(60));
    assert!(!model.did("GiveBack"), "{:#?}", model.trace);
    model.accept();
    model.run_until(|model| model.canary.metadata.finalizers.is_none());
    assert_eq!(model.weight(), 0);
}

#[test]
fn a_policy_decides_what_is_left_on_the_target() {
    for (policy, revision) in [(DeletionPolicy::Hold, "v2"), (DeletionPolicy::Revert, "v1")] {
        let mut model = Model::adopted(&fast());
        model.edit(|spec| spec.deletion_policy = Some(policy));
        model.target().gitops = Some("Flux".to_owned());
        model.ship("v2");
        model.run_to(50);
        model.delete();
        model.run_until(|model| model.canary.metadata.finalizers.is_none());
        assert_eq!(
            model.target().revision,
            revision,
            "a policy that is written counts"
        );
    }
}
