//! What a person types: arguments as they are typed, then what they mean, then one file for each group of verbs.

pub mod age;
pub mod api;
pub mod args;
pub mod connect;
pub mod controller;
pub mod demo;
pub mod diagnose;
pub mod disarm;
pub mod doctor;
pub mod embedded;
pub mod evaluate;
pub mod exit;
pub mod find;
pub mod get;
pub mod history;
pub mod lint;
pub mod live;
pub mod migrate;
pub mod request;
pub mod screen;
pub mod serving;
pub mod simulate;
pub mod status;
mod stopped;
pub mod table;
pub mod text;
pub mod tls;
pub mod tree;
pub mod undo;
pub mod verb;
pub mod verdict;
pub mod wait;
pub mod webhook;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches};

use crate::cli::args::{Args, Command, CompletionArgs};
use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::crd::definition;

/// Does what the command line says.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let args = match parse(&argv) {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    match start(args, &called(&argv)) {
        Ok(exit) => exit.into(),
        Err(error) => exit::failed(&error),
    }
}

/// The command line, under the name by which it was called.
fn command(argv: &[OsString]) -> clap::Command {
    let command = Args::command();
    if called(argv) == "kubectl-serin" {
        command.bin_name("kubectl serin")
    } else {
        command
    }
}

fn parse(argv: &[OsString]) -> Result<Args, clap::Error> {
    let matches = command(argv).try_get_matches_from(argv)?;
    Args::from_arg_matches(&matches)
}

/// The name of the program without its folder: `serin` or `kubectl-serin`.
fn called(argv: &[OsString]) -> String {
    let name = argv.first().and_then(|path| Path::new(path).file_stem());
    name.map_or_else(
        || "serin".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn start(args: Args, called: &str) -> Result<Exit> {
    let namespace = args.cluster.namespace.as_deref();
    match &args.command {
        Command::Simulate(flags) => return simulate::run(flags, namespace),
        Command::Evaluate(flags) => return evaluate::run(flags, namespace),
        Command::Lint(flags) => return lint::run(flags, namespace),
        Command::Migrate(flags) => return migrate::run(flags, namespace),
        _ => {}
    }
    // The provider of cryptography can be set once; a second call finds the same one there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let result = runtime.block_on(dispatch(args, called));
    runtime.shutdown_background();
    result
}

async fn dispatch(args: Args, called: &str) -> Result<Exit> {
    match args.command {
        Command::Controller(flags) => {
            controller::run(&flags, args.cluster.namespace).await?;
            Ok(Exit::Done)
        }
        Command::Demo(args) => demo::run(&args).await,
        Command::Crd => screen::say(&definition::yaml()),
        Command::Completion(shell) => screen::say(&completion(&shell, called)),
        Command::Version => screen::say(concat!("serin ", env!("CARGO_PKG_VERSION"), "\n")),
        command => in_cluster(command, &Session::open(&args.cluster).await?).await,
    }
}

async fn in_cluster(command: Command, session: &Session) -> Result<Exit> {
    match command {
        Command::Get(args) => get::run(session, &args).await,
        Command::Status(args) => status::run(session, &args).await,
        Command::Wait(args) => wait::run(session, &args).await,
        Command::Undo(args) => undo::run(session, &args.name).await,
        Command::Disarm(args) => disarm::run(session, &args).await,
        Command::History(args) => history::run(session, &args).await,
        Command::Doctor(args) => doctor::run(session, &args).await,
        Command::Diagnose(args) => diagnose::run(session, &args).await,
        verb => verb::run(session, verb).await,
    }
}

fn completion(args: &CompletionArgs, called: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), called, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests;
