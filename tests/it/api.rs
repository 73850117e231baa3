//! The HTTP API on the embedded cluster: its tokens, roles and policies decide, and the real controller takes what is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use serin::cli::api::Doors;
use serin::cli::demo::stage::Stage;
use serin::clock::{Clock, SIMULATED_START};
use serin::crd::canary::Canary;
use serin::crd::status::{Outcome, Phase, Wait};
use serin::server;
use serin::sim::api::Who;
use serin::sim::tokens::{OWN_AUDIENCE, Token};
use tower::ServiceExt;

const PAYMENTS: &str = "/api/v1/namespaces/shop/canaries/payments";

/// Longest time that a release takes here.
const PATIENCE: Duration = Duration::from_secs(300);

fn who(name: &str) -> Who {
    Who {
        user: name.to_owned(),
        groups: vec!["system:authenticated".to_owned()],
        manager: String::new(),
    }
}

/// A cluster with people in it: vic looks, ona operates, ada may skip the analysis too, and max has a token and no right. Each has
/// the token `t-NAME`.
async fn stage(doors: Doors) -> Stage {
    let stage = Stage::behind(doors, Clock::simulated(), 1).unwrap();
    for (name, roles) in [
        ("vic", &["serin-view"][..]),
        ("ona", &["serin-operator"]),
        ("ada", &["serin-operator", "serin-admin"]),
        ("max", &[]),
    ] {
        let token = Token::of(who(name));
        stage.world.api.issue(&format!("t-{name}"), token);
        for role in roles {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": format!("{name}-{role}"), "namespace": "shop"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
            });
            stage.world.put(binding).unwrap();
        }
    }
    stage.settled().await;
    stage
}

struct Reply {
    status: u16,
    json: Value,
}

async fn send(stage: &Stage, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    ask(stage, method, path, headers, "").await
}

async fn ask(
    stage: &Stage,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let app = server::app(stage.state.clone());
    let reply = app.oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    if reply.headers()[header::CONTENT_TYPE] == "text/event-stream" {
        return Reply {
            status,
            json: Value::Null,
        };
    }
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    Reply {
        status,
        json: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

fn bearer(name: &str) -> String {
    format!("Bearer t-{name}")
}

async fn post(stage: &Stage, name: &str, verb: &str, key: &str, body: &str) -> Reply {
    let token = bearer(name);
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    ask(stage, "POST", &format!("{PAYMENTS}/{verb}"), &headers, body).await
}

/// The Canary once it is so.
async fn once(stage: &Stage, is: impl Fn(&Canary) -> bool) -> Canary {
    let api: Api<Canary> = Api::namespaced(stage.client("alice"), "shop");
    let looking = async {
        loop {
            let canary = api.get("payments").await.unwrap();
            if is(&canary) {
                return canary;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("it never came to that"))
}

fn in_phase(phase: Phase) -> impl Fn(&Canary) -> bool {
    move |canary| {
        let status = canary.status.as_ref();
        status.is_some_and(|status| status.phase == phase)
    }
}

fn waits(canary: &Canary) -> bool {
    let status = canary.status.as_ref();
    let step = status.and_then(|status| status.step.as_ref());
    step.is_some_and(|step| step.waiting == Some(Wait::Approval))
}

async fn ship(stage: &Stage, image: &str) {
    let api: Api<Deployment> = Api::namespaced(stage.client("alice"), "shop");
    let patch =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}});
    let params = PatchParams::default();
    api.patch("payments", &params, &Patch::Strategic(patch))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn tokens_are_those_of_the_cluster_for_their_audience_and_time() {
    let minute = Duration::from_secs(60);
    let token = |audiences: &[&str], until: Option<Duration>| Token {
        who: who("vic"),
        audiences: audiences.iter().map(|&one| one.to_owned()).collect(),
        until: until.map(|until| SIMULATED_START + until),
    };
    for (audiences, rows) in [
        (vec![], [401, 200, 401, 401, 200]),
        (vec!["serin".to_owned()], [401, 401, 200, 401, 200]),
    ] {
        let doors = Doors {
            anonymous_reads: false,
            audiences,
        };
        let stage = stage(doors).await;
        stage.world.api.issue("own", token(&[OWN_AUDIENCE], None));
        stage.world.api.issue("serin", token(&["serin"], None));
        let both = [OWN_AUDIENCE, "serin"];
        stage
            .world
            .api
            .issue("old", token(&both, Some(Duration::ZERO)));
        stage
            .world
            .api
            .issue("both", token(&both, Some(5 * minute)));
        let tokens = ["unknown", "own", "serin", "old", "both"];
        for (letters, status) in tokens.into_iter().zip(rows) {
            let authorization = format!("Bearer {letters}");
            let headers = [("authorization", authorization.as_str())];
            let reply = send(&stage, "GET", PAYMENTS, &headers).await;
            assert_eq!(reply.status, status, "{letters}: {}", reply.json);
        }
        assert_eq!(send(&stage, "GET", PAYMENTS, &[]).await.status, 401);
        tokio::time::sleep(7 * minute).await;
        let headers = [("authorization", "Bearer both")];
        let reply = send(&stage, "GET", PAYMENTS, &headers).await;
        assert_eq!(reply.status, 401, "it expired meanwhile");
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn rights_are_those_of_the_cluster() {
    let stage = stage(Doors::default()).await;
    once(&stage, in_phase(Phase::Initialized)).await;
    let timeline = format!("{PAYMENTS}/timeline");
    let events = format!("{PAYMENTS}/events");
    let rows = [
        ("GET", PAYMENTS, [403, 200, 200, 200]),
        ("GET", timeline.as_str(), [403, 200, 200, 200]),
        ("GET", events.as_str(), [403, 200, 200, 200]),
        (
            "GET",
            "/api/v1/namespaces/shop/canaries",
            [403, 200, 200, 200],
        ),
        ("GET", "/api/v1/namespaces/bank/canaries", [403; 4]),
        ("GET", "/api/v1/canaries", [403; 4]),
        ("GET", "/api/v1/events", [403; 4]),
        ("GET", "/api/v1/events?namespace=shop", [403, 200, 200, 200]),
        ("GET", "/api/v1/whoami", [200; 4]),
        (
            "GET",
            "/api/v1/namespaces/shop/canaries/none",
            [403, 404, 404, 404],
        ),
        (
            "POST",
            "/api/v1/namespaces/shop/canaries/payments/abort",
            [403, 403, 409, 409],
        ),
        (
            "POST",
            "/api/v1/namespaces/shop/canaries/payments/promote-full",
            [403, 403, 403, 409],
        ),
        (
            "POST",
            "/api/v1/namespaces/shop/canaries/none/abort",
            [403, 403, 404, 404],
        ),
        (
            "POST",
            "/api/v1/namespaces/bank/canaries/none/abort",
            [403; 4],
        ),
    ];
    for (method, path, expected) in rows {
        for (name, status) in ["max", "vic", "ona", "ada"].into_iter().zip(expected) {
            let token = bearer(name);
            let headers = [("authorization", token.as_str())];
            let reply = send(&stage, method, path, &headers).await;
            assert_eq!(
                reply.status, status,
                "{name} {method} {path}: {}",
                reply.json
            );
        }
    }
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_release_is_led_through_the_api() {
    let stage = stage(Doors::default()).await;
    once(&stage, in_phase(Phase::Initialized)).await;
    ship(&stage, "payments:2.0.0").await;
    once(&stage, waits).await;
    let full = post(&stage, "ona", "promote", "k-0", r#"{"force": true}"#).await;
    let detail = "ona has no permission to update canaries/promote-full in namespace shop";
    assert_eq!((full.status, &full.json["detail"]), (403, &json!(detail)));
    let taken = post(
        &stage,
        "ona",
        "promote",
        "k-1",
        r#"{"reason": "looks good"}"#,
    )
    .await;
    assert_eq!(taken.status, 202, "{}", taken.json);
    let handled = |canary: &Canary| {
        let last = canary.status.as_ref()?.last_request.clone()?;
        Some((last.id, last.by?, last.reason?))
    };
    let canary = once(&stage, |canary| handled(canary).is_some()).await;
    let expected = ["k-1", "ona", "looks good"].map(str::to_owned);
    assert_eq!(handled(&canary).unwrap(), expected.into());
    let again = post(
        &stage,
        "ona",
        "promote",
        "k-1",
        r#"{"reason": "looks good"}"#,
    )
    .await;
    assert_eq!((again.status, again.json), (202, taken.json));
    let canary = once(&stage, in_phase(Phase::Succeeded)).await;
    let status = canary.status.unwrap();
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    assert_eq!(status.last_request.unwrap().id, "k-1", "it was done once");
    let events: Api<Event> = Api::namespaced(stage.client("alice"), "shop");
    let told = events.list(&ListParams::default()).await.unwrap();
    let told = told.items.into_iter();
    let told = told.filter(|event| event.reason.as_deref() == Some("Requested"));
    let told: Vec<_> = told.filter_map(|event| event.note).collect();
    assert_eq!(told, ["ona asked for promote: looks good"]);
    let late = post(&stage, "ona", "abort", "k-2", "").await;
    assert_eq!(late.status, 409);
    assert_eq!(late.json["allowed"], json!(["restart"]));
    stage.end().await;
}

/// Under way one is aborted, forced, paused and resumed: by whom stands in the history.
#[tokio::test(start_paused = true)]
async fn the_history_names_the_person() {
    let stage = stage(Doors::default()).await;
    once(&stage, in_phase(Phase::Initialized)).await;
    for (version, verb, outcome) in [
        ("2.0.0", "abort", Outcome::Aborted),
        ("3.0.0", "promote-full", Outcome::Promoted),
    ] {
        ship(&stage, &format!("payments:{version}")).await;
        once(&stage, waits).await;
        let taken = post(&stage, "ada", verb, &format!("k-{verb}"), "").await;
        assert_eq!(taken.status, 202, "{}", taken.json);
        let ended = |canary: &Canary| {
            let status = canary.status.as_ref();
            let last = status.and_then(|status| status.history.first());
            last.is_some_and(|last| last.outcome == outcome)
        };
        let canary = once(&stage, ended).await;
        let last = canary.status.unwrap().history[0].clone();
        assert_eq!(last.by.as_deref(), Some("ada"), "{verb}");
    }
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_its_roles_the_api_lets_nobody_do_anything() {
    for (role, expected) in [
        ("serin-api", BTreeMap::from([("GET", 503), ("POST", 503)])),
        ("serin-verbs", BTreeMap::from([("GET", 200), ("POST", 503)])),
    ] {
        let stage = stage(Doors::default()).await;
        once(&stage, in_phase(Phase::Initialized)).await;
        let api: Api<ClusterRoleBinding> = Api::all(stage.client("alice"));
        api.delete(role, &DeleteParams::default()).await.unwrap();
        let got = send(
            &stage,
            "GET",
            PAYMENTS,
            &[("authorization", "Bearer t-ona")],
        )
        .await;
        assert_eq!(got.status, expected["GET"], "{role}: {}", got.json);
        let asked = post(&stage, "ona", "restart", "k", "").await;
        assert_eq!(asked.status, expected["POST"], "{role}: {}", asked.json);
        stage.end().await;
    }
}
