//! A team's repository, served over HTTP by git itself, and what a team does in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::process;
use crate::record::text;

/// The test as Pods see it.
const ADDRESS: &str = "10.244.1.1";

/// No request of a client is longer: it says which commits it wants.
const LARGEST: usize = 1 << 20;

/// The only branch.
const BRANCH: &str = "main";

/// A folder of repositories that Pods can fetch from.
pub(crate) struct Host {
    root: PathBuf,
    port: u16,
}

impl Host {
    /// Serves a folder until the run ends.
    pub(crate) async fn new(root: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&root).context("make a folder for repositories")?;
        let listener = TcpListener::bind(("0.0.0.0", 0)).await?;
        let port = listener.local_addr()?.port();
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(root.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { root, port })
    }

    /// A new repository, without a commit.
    pub(crate) async fn repository(&self, name: &str) -> Result<Repository> {
        let folder = self.root.join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let url = format!("http://{ADDRESS}:{}/{name}/.git", self.port);
        let repository = Repository { folder, url };
        repository.git(&["init", "-q", "-b", BRANCH]).await?;
        Ok(repository)
    }
}

/// One repository with its files checked out.
pub(crate) struct Repository {
    folder: PathBuf,
    /// Where Pods fetch it.
    pub(crate) url: String,
}

impl Repository {
    /// Commits these objects, a file for each kind. Returns the revision as Flux names it.
    pub(crate) async fn commit(&self, message: &str, objects: &[Value]) -> Result<String> {
        for object in objects {
            let file = format!("{}.yaml", text(object, "/kind").to_lowercase());
            // JSON is YAML.
            std::fs::write(self.folder.join(file), serde_json::to_vec_pretty(object)?)?;
        }
        self.git(&["add", "-A"]).await?;
        self.git(&["commit", "-q", "-m", message]).await?;
        self.head().await
    }

    /// Takes the last commit back by a new one.
    pub(crate) async fn revert(&self) -> Result<String> {
        self.git(&["revert", "--no-edit", "HEAD"]).await?;
        self.head().await
    }

    async fn head(&self) -> Result<String> {
        let head = self.git(&["rev-parse", "HEAD"]).await?;
        Ok(format!("{BRANCH}@sha1:{}", head.trim()))
    }

    async fn git(&self, arguments: &[&str]) -> Result<String> {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(&self.folder).args(arguments);
        for (name, value) in SETTINGS {
            command.env(name, value);
        }
        let said = process::call(command).await?;
        said.fine()
            .with_context(|| format!("git {}", arguments.join(" ")))
    }
}

/// Nothing of this machine's own configuration.
const SETTINGS: [(&str, &str); 6] = [
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_AUTHOR_NAME", "team"),
    ("GIT_AUTHOR_EMAIL", "team@example.com"),
    ("GIT_COMMITTER_NAME", "team"),
    ("GIT_COMMITTER_EMAIL", "team@example.com"),
];

async fn answer(State(root): State<PathBuf>, request: Request) -> Response {
    match backend(&root, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

/// A request as a CGI program gets it.
async fn backend(root: &Path, request: Request) -> Result<Response> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LARGEST).await?;
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .envs(SETTINGS)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&body).await?;
    }
    reply(&child.wait_with_output().await?.stdout)
}

/// What a CGI program printed: headers, an empty line, the body.
fn reply(printed: &[u8]) -> Result<Response> {
    let end = printed.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = printed.split_at(end.context("git printed no headers")?);
    let mut response = Response::builder();
    for line in std::str::from_utf8(head)?.lines() {
        let (name, value) = line.split_once(": ").context("a header without a value")?;
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap_or_default()),
            _ => response.header(name, value),
        };
    }
    Ok(response.body(Body::from(body[4..].to_vec()))?)
}
