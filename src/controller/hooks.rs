//! Calls of hooks: beside the ticks, so that a slow hook delays nothing but what waits for it. The answer calls the Canary.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::clock::Clock;
use crate::cluster::Place;
use crate::controller::ask::text;
use crate::controller::outside::Outside;
use crate::controller::secrets;
use crate::crd::canary::Canary;
use crate::crd::hook::{Hook, HookKind};
use crate::hooks::{self, Credentials, Told};
use crate::rollout::decision::Note;
use crate::rollout::observed::{Answer, HookCall, HookReply};

/// The first pause before another try; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Events that are on their way to hooks at the same time; more are not told.
const EVENTS: usize = 64;

/// A Canary's UID, and the name of its hook.
type Key = (String, String);

/// The last call of a hook that was begun: what it was asked before is over.
#[derive(Debug)]
struct Begun {
    call: HookCall,
    reply: Option<HookReply>,
}

/// Calls hooks, and remembers what they said until it was heard. A clone is the same.
#[derive(Clone)]
pub(crate) struct Hooks(Arc<Inner>);

struct Inner {
    outside: Outside,
    clock: Clock,
    calls: Mutex<BTreeMap<Key, Begun>>,
    events: Arc<Semaphore>,
}

impl Hooks {
    pub(crate) fn new(outside: Outside, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            outside,
            clock,
            calls: Mutex::default(),
            events: Arc::new(Semaphore::new(EVENTS)),
        }))
    }

    /// What the hook said to this call; begins it if it was not.
    pub(crate) fn answer(&self, canary: &Canary, call: &HookCall) -> Answer {
        let mut all = canary.spec.analysis.webhooks.iter();
        let Some(hook) = all.find(|hook| hook.name == call.name) else {
            return Answer::Hook(hooks::silence("it is not there any more"));
        };
        let key = (canary.identity(), call.name.clone());
        let mut calls = self.calls();
        if let Some(begun) = calls.get(&key).filter(|begun| begun.call == *call) {
            let reply = begun.reply.clone();
            return reply.map_or(Answer::Asked, Answer::Hook);
        }
        let begun = Begun {
            call: call.clone(),
            reply: None,
        };
        calls.insert(key.clone(), begun);
        drop(calls);
        let place = (
            canary.home(),
            canary.metadata.name.clone().unwrap_or_default(),
        );
        let (canary, hook, call) = (canary.clone(), hook.clone(), call.clone());
        let it = self.clone();
        tokio::spawn(async move {
            let reply = it.call(&canary, &hook, &call).await;
            it.heard(&key, &call, reply, &place);
        });
        Answer::Asked
    }

    async fn call(&self, canary: &Canary, hook: &Hook, call: &HookCall) -> HookReply {
        let patience = hook.timeout() * (hook.retries + 1) + LONGEST_PAUSE * hook.retries;
        let deadline = self.0.clock.now() + patience;
        match hooks::request(canary, hook, call, deadline) {
            Ok(request) => self.ask(&canary.home(), hook, request).await,
            Err(error) => hooks::silence(&text(&error)),
        }
    }

    /// Keeps an answer and calls the Canary, unless nobody waits any more: another call was begun, or the Canary is gone.
    fn heard(&self, key: &Key, call: &HookCall, reply: HookReply, place: &Place) {
        let mut calls = self.calls();
        if let Some(begun) = calls.get_mut(key).filter(|begun| begun.call == *call) {
            begun.reply = Some(reply);
            drop(calls);
            self.0.outside.queue.call(place, Duration::ZERO);
        }
    }

    /// Asks once, and again as often as the hook allows.
    async fn ask(&self, home: &str, hook: &Hook, mut request: Request<Bytes>) -> HookReply {
        if let Err(why) = self.prove(home, hook, &mut request).await {
            return hooks::silence(&why);
        }
        let mut tries = 0;
        loop {
            let (reply, may_pass) = self.send(hook, request.clone()).await;
            if !may_pass || tries >= hook.retries {
                return reply;
            }
            let pause = PAUSE * 2u32.pow(tries.min(4));
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
            tries += 1;
        }
    }

    /// Puts the hook's credentials on a request; or in words why that cannot be.
    async fn prove(
        &self,
        home: &str,
        hook: &Hook,
        request: &mut Request<Bytes>,
    ) -> Result<(), String> {
        let Some(reference) = &hook.secret_ref else {
            return Ok(());
        };
        let cluster = &self.0.outside.cluster;
        let secret = secrets::sendable(cluster, home, &reference.name).await?;
        let key = |name: &str| secret.data.get(name).cloned();
        let credentials = Credentials::new(&hook.url, &key).map_err(|error| error.to_string())?;
        credentials.put(request, self.0.clock.now());
        Ok(())
    }

    /// One try, and whether another one may come to something else.
    async fn send(&self, hook: &Hook, request: Request<Bytes>) -> (HookReply, bool) {
        let began = self.0.clock.now();
        let answer = self.0.outside.http.send(request, hook.timeout()).await;
        let seconds = self.0.clock.now().duration_since(began).as_secs_f64();
        let result = if answer.is_ok() { "answered" } else { "failed" };
        self.0
            .outside
            .telemetry
            .provider_request("webhook", result, seconds);
        match answer {
            Ok(answer) => {
                let reply = hooks::reply(hook.kind, &answer, self.0.outside.http.trusts(&hook.url));
                (reply, hooks::is_passing(answer.status()))
            }
            Err(error) => (hooks::silence(&text(&error)), true),
        }
    }

    /// Tells the hooks that want to know of every Event. What they say changes nothing, and what does not get through is lost.
    pub(crate) fn tell(&self, canary: &Canary, notes: &[Note]) {
        let hooks = canary.spec.analysis.webhooks.iter();
        for hook in hooks.filter(|hook| hook.kind == HookKind::Event) {
            for note in notes {
                self.tell_one(canary, hook, note);
            }
        }
    }

    fn tell_one(&self, canary: &Canary, hook: &Hook, note: &Note) {
        let Ok(place) = Arc::clone(&self.0.events).try_acquire_owned() else {
            debug!(hook = hook.name, "too many Events are on their way");
            return;
        };
        let candidate = canary.status.as_ref().and_then(|it| it.candidate.as_ref());
        let call = HookCall {
            name: hook.name.clone(),
            kind: hook.kind,
            attempt: candidate.map_or(0, |candidate| candidate.attempt),
            step: 0,
            number: 0,
        };
        let told = Told {
            message: &note.message,
            warning: note.warning,
            at: self.0.clock.now(),
        };
        let Ok(request) = hooks::tell(canary, hook, &call, told) else {
            return;
        };
        let (it, home, hook) = (self.clone(), canary.home(), hook.clone());
        tokio::spawn(async move {
            let reply = it.ask(&home, &hook, request).await;
            debug!(hook = hook.name, ?reply, "was told of an Event");
            drop(place);
        });
    }

    /// A Canary is gone, and with it what its hooks said.
    pub(crate) fn forget(&self, uid: &str) {
        self.calls().retain(|(owner, _), _| owner != uid);
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<Key, Begun>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
