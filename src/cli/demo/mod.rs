//! `serin demo`: the real controller on the embedded cluster, with applications that ship good and bad versions, in one process.

pub mod applications;
pub mod doors;
pub mod page;
pub mod schedule;
pub mod show;
pub mod stage;
pub mod wishes;
pub mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args as ClapArgs;
use jiff::SignedDuration;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::controller::told;
use crate::cli::demo::applications::{ALL, HOME};
use crate::cli::demo::doors::{Door, Kubeconfig, kubeconfig};
use crate::cli::demo::page::Introduction;
use crate::cli::demo::schedule::Habits;
use crate::cli::demo::show::{Over, Told};
use crate::cli::demo::stage::Stage;
use crate::cli::embedded;
use crate::cli::exit::Exit;
use crate::cli::screen::{self, Palette};
use crate::clock::Clock;
use crate::server;
use crate::sim::listen::{self, People};
use crate::sim::tokens::Token;
use crate::sim::traffic::ledger::Counts;
use crate::telemetry::log::{self, LogFormat};

/// The usual port of web page, API, probes and metrics.
const PORT: u16 = 8080;
/// The usual port of the Kubernetes API, that of `kubectl proxy`.
const API_PORT: u16 = 8001;
/// How long readers are waited for at the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long `--once` leaves an approval to people.
const SHORT_PATIENCE: SignedDuration = SignedDuration::from_secs(5);

/// Flags of `serin demo`.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(
    after_long_help = "The demo needs no cluster and touches none. Its Kubernetes lives in this process, listens on 127.0.0.1 alone, \
        and ends with Ctrl-C. Seven applications ship new versions by themselves: good ones, and some that fail requests, are slow, \
        or do not start. To ship one yourself, set the kubeconfig that the demo prints, and\n\n    \
        kubectl set image deployment/storefront app=storefront:9.0.0-errors5"
)]
pub struct DemoArgs {
    /// Port of the web page, API, metrics and probes; 0: any free one [default: 8080, or another one if that is taken]
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the Kubernetes API; 0: any free one [default: 8001, or another one if that is taken]
    #[arg(long)]
    pub api_port: Option<u16>,
    /// Where the kubeconfig is written; it goes when the demo ends [default: a file among the temporary ones]
    #[arg(long, value_name = "PATH")]
    pub kubeconfig_out: Option<PathBuf>,
    /// Chance of the users: how their requests fall
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// End when the first release of every application has ended: exit 0 if each came to the end that it was to have, else 1
    #[arg(long)]
    pub once: bool,
    /// Ship nothing by itself
    #[arg(long, conflicts_with = "once")]
    pub no_releases: bool,
    /// Show the controller's log of this level on standard error: error, warn, info, debug, trace, or directives
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

impl DemoArgs {
    fn habits(&self) -> Habits {
        let usual = Habits::default();
        Habits {
            ships: !self.no_releases,
            once: self.once,
            patience: if self.once {
                SHORT_PATIENCE
            } else {
                usual.patience
            },
            ..usual
        }
    }
}

/// Plays until it is told to stop or, once, until all has happened.
pub(super) async fn run(args: &DemoArgs) -> Result<Exit> {
    if let Some(level) = &args.log {
        log::start(LogFormat::Text, level)?;
    }
    let keys = wishes::somebody_types();
    let wishes = wishes::hear(keys)?;
    let reads = Door::open(args.port, PORT, "--port").await?;
    let api = Door::open(args.api_port, API_PORT, "--api-port").await?;
    let token = token();
    let text = kubeconfig(api.address, &token, HOME);
    let file = Kubeconfig::write(args.kubeconfig_out.as_deref(), &text)?;
    let moved = [&reads, &api].into_iter();
    let moved = moved.filter_map(|door| Some((door.taken?, door.address.port())));
    let palette = Palette::of_stdout();
    let introduction = Introduction {
        reads: reads.address,
        token: &token,
        moved: moved.collect(),
        kubeconfig: file.path(),
        program: &program(),
        ships: !args.no_releases,
        keys,
    };
    let introduction = introduction.text(palette);
    let stage = Stage::set(Clock::System, args.seed)?;
    let served = serve(&stage, (reads, api), token);
    // What is told to be tried works from then on.
    stage.settled().await;
    screen::write(&introduction)?;
    let mut hear = |told: &Told| Ok(screen::write(&page::line(told, palette))?);
    let ended = show::play(&stage, args.habits(), wishes, &mut hear).await;
    let users = users(&stage);
    served.end().await;
    stage.end().await;
    drop(file);
    let ended = ended?;
    screen::write(&page::goodbye(&ended, users, palette))?;
    Ok(match ended.over {
        Over::Complete => Exit::Done,
        // Before all has happened.
        Over::Asked if args.once => Exit::Failed,
        Over::Asked => Exit::Done,
        Over::Wrong(_) => Exit::Failed,
    })
}

/// What became of the requests of all users.
fn users(stage: &Stage) -> Counts {
    let mut sum = Counts::default();
    for application in &ALL {
        sum += stage.counts(application, None);
    }
    sum
}

/// What serves the two ports.
struct Served {
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

fn serve(stage: &Stage, doors: (Door, Door), token: String) -> Served {
    let (stop, stopped) = watch::channel(false);
    let name = std::env::var("USER").ok().filter(|name| !name.is_empty());
    let you = embedded::person(name.as_deref().unwrap_or("you"));
    stage.world.api.issue(&token, Token::of(you.clone()));
    let people = People {
        tokens: [(token, you.clone())].into(),
        // kubectl sends no token where nothing is encrypted.
        stranger: Some(you),
    };
    let app = server::app(stage.state.clone());
    let reads = server::listen::serve(doors.0.listener, app, told(stopped.clone()));
    let api = listen::serve(
        doors.1.listener,
        stage.world.api.clone(),
        people,
        told(stopped),
    );
    Served {
        stop,
        tasks: [tokio::spawn(reads), tokio::spawn(api)],
    }
}

impl Served {
    async fn end(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // Who reads slowly is cut off: this process ends.
            drop(tokio::time::timeout(FAREWELL, task).await);
        }
    }
}

/// What opens the door of the Kubernetes API to those who send it.
fn token() -> String {
    let mut bytes = [0_u8; 16];
    // Without randomness everybody on this machine can guess it, who can come in without it anyway.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How to call this program from here.
fn program() -> String {
    let called = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("serin"));
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| called.strip_prefix(here).map(Path::to_owned).ok());
    short.unwrap_or(called).display().to_string()
}
