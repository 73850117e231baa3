//! The controller's HTTP API, as somebody with a token uses it.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{HOME, World};

/// No reply takes longer.
const LONGEST: Duration = Duration::from_secs(15);

/// The API at the address of Serin's Service.
#[derive(Debug)]
pub(crate) struct Api {
    address: String,
}

impl Api {
    /// Where the Service of Serin is.
    pub(crate) async fn of(world: &World) -> Result<Self> {
        let ask = "jsonpath={.spec.clusterIP}:{.spec.ports[0].port}";
        let get = ["get", "service", "serin", "-n", HOME, "-o", ask];
        let address = world.kubectl(&get).await?.fine()?;
        Ok(Self { address })
    }

    /// Asks for something; the status and the body of the reply.
    pub(crate) async fn ask(
        &self,
        (method, path): (&str, &str),
        token: Option<&str>,
        body: &str,
    ) -> Result<(u16, Value)> {
        let who = token.map_or_else(String::new, |token| {
            format!("authorization: Bearer {token}\r\n")
        });
        let request = format!(
            "{method} /api/v1/{path} HTTP/1.0\r\nhost: serin\r\n{who}content-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let reply = tokio::time::timeout(LONGEST, self.send(&request)).await??;
        let (head, body) = reply.split_once("\r\n\r\n").context("half a reply")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, serde_json::from_str(body).unwrap_or_default()))
    }

    async fn send(&self, request: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        Ok(reply)
    }
}
