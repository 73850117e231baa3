//! The API server's own word on who asked it for what.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::record::text;

/// The account of the controller.
const SERIN: &str = "system:serviceaccount:serin-system:serin";

/// Where an event says which Pod a token was made for.
const POD: &str = "/user/extra/authentication.kubernetes.io~1pod-name/0";

/// The audit log of the cluster.
pub(crate) struct Audit {
    path: PathBuf,
}

/// One finished request of the controller.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: SystemTime,
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) code: i64,
    /// The Pod that asked, by its token.
    pub(crate) pod: String,
    /// Nothing was to be kept of it.
    pub(crate) dry: bool,
}

impl Call {
    /// Whether it changes something that users see as the state of their objects; Events are messages.
    pub(crate) fn writes(&self) -> bool {
        let changes = matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        );
        changes && !self.dry && self.resource != "events"
    }

    /// For messages.
    pub(crate) fn line(&self) -> String {
        let Self {
            verb,
            resource,
            namespace,
            name,
            code,
            ..
        } = self;
        format!("{verb} {resource} {namespace}/{name} ({code})")
    }
}

impl Audit {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What the controller asked for between two times, without its watches and its lease.
    pub(crate) fn calls(&self, from: SystemTime, to: SystemTime) -> Result<Vec<Call>> {
        let log = fs::read_to_string(&self.path).context("read the audit log")?;
        Ok(log
            .lines()
            .filter(|line| line.contains(SERIN))
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter_map(|event| call(&event))
            .filter(|call| call.at >= from && call.at < to)
            .filter(|call| call.verb != "watch" && call.resource != "leases")
            .collect())
    }
}

fn call(event: &Value) -> Option<Call> {
    if text(event, "/user/username") != SERIN {
        return None;
    }
    let at: jiff::Timestamp = text(event, "/requestReceivedTimestamp").parse().ok()?;
    let subresource = text(event, "/objectRef/subresource");
    let resource = text(event, "/objectRef/resource");
    let resource = if subresource.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}/{subresource}")
    };
    Some(Call {
        at: at.into(),
        verb: text(event, "/verb").to_owned(),
        resource,
        namespace: text(event, "/objectRef/namespace").to_owned(),
        name: text(event, "/objectRef/name").to_owned(),
        code: event.pointer("/responseStatus/code")?.as_i64()?,
        pod: text(event, POD).to_owned(),
        dry: text(event, "/requestURI").contains("dryRun"),
    })
}
