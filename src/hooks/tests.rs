//! What is sent, and what comes back.

use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::*;

fn canary() -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "shop", "uid": "8c1f"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 80},
            "analysis": {"webhooks": [{
                "name": "load-test", "url": "http://tester.test/run?x=1",
                "metadata": {"type": "cmd", "cmd": "hey http://podinfo-canary.shop/", "eventMessage": "mine"},
            }]},
        },
        "status": {
            "phase": "Progressing", "failedChecks": 1,
            "candidate": {"revision": "5c4c", "images": ["podinfo:6.0.1"], "attempt": 17, "need": 3},
            "stable": {"revision": "6dd7", "images": ["podinfo:6.0.0"]},
            "plan": [{"weight": 10, "checks": 3}, {"weight": 20, "checks": 3}],
            "traffic": {"wanted": 20, "observed": "19.6"},
            "afterwards": {"attempt": 16, "revision": "4b4b", "outcome": "Promoted", "hooks": []},
        },
    }))
    .unwrap()
}

fn call(kind: HookKind) -> HookCall {
    HookCall {
        name: "load-test".to_owned(),
        kind,
        attempt: 17,
        step: 1,
        number: 2,
    }
}

fn sent(kind: HookKind) -> (Request<Bytes>, Value) {
    let canary = canary();
    let mut hook = canary.spec.analysis.webhooks[0].clone();
    hook.kind = kind;
    let deadline = "2026-11-22T10:00:00Z".parse().unwrap();
    let request = request(&canary, &hook, &call(kind), deadline).unwrap();
    let body = serde_json::from_slice(request.body()).unwrap();
    (request, body)
}

#[test]
fn a_call_has_flaggers_keys_and_ours() {
    let (request, body) = sent(HookKind::Rollout);
    assert_eq!(request.uri(), "http://tester.test/run?x=1");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(
        request.headers()["idempotency-key"],
        "8c1f/17/rollout/1/load-test/2"
    );
    expect![[r#"
        {
          "checksum": "5c4c",
          "metadata": {
            "cmd": "hey http://podinfo-canary.shop/",
            "eventMessage": "mine",
            "type": "cmd"
          },
          "name": "podinfo",
          "namespace": "shop",
          "phase": "Progressing",
          "serin": {
            "canary": {
              "service": "podinfo-canary",
              "workload": "podinfo-canary"
            },
            "check": 3,
            "deadline": "2026-11-22T10:00:00Z",
            "failedChecks": 1,
            "hook": "load-test",
            "idempotencyKey": "8c1f/17/rollout/1/load-test/2",
            "images": [
              "podinfo:6.0.1"
            ],
            "outcome": null,
            "revision": "5c4c",
            "run": 17,
            "stable": {
              "service": "podinfo",
              "workload": "podinfo"
            },
            "stableRevision": "6dd7",
            "step": 2,
            "steps": 2,
            "type": "rollout",
            "uid": "8c1f",
            "version": "v1",
            "weight": {
              "desired": 20,
              "observed": "19.6"
            }
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn who_is_told_of_the_end_is_told_of_that_release() {
    let (_, body) = sent(HookKind::PostRollout);
    assert_eq!(body["phase"], "Succeeded");
    assert_eq!(body["checksum"], "4b4b");
    assert_eq!(body["serin"]["outcome"], "Promoted");
}

#[test]
fn an_event_says_what_happened_whatever_the_spec_says() {
    let canary = canary();
    let hook = &canary.spec.analysis.webhooks[0];
    let told = Told {
        message: "weight 0",
        warning: true,
        at: "2026-11-22T10:00:00Z".parse().unwrap(),
    };
    let request = tell(&canary, hook, &call(HookKind::Event), told).unwrap();
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["metadata"]["eventMessage"], "weight 0");
    assert_eq!(body["metadata"]["eventType"], "Warning");
    assert_eq!(body["metadata"]["timestamp"], "1795341600000");
    assert_eq!(body["metadata"]["type"], "cmd");
}

#[test]
fn an_answer_means_what_its_words_or_its_status_say() {
    use HookKind::{ConfirmRollout, Rollback, Rollout};
    use HookVerdict::{Abort, Continue, Fail, Refused, Wait};
    let rows = [
        (Rollout, 200, "", Continue),
        (Rollout, 202, "accepted", Continue),
        (Rollout, 204, "", Continue),
        (Rollout, 299, "[]", Continue),
        (Rollout, 301, "", Refused),
        (Rollout, 403, "", Refused),
        (Rollout, 500, "", Refused),
        (ConfirmRollout, 403, "closed", Refused),
        (Rollback, 200, "OK", Abort),
        (Rollback, 500, "", Refused),
        (Rollback, 200, r#"{"verdict": "continue"}"#, Continue),
        (Rollout, 200, r#"{"verdict": "fail"}"#, Fail),
        (
            Rollout,
            200,
            r#"{"verdict": "abort", "reason": "no"}"#,
            Abort,
        ),
        (ConfirmRollout, 200, r#"{"verdict": "wait"}"#, Wait),
        (ConfirmRollout, 500, r#"{"verdict": "continue"}"#, Refused),
        (ConfirmRollout, 200, r#"{"verdict": "maybe"}"#, Continue),
        (ConfirmRollout, 200, r#"{"reason": "none"}"#, Continue),
        (Rollout, 200, "{\"verdict\": \"fail\"", Continue),
    ];
    for (kind, status, body, expected) in rows {
        let answer = answer(status, body);
        assert_eq!(
            reply(kind, &answer, true).verdict,
            expected,
            "{kind} {status} {body}"
        );
    }
}

fn answer(status: u16, body: &str) -> Response<Bytes> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .body(Bytes::from(body.to_owned()))
        .unwrap()
}

#[test]
fn only_a_trusted_server_is_quoted_and_not_at_length() {
    let long = "x".repeat(5000);
    let said = answer(503, &format!("secret {long}"));
    let foreign = reply(HookKind::Rollout, &said, false);
    assert_eq!(foreign.reason, "it answered 503");
    let trusted = reply(HookKind::Rollout, &said, true);
    assert!(trusted.reason.starts_with("it answered 503: secret xxx"));
    assert!(trusted.reason.len() < 1100, "{}", trusted.reason.len());
    let said = answer(200, r#"{"verdict": "abort", "reason": "secret"}"#);
    assert_eq!(reply(HookKind::Rollout, &said, false).reason, "");
    assert_eq!(reply(HookKind::Rollout, &said, true).reason, "secret");
}

#[test]
fn who_asks_for_time_gets_between_a_second_and_an_hour() {
    let rows = [
        ("30s", Some(30)),
        ("2m", Some(120)),
        ("1ms", Some(1)),
        ("900h", Some(3600)),
        ("soon", None),
        ("", None),
    ];
    for (text, seconds) in rows {
        let body = json!({"verdict": "wait", "retryAfter": text}).to_string();
        let wait = reply(HookKind::ConfirmRollout, &answer(200, &body), false).retry_after;
        assert_eq!(wait, seconds.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn another_try_helps_where_the_server_says_so() {
    for (status, passing) in [
        (429, true),
        (500, true),
        (503, true),
        (403, false),
        (301, false),
        (200, false),
    ] {
        assert_eq!(
            is_passing(StatusCode::from_u16(status).unwrap()),
            passing,
            "{status}"
        );
    }
}
