//! Row 30 of PROVIDERS section 7; 31 and 32 are Contour's part of `everywhere`.

use serde_json::{Value, json};

use crate::scenarios::istio::hooks;
use crate::scenarios::measured::{fine, promoted};
use crate::scenarios::providers::{key, provider};
use crate::story::Story;
use crate::story::objects::{self, APP};

const PROXIES: (&str, &str) = ("projectcontour.io", "httpproxies");

/// The canary's weight in a proxy.
fn weight(proxy: &Value) -> i64 {
    let services = proxy["spec"]["routes"][0]["services"].as_array();
    let canary = services.into_iter().flatten();
    let mut canary = canary.filter(|it| it["name"] == "app-canary");
    canary
        .next()
        .map_or(0, |it| it["weight"].as_i64().unwrap_or(0))
}

/// Row 30: each step begins once Contour has taken the proxy as it is, and the hook is called in each.
#[tokio::test(start_paused = true)]
async fn each_step_waits_for_contours_word() {
    let analysis = json!({"stepWeights": [10, 20, 30, 40, 50], "webhooks": hooks(&["rollout"])});
    let setting = provider("contour")
        .setting()
        .with(&json!({"analysis": analysis}));
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0");
    story.rests().await;
    fine("row 30", &promoted(&story, &[0, 10, 20, 30, 40, 50, 0]));
    assert!(story.hooks.calls("rollout").len() >= 5);
    // What Contour had said of what when the Canary said that a weight is in force.
    let (mut proxy, mut wrong) = (Value::Null, Vec::new());
    for event in story.events() {
        if *event.key == key(PROXIES, APP) {
            proxy = Value::clone(&event.object);
        } else if *event.key == objects::canary_key() {
            let said = event.object["status"]["canaryWeight"].as_i64().unwrap_or(0);
            let valid = &proxy["status"]["conditions"][0];
            let meant = valid["observedGeneration"] == proxy["metadata"]["generation"];
            let news = event
                .before
                .as_ref()
                .is_none_or(|it| it["status"]["canaryWeight"] != said);
            if said > 0 && news && !(weight(&proxy) == said && valid["status"] == "True" && meant) {
                wrong.push(format!("{said} % at {}: {proxy}", event.revision));
            }
        }
    }
    fine("row 30", &wrong);
}

/// A proxy that nobody includes yet is waited for, and taken up once somebody does.
#[tokio::test(start_paused = true)]
async fn a_proxy_that_nobody_includes_is_waited_for() {
    let mut setting = provider("contour").setting();
    let root = setting.objects.pop().unwrap();
    let mut story = Story::new(1, setting);
    story.start(None, std::time::Duration::ZERO);
    story.quiet(std::time::Duration::from_secs(60)).await;
    let said = story.canary()["status"].to_string();
    assert!(
        said.contains("no HTTPProxy with a virtual host includes it yet"),
        "{said}"
    );
    story.world.put(root).unwrap();
    story.becomes("Initialized").await;
}
