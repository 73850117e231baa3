use std::sync::Arc;

use serde_json::json;

use super::{Run, Telemetry};
use crate::crd::canary::Canary;

fn canary() -> Arc<Canary> {
    let object = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
        "status": {
            "phase": "Progressing",
            "traffic": {"wanted": 50, "written": 10, "observed": "9.6"},
            "failedChecks": 1,
            "step": {"index": 1, "of": 3, "startedAt": "2030-01-01T00:00:00Z", "deadlineAt": "2030-01-01T00:10:00Z", "passed": 0},
            "checks": [{"name": "request-success-rate", "verdict": "Pass", "value": "99.93%", "limit": ">= 99", "samples": 18422,
                "at": "2030-01-01T00:01:00Z"}],
            "conditions": [{"type": "Gated", "status": "True", "reason": "Armed", "message": "",
                "lastTransitionTime": "2029-12-31T23:00:00Z"}]
        }
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn lines(text: &str, prefix: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_canary_has_gauges_as_long_as_it_is_listed() {
    let telemetry = Telemetry::new("gatewayapi:v1");
    let text = telemetry.encode(&[canary()]);
    let of = r#"{namespace="shop",name="web""#;
    for line in [
        format!(
            r#"serin_canary_info{of},target="web",target_kind="Deployment",provider="gatewayapi:v1",strategy="canary"}} 1.0"#
        ),
        format!(r#"serin_canary_phase{of},phase="Progressing"}} 1.0"#),
        format!(r#"serin_canary_phase{of},phase="Failed"}} 0.0"#),
        format!(r#"serin_canary_weight{of},arm="canary",kind="desired"}} 50.0"#),
        format!(r#"serin_canary_weight{of},arm="stable",kind="written"}} 90.0"#),
        format!(r#"serin_canary_weight{of},arm="canary",kind="observed"}} 9.6"#),
        format!(r#"serin_canary_step{of}}} 2.0"#),
        format!(r#"serin_canary_steps{of}}} 3.0"#),
        format!(r#"serin_canary_gate_armed{of}}} 1.0"#),
        format!(r#"serin_canary_deadline_timestamp_seconds{of}}} 1893456600.0"#),
        format!(r#"serin_metric_value{of},metric="request-success-rate",arm="canary"}} 99.93"#),
        format!(r#"serin_metric_threshold{of},metric="request-success-rate",bound="min"}} 99.0"#),
    ] {
        assert!(text.lines().any(|has| has == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(
        lines(&telemetry.encode(&[]), "serin_canary_"),
        Vec::<String>::new()
    );
}

#[test]
fn what_happens_is_counted_once() {
    let telemetry = Telemetry::new("none");
    let clone = telemetry.clone();
    clone.reconciled("ok", 0.02);
    clone.run_ended(
        &Run {
            outcome: "RolledBack",
            proof: "complete",
            strategy: "canary",
            provider: "none",
        },
        90.0,
    );
    clone.api_request("patch", "canaries", 409);
    clone.invariant_breach("T1");
    clone.leader(true);
    let text = telemetry.encode(&[]);
    for line in [
        r#"serin_reconcile_total{result="ok"} 1"#,
        r#"serin_runs_total{outcome="rolledback",proof="complete",strategy="canary",provider="none"} 1"#,
        r#"serin_run_duration_seconds_count{outcome="rolledback"} 1"#,
        r#"serin_api_requests_total{verb="patch",resource="canaries",code="409"} 1"#,
        r#"serin_invariant_breaches_total{id="T1"} 1"#,
        "serin_leader 1",
        "serin_reconcile_duration_seconds_count 1",
    ] {
        assert!(text.lines().any(|has| has == line), "{line}\n{text}");
    }
    assert!(text.contains("serin_build_info{version="), "{text}");
}
