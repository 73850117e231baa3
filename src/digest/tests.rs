//! Cases as rows.

#![expect(
    clippy::needless_pass_by_value,
    reason = "rows of JSON read better without references"
)]

use expect_test::expect;
use serde_json::{Value, json};

use crate::digest::autoscaler::amount;
use crate::digest::{
    autoscaler, budget, deployment, endpoint_slice, network_policy, pod, replica_set, revision,
    service, template,
};

fn plain() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1.0"}]},
    })
}

#[test]
fn a_replica_set_has_the_revision_of_its_deployment() {
    let same = [
        json!({"metadata": {"labels": {"app": "web", "pod-template-hash": "abc"}}, "spec": {"containers": [{"name": "web", "image": "web:1.0"}]}}),
        json!({"spec": {"containers": [{"image": "web:1.0", "name": "web"}]}, "metadata": {"creationTimestamp": null, "labels": {"app": "web"}}}),
        json!({"metadata": {"creationTimestamp": "", "annotations": null, "labels": {"app": "web"}}, "spec": {"nodeName": null, "containers": [{"name": "web", "image": "web:1.0"}]}}),
    ];
    for other in same {
        assert_eq!(revision(&other), revision(&plain()), "{other}");
    }
    assert_eq!(revision(&plain()).len(), 10);
}

#[test]
fn any_other_difference_is_another_revision() {
    let others = [
        ("/metadata/labels/app", json!("web2")),
        ("/metadata/annotations", json!({"a": "b"})),
        ("/spec/containers/0/image", json!("web:2.0")),
        ("/spec/containers/0/resources", json!({})),
        ("/spec/containers", json!([])),
        ("/spec/hostNetwork", json!(false)),
    ];
    let mut known = std::collections::BTreeSet::from([revision(&plain())]);
    for (path, value) in others {
        let mut other = plain();
        let (parent, key) = path.rsplit_once('/').unwrap();
        match other.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[0] = value,
            parent => parent[key] = value,
        }
        assert!(known.insert(revision(&other)), "{path}");
    }
}

#[test]
fn a_template_is_read_as_far_as_decisions_need_it() {
    let whole = json!({
        "metadata": {"labels": {"app": "web", "pod-template-hash": "abc"}},
        "spec": {
            "initContainers": [{"name": "init", "image": "init:1", "envFrom": [{"secretRef": {"name": "s1"}}, {"configMapRef": {"name": "c1"}}]}],
            "containers": [{
                "name": "web", "image": "web:1.0",
                "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 9090, "hostPort": 9090}],
                "env": [
                    {"name": "A", "value": "b"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s2", "key": "k"}}},
                    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c2", "key": "k"}}},
                ],
            }],
            "volumes": [
                {"name": "a", "configMap": {"name": "c3"}}, {"name": "b", "secret": {"secretName": "s3"}},
                {"name": "c", "projected": {"sources": [{"secret": {"name": "s4"}}, {"configMap": {"name": "c4"}}]}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
            ],
        },
    });
    let digest = template(&whole).unwrap();
    expect![[r#"
        Template {
            revision: "7f5d221bfd",
            containers: "f3c1158c33",
            images: [
                "web:1.0",
            ],
            labels: {
                "app": "web",
            },
            configs: {
                "ConfigMap/c1",
                "ConfigMap/c2",
                "ConfigMap/c3",
                "ConfigMap/c4",
                "Secret/s1",
                "Secret/s2",
                "Secret/s3",
                "Secret/s4",
            },
            host_ports: true,
            claims: true,
            ports: [
                (
                    "http",
                    80,
                ),
                (
                    "",
                    9090,
                ),
            ],
        }"#]]
    .assert_eq(&format!("{digest:#?}"));
}

/// What is read of managers: of the pause, of the template, of GitOps.
fn managers(name: &str, labels: Value, annotations: Value, fields: Value) -> String {
    let metadata = json!({"name": "web", "labels": labels, "annotations": annotations, "managedFields": fields});
    let object = json!({"metadata": metadata, "spec": {"template": plain()}});
    let digest = deployment(&object).unwrap();
    let text = |manager: Option<String>| manager.unwrap_or_else(|| "-".to_owned());
    let [pause, template] = [digest.pause_manager, digest.template_manager].map(text);
    format!("{name}: {pause} {template} {}\n", text(digest.gitops))
}

/// An entry of a manager that wrote on this day.
fn entry(manager: &str, spec: Value, day: u8) -> Value {
    let time = format!("2026-01-0{day}T00:00:00Z");
    json!({"manager": manager, "operation": "Apply", "time": time, "fieldsV1": {"f:spec": spec}})
}

#[test]
fn managers_are_known_by_what_they_own() {
    let template = || json!({"f:template": {}});
    let both = || json!({"f:paused": {}, "f:template": {}});
    let person = entry("kubectl-rollout", json!({"f:paused": {}}), 3);
    let mut status = entry("status", both(), 1);
    status["subresource"] = json!("status");
    let cases = [
        ("nobody", json!([])),
        ("one applies both", json!([entry("helm", both(), 1)])),
        (
            "ours and a person's pause do not count",
            json!([entry("serin", both(), 2), person]),
        ),
        ("a subresource does not count", json!([status])),
        (
            "the last writer counts",
            json!([
                entry("helm", template(), 1),
                entry("kubectl-set", template(), 5)
            ]),
        ),
        ("argo", json!([entry("argocd-controller", template(), 1)])),
    ];
    let seen = cases.map(|(name, fields)| managers(name, json!({}), json!({}), fields));
    expect![[r#"
        nobody: - - -
        one applies both: helm helm -
        ours and a person's pause do not count: - serin -
        a subresource does not count: - - -
        the last writer counts: - kubectl-set -
        argo: - argocd-controller argocd-controller
    "#]]
    .assert_eq(&seen.concat());
}

#[test]
fn gitops_is_known_by_its_marks() {
    let cases = [
        (
            "argo",
            json!({}),
            json!({"argocd.argoproj.io/tracking-id": "x"}),
        ),
        (
            "flux",
            json!({"kustomize.toolkit.fluxcd.io/name": "x"}),
            json!({}),
        ),
        (
            "flux's helm",
            json!({"helm.toolkit.fluxcd.io/name": "x"}),
            json!({}),
        ),
        (
            "helm is none",
            json!({"app.kubernetes.io/managed-by": "Helm"}),
            json!({"meta.helm.sh/release-name": "x"}),
        ),
    ];
    let seen =
        cases.map(|(name, labels, annotations)| managers(name, labels, annotations, json!([])));
    expect![[r#"
        argo: - - argocd-controller
        flux: - - kustomize-controller
        flux's helm: - - helm-controller
        helm is none: - - -
    "#]]
    .assert_eq(&seen.concat());
}

#[test]
fn only_what_takes_traffic_is_an_endpoint() {
    let endpoint = |name: &str, conditions: Value| json!({"addresses": [format!("10.0.0.{name}")], "conditions": conditions, "targetRef": {"kind": "Pod", "name": name}});
    let slice = json!({
        "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [
            endpoint("1", json!({"ready": true})),
            endpoint("2", json!({"ready": false})),
            endpoint("3", json!({})),
            endpoint("4", json!({"ready": true, "serving": true, "terminating": true})),
            {"addresses": ["10.0.0.5"], "conditions": {"ready": true}},
        ],
    });
    let digest = endpoint_slice(&slice).unwrap();
    expect![[r#"web {"1": "10.0.0.1", "10.0.0.5": "10.0.0.5", "3": "10.0.0.3"}"#]]
        .assert_eq(&format!("{} {:?}", digest.service, digest.ready));
}

#[test]
fn quantities_are_numbers() {
    let rows = ["1", "1500m", "2k", "1Ki", "3e2", "1.5Gi", "250u", "x", ""];
    let seen: String = rows
        .iter()
        .map(|text| format!("{text}: {:?}\n", amount(&json!(text))))
        .collect();
    expect![[r#"
        1: Some(1.0)
        1500m: Some(1.5)
        2k: Some(2000.0)
        1Ki: Some(1024.0)
        3e2: Some(300.0)
        1.5Gi: Some(1610612736.0)
        250u: Some(0.00025)
        x: None
        : None
    "#]]
    .assert_eq(&seen);
}

fn scaler(metrics: Value, current: Value) -> String {
    let object = json!({
        "metadata": {"name": "web", "managedFields": [
            {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:behavior": {"f:scaleDown": {"f:selectPolicy": {}}}}}},
            {"manager": "other", "operation": "Apply", "fieldsV1": {"f:spec": {"f:behavior": {}}}},
        ]},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9, "metrics": metrics,
            "behavior": {"scaleDown": {"selectPolicy": "Min"}},
        },
        "status": {"currentMetrics": current},
    });
    let digest = autoscaler(&object).unwrap();
    format!(
        "{} {:?} {:?}",
        digest.per_pod, digest.pressure, digest.select_policy_managers
    )
}

#[test]
fn pressure_is_the_largest_ratio_of_metrics_per_pod() {
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
    let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
    let queue = json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "10"}}});
    let pods = json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "100"}}});
    let cpu_now = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 75, "averageValue": "300m"}}});
    let memory_now = json!({"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "512Mi"}}});
    let pods_now = json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "current": {"averageValue": "220"}}});
    let rows = [
        (json!([]), json!([])),
        (json!([cpu]), json!([cpu_now])),
        (json!([cpu, memory]), json!([memory_now])),
        (
            json!([cpu, memory, pods]),
            json!([pods_now, memory_now, cpu_now]),
        ),
        (json!([cpu, queue]), json!([cpu_now])),
    ];
    let seen: String = rows
        .into_iter()
        .map(|(metrics, current)| format!("{}\n", scaler(metrics, current)))
        .collect();
    expect![[r#"
        true None ["helm"]
        true Some(1.5) ["helm"]
        true Some(0.5) ["helm"]
        true Some(2.2) ["helm"]
        false Some(1.5) ["helm"]
    "#]]
    .assert_eq(&seen);
}

#[test]
fn a_pod_is_its_conditions_and_containers() {
    let object = json!({
        "metadata": {"name": "web-1", "ownerReferences": [
            {"kind": "Other", "name": "o", "uid": "0"}, {"kind": "ReplicaSet", "name": "web", "uid": "1", "controller": true},
        ]},
        "spec": {
            "initContainers": [{"name": "init", "image": "init:1"}],
            "containers": [{"name": "web", "image": "web:1", "readinessProbe": {}}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "initContainerStatuses": [{"name": "init", "ready": true, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
            "containerStatuses": [{
                "name": "web", "ready": true, "started": true, "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
            }],
        },
    });
    let digest = pod(&object).unwrap();
    expect![[r#"
        Some(Owner { kind: "ReplicaSet", name: "web", uid: "1" })
        Running true
        [Container { name: "init", image: "init:1", init: true, ready: true, started: false, restarts: 0, waiting: None, terminated: Some(Terminated { reason: "Completed", message: "", exit_code: 0 }), readiness_probe: false }, Container { name: "web", image: "web:1", init: false, ready: true, started: true, restarts: 2, waiting: Some(("CrashLoopBackOff", "")), terminated: Some(Terminated { reason: "Error", message: "", exit_code: 3 }), readiness_probe: true }]"#]].assert_eq(&format!(
        "{:?}\n{} {}\n{:?}",
        digest.meta.owner, digest.phase, digest.ready, digest.containers
    ));
}

#[test]
fn what_is_not_of_its_form_is_named() {
    let deployment = |object| deployment(&object).err().map(|error| error.to_string());
    let rows = [
        deployment(json!({})),
        deployment(json!({"metadata": {"name": "a"}, "spec": {"replicas": "1"}})),
        deployment(json!({"metadata": {"name": "a"}, "spec": {"replicas": 5_000_000_000_i64}})),
        deployment(json!({"metadata": {"name": "a", "labels": ["b"]}})),
        deployment(json!({"metadata": {"name": "a"}, "status": {"conditions": {}}})),
        deployment(json!("text")),
        replica_set(&json!([])).err().map(|error| error.to_string()),
        service(&json!({"metadata": {"name": "a"}, "spec": {"ports": 1}}))
            .err()
            .map(|error| error.to_string()),
        pod(&json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": 1}]}}))
            .err()
            .map(|error| error.to_string()),
        budget(&json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": "b"}}}))
            .err()
            .map(|error| error.to_string()),
        network_policy(&json!({"metadata": {"name": 4}}))
            .err()
            .map(|error| error.to_string()),
        deployment(json!({"metadata": {"name": "a"}})),
    ];
    let seen: String = rows
        .into_iter()
        .map(|error| format!("{}\n", error.unwrap_or_else(|| "taken".to_owned())))
        .collect();
    expect![[r#"
        /metadata/name is not a name
        /spec/replicas is not a whole number of 32 bits
        /spec/replicas is not a whole number of 32 bits
        /metadata/labels is not a map of texts
        /status/conditions is not a list
        /metadata/name is not a name
        /metadata/name is not a name
        /spec/ports is not a list
        /name is not a text
        /spec/selector/matchLabels is not a map of texts
        /metadata/name is not a text
        taken
    "#]]
    .assert_eq(&seen);
}
