//! Programs that the run calls, and processes of the cluster that it looks at.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// No program that a scenario calls takes longer.
const LONGEST: Duration = Duration::from_secs(120);

/// What a program said, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Its exit code; -1 after a signal.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Said {
    /// Its output, if it succeeded.
    pub(crate) fn fine(self) -> Result<String> {
        if self.code != 0 {
            bail!("exit code {}: {}{}", self.code, self.err, self.out);
        }
        Ok(self.out)
    }
}

/// Runs a program to its end.
pub(crate) async fn call(command: std::process::Command) -> Result<Said> {
    run(command, "", LONGEST).await
}

/// The same, for a program that may take longer.
pub(crate) async fn call_for(command: std::process::Command, longest: Duration) -> Result<Said> {
    run(command, "", longest).await
}

/// The same, with something on its standard input.
pub(crate) async fn feed(command: std::process::Command, input: &str) -> Result<Said> {
    run(command, input, LONGEST).await
}

async fn run(command: std::process::Command, input: &str, longest: Duration) -> Result<Said> {
    use tokio::io::AsyncWriteExt;
    let text = format!("{command:?}");
    let mut child = Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| text.clone())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading is judged by its exit code.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = tokio::time::timeout(longest, child.wait_with_output())
        .await
        .with_context(|| format!("{text}: takes longer than {} s", longest.as_secs()))??;
    Ok(Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The process of a container: the one that runs `program` with `variable` in its environment.
pub(crate) fn find(program: &Path, variable: &str) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let runs = fs::read_link(entry.path().join("exe"))
            .is_ok_and(|exe| exe.file_name() == program.file_name() || is_renamed(&exe, program));
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let has = environment
            .split(|byte| *byte == 0)
            .any(|one| one == variable.as_bytes());
        (runs && has).then_some(id)
    })
}

/// The kernel marks a program whose file was replaced.
fn is_renamed(exe: &Path, program: &Path) -> bool {
    let name = program.file_name().and_then(|name| name.to_str());
    let exe = exe.file_name().and_then(|name| name.to_str());
    matches!((name, exe), (Some(name), Some(exe)) if exe.starts_with(name))
}

/// Sends a signal to a process that `find` found.
pub(crate) fn signal(id: u32, signal: &str) -> Result<()> {
    let status = std::process::Command::new("kill")
        .args([format!("-{signal}"), id.to_string()])
        .status()?;
    if !status.success() {
        bail!("no process {id} to send {signal} to");
    }
    Ok(())
}

/// Memory of a process in KiB: all that is resident, and what of it is its own.
pub(crate) fn memory(id: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Ok((field("VmRSS:"), field("RssAnon:")))
}
