//! Splunk: a program, and the stream of events that answers it.

use super::*;

fn at(address: &str) -> MetricServer {
    provider(json!({"type": "splunk", "address": address, "secretRef": {"name": "splunk"}}))
}

#[test]
fn a_program_is_sent_as_it_is() {
    expect![[r#"
        POST http://store.test/v2/signalflow/execute?start=1795341600000&stop=1795341660500&immediate=true
        content-type: text/plain
        accept: text/event-stream
        x-sf-token: s3cret
        x-tenant: shop
        a = data('x')
        a.sum().publish()"#]].assert_eq(&asked("splunk", "a = data('x')\na.sum().publish()"));
}

#[test]
fn programs_run_where_streams_are() {
    let rows = [
        ("https://stream.eu0.observability.splunkcloud.com", None),
        (
            "https://api.us1.signalfx.com",
            Some(
                "provider.address: programs run at https://stream.us1.signalfx.com: write that, also into the Secret",
            ),
        ),
    ];
    for (address, expected) in rows {
        assert_eq!(problem(&at(address), "x").as_deref(), expected);
    }
}

fn comes_to(stream: &str) -> String {
    told(
        Store::Splunk,
        &minute(&at("https://stream.test"), "x"),
        200,
        stream,
    )
}

/// The lines of an event, as Splunk breaks its JSON into them.
fn event(name: &str, data: &[&str]) -> String {
    let data: String = data.iter().map(|line| format!("data: {line}\n")).collect();
    format!("event: {name}\n{data}\n")
}

fn point(series: &str, at: &str, value: &str) -> String {
    let data = format!(r#"{{ "tsId" : "{series}", "value" : {value} }}"#);
    let time = format!(r#""logicalTimestampMs" : {at}"#);
    event("data", &["{", r#""data" : ["#, &data, "],", &time, "}"])
}

fn control(name: &str) -> String {
    event(
        "control-message",
        &[
            "{",
            &format!(r#""event" : "{name}","#),
            r#""timestampMs" : 1"#,
            "}",
        ],
    )
}

/// What a stream says before its data.
fn begin() -> String {
    let message = r#""message" : {"messageCode" : "JOB_RUNNING_RESOLUTION", "contents" : {"resolutionMs" : 10000}}"#;
    [
        ": hello\n\n".to_owned(),
        control("STREAM_START"),
        control("JOB_START"),
        event(
            "message",
            &["{", r#""logicalTimestampMs" : 1,"#, message, "}"],
        ),
        event(
            "metadata",
            &["{", r#""properties" : {"sf_key" : []}, "tsId" : "A""#, "}"],
        ),
        control("JOB_PROGRESS"),
    ]
    .concat()
}

const IN_TIME: &str = "1795341640000";
const END: &str = "END_OF_CHANNEL";

#[test]
fn the_newest_whole_point_of_the_only_series_counts() {
    let point = |at: &str, value: &str| point("A", at, value);
    let rows = [
        ([point("1795341630000", "7"), point(IN_TIME, "2.5")], "2.5"),
        ([point(IN_TIME, "2.5"), point("1795341630000", "7")], "2.5"),
        // Begins before the window, or reaches beyond it.
        ([point("1795341590000", "7"), point(IN_TIME, "2.5")], "2.5"),
        ([point(IN_TIME, "2.5"), point("1795341655000", "7")], "2.5"),
        (
            [point("1795341590000", "7"), point("1795341655000", "7")],
            "no data",
        ),
        ([point(IN_TIME, "13"), point("1795341650000", "null")], "13"),
        ([point(IN_TIME, r#""NaN""#), String::new()], "no data"),
        (
            [point(IN_TIME, r#""s3cret""#), String::new()],
            "again: a value of Splunk is no number",
        ),
        ([point(IN_TIME, "1.048576E8"), String::new()], "104857600"),
        ([String::new(), String::new()], "no data"),
    ];
    for (points, expected) in rows {
        let stream = begin() + &points.concat() + &control(END);
        assert_eq!(comes_to(&stream), expected, "{stream}");
        assert_eq!(
            comes_to(&stream.replace('\n', "\r\n")),
            expected,
            "{stream}"
        );
    }
}

#[test]
fn several_series_are_one_too_many() {
    let stream = begin() + &point("A", IN_TIME, "1") + &point("B", IN_TIME, "null") + &control(END);
    assert_eq!(
        comes_to(&stream),
        "never: the query finds 2 series where it needs one"
    );
    let stream = begin()
        + &point("A", IN_TIME, "1")
        + &event("expired-tsid", &[r#"{"tsId": "B"}"#])
        + &control(END);
    assert_eq!(comes_to(&stream), "1");
}

#[test]
fn a_stream_that_does_not_end_well_never_passes() {
    let good = begin() + &point("A", IN_TIME, "2.5");
    let limited = r#"{"message": {"messageCode": "FIND_LIMITED_RESULT_SET", "matchedSize": 9}}"#;
    let rows = [
        (
            good.clone(),
            "again: the stream of Splunk broke off before its end",
        ),
        (
            good.clone() + &control("CHANNEL_ABORT"),
            "again: Splunk broke the computation off",
        ),
        (
            good.clone() + &event("error", &[r#"{"errors": ["s3cret"]}"#]) + &control(END),
            "again: Splunk says that the program failed",
        ),
        (
            good.clone() + &event("message", &[limited]) + &control(END),
            "again: the reply carries a warning: Splunk left series out",
        ),
        (
            good.clone() + "event: control-message\ndata: {\ndata: \"event\" : \"END_OF",
            "again: the stream of Splunk has a message that is not its own",
        ),
        (good.clone() + control(END).trim_end(), "2.5"),
        (String::new(), "again: the stream of Splunk broke off"),
        (
            r#"{"code": 400, "message": "s3cret"}"#.to_owned(),
            "again: the stream of Splunk broke off",
        ),
    ];
    for (stream, expected) in rows {
        let found = comes_to(&stream);
        assert!(found.starts_with(expected), "{stream}: {found}");
        assert!(!found.contains("s3cret"), "{found}");
    }
    // Wherever it is cut, it is no answer, but for the empty line at its end.
    let whole = good + &control(END);
    let whole = whole.trim_end();
    for cut in 0..whole.len() {
        let found = comes_to(&whole[..cut]);
        assert!(found.starts_with("again: "), "{cut}: {found}");
    }
}
