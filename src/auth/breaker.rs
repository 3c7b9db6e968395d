//! A circuit breaker: a server that failed a few times in a row is left alone for a while, so that
//! nobody waits for it in vain and the other ways in go on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::time::{Millis, Timestamp};

/// Failures in a row after which a server is left alone.
pub const FAILURES_MAX: u32 = 3;
/// For how long it is left alone; then one request tries it again.
pub const LEFT_ALONE: Millis = Millis::seconds(30);
/// For how long after a failure a server that nobody asks passes for one that does not answer.
pub const REMEMBERED: Millis = Millis::seconds(60);

/// Whether a server may be asked.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    failed_at: Option<Timestamp>,
    left_alone_until: Option<Timestamp>,
}

impl Breaker {
    /// Whether the server may be asked now. When its time alone is over, the first who asks tries
    /// it for all.
    #[must_use]
    pub fn may_ask(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        match state.left_alone_until {
            None => true,
            // Later than it can be, where the clock was set back since.
            Some(until) if now < until && until <= now + LEFT_ALONE => false,
            Some(_) => {
                state.left_alone_until = Some(now + LEFT_ALONE);
                true
            }
        }
    }

    /// Notes that the server answered.
    pub fn answered(&self) {
        *self.state() = State::default();
    }

    /// Notes that the server failed.
    pub fn failed(&self, now: Timestamp) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.failed_at = Some(now);
        if state.failures >= FAILURES_MAX {
            state.left_alone_until = Some(now + LEFT_ALONE);
        }
    }

    /// Whether the server failed when it was asked last, a moment ago.
    #[must_use]
    pub fn is_failing(&self, now: Timestamp) -> bool {
        let failed_at = self.state().failed_at;
        failed_at.is_some_and(|failed_at| failed_at <= now && now < failed_at + REMEMBERED)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    #[test]
    fn three_failures_in_a_row_leave_a_server_alone_and_then_one_tries_for_all() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            breaker.failed(START);
            assert!(breaker.may_ask(START) && breaker.is_failing(START));
        }
        breaker.failed(START);
        assert!(!breaker.may_ask(START));
        assert!(!breaker.may_ask(START + LEFT_ALONE - Millis(1)));
        assert!(breaker.may_ask(START + LEFT_ALONE));
        assert!(!breaker.may_ask(START + LEFT_ALONE));
        // A clock that is set back leaves it alone no longer.
        let hour_before = START - Millis::hours(1);
        assert!(breaker.may_ask(hour_before) && !breaker.is_failing(hour_before));
        breaker.answered();
        assert!(breaker.may_ask(START) && !breaker.is_failing(START));
    }

    #[test]
    fn a_failure_is_forgotten_when_nobody_asked_for_a_while() {
        let breaker = Breaker::default();
        breaker.failed(START);
        assert!(breaker.is_failing(START + REMEMBERED - Millis(1)));
        assert!(!breaker.is_failing(START + REMEMBERED));
    }

    #[test]
    fn an_answer_in_between_begins_the_count_anew() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed(START);
            breaker.failed(START);
            breaker.answered();
        }
        assert!(breaker.may_ask(START));
    }
}
