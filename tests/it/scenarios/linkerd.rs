//! Rows 15 to 17 of PROVIDERS section 7.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::store::Key;
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::users::Destination;

use crate::scenarios::measured::{fine, promoted, rejected};
use crate::scenarios::providers::provider;
use crate::story::Story;
use crate::story::objects::{self, HOME};
use crate::story::setting::Setting;

fn linkerd(analysis: &Value) -> Setting {
    provider("linkerd")
        .setting()
        .with(&json!({"analysis": analysis}))
}

/// An application whose Service has another name than its Deployment.
fn other(spec: &Value) -> Vec<Value> {
    let mut deployment = objects::deployment("1.0.0", 2);
    deployment["metadata"]["name"] = json!("other");
    let label = json!({"app": "other"});
    deployment["metadata"]["labels"] = label.clone();
    deployment["spec"]["selector"]["matchLabels"] = label.clone();
    deployment["spec"]["template"]["metadata"]["labels"] = label.clone();
    let mut service = objects::service();
    service["metadata"] = json!({"name": "front", "namespace": HOME});
    service["spec"]["selector"] = label;
    let mut canary = objects::canary(&Value::Null);
    canary["metadata"]["name"] = json!("other");
    canary["spec"] = spec.clone();
    canary["spec"]["targetRef"]["name"] = json!("other");
    canary["spec"]["service"]["name"] = json!("front");
    vec![deployment, service, canary]
}

/// Row 15: two Canaries at the same time, one of which has a Service of another name.
#[tokio::test(start_paused = true)]
async fn two_canaries_are_released_beside_each_other() {
    let mut setting = linkerd(&json!({"stepWeights": [10, 30, 50]}));
    setting.objects.extend(other(&setting.spec));
    let users = Name::new(HOME, "front");
    let rate = Rate::Steps(vec![(Duration::from_secs(30), 100.0)]);
    let way = Destination::Service(users.clone());
    setting.others.push((users.clone(), way, rate));
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0");
    let target = Key::new("apps", "deployments", HOME, "other");
    story.edit(&target, |it| {
        it["spec"]["template"]["spec"]["containers"][0]["image"] = json!("app:2.0.0");
    });
    story.rests().await;
    let second = Key::new("serin.dev", "canaries", HOME, "other");
    let status = story.world.api.get(&second).unwrap()["status"].clone();
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    let mut wrong = promoted(&story, &[0, 10, 30, 50, 0]);
    let before = story.answered(&users, "1.0.0");
    story.quiet(Duration::from_secs(20)).await;
    if story.answered(&users, "1.0.0") > before {
        wrong.push("the other is not promoted".to_owned());
    }
    fine("row 15", &wrong);
}

/// Row 16: a version that answers with errors alone.
#[tokio::test(start_paused = true)]
async fn errors_alone_reject() {
    let story = Story::adopted(1, linkerd(&json!({"threshold": 3}))).await;
    story.ship("2.0.0-errors100");
    story.rests().await;
    fine("row 16", &rejected(&story, "request-success-rate"));
}

/// Row 17: steps that are listed win over `maxWeight`.
#[tokio::test(start_paused = true)]
async fn steps_that_are_listed_go_to_their_end() {
    let steps = json!({"stepWeights": [10, 20, 30, 40, 50, 60], "maxWeight": 50});
    let story = Story::adopted(1, linkerd(&steps)).await;
    story.ship("2.0.0");
    story.rests().await;
    fine("row 17", &promoted(&story, &[0, 10, 20, 30, 40, 50, 60, 0]));
}
