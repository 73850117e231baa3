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
    let seconds = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    };
    let path = format!(
        "/api/v1/query_range?step=1&start={}&end={}&query={}",
        seconds(from),
        seconds(to) + 1,
        escaped(query)
    );
    let reply = gateway::get(ADDRESS, "prometheus", &path).await?;
    let (head, body) = reply.split_once("\r\n\r\n").context("no reply")?;
    ensure!(head.contains(" 200 "), "Prometheus says {reply}");
    // HTTP/1.0 is asked for, so the body is not chunked.
    serde_json::from_str(body).context("read the reply of Prometheus")
}

fn escaped(query: &str) -> String {
    query.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}
