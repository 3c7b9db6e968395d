//! Named CALs: assigned, in quarantine, or none (R9, R10).

use serde::{Deserialize, Serialize};

use super::person::PersonId;
use super::time::Timestamp;

/// A named CAL that is taken; a free one has no holder and is only counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCal {
    /// Whose it is or was.
    pub person: PersonId,
    /// Assigned or in quarantine.
    pub state: CalState,
    /// When it was assigned; giving it back does not change this.
    pub assigned_at: Timestamp,
    /// The last open with access since it was assigned; none means unused (R10).
    pub last_used_at: Option<Timestamp>,
}

/// The state of a CAL that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CalState {
    /// The person holds it.
    Assigned,
    /// It was taken from the person after use and rests: it counts as taken (R10).
    Quarantined {
        /// When it was taken back.
        since: Timestamp,
        /// When it is free for others; exclusive.
        until: Timestamp,
    },
}

impl NamedCal {
    /// Whether the person holds it.
    #[must_use]
    pub const fn is_assigned(&self) -> bool {
        matches!(self.state, CalState::Assigned)
    }

    /// Whether it still counts as taken at this instant.
    #[must_use]
    pub fn is_taken(&self, now: Timestamp) -> bool {
        match self.state {
            CalState::Assigned => true,
            CalState::Quarantined { until, .. } => now < until,
        }
    }
}
