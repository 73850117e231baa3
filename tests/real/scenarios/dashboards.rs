//! Dashboards and alerts on what a real Prometheus has scraped of real releases.

use std::collections::BTreeSet;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::monitoring;
use crate::objects::{self, APP};
use crate::prometheus;
use crate::record::text;
use crate::scenario::{RELEASE, Scenario};

/// The dashboards, as Grafana reads them.
const BOARDS: [&str; 3] = ["fleet", "release", "controller"];

/// Panels that may show nothing after two releases, with the reason.
static MAY_BE_EMPTY: [(&str, &str); 5] = [
    // A quantile of growth: the first release of its outcome has nothing to have grown from.
    ("fleet, Length of a release", "one release of each outcome"),
    ("release, Until the deadline", "no release is under way"),
    ("controller, Refused requests", "none was"),
    (
        "controller, Writes that the webhook was asked about",
        "the gate is policies here",
    ),
    // The API server ends a watch after some minutes.
    ("controller, Watches that began again", "none did"),
];

/// Where the answers come from, and of when.
struct Asked {
    address: String,
    from: SystemTime,
    to: SystemTime,
}

/// After a promotion and a rejection every expression is understood, and what has to have data has it.
pub(super) async fn every_panel_and_alert_is_answered(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 2, &analysis()).await?;
    let address = monitoring::start(s).await?;
    let done = released(s, address).await;
    monitoring::end(s).await?;
    done
}

async fn released(s: &Scenario, address: String) -> Result<()> {
    let load = s.load().await?;
    let from = SystemTime::now();
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.canary_is_gone().await?;
    s.ship("3.0.0-errors50").await?;
    s.phase("Failed", RELEASE).await?;
    tokio::time::sleep(monitoring::SEEN).await;
    let to = SystemTime::now();
    let asked = Asked { address, from, to };
    panels(s, &asked).await?;
    alerts(s, &asked).await?;
    s.no_request_lost(load).map(drop)
}

/// Success and latency, so that every panel of a check has something to show.
fn analysis() -> Value {
    let mut analysis = objects::quick();
    analysis["metrics"] = json!([
        {"name": "request-success-rate", "thresholdRange": {"min": 99}},
        {"name": "request-duration", "thresholdRange": {"max": 1000}},
    ]);
    analysis
}

/// Asks what every panel of every dashboard asks.
async fn panels(s: &Scenario, asked: &Asked) -> Result<()> {
    let mut empty = BTreeSet::new();
    let mut wrong = Vec::new();
    for board in BOARDS {
        let file = s.world.places.root.join(format!("dashboards/{board}.json"));
        let file = std::fs::read_to_string(file)?;
        let body: Value = serde_json::from_str(&file)?;
        for panel in body["panels"].as_array().into_iter().flatten() {
            let title = format!("{board}, {}", text(panel, "/title"));
            for target in panel["targets"].as_array().into_iter().flatten() {
                match answered(s, asked, target).await {
                    Ok(true) => {}
                    Ok(false) => drop(empty.insert(title.clone())),
                    Err(error) => wrong.push(format!("{title}: {error:#}")),
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "not answered: {wrong:#?}");
    for (title, _) in MAY_BE_EMPTY {
        empty.remove(title);
    }
    ensure!(empty.is_empty(), "no data: {empty:?}");
    Ok(())
}

/// Whether a query of a panel has a number to show.
async fn answered(s: &Scenario, asked: &Asked, target: &Value) -> Result<bool> {
    let Asked { address, from, to } = asked;
    let query = filled(s, text(target, "/expr"));
    let reply = if target["instant"] == true {
        prometheus::instant_at(address, &query, *to).await
    } else {
        prometheus::range_at(address, &query, *from, *to).await
    };
    let reply = reply.with_context(|| query.clone())?;
    ensure!(reply["status"] == "success", "{query}: {reply}");
    let series = reply["data"]["result"].as_array().into_iter().flatten();
    Ok(series.flat_map(numbers).any(f64::is_finite))
}

/// The values of a series of either kind of query.
fn numbers(series: &Value) -> Vec<f64> {
    let one = std::iter::once(&series["value"]);
    let more = series["values"].as_array().into_iter().flatten();
    one.chain(more)
        .filter_map(|pair| pair[1].as_str()?.parse().ok())
        .collect()
}

/// The expression with what a person has chosen.
fn filled(s: &Scenario, expression: &str) -> String {
    let chosen = [
        ("$__rate_interval", "1m"),
        ("$namespace", s.namespace.as_str()),
        ("$name", APP),
        ("$target", APP),
        ("$metric", ".*"),
    ];
    chosen
        .iter()
        .fold(expression.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
}

/// Prometheus evaluates every rule without complaint, and has noticed the rejection.
async fn alerts(s: &Scenario, asked: &Asked) -> Result<()> {
    let reply = prometheus::ask(&asked.address, "rules").await?;
    let groups = reply["data"]["groups"].as_array().into_iter().flatten();
    let rules: Vec<_> = groups
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .collect();
    let known = rules_of(s)?;
    ensure!(rules.len() == known, "{} of {known} rules", rules.len());
    for rule in &rules {
        ensure!(rule["health"] == "ok", "{rule}");
    }
    let rejected = rules
        .iter()
        .filter(|rule| rule["name"] == "SerinCanaryRejected")
        .flat_map(|rule| rule["alerts"].as_array().into_iter().flatten())
        .any(|alert| text(alert, "/labels/namespace") == s.namespace);
    ensure!(rejected, "no alert says that the release was rejected");
    Ok(())
}

/// Number of rules in the file.
fn rules_of(s: &Scenario) -> Result<usize> {
    let file = s.world.places.root.join("dashboards/rules.yaml");
    let file = std::fs::read_to_string(file)?;
    let rules = file
        .lines()
        .filter(|line| line.trim_start().starts_with("- alert: "));
    Ok(rules.count())
}
