//! Who owns which fields: the entries of `managedFields`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sim::apply::fields::Fields;

/// Who wrote, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub manager: String,
    pub applies: bool,
    /// The version of the kind that was written; empty for who applies, who has one entry whatever the version.
    pub api_version: String,
    /// The subresource that was written; empty for the object itself.
    pub subresource: String,
}

impl Owner {
    /// The owner as messages have it.
    pub(super) fn spoken(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if !self.applies {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

/// What an owner owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub api_version: String,
    pub fields: Fields,
    /// When it changed, as it is written.
    pub time: Option<String>,
}

/// All owners of fields of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owners(pub BTreeMap<Owner, Owned>);

/// Owners that wrote other than by applying, at most; what older ones have goes to `ancient-changes`.
const UPDATERS: usize = 10;

impl Owners {
    /// The owners that an object names; none if it names them wrongly.
    pub(super) fn of(object: &Value) -> Self {
        Self::decode(&object["metadata"]["managedFields"]).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The owners that a list of entries names.
    ///
    /// # Errors
    /// When an entry is wrong.
    pub(super) fn decode(entries: &Value) -> Result<Self, String> {
        let entries = entries.as_array().into_iter().flatten();
        entries
            .map(decode_entry)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Writes the entries into an object.
    pub(super) fn write(&self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        if self.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        let mut owners: Vec<_> = self.0.iter().collect();
        owners.sort_by_key(|(owner, owned)| {
            (
                !owner.applies,
                seconds(owned),
                owner.manager.clone(),
                owned.api_version.clone(),
                owner.subresource.clone(),
            )
        });
        let entries: Vec<_> = owners.into_iter().map(encode_entry).collect();
        metadata.insert("managedFields".to_owned(), json!(entries));
    }

    /// Gathers what the oldest updaters have, when there are too many.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<_> = self.0.iter().filter(|(owner, _)| !owner.applies).collect();
        updaters.sort_by_key(|(owner, owned)| (seconds(owned), (*owner).clone()));
        let updaters: Vec<Owner> = updaters
            .into_iter()
            .map(|(owner, _)| owner.clone())
            .collect();
        let mut first: BTreeMap<String, Owner> = BTreeMap::new();
        let mut left = updaters.len();
        for owner in updaters {
            if left <= UPDATERS {
                return;
            }
            match first.get(&owner.api_version) {
                Some(bucket) => {
                    let bucket = bucket.clone();
                    first.insert(owner.api_version.clone(), self.gather(&bucket, &owner));
                    left -= 1;
                }
                None => {
                    first.insert(owner.api_version.clone(), owner);
                }
            }
        }
    }

    /// Moves what two owners have to `ancient-changes`.
    fn gather(&mut self, one: &Owner, other: &Owner) -> Owner {
        let bucket = Owner {
            manager: "ancient-changes".to_owned(),
            subresource: String::new(),
            ..other.clone()
        };
        let (older, newer) = (self.0.remove(one), self.0.remove(other));
        if let (Some(older), Some(mut newer)) = (older, newer) {
            newer.fields = newer.fields.union(&older.fields);
            self.0.insert(bucket.clone(), newer);
        }
        bucket
    }
}

fn seconds(owned: &Owned) -> i64 {
    let time = owned
        .time
        .as_deref()
        .and_then(|time| time.parse::<jiff::Timestamp>().ok());
    time.map_or(0, |time| time.as_second())
}

fn decode_entry(entry: &Value) -> Result<(Owner, Owned), String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let applies = match entry["operation"].as_str() {
        Some("Apply") => true,
        Some("Update") => false,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    if text("apiVersion").is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    if text("fieldsType") != "FieldsV1" {
        return Err("fieldsType must be `FieldsV1`".to_owned());
    }
    let owner = Owner {
        manager: text("manager"),
        applies,
        api_version: if applies {
            String::new()
        } else {
            text("apiVersion")
        },
        subresource: text("subresource"),
    };
    let nothing = json!({});
    let owned = Owned {
        api_version: text("apiVersion"),
        fields: Fields::decode(entry.get("fieldsV1").unwrap_or(&nothing))?,
        time: entry["time"].as_str().map(str::to_owned),
    };
    Ok((owner, owned))
}

fn encode_entry((owner, owned): (&Owner, &Owned)) -> Value {
    let mut entry = Map::new();
    let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
    put("manager", json!(owner.manager));
    put(
        "operation",
        json!(if owner.applies { "Apply" } else { "Update" }),
    );
    put("apiVersion", json!(owned.api_version));
    put("fieldsType", json!("FieldsV1"));
    put("fieldsV1", owned.fields.encode());
    if let Some(time) = &owned.time {
        put("time", json!(time));
    }
    if !owner.subresource.is_empty() {
        put("subresource", json!(owner.subresource));
    }
    Value::Object(entry)
}
