//! What is different in the fields of a MetricTemplate's server, and what a person has to do for it.

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::metrics::store;

/// Puts a server and its query into Serin's form, and says what is left to do. What is refused, lint says.
pub(super) fn adapt(
    provider: &mut Map<String, Value>,
    spec: &mut Map<String, Value>,
    account: &mut Account,
) {
    let type_ = provider.get("type").and_then(Value::as_str);
    match type_.unwrap_or_default().to_owned().as_str() {
        "splunk" => stream(provider, account),
        "externalmetrics" => namespace(spec, account),
        "cloudwatch" => credentials(
            provider,
            "the keys aws_access_key_id and aws_secret_access_key",
            account,
        ),
        "stackdriver" => credentials(provider, "the key serviceAccountKey", account),
        _ => {}
    }
    if provider.contains_key("secretRef") {
        account.ask(
            "spec.provider.secretRef",
            "label the Secret serin.dev/credentials=true, put the server's URL into its key address, and let Serin read it: a \
             RoleBinding to ClusterRole serin-secrets (docs/reference.md)",
        );
    } else if type_is(provider, "externalmetrics") && !provider.contains_key("address") {
        account.ask(
            "spec.provider",
            "let Serin read external metrics of this namespace: a RoleBinding to ClusterRole serin-external-metrics (docs/reference.md)",
        );
    }
}

fn type_is(provider: &Map<String, Value>, type_: &str) -> bool {
    provider.get("type").is_some_and(|it| it == type_)
}

/// Flagger makes the address of programs of that of the API, and asks by websocket.
fn stream(provider: &mut Map<String, Value>, account: &mut Account) {
    let Some(address) = provider.get("address").and_then(Value::as_str) else {
        return;
    };
    let plain = address.replacen("wss://", "https://", 1);
    let stream = store::splunk_stream(&plain).unwrap_or(plain);
    if stream != address {
        let text = format!("is now {stream}, where programs run");
        account.change("spec.provider.address", &text);
        provider.insert("address".to_owned(), json!(stream));
    }
}

/// Flagger takes `default` where no namespace is written.
fn namespace(spec: &mut Map<String, Value>, account: &mut Account) {
    let Some(query) = spec.get("query").and_then(Value::as_str) else {
        return;
    };
    let query = query.trim().trim_start_matches('/');
    if query
        .split('?')
        .next()
        .is_some_and(|path| !path.contains('/'))
    {
        let query = format!("default/{query}");
        account.change(
            "spec.query",
            "names the namespace default, which Flagger took because none was written",
        );
        spec.insert("query".to_owned(), json!(query));
    }
}

/// Flagger takes what the cloud lends to its Pod.
fn credentials(provider: &Map<String, Value>, keys: &str, account: &mut Account) {
    if !provider.contains_key("secretRef") {
        let text = format!(
            "is not there: Flagger took what the cloud lends to its Pod, Serin takes {keys} of a Secret"
        );
        account.change("spec.provider.secretRef", &text);
    }
}
