//! ConfigMaps and Secrets that a Pod needs and that are not there.

use serde_json::Value;

use crate::sim::api::Api;
use crate::sim::field::{is_true, list, text};
use crate::sim::store::Key;

/// What is missing for the environment of a container, in the words of a kubelet.
pub(super) fn missing_for(api: &Api, namespace: &str, container: &Value) -> Option<String> {
    let env = list(container, "/env")
        .iter()
        .filter_map(|item| item.get("valueFrom"));
    let single = env.flat_map(|from| {
        [
            (from.get("configMapKeyRef"), CONFIG),
            (from.get("secretKeyRef"), SECRET),
        ]
    });
    let whole = list(container, "/envFrom").iter();
    let whole = whole.flat_map(|from| {
        [
            (from.get("configMapRef"), CONFIG),
            (from.get("secretRef"), SECRET),
        ]
    });
    single
        .chain(whole)
        .filter_map(|(reference, kind)| Some((reference?, kind)))
        .find_map(|(reference, kind)| missing(api, namespace, reference, kind))
}

/// What is missing for the volumes of a Pod.
pub(super) fn missing_volume(api: &Api, pod: &Value) -> Option<String> {
    let namespace = text(pod, "/metadata/namespace");
    list(pod, "/spec/volumes").iter().find_map(|volume| {
        let (name, kind, optional) = match (volume.get("configMap"), volume.get("secret")) {
            (Some(source), _) => (text(source, "/name"), CONFIG, is_true(source, "/optional")),
            (_, Some(source)) => (
                text(source, "/secretName"),
                SECRET,
                is_true(source, "/optional"),
            ),
            _ => return None,
        };
        let is_there = optional
            || api
                .get(&Key::new("", kind.plural, namespace, name))
                .is_some();
        let volume = text(volume, "/name");
        (!is_there).then(|| {
            format!(
                "MountVolume.SetUp failed for volume {volume:?} : {} {name:?} not found",
                kind.spoken
            )
        })
    })
}

#[derive(Clone, Copy)]
struct Kind {
    plural: &'static str,
    spoken: &'static str,
    title: &'static str,
}

const CONFIG: Kind = Kind {
    plural: "configmaps",
    spoken: "configmap",
    title: "ConfigMap",
};
const SECRET: Kind = Kind {
    plural: "secrets",
    spoken: "secret",
    title: "Secret",
};

fn missing(api: &Api, namespace: &str, reference: &Value, kind: Kind) -> Option<String> {
    if is_true(reference, "/optional") {
        return None;
    }
    let (name, key) = (text(reference, "/name"), text(reference, "/key"));
    let Some(found) = api.get(&Key::new("", kind.plural, namespace, name)) else {
        return Some(format!("{} {name:?} not found", kind.spoken));
    };
    let has = |part| {
        found
            .get(part)
            .is_some_and(|part: &Value| part.get(key).is_some())
    };
    let has_key = key.is_empty() || ["data", "stringData", "binaryData"].into_iter().any(has);
    (!has_key).then(|| {
        format!(
            "couldn't find key {key} in {} {namespace}/{name}",
            kind.title
        )
    })
}
