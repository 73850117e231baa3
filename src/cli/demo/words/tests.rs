//! Two states of a Canary, and what is said of them.

use serde_json::{Value, json};

use super::*;

const AT: &str = "2030-01-01T00:00:00Z";

fn merge(base: &Value, changes: &Value) -> Value {
    let mut value = base.clone();
    json_patch::merge(&mut value, changes);
    value
}

fn canary(provider: &str, status: &Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"targetRef": {"name": "web"}, "provider": provider},
        "status": status
    }))
    .unwrap()
}

/// A Canary that is idle.
fn idle() -> Value {
    json!({"phase": "Initialized", "stable": {"revision": "a", "images": ["web:1.0.0"]}})
}

/// The same, while 2.0.0 is tried at a weight.
fn trying(weight: u8) -> Value {
    let step = json!({"index": 0, "of": 2, "startedAt": AT, "deadlineAt": AT, "passed": 0});
    let candidate =
        json!({"revision": "b", "images": ["registry.example:5000/web:2.0.0"], "attempt": 3});
    merge(
        &idle(),
        &json!({"phase": "Progressing", "canaryWeight": weight, "candidate": candidate, "step": step}),
    )
}

fn check(verdict: &str, value: &str) -> Value {
    json!({"name": "request-success-rate", "verdict": verdict, "value": value, "limit": ">= 99%", "samples": 120, "at": AT})
}

fn judged(verdict: &str, value: &str, failed: u32) -> Value {
    let weight = json!({"name": "weight", "verdict": "Pass", "value": "9.9%", "at": AT});
    let changes =
        json!({"iterations": 1, "failedChecks": failed, "checks": [check(verdict, value), weight]});
    merge(&trying(10), &changes)
}

fn rejected(outcome: &str, reason: &str) -> Value {
    let verdict = json!({"outcome": outcome, "reason": reason, "at": AT});
    merge(
        &trying(10),
        &json!({"phase": "Failed", "step": null, "candidate": {"verdict": verdict}}),
    )
}

fn asked(outcome: &str) -> Value {
    let request = json!({"verb": "promote", "id": "1", "by": "ada", "at": AT, "outcome": outcome, "message": "nothing waits"});
    merge(&trying(10), &json!({"lastRequest": request}))
}

fn waiting(why: &str) -> Value {
    merge(&trying(10), &json!({"step": {"waiting": why}}))
}

#[track_caller]
fn says(provider: &str, before: &Value, now: &Value, expected: &[&str]) {
    let told = tell(Some(&canary(provider, before)), &canary(provider, now));
    let told: Vec<_> = told.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(told, expected, "{now:#}");
}

#[test]
fn a_release_is_told_from_its_begin_to_its_end() {
    let promoting = merge(&trying(100), &json!({"phase": "Promoting"}));
    let promoted = merge(
        &idle(),
        &json!({"phase": "Succeeded", "stable": {"images": ["web:2.0.0"]}}),
    );
    let rows: [(Value, Value, &[&str]); 9] = [
        (
            json!({}),
            idle(),
            &["1.0.0 is running; from now on, a new version is held and tried first"],
        ),
        (
            idle(),
            trying(0),
            &["2.0.0 is held: 1.0.0 stays as it is, and a canary of 2.0.0 is started beside it"],
        ),
        (
            trying(0),
            trying(10),
            &["10 % of the requests go to 2.0.0 now"],
        ),
        (
            trying(10),
            judged("Pass", "100%", 0),
            &["check passed: request-success-rate 100% (>= 99%)"],
        ),
        (
            trying(100),
            promoting.clone(),
            &["every check passed: the Deployment itself is rolled to 2.0.0 now"],
        ),
        (
            promoting.clone(),
            merge(&promoting, &json!({"canaryWeight": 0})),
            &[],
        ),
        (
            merge(&promoting, &json!({"canaryWeight": 0})),
            promoted,
            &["2.0.0 is PROMOTED: it is the main release now"],
        ),
        (trying(10), trying(10), &[]),
        (
            rejected("RolledBack", "errors"),
            idle(),
            &[
                "all requests go to 1.0.0 again",
                "the Deployment says 1.0.0 again; nothing is held",
            ],
        ),
    ];
    for (before, now, expected) in rows {
        says("gatewayapi:v1", &before, &now, expected);
    }
}

#[test]
fn what_goes_wrong_is_said_with_the_reason() {
    let diagnosis = json!([{"object": "Pod web-1", "reason": "ErrImagePull", "message": "web:2.0.0 is not there", "hint": "push it"}]);
    let stalled = json!([{"type": "Stalled", "status": "True", "reason": "ConfigurationError", "message": "spec.service.port is missing",
        "lastTransitionTime": AT}]);
    let rows: [(Value, Value, &[&str]); 10] = [
        (
            trying(10),
            judged("Fail", "80%", 1),
            &["check failed: request-success-rate 80%, the limit is >= 99% (of 120 requests)"],
        ),
        (
            trying(10),
            judged("Inconclusive", "100%", 0),
            &["no verdict yet: request-success-rate 100%, the limit is >= 99% (of 120 requests)"],
        ),
        (
            trying(10),
            judged("Unproven", "100%", 0),
            &[
                "check passed, though by too few requests to prove it: request-success-rate 100% (>= 99%)",
            ],
        ),
        (
            trying(10),
            rejected("RolledBack", "too many errors"),
            &["2.0.0 is REJECTED: too many errors"],
        ),
        (
            trying(10),
            rejected("Aborted", "ada said so"),
            &["2.0.0 is called off: ada said so"],
        ),
        (
            trying(10),
            rejected("Superseded", "superseded by revision c"),
            &["2.0.0 is superseded by revision c"],
        ),
        (
            rejected("RolledBack", "e"),
            merge(&rejected("RolledBack", "e"), &json!({"canaryWeight": 0})),
            &["all requests go to 1.0.0 again"],
        ),
        (
            trying(0),
            merge(&trying(0), &json!({"diagnosis": diagnosis})),
            &["does not start: ErrImagePull, web:2.0.0 is not there"],
        ),
        (
            idle(),
            merge(&idle(), &json!({"conditions": stalled})),
            &["is stuck: spec.service.port is missing"],
        ),
        (
            merge(&idle(), &json!({"conditions": stalled})),
            merge(&idle(), &json!({"conditions": stalled, "iterations": 0})),
            &[],
        ),
    ];
    for (before, now, expected) in rows {
        says("gatewayapi:v1", &before, &now, expected);
    }
}

#[test]
fn a_person_is_told_what_to_type_and_what_was_asked() {
    let rows: [(Value, Value, &[&str]); 5] = [
        (
            trying(10),
            waiting("Approval"),
            &["waits for a person: `serin promote web` goes on, `serin abort web` goes back"],
        ),
        (
            trying(10),
            waiting("Paused"),
            &["is paused; `serin resume web` goes on"],
        ),
        (waiting("Approval"), waiting("Approval"), &[]),
        (trying(10), asked("Accepted"), &["ada asked for promote"]),
        (
            trying(10),
            asked("Refused"),
            &["ada asked for promote, which is refused: nothing waits"],
        ),
    ];
    for (before, now, expected) in rows {
        says("gatewayapi:v1", &before, &now, expected);
    }
}

#[test]
fn without_a_gateway_the_words_are_others() {
    says(
        "none",
        &trying(0),
        &trying(25),
        &["2.0.0 is 25 % of the Pods now"],
    );
    let back = merge(&rejected("RolledBack", "e"), &json!({"canaryWeight": 0}));
    says(
        "none",
        &rejected("RolledBack", "e"),
        &back,
        &["all Pods run 1.0.0 again"],
    );
    says(
        "kubernetes",
        &idle(),
        &trying(0),
        &["2.0.0 is held and started beside 1.0.0, without users at first"],
    );
}

#[test]
fn a_release_ends_once() {
    let promoted = merge(&idle(), &json!({"phase": "Succeeded"}));
    let (bad, off) = (rejected("RolledBack", "e"), rejected("Aborted", "e"));
    let rows = [
        (trying(100), promoted.clone(), Some(End::Promoted)),
        (promoted.clone(), promoted, None),
        (trying(10), bad.clone(), Some(End::Rejected)),
        (bad.clone(), bad, None),
        (trying(10), off, Some(End::Rejected)),
        (
            trying(10),
            rejected("Superseded", "e"),
            Some(End::Overtaken),
        ),
        (idle(), trying(10), None),
    ];
    for (before, now, expected) in rows {
        let of = |status: &Value| canary("none", status);
        assert_eq!(end(Some(&of(&before)), &of(&now)), expected, "{now:#}");
    }
    let first = merge(&idle(), &json!({"phase": "Succeeded"}));
    assert_eq!(
        end(None, &canary("none", &first)),
        None,
        "it ended before the demo looked"
    );
}

#[test]
fn a_version_is_the_tag_of_the_first_image() {
    let rows = [
        ("web:2.0.0", "2.0.0"),
        ("registry:5000/team/web:2.0.0-errors5", "2.0.0-errors5"),
        ("web", "web"),
    ];
    for (image, expected) in rows {
        assert_eq!(tag(&[image.to_owned()]), expected);
    }
    assert_eq!(tag(&[]), "");
}
