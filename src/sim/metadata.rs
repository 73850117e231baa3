//! What a write may and may not change of an object, and what it says about itself: versions, generations, finalizers.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::api::Part;
use crate::sim::kinds::Served;
use crate::sim::refusal::Refusal;
use crate::sim::store::Key;
use crate::sim::write::Delete;

/// The object has the name under which it is written, and is of the version that was read.
pub(crate) fn is_of(key: &Key, old: &Value, new: &Value) -> Result<(), Refusal> {
    let metadata = &new["metadata"];
    if metadata["name"]
        .as_str()
        .is_some_and(|name| name != key.name)
    {
        return Err(Refusal::bad_request(
            "the name of the object does not match the name on the URL",
        ));
    }
    let uid = metadata["uid"].as_str().unwrap_or_default();
    let real = old["metadata"]["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && uid != real {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {real}");
        return Err(Refusal::conflict(key, &why));
    }
    let version = metadata["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && metadata["resourceVersion"] != old["metadata"]["resourceVersion"] {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Refusal::conflict(key, why));
    }
    Ok(())
}

/// What this part of a write cannot change stays as it was.
pub(crate) fn keep(kind: &Served, part: Part, old: &Value, new: &mut Value) {
    if part == Part::Status {
        let status = new["status"].take();
        let fields = new["metadata"]["managedFields"].take();
        let notes = new["metadata"]["annotations"].take();
        *new = old.clone();
        put(new, "status", status);
        // A write of the status of a Deployment takes annotations too: so its controller writes the revision.
        if kind.plural == "deployments" {
            put(&mut new["metadata"], "annotations", notes);
        }
        put(&mut new["metadata"], "managedFields", fields);
    } else if kind.status {
        put(new, "status", old["status"].clone());
    }
    let was = &old["metadata"];
    for field in [
        "uid",
        "creationTimestamp",
        "generation",
        "namespace",
        "name",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        put(&mut new["metadata"], field, was[field].clone());
    }
    for field in ["apiVersion", "kind"] {
        put(new, field, old[field].clone());
    }
}

pub(crate) fn put(object: &mut Value, field: &str, value: Value) {
    if value.is_null() {
        remove(object, field);
    } else {
        object[field] = value;
    }
}

pub(crate) fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

/// Objects of kinds with a spec count how often it changed.
pub(crate) fn counts_generations(kind: &Served) -> bool {
    kind.definition.is_some()
        || matches!(
            kind.plural.as_str(),
            "deployments"
                | "replicasets"
                | "pods"
                | "poddisruptionbudgets"
                | "networkpolicies"
                | "endpointslices"
                | "customresourcedefinitions"
                | "gateways"
                | "gatewayclasses"
                | "httproutes"
                | "grpcroutes"
        )
        || kind.group == "admissionregistration.k8s.io"
}

/// Something besides metadata and status changed.
pub(crate) fn differs(old: &Value, new: &Value) -> bool {
    !rest(old).eq(rest(new))
}

/// The fields besides metadata and status.
fn rest(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(field, _)| !matches!(field.as_str(), "metadata" | "status"))
}

pub(crate) fn precondition(key: &Key, old: &Value, options: &Delete) -> Result<(), Refusal> {
    let check = |field: &str, wanted: &Option<String>| {
        let real = old["metadata"][field].as_str().unwrap_or_default();
        match wanted {
            Some(wanted) if wanted != real => {
                let why = format!(
                    "Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {real}"
                );
                Err(Refusal::conflict(key, &why))
            }
            _ => Ok(()),
        }
    };
    check("uid", &options.uid)?;
    check("resourceVersion", &options.version)
}

/// How what the object owns goes is written on it as a finalizer.
pub(crate) fn propagate(dying: &mut Value, options: &Delete) {
    let finalizer = match options.propagation.as_deref() {
        Some("Foreground") => "foregroundDeletion",
        Some("Orphan") => "orphan",
        _ => return,
    };
    let metadata = &mut dying["metadata"];
    if metadata["finalizers"].is_null() {
        metadata["finalizers"] = json!([]);
    }
    if let Some(all) = metadata["finalizers"].as_array_mut()
        && !all.iter().any(|one| one == finalizer)
    {
        all.push(json!(finalizer));
    }
}

/// Only Pods that run get time.
pub(crate) fn grace(kind: &Served, dying: &Value, options: &Delete) -> i64 {
    if kind.plural != "pods" || dying["spec"]["nodeName"].is_null() {
        return 0;
    }
    let own = dying["spec"]["terminationGracePeriodSeconds"].as_i64();
    options.grace.or(own).unwrap_or(30).max(0)
}

pub(crate) fn seconds_left(dying: &Value) -> i64 {
    dying["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(0)
}

/// A time as metadata has it, in whole seconds.
pub(crate) fn second(at: Timestamp) -> String {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    whole.to_string()
}
