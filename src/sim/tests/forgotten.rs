//! Actors that were told too late.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::sim::world::{World, live};

fn application(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "app:1"}]},
            },
        },
    })
}

/// Many writes come at once, and the API server remembers a few of them: whoever acts on events has to look at everything then.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_event_that_was_forgotten() {
    let world = World::new(Clock::simulated(), 1);
    world.api.add_namespace("default");
    world.api.remember(10);
    for number in 0..40 {
        world.put(application(&format!("app-{number}"))).unwrap();
    }
    let acting = tokio::spawn(live(world.api.clone(), world.actors()));
    tokio::time::sleep(Duration::from_secs(120)).await;
    acting.abort();
    let all = world.api.list("apps", "deployments", None);
    let ready = all
        .iter()
        .filter(|(_, it)| it["status"]["readyReplicas"] == 1);
    assert_eq!(ready.count(), 40);
}
