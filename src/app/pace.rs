//! How soon a refused password is answered.
//!
//! Where others than the gateway check passwords too, the time of an answer would tell whose a name
//! is: one of the gateway's own is judged at once, an unknown one after every source was asked. So
//! all refusals wait as long as the slowest one of late took.

use std::sync::{Mutex, PoisonError};
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
    /// Notes how long a source took that answered now.
    pub(super) fn answered(&self, now: Instant, took: Duration) {
        self.refused(now, took);
    }

    /// Notes how long a try took that is refused now, and says how long it should take.
    pub(super) fn refused(&self, now: Instant, took: Duration) -> Duration {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let periods = state
            .began
            .map(|began| (now - began).div_duration_f64(PERIOD));
        if periods.is_none_or(|periods| periods >= 1.0) {
            let lately = periods.is_some_and(|periods| periods < 2.0);
            state.slowest_before = if lately {
                state.slowest
            } else {
                Duration::ZERO
            };
            state.slowest = Duration::ZERO;
            state.began = Some(now);
        }
        state.slowest = state.slowest.max(took);
        state.slowest.max(state.slowest_before).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_01_all_wait_for_the_slowest_of_late() {
        let (pace, start) = (Pace::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let milliseconds = Duration::from_millis;
        let quick = milliseconds(10);
        assert_eq!(pace.refused(start, quick), LEAST);
        assert_eq!(pace.refused(after(1), milliseconds(900)), milliseconds(900));
        for _ in 0..1_000 {
            assert_eq!(pace.refused(after(2), quick), milliseconds(900));
        }
        assert_eq!(pace.refused(after(599), quick), milliseconds(900));
        // In the next period it still counts, and then no more.
        assert_eq!(
            pace.refused(after(600), milliseconds(500)),
            milliseconds(900)
        );
        assert_eq!(pace.refused(after(1_200), quick), milliseconds(500));
        assert_eq!(pace.refused(after(9_999), quick), LEAST);
        // A source that hangs holds nobody up for as long as it does.
        assert_eq!(pace.refused(after(9_999), Duration::from_secs(30)), MOST);
    }
}
