//! Requests in protocol buffers, as clients written in Go send them, read into JSON.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("messages.txt");

/// What every such body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Objects within objects; no kind has more.
const DEPTH: u8 = 64;

/// Fields of a message by their numbers.
type Message = BTreeMap<u64, Field>;

struct Field {
    name: &'static str,
    /// Its fields stand in the object itself.
    inline: bool,
    form: Form,
    kind: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    One,
    List,
    Map,
}

static MESSAGES: LazyLock<BTreeMap<&str, Message>> = LazyLock::new(|| {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.filter_map(|line| line.split_once(": "));
    rows.map(|(name, fields)| (name, fields.split(' ').filter_map(field).collect()))
        .collect()
});

/// Reads `name=NUMBER[]:type`.
fn field(text: &'static str) -> Option<(u64, Field)> {
    let (name, rest) = text.split_once('=')?;
    let (number, kind) = rest.split_once(':')?;
    let form = match number.trim_start_matches(|letter: char| letter.is_ascii_digit()) {
        "[]" => Form::List,
        "{}" => Form::Map,
        _ => Form::One,
    };
    let field = Field {
        name: name.trim_start_matches('@'),
        inline: name.starts_with('@'),
        form,
        kind,
    };
    let number = number.trim_end_matches(['[', ']', '{', '}']).parse().ok()?;
    Some((number, field))
}

/// An object, if these bytes are one of a kind that is known.
#[must_use]
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for part in Parts(body.strip_prefix(MAGIC)?) {
        match part? {
            (1, Wire::Bytes(meta)) => {
                for part in Parts(meta) {
                    match part? {
                        (1, Wire::Bytes(text)) => version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, number) = version.split_once('/').unwrap_or(("core", &version));
    let group = group.split('.').next().unwrap_or_default();
    let own = format!("{group}.{number}.{kind}");
    let name = if MESSAGES.contains_key(own.as_str()) {
        own
    } else {
        format!("meta.v1.{kind}")
    };
    let mut object = message(&name, raw, DEPTH)?;
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    Some(object)
}

fn message(name: &str, bytes: &[u8], depth: u8) -> Option<Value> {
    let fields = MESSAGES.get(name)?;
    let depth = depth.checked_sub(1)?;
    let mut object = Map::new();
    for part in Parts(bytes) {
        let (number, wire) = part?;
        let Some(field) = fields.get(&number) else {
            continue;
        };
        match field.form {
            Form::Map => {
                let (key, value) = entry(field.kind, wire, depth)?;
                object.entry(field.name).or_insert_with(|| json!({}))[key] = value;
            }
            Form::List => {
                let value = value(field.kind, wire, depth)?;
                let list = object.entry(field.name).or_insert_with(|| json!([]));
                list.as_array_mut()?.push(value);
            }
            Form::One if field.inline => {
                if let Value::Object(inner) = value(field.kind, wire, depth)? {
                    object.extend(inner);
                }
            }
            Form::One => {
                object.insert(field.name.to_owned(), value(field.kind, wire, depth)?);
            }
        }
    }
    // A list under a name of its own, because maps of lists cannot be said otherwise.
    if name.ends_with(".ExtraValue") {
        return Some(object.remove("items").unwrap_or_else(|| json!([])));
    }
    Some(Value::Object(object))
}

fn entry(kind: &str, wire: Wire<'_>, depth: u8) -> Option<(String, Value)> {
    let (mut key, mut found) = (String::new(), None);
    for part in Parts(wire.bytes()?) {
        match part? {
            (1, wire) => key = utf8(wire.bytes()?)?,
            (2, wire) => found = Some(value(kind, wire, depth)?),
            _ => {}
        }
    }
    Some((key, found.unwrap_or_else(|| json!(""))))
}

fn value(kind: &str, wire: Wire<'_>, depth: u8) -> Option<Value> {
    Some(match (kind, wire) {
        ("s", wire) => json!(utf8(wire.bytes()?)?),
        ("b", Wire::Number(number)) => json!(number != 0),
        // Negative numbers come as large ones.
        ("i", Wire::Number(number)) => json!(number.cast_signed()),
        ("d", Wire::Number(number)) => json!(f64::from_bits(number)),
        ("y", wire) => json!(base64(wire.bytes()?)),
        ("t" | "T", wire) => time(kind, wire.bytes()?)?,
        ("q", wire) => {
            let text = Parts(wire.bytes()?).next();
            match text {
                Some(part) => json!(utf8(part?.1.bytes()?)?),
                None => json!("0"),
            }
        }
        ("n", wire) => number_or_text(wire.bytes()?)?,
        ("r", wire) => match Parts(wire.bytes()?).next() {
            Some(part) => serde_json::from_slice(part?.1.bytes()?).ok()?,
            None => Value::Null,
        },
        (kind, wire) => message(kind, wire.bytes()?, depth)?,
    })
}

fn time(kind: &str, bytes: &[u8]) -> Option<Value> {
    let (mut seconds, mut nanos) = (0, 0);
    for part in Parts(bytes) {
        match part? {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanos = i32::try_from(number).ok()?,
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Some(Value::Null);
    }
    let at = Timestamp::new(seconds, nanos).ok()?;
    let form = if kind == "T" { "%FT%T.%6fZ" } else { "%FT%TZ" };
    Some(json!(at.strftime(form).to_string()))
}

fn number_or_text(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for part in Parts(bytes) {
        match part? {
            (1, Wire::Number(which)) => is_text = which == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Some(if is_text { json!(text) } else { json!(number) })
}

fn utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = LETTERS[(bits >> shift & 63) as usize];
            text.push(if index > chunk.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    text
}

/// The value of a field, as it comes.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }
}

/// The fields of a message in their order; nothing for what cannot be read.
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_none() {
            self.0 = &[];
        }
        Some(part)
    }
}

impl<'a> Parts<'a> {
    fn part(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(u32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            _ => return None,
        };
        Some((tag >> 3, wire))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of bytes.
    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut all = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        all.extend(bytes);
        all
    }

    fn body(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [part(1, version.as_bytes()), part(2, kind.as_bytes())].concat();
        [MAGIC, &part(1, &meta), &part(2, raw)].concat()
    }

    #[test]
    fn bodies_become_objects() {
        let name = part(1, &part(1, b"web"));
        let born = part(
            1,
            &[part(1, b"web"), part(8, &[8, 224, 193, 155, 145, 7])].concat(),
        );
        let label = part(11, &[part(1, b"app"), part(2, b"web")].concat());
        for (version, kind, raw, want) in [
            (
                "v1",
                "Namespace",
                name.clone(),
                json!({"metadata": {"name": "web"}}),
            ),
            (
                "apps/v1",
                "Deployment",
                [part(1, &label), part(2, &[8, 3, 56, 1])].concat(),
                json!({"metadata": {"labels": {"app": "web"}}, "spec": {"replicas": 3, "paused": true}}),
            ),
            (
                "v1",
                "ConfigMap",
                [born, part(3, &[part(1, b"k"), part(2, b"abcd")].concat())].concat(),
                json!({"metadata": {"name": "web", "creationTimestamp": "2030-09-09T02:16:00Z"}, "binaryData": {"k": "YWJjZA=="}}),
            ),
            (
                "policy/v1",
                "PodDisruptionBudget",
                part(
                    2,
                    &[part(1, &[8, 1, 26, 3, b'5', b'0', b'%']), part(3, &[16, 2])].concat(),
                ),
                json!({"spec": {"minAvailable": "50%", "maxUnavailable": 2}}),
            ),
            (
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                [part(2, &part(3, b"ada")), part(3, &part(3, b"view"))].concat(),
                json!({"subjects": [{"name": "ada"}], "roleRef": {"name": "view"}}),
            ),
            (
                "apps/v1",
                "DeleteOptions",
                part(4, b"Orphan"),
                json!({"propagationPolicy": "Orphan"}),
            ),
        ] {
            let mut want: Value = want;
            want["apiVersion"] = json!(version);
            want["kind"] = json!(kind);
            assert_eq!(read(&body(version, kind, &raw)), Some(want), "{kind}");
        }
    }

    #[test]
    fn what_stands_in_the_object_itself_is_there() {
        let probe = message("core.v1.Probe", &part(1, &part(2, &part(1, b"/x"))), DEPTH);
        assert_eq!(probe, Some(json!({"httpGet": {"path": "/x"}})));
        let volume = [part(1, b"v"), part(2, &part(2, &part(1, b"Memory")))].concat();
        let volume = message("core.v1.Volume", &volume, DEPTH);
        assert_eq!(
            volume,
            Some(json!({"name": "v", "emptyDir": {"medium": "Memory"}}))
        );
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let whole = body("v1", "Namespace", &part(1, &part(1, b"web")));
        assert!(read(&whole).is_some());
        for end in 4..whole.len() {
            assert_eq!(
                read(&whole[..end]).filter(|it| it["metadata"]["name"] == "web"),
                None,
                "{end}"
            );
        }
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(&body("v1", "Unknown", b"")), None);
    }

    #[test]
    fn every_type_of_the_table_is_there() {
        for (name, fields) in &*MESSAGES {
            for field in fields.values() {
                let known = field.kind.len() == 1 || MESSAGES.contains_key(field.kind);
                assert!(known, "{name}: {}", field.kind);
            }
        }
        assert!(MESSAGES.len() > 200);
    }
}
