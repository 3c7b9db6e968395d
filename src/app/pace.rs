//! How soon a refused password is answered.
//!
//! Where others than the gateway check passwords too, the time of an answer would tell whose a name
//! is: one of the gateway's own is judged at once, an unknown one after every source was asked. So
//! all refusals wait as long as the slowest one of late took.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long everybody waits at least, and at most: a source that hangs is not waited out by all.
const LEAST: Duration = Duration::from_millis(300);
const MOST: Duration = Duration::from_secs(3);
/// The slowest of a period counts to the end of the next.
const PERIOD: Duration = Duration::from_mins(10);

/// How long refused tries took lately.
#[derive(Default)]
pub(super) struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    began: Option<Instant>,
    slowest: Duration,
    slowest_before: Duration,
}

impl Pace {
    /// Notes how long a source, or a try that is refused, took until now.
    pub(super) fn note(&self, now: Instant, took: Duration) {
        let mut state = self.state(now);
        state.slowest = state.slowest.max(took);
    }

    /// How long a try takes that is refused.
    pub(super) fn of_refusals(&self, now: Instant) -> Duration {
        let state = self.state(now);
        state.slowest.max(state.slowest_before).clamp(LEAST, MOST)
    }

    /// The state of the period that is now.
    fn state(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = state.began.map(|began| now - began);
        if passed.is_none_or(|passed| passed >= PERIOD) {
            let lately = passed.is_some_and(|passed| passed < 2 * PERIOD);
            state.slowest_before = if lately {
                state.slowest
            } else {
                Duration::ZERO
            };
            state.slowest = Duration::ZERO;
            state.began = Some(now);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_01_all_wait_for_the_slowest_of_late() {
        let (pace, start) = (Pace::default(), Instant::now());
        let refused = |seconds, took| {
            let now = start + Duration::from_secs(seconds);
            pace.note(now, took);
            pace.of_refusals(now)
        };
        let milliseconds = Duration::from_millis;
        let quick = milliseconds(10);
        assert_eq!(refused(0, quick), LEAST);
        assert_eq!(refused(1, milliseconds(900)), milliseconds(900));
        for _ in 0..1_000 {
            assert_eq!(refused(2, quick), milliseconds(900));
        }
        assert_eq!(refused(599, quick), milliseconds(900));
        // In the next period it still counts, and then no more.
        assert_eq!(refused(600, milliseconds(500)), milliseconds(900));
        assert_eq!(refused(1_200, quick), milliseconds(500));
        assert_eq!(refused(9_999, quick), LEAST);
        // A source that hangs holds nobody up for as long as it does.
        assert_eq!(refused(9_999, Duration::from_secs(30)), MOST);
    }
}
