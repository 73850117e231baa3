//! Cases as rows: objects in, observations and writes out.

#![expect(
    clippy::needless_pass_by_value,
    reason = "rows of JSON read better without references"
)]

mod autoscaler;
mod clone;
mod deployment;
mod diagnosis;
mod gate;
mod history;
mod labels;
mod problems;
mod readiness;
mod services;
mod world;
