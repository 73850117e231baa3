//! The embedded cluster with Serin installed in it: where `demo`, `simulate` and the tests of whole releases begin.

use std::sync::OnceLock;

use kube::Client;

use crate::clock::{Clock, SIMULATED_START};
use crate::cluster::Cluster;
use crate::controller::{Controller, Defaults, Settings};
use crate::http_client::Http;
use crate::sim::api::{Api, Who};
use crate::sim::refusal::Refusal;
use crate::sim::world::World;
use crate::telemetry::Telemetry;

/// What is installed before the controller.
const MANIFESTS: [&str; 7] = [
    include_str!("../../crds/canaries.serin.dev.yaml"),
    include_str!("../../crds/metrictemplates.serin.dev.yaml"),
    include_str!("../../crds/alertproviders.serin.dev.yaml"),
    include_str!("../../deploy/namespace.yaml"),
    include_str!("../../deploy/gate.yaml"),
    include_str!("../../deploy/requests.yaml"),
    include_str!("../../deploy/rbac.yaml"),
];

/// The account of the controller.
#[must_use]
pub fn account() -> Who {
    Who {
        user: "system:serviceaccount:serin-system:serin".to_owned(),
        groups: ["system:serviceaccounts", "system:authenticated"]
            .map(str::to_owned)
            .to_vec(),
        manager: String::new(),
    }
}

/// A person with all rights.
#[must_use]
pub fn person(name: &str) -> Who {
    Who {
        user: name.to_owned(),
        groups: vec!["system:masters".to_owned()],
        manager: "kubectl".to_owned(),
    }
}

/// Puts Serin's definitions, gate and roles into a cluster, and a gateway.
///
/// # Errors
/// When a manifest of this build is refused.
pub fn install(world: &World) -> Result<(), Refusal> {
    for manifest in MANIFESTS {
        world.apply(manifest)?;
    }
    world.add_gateway();
    Ok(())
}

/// A server where all of that is done, at the beginning of simulated time. It is made once; each caller copies it.
///
/// # Errors
/// As for [`install`].
pub fn installed() -> Result<&'static Api, Refusal> {
    static INSTALLED: OnceLock<Api> = OnceLock::new();
    if let Some(api) = INSTALLED.get() {
        return Ok(api);
    }
    let world = World::on(Api::at(SIMULATED_START), 0);
    install(&world)?;
    Ok(INSTALLED.get_or_init(|| world.api))
}

/// A controller over these clients, with this access to metrics servers.
///
/// # Errors
/// When a client cannot be made.
pub fn controller(
    connect: impl Fn() -> Result<Client, kube::Error> + Send + Sync + 'static,
    http: Http,
    settings: Settings,
) -> Result<Controller, kube::Error> {
    let telemetry = Telemetry::new(&settings.defaults.provider);
    measured(connect, http, telemetry, settings)
}

/// The same, where somebody else shows what it measures.
///
/// # Errors
/// When a client cannot be made.
pub fn measured(
    connect: impl Fn() -> Result<Client, kube::Error> + Send + Sync + 'static,
    http: Http,
    telemetry: Telemetry,
    settings: Settings,
) -> Result<Controller, kube::Error> {
    let cluster = Cluster::over(connect)?;
    Ok(Controller::new(cluster, http, telemetry, settings))
}

/// How the controller is set up on the embedded cluster: the only one, for all namespaces, with the Prometheus of the cluster.
#[must_use]
pub fn settings(clock: Clock, identity: &str) -> Settings {
    Settings {
        namespace: None,
        defaults: Defaults {
            provider: "gatewayapi:v1".to_owned(),
            metrics_server: Some("http://prometheus".to_owned()),
        },
        concurrency: 32,
        elect: false,
        lease_namespace: "serin-system".to_owned(),
        identity: identity.to_owned(),
        clock,
    }
}
