//! Steps: clocks, checks, pauses, deadlines, and what stands in the way of them.

use std::time::Duration;

use serde_json::json;

use crate::crd::status::{Mark, Outcome, Phase, Wait};
use crate::rollout::observed::{Acceptance, Answer, Gate, Readiness, TrafficKind};
use crate::rollout::steps::freeze;
use crate::rollout::tests::model::{Model, routes, success_rate};
use crate::rollout::tests::{fast, outcomes};

fn shipped(analysis: &serde_json::Value) -> Model {
    let mut model = Model::adopted(analysis);
    model.ship("v2");
    model
}

fn waits(model: &Model) -> Option<Wait> {
    model.status().step.and_then(|step| step.waiting)
}

fn passed(model: &Model) -> u32 {
    model.status().step.map_or(0, |step| step.passed)
}

#[test]
fn a_step_takes_its_checks_and_no_less() {
    let mut model = shipped(&json!({"interval": "10s", "checks": 3, "stepWeights": [10, 50]}));
    model.run_to(10);
    let began = model.now;
    model.run_to(50);
    let first = model.now.duration_since(began).as_secs();
    assert!(
        (35..37).contains(&first),
        "{first} s: 5 s of settling, then three intervals"
    );
    model.run_until(|model| model.phase() == Phase::Promoting);
    let both = model.now.duration_since(began).as_secs();
    assert!(
        (70..74).contains(&both),
        "{both} s: the second step begins at nothing"
    );
    assert_eq!(model.status().iterations, 6);
}

#[test]
fn a_pause_takes_its_time() {
    let steps = json!({"interval": "10s", "steps": [{"setWeight": 20}, {"checks": 1}, {"pause": {"duration": "10m"}}]});
    let mut model = shipped(&steps);
    model.run_until(|model| passed(model) == 1);
    let began = model.now;
    model.run_until(|model| model.phase() == Phase::Promoting);
    assert!(model.now >= began + Duration::from_secs(600));
    let mut model = shipped(&steps);
    model.run_until(|model| {
        model
            .status()
            .step
            .is_some_and(|step| step.paused_at.is_some())
    });
    model.ask("promote");
    model.tick();
    assert_eq!(model.phase(), Phase::Promoting, "a person may end it");
}

#[test]
fn a_step_stands_while_its_route_is_not_in_force() {
    let mut model = shipped(&json!({"interval": "10s", "checks": 3, "stepWeights": [10]}));
    model.run_until(|model| passed(model) == 1);
    let pending = Acceptance::Pending("reloading".to_owned());
    model.seen.split.as_mut().unwrap().acceptance = pending;
    model.run_for(Duration::from_secs(60));
    assert_eq!((passed(&model), model.weight()), (1, 10));
    model.accept();
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn failed_checks_end_an_attempt_at_the_threshold() {
    let steps = json!({"interval": "10s", "checks": 10, "threshold": 3, "stepWeights": [10], "comparison": {"enabled": false}});
    let mut model = shipped(&steps);
    model.errors = 0.2;
    for failures in [1, 2] {
        model.run_until(|model| model.status().failed_checks == failures);
        assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 10));
    }
    model.run_until(|model| model.status().failed_checks == 3);
    assert_eq!((model.phase(), model.weight()), (Phase::Failed, 0));
    assert!(model.status().message.contains("(3 of 3 failed checks)"));

    let mut model = shipped(&steps);
    model.errors = 0.2;
    model.run_until(|model| model.status().failed_checks == 2);
    model.errors = 0.0;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    assert_eq!(
        model.status().failed_checks,
        2,
        "no request is held against it twice"
    );
}

/// Ten checks a minute apart: what is bad shows long before the first of them.
#[test]
fn bad_news_does_not_wait_for_the_interval() {
    let steps = json!({"interval": "60s", "checks": 10, "threshold": 2, "stepWeights": [10]});
    let mut model = shipped(&steps);
    model.errors = 0.5;
    model.run_to(10);
    let began = model.now;
    model.run_until(|model| model.phase() == Phase::Failed);
    let took = model.now.duration_since(began).as_secs();
    assert!(took < 60, "{took} s");

    let mut model = shipped(&steps);
    model.run_to(10);
    model.run_for(Duration::from_secs(64));
    assert_eq!(passed(&model), 0, "good news does");
    model.run_for(Duration::from_secs(2));
    assert_eq!(passed(&model), 1);
}

#[test]
fn lost_pods_are_counted_against_the_threshold_of_ready_ones() {
    for (threshold, ready, lost) in [
        (None, 3, true),
        (None, 4, false),
        (Some(75), 3, false),
        (Some(75), 2, true),
    ] {
        let mut analysis = json!({"interval": "10s", "checks": 5, "stepWeights": [40]});
        if let Some(threshold) = threshold {
            analysis["canaryReadyThreshold"] = json!(threshold);
        }
        let mut model = Model::adopted(&analysis);
        model.resize(10);
        model.ship("v2");
        model.run_to(40);
        let arm = &mut model.seen.canary.as_mut().unwrap().arm;
        arm.ready = ready;
        if lost {
            arm.readiness = Readiness::Progressing("Pods are missing".to_owned());
        }
        model.tick();
        let expected = if lost { (0, 1) } else { (40, 0) };
        assert_eq!(
            (model.weight(), model.status().failed_checks),
            expected,
            "{threshold:?} {ready}"
        );
    }
}

#[test]
fn pods_that_are_lost_again_and_again_end_the_attempt() {
    let mut model =
        shipped(&json!({"interval": "10s", "checks": 5, "threshold": 2, "stepWeights": [50]}));
    for _ in 0..2 {
        model.run_to(50);
        model.lose_pods(0, 3);
        model.tick();
        assert_eq!(model.weight(), 0);
        if let Some(canary) = &mut model.seen.canary {
            canary.arm.ready = 2;
            canary.arm.readiness = Readiness::Ready;
        }
    }
    assert_eq!(model.phase(), Phase::Failed);
}

#[test]
fn what_stable_lost_is_not_the_candidates_fault() {
    let mut model = shipped(&json!({"interval": "10s", "checks": 3, "stepWeights": [10]}));
    model.run_until(|model| passed(model) == 1);
    model.lose_pods(1, 2);
    model.run_for(Duration::from_secs(7200));
    assert_eq!(
        (model.phase(), model.weight(), passed(&model)),
        (Phase::Progressing, 10, 1)
    );
    assert!(model.status().message.contains("stable has 2 of 3"));
    model.lose_pods(1, 3);
    model.run_to(10);
    model.health = Readiness::Progressing("slow".to_owned());
    model.tick();
    assert_eq!(model.phase(), Phase::Progressing, "its deadline moved on");
}

/// Deadlines that pass while stable is short of Pods: the canary was not ready either.
#[test]
fn deadlines_move_on_while_stable_is_short_of_pods() {
    let mut model = Model::adopted(&fast());
    model.health = Readiness::Progressing("0 of 1 Pods are ready".to_owned());
    model.ship("v2");
    model.run_for(Duration::from_secs(60));
    model.target().ready = 2;
    model.run_for(Duration::from_secs(3600));
    model.target().ready = 3;
    model.tick();
    assert_eq!(model.phase(), Phase::Progressing);
    model.run();
    assert_eq!(model.phase(), Phase::Failed);
}

#[test]
fn a_release_that_mends_a_broken_stable_does_not_wait_for_it() {
    let mut model = Model::adopted(&fast());
    let target = model.target();
    (target.ready, target.available) = (0, false);
    model.ship("v2");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded, "{:#?}", model.status());
    assert_eq!(model.status().history[0].marks, [Mark::RollForward]);
}

#[test]
fn without_analysis_the_canary_has_to_be_ready() {
    let mut model = Model::adopted(&fast());
    model.edit(|spec| spec.skip_analysis = true);
    model.health = Readiness::Progressing("0 of 3 Pods are ready".to_owned());
    model.ship("v2");
    model.run_for(Duration::from_secs(120));
    assert_eq!(
        (model.phase(), model.did("Release")),
        (Phase::Progressing, false)
    );
    let canary = model.seen.canary.as_mut().unwrap();
    canary.arm.ready = canary.arm.replicas;
    canary.arm.readiness = Readiness::Ready;
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    assert_eq!(model.status().history[0].marks, [Mark::Forced]);
}

#[test]
fn who_keeps_changing_the_route_stops_the_step() {
    for (request, marks) in [("resume", vec![]), ("promote", vec![Mark::Unproven])] {
        let steps = json!({"interval": "60s", "checks": 3, "stepWeights": [10, 20]});
        let mut model = shipped(&steps);
        model.run_to(10);
        for round in 0..4 {
            assert_eq!(waits(&model), None, "{round}");
            model.seen.split.as_mut().unwrap().routes = routes(90);
            model.tick();
            model.run_to(10);
        }
        model.run_for(Duration::from_secs(400));
        assert_eq!(waits(&model), Some(Wait::Contested));
        assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 10));
        model.ask(request);
        model.run();
        assert_eq!(model.phase(), Phase::Succeeded, "{request}");
        assert_eq!(model.status().history[0].marks, marks);
    }
}

#[test]
fn changes_of_the_route_are_forgotten_after_five_minutes() {
    let mut model = shipped(&json!({"interval": "60s", "checks": 60, "stepWeights": [10]}));
    model.run_to(10);
    for _ in 0..6 {
        model.seen.split.as_mut().unwrap().routes = routes(90);
        model.tick();
        model.run_for(Duration::from_secs(120));
        assert_eq!((waits(&model), model.weight()), (None, 10));
    }
}

#[test]
fn other_templates_end_the_attempt_by_how_they_came() {
    let rows = [
        ("v1", Gate::Held, Outcome::Aborted),
        ("v3", Gate::Held, Outcome::Superseded),
        ("v3", Gate::Armed, Outcome::Bypassed),
        ("v2", Gate::Armed, Outcome::Bypassed),
        ("v2", Gate::Open, Outcome::Bypassed),
    ];
    for (revision, gate, outcome) in rows {
        let mut model = shipped(&fast());
        model.run_to(50);
        model.ship(revision);
        model.target().gate = gate.clone();
        model.tick();
        let verdict = model.status().candidate.unwrap().verdict.unwrap();
        assert_eq!(
            (verdict.outcome, model.weight()),
            (outcome, 0),
            "{revision} {gate:?}"
        );
    }
    let mut model = shipped(&fast());
    model.run_to(50);
    model.target().gate = Gate::PausedByOther;
    model.tick();
    assert_eq!(model.weight(), 50, "a person's pause ends nothing");
}

#[test]
fn a_target_made_anew_ends_the_attempt() {
    let mut model = shipped(&fast());
    model.run_to(50);
    model.target().uid = "t2".to_owned();
    model.tick();
    assert_eq!(
        (model.weight(), outcomes(&model)),
        (0, vec![Outcome::Aborted])
    );
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::Aborted]);
}

#[test]
fn restarts_of_the_canary_are_failed_checks() {
    let mut model =
        shipped(&json!({"interval": "10s", "checks": 4, "threshold": 3, "stepWeights": [10]}));
    model.run_to(10);
    model.seen.canary.as_mut().unwrap().restarts = 1;
    model.run_for(Duration::from_secs(12));
    assert_eq!(model.status().failed_checks, 1);
    model.run_until(|model| model.phase() == Phase::Promoting);
    assert_eq!(
        model.status().failed_checks,
        1,
        "one restart is one failure"
    );
}

#[test]
fn a_metric_that_is_only_shown_decides_nothing() {
    let mut model = Model::adopted(&fast());
    model.seen.metrics[0].dry_run = true;
    model.errors = 0.5;
    model.ship("v2");
    model.run_until(|model| !model.status().checks.is_empty());
    assert_eq!(model.status().checks[0].name, "request-success-rate");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}

#[test]
fn one_bad_metric_is_enough() {
    let mut model = Model::adopted(&fast());
    let mut strict = success_rate();
    strict.name = "strict".to_owned();
    strict.limit.tolerated_millionths = Some(0);
    let mut lenient = success_rate();
    lenient.limit.tolerated_millionths = Some(100_000);
    model.seen.metrics = vec![lenient, strict];
    model.errors = 0.01;
    model.ship("v2");
    model.run();
    assert_eq!(model.phase(), Phase::Failed);
    assert!(
        model.status().message.contains("strict"),
        "{}",
        model.status().message
    );
}

#[test]
fn a_failure_of_both_arms_is_excused_for_a_while() {
    let mut model =
        shipped(&json!({"interval": "10s", "checks": 3, "threshold": 1, "stepWeights": [10]}));
    model.run_to(10);
    model.errors = 0.3;
    model.stable_errors = 0.3;
    model.run_for(Duration::from_secs(35));
    assert_eq!((model.status().failed_checks, passed(&model)), (0, 0));
    model.run();
    assert_eq!(model.phase(), Phase::Failed, "it lasted too long");

    let mut model =
        shipped(&json!({"interval": "10s", "checks": 3, "threshold": 1, "stepWeights": [10]}));
    model.run_to(10);
    model.errors = 0.3;
    model.run();
    assert_eq!(model.phase(), Phase::Failed, "stable is fine");
}

#[test]
fn a_step_without_weight_waits_for_no_requests() {
    let mut model = Model::new(&json!({"interval": "10s", "iterations": 2}));
    model.seen.abilities.traffic = TrafficKind::Switched;
    model.run();
    model.ship("v2");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded, "{:#?}", model.status());
    assert_eq!(model.status().history[0].marks, []);
}

#[test]
fn a_server_that_lost_its_data_is_asked_for_a_new_window() {
    let mut model = shipped(&json!({"interval": "10s", "checks": 3, "stepWeights": [10]}));
    model.run_until(|model| passed(model) == 1);
    model.forget_the_past();
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded, "{:#?}", model.status());
}

#[test]
fn a_refused_query_is_no_verdict() {
    let replies = [
        Answer::Unreachable("timeout".to_owned()),
        Answer::Rejected("parse error".to_owned()),
        Answer::GateHeld,
    ];
    for reply in replies {
        let mut model = shipped(&fast());
        model.run_to(10);
        model.reply = Some(reply);
        model.run_until(|model| waits(model) == Some(Wait::NoEvidence));
        assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 10));
        model.ask("promote");
        model.reply = None;
        model.run();
        let marks = model.status().history[0].marks.clone();
        assert_eq!(marks, [Mark::Unproven], "a person went on without");
    }
}

/// The controller was away for an hour: the next round judges all of it, and the next one is an interval away.
#[test]
fn after_a_long_silence_the_window_ends_now() {
    let mut model = shipped(&json!({"interval": "10s", "checks": 5, "stepWeights": [10]}));
    model.run_until(|model| passed(model) == 1);
    model.pass(Duration::from_secs(3600));
    model.tick();
    let status = model.status();
    let last = status.memory.unwrap().last_round.unwrap();
    assert_eq!(last.timestamp(), model.now);
    assert_eq!((status.step.unwrap().passed, status.iterations), (2, 2));
}

#[test]
fn windows_begin_when_the_weight_has_settled() {
    let mut model =
        shipped(&json!({"interval": "10s", "checks": 1, "threshold": 1, "stepWeights": [10, 50]}));
    model.run_until(|model| model.weight() == 10);
    model.errors = 1.0;
    model.run_for(Duration::from_millis(4500));
    model.errors = 0.0;
    model.run();
    assert_eq!(
        model.phase(),
        Phase::Succeeded,
        "what came before does not count"
    );
}

#[test]
fn probes_are_not_held_against_the_weight() {
    for (misrouted, end) in [(20, Phase::Succeeded), (2, Phase::Failed)] {
        let mut model = shipped(&json!({"interval": "10s", "checks": 1, "stepWeights": [10]}));
        model.by_pods = true;
        model.misrouted = Some(misrouted);
        model.run();
        assert_eq!(model.phase(), end, "{misrouted} %");
    }
}

#[test]
fn plans_are_what_the_spec_says() {
    let plan = |analysis: serde_json::Value, kind| {
        let model = Model::new(&analysis);
        let plan = freeze(&model.canary.spec.analysis, kind);
        let steps = plan.iter().map(|step| {
            let pause = match step.pause.map(|pause| pause.seconds) {
                None => String::new(),
                Some(None) => " and approval".to_owned(),
                Some(Some(seconds)) => format!(" and {seconds} s"),
            };
            format!("{} % x{}{pause}", step.weight, step.checks)
        });
        steps.collect::<Vec<_>>().join(", ")
    };
    let weighted = [
        (
            json!({"interval": "10s", "checks": 2}),
            "10 % x2, 50 % x2, 100 % x2",
        ),
        (
            json!({"interval": "10s", "checks": 1, "stepWeight": 20, "maxWeight": 60}),
            "20 % x1, 40 % x1, 60 % x1",
        ),
        (
            json!({"interval": "10s", "checks": 1, "stepWeight": 50, "bake": "5m"}),
            "50 % x1, 100 % x1 and 300 s",
        ),
        (
            json!({"interval": "10s", "steps": [{"pause": {}}, {"setWeight": 5}, {"pause": {"duration": "90s"}}, {"checks": 3}]}),
            "0 % x0 and approval, 5 % x0 and 90 s, 5 % x3",
        ),
        (
            json!({"interval": "10s", "steps": [{"setWeight": 5}, {"checks": 1}, {"checks": 2}]}),
            "5 % x1, 5 % x2",
        ),
    ];
    for (analysis, expected) in weighted {
        assert_eq!(plan(analysis, TrafficKind::Weighted), expected);
    }
    let switched = [
        (
            json!({"interval": "10s", "iterations": 4}),
            "0 % x4, 100 % x0",
        ),
        (
            json!({"interval": "10s", "checks": 2, "bake": "1m"}),
            "0 % x2, 100 % x0 and 60 s",
        ),
    ];
    for (analysis, expected) in switched {
        assert_eq!(plan(analysis, TrafficKind::Switched), expected);
    }
}
