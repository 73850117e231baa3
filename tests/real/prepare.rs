//! Before the first scenario: programs are built, the cluster is up, and this program runs in its network.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::arguments::Arguments;
use crate::contour;
use crate::flux;
use crate::load::PROGRAM;
use crate::pipeline::HELM3;
use crate::scenarios::hooks;

/// Set in the part of the run that happens in the cluster's network.
const INSIDE: &str = "SERIN_REAL_INSIDE";

/// CPUs and memory that each node says it has: enough for all Pods of a run, and a bound for "no room".
const SIZE: [&str; 4] = ["--cpu", "16", "--memory", "32Gi"];

/// Something that the run needs is not there.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Whether this process runs in the cluster's network.
pub(crate) fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Builds, starts the cluster, runs the scenarios in its network, and takes it down again.
pub(crate) fn outside(arguments: &Arguments) -> Result<ExitCode> {
    let places = Places::new();
    check_machine(&places)?;
    places.make()?;
    build(&places)?;
    let up = arguments.keep && places.cluster(&["status"]).status()?.success();
    if !up {
        run(&mut places.cluster(&["down"])).context("take an old cluster down")?;
        let image = format!("serin:0.1.0={}", places.binary("serin").display());
        let mut start = places.cluster(&["up", "--image", &image]);
        run(start.args(SIZE)).context("bring the cluster up")?;
    }
    let wants = |prefix: &str| {
        arguments
            .chosen()
            .iter()
            .any(|case| case.name.starts_with(prefix))
    };
    let tools = [
        (HELM3, helm_3(&places)?),
        (flux::FOLDER, tool(&places, "flux", wants("flux_"))?),
        (
            contour::FOLDER,
            tool(&places, "contour", wants("contours_"))?,
        ),
        (
            hooks::PROGRAM,
            tool(&places, "loadtester", wants("flaggers_"))?,
        ),
    ];
    let code = enter(&places, &tools);
    if !arguments.keep {
        run(&mut places.cluster(&["down"])).context("take the cluster down")?;
    }
    code
}

/// Where things are: the repository, the cluster, the binaries under test and the results.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Name of the cluster and of its network namespace.
    pub(crate) name: String,
    /// Results and binaries.
    pub(crate) out: PathBuf,
}

impl Places {
    pub(crate) fn new() -> Self {
        let name = std::env::var("SERIN_CLUSTER").unwrap_or_else(|_| "serin".to_owned());
        let out = std::env::var_os("SERIN_REAL_OUT").map_or_else(
            || std::env::temp_dir().join(format!("serin-real-{name}")),
            PathBuf::from,
        );
        Self {
            root: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
            name,
            out,
        }
    }

    /// A command of the cluster's tool.
    pub(crate) fn cluster(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.tool());
        command.args(["--name", &self.name]).args(arguments);
        command
    }

    fn tool(&self) -> PathBuf {
        std::env::var_os("SERIN_CLUSTER_TOOL")
            .map_or_else(|| self.root.join("tests/cluster/cluster"), PathBuf::from)
    }

    /// A copy of a program under test, which no later build replaces.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.out.join("bin").join(name)
    }

    /// Where one scenario leaves what is needed to understand its failure.
    pub(crate) fn dump(&self, name: &str) -> PathBuf {
        self.out.join("failed").join(name)
    }

    /// What happened in one scenario.
    pub(crate) fn timeline(&self, name: &str) -> PathBuf {
        self.out.join("timelines").join(format!("{name}.txt"))
    }

    fn make(&self) -> Result<()> {
        for folder in ["bin", "failed", "timelines"] {
            let folder = self.out.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        Ok(())
    }
}

fn check_machine(places: &Places) -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = status
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
    let lacks = |what: &str| Err(Missing(what.to_owned()).into());
    if !root {
        return lacks(
            "the cluster has namespaces and mounts of its own, so this has to run as root",
        );
    }
    if !places.tool().is_file() {
        return lacks("there is no tests/cluster/cluster");
    }
    for tool in ["nsenter", "ip", "go"] {
        let found = std::env::var_os("PATH")
            .is_some_and(|all| std::env::split_paths(&all).any(|path| path.join(tool).is_file()));
        if !found {
            return lacks(&format!("there is no program {tool:?}"));
        }
    }
    Ok(())
}

/// Cargo tells a test about its own crate. Told on to another Cargo, it would look like a changed environment to build scripts
/// that follow those variables, and half of the dependencies would be built anew.
fn without_this_crate(command: &mut Command) {
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| own(name)) {
        command.env_remove(name);
    }
}

/// Builds what is tested and what tests it, and keeps copies: another build may replace the originals meanwhile.
fn build(places: &Places) -> Result<()> {
    let profile = std::env::var("SERIN_REAL_PROFILE").unwrap_or_else(|_| "dev".to_owned());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(&places.root).args([
        "build",
        "--quiet",
        "--profile",
        &profile,
        "--bin",
        "serin",
        "--example",
        "app",
        "--example",
        "load",
    ]);
    without_this_crate(&mut command);
    run(&mut command).context("build the programs under test")?;
    let built = built(&profile)?;
    for (name, path) in [
        ("serin", "serin"),
        ("app", "examples/app"),
        ("load", "examples/load"),
    ] {
        replace(&built.join(path), &places.binary(name))?;
    }
    Ok(())
}

/// The folder in which Cargo puts what it builds with a profile: beside the one that this program stands in.
fn built(profile: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.ancestors().nth(3).context("no target folder")?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target.join(folder))
}

/// Puts a copy where Pods may still run the old one.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new).with_context(|| format!("copy {}", from.display()))?;
    fs::rename(&new, to).with_context(|| format!("put {} there", to.display()))
}

/// Helm 3, built where it is missing; the cluster has Helm 4 itself.
fn helm_3(places: &Places) -> Result<PathBuf> {
    let output = Command::new(places.root.join("tests/helm/tools.sh"))
        .stderr(Stdio::inherit())
        .output()
        .context("call tests/helm/tools.sh")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let path = told.lines().find_map(|line| line.strip_prefix("helm3="));
    path.map(PathBuf::from)
        .with_context(|| format!("no Helm 3: {}", output.status))
}

/// Where a tool is that only some scenarios need, built where it is missing; nowhere if no chosen one does.
fn tool(places: &Places, name: &str, wanted: bool) -> Result<PathBuf> {
    if !wanted {
        return Ok(PathBuf::new());
    }
    let output = Command::new(places.root.join("tests/cluster/tools.sh"))
        .arg(name)
        .stderr(Stdio::inherit())
        .output()
        .context("call tests/cluster/tools.sh")?;
    if !output.status.success() {
        bail!("no {name}: {}", output.status);
    }
    let told = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(told.trim()))
}

/// Runs this program once more, in the cluster's network. Only the network changes: what the cluster's tool mounts
/// from there has to be seen by all.
fn enter(places: &Places, tools: &[(&str, PathBuf)]) -> Result<ExitCode> {
    let this = std::env::current_exe()?;
    // What kubectl and Helm keep of the kinds that a server has is filed under its address, and all clusters have the same one.
    let kinds = places.out.join("kinds");
    let _ = fs::remove_dir_all(&kinds);
    let status = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", places.name))
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .env(PROGRAM, places.binary("load"))
        .envs(tools.iter().map(|(name, path)| (name, path)))
        .env("KUBECACHEDIR", kinds)
        .status()
        .context("enter the cluster's network")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
