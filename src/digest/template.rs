//! Pod templates: their hashes, and what decisions need of them.

use std::collections::BTreeSet;
use std::fmt::Write;

use ring::digest::{Context, SHA256};
use serde_json::{Map, Value};

use crate::digest::Malformed;
use crate::digest::view::View;
use crate::objects::Template;

/// The label that a Deployment adds to the templates of its ReplicaSets.
pub const TEMPLATE_HASH: &str = "pod-template-hash";

/// Bytes of a hash that are kept: ten characters tell a handful of revisions apart.
const HASH_BYTES: usize = 5;

/// What decisions need of a Pod template.
///
/// # Errors
/// A field has another type than the API promises.
pub fn template(template: &Value) -> Result<Template, Malformed> {
    let view = View(template);
    let mut labels = view.labels("/metadata/labels")?;
    labels.remove(TEMPLATE_HASH);
    let mut digest = Template {
        revision: revision(template),
        containers: containers_hash(template),
        labels,
        ..Template::default()
    };
    for container in containers(view)? {
        digest.images.push(container.text("/image")?);
        for port in container.items("/ports")? {
            let number = port.number("/containerPort", 0)?;
            digest.ports.push((port.text("/name")?, number));
        }
    }
    digest.host_ports = binds_host_ports(view)?;
    digest.claims = mounts_claims(view)?;
    digest.configs = configs(view)?;
    Ok(digest)
}

/// Hash of a whole Pod template: the same for a Deployment and for the ReplicaSet made from it.
#[must_use]
pub fn revision(template: &Value) -> String {
    let mut text = String::new();
    write_object(template.as_object(), &mut text, |key, value, text| {
        if key == "metadata" {
            write_metadata(value.as_object(), text);
        } else {
            write_value(value, text);
        }
    });
    hash(&text)
}

fn write_metadata(metadata: Option<&Map<String, Value>>, text: &mut String) {
    write_object(metadata, text, |key, value, text| match key {
        // Some clients send an empty time, others none.
        "creationTimestamp" => {}
        "labels" => write_object(value.as_object(), text, |key, value, text| {
            if key != TEMPLATE_HASH {
                write_value(value, text);
            }
        }),
        _ => write_value(value, text),
    });
}

fn containers_hash(template: &Value) -> String {
    let mut text = String::new();
    for list in ["initContainers", "containers"] {
        text.push_str(list);
        write_value(&template["spec"][list], &mut text);
    }
    hash(&text)
}

/// Canonical JSON: sorted keys, nothing for `null`, and nothing for a member whose value writes nothing.
fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Null => {}
        Value::Object(object) => write_object(Some(object), text, |_, value, text| {
            write_value(value, text);
        }),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_value(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => {
            // Writing to a String cannot fail.
            let _ = write!(text, "{scalar}");
        }
    }
}

fn write_object(
    object: Option<&Map<String, Value>>,
    text: &mut String,
    write: impl Fn(&str, &Value, &mut String),
) {
    let mut members: Vec<_> = object.into_iter().flatten().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    text.push('{');
    for (key, value) in members {
        let before = text.len();
        let _ = write!(text, "{key:?}:");
        let named = text.len();
        write(key, value, text);
        if text.len() == named {
            text.truncate(before);
        } else {
            text.push(',');
        }
    }
    text.push('}');
}

fn hash(text: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(text.as_bytes());
    let digest = context.finish();
    let bytes = digest.as_ref().iter().take(HASH_BYTES);
    bytes.fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn containers<'a>(view: View<'a>) -> Result<impl Iterator<Item = View<'a>>, Malformed> {
    view.items("/spec/containers")
}

fn all_containers<'a>(view: View<'a>) -> Result<impl Iterator<Item = View<'a>>, Malformed> {
    Ok(view.items("/spec/initContainers")?.chain(containers(view)?))
}

fn binds_host_ports(view: View<'_>) -> Result<bool, Malformed> {
    if view.flag("/spec/hostNetwork")? {
        return Ok(containers(view)?.any(|container| container.has("/ports/0")));
    }
    for container in all_containers(view)? {
        for port in container.items("/ports")? {
            if port.number("/hostPort", 0)? > 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn mounts_claims(view: View<'_>) -> Result<bool, Malformed> {
    let mut volumes = view.items("/spec/volumes")?;
    Ok(volumes.any(|volume| volume.has("/persistentVolumeClaim")))
}

/// Where volumes and environments name ConfigMaps and Secrets.
const VOLUME_SOURCES: [(&str, &str); 2] = [
    ("ConfigMap", "/configMap/name"),
    ("Secret", "/secret/secretName"),
];
const PROJECTED_SOURCES: [(&str, &str); 2] =
    [("ConfigMap", "/configMap/name"), ("Secret", "/secret/name")];
const ENV_SOURCES: [(&str, &str); 2] = [
    ("ConfigMap", "/valueFrom/configMapKeyRef/name"),
    ("Secret", "/valueFrom/secretKeyRef/name"),
];
const ENV_FROM_SOURCES: [(&str, &str); 2] = [
    ("ConfigMap", "/configMapRef/name"),
    ("Secret", "/secretRef/name"),
];

/// The ConfigMaps and Secrets that the Pods cannot do without knowing.
fn configs(view: View<'_>) -> Result<BTreeSet<String>, Malformed> {
    let mut found = BTreeSet::new();
    for volume in view.items("/spec/volumes")? {
        collect(volume, VOLUME_SOURCES, &mut found)?;
        for source in volume.items("/projected/sources")? {
            collect(source, PROJECTED_SOURCES, &mut found)?;
        }
    }
    for container in all_containers(view)? {
        for variable in container.items("/env")? {
            collect(variable, ENV_SOURCES, &mut found)?;
        }
        for source in container.items("/envFrom")? {
            collect(source, ENV_FROM_SOURCES, &mut found)?;
        }
    }
    Ok(found)
}

fn collect(
    view: View<'_>,
    sources: [(&str, &str); 2],
    found: &mut BTreeSet<String>,
) -> Result<(), Malformed> {
    for (kind, path) in sources {
        if let Some(name) = view.option(path)? {
            found.insert(format!("{kind}/{name}"));
        }
    }
    Ok(())
}
