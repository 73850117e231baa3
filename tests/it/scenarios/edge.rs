//! Rows 33 and 37 to 39 of PROVIDERS section 7.

use serde_json::{Value, json};
use serin::sim::store::Key;

use crate::scenarios::measured::{fine, promoted};
use crate::scenarios::providers::{ingress, key, provider};
use crate::story::Story;
use crate::story::objects::{self, APP, HOME};
use crate::story::tale::When;

fn live(story: &Story, key: &Key) -> Option<Value> {
    story.world.api.get(key).map(|it| Value::clone(&it))
}

/// Row 33: what somebody sets in the Upstreams that Serin makes stays, through a release.
#[tokio::test(start_paused = true)]
async fn settings_of_upstreams_stay() {
    let setting = provider("gloo")
        .setting()
        .with(&json!({"analysis": {"stepWeights": [10, 30, 50]}}));
    let story = Story::adopted(1, setting).await;
    let upstream = |arm: &str| {
        key(
            ("gloo.solo.io", "upstreams"),
            &format!("{HOME}-{APP}-{arm}upstream-80"),
        )
    };
    let connections = |most: i64| json!({"maxConnections": most});
    for arm in ["stable", "canary"] {
        story.edit(&upstream(arm), |it| {
            it["spec"]["circuitBreakers"] = connections(51)
        });
    }
    story.ship("2.0.0");
    story.when(When::Weight(10)).await;
    story.edit(&upstream("canary"), |it| {
        it["spec"]["circuitBreakers"] = connections(52)
    });
    story.rests().await;
    fine("row 33", &promoted(&story, &[0, 10, 30, 50, 0]));
    let said = |arm: &str| live(&story, &upstream(arm)).unwrap()["spec"]["circuitBreakers"].clone();
    assert_eq!(
        (said("stable"), said("canary")),
        (connections(51), connections(52))
    );
}

/// Row 37: the team's ApisixRoute is not written; the arms are told apart by the addresses of Pods, or nothing would be judged.
#[tokio::test(start_paused = true)]
async fn the_teams_apisix_route_stays_as_it_is() {
    let setting = provider("apisix")
        .setting()
        .with(&json!({"analysis": {"stepWeights": [10, 20, 30, 40, 50]}}));
    let story = Story::adopted(1, setting).await;
    let routes = ("apisix.apache.org", "apisixroutes");
    let before = live(&story, &key(routes, "web"));
    story.ship("2.0.0");
    story.when(When::Weight(20)).await;
    let second = key(routes, "web-app-canary");
    assert_eq!(
        live(&story, &second).unwrap()["spec"]["http"][0]["priority"],
        1
    );
    story.rests().await;
    fine("row 37", &promoted(&story, &[0, 10, 20, 30, 40, 50, 0]));
    assert_eq!(live(&story, &key(routes, "web")), before);
    assert_eq!(live(&story, &second), None);
}

/// Row 38: labels and annotations that somebody gives to the TraefikService stay.
#[tokio::test(start_paused = true)]
async fn marks_of_a_traefik_service_stay() {
    let steps = [10, 20, 30, 40, 50, 60];
    let setting = provider("traefik")
        .setting()
        .with(&json!({"analysis": {"stepWeights": steps}}));
    let story = Story::adopted(1, setting).await;
    let service = key(("traefik.io", "traefikservices"), APP);
    story.edit(&service, |it| {
        it["metadata"]["labels"]["team"] = json!("checkout");
        it["metadata"]["annotations"]["note"] = json!("keep");
    });
    story.ship("2.0.0");
    let mut seen = Vec::new();
    for step in steps {
        story.when(When::Weight(step)).await;
        let spec = live(&story, &service).unwrap()["spec"].clone();
        let weights = [0, 1].map(|at| spec["weighted"]["services"][at]["weight"].clone());
        seen.push((step, weights == [json!(100 - step), json!(step)]));
    }
    assert!(seen.iter().all(|(_, exact)| *exact), "{seen:?}");
    story.rests().await;
    fine("row 38", &promoted(&story, &[0, 10, 20, 30, 40, 50, 60, 0]));
    let metadata = live(&story, &service).unwrap()["metadata"].clone();
    assert_eq!(metadata["labels"]["team"], "checkout");
    assert_eq!(metadata["annotations"]["note"], "keep");
}

/// Row 39: a Service of another name, up to all of the requests; the second Ingress goes.
#[tokio::test(start_paused = true)]
async fn a_service_of_another_name_is_shared_by_skipper() {
    let mut setting = provider("skipper").setting().with(&json!({
        "service": {"name": "front"}, "analysis": {"stepWeights": [10, 40, 70, 100]},
    }));
    let mut service = objects::service();
    service["metadata"]["name"] = json!("front");
    let mut route = ingress("skipper");
    route["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = json!("front");
    setting.objects.clear();
    setting.objects.extend([service, route]);
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0");
    story.rests().await;
    fine("row 39", &promoted(&story, &[0, 10, 40, 70, 100, 0]));
    assert_eq!(
        live(
            &story,
            &key(("networking.k8s.io", "ingresses"), "web-canary")
        ),
        None
    );
}
