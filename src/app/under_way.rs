//! Sign-ins under way: parallel tries cannot slip under a limit, and right ones never count.
//!
//! What is asked while a try begins is asked under the lock: a try that was counted as wrong stops
//! being under way only afterwards, so that it counts in one of both at any time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::throttle::{Admission, ThrottleKey};

/// How many tries have begun for each key and are not decided yet.
#[derive(Default)]
pub(super) struct UnderWay {
    counts: Mutex<HashMap<String, usize>>,
    decided: Notify,
    waiting: AtomicUsize,
}

/// A place among those who wait for others to be decided, until this is dropped.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

/// A try that has begun; it stops counting when this is dropped.
pub(super) struct Begun {
    under_way: Arc<UnderWay>,
    keys: Vec<String>,
}

impl UnderWay {
    /// Begins a try if it is admitted with these counts of its keys; one step for all keys.
    pub(super) fn begin<E>(
        self: &Arc<Self>,
        keys: &[ThrottleKey],
        decide: impl FnOnce(&[usize]) -> Result<Admission, E>,
    ) -> Result<Result<Begun, Admission>, E> {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let now: Vec<usize> = keys
            .iter()
            .map(|key| counts.get(key).copied().unwrap_or(0))
            .collect();
        let decided = decide(&now)?;
        if decided != Admission::Admit {
            return Ok(Err(decided));
        }
        for key in &keys {
            *counts.entry(key.clone()).or_insert(0) += 1;
        }
        Ok(Ok(Begun {
            under_way: Arc::clone(self),
            keys,
        }))
    }

    /// A place among at most so many who wait; none where all are taken.
    pub(super) fn wait(&self, most: usize) -> Option<Waiting<'_>> {
        let take = |waiting| (waiting < most).then_some(waiting + 1);
        let order = Ordering::Relaxed;
        let taken = self.waiting.fetch_update(order, order, take);
        taken.is_ok().then_some(Waiting(&self.waiting))
    }

    /// How many keys have tries under way.
    pub(super) fn len(&self) -> usize {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Comes back when a try was decided after this was called.
    pub(super) fn next_decision(&self) -> tokio::sync::futures::Notified<'_> {
        self.decided.notified()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut counts = self
            .under_way
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
        drop(counts);
        self.under_way.decided.notify_waiters();
    }
}
