//! Messages to people in whole releases: the real controller sends them over HTTP, in virtual time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::story::Story;
use crate::story::crash::Crash;
use crate::story::hooks::Mood;
use crate::story::objects::{self, HOME};
use crate::story::oracle::breaches;
use crate::story::setting::Setting;

/// The path at which the chat listens, which is a secret.
const CHAT: &str = "chat-s3cret";

/// Its address and a token, as a Secret holds them.
const SECRET: [(&str, &str); 2] = [
    ("address", "http://hooks/hook/chat-s3cret"),
    ("token", "t0ken-s3cret"),
];

/// A version that fails a fifth of its requests.
const BAD: &str = "2.0.0-errors20";

fn alerting(severity: &str) -> Setting {
    let alert = json!({"name": "on-call", "severity": severity, "providerRef": {"name": "chat"}});
    Setting::usual().with(&json!({"analysis": {"alerts": [alert]}}))
}

/// What an administrator puts beside a Canary.
fn provider(type_: &str) -> Vec<Value> {
    let provider = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "AlertProvider", "metadata": {"name": "chat", "namespace": HOME},
        "spec": {"type": type_, "secretRef": {"name": "chat"}},
    });
    let secret = objects::credentials("chat", &SECRET);
    std::iter::once(provider).chain(secret).collect()
}

async fn alerted(severity: &str, objects: &[Value]) -> Story {
    let story = Story::adopted(1, alerting(severity)).await;
    for object in objects {
        story.world.put(object.clone()).unwrap();
    }
    story
}

async fn ships(story: &Story, tag: &str) {
    story.ship(tag);
    let idle = |_: &_| matches!(story.phase().as_str(), "Succeeded" | "Failed");
    let there = story.until(idle, Duration::from_secs(1800)).await;
    assert!(there, "{:#}", story.canary()["status"]);
    story.quiet(Duration::from_secs(60)).await;
    let breaches = breaches(story, false);
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// Reasons of what the chat was sent, as CloudEvents.
fn reasons(story: &Story) -> Vec<String> {
    let calls = story.hooks.calls(CHAT);
    let reason = |call: &Value| call["data"]["reason"].as_str().unwrap_or("?").to_owned();
    calls.iter().map(reason).collect()
}

/// Messages of the Events that say why a message did not get through.
fn failures(story: &Story) -> Vec<String> {
    let events = story.events();
    let notes = events.iter().filter_map(|event| {
        let object = &event.object;
        let failed = object["reason"] == "NotificationFailed";
        failed.then(|| object["note"].as_str().unwrap_or_default().to_owned())
    });
    let mut notes: Vec<_> = notes.collect();
    notes.dedup();
    notes
}

/// Nothing that Serin wrote anywhere has an address or a token in it.
fn keeps_secrets(story: &Story) {
    for event in story.events() {
        let text = event.object.to_string();
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chat_hears_of_a_release_from_its_beginning_to_its_end() {
    let story = alerted("info", &provider("webhook")).await;
    ships(&story, "2.0.0").await;
    assert_eq!(reasons(&story), ["CandidateHeld", "Promoted"]);
    let told = &story.hooks.calls(CHAT)[0];
    assert_eq!(told["type"], "dev.serin.canary.candidateheld.v1");
    assert_eq!(told["data"]["candidate"]["images"][0], "app:2.0.0");
    assert_eq!(told["data"]["stable"]["images"][0], "app:1.0.0");
    assert_eq!(story.canary()["status"]["alerts"].get("pending"), None);
    assert_eq!(failures(&story), [""; 0]);
    keeps_secrets(&story);
}

#[tokio::test(start_paused = true)]
async fn whatever_the_chat_answers_the_release_goes_on_and_it_is_said_once() {
    let rows = [
        (Mood::No, 1, "it answered 403"),
        (Mood::Down, 3, "it answered 503"),
        (Mood::Silent, 3, "it did not answer in time"),
        (Mood::Dripping, 3, "it did not answer in time"),
        (Mood::Elsewhere, 1, "it answered 302"),
        (Mood::Endless, 3, "its answer is too long"),
    ];
    for (mood, tries, why) in rows {
        let story = alerted("error", &provider("webhook")).await;
        story.hooks.set(CHAT, mood);
        ships(&story, BAD).await;
        assert_eq!(story.phase(), "Failed", "{mood:?}");
        assert_eq!(reasons(&story), vec!["Rejected"; tries], "{mood:?}");
        let failures = failures(&story);
        let text = format!("alert \"on-call\" could not be told of Rejected: {why}");
        assert_eq!(failures, [text], "{mood:?}");
        keeps_secrets(&story);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named() {
    let all = provider("webhook");
    let unlabelled = {
        let mut secret = all[1].clone();
        secret["metadata"]["labels"] = json!({});
        secret
    };
    let unbound = {
        let mut secret = all[1].clone();
        secret["data"].as_object_mut().unwrap().remove("address");
        secret
    };
    let (provider, secret, right) = (all[0].clone(), all[1].clone(), all[2].clone());
    let rows = [
        (vec![], "there is no AlertProvider \"chat\" in \"shop\""),
        (
            vec![provider.clone(), right.clone()],
            "there is no Secret \"chat\" in \"shop\"",
        ),
        (
            vec![provider.clone(), secret],
            "Serin may not read Secret \"chat\" in \"shop\": bind ClusterRole serin-secrets to its account there",
        ),
        (
            vec![provider.clone(), unlabelled, right.clone()],
            "is not meant to be sent: label it serin.dev/credentials=true",
        ),
        (
            vec![provider, unbound, right],
            "the Secret has a token and no address",
        ),
    ];
    for (objects, why) in rows {
        let story = alerted("error", &objects).await;
        ships(&story, BAD).await;
        let failures = failures(&story);
        assert!(
            failures.len() == 1 && failures[0].contains(why),
            "{why}: {failures:?}"
        );
        assert_eq!(reasons(&story), [""; 0], "{why}");
        keeps_secrets(&story);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_no_message_and_repeats_one_at_most() {
    for at in (0..40).step_by(3) {
        let mut story = alerted("info", &provider("webhook")).await;
        story.kill();
        let crash = Crash::new(at, false);
        crash.arm();
        story.start(Some(crash), Duration::from_millis(300));
        ships(&story, "2.0.0").await;
        let told = reasons(&story);
        let mut once = told.clone();
        once.dedup();
        assert_eq!(
            once,
            ["CandidateHeld", "Promoted"],
            "dead before write {at}"
        );
        assert!(told.len() <= 3, "dead before write {at}: {told:?}");
        let calls = story.hooks.calls(CHAT);
        let mut ids: Vec<_> = calls.iter().map(|call| call["id"].to_string()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 2, "what is told again has the same id");
    }
}
