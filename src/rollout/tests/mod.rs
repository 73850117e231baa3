//! The core against a model of the world: what people would see, and what may never happen.

mod adoption;
mod alerts;
mod beyond;
mod comparison;
mod crashes;
mod header_routes;
mod hooks;
mod known_bugs;
mod model;
mod net;
mod people;
mod planner;
mod sharing;
mod stepping;
mod stories;
mod verbs;

use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::crd::status::{Mark, Outcome, Phase, RequestOutcome, Wait};
use crate::rollout::observed::{Acceptance, Gate, Readiness};
use crate::rollout::tests::model::{Model, routes};

fn fast() -> serde_json::Value {
    json!({"interval": "10s", "checks": 1, "stepWeights": [10, 50, 100]})
}

/// Whether what waits for the Canary is told that it has failed for good.
fn stalled(model: &Model) -> bool {
    let conditions = model.status().conditions;
    conditions
        .iter()
        .any(|found| found.type_ == "Stalled" && found.status == "True")
}

fn outcomes(model: &Model) -> Vec<Outcome> {
    model
        .status()
        .history
        .iter()
        .map(|release| release.outcome)
        .collect()
}

#[test]
fn adoption_makes_services_route_and_gate_and_touches_nothing_else() {
    let mut model = Model::new(&fast());
    model.run();
    expect![[r#"
        Adopt
        Serve
        Route(Routes { canary: Weight(0) })
        Arm
        Initializing -> Initialized"#]]
    .assert_eq(&model.trace.join("\n"));
    assert!(!model.tick(), "idle: nothing is written");
}

#[test]
fn a_good_release_is_stepped_and_promoted() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run();
    expect![[r#"
        Initialized -> Progressing
        Preserve { stable: "v1", candidate: "v2" }
        Place { revision: "v2", replicas: 1, weight: 0, autoscale: false }
        Route(Routes { canary: Weight(10) })
        Place { revision: "v2", replicas: 2, weight: 0, autoscale: false }
        Route(Routes { canary: Weight(50) })
        Place { revision: "v2", replicas: 3, weight: 0, autoscale: false }
        Route(Routes { canary: Weight(100) })
        Progressing -> Promoting
        Release { revision: "v2" }
        Promoting -> Finalising
        Route(Routes { canary: Weight(0) })
        Idle
        Remove
        Finalising -> Succeeded"#]]
    .assert_eq(&model.trace.join("\n"));
    let status = model.status();
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    assert_eq!(status.history[0].marks, []);
    assert_eq!(status.stable.unwrap().revision, "v2");
    assert!(!model.tick());
}

#[test]
fn errors_of_the_candidate_bring_the_weight_to_zero() {
    let mut model = Model::adopted(&fast());
    model.errors = 0.05;
    model.ship("v2");
    model.run();
    let status = model.status();
    assert_eq!(status.phase, Phase::Failed);
    assert_eq!(model.weight(), 0);
    assert!(model.seen.canary.is_none());
    assert!(
        status
            .message
            .contains("request-success-rate 95% (>= 99%) is worse than stable's"),
        "{}",
        status.message
    );
    assert!(
        model.target().verdict.is_none(),
        "the verdict expires after ten minutes"
    );
    assert!(
        model
            .trace
            .iter()
            .any(|line| line.contains("Verdict(Some(\"serin: canary v2")),
        "{:#?}",
        model.trace
    );
    assert_eq!(
        model.target().gate,
        Gate::Held,
        "what was rejected stays held"
    );
    assert!(!model.tick());
}

/// Helm waits for its own rollback by the same conditions, and so does who ships the fix.
#[test]
fn a_verdict_is_final_until_another_template_is_held() {
    for (next, end) in [("v1", Phase::Initialized), ("v3", Phase::Succeeded)] {
        let mut model = Model::adopted(&fast());
        model.errors = 0.05;
        model.ship("v2");
        model.run();
        assert!(stalled(&model), "the rejected one is held");
        model.errors = 0.0;
        model.ship(next);
        model.tick();
        assert!(!stalled(&model), "{next}: {}", model.status().message);
        model.run_until(|model| {
            assert!(!stalled(model), "{next}: {}", model.status().message);
            model.phase() == end
        });
    }
}

#[test]
fn stable_put_back_means_stop() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.weight() == 50);
    model.ship("v1");
    model.run();
    assert_eq!(model.phase(), Phase::Initialized);
    assert_eq!(outcomes(&model), [Outcome::Aborted]);
    assert_eq!(
        (model.weight(), model.target().gate.clone()),
        (0, Gate::Armed)
    );
    assert!(!model.tick());
}

#[test]
fn another_candidate_starts_from_zero() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.weight() == 50);
    model.ship("v3");
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::Superseded]);
    let after = model
        .trace
        .iter()
        .skip_while(|line| *line != "Route(Routes { canary: Weight(0) })")
        .nth(3)
        .cloned();
    let first = "Place { revision: \"v3\", replicas: 1, weight: 0, autoscale: false }";
    assert_eq!(after.as_deref(), Some(first), "{:#?}", model.trace);
    assert_eq!(model.status().stable.unwrap().revision, "v3");
}

#[test]
fn quiet_services_are_promoted_and_marked_unproven() {
    for rate in [0.0, 0.2] {
        let mut model = Model::adopted(&fast());
        model.rate = rate;
        model.pass(Duration::from_secs(3600));
        model.ship("v2");
        model.run();
        assert_eq!(model.phase(), Phase::Succeeded, "{:#?}", model.status());
        assert_eq!(model.status().history[0].marks, [Mark::Unproven]);
    }
}

#[test]
fn a_metrics_server_that_is_down_reverts_nothing() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.weight() == 10);
    model.server_down = true;
    model.run_until(|model| {
        model
            .status()
            .step
            .is_some_and(|step| step.waiting == Some(Wait::NoEvidence))
    });
    assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 10));
    model.server_down = false;
    model.ask("resume");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn a_canary_that_cannot_start_is_rejected_at_the_deadline() {
    let mut model = Model::adopted(&fast());
    model.health = Readiness::Progressing("0 of 1 Pods are ready".to_owned());
    model.ship("v2");
    model.run();
    assert_eq!(model.phase(), Phase::Failed);
    assert!(
        model.status().message.contains("within 600 s"),
        "{}",
        model.status().message
    );
    assert!(!model.trace.iter().any(|line| line.contains("Weight(10)")));
}

#[test]
fn a_canary_that_loses_its_pods_gets_no_traffic_at_once() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.weight() == 50);
    model.run_until(|model| model.status().traffic.accepted_at.is_some());
    let arm = &mut model.seen.canary.as_mut().unwrap().arm;
    arm.ready = 1;
    arm.readiness = Readiness::Progressing("1 of 2 Pods are ready".to_owned());
    model.tick();
    assert_eq!((model.weight(), model.status().failed_checks), (0, 1));
    let arm = &mut model.seen.canary.as_mut().unwrap().arm;
    arm.ready = 2;
    arm.readiness = Readiness::Ready;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded, "one loss is forgiven");
}

#[test]
fn the_size_of_the_last_canary_is_not_asked_of_the_next() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run();
    model.ship("v3");
    model.run_until(|model| model.weight() == 10);
    let split = model.seen.split.as_mut().unwrap();
    split.acceptance = Acceptance::Pending("not seen by the gateway yet".to_owned());
    model.tick();
    assert_eq!((model.weight(), model.status().failed_checks), (10, 0));
    model.seen.split.as_mut().unwrap().acceptance = Acceptance::Accepted;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn an_early_call_changes_nothing() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| {
        model
            .status()
            .step
            .is_some_and(|step| step.clock_at.is_some())
    });
    model.tick();
    for _ in 0..30 {
        model.pass(Duration::from_millis(50));
        assert!(!model.tick(), "{:#?}", model.trace);
    }
}

#[test]
fn drift_is_put_right_and_never_progress() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.weight() == 10 && model.status().traffic.accepted_at.is_some());
    model.seen.split.as_mut().unwrap().routes = routes(90);
    model.tick();
    assert_eq!(model.weight(), 10);
    assert_eq!(model.status().step.unwrap().index, 0);
    assert_eq!(model.status().traffic.corrections.len(), 1);
}

#[test]
fn verbs_are_handled_once_and_refused_in_the_wrong_phase() {
    let mut model = Model::adopted(&fast());
    for verb in [
        "promote", "abort", "pause", "resume", "retry", "skip", "undo", "nonsense",
    ] {
        model.ask(verb);
        model.run();
        let last = model.status().last_request.unwrap();
        assert_eq!(
            (last.verb.as_str(), last.outcome),
            (verb, RequestOutcome::Refused),
            "{last:?}"
        );
        assert_eq!(last.by.as_deref(), Some("alice"));
        assert!(model.canary.metadata.annotations.is_none());
    }
    model.ship("v2");
    model.run_until(|model| model.weight() == 10);
    model.ask(r#"{"verb":"abort","id":"1","reason":"looks odd"}"#);
    model.run();
    assert_eq!(model.phase(), Phase::Failed);
    assert_eq!(model.status().history[0].by.as_deref(), Some("alice"));
    model.ask("retry");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn a_pause_without_a_duration_waits_for_a_person() {
    let steps =
        json!({"interval": "10s", "steps": [{"setWeight": 20}, {"checks": 1}, {"pause": {}}]});
    let mut model = Model::adopted(&steps);
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::WaitingPromotion);
    model.pass(Duration::from_secs(3600));
    model.tick();
    assert_eq!(
        (model.phase(), model.weight()),
        (Phase::WaitingPromotion, 20)
    );
    model.ask("promote");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn deletion_puts_stable_back_and_lets_go() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.weight() == 50);
    model.canary.metadata.deletion_timestamp = Some(
        k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(model.now),
    );
    model.run_until(|model| model.canary.metadata.finalizers.is_none());
    assert_eq!(model.weight(), 0);
    assert_eq!(model.target().revision, "v1");
    assert!(
        model
            .trace
            .iter()
            .any(|line| line == "Release { revision: \"v1\" }"),
        "{:#?}",
        model.trace
    );
    assert!(
        !model
            .trace
            .iter()
            .any(|line| line == "Release { revision: \"v2\" }")
    );
}

#[test]
fn a_target_without_pods_has_nothing_to_protect() {
    let mut model = Model::adopted(&fast());
    model.target().replicas = 0;
    model.target().ready = 0;
    model.target().serving.clear();
    model.ship("v2");
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Skipped]);
    assert_eq!(model.target().gate, Gate::Armed);
}

#[test]
fn a_main_release_made_smaller_is_widened_before_traffic_returns() {
    let cases = [
        ("aborted", Phase::Progressing, 50, Phase::Failed),
        ("promoted", Phase::Promoting, 100, Phase::Succeeded),
    ];
    for (name, phase, weight, end) in cases {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_until(|model| model.phase() == phase && model.weight() == weight);
        model.trace.clear();
        model.resize(1);
        if end == Phase::Failed {
            model.ask("abort");
        }
        model.run();
        let at = |what: &str| model.trace.iter().position(|line| line == what);
        let (wide, back) = (at("ScaleUp(3)"), at("Route(Routes { canary: Weight(0) })"));
        assert!(wide.is_some() && wide < back, "{name}: {:#?}", model.trace);
        assert_eq!(model.phase(), end, "{name}");
    }
}

#[test]
fn an_autoscaler_that_allows_fewer_pods_bounds_the_way_back() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Promoting);
    model.seen.capacity.most = Some(2);
    model.resize(2);
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn a_canary_without_its_service_is_placed_once_more() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_until(|model| model.seen.canary.is_some());
    model.lose_the_second_write();
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded, "{:#?}", model.trace);
    assert_eq!(outcomes(&model), [Outcome::Promoted]);
}
