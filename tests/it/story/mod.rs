//! A release in virtual time: the embedded cluster, an application, a Canary, and the real controller, which may crash.

pub(crate) mod chaos;
pub(crate) mod crash;
pub(crate) mod door;
pub(crate) mod google;
pub(crate) mod hooks;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod objects;
pub(crate) mod oracle;
mod scene;
pub(crate) mod setting;
pub(crate) mod tale;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use serin::cli::embedded;
use serin::clock::{self, Clock};
use serin::http_client::Http;
use serin::sim::api::{Api, Part};
use serin::sim::prometheus;
use serin::sim::store::Key;
use serin::sim::traffic::Name;
use serin::sim::traffic::rate::Rate;
use serin::sim::world::{self, World};
use tokio::task::JoinHandle;

use crate::story::crash::Crash;
use crate::story::door::Door;
use crate::story::google::Google;
use crate::story::hooks::Hooks;
use crate::story::metrics::Moods;
use crate::story::scene::Scene;
use crate::story::setting::Setting;

/// The cluster of one test.
pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) setting: Setting,
    /// How Prometheus answers.
    pub(crate) metrics: Moods,
    /// Who is called by hooks.
    pub(crate) hooks: Hooks,
    /// A store that lends tokens.
    pub(crate) google: Google,
    /// The time.
    time: Clock,
    /// What controllers that start from now on take for it.
    clock: Clock,
    http: Http,
    life: JoinHandle<()>,
    controllers: Vec<JoinHandle<()>>,
    /// What there was before the first write of this test.
    pub(crate) begin: u64,
}

/// A release that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(1800);

impl Story {
    /// An application, its users, and its Canary.
    pub(crate) fn new(seed: u64, setting: Setting) -> Self {
        let clock = Clock::simulated();
        let mut world = World::on(embedded::installed().unwrap().copy(clock), seed);
        world.proxies = setting.proxies;
        let begin = world.api.revision();
        world.api.add_namespace(objects::HOME);
        let application = Name::new(objects::HOME, objects::APP);
        let rate = Rate::Steps(vec![(Duration::from_secs(30), setting.rate)]);
        world.send(&application, setting.destination.clone(), rate);
        for (users, way, rate) in &setting.others {
            world.send(users, way.clone(), rate.clone());
        }
        for object in setting.objects() {
            world.put(object).unwrap();
        }
        let life = tokio::spawn(world::live(world.api.clone(), world.actors()));
        let metrics = Moods::new();
        let hooks = Hooks::default();
        let google = Google::default();
        let outside = hooks.on(prometheus::router(world.prometheus.clone()));
        let outside = google.on(outside);
        let http = Http::service(metrics.on(outside, clock));
        Self {
            world,
            setting,
            metrics,
            hooks,
            google,
            time: clock,
            clock,
            http,
            life,
            controllers: Vec::new(),
            begin,
        }
    }

    /// The same, adopted by a controller, and with some minutes of traffic behind it.
    pub(crate) async fn adopted(seed: u64, setting: Setting) -> Self {
        let mut story = Self::new(seed, setting);
        story.start(None, Duration::ZERO);
        story.becomes("Initialized").await;
        story.quiet(Duration::from_secs(120)).await;
        story
    }

    /// Somebody changes the image.
    pub(crate) fn ship(&self, tag: &str) {
        let image = format!("app:{tag}");
        self.edit(&objects::target(), move |target| {
            target["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        });
    }

    /// Somebody changes an object, which is there.
    #[track_caller]
    pub(crate) fn edit(&self, key: &Key, change: impl FnOnce(&mut Value)) {
        let who = embedded::person("alice");
        self.world
            .api
            .update(&who, key, Part::Main, change)
            .unwrap_or_else(|refusal| panic!("{key:?}: {refusal:?}"));
    }

    /// Somebody asks for a verb.
    #[track_caller]
    pub(crate) fn request(&self, verb: &str) {
        self.edit(&objects::canary_key(), |canary| {
            canary["metadata"]["annotations"]["serin.dev/request"] = json!(verb);
        });
    }

    /// Somebody deletes an object, which is there.
    #[track_caller]
    pub(crate) fn delete(&self, key: &Key) {
        let who = embedded::person("alice");
        self.world
            .api
            .delete(&who, key)
            .unwrap_or_else(|refusal| panic!("{key:?}: {refusal:?}"));
    }

    /// Waits for a phase.
    #[track_caller]
    pub(crate) fn becomes(&self, phase: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let there = |_: &Api| self.phase() == phase;
            if !self.until(there, LONGEST).await {
                panic!(
                    "{caller}: it never became {phase}: {:#}",
                    self.canary()["status"]
                );
            }
        }
    }

    /// Lets time pass.
    pub(crate) async fn quiet(&self, time: Duration) {
        self.until(|_| false, time).await;
    }

    /// Requests that found nobody, of those that were sent; there were some.
    pub(crate) fn lost(&self) -> u64 {
        let traffic = self.world.traffic.lock().unwrap();
        let name = Name::new(objects::HOME, objects::APP);
        let sent = traffic.ledger(&name).unwrap().total();
        assert!(self.setting.rate == 0.0 || sent.answered > 1000, "{sent:?}");
        traffic.lost()
    }

    /// Starts the controller. If it is to crash, another one follows it, whose watches lag by so long.
    pub(crate) fn start(&mut self, crash: Option<Arc<Crash>>, lag: Duration) {
        let scene = self.scene();
        self.controllers.push(tokio::spawn(scene.play(crash, lag)));
    }

    /// Starts the only controller on this way to the API server.
    pub(crate) fn walk(&mut self, door: &Arc<Door>) {
        let controller = self.scene().on(door.clone());
        self.controllers.push(tokio::spawn(controller));
    }

    /// Controllers that start from now on have a clock that is wrong by so many seconds, goes so fast, and is set right after a while.
    pub(crate) fn set_clock(&mut self, ahead: i64, percent: i32, corrected_after: Duration) {
        let Clock::Simulated(begin) = self.time else {
            return;
        };
        self.clock = Clock::Wrong(clock::Fault {
            begin,
            since: tokio::time::Instant::now(),
            ahead: jiff::SignedDuration::from_secs(ahead),
            percent,
            corrected_after,
        });
    }

    /// Controllers that start from now on have the right time.
    pub(crate) fn correct_clock(&mut self) {
        self.clock = self.time;
    }

    /// The controllers die.
    pub(crate) fn kill(&mut self) {
        for controller in self.controllers.drain(..) {
            controller.abort();
        }
    }

    /// Starts a controller on this way to the API server, as a candidate for the lease.
    pub(crate) fn stand(&mut self, name: &str, door: &Arc<Door>) {
        let controller = self.scene().elected(name, door.clone());
        self.controllers.push(tokio::spawn(controller));
    }

    fn scene(&self) -> Scene {
        Scene {
            api: self.world.api.clone(),
            http: self.http.clone(),
            clock: self.clock,
        }
    }

    /// Lets time pass until `done`, at most so long.
    pub(crate) async fn until(&self, done: impl Fn(&Api) -> bool, most: Duration) -> bool {
        let mut changed = self.world.api.subscribe();
        let end = tokio::time::Instant::now() + most;
        loop {
            changed.mark_unchanged();
            if done(&self.world.api) {
                return true;
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(end) => return done(&self.world.api),
            }
        }
    }

    /// Whether the canary workload is there.
    pub(crate) fn has_canary(&self) -> bool {
        self.world.api.get(&objects::clone_key()).is_some()
    }

    pub(crate) fn canary(&self) -> Value {
        self.world
            .api
            .get(&objects::canary_key())
            .map(|it| Value::clone(&it))
            .unwrap_or_default()
    }

    pub(crate) fn phase(&self) -> String {
        self.canary()["status"]["phase"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.life.abort();
        self.kill();
    }
}
