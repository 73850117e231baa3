//! Objects that no schema lets in, as an older or a newer version, a restored backup or a bad day of etcd leave them: whatever one of
//! them holds, the others' releases go on (SAFETY P6, F24).

use std::time::Duration;

use serde_json::{Value, json};
use serin::cli::embedded;
use serin::sim::api::Part;
use serin::sim::store::Key;

use crate::story::objects::{HOME, canary, deployment};
use crate::story::setting::Setting;
use crate::story::tale::paused;
use crate::story::{Story, oracle};

/// A Canary of another application, which has these fields as well.
fn canary_with(name: &str, patch: &Value) -> Value {
    let mut object = canary(&json!({}));
    object["metadata"]["name"] = json!(name);
    object["spec"]["targetRef"]["name"] = json!(name);
    json_patch::merge(&mut object, patch);
    object
}

fn other(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "serin.dev/v1beta1", "kind": kind, "metadata": {"name": name, "namespace": HOME}, "spec": spec})
}

fn poisons() -> Vec<Value> {
    [specs(), statuses(), others()].concat()
}

fn specs() -> Vec<Value> {
    let weights: Vec<_> = (0..1000).map(|step| json!({"setWeight": step})).collect();
    vec![
        other("Canary", "text", &json!("a text")),
        other("Canary", "list", &json!([1, 2])),
        other("Canary", "empty", &json!({})),
        other("Canary", "no-target", &json!({"targetRef": {}})),
        other(
            "Canary",
            "numbers",
            &json!({"targetRef": {"kind": 1, "name": 2}, "service": 3, "analysis": 4}),
        ),
        canary_with(
            "ages",
            &json!({"spec": {"progressDeadlineSeconds": i64::MAX, "analysis": {"interval": "999999999999h"}}}),
        ),
        canary_with(
            "never",
            &json!({"spec": {"analysis": {"interval": "soon", "threshold": -1}}}),
        ),
        canary_with(
            "null",
            &json!({"spec": {"analysis": {"interval": "0s", "iterations": 0, "maxWeight": 0, "stepWeight": 0}}}),
        ),
        canary_with("steps", &json!({"spec": {"analysis": {"steps": weights}}})),
        canary_with(
            "weights",
            &json!({"spec": {"analysis": {"stepWeights": [100, 0, -5, 1000, i64::MAX]}}}),
        ),
    ]
}

fn statuses() -> Vec<Value> {
    let history: Vec<_> = (0..1000)
        .map(|number| json!({"revision": number.to_string(), "message": "y".repeat(150)}))
        .collect();
    vec![
        canary_with(
            "status",
            &json!({"status": {"phase": 7, "traffic": "all", "step": [], "gate": null, "plan": {}}}),
        ),
        canary_with("phase", &json!({"status": {"phase": "Dreaming"}})),
        canary_with(
            "midway",
            &json!({"status": {"phase": "Promoting", "canaryWeight": 300, "step": {"index": -9}}}),
        ),
        canary_with("history", &json!({"status": {"history": history}})),
    ]
}

fn others() -> Vec<Value> {
    let large = "x".repeat(100_000);
    vec![
        canary_with(
            "notes",
            &json!({"metadata": {"annotations": {"serin.dev/x": large}}}),
        ),
        canary_with(
            "request",
            &json!({"metadata": {"annotations": {"serin.dev/other": "{{{{"}}}),
        ),
        canary_with(
            "itself",
            &json!({"spec": {"targetRef": {"name": "app-canary"}}}),
        ),
        canary_with(&"n".repeat(250), &json!({})),
        other("MetricTemplate", "text", &json!("a text")),
        other(
            "MetricTemplate",
            "loop",
            &json!({"query": "{{ '{{' * 99999999 }}", "provider": {"type": "prometheus", "address": "::::"}}),
        ),
        other("AlertProvider", "text", &json!(1)),
    ]
}

/// Lets the definitions take anything at all.
fn loosen(story: &Story) {
    for (plural, kind) in [
        ("canaries", "Canary"),
        ("metrictemplates", "MetricTemplate"),
        ("alertproviders", "AlertProvider"),
    ] {
        let name = format!("{plural}.serin.dev");
        let key = Key::new(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "",
            &name,
        );
        story.edit(&key, |definition| {
            let version = &mut definition["spec"]["versions"][0];
            assert_eq!(version["name"], "v1beta1", "{kind}");
            version["schema"] = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
            version["additionalPrinterColumns"] = json!([]);
            version["subresources"] = json!({"status": {}});
        });
    }
}

/// Brings it in, its status as well.
fn put(story: &Story, poison: &Value) {
    story.world.put(poison.clone()).unwrap();
    if poison["status"].is_null() {
        return;
    }
    let name = poison["metadata"]["name"].as_str().unwrap();
    let key = Key::new("serin.dev", "canaries", HOME, name);
    let status = |live: &mut Value| live["status"] = poison["status"].clone();
    story
        .world
        .api
        .update(&embedded::person("alice"), &key, Part::Status, status)
        .unwrap();
}

/// A Deployment for the Canary to work on, if it names one that is not there.
fn target_of(poison: &Value) -> Option<Value> {
    let name = poison["spec"]["targetRef"]["name"].as_str()?;
    if poison["kind"] != "Canary" || name == "app-canary" {
        return None;
    }
    let mut target = deployment("1.0.0", 1);
    target["metadata"]["name"] = json!(name);
    let short: String = name.chars().take(60).collect();
    for labels in [
        "/metadata/labels",
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
    ] {
        *target.pointer_mut(labels)? = json!({"app": short});
    }
    Some(target)
}

async fn poisoned() -> Vec<String> {
    let mut wrong = Vec::new();
    let story = Story::adopted(1, Setting::usual()).await;
    loosen(&story);
    for poison in poisons() {
        if let Some(target) = target_of(&poison) {
            story.world.put(target).unwrap();
        }
        put(&story, &poison);
    }
    story.quiet(Duration::from_secs(120)).await;
    story.ship("2.0.0");
    story.quiet(Duration::from_secs(10)).await;
    let ended =
        |_: &_| ["Succeeded", "Failed"].contains(&story.phase().as_str()) && !story.has_canary();
    if !story.until(ended, Duration::from_secs(1800)).await || story.phase() != "Succeeded" {
        wrong.push(format!(
            "the release beside them ended as {}",
            story.phase()
        ));
    }
    if story.weights() != [0, 10, 50, 100, 0] || story.lost() > 0 {
        wrong.push(format!(
            "weights {:?}, {} requests lost",
            story.weights(),
            story.lost()
        ));
    }
    wrong.extend(oracle::breaches(&story, false));
    wrong
}

#[test]
fn a_release_beside_poison_goes_on() {
    let wrong = paused(poisoned());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
