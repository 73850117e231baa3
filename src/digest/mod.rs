//! From Kubernetes objects as JSON to the digests that the caches keep.

mod autoscaler;
mod manager;
mod pod;
mod template;
#[cfg(test)]
mod tests;
pub(crate) mod view;

use serde_json::Value;

use crate::digest::view::View;
use crate::objects::{
    Condition, Deployment, EndpointSlice, Labels, Meta, Owner, ReplicaSet, Selecting, Service,
    ServicePort,
};

pub use crate::digest::autoscaler::autoscaler;
pub use crate::digest::pod::pod;
pub use crate::digest::template::{TEMPLATE_HASH, revision, template};

/// An object is not of the form that its API promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} is not {expected}")]
pub struct Malformed {
    /// The field, as a JSON pointer.
    pub path: String,
    /// What should stand there.
    pub expected: &'static str,
}

/// A Deployment.
///
/// # Errors
/// A field has another type than the API promises; so for all functions here.
pub fn deployment(object: &Value) -> Result<Deployment, Malformed> {
    let view = View(object);
    let meta = meta(view)?;
    Ok(Deployment {
        replicas: view.number("/spec/replicas", 1)?,
        paused: view.flag("/spec/paused")?,
        selector: view.labels("/spec/selector/matchLabels")?,
        selector_expressions: view.has("/spec/selector/matchExpressions/0"),
        recreate: view.option("/spec/strategy/type")? == Some("Recreate"),
        history_limit: view.number("/spec/revisionHistoryLimit", 10)?,
        progress_deadline: view.number("/spec/progressDeadlineSeconds", 600)?,
        template: template(&object["spec"]["template"])?,
        observed_generation: view.long("/status/observedGeneration", 0)?,
        total: view.number("/status/replicas", 0)?,
        updated: view.number("/status/updatedReplicas", 0)?,
        ready: view.number("/status/readyReplicas", 0)?,
        available: view.number("/status/availableReplicas", 0)?,
        conditions: conditions(view)?,
        gitops: manager::gitops(view),
        pause_manager: manager::owner_of(view, &manager::PAUSED, manager::declares),
        template_manager: manager::owner_of(view, &manager::TEMPLATE, |_| true),
        meta,
    })
}

/// A ReplicaSet.
///
/// # Errors
/// See [`deployment`].
pub fn replica_set(object: &Value) -> Result<ReplicaSet, Malformed> {
    let view = View(object);
    Ok(ReplicaSet {
        meta: meta(view)?,
        replicas: view.number("/spec/replicas", 1)?,
        total: view.number("/status/replicas", 0)?,
        ready: view.number("/status/readyReplicas", 0)?,
        available: view.number("/status/availableReplicas", 0)?,
        template: template(&object["spec"]["template"])?,
        conditions: conditions(view)?,
    })
}

/// A Service.
///
/// # Errors
/// See [`deployment`].
pub fn service(object: &Value) -> Result<Service, Malformed> {
    let view = View(object);
    let port = |port: View<'_>| {
        Ok(ServicePort {
            name: port.text("/name")?,
            port: port.number("/port", 0)?,
            app_protocol: port.option("/appProtocol")?.map(str::to_owned),
        })
    };
    Ok(Service {
        meta: meta(view)?,
        selector: view.labels("/spec/selector")?,
        external: view.option("/spec/type")? == Some("ExternalName"),
        ports: view
            .items("/spec/ports")?
            .map(port)
            .collect::<Result<_, _>>()?,
    })
}

/// An EndpointSlice: of its endpoints those that are ready and not about to end.
///
/// # Errors
/// See [`deployment`].
pub fn endpoint_slice(object: &Value) -> Result<EndpointSlice, Malformed> {
    let view = View(object);
    let meta = meta(view)?;
    let mut slice = EndpointSlice {
        service: meta
            .labels
            .get("kubernetes.io/service-name")
            .cloned()
            .unwrap_or_default(),
        meta,
        ..EndpointSlice::default()
    };
    for endpoint in view.items("/endpoints")? {
        // The API reads an absent condition `ready` as true.
        let ready = !endpoint.has("/conditions/ready") || endpoint.flag("/conditions/ready")?;
        if !ready || endpoint.flag("/conditions/terminating")? {
            continue;
        }
        let address = endpoint.text("/addresses/0")?;
        let name = match endpoint.option("/targetRef/kind")? {
            Some("Pod") => endpoint.name("/targetRef/name")?,
            _ => address.clone(),
        };
        slice.ready.insert(name, address);
    }
    Ok(slice)
}

/// A PodDisruptionBudget.
///
/// # Errors
/// See [`deployment`].
pub fn budget(object: &Value) -> Result<Selecting, Malformed> {
    selecting(object, "/spec/selector")
}

/// A NetworkPolicy.
///
/// # Errors
/// See [`deployment`].
pub fn network_policy(object: &Value) -> Result<Selecting, Malformed> {
    selecting(object, "/spec/podSelector")
}

fn selecting(object: &Value, path: &str) -> Result<Selecting, Malformed> {
    let view = View(object);
    Ok(Selecting {
        meta: meta(view)?,
        selector: view.labels(&format!("{path}/matchLabels"))?,
        selector_expressions: view.has(&format!("{path}/matchExpressions/0")),
    })
}

fn meta(view: View<'_>) -> Result<Meta, Malformed> {
    let mut annotations: Labels = view.labels("/metadata/annotations")?;
    annotations.retain(|key, _| {
        key.starts_with("serin.dev/") || key == "deployment.kubernetes.io/revision"
    });
    Ok(Meta {
        namespace: view.text("/metadata/namespace")?,
        name: view.name("/metadata/name")?,
        uid: view.text("/metadata/uid")?,
        resource_version: view.text("/metadata/resourceVersion")?,
        generation: view.long("/metadata/generation", 0)?,
        labels: view.labels("/metadata/labels")?,
        annotations,
        owner: owner(view)?,
        deleting: view.has("/metadata/deletionTimestamp"),
        created: view.time("/metadata/creationTimestamp"),
    })
}

fn owner(view: View<'_>) -> Result<Option<Owner>, Malformed> {
    for reference in view.items("/metadata/ownerReferences")? {
        if reference.flag("/controller")? {
            return Ok(Some(Owner {
                kind: reference.text("/kind")?,
                name: reference.text("/name")?,
                uid: reference.text("/uid")?,
            }));
        }
    }
    Ok(None)
}

fn conditions(view: View<'_>) -> Result<Vec<Condition>, Malformed> {
    let condition = |condition: View<'_>| {
        Ok(Condition {
            type_: condition.text("/type")?,
            status: condition.text("/status")?,
            reason: condition.text("/reason")?,
            message: condition.text("/message")?,
            since: condition.time("/lastTransitionTime"),
            observed_generation: condition.long("/observedGeneration", 0)?,
        })
    };
    view.items("/status/conditions")?.map(condition).collect()
}
