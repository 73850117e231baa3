//! What the canary gets beyond its share: matching requests, and copies.

use expect_test::expect;
use serde_json::json;

use crate::crd::status::{Outcome, Phase};
use crate::rollout::observed::{Routes, TrafficKind, Weight};
use crate::rollout::steps::freeze;
use crate::rollout::tests::model::Model;

/// A/B testing with two rounds of checks.
fn tested() -> serde_json::Value {
    json!({"interval": "10s", "iterations": 2, "threshold": 1, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]})
}

fn mirrored() -> serde_json::Value {
    json!({"interval": "10s", "checks": 1, "stepWeights": [20], "mirror": true, "mirrorWeight": 40})
}

/// A model of which one in twenty requests matches.
fn model(analysis: &serde_json::Value) -> Model {
    let mut model = Model::adopted(analysis);
    model.matching = 0.05;
    model
}

/// A release that matching requests try.
fn under_test() -> Model {
    let mut model = model(&tested());
    model.ship("v2");
    model.run_until(|model| {
        model.status().traffic.accepted_at.is_some() && model.status().traffic.beside
    });
    model
}

fn matched() -> Routes {
    Routes {
        matched: true,
        ..Routes::default()
    }
}

#[test]
fn plans_say_what_the_canary_gets() {
    let plan = |analysis: &serde_json::Value| {
        let model = Model::new(analysis);
        let plan = freeze(&model.canary.spec.analysis, TrafficKind::Weighted);
        let steps = plan
            .iter()
            .map(|step| format!("{} x{}", Routes::planned(step), step.checks));
        steps.collect::<Vec<_>>().join(", ")
    };
    let by_header = json!([{"headers": {"x": {"exact": "y"}}}]);
    let rows = [
        (
            json!({"iterations": 3, "match": by_header}),
            "matching requests x3",
        ),
        (
            json!({"checks": 2, "match": by_header}),
            "matching requests x2",
        ),
        (
            json!({"checks": 1, "stepWeights": [10, 50], "match": by_header}),
            "10 % and matching requests x1, 50 % and matching requests x1",
        ),
        (
            json!({"steps": [{"pause": {}}, {"setWeight": 5}, {"checks": 1}], "match": by_header}),
            "0 % x0, 5 % and matching requests x1",
        ),
        (
            json!({"checks": 1, "stepWeights": [20], "mirror": true}),
            "copies of 100 % x1, 20 % x1",
        ),
        (
            json!({"iterations": 2, "mirror": true, "mirrorWeight": 40}),
            "copies of 40 % x2",
        ),
        (
            json!({"steps": [{"setMirror": 30}, {"checks": 1}, {"setWeight": 10}, {"checks": 2}, {"checks": 1}, {"setMirror": 0}, {"checks": 3}]}),
            "copies of 30 % x1, 10 % and copies of 30 % x2, 10 % and copies of 30 % x1, 10 % x3",
        ),
    ];
    for (analysis, expected) in rows {
        assert_eq!(plan(&analysis), expected, "{analysis}");
    }
}

#[test]
fn matching_requests_try_a_release_that_gets_no_share() {
    let mut model = model(&tested());
    model.ship("v2");
    model.run();
    expect![[r#"
        Initialized -> Progressing
        Preserve { stable: "v1", candidate: "v2" }
        Place { revision: "v2", replicas: 3, weight: 0, autoscale: false }
        Route(Routes { canary: Weight(0), matched: true })
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
    assert!(!status.traffic.reaches_canary());
}

#[test]
fn errors_of_matching_requests_end_the_attempt() {
    let mut model = model(&tested());
    model.errors = 0.5;
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::Failed);
    let status = model.status();
    assert!(
        status.message.contains("request-success-rate 50"),
        "{}",
        status.message
    );
    assert!(!status.traffic.matched);
    model.run();
    assert!(model.seen.canary.is_none());
    assert_eq!(model.seen.split.unwrap().routes, Some(Routes::default()));
}

/// Nobody who matches came: that is no proof of anything.
#[test]
fn without_matching_requests_nothing_passes() {
    let mut model = model(&tested());
    model.matching = 0.0;
    model.ship("v2");
    model.run_for(std::time::Duration::from_secs(120));
    let status = model.status();
    assert_eq!(status.phase, Phase::Progressing);
    assert_eq!(status.step.unwrap().passed, 0);
    assert!(
        status.message.contains("no verdict yet"),
        "{}",
        status.message
    );
}

/// Nor does a test pass at an hour at which nobody comes at all, or behind a gateway that answers no one.
#[test]
fn without_any_requests_nothing_passes() {
    for analysis in [tested(), mirrored()] {
        let mut model = model(&analysis);
        model.ship("v2");
        model.run_until(|model| model.status().traffic.beside);
        model.rate = 0.0;
        model.run_for(std::time::Duration::from_secs(120));
        assert_eq!(model.status().step.unwrap().passed, 0, "{analysis}");
    }
}

#[test]
fn a_canary_that_loses_its_pods_loses_its_matching_requests() {
    let mut model = under_test();
    model.lose_pods(0, 3);
    model.tick();
    let status = model.status();
    assert_eq!(status.phase, Phase::Failed, "{}", status.message);
    assert!(
        status
            .message
            .contains("canary Pods that carried matching requests"),
        "{}",
        status.message
    );
    assert!(model.did("Route(Routes { canary: Weight(0) })"));
}

#[test]
fn a_rule_that_somebody_takes_out_is_put_back() {
    let mut model = under_test();
    model.trace.clear();
    model.seen.split.as_mut().unwrap().routes = Some(Routes::default());
    model.tick();
    assert_eq!(model.seen.split.as_ref().unwrap().routes, Some(matched()));
    let said = &model.said.last().unwrap().message;
    assert_eq!(
        said,
        "somebody else changed the route (the weight to 0 %); it is put back to matching requests"
    );
}

#[test]
fn copies_come_before_a_share_and_end_with_it() {
    let mut model = model(&mirrored());
    model.ship("v2");
    model.run();
    expect![[r#"
        Initialized -> Progressing
        Preserve { stable: "v1", candidate: "v2" }
        Place { revision: "v2", replicas: 2, weight: 0, autoscale: false }
        Route(Routes { canary: Weight(0), mirror: Weight(40) })
        Route(Routes { canary: Weight(20) })
        Progressing -> Promoting
        Release { revision: "v2" }
        Promoting -> Finalising
        Route(Routes { canary: Weight(0) })
        Idle
        Remove
        Finalising -> Succeeded"#]]
    .assert_eq(&model.trace.join("\n"));
    assert_eq!(model.status().history[0].outcome, Outcome::Promoted);
}

#[test]
fn copies_end_before_the_main_release_rolls() {
    let mut model = model(&json!({"interval": "10s", "iterations": 2, "mirror": true}));
    model.ship("v2");
    model.run();
    let end = model.at("Route(Routes { canary: Weight(0) })").unwrap();
    let rolls = model.at("Release { revision: \"v2\" }").unwrap();
    assert!(end < rolls, "{:#?}", model.trace);
}

#[test]
fn matching_requests_stay_with_the_canary_from_step_to_step() {
    let analysis = json!({"interval": "10s", "checks": 1, "stepWeights": [10, 50], "match": [{"headers": {"x": {"exact": "y"}}}]});
    let mut model = model(&analysis);
    model.ship("v2");
    model.run();
    assert_eq!(
        model.routings(),
        [
            "Route(Routes { canary: Weight(10), matched: true })",
            "Route(Routes { canary: Weight(50), matched: true })",
            "Route(Routes { canary: Weight(0) })",
        ]
    );
}

/// The weight check counts what reaches both arms, and copies are no share.
#[test]
fn copies_contradict_no_weight() {
    let analysis = json!({"interval": "10s", "steps": [
        {"setMirror": 100}, {"setWeight": 20}, {"checks": 2}, {"setMirror": 0}, {"checks": 1}]});
    let mut model = model(&analysis);
    model.ship("v2");
    model.run();
    assert_eq!(
        model.status().history[0].outcome,
        Outcome::Promoted,
        "{:#?}",
        model.trace
    );
}

#[test]
fn an_aborted_test_takes_its_matching_requests_away_at_once() {
    let mut model = under_test();
    model.ask("abort");
    model.tick();
    assert_eq!(model.phase(), Phase::Failed);
    assert_eq!(
        model.seen.split.as_ref().unwrap().routes,
        Some(Routes::default())
    );
    assert!(model.seen.canary.is_some(), "until the route has settled");
    model.run();
    assert!(model.seen.canary.is_none());
}

#[test]
fn people_read_what_the_canary_gets() {
    let all = Routes {
        canary: Weight::new(10),
        matched: true,
        mirror: Weight::new(40),
        ..Routes::default()
    };
    let rows = [
        (Routes::default(), "0 %", "Routes { canary: Weight(0) }"),
        (Routes::share(10), "10 %", "Routes { canary: Weight(10) }"),
        (
            matched(),
            "matching requests",
            "Routes { canary: Weight(0), matched: true }",
        ),
        (
            all,
            "10 % and matching requests and copies of 40 %",
            "Routes { canary: Weight(10), matched: true, mirror: Weight(40) }",
        ),
    ];
    for (routes, people, programs) in rows {
        assert_eq!(routes.to_string(), people);
        assert_eq!(format!("{routes:?}"), programs);
    }
}
