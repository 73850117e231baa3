//! Our kinds: `Canary`, `MetricTemplate` and `AlertProvider`.

pub mod affinity;
pub mod alert;
pub mod alert_provider;
pub mod analysis;
pub mod bound;
pub mod canary;
pub mod comparison;
pub mod definition;
pub mod header_route;
pub mod hook;
pub mod matching;
pub mod metric_template;
pub mod moment;
pub mod names;
pub mod record;
pub mod refusals;
pub mod request;
mod rules;
mod schema;
pub mod status;
#[cfg(test)]
mod tests;
pub mod traffic;
mod traffic_status;
