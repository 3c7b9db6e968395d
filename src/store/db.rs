//! The only file that knows which database the ledger is in.
//!
//! The statements elsewhere are one text for SQLite and PostgreSQL: parameters `$1`, `$2` in order
//! of first use, columns of BIGINT and TEXT alone, ids and instants made by us. This file opens
//! SQLite and runs them; statements are prepared once for each connection.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};

/// How long a connection waits for another process's lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a checkpoint waits for others, with the writer behind it.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(50);
/// How often the switch to the write-ahead log is tried, and the pause between.
const WAL_TRIES_MAX: u32 = 100;
const WAL_PAUSE: Duration = Duration::from_millis(50);
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 128;

/// Why the ledger could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting to be written; try again in a moment.
    #[error("the ledger is busy")]
    Busy,
    /// The writer has stopped.
    #[error("the ledger is closed")]
    Closed,
    /// The database refused or failed.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// What is stored cannot be read.
    #[error("the ledger holds something that cannot be read: {0}")]
    Corrupt(String),
    /// The database cannot be opened.
    #[error("the database {path} cannot be opened")]
    Open {
        /// Its file.
        path: String,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A thread of the ledger cannot be started.
    #[error("a thread of the ledger cannot be started")]
    Thread(#[source] std::io::Error),
    /// The database was written by a newer program.
    #[error("the database has schema {found}, this program knows {known}: use a newer program")]
    Newer {
        /// The schema in the database.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
}

impl StoreError {
    /// Whether the same command may succeed when it is run again by itself.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Database(error) if is_lock(error))
    }
}

/// Whether another connection holds a lock.
fn is_lock(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// A value in a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// A whole number, an instant in milliseconds, or 0 and 1.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Nothing.
    Null,
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Self::Int(i64::from(yes))
    }
}

impl From<crate::domain::time::Timestamp> for Value<'_> {
    fn from(at: crate::domain::time::Timestamp) -> Self {
        Self::Int(at.0)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Null => ValueRef::Null,
        }))
    }
}

/// Writes the parameters of a statement: each is turned into a [`Value`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::db::Value::from($value)),*] };
}
pub(super) use values;

/// One row of an answer, or the part of it that one table gave; columns count from 0.
pub(super) struct Row<'a> {
    row: &'a rusqlite::Row<'a>,
    first: usize,
}

impl<'a> Row<'a> {
    const fn whole(row: &'a rusqlite::Row<'a>) -> Self {
        Self { row, first: 0 }
    }

    /// What a left join found, whose columns begin at `first`, the first of them never null.
    pub(super) fn joined<T>(
        &self,
        first: usize,
        read: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let (row, first) = (self.row, self.first + first);
        let found = row.get_ref(first)? != ValueRef::Null;
        found.then(|| read(&Self { row, first })).transpose()
    }

    fn get<T: FromSql>(&self, column: usize) -> Result<T, StoreError> {
        Ok(self.row.get(self.first + column)?)
    }

    pub(super) fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(super) fn flag(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    pub(super) fn count(&self, column: usize) -> Result<u32, StoreError> {
        let number = self.int(column)?;
        u32::try_from(number).map_err(|_| StoreError::Corrupt(format!("the count {number}")))
    }

    pub(super) fn at(&self, column: usize) -> Result<crate::domain::time::Timestamp, StoreError> {
        self.int(column).map(crate::domain::time::Timestamp)
    }

    pub(super) fn maybe_at(
        &self,
        column: usize,
    ) -> Result<Option<crate::domain::time::Timestamp>, StoreError> {
        let value: Option<i64> = self.get(column)?;
        Ok(value.map(crate::domain::time::Timestamp))
    }

    pub(super) fn text(&self, column: usize) -> Result<String, StoreError> {
        self.get(column)
    }

    pub(super) fn maybe_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.get(column)
    }
}

/// One connection.
pub(super) struct Db(Connection);

impl Db {
    /// Runs a statement and counts the rows that it changed.
    pub(super) fn execute(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, StoreError> {
        Ok(self
            .0
            .prepare_cached(sql)?
            .execute(params_from_iter(values))?)
    }

    /// Runs a statement that must change exactly one row.
    pub(super) fn change_one(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<(), StoreError> {
        match self.execute(sql, values)? {
            1 => Ok(()),
            rows => Err(StoreError::Corrupt(format!(
                "{rows} rows in place of one: {sql}"
            ))),
        }
    }

    /// All rows of an answer.
    pub(super) fn query<T>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut answer = Vec::new();
        while let Some(row) = rows.next()? {
            answer.push(read(&Row::whole(row))?);
        }
        Ok(answer)
    }

    /// The first row of an answer, if there is one.
    pub(super) fn query_one<T>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        rows.next()?.map(|row| read(&Row::whole(row))).transpose()
    }

    /// Begins a transaction that may write; waits for the write lock first, so that a read can
    /// never have to be taken back.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE", &[]).map(drop)
    }

    /// Makes what was written durable.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        self.execute("COMMIT", &[]).map(drop)
    }

    /// Takes back what was written.
    pub(super) fn rollback(&self) {
        if let Err(error) = self.execute("ROLLBACK", &[]) {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// Moves pages from the write-ahead log into the database; answers how many the log holds.
    pub(super) fn checkpoint(&self, how: Checkpoint) -> Result<i64, StoreError> {
        let sql = match how {
            Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
        };
        Ok(self.query_one(sql, &[], |row| row.int(1))?.unwrap_or(0))
    }

    /// Runs several reads on one picture of the database.
    pub(super) fn snapshot<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.execute("BEGIN", &[])?;
        let answer = read(self);
        self.commit()?;
        answer
    }
}

/// How far a checkpoint goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checkpoint {
    /// As far as it comes without holding anybody up.
    Passive,
    /// To the end of the log, which begins anew with the next commit.
    Restart,
}

/// Where a database is.
#[derive(Clone, Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Opens the connection of a writer and brings the schema up to date.
    pub(super) fn writer(&self) -> Result<Db, StoreError> {
        self.make_private();
        let db = self.connect(OpenFlags::default())?;
        self.write_ahead(&db)?;
        self.pragmas(
            &db,
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA cache_size = -4000; PRAGMA wal_autocheckpoint = 0;",
        )?;
        migrate(&db)?;
        Ok(db)
    }

    /// Opens the connection of checkpoints. It gives way soon: while it waits, the writer may too.
    pub(super) fn checkpointer(&self) -> Result<Db, StoreError> {
        let db = self.connect(OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)?;
        db.0.busy_timeout(CHECKPOINT_TIMEOUT)?;
        self.pragmas(
            &db,
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;",
        )?;
        Ok(db)
    }

    /// Opens a connection that can only read.
    pub(super) fn reader(&self) -> Result<Db, StoreError> {
        let db = self.connect(OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)?;
        self.pragmas(&db, "PRAGMA query_only = ON;")?;
        Ok(db)
    }

    /// Makes the file for its owner alone, where it is missing: it holds hashes of passwords. The log
    /// beside it takes its mode over. Whatever fails here is told when it is opened.
    fn make_private(&self) {
        let mut options = OpenOptions::new();
        drop(
            options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&self.0),
        );
    }

    fn connect(&self, flags: OpenFlags) -> Result<Db, StoreError> {
        let connection =
            Connection::open_with_flags(&self.0, flags).map_err(|e| self.cannot_open(e))?;
        connection.busy_timeout(LOCK_TIMEOUT)?;
        // Plans do not depend on the values, or SQLite would plan again whenever they change.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Db(connection))
    }

    /// Switches to the write-ahead log. The switch of a new file does not wait for the lock by
    /// itself, and another process may be making the same ledger, so it is tried again.
    fn write_ahead(&self, db: &Db) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            match db.0.execute_batch("PRAGMA journal_mode = WAL") {
                Err(error) if tries < WAL_TRIES_MAX && is_lock(&error) => {
                    tries += 1;
                    std::thread::sleep(WAL_PAUSE);
                }
                outcome => return outcome.map_err(|e| self.cannot_open(e)),
            }
        }
    }

    fn pragmas(&self, db: &Db, pragmas: &str) -> Result<(), StoreError> {
        db.0.execute_batch(pragmas).map_err(|e| self.cannot_open(e))
    }

    fn cannot_open(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Open {
            path: self.0.display().to_string(),
            source,
        }
    }
}

/// Every step of the schema, in order; the number of a step is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_start.sql"),
    include_str!("migrations/0002_opens.sql"),
    include_str!("migrations/0003_identities.sql"),
    include_str!("migrations/0004_oidc.sql"),
    include_str!("migrations/0005_second_factors.sql"),
    include_str!("migrations/0006_web_tickets.sql"),
    include_str!("migrations/0007_estate.sql"),
    include_str!("migrations/0008_web_server.sql"),
    include_str!("migrations/0009_overtaken.sql"),
    include_str!("migrations/0010_identities_kept.sql"),
    include_str!("migrations/0011_attempts_again.sql"),
    include_str!("migrations/0012_workstation_names.sql"),
];

/// The schema that this program writes; opening a ledger brings it there.
pub const SCHEMA: usize = MIGRATIONS.len();

/// Brings the schema up to date, one transaction for all steps.
fn migrate(db: &Db) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if schema(db)? == known {
        return Ok(());
    }
    db.begin()?;
    let done = schema(db)?;
    let steps = usize::try_from(done)
        .ok()
        .and_then(|done| MIGRATIONS.get(done..));
    let Some(steps) = steps else {
        db.rollback();
        return Err(StoreError::Newer { found: done, known });
    };
    for step in steps {
        db.0.execute_batch(step)?;
    }
    db.0.execute_batch(&format!("UPDATE schema_version SET version = {known}"))?;
    db.commit()
}

/// The schema that the database has; 0 for an empty one.
fn schema(db: &Db) -> Result<i64, StoreError> {
    db.0.execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let version = db.query_one("SELECT version FROM schema_version", &[], |row| row.int(0))?;
    if version.is_none() {
        // Another process may be making the same ledger.
        db.execute(
            "INSERT INTO schema_version (version) SELECT 0 \
             WHERE NOT EXISTS (SELECT version FROM schema_version)",
            &[],
        )?;
    }
    Ok(version.unwrap_or(0))
}
