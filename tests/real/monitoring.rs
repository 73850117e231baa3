//! A second Prometheus, as those have it who run Serin: it scrapes the controller as the chart's ServiceMonitor says, and the
//! application by its annotations, and reads the alert rules.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::record::{Kind, text};
use crate::scenario::{RETREAT, Scenario};
use crate::world::{HOME, ready};

/// Name of all that belongs to it.
const NAME: &str = "second-prometheus";

/// How soon it knows what has happened: it scrapes and evaluates every second.
pub(crate) const SEEN: Duration = Duration::from_secs(4);

/// Names go in for `NAMESPACE` and `HOME`. `honor_labels`, for the namespace of a series is that of its Canary.
const CONFIGURATION: &str = r#"
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [/etc/prometheus/rules.yaml]
scrape_configs:
- job_name: app
  kubernetes_sd_configs: [{role: pod, namespaces: {names: [NAMESPACE]}}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: "true", action: keep}
  - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
    regex: (.+);(\d+)
    replacement: $1:$2
    target_label: __address__
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
- job_name: serin
  honor_labels: true
  kubernetes_sd_configs: [{role: pod, namespaces: {names: [HOME]}}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], regex: serin, action: keep}
  - {source_labels: [__meta_kubernetes_pod_container_port_name], regex: http, action: keep}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
"#;

/// Starts it in the scenario's namespace and returns its address.
pub(crate) async fn start(s: &Scenario) -> Result<String> {
    for object in objects(s).await? {
        s.apply(&object).await?;
    }
    may_read(s, "apply").await?;
    s.world
        .recorder
        .wait("the second Prometheus is ready", RETREAT, |recorder| {
            let pods = recorder.present(&s.namespace, Kind::Pod);
            let mut ours = pods
                .iter()
                .filter(|pod| pod.text("/metadata/labels/app") == NAME);
            ours.find(|pod| ready(&pod.object))?;
            let service = recorder.get(&s.namespace, Kind::Service, NAME)?;
            Some(format!("{}:9090", text(&service, "/spec/clusterIP")))
        })
        .await
}

/// Takes away what is not in the scenario's namespace.
pub(crate) async fn end(s: &Scenario) -> Result<()> {
    may_read(s, "delete").await
}

/// The right to see Pods, in both namespaces.
async fn may_read(s: &Scenario, verb: &str) -> Result<()> {
    for namespace in [s.namespace.as_str(), HOME] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": s.namespace, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "prometheus"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": s.namespace}],
        });
        let binding = binding.to_string();
        let said = s.world.kubectl_with(&[verb, "-f", "-"], &binding).await?;
        said.fine()?;
    }
    Ok(())
}

async fn objects(s: &Scenario) -> Result<[Value; 3]> {
    let image = [
        "get",
        "deployment/prometheus",
        "-n",
        "monitoring",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].image}",
    ];
    let image = s.world.kubectl(&image).await?.fine()?;
    let rules = s.world.places.root.join("dashboards/rules.yaml");
    let rules = std::fs::read_to_string(rules).context("read the rules")?;
    let configuration = CONFIGURATION
        .replace("NAMESPACE", &s.namespace)
        .replace("HOME", HOME);
    let files = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME},
        "data": {"prometheus.yml": configuration, "rules.yaml": rules},
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 9090}]},
    });
    Ok([files, deployment(&image), service])
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {
                    "securityContext": {"runAsUser": 65532, "fsGroup": 65532},
                    "containers": [{
                        "name": NAME,
                        "image": image,
                        "args": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
                        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
                        "volumeMounts": [
                            {"name": "files", "mountPath": "/etc/prometheus"},
                            {"name": "data", "mountPath": "/prometheus"},
                        ],
                    }],
                    "volumes": [
                        {"name": "files", "configMap": {"name": NAME}},
                        {"name": "data", "emptyDir": {}},
                    ],
                },
            },
        },
    })
}
