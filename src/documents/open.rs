//! Opens the file of a document without ever leaving the documents folder.
//!
//! The path comes from the last picture of the folder, is absolute and held no link then. Somebody
//! who may write to the folder could have put a link in its place since: as the file itself, which
//! the open refuses to follow, or as a folder on the way. Therefore the kernel is asked, after the
//! open, where the file that is now open really is, and it must be exactly where it was found.
//! That leaves no window: the question is about the open file, not about the path. What remains is
//! what the file system itself cannot tell apart: a hard link or a mount inside the folder. A folder
//! that becomes a link in the middle of a reading may show names and sizes from outside until the
//! next one; none of them can be opened.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use super::Document;
use super::scan::{is_gone, modified_at};
use crate::domain::time::Timestamp;

/// A document's file, open for reading, and what it was like when it was opened.
#[derive(Debug)]
pub struct OpenFile {
    /// The file; a regular one.
    pub file: File,
    /// The file name with its extension, as people know it; may hold any character but `/`.
    pub file_name: String,
    /// The size in bytes.
    pub size_bytes: u64,
    /// The last change of the content.
    pub modified_at: Timestamp,
    /// Changes with the content; quoted, as HTTP writes it.
    pub etag: String,
}

/// The entity tag of a file: it changes with the file, its size and the instant of its last change.
#[must_use]
pub fn etag_of(metadata: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    )
}

/// Opens the file; none where it is gone or something else has taken its place (R22).
pub(super) fn open(document: &Document) -> io::Result<Option<OpenFile>> {
    let file = match open_without_following(document) {
        Err(error) if is_gone(&error) => return Ok(None),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || real_path(&file)? != document.real_path {
        tracing::warn!(document = %document.name, "another thing is where the document was");
        return Ok(None);
    }
    Ok(Some(OpenFile {
        file,
        file_name: file_name(document).to_owned(),
        size_bytes: metadata.len(),
        modified_at: modified_at(&metadata),
        etag: etag_of(&metadata),
    }))
}

/// Without waiting either: opening a pipe would otherwise wait for somebody to write to it.
fn open_without_following(document: &Document) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&document.real_path)
}

/// Where the open file is now, as the kernel knows it.
fn real_path(file: &File) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn file_name(document: &Document) -> &str {
    document
        .name
        .rsplit_once('/')
        .map_or(&document.name, |(_, file_name)| file_name)
}
