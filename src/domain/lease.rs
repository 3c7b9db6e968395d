//! Licence leases: granted and renewed by opens, ended by time, people or rules (R12 to R15, R19).

use serde::{Deserialize, Serialize};

use super::opaque_id;
use super::person::PersonId;
use super::time::{DAY_MS, Millis, Timestamp};
use super::workstation::Workstation;

opaque_id! {
    /// The id of a lease; a renewal keeps it (R20).
    LeaseId
}

/// How long after its last grant or renewal a lease should be renewed, without jitter.
const RENEW_AFTER: Millis = Millis::days(25);

/// The state of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseState {
    /// Valid until its end.
    Live,
    /// Its end has come.
    Expired,
    /// Ended by an administrator or by R14.
    Revoked,
    /// Ended by its person.
    Released,
}

impl LeaseState {
    /// The word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Released => "released",
        }
    }

    /// The state with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Live, Self::Expired, Self::Revoked, Self::Released]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// A lease of one person on one workstation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The id.
    pub id: LeaseId,
    /// Whose it is.
    pub person: PersonId,
    /// Where it is valid.
    pub workstation: Workstation,
    /// As stored; see [`Lease::state_at`].
    pub state: LeaseState,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// The last grant or renewal: its event in R13.
    pub renewed_at: Timestamp,
    /// The exclusive end.
    pub expires_at: Timestamp,
    /// When it was revoked or released.
    pub ended_at: Option<Timestamp>,
    /// Whether its event counts in R13; lifting the workstation clears this (R19).
    pub counts: bool,
}

impl Lease {
    /// Whether the lease is valid at this instant.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == LeaseState::Live && now < self.expires_at
    }

    /// The state at this instant: a live one whose end has come is expired.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> LeaseState {
        match self.state {
            LeaseState::Live if now >= self.expires_at => LeaseState::Expired,
            state => state,
        }
    }

    /// Whether its event counts in R13 at this instant.
    #[must_use]
    pub fn counts_at(&self, now: Timestamp, window: Millis) -> bool {
        self.counts && now < self.renewed_at + window
    }

    /// From when the lease should be renewed: day 25 and up to a day more, fixed for each lease,
    /// so that a fleet that leased together does not come back together.
    #[must_use]
    pub fn renew_after(&self) -> Timestamp {
        let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = self.id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        let jitter = i64::try_from(hash % DAY_MS.unsigned_abs()).unwrap_or(0);
        self.renewed_at + RENEW_AFTER + Millis(jitter)
    }
}
