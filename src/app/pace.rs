//! How soon a refused password is answered.
//!
//! Where others than the gateway check passwords too, the time of an answer would tell whose a name
//! is: one of the gateway's own is judged at once, an unknown one after every source was asked. So
//! all of them wait as long as the slowest source took lately.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long everybody waits at least, and at most: a source that hangs is not waited out by all.
const LEAST: Duration = Duration::from_millis(300);
const MOST: Duration = Duration::from_secs(3);
/// For how long an answer counts, and how many do.
const LATELY: Duration = Duration::from_mins(1);
const ANSWERS_MAX: usize = 64;

/// How long sources took lately.
#[derive(Default)]
pub(super) struct Pace(Mutex<VecDeque<Answered>>);

struct Answered {
    at: Instant,
    took: Duration,
}

impl Pace {
    /// Notes how long a source took that answered now.
    pub(super) fn answered(&self, now: Instant, took: Duration) {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.len() == ANSWERS_MAX {
            lately.pop_front();
        }
        lately.push_back(Answered { at: now, took });
    }

    /// How long after its beginning a try is refused, at the soonest.
    pub(super) fn not_before(&self, now: Instant) -> Duration {
        let lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counting = lately.iter().filter(|it| now < it.at + LATELY);
        let slowest = counting.map(|it| it.took).max().unwrap_or_default();
        slowest.clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_01_all_wait_for_the_slowest_of_the_last_minute() {
        let (pace, start) = (Pace::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let milliseconds = Duration::from_millis;
        assert_eq!(pace.not_before(start), LEAST);
        pace.answered(start, milliseconds(900));
        pace.answered(after(30), milliseconds(500));
        assert_eq!(pace.not_before(after(59)), milliseconds(900));
        assert_eq!(pace.not_before(after(60)), milliseconds(500));
        assert_eq!(pace.not_before(after(90)), LEAST);
        // A source that hangs holds nobody up for as long as it does.
        pace.answered(after(90), Duration::from_secs(30));
        assert_eq!(pace.not_before(after(91)), MOST);
        for _ in 0..ANSWERS_MAX {
            pace.answered(after(92), milliseconds(10));
        }
        assert_eq!(pace.not_before(after(93)), LEAST);
    }
}
