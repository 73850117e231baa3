//! The command line as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::cli::controller::ControllerArgs;
use crate::cli::demo::DemoArgs;
use crate::cli::evaluate::EvaluateArgs;
use crate::cli::lint::LintArgs;
use crate::cli::migrate::MigrateArgs;
use crate::cli::simulate::SimulateArgs;

/// Brings a new version into service step by step, and takes it out again when it does worse.
#[derive(Debug, Parser)]
#[command(
    name = "serin",
    version,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 rejected or failed, 2 wrong usage, 3 timed out."
)]
pub struct Args {
    /// Which cluster and namespace.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster and namespace, as kubectl takes them.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Namespace; by default that of the context (for `controller`: all)
    #[arg(short, long, global = true, env = "SERIN_NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Path of the kubeconfig; by default KUBECONFIG, then ~/.kube/config
    #[arg(long, global = true, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller
    Controller(Box<ControllerArgs>),
    /// Watch canaries succeed and fail in a minute, without a cluster
    Demo(DemoArgs),
    /// Print the custom resource definitions
    Crd,
    /// List Canaries
    Get(GetArgs),
    /// Show one rollout: target, canary, Pods, steps, checks
    Status(StatusArgs),
    /// Wait until a release is promoted (exit 0) or rejected (exit 1)
    Wait(WaitArgs),
    /// End the current pause or approval; in blue/green, switch
    Promote(PromoteArgs),
    /// Send all traffic to stable now and reject the candidate
    Abort(VerbArgs),
    /// Stay at the current weight
    Pause(ShortVerbArgs),
    /// Go on after `pause`
    Resume(VerbArgs),
    /// Try the rejected candidate again
    Retry(VerbArgs),
    /// Count the current step as passed
    Skip(VerbArgs),
    /// In progress: abort. Idle: put a promoted revision back
    Rollback(RollbackArgs),
    /// Try the same images anew; while held, replace stable's Pods one by one
    Restart(VerbArgs),
    /// Put stable's template back on a held target; works without a controller
    Undo(NameArgs),
    /// Take gates and finalizers off, before Serin is uninstalled
    Disarm(DisarmArgs),
    /// List finished releases
    History(TellArgs),
    /// Say what is in the way of a release, and what to try
    Diagnose(TellArgs),
    /// Try what releases need of the cluster, and say how to mend what is missing
    Doctor(DoctorArgs),
    /// Play a release of a Canary from files against a scenario, in virtual time and without a cluster
    Simulate(SimulateArgs),
    /// Take recorded counters through a Canary's analysis, and say when it would have decided what
    Evaluate(EvaluateArgs),
    /// Say what is wrong with Canaries and MetricTemplates in files, without a cluster
    Lint(LintArgs),
    /// Turn manifests of Flagger and Argo Rollouts into Serin's
    Migrate(MigrateArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print the version
    Version,
}

/// `serin get`
#[derive(Debug, ClapArgs)]
pub struct GetArgs {
    /// Name of one Canary, or of its target
    pub name: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,
    /// Only with these labels, for instance `team=web,tier!=db`
    #[arg(short = 'l', long, conflicts_with = "name")]
    pub selector: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Go on, and print what changes
    #[arg(short, long)]
    pub watch: bool,
}

impl GetArgs {
    /// Whether a table is wanted.
    #[must_use]
    pub fn is_table(&self) -> bool {
        matches!(self.output, Output::Table | Output::Wide)
    }
}

/// Form of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table
    #[default]
    Table,
    /// A table with more columns
    Wide,
    /// The objects as JSON
    Json,
    /// The objects as YAML
    Yaml,
    /// `canary.serin.dev/NAME`
    Name,
}

/// Form of what is said of one Canary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    #[default]
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// `serin status`
#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// Name of the Canary, or of its target
    pub name: String,
    /// Go on until the release ends
    #[arg(short, long)]
    pub watch: bool,
    /// Form of the output: a tree, or the Canary as it is
    #[arg(short, long, value_enum, default_value_t, conflicts_with = "watch")]
    pub output: Form,
}

/// `serin wait`
#[derive(Debug, ClapArgs)]
pub struct WaitArgs {
    /// Name of the Canary, or of its target
    pub name: String,
    /// The release that is waited for: `spec.revision`, or the hash of a Pod template
    #[arg(long)]
    pub revision: Option<String>,
    /// How long
    #[arg(long, default_value = "30m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// A verb without an end to wait for.
#[derive(Debug, ClapArgs)]
pub struct ShortVerbArgs {
    /// Name of the Canary, or of its target
    pub name: String,
    /// Why; the status and the history keep it
    #[arg(long)]
    pub reason: Option<String>,
    /// Only if this is the candidate by then: `spec.revision`, or the hash of its Pod template
    #[arg(long)]
    pub revision: Option<String>,
}

/// A verb.
#[derive(Debug, ClapArgs)]
pub struct VerbArgs {
    /// What every verb takes.
    #[command(flatten)]
    pub common: ShortVerbArgs,
    /// Wait until what was asked for has happened
    #[arg(long)]
    pub wait: bool,
    /// How long, with --wait
    #[arg(long, default_value = "30m", value_parser = humantime::parse_duration, requires = "wait")]
    pub timeout: Duration,
}

/// `serin promote`
#[derive(Debug, ClapArgs)]
pub struct PromoteArgs {
    /// What every verb takes.
    #[command(flatten)]
    pub verb: VerbArgs,
    /// Leave out every step and check that is still to come; the release is marked as forced
    #[arg(long)]
    pub full: bool,
}

/// `serin rollback`
#[derive(Debug, ClapArgs)]
pub struct RollbackArgs {
    /// What every verb takes.
    #[command(flatten)]
    pub verb: VerbArgs,
    /// The revision to put back, out of `serin history`; by default the last one before stable
    #[arg(long)]
    pub to: Option<String>,
}

/// A name alone.
#[derive(Debug, ClapArgs)]
pub struct NameArgs {
    /// Name of the Canary, or of its target
    pub name: String,
}

/// A name, and how to tell of it.
#[derive(Debug, ClapArgs)]
pub struct TellArgs {
    /// Name of the Canary, or of its target
    pub name: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
}

/// `serin disarm`
#[derive(Debug, ClapArgs)]
pub struct DisarmArgs {
    /// Name of the Canary, or of its target
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub name: Option<String>,
    /// Every Canary of the cluster
    #[arg(long)]
    pub all: bool,
    /// Also while a canary or the controller runs
    #[arg(long)]
    pub force: bool,
    /// Wait so long, for instance 2m, until the controller has stopped: its lease is left alone for half a minute. Whatever is armed
    /// again after that is disarmed once more
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub wait_stopped: Option<Duration>,
    /// The Helm release, as NAMESPACE/NAME, whose removal this is a part of: what is said then names Helm's commands
    #[arg(long, hide = true)]
    pub helm_release: Option<String>,
    /// Namespace of the controller, whose lease tells whether it runs
    #[arg(long, env = "SERIN_LEASE_NAMESPACE", default_value = "serin-system")]
    pub lease_namespace: String,
}

/// `serin doctor`
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// Names of Canaries, or of their targets; by default all of the namespace
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    pub all_namespaces: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Report,
    /// Namespace of the controller
    #[arg(long, env = "SERIN_LEASE_NAMESPACE", default_value = "serin-system")]
    pub lease_namespace: String,
}

/// Form of what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// Lines for people
    #[default]
    Table,
    /// One JSON object
    Json,
    /// The same as YAML
    Yaml,
}

/// `serin completion`
#[derive(Debug, ClapArgs)]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}
