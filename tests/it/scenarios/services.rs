//! Rows 24 to 26 of PROVIDERS section 7: provider `kubernetes`.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::store::Key;
use serin::sim::traffic::Name;
use serin::sim::users::Destination;

use crate::scenarios::istio::hooks;
use crate::scenarios::measured::fine;
use crate::story::hooks::Mood;
use crate::story::objects::{self, HOME};
use crate::story::setting::Setting;
use crate::story::tale::When;
use crate::story::{Story, oracle};

fn front() -> Key {
    Key::new("", "services", HOME, "front")
}

/// An application whose Service has another name, which Flux keeps.
fn fluxed(analysis: &Value) -> Setting {
    let mut service = objects::service();
    service["metadata"] = json!({
        "name": "front", "namespace": HOME,
        "labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}, "annotations": {"kustomize.toolkit.fluxcd.io/checksum": "1a2b"},
    });
    let spec = json!({"service": {"name": "front"}, "analysis": analysis});
    let mut setting = Setting::blue_green().with(&spec);
    setting.objects.push(service);
    setting.destination = Destination::Service(Name::new(HOME, "front"));
    setting
}

/// Row 24: a gate before the release; the selector is switched, and is in the end what it was, and so are all marks of Flux.
#[tokio::test(start_paused = true)]
async fn a_selector_is_switched_and_restored() {
    let story = Story::adopted(1, fluxed(&json!({"webhooks": hooks(&["confirm-rollout"])}))).await;
    let live = || story.world.api.get(&front()).unwrap();
    let before = live();
    story.hooks.set("confirm-rollout", Mood::No);
    story.ship("2.0.0");
    story.when(When::Phase("Waiting")).await;
    story.quiet(Duration::from_secs(120)).await;
    assert!(!story.has_canary());
    story.hooks.set("confirm-rollout", Mood::Yes);
    let switched = |_: &_| live()["spec"]["selector"] != before["spec"]["selector"];
    assert!(
        story.until(switched, Duration::from_secs(900)).await,
        "it is never switched"
    );
    story.rests().await;
    assert!(story.told().starts_with("Promoted: "), "{}", story.told());
    let after = live();
    for field in ["/spec", "/metadata/labels", "/metadata/annotations"] {
        assert_eq!(after.pointer(field), before.pointer(field), "{field}");
    }
    // Nobody else is told by its labels: what stands beside it is not Flux's.
    let copy = Key::new("", "services", HOME, "front-canary");
    let copy = story.world.api.get(&copy).unwrap();
    assert!(
        !copy["metadata"]
            .to_string()
            .contains("toolkit.fluxcd.io/name\":"),
        "{copy}"
    );
    assert_eq!(story.lost(), 0);
    assert!(story.share_lately("2.0.0", 30) >= 1.0);
    fine("row 24", &oracle::breaches(&story, false));
}

/// Row 25: a DaemonSet is refused, with the reason.
#[tokio::test(start_paused = true)]
async fn a_daemon_set_is_refused() {
    let reference = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent"});
    let mut setting = Setting::blue_green();
    let mut canary = objects::canary(&Value::Null);
    canary["metadata"]["name"] = json!("agent");
    canary["spec"] = setting.spec.clone();
    canary["spec"]["targetRef"] = reference;
    setting.objects.push(canary);
    let story = Story::adopted(1, setting).await;
    let agent = Key::new("serin.dev", "canaries", HOME, "agent");
    let status = story.world.api.get(&agent).unwrap()["status"].to_string();
    assert!(status.contains("a DaemonSet cannot be held"), "{status}");
    story.delete(&agent);
    story.quiet(Duration::from_secs(60)).await;
    assert!(story.world.api.get(&agent).is_none());
}

/// Row 26: an autoscaler, edited in the middle of a release, is kept from scaling down while a canary runs, and given back.
#[tokio::test(start_paused = true)]
async fn an_autoscaler_is_kept_and_given_back() {
    let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "app", "namespace": HOME},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": 3, "maxReplicas": 6, "metrics": [metric],
        },
    });
    let reference =
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "app"});
    let mut setting = fluxed(&json!({"iterations": 5})).with(&json!({"autoscalerRef": reference}));
    setting.objects.push(scaler);
    let story = Story::adopted(1, setting).await;
    let key = Key::new("autoscaling", "horizontalpodautoscalers", HOME, "app");
    let live = || story.world.api.get(&key).unwrap();
    let policy = |it: &Value| it["spec"]["behavior"]["scaleDown"]["selectPolicy"].clone();
    let before = policy(&live());
    story.ship("2.0.0");
    story.when(When::Phase("Progressing")).await;
    story.quiet(Duration::from_secs(15)).await;
    assert_eq!(policy(&live()), "Disabled", "nothing is scaled down now");
    let target = "/spec/metrics/0/resource/target/averageUtilization";
    story.edit(&key, |it| {
        if let Some(value) = it.pointer_mut(target) {
            *value = json!(50);
        }
    });
    story.rests().await;
    assert!(story.told().starts_with("Promoted: "), "{}", story.told());
    assert_eq!(policy(&live()), before);
    assert_eq!(live().pointer(target), Some(&json!(50)));
    assert_eq!(story.lost(), 0);
    fine("row 26", &oracle::breaches(&story, false));
}
