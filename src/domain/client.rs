//! Client kinds: what opens a document, and whether such an open leases (R11).

use serde::{Deserialize, Serialize};

/// What a document is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// `QlikView` Desktop, by its embedded browser.
    Desktop,
    /// The Internet Explorer plug-in.
    Plugin,
    /// The zero-footprint client in a browser.
    Ajax,
    /// The file itself.
    Download,
}

impl ClientKind {
    /// Every kind, in the order in which pages offer them.
    pub const ALL: [Self; 4] = [Self::Desktop, Self::Plugin, Self::Ajax, Self::Download];

    /// Whether an open with this kind grants or renews a lease (R11).
    #[must_use]
    pub const fn leases(self) -> bool {
        matches!(self, Self::Desktop | Self::Plugin)
    }

    /// The word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Plugin => "plugin",
            Self::Ajax => "ajax",
            Self::Download => "download",
        }
    }

    /// The kind with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}
