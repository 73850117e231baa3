//! What the canary gets beyond its share, with the real proxies: requests that say who they are, and copies.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::contour::ENVOY;
use crate::gateway::GATEWAY;
use crate::load::Load;
use crate::objects;
use crate::record::text;
use crate::scenario::{ADOPTION, RELEASE, RETREAT, Scenario};
use crate::scenarios::routers::adopt_behind_contour;

/// Requests of insiders a second.
const INSIDERS: &str = "30";

/// Requests of all others.
const OTHERS: f64 = 60.0;

/// A/B testing by a header, in three rounds.
fn tested(header: &str, how: &Value) -> Value {
    json!({"interval": "4s", "iterations": 3, "threshold": 2, "maxWait": "20s", "match": [{"headers": {header: how}}]})
}

/// The second rule of the HTTPRoute: insiders alone try a good release, and are alone with the errors of a bad one.
pub(super) async fn insiders_alone_try_a_release(s: &Scenario) -> Result<()> {
    let analysis = tested("x-canary", &json!({"exact": "insider"}));
    s.adopt("1.0.0", 3, &analysis).await?;
    tried_by_insiders(s, GATEWAY, "x-canary: insider").await
}

/// The same by a cookie, with HTTPProxies of Contour and its Envoy.
pub(super) async fn contours_users_are_told_apart_by_a_cookie(s: &Scenario) -> Result<()> {
    let cookie = json!({"regex": r"(.*;\s*)?group=beta(;.*)?"});
    adopt_behind_contour(s, &tested("cookie", &cookie)).await?;
    tried_by_insiders(s, ENVOY, "cookie: theme=dark; group=beta").await
}

/// The same by the annotations of ingress-nginx, which Traefik reads.
pub(super) async fn a_header_decides_at_an_ingress(s: &Scenario) -> Result<()> {
    s.deploy("1.0.0", 3).await?;
    s.apply(&objects::ingress("web", &s.host())).await?;
    let analysis = tested("x-canary", &json!({"exact": "insider"}));
    s.apply(&objects::canary_of_ingress("web", &s.namespace, &analysis))
        .await?;
    s.phase("Initialized", ADOPTION).await?;
    tried_by_insiders(s, GATEWAY, "x-canary: insider").await
}

/// Steps that give insiders the canary, alone and then beside a share, and take them back among everybody.
pub(super) async fn a_step_sends_insiders_ahead(s: &Scenario) -> Result<()> {
    let header = json!([{"headerName": "x-canary", "headerValue": {"exact": "insider"}}]);
    let steps = json!([
        {"setHeaderRoute": {"name": "insiders", "match": header}}, {"checks": 3},
        {"setWeight": 30}, {"checks": 3}, {"setHeaderRoute": {"name": "insiders"}}, {"checks": 3},
    ]);
    s.adopt("1.0.0", 3, &json!({"interval": "5s", "steps": steps}))
        .await?;
    let load = s.load_at(GATEWAY, OTHERS).await?;
    let insiders = insiders(s, GATEWAY, "x-canary: insider")?;
    s.ship("2.0.0").await?;
    // Shares of the others and of insiders in each step; of 30 % some requests are more or fewer.
    for (step, wanted) in [(0, (0.0, 1.0)), (1, (0.3, 1.0)), (2, (0.3, 0.3))] {
        passed_in(s, step, 1).await?;
        let from = SystemTime::now();
        passed_in(s, step, 2).await?;
        let to = SystemTime::now();
        let (others, those) = (load.window(from, to)?, insiders.window(from, to)?);
        for (who, seen, wanted) in [("others", others, wanted.0), ("insiders", those, wanted.1)] {
            let seen = seen.share("2.0.0");
            let is_right = if wanted == 0.3 {
                (seen - wanted).abs() < 0.15
            } else {
                seen == wanted
            };
            ensure!(is_right, "{who} saw {seen} in step {step}, not {wanted}");
        }
    }
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.no_request_lost(insiders)?;
    s.no_request_lost(load)?;
    Ok(())
}

/// Copies go to the canary before any user does. Errors among its answers reach nobody, and reject it.
pub(super) async fn contours_copies_find_errors_before_users_do(s: &Scenario) -> Result<()> {
    let analysis = json!({"interval": "4s", "checks": 2, "threshold": 2, "stepWeights": [50], "maxWait": "20s", "mirror": true});
    adopt_behind_contour(s, &analysis).await?;
    let load = s.load_at(ENVOY, OTHERS).await?;
    s.ship("2.0.0").await?;
    let begun = SystemTime::now();
    passed(s, 1).await?;
    let during = load.window(begun, SystemTime::now())?;
    ensure!(during.share("2.0.0") == 0.0, "copies answered users");
    s.phase("Succeeded", RELEASE).await?;
    s.ship("3.0.0-errors50").await?;
    s.phase("Failed", RELEASE).await?;
    let message = text(&s.canary(), "/status/message").to_owned();
    ensure!(message.contains("request-success-rate"), "{message}");
    s.canary_is_gone().await?;
    let report = s.no_request_lost(load)?;
    ensure!(
        report.share("3.0.0-errors50") == 0.0,
        "users saw its errors"
    );
    Ok(())
}

/// A good release and a bad one, with two kinds of users: none of the one sees the other's version.
async fn tried_by_insiders(s: &Scenario, proxy: &str, mark: &str) -> Result<()> {
    let load = s.load_at(proxy, OTHERS).await?;
    let insiders = insiders(s, proxy, mark)?;
    s.ship("2.0.0").await?;
    passed(s, 1).await?;
    let (from, to) = (
        SystemTime::now(),
        SystemTime::now() + Duration::from_secs(3),
    );
    passed(s, 2).await?;
    let (others, those) = (load.window(from, to)?, insiders.window(from, to)?);
    ensure!(
        others.share("2.0.0") == 0.0,
        "others saw it: {}",
        others.share("2.0.0")
    );
    ensure!(
        those.share("2.0.0") == 1.0,
        "insiders saw {}",
        those.share("2.0.0")
    );
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    let shipped = SystemTime::now();
    s.ship("3.0.0-errors50").await?;
    s.phase("Failed", RELEASE).await?;
    s.canary_is_gone().await?;
    s.main_untouched(shipped, SystemTime::now())?;
    s.put("2.0.0").await?;
    s.phase("Initialized", RETREAT).await?;
    s.no_request_lost(insiders)?;
    let report = s.no_request_lost(load)?;
    ensure!(
        report.share("3.0.0-errors50") == 0.0,
        "others saw the errors"
    );
    Ok(())
}

/// Users whose requests say who they are.
fn insiders(s: &Scenario, proxy: &str, mark: &str) -> Result<Load> {
    let (url, host) = (format!("http://{proxy}/"), s.host());
    let arguments = [
        "--url", &url, "--host", &host, "--rate", INSIDERS, "--header", mark,
    ];
    Ok(Load::with_arguments(None, &arguments)?)
}

/// So many rounds of checks have passed in the first step.
async fn passed(s: &Scenario, rounds: u64) -> Result<()> {
    passed_in(s, 0, rounds).await
}

/// So many rounds of checks have passed in a step.
async fn passed_in(s: &Scenario, step: u64, rounds: u64) -> Result<()> {
    let what = format!("{rounds} rounds have passed in step {step}");
    s.until(&what, RELEASE, |canary| {
        canary["status"]["step"]["index"].as_u64() == Some(step)
            && canary["status"]["step"]["passed"].as_u64() >= Some(rounds)
    })
    .await
}
