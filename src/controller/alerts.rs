//! Messages to people: sent beside the ticks, a few tries each. The answer calls the Canary, which takes the message off its status.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;

use crate::alerts::{self, Address, AlertError};
use crate::cluster::Place;
use crate::controller::ask::text;
use crate::controller::outside::Outside;
use crate::controller::secrets;
use crate::crd::alert::{Alert, AlertRoute};
use crate::crd::alert_provider::{AlertProviderSpec, AlertType};
use crate::crd::canary::Canary;
use crate::hooks;
use crate::rollout::observed::{AlertCall, Answer};

/// How long an answer may take (PROVIDERS 5).
const PATIENCE: Duration = Duration::from_secs(5);
/// Tries in all.
const TRIES: u32 = 3;
/// The first pause before another try; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// Messages of one Canary that are remembered: a status may be written late, and nothing may be sent twice for that.
const MEMORY: usize = 64;

type Outcome = Result<(), String>;

/// What was begun for a Canary, newest last; `None`: it is on its way.
type Begun = VecDeque<(AlertCall, Option<Outcome>)>;

/// Sends messages, and remembers what became of them. A clone is the same.
#[derive(Clone)]
pub(crate) struct Alerts(Arc<Inner>);

struct Inner {
    outside: Outside,
    begun: Mutex<BTreeMap<String, Begun>>,
}

impl Alerts {
    pub(crate) fn new(outside: Outside) -> Self {
        Self(Arc::new(Inner {
            outside,
            begun: Mutex::default(),
        }))
    }

    /// What became of a message; begins to send it if that was not begun.
    pub(crate) fn answer(&self, canary: &Canary, call: &AlertCall) -> Answer {
        let Some((route, alert)) = written(canary, call) else {
            return Answer::Told(Ok(()));
        };
        let uid = canary.identity();
        let mut all = self.begun();
        let begun = all.entry(uid.clone()).or_default();
        if let Some((_, outcome)) = begun.iter().find(|(known, _)| known == call) {
            return outcome.clone().map_or(Answer::Asked, Answer::Told);
        }
        begun.push_back((call.clone(), None));
        if begun.len() > MEMORY {
            begun.pop_front();
        }
        drop(all);
        let (it, canary, call) = (self.clone(), canary.clone(), call.clone());
        let (route, alert) = (route.clone(), alert.clone());
        tokio::spawn(async move {
            let outcome = it.send(&canary, &route, &alert).await;
            let name = canary.metadata.name.clone().unwrap_or_default();
            it.heard(&uid, &call, outcome, &(canary.home(), name));
        });
        Answer::Asked
    }

    fn heard(&self, uid: &str, call: &AlertCall, outcome: Outcome, place: &Place) {
        if let Some(begun) = self.begun().get_mut(uid)
            && let Some((_, known)) = begun.iter_mut().find(|(known, _)| known == call)
        {
            *known = Some(outcome);
        }
        self.0.outside.queue.call(place, Duration::ZERO);
    }

    async fn send(&self, canary: &Canary, route: &AlertRoute, alert: &Alert) -> Outcome {
        let home = canary.home();
        let provider = self.provider(&home, &route.provider_ref.name).await?;
        let address = self.address(&home, &provider).await?;
        let request = alerts::request(&provider, &address, canary, alert);
        // The error of a request could quote the address.
        let request = request.map_err(|_| AlertError::BadAddress.to_string())?;
        let Some(request) = request else {
            return Ok(());
        };
        let outcome = self.post(provider.type_, &request).await;
        let result = if outcome.is_ok() { "sent" } else { "failed" };
        self.0
            .outside
            .telemetry
            .notified(provider.type_.as_str(), result);
        outcome
    }

    async fn provider(&self, home: &str, name: &str) -> Result<AlertProviderSpec, String> {
        match self.0.outside.cluster.alert_provider(home, name).await {
            Ok(Some(provider)) => Ok(provider.spec),
            Ok(None) => Err(format!("there is no AlertProvider {name:?} in {home:?}")),
            Err(error) => Err(text(&error)),
        }
    }

    async fn address(&self, home: &str, provider: &AlertProviderSpec) -> Result<Address, String> {
        let Some(reference) = &provider.secret_ref else {
            return Address::new(provider, None).map_err(|error| error.to_string());
        };
        let secret = secrets::sendable(&self.0.outside.cluster, home, &reference.name).await?;
        let key = |name: &str| secret.data.get(name).cloned();
        Address::new(provider, Some(&key)).map_err(|error| error.to_string())
    }

    /// Tries a few times what another try may bring through.
    async fn post(&self, kind: AlertType, request: &Request<Bytes>) -> Outcome {
        let mut tries = 1;
        loop {
            let (outcome, passing) = match self.0.outside.http.send(request.clone(), PATIENCE).await
            {
                Ok(answer) => {
                    let why = alerts::refusal(kind, &answer);
                    (why.map_or(Ok(()), Err), hooks::is_passing(answer.status()))
                }
                Err(error) => (Err(error.kind().to_owned()), true),
            };
            if outcome.is_ok() || !passing || tries >= TRIES {
                return outcome;
            }
            tokio::time::sleep(PAUSE * 2u32.pow(tries - 1)).await;
            tries += 1;
        }
    }

    /// A Canary is gone, and nobody asks any more what became of its messages.
    pub(crate) fn forget(&self, uid: &str) {
        self.begun().remove(uid);
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<String, Begun>> {
        self.0.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message as it stands in the status, and where it goes.
fn written<'a>(canary: &'a Canary, call: &AlertCall) -> Option<(&'a AlertRoute, &'a Alert)> {
    let mut routes = canary.spec.analysis.alerts.iter();
    let route = routes.find(|route| route.name == call.name)?;
    let alerts = canary.status.as_ref()?.alerts.as_ref()?;
    let mut pending = alerts.pending.iter();
    let alert = pending
        .find(|it| (&it.reason, it.attempt, it.at) == (&call.reason, call.attempt, call.at))?;
    Some((route, alert))
}
