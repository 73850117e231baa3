//! Flagger's hooks, which are Serin's but for a few limits, and its messages.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::fields::Fields;
use crate::crd::hook::HookKind;

/// The longest name of a hook.
const NAME: usize = 63;
/// The shortest time for an answer.
const SHORTEST: std::time::Duration = std::time::Duration::from_secs(1);
/// The most tries after the first.
const RETRIES: i64 = 10;

/// The hooks in Serin's fields.
pub(super) fn webhooks(
    analysis: &mut Fields,
    made: &mut Map<String, Value>,
    account: &mut Account,
) {
    let mut names = BTreeSet::new();
    let hooks = analysis.list("webhooks").into_iter();
    let hooks: Vec<_> = hooks
        .filter_map(|(path, value)| hook(Fields::new(&path, Some(value)), &mut names, account))
        .collect();
    if !hooks.is_empty() {
        made.insert("webhooks".to_owned(), json!(hooks));
    }
}

fn hook(mut old: Fields, names: &mut BTreeSet<String>, account: &mut Account) -> Option<Value> {
    let mut hook = Map::new();
    let (path, kind) = (old.path("type"), old.text("type").unwrap_or_default());
    let known = kind.is_empty() || serde_json::from_value::<HookKind>(json!(kind)).is_ok();
    if !known {
        account.ask(
            &path,
            &format!("{kind:?} is no type of a hook, and the hook is left out"),
        );
        old.clear();
        return None;
    }
    name(&mut old, &mut hook, names, account);
    if !kind.is_empty() {
        hook.insert("type".to_owned(), json!(kind));
        account.keep(&path);
    }
    old.keep(&["url", "muteAlert", "metadata"], &mut hook, account);
    timeout(&mut old, &mut hook, account);
    retries(&mut old, &mut hook, account);
    if old.flag("disableTLS") == Some(true) {
        account.ask(
            &old.path("disableTLS"),
            "certificates are looked at: give the hook one that the controller trusts, or call it by http",
        );
    }
    old.close(account);
    Some(Value::Object(hook))
}

/// A name that no other hook has.
fn name(
    old: &mut Fields,
    hook: &mut Map<String, Value>,
    names: &mut BTreeSet<String>,
    account: &mut Account,
) {
    let path = old.path("name");
    let wanted = old.text("name").unwrap_or_default();
    let base: String = wanted.chars().take(NAME).collect();
    let base = if base.is_empty() {
        "hook".to_owned()
    } else {
        base
    };
    let mut name = base.clone();
    for count in 2.. {
        if names.insert(name.clone()) {
            break;
        }
        let short: String = base.chars().take(NAME - 4).collect();
        name = format!("{short}-{count}");
    }
    if name == wanted {
        account.keep(&path);
    } else {
        account.change(
            &path,
            &format!("is now {name}: names are unique, and at most 63 characters long"),
        );
    }
    hook.insert("name".to_owned(), json!(name));
}

fn timeout(old: &mut Fields, hook: &mut Map<String, Value>, account: &mut Account) {
    let path = old.path("timeout");
    let Some(text) = old.text("timeout") else {
        return;
    };
    if humantime::parse_duration(&text).is_ok_and(|it| it < SHORTEST) {
        account.change(
            &path,
            "is now 1s, the shortest time that is waited for an answer",
        );
        hook.insert("timeout".to_owned(), json!("1s"));
    } else {
        account.keep(&path);
        hook.insert("timeout".to_owned(), json!(text));
    }
}

fn retries(old: &mut Fields, hook: &mut Map<String, Value>, account: &mut Account) {
    let path = old.path("retries");
    let Some(count) = old.number("retries") else {
        return;
    };
    let allowed = count.clamp(0, RETRIES);
    if allowed == count {
        account.keep(&path);
    } else {
        account.change(
            &path,
            &format!("is now {allowed}: 0 to 10 more tries are made"),
        );
    }
    hook.insert("retries".to_owned(), json!(allowed));
}

/// Alerts have the same fields; a provider of another namespace cannot be named.
pub(super) fn alerts(
    analysis: &mut Fields,
    home: &str,
    out: &mut Map<String, Value>,
    account: &mut Account,
) {
    let mut kept = Vec::new();
    for (path, alert) in analysis.list("alerts") {
        let mut old = Fields::new(&path, Some(alert));
        let mut new = Map::new();
        old.keep(&["name", "severity"], &mut new, account);
        if !new.contains_key("severity") {
            account.change(
                &format!("{path}.severity"),
                "is not there: Flagger sent nothing then, and Serin sends all",
            );
        }
        if let Some(reference) = old.below("providerRef") {
            new.insert("providerRef".to_owned(), of_home(reference, home, account));
        }
        old.close(account);
        kept.push(Value::Object(new));
    }
    if !kept.is_empty() {
        out.insert("alerts".to_owned(), Value::Array(kept));
    }
}

/// A reference to an AlertProvider, which has to be one of the Canary's own namespace.
fn of_home(mut reference: Fields, home: &str, account: &mut Account) -> Value {
    let mut kept = Map::new();
    let path = reference.path("namespace");
    reference.keep(&["name"], &mut kept, account);
    match reference.text("namespace") {
        Some(foreign) if foreign != home => {
            let text = format!(
                "only AlertProviders of the Canary's own namespace are used: copy that of {foreign:?}"
            );
            account.ask(&path, &text);
        }
        Some(own) => {
            account.keep(&path);
            kept.insert("namespace".to_owned(), Value::String(own));
        }
        None => {}
    }
    reference.close(account);
    Value::Object(kept)
}
