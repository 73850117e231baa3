//! What the controller costs: the release build as a process of its own, against the embedded API server at a port of this machine.
//!
//! ```text
//! cargo build --release && cargo run --release --example bench -- --canaries 10000 --active 1000
//! ```
//!
//! It makes so many applications of one Pod, each with a Canary, starts the controller, waits until all are adopted, and measures an
//! idle half minute; ships a new version of some of them at once, follows them to the middle of their plan, aborts a part, and sees the
//! rest promoted; and starts the controller once more with everything there. The last thing printed is a table for the README.

mod cluster;
mod controller;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::cluster::{Cluster, Kept};
use crate::controller::Controller;
use crate::report::{Report, percentile};

/// Measure the controller on the embedded API server.
#[derive(Parser)]
struct Args {
    /// Canaries in all.
    #[arg(long, default_value_t = 1000)]
    canaries: usize,
    /// Of them so many get a new version.
    #[arg(long, default_value_t = 100)]
    active: usize,
    /// Of those so many are aborted at 10 %.
    #[arg(long, default_value_t = 50)]
    aborted: usize,
    /// Seconds of rest that are measured.
    #[arg(long, default_value_t = 30)]
    idle: u64,
}

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(1200);

async fn run(args: &Args) -> Result<Report> {
    ensure!(
        args.active <= args.canaries,
        "--active is at most --canaries"
    );
    ensure!(args.aborted <= args.active, "--aborted is at most --active");
    let mut report = Report::new(args.canaries, args.active);
    let cluster = Cluster::start(args.canaries, args.active).await?;
    cluster
        .wait("every Pod is ready", PATIENCE, Cluster::is_up)
        .await?;
    let mut controller = Controller::start(&cluster.places()).await?;
    let began = cluster.now();
    cluster
        .wait("every Canary is adopted", PATIENCE, |it| {
            it.phase("Initialized") >= args.canaries
        })
        .await?;
    report.row(
        "adopting all of them",
        format!("{:.0} s", cluster.seconds_since(began)),
    );

    idle(args, &cluster, &controller, &mut report).await?;
    active(args, &cluster, &controller, &mut report).await?;
    controller.stop().await;
    let controller = Controller::start(&cluster.places()).await?;
    report.row(
        "start to ready with all of them",
        format!("{:.2} s", controller.started_in.as_secs_f64()),
    );
    Ok(report)
}

async fn idle(
    args: &Args,
    cluster: &Cluster,
    controller: &Controller,
    report: &mut Report,
) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (cpu, kept) = (controller.cpu()?, cluster.kept());
    tokio::time::sleep(Duration::from_secs(args.idle)).await;
    let Kept { writes, questions } = cluster.kept().since(&kept);
    let load = (controller.cpu()? - cpu).as_secs_f64() / (args.idle as f64) * 1000.0;
    report.row(
        "idle: resident memory",
        format!("{:.0} MiB", controller.memory()?),
    );
    report.row("idle: processor", format!("{load:.1} millicores"));
    report.row(
        "idle: writes, metric requests",
        format!("{writes}, {questions}"),
    );
    Ok(())
}

async fn active(
    args: &Args,
    cluster: &Cluster,
    controller: &Controller,
    report: &mut Report,
) -> Result<()> {
    let (cpu, kept, began) = (controller.cpu()?, cluster.kept(), cluster.now());
    cluster.ship(args.active)?;
    cluster
        .wait("all stand at 10 %", PATIENCE, |it| {
            it.at_weight(10) >= args.active
        })
        .await?;
    let reactions = cluster.abort(args.aborted, PATIENCE).await?;
    report.row(
        "abort to weight 0 written",
        format!(
            "p50 {:.0} ms, p99 {:.0} ms",
            percentile(&reactions, 50),
            percentile(&reactions, 99)
        ),
    );
    let promoted = args.active - args.aborted;
    cluster
        .wait("the others are promoted", PATIENCE, |it| {
            it.phase("Succeeded") >= promoted
        })
        .await?;
    let took = cluster.seconds_since(began);
    let Kept { writes, questions } = cluster.kept().since(&kept);
    let load = (controller.cpu()? - cpu).as_secs_f64() / took * 1000.0;
    let each = |count: u64| count as f64 / args.active as f64;
    report.row("all steps, promoted or aborted", format!("{took:.0} s"));
    report.row("active: processor", format!("{load:.0} millicores"));
    report.row(
        "active: resident memory",
        format!("{:.0} MiB", controller.memory()?),
    );
    report.row("writes of a whole release", format!("{:.1}", each(writes)));
    report.row(
        "metric requests of a whole release",
        format!("{:.1}", each(questions)),
    );
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(report) => {
            report.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            report::say(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
