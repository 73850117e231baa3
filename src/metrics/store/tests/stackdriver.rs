//! Google Cloud Monitoring: what a token is asked for with, where the claim may go, and which queries are asked.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::metrics::store::grant::{grant, token};

const LENDER: &str = "https://oauth2.googleapis.com/token";

static GOOGLE: Server<'static> = Server::At(Cow::Borrowed("https://monitoring.googleapis.com"));

/// A key of a service account, with this lender.
fn account(lender: &str) -> String {
    let body = include_str!("../../../../tests/golden/stores/rsa.txt");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n");
    let key = json!({
        "type": "service_account", "project_id": "shop-42", "private_key_id": "k1", "private_key": pem,
        "client_email": "serin@shop-42.iam.gserviceaccount.com", "token_uri": lender,
    });
    key.to_string()
}

/// A Secret with these keys beside its address.
fn secret(texts: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let texts: Vec<(String, String)> = texts
        .iter()
        .map(|&(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    move |wanted| {
        let address = (wanted == "address").then(|| "https://monitoring.googleapis.com".to_owned());
        let found = texts.iter().find(|(name, _)| name == wanted);
        found.map(|(_, text)| text.clone()).or(address)
    }
}

fn google() -> MetricServer {
    provider(json!({"type": "stackdriver", "secretRef": {"name": "google"}}))
}

/// A question with this Secret.
fn asked_with<T>(secret: Keys<'_>, ask: impl FnOnce(Question<'_>) -> T) -> T {
    let provider = google();
    let mut question = minute(&provider, "sum(rate(x[1m]))");
    question.server = &GOOGLE;
    question.secret = Some(secret);
    ask(question)
}

#[test]
fn a_claim_is_signed_and_goes_to_google() {
    let secret = secret(&[("serviceAccountKey", &account(LENDER))]);
    let grant = asked_with(&secret, |question| grant(Store::Stackdriver, &question));
    let grant = grant.unwrap().unwrap();
    let signed = grant.request(|key, text| {
        assert!(
            key.len() > 1_000 && text.starts_with(b"eyJ"),
            "the key and the claim"
        );
        Some(b"signature".to_vec())
    });
    let request = signed.unwrap();
    assert_eq!(request.uri(), LENDER);
    let body = std::str::from_utf8(request.body()).unwrap();
    let begin = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let parts: Vec<&str> = body.strip_prefix(begin).unwrap().split('.').collect();
    let read = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(read(parts[0]), r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#);
    expect![[r#"{"aud":"https://oauth2.googleapis.com/token","exp":1795345262,"iat":1795341662,"iss":"serin@shop-42.iam.gserviceaccount.com","scope":"https://www.googleapis.com/auth/monitoring.read"}"#]].assert_eq(&read(parts[1]));
    assert_eq!((read(parts[2]).as_str(), parts.len()), ("signature", 3));
    let refused = grant.request(|_, _| None).unwrap_err();
    assert!(refused.to_string().contains("no RSA key"), "{refused}");
}

#[test]
fn no_claim_is_made_for_anybody_else() {
    let account = account(LENDER);
    let with = |from: &str, to: &str| account.replace(from, to);
    let broken = "key serviceAccountKey of the Secret is no key of a service account in JSON";
    let rows = [
        (
            with(LENDER, "https://evil.test/token"),
            "token_uri of serviceAccountKey is no address of Google's",
        ),
        (
            with(LENDER, "https://oauth2.googleapis.com.evil.test/token"),
            "token_uri of serviceAccountKey is no",
        ),
        (
            with(LENDER, "http://oauth2.googleapis.com/token"),
            "token_uri of serviceAccountKey is no",
        ),
        (
            with("BEGIN PRIVATE", "BEGIN RSA PRIVATE"),
            "private_key of serviceAccountKey is no key in PEM",
        ),
        (with("client_email", "email"), broken),
        ("s3cret".to_owned(), broken),
    ];
    for (key, expected) in rows {
        let secret = secret(&[("serviceAccountKey", &key)]);
        let error = asked_with(&secret, |question| {
            grant(Store::Stackdriver, &question).err()
        })
        .unwrap();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(matches!(error, MetricError::Rejected(_)) && !error.to_string().contains("s3cret"));
    }
    let elsewhere = secret(&[
        ("serviceAccountKey", &account),
        ("address", "https://other.test"),
    ]);
    let error = asked_with(&elsewhere, |question| {
        grant(Store::Stackdriver, &question).err()
    })
    .unwrap();
    assert_eq!(error.to_string(), "its Secret is for another address");
    let none = secret(&[]);
    let error = asked_with(&none, |question| grant(Store::Stackdriver, &question).err()).unwrap();
    assert!(
        error
            .to_string()
            .starts_with("there is no key serviceAccountKey"),
        "{error}"
    );
}

#[test]
fn other_stores_want_no_token_and_other_keys_another_one() {
    let one = secret(&[("serviceAccountKey", &account(LENDER))]);
    let other = secret(&[(
        "serviceAccountKey",
        &account(LENDER).replace("serin@", "more@"),
    )]);
    let id = |secret: Keys<'_>| {
        let found = asked_with(secret, |question| grant(Store::Stackdriver, &question));
        found.unwrap().unwrap().id
    };
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&other));
    let none = asked_with(&one, |question| grant(Store::Prometheus, &question));
    assert!(none.unwrap().is_none());
}

/// The URL that is asked, or why none is.
fn url(texts: &[(&str, &str)], access: Option<&'static str>) -> String {
    let secret = secret(texts);
    let asked = asked_with(&secret, |mut question| {
        question.access = access;
        request(Store::Stackdriver, &question)
    });
    match asked {
        Ok(request) => {
            assert_eq!(request.headers()["authorization"], "Bearer s3cret");
            assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
            format!("{} {}", request.method(), request.uri())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_project_is_asked_in_promql() {
    let account = account(LENDER);
    let query = "/location/global/prometheus/api/v1/query?query=sum%28rate%28x%5B1m%5D%29%29&time=1795341660.000";
    let at = |project: &str| {
        format!("GET https://monitoring.googleapis.com/v1/projects/{project}{query}")
    };
    let token = Some("s3cret");
    assert_eq!(url(&[("project", "shop\n")], token), at("shop"));
    assert_eq!(
        url(&[("project", "example.com:shop")], token),
        at("example.com:shop")
    );
    assert_eq!(
        url(&[("serviceAccountKey", &account)], token),
        at("shop-42")
    );
    for project in ["", "..", "a/b", "a?b", "a b"] {
        let found = url(&[("project", project)], token);
        assert_eq!(found, "key project of the Secret is no project");
    }
    assert_eq!(
        url(&[("project", "shop")], None),
        "there is no token of Google"
    );
}

#[test]
fn mql_is_refused_and_promql_is_not() {
    let rows = [
        ("fetch k8s_container\n| metric 'x'", true),
        ("  fetch\tgce_instance::x", true),
        ("{ fetch a; fetch b }\n| join", true),
        ("fetch_total", false),
        ("{__name__=\"fetch x\"}", false),
        ("sum(rate(fetch_total[1m]))", false),
    ];
    for (query, refused) in rows {
        let found = problem(&google(), query);
        let expected = "query: is in MQL, which Google does not support since 22 July 2025: write it in PromQL";
        assert_eq!(
            found.is_some_and(|why| why.starts_with(expected)),
            refused,
            "{query}"
        );
    }
}

fn comes_to(status: u16, body: &str) -> String {
    told(Store::Stackdriver, &minute(&google(), "x"), status, body)
}

#[test]
fn an_answer_is_that_of_a_prometheus() {
    let vector = |series: &str| {
        format!(
            r#"{{"status": "success", "data": {{"resultType": "vector", "result": [{series}]}}}}"#
        )
    };
    let series = |value: &str| format!(r#"{{"metric": {{}}, "value": [1, "{value}"]}}"#);
    let rows = [
        (200, vector(&series("2.5")), "2.5"),
        // What was an integer of 64 bits reads as one.
        (200, vector(&series("9007199254740993")), "9007199254740992"),
        (200, vector(&series("NaN")), "no data"),
        (200, vector(""), "no data"),
        (
            200,
            vector(&(series("1") + "," + &series("2"))),
            "never: the query finds 2 series",
        ),
        (
            401,
            r#"{"error": {"code": 401, "message": "s3cret"}}"#.to_owned(),
            "never: the metrics server says 401",
        ),
        (
            403,
            r#"{"error": {"code": 403, "message": "s3cret"}}"#.to_owned(),
            "never: the metrics server says 403",
        ),
    ];
    for (status, body, expected) in rows {
        let found = comes_to(status, &body);
        assert!(found.starts_with(expected), "{body}: {found}");
        assert!(!found.contains("s3cret"), "{found}");
    }
}

#[test]
fn a_token_has_an_end_or_is_none() {
    let now = Moment::new("2026-11-22T10:00:00Z".parse().unwrap());
    let rows = [
        (
            200,
            r#"{"access_token": "s3cret", "expires_in": 3599, "token_type": "Bearer"}"#,
            "2026-11-22T10:59:59Z",
        ),
        (
            200,
            r#"{"id_token": "s3cret"}"#,
            "again: the metrics server answers in a form that is not its own",
        ),
        (
            400,
            r#"{"error": "invalid_grant", "error_description": "s3cret"}"#,
            "never: Google lends no token for serviceAccountKey, and says 400",
        ),
        (429, "", "again: Google lends no token"),
        (302, "", "never: Google lends no token"),
        (503, "s3cret", "again: Google lends no token"),
    ];
    for (status, body, expected) in rows {
        let answer = Response::builder()
            .status(status)
            .body(Bytes::from(body))
            .unwrap();
        let found = match token(&answer, now) {
            Ok(token) => token.until.to_string(),
            Err(MetricError::Rejected(why)) => format!("never: {why}"),
            Err(error) => format!("again: {error}"),
        };
        assert!(
            found.starts_with(expected) && !found.contains("s3cret"),
            "{body}: {found}"
        );
    }
}
