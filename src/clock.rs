//! The clock: the only place of the program that reads the time.
//!
//! Everything else is given a `now`. A simulated clock stands still until it is told to move, and
//! all its clones show the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::{Millis, Timestamp};

/// Where the time comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` until it is set or advanced.
    #[must_use]
    pub fn simulated(start: Timestamp) -> Self {
        Self(Source::Simulated(Arc::new(AtomicI64::new(start.0))))
    }

    /// The time, in milliseconds since 1970 (negative where the system's clock is set before).
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Simulated(millis) => Timestamp(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a simulated clock by `length`, which may be negative.
    ///
    /// # Panics
    ///
    /// For the system's clock, which nobody here may set.
    pub fn advance(&self, length: Millis) {
        self.simulated_millis()
            .fetch_add(length.0, Ordering::SeqCst);
    }

    /// Sets a simulated clock.
    ///
    /// # Panics
    ///
    /// For the system's clock, which nobody here may set.
    pub fn set(&self, to: Timestamp) {
        self.simulated_millis().store(to.0, Ordering::SeqCst);
    }

    fn simulated_millis(&self) -> &AtomicI64 {
        match &self.0 {
            Source::System => panic!("only a simulated clock can be set"),
            Source::Simulated(millis) => millis,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the system's clock"
)]
fn system_now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp(saturating_millis(since.as_millis())),
        Err(before) => Timestamp(-saturating_millis(before.duration().as_millis())),
    }
}

fn saturating_millis(millis: u128) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_when_told_and_its_clones_move_along() {
        let clock = Clock::simulated(Timestamp(1_000));
        let other = clock.clone();
        assert_eq!(clock.now(), Timestamp(1_000));
        clock.advance(Millis(5));
        assert_eq!(other.now(), Timestamp(1_005));
        other.advance(Millis(-10));
        assert_eq!(clock.now(), Timestamp(995));
        other.set(Timestamp(7));
        assert_eq!(clock.now(), Timestamp(7));
    }

    #[test]
    fn the_system_clock_is_past_the_making_of_this_program() {
        assert!(Clock::system().now() > "2025-01-01T00:00:00.000Z".parse().unwrap());
    }

    #[test]
    #[should_panic(expected = "only a simulated clock can be set")]
    fn the_system_clock_cannot_be_set() {
        Clock::system().set(Timestamp(0));
    }
}
