//! What became of the lease after a launch, in front of an estate.

use askama::Template;

use super::Frame;
use super::mark::Mark;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::text::{Piece, Sentence, Touches};

/// `/account/lease`. While it is waited, the handler has the page come again by itself.
#[derive(Debug, Template)]
#[template(path = "lease_outcome.html")]
pub struct LeaseOutcomePage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// What was seen.
    pub seen: LeaseSeen<'a>,
    /// Why the rules expect none, where they do.
    pub refusal: Option<&'a Refusal>,
}

/// What was seen of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseSeen<'a> {
    /// Nothing was opened from here that leases.
    NothingOpened,
    /// It is still looked for.
    Waiting,
    /// The server leased.
    Leased {
        /// What the server calls the machine.
        machine: &'a str,
        /// The end of the lease.
        until: Timestamp,
    },
    /// The server leased to nobody in time.
    NotLeased,
}

impl LeaseOutcomePage<'_> {
    const fn mark(&self) -> Mark {
        match self.seen {
            LeaseSeen::NothingOpened => Mark::Neutral,
            LeaseSeen::Waiting => Mark::Waiting,
            LeaseSeen::Leased { .. } => Mark::Granted,
            LeaseSeen::NotLeased => Mark::Refused,
        }
    }

    fn sentence(&self) -> Sentence {
        let text = &self.frame.language.text().hand_over;
        match self.seen {
            LeaseSeen::NothingOpened => text.nothing_opened.into(),
            LeaseSeen::Waiting => text.still_watching.into(),
            LeaseSeen::Leased { machine, until } => {
                (text.leased_to)(self.frame.dates(), machine, until)
            }
            LeaseSeen::NotLeased => text.not_leased.into(),
        }
    }

    /// Why there was none, as far as the rules know.
    fn reason(&self) -> Option<Sentence> {
        let refusal = self.refusal.filter(|_| self.seen == LeaseSeen::NotLeased)?;
        let text = &self.frame.language.text().refusal;
        Some((text.to_user)(refusal, Touches::Lease, self.frame.now))
    }
}
