//! Users with a cookie, through the real proxies of the Gateway API: nobody ever leaves the canary while it grows, nobody on stable
//! moves before his turn, and the share comes back in steps.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::contour::ENVOY;
use crate::gateway::{self, GATEWAY};
use crate::objects;
use crate::record::text;
use crate::scenario::{ADOPTION, RELEASE, RETREAT, Scenario};

/// Users who come again and again.
const USERS: usize = 200;

/// How often each of them comes at a weight.
const VISITS: usize = 3;

/// Requests a second of users without a memory for cookies.
const OTHERS: f64 = 60.0;

fn analysis() -> Value {
    json!({
        "interval": "3s",
        "threshold": 2,
        "maxWait": "20s",
        "steps": [
            {"setWeight": 20}, {"checks": 1}, {"pause": {}},
            {"setWeight": 60}, {"checks": 1}, {"pause": {}},
        ],
        "sessionAffinity": {"cookieName": "arm", "maxAge": 600},
        "stepWeightPromotion": 20,
    })
}

/// Traefik's Gateway.
pub(super) async fn users_stay_where_they_are(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 3, &analysis()).await?;
    stay(s, GATEWAY).await
}

/// Contour's Gateway, with Envoy: the second implementation of the Gateway API.
pub(super) async fn contours_users_stay_where_they_are(s: &Scenario) -> Result<()> {
    s.world.contour().await?;
    s.deploy("1.0.0", 3).await?;
    let mut canary = objects::canary(&s.host(), &analysis());
    canary["spec"]["service"]["gatewayRefs"] =
        json!([{"name": "contour", "namespace": "projectcontour"}]);
    s.apply(&canary).await?;
    s.phase("Initialized", ADOPTION).await?;
    stay(s, ENVOY).await
}

/// Whom a user last asked, and what he was given to remember.
#[derive(Default)]
struct User {
    cookie: Option<String>,
    version: String,
}

async fn stay(s: &Scenario, proxy: &str) -> Result<()> {
    let load = s.load_at(proxy, OTHERS).await?;
    let mut users: Vec<User> = (0..USERS).map(|_| User::default()).collect();
    s.ship("2.0.0").await?;
    s.stands(RELEASE).await?;
    visit(s, proxy, &mut users, 20).await?;
    s.request("promote").await?;
    s.weight(60, RELEASE).await?;
    s.stands(RELEASE).await?;
    visit(s, proxy, &mut users, 60).await?;
    s.request("promote").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    let weights = s.timeline().weight_values();
    ensure!(
        weights.ends_with(&[20, 60, 40, 20, 0]),
        "the weights were {weights:?}"
    );
    an_abort_takes_everybody_back(s, proxy, &mut users).await?;
    s.no_request_lost(load).map(drop)
}

/// Cookies of the last release mean nothing in the next one, whose users all come back when it is aborted.
async fn an_abort_takes_everybody_back(
    s: &Scenario,
    proxy: &str,
    users: &mut [User],
) -> Result<()> {
    s.ship("3.0.0").await?;
    s.stands(RELEASE).await?;
    users.iter_mut().for_each(|user| user.version.clear());
    visit(s, proxy, users, 20).await?;
    s.request("abort").await?;
    s.phase("Failed", RETREAT).await?;
    s.canary_is_gone().await?;
    for user in users.iter() {
        let (version, cookie) = ask(s, proxy, user.cookie.as_deref()).await?;
        ensure!(version == "2.0.0", "{version} answered after the abort");
        ensure!(cookie.is_none(), "{cookie:?} was set at weight 0");
    }
    s.put("2.0.0").await?;
    s.phase("Initialized", RETREAT).await
}

/// Every user comes a few times at a weight. Whoever was on the canary is there still, nobody moves from one visit to the next, and as
/// many are on the canary as it has of the weight.
async fn visit(s: &Scenario, proxy: &str, users: &mut [User], weight: usize) -> Result<()> {
    let image = text(&s.canary(), "/status/candidate/images/0").to_owned();
    let candidate = image.rsplit(':').next().unwrap_or_default();
    for user in users.iter_mut() {
        for number in 0..VISITS {
            let (version, cookie) = ask(s, proxy, user.cookie.as_deref()).await?;
            let before = std::mem::replace(&mut user.version, version);
            let moved = !before.is_empty() && before != user.version;
            let (left, again) = (before == candidate, number > 0);
            ensure!(
                !moved || !(left || again),
                "a user went from {before} to {}",
                user.version
            );
            ensure!(
                !again || cookie.is_none(),
                "a user with a cookie was given another"
            );
            user.cookie = cookie.or(user.cookie.take());
        }
        ensure!(user.cookie.is_some(), "a user was given no cookie");
    }
    let there = users
        .iter()
        .filter(|user| user.version == candidate)
        .count();
    let expected = USERS * weight / 100;
    // Five standard deviations of a fair draw.
    let most = 5.0 * (USERS as f64 * weight as f64 / 100.0 * (1.0 - weight as f64 / 100.0)).sqrt();
    ensure!(
        there.abs_diff(expected) as f64 <= most,
        "{there} of {USERS} users are on the canary at {weight} %"
    );
    Ok(())
}

/// One request: the version that answered, and the cookie that came with it.
async fn ask(s: &Scenario, proxy: &str, cookie: Option<&str>) -> Result<(String, Option<String>)> {
    let headers = cookie.map(|cookie| format!("cookie: theme=dark; {cookie}"));
    let reply =
        gateway::get_with(&format!("{proxy}:80"), &s.host(), "/", headers.as_slice()).await?;
    let header = |name: &str| {
        let mut lines = reply.lines().take_while(|line| !line.is_empty());
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let version = header("x-version").with_context(|| format!("no version answered: {reply}"))?;
    let set = header("set-cookie").and_then(|set| Some(set.split_once(';')?.0.to_owned()));
    Ok((version, set))
}
