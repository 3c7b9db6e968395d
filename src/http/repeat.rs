//! A form that is sent twice, as by a double click, has one outcome: the second time waits for the
//! first, and is answered the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

/// How long an outcome is kept: people do not click slower, and reload no sooner.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// Outcomes that are kept at once; beyond that a repeated form is done again.
const KEPT_MAX: usize = 1_000;

/// Outcomes of late. Clones share them.
#[derive(Clone)]
pub(super) struct Repeats<T>(Arc<Mutex<HashMap<String, Kept<T>>>>);

struct Kept<T> {
    outcome: Arc<OnceCell<T>>,
    until: Instant,
}

impl<T> Default for Repeats<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Repeats<T> {
    /// Does this, unless the form of this key is being done, or was done a moment ago, with an outcome
    /// that `is_kept`: then that.
    pub(super) async fn once(
        &self,
        key: &str,
        now: Instant,
        is_kept: impl Fn(&T) -> bool,
        doing: impl Future<Output = T>,
    ) -> T {
        let Some(outcome) = self.kept(key, now) else {
            return doing.await;
        };
        let outcome = outcome.get_or_try_init(|| async {
            let outcome = doing.await;
            if is_kept(&outcome) {
                Ok(outcome)
            } else {
                Err(outcome)
            }
        });
        match outcome.await {
            Ok(outcome) => outcome.clone(),
            Err(outcome) => outcome,
        }
    }

    fn kept(&self, key: &str, now: Instant) -> Option<Arc<OnceCell<T>>> {
        let mut all = self.all();
        all.retain(|_, kept| kept.until > now);
        if all.len() >= KEPT_MAX && !all.contains_key(key) {
            return None;
        }
        let kept = all.entry(key.to_owned()).or_insert_with(|| Kept {
            outcome: Arc::default(),
            until: now + KEPT_FOR,
        });
        Some(Arc::clone(&kept.outcome))
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Kept<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn the_same_has_one_outcome_for_a_while_and_others_their_own() {
        let (repeats, done) = (Repeats::default(), AtomicUsize::new(0));
        let start = Instant::now();
        let times = async |key: &str, now| {
            let doing = async {
                tokio::task::yield_now().await;
                done.fetch_add(1, Ordering::Relaxed) + 1
            };
            repeats.once(key, now, |number| *number != 2, doing).await
        };
        let at_once = tokio::join!(times("a", start), times("a", start));
        assert_eq!(at_once, (1, 1));
        // An outcome that is not kept is that of one alone.
        let at_once = tokio::join!(times("b", start), times("b", start));
        assert_eq!(at_once, (2, 3));
        assert_eq!(times("b", start).await, 3);
        let last = start + KEPT_FOR.saturating_sub(Duration::from_millis(1));
        assert_eq!(times("a", last).await, 1);
        assert_eq!(times("a", start + KEPT_FOR).await, 4);
    }

    #[tokio::test]
    async fn where_very_many_are_kept_each_is_done() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        let done = async |key: &str, outcome| {
            let doing = std::future::ready(outcome);
            repeats.once(key, now, |_| true, doing).await
        };
        for number in 0..KEPT_MAX {
            done(&number.to_string(), "kept").await;
        }
        assert_eq!(done("0", "again").await, "kept");
        assert_eq!(done("x", "one").await, "one");
        assert_eq!(done("x", "two").await, "two");
    }
}
