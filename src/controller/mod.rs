//! The shell: one Canary, one tick. It reads, lets the core decide, and performs; it decides nothing itself.

mod act;
mod alerts;
mod ask;
mod change;
mod counting;
mod fresh;
mod hooks;
pub mod lease;
pub(crate) mod observe;
mod outside;
mod queue;
mod record;
mod secrets;
mod sweep;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::Api;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use crate::clock::Clock;
use crate::cluster::{Changed, Cluster, Place, Shelves, Watches};
use crate::controller::act::ActError;
use crate::controller::alerts::Alerts;
use crate::controller::counting::Counting;
use crate::controller::fresh::Fresh;
use crate::controller::hooks::Hooks;
use crate::controller::lease::{Election, Leadership};
use crate::controller::observe::View;
use crate::controller::outside::{Caller, Outside};
use crate::controller::queue::Queue;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::http_client::Http;
use crate::objects::Kind;
use crate::rollout::decision::{Decision, Step};
use crate::rollout::observed::{Answer, Check};
use crate::telemetry::Telemetry;

/// Answers that are kept for one Canary.
const MEMO: usize = 64;

/// Rounds of questions in one tick; more would be a loop.
const QUESTIONS: usize = 8;

/// How often the shelves are looked through for gates without a Canary. Nothing is asked unless there is one.
const SWEEP: Duration = Duration::from_secs(10);

/// A view older than our own last write is looked at again after so long.
const LAG: Duration = Duration::from_millis(100);

/// Gives the Canaries as they are now, of one namespace or of all.
pub type Snapshot = Arc<dyn Fn(Option<&str>) -> Vec<Arc<Canary>> + Send + Sync>;

/// How the controller is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Watch this namespace alone; all if not set.
    pub namespace: Option<String>,
    /// What holds where a Canary says nothing.
    pub defaults: Defaults,
    /// Canaries that are ticked at the same time.
    pub concurrency: usize,
    /// Take part in the election; else lead at once, as the only one.
    pub elect: bool,
    /// Namespace of the Lease.
    pub lease_namespace: String,
    /// Name of this replica.
    pub identity: String,
    /// Where the time comes from.
    pub clock: Clock,
}

/// What holds where a Canary says nothing.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// `spec.provider`.
    pub provider: String,
    /// `spec.metricsServer`.
    pub metrics_server: Option<String>,
}

pub(crate) type Memo = BTreeMap<Check, Answer>;

/// What every tick may use.
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) caller: Caller,
    pub(crate) counting: Counting,
    pub(crate) defaults: Defaults,
    pub(crate) leadership: Leadership,
    pub(crate) telemetry: Telemetry,
    pub(crate) clock: Clock,
    pub(crate) hooks: Hooks,
    pub(crate) alerts: Alerts,
    pub(crate) tokens: tokens::Tokens,
    shelves: Arc<Shelves>,
    queue: Arc<Queue>,
    /// Kinds of routes that have to be watched from now on.
    wanted: mpsc::UnboundedSender<Kind>,
    /// What is remembered of each Canary between ticks; losing it costs time, never safety.
    notebooks: Mutex<BTreeMap<Place, Arc<tokio::sync::Mutex<Notebook>>>>,
}

#[derive(Debug, Default)]
struct Notebook {
    uid: String,
    fresh: Fresh,
    memo: Memo,
    failures: u32,
}

/// A controller that is set up, and what of it others may look at.
pub struct Controller {
    context: Arc<Context>,
    settings: Settings,
    changes: mpsc::UnboundedReceiver<Changed>,
    watches: Watches,
    wanted: mpsc::UnboundedReceiver<Kind>,
}

impl Controller {
    /// Sets a controller up; nothing runs yet.
    #[must_use]
    pub fn new(cluster: Cluster, http: Http, telemetry: Telemetry, settings: Settings) -> Self {
        let heard = telemetry.clone();
        let hear = move |verb: &str, resource: &str, code| heard.api_request(verb, resource, code);
        let cluster = cluster.telling(Arc::new(hear));
        let shelves = Arc::new(Shelves::default());
        // Unbounded: a change that is not told would be lost; each is a few words, and the receiver only files them.
        let (sender, changes) = mpsc::unbounded_channel();
        let watches = Watches::new(
            cluster.client(),
            settings.namespace.clone(),
            shelves.clone(),
            sender,
        );
        let (want, wanted) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::default());
        let clock = settings.clock;
        let outside = Outside {
            cluster: cluster.clone(),
            http: http.clone(),
            telemetry: telemetry.clone(),
            queue: queue.clone(),
        };
        let caller = Caller {
            http,
            telemetry: telemetry.clone(),
            clock,
        };
        let hooks = Hooks::new(outside.clone(), clock);
        let alerts = Alerts::new(outside);
        let context = Context {
            cluster,
            hooks,
            alerts,
            tokens: tokens::Tokens::default(),
            counting: Counting::new(caller.clone()),
            caller,
            defaults: settings.defaults.clone(),
            leadership: Leadership::default(),
            telemetry,
            clock,
            shelves,
            queue,
            wanted: want,
            notebooks: Mutex::default(),
        };
        Self {
            context: Arc::new(context),
            settings,
            changes,
            watches,
            wanted,
        }
    }

    /// A snapshot of the Canaries, of one namespace or of all.
    #[must_use]
    pub fn canaries(&self) -> Snapshot {
        let shelves = self.context.shelves.clone();
        Arc::new(move |namespace| observe::canaries(&shelves, namespace))
    }

    /// The door to Kubernetes, which counts what goes through it.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.context.cluster
    }

    /// Told whenever the Canaries have changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.context.shelves.canaries.changes()
    }

    /// What is not listed yet; empty once the controller can decide.
    #[must_use]
    pub fn unsynced(&self) -> Arc<dyn Fn() -> Vec<&'static str> + Send + Sync> {
        let shelves = self.context.shelves.clone();
        Arc::new(move || shelves.unsynced())
    }

    /// Runs until `shutdown` is done: then ticks that run come to their end, and the lease is given up.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        self.watches.spawn(&mut tasks);
        let lease: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(
            self.context.cluster.client(),
            &self.settings.lease_namespace,
        );
        if self.settings.elect {
            let election = Election::new(
                lease.clone(),
                self.settings.identity.clone(),
                self.context.leadership.clone(),
                self.settings.clock,
            );
            tasks.spawn(election.run());
        } else {
            self.context.leadership.alone();
        }
        let mut leads = self.context.leadership.subscribe();
        let mut waiting = self.context.counting.waiting();
        let mut watched = BTreeSet::from(Kind::ROUTES_ALWAYS);
        let mut ticks = JoinSet::new();
        let context = self.context.clone();
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        loop {
            let at_work = ticks.len().saturating_sub(*waiting.borrow_and_update());
            let free = at_work < self.settings.concurrency.max(1);
            tokio::select! {
                () = &mut shutdown => break,
                Some(change) = self.changes.recv() => change::file(&context, &change),
                Some(kind) = self.wanted.recv() => {
                    if watched.insert(kind) {
                        self.watches.route(&mut tasks, kind);
                    }
                }
                Ok(()) = waiting.changed(), if !free => {}
                Ok(()) = leads.changed() => change::lead(&context, *leads.borrow()),
                _ = sweeps.tick() => sweep::sweep(&context).await,
                Some(_) = ticks.join_next(), if !ticks.is_empty() => {}
                (place, late) = context.queue.next(), if free => {
                    ticks.spawn(tick(context.clone(), place, late));
                }
            }
        }
        while ticks.join_next().await.is_some() {}
        tasks.shutdown().await;
        if self.settings.elect
            && let Err(error) = Election::release(&lease, &self.settings.identity).await
        {
            warn!(%error, "the lease could not be given up; it ends by itself");
        }
        info!("stopped");
    }
}

/// One tick with everything around it: panics stay inside, errors back off.
async fn tick(context: Arc<Context>, place: Place, late: Duration) {
    let began = tokio::time::Instant::now();
    let notebook = context.notebook(&place);
    let mut notebook = notebook.lock().await;
    let outcome = AssertUnwindSafe(reconcile(&context, &place, &mut notebook))
        .catch_unwind()
        .await;
    let (result, again) = match outcome {
        Ok(Ok(again)) => {
            notebook.failures = 0;
            ("done", again)
        }
        Ok(Err(ActError::Stale(what))) => {
            debug!(
                canary.namespace = place.0,
                canary.name = place.1,
                what,
                "out of date; decides anew"
            );
            ("stale", Some(LAG))
        }
        Ok(Err(ActError::Deposed)) => ("deposed", Some(Duration::from_secs(1))),
        Ok(Err(error)) => {
            notebook.failures += 1;
            let wait = back_off(notebook.failures);
            warn!(
                canary.namespace = place.0,
                canary.name = place.1,
                error = ask::text(&error),
                ?wait,
                "a tick failed"
            );
            ("failed", Some(wait))
        }
        Err(_) => {
            error!(
                canary.namespace = place.0,
                canary.name = place.1,
                "a tick panicked"
            );
            ("panicked", Some(Duration::from_secs(30)))
        }
    };
    context
        .telemetry
        .reconciled(result, began.elapsed().as_secs_f64());
    if let Some(again) = again {
        context.queue.call(&place, again);
    }
    debug!(
        canary.namespace = place.0,
        canary.name = place.1,
        result,
        ?late,
        "ticked"
    );
    context.queue.done(&place);
}

/// From half a second, doubling, to 30 s: safety writes must not wait long for a server that was away.
fn back_off(failures: u32) -> Duration {
    Duration::from_millis(500 * 2u64.pow(failures.saturating_sub(1).min(6)))
        .min(Duration::from_secs(30))
}

async fn reconcile(
    context: &Context,
    place: &Place,
    notebook: &mut Notebook,
) -> Result<Option<Duration>, ActError> {
    let Some(canary) = context.shelves.canaries.get(&place.0, &place.1) else {
        context.forget(place);
        context.hooks.forget(&notebook.uid);
        context.alerts.forget(&notebook.uid);
        return Ok(None);
    };
    let canary = with_defaults(&canary, &context.defaults);
    // A standby decides nothing; when it leads, it looks at everything.
    let Some(epoch) = context.leadership.term() else {
        return Ok(None);
    };
    if !context.shelves.unsynced().is_empty() {
        return Ok(Some(LAG));
    }
    if notebook.uid != canary.identity() {
        *notebook = Notebook {
            uid: canary.identity(),
            ..Notebook::default()
        };
    }
    let written_in = canary.status.as_ref().and_then(|status| status.epoch);
    if let Some(later) = written_in.filter(|term| *term > epoch) {
        context.leadership.passed(later);
        return Err(ActError::Stale("a later leader has written".to_owned()));
    }
    if !context.wants(&canary) {
        return Ok(Some(LAG));
    }
    let mut view = observe::observe(&canary, &context.shelves, &context.defaults, epoch);
    if notebook.fresh.outdated(&canary) || notebook.fresh.ahead_of(&view.seen) {
        return Ok(Some(LAG));
    }
    let decision = decide(context, &canary, &mut view, notebook).await;
    let Some(decision) = decision else {
        return Ok(Some(Duration::from_secs(5)));
    };
    let written = act::act(context, &canary, &view, &decision, &mut notebook.fresh).await;
    // The status stands even if a later action failed: what it tells is told.
    if let Ok(canary) = &written {
        tell(context, canary, &decision).await;
    } else if !matches!(written, Err(ActError::Stale(_))) {
        tell(context, &canary, &decision).await;
    }
    record::ended(context, &canary, &decision.status);
    written.map(|_| decision.requeue)
}

/// The Canary with the provider that holds for it.
pub(crate) fn with_defaults(canary: &Canary, defaults: &Defaults) -> Canary {
    let mut canary = canary.clone();
    canary
        .spec
        .provider
        .get_or_insert_with(|| defaults.provider.clone());
    canary
}

/// Asks and answers until the core acts.
async fn decide(
    context: &Context,
    canary: &Canary,
    view: &mut View,
    notebook: &mut Notebook,
) -> Option<Decision> {
    let now = context.clock.now();
    while notebook.memo.len() > MEMO {
        notebook.memo.pop_first();
    }
    for _ in 0..QUESTIONS {
        match crate::rollout::advance(canary, &view.observed, now) {
            Step::Act(decision) => return Some(*decision),
            Step::Ask(checks) => {
                let answers = ask::answer(context, canary, view, &mut notebook.memo, checks).await;
                view.observed.answers.extend(answers);
            }
        }
    }
    error!(canary.name = canary.metadata.name, "the core keeps asking");
    None
}

async fn tell(context: &Context, canary: &Canary, decision: &Decision) {
    if decision.notes.is_empty() {
        return;
    }
    context.hooks.tell(canary, &decision.notes);
    for note in &decision.notes {
        info!(canary.namespace = %canary.home(), canary.name = canary.metadata.name, reason = note.reason, "{}", note.message);
        if note.reason == "RouteContested" {
            context
                .telemetry
                .route_reset(canary.provider(&context.defaults.provider));
        }
        if note.reason == "InvariantBreach" {
            context
                .telemetry
                .invariant_breach(note.message.split(':').next().unwrap_or_default());
        }
    }
    let now = context.clock.now();
    let key = format!("{:x}", now.as_microsecond());
    if let Err(error) = context
        .cluster
        .publish(canary, &decision.notes, &key, Moment::new(now))
        .await
    {
        warn!(error = ask::text(&error), "an Event could not be written");
    }
}

impl Context {
    fn notebook(&self, place: &Place) -> Arc<tokio::sync::Mutex<Notebook>> {
        let mut all = self
            .notebooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.entry(place.clone()).or_default().clone()
    }

    /// Whether it is known what there is of the kinds of routes that this Canary needs. Those that are not watched yet will be.
    fn wants(&self, canary: &Canary) -> bool {
        let unknown = self.shelves.routes.unknown(observe::routes(canary));
        for kind in &unknown {
            // The receiver is gone only when the controller ends.
            let _ = self.wanted.send(*kind);
        }
        unknown.is_empty()
    }

    fn forget(&self, place: &Place) {
        self.notebooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(place);
    }

    /// Gates that name no living Canary are taken off (GATE): copies, backups, Canaries that went without us.
    pub(crate) fn orphans(&self) -> Vec<crate::objects::ObjectKey> {
        let living: BTreeSet<String> = self
            .shelves
            .canaries
            .list(None)
            .into_iter()
            .map(|(_, canary)| canary.identity())
            .collect();
        self.shelves
            .gated()
            .into_iter()
            .filter(|(_, uid)| !living.contains(uid))
            .map(|(key, _)| key)
            .collect()
    }
}
