//! Marks, which carry a state together with a word, and the states that several pages show.

use super::Frame;
use super::static_files::{StaticFile, StaticFiles};
use crate::domain::time::Timestamp;
use crate::text::Sentence;

/// The shape and colour beside a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A green circle with a check.
    Granted,
    /// A red octagon with a cross.
    Refused,
    /// An amber diamond with a clock.
    Waiting,
    /// A slate square with a dash.
    Neutral,
}

impl StaticFiles {
    /// The picture of a mark.
    pub(super) const fn mark(&self, mark: Mark) -> &StaticFile {
        match mark {
            Mark::Granted => &self.granted,
            Mark::Refused => &self.refused,
            Mark::Waiting => &self.waiting,
            Mark::Neutral => &self.neutral,
        }
    }
}

/// A person's named CAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalLine {
    /// Assigned.
    Assigned {
        /// Since when.
        since: Timestamp,
    },
    /// Assigned by a server that does not tell since when.
    AssignedThere,
    /// A server's affair that nobody can tell from outside.
    LeftToServer,
    /// Taken back, in quarantine.
    Quarantined {
        /// When it was taken back.
        since: Timestamp,
        /// When the quarantine ends.
        until: Timestamp,
    },
    /// None yet; the next open assigns one.
    AssignedByOpening,
    /// None, and only an administrator can assign one.
    Missing,
    /// The server has no licence.
    LicenseMissing,
}

impl CalLine {
    pub(super) const fn mark(self) -> Mark {
        match self {
            Self::Assigned { .. } | Self::AssignedThere => Mark::Granted,
            Self::Quarantined { .. } => Mark::Waiting,
            Self::AssignedByOpening | Self::LeftToServer => Mark::Neutral,
            Self::Missing | Self::LicenseMissing => Mark::Refused,
        }
    }

    pub(super) fn sentence(self, frame: &Frame<'_>) -> Sentence {
        let text = &frame.language.text().access_point;
        match self {
            Self::Assigned { since } => (text.cal_assigned)(frame.dates(), since),
            Self::AssignedThere => text.cal_assigned_there.into(),
            Self::LeftToServer => text.left_to_server.into(),
            Self::Quarantined { since, until } => {
                (text.cal_quarantined)(frame.dates(), since, until)
            }
            Self::AssignedByOpening => text.cal_assigned_by_opening.into(),
            Self::Missing => text.cal_missing.into(),
            Self::LicenseMissing => text.license_missing.into(),
        }
    }
}
