//! A cluster in process: an API server under the real client, the controllers and Pods around it, and traffic, in virtual time or in
//! real time. It uses no adapter and nothing of the core: a wrong renderer must not agree with itself.

pub mod account;
pub mod address;
pub mod admission;
pub mod api;
pub mod apply;
pub mod autoscaler;
pub mod behaviour;
mod body;
pub mod cel;
mod columns;
pub mod defaults;
pub mod deployments;
mod discovery;
pub mod disruption;
pub mod endpoints;
pub mod field;
pub mod garbage;
pub mod gateway;
pub mod kinds;
pub mod listen;
pub mod meddlers;
mod metadata;
pub mod nodes;
mod openapi;
pub mod owner;
pub mod patch;
pub mod pods;
pub mod prometheus;
pub mod promql;
mod protobuf;
pub mod proxies;
pub mod quantity;
mod questions;
pub mod queue;
pub mod rbac;
pub mod refusal;
pub mod replace;
pub mod replica_sets;
pub mod report;
pub mod requests;
pub mod residents;
pub mod roles;
mod rules;
pub mod samples;
pub mod schema;
pub mod seed;
pub mod selector;
pub mod shape;
pub mod store;
pub mod tokens;
pub mod traffic;
pub mod type_check;
pub mod users;
pub mod validity;
mod watching;
pub mod world;
pub mod write;
mod writing;

#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;
