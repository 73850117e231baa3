//! The gate: arming and disarming, release, the verdict on the Deployment, and restarts.

use serde_json::{Value, json};

use crate::objects::{Change, mark};
use crate::workload::WorkloadError;
use crate::workload::history;
use crate::workload::site::{Site, Target, pointer};

/// Verdicts begin so; other messages in the condition are the Deployment controller's.
pub(crate) const VERDICT: &str = "serin: ";

/// What `kubectl rollout restart` writes into a template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Puts the gate on an unpaused target.
pub(crate) fn arm(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    if target.is_paused() {
        return Err(changed(&target, "is paused"));
    }
    let operations = target.set_label(mark::GATE, &site.canary.identity());
    Ok(target.patch(operations))
}

/// Takes this Canary's gate and its other marks off; a pause stays. Another Canary's gate is left alone.
pub(crate) fn disarm(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    let mut changes = Vec::new();
    if let Ok(target) = site.target()
        && is_ours(site, &target)
    {
        let marks = [mark::GATE, mark::HELD, mark::REVERTING, mark::CONTESTED];
        let mut operations = target.drop_labels(&marks);
        operations.extend(target.drop_annotation(history::KEPT));
        changes = target.patch(operations);
    }
    changes.extend(history::forget_all(site));
    Ok(changes)
}

fn is_ours(site: Site<'_>, target: &Target<'_>) -> bool {
    target.label(mark::GATE) == Some(&site.canary.identity())
}

/// Lets a held target roll: held and pause go in one write, if the template is the one that may be released (SAFETY G1, G3).
pub(crate) fn release(site: Site<'_>, revision: &str) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    if !target.is_held() {
        return Ok(Vec::new());
    }
    let live = target.revision();
    if live != revision {
        let text = format!("holds revision {live}, not {revision}");
        return Err(changed(&target, &text));
    }
    let mut operations = target.drop_labels(&[mark::HELD]);
    if target.is_paused() {
        operations.push(json!({"op": "replace", "path": "/spec/paused", "value": false}));
    }
    operations.extend(regate(site, &target)?);
    Ok(target.patch(operations))
}

/// A gate that came with a copied manifest names no living Canary: it becomes ours, or goes where no Pod ever ran.
fn regate(site: Site<'_>, target: &Target<'_>) -> Result<Vec<Value>, WorkloadError> {
    if target.label(mark::GATE).is_none() || is_ours(site, target) {
        return Ok(Vec::new());
    }
    if target.digest()?.total > 0 {
        return Ok(target.set_label(mark::GATE, &site.canary.identity()));
    }
    Ok(target.drop_labels(&[mark::GATE]))
}

/// Takes the marks of a finished revert off.
pub(crate) fn reverted(site: Site<'_>) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    let operations = target.drop_labels(&[mark::REVERTING, mark::CONTESTED]);
    Ok(target.patch(operations))
}

/// Writes the verdict into the held target's `Progressing` condition, or takes it back (SAFETY G9).
pub(crate) fn verdict(site: Site<'_>, text: Option<&str>) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    let standing = standing_verdict(&target);
    let held = target.is_held() && target.is_paused();
    let condition = match text {
        Some(_) if !held => return Err(changed(&target, "is not held any more")),
        Some(text) if standing == Some(text) => return Ok(Vec::new()),
        Some(text) => {
            json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": text})
        }
        None if !held || standing.is_none() => return Ok(Vec::new()),
        None => {
            json!({"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused", "message": "Deployment is paused"})
        }
    };
    let patch = json!({
        "metadata": {"resourceVersion": target.object.metadata.resource_version},
        "status": {"conditions": [condition]},
    });
    Ok(vec![Change::PatchStatus(target.key, patch)])
}

fn standing_verdict<'a>(target: &Target<'a>) -> Option<&'a str> {
    let conditions = target.object.data["status"]["conditions"].as_array()?;
    let ours = conditions.iter().find(|condition| {
        condition["type"] == "Progressing" && condition["reason"] == "ProgressDeadlineExceeded"
    });
    ours?["message"]
        .as_str()
        .filter(|text| text.starts_with(VERDICT))
}

/// Touches the template of an idle target in a write that holds it, so that a canary of the same images starts.
///
/// The admission policies do not hold Serin's own writes, so this one carries pause and mark itself.
pub(crate) fn restart(site: Site<'_>, at: &str) -> Result<Vec<Change>, WorkloadError> {
    let target = site.target()?;
    if target.is_paused() || target.is_held() || !is_ours(site, &target) {
        return Err(changed(&target, "is not armed and idle any more"));
    }
    let annotations = &target.template()["metadata"]["annotations"];
    if annotations[RESTARTED_AT] == at {
        return Ok(Vec::new());
    }
    let base = "/spec/template/metadata/annotations";
    let mut operations = target.set_label(mark::HELD, "true");
    operations.push(json!({"op": "add", "path": "/spec/paused", "value": true}));
    if !annotations.is_object() {
        operations.push(json!({"op": "add", "path": base, "value": {}}));
    }
    let path = format!("{base}/{}", pointer(RESTARTED_AT));
    operations.push(json!({"op": "add", "path": path, "value": at}));
    Ok(target.patch(operations))
}

pub(crate) fn changed(target: &Target<'_>, what: &str) -> WorkloadError {
    WorkloadError::Changed(format!("{} {what}", target.key))
}
