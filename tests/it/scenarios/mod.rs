//! The scenarios of PROVIDERS section 7, and what every provider has to be able to do, in virtual time: the real controller, and
//! proxies that read its objects their own way (`src/sim/proxies`).
//!
//! | rows | where | what is not there |
//! |---|---|---|
//! | 1 to 9 | `istio`, 6 in `own_routes` | |
//! | 10 to 14 | `gateway`, 13 in `everywhere` | gRPC probes of row 12: a Pod answers HTTP alone |
//! | 15 to 17 | `linkerd` | |
//! | 18 to 23 | `ingress` | the curl of row 19 is a hook |
//! | 24, 25, 26 | `services` | of 26 the autoscaler of Kubernetes alone |
//! | 27 | nowhere | KEDA's ScaledObjects are refused (`tests/broken/46`), and the cluster has no KEDA |
//! | 28, 29 | nowhere | knative comes in a later version (`tests/broken/47`) |
//! | 30 to 32 | `contour`, 31 and 32 in `everywhere` | the hook of row 30 goes to the hook alone, and not through Envoy |
//! | 33 | `edge` | an Upstream's settings stay, but are not copied from stable's to the canary's |
//! | 34 | `everywhere` | |
//! | 35, 36 | `kuma` | |
//! | 37 to 39 | `edge` | |
//!
//! What holds for every provider is in `everywhere`: a good release, errors, slowness, the end of the Canary, users who mark
//! their requests, and routes of the team's own.

mod contour;
mod edge;
mod everywhere;
mod gateway;
mod ingress;
mod istio;
mod kuma;
mod linkerd;
mod measured;
mod own_routes;
mod providers;
mod services;
