//! Which requests are tried by the canary, whatever its share: A/B testing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a request has to say to be matched: everything that is named here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestMatch {
    /// Headers, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub headers: BTreeMap<String, TextMatch>,
    /// Parameters of the query, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub query_params: BTreeMap<String, TextMatch>,
}

/// How a text has to be: exactly one of its fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TextMatch {
    /// The whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4_096))]
    pub exact: Option<String>,
    /// How it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4_096))]
    pub prefix: Option<String>,
    /// How it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4_096))]
    pub suffix: Option<String>,
    /// A regular expression of the whole text, in the syntax of the proxy (RE2 for most).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4_096))]
    pub regex: Option<String>,
}

impl TextMatch {
    /// The fields that are set, by name.
    #[must_use]
    pub fn said(&self) -> Vec<(&'static str, &str)> {
        let fields = [
            ("exact", &self.exact),
            ("prefix", &self.prefix),
            ("suffix", &self.suffix),
            ("regex", &self.regex),
        ];
        fields
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.as_deref()?)))
            .collect()
    }

    /// The same as a regular expression of the whole text.
    #[must_use]
    pub fn pattern(&self) -> String {
        let quoted = |text: &Option<String>| text.as_deref().map(regex::escape);
        quoted(&self.exact)
            .or_else(|| quoted(&self.prefix).map(|text| format!("{text}.*")))
            .or_else(|| quoted(&self.suffix).map(|text| format!(".*{text}")))
            .or_else(|| self.regex.clone())
            .unwrap_or_default()
    }

    /// The same, with its ends marked for proxies that would find it anywhere in the text.
    #[must_use]
    pub fn anchored(&self) -> String {
        let pattern = self.pattern();
        let begin = if pattern.starts_with('^') { "" } else { "^" };
        let end = if pattern.ends_with('$') { "" } else { "$" };
        if pattern.contains('|') {
            format!("^(?:{pattern})$")
        } else {
            format!("{begin}{pattern}{end}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_a_pattern_of_the_whole_text() {
        let set = |field: &str, text: &str| -> TextMatch {
            serde_json::from_value(serde_json::json!({field: text})).expect("it is one")
        };
        let rows = [
            ("exact", "a.b", r"a\.b", r"^a\.b$"),
            ("prefix", "in", "in.*", "^in.*$"),
            ("suffix", "der", ".*der", "^.*der$"),
            (
                "regex",
                "^(.*;)?x=1(;.*)?$",
                "^(.*;)?x=1(;.*)?$",
                "^(.*;)?x=1(;.*)?$",
            ),
            ("regex", "a|b", "a|b", "^(?:a|b)$"),
        ];
        for (field, text, pattern, anchored) in rows {
            let it = set(field, text);
            assert_eq!(it.pattern(), pattern, "{field}: {text}");
            assert_eq!(it.anchored(), anchored, "{field}: {text}");
            assert_eq!(it.said(), [(field, text)]);
        }
    }
}
