mod narrow;

use std::ffi::OsString;

use clap::CommandFactory;
use expect_test::expect;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::args::{Args, Command, GetArgs, Output};
use crate::cli::controller::{Lease, Settings};
use crate::cli::screen::Palette;
use crate::cli::status::{Scene, tree};
use crate::cli::{called, diagnose, exit, get, history, parse};
use crate::crd::canary::Canary;
use crate::objects::{Container, Deployment, Pod, mark};

fn argv(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn now() -> Timestamp {
    "2030-01-01T00:05:00Z".parse().unwrap()
}

fn canary(name: &str, status: &Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": name, "namespace": "shop", "generation": 1, "creationTimestamp": "2029-12-31T22:00:00Z"},
        "spec": {"targetRef": {"kind": "Deployment", "name": name}},
        "status": status
    }))
    .unwrap()
}

fn progressing() -> Canary {
    canary(
        "web",
        &json!({
            "observedGeneration": 1, "phase": "Progressing", "canaryWeight": 50, "message": "50% → analysing, 2 of 3 checks",
            "stable": {"revision": "6dd7b68f5c", "images": ["app:1"]},
            "candidate": {"revision": "5c4cdc8ff0", "images": ["app:2"], "attempt": 3},
            "plan": [{"weight": 10, "checks": 3, "pause": {"seconds": 600}}, {"weight": 50, "checks": 3},
                {"weight": 100, "checks": 3, "pause": {}}],
            "step": {"index": 1, "of": 3, "startedAt": "2030-01-01T00:04:00Z", "nextAt": "2030-01-01T00:05:30Z",
                "deadlineAt": "2030-01-01T00:14:00Z", "passed": 2},
            "checks": [
                {"name": "request-duration", "verdict": "NoData", "message": "no series match", "at": "2030-01-01T00:04:30Z"},
                {"name": "request-success-rate", "verdict": "Pass", "value": "99.93%", "stable": "99.95%", "limit": ">= 99",
                    "samples": 18422, "at": "2030-01-01T00:04:30Z"}],
            "diagnosis": [{"object": "web-canary-b", "container": "app", "reason": "ImagePullBackOff",
                "message": "no such image", "hint": "look at the name of the image"}],
            "lastRequest": {"verb": "resume", "id": "1", "by": "alice", "at": "2030-01-01T00:03:00Z", "outcome": "Accepted",
                "message": "goes on"}
        }),
    )
}

fn failed() -> Canary {
    canary(
        "cart",
        &json!({
            "observedGeneration": 1, "phase": "Failed", "message": "rejected: success 91.2% < 99%",
            "stable": {"revision": "aaaaaaaaaa", "images": ["cart:7"]},
            "candidate": {"revision": "bbbbbbbbbb", "images": ["cart:8"]},
            "history": [
                {"revision": "bbbbbbbbbb", "images": ["cart:8"], "outcome": "RolledBack", "reason": "success 91.2% < 99%",
                    "startedAt": "2030-01-01T00:00:00Z", "endedAt": "2030-01-01T00:03:00Z"},
                {"revision": "aaaaaaaaaa", "images": ["cart:7"], "outcome": "Promoted", "marks": ["Forced"], "by": "bob",
                    "startedAt": "2029-12-31T20:00:00Z", "endedAt": "2029-12-31T20:20:00Z"}]
        }),
    )
}

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn the_namespace_stands_before_or_after_the_verb() {
    for line in [
        "serin -n shop undo web",
        "serin undo web -n shop",
        "kubectl-serin undo --namespace shop web",
    ] {
        let args = parse(&argv(line)).unwrap();
        assert_eq!(args.cluster.namespace.as_deref(), Some("shop"), "{line}");
        assert!(
            matches!(args.command, Command::Undo(undo) if undo.name == "web"),
            "{line}"
        );
    }
}

#[test]
fn wrong_usage_is_told_from_help() {
    let rows = [
        ("serin", true),
        ("serin get --watch -A", false),
        ("serin get web -A", true),
        ("serin wait web --timeout 90s", false),
        ("serin wait web --timeout soon", true),
        ("serin promote web --full --wait --timeout 1h", false),
        ("serin abort web --timeout 1h", true),
        ("serin pause web --wait", true),
        (
            "serin rollback web --to 6dd7b68f5c --reason regressed",
            false,
        ),
        ("serin disarm", true),
        ("serin disarm --all --force", false),
        ("serin disarm web --all", true),
        ("serin controller --provider knative", true),
        ("serin frobnicate", true),
    ];
    for (line, wrong) in rows {
        assert_eq!(parse(&argv(line)).is_err(), wrong, "{line}");
    }
}

#[test]
fn the_plugin_speaks_of_itself_as_kubectl_serin() {
    let help = |name: &str| {
        parse(&argv(&format!("{name} wait --help")))
            .unwrap_err()
            .to_string()
    };
    assert!(
        help("/usr/bin/kubectl-serin").contains("Usage: kubectl serin wait"),
        "{}",
        help("kubectl-serin")
    );
    assert!(help("serin").contains("Usage: serin wait"));
    assert_eq!(
        called(&argv("/usr/local/bin/kubectl-serin")),
        "kubectl-serin"
    );
}

fn settings(line: &str, env: &[(&str, &str)]) -> anyhow::Result<Settings> {
    let args = parse(&argv(line)).unwrap();
    let Command::Controller(flags) = args.command else {
        unreachable!("it is the controller")
    };
    let find = |name: &str| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Settings::meant(&flags, args.cluster.namespace, find)
}

#[test]
fn the_controller_takes_its_name_from_its_pod() {
    let pod = [
        ("POD_NAME", "serin-0"),
        ("POD_NAMESPACE", "ops"),
        ("HOSTNAME", "host"),
    ];
    let lease = |namespace: &str, identity: &str| {
        Some(Lease {
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
        })
    };
    let rows = [
        ("serin controller", &pod[..], lease("ops", "serin-0")),
        ("serin controller", &pod[2..], lease("serin-system", "host")),
        (
            "serin controller --identity me --lease-namespace here",
            &pod[..],
            lease("here", "me"),
        ),
        ("serin controller --leader-elect=false", &[][..], None),
    ];
    for (line, env, expected) in rows {
        assert_eq!(settings(line, env).unwrap().lease, expected, "{line}");
    }
    assert!(settings("serin controller", &[]).is_err());
}

#[test]
fn the_controllers_defaults_are_those_of_the_manual() {
    let settings = settings(
        "serin controller --leader-elect=false -n shop --metrics-server http://prometheus:9090",
        &[],
    );
    expect![[r#"
        Settings {
            provider: "gatewayapi:v1",
            metrics_server: Some(
                "http://prometheus:9090/",
            ),
            guard: Guard {
                trusted: {
                    "prometheus:9090",
                },
                ours: {},
            },
            namespace: Some(
                "shop",
            ),
            listen: 0.0.0.0:8080,
            doors: Doors {
                anonymous_reads: false,
                audiences: [],
            },
            tls: None,
            lease: None,
            concurrency: 32,
            webhook: None,
        }
    "#]]
    .assert_debug_eq(&settings.unwrap());
}

fn list(output: Output) -> String {
    let args = GetArgs {
        name: None,
        all_namespaces: true,
        selector: None,
        output,
        watch: false,
    };
    let fresh = canary("new", &Value::Null);
    get::render(&[failed(), progressing(), fresh], &args, now(), None).unwrap()
}

#[test]
fn canaries_in_a_table() {
    expect![[r#"
        NAMESPACE   NAME   PHASE          WEIGHT   STEP   CANDIDATE   AGE
        shop        cart   Failed         0%       -      cart:8      2h
        shop        web    Progressing    50%      2/3    app:2       2h
        shop        new    Initializing   0%       -      -           2h
    "#]]
    .assert_eq(&list(Output::Table));
}

#[test]
fn canaries_in_a_wide_table() {
    expect![[r#"
        NAMESPACE   NAME   PHASE          WEIGHT   STEP   CANDIDATE   AGE   TARGET            STABLE   MESSAGE
        shop        cart   Failed         0%       -      cart:8      2h    deployment/cart   cart:7   rejected: success 91.2% < 99%
        shop        web    Progressing    50%      2/3    app:2       2h    deployment/web    app:1    50% → analysing, 2 of 3 checks
        shop        new    Initializing   0%       -      -           2h    deployment/new    -        -
    "#]]
    .assert_eq(&list(Output::Wide));
}

#[test]
fn canaries_for_programs() {
    assert_eq!(
        list(Output::Name),
        "canary.serin.dev/cart\ncanary.serin.dev/web\ncanary.serin.dev/new\n"
    );
    let json: Value = serde_json::from_str(&list(Output::Json)).unwrap();
    assert_eq!(json["items"][1]["status"]["canaryWeight"], 50);
    assert!(list(Output::Yaml).starts_with("apiVersion: v1\n"));
}

#[test]
fn releases_in_a_table() {
    expect![[r#"
        REVISION     IMAGE    OUTCOME             TOOK   ENDED    BY    REASON
        bbbbbbbbbb   cart:8   RolledBack          3m     2m ago   -     success 91.2% < 99%
        aaaaaaaaaa   cart:7   Promoted (Forced)   20m    3h ago   bob   -
    "#]]
    .assert_eq(&history::render(&failed(), now(), None));
}

fn workload(name: &str, ready: i32, replicas: i32) -> Deployment {
    let mut workload = Deployment {
        ready,
        replicas,
        ..Deployment::default()
    };
    workload.meta.name = name.to_owned();
    workload
}

fn pod(name: &str, ready: bool, waiting: Option<&str>) -> Pod {
    let waiting = waiting.map(|reason| (reason.to_owned(), String::new()));
    let mut pod = Pod {
        ready,
        phase: "Pending".to_owned(),
        ..Pod::default()
    };
    pod.meta.name = name.to_owned();
    pod.meta.created = Some("2030-01-01T00:02:00Z".parse().unwrap());
    pod.containers.push(Container {
        waiting,
        restarts: i32::from(!ready),
        ..Container::default()
    });
    pod
}

#[test]
fn a_rollout_is_a_tree() {
    let mut target = workload("web", 10, 10);
    target
        .meta
        .labels
        .insert(mark::HELD.to_owned(), "true".to_owned());
    target.template.images = vec!["app:2".to_owned()];
    let scene = Scene {
        canary: progressing(),
        target: Some(target),
        clone: Some(workload("web-canary", 1, 2)),
        pods: vec![
            pod("web-canary-a", true, None),
            pod("web-canary-b", false, Some("ImagePullBackOff")),
        ],
    };
    expect![[r#"
        shop/web  Progressing  50% → analysing, 2 of 3 checks
        ├─ stable   6dd7b68f5c  app:1  deployment/web  10/10 ready  50%  held: app:2
        ├─ canary   5c4cdc8ff0  app:2  deployment/web-canary  1/2 ready  50%
        │  ├─ web-canary-b  ImagePullBackOff  1 restart  3m
        │  └─ web-canary-a  ready  3m
        ├─ steps    ✓ 10% then 10m  ▸ 50% (2/3)  · 100% then approval
        │  └─ next check in 30s
        ├─ checks
        │  ├─ ? request-duration  no series match
        │  └─ ✓ request-success-rate  99.93%  (>= 99)  stable 99.95%  18422 samples
        ├─ diagnosis
        │  └─ web-canary-b, container app: ImagePullBackOff: no such image
        │     └─ try: look at the name of the image
        └─ request  resume by alice, 2m ago  Accepted  goes on
    "#]]
    .assert_eq(&tree(&scene, now()).render(Palette { on: false }, None));
}

#[test]
fn an_idle_canary_is_a_short_tree() {
    let idle = canary(
        "web",
        &json!({"phase": "Succeeded", "stable": {"revision": "6dd7b68f5c", "images": ["app:1"]}}),
    );
    let scene = Scene {
        canary: idle,
        target: Some(workload("web", 3, 3)),
        clone: None,
        pods: Vec::new(),
    };
    expect![[r#"
        shop/web  Succeeded
        └─ stable   6dd7b68f5c  app:1  deployment/web  3/3 ready  100%
    "#]]
    .assert_eq(&tree(&scene, now()).render(Palette { on: false }, None));
}

#[test]
fn colours_are_only_there_when_wanted() {
    let scene = Scene {
        canary: failed(),
        target: None,
        clone: None,
        pods: Vec::new(),
    };
    let text = |on| tree(&scene, now()).render(Palette { on }, None);
    assert!(text(true).contains("\x1b[31mFailed\x1b[0m"));
    assert!(!text(false).contains('\x1b'));
}

#[test]
fn a_finding_says_what_to_try() {
    let found = |canary: &Canary| {
        let found = diagnose::findings(canary, Some(&workload("web", 1, 1)));
        diagnose::render("web", &found, None)
    };
    expect![[r#"
        canary/web
        └─ the candidate was rejected; stable serves
           └─ try: ship another template, put stable back with `serin -n shop undo cart`, or try again with `serin -n shop retry cart`
    "#]]
    .assert_eq(&found(&failed()));
    expect![[r#"
        canary/web
        ├─ web-canary-b, container app: ImagePullBackOff: no such image
        │  └─ try: look at the name of the image
        └─ check request-duration: NoData: no series match
    "#]]
    .assert_eq(&found(&progressing()));
    let idle = json!({"phase": "Succeeded", "observedGeneration": 1});
    let found = diagnose::findings(&canary("web", &idle), Some(&workload("web", 1, 1)));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn an_error_says_what_to_do_next() {
    let api = |code: u16, name: &str, message: &str| {
        let status = json!({"code": code, "message": message, "details": {"name": name}, "status": "Failure"});
        let status: kube::core::Status = serde_json::from_value(status).unwrap();
        anyhow::Error::new(kube::Error::Api(Box::new(status))).context("read the Canary")
    };
    let rows = [
        (
            api(404, "", "the server could not find the requested resource"),
            Some("serin crd"),
        ),
        (
            api(403, "web", "canaries \"web\" is forbidden"),
            Some("serin-operator"),
        ),
        (api(404, "web", "canaries \"web\" not found"), None),
    ];
    for (error, expected) in rows {
        let hint = exit::hint(&error);
        assert_eq!(hint.is_some(), expected.is_some(), "{hint:?}");
        assert!(expected.is_none_or(|part| hint.unwrap().contains(part)));
    }
    let text = exit::words(&api(403, "web", "canaries \"web\" is forbidden"));
    assert_eq!(text, "read the Canary: canaries \"web\" is forbidden");
}
