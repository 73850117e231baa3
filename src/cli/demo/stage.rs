//! The embedded cluster with the applications in it and the controller at work, without any socket.

use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::api::{self, Doors};
use crate::cli::controller::{follow, told};
use crate::cli::demo::applications::{ALL, Application, HOME};
use crate::cli::embedded;
use crate::clock::Clock;
use crate::http_client::Http;
use crate::server;
use crate::server::health::Health;
use crate::sim::prometheus::{self, Prometheus, Scraping};
use crate::sim::refusal::Refusal;
use crate::sim::traffic::ledger::Counts;
use crate::sim::traffic::rate::Rate;
use crate::sim::world::{self, World};
use crate::telemetry::Telemetry;

/// How long the controller may take to end what it is doing.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often it is looked whether all is there.
const GLANCE: Duration = Duration::from_millis(10);

/// Writes that watches may be behind: some minutes.
const EVENTS: usize = 1000;

/// Users come so long after there is a way for them: what is counted next began a moment before there was one.
const ARRIVAL: Duration = Duration::from_secs(1);

/// Everything that runs.
pub struct Stage {
    /// The cluster.
    pub world: World,
    /// The time.
    pub clock: Clock,
    /// What the HTTP server answers from.
    pub state: server::State,
    stop: watch::Sender<bool>,
    life: JoinHandle<()>,
    syncing: JoinHandle<()>,
    recording: JoinHandle<()>,
    controller: JoinHandle<()>,
}

impl Stage {
    /// Sets the stage; from here on everything moves. Everybody may read what the HTTP server answers.
    ///
    /// # Errors
    /// When a manifest of this build is refused, or a client cannot be made.
    pub fn set(clock: Clock, seed: u64) -> Result<Self> {
        let doors = Doors {
            anonymous_reads: true,
            ..Doors::default()
        };
        Self::behind(doors, clock, seed)
    }

    /// The same with other doors of the HTTP server.
    ///
    /// # Errors
    /// As for [`Stage::set`].
    pub fn behind(doors: Doors, clock: Clock, seed: u64) -> Result<Self> {
        let world = world(clock, seed).map_err(|refusal| anyhow!("{}", refusal.message))?;
        let life = tokio::spawn(world::live(world.api.clone(), world.actors()));
        let http = Http::service(prometheus::router(world.prometheus.clone()));
        let settings = embedded::settings(clock, "demo");
        let telemetry = Telemetry::new(&settings.defaults.provider);
        let api = world.api.clone();
        let connect = move || Ok(world::client(&api, &embedded::account()));
        let controller = embedded::measured(connect, http, telemetry.clone(), settings);
        let controller = controller.context("set up the controller")?;
        let unsynced = controller.unsynced();
        let health = Health::waiting_for(&unsynced());
        let seen = (health.clone(), telemetry);
        let state = api::state(&controller, seen, clock, doors);
        let recording = state.recorder.clone().follow(controller.changes());
        let (stop, stopped) = watch::channel(false);
        Ok(Self {
            world,
            clock,
            state,
            stop,
            life,
            syncing: tokio::spawn(follow(health, unsynced)),
            recording: tokio::spawn(recording),
            controller: tokio::spawn(controller.run(told(stopped))),
        })
    }

    /// A client of somebody with all rights.
    #[must_use]
    pub fn client(&self, person: &str) -> Client {
        world::client(&self.world.api, &embedded::person(person))
    }

    /// Waits until what is there can be read, or it has gone wrong.
    pub async fn settled(&self) {
        while self.works() && !self.state.health.missing().is_empty() {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Cluster and controller go on.
    #[must_use]
    pub fn works(&self) -> bool {
        !self.life.is_finished() && !self.controller.is_finished()
    }

    /// Users of an application come, or go on as they do.
    pub fn open(&self, application: &Application) {
        let Some((_, rate)) = application.traffic() else {
            return;
        };
        let mut traffic = self.traffic();
        let place = application.place();
        let came = traffic
            .ledger(&place)
            .is_some_and(|ledger| ledger.total() != Counts::default());
        if !came {
            traffic.send(&place, Rate::Steps(vec![(ARRIVAL, rate)]));
        }
    }

    /// What became of the requests of an application, of one version or of all.
    #[must_use]
    pub fn counts(&self, application: &Application, version: Option<&str>) -> Counts {
        let traffic = self.traffic();
        let ledger = traffic.ledger(&application.place());
        ledger.map_or_else(Counts::default, |ledger| match version {
            Some(version) => ledger.counts(version),
            None => ledger.total(),
        })
    }

    fn traffic(&self) -> std::sync::MutexGuard<'_, crate::sim::traffic::Traffic> {
        let traffic = &self.world.traffic;
        traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything comes to rest.
    pub async fn end(self) {
        self.stop.send_replace(true);
        self.syncing.abort();
        self.recording.abort();
        // What hangs is cut off: nothing outlives this process.
        drop(tokio::time::timeout(FAREWELL, self.controller).await);
        self.life.abort();
    }
}

/// The cluster with Serin and the applications installed.
fn world(clock: Clock, seed: u64) -> Result<World, Refusal> {
    let mut world = World::new(clock, seed);
    // Intervals are short here, so samples have to be frequent.
    let scraping = Scraping {
        interval: Duration::from_secs(1),
        retention: Duration::from_secs(300),
        ..Scraping::default()
    };
    *world
        .prometheus
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Prometheus::new(scraping, clock.now());
    embedded::install(&world)?;
    world.api.add_namespace(HOME);
    for application in &ALL {
        world.apply(application.manifest)?;
        if let Some((destination, _)) = application.traffic() {
            // They come when there is a way for them.
            world.send(&application.place(), destination, Rate::Quiet);
        }
    }
    // A demo may run for days.
    world.api.remember(EVENTS);
    let mut traffic = world.traffic.lock().unwrap_or_else(PoisonError::into_inner);
    traffic.remember(1);
    drop(traffic);
    Ok(world)
}
