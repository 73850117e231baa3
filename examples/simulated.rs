//! A cluster without machines: an API server at a port of this machine, with the controllers, nodes, Pods and gateway that
//! Serin's tests run in virtual time, here in real time. kubectl works with it; no container runs, and Serin itself is not there.
//!
//! ```text
//! cargo run --example simulated -- --kubeconfig FILE
//! kubectl --kubeconfig FILE get nodes
//! ```
//!
//! The CRDs of Serin, its policies and its roles are installed, and there is a Gateway `default/gw`. One line says that it
//! is ready; SIGTERM or SIGINT ends it.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use serin::cli::embedded;
use serin::clock::Clock;
use serin::sim::api::Who;
use serin::sim::listen::{self, People};
use serin::sim::world::{self, World};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A cluster without machines, for kubectl.
#[derive(Parser)]
struct Args {
    /// Port of 127.0.0.1; 0 takes one that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where a kubeconfig is written that has all rights.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Install neither CRDs nor policies nor roles of Serin.
    #[arg(long)]
    bare: bool,
    /// What draws the letters of names, and the like.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// The token in the kubeconfig. It opens nothing but this process, which only this machine reaches.
const TOKEN: &str = "admin";

fn world(args: &Args) -> Result<World> {
    let world = World::new(Clock::System, args.seed);
    world.add_roles();
    if args.bare {
        world.add_gateway();
        return Ok(world);
    }
    embedded::install(&world).map_err(|refusal| anyhow!("install: {}", refusal.message))?;
    Ok(world)
}

/// The administrator, who also comes in without a token: kubectl sends none where there is no encryption.
fn people() -> People {
    let admin = Who {
        user: "kubernetes-admin".to_owned(),
        groups: ["system:masters", "system:authenticated"]
            .map(str::to_owned)
            .to_vec(),
        manager: String::new(),
    };
    People {
        tokens: [(TOKEN.to_owned(), admin.clone())].into(),
        stranger: Some(admin),
    }
}

async fn run(args: &Args) -> Result<()> {
    let mut ends = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ];
    let world = world(args)?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)))
        .await
        .context("listen")?;
    let address = listener.local_addr()?;
    let config = listen::kubeconfig(address, TOKEN, "simulated");
    std::fs::write(&args.kubeconfig, config)
        .with_context(|| format!("write {}", args.kubeconfig.display()))?;
    let life = tokio::spawn(world::live(world.api.clone(), world.actors()));
    writeln!(
        std::io::stdout(),
        "ready at http://{address}: KUBECONFIG={}",
        args.kubeconfig.display()
    )?;
    let [terminate, interrupt] = &mut ends;
    listen::serve(
        listener,
        world.api.clone(),
        people(),
        either(terminate, interrupt),
    )
    .await;
    life.abort();
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody else hears of it when there is no standard error.
            drop(writeln!(std::io::stderr(), "simulated: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
