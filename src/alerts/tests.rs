//! What each system is sent, and what its answer means.

use expect_test::{Expect, expect, expect_file};
use http::StatusCode;
use serde_json::json;

use super::*;

fn canary() -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "shop", "uid": "8c1f"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80},
        },
    }))
    .unwrap()
}

fn alert(reason: &str, severity: &str) -> Alert {
    serde_json::from_value(json!({
        "reason": reason, "severity": severity, "at": "2026-11-22T10:00:00.5Z", "attempt": 17,
        "step": "2/5", "weight": 20,
        "candidate": {"revision": "5c4c", "images": ["podinfo:6.0.1"]},
        "stable": {"revision": "6dd7", "images": ["podinfo:6.0.0"]},
        "message": "revision 5c4c: success 91.2 % < 99 % (canary, 412 <requests> & 60 s)",
        "to": ["on-call"],
    }))
    .unwrap()
}

fn provider(spec: &Value) -> AlertProviderSpec {
    serde_json::from_value(spec.clone()).unwrap()
}

fn key(name: &str) -> Option<String> {
    match name {
        "address" => Some("https://chat.example.com/hook/s3cret\n".to_owned()),
        "token" => Some("t0ken".to_owned()),
        _ => None,
    }
}

/// The request as text: its line, its headers, its body.
fn sent(spec: &Value, alert: &Alert) -> String {
    let provider = provider(spec);
    let address = Address::new(&provider, None).unwrap();
    let request = request(&provider, &address, &canary(), alert).unwrap();
    let Some(request) = request else {
        return "nothing".to_owned();
    };
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let kind = request.headers()["content-type"].to_str().unwrap();
    format!("{} {}\n{kind}\n{body:#}\n", request.method(), request.uri())
}

#[test]
fn each_system_is_sent_its_own_form() {
    let rows = [
        (
            "slack",
            json!({"type": "slack", "channel": "releases", "address": "https://hooks.example.com/T/B"}),
        ),
        (
            "discord",
            json!({"type": "discord", "username": "bird", "address": "https://discord.example.com/api/webhooks/1/x?wait=true"}),
        ),
        (
            "rocket",
            json!({"type": "rocket", "address": "https://rocket.example.com/hooks/1"}),
        ),
        (
            "msteams",
            json!({"type": "msteams", "address": "https://flow.example.com/run?sig=1"}),
        ),
        (
            "msteams-card",
            json!({"type": "msteams", "format": "messageCard", "address": "https://office.example.com/hook"}),
        ),
        (
            "gchat",
            json!({"type": "gchat", "address": "https://chat.example.com/v1/spaces/A/messages?key=k&token=t"}),
        ),
        (
            "alertmanager",
            json!({"type": "alertmanager", "address": "http://alertmanager.monitoring:9093/"}),
        ),
        (
            "webhook",
            json!({"type": "webhook", "address": "https://events.example.com/in"}),
        ),
    ];
    for (name, spec) in rows {
        let file = format!(
            "{}/tests/golden/alerts/{name}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        expect_file![file].assert_eq(&sent(&spec, &alert("Rejected", "error")));
    }
}

#[test]
fn a_severity_has_its_colour() {
    let colours = |type_: &str| {
        let colour = |severity| {
            let spec = json!({"type": type_, "address": "http://chat.test/"});
            let text = sent(&spec, &alert("NoData", severity));
            let line = text.lines().find(|line| line.contains("olor\""));
            line.unwrap().trim().to_owned()
        };
        ["info", "warn", "error"].map(colour).join(" ")
    };
    let rows: [(&str, Expect); 3] = [
        (
            "slack",
            expect![[r##""color": "good", "color": "warning", "color": "danger","##]],
        ),
        (
            "rocket",
            expect![[r##""color": "#2eb67d", "color": "#ecb22e", "color": "#e01e5a","##]],
        ),
        (
            "msteams",
            expect![[r##""color": "good", "color": "warning", "color": "attention","##]],
        ),
    ];
    for (type_, expected) in rows {
        expected.assert_eq(&colours(type_));
    }
}

#[test]
fn an_alertmanager_hears_of_what_is_wrong_and_of_its_end() {
    let rows = [
        (
            "Rejected",
            "error",
            "SerinCanaryFailed critical 2026-11-23T10:00:00.5Z",
        ),
        (
            "GateUnarmed",
            "error",
            "SerinCanaryFailed critical 2026-11-23T10:00:00.5Z",
        ),
        (
            "NoData",
            "warn",
            "SerinNoData warning 2026-11-22T11:00:00.5Z",
        ),
        (
            "CandidateHeld",
            "info",
            "SerinCanaryFailed critical 2026-11-22T10:00:00.5Z",
        ),
        (
            "Promoted",
            "info",
            "SerinCanaryFailed critical 2026-11-22T10:00:00.5Z",
        ),
        ("Superseded", "info", "nothing"),
    ];
    for (reason, severity, expected) in rows {
        let (canary, alert) = (canary(), alert(reason, severity));
        let message = Message {
            canary: &canary,
            alert: &alert,
        };
        let found = alertmanager::alerts(message).map(|all| {
            let (labels, end) = (&all[0]["labels"], &all[0]["endsAt"]);
            let words = [&labels["alertname"], &labels["severity"], end];
            words.map(|word| word.as_str().unwrap()).join(" ")
        });
        assert_eq!(found.as_deref().unwrap_or("nothing"), expected, "{reason}");
    }
}

#[test]
fn an_address_comes_from_the_spec_or_with_its_token_from_the_secret() {
    let secret: crate::crd::bound::Keys<'_> = &key;
    let only_token: crate::crd::bound::Keys<'_> = &|name| (name == "token").then(|| "t".to_owned());
    let rows = [
        (
            json!({"address": "https://a.test/x"}),
            None,
            Ok("https://a.test/x"),
        ),
        (
            json!({"address": "https://a.test/x"}),
            Some(secret),
            Ok("https://chat.example.com/hook/s3cret"),
        ),
        (json!({}), None, Err(AlertError::NoAddress)),
        (
            json!({"address": "https://a.test/x"}),
            Some(only_token),
            Err(AlertError::Unbound),
        ),
        (
            json!({"address": "a.test"}),
            None,
            Err(AlertError::BadAddress),
        ),
        (
            json!({"address": "ftp://a.test/"}),
            None,
            Err(AlertError::BadAddress),
        ),
        (
            json!({"address": "https://a.test/", "proxy": "http://p:3128"}),
            None,
            Err(AlertError::Proxy),
        ),
    ];
    for (mut spec, secret, expected) in rows {
        spec["type"] = json!("slack");
        let found = Address::new(&provider(&spec), secret);
        let found = found
            .as_ref()
            .map(|it| it.url.to_string())
            .map_err(|it| *it);
        assert_eq!(found.as_deref(), expected.as_ref().map(|it| *it), "{spec}");
    }
}

#[test]
fn a_token_is_sent_and_never_printed() {
    let provider = provider(&json!({"type": "slack"}));
    let address = Address::new(&provider, Some(&key)).unwrap();
    let request = request(&provider, &address, &canary(), &alert("Promoted", "info"));
    let request = request.unwrap().unwrap();
    assert_eq!(request.headers()["authorization"], "Bearer t0ken");
    assert!(!format!("{:?}", request.headers()).contains("t0ken"));
    for error in [
        AlertError::NoAddress,
        AlertError::BadAddress,
        AlertError::Unbound,
    ] {
        assert!(!error.to_string().contains("s3cret"));
    }
}

#[test]
fn an_answer_means_what_its_system_means() {
    let rows = [
        (AlertType::Webhook, 204, "", None),
        (AlertType::Msteams, 202, "", None),
        (AlertType::Discord, 200, "ok", None),
        (AlertType::Webhook, 302, "", Some("it answered 302")),
        (
            AlertType::Webhook,
            403,
            "the secret is s3cret",
            Some("it answered 403"),
        ),
        (AlertType::Slack, 200, "ok", None),
        (AlertType::Slack, 200, r#"{"ok":true}"#, None),
        (
            AlertType::Slack,
            200,
            r#"{"ok":false,"error":"channel_not_found"}"#,
            Some("Slack refused it: channel_not_found"),
        ),
        (
            AlertType::Slack,
            200,
            r#"{"ok":false,"error":"see https://x.test/s3cret"}"#,
            Some("Slack refused it: "),
        ),
        (AlertType::Rocket, 200, r#"{"ok":false}"#, None),
    ];
    for (type_, status, body, expected) in rows {
        let answer = Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .body(Bytes::from(body))
            .unwrap();
        assert_eq!(
            refusal(type_, &answer).as_deref(),
            expected,
            "{type_:?} {status} {body}"
        );
    }
}
