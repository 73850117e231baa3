//! Single requests of the test itself, where a load would be too much.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Traefik's Service: where users come in.
pub(crate) const GATEWAY: &str = "10.96.0.80";

/// No reply takes longer.
const LONGEST: Duration = Duration::from_secs(5);

/// Whether the application answers through a proxy.
pub(crate) async fn answers(proxy: &str, host: &str) -> bool {
    let reply = get(&format!("{proxy}:80"), host, "/").await;
    reply.is_ok_and(|reply| {
        let reply = reply.to_lowercase();
        reply.starts_with("http/1.") && reply.contains(" 200 ") && reply.contains("x-version:")
    })
}

/// One reply, head and body.
pub(crate) async fn get(address: &str, host: &str, path: &str) -> Result<String> {
    get_with(address, host, path, &[]).await
}

/// The same, asked with more headers.
pub(crate) async fn get_with(
    address: &str,
    host: &str,
    path: &str,
    headers: &[String],
) -> Result<String> {
    let more: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\n{more}\r\n");
    exchanged(address, &request).await
}

/// Tells one Pod what to do from now on.
pub(crate) async fn order(address: &str, path: &str) -> Result<()> {
    let request = format!("POST {path} HTTP/1.0\r\nhost: app\r\ncontent-length: 0\r\n\r\n");
    let reply = exchanged(address, &request).await?;
    let done = reply.split_whitespace().nth(1) == Some("200");
    ensure!(done, "{address} answers {path} with {reply}");
    Ok(())
}

async fn exchanged(address: &str, request: &str) -> Result<String> {
    tokio::time::timeout(LONGEST, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    })
    .await?
}
