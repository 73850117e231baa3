//! Rows 18 to 23 of PROVIDERS section 7.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::behaviour::Behaviour;
use serin::sim::store::Key;

use crate::scenarios::istio::{hooks, latency};
use crate::scenarios::measured::{fine, promoted, rejected};
use crate::scenarios::providers::{MARK, ingress, key, provider};
use crate::story::objects::{self, HOME};
use crate::story::setting::Setting;
use crate::story::tale::When;
use crate::story::{Story, oracle};

fn nginx(analysis: &Value) -> Setting {
    provider("nginx")
        .setting()
        .with(&json!({"analysis": analysis}))
}

fn web() -> Key {
    key(("networking.k8s.io", "ingresses"), "web")
}

fn second(story: &Story) -> Option<Value> {
    let key = key(("networking.k8s.io", "ingresses"), "web-canary");
    story.world.api.get(&key).map(|it| Value::clone(&it))
}

const LATENCY: &str = r#"1000 * histogram_quantile(0.99, sum(rate(nginx_ingress_controller_response_duration_seconds_bucket{exported_namespace="{{ namespace }}",ingress="{{ ingress }}"}[{{ interval }}])) by (le))"#;

/// Row 18: the team's Ingress is never written, and may be applied again at any time.
#[tokio::test(start_paused = true)]
async fn the_teams_ingress_stays_as_it_is() {
    let (template, check) = latency(LATENCY);
    let success = json!({"name": "request-success-rate", "thresholdRange": {"min": 99}});
    let mut setting = nginx(&json!({"stepWeights": [20, 40], "metrics": [success, check]}));
    setting.objects.push(template);
    let story = Story::adopted(1, setting).await;
    let live = |story: &Story| story.world.api.get(&web()).unwrap();
    let before = live(&story);
    assert_eq!(second(&story), None, "it is there during a release alone");
    story.ship("2.0.0");
    story.when(When::Weight(20)).await;
    assert!(second(&story).is_some());
    assert_eq!(live(&story), before);
    story.world.put(ingress("nginx")).unwrap();
    story.rests().await;
    fine("row 18", &promoted(&story, &[0, 20, 40, 0]));
    let after = live(&story);
    assert_eq!(after["spec"], before["spec"]);
    assert!(
        !after["metadata"]["managedFields"]
            .to_string()
            .contains("serin")
    );
    assert_eq!(second(&story), None);
}

/// Row 19: insiders alone, with a hook in each round; the promotion follows the last round at once.
#[tokio::test(start_paused = true)]
async fn after_the_last_round_a_release_is_promoted_soon() {
    let analysis = json!({
        "stepWeights": null, "checks": null, "iterations": 5, "webhooks": hooks(&["rollout"]),
        "match": [{"headers": {MARK.0: {"exact": MARK.1}}}],
    });
    let setting = provider("nginx")
        .tried()
        .with(&json!({"analysis": analysis}));
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0");
    let last = |_: &_| story.hooks.calls("rollout").len() >= 5;
    assert!(story.until(last, Duration::from_secs(600)).await);
    let done = |_: &_| story.phase() == "Succeeded";
    assert!(
        story.until(done, Duration::from_secs(60)).await,
        "{:#}",
        story.canary()["status"]
    );
    story.rests().await;
    fine("row 19", &promoted(&story, &[0]));
}

fn pods(story: &Story) -> usize {
    story.world.api.list("", "pods", Some(HOME)).len()
}

fn ready(story: &Story) -> String {
    let canary = story.canary();
    let conditions = canary["status"]["conditions"].as_array().cloned();
    let conditions = conditions.unwrap_or_default();
    let ready = conditions.iter().find(|it| it["type"] == "Ready");
    ready.map_or_else(String::new, |it| {
        it["status"].as_str().unwrap_or_default().to_owned()
    })
}

fn annotate(story: &Story, value: &str) {
    story.edit(&objects::target(), |it| {
        it["spec"]["template"]["metadata"]["annotations"]["note"] = json!(value);
    });
}

/// Rows 20 to 23, one after the other: errors; stable's image put back; errors again; and the same image, which has become better.
#[tokio::test(start_paused = true)]
async fn a_rejected_version_may_come_again() {
    let story = Story::adopted(1, nginx(&json!({"threshold": 2}))).await;
    story.ship("2.0.0-errors100");
    story.rests().await;
    fine("row 20", &rejected(&story, "request-success-rate"));
    assert_eq!(second(&story), None);

    let before = pods(&story);
    story.ship("1.0.0");
    story.becomes("Initialized").await;
    story.quiet(Duration::from_secs(60)).await;
    let target = story.world.api.get(&objects::target()).unwrap();
    assert_eq!((pods(&story), ready(&story).as_str()), (before, "True"));
    assert_ne!(target["spec"]["paused"], true, "row 21: it is held");

    story.ship("2.0.0-errors100");
    story.becomes("Progressing").await;
    story.rests().await;
    fine("row 22", &rejected(&story, "request-success-rate"));

    let better = Behaviour::new("2.0.0");
    let now = story.world.api.now();
    let say = |does| {
        story
            .world
            .behaviours
            .say(HOME, "app:2.0.0-errors100", now, does)
    };
    say(Some(better));
    annotate(&story, "1");
    story.quiet(Duration::from_secs(60)).await;
    let said = story.canary()["status"]["message"].to_string();
    assert!(
        said.contains("same containers as the rejected candidate"),
        "row 23: {said}"
    );
    assert_eq!(story.phase(), "Failed");
    story.request("retry");
    story.becomes("Succeeded").await;
    story.rests().await;
    assert!(story.told().starts_with("Promoted: "), "{}", story.told());
    assert!(story.share_lately("2.0.0", 30) >= 1.0);
    assert_eq!((story.lost(), second(&story)), (0, None));
    fine("row 23", &oracle::breaches(&story, false));
}
