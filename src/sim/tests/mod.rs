//! Tests that need several parts of the cluster.

mod forgotten;
mod recorded;
