//! Hooks in whole releases: the real controller calls them over HTTP, in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::story::Story;
use crate::story::crash::Crash;
use crate::story::hooks::Mood;
use crate::story::objects;
use crate::story::oracle::breaches;
use crate::story::setting::Setting;

fn hooked(kind: &str) -> Setting {
    let hook = json!({"name": "it", "type": kind, "url": "http://hooks/hook/it"});
    let alone = json!({"webhooks": [hook], "comparison": {"missedRegression": 1}});
    Setting::usual().with(&json!({"analysis": alone}))
}

fn outcome(story: &Story) -> String {
    let canary = story.canary();
    let release = &canary["status"]["history"][0];
    let words = ["outcome", "reason"].map(|word| release[word].as_str().unwrap_or_default());
    words.join(": ")
}

fn judge(story: &Story) {
    let breaches = breaches(story, false);
    assert!(breaches.is_empty(), "{breaches:#?}");
}

async fn rests(story: &Story) {
    let idle = |_: &_| matches!(story.phase().as_str(), "Succeeded" | "Failed");
    assert!(
        story.until(idle, Duration::from_secs(1800)).await,
        "{:#}",
        story.canary()["status"]
    );
    story.quiet(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn each_kind_is_called_with_what_it_needs() {
    let rows = [
        ("confirm-rollout", 1, "Progressing"),
        ("pre-rollout", 1, "Progressing"),
        ("rollout", 3, "Progressing"),
        ("confirm-traffic-increase", 3, "Progressing"),
        ("confirm-promotion", 1, "Progressing"),
        ("post-rollout", 1, "Succeeded"),
    ];
    for (kind, count, phase) in rows {
        let story = Story::adopted(1, hooked(kind)).await;
        story.ship("2.0.0");
        rests(&story).await;
        assert!(outcome(&story).starts_with("Promoted: "), "{kind}");
        let calls = story.hooks.calls("it");
        assert_eq!(calls.len(), count, "{kind}: {calls:#?}");
        for call in calls {
            assert_eq!(call["phase"], phase, "{kind}");
            assert_eq!(call["serin"]["images"][0], "app:2.0.0", "{kind}: {call:#}");
            assert_eq!(call["serin"]["type"], kind);
        }
        assert_eq!(story.lost(), 0, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_check_answers_badly_is_a_failed_check_and_no_more() {
    let rows = [
        (Mood::No, "it answered 403"),
        (Mood::Down, "it answered 503"),
        (Mood::Silent, "no reply of hooks within 10s"),
        (Mood::Dripping, "no reply of hooks within 10s"),
        (Mood::Late, "no reply of hooks within 10s"),
        (Mood::Elsewhere, "it answered 302"),
        (Mood::Endless, "longer than"),
    ];
    for (mood, why) in rows {
        let story = Story::adopted(1, hooked("rollout")).await;
        story.hooks.set("it", mood);
        story.ship("2.0.0");
        rests(&story).await;
        let said = outcome(&story);
        assert!(
            said.starts_with("RolledBack: it") && said.contains(why),
            "{mood:?}: {said}"
        );
        assert!(!said.contains("secret"), "{said}");
        assert_eq!(story.lost(), 0, "{mood:?}");
        judge(&story);
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_verdict_is_none() {
    let story = Story::adopted(1, hooked("rollout")).await;
    story.hooks.set("it", Mood::Cut);
    story.ship("2.0.0");
    rests(&story).await;
    assert!(outcome(&story).starts_with("Promoted: "));
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_whatever_goes_wrong_and_opens_when_it_says_so() {
    for mood in [Mood::No, Mood::Silent, Mood::Elsewhere, Mood::Endless] {
        let story = Story::adopted(1, hooked("confirm-rollout")).await;
        story.hooks.set("it", mood);
        story.ship("2.0.0");
        story.quiet(Duration::from_secs(300)).await;
        assert_eq!(story.phase(), "Waiting", "{mood:?}");
        assert!(
            !story.has_canary(),
            "{mood:?}: nothing is deployed before the go-ahead"
        );
        assert!(story.hooks.calls("it").len() >= 10, "{mood:?}");
        story.hooks.set("it", Mood::Yes);
        rests(&story).await;
        assert!(outcome(&story).starts_with("Promoted: "), "{mood:?}");
        judge(&story);
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_does_not_wait_for_a_silent_hook() {
    let story = Story::adopted(1, hooked("confirm-traffic-increase")).await;
    story.hooks.set("it", Mood::Silent);
    story.ship("2.0.0");
    assert!(
        story
            .until(
                |_| !story.hooks.calls("it").is_empty(),
                Duration::from_secs(60)
            )
            .await
    );
    let asked = story.world.api.now();
    story.request("abort");
    story.becomes("Failed").await;
    assert!(story.world.api.now().duration_since(asked).as_secs() < 1);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_may_roll_back_does() {
    let story = Story::adopted(1, hooked("rollback")).await;
    story.hooks.set("it", Mood::No);
    story.ship("2.0.0");
    let exposed = |_: &_| story.canary()["status"]["canaryWeight"] == 50;
    assert!(story.until(exposed, Duration::from_secs(300)).await);
    story.hooks.set("it", Mood::Yes);
    let asked = story.world.api.now();
    story.becomes("Failed").await;
    assert!(story.world.api.now().duration_since(asked).as_secs() <= 11);
    assert!(
        outcome(&story).contains("ends the release"),
        "{}",
        outcome(&story)
    );
    judge(&story);
}

#[tokio::test(start_paused = true)]
async fn every_event_is_told() {
    let story = Story::adopted(1, hooked("event")).await;
    story.ship("2.0.0");
    rests(&story).await;
    let told = story.hooks.calls("it");
    let said = |word: &str| {
        told.iter()
            .any(|it| it["metadata"]["eventMessage"].to_string().contains(word))
    };
    for word in [
        "is held and will be tried",
        "rolls out on the target",
        "is the main release",
    ] {
        assert!(said(word), "{word}: {told:#?}");
    }
}

/// Each call is made once, or again with the same key.
#[tokio::test(start_paused = true)]
async fn a_crash_makes_no_other_calls() {
    for kind in ["confirm-rollout", "rollout", "post-rollout"] {
        let whole = Story::adopted(1, hooked(kind)).await;
        whole.ship("2.0.0");
        rests(&whole).await;
        let expected: BTreeSet<_> = short(whole.hooks.keys("it"));
        for at in (0..40).step_by(4) {
            let mut story = Story::adopted(1, hooked(kind)).await;
            story.kill();
            let crash = Crash::new(at, false);
            crash.arm();
            story.start(Some(crash), Duration::from_millis(300));
            story.ship("2.0.0");
            rests(&story).await;
            assert!(outcome(&story).starts_with("Promoted: "), "{kind} {at}");
            assert_eq!(
                short(story.hooks.keys("it")),
                expected,
                "{kind}, dead before write {at}"
            );
            judge(&story);
        }
    }
}

/// Without the Canary's own name in it, which differs.
fn short(keys: Vec<String>) -> BTreeSet<String> {
    let rest = |key: String| key.split_once('/').map(|(_, rest)| rest.to_owned());
    keys.into_iter().filter_map(rest).collect()
}

#[tokio::test(start_paused = true)]
async fn credentials_go_to_their_own_address_alone() {
    let rows = [
        (Some("http://hooks/"), None),
        (
            Some("http://elsewhere/"),
            Some("its Secret is for another address"),
        ),
        (
            None,
            Some("Serin may not read Secret \"proof\" in \"shop\""),
        ),
    ];
    for (address, refused) in rows {
        let mut setting = hooked("rollout");
        setting.spec["analysis"]["webhooks"][0]["secretRef"] = json!({"name": "proof"});
        let story = Story::adopted(1, setting).await;
        let secret =
            |address| objects::credentials("proof", &[("address", address), ("token", "t0ken")]);
        for object in address.map(secret).into_iter().flatten() {
            story.world.put(object).unwrap();
        }
        story.ship("2.0.0");
        rests(&story).await;
        let (calls, said) = (story.hooks.calls("it"), outcome(&story));
        match refused {
            None => {
                assert!(said.starts_with("Promoted: "), "{said}");
                assert!(
                    calls
                        .iter()
                        .all(|call| call["authorization"] == "Bearer t0ken")
                );
            }
            Some(why) => {
                assert!(
                    said.starts_with("RolledBack: it") && said.contains(why),
                    "{said}"
                );
                assert!(calls.is_empty(), "{calls:#?}");
            }
        }
        judge(&story);
    }
}
