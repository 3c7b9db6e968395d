//! Sentences that carry their instants, so that pages can mark them up and plain text can print
//! them.

use std::borrow::Cow;
use std::fmt;

use super::moment::Moment;

/// One or more sentences: words and the moments between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    pieces: Vec<Piece>,
}

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words as they are; not escaped for any format.
    Words(Cow<'static, str>),
    /// An instant, shown as people write it.
    Moment(Moment),
}

impl Sentence {
    /// The parts, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Appends a part.
    pub(super) fn push(&mut self, piece: impl Into<Piece>) {
        self.pieces.push(piece.into());
    }

    /// Appends another sentence.
    pub(super) fn append(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }
}

/// Plain text. `UTC` is said once, after the first moment that shows an hour.
impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut zone_said = false;
        for piece in &self.pieces {
            match piece {
                Piece::Words(words) => f.write_str(words)?,
                Piece::Moment(moment) => {
                    moment.fmt(f)?;
                    if moment.shows_hour() && !zone_said {
                        f.write_str(" UTC")?;
                        zone_said = true;
                    }
                }
            }
        }
        Ok(())
    }
}

impl From<Vec<Piece>> for Sentence {
    fn from(pieces: Vec<Piece>) -> Self {
        Self { pieces }
    }
}

impl From<&'static str> for Sentence {
    fn from(words: &'static str) -> Self {
        Self::from(vec![words.into()])
    }
}

impl From<&'static str> for Piece {
    fn from(words: &'static str) -> Self {
        Self::Words(Cow::Borrowed(words))
    }
}

impl From<String> for Piece {
    fn from(words: String) -> Self {
        Self::Words(Cow::Owned(words))
    }
}

impl From<Moment> for Piece {
    fn from(moment: Moment) -> Self {
        Self::Moment(moment)
    }
}

/// A sentence out of parts, each of which becomes a [`Piece`].
macro_rules! sentence {
    ($($piece:expr),+ $(,)?) => {
        $crate::text::Sentence::from(vec![$($crate::text::Piece::from($piece)),+])
    };
}
pub(super) use sentence;
