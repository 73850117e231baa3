//! Blue/green with Helm: the guide's two releases and the patch between them, as one release of our chart.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::gateway;
use crate::load::Load;
use crate::objects::APP;
use crate::pipeline::Pipeline;
use crate::record::{Kind, text};
use crate::scenario::{RETREAT, Scenario};
use crate::scenarios::helm::refused;
use crate::timeline::between;
use crate::verdict::seconds;

/// Provider `kubernetes` gives every node 30 s to follow a switch.
const SWITCH: Duration = Duration::from_secs(90);

/// How long a node may take to follow, as provider `kubernetes` has it.
const NODES: Duration = Duration::from_secs(30);

/// How long blue is kept after the switch at least, as `PLAN` has it.
const KEPT: Duration = Duration::from_secs(15);

/// Helm's timeout: the plan, twice the time for a switch, and the roll of the main release.
const LONGEST: &str = "220s";

/// Checks without users; a person tries green and switches; blue stays for a while.
const PLAN: &str = "tests/helm/values-blue-green.yaml";

/// Requests a second on each way.
const RATE: f64 = 100.0;

/// Users by the Service and by the gateway.
struct Users {
    service: Load,
    gateway: Load,
}

/// The chart's Ingress in place of its route.
const INGRESS: [&str; 3] = [
    "httpRoute.enabled=false",
    "ingress.enabled=true",
    "ingress.className=traefik",
];

/// Green is deployed by `helm upgrade`, tried, switched to and taken back; Helm goes back with it, and nobody was lost.
pub(super) async fn green_is_tried_and_taken_back_at_once(s: &Scenario) -> Result<()> {
    let pipeline = blue(s, &[]).await?;
    let users = users(s).await?;
    taken_back(s, &pipeline, &users).await?;
    s.main_ran_only(&["1.0.0"])?;
    users.nobody_was_lost(s)
}

/// The whole way: blue is kept for as long as the plan says and goes then, and Helm returns 0.
pub(super) async fn blue_is_kept_and_then_replaced(s: &Scenario) -> Result<()> {
    let pipeline = blue(s, &[]).await?;
    let users = users(s).await?;
    replaced(s, &pipeline, &users).await?;
    users.nobody_was_lost(s)
}

/// Behind an Ingress, as the guide has it, where it patches the Ingress and our chart changes the Service behind it: users are switched to
/// green, come back to blue at once, and are switched for good by the next release. The Ingress stays as it is, and nobody was lost.
pub(super) async fn behind_an_ingress_users_switch_and_come_back(s: &Scenario) -> Result<()> {
    let host = format!("ingress.hosts[0].host={}", s.host());
    let pipeline = blue(s, &[&INGRESS[..], &[&host]].concat()).await?;
    let users = users(s).await?;
    let before = ingress(s).await?;
    taken_back(s, &pipeline, &users).await?;
    s.main_ran_only(&["1.0.0"])?;
    s.phase("Initialized", RETREAT).await?;
    replaced(s, &pipeline, &users).await?;
    ensure!(ingress(s).await? == before, "the Ingress was changed");
    users.nobody_was_lost(s)
}

async fn taken_back(s: &Scenario, pipeline: &Pipeline<'_>, users: &Users) -> Result<()> {
    let upgrade = pipeline.upgrade("2.0.0", LONGEST);
    let people = async {
        tried(s, users, "2.0.0").await?;
        let smoke = pipeline.call(&["test", APP]).await?;
        smoke.fine().context("helm test of green")?;
        switch(s, users, "2.0.0").await?;
        let begun = Instant::now();
        s.request("abort").await?;
        s.weight(0, SWITCH).await?;
        s.number(
            "abort to blue's selector (s)",
            seconds(begun.elapsed()),
            5.0,
        )?;
        only(users, "1.0.0").await
    };
    let (said, done) = tokio::join!(upgrade, people);
    done?;
    refused(&said?, &["abort"])?;
    s.main_runs("1.0.0").await?;
    s.canary_is_gone().await
}

async fn replaced(s: &Scenario, pipeline: &Pipeline<'_>, users: &Users) -> Result<()> {
    let upgrade = pipeline.upgrade("2.0.0", LONGEST);
    let people = async {
        tried(s, users, "2.0.0").await?;
        let switched = SystemTime::now();
        switch(s, users, "2.0.0").await?;
        s.phase("Promoting", SWITCH).await?;
        let ready = s.timeline().phase_from("Promoting", switched);
        let kept = between(switched, ready.context("it was never promoted")?);
        ensure!(kept > KEPT, "blue was kept for {kept:?}");
        s.main_untouched(switched, switched + KEPT)
    };
    let (said, done) = tokio::join!(upgrade, people);
    done?;
    said?.fine()?;
    s.last_release("Promoted")?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    only(users, "2.0.0").await
}

/// What the Ingress routes to.
async fn ingress(s: &Scenario) -> Result<String> {
    let rules = "jsonpath={.metadata.generation} {.spec}";
    let said = s.kubectl(&["get", "ingress", APP, "-o", rules]).await?;
    said.fine()
}

async fn blue<'a>(s: &'a Scenario, values: &[&str]) -> Result<Pipeline<'a>> {
    let pipeline = Pipeline::new(s).with_file(PLAN).set(values);
    pipeline.begin("1.0.0").await?;
    s.world.images(&["2.0.0"]).await?;
    Ok(pipeline)
}

/// Every request by the Service is a connection of its own, so that the Service chooses a Pod each time.
async fn users(s: &Scenario) -> Result<Users> {
    let rate = RATE.to_string();
    let url = format!("http://{}/", address(s, APP)?);
    let arguments = ["--url", &url, "--rate", &rate, "--no-keep-alive"];
    Ok(Users {
        service: Load::with_arguments(None, &arguments)?,
        gateway: s.load_of(RATE).await?,
    })
}

/// Before anybody asks for it, users are on blue, and green answers by its own Service: a smoke test has its address.
async fn tried(s: &Scenario, users: &Users, green: &str) -> Result<()> {
    s.stands(SWITCH).await?;
    let (address, version) = (address(s, "app-canary")?, format!("x-version: {green}"));
    let begun = Instant::now();
    loop {
        // A node that is busy may not know the Service yet, as with every new one.
        let reply = gateway::get(&address, "app-canary", "/").await;
        match reply {
            Ok(reply) if reply.to_lowercase().contains(&version) => break,
            reply if begun.elapsed() > NODES => bail!("green's Service answers {reply:?}"),
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    only(users, "1.0.0").await
}

/// A person switches, with kubectl alone, and users follow.
async fn switch(s: &Scenario, users: &Users, green: &str) -> Result<()> {
    s.request("promote").await?;
    s.weight(100, SWITCH).await?;
    only(users, green).await
}

/// Where a Service answers.
fn address(s: &Scenario, service: &str) -> Result<String> {
    let service = s.get(Kind::Service, service).context("no Service")?;
    Ok(format!("{}:80", text(&service, "/spec/clusterIP")))
}

/// Waits until users see one version and no other, on both ways.
async fn only(users: &Users, version: &str) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < RETREAT {
        let to = SystemTime::now();
        let (from, to) = (to - Duration::from_secs(3), to - Duration::from_secs(1));
        let all = [&users.service, &users.gateway].map(|load| load.window(from, to));
        let mut alone = true;
        for window in all {
            let window = window?;
            alone &= window.replies() > 0 && window.share(version) >= 1.0;
        }
        if alone {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    bail!("users do not see {version} alone within {RETREAT:?}")
}

impl Users {
    fn nobody_was_lost(self, s: &Scenario) -> Result<()> {
        s.no_request_lost(self.service).context("by the Service")?;
        s.no_request_lost(self.gateway)
            .context("by the gateway")
            .map(drop)
    }
}
