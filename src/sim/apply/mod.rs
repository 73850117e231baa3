//! Who owns which fields of an object (`managedFields`), and server-side apply.

mod compare;
mod fields;
mod last_applied;
mod merge;
mod owner;
mod reset;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sim::apply::compare::compare;
use crate::sim::apply::fields::Fields;
use crate::sim::apply::owner::{Owned, Owner, Owners};
use crate::sim::refusal::{Cause, Refusal};
use crate::sim::shape::Shape;

/// Who writes, when, and what part.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Field manager; `unknown` if it is empty.
    pub manager: &'a str,
    /// The version of the kind that is written, `apps/v1`.
    pub api_version: &'a str,
    /// The subresource that is written.
    pub subresource: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

impl Writer<'_> {
    fn owner(&self, applies: bool) -> Owner {
        let manager = if self.manager.is_empty() {
            "unknown"
        } else {
            self.manager
        };
        Owner {
            manager: manager.to_owned(),
            applies,
            api_version: if applies {
                String::new()
            } else {
                self.api_version.to_owned()
            },
            subresource: self.subresource.unwrap_or_default().to_owned(),
        }
    }

    /// Who only scales leaves no time.
    fn time(&self) -> Option<String> {
        let is_scale = self.subresource == Some("scale");
        (!is_scale).then(|| self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

/// Fields that nobody owns.
fn never_owned() -> Fields {
    const NAMES: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let metadata = NAMES.map(|name| ["metadata", name]);
    let mut paths: Vec<&[&str]> = metadata.iter().map(|path| &path[..]).collect();
    paths.extend([&["apiVersion"][..], &["kind"], &["metadata"]]);
    Fields::of_names(&paths)
}

/// Writes `managedFields` into an object that somebody created, updated or patched: what changed is his. Entries that the client
/// itself wrote count, and an empty list of them forgets all. Run it before admission and after defaults.
pub fn track(shape: &Shape, before: Option<&Value>, after: &mut Value, writer: &Writer<'_>) {
    let owners = owners_of(before, after, writer);
    take_entries(after);
    shape.tidy(after);
    if before.is_some() && owners.is_empty() {
        return;
    }
    let nothing = shape.nothing();
    // What is stored was tidied when it was written.
    let mut owners = update(shape, (before.unwrap_or(&nothing), after), owners, writer);
    owners.cap();
    owners.write(after);
}

/// The owners before a write: those that the client says, or else those of the object that is there.
fn owners_of(before: Option<&Value>, after: &Value, writer: &Writer<'_>) -> Owners {
    let live = || before.map(Owners::of).unwrap_or_default();
    let given = &after["metadata"]["managedFields"];
    let resets = given
        .as_array()
        .is_some_and(|entries| match entries.as_slice() {
            [] => true,
            [entry] => *entry == json!({}),
            _ => false,
        });
    if writer.subresource.is_some() {
        return live();
    }
    if resets {
        return Owners::default();
    }
    match Owners::decode(given) {
        Ok(owners) if !owners.is_empty() => owners,
        _ => live(),
    }
}

fn take_entries(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// The owners after a write.
fn update(
    shape: &Shape,
    (old, new): (&Value, &Value),
    mut owners: Owners,
    writer: &Writer<'_>,
) -> Owners {
    let changes = compare(shape.root(), old, new).without(&reset::of(shape, writer.subresource));
    let written = changes.written();
    for owned in owners.0.values_mut() {
        owned.fields = owned
            .fields
            .difference(&written)
            .difference(&changes.removed);
    }
    owners.0.retain(|_, owned| !owned.fields.is_empty());
    let written = written.difference(&never_owned());
    if written.is_empty() {
        return owners;
    }
    let owner = writer.owner(false);
    let previous = owners.0.remove(&owner).map(|owned| owned.fields);
    let owned = Owned {
        api_version: writer.api_version.to_owned(),
        fields: previous.unwrap_or_default().union(&written),
        time: writer.time(),
    };
    owners.0.insert(owner, owned);
    owners
}

/// Server-side apply: the object as it is afterwards, without new defaults. It equals the live one if nothing changes; fill the
/// defaults and call [`settle`] before that is decided.
///
/// # Errors
/// 409 when others own fields that would change, unless it is forced; 400 when entries of `managedFields` or another version
/// are applied.
pub fn apply(
    shape: &Shape,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, Refusal> {
    check(applied, writer)?;
    let nothing = shape.nothing();
    let mut owners = live.map(Owners::of).unwrap_or_default();
    let mut old = live.unwrap_or(&nothing).clone();
    take_entries(&mut old);
    shape.tidy(&mut old);
    if owners.is_empty() && live.is_some() {
        let first = Writer {
            manager: "before-first-apply",
            ..*writer
        };
        owners = update(shape, (&nothing, &old), owners, &first);
    }
    let mut merged =
        merge::merge(shape.root(), &old, applied).map_err(|why| untyped(applied, &why))?;
    let owner = writer.owner(true);
    let last = owners.0.remove(&owner);
    let fields =
        Fields::set_by(shape.root(), applied).without(&reset::of(shape, writer.subresource));
    if let Some(last) = &last {
        merged = prune(shape, &merged, (&last.fields, &fields), &owners);
    }
    shape.tidy(&mut merged);
    resolve(shape, (&old, &merged), &mut owners, writer, force)?;
    let time = if merged == old {
        last.and_then(|last| last.time)
    } else {
        writer.time()
    };
    let fields = fields.difference(&never_owned());
    if !fields.is_empty() {
        let api_version = writer.api_version.to_owned();
        owners.0.insert(
            owner,
            Owned {
                api_version,
                fields,
                time,
            },
        );
    }
    keep(shape, live, &mut merged, writer.subresource);
    last_applied::remember(&mut merged, applied, writer);
    owners.write(&mut merged);
    if let Some(live) = live {
        settle(live, &mut merged);
    }
    Ok(merged)
}

fn check(applied: &Value, writer: &Writer<'_>) -> Result<(), Refusal> {
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    let version = applied["apiVersion"].as_str().unwrap_or_default();
    if version != writer.api_version {
        let kind = applied["kind"].as_str().unwrap_or_default();
        return Err(Refusal::bad_request(format!(
            "invalid object type: {version}, Kind={kind}"
        )));
    }
    Ok(())
}

/// 500: what is applied does not fit its kind.
fn untyped(applied: &Value, why: &str) -> Refusal {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &applied["metadata"];
    Refusal::new(
        500,
        "",
        format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): {why}",
            text(&metadata["namespace"]),
            text(&metadata["name"]),
            text(&applied["apiVersion"]),
            text(&applied["kind"]),
        ),
    )
}

/// Takes out what the applier applied before, does not apply now, and nobody else owns.
fn prune(shape: &Shape, merged: &Value, (last, now): (&Fields, &Fields), owners: &Owners) -> Value {
    let root = shape.root();
    let last = last.with_named(root);
    let pruned = merge::remove(root, merged, &last);
    let owned = owners
        .0
        .values()
        .fold(now.clone(), |all, owned| all.union(&owned.fields));
    let all = Fields::set_by(root, merged).with_named(root);
    let set_by = |object: &Value| Fields::set_by(root, object).with_named(root);
    // What the pruned object lost goes, but what anybody owns.
    let unowned = all.difference(&set_by(&pruned).union(&owned.with_named(root)));
    let pruned = merge::remove(root, merged, &unowned);
    // Of that, only what the applier owned itself: what nobody owns stays.
    let dropped = all.difference(&set_by(&pruned)).intersection(&last);
    merge::remove(root, merged, &dropped)
}

/// Takes what changes from its owners, or refuses to.
fn resolve(
    shape: &Shape,
    (old, new): (&Value, &Value),
    owners: &mut Owners,
    writer: &Writer<'_>,
    force: bool,
) -> Result<(), Refusal> {
    let changes = compare(shape.root(), old, new).without(&reset::of(shape, writer.subresource));
    let written = changes.written();
    let own = last_applied::own(shape, old, writer);
    let claimed = written.difference(&own);
    let disputed = owners
        .0
        .iter()
        .map(|(owner, owned)| (owner, owned.fields.intersection(&claimed)));
    let conflicts: Vec<_> = disputed.filter(|(_, fields)| !fields.is_empty()).collect();
    if !force && !conflicts.is_empty() {
        return Err(refuse(&conflicts));
    }
    for owned in owners.0.values_mut() {
        owned.fields = owned
            .fields
            .difference(&written)
            .difference(&changes.removed);
    }
    owners.0.retain(|_, owned| !owned.fields.is_empty());
    Ok(())
}

/// 409: others own these fields.
fn refuse(conflicts: &[(&Owner, Fields)]) -> Refusal {
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (owner, fields) in conflicts {
        let owner = owner.spoken();
        lines.push(format!("conflicts with {owner}:"));
        for field in fields.paths() {
            lines.push(format!("- {field}"));
            causes.push(Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {owner}"),
                field,
            });
        }
    }
    let message = match causes.as_slice() {
        [one] => format!(
            "Apply failed with 1 conflict: {}: {}",
            one.message, one.field
        ),
        all => format!(
            "Apply failed with {} conflicts: {}",
            all.len(),
            lines.join("\n")
        ),
    };
    Refusal {
        causes,
        ..Refusal::new(409, "Conflict", message)
    }
}

/// Gives an object the part back that a write to the object (`None`) or to a subresource leaves alone: the status, or the rest.
pub fn keep(shape: &Shape, live: Option<&Value>, object: &mut Value, subresource: Option<&str>) {
    reset::restore(shape, subresource, live, object);
}

/// Gives entries of `managedFields` their old times back, if a write changed nothing else.
pub fn settle(before: &Value, after: &mut Value) {
    let times = |object: &Value| -> Vec<Value> {
        let entries = object["metadata"]["managedFields"].as_array();
        entries
            .into_iter()
            .flatten()
            .map(|entry| entry["time"].clone())
            .collect()
    };
    let old = times(before);
    if old.len() != times(after).len() || old == times(after) || is_edited(before, after) {
        return;
    }
    let mut settled = after.clone();
    let entries = settled["metadata"]["managedFields"].as_array_mut();
    for (entry, time) in entries.into_iter().flatten().zip(old) {
        match (entry.as_object_mut(), time) {
            (Some(entry), Value::Null) => entry.remove("time"),
            (Some(entry), time) => entry.insert("time".to_owned(), time),
            _ => None,
        };
    }
    if settled == *before {
        *after = settled;
    }
}

/// Whether anything but the metadata differs.
fn is_edited(before: &Value, after: &Value) -> bool {
    fn others(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
        let fields = object.as_object().into_iter().flatten();
        fields.filter(|(name, _)| *name != "metadata")
    }
    !others(before).eq(others(after))
}
