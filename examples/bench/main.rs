//! What the controller costs: the release build as a process of its own, against the embedded API server at a port of this machine.
//!
//! ```text
//! cargo build --release && cargo run --release --example bench -- --canaries 10000 --active 1000
//! ```
//!
//! It makes so many applications of one Pod, each with a Canary, starts the controller, waits until all are adopted, and measures an
//! idle half minute, and how soon 200 readers of events hear of a change; ships a new version of some of them at once, of which a part
//! is bad, aborts another part at the first weight, and sees the rest promoted; and starts the controller once more with everything
//! there. The last thing printed is a table for the README.

mod cluster;
mod controller;
mod readers;
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
    /// Of those so many get a version of which half the replies are errors.
    #[arg(long, default_value_t = 20)]
    bad: usize,
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
    ensure!(
        args.aborted + args.bad <= args.active,
        "--aborted and --bad together are at most --active"
    );
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
    readers::measure(&cluster, &controller, &mut report).await?;
    active(args, &cluster, &controller, &mut report).await?;
    controller.stop().await;
    let controller = Controller::start(&cluster.places()).await?;
    report.row(
        "start to ready with all of them",
        format!("{:.2} s", controller.started_in.as_secs_f64()),
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let memory = controller.memory()?.to_string();
    report.row("started anew, idle: resident memory", memory);
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
    report.row("idle: resident memory", controller.memory()?.to_string());
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
    let reads = controller.reads().await?;
    let good = args.active - args.bad;
    let bad = good..args.active;
    cluster.ship(0..good, "app:2.0.0")?;
    cluster.ship(bad.clone(), "app:2.0.0-errors50")?;
    let reached = |it: &Cluster| it.at_weight(10) + it.phase("Failed") >= args.active;
    cluster.wait("all stand at 10 %", PATIENCE, reached).await?;
    let aborts = cluster.abort(args.aborted, PATIENCE).await?;
    report.row("abort to weight 0 written", percentiles(&aborts));
    let ended = |it: &Cluster| {
        it.phase("Succeeded") >= good - args.aborted
            && it.phase("Failed") >= args.aborted + args.bad
    };
    cluster
        .wait(
            "the good ones are promoted, and the others rejected",
            PATIENCE,
            ended,
        )
        .await?;
    let took = cluster.seconds_since(began);
    let Kept { writes, questions } = cluster.kept().since(&kept);
    let reads = controller.reads().await? - reads;
    let load = (controller.cpu()? - cpu).as_secs_f64() / took * 1000.0;
    let each = |count: u64| count as f64 / args.active as f64;
    report.row(
        "half the replies are errors: first share to weight 0 written",
        percentiles(&cluster.exposures(bad)),
    );
    report.row("all steps, promoted or rejected", format!("{took:.0} s"));
    report.row(
        "active: processor, resident memory",
        format!("{load:.0} millicores, {}", controller.memory()?),
    );
    report.row(
        "writes, reads of a whole release",
        format!("{:.1}, {:.1}", each(writes), each(reads)),
    );
    report.row(
        "metric requests a minute",
        format!("{:.0}", questions as f64 / took * 60.0),
    );
    Ok(())
}

fn percentiles(times: &[Duration]) -> String {
    let [p50, p99] = [50, 99].map(|percent| percentile(times, percent));
    format!("p50 {p50:.0} ms, p99 {p99:.0} ms")
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
