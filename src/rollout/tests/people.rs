//! What people ask for, and what the history says of it; what one attempt leaves to the next.

use std::time::Duration;

use serde_json::json;

use crate::crd::status::{Diagnosis, Mark, Outcome, Phase, RequestOutcome, TrafficLevel, Wait};
use crate::rollout::observed::{Acceptance, Gate, Readiness};
use crate::rollout::tests::model::Model;
use crate::rollout::tests::{fast, outcomes};

fn answered(model: &Model) -> (RequestOutcome, String) {
    let last = model.status().last_request.unwrap();
    (last.outcome, last.message.unwrap_or_default())
}

#[track_caller]
fn refused(model: &mut Model, request: &str, why: &str) {
    model.run_for(Duration::from_millis(10));
    model.ask(request);
    model.tick();
    let (outcome, message) = answered(model);
    assert_eq!(outcome, RequestOutcome::Refused, "{request}");
    assert!(message.contains(why), "{request}: {message}");
}

#[track_caller]
fn accepted(model: &mut Model, request: &str) {
    model.run_for(Duration::from_millis(10));
    model.ask(request);
    model.tick();
    assert_eq!(
        answered(model).0,
        RequestOutcome::Accepted,
        "{request}: {}",
        answered(model).1
    );
}

#[test]
fn promote_leaves_out_no_check_and_ends_no_pause() {
    let mut model =
        Model::adopted(&json!({"interval": "10s", "checks": 3, "stepWeights": [10, 50]}));
    model.ship("v2");
    model.run_to(10);
    refused(&mut model, "promote", "step 1 of 2 has 0 of 3");
    accepted(&mut model, "pause");
    refused(&mut model, "promote", "paused by request");
    refused(&mut model, "pause", "waits already");
    model.run_for(Duration::from_secs(3600));
    assert_eq!((model.phase(), model.weight()), (Phase::Progressing, 10));
    accepted(&mut model, "resume");
    model.run();
    assert_eq!(
        (model.phase(), outcomes(&model)),
        (Phase::Succeeded, vec![Outcome::Promoted])
    );
    assert_eq!(model.status().history[0].marks, []);
}

#[test]
fn what_was_left_out_is_marked() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    accepted(&mut model, "skip");
    model.run();
    let last = model.status().history[0].clone();
    assert_eq!(
        (last.marks, last.by.as_deref()),
        (vec![Mark::Forced], Some("alice"))
    );

    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    accepted(&mut model, "promote-full");
    model.run();
    let last = model.status().history[0].clone();
    assert_eq!(
        (last.marks, last.by.as_deref()),
        (vec![Mark::Forced], Some("alice"))
    );
}

#[test]
fn a_rejected_candidate_may_be_forced() {
    let mut model = Model::adopted(&fast());
    model.errors = 0.1;
    model.ship("v2");
    model.run();
    accepted(&mut model, "promote-full");
    model.run();
    assert_eq!(
        (model.phase(), model.target().revision.as_str()),
        (Phase::Succeeded, "v2")
    );
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::RolledBack]);
    assert_eq!(model.status().history[0].marks, [Mark::Forced]);
}

#[test]
fn a_request_may_be_meant_for_one_revision() {
    let mut model = Model::adopted(&fast());
    model.ship("v3");
    model.run_to(10);
    refused(
        &mut model,
        r#"{"verb":"abort","revision":"v2"}"#,
        "it is meant for revision v2",
    );
    assert_eq!(model.phase(), Phase::Progressing);
    accepted(&mut model, r#"{"verb":"abort","revision":"v3"}"#);
    assert_eq!(model.phase(), Phase::Failed);
}

#[test]
fn retry_needs_a_held_candidate() {
    let mut model = Model::adopted(&fast());
    refused(&mut model, "retry", "while a rejected candidate is held");
    model.errors = 0.1;
    model.ship("v2");
    model.run();
    model.errors = 0.0;
    model.target().gate = Gate::Reverting;
    refused(&mut model, "retry", "while a rejected candidate is held");
    model.target().gate = Gate::Held;
    accepted(&mut model, "retry");
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted, Outcome::RolledBack]);
}

/// Three releases are promoted, the third after a rejected one.
fn with_history() -> Model {
    let mut model = Model::adopted(&fast());
    for revision in ["v2", "v3"] {
        model.ship(revision);
        model.run();
    }
    model.errors = 0.1;
    model.ship("bad");
    model.run();
    model.errors = 0.0;
    model.ship("v4");
    model.run();
    assert_eq!(model.phase(), Phase::Succeeded);
    model.trace.clear();
    model
}

#[test]
fn a_rollback_goes_to_what_was_promoted() {
    let mut model = with_history();
    refused(
        &mut model,
        r#"{"verb":"rollback","to":"bad"}"#,
        "no such promoted revision",
    );
    refused(&mut model, r#"{"verb":"rollback","to":"v9"}"#, "v4, v3, v2");
    model.target().gitops = Some("Flux".to_owned());
    refused(&mut model, "rollback", "Flux manages the target");
    model.target().gitops = None;
    accepted(&mut model, "rollback");
    model.run();
    assert_eq!(
        (model.phase(), model.target().revision.as_str()),
        (Phase::Succeeded, "v3")
    );
    assert_eq!(model.status().history[0].marks, [Mark::KnownGood]);
    assert!(!model.did("Place"), "{:#?}", model.trace);
}

#[test]
fn what_was_promoted_lately_is_known_to_be_good() {
    let rows = [
        ("v3", 3, vec![Mark::KnownGood]),
        ("v2", 3, vec![Mark::KnownGood]),
        ("v2", 2, vec![]),
        ("bad", 3, vec![]),
    ];
    for (revision, window, marks) in rows {
        let mut model = with_history();
        model.edit(|spec| spec.rollback_window = window);
        model.ship(revision);
        model.run();
        assert_eq!(
            model.status().history[0].marks,
            marks,
            "{revision} within {window}: {:#?}",
            model.trace
        );
        let analysed = model.did("Route(Routes { canary: Weight(50) })");
        assert_eq!(analysed, marks.is_empty(), "{revision}: {:#?}", model.trace);
    }
}

#[test]
fn the_history_has_its_limit() {
    let mut model = Model::adopted(&fast());
    model.edit(|spec| spec.history_limit = 2);
    for revision in ["v2", "v3", "v4", "v5"] {
        model.ship(revision);
        model.run();
    }
    let status = model.status();
    assert_eq!((status.history.len(), status.history[0].attempt), (2, 4));
}

#[test]
fn the_next_attempt_waits_until_nothing_of_the_last_is_left() {
    let mut model = Model::adopted(&fast());
    model.seen.capacity.autoscaler = Some("app".to_owned());
    model.ship("v2");
    model.run_to(50);
    model.router = Acceptance::Pending("not seen".to_owned());
    model.ask("abort");
    model.tick();
    refused(&mut model, "retry", "still being removed");
    model.ship("v3");
    model.run_for(Duration::from_secs(30));
    assert_eq!(model.phase(), Phase::Failed, "the weight is not accepted");
    model.seen.split.as_mut().unwrap().acceptance = Acceptance::Accepted;
    model.run_for(Duration::from_secs(2));
    assert_eq!(model.phase(), Phase::Failed, "proxies may still send there");
    model.accept();
    model.run_until(|model| model.phase() == Phase::Progressing);
    let (gone, off) = (model.at("Remove"), model.at("Unlock"));
    assert!(
        gone.is_some() && gone < off && off < model.at("Failed -> Progressing"),
        "{:#?}",
        model.trace
    );
}

/// What is left may be a workload that is going, or a route that somebody changed.
#[test]
fn an_attempt_begins_on_free_ground() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    let mut left = model.seen.canary.clone();
    left.as_mut().unwrap().deleting = true;

    let mut model = Model::adopted(&fast());
    model.seen.canary = left;
    model.ship("v2");
    model.run_for(Duration::from_secs(60));
    assert_eq!(model.phase(), Phase::Initialized);
    model.seen.canary = None;
    model.tick();
    assert_eq!(model.phase(), Phase::Progressing);

    let mut model = Model::adopted(&fast());
    let pending = Acceptance::Pending("not seen".to_owned());
    model.seen.split.as_mut().unwrap().acceptance = pending;
    model.ship("v2");
    model.run_for(Duration::from_secs(60));
    assert_eq!(model.phase(), Phase::Initialized);
    model.accept();
    model.run_for(Duration::from_secs(4));
    assert_eq!(model.phase(), Phase::Initialized, "it has to settle");
    model.run_for(Duration::from_secs(2));
    assert_eq!(model.phase(), Phase::Progressing);
}

#[test]
fn the_level_of_traffic_is_decided_at_the_beginning() {
    let rows = [
        (200.0, Some(TrafficLevel::Enough)),
        (0.2, Some(TrafficLevel::Low)),
        (0.0, Some(TrafficLevel::Low)),
    ];
    for (rate, level) in rows {
        let mut model = Model::adopted(&fast());
        model.rate = rate;
        model.pass(Duration::from_secs(3600));
        model.ship("v2");
        model.tick();
        assert_eq!(model.status().candidate.unwrap().traffic, level, "{rate}");
    }
    let mut model = Model::adopted(&fast());
    model.server_down = true;
    model.ship("v2");
    model.tick();
    assert_eq!(
        model.status().candidate.unwrap().traffic,
        Some(TrafficLevel::Enough)
    );
    model.run_until(|model| {
        model
            .status()
            .step
            .is_some_and(|step| step.waiting == Some(Wait::NoEvidence))
    });
    assert_eq!(model.weight(), 10, "a server that is down proves nothing");
}

fn missing_image(reason: &str) -> Diagnosis {
    Diagnosis {
        object: "Pod app-canary-1".to_owned(),
        container: Some("app".to_owned()),
        reason: reason.to_owned(),
        message: "not found".to_owned(),
        hint: "push it".to_owned(),
        hopeless: true,
        since: None,
    }
}

/// A canary that does not start, with what its Pods say.
fn stuck(reason: &str) -> Model {
    let mut model = Model::adopted(&fast());
    model.health = Readiness::Stuck("0 of 1 Pods are ready".to_owned());
    model.ship("v2");
    model.run_until(|model| model.seen.canary.is_some());
    model.seen.canary.as_mut().unwrap().diagnosis = vec![missing_image(reason)];
    model
}

#[test]
fn what_can_never_start_is_rejected_at_once() {
    let mut model = stuck("InvalidImageName");
    model.run_for(Duration::from_secs(1));
    assert_eq!(model.phase(), Phase::Failed);
    assert!(
        model.status().message.contains("InvalidImageName"),
        "{}",
        model.status().message
    );
    let mut model = stuck("CrashLoopBackOff");
    model.seen.canary.as_mut().unwrap().diagnosis[0].hopeless = false;
    model.run_for(Duration::from_secs(300));
    assert_eq!(model.phase(), Phase::Progressing, "it may still start");
}

#[test]
fn a_missing_image_may_come_late() {
    let mut model = stuck("ErrImagePull");
    for reason in ["ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"] {
        model.run_for(Duration::from_secs(9));
        assert_eq!(model.phase(), Phase::Progressing, "{reason}");
        model.seen.canary.as_mut().unwrap().diagnosis = vec![missing_image(reason)];
    }
    model.run_for(Duration::from_secs(9));
    assert_eq!(model.phase(), Phase::Failed, "both names are one cause");
}

#[test]
fn a_canary_that_does_not_get_ready_is_diagnosed_at_its_deadline() {
    let mut model = stuck("CrashLoopBackOff");
    model.seen.canary.as_mut().unwrap().diagnosis[0].hopeless = false;
    let began = model.now;
    model.run_until(|model| model.phase() == Phase::Failed);
    let took = model.now.duration_since(began).as_secs();
    assert!((590..=601).contains(&took), "{took} s");
    assert!(model.status().message.contains("CrashLoopBackOff"));
}
