//! Questions for counters of all Canaries: those that come close to each other go to their server together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::analysis::Counter;
use crate::controller::outside::Caller;
use crate::http_client::Certificate;
use crate::metrics::MetricError;
use crate::metrics::batch::{self, Batch, Question};
use crate::metrics::prometheus;
use crate::metrics::store::Store;

/// From one time that a server is asked to the next, at least. A few Canaries never wait; of a thousand, whose questions come two
/// hundred a second, a hundred go together.
const WINDOW: Duration = Duration::from_millis(500);

/// The counters of one question.
pub(crate) type Counted = Result<Vec<Counter>, MetricError>;

/// What goes to a server in one request, and who waits for it.
type Questions = Batch<oneshot::Sender<Counted>>;

/// Gathers questions for each server.
#[derive(Clone)]
pub(crate) struct Counting {
    caller: Caller,
    desks: Arc<Mutex<BTreeMap<String, Desk>>>,
    /// How many wait.
    queue: watch::Sender<usize>,
}

/// Somebody who waits.
struct Waits<'a>(&'a watch::Sender<usize>);

impl<'a> Waits<'a> {
    fn in_line(queue: &'a watch::Sender<usize>) -> Self {
        queue.send_modify(|waiting| *waiting += 1);
        Self(queue)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// The questions for one server.
#[derive(Default)]
struct Desk {
    waiting: Vec<Question<oneshot::Sender<Counted>>>,
    /// When it was asked last.
    asked: Option<Timestamp>,
    /// Somebody will ask it soon.
    called: bool,
}

impl Desk {
    /// How long it has to be left alone.
    fn rest(&self, now: Timestamp) -> Duration {
        let since = self.asked.map(|asked| now.duration_since(asked));
        let since = since.map(|since| Duration::try_from(since).unwrap_or_default());
        since.map_or(Duration::ZERO, |since| WINDOW.saturating_sub(since))
    }
}

impl Counting {
    pub(crate) fn new(caller: Caller) -> Self {
        Self {
            caller,
            desks: Arc::default(),
            queue: watch::Sender::new(0),
        }
    }

    /// How many wait for replies, which is no work.
    pub(crate) fn waiting(&self) -> watch::Receiver<usize> {
        self.queue.subscribe()
    }

    fn desks(&self) -> MutexGuard<'_, BTreeMap<String, Desk>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of each of these questions, in their order.
    pub(crate) async fn ask(&self, questions: Vec<Question<()>>) -> Vec<Counted> {
        if questions.is_empty() {
            return Vec::new();
        }
        let mut replies = Vec::new();
        let _waits = Waits::in_line(&self.queue);
        for question in questions {
            let (reply, told) = oneshot::channel();
            replies.push(told);
            self.leave(question, reply);
        }
        self.call();
        let lost = |_| Err(MetricError::Unreachable("the question was lost".to_owned()));
        let replies = join_all(replies).await.into_iter();
        replies.map(|reply| reply.unwrap_or_else(lost)).collect()
    }

    fn leave(&self, question: Question<()>, reply: oneshot::Sender<Counted>) {
        let Question {
            id: (),
            server,
            query,
            at,
        } = question;
        let mut desks = self.desks();
        let desk = desks.entry(server.clone()).or_default();
        desk.waiting.push(Question {
            id: reply,
            server,
            query,
            at,
        });
    }

    /// Has every server asked for which somebody waits, as soon as it may be.
    fn call(&self) {
        let now = self.caller.clock.now();
        let mut desks = self.desks();
        for (server, desk) in desks.iter_mut() {
            if desk.called || desk.waiting.is_empty() {
                continue;
            }
            desk.called = true;
            let (counting, server, rest) = (self.clone(), server.clone(), desk.rest(now));
            tokio::spawn(async move {
                if !rest.is_zero() {
                    tokio::time::sleep(rest).await;
                }
                counting.empty(&server).await;
            });
        }
    }

    /// Asks for all that waits.
    async fn empty(&self, server: &str) {
        let waiting = {
            let mut desks = self.desks();
            let Some(desk) = desks.get_mut(server) else {
                return;
            };
            desk.called = false;
            desk.asked = Some(self.caller.clock.now());
            std::mem::take(&mut desk.waiting)
        };
        let batches = batch::group(waiting).into_iter();
        join_all(batches.map(|batch| self.answer(batch, 0))).await;
    }

    /// Asks for a batch and hands out the replies. One that fails is asked by halves: one bad question spoils no other, and a reply
    /// that was too long may be two that are not.
    fn answer(&self, batch: Questions, halved: u32) -> BoxFuture<'_, ()> {
        async move {
            let error = match self.once(&batch).await {
                Ok(found) => return hand_out(batch, found),
                Err(error) => error,
            };
            let again = halved == 0 || matches!(error, MetricError::Rejected(_));
            if !again || batch.ids().count() < 2 {
                return refuse(batch, &error);
            }
            if let Some((one, other)) = batch.split() {
                let halves = [one, other].map(|half| self.answer(half, halved + 1));
                join_all(halves).await;
            }
        }
        .boxed()
    }

    async fn once(&self, batch: &Questions) -> Result<Vec<Counted>, MetricError> {
        let (store, certificate) = (Store::Prometheus, Certificate::Verified);
        let request = batch.request()?;
        let reply = self.caller.send(store, certificate, request).await?;
        prometheus::parse(&reply, batch)
    }
}

/// Who does not wait any more needs no reply.
fn hand_out(batch: Questions, found: Vec<Counted>) {
    for (told, counted) in batch.into_ids().zip(found) {
        drop(told.send(counted));
    }
}

fn refuse(batch: Questions, error: &MetricError) {
    let waiting = batch.into_ids();
    waiting.for_each(|told| drop(told.send(Err(error.clone()))));
}
