//! How many Pods a Deployment wants, may have too many, and may lack.

use serde_json::Value;

use crate::sim::field::number;

/// What stands for "never" in fields that count seconds or revisions.
const NEVER: i64 = i32::MAX as i64;

/// Replicas that are wanted; 1 if it is not said.
pub(super) fn replicas(object: &Value) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1)
}

/// Whether the strategy is `RollingUpdate`, as it is when nothing is said.
pub(super) fn is_rolling(deployment: &Value) -> bool {
    let strategy = deployment.pointer("/spec/strategy/type");
    strategy.and_then(Value::as_str) != Some("Recreate")
}

/// Seconds after which a rollout that does not progress has failed; none for "never".
pub(super) fn progress_deadline(deployment: &Value) -> Option<i64> {
    let seconds = number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600);
    (seconds != NEVER).then_some(seconds)
}

/// Old ReplicaSets that are kept; none for "all of them".
pub(super) fn history_limit(deployment: &Value) -> Option<i64> {
    let limit = number(deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
    (limit != NEVER).then_some(limit)
}

/// Pods over the wanted number during a rolling update.
pub(super) fn max_surge(deployment: &Value) -> i64 {
    if is_rolling(deployment) {
        surge(deployment)
    } else {
        0
    }
}

/// Pods under the wanted number during a rolling update. Where both limits round to zero one may be missing, for else
/// nothing could ever roll.
pub(super) fn max_unavailable(deployment: &Value) -> i64 {
    let replicas = replicas(deployment);
    if !is_rolling(deployment) || replicas == 0 {
        return 0;
    }
    let unavailable = deployment.pointer("/spec/strategy/rollingUpdate/maxUnavailable");
    match share(unavailable, replicas, false) {
        0 if surge(deployment) == 0 => 1,
        share => share.min(replicas),
    }
}

fn surge(deployment: &Value) -> i64 {
    let surge = deployment.pointer("/spec/strategy/rollingUpdate/maxSurge");
    share(surge, replicas(deployment), true)
}

/// A number, or a percentage of a number, rounded up or down; 25 % if it is not said.
fn share(value: Option<&Value>, of: i64, up: bool) -> i64 {
    if let Some(number) = value.and_then(Value::as_i64) {
        return number;
    }
    let percent = value.and_then(Value::as_str).unwrap_or("25%");
    let percent: i64 = percent.trim_end_matches('%').parse().unwrap_or(0);
    let rest = if up { 99 } else { 0 };
    (of * percent + rest) / 100
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        for (replicas, surge, unavailable, expected) in [
            (4, json!("25%"), json!("25%"), (1, 1)),
            (3, json!("25%"), json!("25%"), (1, 0)),
            (10, json!("25%"), json!("25%"), (3, 2)),
            (1, json!(0), json!("25%"), (0, 1)),
            (2, json!(0), json!("1%"), (0, 1)),
            (2, json!(5), json!(5), (5, 2)),
            (0, json!("25%"), json!("25%"), (0, 0)),
            (4, json!(null), json!(null), (1, 1)),
        ] {
            let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
            let deployment =
                json!({"spec": {"replicas": replicas, "strategy": {"rollingUpdate": rolling}}});
            let found = (max_surge(&deployment), max_unavailable(&deployment));
            assert_eq!(found, expected, "{deployment}");
        }
        let recreate = json!({"spec": {"replicas": 4, "strategy": {"type": "Recreate"}}});
        assert_eq!((max_surge(&recreate), max_unavailable(&recreate)), (0, 0));
    }
}
