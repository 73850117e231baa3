//! What is safe now: locks, sizes, Services, what is held, and what comes in mid promotion.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use crate::crd::canary::OnFailure;
use crate::crd::status::{Outcome, Phase};
use crate::rollout::observed::{Acceptance, Gate, Problem, Readiness, Serving, Severity};
use crate::rollout::tests::model::{Model, routes, serving};
use crate::rollout::tests::{fast, outcomes, stalled};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn requests_wait_until_the_lock_is_seen() {
    let mut model = Model::adopted(&fast());
    model.seen.capacity.autoscaler = Some("app".to_owned());
    model.seen.capacity.copyable = true;
    model.lock_holds = false;
    model.ship("v2");
    model.run_for(SOON);
    assert_eq!(model.weight(), 0, "{:#?}", model.trace);
    model.lock_holds = true;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    let copies = model
        .trace
        .iter()
        .filter(|line| line.contains("autoscale: true"));
    assert!(copies.count() > 0, "{:#?}", model.trace);
}

#[test]
fn requests_wait_until_the_service_leads_to_the_canary() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.did("Place { revision: \"v2\", replicas: 2"));
    model.seen.services.points_at_canary = false;
    model.run_for(Duration::from_secs(60));
    assert_eq!(model.weight(), 10, "{:#?}", model.trace);
    model.seen.services.points_at_canary = true;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

/// Traefik answers nothing on a route of which one backend has no Pod.
#[test]
fn the_service_follows_once_a_pod_is_ready() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.did("Place { revision: \"v2\", replicas: 2"));
    model.lose_the_second_write();
    model.seen.services.canary_has_pods = false;
    model.trace.clear();
    model.run_for(SOON);
    assert!(!model.did("Place {"), "{:#?}", model.trace);
    model.seen.services.canary_has_pods = true;
    model.run_for(SOON);
    assert!(model.did("Place {"), "{:#?}", model.trace);
}

#[test]
fn a_canary_that_goes_is_left_alone() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    model.seen.canary.as_mut().unwrap().deleting = true;
    model.resize(20);
    model.seen.split.as_mut().unwrap().routes = routes(0);
    model.trace.clear();
    model.run_for(SOON);
    assert_eq!(
        (model.weight(), model.trace.len()),
        (0, 0),
        "{:#?}",
        model.trace
    );
    model.seen.canary = None;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded, "it is made anew");
}

/// Somebody put another revision into the canary: it gets nothing more, does not grow, and goes when nothing reaches it.
#[test]
fn a_foreign_canary_gets_nothing_more() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    model.seen.canary.as_mut().unwrap().arm.revision = "v0".to_owned();
    model.seen.split.as_mut().unwrap().routes = routes(0);
    model.resize(20);
    model.trace.clear();
    model.run_for(Duration::from_secs(60));
    assert_eq!(
        (model.weight(), model.trace.len()),
        (0, 0),
        "{:#?}",
        model.trace
    );
    model.run();
    assert_eq!(model.phase(), Phase::Failed);
    assert!(model.seen.canary.is_none());
}

/// It has the size that the weight needs, and is still another one's.
#[test]
fn a_foreign_canary_of_the_right_size_gets_nothing_back() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    model.seen.canary.as_mut().unwrap().arm.revision = "v0".to_owned();
    model.seen.split.as_mut().unwrap().routes = routes(0);
    model.run_for(SOON);
    assert_eq!(model.weight(), 0, "{:#?}", model.trace);
}

#[test]
fn checks_are_of_the_candidates_own_canary() {
    for going in [true, false] {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_to(10);
        let canary = model.seen.canary.as_mut().unwrap();
        if going {
            canary.deleting = true;
        } else {
            canary.arm.revision = "v0".to_owned();
        }
        model.run_for(Duration::from_secs(120));
        assert_eq!(
            (model.weight(), model.status().iterations),
            (10, 0),
            "{going}"
        );
    }
}

/// Stable grew in mid step: the step goes on when the canary has grown with it.
#[test]
fn checks_wait_until_the_canary_has_its_size() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(50);
    model.places = false;
    model.resize(20);
    let before = model.status().iterations;
    model.run_for(Duration::from_secs(60));
    assert_eq!(model.status().iterations, before);
    model.places = true;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn suspended_means_that_the_weight_stays() {
    let mut model = Model::adopted(&fast());
    model.edit(|spec| spec.suspend = true);
    model.ship("v2");
    model.run_for(Duration::from_secs(600));
    assert_eq!(model.phase(), Phase::Initialized);
    model.edit(|spec| spec.suspend = false);
    model.run_to(10);
    model.edit(|spec| spec.suspend = true);
    model.seen.canary = None;
    model.trace.clear();
    model.run_for(Duration::from_secs(30));
    assert!(!model.did("Place"), "{:#?}", model.trace);
    model.edit(|spec| spec.suspend = false);
    model.run_to(50);
    model.edit(|spec| spec.suspend = true);
    model.run_for(Duration::from_secs(3600));
    assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 50));
    model.edit(|spec| spec.suspend = false);
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn what_is_refused_begins_nothing_and_goes_on_with_nothing() {
    let problem = Problem {
        reason: "MetricsNotFound",
        message: "spec.analysis.metrics[0]: there is no such template".to_owned(),
        severity: Severity::Refused,
    };
    let mut model = Model::adopted(&fast());
    model.seen.problems = vec![problem.clone()];
    model.ship("v2");
    model.run_for(SOON);
    assert_eq!(
        (model.phase(), stalled(&model)),
        (Phase::Initialized, false)
    );
    model.run_for(Duration::from_secs(40));
    assert!(stalled(&model), "a minute is long enough to mend it");
    model.seen.problems.clear();
    model.run_to(10);
    assert!(!stalled(&model));
    model.seen.problems = vec![problem];
    model.run_for(Duration::from_secs(300));
    assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 10));
}

#[test]
fn a_rejected_canary_may_be_kept() {
    let mut model = Model::adopted(&fast());
    model.edit(|spec| spec.analysis.on_failure = OnFailure::Pause);
    model.errors = 0.1;
    model.ship("v2");
    model.run();
    assert_eq!((model.phase(), model.weight()), (Phase::Failed, 0));
    assert!(model.seen.canary.is_some(), "{:#?}", model.trace);
    model.errors = 0.0;
    model.ship("v3");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    assert!(
        model.at("Remove") < model.at("Progressing -> Promoting"),
        "{:#?}",
        model.trace
    );
}

#[test]
fn the_next_attempt_is_not_made_under_the_verdict_of_the_last() {
    for next in ["v3", "v2"] {
        let mut model = Model::adopted(&fast());
        model.errors = 0.1;
        model.ship("v2");
        model.run_until(|model| model.phase() == Phase::Failed);
        model.run_for(Duration::from_secs(60));
        assert!(model.target().verdict.is_some());
        model.errors = 0.0;
        if next == "v2" {
            model.ask("retry");
        } else {
            model.ship(next);
        }
        model.run_to(10);
        assert_eq!(model.target().verdict, None, "{next}");
    }
}

#[test]
fn what_could_come_back_from_zero_goes_while_a_template_is_held() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    model.trace.clear();
    model.target().leftovers = true;
    model.tick();
    assert!(model.did("Preserve"), "{:#?}", model.trace);
}

#[test]
fn a_copied_target_that_never_ran_is_started() {
    let mut model = Model::new(&fast());
    let target = model.target();
    (target.gate, target.complete) = (Gate::Held, false);
    target.serving.clear();
    model.run_until(|model| model.did("Release"));
    assert_eq!(model.phase(), Phase::Initializing);
    model.run();
    assert_eq!(model.phase(), Phase::Initialized);
}

#[test]
fn the_gate_waits_for_the_route() {
    let mut model = Model::new(&fast());
    model.router = Acceptance::Pending("not seen".to_owned());
    model.run_for(Duration::from_secs(600));
    assert!(!model.did("Arm"), "{:#?}", model.trace);
    model.accept();
    model.run();
    assert_eq!(model.phase(), Phase::Initialized);
}

/// Rolls the main release to v2 until so many of its three Pods run it.
fn rolling(updated: i32, ready: i32) -> Model {
    let mut model = Model::adopted(&fast());
    model.never_starts = Some("v2".to_owned());
    model.ship("v2");
    model.run_until(|model| model.did("Release"));
    let target = model.target();
    target.stuck = None;
    let set = |revision: &str, ready| Serving {
        ready,
        ..serving(revision)[0].clone()
    };
    target.serving = vec![set("v1", ready - updated), set("v2", updated)];
    target.serving.retain(|set| set.ready > 0);
    target.ready = ready;
    target.ready_updated = updated;
    model.tick();
    model.trace.clear();
    model
}

#[test]
fn a_template_held_in_mid_roll_waits_for_enough_pods() {
    let mut model = rolling(1, 2);
    model.ship("v3");
    model.run_for(Duration::from_secs(60));
    assert_eq!((model.phase(), model.weight()), (Phase::Promoting, 100));
    assert!(!model.did("Release"), "{:#?}", model.trace);
    model.target().ready = 3;
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::Promoted]);
    assert_eq!(model.status().history[1].revision, "v2");
    let back = model.at("Route(Routes { canary: Weight(0) })");
    assert!(
        back < model.at("Progressing -> Promoting"),
        "{:#?}",
        model.trace
    );
}

#[test]
fn what_was_promoted_in_part_is_stable_for_the_next() {
    let mut model = rolling(2, 3);
    model.ship("v3");
    model.run_until(|model| {
        let candidate = model.status().candidate;
        candidate.is_some_and(|candidate| candidate.revision == "v3" && candidate.verdict.is_none())
    });
    assert_eq!(model.status().stable.unwrap().revision, "v2");
}

#[test]
fn a_template_held_before_the_roll_supersedes() {
    let mut model = rolling(0, 3);
    model.ship("v3");
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::Superseded]);
    assert!(
        !model.did("Release { revision: \"v2\" }"),
        "{:#?}",
        model.trace
    );
}

#[test]
fn stable_put_back_in_mid_roll_is_released_and_waited_for() {
    let mut model = rolling(1, 3);
    model.never_starts = Some("v1".to_owned());
    model.ship("v1");
    model.run_for(Duration::from_secs(60));
    assert!(
        model.did("Release { revision: \"v1\" }"),
        "{:#?}",
        model.trace
    );
    assert_eq!((model.phase(), model.weight()), (Phase::Promoting, 100));
    model.target().stuck = None;
    model.target().complete = true;
    model.target().serving = serving("v1");
    model.run();
    assert_eq!((model.phase(), model.weight()), (Phase::Initialized, 0));
    assert_eq!(outcomes(&model), [Outcome::Aborted]);
}

#[test]
fn an_abort_in_mid_roll_waits_for_stable() {
    let mut model = rolling(1, 3);
    model.never_starts = Some("v1".to_owned());
    model.ask("abort");
    model.run_for(Duration::from_secs(60));
    assert!(
        model.did("Revert { revision: \"v1\" }"),
        "{:#?}",
        model.trace
    );
    assert_eq!((model.phase(), model.weight()), (Phase::Promoting, 100));
    model.target().stuck = None;
    model.target().complete = true;
    model.run();
    assert_eq!(
        (model.weight(), outcomes(&model)),
        (0, vec![Outcome::Aborted])
    );
}

#[test]
fn a_canary_lost_in_mid_roll_gives_its_traffic_to_the_target() {
    let mut model = rolling(2, 3);
    model.lose_pods(0, 3);
    model.target().ready_updated = 2;
    model.tick();
    assert_eq!((model.phase(), model.weight()), (Phase::Promoting, 0));
}

#[test]
fn the_canary_is_as_large_as_the_way_back() {
    let mut model = Model::adopted(&fast());
    model.seen.capacity.wants = Some(5);
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Promoting);
    assert_eq!(model.seen.canary.clone().unwrap().arm.replicas, 5);
    model.trace.clear();
    model.run();
    let (wide, back) = (
        model.at("ScaleUp(5)"),
        model.at("Route(Routes { canary: Weight(0) })"),
    );
    assert!(wide.is_some() && wide < back, "{:#?}", model.trace);
}

#[test]
fn a_size_that_the_spec_asks_for_is_no_share() {
    for (size, pods) in [
        (IntOrString::Int(2), [2, 2, 2]),
        (IntOrString::String("50%".to_owned()), [2, 2, 2]),
        (IntOrString::Int(0), [1, 1, 1]),
    ] {
        let mut model = Model::adopted(&fast());
        model.edit(|spec| spec.canary.replicas = Some(size.clone()));
        model.ship("v2");
        for (weight, pods) in [10, 50, 100].into_iter().zip(pods) {
            model.run_until(|model| model.status().traffic.wanted == weight);
            model.run_for(Duration::from_secs(1));
            assert_eq!(
                model.seen.canary.clone().unwrap().arm.replicas,
                pods,
                "{size:?}"
            );
        }
    }
}

/// A large service: shares are rounded up, and never to nothing.
#[test]
fn shares_are_rounded_up() {
    let mut model =
        Model::adopted(&json!({"interval": "10s", "checks": 1, "stepWeights": [1, 10, 34]}));
    model.resize(11);
    model.ship("v2");
    for (weight, pods) in [(1, 1), (10, 2), (34, 4)] {
        model.run_to(weight);
        assert_eq!(
            model.seen.canary.clone().unwrap().arm.ready,
            pods,
            "{weight} %"
        );
    }
}

#[test]
fn routes_have_time_to_forget_the_service() {
    let mut model = Model::adopted(&fast());
    model.delete();
    model.run_until(|model| model.did("GiveBack"));
    assert!(
        !model.did("Forget") && !model.did("Disarm"),
        "{:#?}",
        model.trace
    );
    let began = model.now;
    model.run_until(|model| model.did("Forget"));
    assert!(model.now >= began + Duration::from_secs(5));
}

#[test]
fn the_target_is_not_touched_before_the_canary_is_gone() {
    for held in ["v2", "v1"] {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_to(50);
        model.router = Acceptance::Pending("not seen".to_owned());
        model.ship(held);
        model.delete();
        model.run_for(Duration::from_secs(300));
        let touched = model.did("Revert") || model.did("Release") || model.did("GiveBack");
        assert!(
            !touched && model.seen.canary.is_some(),
            "{held}: {:#?}",
            model.trace
        );
        model.accept();
        model.run_until(|model| model.canary.metadata.finalizers.is_none());
        assert_eq!(model.target().revision, "v1");
    }
}

#[test]
fn a_canary_that_gets_slower_to_start_is_waited_for_at_each_size() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    model.health = Readiness::Progressing("1 of 2 Pods are ready".to_owned());
    model.run_until(|model| model.did("Place { revision: \"v2\", replicas: 2"));
    model.lose_pods(1, 3);
    model.run_for(Duration::from_secs(120));
    assert_eq!(model.weight(), 10, "{:#?}", model.trace);
}
