//! The hand-over page: what became of an open, and what comes next.

use askama::Template;

use super::Frame;
use super::mark::Mark;
use super::refused::RuleLine;
use crate::domain::client::ClientKind;
use crate::domain::refusal::Refusal;
use crate::domain::time::{Millis, Timestamp};
use crate::text::{Piece, Sentence, Span, Touches};

/// The answer to an open with access granted. The `Refresh` header that leads on is the handler's.
#[derive(Debug, Template)]
#[template(path = "hand_over.html")]
pub struct HandOverPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The title of the document.
    pub document_title: &'a str,
    /// What it is opened with.
    pub client: ClientKind,
    /// What became of the lease.
    pub lease: LeaseOutcome<'a>,
    /// Where the page leads on to.
    pub launch_url: &'a str,
    /// After how long it leads on by itself.
    pub leads_on_after: Millis,
    /// Whether the estate's server leases, and what it did is told afterwards.
    pub told_later: bool,
    /// A link past the gateway, where there is one.
    pub direct_link: Option<&'a str>,
    /// Every rule, for the fold; may be empty.
    pub rules: &'a [RuleLine],
}

/// What became of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome<'a> {
    /// A new lease.
    Granted {
        /// Its end.
        until: Timestamp,
    },
    /// The same lease, longer.
    Renewed {
        /// Its end.
        until: Timestamp,
    },
    /// No lease on this workstation.
    Refused {
        /// Why.
        refusal: &'a Refusal,
        /// Whether a lease that ran here ended with it (R14).
        lease_ended: bool,
    },
    /// The estate's server is expected to lease.
    Expected {
        /// The end that is expected.
        until: Timestamp,
    },
    /// Nothing can be said of what the estate's server will do.
    LeftToServer {
        /// Why.
        why: &'static str,
    },
    /// This kind of client does not lease (R11).
    NotApplicable,
}

impl HandOverPage<'_> {
    fn goes_on(&self) -> String {
        let text = &self.frame.language.text().hand_over;
        (text.goes_on)(self.client, Span::wait(self.leads_on_after))
    }

    /// Desktop takes a new lease in when it starts.
    fn relaunches(&self) -> bool {
        self.client == ClientKind::Desktop
            && matches!(
                self.lease,
                LeaseOutcome::Granted { .. }
                    | LeaseOutcome::Renewed { .. }
                    | LeaseOutcome::Expected { .. }
            )
    }
}

impl<'a> LeaseOutcome<'a> {
    const fn mark(&self) -> Mark {
        match self {
            Self::Granted { .. } | Self::Renewed { .. } => Mark::Granted,
            Self::Refused { .. } => Mark::Refused,
            Self::Expected { .. } => Mark::Waiting,
            Self::LeftToServer { .. } | Self::NotApplicable => Mark::Neutral,
        }
    }

    fn sentence(&self, frame: &Frame<'_>) -> Sentence {
        let text = frame.language.text();
        match self {
            Self::Granted { until } => (text.hand_over.granted)(frame.dates(), *until),
            Self::Renewed { until } => (text.hand_over.renewed)(frame.dates(), *until),
            Self::Refused { refusal, .. } => {
                (text.refusal.to_user)(refusal, Touches::Lease, frame.now)
            }
            Self::Expected { until } => (text.hand_over.expected)(frame.dates(), *until),
            Self::LeftToServer { why } => Sentence::from(*why),
            Self::NotApplicable => text.hand_over.lease_not_needed.into(),
        }
    }

    const fn refusal(&self) -> Option<&'a Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    const fn has_ended(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                lease_ended: true,
                ..
            }
        )
    }
}
