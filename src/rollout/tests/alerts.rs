//! Messages to people: each once, whenever the controller dies, and none of what nobody asked for.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};

use crate::crd::alert::Severity;
use crate::crd::hook::HookKind;
use crate::rollout::observed::{HookReply, HookVerdict};
use crate::rollout::tests::crashes::{TALES, Tale};
use crate::rollout::tests::fast;
use crate::rollout::tests::model::Model;

/// An analysis whose messages go to one address.
fn alerting(mut analysis: Value, severity: &str) -> Value {
    analysis["alerts"] =
        json!([{"name": "on-call", "severity": severity, "providerRef": {"name": "chat"}}]);
    analysis
}

/// A tale to its end, in which the controller dies once, or does not.
fn told(tale: &Tale, dies_after: Option<usize>) -> Model {
    let mut model = Model::adopted(&alerting((tale.analysis)(), "info"));
    model.dies_after = dies_after;
    (tale.tell)(&mut model);
    model.run_until(|model| model.canary.metadata.finalizers.is_none());
    model
}

/// What was sent, in the order in which it happened.
fn reasons(model: &Model) -> Vec<&str> {
    let mut sent: Vec<_> = model.sent.keys().collect();
    sent.sort_by_key(|call| call.at);
    sent.iter().map(|call| call.reason.as_str()).collect()
}

#[test]
fn each_tale_tells_people_what_they_need_to_know() {
    let lines = TALES.iter().map(|tale| {
        let model = told(tale, None);
        format!("{}: {}\n", tale.name, reasons(&model).join(", "))
    });
    expect![[r#"
        good: CandidateHeld, Promoted
        errors: CandidateHeld, CheckFailed, Rejected
        cannot start: CandidateHeld, Rejected
        superseded: CandidateHeld, Superseded, CandidateHeld, Promoted
        taken back by its owner: CandidateHeld, Aborted
        aborted: CandidateHeld, Aborted
        approved: CandidateHeld, GateWaiting, Promoted
        blue/green: CandidateHeld, Promoted
        tried again: CandidateHeld, CheckFailed, Rejected, CandidateHeld, Promoted
        with an autoscaler: CandidateHeld, Promoted
        deleted under way: CandidateHeld
    "#]]
    .assert_eq(&lines.collect::<String>());
}

#[test]
fn a_death_at_any_write_loses_no_message_and_repeats_at_most_the_one_on_its_way() {
    let mut deaths = 0;
    for tale in &TALES {
        let expected = told(tale, None);
        for writes in 0.. {
            let model = told(tale, Some(writes));
            let at = format!("{}, dead after {writes} writes", tale.name);
            // The last breath of a Canary that is deleted is told by nobody.
            let (told, all) = (reasons(&model), reasons(&expected));
            assert_eq!(told, all, "{at}");
            let again = model.sent.values().filter(|times| **times > 1).count();
            let most = model.sent.values().max().copied().unwrap_or(0);
            assert!(again <= 1 && most <= 2, "{at}: {:?}", model.sent);
            if model.dies_after.is_some() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 200, "{deaths}");
}

#[test]
fn a_failure_is_written_down_with_what_it_is_about_and_taken_off_when_it_was_told() {
    let mut model = Model::adopted(&alerting(fast(), "error"));
    model.errors = 0.2;
    model.ship("v2");
    model.run_until(|model| model.status().alerts.is_some());
    let alerts = model.status().alerts.unwrap();
    let [alert] = alerts.pending.as_slice() else {
        panic!("{alerts:#?}");
    };
    assert_eq!(alert.severity, Severity::Error);
    assert_eq!((alert.reason.as_str(), alert.attempt), ("Rejected", 1));
    assert_eq!(alert.to, ["on-call"]);
    assert!(alert.message.contains("request-success-rate"), "{alert:#?}");
    assert_eq!(alert.step.as_deref(), Some("1/3"));
    let revision = |it: &Option<crate::crd::alert::Version>| it.as_ref().unwrap().revision.clone();
    assert_eq!(revision(&alert.candidate), "v2");
    assert_eq!(revision(&alert.stable), "v1");
    model.run();
    let alerts = model.status().alerts.unwrap();
    assert_eq!(alerts.pending, [], "it was told");
    assert_eq!(reasons(&model), ["Rejected"]);
}

#[test]
fn what_does_not_get_through_is_said_once_and_given_up() {
    let mut model = Model::adopted(&alerting(fast(), "error"));
    model.errors = 0.2;
    model.mail = Err("it answered 403".to_owned());
    model.ship("v2");
    model.run();
    let failed = model.said.iter();
    let failed: Vec<_> = failed
        .filter(|note| note.reason == "NotificationFailed")
        .map(|note| note.message.as_str())
        .collect();
    assert_eq!(
        failed,
        [r#"alert "on-call" could not be told of Rejected: it answered 403"#]
    );
    assert_eq!(model.status().alerts.unwrap().pending, []);
    assert_eq!(reasons(&model), ["Rejected"]);
}

#[test]
fn a_step_says_once_that_its_checks_fail() {
    let mut analysis = alerting(fast(), "warn");
    analysis["threshold"] = json!(4);
    let mut model = Model::adopted(&analysis);
    model.errors = 0.2;
    model.ship("v2");
    model.run();
    assert_eq!(reasons(&model), ["CheckFailed", "Rejected"]);
}

#[test]
fn a_gate_that_waits_is_told_unless_its_hook_is_mute() {
    for (mute, expected) in [(false, vec!["GateWaiting"]), (true, vec![])] {
        let mut analysis = alerting(fast(), "warn");
        let kind = HookKind::ConfirmRollout;
        analysis["webhooks"] =
            json!([{"name": "gate", "type": kind, "url": "http://gate.test/", "muteAlert": mute}]);
        let mut model = Model::adopted(&analysis);
        let no = HookReply {
            verdict: HookVerdict::Refused,
            reason: "closed".to_owned(),
            retry_after: None,
        };
        model.hooks.insert("gate".to_owned(), vec![no]);
        model.ship("v2");
        model.run_for(Duration::from_secs(120));
        assert_eq!(reasons(&model), expected, "mute: {mute}");
    }
}

#[test]
fn a_canary_without_alerts_keeps_nothing_of_them() {
    let mut model = Model::adopted(&fast());
    model.errors = 0.2;
    model.ship("v2");
    model.run();
    assert_eq!(model.status().alerts, None);
    assert_eq!(model.sent.len(), 0);
}

#[test]
fn who_is_taken_off_the_list_is_not_told_any_more() {
    let mut model = Model::adopted(&alerting(fast(), "info"));
    model.ship("v2");
    model.run_until(|model| model.status().alerts.is_some());
    model.edit(|spec| spec.analysis.alerts[0].name = "others".to_owned());
    model.run();
    assert_eq!(reasons(&model), ["Promoted"]);
    assert_eq!(model.status().alerts.unwrap().pending, []);
}
