//! The webhook against the policies that it stands for, and the life of its certificates.

use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::admission::certificate::{Certificates, Pair, make};
use crate::admission::hold::hold;
use crate::admission::review::Request;
use crate::admission::stamp::stamp;
use crate::clock::SIMULATED_START;
use crate::sim::admission::Admission;
use crate::sim::admission::review::{Operation, Review};
use crate::sim::store::{Key, Store};

const USER: &str = "olga";
/// The account that is believed when it says for whom it writes.
const SERIN: &str = "system:serviceaccount:serin-system:serin";

static GATE: LazyLock<Mutex<Policies>> = LazyLock::new(|| policies("deploy/gate.yaml"));
static REQUESTS: LazyLock<Mutex<Policies>> = LazyLock::new(|| policies("deploy/requests.yaml"));

type Policies = (Store, Admission);

/// The mutating policies of a file, in a cluster that has nothing else.
fn policies(file: &str) -> Mutex<Policies> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap();
    stored(objects)
}

fn stored(objects: impl IntoIterator<Item = Value>) -> Mutex<Policies> {
    let mut store = Store::default();
    for object in objects {
        let plural = match object["kind"].as_str().unwrap() {
            "MutatingAdmissionPolicy" => "mutatingadmissionpolicies",
            "MutatingAdmissionPolicyBinding" => "mutatingadmissionpolicybindings",
            _ => continue,
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        let key = Key::new("admissionregistration.k8s.io", plural, "", name);
        store.put(key, object.clone());
    }
    Mutex::new((store, Admission::default()))
}

/// What the policies make of a write.
fn by_policy(
    policies: &Mutex<Policies>,
    key: &Key,
    change: (&Value, &Value),
    manager: &str,
) -> Value {
    by_policy_of(policies, key, change, (USER, manager))
}

/// The same of a write of this user.
fn by_policy_of(
    policies: &Mutex<Policies>,
    key: &Key,
    (old, new): (&Value, &Value),
    (user, manager): (&str, &str),
) -> Value {
    let canary = key.plural == "canaries";
    let review = Review {
        operation: if old.is_null() {
            Operation::Create
        } else {
            Operation::Update
        },
        key,
        version: if canary { "v1beta1" } else { "v1" },
        kind: if canary { "Canary" } else { "Deployment" },
        subresource: "",
        user,
        groups: &[],
        manager,
        dry_run: false,
        object: Some(new),
        old: (!old.is_null()).then_some(old),
    };
    let (store, admission) = &mut *policies.lock().unwrap();
    let changed = admission.mutate(store, &review, &[]).unwrap();
    changed.unwrap_or_else(|| new.clone())
}

/// What the webhook makes of it, called as often as an API server might.
fn by_webhook(
    judge: fn(&Request) -> Vec<Value>,
    change: (&Value, &Value),
    manager: &str,
    calls: usize,
) -> Value {
    by_webhook_of(judge, change, (USER, manager), calls)
}

/// The same of a write of this user.
fn by_webhook_of(
    judge: impl Fn(&Request) -> Vec<Value>,
    (old, new): (&Value, &Value),
    (user, manager): (&str, &str),
    calls: usize,
) -> Value {
    let mut object = new.clone();
    for _ in 0..calls {
        let question = json!({
            "uid": "1", "userInfo": {"username": user}, "object": object, "oldObject": old,
            "options": if manager.is_empty() { json!({}) } else { json!({"fieldManager": manager}) },
        });
        let request: Request = serde_json::from_value(question).unwrap();
        let patch = Value::Array(judge(&request));
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
    }
    object
}

fn maybe(values: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![2 => Just(None), 1 => proptest::sample::select(values).prop_map(Some)]
}

prop_compose! {
    /// A Deployment in any state of the marks, of a pause and of a template.
    fn deployment()(
        gate in maybe(&["uid", "other"]),
        held in maybe(&["true"]),
        reverting in maybe(&["true"]),
        contested in maybe(&["true"]),
        bypass in maybe(&["", "a", "b"]),
        revision in maybe(&["1"]),
        paused in proptest::option::of(any::<bool>()),
        image in 1..3_u8,
        replicas in 1..3_u8,
        managers in proptest::sample::subsequence(vec![("Apply", "helm"), ("Update", "kubectl-edit"), ("Update", "Terraform")], 0..3),
        bare in any::<bool>(),
    ) -> Value {
        let marks = [("gate", gate), ("held", held), ("reverting", reverting), ("contested", contested), ("bypass", bypass)];
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "apps"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "app", "image": image.to_string()}]}}},
        });
        for (name, value) in marks {
            if let Some(value) = value {
                object["metadata"]["labels"][format!("serin.dev/{name}")] = json!(value);
            }
        }
        if !bare && object["metadata"]["labels"].is_null() {
            object["metadata"]["labels"] = json!({});
        }
        if let Some(revision) = revision {
            object["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": revision});
        }
        if let Some(paused) = paused {
            object["spec"]["paused"] = json!(paused);
        }
        let managers: Vec<_> = managers.iter().map(|(operation, name)| json!({"operation": operation, "manager": name})).collect();
        if !managers.is_empty() {
            object["metadata"]["managedFields"] = json!(managers);
        }
        object
    }
}

const MANAGERS: &[&str] = &[
    "",
    "helm",
    "kubectl-replace",
    "kubectl-client-side-apply",
    "kubectl-edit",
    "argocd-controller",
    "kustomize-controller",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_webhook_holds_what_the_policy_holds(
        old in deployment(), new in deployment(), manager in proptest::sample::select(MANAGERS), calls in 1..3_usize,
    ) {
        let mut old = old;
        if old["metadata"]["labels"]["serin.dev/gate"].is_null() {
            old["metadata"]["labels"]["serin.dev/gate"] = json!("uid");
        }
        let key = Key::new("apps", "deployments", "apps", "web");
        let expected = by_policy(&GATE, &key, (&old, &new), manager);
        let changed = by_webhook(hold, (&old, &new), manager, calls);
        prop_assert_eq!(&changed, &expected);
        // Of states that the guard lets nobody reach, the policy mends some at the next write of any kind.
        let reachable = old["metadata"]["labels"]["serin.dev/held"].is_null() || old["spec"]["paused"] == true;
        prop_assume!(reachable);
        let asked = by_policy(&ASKED, &key, (&old, &new), manager)["asked"] == true;
        prop_assert!(asked || changed == new, "nobody asks the webhook about a write that it would change");
    }

    #[test]
    fn the_webhook_stamps_what_the_policy_stamps(
        asked in maybe(&["abort", "promote"]), by in maybe(&["ed", USER]),
        was_asked in maybe(&["abort", "promote"]), was_by in maybe(&["ed", USER]), new in any::<bool>(),
        user in prop_oneof![Just(USER), Just(SERIN)], calls in 1..3_usize,
    ) {
        let canary = |asked: Option<&str>, by: Option<&str>| {
            let mut object = json!({"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "apps"}});
            for (name, value) in [("request", asked), ("requested-by", by)] {
                if let Some(value) = value {
                    object["metadata"]["annotations"][format!("serin.dev/{name}")] = json!(value);
                }
            }
            object
        };
        let old = if new { Value::Null } else { canary(was_asked, was_by) };
        let object = canary(asked, by);
        let key = Key::new("serin.dev", "canaries", "apps", "web");
        let expected = by_policy_of(&REQUESTS, &key, (&old, &object), (user, ""));
        let judge = |request: &Request| stamp(request, Some(SERIN));
        let changed = by_webhook_of(judge, (&old, &object), (user, ""), calls);
        prop_assert_eq!(&changed, &expected);
        // Nobody can leave an author without a request behind.
        prop_assume!(new || was_asked.is_some() || was_by.is_none());
        let asked = by_policy(&STAMPED, &key, (&old, &object), "")["asked"] == true;
        prop_assert!(asked || changed == object, "nobody asks the webhook about a write that it would change");
    }
}

/// The one exception to what the API server says of a writer: Serin's own account has asked it who somebody is.
#[test]
fn serin_alone_says_for_whom_it_writes() {
    let key = Key::new("serin.dev", "canaries", "apps", "web");
    let canary = |notes: Value| json!({"apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": "web", "namespace": "apps", "annotations": notes}});
    let old = canary(json!({"a": "1"}));
    let new = canary(json!({"serin.dev/request": "abort", "serin.dev/requested-by": "ada"}));
    let bare = canary(json!({"serin.dev/request": "abort"}));
    let near = "system:serviceaccount:apps:serin";
    for (user, new, expected) in [
        (SERIN, &new, "ada"),
        (SERIN, &bare, SERIN),
        (USER, &new, USER),
        (near, &new, near),
        ("", &new, ""),
    ] {
        let stamped = by_policy_of(&REQUESTS, &key, (&old, new), (user, ""));
        let by = &stamped["metadata"]["annotations"]["serin.dev/requested-by"];
        assert_eq!(by, expected, "{user}");
        for own in [Some(SERIN), None] {
            let judge = |request: &Request| stamp(request, own);
            let stamped = by_webhook_of(judge, (&old, new), (user, ""), 1);
            let by = &stamped["metadata"]["annotations"]["serin.dev/requested-by"];
            let expected = if own.is_none() { user } else { expected };
            assert_eq!(by, expected, "{user} while Serin's account is {own:?}");
        }
    }
}

/// A policy that says of each write whether the webhook of this name is asked about it: by a mark.
fn asked_by(hook: &str) -> Mutex<Policies> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/older/webhook.yaml");
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap();
    let hooks = objects
        .iter()
        .flat_map(|object| object["webhooks"].as_array())
        .flatten();
    let hook = hooks
        .into_iter()
        .find(|found| found["name"] == hook)
        .unwrap();
    let policy = json!({
        "kind": "MutatingAdmissionPolicy", "metadata": {"name": "asked"},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConditions": hook["matchConditions"],
            "matchConstraints": {"resourceRules": hook["rules"], "objectSelector": hook["objectSelector"]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": r#"[JSONPatch{op: "add", path: "/asked", value: true}]"#}}],
        },
    });
    let binding = json!({"kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "asked"}, "spec": {"policyName": "asked"}});
    stored([policy, binding])
}

static ASKED: LazyLock<Mutex<Policies>> = LazyLock::new(|| asked_by("hold.serin.dev"));
static STAMPED: LazyLock<Mutex<Policies>> = LazyLock::new(|| asked_by("stamp.serin.dev"));

#[test]
fn scaling_metadata_and_break_glass_do_not_ask_the_webhook() {
    let old = json!({
        "metadata": {"name": "web", "namespace": "apps", "labels": {"serin.dev/gate": "uid", "serin.dev/held": "true"}, "annotations": {"a": "1"}},
        "spec": {"replicas": 2, "paused": true, "template": {"image": 2}},
    });
    let rows = [
        ("/spec/replicas", json!(5), false),
        ("/spec/minReadySeconds", json!(5), false),
        ("/metadata/annotations", json!({"a": "2"}), false),
        (
            "/metadata/labels",
            json!({"serin.dev/gate": "uid", "serin.dev/held": "true", "team": "x"}),
            false,
        ),
        ("/metadata/labels", json!({}), false),
        ("/spec/template", json!({"image": 3}), true),
        ("/spec/paused", json!(false), true),
    ];
    let key = Key::new("apps", "deployments", "apps", "web");
    for (path, value, expected) in rows {
        let mut new = old.clone();
        let patch = json!([{"op": "add", "path": path, "value": value}]);
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        json_patch::patch(&mut new, &patch).unwrap();
        let judged = by_policy(&ASKED, &key, (&old, &new), "");
        assert_eq!(judged["asked"] == true, expected, "{path}: {value}");
    }
}

#[test]
fn a_deployment_that_is_not_armed_is_left_alone() {
    let old = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"template": 1}});
    let new = json!({"metadata": {}, "spec": {"template": 2}});
    assert_eq!(by_webhook(hold, (&old, &new), "", 1), new);
}

const LIFE: Duration = Duration::from_secs(90 * 86_400);

fn pair(name: &str, made: Timestamp) -> Pair {
    Pair {
        certificate: format!("[{name}]"),
        key: format!("key of {name}"),
        made,
        expires: made + LIFE,
    }
}

/// Plays years of looks, one each hour; `trusted` follows what was wanted one look later, unless API servers are deaf.
fn play(hours: i64, deaf: bool) -> Vec<String> {
    let (mut kept, mut trusted) = (Certificates::default(), String::new());
    let mut told = Vec::new();
    for hour in 0..hours {
        let now = SIMULATED_START + Duration::from_hours(hour.unsigned_abs());
        let made = || Ok::<_, ()>(pair(&format!("day {}", hour / 24), now));
        let turned = kept.turned(now, LIFE, &trusted, made).unwrap();
        if let Some(turned) = turned {
            let read = Certificates::of(&turned.data());
            assert_eq!(read, turned, "a Secret keeps all of it");
            let serving = turned.serving.as_ref().unwrap();
            let first = kept == Certificates::default();
            assert!(
                first || deaf || trusted.contains(&serving.certificate),
                "nobody trusts {serving:?}"
            );
            told.push(format!(
                "day {}: {} serves, trusted {}",
                hour / 24,
                serving.certificate,
                turned.trusted()
            ));
            kept = turned;
        }
        if !deaf {
            trusted = kept.trusted();
        }
    }
    told
}

#[test]
fn a_certificate_is_trusted_before_it_serves_and_after() {
    expect_test::expect![[r#"
        day 0: [day 0] serves, trusted [day 0]
        day 60: [day 0] serves, trusted [day 0][day 60]
        day 60: [day 60] serves, trusted [day 60][day 0]
        day 90: [day 60] serves, trusted [day 60]
        day 120: [day 60] serves, trusted [day 60][day 120]
        day 120: [day 120] serves, trusted [day 120][day 60]"#]]
    .assert_eq(&play(24 * 140, false).join("\n"));
}

#[test]
fn a_certificate_that_nobody_trusts_serves_only_when_the_old_one_has_ended() {
    expect_test::expect![[r#"
        day 0: [day 0] serves, trusted [day 0]
        day 60: [day 0] serves, trusted [day 0][day 60]
        day 90: [day 60] serves, trusted [day 60]
        day 120: [day 60] serves, trusted [day 60][day 120]"#]]
    .assert_eq(&play(24 * 140, true).join("\n"));
}

#[test]
fn a_shorter_life_counts_at_once() {
    let kept = Certificates {
        serving: Some(pair("long", SIMULATED_START)),
        ..Certificates::default()
    };
    let turned = |seconds: u64| {
        let now = SIMULATED_START + Duration::from_secs(seconds);
        let made = || Ok::<_, ()>(pair("short", now));
        kept.turned(now, Duration::from_secs(60), "[long]", made)
            .unwrap()
    };
    assert_eq!(turned(39), None);
    assert_eq!(turned(40).unwrap().trusted(), "[long][short]");
}

#[test]
fn a_secret_that_is_not_whole_counts_as_empty() {
    let mut data = Certificates {
        serving: Some(pair("x", SIMULATED_START)),
        ..Certificates::default()
    }
    .data();
    data.remove("tls.key");
    assert_eq!(Certificates::of(&data), Certificates::default());
}

#[test]
fn a_certificate_is_in_pem_and_says_nothing_of_its_key() {
    let names = ["serin-webhook.serin-system.svc".to_owned()];
    let pair = make(&names, SIMULATED_START, LIFE).unwrap();
    assert!(pair.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(
        format!("{pair:?}"),
        "made 2030-01-01T00:00:00Z, expires 2030-04-01T00:00:00Z"
    );
}
