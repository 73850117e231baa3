//! HorizontalPodAutoscalers: bounds, pressure, and who owns the policy of scaling down.

use serde_json::Value;

use crate::digest::view::View;
use crate::digest::{Malformed, manager, meta};
use crate::objects::Autoscaler;

/// A HorizontalPodAutoscaler.
///
/// # Errors
/// A field has another type than the API promises.
pub fn autoscaler(object: &Value) -> Result<Autoscaler, Malformed> {
    let view = View(object);
    let metrics: Vec<_> = view.items("/spec/metrics")?.collect();
    let current: Vec<_> = view.items("/status/currentMetrics")?.collect();
    let policy = view.option("/spec/behavior/scaleDown/selectPolicy")?;
    let ratios = metrics.iter().filter_map(|metric| ratio(*metric, &current));
    Ok(Autoscaler {
        meta: meta(view)?,
        target_kind: view.text("/spec/scaleTargetRef/kind")?,
        target: view.text("/spec/scaleTargetRef/name")?,
        min: view.number("/spec/minReplicas", 1)?,
        max: view.number("/spec/maxReplicas", 0)?,
        per_pod: metrics.iter().all(|metric| field(*metric).is_some()),
        pressure: ratios.max_by(f64::total_cmp),
        select_policy: policy.map(str::to_owned),
        select_policy_managers: manager::owners_of(view, &manager::SELECT_POLICY),
    })
}

/// The field that holds a metric which is measured per Pod.
fn field(metric: View<'_>) -> Option<&'static str> {
    match metric.0["type"].as_str()? {
        "Resource" => Some("resource"),
        "ContainerResource" => Some("containerResource"),
        "Pods" => Some("pods"),
        _ => None,
    }
}

/// Current value over target, if both are of one kind.
fn ratio(metric: View<'_>, current: &[View<'_>]) -> Option<f64> {
    let field = field(metric)?;
    let wanted = &metric.0[field];
    let same = |seen: &&View<'_>| {
        let seen = &seen.0[field];
        ["name", "container"]
            .iter()
            .all(|key| seen[key] == wanted[key])
            && seen["metric"]["name"] == wanted["metric"]["name"]
            && seen.is_object()
    };
    let seen = &current.iter().find(same)?.0[field]["current"];
    let target = &wanted["target"];
    ["averageUtilization", "averageValue"]
        .iter()
        .find_map(|key| {
            let (now, goal) = (amount(&seen[key])?, amount(&target[key])?);
            (goal > 0.0 && now.is_finite()).then_some(now / goal)
        })
}

/// Suffixes of quantities with their factors.
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// A number or a Kubernetes quantity.
pub(super) fn amount(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let text = value.as_str()?;
    let scaled = |(suffix, factor): &(&str, f64)| {
        let digits: f64 = text.strip_suffix(suffix)?.parse().ok()?;
        Some(digits * factor)
    };
    SUFFIXES.iter().find_map(scaled)
}
