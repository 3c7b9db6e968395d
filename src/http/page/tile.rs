//! A document on the `AccessPoint` page: what is the same for everybody is rendered once, for as
//! long as the document stays what it is.

use askama::Template;

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

/// The markup of a tile, apart where each person's own comes between: their token behind `form`,
/// their mark behind `title`, their ways to open behind `facts`.
#[derive(Debug)]
pub struct Tile {
    pub(super) form: String,
    pub(super) title: String,
    pub(super) facts: String,
}

#[derive(Template)]
#[template(path = "tile.html")]
struct TilePart<'a> {
    part: Part,
    document: &'a DocumentFacts<'a>,
    dates: Dates,
}

enum Part {
    Form,
    Title,
    Facts,
}

impl Tile {
    /// Renders what a tile says.
    ///
    /// # Errors
    ///
    /// The template fails.
    pub fn render(document: &DocumentFacts<'_>, dates: Dates) -> askama::Result<Self> {
        let render = |part| {
            TilePart {
                part,
                document,
                dates,
            }
            .render()
        };
        Ok(Self {
            form: render(Part::Form)?,
            title: render(Part::Title)?,
            facts: render(Part::Facts)?,
        })
    }
}

impl TilePart<'_> {
    fn size(&self) -> FileSize {
        FileSize {
            bytes: self.document.size_bytes,
            language: self.dates.language,
        }
    }
}
