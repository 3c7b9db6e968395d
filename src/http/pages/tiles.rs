//! The tiles of the documents, rendered once for each language until the documents change.

use std::sync::{Arc, PoisonError, RwLock};

use crate::documents::Snapshot;
use crate::http::page::{DocumentFacts, Tile};
use crate::text::Dates;

/// Tiles that were rendered. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Tiles(Arc<RwLock<Vec<Arc<Rendered>>>>);

/// The tiles of one picture of the documents, in its order.
pub(super) struct Rendered {
    snapshot: Arc<Snapshot>,
    dates: Dates,
    tiles: Vec<Tile>,
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
        let tile = |document: &crate::documents::Document| {
            let facts = DocumentFacts {
                id: document.id.as_str(),
                title: &document.title,
                category: document.category.as_deref().unwrap_or_default(),
                size_bytes: document.size_bytes,
                modified_at: document.modified_at,
            };
            Tile::render(&facts, dates)
        };
        let tiles: askama::Result<Vec<Tile>> = snapshot.documents().iter().map(tile).collect();
        Ok(Self {
            snapshot: Arc::clone(snapshot),
            dates,
            tiles: tiles?,
        })
    }

    /// The tile of the document at this place of the picture.
    pub(super) fn tile(&self, place: usize) -> Option<&Tile> {
        self.tiles.get(place)
    }
}
