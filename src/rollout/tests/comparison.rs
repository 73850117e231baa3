//! The comparison with stable, in whole attempts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::analysis::{Counter, Limit, MetricPlan};
use crate::crd::status::{CheckVerdict, Mark, Outcome, Phase, Release};
use crate::rollout::tests::model::{Model, duration, success_rate};

fn analysis() -> Value {
    json!({"interval": "60s", "checks": 3, "stepWeights": [10, 50], "threshold": 5})
}

/// Plays a release with these shares of bad requests of canary and stable, at so many requests a second.
fn played(analysis: &Value, rate: f64, (canary, stable): (f64, f64)) -> Model {
    let mut model = Model::adopted(analysis);
    model.rate = rate;
    model.stable_errors = stable;
    model.pass(Duration::from_secs(3600));
    model.errors = canary;
    model.ship("v2");
    model.run();
    model
}

fn last(model: &Model) -> Release {
    model.status().history[0].clone()
}

#[track_caller]
fn assert_promoted(model: &Model) {
    let last = last(model);
    assert_eq!(last.outcome, Outcome::Promoted, "{}", last.reason);
}

/// Within the fixed limit of 1 %, and yet eight times as bad as stable.
#[test]
fn a_canary_that_is_worse_than_stable_is_rejected_within_its_limit() {
    let model = played(&analysis(), 200.0, (0.008, 0.001));
    assert_eq!(last(&model).outcome, Outcome::RolledBack);
    let reason = last(&model).reason;
    assert!(
        reason.starts_with("request-success-rate 99.") && reason.contains("worse than stable's"),
        "{reason}"
    );
    assert!(reason.contains("evidence"), "{reason}");
    assert!(
        !model.did("Route(Routes { canary: Weight(50)"),
        "{:#?}",
        model.trace
    );
    let shown = &model.status().comparison[0];
    assert_eq!(shown.metric, "request-success-rate");
    assert!(
        shown.canary.bad >= 5 && shown.stable.requests > shown.canary.requests,
        "{shown:?}"
    );
}

#[test]
fn equal_arms_are_promoted_with_evidence() {
    for errors in [0.0, 0.001, 0.005] {
        let model = played(&analysis(), 200.0, (errors, errors));
        let last = last(&model);
        assert_eq!(last.outcome, Outcome::Promoted, "{errors}: {}", last.reason);
        assert!(!last.marks.contains(&Mark::Unproven), "{errors}: {last:?}");
    }
}

/// Both arms fail for half a minute: the guard is excused, and the comparison sees no difference.
#[test]
fn what_fails_on_both_arms_alike_rejects_nobody() {
    let mut model = Model::adopted(&analysis());
    model.ship("v2");
    model.run_to(50);
    model.run_for(Duration::from_secs(20));
    (model.errors, model.stable_errors) = (0.5, 0.5);
    model.run_for(Duration::from_secs(30));
    (model.errors, model.stable_errors) = (0.0, 0.0);
    model.run();
    assert_eq!(
        last(&model).outcome,
        Outcome::Promoted,
        "{:#?}",
        model.trace
    );
}

/// What was healthy at 10 % outweighs nothing at 50 %.
#[test]
fn what_begins_at_a_later_weight_is_found_there() {
    let mut model = Model::adopted(&analysis());
    model.stable_errors = 0.001;
    model.errors = 0.001;
    model.ship("v2");
    model.run_to(50);
    model.errors = 0.008;
    model.run();
    assert_eq!(last(&model).outcome, Outcome::RolledBack);
    assert!(
        last(&model).reason.contains("worse than stable"),
        "{}",
        last(&model).reason
    );
}

/// The last share is not left before there is evidence, and waiting for it is no failure.
#[test]
fn promotion_waits_for_evidence() {
    let quick = json!({"interval": "10s", "checks": 1, "stepWeights": [50], "threshold": 5});
    let mut model = Model::adopted(&quick);
    model.rate = 20.0;
    model.pass(Duration::from_secs(3600));
    model.ship("v2");
    model.run_until(|model| {
        let checks = &model.status().checks;
        checks
            .iter()
            .any(|check| check.name == "comparison" && check.verdict == CheckVerdict::Inconclusive)
    });
    let status = model.status();
    assert_eq!(status.phase, Phase::Progressing, "{:#?}", model.trace);
    assert_eq!(status.failed_checks, 0);
    assert!(
        status.message.contains("evidence for promotion"),
        "{}",
        status.message
    );
    model.run();
    let last = last(&model);
    assert_eq!(last.outcome, Outcome::Promoted);
    assert!(!last.marks.contains(&Mark::Unproven));
    let took = last.ended_at.since(last.started_at.unwrap());
    assert!(
        took > Duration::from_secs(80),
        "404 clean requests at 5 a second and arm, twice: {took:?}"
    );
}

/// Within the fixed limit of 1 % slow requests, and yet eight times as many as stable's.
#[test]
fn slow_requests_are_compared_too() {
    for by_pods in [false, true] {
        let mut model = Model::adopted(&analysis());
        model.seen.metrics = vec![duration()];
        model.by_pods = by_pods;
        (model.errors, model.stable_errors) = (0.008, 0.001);
        model.ship("v2");
        model.run();
        let last = last(&model);
        assert_eq!(last.outcome, Outcome::RolledBack, "{:#?}", model.trace);
        assert!(
            last.reason.contains("request-duration") && last.reason.contains("worse than stable"),
            "{}",
            last.reason
        );
    }
}

/// Without a limit slow is what nearly all of stable's requests are not, as it was when the attempt began.
#[test]
fn durations_without_a_limit_are_held_against_stables() {
    let ended = |usual: Option<f64>| {
        let mut model = Model::adopted(&analysis());
        let limit = Limit::of_stable(None);
        model.seen.metrics = vec![
            success_rate(),
            MetricPlan {
                limit,
                ..duration()
            },
        ];
        model.usual = usual;
        (model.errors, model.stable_errors) = (0.008, 0.001);
        model.ship("v2");
        model.run();
        model
    };
    let compared = ended(Some(250.0));
    assert_eq!(last(&compared).outcome, Outcome::RolledBack);
    let shown = &compared.status().comparison;
    let metrics: Vec<&str> = shown.iter().map(|it| it.metric.as_str()).collect();
    assert_eq!(metrics, ["request-duration", "request-success-rate"]);
    let memory = compared.status().memory.unwrap_or_default();
    assert_eq!(memory.slower_than_ms["request-duration"], 250.0);
    // Of a stable that nobody called nothing is known.
    let alone = ended(None);
    assert_eq!(alone.status().comparison.len(), 1);
    let said = alone.said.iter().find(|note| note.reason == "NotCompared");
    let said = said.map(|note| note.message.clone()).unwrap_or_default();
    assert!(
        said.starts_with("request-duration: stable had no durations"),
        "{said}"
    );
}

/// Pods that were just started are slow until their caches are warm. What that costs is judged by the limit alone.
#[test]
fn what_is_slow_while_it_is_cold_is_no_regression() {
    for by_pods in [false, true] {
        let mut model = Model::adopted(&analysis());
        model.seen.metrics = vec![duration()];
        model.by_pods = by_pods;
        model.stable_errors = 0.001;
        model.errors = 0.02;
        model.ship("v2");
        model.run_to(10);
        model.run_for(Duration::from_secs(55));
        model.errors = 0.001;
        model.run();
        assert_promoted(&model);
        let requests = model.status().comparison[0].canary.requests;
        assert!(requests > 1000, "{requests}");
    }
}

/// Errors have no such grace.
#[test]
fn errors_of_cold_pods_count() {
    let mut model = Model::adopted(&analysis());
    model.stable_errors = 0.001;
    model.errors = 0.02;
    model.ship("v2");
    model.run_to(10);
    model.run_for(Duration::from_secs(55));
    model.errors = 0.001;
    model.run();
    assert_eq!(last(&model).outcome, Outcome::RolledBack);
}

#[test]
fn without_the_comparison_limits_alone_decide() {
    let mut off = analysis();
    off["comparison"] = json!({"enabled": false});
    let model = played(&off, 200.0, (0.008, 0.001));
    assert_eq!(last(&model).outcome, Outcome::Promoted);
    assert!(model.status().comparison.is_empty());
}

/// Users who are chosen are no sample of all: their errors may be their own.
#[test]
fn chosen_users_are_not_compared() {
    let mut chosen = analysis();
    chosen["match"] = json!([{"headers": {"x": {"exact": "y"}}}]);
    let model = played(&chosen, 200.0, (0.008, 0.001));
    assert_promoted(&model);
}

/// A controller that starts anew reads the same counters, and decides the same at the same time.
#[test]
fn a_new_controller_decides_as_the_old_one_would() {
    let end = |dies_after: Option<usize>| {
        let mut model = Model::adopted(&analysis());
        model.stable_errors = 0.001;
        model.errors = 0.004;
        model.dies_after = dies_after;
        model.ship("v2");
        model.run();
        let last = last(&model);
        (
            last.outcome,
            last.ended_at.since(last.started_at.unwrap()).as_secs(),
        )
    };
    let (outcome, seconds) = end(None);
    assert_eq!(outcome, Outcome::RolledBack);
    for writes in 0..12 {
        let (again, later) = end(Some(writes));
        assert_eq!(again, outcome, "after {writes} writes");
        assert!(
            later.abs_diff(seconds) <= 15,
            "{later} s in place of {seconds} s"
        );
    }
}

/// A metrics server that is away for two rounds: what was counted before it went is counted once.
#[test]
fn a_server_that_comes_back_brings_nothing_twice() {
    let mut model = Model::adopted(&analysis());
    model.stable_errors = 0.001;
    model.ship("v2");
    model.run_to(10);
    let begun = model.now;
    model.run_until(|model| !model.status().comparison.is_empty());
    let requests = |model: &Model| model.status().comparison[0].canary.requests;
    let before = requests(&model);
    assert!(before > 900, "{before} of 20 a second, in a minute");
    model.server_down = true;
    model.run_for(Duration::from_secs(130));
    assert_eq!(requests(&model), before);
    model.server_down = false;
    model.run_until(|model| requests(model) > before);
    let most = 20 * model.now.duration_since(begun).as_secs();
    let after = requests(&model);
    assert!(
        after > before + 2000 && after <= most,
        "{before}, then {after} of {most}"
    );
}

#[test]
fn evidence_that_cannot_be_read_begins_anew_and_that_is_said() {
    let mut model = Model::adopted(&analysis());
    model.ship("v2");
    model.run_to(50);
    let status = model.canary.status.as_mut().unwrap();
    let memory = status.memory.as_mut().unwrap();
    memory
        .comparison
        .values_mut()
        .for_each(|it| it.attempt.clear());
    model.run();
    assert!(model.said.iter().any(|note| note.reason == "EvidenceLost"));
    assert_eq!(last(&model).outcome, Outcome::Promoted);
}

/// A looser tolerance in mid-attempt begins the evidence anew; it is not held to what was asked before.
#[test]
fn other_terms_begin_the_evidence_anew() {
    let mut model = Model::adopted(&analysis());
    (model.errors, model.stable_errors) = (0.004, 0.001);
    model.ship("v2");
    model.run_to(10);
    model.run_for(Duration::from_secs(40));
    model.edit(|spec| {
        let loose = json!({"tolerance": 20.0, "nonInferiority": 40.0});
        spec.analysis.comparison = Some(serde_json::from_value(loose).unwrap());
    });
    model.run();
    assert_promoted(&model);
}

/// Errors of stable fall on one Pod at a time: so few of them prove less, or nothing.
#[test]
fn bursts_are_measured_and_too_wild_ones_are_not_compared() {
    let history = |burst: f64| {
        let mut bad = [0.0, 0.0];
        let times = (0..80_u32).map(|time| {
            bad[time as usize % 2] += burst;
            let pod = |process: &str, bad| Counter {
                process: process.to_owned(),
                canary: false,
                canary_pod: false,
                all: f64::from(time) * 1000.0,
                bad,
                at: f64::from(time) * 15.0,
            };
            vec![pod("a", bad[0]), pod("b", bad[1])]
        });
        times.collect::<Vec<_>>()
    };
    for (burst, dispersion) in [(5.0, Some("6.6")), (40.0, None)] {
        let mut model = Model::adopted(&analysis());
        model.history = history(burst);
        model.ship("v2");
        model.run_to(10);
        model.run_for(Duration::from_secs(100));
        let shown = model.status().comparison;
        let shown = shown.first().map(|it| it.dispersion.clone());
        let is_right = match dispersion {
            Some(begin) => shown.as_ref().is_some_and(|it| it.starts_with(begin)),
            None => shown.is_none(),
        };
        assert!(is_right, "{shown:?}: {:?}", model.status().memory);
        let said = model.said.iter().any(|note| note.reason == "NotCompared");
        assert_eq!(said, dispersion.is_none());
    }
}

/// Pods that nobody reaches count no request, and that is no idleness (M16).
#[test]
fn refused_connections_are_errors() {
    for by_pods in [false, true] {
        let mut model = Model::adopted(&analysis());
        model.by_pods = by_pods;
        model.ship("v2");
        model.run_to(10);
        model.rate = 0.0;
        model.lose_pods(0, 3);
        model.run();
        assert_eq!(last(&model).outcome, Outcome::RolledBack);
        let reason = last(&model).reason;
        assert!(reason.contains("ready"), "{reason}");
        let to_none = model.did("Route(Routes { canary: Weight(0)");
        assert!(to_none, "{:#?}", model.trace);
    }
}

/// Pods that nobody scrapes may be those that fail: what the others count passes nothing until four of five are scraped.
#[test]
fn pods_that_are_not_scraped_hold_a_pass() {
    let mut model = Model::adopted(
        &json!({"interval": "60s", "checks": 3, "stepWeights": [50], "threshold": 5}),
    );
    model.by_pods = true;
    model.scraped = 1;
    model.ship("v2");
    model.run_to(50);
    model.run_for(Duration::from_secs(290));
    let status = model.status();
    assert_eq!((model.weight(), status.failed_checks), (50, 0));
    let check = &status.checks[0];
    assert_eq!(check.verdict, CheckVerdict::NoData);
    let message = check.message.clone().unwrap_or_default();
    assert!(message.starts_with("1 of 2 Pods"), "{message}");
    model.scraped = 2;
    model.run();
    assert_promoted(&model);
}
