//! The cluster's Prometheus, asked by the test itself.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::gateway;

/// Its Service.
const ADDRESS: &str = "10.96.0.90:9090";

/// The values of a query from one time to another, one each second.
pub(crate) async fn range(query: &str, from: SystemTime, to: SystemTime) -> Result<Value> {
    range_at(ADDRESS, query, from, to).await
}

/// The same, asked of another Prometheus.
pub(crate) async fn range_at(
    address: &str,
    query: &str,
    from: SystemTime,
    to: SystemTime,
) -> Result<Value> {
    let path = format!(
        "query_range?step=1&start={}&end={}&query={}",
        seconds(from),
        seconds(to) + 1,
        escaped(query)
    );
    ask(address, &path).await
}

/// The value of a query at one time.
pub(crate) async fn instant_at(address: &str, query: &str, at: SystemTime) -> Result<Value> {
    let path = format!("query?time={}&query={}", seconds(at), escaped(query));
    ask(address, &path).await
}

/// What a Prometheus replies; an error with its words if it does not understand.
pub(crate) async fn ask(address: &str, path: &str) -> Result<Value> {
    let path = format!("/api/v1/{path}");
    let reply = gateway::get(address, "prometheus", &path).await?;
    let (head, body) = reply.split_once("\r\n\r\n").context("no reply")?;
    ensure!(head.contains(" 200 "), "Prometheus says {reply}");
    // HTTP/1.0 is asked for, so the body is not chunked.
    serde_json::from_str(body).context("read the reply of Prometheus")
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn escaped(query: &str) -> String {
    query.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}
