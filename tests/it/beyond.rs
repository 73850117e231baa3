//! What the canary gets beyond its share, with users who mark their requests: they alone try a release, and nobody else does.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::api::Api;
use serin::sim::field::list;
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::users::Destination;

use crate::story::crash::Crash;
use crate::story::setting::Setting;
use crate::story::{Story, objects};

/// Marks the requests of those who want the new version.
const MARK: (&str, &str) = ("x-canary", "insider");

fn insiders() -> Name {
    Name::new(objects::HOME, "insiders")
}

/// An application that is tried by insiders, of whom 20 requests a second come.
async fn tried(analysis: &Value) -> Story {
    let mut setting =
        Setting::usual().with(&json!({"analysis": {"stepWeights": null, "checks": null}}));
    setting = setting.with(&json!({"analysis": analysis}));
    let host = "shop.example".to_owned();
    let marked = (MARK.0.to_owned(), MARK.1.to_owned());
    let way = Destination::Marked(host, "/".to_owned(), marked);
    setting.others.push((
        insiders(),
        way,
        Rate::Steps(vec![(Duration::from_secs(30), 20.0)]),
    ));
    Story::adopted(1, setting).await
}

fn by_header() -> Value {
    json!({"iterations": 3, "match": [{"headers": {MARK.0: {"exact": MARK.1}}}]})
}

/// How many requests of these users each version answered.
fn answered(story: &Story, who: &Name, version: &str) -> u64 {
    let traffic = story.world.traffic.lock().unwrap();
    let ledger = traffic.ledger(who).unwrap();
    ledger.counts(version).answered
}

fn rules(story: &Story) -> Vec<Value> {
    rules_in(&story.world.api)
}

fn rules_in(api: &Api) -> Vec<Value> {
    let route = api.get(&objects::route_key()).unwrap();
    list(&route, "/spec/rules").to_vec()
}

#[tokio::test(start_paused = true)]
async fn insiders_alone_try_a_release() {
    let story = tried(&by_header()).await;
    story.ship("2.0.0");
    passed(&story, 2).await;
    let tried_by = |story: &Story, who: &Name| answered(story, who, "2.0.0");
    assert!(tried_by(&story, &insiders()) > 300, "two rounds of 10 s");
    assert_eq!(tried_by(&story, &everybody()), 0);
    assert_eq!(rules(&story).len(), 2);
    story.becomes("Succeeded").await;
    at_rest(&story).await;
    assert_eq!(story.weights(), [0]);
}

#[tokio::test(start_paused = true)]
async fn errors_that_insiders_alone_see_reject_a_release() {
    let story = tried(&by_header()).await;
    story.ship("2.0.0-errors50");
    story.becomes("Failed").await;
    at_rest(&story).await;
    assert_eq!(answered(&story, &everybody(), "2.0.0-errors50"), 0);
    let message = story.canary()["status"]["message"].to_string();
    assert!(message.contains("request-success-rate"), "{message}");
}

/// Users who mark their requests are on the new version from the first step on, the others by weight.
#[tokio::test(start_paused = true)]
async fn insiders_are_ahead_of_the_weights() {
    let analysis = json!({"checks": 1, "stepWeights": [10, 50], "match": by_header()["match"]});
    let story = tried(&analysis).await;
    story.ship("2.0.0");
    story.becomes("Succeeded").await;
    at_rest(&story).await;
    assert_eq!(story.weights(), [0, 10, 50, 0]);
}

/// Users with the header try a release alone, then beside a share, then they are like everybody.
#[tokio::test(start_paused = true)]
async fn a_step_gives_the_canary_requests_with_a_header_and_takes_them_back() {
    let header = json!([{"headerName": MARK.0, "headerValue": {"exact": MARK.1}}]);
    let steps = json!([
        {"setHeaderRoute": {"name": "insiders", "match": header}}, {"checks": 2},
        {"setWeight": 20}, {"checks": 1}, {"setHeaderRoute": {"name": "insiders"}}, {"checks": 1},
    ]);
    let story = tried(&json!({"steps": steps})).await;
    story.ship("2.0.0");
    passed(&story, 1).await;
    assert_eq!(answered(&story, &everybody(), "2.0.0"), 0);
    assert!(answered(&story, &insiders(), "2.0.0") > 100);
    assert_eq!(rules(&story).len(), 2);
    story.becomes("Succeeded").await;
    at_rest(&story).await;
    assert_eq!(story.weights(), [0, 20, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_keeps_insiders_where_they_are() {
    let mut writes = 0;
    for at in 0.. {
        let mut story = tried(&by_header()).await;
        story.kill();
        let crash = Crash::new(at, at % 2 == 0);
        crash.arm();
        story.start(Some(crash.clone()), Duration::from_millis(300));
        story.ship("2.0.0");
        story.becomes("Succeeded").await;
        at_rest(&story).await;
        if crash.writes().len() <= at {
            break;
        }
        writes = at;
    }
    assert!(writes > 20, "{writes} writes");
}

fn everybody() -> Name {
    Name::new(objects::HOME, objects::APP)
}

/// So many rounds of checks have passed.
async fn passed(story: &Story, rounds: u64) {
    let canary = objects::canary_key();
    let done = |api: &Api| {
        let canary = api
            .get(&canary)
            .map(|it| Value::clone(&it))
            .unwrap_or_default();
        canary["status"]["step"]["passed"].as_u64() >= Some(rounds)
    };
    assert!(story.until(done, Duration::from_secs(120)).await);
}

/// Nothing is left of the attempt, and nobody lost a request.
async fn at_rest(story: &Story) {
    story.quiet(Duration::from_secs(60)).await;
    assert_eq!(rules(story).len(), 1);
    assert!(!story.has_canary());
    assert_eq!(story.lost(), 0);
}
