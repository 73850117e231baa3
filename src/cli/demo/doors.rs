//! The two ports of the demo, and the kubeconfig that leads to one of them.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::sim::listen;

/// A port on which something listens, for programs on this machine alone.
#[derive(Debug)]
pub struct Door {
    /// What listens.
    pub listener: TcpListener,
    /// Where.
    pub address: SocketAddr,
    /// The usual port, which somebody else has.
    pub taken: Option<u16>,
}

impl Door {
    /// Listens on the port that was named, which has to be free; if none was, on the usual one or any other.
    ///
    /// # Errors
    /// When the named port is taken, naming the flag that chooses another.
    pub async fn open(named: Option<u16>, usual: u16, flag: &str) -> Result<Self> {
        let wanted = named.unwrap_or(usual);
        let mut taken = None;
        let listener = match listen_on(wanted).await {
            Err(error) if named.is_none() && error.kind() == ErrorKind::AddrInUse => {
                taken = Some(usual);
                listen_on(0).await
            }
            other => other,
        };
        let listener = match listener {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                bail!(
                    "port {wanted} is taken: name another one with {flag}, or 0 for any that is free"
                )
            }
            other => other.with_context(|| format!("listen on port {wanted} of this machine"))?,
        };
        let address = listener.local_addr().context("find out the port")?;
        Ok(Self {
            listener,
            address,
            taken,
        })
    }
}

async fn listen_on(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// The kubeconfig, for as long as this lives.
#[derive(Debug)]
pub struct Kubeconfig {
    path: PathBuf,
}

impl Kubeconfig {
    /// Writes it where it was asked for, or among the temporary files; nothing is written over.
    ///
    /// # Errors
    /// When something is there already, or it cannot be written.
    pub fn write(path: Option<&Path>, text: &str) -> Result<Self> {
        let path = path.map_or_else(usual_path, Path::to_owned);
        // Another terminal may be in another folder.
        let path = std::path::absolute(&path).unwrap_or(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let mut file = match file {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!(
                    "{} exists already, and is not written over: remove it, or name another path with --kubeconfig-out",
                    path.display()
                )
            }
            other => other.with_context(|| format!("write the kubeconfig {}", path.display()))?,
        };
        // From here on it goes with this value, also when it cannot be filled.
        let made = Self { path };
        file.write_all(text.as_bytes())
            .with_context(|| format!("write the kubeconfig {}", made.path.display()))?;
        Ok(made)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        // If somebody else removed it, it is gone as well.
        drop(fs::remove_file(&self.path));
    }
}

fn usual_path() -> PathBuf {
    let name = format!("serin-demo-{}.kubeconfig", std::process::id());
    std::env::temp_dir().join(name)
}

/// The text of a kubeconfig for an address, with this namespace as its usual one.
#[must_use]
pub fn kubeconfig(address: SocketAddr, token: &str, namespace: &str) -> String {
    let text = listen::kubeconfig(address, token, "serin-demo");
    let Ok(mut config) = serde_json::from_str::<Value>(&text) else {
        return text;
    };
    if let Some(context) = config.pointer_mut("/contexts/0/context") {
        context["namespace"] = Value::from(namespace);
    }
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_means_the_namespace_of_the_demo() {
        let text = kubeconfig(SocketAddr::from(([127, 0, 0, 1], 81)), "t", "shop");
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["contexts"][0]["context"]["namespace"], "shop");
        assert_eq!(
            config["clusters"][0]["cluster"]["server"],
            "http://127.0.0.1:81"
        );
    }
}
