//! Recordings that were made up, and what is said of them.

use expect_test::expect;
use serde_json::json;

use super::*;
use crate::cli::exit::Exit;
use crate::rollout::replay::Recording;

/// A table of a canary's release: a sample every 15 s of this time at these weights, five minutes of stable alone before; 200 requests
/// a second, of which these shares are bad.
fn table(weights: &[(u32, f64)], (canary, stable): (f64, f64)) -> String {
    let mut text = "time,arm,all,bad,weight\n".to_owned();
    let (mut now, mut counts) = (1_800_000_000, [(0.0, 0.0), (0.0, 0.0)]);
    let before = [(300, 0.0)];
    for (seconds, weight) in before.iter().chain(weights) {
        for _ in 0..seconds / 15 {
            now += 15;
            let shares = [(*weight, canary), (1.0 - weight, stable)];
            for (count, (share, bad)) in counts.iter_mut().zip(shares) {
                count.0 += 3000.0 * share;
                count.1 += 3000.0 * share * bad;
            }
            let percent = weight * 100.0;
            for (arm, (all, bad)) in ["canary", "stable"].iter().zip(counts) {
                if *weight > 0.0 || *arm == "stable" {
                    text += &format!("{now},{arm},{all:.0},{bad:.0},{percent:.0}\n");
                }
            }
        }
    }
    text
}

fn read(text: &str) -> Recording {
    recorded::read("recorded.csv", text, SUCCESS_RATE).expect("a recording")
}

/// The Canary of a command that names none.
fn of_nobody() -> Canary {
    let args = EvaluateArgs {
        recording: PathBuf::new(),
        files: Vec::new(),
        canary: None,
        metric: SUCCESS_RATE.to_owned(),
        dispersion: None,
        output: Form::Text,
    };
    canary(&args, None).expect("a Canary")
}

fn played(text: &str, analysis: &serde_json::Value) -> Replay {
    let mut canary = of_nobody();
    canary.spec.analysis = serde_json::from_value(analysis.clone()).expect("an analysis");
    judged(&canary, &read(text), None).expect("it can be judged")
}

const PLAN: [(u32, f64); 2] = [(300, 0.1), (300, 0.5)];

#[test]
fn a_regression_is_found_and_told() {
    let replay = played(&table(&PLAN, (0.008, 0.001)), &json!({}));
    expect![[r#"
        TIME   WEIGHT   METRIC                 CANARY   STABLE   LIMIT    VERDICT   EVIDENCE       PROOF
        1:00   10 %     request-success-rate   99.17%   99.9%    >= 99%   Pass      2.92 of 4.61   -2.31 of 3.00
        1:45   10 %     request-success-rate   99.25%   99.9%    >= 99%   Pass      5.44 of 4.61   -2.57 of 3.00

        Rejected 1:45 after the canary's first sample (2027-01-15T08:07:00Z): request-success-rate 99.25% (>= 99%) is worse than stable's, 8.05 times as bad (1.68 to 38.05): 17 of 2100 requests to the canary were bad, and 19 of 18900 to stable; evidence 5.44 of 4.61.
    "#]]
    .assert_eq(&text::render(&replay, Palette { on: false }, None));
    assert_eq!(exit(&replay), Exit::Failed);
}

#[test]
fn equal_arms_come_to_evidence() {
    let replay = played(&table(&PLAN, (0.001, 0.001)), &json!({}));
    assert!(matches!(replay.ending, Ending::Proven(_)), "{replay:?}");
    assert_eq!(replay.rows.len(), 8);
    assert_eq!(exit(&replay), Exit::Done);
}

#[test]
fn a_short_recording_decides_nothing() {
    let replay = played(&table(&[(60, 0.1)], (0.005, 0.005)), &json!({}));
    let lacking = vec![SUCCESS_RATE.to_owned()];
    assert_eq!(replay.ending, Ending::Open(lacking));
    assert_eq!(exit(&replay), Exit::TimedOut);
}

#[test]
fn limits_decide_without_the_comparison() {
    let alone = json!({"comparison": {"enabled": false}, "threshold": 2});
    let replay = played(&table(&PLAN, (0.05, 0.001)), &alone);
    let Ending::Rejected(at, why) = &replay.ending else {
        panic!("{replay:?}");
    };
    assert_eq!(
        at.since(replay.began).as_secs(),
        120,
        "two rounds of a minute"
    );
    assert!(why.ends_with("2 of 2 failed checks"), "{why}");
    let both = played(&table(&PLAN, (0.05, 0.05)), &alone);
    assert_eq!(both.failed_checks, 0, "stable fails its limit, too");
}

/// Whatever one column says, what is said of it names line and column.
#[test]
fn mistakes_are_named() {
    let rows = [
        (
            "time,arm,all\n",
            "recorded.csv:1:1: bad: is missing in the heading; needed are time, arm, all, bad",
        ),
        (
            "time,arm,all,bad,pod\n",
            "recorded.csv:1:1: pod: is no column; known are time, arm, all, bad, process, metric, weight",
        ),
        (
            "time,arm,all,bad\nsoon,canary,1,0\n",
            "recorded.csv:2:1: time: \"soon\" is neither seconds since 1970 nor like 2030-01-31T12:00:00Z",
        ),
        (
            "time,arm,all,bad\n1,blue,1,0\n",
            "recorded.csv:2:1: arm: \"blue\" is neither canary nor stable",
        ),
        (
            "time,arm,all,bad\n1,canary,many,0\n",
            "recorded.csv:2:1: all: \"many\" is no count, which is a number from 0 on",
        ),
        (
            "time,arm,all,bad\n1,canary,1,-1\n",
            "recorded.csv:2:1: bad: \"-1\" is no count, which is a number from 0 on",
        ),
        (
            "time,arm,all,bad\n1,canary,1,2\n",
            "recorded.csv:2:1: bad: 2 bad requests of 1",
        ),
        (
            "time,arm,all,bad,weight\n1,canary,2,1,110\n",
            "recorded.csv:2:1: weight: \"110\" is no share of 0 to 100 percent",
        ),
        (
            "{\"status\": \"error\"}",
            "recorded.csv: the metrics server says 200 OK: ",
        ),
    ];
    for (text, expected) in rows {
        let said = recorded::read("recorded.csv", text, SUCCESS_RATE).map_err(|it| it.to_string());
        assert_eq!(said, Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_holds_nothing_is_refused() {
    let unfit = |text: &str| {
        let canary = of_nobody();
        judged(&canary, &read(text), None).map_err(|it| it.to_string())
    };
    let said = [
        unfit("time,arm,all,bad\n"),
        unfit("time,arm,all,bad\n1,stable,1,0\n"),
    ];
    expect![[r#"
        [
            Err(
                "has no samples of a metric that the analysis counts (request-success-rate)",
            ),
            Err(
                "has no sample of the canary",
            ),
        ]
    "#]]
    .assert_debug_eq(&said);
}

/// What a Prometheus said, and the same as a table.
#[test]
fn both_forms_are_read_alike() {
    let series = |k: &str, values: &str| {
        format!(r#"{{"metric": {{"pod": "web", "k": "{k}"}}, "values": [{values}]}}"#)
    };
    let all = [
        series("canary.all", r#"[60, "10"], [75, "20"]"#),
        series("canary.bad", r#"[75, "2"]"#),
    ];
    let said = format!(
        r#"{{"status": "success", "data": {{"resultType": "matrix", "result": [{}]}}}}"#,
        all.join(",")
    );
    let table = "time,process,arm,all,bad\n60,web,canary,10,0\n75,web,canary,20,2\n";
    let mut from_server = read(&said);
    for counter in from_server
        .metrics
        .values_mut()
        .flat_map(|it| it.values_mut())
        .flatten()
    {
        counter.canary_pod = false;
    }
    assert_eq!(from_server, read(table));
}
