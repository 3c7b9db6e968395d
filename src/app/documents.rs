//! The documents that a person sees: searched, by category, favourites first.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::App;
use super::estate::EstateError;
use crate::documents::{Document, Snapshot, document_id};
use crate::domain::document::{DocumentId, fold};
use crate::domain::open::RequestedDocument;
use crate::domain::person::Person;
use crate::domain::workstation::Workstation;
use crate::store::{SessionInfo, Standing, StoreError};

/// Which documents are wanted.
#[derive(Clone, Debug, Default)]
pub struct DocumentQuery {
    /// Words that title or category must hold, without regard to case.
    pub search: String,
    /// Only this category.
    pub category: Option<String>,
}

/// The documents of one picture of the folder.
pub struct DocumentList {
    /// The picture; the places below point into it.
    pub snapshot: Arc<Snapshot>,
    /// Places of the documents found, favourites first.
    pub found: Vec<usize>,
    /// The ids that the person marked.
    pub favourites: HashSet<String>,
    /// Categories of all documents that the person may see, with counts; the empty name stands
    /// for documents without one.
    pub categories: BTreeMap<String, usize>,
    /// How many documents the person may see.
    pub visible: usize,
}

impl DocumentList {
    /// The documents found, favourites first.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.found
            .iter()
            .filter_map(|place| self.snapshot.documents().get(*place))
    }

    /// The places of the documents found that the person marked, and those of the others.
    #[must_use]
    pub fn by_mark(&self) -> (&[usize], &[usize]) {
        let marked = |place: &usize| self.is_favourite(*place);
        self.found.split_at(self.found.partition_point(marked))
    }

    /// Whether the person marked the document at this place.
    #[must_use]
    pub fn is_favourite(&self, place: usize) -> bool {
        let document = self.snapshot.documents().get(place);
        document.is_some_and(|document| self.favourites.contains(document.id.as_str()))
    }
}

impl App {
    /// The documents as they are for the person of a session: those of the folder, or those that the
    /// web server of the estate lists for them.
    ///
    /// # Errors
    ///
    /// No web server answers, or none can be used.
    pub async fn documents_for(&self, session: &SessionInfo) -> Result<Arc<Snapshot>, EstateError> {
        let folder = self.library().snapshot();
        match self.estate() {
            None => Ok(folder),
            // On the heap: whoever lists the folder must not carry its size.
            Some(estate) => Box::pin(estate.documents_of(session, folder.rules())).await,
        }
    }

    /// The documents that were last listed for somebody; none where nothing is known.
    #[must_use]
    pub fn last_documents_of(&self, person: &Person) -> Arc<Snapshot> {
        let last = self
            .estate()
            .and_then(|estate| estate.last_documents_of(&person.id));
        last.unwrap_or_else(|| {
            let rules = Arc::clone(self.library().snapshot().rules());
            Arc::new(Snapshot::told(Vec::new(), rules))
        })
    }

    /// The documents that a person may see and that fit the query.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn documents(
        &self,
        snapshot: Arc<Snapshot>,
        person: &Person,
        query: &DocumentQuery,
    ) -> Result<DocumentList, StoreError> {
        let favourites = self.ledger().favourites(&person.id)?;
        Ok(listed(snapshot, person, query, favourites))
    }

    /// The same, and where the person stands on a workstation, whatever they open: what their page
    /// shows, read together.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn documents_and_standing(
        &self,
        snapshot: Arc<Snapshot>,
        person: &Person,
        query: &DocumentQuery,
        workstation: &Workstation,
    ) -> Result<(DocumentList, Standing), StoreError> {
        let (standing, favourites) = self.standing_and_favourites(person, workstation)?;
        Ok((listed(snapshot, person, query, favourites), standing))
    }

    /// A document as an explanation asks for it on somebody's behalf, by id or by name. The web server
    /// of an estate lists documents to nobody but themselves: what it listed last to them counts, and
    /// where nothing is known every document is taken to be visible.
    #[must_use]
    pub fn requested_by_name(&self, person: &Person, id_or_name: &str) -> RequestedDocument {
        let snapshot = match self.estate() {
            None => Some(self.library().snapshot()),
            Some(estate) => estate.last_documents_of(&person.id),
        };
        match snapshot {
            Some(snapshot) => requested(&snapshot, person, &document_named(&snapshot, id_or_name)),
            None => RequestedDocument {
                id: id_or_name.to_owned(),
                name: Some(id_or_name.to_owned()),
            },
        }
    }
}

/// A document as an open asks for it: its name only where the person may see it (R8).
#[must_use]
pub fn requested(snapshot: &Snapshot, person: &Person, id: &str) -> RequestedDocument {
    let visible = snapshot.get_visible(&DocumentId::from(id), &person.name, &person.groups);
    RequestedDocument {
        id: id.to_owned(),
        name: visible.map(|document| document.name.clone()),
    }
}

/// The id of a document that was given by id or by name.
#[must_use]
pub fn document_named(snapshot: &Snapshot, id_or_name: &str) -> String {
    let mut documents = snapshot.documents().iter();
    let named = documents.find(|document| document.name == id_or_name);
    named.map_or_else(
        || id_or_name.to_owned(),
        |document| document.id.as_str().to_owned(),
    )
}

/// The id of the document that a link of `QlikView` names for somebody: by `HOST|PATH`, by its path
/// alone, with either slash and in any case, or by its id. Where the gateway's own folder is meant
/// there is one server, so the host does not matter. For a name that nothing has, the id that it would
/// have.
#[must_use]
pub fn linked_document(snapshot: &Snapshot, person: &Person, link: &str) -> String {
    let (host, path) = match link.rsplit_once('|') {
        Some((host, path)) => (Some(host), path),
        None => (None, link),
    };
    let path = path.replace('\\', "/");
    let is_there = |document: &&Document| match (&document.server, host) {
        (Some(server), Some(host)) => server.eq_ignore_ascii_case(host),
        _ => true,
    };
    let visible = || {
        let all = snapshot.visible_to(&person.name, &person.groups);
        all.filter(is_there)
    };
    if let Some(document) = visible().find(|document| document.id.as_str() == link) {
        return document.id.as_str().to_owned();
    }
    let folded = fold(&path);
    let found = visible()
        .find(|document| document.name == path)
        .or_else(|| visible().find(|document| fold(&document.name) == folded));
    let id = found.map_or_else(|| document_id(&path), |document| document.id.clone());
    id.as_str().to_owned()
}

/// The documents of a picture that a person may see and that fit the query.
fn listed(
    snapshot: Arc<Snapshot>,
    person: &Person,
    query: &DocumentQuery,
    favourites: Vec<String>,
) -> DocumentList {
    let mut visible = Vec::with_capacity(snapshot.documents().len());
    visible.extend(snapshot.visible_places(&person.name, &person.groups));
    let mut found = matching(&visible, query);
    let favourites: HashSet<String> = favourites.into_iter().collect();
    if !favourites.is_empty() {
        let documents = snapshot.documents();
        found.sort_by_key(|place| !favourites.contains(documents[*place].id.as_str()));
    }
    DocumentList {
        found,
        favourites,
        categories: count_by_category(&visible),
        visible: visible.len(),
        snapshot,
    }
}

/// The places of those documents that fit the query.
fn matching(documents: &[(usize, &Document)], query: &DocumentQuery) -> Vec<usize> {
    let words: Vec<String> = query.search.split_whitespace().map(fold).collect();
    let wanted = query.category.as_deref();
    let fits = |document: &Document| {
        wanted.is_none_or(|wanted| wanted == category(document)) && holds_words(document, &words)
    };
    let mut places = Vec::with_capacity(documents.len());
    places.extend(
        documents
            .iter()
            .filter(|(_, document)| fits(document))
            .map(|(place, _)| *place),
    );
    places
}

/// How many of those documents each category has.
fn count_by_category(documents: &[(usize, &Document)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    // A category is a folder, and documents stand in the order of their paths: it comes in runs.
    for run in documents.chunk_by(|(_, one), (_, next)| one.category == next.category) {
        *counts.entry(category(run[0].1).to_owned()).or_default() += run.len();
    }
    counts
}

fn category(document: &Document) -> &str {
    document.category.as_deref().unwrap_or_default()
}

fn holds_words(document: &Document, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = fold(&document.name);
    words.iter().all(|word| text.contains(word))
}
