//! Answers that are kept for a while: bounded, and forgotten in time.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// What an entry is found by, which tells nothing of what was hashed.
pub(super) type Hash = [u8; 32];

/// Values by hash, each until its time.
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries: BTreeMap<Hash, (V, Instant)>,
    most: usize,
}

impl<V: Clone> Cache<V> {
    /// An empty cache that holds so many entries at most.
    pub(super) fn new(most: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            most,
        }
    }

    /// The value, if its time has not come.
    pub(super) fn get(&self, key: &Hash, now: Instant) -> Option<V> {
        let (value, until) = self.entries.get(key)?;
        (*until > now).then(|| value.clone())
    }

    /// Keeps a value until then. If there is no room, what is over goes, or else what would go next.
    pub(super) fn put(&mut self, key: Hash, value: V, until: Instant) {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            let now = Instant::now();
            self.entries.retain(|_, (_, until)| *until > now);
        }
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            let next = self.entries.iter().min_by_key(|(_, (_, until))| *until);
            if let Some(next) = next.map(|(key, _)| *key) {
                self.entries.remove(&next);
            }
        }
        self.entries.insert(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn values_go_in_time_and_make_room() {
        let now = Instant::now();
        let mut cache = Cache::new(2);
        let key = |number| [number; 32];
        for number in 1..=3u8 {
            cache.put(
                key(number),
                number,
                now + Duration::from_secs(number.into()),
            );
        }
        assert_eq!(cache.get(&key(1), now), None, "the next to go made room");
        assert_eq!(cache.get(&key(2), now), Some(2));
        assert_eq!(cache.get(&key(3), now), Some(3));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(cache.get(&key(2), Instant::now()), None);
        cache.put(key(4), 4, Instant::now() + Duration::from_secs(9));
        assert_eq!(cache.entries.len(), 2);
        assert_eq!(cache.get(&key(3), Instant::now()), Some(3));
    }
}
