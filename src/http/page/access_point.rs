//! The `AccessPoint` page: my licence, and the documents that I may open.

use askama::Template;

use super::Frame;
use super::mark::{CalLine, Mark};
use super::tile::TileEnd;
use crate::domain::client::ClientKind;
use crate::domain::time::Timestamp;
use crate::domain::workstation::{WorkstationId, WorkstationUse};
use crate::text::{Piece, Sentence};

/// `/`.
#[derive(Debug, Template)]
#[template(path = "access_point.html")]
pub struct AccessPointPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// My licence.
    pub license: MyLicense<'a>,
    /// The words that were searched for; may be empty.
    pub search: &'a str,
    /// The category that was chosen.
    pub category: Option<&'a str>,
    /// Every category that has documents for me.
    pub categories: &'a [CategoryLink<'a>],
    /// The documents to show that the person marked.
    pub marked: &'a [DocumentTile<'a>],
    /// The others.
    pub unmarked: &'a [DocumentTile<'a>],
    /// The kinds of client that open a document; the first is that of the *Open* button.
    pub clients: &'a [ClientKind],
    /// How many documents there are for me, shown or not.
    pub total: usize,
    /// Something good to know.
    pub notice: Option<&'a str>,
}

/// What a person's licence looks like from this workstation.
#[derive(Clone, Copy, Debug)]
pub struct MyLicense<'a> {
    /// The named CAL.
    pub cal: CalLine,
    /// The lease of this workstation.
    pub lease: LeaseHere,
    /// The workstations that count now (R13), this one included if it does.
    pub used: &'a [WorkstationUse],
    /// This workstation.
    pub this_workstation: &'a WorkstationId,
}

/// The lease of this workstation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseHere {
    /// A live lease.
    Live {
        /// Its end.
        until: Timestamp,
    },
    /// None; the next open grants one.
    ByOpening,
    /// A server's affair that nobody can tell from outside.
    LeftToServer,
    /// None; two other workstations count (R13).
    Waits {
        /// From when this one can lease.
        from: Timestamp,
    },
    /// None; the server does not lease now (R0 to R7).
    NotPossible,
    /// None; the person has no CAL, and an open gets none (R9).
    NeedsCal,
}

/// A category with its number of documents.
#[derive(Clone, Copy, Debug)]
pub struct CategoryLink<'a> {
    /// The name.
    pub name: &'a str,
    /// How many documents it has for this person.
    pub count: usize,
}

/// A document, as one person sees it.
#[derive(Clone, Copy, Debug)]
pub struct DocumentTile<'a> {
    /// What is the same for everybody, as [`DocumentFacts::tile`] renders it.
    ///
    /// [`DocumentFacts::tile`]: super::DocumentFacts::tile
    pub tile: &'a str,
    /// How it opens, where that is not as every other document does.
    pub clients: Option<&'a [ClientKind]>,
}

impl AccessPointPage<'_> {
    fn shown(&self) -> usize {
        self.marked.len() + self.unmarked.len()
    }

    fn count(&self) -> String {
        let text = &self.frame.language.text().access_point;
        (text.document_count)(self.shown())
    }

    /// What ends a tile on this page. It is the same for all that open in the same ways, and rendered,
    /// and so escaped, once for them.
    fn tile_end(&self, marked: bool, clients: &[ClientKind]) -> askama::Result<String> {
        let end = TileEnd {
            frame: self.frame,
            marked,
            search: self.search,
            category: self.category,
            clients,
        };
        end.render()
    }
}

impl MyLicense<'_> {
    fn cal_sentence(&self, frame: &Frame<'_>) -> Sentence {
        self.cal.sentence(frame)
    }

    fn lease_sentence(&self, frame: &Frame<'_>) -> Sentence {
        let text = &frame.language.text().access_point;
        match self.lease {
            LeaseHere::Live { until } => (text.lease_live)(frame.dates(), until),
            LeaseHere::ByOpening => text.lease_by_opening.into(),
            LeaseHere::LeftToServer => text.left_to_server.into(),
            LeaseHere::Waits { from } => (text.lease_waits)(frame.dates(), from),
            LeaseHere::NotPossible => text.lease_not_possible.into(),
            LeaseHere::NeedsCal => text.lease_needs_cal.into(),
        }
    }

    fn used_sentence(&self, frame: &Frame<'_>) -> Sentence {
        let text = &frame.language.text().access_point;
        let first_free = self.used.iter().map(|used| used.counts_until).min();
        (text.workstations_used)(frame.dates(), self.used.len(), first_free)
    }

    fn used_mark(&self) -> Mark {
        match self.used.len() {
            0 | 1 => Mark::Neutral,
            _ => Mark::Waiting,
        }
    }

    fn is_this(&self, used: &WorkstationUse) -> bool {
        used.workstation.id == *self.this_workstation
    }
}

impl LeaseHere {
    const fn mark(self) -> Mark {
        match self {
            Self::Live { .. } => Mark::Granted,
            Self::ByOpening | Self::LeftToServer => Mark::Neutral,
            Self::Waits { .. } => Mark::Waiting,
            Self::NotPossible | Self::NeedsCal => Mark::Refused,
        }
    }
}
