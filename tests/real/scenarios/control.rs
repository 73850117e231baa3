//! Verbs by the HTTP API: who may do what, with tokens of the real cluster; and blue/green, switched and taken back by it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::control::Api;
use crate::objects::{self, APP};
use crate::record::text;
use crate::scenario::Scenario;
use crate::scenarios::service::{load, only, plan};
use crate::token;

/// Provider `kubernetes` gives every node 30 s to follow a switch.
const SWITCH: Duration = Duration::from_secs(90);

/// Nobody does a verb without the right to it, by HTTP or by annotation; who has it switches to green, and takes it back.
pub(super) async fn by_http_people_do_what_they_may(s: &Scenario) -> Result<()> {
    people(s).await?;
    s.adopt_as("1.0.0", 2, &objects::canary_by_selector(&plan()))
        .await?;
    let load = load(s).await?;
    s.ship("2.0.0").await?;
    s.stands(SWITCH).await?;
    let api = Api::of(&s.world).await?;
    strangers(s, &api).await?;
    let operator = token(s, "operator", &[]).await?;
    let forced = ask(s, &api, "promote", Some(&operator), r#"{"force": true}"#).await?;
    ensure!(
        forced.0 == 403,
        "an operator forced a promotion: {forced:?}"
    );
    ensure!(
        text(&s.canary(), "/status/step/waiting") == "Approval",
        "somebody without the right moved it"
    );
    done(s, &api, "promote", &operator).await?;
    s.weight(100, SWITCH).await?;
    only(s, &load, "2.0.0").await?;
    done(s, &api, "abort", &operator).await?;
    s.phase("Failed", SWITCH).await?;
    only(s, &load, "1.0.0").await?;
    s.canary_is_gone().await?;
    s.main_ran_only(&["1.0.0"])?;
    s.no_request_lost(load).map(drop)
}

/// Accounts with rights and without. `writer` may write Canaries, and has the right to no verb.
async fn people(s: &Scenario) -> Result<()> {
    for name in ["operator", "viewer", "writer", "stranger", "gone"] {
        s.kubectl(&["create", "serviceaccount", name])
            .await?
            .fine()?;
    }
    let resource = "--resource=canaries.serin.dev";
    let role = ["create", "role", "writer", "--verb=get,patch", resource];
    s.kubectl(&role).await?.fine()?;
    for (name, role) in [
        ("operator", "--clusterrole=serin-operator"),
        ("viewer", "--clusterrole=serin-view"),
        ("writer", "--role=writer"),
    ] {
        let account = format!("--serviceaccount={}:{name}", s.namespace);
        let bind = ["create", "rolebinding", name, role, &account];
        s.kubectl(&bind).await?.fine()?;
    }
    Ok(())
}

async fn token(s: &Scenario, account: &str, more: &[&str]) -> Result<String> {
    let words = [&["create", "token", account][..], more].concat();
    let said = s.kubectl(&words).await?.fine()?;
    Ok(said.trim().to_owned())
}

/// All who may not, each told why not.
async fn strangers(s: &Scenario, api: &Api) -> Result<()> {
    let revoked = token(s, "gone", &[]).await?;
    s.kubectl(&["delete", "serviceaccount", "gone"])
        .await?
        .fine()?;
    let elsewhere = token(s, "operator", &["--audience=elsewhere"]).await?;
    let operator = token(s, "operator", &[]).await?;
    let expired = token::expired(&operator, &s.world.signing_key())?;
    let forged = token::forged(&operator)?;
    let rows = [
        ("without a token", None, 401),
        ("with a token that is over", Some(expired.clone()), 401),
        ("with a forged token", Some(forged.clone()), 401),
        ("with nonsense", Some("nonsense".to_owned()), 401),
        ("with a token for somebody else", Some(elsewhere), 401),
        ("with the token of a deleted account", Some(revoked), 401),
        ("as a stranger", Some(token(s, "stranger", &[]).await?), 403),
        ("as a viewer", Some(token(s, "viewer", &[]).await?), 403),
        ("as a writer", Some(token(s, "writer", &[]).await?), 403),
    ];
    for (who, token, expected) in rows {
        for verb in ["promote", "abort"] {
            let (status, said) = ask(s, api, verb, token.as_deref(), "").await?;
            ensure!(status == expected, "{verb} {who}: {status}, {said}");
        }
    }
    readers(s, api).await?;
    for who in ["stranger", "viewer", "writer"] {
        let person = format!("--as=system:serviceaccount:{}:{who}", s.namespace);
        annotates_not(s, &person, "forbidden").await?;
    }
    for token in [expired, forged] {
        annotates_not(s, &format!("--token={token}"), "logged in").await?;
    }
    Ok(())
}

/// Somebody cannot ask by annotation, and is told why.
async fn annotates_not(s: &Scenario, person: &str, expected: &str) -> Result<()> {
    let annotate = ["annotate", "canary", APP, "serin.dev/request=abort", person];
    let said = s.kubectl(&annotate).await?;
    ensure!(said.code != 0, "it was aborted by annotation with {person}");
    let why = said.err.to_lowercase();
    ensure!(why.contains(expected), "{person}: {why}");
    Ok(())
}

/// Who may read Canaries reads them, and nobody else does.
async fn readers(s: &Scenario, api: &Api) -> Result<()> {
    let rows = [
        ("nobody", None, 401),
        ("a stranger", Some(token(s, "stranger", &[]).await?), 403),
        ("a viewer", Some(token(s, "viewer", &[]).await?), 200),
    ];
    let path = format!("namespaces/{}/canaries/{APP}", s.namespace);
    for (who, token, expected) in rows {
        let (status, said) = api.ask(("GET", &path), token.as_deref(), "").await?;
        ensure!(status == expected, "{who} reads: {status}, {said}");
    }
    Ok(())
}

/// Asks for a verb, and sees it followed in the person's name.
async fn done(s: &Scenario, api: &Api, verb: &str, token: &str) -> Result<()> {
    let (status, said) = ask(s, api, verb, Some(token), r#"{"reason": "by HTTP"}"#).await?;
    ensure!(status == 202, "{verb}: {status}, {said}");
    let (id, person) = (
        text(&said, "/id").to_owned(),
        format!("system:serviceaccount:{}:operator", s.namespace),
    );
    let what = format!("{verb} of {person}");
    s.until(&what, SWITCH, |canary| {
        let last = &canary["status"]["lastRequest"];
        last["id"] == id && last["by"] == person && last["outcome"] == "Accepted"
    })
    .await
}

async fn ask(
    s: &Scenario,
    api: &Api,
    verb: &str,
    token: Option<&str>,
    body: &str,
) -> Result<(u16, Value)> {
    let path = format!("namespaces/{}/canaries/{APP}/{verb}", s.namespace);
    api.ask(("POST", &path), token, body).await
}
