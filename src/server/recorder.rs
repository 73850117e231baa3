//! What changes of the Canaries: one look at a time compares them with what is known, keeps a short memory of the changes, and
//! tells everybody who watches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kube::ResourceExt;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::clock::Clock;
use crate::cluster::Place;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::Phase;
use crate::server::Canaries;
use crate::server::timeline::{Points, releases};
use crate::server::view::{CanaryItem, CanaryView};

/// Changes that are remembered for readers who come back, and that a reader may be behind: some minutes of a thousand Canaries.
/// One takes half a kilobyte.
const RECENT: usize = 1024;
/// Readers at the same time, so that probes and other requests keep the rest of the connections.
pub const READERS: usize = 200;
/// Time between two looks: what changes more often is told once.
const PAUSE: Duration = Duration::from_millis(25);

/// Something that happened to a Canary.
#[derive(Debug)]
pub(super) struct Change {
    /// Its number: later ones have higher ones.
    pub(super) number: u64,
    /// The Canary.
    pub(super) place: Place,
    /// As lists show it now, in JSON; `None`: it is gone.
    pub(super) item: Option<Bytes>,
    /// Lists show it otherwise than before.
    pub(super) is_listed: bool,
    /// Its phase before; `None`: it was not there.
    pub(super) before: Option<Phase>,
    /// Its phase now.
    pub(super) after: Option<Phase>,
}

/// A Canary as it was seen last.
#[derive(Debug)]
struct Known {
    uid: Option<String>,
    version: Option<String>,
    item: Bytes,
    phase: Phase,
}

/// Sees changes and tells them. A clone is the same recorder.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    canaries: Canaries,
    clock: Clock,
    /// Names this recording: ids of another one are not known here.
    name: String,
    book: Mutex<Book>,
    news: broadcast::Sender<Arc<Change>>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Book {
    since: Moment,
    number: u64,
    known: BTreeMap<Place, Known>,
    /// The Canaries of the last look by where they are in memory: almost all of them are the same in the next one.
    picture: BTreeMap<usize, Arc<Canary>>,
    recent: VecDeque<Arc<Change>>,
    points: Points,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

/// Where a reader stands, and what comes after.
pub(super) struct Subscription {
    /// The last change before `news`.
    pub(super) number: u64,
    /// What the reader missed; `None`: that is not known, and he needs everything.
    pub(super) missed: Option<Vec<Arc<Change>>>,
    /// What comes.
    pub(super) news: broadcast::Receiver<Arc<Change>>,
}

impl Recorder {
    /// A recorder of these Canaries.
    #[must_use]
    pub fn new(canaries: Canaries, clock: Clock) -> Self {
        let now = clock.now();
        Self(Arc::new(Inner {
            canaries,
            clock,
            name: format!("{:x}", now.as_microsecond()),
            book: Mutex::new(Book {
                since: Moment::new(now),
                number: 0,
                known: BTreeMap::new(),
                picture: BTreeMap::new(),
                recent: VecDeque::new(),
                points: Points::default(),
            }),
            news: broadcast::Sender::new(RECENT),
            places: Arc::new(Semaphore::new(READERS)),
        }))
    }

    /// Looks at every change, until nobody can change anything any more.
    pub async fn follow(self, mut changes: watch::Receiver<u64>) {
        loop {
            changes.mark_unchanged();
            self.look();
            tokio::time::sleep(PAUSE).await;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Compares the Canaries with what is known of them.
    pub fn look(&self) {
        let mut book = self.book();
        // Read under the lock: an older picture must not follow a newer one.
        let all = (self.0.canaries)(None);
        let now = Moment::new(self.0.clock.now());
        for canary in &all {
            if book.has_seen(canary) {
                continue;
            }
            let place = (canary.home(), canary.name_any());
            if let Some(change) = book.see(&place, canary, now) {
                self.tell(&mut book, change);
            }
        }
        if all.len() != book.known.len() {
            for place in book.left_out(&all) {
                let change = book.lose(place);
                self.tell(&mut book, change);
            }
        }
        book.picture = all.into_iter().map(|it| (address(&it), it)).collect();
    }

    /// Begins to tell a reader, from the change that he saw last.
    pub(super) fn subscribe(&self, last: Option<&str>) -> Subscription {
        self.look();
        let book = self.book();
        let seen = last.and_then(|id| self.number(id));
        Subscription {
            number: book.number,
            missed: seen.and_then(|number| book.after(number)),
            news: self.0.news.subscribe(),
        }
    }

    /// Room for one more reader, if there is.
    pub(super) fn place(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.0.places).try_acquire_owned().ok()
    }

    /// What a change is called towards readers.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.0.name)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (name, number) = id.rsplit_once('-')?;
        number.parse().ok().filter(|_| name == self.0.name)
    }

    /// Some Canaries after this place, as lists show them, with their phases.
    pub(super) fn page(&self, after: Option<&Place>, most: usize) -> Vec<(Place, Phase, Bytes)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let book = self.book();
        let begin = after.map_or(Unbounded, Excluded);
        book.known
            .range::<Place, _>((begin, Unbounded))
            .take(most)
            .map(|(place, known)| (place.clone(), known.phase, known.item.clone()))
            .collect()
    }

    /// A Canary as it is now.
    pub(super) fn canary(&self, (namespace, name): &Place) -> Option<Arc<Canary>> {
        (self.0.canaries)(Some(namespace))
            .into_iter()
            .find(|canary| canary.name_any() == *name)
    }

    /// A Canary over time, in JSON.
    pub(super) fn timeline(&self, canary: &Canary) -> String {
        self.look();
        let place = (canary.home(), canary.name_any());
        let releases = serde_json::to_string(&releases(canary)).unwrap_or_default();
        let book = self.book();
        let (since, points) = (book.since, book.points.text(&place));
        format!(r#"{{"since":"{since}","points":{points},"releases":{releases}}}"#)
    }

    fn tell(&self, book: &mut Book, change: Change) {
        book.number += 1;
        let change = Arc::new(Change {
            number: book.number,
            ..change
        });
        book.recent.push_back(change.clone());
        if book.recent.len() > RECENT {
            book.recent.pop_front();
        }
        // Nobody may be watching.
        let _ = self.0.news.send(change);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn has_seen(&self, canary: &Arc<Canary>) -> bool {
        // It is kept, so nothing else can be where it is.
        self.picture.contains_key(&address(canary))
    }

    /// Whom we know and who is not here any more.
    fn left_out(&self, all: &[Arc<Canary>]) -> Vec<Place> {
        let here: BTreeSet<Place> = all.iter().map(|it| (it.home(), it.name_any())).collect();
        let known = self.known.keys();
        known
            .filter(|place| !here.contains(*place))
            .cloned()
            .collect()
    }

    fn see(&mut self, place: &Place, canary: &Canary, now: Moment) -> Option<Change> {
        let metadata = &canary.metadata;
        let before = self.known.get(place);
        if let Some(known) = before
            && (&known.uid, &known.version) == (&metadata.uid, &metadata.resource_version)
            && known.version.is_some()
        {
            return None;
        }
        let item = json(&CanaryItem::of(canary));
        let phase = canary.status.as_ref().map(|status| status.phase);
        let phase = phase.unwrap_or_default();
        let change = Change {
            number: 0,
            place: place.clone(),
            is_listed: before.is_none_or(|known| known.item != item),
            before: before.map(|known| known.phase),
            after: Some(phase),
            item: Some(item.clone()),
        };
        let known = Known {
            uid: metadata.uid.clone(),
            version: metadata.resource_version.clone(),
            item,
            phase,
        };
        self.known.insert(place.clone(), known);
        self.points.note(place, canary, now);
        Some(change)
    }

    fn lose(&mut self, place: Place) -> Change {
        let known = self.known.remove(&place);
        self.points.forget(&place);
        Change {
            number: 0,
            place,
            item: None,
            is_listed: true,
            before: known.map(|known| known.phase),
            after: None,
        }
    }

    /// What came after a change; `None`: some of it is forgotten, or it is not of this recording.
    fn after(&self, number: u64) -> Option<Vec<Arc<Change>>> {
        let first = self
            .recent
            .front()
            .map_or(self.number + 1, |one| one.number);
        if number > self.number || number + 1 < first {
            return None;
        }
        let later = self.recent.iter().filter(|one| one.number > number);
        Some(later.cloned().collect())
    }
}

/// Where a Canary is in memory.
fn address(canary: &Arc<Canary>) -> usize {
    Arc::as_ptr(canary).addr()
}

/// A view of one Canary, in JSON.
pub(super) fn view(canary: &Canary) -> Bytes {
    json(&CanaryView::of(canary))
}

fn json(view: &impl serde::Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(view).unwrap_or_default())
}
