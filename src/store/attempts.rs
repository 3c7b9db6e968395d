//! Sign-ins under way at a provider: begun, taken once, dropped where a browser has too many.

use super::Store;
use super::db::{Row, StoreError, values};
use super::writer::Batch;
use crate::domain::time::{Millis, Timestamp};

/// How long an attempt may take.
const ATTEMPT_LIFE: Millis = Millis::minutes(10);
/// Attempts that one browser may have open; beyond that the oldest is over.
const ATTEMPTS_OPEN_MAX: i64 = 10;
/// Attempts of one browser that are remembered, open or not.
const ATTEMPTS_REMEMBERED_MAX: i64 = 100;
/// How long an attempt is remembered after its end.
const REMEMBERED: Millis = Millis::hours(12);
/// Attempts of all browsers that are remembered; beyond that those that end first are forgotten.
const ATTEMPTS_MAX: u32 = 200_000;

/// An attempt to begin.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// The hash of its state.
    pub state_hash: String,
    /// The hash of the cookie of its browser.
    pub browser_hash: String,
    /// The provider.
    pub source: String,
    /// What the ID token must carry.
    pub nonce: String,
    /// What proves to the token endpoint that we made the request.
    pub verifier: String,
    /// What it is begun for.
    pub aim: Aim,
}

/// What somebody begins a sign-in for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Where to go afterwards: a path.
    pub wanted: String,
    /// Whether somebody who is signed in is to prove anew who they are.
    pub again: bool,
}

impl Aim {
    /// A page, with whatever proof the provider has.
    #[must_use]
    pub fn to(path: &str) -> Self {
        Self {
            wanted: path.to_owned(),
            again: false,
        }
    }
}

/// An attempt that was taken for its callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What the ID token must carry.
    pub nonce: String,
    /// What proves to the token endpoint that we made the request.
    pub verifier: String,
    /// What it was begun for.
    pub aim: Aim,
}

/// What came of taking an attempt. Where the browser is the one that began it, it is told what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is there; nobody takes it again.
    Ready(Attempt),
    /// It is too old, and is to be begun again.
    Restart(Aim),
    /// It is too old, and was begun again before.
    Expired(Aim),
    /// It was used.
    Used(Aim),
    /// It was begun at another provider; it is over.
    OtherSource(Aim),
    /// Another browser began it; it goes on there.
    OtherBrowser,
    /// There is none.
    Unknown,
}

impl Store {
    /// Begins an attempt; the oldest of a browser that has too many is over.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_attempt(&self, new: NewAttempt) -> Result<(), StoreError> {
        self.write(move |batch| begin(batch, &new)).await
    }

    /// Takes the attempt with this state for a callback of this browser at this provider. Of two
    /// that take the same one, one gets it.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn take_attempt(
        &self,
        state_hash: String,
        browser_hash: Option<String>,
        source: String,
    ) -> Result<Taken, StoreError> {
        self.write(move |batch| take(batch, &state_hash, browser_hash.as_deref(), &source))
            .await
    }

    /// What a browser began the attempt with this state for.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn aim_with(
        &self,
        state_hash: &str,
        browser_hash: &str,
    ) -> Result<Option<Aim>, StoreError> {
        const SQL: &str =
            "SELECT wanted, again FROM attempt WHERE state_hash = $1 AND browser_hash = $2";
        self.read(|db| db.query_one(SQL, values![state_hash, browser_hash], |row| aim(row, 0)))
    }

    /// What a browser began its last attempt at this provider for.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn last_aim(&self, browser_hash: &str, source: &str) -> Result<Option<Aim>, StoreError> {
        const SQL: &str = "SELECT wanted, again FROM attempt WHERE browser_hash = $1 AND source = $2 \
             ORDER BY begun_at DESC, state_hash LIMIT 1";
        self.read(|db| db.query_one(SQL, values![browser_hash, source], |row| aim(row, 0)))
    }
}

fn begin(batch: &mut Batch<'_>, new: &NewAttempt) -> Result<(), StoreError> {
    // A restart is followed once: the attempt that follows it knows that it does.
    const FOLLOWS: &str = "UPDATE attempt SET status = 'restarted' WHERE state_hash IN \
         (SELECT state_hash FROM attempt WHERE browser_hash = $1 AND source = $2 \
         AND wanted = $3 AND status = 'restarting' ORDER BY begun_at, state_hash LIMIT 1)";
    const INSERT: &str = "INSERT INTO attempt (state_hash, browser_hash, source, nonce, verifier, \
         wanted, status, restarts, begun_at, expires_at, again) \
         VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8, $9, $10)";
    const DROP: &str = "UPDATE attempt SET expires_at = $1 \
         WHERE browser_hash = $2 AND status = 'open' AND expires_at > $1 AND state_hash NOT IN \
         (SELECT state_hash FROM attempt WHERE browser_hash = $2 AND status = 'open' \
         ORDER BY begun_at DESC, state_hash LIMIT $3)";
    const FORGET: &str = "DELETE FROM attempt WHERE browser_hash = $1 AND state_hash NOT IN \
         (SELECT state_hash FROM attempt WHERE browser_hash = $1 \
         ORDER BY begun_at DESC, state_hash LIMIT $2)";
    let (browser, now) = (&new.browser_hash, batch.now);
    let follows = values![browser, &new.source, &new.aim.wanted];
    let restarts = batch.db.execute(FOLLOWS, follows)? > 0;
    // Attempts are told apart by when they began, so no two of a browser begin at once.
    let begun_at = batch.next_beginning(browser)?;
    batch.db.change_one(
        INSERT,
        values![
            &new.state_hash,
            browser,
            &new.source,
            &new.nonce,
            &new.verifier,
            &new.aim.wanted,
            restarts,
            begun_at,
            now + ATTEMPT_LIFE,
            new.aim.again,
        ],
    )?;
    batch
        .db
        .execute(DROP, values![now, browser, ATTEMPTS_OPEN_MAX])?;
    batch
        .db
        .execute(FORGET, values![browser, ATTEMPTS_REMEMBERED_MAX])?;
    Ok(())
}

/// An attempt as it is stored.
struct Stored {
    browser_hash: String,
    source: String,
    status: String,
    restarts: bool,
    expires_at: Timestamp,
    attempt: Attempt,
}

/// What an attempt is for, from this column on.
fn aim(row: &Row<'_>, column: usize) -> Result<Aim, StoreError> {
    Ok(Aim {
        wanted: row.text(column)?,
        again: row.flag(column + 1)?,
    })
}

fn stored(row: &Row<'_>) -> Result<Stored, StoreError> {
    Ok(Stored {
        browser_hash: row.text(0)?,
        source: row.text(1)?,
        status: row.text(2)?,
        restarts: row.flag(3)?,
        expires_at: row.at(4)?,
        attempt: Attempt {
            nonce: row.text(5)?,
            verifier: row.text(6)?,
            aim: aim(row, 7)?,
        },
    })
}

fn take(
    batch: &mut Batch<'_>,
    state_hash: &str,
    browser_hash: Option<&str>,
    source: &str,
) -> Result<Taken, StoreError> {
    const FIND: &str = "SELECT browser_hash, source, status, restarts, expires_at, nonce, \
         verifier, wanted, again FROM attempt WHERE state_hash = $1";
    const MARK: &str = "UPDATE attempt SET status = $1 WHERE state_hash = $2";
    let found = batch.db.query_one(FIND, values![state_hash], stored)?;
    let Some(found) = found else {
        return Ok(Taken::Unknown);
    };
    if browser_hash != Some(found.browser_hash.as_str()) {
        return Ok(Taken::OtherBrowser);
    }
    let aim = found.attempt.aim.clone();
    if found.status != "open" {
        return Ok(Taken::Used(aim));
    }
    let (status, taken) = if found.source != source {
        ("used", Taken::OtherSource(aim))
    } else if found.expires_at > batch.now {
        ("used", Taken::Ready(found.attempt))
    } else if found.restarts {
        ("used", Taken::Expired(aim))
    } else {
        ("restarting", Taken::Restart(aim))
    };
    batch.db.change_one(MARK, values![status, state_hash])?;
    Ok(taken)
}

impl Batch<'_> {
    /// The instant for the next attempt of a browser: now, but after that of its last one.
    fn next_beginning(&self, browser_hash: &str) -> Result<Timestamp, StoreError> {
        const SQL: &str = "SELECT begun_at FROM attempt WHERE browser_hash = $1 \
             ORDER BY begun_at DESC, state_hash LIMIT 1";
        let last = self
            .db
            .query_one(SQL, values![browser_hash], |row| row.at(0))?;
        Ok(last.map_or(self.now, |last| self.now.max(last + Millis(1))))
    }

    /// Forgets attempts that ended long ago or are too many, logout tokens that can no longer come
    /// again, and logouts that no answer can have been on its way at.
    pub(super) fn forget_attempts(&mut self) -> Result<usize, StoreError> {
        const NOTICES: &str = "DELETE FROM logout_notice WHERE expires_at <= $1";
        const LOGOUTS: &str = "DELETE FROM provider_logout WHERE at <= $1";
        let attempts = self.forget_old_attempts(ATTEMPTS_MAX)?;
        let notices = self.db.execute(NOTICES, values![self.now])?;
        let logouts = self.db.execute(LOGOUTS, values![self.now - REMEMBERED])?;
        Ok(attempts + notices + logouts)
    }

    fn forget_old_attempts(&mut self, most: u32) -> Result<usize, StoreError> {
        const OLD: &str = "DELETE FROM attempt WHERE expires_at <= $1";
        const COUNT: &str = "SELECT COUNT(*) FROM attempt";
        const FIRST: &str = "DELETE FROM attempt WHERE state_hash IN (SELECT state_hash \
             FROM attempt ORDER BY expires_at, state_hash LIMIT $1)";
        let old = self.db.execute(OLD, values![self.now - REMEMBERED])?;
        let count = self.db.query_one(COUNT, &[], |row| row.count(0))?;
        let over = count.unwrap_or_default().saturating_sub(most);
        if over == 0 {
            return Ok(old);
        }
        Ok(old + self.db.execute(FIRST, values![i64::from(over)])?)
    }
}
