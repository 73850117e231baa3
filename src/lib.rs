//! Serin brings a new version of a workload into service step by step, and takes it out again when it does worse.

pub mod admission;
pub mod alerts;
pub mod analysis;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod crd;
pub mod digest;
pub mod hooks;
pub mod http_client;
pub mod metrics;
pub mod objects;
pub mod rollout;
pub mod router;
pub mod server;
pub mod sim;
pub mod telemetry;
pub mod workload;
