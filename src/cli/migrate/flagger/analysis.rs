//! Flagger's `analysis`: steps, checks, hooks and messages.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::migrate::account::Account;
use crate::cli::migrate::fields::Fields;
use crate::cli::migrate::flagger::hooks;

/// The shortest interval that Flagger takes.
const SHORTEST: Duration = Duration::from_secs(10);

/// How a release goes on.
#[derive(Clone, Debug, PartialEq)]
enum Plan {
    Iterations(i64),
    Weights(Vec<Value>),
    Equal { by: i64, most: Option<i64> },
    Unsaid,
}

/// Writes `spec.analysis`.
pub(super) fn convert(
    spec: &mut Fields,
    home: &str,
    out: &mut Map<String, Value>,
    account: &mut Account,
) {
    let old = spec.below("canaryAnalysis");
    let mut analysis = match (spec.below("analysis"), old) {
        (Some(analysis), Some(_)) => {
            account.drop(
                "spec.canaryAnalysis",
                "spec.analysis says the same, and counts",
            );
            analysis
        }
        (Some(analysis), None) => analysis,
        (None, Some(old)) => {
            account.change("spec.canaryAnalysis", "is now spec.analysis");
            old
        }
        (None, None) => {
            account.change(
                "spec.analysis",
                "is not there: Flagger promoted without any; Serin tries 10, 50 and 100 % (skipAnalysis: true is Flagger's way)",
            );
            return;
        }
    };
    let mut made = Map::new();
    pace(&mut analysis, &mut made, account);
    hooks::webhooks(&mut analysis, &mut made, account);
    let plan = plan(&mut analysis, account);
    hooks::alerts(&mut analysis, home, &mut made, account);
    if matches!(plan, Plan::Iterations(_)) {
        without_share(&mut analysis, account);
    }
    steps(plan, &mut made, account);
    metrics(&mut analysis, home, &mut made, account);
    analysis.keep(
        &["canaryReadyThreshold", "primaryReadyThreshold"],
        &mut made,
        account,
    );
    matches(&mut analysis, &mut made, account);
    const SHARING: [&str; 3] = ["mirror", "mirrorWeight", "stepWeightPromotion"];
    analysis.keep(&SHARING, &mut made, account);
    affinity(&mut analysis, &mut made, account);
    made.insert("comparison".to_owned(), json!({"enabled": false}));
    let text = "gets comparison.enabled: false, so that limits alone decide, as before: take comparison out, and canary and \
                stable are compared, too";
    account.change(analysis.path("").trim_end_matches('.'), text);
    analysis.close(account);
    out.insert("analysis".to_owned(), Value::Object(made));
}

/// Which requests go to the canary. What Serin cannot ask of a request stays out, and a person hears of it: without it more
/// requests would match.
fn matches(analysis: &mut Fields, made: &mut Map<String, Value>, account: &mut Account) {
    const ASKED: [&str; 2] = ["headers", "queryParams"];
    let mut kept = Vec::new();
    for (path, entry) in analysis.list("match") {
        let fields = entry.as_object().into_iter().flatten();
        let strange: Vec<&String> = fields
            .map(|(name, _)| name)
            .filter(|name| !ASKED.contains(&name.as_str()))
            .collect();
        if strange.is_empty() {
            let mut one = Map::new();
            Fields::new(&path, Some(entry)).keep(&ASKED, &mut one, account);
            kept.push(Value::Object(one));
        } else {
            let text = format!(
                "asks for {strange:?} too, and Serin matches headers and queryParams alone; the entry is left out"
            );
            account.ask(&path, &text);
        }
    }
    if !kept.is_empty() {
        made.insert("match".to_owned(), Value::Array(kept));
    }
}

/// What means nothing where the canary gets no share of the users.
fn without_share(analysis: &mut Fields, account: &mut Account) {
    if analysis.below("sessionAffinity").is_some() {
        let why = "with iterations no user is drawn: match says who goes to the canary, and that is always the same";
        account.drop(&analysis.path("sessionAffinity"), why);
    }
    if analysis.number("stepWeightPromotion").is_some() {
        let why = "with iterations there is no share that could be given back in steps";
        account.drop(&analysis.path("stepWeightPromotion"), why);
    }
}

/// The cookie that keeps users where they are: one, where Flagger has two.
fn affinity(analysis: &mut Fields, made: &mut Map<String, Value>, account: &mut Account) {
    const KEPT: [&str; 8] = [
        "cookieName",
        "maxAge",
        "path",
        "domain",
        "secure",
        "httpOnly",
        "sameSite",
        "partitioned",
    ];
    let field = analysis.path("sessionAffinity");
    let Some(mut affinity) = analysis.below("sessionAffinity") else {
        return;
    };
    let mut kept = Map::new();
    affinity.keep(&KEPT, &mut kept, account);
    if affinity.text("primaryCookieName").is_some() {
        account.drop(
            &affinity.path("primaryCookieName"),
            "one cookie keeps users on the canary and on stable",
        );
    }
    affinity.close(account);
    account.change(
        &field,
        "the cookie says of each user which step reaches him, so that nobody leaves the canary while it grows, and has Path=/, HttpOnly and SameSite=Lax unless you say otherwise",
    );
    made.insert("sessionAffinity".to_owned(), Value::Object(kept));
}

fn pace(analysis: &mut Fields, made: &mut Map<String, Value>, account: &mut Account) {
    let field = analysis.path("interval");
    if let Some(text) = analysis.text("interval") {
        let is_short = humantime::parse_duration(&text).is_ok_and(|it| it < SHORTEST);
        if is_short {
            account.change(
                &field,
                "is 10s, which Flagger took for anything shorter; Serin takes 1s and more",
            );
            made.insert("interval".to_owned(), json!("10s"));
        } else {
            account.keep(&field);
            made.insert("interval".to_owned(), json!(text));
        }
    }
    let field = analysis.path("threshold");
    let threshold = analysis.number("threshold").filter(|it| *it > 0);
    if threshold.is_some() {
        account.keep(&field);
    } else {
        account.change(&field, "is written out: Flagger's default is 1, Serin's 2");
    }
    made.insert("threshold".to_owned(), json!(threshold.unwrap_or(1)));
}

/// Of several plans the one that Flagger follows.
fn plan(analysis: &mut Fields, account: &mut Account) -> Plan {
    let say = |name: &str, account: &mut Account| account.keep(&format!("spec.analysis.{name}"));
    let iterations = analysis.number("iterations").filter(|it| *it > 0);
    let weights: Vec<_> = analysis.list("stepWeights");
    let by = analysis.number("stepWeight").filter(|it| *it > 0);
    let most = analysis.number("maxWeight").filter(|it| *it > 0);
    let unused = |names: &[(&str, bool)], winner: &str, account: &mut Account| {
        for (name, _) in names.iter().filter(|(_, is_set)| *is_set) {
            let text = format!("{winner} counts, as it did for Flagger");
            account.drop(&format!("spec.analysis.{name}"), &text);
        }
    };
    let has_weights = !weights.is_empty();
    if let Some(rounds) = iterations {
        say("iterations", account);
        let names = [
            ("stepWeights", has_weights),
            ("stepWeight", by.is_some()),
            ("maxWeight", most.is_some()),
        ];
        unused(&names, "iterations", account);
        return Plan::Iterations(rounds);
    }
    if has_weights {
        say("stepWeights", account);
        let names = [("stepWeight", by.is_some()), ("maxWeight", most.is_some())];
        unused(&names, "stepWeights", account);
        return Plan::Weights(weights.into_iter().map(|(_, weight)| weight).collect());
    }
    if let Some(by) = by {
        say("stepWeight", account);
        if most.is_some() {
            say("maxWeight", account);
        }
        return Plan::Equal { by, most };
    }
    unused(
        &[("maxWeight", most.is_some())],
        "no stepWeight was there, so it",
        account,
    );
    account.ask(
        "spec.analysis",
        "states no steps, with which Flagger never moves traffic: Serin takes 10, 50 and 100 %; write stepWeights, or iterations",
    );
    Plan::Unsaid
}

/// The plan in Serin's fields.
fn steps(plan: Plan, made: &mut Map<String, Value>, account: &mut Account) {
    if !matches!(plan, Plan::Iterations(_)) {
        account.change(
            "spec.analysis",
            "checks: 1 is written out: Flagger goes on after one passed round, Serin's default is 3",
        );
        made.insert("checks".to_owned(), json!(1));
    }
    match plan {
        Plan::Iterations(rounds) => {
            made.insert("iterations".to_owned(), json!(rounds));
        }
        Plan::Weights(weights) => {
            made.insert("stepWeights".to_owned(), json!(weights));
        }
        Plan::Equal { by, most } => {
            made.insert("stepWeight".to_owned(), json!(by));
            if let Some(most) = most {
                made.insert("maxWeight".to_owned(), json!(most));
            }
        }
        Plan::Unsaid => {}
    }
}

fn metrics(
    analysis: &mut Fields,
    home: &str,
    made: &mut Map<String, Value>,
    account: &mut Account,
) {
    let written = analysis.list("metrics");
    if written.is_empty() {
        account.change(
            "spec.analysis.metrics",
            "is empty: Flagger checked nothing but readiness; Serin also wants request-success-rate ≥ 99 % where it has a metrics server",
        );
        return;
    }
    let metrics: Vec<_> = written
        .into_iter()
        .map(|(path, value)| metric(Fields::new(&path, Some(value)), home, account))
        .collect();
    made.insert("metrics".to_owned(), json!(metrics));
}

fn metric(mut metric: Fields, home: &str, account: &mut Account) -> Value {
    let mut kept = Map::new();
    metric.keep(
        &[
            "name",
            "interval",
            "thresholdRange",
            "query",
            "templateVariables",
        ],
        &mut kept,
        account,
    );
    threshold(&mut metric, &mut kept, account);
    if let Some(mut reference) = metric.below("templateRef") {
        let mut name = Map::new();
        reference.keep(&["name"], &mut name, account);
        let field = reference.path("namespace");
        if let Some(other) = reference.text("namespace") {
            if other == home {
                account.change(&field, "is left out: it is the Canary's own");
            } else {
                let text = format!(
                    "templates of another namespace are not taken: apply a copy of the MetricTemplate from {other} in {home}"
                );
                account.ask(&field, &text);
            }
        }
        reference.close(account);
        if kept.contains_key("query") {
            kept.remove("query");
            account.drop(
                &metric.path("query"),
                "templateRef counts, as it did for Flagger",
            );
        }
        kept.insert("templateRef".to_owned(), Value::Object(name));
    }
    metric.close(account);
    Value::Object(kept)
}

/// Flagger's old limit: the least success rate, the most of anything else.
fn threshold(metric: &mut Fields, kept: &mut Map<String, Value>, account: &mut Account) {
    let field = metric.path("threshold");
    let Some(threshold) = metric.take("threshold") else {
        return;
    };
    if kept.contains_key("thresholdRange") {
        account.drop(&field, "thresholdRange counts, as it did for Flagger");
        return;
    }
    let is_rate = kept.get("name") == Some(&json!("request-success-rate"));
    let side = if is_rate { "min" } else { "max" };
    account.change(&field, &format!("is now thresholdRange.{side}"));
    kept.insert("thresholdRange".to_owned(), json!({side: threshold}));
}
