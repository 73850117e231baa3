//! Pods: phase, conditions, and the state of each container.

use serde_json::Value;

use crate::digest::view::View;
use crate::digest::{Malformed, conditions, meta};
use crate::objects::{Container, Pod, Terminated};

/// A Pod.
///
/// # Errors
/// A field has another type than the API promises.
pub fn pod(object: &Value) -> Result<Pod, Malformed> {
    let view = View(object);
    let conditions = conditions(view)?;
    let ready = conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let mut containers = Vec::new();
    for (list, states, init) in [
        (
            "/spec/initContainers",
            "/status/initContainerStatuses",
            true,
        ),
        ("/spec/containers", "/status/containerStatuses", false),
    ] {
        for spec in view.items(list)? {
            let name = spec.text("/name")?;
            let state = view
                .items(states)?
                .find(|state| state.0["name"] == name.as_str());
            containers.push(container(spec, state, init)?);
        }
    }
    Ok(Pod {
        meta: meta(view)?,
        phase: view.text("/status/phase")?,
        ready,
        conditions,
        containers,
    })
}

fn container(spec: View<'_>, state: Option<View<'_>>, init: bool) -> Result<Container, Malformed> {
    let mut container = Container {
        name: spec.text("/name")?,
        image: spec.text("/image")?,
        init,
        readiness_probe: spec.has("/readinessProbe"),
        ..Container::default()
    };
    let Some(state) = state else {
        return Ok(container);
    };
    container.ready = state.flag("/ready")?;
    container.started = state.flag("/started")?;
    container.restarts = state.number("/restartCount", 0)?;
    if let Some(waiting) = state.part("/state/waiting") {
        container.waiting = Some((waiting.text("/reason")?, waiting.text("/message")?));
    }
    let ended = state
        .part("/state/terminated")
        .or_else(|| state.part("/lastState/terminated"));
    if let Some(ended) = ended {
        container.terminated = Some(Terminated {
            reason: ended.text("/reason")?,
            message: ended.text("/message")?,
            exit_code: ended.number("/exitCode", 0)?,
        });
    }
    Ok(container)
}
