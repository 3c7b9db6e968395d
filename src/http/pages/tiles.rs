//! The tiles of the documents, rendered once for each language until the documents change.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use crate::documents::Snapshot;
use crate::http::page::DocumentFacts;
use crate::text::Dates;

/// Tiles that were rendered. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Tiles(Arc<RwLock<Vec<Arc<Rendered>>>>);

/// The tiles of one picture of the documents, in its order.
pub(super) struct Rendered {
    snapshot: Arc<Snapshot>,
    dates: Dates,
    /// All tiles in a row, which a page reads through faster than texts here and there.
    text: String,
    /// Where each of them stands.
    tiles: Vec<Range<usize>>,
}

impl Tiles {
    /// The tiles of this picture, dates written as here.
    pub(super) fn of(
        &self,
        snapshot: &Arc<Snapshot>,
        dates: Dates,
    ) -> askama::Result<Arc<Rendered>> {
        if let Some(rendered) = self.kept(snapshot, dates) {
            return Ok(rendered);
        }
        let rendered = Arc::new(Rendered::new(snapshot, dates)?);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.dates.language != dates.language);
        kept.push(Arc::clone(&rendered));
        Ok(rendered)
    }

    fn kept(&self, snapshot: &Arc<Snapshot>, dates: Dates) -> Option<Arc<Rendered>> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |kept: &&Arc<Rendered>| {
            Arc::ptr_eq(&kept.snapshot, snapshot)
                && kept.dates.language == dates.language
                && kept.dates.year() == dates.year()
        };
        kept.iter().find(fits).cloned()
    }
}

impl Rendered {
    fn new(snapshot: &Arc<Snapshot>, dates: Dates) -> askama::Result<Self> {
        let mut rendered = Self {
            snapshot: Arc::clone(snapshot),
            dates,
            text: String::new(),
            tiles: Vec::with_capacity(snapshot.documents().len()),
        };
        for document in snapshot.documents() {
            let facts = DocumentFacts {
                id: document.id.as_str(),
                title: &document.title,
                category: document.category.as_deref().unwrap_or_default(),
                size_bytes: document.size_bytes,
                modified_at: document.modified_at,
            };
            let begin = rendered.text.len();
            rendered.text.push_str(&facts.tile(dates)?);
            rendered.tiles.push(begin..rendered.text.len());
        }
        rendered.text.shrink_to_fit();
        Ok(rendered)
    }

    /// The tile of the document at this place of the picture.
    pub(super) fn tile(&self, place: usize) -> Option<&str> {
        self.text.get(self.tiles.get(place)?.clone())
    }
}
