//! A small report over the whole ledger.

use serde::Serialize;

use super::Store;
use super::db::{Db, StoreError, Value, values};
use super::writer::Gate;
use crate::domain::time::{Millis, Timestamp};

/// How far back opens are counted.
const OPENS_OF: Millis = Millis::days(30);
/// How many of the latest events are looked at for that.
const EVENTS_MAX: i64 = 200_000;

/// How many there are of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When it was made.
    pub at: Timestamp,
    /// People who are not disabled.
    pub people_active: u32,
    /// People who are disabled.
    pub people_disabled: u32,
    /// CALs that people hold.
    pub cals_assigned: u32,
    /// CALs in quarantine.
    pub cals_quarantined: u32,
    /// Leases that are live.
    pub leases_live: u32,
    /// Opens of the last 30 days by outcome, among the latest 200,000 events.
    pub opens: Vec<OpensCounted>,
}

/// How many opens had an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpensCounted {
    /// What they were refused with, the open or its lease; none where nothing was.
    pub code: Option<String>,
    /// How many.
    pub count: u32,
}

impl Store {
    /// Counts people, CALs, leases and opens.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn report(&self) -> Result<Report, StoreError> {
        const PEOPLE: &str = "SELECT COUNT(*) FROM person WHERE active = $1";
        const ASSIGNED: &str = "SELECT COUNT(*) FROM cal WHERE state = 'assigned'";
        const QUARANTINED: &str =
            "SELECT COUNT(*) FROM cal WHERE state = 'quarantined' AND quarantined_until > $1";
        // Nearly all live leases are not due yet, and the index alone tells how many those are.
        const NOT_DUE: &str = "SELECT COUNT(*) FROM lease WHERE state = 'live' AND settle_at > $1";
        const RENEWED: &str = "SELECT COUNT(*) FROM lease \
             WHERE state = 'live' AND settle_at <= $1 AND expires_at > $1";
        const OPENS: &str = "SELECT code, COUNT(*) FROM audit WHERE seq > $1 AND at > $2 \
             AND event = 'document_opened' GROUP BY code ORDER BY code";
        let now = self.now();
        self.read(|db| {
            db.snapshot(|db| {
                let since_seq = Gate::read(db)?.audit_seq - EVENTS_MAX;
                Ok(Report {
                    at: now,
                    people_active: count(db, PEOPLE, values![true])?,
                    people_disabled: count(db, PEOPLE, values![false])?,
                    cals_assigned: count(db, ASSIGNED, &[])?,
                    cals_quarantined: count(db, QUARANTINED, values![now])?,
                    leases_live: count(db, NOT_DUE, values![now])?
                        + count(db, RENEWED, values![now])?,
                    opens: db.query(OPENS, values![since_seq, now - OPENS_OF], |row| {
                        Ok(OpensCounted {
                            code: row.maybe_text(0)?,
                            count: row.count(1)?,
                        })
                    })?,
                })
            })
        })
    }
}

fn count(db: &Db, sql: &'static str, values: &[Value<'_>]) -> Result<u32, StoreError> {
    Ok(db.query_one(sql, values, |row| row.count(0))?.unwrap_or(0))
}
