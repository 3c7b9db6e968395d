//! The library: the last picture of the documents folder, and how it is renewed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::scan::{Document, Scan, Unreadable, scan, sort};
use super::{OpenFile, Rules, open};
use crate::domain::document::DocumentId;

/// The documents folder. Cheap to clone; all clones show the same picture.
#[derive(Clone, Debug)]
pub struct Library(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Held for short swaps alone, never while the disk is read.
    picture: RwLock<Arc<Snapshot>>,
    /// One reading of the tree at a time; holds the names that were warned about.
    scanning: Mutex<HashSet<PathBuf>>,
}

/// The folder at one instant. It does not change; take a new one for each request.
#[derive(Debug)]
pub struct Snapshot {
    documents: Vec<Document>,
    places: HashMap<DocumentId, usize>,
    rules: Arc<Rules>,
    problem: Option<String>,
    /// Whether the root itself could not be read, so that the documents are those of earlier.
    root_unreadable: bool,
}

impl Library {
    /// Reads the folder for the first time. A folder that is missing or unreadable gives an empty
    /// library with a [`problem`](Self::problem), and is healed by the watch when it comes.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, rules: Rules) -> Self {
        let library = Self(Arc::new(Inner {
            root: root.into(),
            picture: RwLock::new(Arc::new(Snapshot::empty(Arc::new(rules)))),
            scanning: Mutex::new(HashSet::new()),
        }));
        library.rescan();
        library
    }

    /// The last picture.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let picture = self.0.picture.read();
        Arc::clone(&picture.unwrap_or_else(PoisonError::into_inner))
    }

    /// What keeps the folder, or a part of it, from being read, as a sentence for administrators.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.snapshot().problem.clone()
    }

    /// The folder, as it was configured.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Opens the file of a document for reading; none where there is no such document, it is gone,
    /// or another thing is in its place (R22). Waits for the disk: not for an async thread.
    ///
    /// # Errors
    ///
    /// The file is there but cannot be read, or the whole folder is away.
    pub fn open(&self, id: &DocumentId) -> io::Result<Option<OpenFile>> {
        let snapshot = self.snapshot();
        let Some(document) = snapshot.get(id) else {
            return Ok(None);
        };
        let file = open::open(document)?;
        if file.is_none() {
            // Where the whole folder is away, nobody knows whether the document is gone.
            fs::metadata(&self.0.root)?;
        }
        Ok(file)
    }

    /// Reads the folder again and swaps the picture, where anything changed. Waits for the disk.
    pub fn rescan(&self) {
        let scanning = self.0.scanning.lock();
        let mut warned = scanning.unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let mut scan = scan(&self.0.root, &before.rules);
        warn_of_names(&mut warned, &scan.not_utf8);
        keep_what_cannot_be_read(&mut scan, &before);
        let now = Snapshot::of(scan, &self.0.root, Arc::clone(&before.rules));
        tell(&before, &now);
        if now.documents != before.documents || now.problem != before.problem {
            let picture = self.0.picture.write();
            *picture.unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
        }
    }
}

impl Snapshot {
    /// Every document, sorted by name without regard to case, then by name.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// The document with this id, whoever may see it.
    #[must_use]
    pub fn get(&self, id: &DocumentId) -> Option<&Document> {
        self.places.get(id).map(|place| &self.documents[*place])
    }

    /// The document with this id, if the person may see it: hidden and missing are alike (R8).
    #[must_use]
    pub fn get_visible(
        &self,
        id: &DocumentId,
        folded_user: &str,
        groups: &[String],
    ) -> Option<&Document> {
        self.get(id)
            .filter(|document| self.rules.visible(document, folded_user, groups))
    }

    /// The documents that a person may see, in the order of [`documents`](Self::documents).
    pub fn visible_to(
        &self,
        folded_user: &str,
        groups: &[String],
    ) -> impl Iterator<Item = &Document> {
        self.visible_places(folded_user, groups)
            .map(|(_, document)| document)
    }

    /// The same documents, each with its place in [`Snapshot::documents`].
    pub fn visible_places(
        &self,
        folded_user: &str,
        groups: &[String],
    ) -> impl Iterator<Item = (usize, &Document)> {
        let listed = self.rules.listing(folded_user, groups);
        self.documents
            .iter()
            .enumerate()
            .filter(move |(_, document)| {
                let named_by = &document.named_by;
                named_by.is_empty() || named_by.iter().any(|rule| listed[*rule])
            })
    }

    /// The rules that the documents were matched with.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// What keeps the folder, or a part of it, from being read.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether the root itself could not be read.
    pub(super) fn root_unreadable(&self) -> bool {
        self.root_unreadable
    }

    fn empty(rules: Arc<Rules>) -> Self {
        Self {
            documents: Vec::new(),
            places: HashMap::new(),
            rules,
            problem: None,
            root_unreadable: false,
        }
    }

    fn of(scan: Scan, root: &Path, rules: Arc<Rules>) -> Self {
        Self {
            problem: problem(root, &scan.unreadable),
            root_unreadable: scan.unreadable.iter().any(|part| part.folder.is_empty()),
            ..Self::listing(scan.documents, rules)
        }
    }

    /// A picture with these documents, sorted already.
    pub(super) fn listing(documents: Vec<Document>, rules: Arc<Rules>) -> Self {
        let ids = documents.iter().map(|document| document.id.clone());
        Self {
            places: ids.zip(0..).collect(),
            documents,
            ..Self::empty(rules)
        }
    }
}

/// Documents below a folder that cannot be read now stay as they were: it may be back in a moment.
fn keep_what_cannot_be_read(scan: &mut Scan, before: &Snapshot) {
    if scan.unreadable.is_empty() {
        return;
    }
    let found: HashSet<DocumentId> = scan.documents.iter().map(|now| now.id.clone()).collect();
    let kept = before.documents.iter().filter(|document| {
        let below = |part: &Unreadable| is_below(&document.name, &part.folder);
        scan.unreadable.iter().any(below) && !found.contains(&document.id)
    });
    scan.documents.extend(kept.cloned());
    sort(&mut scan.documents);
}

fn is_below(name: &str, folder: &str) -> bool {
    folder.is_empty()
        || name
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
}

fn problem(root: &Path, unreadable: &[Unreadable]) -> Option<String> {
    let first = unreadable.first()?;
    let folder = match first.folder.as_str() {
        "" => root.to_owned(),
        below => root.join(below),
    };
    let others = match unreadable.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!(
        "The documents folder {} cannot be read: {}{others}",
        folder.display(),
        first.error
    ))
}

/// One warning for each name, however often the folder is read.
fn warn_of_names(warned: &mut HashSet<PathBuf>, not_utf8: &[PathBuf]) {
    for path in not_utf8 {
        if warned.insert(path.clone()) {
            tracing::warn!(path = ?path, "left out: the name is not UTF-8");
        }
    }
}

fn tell(before: &Snapshot, now: &Snapshot) {
    match &now.problem {
        problem if *problem == before.problem => {}
        Some(problem) => tracing::warn!("{problem}"),
        None => tracing::info!("the documents folder can be read again"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::process::Command;

    use super::super::test_folder::TestFolder;
    use super::super::{Rule, document_id};
    use super::*;

    fn library(folder: &TestFolder) -> Library {
        Library::new(folder.path(), Rules::default())
    }

    fn names(library: &Library) -> Vec<String> {
        let snapshot = library.snapshot();
        let documents = snapshot.documents().iter();
        documents.map(|document| document.name.clone()).collect()
    }

    #[test]
    fn renaming_a_sibling_keeps_ids() {
        let folder = TestFolder::new();
        let old = folder.write("Sales/a.qvw", b"a");
        folder.write("Sales/b.qvw", b"b");
        let library = library(&folder);
        let b = document_id("Sales/b.qvw");
        assert_eq!(library.snapshot().get(&b).unwrap().name, "Sales/b.qvw");
        fs::rename(old, folder.path().join("Sales/z.qvw")).unwrap();
        library.rescan();
        assert_eq!(names(&library), ["Sales/b.qvw", "Sales/z.qvw"]);
        assert_eq!(library.snapshot().get(&b).unwrap().id, b);
        assert!(
            library
                .snapshot()
                .get(&document_id("Sales/a.qvw"))
                .is_none()
        );
    }

    #[test]
    fn the_picture_is_swapped_only_when_something_changed() {
        let folder = TestFolder::new();
        folder.write("a.qvw", b"a");
        let library = library(&folder);
        let before = library.snapshot();
        library.rescan();
        assert!(Arc::ptr_eq(&before, &library.snapshot()));
        folder.write("a.qvw", b"longer");
        library.rescan();
        assert_eq!(library.snapshot().documents()[0].size_bytes, 6);
        assert_eq!(before.documents()[0].size_bytes, 1);
    }

    #[test]
    fn ids_that_try_to_be_paths_are_unknown() {
        let outside = TestFolder::new();
        outside.write("secret.qvw", b"secret");
        let folder = TestFolder::new();
        folder.write("a.qvw", b"a");
        let library = library(&folder);
        let absolute = outside.path().join("secret.qvw");
        for id in [
            "",
            ".",
            "..",
            "a.qvw",
            "../secret.qvw",
            "..\\..\\secret.qvw",
            "..%2f..%2fsecret.qvw",
            "\\\\host\\share\\a.qvw",
            "//host/share/a.qvw",
            "C:\\a.qvw",
            "C:a.qvw",
            "a.qvw::$DATA",
            "a.qvw%00.txt",
            "a.qvw\0",
            "CON",
            "CON.qvw",
            "a.qvw.",
            "a.qvw ",
            "A~1.QVW",
            "\u{ff0e}\u{ff0e}/secret.qvw",
            "\u{2025}/secret.qvw",
            "\u{2024}\u{2024}/secret.qvw",
            absolute.to_str().unwrap(),
        ] {
            assert!(
                library.open(&DocumentId::from(id)).unwrap().is_none(),
                "{id:?}"
            );
            assert!(
                library.snapshot().get(&DocumentId::from(id)).is_none(),
                "{id:?}"
            );
            // The ids that such names would have are unknown too; but for the real name's.
            let hashed = library.open(&document_id(id)).unwrap();
            assert_eq!(hashed.is_some(), id == "a.qvw", "{id:?}");
        }
    }

    #[test]
    fn an_open_file_tells_what_it_is() {
        let folder = TestFolder::new();
        folder.write("Sales/Regional Sales.qvw", b"content");
        let library = library(&folder);
        let snapshot = library.snapshot();
        let document = &snapshot.documents()[0];
        let open = library.open(&document.id).unwrap().unwrap();
        assert_eq!(open.file_name, "Regional Sales.qvw");
        assert_eq!(open.size_bytes, 7);
        assert_eq!(open.etag, document.etag);
        assert_eq!(open.modified_at, document.modified_at);
    }

    #[test]
    fn a_document_that_became_a_link_is_gone() {
        let outside = TestFolder::new();
        let secret = outside.write("secret.qvw", b"secret");
        let folder = TestFolder::new();
        let path = folder.write("a.qvw", b"a");
        let library = library(&folder);
        fs::remove_file(&path).unwrap();
        symlink(secret, path).unwrap();
        assert!(library.open(&document_id("a.qvw")).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_became_a_link_leads_nowhere() {
        let outside = TestFolder::new();
        outside.write("a.qvw", b"secret");
        let folder = TestFolder::new();
        folder.write("Sales/a.qvw", b"a");
        let library = library(&folder);
        fs::remove_dir_all(folder.path().join("Sales")).unwrap();
        symlink(outside.path(), folder.path().join("Sales")).unwrap();
        let id = document_id("Sales/a.qvw");
        assert!(library.open(&id).unwrap().is_none());
        library.rescan();
        assert!(names(&library).is_empty());
    }

    #[test]
    fn a_document_that_became_a_pipe_is_gone_and_nobody_waits() {
        let folder = TestFolder::new();
        let path = folder.write("a.qvw", b"a");
        let library = library(&folder);
        fs::remove_file(&path).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
        assert!(library.open(&document_id("a.qvw")).unwrap().is_none());
    }

    #[test]
    fn a_deleted_document_is_gone_at_once_and_vanishes_from_the_list() {
        let folder = TestFolder::new();
        let path = folder.write("a.qvw", b"a");
        let library = library(&folder);
        fs::remove_file(path).unwrap();
        assert!(library.open(&document_id("a.qvw")).unwrap().is_none());
        library.rescan();
        assert!(names(&library).is_empty());
        assert_eq!(library.problem(), None);
    }

    #[test]
    fn a_missing_folder_is_reported_keeps_the_picture_and_heals() {
        let folder = TestFolder::new();
        let root = folder.path().join("documents");
        let library = Library::new(&root, Rules::default());
        let problem = library.problem().unwrap();
        assert!(problem.contains(root.to_str().unwrap()), "{problem}");

        folder.write("documents/a.qvw", b"a");
        library.rescan();
        assert_eq!(library.problem(), None);
        assert_eq!(names(&library), ["a.qvw"]);

        let away = folder.path().join("away");
        fs::rename(&root, &away).unwrap();
        library.rescan();
        assert!(library.problem().is_some());
        assert_eq!(names(&library), ["a.qvw"]);
        assert!(library.open(&document_id("a.qvw")).is_err());

        fs::rename(&away, &root).unwrap();
        library.rescan();
        assert_eq!(library.problem(), None);
        assert!(library.open(&document_id("a.qvw")).unwrap().is_some());
    }

    #[test]
    fn documents_of_an_unreadable_folder_stay_and_others_are_renewed() {
        let folder = TestFolder::new();
        folder.write("Sales/a.qvw", b"a");
        folder.write("Sales2/a.qvw", b"a");
        let before = library(&folder).snapshot();
        let mut after = Scan::default();
        after.unreadable.push(Unreadable {
            folder: "Sales".to_owned(),
            error: io::Error::from(io::ErrorKind::PermissionDenied),
        });
        keep_what_cannot_be_read(&mut after, &before);
        assert_eq!(after.documents.len(), 1);
        assert_eq!(after.documents[0].name, "Sales/a.qvw");
        let problem = problem(folder.path(), &after.unreadable).unwrap();
        assert!(problem.contains("/Sales cannot be read"), "{problem}");
    }

    #[test]
    fn rules_decide_who_sees_what() {
        let folder = TestFolder::new();
        for name in [
            "open.qvw",
            "Finance/f.qvw",
            "Finance/Board/b.qvw",
            "Nobody/n.qvw",
        ] {
            folder.write(name, b"x");
        }
        let rule = |pattern: &str, users: &[&str], groups: &[&str]| Rule {
            pattern: pattern.to_owned(),
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        let rules = Rules::new([
            rule("Finance/*", &["alice"], &["finance"]),
            rule("Finance/**", &["bob"], &[]),
            rule("finance/board/**", &[], &["Board"]),
            rule("Nobody", &[], &[]),
        ]);
        let library = Library::new(folder.path(), rules.unwrap());
        let snapshot = library.snapshot();
        for (user, groups, expected) in [
            ("nobody", &[][..], &["open.qvw"][..]),
            ("alice", &[], &["Finance/f.qvw", "open.qvw"]),
            ("ALICE", &[], &["open.qvw"]),
            ("x", &["finance"], &["Finance/f.qvw", "open.qvw"]),
            ("x", &["Finance"], &["open.qvw"]),
            (
                "bob",
                &[],
                &["Finance/Board/b.qvw", "Finance/f.qvw", "open.qvw"],
            ),
            (
                "x",
                &["other", "Board"],
                &["Finance/Board/b.qvw", "open.qvw"],
            ),
            ("x", &["board"], &["open.qvw"]),
        ] {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            let seen: Vec<&str> = snapshot
                .visible_to(user, &groups)
                .map(|document| &*document.name)
                .collect();
            assert_eq!(seen, expected, "{user} {groups:?}");
            for document in snapshot.documents() {
                let visible = seen.contains(&&*document.name);
                let found = snapshot.get_visible(&document.id, user, &groups);
                assert_eq!(found.is_some(), visible, "{user} {}", document.name);
            }
        }
    }
}
