//! Users who stay where they are, and a share that is given back in steps.

use serde_json::{Value, json};

use crate::crd::affinity::Cookie;
use crate::crd::status::Phase;
use crate::rollout::tests::model::Model;

fn kept() -> Value {
    json!({"interval": "10s", "checks": 1, "stepWeights": [10, 50], "sessionAffinity": {"cookieName": "arm", "maxAge": 60}})
}

fn cookie(model: &Model) -> Option<Cookie> {
    model.status().traffic.cookie
}

/// Runs until the route has this weight.
fn at_weight(model: &mut Model, weight: u8) {
    model.run_until(|model| {
        let traffic = model.status().traffic;
        traffic.wanted == weight && traffic.accepted_at.is_some()
    });
}

#[test]
fn a_cookie_lasts_from_the_first_share_to_the_last() {
    let mut model = Model::adopted(&kept());
    assert_eq!(cookie(&model), None);
    model.ship("v2");
    at_weight(&mut model, 10);
    let first = cookie(&model).unwrap();
    assert_eq!(
        (first.name.as_str(), first.shares.as_slice()),
        ("arm", &[10, 50][..])
    );
    assert!(first.attempt.starts_with("v2-"), "{}", first.attempt);
    assert_eq!(
        first.attributes,
        "Max-Age=60; Path=/; HttpOnly; SameSite=Lax"
    );
    at_weight(&mut model, 50);
    assert_eq!(cookie(&model), Some(first), "its users stay");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    assert_eq!(cookie(&model), None);
}

/// Who was on the last canary is nobody's user any more.
#[test]
fn another_attempt_has_a_cookie_of_its_own() {
    let mut model = Model::adopted(&kept());
    model.ship("v2");
    at_weight(&mut model, 10);
    let first = cookie(&model).unwrap();
    model.ship("v3");
    model.run_until(|model| model.status().traffic.wanted == 0);
    assert_eq!(
        cookie(&model),
        Some(first.clone()),
        "while the route still has it"
    );
    at_weight(&mut model, 10);
    let second = cookie(&model).unwrap();
    assert!(second.attempt.starts_with("v3-"), "{}", second.attempt);
    assert_ne!(second.attempt, first.attempt);
}

fn back_by(percent: i32) -> Model {
    let analysis = json!({"interval": "10s", "checks": 1, "stepWeights": [10, 50], "stepWeightPromotion": percent});
    let mut model = Model::adopted(&analysis);
    model.ship("v2");
    model
}

/// Weights of the way back, with the seconds from one to the next.
fn way_back(model: &mut Model) -> Vec<(u8, i64)> {
    model.run_until(|model| model.phase() == Phase::Promoting);
    let mut steps: Vec<(u8, i64)> = Vec::new();
    let (mut share, mut since) = (model.status().traffic.wanted, model.now);
    while share > 0 {
        model.run_until(|model| model.status().traffic.wanted != share);
        share = model.status().traffic.wanted;
        steps.push((share, model.now.duration_since(since).as_secs()));
        since = model.now;
    }
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    steps
}

#[test]
fn a_share_goes_back_by_equal_steps_an_interval_apart() {
    for (percent, expected) in [
        (20, vec![30, 10, 0]),
        (25, vec![25, 0]),
        (50, vec![0]),
        (100, vec![0]),
    ] {
        let steps = way_back(&mut back_by(percent));
        let weights: Vec<u8> = steps.iter().map(|(weight, _)| *weight).collect();
        assert_eq!(weights, expected, "by {percent} %");
        assert!(
            steps.iter().skip(1).all(|(_, seconds)| *seconds >= 10),
            "{steps:?}"
        );
    }
}

/// A way back in many steps is slow, and nobody is told that it is stuck.
#[test]
fn a_slow_way_back_is_not_stuck() {
    let analysis =
        json!({"interval": "60s", "checks": 1, "stepWeights": [50], "stepWeightPromotion": 4});
    let mut model = Model::adopted(&analysis);
    model.ship("v2");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    let stuck = model.said.iter().any(|note| note.reason == "FinaliseStuck");
    assert!(!stuck, "{:#?}", model.said);
}

/// Its users are stable's at once, and whoever waited for the next step waits no more.
#[test]
fn a_canary_that_is_lost_on_the_way_back_gives_everything_back() {
    let mut model = back_by(20);
    at_weight(&mut model, 30);
    model.lose_pods(0, 3);
    let lost = model.now;
    model.run_until(|model| model.status().traffic.wanted != 30);
    assert_eq!(model.status().traffic.wanted, 0);
    assert!(model.now.duration_since(lost).as_secs() < 1);
    assert!(model.status().traffic.corrections.is_empty());
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
}
