//! A document on the `AccessPoint` page: what is the same for everybody is rendered once, for as
//! long as the document stays what it is.

use askama::Template;

use super::Frame;
use crate::domain::client::ClientKind;
use crate::domain::time::Timestamp;
use crate::text::{Dates, FileSize};

/// What a tile says of its document.
#[derive(Clone, Copy, Debug)]
pub struct DocumentFacts<'a> {
    /// The id, of the characters `A-Za-z0-9_-`.
    pub id: &'a str,
    /// The title.
    pub title: &'a str,
    /// The category; may be empty.
    pub category: &'a str,
    /// The size in bytes.
    pub size_bytes: u64,
    /// The last change.
    pub modified_at: Timestamp,
}

/// A tile up to the value of its star.
#[derive(Template)]
#[template(path = "tile.html")]
struct TileBegin<'a> {
    document: &'a DocumentFacts<'a>,
    dates: Dates,
}

/// What ends a tile of a page: whether the document is marked, the person's token, the list that it
/// stands in, their ways to open it.
#[derive(Template)]
#[template(path = "tile_end.html")]
pub(super) struct TileEnd<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) marked: bool,
    pub(super) search: &'a str,
    pub(super) category: Option<&'a str>,
    pub(super) clients: &'a [ClientKind],
}

impl DocumentFacts<'_> {
    /// Renders the part of the tile that is the same for everybody.
    ///
    /// # Errors
    ///
    /// The template fails.
    pub fn tile(&self, dates: Dates) -> askama::Result<String> {
        let document = self;
        TileBegin { document, dates }.render()
    }
}

impl TileBegin<'_> {
    fn size(&self) -> FileSize {
        FileSize {
            bytes: self.document.size_bytes,
            language: self.dates.language,
        }
    }
}
