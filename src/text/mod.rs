//! Everything that the gateway says to people, one catalogue per language.
//!
//! Pages, API problems and the command line (which speaks English) take their sentences from here.
//! A catalogue is one value of [`Text`]: labels are plain fields, sentences with arguments are
//! functions, so a text that a language lacks does not compile.
//!
//! This layer imports `domain` only. It formats, and it decides nothing.

mod de;
mod en;
mod labels;
mod moment;
mod problem;
mod sentence;

pub use labels::{
    AccessPointText, AccountText, AskText, DesktopText, ErrorText, FrameText, HandOverText,
    MarkText, NoticeText, RefusalText, RefusedText, SecondFactorText, SignInText, Text, TimeText,
};
pub use moment::{Dates, FileSize, Moment, Span};
pub use problem::{Problem, ProblemText};
pub use sentence::{Piece, Sentence};

use crate::domain::workstation::WorkstationUse;

/// A language that the gateway speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English, complete; what is spoken where nothing else is known.
    #[default]
    English,
    /// German.
    German,
}

/// What a refusal keeps a person from (R16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touches {
    /// The document does not open.
    Open,
    /// The document opens; only the lease is refused.
    Lease,
}

impl Language {
    /// Every language, in the order in which pages offer them.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The word by which a person chooses the language, and its tag in HTML.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The language with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.word() == word)
    }

    /// The name of the language in itself.
    #[must_use]
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// The catalogue of the language.
    #[must_use]
    pub const fn text(self) -> &'static Text {
        match self {
            Self::English => &en::TEXT,
            Self::German => &de::TEXT,
        }
    }

    /// The best language for the value of an `Accept-Language` header: the one with the highest
    /// `q`, the first of equals; English where none fits.
    #[must_use]
    pub fn from_accept_language(header: &str) -> Self {
        let mut best = (Self::default(), 0);
        for range in header.split(',') {
            let Some((language, quality)) = accepted(range) else {
                continue;
            };
            if quality > best.1 {
                best = (language, quality);
            }
        }
        best.0
    }
}

/// The workstations that have to fall silent: all but the one used last (R13 allows one other).
fn to_fall_silent(others: &[WorkstationUse]) -> &[WorkstationUse] {
    &others[..others.len().saturating_sub(1)]
}

/// The language and the quality (in thousandths) of one range of an `Accept-Language` header.
fn accepted(range: &str) -> Option<(Language, u32)> {
    let mut parts = range.split(';').map(str::trim);
    let tag = parts.next()?;
    let quality = match parts.find_map(|part| part.strip_prefix("q=")) {
        Some(value) => thousandths(value)?,
        None => 1000,
    };
    let primary = tag.split('-').next()?;
    if primary == "*" {
        return Some((Language::default(), quality));
    }
    let language = Language::ALL
        .into_iter()
        .find(|language| language.word().eq_ignore_ascii_case(primary))?;
    Some((language, quality))
}

/// A quality value from `0` to `1` with at most three decimals, in thousandths.
fn thousandths(value: &str) -> Option<u32> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
