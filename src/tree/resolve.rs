//! What the tree remembers of the server's answers, and one flight for each question.
//!
//! [`Recall`] is the only cache of the tree: names (positive and negative), pages of listings,
//! content trees. It is bounded by an estimate of bytes, least recently used first, and an answer
//! counts for the time limit it was made with. [`Flights`] lets callers with the same question wait
//! for one answer. The future is polled by all of them: when whoever started it goes away the next
//! one carries it on, when it fails all of them fail, and when nobody waits any more it is dropped.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{self, BoxFuture, Shared};
use lru::LruCache;
use parking_lot::Mutex;

use crate::model::Error;

/// An estimate of the bytes that a remembered value costs.
pub(crate) trait Weigh {
    /// Bytes, its parts on the heap included.
    fn weigh(&self) -> usize;
}

/// A value and when it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Stamped<V> {
    /// The value.
    pub(crate) value: V,
    /// Just before the server was asked: what it says may have changed since.
    pub(crate) at: Instant,
}

/// A bounded memory with one flight per key.
pub(crate) struct Recall<K: Hash + Eq, V: Clone> {
    kept: Mutex<Kept<K, V>>,
    flights: Flights<K, Result<Stamped<V>, Error>>,
    /// How long an answer counts; for ever without.
    ttl: Option<Duration>,
    /// Bytes.
    budget: usize,
}

struct Kept<K: Hash + Eq, V> {
    entries: LruCache<K, (Stamped<V>, usize)>,
    weight: usize,
    /// When something was last forgotten: what was asked for earlier may be old.
    floor: Option<Instant>,
}

impl<K, V> Recall<K, V>
where
    K: Hash + Eq + Clone,
    V: Clone + Send + Sync + Weigh + 'static,
{
    /// An empty memory of at most `budget` bytes.
    pub(crate) fn new(budget: usize, ttl: Option<Duration>) -> Self {
        Self {
            kept: Mutex::new(Kept {
                entries: LruCache::unbounded(),
                weight: 0,
                floor: None,
            }),
            flights: Flights::default(),
            ttl,
            budget,
        }
    }

    /// What is remembered and still counts.
    pub(crate) fn get(&self, key: &K) -> Option<Stamped<V>> {
        let mut kept = self.kept.lock();
        let (stamped, _) = kept.entries.get(key)?;
        if self.ttl.is_none_or(|ttl| stamped.at.elapsed() < ttl) {
            return Some(stamped.clone());
        }
        if let Some((_, weight)) = kept.entries.pop(key) {
            kept.weight -= weight;
        }
        None
    }

    /// Remembers an answer, unless a newer one is there. The newest stays whatever it weighs.
    pub(crate) fn put(&self, key: K, stamped: Stamped<V>) {
        if self.ttl == Some(Duration::ZERO) {
            return;
        }
        let weight = stamped.value.weigh();
        let mut kept = self.kept.lock();
        if kept.floor.is_some_and(|floor| stamped.at < floor) {
            return;
        }
        if kept
            .entries
            .peek(&key)
            .is_some_and(|(old, _)| old.at >= stamped.at)
        {
            return;
        }
        if let Some((_, (_, old))) = kept.entries.push(key, (stamped, weight)) {
            kept.weight -= old;
        }
        kept.weight += weight;
        while kept.weight > self.budget && kept.entries.len() > 1 {
            if let Some((_, (_, old))) = kept.entries.pop_lru() {
                kept.weight -= old;
            }
        }
    }

    /// What `wanted` finds in what is remembered, old answers too.
    pub(crate) fn find_all<T>(&self, wanted: impl Fn(&V) -> Option<T>) -> Vec<T> {
        let kept = self.kept.lock();
        let values = kept.entries.iter().map(|(_, (stamped, _))| &stamped.value);
        values.filter_map(wanted).collect()
    }

    /// Forgets the answers to some questions, because this mount just changed them. Whoever asks from
    /// now on gets a new answer, also when an old one is still on its way.
    pub(crate) fn forget(&self, changed: impl Fn(&K) -> bool) {
        let gone = self.flights.part_with(&changed);
        drop(gone); // what a future holds may lock anything
        let mut kept = self.kept.lock();
        kept.floor = Some(Instant::now());
        let old: Vec<K> = kept
            .entries
            .iter()
            .filter(|(key, _)| changed(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            if let Some((_, weight)) = kept.entries.pop(&key) {
                kept.weight -= weight;
            }
        }
    }

    /// The remembered answer, or that of `ask`, or that of whoever is asking already.
    pub(crate) async fn get_or<F>(
        &self,
        key: K,
        ask: impl FnOnce() -> F,
    ) -> Result<Stamped<V>, Error>
    where
        F: Future<Output = Result<V, Error>> + Send + 'static,
    {
        if let Some(stamped) = self.get(&key) {
            return Ok(stamped);
        }
        let start = || {
            // The answer may have come between looking and joining.
            if let Some(stamped) = self.get(&key) {
                return future::ready(Ok(stamped)).boxed();
            }
            let at = Instant::now();
            let answer = ask();
            async move { answer.await.map(|value| Stamped { value, at }) }.boxed()
        };
        let flight = self.flights.join(key.clone(), start);
        let answer = flight.shared.clone().await?;
        self.put(key, answer.clone());
        Ok(answer)
    }
}

/// Questions on their way.
struct Flights<K: Hash + Eq, V: Clone> {
    running: Mutex<HashMap<K, Running<V>>>,
}

type Answering<V> = Shared<BoxFuture<'static, V>>;

struct Running<V: Clone> {
    shared: Answering<V>,
    /// Callers that wait; the last one to leave takes the entry away.
    seats: usize,
}

impl<K: Hash + Eq, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            running: Mutex::new(HashMap::new()),
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// Lets nobody join these flights any more; who waits in them goes on.
    fn part_with(&self, questions: impl Fn(&K) -> bool) -> Vec<Running<V>> {
        let mut running = self.running.lock();
        let keys: Vec<K> = running
            .keys()
            .filter(|key| questions(key))
            .cloned()
            .collect();
        keys.iter().filter_map(|key| running.remove(key)).collect()
    }

    fn join(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, V>) -> Flight<'_, K, V> {
        let mut running = self.running.lock();
        let entry = running.entry(key.clone()).or_insert_with(|| Running {
            shared: start().shared(),
            seats: 0,
        });
        entry.seats += 1;
        let shared = entry.shared.clone();
        drop(running);
        Flight {
            flights: self,
            key,
            shared,
        }
    }
}

/// A seat in a flight.
struct Flight<'a, K: Hash + Eq + Clone, V: Clone> {
    flights: &'a Flights<K, V>,
    key: K,
    shared: Answering<V>,
}

impl<K: Hash + Eq + Clone, V: Clone> Drop for Flight<'_, K, V> {
    fn drop(&mut self) {
        let mut running = self.flights.running.lock();
        // Once landed it makes place for a new question, so the entry may be another flight's.
        let Some(ours) = running
            .get_mut(&self.key)
            .filter(|entry| entry.shared.ptr_eq(&self.shared))
        else {
            return;
        };
        ours.seats -= 1;
        if ours.seats == 0 || self.shared.peek().is_some() {
            let entry = running.remove(&self.key);
            drop(running); // what the future holds may lock anything
            drop(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use crate::model::ErrorKind;
    use tokio::sync::Notify;

    impl Weigh for u32 {
        fn weigh(&self) -> usize {
            100
        }
    }

    fn recall(ttl: Option<Duration>) -> Arc<Recall<&'static str, u32>> {
        Arc::new(Recall::new(1000, ttl))
    }

    #[tokio::test]
    async fn callers_with_one_question_share_one_answer_and_its_failure() {
        let recall = recall(None);
        let gate = Arc::new(Notify::new());
        let asked = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (gate, asked) = (gate.clone(), asked.clone());
            move || async move {
                asked.fetch_add(1, SeqCst);
                gate.notified().await;
                Err::<u32, _>(Error::new(ErrorKind::Network, "", "gone"))
            }
        };
        let (one, two, ()) = tokio::join!(
            recall.get_or("k", ask()),
            recall.get_or("k", ask()),
            async { gate.notify_one() }
        );
        assert_eq!(one.unwrap_err().kind(), ErrorKind::Network);
        assert_eq!(two.unwrap_err().kind(), ErrorKind::Network);
        assert_eq!(asked.load(SeqCst), 1);
        assert!(recall.flights.running.lock().is_empty());
    }

    #[tokio::test]
    async fn a_follower_carries_on_when_the_leader_goes_away() {
        let recall = recall(None);
        let gate = Arc::new(Notify::new());
        let wait = gate.clone();
        let leader = recall.get_or("k", move || async move {
            wait.notified().await;
            Ok(7)
        });
        let mut leader = Box::pin(leader);
        assert!(futures::poll!(&mut leader).is_pending());
        let mut follower = Box::pin(recall.get_or("k", || async { Ok(8) }));
        assert!(futures::poll!(&mut follower).is_pending());
        drop(leader);
        gate.notify_one();
        assert_eq!(follower.await.unwrap().value, 7);
        assert_eq!(recall.get(&"k").unwrap().value, 7);
    }

    #[tokio::test]
    async fn a_flight_that_everybody_left_is_forgotten() {
        let recall = recall(None);
        let mut only = Box::pin(recall.get_or("k", std::future::pending::<Result<u32, Error>>));
        assert!(futures::poll!(&mut only).is_pending());
        drop(only);
        assert!(recall.flights.running.lock().is_empty());
        assert_eq!(
            recall.get_or("k", || async { Ok(1) }).await.unwrap().value,
            1
        );
    }

    #[tokio::test]
    async fn the_budget_evicts_the_least_recently_used_and_zero_ttl_keeps_nothing() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        let recall = recall(None);
        for name in names {
            recall.get_or(name, || async { Ok(1) }).await.unwrap();
        }
        assert!(recall.get(&"a").is_none());
        assert!(recall.get(&"b").is_some());
        let recall = self::recall(Some(Duration::ZERO));
        recall.get_or("a", || async { Ok(1) }).await.unwrap();
        assert!(recall.get(&"a").is_none());
    }
}
