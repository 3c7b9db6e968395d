//! Reads the folder tree: every `.qvw` file below the root, and what cannot be read.
//!
//! Left out are hidden files and folders, whatever is no regular file, links that lead out of the
//! root, links to folders (their documents are listed at their own place, and a link cannot make a
//! circle), and names that are not UTF-8.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{Rules, etag_of, fold};
use crate::domain::client::ClientKind;
use crate::domain::document::DocumentId;
use crate::domain::time::Timestamp;

/// How documents of the folder are opened.
const CLIENTS: [ClientKind; 3] = [
    ClientKind::Plugin,
    ClientKind::Desktop,
    ClientKind::Download,
];
/// Bytes of the hash that make an id: 22 characters of base64url.
const ID_BYTES: usize = 16;

/// A document of the folder, as it was when the folder was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Made from the name alone, so it does not change when others come, go or are renamed.
    pub id: DocumentId,
    /// The path below the root, with `/`.
    pub name: String,
    /// The file name without `.qvw`.
    pub title: String,
    /// The first folder; none for a document at the root.
    pub category: Option<String>,
    /// The size in bytes.
    pub size_bytes: u64,
    /// The last change of the content.
    pub modified_at: Timestamp,
    /// Changes with the content; quoted, as HTTP writes it.
    pub etag: String,
    /// The server that holds it, where it is none of the folder's.
    pub server: Option<String>,
    /// How it may be opened, the *Open* button first.
    pub clients: Vec<ClientKind>,
    /// Where the file really is: absolute, without links.
    pub(super) real_path: PathBuf,
    /// The rules that name it, by their place in [`Rules`].
    pub(super) named_by: Vec<usize>,
}

/// The id that a document with this name has, whether it exists or not.
#[must_use]
pub fn document_id(name: &str) -> DocumentId {
    let hash = Sha256::digest(name.as_bytes());
    DocumentId(URL_SAFE_NO_PAD.encode(&hash[..ID_BYTES]))
}

/// What reading the tree gave.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Sorted by folded name, then name.
    pub(super) documents: Vec<Document>,
    /// Folders that could not be read.
    pub(super) unreadable: Vec<Unreadable>,
    /// Paths that are left out because their name is not UTF-8.
    pub(super) not_utf8: Vec<PathBuf>,
}

/// A folder that could not be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its path below the root; empty for the root itself.
    pub(super) folder: String,
    /// Why not.
    pub(super) error: io::Error,
}

/// Reads the whole tree. It never fails: what cannot be read is part of the answer.
pub(super) fn scan(root: &Path, rules: &Rules) -> Scan {
    let mut scan = Scan::default();
    match fs::canonicalize(root) {
        Ok(root) => Walk { root, rules }.run(&mut scan),
        Err(error) => scan.unreadable.push(Unreadable {
            folder: String::new(),
            error,
        }),
    }
    sort(&mut scan.documents);
    scan
}

/// By name without regard to case, then by name.
pub(super) fn sort(documents: &mut [Document]) {
    documents.sort_by_cached_key(|document| (fold(&document.name), document.name.clone()));
}

struct Walk<'a> {
    /// Absolute and without links.
    root: PathBuf,
    rules: &'a Rules,
}

impl Walk<'_> {
    fn run(&self, scan: &mut Scan) {
        let mut waiting = vec![String::new()];
        while let Some(folder) = waiting.pop() {
            match self.read_folder(&folder, &mut waiting, scan) {
                Err(error) if is_gone(&error) && !folder.is_empty() => {}
                Err(error) => scan.unreadable.push(Unreadable { folder, error }),
                Ok(()) => {}
            }
        }
    }

    fn read_folder(
        &self,
        folder: &str,
        waiting: &mut Vec<String>,
        scan: &mut Scan,
    ) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(folder))? {
            match self.read_entry(folder, &entry?, waiting, scan) {
                Err(error) if is_gone(&error) => {}
                read => read?,
            }
        }
        Ok(())
    }

    fn read_entry(
        &self,
        folder: &str,
        entry: &DirEntry,
        waiting: &mut Vec<String>,
        scan: &mut Scan,
    ) -> io::Result<()> {
        let Ok(file_name) = entry.file_name().into_string() else {
            scan.not_utf8.push(entry.path());
            return Ok(());
        };
        if file_name.starts_with('.') {
            return Ok(());
        }
        let name = join(folder, &file_name);
        if entry.file_type()?.is_dir() {
            waiting.push(name);
        } else if is_qvw(&file_name) {
            let file = self.real_file(entry)?;
            let document = file.map(|(path, metadata)| self.document(name, path, &metadata));
            scan.documents.extend(document);
        }
        Ok(())
    }

    fn document(&self, name: String, real_path: PathBuf, metadata: &Metadata) -> Document {
        let (folders, file_name) = name.rsplit_once('/').unwrap_or(("", &name));
        let category = folders.split('/').next().unwrap_or_default();
        Document {
            id: document_id(&name),
            title: title(file_name).to_owned(),
            category: (!category.is_empty()).then(|| category.to_owned()),
            size_bytes: metadata.len(),
            modified_at: modified_at(metadata),
            etag: etag_of(metadata),
            server: None,
            clients: CLIENTS.to_vec(),
            real_path,
            named_by: self.rules.naming(&name),
            name,
        }
    }

    /// Where the file of an entry is; none where that is no regular file below the root.
    fn real_file(&self, entry: &DirEntry) -> io::Result<Option<(PathBuf, Metadata)>> {
        let mut real_path = entry.path();
        if entry.file_type()?.is_symlink() {
            // A link that cannot be followed says nothing about the folder that it is in.
            let Ok(target) = fs::canonicalize(real_path) else {
                return Ok(None);
            };
            real_path = target;
        }
        if !real_path.starts_with(&self.root) {
            return Ok(None);
        }
        let metadata = fs::symlink_metadata(&real_path)?;
        Ok(metadata.is_file().then_some((real_path, metadata)))
    }
}

/// The last change of a file's content.
pub(super) fn modified_at(metadata: &Metadata) -> Timestamp {
    let millis = metadata.mtime_nsec() / 1_000_000;
    Timestamp(metadata.mtime().saturating_mul(1000).saturating_add(millis))
}

/// Whether the thing went away, or became something else, between two looks at it.
///
/// A link that leads nowhere or round in circles counts as gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || error.raw_os_error() == Some(libc::ELOOP)
}

fn join(folder: &str, file_name: &str) -> String {
    match folder {
        "" => file_name.to_owned(),
        _ => format!("{folder}/{file_name}"),
    }
}

fn is_qvw(file_name: &str) -> bool {
    Path::new(file_name)
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| extension.eq_ignore_ascii_case("qvw"))
}

fn title(file_name: &str) -> &str {
    file_name
        .rsplit_once('.')
        .map_or(file_name, |(title, _)| title)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::super::test_folder::TestFolder;
    use super::*;

    fn names(scan: &Scan) -> Vec<&str> {
        scan.documents
            .iter()
            .map(|document| &*document.name)
            .collect()
    }

    #[test]
    fn documents_are_found_at_every_depth_and_sorted_without_regard_to_case() {
        let folder = TestFolder::new();
        for name in [
            "b.qvw",
            "A.QVW",
            "a.qvw",
            "Sales/x/Deep_One.QvW",
            "Ärger.qvw",
        ] {
            folder.write(name, b"abc");
        }
        for name in [
            "notes.txt",
            "qvw",
            "a.qvw.tmp",
            ".hidden.qvw",
            ".git/a.qvw",
            ".qvw",
        ] {
            folder.write(name, b"abc");
        }
        let scan = scan(folder.path(), &Rules::default());
        assert_eq!(
            names(&scan),
            [
                "A.QVW",
                "a.qvw",
                "b.qvw",
                "Sales/x/Deep_One.QvW",
                "Ärger.qvw"
            ]
        );
        let deep = &scan.documents[3];
        assert_eq!(deep.title, "Deep_One");
        assert_eq!(deep.category.as_deref(), Some("Sales"));
        assert_eq!(deep.size_bytes, 3);
        assert_eq!(scan.documents[0].category, None);
        assert!(scan.unreadable.is_empty());
    }

    #[test]
    fn an_id_is_22_safe_characters_made_of_the_name() {
        let id = document_id("Sales/Regional Sales.qvw");
        assert_eq!(id.as_str().len(), 22);
        assert!(
            id.as_str()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(id, document_id("Sales/Regional Sales.qvw"));
        assert_ne!(id, document_id("sales/Regional Sales.qvw"));
    }

    #[test]
    fn links_that_lead_out_and_links_to_folders_are_left_out() {
        let outside = TestFolder::new();
        let secret = outside.write("secret.qvw", b"secret");
        let folder = TestFolder::new();
        let inside = folder.write("Sales/real.qvw", b"real");
        symlink(&secret, folder.path().join("stolen.qvw")).unwrap();
        symlink(outside.path(), folder.path().join("Elsewhere")).unwrap();
        symlink(folder.path(), folder.path().join("Sales/circle")).unwrap();
        symlink("nowhere", folder.path().join("broken.qvw")).unwrap();
        symlink("self.qvw", folder.path().join("self.qvw")).unwrap();
        symlink(&inside, folder.path().join("alias.qvw")).unwrap();
        let scan = scan(folder.path(), &Rules::default());
        assert_eq!(names(&scan), ["alias.qvw", "Sales/real.qvw"]);
        assert!(scan.unreadable.is_empty(), "{:?}", scan.unreadable);
    }

    #[test]
    fn what_is_no_file_is_left_out() {
        let folder = TestFolder::new();
        let _socket = UnixListener::bind(folder.path().join("socket.qvw")).unwrap();
        fs::create_dir(folder.path().join("folder.qvw")).unwrap();
        symlink("/dev/zero", folder.path().join("device.qvw")).unwrap();
        assert!(scan(folder.path(), &Rules::default()).documents.is_empty());
    }

    #[test]
    fn a_name_that_is_not_utf8_is_left_out_and_told() {
        let folder = TestFolder::new();
        let path = folder.path().join(OsStr::from_bytes(b"caf\xe9.qvw"));
        fs::write(&path, b"abc").unwrap();
        folder.write("fine.qvw", b"abc");
        let scan = scan(folder.path(), &Rules::default());
        assert_eq!(names(&scan), ["fine.qvw"]);
        assert_eq!(scan.not_utf8, [fs::canonicalize(&path).unwrap()]);
    }

    #[test]
    fn a_missing_root_is_told() {
        let folder = TestFolder::new();
        let scan = scan(&folder.path().join("missing"), &Rules::default());
        assert_eq!(scan.unreadable.len(), 1);
        assert_eq!(scan.unreadable[0].folder, "");
        assert_eq!(scan.unreadable[0].error.kind(), io::ErrorKind::NotFound);
    }
}
