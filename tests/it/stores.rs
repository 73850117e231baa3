//! Stores of metrics in whole releases: the real controller asks one that lends tokens, in virtual time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::story::Story;
use crate::story::google::account;
use crate::story::objects::{self, HOME};
use crate::story::oracle::breaches;
use crate::story::setting::Setting;

/// Where tokens are lent.
const LENDER: &str = "oauth2.googleapis.com/token";

/// Where is measured.
const QUERY: &str =
    "monitoring.googleapis.com/v1/projects/shop-42/location/global/prometheus/api/v1/query";

/// A template of Google's, and its Secret, which may go to this address.
fn google(address: &str) -> Vec<Value> {
    let template = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "errors", "namespace": HOME},
        "spec": {
            "provider": {"type": "stackdriver", "secretRef": {"name": "google"}},
            "query": "sum(rate(errors{workload=\"{{ target }}\"}[1m]))",
        },
    });
    let account = account();
    let texts = [
        ("address", address),
        ("serviceAccountKey", account.as_str()),
    ];
    let secret = objects::credentials("google", &texts);
    std::iter::once(template).chain(secret).collect()
}

async fn measured(objects: Vec<Value>) -> Story {
    let metric =
        json!({"name": "errors", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 10}});
    let mut setting = Setting::usual().with(&json!({"analysis": {"metrics": [metric]}}));
    setting.objects.extend(objects);
    Story::adopted(1, setting).await
}

async fn ships(story: &Story) -> String {
    story.ship("2.0.0");
    let idle = |_: &_| matches!(story.phase().as_str(), "Succeeded" | "Failed");
    let there = story.until(idle, Duration::from_secs(3_600)).await;
    assert!(there, "{:#}", story.canary()["status"]);
    let breaches = breaches(story, false);
    assert!(breaches.is_empty(), "{breaches:#?}");
    let outcome = &story.canary()["status"]["history"][0]["outcome"];
    outcome.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_lent_once_and_used_for_every_question() {
    for (value, expected) in [(1.0, "Promoted"), (99.0, "RolledBack")] {
        let story = measured(google("https://monitoring.googleapis.com")).await;
        story.google.measures(value);
        assert_eq!(ships(&story).await, expected);
        let (lent, asked) = (story.google.asked(LENDER), story.google.asked(QUERY));
        assert!(lent == 1 && asked > 1, "lent {lent}, asked {asked}");
        assert_eq!(
            lent + asked,
            story.google.requests(),
            "nobody else is asked"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_taken_back_is_replaced() {
    let story = measured(google("https://monitoring.googleapis.com")).await;
    story.google.measures(1.0);
    story.ship("2.0.0");
    let measured = |_: &_| story.google.asked(QUERY) > 0;
    assert!(story.until(measured, Duration::from_secs(600)).await);
    story.google.revoke();
    let done = |_: &_| story.phase() == "Succeeded";
    assert!(
        story.until(done, Duration::from_secs(3_600)).await,
        "{:#}",
        story.canary()["status"]
    );
    assert_eq!(story.google.asked(LENDER), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_for_another_address_is_not_even_used_for_a_token() {
    let story = measured(google("https://other.test")).await;
    story.ship("2.0.0");
    story.quiet(Duration::from_secs(300)).await;
    assert_eq!(story.google.requests(), 0);
    assert_ne!(story.phase(), "Succeeded");
}
