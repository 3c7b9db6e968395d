//! The folder of the sample site: a new one, an empty one, or one that an earlier demo made.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::fresh::Fresh;

/// Says that the folder was made by the demo; locked for as long as one runs in it.
const MARKER: &str = "made-by-accesspoint-demo.txt";
const MARKER_TEXT: &str = "\"accesspoint demo\" made this folder for a sample site, and makes it \
                           anew when it is started here again. Keep nothing in it.\n";
/// What the site keeps its state in, below the folder.
const STATE: &str = "accesspoint-data";

/// The folder, held against a second demo until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    /// Somebody keeps something in it.
    #[error(
        "--data: {} is neither empty nor made by an earlier demo, so nothing was changed in it; \
         name another folder",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// A demo runs in it.
    #[error("--data: another demo is running in {}; end it, or name another folder", .0.display())]
    Taken(PathBuf),
    /// It cannot be read or written.
    #[error("--data: {} cannot be used", path.display())]
    Unusable {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Folder {
    /// Makes the folder, or takes the one that is there and clears what an earlier demo stored.
    /// Without a path it is a new one under the temporary folder.
    ///
    /// # Errors
    ///
    /// See [`FolderError`].
    pub(super) fn prepare(path: Option<&Path>, fresh: &Fresh) -> Result<Self, FolderError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("accesspoint-demo-{}", fresh.hex::<6>())),
        };
        // Whole, because it is printed for use from anywhere.
        let path = std::path::absolute(&path).unwrap_or(path);
        let unusable = |source| FolderError::Unusable {
            path: path.clone(),
            source,
        };
        make(&path).map_err(unusable)?;
        if !is_ours(&path).map_err(unusable)? {
            return Err(FolderError::NotOurs(path));
        }
        let mut lock = marker(&path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::Taken(path)),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        clear(&path, &mut lock).map_err(unusable)?;
        Ok(Self { path, _lock: lock })
    }

    /// The configuration of the site.
    pub(super) fn configuration(&self) -> PathBuf {
        self.path.join("accesspoint.toml")
    }
}

/// Makes the folder for its owner alone, where it is missing.
fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn is_ours(path: &Path) -> io::Result<bool> {
    if path.join(MARKER).is_file() {
        return Ok(true);
    }
    Ok(fs::read_dir(path)?.next().is_none())
}

fn marker(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join(MARKER))
}

/// Takes away what an earlier demo stored, and writes the marker.
fn clear(path: &Path, marker: &mut File) -> io::Result<()> {
    marker.set_len(0)?;
    marker.write_all(MARKER_TEXT.as_bytes())?;
    match fs::remove_dir_all(path.join(STATE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::test_folder::TestFolder;

    fn prepare(path: &Path) -> Result<Folder, FolderError> {
        Folder::prepare(Some(path), &Fresh::seeded(1))
    }

    #[test]
    fn a_missing_an_empty_and_an_own_folder_is_taken() {
        let parent = TestFolder::new();
        let path = parent.path().join("a/b");
        let state = path.join(STATE);
        drop(prepare(&path).unwrap());
        fs::create_dir(&state).unwrap();
        drop(prepare(&path).unwrap());
        assert!(!state.exists(), "what was stored is gone");
        let empty = TestFolder::new();
        assert!(prepare(empty.path()).is_ok());
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = TestFolder::new();
        folder.write("letter.txt", b"mine");
        let refused = prepare(folder.path()).unwrap_err();
        assert!(matches!(refused, FolderError::NotOurs(_)), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let file = folder.path().join("letter.txt");
        assert!(matches!(prepare(&file), Err(FolderError::Unusable { .. })));
    }

    #[test]
    fn two_demos_do_not_share_a_folder() {
        let folder = TestFolder::new();
        let first = prepare(folder.path()).unwrap();
        assert!(matches!(prepare(folder.path()), Err(FolderError::Taken(_))));
        drop(first);
        assert!(prepare(folder.path()).is_ok());
    }
}
