//! Labels that tell the canary's Pods from stable's: no selector that serves stable may match them (SAFETY T8).

use std::collections::BTreeMap;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::crd::canary::Canary;
use crate::objects::{Deployment, Labels, Seen, Service, mark, selects};
use crate::workload::copy::untracked;

/// Labels whose value is changed by preference: policies and monitors select by the later ones.
const PREFERRED: [&str; 5] = [
    "app.kubernetes.io/instance",
    "release",
    "app",
    "app.kubernetes.io/name",
    "name",
];

/// Longest value of a label.
const LONGEST_VALUE: usize = 63;

/// Value of `serin.dev/role` on canary Pods.
const ROLE: &str = "canary";

/// Labels whose values differ on the canary's Pods: key, then the old and the new value.
pub(crate) type Rewrites = BTreeMap<String, (String, String)>;

/// What the canary's own selectors select by. It never changes, as a Deployment's selector cannot.
pub(crate) fn canary_selector(canary: &Canary) -> Labels {
    Labels::from([
        (mark::ROLE.to_owned(), ROLE.to_owned()),
        (mark::CANARY_UID.to_owned(), canary.identity()),
    ])
}

/// The labels of the canary's Pods.
pub(crate) fn pod_labels(canary: &Canary, target: &Deployment, seen: &Seen) -> Labels {
    let rewrites = rewrites(canary, target, seen);
    rewritten(&untracked(&target.template.labels), &rewrites)
        .into_iter()
        .chain(canary_selector(canary))
        .collect()
}

/// The labels with new values where they have the old ones.
pub(crate) fn rewritten(labels: &Labels, rewrites: &Rewrites) -> Labels {
    let value = |(key, value): (&String, &String)| {
        let new = rewrites.get(key).filter(|(old, _)| old == value);
        (key.clone(), new.map_or(value, |(_, new)| new).clone())
    };
    labels.iter().map(value).collect()
}

/// The least changes after which neither the target's selector nor that of any Service of the namespace matches.
pub(crate) fn rewrites(canary: &Canary, target: &Deployment, seen: &Seen) -> Rewrites {
    let labels = &target.template.labels;
    let services = selectors(canary, labels, seen);
    let serving = services.iter().filter(|selector| selects(selector, labels));
    let blockers: Vec<&Labels> = std::iter::once(&target.selector).chain(serving).collect();
    let mut rewrites = Rewrites::new();
    while let Some(blocker) = blocked_by(&blockers, labels, &rewrites) {
        let Some(key) = best_key(blocker, target, &blockers) else {
            break;
        };
        let old = labels.get(key).cloned().unwrap_or_default();
        let new = suffixed(&old, None);
        rewrites.insert(key.clone(), (old, new));
    }
    avoid_others(&mut rewrites, labels, &services);
    rewrites
}

/// Selectors of the namespace's Services but for our own. The apex may be switched to the canary: then as it was before.
fn selectors(canary: &Canary, labels: &Labels, seen: &Seen) -> Vec<Labels> {
    let apex = canary.service_name();
    let own = canary.canary_service_name();
    let others = seen.services.iter().filter(|(name, _)| **name != own);
    let selector = |(name, service): (&String, &Arc<Service>)| {
        if name == apex {
            as_on(&service.selector, labels)
        } else {
            service.selector.clone()
        }
    };
    others.map(selector).collect()
}

/// A selector with the values that these Pods carry; a label that they lack keeps its value.
pub(crate) fn as_on(selector: &Labels, pods: &Labels) -> Labels {
    let value =
        |(key, old): (&String, &String)| (key.clone(), pods.get(key).unwrap_or(old).clone());
    selector.iter().map(value).collect()
}

fn blocked_by<'a>(
    blockers: &[&'a Labels],
    labels: &Labels,
    rewrites: &Rewrites,
) -> Option<&'a Labels> {
    let now = rewritten(labels, rewrites);
    blockers
        .iter()
        .copied()
        .find(|blocker| selects(blocker, &now))
}

/// The label to change: one of the target's selector if there is one, one that most selectors use, one that people expect.
fn best_key<'a>(
    blocker: &'a Labels,
    target: &Deployment,
    blockers: &[&Labels],
) -> Option<&'a String> {
    let rank = |key: &&String| {
        let own = target.selector.contains_key(*key);
        let used = blockers
            .iter()
            .filter(|other| other.contains_key(*key))
            .count();
        let place = PREFERRED.iter().position(|known| known == key);
        let place = place.unwrap_or(PREFERRED.len());
        (!own, usize::MAX - used, place)
    };
    blocker.keys().min_by_key(rank)
}

/// A new value may be one that another Service selects: then it becomes one that nobody else can have chosen.
fn avoid_others(rewrites: &mut Rewrites, labels: &Labels, services: &[Labels]) {
    for salt in 0..services.len() {
        let now = rewritten(labels, rewrites);
        let Some(other) = services.iter().find(|selector| selects(selector, &now)) else {
            return;
        };
        for (key, (old, new)) in rewrites.iter_mut() {
            if other.contains_key(key) {
                *new = suffixed(old, Some(salt));
            }
        }
    }
}

/// `<value>-canary`, within the length of a label; what is cut, or taken, gets a hash.
fn suffixed(value: &str, salt: Option<usize>) -> String {
    let plain = if value.is_empty() {
        ROLE.to_owned()
    } else {
        format!("{value}-{ROLE}")
    };
    if plain.len() <= LONGEST_VALUE && salt.is_none() {
        return plain;
    }
    let hash = hash(&format!("{value}/{}", salt.unwrap_or_default()));
    let room = LONGEST_VALUE - ROLE.len() - hash.len() - 2;
    let cut: String = value.chars().take(room).collect();
    let cut = cut.trim_end_matches(['-', '_', '.']);
    if cut.is_empty() {
        return format!("{ROLE}-{hash}");
    }
    format!("{cut}-{hash}-{ROLE}")
}

fn hash(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(4);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Where a Pod template selects Pods of its own kind.
const OWN_SELECTORS: [(&str, &str); 3] = [
    (
        "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution",
        "/labelSelector",
    ),
    (
        "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
        "/podAffinityTerm/labelSelector",
    ),
    ("/spec/topologySpreadConstraints", "/labelSelector"),
];

/// Rewrites the same values in the template's own anti-affinity and topology spread.
pub(crate) fn rewrite_selectors(template: &mut Value, rewrites: &Rewrites) {
    for (list, inner) in OWN_SELECTORS {
        let terms = template.pointer_mut(list).and_then(Value::as_array_mut);
        for term in terms.into_iter().flatten() {
            if let Some(selector) = term.pointer_mut(inner) {
                rewrite_selector(selector, rewrites);
            }
        }
    }
}

fn rewrite_selector(selector: &mut Value, rewrites: &Rewrites) {
    for (key, (old, new)) in rewrites {
        let labels = selector.get_mut("matchLabels");
        if let Some(value) = labels.and_then(|labels| labels.get_mut(key))
            && value == old
        {
            *value = Value::from(new.as_str());
        }
        let expressions = selector
            .get_mut("matchExpressions")
            .and_then(Value::as_array_mut);
        let expressions = expressions.into_iter().flatten();
        for expression in expressions.filter(|it| it["key"] == *key && it["operator"] == "In") {
            let values = expression["values"].as_array_mut();
            for value in values.into_iter().flatten().filter(|value| *value == old) {
                *value = Value::from(new.as_str());
            }
        }
    }
}
