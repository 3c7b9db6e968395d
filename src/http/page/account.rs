//! The account page: my CAL, leases, workstations, sessions, password, language.

use askama::Template;

use super::Frame;
use super::mark::{CalLine, Mark};
use crate::domain::time::Timestamp;
use crate::text::{Piece, Sentence};

/// `/account`.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct AccountPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Something that was done.
    pub notice: Option<&'a str>,
    /// Something that could not be done.
    pub failure: Option<&'a str>,
    /// The named CAL.
    pub cal: CalLine,
    /// Leases, live ones first, ended ones for 90 days.
    pub leases: &'a [LeaseRow<'a>],
    /// Workstations.
    pub workstations: &'a [WorkstationRow<'a>],
    /// Sessions, this one included.
    pub sessions: &'a [SessionRow<'a>],
    /// Whether leases are ours to end.
    pub can_release: bool,
    /// How many second factors the person has.
    pub second_factors: usize,
    /// Whether the password is ours to change.
    pub can_change_password: bool,
}

/// One lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRow<'a> {
    /// The id.
    pub id: &'a str,
    /// The name of its workstation.
    pub workstation_name: &'a str,
    /// Its state.
    pub state: LeaseState,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// When it was last renewed, if it was.
    pub renewed_at: Option<Timestamp>,
    /// When it ends or ended.
    pub expires_at: Timestamp,
}

/// The state of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It runs.
    Live,
    /// It ran to its end.
    Expired,
    /// It was taken (R14, R19).
    Revoked,
    /// The person ended it.
    Released,
}

/// One workstation.
#[derive(Clone, Copy, Debug)]
pub struct WorkstationRow<'a> {
    /// The public id.
    pub id: &'a str,
    /// The name.
    pub name: &'a str,
    /// The last grant or renewal on it.
    pub last_leased_at: Option<Timestamp>,
    /// Whether it is the one of this request.
    pub is_this: bool,
}

/// One session.
#[derive(Clone, Copy, Debug)]
pub struct SessionRow<'a> {
    /// The public id; never the value of a cookie.
    pub id: &'a str,
    /// Where it is: workstation, address, program.
    pub label: &'a str,
    /// When it began.
    pub signed_in_at: Timestamp,
    /// When it was last used.
    pub last_seen_at: Timestamp,
    /// Whether it is the one of this request.
    pub is_this: bool,
}

impl LeaseState {
    const fn mark(self) -> Mark {
        match self {
            Self::Live => Mark::Granted,
            Self::Revoked => Mark::Refused,
            Self::Expired | Self::Released => Mark::Neutral,
        }
    }

    const fn label(self, frame: &Frame<'_>) -> &'static str {
        let text = &frame.language.text().account;
        match self {
            Self::Live => text.lease_live,
            Self::Expired => text.lease_expired,
            Self::Revoked => text.lease_revoked,
            Self::Released => text.lease_released,
        }
    }

    const fn is_live(self) -> bool {
        matches!(self, Self::Live)
    }
}

impl WorkstationRow<'_> {
    fn last_leased(&self, frame: &Frame<'_>) -> Sentence {
        let text = &frame.language.text().account;
        match self.last_leased_at {
            Some(at) => (text.last_leased)(frame.dates(), at),
            None => text.never_leased.into(),
        }
    }
}
