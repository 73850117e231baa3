//! What is wrong with the server of a template, and with its query, before anybody is asked.

use crate::crd::metric_template::MetricServer;
use crate::metrics::address_problem;
use crate::metrics::store::{Store, cloudwatch, external, splunk, stackdriver, web};

/// What is wrong with a template, with the field below `spec` in front; `None`: it can be asked.
#[must_use]
pub fn problem(provider: &MetricServer, query: &str) -> Option<String> {
    let Some(store) = Store::named(&provider.type_) else {
        return Some(format!("provider.type: {}", unknown(&provider.type_)));
    };
    let found = [
        region(store, provider),
        secret(store, provider),
        address(store, provider),
        path(store, provider),
        own_account(store, provider),
    ];
    let first = found.into_iter().flatten().next();
    let first = first.map(|why| format!("provider.{why}"));
    first.or_else(|| Some(format!("query: {}", language(store, query)?)))
}

/// What is wrong with a query as far as it can be seen before its variables have values.
fn language(store: Store, query: &str) -> Option<String> {
    match store {
        Store::CloudWatch if !query.trim_start().starts_with('[') => {
            Some("is not the JSON array of MetricDataQueries that cloudwatch takes".to_owned())
        }
        Store::ExternalMetrics => external::problem(query),
        Store::Stackdriver => stackdriver::problem(query),
        _ => None,
    }
}

/// Nothing that a template says may go to the API server in Serin's own name.
fn own_account(store: Store, provider: &MetricServer) -> Option<String> {
    if store != Store::ExternalMetrics || provider.address.is_some() {
        return None;
    }
    let rows = [
        ("secretRef", provider.secret_ref.is_some()),
        ("headers", !provider.headers.is_empty()),
        ("insecureSkipVerify", provider.insecure_skip_verify),
    ];
    let set = rows.into_iter().find(|(_, set)| *set);
    set.map(|(name, _)| {
        format!("{name}: is for a server at an address; write one, or take it out, and the API server is asked")
    })
}

/// Seconds that a window needs so that a point of the store lies in it as a whole; `None`: any window has one.
#[must_use]
pub fn least_window(provider: &MetricServer, query: &str) -> Option<u64> {
    let store = Store::named(&provider.type_)?;
    (store == Store::CloudWatch)
        .then(|| cloudwatch::longest_period(query))?
        .map(|period| 2 * period)
}

fn unknown(type_: &str) -> String {
    if type_ == "keptn" {
        return "keptn is not asked, for nobody maintains it any more; take web, or prometheus for what Keptn measured"
            .to_owned();
    }
    let [asked @ .., last] = Store::ALL.map(Store::name);
    format!(
        "{type_:?} is unknown; {} and {last} are there",
        asked.join(", ")
    )
}

fn region(store: Store, provider: &MetricServer) -> Option<String> {
    match (provider.region.as_deref(), store) {
        (None, Store::CloudWatch) => Some(
            "region: is missing; write where the metrics are, for instance eu-central-1".to_owned(),
        ),
        (Some(region), Store::CloudWatch) => {
            let wrong = !cloudwatch::is_region(region);
            wrong.then(|| format!("region: {region:?} is none; write for instance eu-central-1"))
        }
        (Some(_), _) => Some("region: is for type cloudwatch alone".to_owned()),
        (None, _) => None,
    }
}

fn secret(store: Store, provider: &MetricServer) -> Option<String> {
    let needs = matches!(
        store,
        Store::CloudWatch
            | Store::Datadog
            | Store::Dynatrace
            | Store::InfluxDb
            | Store::NewRelic
            | Store::Splunk
            | Store::Stackdriver
    );
    let missing = needs && provider.secret_ref.is_none();
    missing.then(|| {
        let more = match store {
            Store::Stackdriver => {
                "; workload identity is not taken: a Canary would see what the whole controller may"
            }
            Store::CloudWatch => {
                "; what AWS lends to Pods and nodes is not taken: a Canary would see what the whole controller may"
            }
            _ => "",
        };
        let type_ = &provider.type_;
        format!("secretRef: is missing; {type_} answers nobody without credentials{more}")
    })
}

fn address(store: Store, provider: &MetricServer) -> Option<String> {
    let Some(address) = provider.address.as_deref() else {
        let known = store == Store::Prometheus || store.usual(provider).is_some();
        return (!known).then(|| format!("address: is missing; write where {} is", provider.type_));
    };
    if let Some(stream) = splunk::stream(address).filter(|_| store == Store::Splunk) {
        return Some(format!(
            "address: programs run at {stream}: write that, also into the Secret"
        ));
    }
    address_problem(address).map(|why| format!("address: {why}"))
}

fn path(store: Store, provider: &MetricServer) -> Option<String> {
    match (provider.json_path.as_deref(), store) {
        (Some(path), Store::Web) => web::check(path).err().map(|why| format!("jsonPath: {why}")),
        (Some(_), _) => Some("jsonPath: is for type web alone".to_owned()),
        (None, Store::Web) => Some(
            "jsonPath: is missing; write where the value stands, for instance {$.score}".to_owned(),
        ),
        (None, _) => None,
    }
}
