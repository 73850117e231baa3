//! CloudWatch: a signed request, and the newest whole period of its answer.

use super::*;

const QUERY: &str = r#"[
    {"Id": "rate", "Expression": "bad / all"},
    {"Id": "bad", "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": "Bad"}, "Period": 60, "Stat": "Sum"}, "ReturnData": false},
    {"Id": "all", "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": "All"}, "Period": 60, "Stat": "Sum"}, "ReturnData": false}
]"#;

fn key(name: &str) -> Option<String> {
    let found = match name {
        "address" => "https://monitoring.eu-central-1.amazonaws.com",
        "aws_access_key_id" => "AKIDEXAMPLE",
        "aws_secret_access_key" | "aws_session_token" => "s3cret\n",
        _ => return None,
    };
    Some(found.to_owned())
}

fn in_region(region: &str) -> MetricServer {
    provider(json!({"type": "cloudwatch", "region": region, "secretRef": {"name": "aws"}}))
}

#[test]
fn it_is_asked_with_a_signature() {
    let provider = in_region("eu-central-1");
    let address = Store::CloudWatch.usual(&provider).unwrap();
    let mut question = minute(&provider, QUERY);
    question.server = &address;
    question.secret = Some(&key);
    let request = request(Store::CloudWatch, &question).unwrap();
    assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
    let headers = request.headers();
    let proof = headers["authorization"].to_str().unwrap();
    let (signed, signature) = proof.split_once("Signature=").unwrap();
    expect![[r#"
        POST https://monitoring.eu-central-1.amazonaws.com/
        AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-central-1/monitoring/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, 
        20261122T100102Z"#]].assert_eq(&format!(
        "{} {}\n{signed}\n{}",
        request.method(),
        request.uri(),
        headers["x-amz-date"].to_str().unwrap()
    ));
    assert!(signature.len() == 64 && !proof.contains("s3cret"));
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["StartTime"], 1_795_341_600);
    assert_eq!(body["EndTime"], 1_795_341_660);
    assert_eq!(body["MetricDataQueries"][0]["Expression"], "bad / all");
}

#[test]
fn its_address_follows_from_the_region() {
    let rows = [
        (
            "eu-central-1",
            Some("https://monitoring.eu-central-1.amazonaws.com"),
        ),
        (
            "cn-north-1",
            Some("https://monitoring.cn-north-1.amazonaws.com.cn"),
        ),
        ("evil.test/", None),
        ("", None),
    ];
    for (region, expected) in rows {
        let found = Store::CloudWatch.usual(&in_region(region));
        let found = found.as_ref().and_then(Server::address);
        assert_eq!(found, expected, "{region}");
    }
}

#[test]
fn a_secret_of_another_region_stays_where_it_is() {
    let provider = in_region("us-east-1");
    let address = Store::CloudWatch.usual(&provider).unwrap();
    let mut question = minute(&provider, QUERY);
    question.server = &address;
    question.secret = Some(&key);
    let error = request(Store::CloudWatch, &question).unwrap_err();
    assert_eq!(error.to_string(), "its Secret is for another address");
}

fn comes_to(query: &str, status: u16, body: &str) -> String {
    told(
        Store::CloudWatch,
        &minute(&in_region("eu-central-1"), query),
        status,
        body,
    )
}

/// The answer with these times and values of the one result.
fn points(times: &str, values: &str) -> String {
    format!(
        r#"{{"MetricDataResults": [{{"Id": "rate", "Timestamps": {times}, "Values": {values}, "StatusCode": "Complete"}}]}}"#
    )
}

#[test]
fn the_newest_whole_period_counts() {
    let rows = [
        // Newest first, as it comes; the newest still fills, and the oldest begins before the window.
        (
            "[1795341660, 1795341600, 1795341540]",
            "[99, 2.5, 7]",
            "2.5",
        ),
        (
            "[1795341540, 1.7953416E9, 1795341660]",
            "[7, 2.5, 99]",
            "2.5",
        ),
        ("[1795341630]", "[99]", "no data"),
        ("[1795341540]", "[7]", "no data"),
        ("[]", "[]", "no data"),
        (
            "[1795341600]",
            "[]",
            "again: the answer of CloudWatch has not as many times",
        ),
    ];
    for (times, values, expected) in rows {
        let found = comes_to(QUERY, 200, &points(times, values));
        assert!(found.starts_with(expected), "{times}: {found}");
    }
    let coarse = QUERY.replacen("60", "300", 1);
    let found = comes_to(&coarse, 200, &points("[1795341600]", "[2.5]"));
    assert_eq!(
        found, "no data",
        "the longest period counts for an expression"
    );
    let none = comes_to(r#"[{"Id": "rate"}]"#, 200, &points("[1795341600]", "[2.5]"));
    assert_eq!(none, "never: the query says no Period");
}

#[test]
fn an_answer_that_is_not_whole_never_passes() {
    let good = points("[1795341600]", "[2.5]");
    let not_whole = "again: CloudWatch says that its answer is not whole";
    let rows = [
        (good.replace("Complete", "PartialData"), not_whole),
        (good.replace("Complete", "InternalError"), not_whole),
        (good.replace(r#", "StatusCode": "Complete""#, ""), not_whole),
        (
            good.replace("Complete", "Forbidden"),
            "never: CloudWatch says that the keys of the Secret may not",
        ),
        (good.replacen('{', r#"{"NextToken": "x", "#, 1), not_whole),
        (
            good.replacen('{', r#"{"Messages": [{"Code": "MaxMetricsExceeded"}], "#, 1),
            not_whole,
        ),
        (
            good.replacen('{', r#"{"Messages": [{"Code": "ArithmeticError"}], "#, 1),
            "2.5",
        ),
        (
            good.replace("}]}", r#"}, {"Id": "b"}]}"#),
            "never: the query finds 2 results",
        ),
        (r#"{"MetricDataResults": []}"#.to_owned(), "no data"),
    ];
    for (body, expected) in rows {
        let found = comes_to(QUERY, 200, &body);
        assert!(found.starts_with(expected), "{body}: {found}");
    }
}

#[test]
fn too_many_requests_are_told_from_wrong_ones() {
    let rows = [
        (
            r#"{"__type": "com.amazon.coral.availability#ThrottlingException"}"#,
            "again: the metrics server says 400",
        ),
        (
            r#"{"__type": "Throttling", "message": "s3cret"}"#,
            "again: ",
        ),
        (
            r#"{"__type": "com.amazonaws.cloudwatch#InvalidParameterValueException", "message": "s3cret"}"#,
            "never: the metrics server says 400",
        ),
    ];
    for (body, expected) in rows {
        let found = comes_to(QUERY, 400, body);
        assert!(found.starts_with(expected), "{body}: {found}");
        assert!(!found.contains("s3cret"), "{found}");
    }
}

#[test]
fn a_query_is_an_array_and_wants_two_periods() {
    let provider = in_region("eu-central-1");
    let why = problem(&provider, "SELECT 1").unwrap();
    assert_eq!(
        why,
        "query: is not the JSON array of MetricDataQueries that cloudwatch takes"
    );
    assert_eq!(problem(&provider, QUERY), None);
    assert_eq!(least_window(&provider, QUERY), Some(120));
    assert_eq!(least_window(&provider, "[{{ x }}]"), None);
    let mut question = minute(&provider, "[nonsense");
    question.secret = Some(&key);
    let server = Server::at("https://monitoring.eu-central-1.amazonaws.com");
    question.server = &server;
    let error = request(Store::CloudWatch, &question).unwrap_err();
    assert!(
        error.to_string().starts_with("the query is no JSON array"),
        "{error}"
    );
}
