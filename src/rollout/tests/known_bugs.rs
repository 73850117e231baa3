//! Bugs that other controllers had, as rows: each test says what Serin does instead. SAFETY.md has the table, with the bugs whose
//! subject is not the core and the tests that look at them.
//!
//! `model.rs` also judges every action: no canary goes before weight 0 has settled, no weight rises onto missing Pods or before the
//! autoscaler is locked, nothing is unlocked while a canary stands.

use std::time::Duration;

use serde_json::json;

use crate::analysis::{Limit, Measure, MetricPlan};
use crate::crd::canary::{DeletionPolicy, LowTraffic};
use crate::crd::status::{Mark, Outcome, Phase, RequestOutcome, Wait};
use crate::rollout::observed::{Acceptance, Gate, TrafficKind};
use crate::rollout::tests::model::{Model, routes, serving, success_rate};
use crate::rollout::tests::{fast, outcomes};

const BACK: &str = "Route(Routes { canary: Weight(0) })";

fn approved() -> serde_json::Value {
    json!({"interval": "10s", "steps": [{"setWeight": 50}, {"checks": 1}, {"pause": {}}]})
}

/// Ticks until a person has to decide.
fn run_until_evidence_is_missed(model: &mut Model) {
    model.run_until(|model| waits(model) == Some(Wait::NoEvidence));
}

fn waits(model: &Model) -> Option<Wait> {
    model.status().step.and_then(|step| step.waiting)
}

#[test]
fn flagger_1898_promoted_main_cannot_start() {
    let mut model = Model::adopted(&fast());
    model.never_starts = Some("v2".to_owned());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Promoting);
    model.run_for(Duration::from_secs(7200));
    assert_eq!((model.phase(), model.weight()), (Phase::Promoting, 100));
    assert!(
        !model.did("Remove") && !model.did("Idle"),
        "{:#?}",
        model.trace
    );
    model.ask("abort");
    model.run();
    let (stable, back) = (model.at("Release { revision: \"v1\" }"), model.at(BACK));
    assert!(stable.is_some() && stable < back, "{:#?}", model.trace);
    assert_eq!(outcomes(&model), [Outcome::Aborted]);
    assert_eq!(
        (model.weight(), model.target().revision.as_str()),
        (0, "v1")
    );
}

#[test]
fn flagger_1202_slow_main_release_is_waited_for() {
    let mut model = Model::adopted(&fast());
    model.never_starts = Some("v2".to_owned());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Promoting);
    model.run_for(Duration::from_secs(60));
    for ready in [1, 2, 3] {
        model.target().ready_updated = ready;
        model.run_for(Duration::from_secs(60));
        let arm = model.seen.canary.clone().unwrap().arm;
        assert_eq!(
            (model.weight(), arm.replicas),
            (100, 3),
            "{ready} are ready"
        );
    }
    model.target().stuck = None;
    model.target().complete = true;
    model.run();
    assert_eq!((model.phase(), model.weight()), (Phase::Succeeded, 0));
}

/// The main release is complete by its own status, and its Pods are no endpoints yet.
#[test]
fn flagger_1202_complete_is_not_ready() {
    let mut model = Model::adopted(&fast());
    model.never_starts = Some("v2".to_owned());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Promoting);
    model.run_for(Duration::from_secs(60));
    let target = model.target();
    (target.complete, target.stuck, target.ready_updated) = (true, None, 2);
    model.run_for(Duration::from_secs(1200));
    assert_eq!((model.phase(), model.weight()), (Phase::Finalising, 100));
    assert!(model.status().message.contains("takes longer than 600 s"));
    model.target().ready_updated = 3;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn flagger_874_no_share_without_pods_while_an_approval_is_closed() {
    let mut model = Model::adopted(&approved());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::WaitingPromotion);
    assert_eq!(model.weight(), 50);
    model.lose_pods(0, 3);
    model.tick();
    assert_eq!(model.weight(), 0, "within the tick that sees it");

    let closed =
        json!({"interval": "10s", "steps": [{"pause": {}}, {"setWeight": 50}, {"checks": 1}]});
    let mut model = Model::adopted(&closed);
    model.ship("v2");
    model.run_for(Duration::from_secs(3600));
    assert_eq!((model.phase(), model.weight()), (Phase::Waiting, 0));
    assert!(!model.did("Place"), "{:#?}", model.trace);
    model.ask("promote");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn flagger_30_a_changed_revision_inherits_nothing() {
    let mut model = Model::adopted(
        &json!({"interval": "10s", "checks": 2, "threshold": 9, "stepWeights": [10, 50]}),
    );
    model.errors = 0.05;
    model.ship("v2");
    model.run_until(|model| model.status().failed_checks > 0);
    model.seen.canary.as_mut().unwrap().restarts = 3;
    model.run_until(|model| {
        let memory = model.status().memory;
        memory.is_some_and(|memory| memory.restarts == 3)
    });
    assert_eq!(model.phase(), Phase::Progressing);
    model.errors = 0.0;
    model.ship("v3");
    model.run_until(|model| {
        let status = model.status();
        status
            .candidate
            .is_some_and(|candidate| candidate.revision == "v3")
    });
    let status = model.status();
    let memory = status.memory.unwrap();
    assert_eq!((status.failed_checks, status.iterations), (0, 0));
    assert_eq!((memory.restarts, memory.window_start), (0, None));
    assert_eq!((status.step.unwrap().index, status.traffic.wanted), (0, 10));
    model.run();
    assert!(
        !model.did("Release { revision: \"v2\" }"),
        "{:#?}",
        model.trace
    );
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::Superseded]);
    assert_eq!(model.status().history[0].marks, []);
}

/// What is held is not released, whatever its status says.
#[test]
fn flagger_30_promotion_begins_with_the_release() {
    let mut model = Model::adopted(&approved());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::WaitingPromotion);
    model.target().complete = true;
    model.ask("promote");
    model.tick();
    assert_eq!((model.phase(), model.weight()), (Phase::Promoting, 50));
    assert!(model.did("Release { revision: \"v2\" }"));
}

/// Whatever is live is not what was analysed: the template changes in the very tick in which promotion begins.
#[test]
fn flagger_30_only_what_was_analysed_is_promoted() {
    let mut model = Model::adopted(&approved());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::WaitingPromotion);
    model.ask("promote");
    model.ship("v3");
    model.tick();
    model.tick();
    assert!(!model.did("Release"), "{:#?}", model.trace);
    model.run_until(|model| model.phase() == Phase::WaitingPromotion);
    assert_eq!(model.status().candidate.unwrap().revision, "v3");
    assert!(!model.did("Release"), "{:#?}", model.trace);
}

#[test]
fn flagger_724_stable_put_back_restarts_nothing() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(50);
    model.trace.clear();
    model.ship("v1");
    model.run();
    model.run_for(Duration::from_secs(3600));
    let expected = [
        BACK,
        "Idle",
        "Remove",
        "Release { revision: \"v1\" }",
        "Progressing -> Initialized",
    ];
    let mut did = model.trace.clone();
    did.sort();
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(did, expected);
    assert_eq!(outcomes(&model), [Outcome::Aborted]);
}

/// An upgrade hashes templates in another way, or the API server has a new default: nothing changed.
#[test]
fn flagger_1673_an_upgrade_starts_nothing() {
    let rename = |model: &mut Model| {
        let target = model.target();
        target.revision = "v1 in another form".to_owned();
        target.serving[0].revision = "v1 in another form".to_owned();
    };
    let mut model = Model::adopted(&fast());
    rename(&mut model);
    model.run();
    assert_eq!(model.trace, Vec::<String>::new());
    assert_eq!(
        (model.phase(), outcomes(&model)),
        (Phase::Initialized, vec![])
    );
    model.ship("v2");
    model.run_to(50);
    model.ship("v1 in another form");
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Aborted], "{:#?}", model.trace);
    assert_eq!(model.phase(), Phase::Initialized);
}

#[test]
fn flagger_1095_nan_is_no_pass() {
    for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        let mut model = Model::adopted(&fast());
        model.seen.metrics = vec![MetricPlan {
            name: "queue".to_owned(),
            measure: Measure::Value,
            limit: Limit {
                max: Some(500.0),
                ..Limit::default()
            },
            ..success_rate()
        }];
        model.value = value;
        model.ship("v2");
        run_until_evidence_is_missed(&mut model);
        assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 10));
        model.value = Some(500.0);
        model.ask("resume");
        model.run();
        assert_eq!(model.phase(), Phase::Succeeded);
        assert_eq!(model.status().history[0].marks, []);
    }
}

#[test]
fn flagger_1011_traffic_that_ends_passes_nothing() {
    let mut model =
        Model::adopted(&json!({"interval": "10s", "checks": 3, "stepWeights": [10, 50]}));
    model.ship("v2");
    model.run_until(|model| model.status().step.is_some_and(|step| step.passed == 1));
    model.rate = 0.0;
    // A window that still has some of the old requests may pass once.
    model.run_for(Duration::from_secs(15));
    let passed = model.status().step.unwrap().passed;
    run_until_evidence_is_missed(&mut model);
    assert_eq!(model.status().step.unwrap().passed, passed);
    assert_eq!(model.weight(), 10);
}

#[test]
fn flagger_1562_deletion_leaves_stable_in_service() {
    let phases = [
        Phase::Progressing,
        Phase::Promoting,
        Phase::Finalising,
        Phase::Failed,
    ];
    for phase in phases {
        let mut model = Model::adopted(&fast());
        if phase == Phase::Failed {
            model.errors = 0.1;
        }
        model.ship("v2");
        model.run_until(|model| model.phase() == phase);
        model.delete();
        model.run_until(|model| model.canary.metadata.finalizers.is_none());
        let weight = model.weight();
        let target = model.target();
        assert_eq!((target.replicas, target.ready_updated), (3, 3), "{phase}");
        assert!(
            target.complete && target.gate == Gate::Open,
            "{phase}: {target:?}"
        );
        assert_eq!((weight, model.seen.canary.is_none()), (0, true), "{phase}");
        assert!(!model.did("ScaleUp"), "{phase}: {:#?}", model.trace);
    }
}

/// Deleted while the main release rolls and has no Pod of its own: the canary serves until it has.
#[test]
fn flagger_640_deletion_waits_for_the_target() {
    let mut model = Model::adopted(&fast());
    model.never_starts = Some("v2".to_owned());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Promoting);
    model.run_for(Duration::from_secs(10));
    model.lose_pods(3, 0);
    model.delete();
    model.run_for(Duration::from_secs(120));
    assert_eq!((model.phase(), model.weight()), (Phase::Terminating, 100));
    assert!(model.seen.canary.is_some(), "{:#?}", model.trace);
    model.resize(3);
    model.target().complete = true;
    model.run_until(|model| model.canary.metadata.finalizers.is_none());
    assert_eq!(model.weight(), 0);
}

#[test]
fn flagger_1357_finalizer_goes_without_a_target() {
    for missing in [
        "target",
        "target and route",
        "target and Service",
        "policies",
    ] {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_to(50);
        match missing {
            "policies" => model.seen.policies = None,
            _ => model.seen.target = None,
        }
        if missing == "target and route" {
            model.seen.split = None;
        }
        // A router takes no route to a Service that is gone.
        if missing == "target and Service" {
            let pending = Acceptance::Pending("BackendNotFound".to_owned());
            model.router = pending.clone();
            model.seen.split.as_mut().unwrap().acceptance = pending;
        }
        let began = model.now;
        model.delete();
        model.run_until(|model| model.canary.metadata.finalizers.is_none());
        let took = model.now.duration_since(began).as_secs();
        assert!(model.canary.metadata.finalizers.is_none(), "{missing}");
        // It takes off what was kept for the target, too.
        assert!(model.did("Disarm"), "{missing}");
        let most = if missing == "policies" { 630 } else { 30 };
        assert!(took <= most, "{missing}: {took} s");
    }
}

#[test]
fn flagger_1591_nothing_is_waited_for_in_silence() {
    let mut model = Model::adopted(&fast());
    model.never_starts = Some("v2".to_owned());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Promoting);
    model.run_for(Duration::from_secs(60));
    let status = model.status();
    let said = status
        .conditions
        .iter()
        .any(|condition| condition.reason == "PromotionStuck");
    assert!(said, "{:#?}", status.conditions);

    let mut model = Model::adopted(&approved());
    model.edit(|spec| spec.approval_deadline = serde_json::from_value(json!("1h")).unwrap());
    model.ship("v2");
    model.run();
    assert_eq!(
        (model.phase(), outcomes(&model)),
        (Phase::Failed, vec![Outcome::RolledBack])
    );
    assert!(
        model
            .status()
            .message
            .starts_with("nobody decided within 3600 s")
    );
}

#[test]
fn flagger_1934_a_canary_is_never_of_no_pods() {
    let mut model = Model::adopted(&fast());
    model.seen.capacity.autoscaler = Some("app".to_owned());
    model.seen.capacity.copyable = true;
    model.ship("v2");
    model.run_to(10);
    model.resize(0);
    model.run_for(Duration::from_secs(30));
    model.resize(3);
    model.run();
    assert!(
        !model.trace.iter().any(|line| line.contains("replicas: 0")),
        "{:#?}",
        model.trace
    );
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn flagger_1600_stable_is_locked_before_the_first_request_and_given_back() {
    let mut model = Model::adopted(&fast());
    model.seen.capacity.autoscaler = Some("app".to_owned());
    model.seen.capacity.wants = Some(6);
    model.ship("v2");
    model.run();
    let at = |line: &str| {
        model
            .at(line)
            .unwrap_or_else(|| panic!("{line}: {:#?}", model.trace))
    };
    assert!(at("Lock") < at("Route(Routes { canary: Weight(10) })"));
    assert!(at("Remove") < at("Unlock"));
    assert!(at("Unlock") < at("Finalising -> Succeeded"));
    assert!(
        model.did("Place { revision: \"v2\", replicas: 6"),
        "{:#?}",
        model.trace
    );
}

#[test]
fn flagger_1600_an_autoscaler_that_cannot_be_locked_is_said_and_holds_nothing() {
    let mut model = Model::adopted(&fast());
    model.seen.capacity.autoscaler = Some("app".to_owned());
    model.seen.capacity.unprotected = Some("another manager owns the field".to_owned());
    model.ship("v2");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    assert!(!model.did("Lock"), "{:#?}", model.trace);
}

#[test]
fn flagger_1819_the_status_shows_what_is_in_force() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    model.router = Acceptance::Pending("the proxy has not loaded it".to_owned());
    model.run_for(Duration::from_secs(50));
    let status = model.status();
    assert_eq!((status.traffic.wanted, status.traffic.written), (50, 50));
    assert_eq!(status.canary_weight, 10, "it is what the proxies still run");
    model.accept();
    model.tick();
    assert_eq!(model.status().canary_weight, 50);
}

/// A crash between two writes must not leave a released template without a phase that knows of it.
#[test]
fn flagger_run_canary_the_phase_stands_before_the_release() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run();
    let phase = model.at("Progressing -> Promoting");
    assert!(phase.is_some() && phase < model.at("Release { revision: \"v2\" }"));
    let weight = model.trace.iter().rposition(|line| line == BACK);
    assert!(
        model.at("Promoting -> Finalising") < weight,
        "{:#?}",
        model.trace
    );
}

#[test]
fn flagger_get_routes_a_foreign_weight_is_no_progress() {
    for foreign in [0, 90, 100] {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_to(10);
        model.seen.split.as_mut().unwrap().routes = routes(foreign);
        model.tick();
        let status = model.status();
        assert_eq!(
            (model.weight(), status.traffic.wanted),
            (10, 10),
            "{foreign}"
        );
        assert_eq!(
            (status.phase, status.step.unwrap().index),
            (Phase::Progressing, 0)
        );
    }
}

/// Even while the canary still grows for its next weight: what somebody added is taken back to what was in force.
#[test]
fn flagger_get_routes_a_foreign_weight_is_lowered_at_once() {
    for foreign in [40, 90] {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_until(|model| model.did("Place { revision: \"v2\", replicas: 2"));
        model.lose_pods(1, 3);
        model.seen.split.as_mut().unwrap().routes = routes(foreign);
        model.tick();
        let status = model.status();
        assert_eq!(
            (status.traffic.wanted, model.weight()),
            (50, 10),
            "{foreign}"
        );
    }
}

#[test]
fn argo_3372_a_second_update_does_not_go_to_a_stable_that_is_too_small() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(100);
    model.lose_pods(3, 1);
    model.ship("v3");
    model.run_for(Duration::from_secs(30));
    assert_eq!(
        model.weight(),
        67,
        "a third of stable takes a third of the traffic"
    );
    assert!(model.seen.canary.is_some());
    model.lose_pods(3, 2);
    model.run_for(Duration::from_secs(30));
    assert_eq!(model.weight(), 34);
    model.lose_pods(3, 3);
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::Superseded]);
}

#[test]
fn argo_4775_a_superseded_canary_stays_while_proxies_name_it() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(50);
    model.router = Acceptance::Pending("one of two proxies has it".to_owned());
    model.ship("v3");
    model.run_for(Duration::from_secs(300));
    let arm = model.seen.canary.clone().unwrap().arm;
    assert_eq!(
        (model.weight(), arm.revision.as_str(), arm.replicas),
        (0, "v2", 2)
    );
    model.accept();
    model.run();
    assert_eq!(model.status().stable.unwrap().revision, "v3");
}

#[test]
fn argo_4841_an_aborted_canary_returns_to_zero_and_stays_there() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(50);
    model.ask("abort");
    model.tick();
    assert_eq!((model.phase(), model.weight()), (Phase::Failed, 0));
    model.seen.split.as_mut().unwrap().routes = routes(50);
    model.tick();
    assert_eq!(model.weight(), 0, "somebody raised it again");
    model.run();
    assert!(model.seen.canary.is_none());
    assert_eq!(model.weight(), 0);
}

#[test]
fn argo_4461_an_abort_is_heard_after_a_full_promotion() {
    let mut model = Model::adopted(&fast());
    model.never_starts = Some("v2".to_owned());
    model.ship("v2");
    model.run_to(10);
    model.ask("promote-full");
    model.run_until(|model| model.did("Release"));
    model.ask("abort");
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Aborted], "{:#?}", model.trace);
    assert_eq!(
        (model.weight(), model.target().revision.as_str()),
        (0, "v1")
    );

    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    model.ask("promote-full");
    model.tick();
    // The release is decided and was not written yet.
    model.target().gate = Gate::Held;
    model.target().complete = false;
    model.ask("abort");
    model.run();
    assert_eq!(
        (model.phase(), outcomes(&model)),
        (Phase::Failed, vec![Outcome::Aborted])
    );
    assert_eq!(
        model.target().gate,
        Gate::Held,
        "nothing has to be put back"
    );
}

/// All or nothing: the Service that is the load balancer still sends everything to the canary.
#[test]
fn argo_2235_a_switched_service_is_back_before_the_canary_goes() {
    let mut model = Model::new(&json!({"interval": "10s", "iterations": 1}));
    model.seen.abilities.traffic = TrafficKind::Switched;
    model.run();
    model.ship("v2");
    model.run_to(100);
    assert_eq!(
        model.seen.canary.clone().unwrap().arm.ready,
        3,
        "it takes everything"
    );
    let switched = model.at("Route(Routes { canary: Weight(100) })");
    model.run_until(|model| model.phase() == Phase::Promoting);
    assert!(switched < model.at("Release { revision: \"v2\" }") || !model.did("Release"));
    model.router = Acceptance::Pending("the endpoints are still the canary's".to_owned());
    model.run_for(Duration::from_secs(300));
    assert_eq!((model.phase(), model.weight()), (Phase::Finalising, 0));
    assert!(model.seen.canary.is_some(), "{:#?}", model.trace);
    model.accept();
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

/// Blue/green: no client is on the main release any more when it rolls.
#[test]
fn argo_2235_a_switched_service_is_over_before_the_main_release_rolls() {
    let mut model = Model::new(&json!({"interval": "10s", "iterations": 1}));
    model.seen.abilities.traffic = TrafficKind::Switched;
    model.run();
    model.router = Acceptance::Pending("the endpoints are still stable's".to_owned());
    model.ship("v2");
    model.ask("promote-full");
    model.run_for(Duration::from_secs(300));
    assert!(!model.did("Release"), "{:#?}", model.trace);
}

#[test]
fn argo_701_a_weight_is_not_assumed_applied() {
    let mut model = Model::adopted(&fast());
    model.router = Acceptance::Pending("no proxy has it".to_owned());
    model.ship("v2");
    model.run_for(Duration::from_secs(300));
    let step = model.status().step.unwrap();
    assert_eq!((step.clock_at, step.passed, model.weight()), (None, 0, 10));
    model.run_for(Duration::from_secs(600));
    assert_eq!((model.phase(), model.weight()), (Phase::Failed, 0));
    let message = model.status().message;
    assert!(
        message.starts_with("the route was not accepted within 600 s"),
        "{message}"
    );
}

/// The router says that the weight is in force, and the requests say that it is not.
#[test]
fn argo_701_requests_that_contradict_the_weight_pass_nothing() {
    let mut model = Model::adopted(&fast());
    model.misrouted = Some(2);
    model.ship("v2");
    model.run();
    assert_eq!(model.phase(), Phase::Failed);
    let message = model.status().message;
    assert!(
        message.contains("reached the canary, at a weight of 10 %"),
        "{message}"
    );
    assert!(!model.did("Route(Routes { canary: Weight(50) })"));
}

#[test]
fn argo_3850_inconclusive_is_no_pass() {
    for (choice, end) in [
        (LowTraffic::Proceed, (Phase::Succeeded, None)),
        (
            LowTraffic::Wait,
            (Phase::Progressing, Some(Wait::NoEvidence)),
        ),
        (LowTraffic::Rollback, (Phase::Failed, None)),
    ] {
        let mut model = Model::adopted(&fast());
        model.edit(|spec| spec.analysis.low_traffic = choice);
        model.ship("v2");
        model.run_until(|model| {
            model
                .status()
                .step
                .is_some_and(|step| step.clock_at.is_some())
        });
        model.rate = 1.0;
        model.run_for(Duration::from_secs(600));
        assert_eq!(
            (model.phase(), model.weight()),
            (Phase::Progressing, 10),
            "{choice:?}"
        );
        // The canary gets 36 of 100 requests within the six minutes that one would like, and 180 in half an hour.
        model.rate = 0.2;
        model.run_until(|model| (model.phase(), waits(model)) == end);
        assert_eq!(
            (model.phase(), waits(&model)),
            end,
            "{choice:?}: {:#?}",
            model.status()
        );
        if choice == LowTraffic::Proceed {
            assert_eq!(model.status().history[0].marks, [Mark::Unproven]);
        }
    }
}

/// The status could not be written since somebody else wrote: nothing else was, and the request still stands.
#[test]
fn argo_4694_a_request_survives_a_lost_status() {
    let mut model = Model::adopted(&approved());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::WaitingPromotion);
    let (before, seen) = (model.canary.clone(), model.seen.clone());
    model.ask("promote");
    let asked = model.canary.clone();
    model.tick();
    assert_eq!(model.phase(), Phase::Promoting);
    model.canary = asked;
    model.canary.status = before.status;
    model.seen = seen;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    assert!(model.canary.metadata.annotations.is_none());
    assert_eq!(outcomes(&model), [Outcome::Promoted]);
}

/// The status was written, and the annotation not taken off: it is one request.
#[test]
fn argo_4694_a_request_is_handled_once() {
    let steps = json!({"interval": "10s", "steps": [
        {"setWeight": 20}, {"checks": 1}, {"pause": {}}, {"setWeight": 40}, {"checks": 1}, {"pause": {}},
    ]});
    for request in ["promote", r#"{"verb":"promote","id":"7"}"#] {
        let mut model = Model::adopted(&steps);
        model.ship("v2");
        model.run_until(|model| model.phase() == Phase::Progressing && waits(model).is_some());
        model.ask(request);
        let annotations = model.canary.metadata.annotations.clone();
        model.tick();
        model.canary.metadata.annotations = annotations;
        model.run_for(Duration::from_millis(10));
        let outcome = |model: &Model| model.status().last_request.unwrap().outcome;
        assert_eq!(outcome(&model), RequestOutcome::Accepted, "{request}");
        if request.contains("id") {
            model.run_for(Duration::from_millis(200));
            assert_eq!(model.status().last_request.unwrap().standing, None);
            model.ask(request);
            model.run_for(Duration::from_millis(10));
            assert_eq!(outcome(&model), RequestOutcome::Accepted, "{request} again");
        }
        model.run_until(|model| model.phase() == Phase::WaitingPromotion);
        assert_eq!(model.weight(), 40, "{request}");
        model.run_for(Duration::from_secs(60));
        assert_eq!(model.phase(), Phase::WaitingPromotion, "{request}");
    }
}

#[test]
fn argo_3020_a_rollback_follows_the_readiness_of_stable() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(100);
    model.resize(1);
    model.ask("abort");
    model.tick();
    assert_eq!((model.phase(), model.weight()), (Phase::Failed, 67));
    assert!(model.did("ScaleUp(3)"), "{:#?}", model.trace);
    model.run();
    assert_eq!(model.weight(), 0);

    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(100);
    model.lose_pods(3, 0);
    model.ask("abort");
    model.run_for(Duration::from_secs(60));
    assert_eq!(
        model.weight(),
        100,
        "stable has nothing, and the canary is healthy"
    );
    model.lose_pods(0, 0);
    model.tick();
    assert_eq!(model.weight(), 0, "neither has anything");
}

/// Created together with the update: nothing is promised before the roll is over.
#[test]
fn kruise_2000_the_gate_is_armed_after_the_roll() {
    let mut model = Model::new(&fast());
    model.target().complete = false;
    model.run_for(Duration::from_secs(600));
    assert!(!model.did("Arm"), "{:#?}", model.trace);
    let gated = |model: &Model| {
        let conditions = model.status().conditions;
        let gated = conditions
            .into_iter()
            .find(|condition| condition.type_ == "Gated");
        gated.map(|condition| condition.status)
    };
    assert_eq!(gated(&model).as_deref(), Some("False"));
    model.target().complete = true;
    model.run_until(|model| model.did("Arm"));
    model.tick();
    assert_ne!(
        gated(&model).as_deref(),
        Some("True"),
        "before the second dry run"
    );
    model.run();
    assert_eq!(gated(&model).as_deref(), Some("True"));
    model.seen.policies = Some("p2".to_owned());
    model.tick();
    assert_ne!(
        gated(&model).as_deref(),
        Some("True"),
        "other policies hold nothing yet"
    );
}

#[test]
fn kruise_rollouts_272_deletion_releases_nothing_unverified() {
    let rows = [
        (None, None, "v1", Gate::Open),
        (Some(DeletionPolicy::Hold), None, "v2", Gate::Open),
        (None, Some("Flux"), "v2", Gate::Open),
    ];
    for (policy, gitops, revision, gate) in rows {
        for phase in [Phase::Progressing, Phase::Failed] {
            let mut model = Model::adopted(&fast());
            model.edit(|spec| spec.deletion_policy = policy);
            model.target().gitops = gitops.map(str::to_owned);
            model.errors = if phase == Phase::Failed { 0.1 } else { 0.0 };
            model.ship("v2");
            model.run_until(|model| model.phase() == phase);
            model.delete();
            model.run_until(|model| model.canary.metadata.finalizers.is_none());
            assert!(
                !model.did("Release { revision: \"v2\" }"),
                "{:#?}",
                model.trace
            );
            let target = model.target();
            assert_eq!((target.revision.as_str(), &target.gate), (revision, &gate));
        }
    }
}

/// Stable's own template is released whatever the policy says: it is what serves.
#[test]
fn kruise_rollouts_272_a_held_stable_is_not_left_paused() {
    for policy in [DeletionPolicy::Hold, DeletionPolicy::Revert] {
        let mut model = Model::adopted(&fast());
        model.edit(|spec| spec.deletion_policy = Some(policy));
        model.ship("v2");
        model.run_to(50);
        model.ship("v1");
        let began = model.now;
        model.delete();
        model.run_until(|model| model.canary.metadata.finalizers.is_none());
        assert!(
            model.did("Release { revision: \"v1\" }"),
            "{policy:?}: {:#?}",
            model.trace
        );
        let took = model.now.duration_since(began).as_secs();
        assert!(took < 60, "{policy:?}: {took} s");
    }
}

/// A Canary that is made again over a target that holds a candidate releases nothing.
#[test]
fn kruise_rollouts_272_adoption_releases_nothing_unverified() {
    let mut model = Model::new(&fast());
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Progressing);
    assert!(!model.did("Release"), "{:#?}", model.trace);
    assert_eq!(model.status().stable.unwrap().revision, "v1");
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted]);
    assert_eq!(model.target().serving, serving("v2"));
}
