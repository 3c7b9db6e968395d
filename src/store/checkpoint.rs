//! Moves what was committed from the write-ahead log into the database, on a thread of its own, so
//! that no decision waits for it.
//!
//! Under load the writer always adds to the log, so the log would never begin anew by itself:
//! where it has grown, the thread holds the writer up for the moment that the rest takes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::db::{Checkpoint, Db, StoreError};
use super::writer::Committed;
use crate::causes::in_one_line;

/// How long commits stay in the log alone.
const EVERY: Duration = Duration::from_secs(2);
/// Pages in the log from which on it is made to begin anew: 32 MiB.
const LOG_PAGES_MAX: i64 = 8192;

/// Starts the thread. It ends when the `Sender` is gone.
pub(super) fn start(
    db: Db,
    committed: Arc<Committed>,
) -> std::io::Result<(Sender<()>, JoinHandle<()>)> {
    let (running, stopped) = channel();
    let thread = std::thread::Builder::new()
        .name("checkpoint".to_owned())
        .spawn(move || run(&db, &committed, &stopped))?;
    Ok((running, thread))
}

fn run(db: &Db, committed: &Committed, stopped: &Receiver<()>) {
    let mut moved_until = committed.at();
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let committed_at = committed.at();
        if committed_at == moved_until {
            continue;
        }
        match checkpoint(db) {
            Ok(()) => moved_until = committed_at,
            Err(error) => tracing::warn!(
                error = in_one_line(&error),
                "the write-ahead log was not moved"
            ),
        }
    }
}

fn checkpoint(db: &Db) -> Result<(), StoreError> {
    if db.checkpoint(Checkpoint::Passive)? > LOG_PAGES_MAX {
        db.checkpoint(Checkpoint::Restart)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::db::{Place, values};
    use super::*;

    #[test]
    fn a_log_that_has_grown_begins_anew() {
        const ROW: &str = "INSERT INTO wrong_try (id, key, at) VALUES ($1, 'alice', 0)";
        let half = usize::try_from(LOG_PAGES_MAX).unwrap() * 4096 / 2;
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(&folder.path().join("ledger.db"));
        let writer = place.writer().unwrap();
        let checkpointer = place.checkpointer().unwrap();
        let write = |bytes: usize| {
            writer.execute(ROW, values![&"x".repeat(bytes)]).unwrap();
        };
        let pages = || checkpointer.checkpoint(Checkpoint::Passive).unwrap();
        write(half);
        checkpoint(&checkpointer).unwrap();
        // The writer goes on before the log is looked at again, as it does under load.
        for id in [half + 1, half + 2] {
            write(id);
        }
        assert!(pages() > LOG_PAGES_MAX);
        write(half + 3);
        checkpoint(&checkpointer).unwrap();
        write(1);
        assert!(pages() < 10, "{}", pages());
    }
}
