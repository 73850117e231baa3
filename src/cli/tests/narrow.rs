//! What is told of Canaries with long names and wide letters, on terminals of 80 and 40 columns.

use expect_test::expect;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{canary, now, pod, workload};
use crate::cli::args::{GetArgs, Output};
use crate::cli::get::{self, Seen};
use crate::cli::screen::Palette;
use crate::cli::status::{Scene, tree};
use crate::cli::{diagnose, history, text};
use crate::crd::canary::Canary;

const LONG: &str = "checkout-service-for-the-european-market-v2";

fn args(output: Output) -> GetArgs {
    GetArgs {
        name: None,
        all_namespaces: false,
        selector: None,
        output,
        watch: false,
    }
}

/// A release that goes badly, in many words.
fn busy() -> Canary {
    canary(
        LONG,
        &json!({
            "observedGeneration": 1, "phase": "Progressing", "canaryWeight": 5,
            "message": "5% → analysing, 0 of 3 checks; request-success-rate 91.2% < 99%, and 分析の結果は不合格でした",
            "stable": {"revision": "6dd7b68f5c", "images": ["registry.example.com/team/checkout:1.24.0"]},
            "candidate": {"revision": "5c4cdc8ff0", "images": ["registry.example.com/チーム/チェックアウト:2.0.0"]},
            "plan": (1..=100).map(|weight| json!({"weight": weight, "checks": 1})).collect::<Vec<_>>(),
            "step": {"index": 4, "of": 100, "startedAt": "2030-01-01T00:04:00Z", "nextAt": "2030-01-01T00:05:30Z",
                "deadlineAt": "2030-01-01T00:14:00Z", "passed": 0},
            "checks": [{"name": "request-success-rate", "verdict": "Fail", "value": "91.2%", "stable": "99.95%", "limit": ">= 99",
                "samples": 18422, "message": "the difference is larger than chance explains", "at": "2030-01-01T00:04:30Z"}],
            "diagnosis": [{"object": format!("{LONG}-canary-5c4cdc8ff0-x2x9z"), "container": "app", "reason": "ImagePullBackOff",
                "message": "the registry does not know registry.example.com/チーム/チェックアウト:2.0.0",
                "hint": "see whether the image was pushed: `docker manifest inspect IMAGE`"}],
            "lastRequest": {"verb": "resume", "id": "1", "by": "alice@example.com", "at": "2030-01-01T00:03:00Z",
                "outcome": "Accepted", "message": "goes on at the weight at which it was paused before"},
            "history": [
                {"revision": "bbbbbbbbbb", "images": ["registry.example.com/team/checkout:1.23.0"], "outcome": "RolledBack",
                    "reason": "request-success-rate 91.2% < 99% in two checks; 不合格", "by": "alice@example.com",
                    "startedAt": "2030-01-01T00:00:00Z", "endedAt": "2030-01-01T00:03:00Z"},
                {"revision": "aaaaaaaaaa", "images": ["registry.example.com/team/checkout:1.22.0"], "outcome": "Promoted",
                    "marks": ["Forced"], "startedAt": "2029-12-31T20:00:00Z", "endedAt": "2029-12-31T20:20:00Z"}]
        }),
    )
}

fn fleet() -> Vec<Canary> {
    let idle = |number: usize| {
        let image = format!("registry.example.com/team/service:{number}");
        let status =
            json!({"phase": "Initialized", "stable": {"revision": "a", "images": [image]}});
        canary(&format!("service-{number}"), &status)
    };
    (0..499).map(idle).chain([busy()]).collect()
}

#[track_caller]
fn fits(text: &str, room: usize) {
    for line in text.lines() {
        assert!(text::width(line) <= room, "{room}: {line}");
    }
}

fn listed(canaries: &[Canary], output: Output, room: usize) -> String {
    let text = get::render(canaries, &args(output), now(), Some(room)).unwrap();
    fits(&text, room);
    text
}

#[test]
fn canaries_in_eighty_columns() {
    let two = [canary("web", &Value::Null), busy()];
    expect![[r#"
        NAME                    PHASE         WEIGHT  STEP   CANDIDATE               AGE
        web                     Initializing  0%      -      -                       2h
        checkout-se…-market-v2  Progressing   5%      5/100  …/チェックアウト:2.0.0  2h
    "#]]
    .assert_eq(&listed(&two, Output::Table, 80));
    expect![[r#"
        NAME                PHASE         WEIGHT
        web                 Initializing  0%
        checkout-…arket-v2  Progressing   5%
    "#]]
    .assert_eq(&listed(&two, Output::Table, 40));
    expect![[r#"
        NAME            PHASE         WEIGHT  STEP   CANDIDATE       AGE  MESSAGE
        web             Initializing  0%      -      -               2h   -
        checkou…ket-v2  Progressing   5%      5/100  …アウト:2.0.0   2h   5% → analysin…
    "#]]
    .assert_eq(&listed(&two, Output::Wide, 80));
}

#[test]
fn five_hundred_canaries_take_a_line_each() {
    for (output, room) in [(Output::Table, 80), (Output::Wide, 80), (Output::Table, 40)] {
        let text = listed(&fleet(), output, room);
        assert_eq!(text.lines().count(), 501);
        assert!(text.contains("service-498 "), "{text}");
    }
}

fn scene() -> Scene {
    let name = format!("{LONG}-canary");
    Scene {
        canary: busy(),
        target: Some(workload(LONG, 10, 10)),
        clone: Some(workload(&name, 0, 1)),
        pods: vec![pod(
            &format!("{name}-5c4cdc8ff0-x2x9z"),
            false,
            Some("ImagePullBackOff"),
        )],
    }
}

fn drawn(room: usize) -> String {
    tree(&scene(), now()).render(Palette { on: false }, Some(room))
}

#[test]
fn a_rollout_in_eighty_columns() {
    expect![[r#"
        shop/checkout-service-for-the-european-market-v2  Progressing  5% → analysing, 0
        │ of 3 checks; request-success-rate 91.2% < 99%, and 分析の結果は不合格でした
        ├─ stable   6dd7b68f5c  registry.example.com/team/checkout:1.24.0
        │    deployment/checkout-service-for-the-european-market-v2  10/10 ready  95%
        ├─ canary   5c4cdc8ff0  registry.example.com/チーム/チェックアウト:2.0.0
        │  │ deployment/checkout-service-for-the-european-market-v2-canary  0/1 ready
        │  │ 5%
        │  └─ checkout-service-for-the-european-market-v2-canary-5c4cdc8ff0-x2x9z
        │       ImagePullBackOff  1 restart  3m
        ├─ steps    ✓ 1%  ✓ 2%  ✓ 3%  ✓ 4%  ▸ 5% (0/1)  · 6%  · 7%  · 8%  · 9%
        │  │ · 91 more to 100%
        │  └─ next check in 30s
        ├─ checks
        │  └─ ✗ request-success-rate  91.2%  (>= 99)  stable 99.95%  18422 samples  the
        │       difference is larger than chance explains
        ├─ diagnosis
        │  └─ checkout-service-for-the-european-market-v2-canary-5c4cdc8ff0-x2x9z,
        │     │ container app: ImagePullBackOff: the registry does not know
        │     │ registry.example.com/チーム/チェックアウト:2.0.0
        │     └─ try: see whether the image was pushed: `docker manifest inspect IMAGE`
        └─ request  resume by alice@example.com, 2m ago  Accepted  goes on at the weight
             at which it was paused before
    "#]]
    .assert_eq(&drawn(80));
}

#[test]
fn a_rollout_in_forty_columns() {
    expect![[r#"
        shop/checkout-service-for-the-european-m
        │ arket-v2  Progressing  5% → analysing,
        │ 0 of 3 checks; request-success-rate
        │ 91.2% < 99%, and
        │ 分析の結果は不合格でした
        ├─ stable   6dd7b68f5c
        │    registry.example.com/team/checkout:
        │    1.24.0
        │    deployment/checkout-service-for-the
        │    -european-market-v2  10/10 ready
        │    95%
        ├─ canary   5c4cdc8ff0
        │  │ registry.example.com/チーム/チェッ
        │  │ クアウト:2.0.0
        │  │ deployment/checkout-service-for-the
        │  │ -european-market-v2-canary  0/1
        │  │ ready  5%
        │  └─ checkout-service-for-the-european-
        │       market-v2-canary-5c4cdc8ff0-x2x9
        │       z  ImagePullBackOff  1 restart
        │       3m
        ├─ steps    ✓ 1%  ✓ 2%  ✓ 3%  ✓ 4%
        │  │ ▸ 5% (0/1)  · 6%  · 7%  · 8%  · 9%
        │  │ · 91 more to 100%
        │  └─ next check in 30s
        ├─ checks
        │  └─ ✗ request-success-rate  91.2%  (>=
        │       99)  stable 99.95%  18422
        │       samples  the difference is
        │       larger than chance explains
        ├─ diagnosis
        │  └─ checkout-service-for-the-european-
        │     │ market-v2-canary-5c4cdc8ff0-x2x9
        │     │ z, container app:
        │     │ ImagePullBackOff: the registry
        │     │ does not know
        │     │ registry.example.com/チーム/チェ
        │     │ ックアウト:2.0.0
        │     └─ try: see whether the image was
        │          pushed:
        │          `docker manifest
        │          inspect IMAGE`
        └─ request  resume by alice@example.com,
             2m ago  Accepted  goes on at the
             weight at which it was paused
             before
    "#]]
    .assert_eq(&drawn(40));
}

#[test]
fn a_rollout_in_any_width() {
    for room in 20..200 {
        fits(&drawn(room), room);
    }
}

#[test]
fn releases_in_eighty_columns() {
    let text = |room| history::render(&busy(), now(), Some(room));
    expect![[r#"
        REVISION    IMAGE            OUTCOME            ENDED   REASON
        bbbbbbbbbb  …heckout:1.23.0  RolledBack         2m ago  request-success-rate
                                                                91.2% < 99% in two
                                                                checks; 不合格
        aaaaaaaaaa  …heckout:1.22.0  Promoted (Forced)  3h ago  -
    "#]]
    .assert_eq(&text(80));
    expect![[r#"
        REVISION    OUTCOME            REASON
        bbbbbbbbbb  RolledBack         request-success-rat
                                       e 91.2% < 99% in
                                       two checks; 不合格
        aaaaaaaaaa  Promoted (Forced)  -
    "#]]
    .assert_eq(&text(50));
    fits(&(text(80) + &text(50)), 80);
}

#[test]
fn findings_in_eighty_columns() {
    let found = diagnose::findings(&busy(), Some(&workload(LONG, 1, 1)));
    let text = diagnose::render(LONG, &found, Some(80));
    fits(&text, 80);
    expect![[r#"
        canary/checkout-service-for-the-european-market-v2
        ├─ checkout-service-for-the-european-market-v2-canary-5c4cdc8ff0-x2x9z,
        │  │ container app: ImagePullBackOff: the registry does not know
        │  │ registry.example.com/チーム/チェックアウト:2.0.0
        │  └─ try: see whether the image was pushed: `docker manifest inspect IMAGE`
        └─ check request-success-rate: Fail: 91.2%, >= 99, the difference is larger than
             chance explains
    "#]]
    .assert_eq(&text);
    expect![[r#"
        [
          {
            "finding": "checkout-service-for-the-european-market-v2-canary-5c4cdc8ff0-x2x9z, container app: ImagePullBackOff: the registry does not know registry.example.com/チーム/チェックアウト:2.0.0",
            "try": "see whether the image was pushed: `docker manifest inspect IMAGE`"
          },
          {
            "finding": "check request-success-rate: Fail: 91.2%, >= 99, the difference is larger than chance explains"
          }
        ]"#]].assert_eq(&format!("{:#}", json!(found)));
}

#[test]
fn what_changes_is_listed_under_the_same_heading() {
    let later: Timestamp = "2030-01-01T00:06:00Z".parse().unwrap();
    let version = |mut canary: Canary, version: &str| {
        canary.metadata.resource_version = Some(version.to_owned());
        canary.metadata.uid = Some(canary.metadata.name.clone().unwrap());
        canary
    };
    let web = || version(canary("web", &json!({"phase": "Initialized"})), "1");
    let cart =
        |number: &str, phase: &str| version(canary("cart", &json!({"phase": phase})), number);
    let mut seen = Seen::default();
    let mut news = |canaries: Vec<Canary>| {
        seen.news(canaries, &args(Output::Table), later, Some(80))
            .unwrap()
    };
    let told = [
        news(vec![cart("1", "Initialized"), web()]),
        news(vec![cart("1", "Initialized"), web()]),
        news(vec![cart("2", "Waiting"), web()]),
        news(vec![web()]),
        news(vec![version(busy(), "3"), web()]),
    ];
    expect![[r#"
        NAME   PHASE         WEIGHT   STEP   CANDIDATE   AGE
        cart   Initialized   0%       -      -           2h
        web    Initialized   0%       -      -           2h
        ~
        ~
        cart   Waiting       0%       -      -           2h
        ~
        cart   (deleted)     0%       -      -           2h
        ~
        NAME                     PHASE        WEIGHT  STEP   CANDIDATE               AGE
        checkout-se…n-market-v2  Progressing  5%      5/100  …/チェックアウト:2.0.0  2h
    "#]]
    .assert_eq(&told.join("~\n"));
}
