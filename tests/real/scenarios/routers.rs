//! Other routes than those of the Gateway API, with the real proxies behind them.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::contour::ENVOY;
use crate::objects::{self, APP};
use crate::record::{Kind, text};
use crate::scenario::{ADOPTION, RATE, RELEASE, RETREAT, Scenario};

/// The user's IngressRoute.
const WEB: &str = "web";

/// The Ingress that Serin makes beside the user's.
const SECOND: &str = "web-canary";

/// Traffic goes on so long after the end, to see that nobody misses what went.
const AFTER: Duration = Duration::from_secs(3);

/// Serin's TraefikService behind the user's IngressRoute: a good release, a bad one that Traefik's own counters convict, and the end
/// of the Canary, all under load.
pub(super) async fn traefiks_own_service_shares_and_stays(s: &Scenario) -> Result<()> {
    s.adopt_as("1.0.0", 3, &objects::canary_of_traefik(&objects::quick()))
        .await?;
    s.apply(&objects::ingress_route(WEB, &s.host(), "TraefikService"))
        .await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.shares_follow_weights(&load).await?;
    a_bad_one_is_rejected_for(s, "request-success-rate").await?;
    end(s).await?;
    let service = s.get(Kind::TraefikService, APP);
    let service = service.context("the TraefikService is gone, and with it the host")?;
    ensure!(
        service["spec"]["weighted"]["services"]
            == json!([{"name": APP, "port": 80, "weight": 100}]),
        "it says {}",
        service["spec"]
    );
    s.no_request_lost(load).map(drop)
}

/// Weights in the user's own IngressRoute: released, and given back as it was.
pub(super) async fn an_ingress_route_is_shared_and_given_back(s: &Scenario) -> Result<()> {
    s.deploy("1.0.0", 3).await?;
    s.apply(&objects::ingress_route(WEB, &s.host(), "Service"))
        .await?;
    let before = live(s).await?;
    s.apply(&objects::canary_of_ingress_route(WEB, &objects::quick()))
        .await?;
    s.phase("Initialized", ADOPTION).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.canary_is_gone().await?;
    s.shares_follow_weights(&load).await?;
    end(s).await?;
    let after = live(s).await?;
    let mut expected = before["spec"].clone();
    expected["routes"][0]["services"][0]["weight"] = json!(1);
    ensure!(after["spec"] == expected, "given back: {}", after["spec"]);
    let managers = after["metadata"]["managedFields"].to_string();
    ensure!(!managers.contains("serin"), "managers: {managers}");
    s.no_request_lost(load).map(drop)
}

/// A second Ingress with the annotations of ingress-nginx, which Traefik reads: there while the canary gets requests, and gone after.
pub(super) async fn a_second_ingress_comes_and_goes(s: &Scenario) -> Result<()> {
    s.deploy("1.0.0", 3).await?;
    s.apply(&objects::ingress(WEB, &s.host())).await?;
    let before = s.api(&Kind::Ingress.resource()).get(WEB).await?;
    let canary = objects::canary_of_ingress(WEB, &s.namespace, &objects::quick());
    s.apply(&canary).await?;
    s.phase("Initialized", ADOPTION).await?;
    let load = s.load().await?;
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.shares_follow_weights(&load).await?;
    let second = (Kind::Ingress, SECOND);
    s.until_object("the second Ingress is gone", second, RETREAT, |it| {
        it.is_none()
    })
    .await?;
    a_bad_one_is_rejected_for(s, "errors").await?;
    end(s).await?;
    let after = s.api(&Kind::Ingress.resource()).get(WEB).await?;
    ensure!(
        after.metadata.generation == before.metadata.generation,
        "the user's Ingress was written"
    );
    s.no_request_lost(load).map(drop)
}

/// Contour and its Envoy: HTTPProxies, a good release, a bad one that Envoy's own counters convict, and the end of the Canary.
pub(super) async fn contours_proxy_shares_and_stays(s: &Scenario) -> Result<()> {
    adopt_behind_contour(s, &objects::quick()).await?;
    let load = s.load_at(ENVOY, RATE).await?;
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await?;
    s.main_runs("2.0.0").await?;
    s.shares_follow_weights(&load).await?;
    a_bad_one_is_rejected_for(s, "request-success-rate").await?;
    end(s).await?;
    s.no_request_lost(load).map(drop)
}

/// The application behind the user's HTTPProxy, adopted with this analysis.
pub(super) async fn adopt_behind_contour(s: &Scenario, analysis: &Value) -> Result<()> {
    s.world.contour().await?;
    s.deploy("1.0.0", 3).await?;
    s.apply(&objects::including_proxy(WEB, &s.host())).await?;
    s.apply(&objects::canary_of_contour(analysis)).await?;
    s.phase("Initialized", ADOPTION).await
}

/// A version of which every fifth reply is an error is rejected by this check, stable stays as it is, and its template is put back.
async fn a_bad_one_is_rejected_for(s: &Scenario, check: &str) -> Result<()> {
    let shipped = SystemTime::now();
    s.ship("3.0.0-errors20").await?;
    s.phase("Failed", RELEASE).await?;
    s.canary_is_gone().await?;
    let message = text(&s.canary(), "/status/message").to_owned();
    ensure!(message.contains(check), "the reason is {message:?}");
    s.main_untouched(shipped, SystemTime::now())?;
    s.put("2.0.0").await?;
    s.phase("Initialized", RETREAT).await
}

/// Deletes the Canary, and waits until users could have noticed.
async fn end(s: &Scenario) -> Result<()> {
    s.delete(Kind::Canary, APP).await?;
    s.until_object(
        "the Canary is gone",
        (Kind::Canary, APP),
        RETREAT,
        |found| found.is_none(),
    )
    .await?;
    tokio::time::sleep(AFTER).await;
    Ok(())
}

/// The IngressRoute as the API server has it, with its managers.
async fn live(s: &Scenario) -> Result<Value> {
    let route = s.api(&Kind::IngressRoute.resource()).get(WEB).await?;
    Ok(serde_json::to_value(route)?)
}
