use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::sim::behaviour::Behaviours;
use crate::sim::field::{count, list};
use crate::sim::nodes::{Nodes, Size};
use crate::sim::pods::Pods;
use crate::sim::replica_sets::ReplicaSets;
use crate::sim::stage::{Stage, deployment, web};

fn stage() -> Stage {
    Stage::new(vec![
        Box::new(Nodes::new(Size::default())),
        Box::new(Deployments::default()),
        Box::new(ReplicaSets::default()),
        Box::new(Pods::new(Behaviours::default())),
    ])
}

/// A Deployment `web` with so many replicas, rolled out.
fn rolled_out(replicas: i64) -> (Stage, Key) {
    let mut stage = stage();
    let key = deployment("web");
    let mut object = web("1.0");
    object["spec"]["replicas"] = json!(replicas);
    stage.create(&key, object);
    stage.pass(30);
    (stage, key)
}

/// `2x1.0 1x2.0`: Pods by version, without those that end.
fn pods(stage: &Stage) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for (_, pod) in stage.api.list("", "pods", None) {
        if !is_going(&pod) {
            *counts
                .entry(version(&pod, "/spec/containers/0/image"))
                .or_default() += 1;
        }
    }
    let texts: Vec<_> = counts
        .iter()
        .map(|(version, count)| format!("{count}x{version}"))
        .collect();
    texts.join(" ")
}

/// `1.0=2 2.0=0`: ReplicaSets by version, with their sizes.
fn sets(stage: &Stage) -> String {
    let all = stage.api.list("apps", "replicasets", None);
    let mut texts: Vec<_> = all
        .iter()
        .map(|(_, set)| {
            let version = version(set, "/spec/template/spec/containers/0/image");
            format!("{version}={}", count(set, "/spec/replicas"))
        })
        .collect();
    texts.sort();
    texts.join(" ")
}

fn version(object: &Value, pointer: &str) -> String {
    text(object, pointer).trim_start_matches("app:").to_owned()
}

fn ship(stage: &Stage, key: &Key, tag: &str) {
    stage.change(key, |it| {
        it["spec"]["template"]["spec"]["containers"][0]["image"] = json!(format!("app:{tag}"))
    });
}

fn scale(stage: &mut Stage, key: &Key, replicas: i64) {
    stage.change(key, |it| it["spec"]["replicas"] = json!(replicas));
    stage.pass(20);
}

fn pause(stage: &mut Stage, key: &Key, paused: bool) {
    stage.change(key, |it| it["spec"]["paused"] = json!(paused));
    stage.settle();
}

fn write_progress(stage: &Stage, key: &Key, status: &str, reason: &str) {
    let condition = Condition::new("Progressing", status, reason, "serin");
    let now = stage.api.now();
    let who = account::admin();
    let written = stage.api.update(&who, key, Part::Status, |it| {
        condition.put(&mut it["status"], now)
    });
    drop(written);
}

#[test]
fn a_new_deployment_becomes_complete_and_says_so() {
    let (stage, key) = rolled_out(2);
    assert_eq!(
        (pods(&stage), sets(&stage)),
        ("2x1.0".to_owned(), "1.0=2".to_owned())
    );
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "True NewReplicaSetAvailable"
    );
    assert_eq!(
        stage.condition(&key, "Available"),
        "True MinimumReplicasAvailable"
    );
    let mut status = stage.read(&key, "/status");
    drop(
        status
            .as_object_mut()
            .and_then(|status| status.remove("conditions")),
    );
    let expected = json!({
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
        "terminatingReplicas": 0,
    });
    assert_eq!(status, expected);
    assert_eq!(
        stage.read(
            &key,
            "/metadata/annotations/deployment.kubernetes.io~1revision"
        ),
        "1"
    );
}

#[test]
fn annotations_go_to_the_replica_set_and_labels_do_not() {
    let (mut stage, key) = rolled_out(1);
    stage.change(&key, |it| {
        it["metadata"]["annotations"]["note"] = json!("1");
        it["metadata"]["labels"]["serin.dev/gate"] = json!("x");
    });
    stage.settle();
    let (_, set) = stage.api.list("apps", "replicasets", None).remove(0);
    assert_eq!(set.pointer("/metadata/annotations/note"), Some(&json!("1")));
    assert_eq!(set.pointer("/metadata/labels/serin.dev~1gate"), None);
    assert_eq!(stage.read(&key, "/status/observedGeneration"), 1);
}

#[test]
fn a_rollout_stays_within_its_limits() {
    for (replicas, surge, unavailable) in [
        (4, json!("25%"), json!("25%")),
        (3, json!(1), json!(0)),
        (2, json!(0), json!("1%")),
        (10, json!("50%"), json!(3)),
    ] {
        let (mut stage, key) = rolled_out(replicas);
        stage.change(&key, |it| {
            it["spec"]["strategy"]["rollingUpdate"] =
                json!({"maxSurge": surge, "maxUnavailable": unavailable})
        });
        ship(&stage, &key, "2.0-start2");
        let now = stage.api.get(&key).unwrap();
        let least = replicas - size::max_unavailable(&now);
        let most = replicas + size::max_surge(&now);
        for _ in 0..120 {
            stage.pass(1);
            let all = stage.api.list("apps", "replicasets", None);
            let asked: i64 = all
                .iter()
                .map(|(_, set)| count(set, "/spec/replicas"))
                .sum();
            let available = count(&stage.api.get(&key).unwrap(), "/status/availableReplicas");
            assert!(asked <= most, "{asked} of {most}");
            assert!(available >= least, "{available} of {least}");
        }
        assert_eq!(pods(&stage), format!("{replicas}x2.0-start2"));
        assert_eq!(
            stage.condition(&key, "Progressing"),
            "True NewReplicaSetAvailable"
        );
        assert_eq!(
            stage.read(
                &key,
                "/metadata/annotations/deployment.kubernetes.io~1revision"
            ),
            "2"
        );
    }
}

#[test]
fn a_broken_rollout_stops_and_exceeds_its_deadline() {
    let (mut stage, key) = rolled_out(3);
    ship(&stage, &key, "2.0-notready");
    stage.pass(599);
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "True ReplicaSetUpdated"
    );
    stage.pass(10);
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "False ProgressDeadlineExceeded"
    );
    assert_eq!(sets(&stage), "1.0=3 2.0-notready=1");
    ship(&stage, &key, "1.0");
    stage.pass(10);
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "True NewReplicaSetAvailable"
    );
    assert_eq!(sets(&stage), "1.0=3 2.0-notready=0");
}

#[test]
fn while_paused_a_template_gets_no_replica_set_and_scaling_works() {
    let (mut stage, key) = rolled_out(2);
    pause(&mut stage, &key, true);
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "Unknown DeploymentPaused"
    );
    ship(&stage, &key, "2.0");
    scale(&mut stage, &key, 3);
    assert_eq!(sets(&stage), "1.0=3");
    assert_eq!(
        stage.read(&key, "/status/observedGeneration"),
        stage.read(&key, "/metadata/generation")
    );
    assert_eq!(stage.read(&key, "/status/updatedReplicas"), Value::Null);
    pause(&mut stage, &key, false);
    stage.pass(30);
    assert_eq!(
        (pods(&stage), sets(&stage)),
        ("3x2.0".to_owned(), "1.0=0 2.0=3".to_owned())
    );
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "True NewReplicaSetAvailable"
    );
}

#[test]
fn a_verdict_that_was_written_while_paused_stays_until_the_release() {
    let (mut stage, key) = rolled_out(2);
    pause(&mut stage, &key, true);
    ship(&stage, &key, "2.0");
    stage.settle();
    write_progress(&stage, &key, "False", TIMED_OUT);
    scale(&mut stage, &key, 3);
    ship(&stage, &key, "3.0");
    stage.pass(20);
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "False ProgressDeadlineExceeded"
    );
    ship(&stage, &key, "1.0");
    pause(&mut stage, &key, false);
    stage.pass(1);
    assert_eq!(
        stage.condition(&key, "Progressing"),
        "True NewReplicaSetAvailable"
    );
    assert_eq!(sets(&stage), "1.0=3");
}

#[test]
fn from_zero_while_paused_the_template_s_own_set_comes_back_else_the_newest() {
    for (held, expected) in [
        ("2.0", "1.0=0 2.0=2"),
        ("3.0", "1.0=0 2.0=2"),
        ("1.0", "1.0=2 2.0=0"),
    ] {
        let (mut stage, key) = rolled_out(2);
        ship(&stage, &key, "2.0");
        stage.pass(30);
        ship(&stage, &key, "1.0");
        stage.pass(30);
        assert_eq!(sets(&stage), "1.0=2 2.0=0");
        pause(&mut stage, &key, true);
        ship(&stage, &key, held);
        scale(&mut stage, &key, 0);
        assert_eq!(pods(&stage), "");
        scale(&mut stage, &key, 2);
        assert_eq!(sets(&stage), expected, "{held}");
    }
}

#[test]
fn without_history_nothing_comes_back_from_zero() {
    let (mut stage, key) = rolled_out(2);
    stage.change(&key, |it| it["spec"]["revisionHistoryLimit"] = json!(0));
    pause(&mut stage, &key, true);
    ship(&stage, &key, "3.0");
    scale(&mut stage, &key, 0);
    scale(&mut stage, &key, 2);
    assert_eq!((pods(&stage), sets(&stage)), (String::new(), String::new()));
}

#[test]
fn scaling_in_mid_roll_keeps_the_proportions() {
    for (to, expected) in [
        (5, "1.0=5 2.0=1"),
        (2, "1.0=2 2.0=1"),
        (10, "1.0=8 2.0=3"),
        (0, "1.0=0 2.0=0"),
    ] {
        let (mut stage, key) = rolled_out(3);
        stage.change(&key, |it| it["spec"]["minReadySeconds"] = json!(60));
        ship(&stage, &key, "2.0");
        stage.pass(5);
        pause(&mut stage, &key, true);
        assert_eq!(sets(&stage), "1.0=3 2.0=1");
        scale(&mut stage, &key, to);
        assert_eq!(sets(&stage), expected, "to {to}");
    }
}

#[test]
fn recreate_starts_new_pods_when_the_last_old_one_is_gone() {
    let (mut stage, key) = rolled_out(2);
    stage.change(&key, |it| {
        it["spec"]["strategy"] = json!({"type": "Recreate"})
    });
    ship(&stage, &key, "2.0");
    let mut seen = Vec::new();
    for _ in 0..30 {
        stage.pass(1);
        let all = stage.api.list("", "pods", None);
        let versions: Vec<_> = all
            .iter()
            .map(|(_, pod)| version(pod, "/spec/containers/0/image"))
            .collect();
        seen.extend(versions.first().cloned());
        assert!(
            versions.windows(2).all(|two| two[0] == two[1]),
            "{versions:?}"
        );
    }
    assert_eq!(
        (
            seen.first().unwrap().as_str(),
            seen.last().unwrap().as_str()
        ),
        ("1.0", "2.0")
    );
    assert_eq!(pods(&stage), "2x2.0");
}

#[test]
fn pods_count_as_available_after_their_seconds() {
    let mut stage = stage();
    let key = deployment("web");
    let mut object = web("1.0");
    object["spec"]["minReadySeconds"] = json!(20);
    stage.create(&key, object);
    stage.pass(10);
    assert_eq!(
        [
            stage.read(&key, "/status/readyReplicas"),
            stage.read(&key, "/status/availableReplicas")
        ],
        [json!(2), json!(null)]
    );
    stage.pass(15);
    assert_eq!(stage.read(&key, "/status/availableReplicas"), 2);
}

#[test]
fn old_revisions_over_the_limit_go() {
    let (mut stage, key) = rolled_out(1);
    stage.change(&key, |it| it["spec"]["revisionHistoryLimit"] = json!(1));
    for tag in ["2.0", "3.0", "4.0"] {
        ship(&stage, &key, tag);
        stage.pass(30);
    }
    assert_eq!(sets(&stage), "3.0=0 4.0=1");
}

#[test]
fn an_orphan_with_its_template_is_adopted() {
    let (mut stage, key) = rolled_out(2);
    let before = pods(&stage);
    let (set, _) = stage.api.list("apps", "replicasets", None).remove(0);
    stage.change(&set, |it| it["metadata"]["ownerReferences"] = json!([]));
    stage.settle();
    let owners = stage.read(&set, "/metadata/ownerReferences");
    assert_eq!(owners[0]["name"], "web");
    assert_eq!((pods(&stage), sets(&stage)), (before, "1.0=2".to_owned()));
    assert!(list(&stage.read(&key, "/status"), "/conditions").len() == 2);
}

#[test]
fn a_pod_that_is_deleted_is_replaced_by_one_of_stable_while_held() {
    let (mut stage, key) = rolled_out(2);
    pause(&mut stage, &key, true);
    ship(&stage, &key, "2.0");
    let (pod, _) = stage.api.list("", "pods", None).remove(0);
    stage.api.delete(&account::admin(), &pod).unwrap();
    stage.pass(10);
    assert_eq!(pods(&stage), "2x1.0");
    assert!(stage.api.get(&pod).is_none());
}
