//! Keeps a library's picture fresh: changes are told by the operating system, and the folder is read
//! again now and then for file systems that tell nothing (network folders).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::Library;

/// When the folder is read.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// From a change to reading, so that a burst of changes is read once.
    settle: Duration,
    /// Between two readings while nothing is told.
    rescan: Duration,
    /// Between two readings while the root is away.
    retry: Duration,
}

const PACE: Pace = Pace {
    settle: Duration::from_millis(200),
    rescan: Duration::from_mins(1),
    retry: Duration::from_secs(5),
};

/// Reading takes at most one part in so many of the time, however large the folder and however
/// often it changes.
const REST_FACTOR: u32 = 10;

/// The watch over a documents folder. It ends when this is dropped, and the end is waited for.
#[derive(Debug)]
pub struct Watch {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Library {
    /// Starts to watch the folder, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The thread cannot be started. A folder that cannot be watched is no error: it is read once a
    /// minute.
    pub fn watch(&self) -> io::Result<Watch> {
        watch_at(self, PACE)
    }
}

impl Watch {
    /// Ends the watch and waits for its end: for a reading of the folder at most.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.signal.stop();
        let thread = self.thread.take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the watch over the documents folder had ended with a panic");
        }
    }
}

fn watch_at(library: &Library, pace: Pace) -> io::Result<Watch> {
    let signal = Arc::new(Signal::default());
    let (library, seen) = (library.clone(), Arc::clone(&signal));
    let thread = thread::Builder::new()
        .name("documents".to_owned())
        .spawn(move || run(&library, &seen, pace))?;
    Ok(Watch {
        signal,
        thread: Some(thread),
    })
}

/// Watches first and reads then, so that no change falls between the two.
fn run(library: &Library, signal: &Arc<Signal>, pace: Pace) {
    let mut eyes = Eyes::default();
    loop {
        eyes.look_at(library, signal);
        let began = Instant::now();
        library.rescan();
        let rest = pace.settle.max(began.elapsed() * (REST_FACTOR - 1));
        let patience = if library.snapshot().root_unreadable() {
            pace.retry
        } else {
            pace.rescan
        };
        if signal.wait_for_change(patience).is_break() || signal.rest(rest).is_break() {
            return;
        }
    }
}

/// The operating system's watch on the root, and which folder that was.
#[derive(Default)]
struct Eyes {
    on: Option<(Place, RecommendedWatcher)>,
    blind: bool,
}

/// A folder by its path and its identity: one that was replaced must be watched anew.
#[derive(PartialEq, Eq)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Inode numbers are used again; absent where the file system does not keep it.
    created: Option<SystemTime>,
}

impl Eyes {
    fn look_at(&mut self, library: &Library, signal: &Arc<Signal>) {
        let Ok(place) = place(library) else {
            self.on = None;
            return;
        };
        if self.on.as_ref().is_some_and(|(on, _)| *on == place) {
            return;
        }
        match watcher(&place, signal) {
            Ok(watcher) => {
                *self = Self {
                    on: Some((place, watcher)),
                    blind: false,
                }
            }
            Err(error) => self.go_blind(&error),
        }
    }

    fn go_blind(&mut self, error: &notify::Error) {
        if !self.blind {
            tracing::warn!(%error, "the documents folder cannot be watched; it is read once a minute");
        }
        *self = Self {
            on: None,
            blind: true,
        };
    }
}

fn place(library: &Library) -> io::Result<Place> {
    let path = fs::canonicalize(library.root())?;
    let metadata = fs::metadata(&path)?;
    Ok(Place {
        path,
        device: metadata.dev(),
        inode: metadata.ino(),
        created: metadata.created().ok(),
    })
}

fn watcher(place: &Place, signal: &Arc<Signal>) -> notify::Result<RecommendedWatcher> {
    let signal = Arc::clone(signal);
    let told = move |event: notify::Result<Event>| {
        // Reading the folder is itself told as an access, and must not lead to another reading.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            signal.change();
        }
    };
    let config = Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(told, config)?;
    watcher.watch(&place.path, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// What the thread waits for.
#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    change: bool,
    stop: bool,
}

/// Break means: stop.
type Onward = std::ops::ControlFlow<()>;

impl Signal {
    fn change(&self) {
        self.lock().change = true;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits for a change or the end, but not longer than the patience.
    fn wait_for_change(&self, patience: Duration) -> Onward {
        self.wait(patience, |state| !state.change && !state.stop)
    }

    /// Waits for the time alone, or the end; changes until then count as one, which is now seen.
    fn rest(&self, time: Duration) -> Onward {
        let onward = self.wait(time, |state| !state.stop);
        self.lock().change = false;
        onward
    }

    fn wait(&self, time: Duration, on: impl Fn(&State) -> bool) -> Onward {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), time, |state| on(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stop {
            Onward::Break(())
        } else {
            Onward::Continue(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_folder::TestFolder;
    use super::super::{Rules, Snapshot};
    use super::*;

    /// Only the operating system tells of changes; nothing is read on a timer within the test.
    const TOLD: Pace = Pace {
        settle: Duration::from_millis(5),
        rescan: Duration::from_hours(1),
        retry: Duration::from_millis(20),
    };

    fn wait_until(library: &Library, what: &str, is_so: impl Fn(&Snapshot) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is_so(&library.snapshot()) {
            assert!(
                Instant::now() < deadline,
                "{what}: {:?}",
                library.snapshot()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn holds(name: &str) -> impl Fn(&Snapshot) -> bool {
        let id = super::super::document_id(name);
        move |snapshot| snapshot.get(&id).is_some()
    }

    #[test]
    fn changes_are_seen_without_asking() {
        let folder = TestFolder::new();
        let library = Library::new(folder.path(), Rules::default());
        let watch = watch_at(&library, TOLD).unwrap();
        let path = folder.write("a.qvw", b"a");
        wait_until(&library, "new file", holds("a.qvw"));
        folder.write("Sales/Deep/b.qvw", b"b");
        wait_until(&library, "file in new folders", holds("Sales/Deep/b.qvw"));
        folder.write("Sales/Deep/c.qvw", b"c");
        wait_until(
            &library,
            "file in a watched new folder",
            holds("Sales/Deep/c.qvw"),
        );
        fs::write(&path, b"longer").unwrap();
        wait_until(&library, "new size", |now| {
            now.documents()
                .iter()
                .any(|document| document.size_bytes == 6)
        });
        fs::remove_file(&path).unwrap();
        wait_until(&library, "deleted", |now| !holds("a.qvw")(now));
        watch.stop();
    }

    #[test]
    fn a_root_that_goes_and_comes_back_as_another_folder_is_watched_again() {
        let folder = TestFolder::new();
        let root = folder.path().join("documents");
        let library = Library::new(&root, Rules::default());
        let _watch = watch_at(&library, TOLD).unwrap();
        folder.write("documents/a.qvw", b"a");
        wait_until(&library, "root came", holds("a.qvw"));
        wait_until(&library, "no problem", |now| now.problem().is_none());
        fs::remove_dir_all(&root).unwrap();
        wait_until(&library, "root went", |now| now.problem().is_some());
        folder.write("documents/b.qvw", b"b");
        wait_until(&library, "root came back", holds("b.qvw"));
        folder.write("documents/c.qvw", b"c");
        wait_until(&library, "told by the new folder", holds("c.qvw"));
    }

    #[test]
    fn what_nobody_tells_is_seen_when_the_folder_is_read_again() {
        let outside = TestFolder::new();
        let folder = TestFolder::new();
        let path = outside.write("same-file", b"a");
        fs::hard_link(&path, folder.path().join("a.qvw")).unwrap();
        let library = Library::new(folder.path(), Rules::default());
        let pace = Pace {
            rescan: Duration::from_millis(20),
            ..TOLD
        };
        let _watch = watch_at(&library, pace).unwrap();
        // The system tells only of changes made by the name that is watched.
        fs::write(&path, b"longer").unwrap();
        wait_until(&library, "new size", |now| {
            now.documents()[0].size_bytes == 6
        });
    }

    #[test]
    fn a_stopped_watch_ends_although_it_would_wait_for_an_hour() {
        let folder = TestFolder::new();
        let library = Library::new(folder.path(), Rules::default());
        let watch = watch_at(&library, TOLD).unwrap();
        let signal = Arc::clone(&watch.signal);
        watch.stop();
        assert!(signal.wait_for_change(Duration::from_hours(1)).is_break());
        assert!(signal.rest(Duration::from_hours(1)).is_break());
    }
}
