//! The embedded API server, asked as kubectl and other clients ask: the replies as they are on the wire.

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use serde_json::{Value, json};
use serin::cli::embedded;
use serin::clock::Clock;
use serin::sim::api::{Api, Who};
use serin::sim::requests::answer;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A server, and who asks it.
struct Wire {
    api: Api,
    who: Who,
}

/// What came back.
struct Said {
    code: u16,
    warnings: Vec<String>,
    body: Value,
}

impl Wire {
    fn new() -> Self {
        Self {
            api: Api::new(Clock::simulated()),
            who: embedded::person("alice"),
        }
    }

    async fn send(&self, line: &str, kind: &str, body: impl Into<Body>) -> Response<Body> {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(
                "accept",
                if kind == TABLE {
                    TABLE
                } else {
                    "application/json"
                },
            )
            .header("content-type", kind)
            .body(body.into())
            .unwrap();
        answer(&self.api, &self.who, request).await
    }

    async fn ask(&self, line: &str, kind: &str, body: impl Into<Body>) -> Said {
        let reply = self.send(line, kind, body).await;
        let warnings = reply.headers().get_all("warning").iter();
        let warnings = warnings.map(|it| it.to_str().unwrap().to_owned()).collect();
        let code = reply.status().as_u16();
        let bytes = to_bytes(reply.into_body(), 1 << 24).await.unwrap();
        Said {
            code,
            warnings,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    async fn json(&self, line: &str, body: &Value) -> Said {
        self.ask(line, "application/json", body.to_string()).await
    }

    async fn get(&self, path: &str) -> Said {
        self.json(&format!("GET {path}"), &Value::Null).await
    }

    async fn map(&self, name: &str) {
        let map = json!({"metadata": {"name": name}});
        assert_eq!(self.json(&format!("POST {MAPS}"), &map).await.code, 201);
    }
}

/// A Deployment, with something more in its spec.
fn deployment(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "image": "app:1"}]}}},
    });
    json_patch::merge(&mut object["spec"], more);
    object
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_list_are_of_one_moment() {
    let wire = Wire::new();
    for name in ["a", "b", "c", "d"] {
        wire.map(name).await;
    }
    let first = wire.get(&format!("{MAPS}?limit=2")).await.body;
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    wire.map("bb").await;
    wire.json(&format!("DELETE {MAPS}/c"), &json!({})).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let next = format!("{MAPS}?limit=2&continue={token}");
    let page = wire.get(&next).await.body;
    let items = page["items"].as_array().unwrap().iter();
    let names: Vec<_> = items.map(|item| item["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["c", "d"], "as at the first page");
    assert_eq!(
        page["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    wire.api.compact();
    let late = wire.get(&next).await;
    assert_eq!((late.code, &late.body["reason"]), (410, &json!("Expired")));
}

#[tokio::test(start_paused = true)]
async fn lists_and_watches_come_as_tables() {
    let wire = Wire::new();
    let object = deployment(&json!({"replicas": 3}));
    let made = wire.json(&format!("POST {DEPLOYMENTS}"), &object).await;
    assert_eq!(made.code, 201);
    let table = wire
        .ask(&format!("GET {DEPLOYMENTS}"), TABLE, "")
        .await
        .body;
    assert_eq!(table["kind"], "Table");
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..2], ["web", "0/3"]);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let path = format!("GET {DEPLOYMENTS}?watch=true&timeoutSeconds=1");
    let reply = wire.send(&path, TABLE, "").await;
    let bytes = to_bytes(reply.into_body(), 1 << 20).await.unwrap();
    let first: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(first["object"]["rows"][0]["cells"][0], "web");
}

#[tokio::test(start_paused = true)]
async fn a_watch_says_where_its_beginning_ends() {
    let wire = Wire::new();
    wire.map("a").await;
    let begin = "watch=true&timeoutSeconds=1&sendInitialEvents=true";
    let refused = wire.get(&format!("{MAPS}?{begin}")).await;
    assert_eq!(refused.code, 400);
    let path = format!("GET {MAPS}?{begin}&resourceVersionMatch=NotOlderThan");
    let reply = wire.send(&path, "application/json", "").await;
    let bytes = to_bytes(reply.into_body(), 1 << 20).await.unwrap();
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(&bytes)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].clone()).collect();
    assert_eq!(kinds, ["ADDED", "BOOKMARK"]);
    let notes = &lines[1]["object"]["metadata"]["annotations"];
    assert_eq!(notes["k8s.io/initial-events-end"], "true");
}

#[tokio::test(start_paused = true)]
async fn fields_that_a_kind_does_not_have_are_warned_of_or_refused() {
    let wire = Wire::new();
    let bad = || deployment(&json!({"replica": 3}));
    let create = async |query: &str| {
        let line = format!("POST {DEPLOYMENTS}{query}");
        wire.json(&line, &bad()).await
    };
    let strict = create("?fieldValidation=Strict").await;
    assert_eq!(strict.code, 400);
    assert_eq!(
        strict.body["message"],
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replica\""
    );
    assert!(
        create("?fieldValidation=Ignore&dryRun=All")
            .await
            .warnings
            .is_empty()
    );
    assert_eq!(create("?fieldValidation=Maybe").await.code, 422);
    let made = create("").await;
    assert_eq!(made.code, 201);
    assert_eq!(
        made.warnings,
        ["299 - \"unknown field \\\"spec.replica\\\"\""]
    );
    assert!(made.body["spec"]["replica"].is_null(), "it is not kept");
    let line = format!("PATCH {DEPLOYMENTS}/web?fieldValidation=Strict");
    let patch = json!({"spec": {"replica": 3}}).to_string();
    let patched = wire.ask(&line, "application/merge-patch+json", patch).await;
    assert_eq!(patched.code, 422);
    let line = format!("PATCH {DEPLOYMENTS}/web?fieldManager=me&force=true");
    let applied = wire.ask(&line, "application/apply-patch+yaml", bad().to_string());
    let message = applied.await.body["message"].clone();
    assert_eq!(
        message,
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_named_and_what_stays_is_shown() {
    let wire = Wire::new();
    wire.map("a").await;
    let dry = json!({"dryRun": ["All"]});
    let said = wire.json(&format!("DELETE {MAPS}/a"), &dry).await;
    assert_eq!(said.body["status"], "Success");
    let said = wire
        .json(&format!("DELETE {MAPS}/a"), &json!({}))
        .await
        .body;
    assert_eq!(
        (&said["kind"], &said["details"]["name"]),
        (&json!("Status"), &json!("a"))
    );
    let kept = json!({"metadata": {"name": "b", "finalizers": ["a.b/c"]}});
    wire.json(&format!("POST {MAPS}"), &kept).await;
    let said = wire
        .json(&format!("DELETE {MAPS}/b"), &json!({}))
        .await
        .body;
    assert_eq!(said["kind"], "ConfigMap");
    assert!(said["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test(start_paused = true)]
async fn parts_that_a_kind_does_not_have_are_not_found() {
    let wire = Wire::new();
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    let pods = "/api/v1/namespaces/default/pods";
    assert_eq!(wire.json(&format!("POST {pods}"), &pod).await.code, 201);
    wire.map("a").await;
    for (path, code) in [
        (format!("{pods}/p/status"), 200),
        (format!("{pods}/p/log"), 405),
        (format!("{pods}/p/nothing"), 404),
        (format!("{MAPS}/a/status"), 404),
        (format!("{MAPS}/a/scale"), 404),
    ] {
        assert_eq!(wire.get(&path).await.code, code, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_may_be_protocol_buffers() {
    let wire = Wire::new();
    let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x08\x0a\x06\x0a\x04shop";
    let kind = "application/vnd.kubernetes.protobuf";
    let made = wire.ask("POST /api/v1/namespaces", kind, &body[..]).await;
    assert_eq!(
        (made.code, &made.body["metadata"]["name"]),
        (201, &json!("shop"))
    );
    let bad = wire.ask("POST /api/v1/namespaces", kind, &body[..20]).await;
    assert_eq!(bad.code, 415);
}

#[tokio::test(start_paused = true)]
async fn kinds_of_crds_take_no_strategic_merge_patch() {
    let wire = Wire::new();
    let route = json!({"metadata": {"name": "r"}, "spec": {"hostnames": ["a"]}});
    let routes = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
    assert_eq!(wire.json(&format!("POST {routes}"), &route).await.code, 201);
    let kind = "application/strategic-merge-patch+json";
    let line = format!("PATCH {routes}/r");
    assert_eq!(wire.ask(&line, kind, "{}").await.code, 415);
    let listed = wire.get(routes).await.body;
    assert_eq!(
        listed["items"][0]["kind"], "HTTPRoute",
        "items say their kind"
    );
}
