//! Rows 35 and 36 of PROVIDERS section 7.

use serde_json::json;

use crate::scenarios::istio::latency;
use crate::scenarios::measured::{fine, promoted, rejected};
use crate::scenarios::providers::{key, provider};
use crate::story::Story;
use crate::story::objects::APP;

/// Latencies by the Service of the sidecar, as Kuma labels what it scrapes.
const LATENCY: &str = r#"histogram_quantile(0.99, sum(rate(envoy_cluster_upstream_rq_time_bucket{mesh="default",service="{{ target }}_{{ namespace }}_svc_80"}[{{ interval }}])) by (le))"#;

/// Row 35: by steps, with a built-in check and one of a template.
#[tokio::test(start_paused = true)]
async fn a_template_judges_beside_the_built_in_check() {
    let (template, check) = latency(LATENCY);
    let success = json!({"name": "request-success-rate", "thresholdRange": {"min": 99}});
    let analysis = json!({"stepWeights": null, "stepWeight": 10, "maxWeight": 50, "metrics": [success, check]});
    let mut setting = provider("kuma")
        .setting()
        .with(&json!({"analysis": analysis}));
    setting.objects.push(template);
    let story = Story::adopted(1, setting).await;
    let route = key(("kuma.io", "meshhttproutes"), APP);
    let labels = story.world.api.get(&route).unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["kuma.io/mesh"], "default");
    story.ship("2.0.0");
    story.rests().await;
    fine("row 35", &promoted(&story, &[0, 10, 20, 30, 40, 50, 0]));
}

/// Row 36: a version that answers with errors alone.
#[tokio::test(start_paused = true)]
async fn errors_alone_reject() {
    let setting = provider("kuma")
        .setting()
        .with(&json!({"analysis": {"threshold": 5}}));
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0-errors100");
    story.rests().await;
    fine("row 36", &rejected(&story, "request-success-rate"));
}
