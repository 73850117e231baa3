//! Rows 10 to 14 of PROVIDERS section 7.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::field::list;
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::traffic::route::{self, Asked};
use serin::sim::users::Destination;

use crate::scenarios::istio::{hooks, latency};
use crate::scenarios::measured::{fine, promoted, rejected};
use crate::scenarios::providers::{HOST, everybody, provider};
use crate::story::log::canary_weight;
use crate::story::objects::{self, HOME};
use crate::story::setting::Setting;
use crate::story::tale::When;
use crate::story::{Story, oracle};

fn gateway(analysis: &Value) -> Setting {
    provider("gatewayapi:v1")
        .setting()
        .with(&json!({"analysis": analysis}))
}

const ERRORS: &str = r#"100 * (sum(rate(http_request_duration_seconds_count{namespace="{{ namespace }}",pod=~"{{ target }}-[a-z0-9]+-[a-z0-9]+",status=~"5.*"}[{{ interval }}])) or vector(0)) / sum(rate(http_request_duration_seconds_count{namespace="{{ namespace }}",pod=~"{{ target }}-[a-z0-9]+-[a-z0-9]+"}[{{ interval }}]))"#;

const LATENCY: &str = r#"1000 * histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{namespace="{{ namespace }}",pod=~"{{ target }}-[a-z0-9]+-[a-z0-9]+"}[{{ interval }}])) by (le))"#;

/// Row 10: templates judge, and each step begins once the gateway has accepted the route as it is.
#[tokio::test(start_paused = true)]
async fn each_step_waits_for_the_gateways_word() {
    let (slow, latency) = latency(LATENCY);
    let errors = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "errors", "namespace": HOME},
        "spec": {"provider": {"type": "prometheus"}, "query": ERRORS},
    });
    let check = json!({"name": "errors", "templateRef": {"name": "errors"}, "interval": "1m", "thresholdRange": {"max": 1}});
    let steps = json!({"stepWeights": [10, 20, 30, 40, 50], "metrics": [check, latency]});
    let mut setting = gateway(&steps);
    setting.objects.extend([slow, errors]);
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0");
    story.rests().await;
    let mut wrong = promoted(&story, &[0, 10, 20, 30, 40, 50, 0]);
    let mut route = Value::Null;
    for event in story.events() {
        if *event.key == objects::route_key() {
            route = Value::clone(&event.object);
        } else if *event.key == objects::canary_key() {
            let said = event.object["status"]["canaryWeight"].as_i64().unwrap_or(0);
            let before = event.before.as_ref();
            let news = before.is_none_or(|it| it["status"]["canaryWeight"] != said);
            if said > 0 && news && !(canary_weight(&route) == Some(said) && is_accepted(&route)) {
                wrong.push(format!("{said} % at {}: {route}", event.revision));
            }
        }
    }
    fine("row 10", &wrong);
}

/// Whether every condition of a route is true, of the route as it is.
fn is_accepted(route: &Value) -> bool {
    let generation = &route["metadata"]["generation"];
    let parents = list(route, "/status/parents").iter();
    let mut conditions = parents.flat_map(|it| list(it, "/conditions")).peekable();
    conditions.peek().is_some()
        && conditions.all(|it| it["status"] == "True" && &it["observedGeneration"] == generation)
}

/// Row 11: a version that answers with errors alone.
#[tokio::test(start_paused = true)]
async fn errors_alone_reject() {
    let story = Story::adopted(1, gateway(&json!({"threshold": 6}))).await;
    story.ship("2.0.0-errors100");
    story.rests().await;
    fine("row 11", &rejected(&story, "request-success-rate"));
}

/// Row 12: blue/green with hooks, and a limit in Flagger's old field.
#[tokio::test(start_paused = true)]
async fn rounds_without_users_come_before_the_switch() {
    let analysis = json!({
        "stepWeights": null, "checks": null, "iterations": 5, "webhooks": hooks(&["pre-rollout", "rollout", "post-rollout"]),
        "metrics": [{"name": "request-success-rate", "threshold": 99}],
    });
    // Somebody tests the canary while no user is there.
    let mut setting = gateway(&analysis);
    let tested = Name::new(HOME, "app-canary");
    let rate = Rate::Steps(vec![(Duration::from_secs(30), 50.0)]);
    let way = Destination::Service(tested.clone());
    setting.others.push((tested, way, rate));
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0");
    story.when(When::Phase("Promoting")).await;
    assert_eq!(story.answered(&everybody(), "2.0.0"), 0);
    story.rests().await;
    assert!(
        story.told().starts_with("Promoted: "),
        "{}",
        story.canary()["status"]
    );
    let calls = ["pre-rollout", "post-rollout"].map(|it| story.hooks.calls(it).len());
    assert_eq!((calls, story.lost()), ([1, 1], 0));
    fine("row 12", &oracle::breaches(&story, false));
}

/// Whom a cookie leads to now, by the live route.
fn led(story: &Story, cookie: &str) -> Vec<String> {
    let header = ("cookie".to_owned(), cookie.to_owned());
    let routes = story
        .world
        .api
        .list("gateway.networking.k8s.io", "httproutes", None);
    let asked = Asked {
        host: HOST,
        path: "/",
        header: Some(&header),
    };
    let backends = route::backends(&routes, asked).unwrap();
    let shares = backends.into_iter().filter(|it| it.weight > 0);
    shares.map(|it| it.service.name).collect()
}

/// The cookies that answers set now, with the backend that sets each.
fn set(story: &Story) -> Vec<(String, String)> {
    let route = story.world.api.get(&objects::route_key()).unwrap();
    let rules = list(&route, "/spec/rules").iter();
    let entries = rules.flat_map(|rule| list(rule, "/backendRefs"));
    let cookies = entries.filter_map(|entry| {
        let filter = list(entry, "/filters").first()?;
        let added = list(filter, "/responseHeaderModifier/add").first()?;
        let cookie = added["value"].as_str()?.split(';').next()?.to_owned();
        Some((cookie, entry["name"].as_str()?.to_owned()))
    });
    cookies.collect()
}

/// Row 14: at each weight a cookie leads to the one that set it, and from the canary nobody comes back.
#[tokio::test(start_paused = true)]
async fn a_cookie_keeps_its_user() {
    let cookie = json!({"sessionAffinity": {"cookieName": "arm", "maxAge": 3600}});
    let story = Story::adopted(1, gateway(&cookie)).await;
    story.ship("2.0.0");
    let mut on_canary: Vec<String> = Vec::new();
    for weight in [10, 50] {
        story.when(When::Weight(weight)).await;
        for kept in &on_canary {
            assert_eq!(led(&story, kept), ["app-canary"], "{kept} at {weight} %");
        }
        let cookies = set(&story);
        assert!(cookies.len() >= 2, "{cookies:?}");
        for (cookie, name) in cookies {
            assert_eq!(
                led(&story, &cookie),
                [name.as_str()],
                "{cookie} at {weight} %"
            );
            if name == "app-canary" {
                on_canary.push(cookie);
            }
        }
        assert!(led(&story, "arm=older-10").len() >= 2);
    }
    story.rests().await;
    fine("row 14", &promoted(&story, &[0, 10, 50, 100, 0]));
    assert_eq!(set(&story), []);
}
