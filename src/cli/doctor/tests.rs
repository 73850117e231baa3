//! The whole command on the embedded cluster, with the real controller at work in it.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::cli::args::Report;
use crate::cli::demo::applications::{ALL, HOME};
use crate::cli::demo::stage::Stage;
use crate::cli::doctor::look::resource;
use crate::sim::prometheus as served;

/// How long the applications may take until all are gated and counted.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is answered in place of the API server: a part of the address, a status and a body.
type Canned = (&'static str, u16, Value);

/// A client whose answers to some addresses are another cluster's.
fn between(client: Client, canned: Vec<Canned>) -> Client {
    let canned = Arc::new(canned);
    let send = move |request: Request<Body>| {
        let (client, canned) = (client.clone(), Arc::clone(&canned));
        async move {
            let path = request.uri().path().to_owned();
            let Some((_, status, body)) = canned.iter().find(|(part, ..)| path.contains(part))
            else {
                return client.send(request).await;
            };
            let reply = Response::builder().status(StatusCode::from_u16(*status).unwrap());
            Ok(reply
                .body(Body::from(body.to_string().into_bytes()))
                .unwrap())
        }
    };
    Client::new(tower::service_fn(send), HOME)
}

fn status(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": "X"})
}

/// The embedded cluster with Serin's Deployment and lease, whose applications are gated and called.
async fn ward() -> Stage {
    let stage = Stage::set(Clock::simulated(), 1).unwrap();
    let controller = include_str!("../../../deploy/controller.yaml").replace(
        "        env:\n",
        "        env:\n        - {name: SERIN_METRICS_SERVER, value: 'https://prometheus.example.com'}\n",
    );
    stage.world.apply(&controller).unwrap();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "serin", "namespace": "serin-system"},
        "spec": {"holderIdentity": "serin-0", "renewTime": "2030-01-02T00:00:00.000000Z"}});
    stage.world.put(lease).unwrap();
    stage.settled().await;
    let canaries: Api<Canary> = Api::namespaced(stage.client("alice"), HOME);
    let gated = async {
        loop {
            ALL.iter().for_each(|application| stage.open(application));
            let all = canaries.list(&ListParams::default()).await.unwrap();
            let conditions = |one: &Canary| one.status.clone().unwrap_or_default().conditions;
            let is_gated = |one: &Canary| {
                conditions(one)
                    .iter()
                    .any(|it| it.type_ == "Gated" && it.status == "True")
            };
            if all.items.iter().all(is_gated) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    };
    tokio::time::timeout(PATIENCE, gated)
        .await
        .expect("all gated");
    stage
}

fn arguments(names: &[&str]) -> DoctorArgs {
    DoctorArgs {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        all_namespaces: false,
        output: Report::Table,
        lease_namespace: "serin-system".to_owned(),
    }
}

async fn examined(stage: &Stage, canned: Vec<Canned>, outside: Option<Http>) -> Vec<Finding> {
    let session = Session::over(between(stage.client("alice"), canned), HOME);
    let outside = outside.or_else(|| {
        Some(Http::service(served::router(
            stage.world.prometheus.clone(),
        )))
    });
    let args = arguments(&[]);
    let doctor = Doctor {
        session: &session,
        args: &args,
        clock: stage.clock,
        outside,
        progress: Progress::none(),
    };
    doctor.examine().await.unwrap()
}

fn bad(found: &[Finding]) -> Vec<&Finding> {
    found
        .iter()
        .filter(|one| matches!(one.state, State::Failed | State::Warning))
        .collect()
}

/// Something failed in these words, and the fix has those.
#[track_caller]
fn names(found: &[Finding], check: Check, what: &str, fix: &str) {
    let named = found
        .iter()
        .find(|one| one.check == check && one.state == State::Failed && one.what.contains(what));
    let named = named.unwrap_or_else(|| panic!("{what:?} is not named: {:#?}", bad(found)));
    let text = named.fix.as_ref().map_or("", Fix::text);
    assert!(text.contains(fix), "{named:?}");
    assert_eq!(verdict(found), Exit::Failed);
}

#[track_caller]
fn well(found: &[Finding]) {
    assert_eq!(bad(found), Vec::<&Finding>::new());
    assert_eq!(verdict(found), Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_in_order_is_in_order() {
    let stage = ward().await;
    let found = examined(&stage, Vec::new(), None).await;
    well(&found);
    let of = |check| {
        found
            .iter()
            .filter(|one| one.check == check && one.state == State::Ok)
            .count()
    };
    assert_eq!(
        (of(Check::Definitions), of(Check::Canary), of(Check::Rivals)),
        (3, ALL.len(), 0)
    );
    assert_eq!(
        found
            .iter()
            .filter(|one| one.what.contains("came back held"))
            .count(),
        ALL.len()
    );
    let measured = ALL
        .iter()
        .filter(|application| application.traffic().is_some())
        .count();
    assert!(of(Check::Metrics) >= measured, "{found:#?}");
    let text = show::render(&found, Report::Table, Palette { on: false }).unwrap();
    assert!(text.lines().count() < 20, "{text}");
    assert!(
        text.contains(&format!("canary: {0} of {0}", ALL.len())),
        "{text}"
    );
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn each_admission_object_that_is_missing_is_named() {
    let stage = ward().await;
    for (file, object) in shipped::admission(shipped::ACCOUNT) {
        let (kind, name) = (
            look::text(&object, "/kind"),
            look::text(&object, "/metadata/name"),
        );
        let plural = format!("{}s", kind.to_lowercase()).replace("policys", "policies");
        let kind_of = resource(("admissionregistration.k8s.io", "v1", kind, &plural));
        let api: Api<DynamicObject> = Api::all_with(stage.client("alice"), &kind_of);
        api.delete(name, &DeleteParams::default()).await.unwrap();
        let found = examined(&stage, Vec::new(), None).await;
        names(
            &found,
            Check::Gate,
            &format!("{kind} {name} is missing"),
            file,
        );
        if name == "serin-hold" {
            names(
                &found,
                Check::Gate,
                "a dry run of a changed template was refused",
                "mend what is said of the gate",
            );
        }
        stage.world.put(object.clone()).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    well(&examined(&stage, Vec::new(), None).await);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn each_other_thing_that_is_missing_is_named() {
    let stage = ward().await;
    let absent = status(404, "the server could not find the requested resource");
    let found = examined(
        &stage,
        vec![("v1/namespaces/shop/httproutes", 404, absent)],
        None,
    )
    .await;
    names(
        &found,
        Check::Route,
        "the cluster has no HTTPRoute",
        "standard-install.yaml",
    );
    let nobody = Http::service(axum::Router::new().fallback(async || {
        axum::Json(json!({"status": "success", "data": {"resultType": "vector", "result": []}}))
    }));
    let found = examined(&stage, Vec::new(), Some(nobody)).await;
    names(
        &found,
        Check::Metrics,
        "request-success-rate has no series",
        "let Prometheus scrape",
    );
    let quota = json!({"metadata": {"name": "team", "namespace": HOME}, "spec": {"hard": {"pods": "4"}},
        "status": {"hard": {"pods": "4"}, "used": {"pods": "4"}}});
    let quotas =
        json!({"apiVersion": "v1", "kind": "ResourceQuotaList", "metadata": {}, "items": [quota]});
    let found = examined(&stage, vec![("/resourcequotas", 200, quotas)], None).await;
    names(
        &found,
        Check::Quota,
        "ResourceQuota team has room for 0 more Pods (pods is 4 of 4)",
        "kubectl -n shop edit resourcequota team",
    );
    let flagger = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "canaries.flagger.app"},
        "spec": {"group": "flagger.app", "scope": "Namespaced", "names": {"plural": "canaries", "singular": "canary", "kind": "Canary"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    stage.world.put(flagger).unwrap();
    let old = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "old", "namespace": HOME},
        "spec": {"targetRef": {"kind": "Deployment", "name": "checkout"}}});
    stage.world.put(old).unwrap();
    let found = examined(&stage, Vec::new(), None).await;
    names(
        &found,
        Check::Rivals,
        "Canary old of flagger.app drives deployment/checkout too",
        "delete one of the two",
    );
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_and_a_stopped_controller_are_named() {
    let stage = ward().await;
    let role = shipped::rights()
        .into_iter()
        .find(|one| one["kind"] == "ClusterRole" && one["metadata"]["name"] == "serin-core")
        .unwrap();
    let mut less = role.clone();
    let rules = less["rules"].as_array_mut().unwrap();
    let rule = rules
        .iter_mut()
        .find(|rule| rule["resources"] == json!(["deployments"]))
        .unwrap();
    rule["verbs"] = json!(["get", "list", "watch", "create", "delete"]);
    stage.world.put(less).unwrap();
    let found = examined(&stage, Vec::new(), None).await;
    names(
        &found,
        Check::Permissions,
        "may not patch deployments.apps (role serin-core)",
        "deploy/rbac.yaml",
    );
    stage.world.put(role).unwrap();
    let api: Api<Deployment> = Api::namespaced(stage.client("alice"), "serin-system");
    let scale = |replicas: i32| Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch("serin", &PatchParams::default(), &scale(0))
        .await
        .unwrap();
    let stale = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "serin", "namespace": "serin-system"},
        "spec": {"holderIdentity": "serin-0", "renewTime": "2029-12-31T23:00:00.000000Z"}});
    stage.world.put(stale).unwrap();
    let found = examined(&stage, Vec::new(), None).await;
    names(
        &found,
        Check::Controller,
        "is scaled to 0",
        "scale deployment/serin --replicas=1",
    );
    names(
        &found,
        Check::Controller,
        "serin-0 holds the lease, and has not renewed it",
        "logs deployment/serin",
    );
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_may_see_little_is_told_what_is_not_known() {
    let stage = ward().await;
    let no = || {
        status(
            403,
            "deployments.apps is forbidden: User \"bob\" cannot list",
        )
    };
    let rows = [
        ("/deployments", Check::Canary),
        ("/mutatingadmissionpolicies", Check::Gate),
        ("/subjectaccessreviews", Check::Permissions),
        ("/resourcequotas", Check::Quota),
        ("/customresourcedefinitions", Check::Definitions),
        ("/endpointslices", Check::Metrics),
        ("/leases", Check::Controller),
    ];
    for (part, check) in rows {
        let found = examined(&stage, vec![(part, 403, no())], None).await;
        assert!(
            found
                .iter()
                .any(|one| one.check == check && one.state == State::Unknown && one.fix.is_some()),
            "{part}: {found:#?}"
        );
        assert_eq!(verdict(&found), Exit::Done, "{part}: {:#?}", bad(&found));
    }
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_nothing_else_is_said() {
    let down = tower::service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, _>(std::io::Error::other("connection refused"))
    });
    let session = Session::over(Client::new(down, HOME), HOME);
    let args = arguments(&[]);
    let doctor = Doctor {
        session: &session,
        args: &args,
        clock: Clock::simulated(),
        outside: None,
        progress: Progress::none(),
    };
    let found = doctor.examine().await.unwrap();
    assert_eq!(found.len(), 1);
    names(
        &found,
        Check::Cluster,
        "connection refused",
        "kubectl cluster-info",
    );
}

fn many(count: usize) -> Vec<Finding> {
    let mut found = vec![
        Finding::ok(Check::Cluster, "Kubernetes v1.36.0 answers"),
        Finding::failed(
            Check::Gate,
            "MutatingAdmissionPolicyBinding serin-hold is missing: nothing holds a changed template",
            controller::Install::default().all(),
        ),
    ];
    for at in 0..count {
        let name = format!("shop/application-{at}");
        let fix = Fix::say("mend what is said of the gate above");
        found.push(Finding::ok(Check::Canary, "in order").of(&name));
        found.push(
            Finding::failed(
                Check::Gate,
                "a dry run of a changed template was not held",
                fix,
            )
            .of(&name),
        );
    }
    found.push(
        Finding::unknown(
            Check::Quota,
            "quotas cannot be read: forbidden",
            Fix::say("ask somebody"),
        )
        .of("shop/application-0"),
    );
    found
}

#[test]
fn many_canaries_are_a_page_of_80_columns() {
    let text = show::render(&many(500), Report::Table, Palette { on: false }).unwrap();
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    expect_test::expect![[r#"
        ok       cluster: Kubernetes v1.36.0 answers
        failed   gate: MutatingAdmissionPolicyBinding serin-hold is missing: nothing
                 holds a changed template
                 fix: kubectl kustomize --load-restrictor LoadRestrictionsNone deploy \
                 | kubectl apply --server-side -f -
        failed   gate 500 Canaries: a dry run of a changed template was not held
                 (shop/application-0, shop/application-1, shop/application-2,
                 shop/application-3, shop/application-4 and 495 more)
                 fix: mend what is said of the gate above
        ok       canary: 500 of 500
        unknown  quota shop/application-0: quotas cannot be read: forbidden
                 fix: ask somebody

        501 failed, 0 warning, 1 unknown, 501 ok
    "#]]
    .assert_eq(&text);
}

#[test]
fn programs_get_every_finding() {
    let text = show::render(&many(2), Report::Json, Palette { on: false }).unwrap();
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&said["failed"], &said["ok"], &said["unknown"]),
        (&json!(3), &json!(3), &json!(1))
    );
    assert_eq!(
        said["findings"][2],
        json!({"check": "canary", "state": "ok", "canary": "shop/application-0", "what": "in order"})
    );
    assert_eq!(
        said["findings"][3]["fix"],
        "mend what is said of the gate above"
    );
    assert!(
        show::render(&many(2), Report::Yaml, Palette { on: false })
            .unwrap()
            .starts_with("failed: 3\n")
    );
}
