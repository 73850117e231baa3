//! The net under the planner: actions that no planner should ever come to, and what is said of them.

use crate::crd::moment::Moment;
use crate::crd::status::Phase;
use crate::rollout::decision::Action;
use crate::rollout::invariants::sift;
use crate::rollout::observed::{Gate, Routes, TrafficKind, Weight};
use crate::rollout::tests::fast;
use crate::rollout::tests::model::Model;
use crate::rollout::tick::Tick;

/// The invariant that an action breaks; whatever stands behind it must not be done then.
fn broken(model: &Model, action: Action) -> Option<String> {
    let tick = Tick::new(&model.canary, &model.seen, Moment::new(model.now));
    let (kept, breaches) = sift(&tick, vec![Action::Serve, action, Action::Serve]);
    assert_eq!(kept.len(), if breaches.is_empty() { 3 } else { 1 });
    let id = breaches.first()?.split(':').next()?;
    Some(id.to_owned())
}

#[track_caller]
fn check(model: &Model, rows: Vec<(Action, Option<&str>)>) {
    for (action, id) in rows {
        assert_eq!(broken(model, action.clone()).as_deref(), id, "{action:?}");
    }
}

fn release(revision: &str) -> Action {
    Action::Release {
        revision: revision.to_owned(),
    }
}

fn revert(revision: &str) -> Action {
    Action::Revert {
        revision: revision.to_owned(),
    }
}

fn route(weight: u8) -> Action {
    Action::Route(Routes {
        canary: Weight::new(weight),
        ..Routes::default()
    })
}

#[test]
fn only_what_was_analysed_is_released() {
    let mut model = Model::adopted(&fast());
    check(&model, vec![(release("v1"), Some("G3"))]);
    model.ship("v2");
    check(&model, vec![(release("v2"), Some("G1"))]);
    model.run_to(50);
    let rows = vec![
        (release("v2"), Some("G1")),
        (release("v1"), Some("G3")),
        (release("v3"), Some("G3")),
    ];
    check(&model, rows);
    model.canary.status.as_mut().unwrap().phase = Phase::Promoting;
    check(&model, vec![(release("v2"), None)]);
    model.ship("v3");
    check(&model, vec![(release("v3"), Some("G1"))]);
    model.ship("v1");
    check(&model, vec![(release("v1"), None)]);
    model.target().gate = Gate::PausedByOther;
    check(&model, vec![(release("v1"), Some("G3"))]);
}

#[test]
fn what_never_ran_may_start() {
    let mut model = Model::new(&fast());
    model.ship("v2");
    check(&model, vec![(release("v2"), Some("G1"))]);
    model.target().serving.clear();
    check(&model, vec![(release("v2"), None)]);
}

#[test]
fn no_share_without_readiness_and_none_beside_the_plan() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    let rows = vec![
        (route(0), None),
        (route(10), None),
        (route(50), Some("T3")),
        (route(100), Some("T3")),
    ];
    check(&model, rows);
    let arm = &mut model.seen.canary.as_mut().unwrap().arm;
    (arm.replicas, arm.ready) = (3, 3);
    let rows = vec![
        (route(5), None),
        (route(30), Some("T2")),
        (route(50), None),
        (route(100), None),
    ];
    check(&model, rows);
    model.seen.canary = None;
    check(&model, vec![(route(50), Some("T3"))]);
}

/// Matching requests and copies are traffic like any other.
#[test]
fn neither_matching_requests_nor_copies_reach_what_is_not_ready() {
    let analysis = serde_json::json!({"interval": "10s", "iterations": 2, "match": [{"headers": {"x": {"exact": "y"}}}]});
    let mut model = Model::adopted(&analysis);
    model.matching = 0.1;
    let matched = Routes {
        matched: true,
        ..Routes::default()
    };
    let copied = Routes {
        mirror: Weight::new(40),
        ..Routes::default()
    };
    model.ship("v2");
    check(&model, vec![(Action::Route(matched), Some("T3"))]);
    model.run_until(|model| model.status().traffic.beside);
    let arm = model.seen.canary.clone();
    let rows = vec![
        (Action::Route(matched), None),
        (Action::Route(copied), Some("T2")),
        (Action::Remove, Some("T6")),
    ];
    check(&model, rows);
    model.seen.split = None;
    model.seen.canary = arm;
    model.seen.canary.as_mut().unwrap().arm.ready = 1;
    check(&model, vec![(Action::Route(matched), Some("T3"))]);
}

#[test]
fn nothing_goes_that_may_get_requests() {
    let mut model = Model::adopted(&fast());
    check(&model, vec![(Action::Remove, None)]);
    model.ship("v2");
    model.run_to(10);
    check(&model, vec![(Action::Remove, Some("T6"))]);
    model.canary.status.as_mut().unwrap().traffic.wanted = 0;
    check(&model, vec![(Action::Remove, Some("T6"))]);
    model.seen.split = None;
    check(&model, vec![(Action::Remove, None)]);
    model.canary.status.as_mut().unwrap().traffic.wanted = 10;
    check(&model, vec![(Action::Remove, Some("T6"))]);
    model.seen.abilities.traffic = TrafficKind::Replicas;
    check(&model, vec![(Action::Remove, None)]);
}

#[test]
fn the_target_is_its_owners() {
    let mut model = Model::adopted(&fast());
    let rows = vec![
        (Action::Arm, None),
        (Action::ScaleUp(4), None),
        (Action::ScaleUp(3), Some("C5")),
        (Action::ScaleUp(1), Some("C5")),
        (revert("v1"), None),
        (revert("v9"), Some("G12")),
    ];
    check(&model, rows);
    model.ship("v2");
    check(
        &model,
        vec![(Action::Arm, Some("G5")), (revert("v2"), Some("G12"))],
    );
    model.run();
    check(&model, vec![(revert("v2"), None)]);
    model.seen.target = None;
    check(&model, vec![(Action::Arm, Some("G5"))]);
}
