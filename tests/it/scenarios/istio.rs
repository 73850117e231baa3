//! Rows 1 to 5 and 7 to 9 of PROVIDERS section 7; row 6 is in `own_routes`.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::proxies::objects::Objects;
use serin::sim::proxies::{Proxies, Sight};
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::users::Destination;

use crate::scenarios::measured::{fine, promoted, rejected};
use crate::scenarios::providers::{GATEWAYS_OF_ISTIO, everybody, insiders, key, provider};
use crate::story::hooks::Mood;
use crate::story::objects::{self, APP, HOME};
use crate::story::setting::Setting;
use crate::story::tale::When;
use crate::story::{Story, oracle};

const SERVICES: (&str, &str) = ("networking.istio.io", "virtualservices");

fn istio(analysis: &Value) -> Setting {
    provider("istio")
        .setting()
        .with(&json!({"analysis": analysis}))
}

fn virtual_service(story: &Story) -> Value {
    let found = story.world.api.get(&key(SERVICES, APP));
    found.map(|it| Value::clone(&it)).unwrap_or_default()
}

/// Row 1: a running application is adopted, and nothing of it changes.
#[tokio::test(start_paused = true)]
async fn an_application_is_adopted_as_it_stands() {
    let mut story = Story::new(
        1,
        istio(&json!({})).with(&json!({"service": {"portDiscovery": true}})),
    );
    story.quiet(Duration::from_secs(60)).await;
    let service = |story: &Story| story.world.api.get(&objects::service_key()).unwrap();
    let (pods, before) = (story.pods(), service(&story));
    story.start(None, Duration::ZERO);
    story.becomes("Initialized").await;
    story.quiet(Duration::from_secs(120)).await;
    assert_eq!(story.pods(), pods);
    assert_eq!(service(&story), before, "the Service was written");
    let found = virtual_service(&story);
    let route = json!([{"destination": {"host": APP}, "weight": 100}, {"destination": {"host": "app-canary"}, "weight": 0}]);
    assert_eq!(found["spec"]["http"][0]["route"], route);
    assert!(found["metadata"]["labels"]["serin.dev/canary-uid"].is_string());
    // Headers that somebody adds stay through a release.
    let add = json!({"request": {"add": {"x-team": "checkout"}}});
    story.edit(&key(SERVICES, APP), |it| {
        it["spec"]["http"][0]["headers"] = add.clone()
    });
    story.ship("2.0.0");
    story.rests().await;
    fine("row 1", &promoted(&story, &[0, 10, 50, 100, 0]));
    assert_eq!(virtual_service(&story)["spec"]["http"][0]["headers"], add);
}

/// A template of latencies, which names the reporter as a variable, and a check by it.
pub(super) fn latency(query: &str) -> (Value, Value) {
    let template = json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "latency", "namespace": HOME},
        "spec": {"provider": {"type": "prometheus"}, "query": query},
    });
    let check = json!({
        "name": "latency", "templateRef": {"name": "latency"}, "interval": "1m", "thresholdRange": {"max": 500},
        "templateVariables": {"reporter": "destination"},
    });
    (template, check)
}

const LATENCY: &str = r#"histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{reporter="{{ variables.reporter }}",destination_workload_namespace="{{ namespace }}",destination_workload="{{ target }}"}[{{ interval }}])) by (le))"#;

/// Row 2: by steps, with a built-in check and one of a template.
#[tokio::test(start_paused = true)]
async fn a_template_judges_beside_the_built_in_check() {
    for (tag, slow) in [("2.0.0", false), ("2.0.0-latency900", true)] {
        let (template, check) = latency(LATENCY);
        let success = json!({"name": "request-success-rate", "thresholdRange": {"min": 99}});
        let analysis = json!({"stepWeights": [10, 20, 30], "metrics": [success, check]});
        let mut setting = istio(&analysis);
        setting.objects.push(template);
        let story = Story::adopted(1, setting).await;
        story.ship(tag);
        story.rests().await;
        let wrong = match slow {
            true => rejected(&story, "latency"),
            false => promoted(&story, &[0, 10, 20, 30, 0]),
        };
        fine("row 2", &wrong);
    }
}

/// Hooks of these kinds, each with its kind as its name.
pub(super) fn hooks(kinds: &[&str]) -> Value {
    let hook = |kind: &&str| json!({"name": *kind, "type": *kind, "url": format!("http://hooks/hook/{kind}")});
    kinds.iter().map(hook).collect()
}

/// Row 3: blue/green. Nobody is on the canary before it is promoted; the hook of each round is called in each, the others once.
#[tokio::test(start_paused = true)]
async fn rounds_without_users_come_before_the_switch() {
    let called = hooks(&["pre-rollout", "rollout", "post-rollout"]);
    let analysis =
        json!({"stepWeights": null, "checks": null, "iterations": 5, "webhooks": called});
    let story = Story::adopted(1, istio(&analysis)).await;
    story.ship("2.0.0");
    story.when(When::Phase("Promoting")).await;
    assert_eq!(story.answered(&everybody(), "2.0.0"), 0);
    story.rests().await;
    assert!(story.told().starts_with("Promoted: "), "{}", story.told());
    assert_eq!((story.lost(), story.has_canary()), (0, false));
    let calls = ["pre-rollout", "post-rollout"].map(|it| story.hooks.calls(it).len());
    assert_eq!(calls, [1, 1]);
    assert!(story.hooks.calls("rollout").len() >= 5);
    fine("row 3", &oracle::breaches(&story, false));
}

/// Row 4: insiders by their cookie; a gate before the promotion, and a word after it.
#[tokio::test(start_paused = true)]
async fn insiders_by_cookie_try_a_release_until_a_gate_opens() {
    let pattern = r"^(.*?;\s*)?(type=insider)(;.*)?$";
    let analysis = json!({
        "stepWeights": null, "checks": null, "iterations": 5, "match": [{"headers": {"cookie": {"regex": pattern}}}],
        "webhooks": hooks(&["confirm-promotion", "post-rollout"]),
    });
    let mut setting = istio(&analysis);
    let rate = || Rate::Steps(vec![(Duration::from_secs(30), 20.0)]);
    let service = everybody();
    let cookie = |value: &str| ("cookie".to_owned(), value.to_owned());
    let way = Destination::MarkedService(service.clone(), cookie("a=b; type=insider"));
    setting.others.push((insiders(), way, rate()));
    let strangers = Name::new(HOME, "strangers");
    let way = Destination::MarkedService(service, cookie("type=insiders"));
    setting.others.push((strangers.clone(), way, rate()));
    let story = Story::adopted(1, setting).await;
    story.hooks.set("confirm-promotion", Mood::No);
    story.ship("2.0.0");
    story.when(When::Phase("WaitingPromotion")).await;
    story.quiet(Duration::from_secs(120)).await;
    assert_eq!(story.phase(), "WaitingPromotion");
    assert!(story.answered(&insiders(), "2.0.0") > 300);
    let others = [everybody(), strangers].map(|it| story.answered(&it, "2.0.0"));
    assert_eq!(others, [0, 0]);
    story.hooks.set("confirm-promotion", Mood::Yes);
    story.rests().await;
    fine("row 4", &promoted(&story, &[0]));
    assert_eq!(story.hooks.calls("post-rollout").len(), 1);
}

/// Row 5: the Canary goes, with its finalizer; whatever serves stays as it is.
#[tokio::test(start_paused = true)]
async fn a_canary_at_rest_goes_unnoticed() {
    let setting = istio(&json!({})).with(&json!({"deletionPolicy": "Revert"}));
    let story = Story::adopted(1, setting).await;
    assert!(story.canary()["metadata"]["finalizers"].is_array());
    let pods = story.pods();
    story.delete(&objects::canary_key());
    let gone = |_: &_| story.canary().is_null();
    assert!(story.until(gone, Duration::from_secs(120)).await);
    story.quiet(Duration::from_secs(60)).await;
    assert_eq!(story.pods(), pods);
    assert_eq!(story.leftovers(), Vec::<String>::new());
    assert_eq!(story.lost(), 0);
    let target = story.world.api.get(&objects::target()).unwrap();
    assert_eq!(
        (&target["spec"]["replicas"], &target["spec"]["paused"]),
        (&json!(3), &Value::Null)
    );
    assert!(
        virtual_service(&story).is_null(),
        "in the mesh nobody misses it"
    );
}

/// Row 7: without an analysis a version is promoted once it is ready, and one that cannot start is rejected soon.
#[tokio::test(start_paused = true)]
async fn without_an_analysis_readiness_alone_decides() {
    let setting = istio(&json!({})).with(&json!({"skipAnalysis": true}));
    let story = Story::adopted(1, setting).await;
    story.ship("2.0.0");
    story.becomes("Succeeded").await;
    story.rests().await;
    assert_eq!(story.weights(), [0, 10, 0], "at whatever weight it has");
    story.ship("3.0.0-missing");
    let rejected = |_: &_| story.phase() == "Failed";
    assert!(
        story.until(rejected, Duration::from_secs(45)).await,
        "{:#}",
        story.canary()["status"]
    );
    story.rests().await;
    assert_eq!(oracle::ran(&story), ["1.0.0", "2.0.0"]);
    assert!(story.share_lately("2.0.0", 30) >= 1.0);
    assert_eq!((story.lost(), story.has_canary()), (0, false));
    fine("row 7", &oracle::breaches(&story, false));
}

/// Row 8: another VirtualService delegates a path to Serin's.
#[tokio::test(start_paused = true)]
async fn a_path_is_delegated() {
    let delegate = json!({"match": [{"uri": {"prefix": "/podinfo"}}], "delegate": {"name": APP, "namespace": HOME}});
    let root = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "root", "namespace": HOME},
        "spec": {"hosts": ["shop.example"], "gateways": ["istio-system/public"], "http": [delegate]},
    });
    let mut setting = istio(&json!({})).with(&json!({"service": {"delegation": true}}));
    setting.objects.push(root);
    setting.destination = Destination::Host("shop.example".to_owned(), "/podinfo".to_owned());
    let story = Story::adopted(1, setting).await;
    let found = virtual_service(&story);
    assert!(
        found["spec"]["hosts"].is_null() && found["spec"]["gateways"].is_null(),
        "{found}"
    );
    story.ship("2.0.0");
    story.rests().await;
    fine("row 8", &promoted(&story, &[0, 10, 50, 100, 0]));
    // It is all that answers that path.
    story.delete(&objects::canary_key());
    story.quiet(Duration::from_secs(120)).await;
    assert!(!virtual_service(&story).is_null());
    assert_eq!((story.lost(), story.leftovers()), (0, Vec::new()));
}

/// Users come from outside and from inside to a Service with several ports: a gateway listens at none of them, so that it has to be
/// told which; from inside every port leads where it leads without a canary.
#[tokio::test(start_paused = true)]
async fn a_service_with_several_ports_answers_from_everywhere() {
    let mut setting = GATEWAYS_OF_ISTIO.setting();
    let rate = Rate::Steps(vec![(Duration::from_secs(30), 50.0)]);
    let inside = Name::new(HOME, "inside");
    setting
        .others
        .push((inside.clone(), Destination::Service(everybody()), rate));
    let mut story = Story::new(1, setting);
    story.edit(&objects::service_key(), |it| {
        let admin = json!({"name": "admin", "port": 9090, "targetPort": "http"});
        it["spec"]["ports"].as_array_mut().unwrap().push(admin);
    });
    story.start(None, Duration::ZERO);
    story.becomes("Initialized").await;
    story.quiet(Duration::from_secs(120)).await;
    let named = |rule: &Value, port: &Value| {
        let route = rule["route"].as_array().unwrap();
        route.iter().all(|it| &it["destination"]["port"] == port)
    };
    let rules = &virtual_service(&story)["spec"]["http"];
    assert!(named(&rules[0], &Value::Null), "{rules}");
    assert!(named(&rules[1], &json!({"number": 80})), "{rules}");
    story.ship("2.0.0");
    story.rests().await;
    fine("ports", &promoted(&story, &[0, 10, 50, 100, 0]));
    assert!(story.answered(&inside, "2.0.0") > 1000);
    story.delete(&objects::canary_key());
    story.quiet(Duration::from_secs(120)).await;
    assert_eq!((story.lost(), story.leftovers()), (0, Vec::new()));
}

/// Whom a cookie of Serin's leads to now, by the live VirtualService.
fn led(story: &Story, cookie: &str) -> Vec<(String, u32)> {
    let header = ("cookie".to_owned(), cookie.to_owned());
    let way = Destination::MarkedService(everybody(), header);
    let objects = Objects::read(&story.world.api, Proxies::Istio.kinds());
    let sight = Sight {
        objects: &objects,
        is_ready: &|_| true,
    };
    let backends = Proxies::Istio.way(sight, way.asked()).unwrap();
    let shares = backends.into_iter().filter(|it| it.weight > 0);
    shares.map(|it| (it.service.name, it.weight)).collect()
}

/// The cookies that answers set now, with the backend that sets each.
fn set(story: &Story) -> Vec<(String, String)> {
    let service = virtual_service(story);
    let rules = service["spec"]["http"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let entries = rules
        .iter()
        .flat_map(|rule| rule["route"].as_array().cloned().unwrap_or_default());
    let cookies = entries.filter_map(|entry| {
        let cookie = entry["headers"]["response"]["add"]["Set-Cookie"]
            .as_str()?
            .to_owned();
        let host = entry["destination"]["host"].as_str()?.to_owned();
        Some((cookie.split(';').next()?.to_owned(), host))
    });
    cookies.collect()
}

/// Row 9: at each weight a cookie leads to the one that set it, and from the canary nobody comes back.
#[tokio::test(start_paused = true)]
async fn a_cookie_keeps_its_user() {
    let cookie = json!({"sessionAffinity": {"cookieName": "arm", "maxAge": 3600}});
    let story = Story::adopted(1, istio(&cookie)).await;
    story.ship("2.0.0");
    let mut on_canary: Vec<String> = Vec::new();
    for weight in [10, 50] {
        story.when(When::Weight(weight)).await;
        for kept in &on_canary {
            assert_eq!(
                led(&story, kept),
                [("app-canary".to_owned(), 100)],
                "{kept} at {weight} %"
            );
        }
        let cookies = set(&story);
        assert!(cookies.len() >= 2, "{cookies:?}");
        for (cookie, host) in cookies {
            assert_eq!(
                led(&story, &cookie),
                [(host.clone(), 100)],
                "{cookie} at {weight} %"
            );
            if host == "app-canary" {
                on_canary.push(cookie);
            }
        }
        let strange = led(&story, "arm=older-10");
        let all: u32 = strange.iter().map(|(_, weight)| weight).sum();
        assert!(strange.len() >= 2 && all == 100, "{strange:?}");
    }
    story.rests().await;
    fine("row 9", &promoted(&story, &[0, 10, 50, 100, 0]));
    assert_eq!(set(&story), []);
}
