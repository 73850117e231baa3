//! The fast tests: no sockets, no programs, no sleeping.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what reads the sources is a test as well: it ends where it cannot go on"
)]

mod alerts;
mod api;
mod beyond;
mod crashes;
mod demo;
mod docs;
mod hooks;
mod layers;
mod leaders;
mod poison;
mod scenarios;
mod seeds;
mod server;
mod size;
mod source;
mod statistics;
mod stores;
mod story;
mod tales;
mod webhook;
mod wire;
