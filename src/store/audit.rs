//! The audit: appended in the transaction of the change, chained by hashes, read by pages.
//!
//! Each row's hash is a MAC over the hash before it and every field of the row, so that a row that
//! was changed, removed or put in front is found, and nobody without the server's key can make it
//! right again. All writers of an SQLite ledger share one lock, so they share one chain.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::writer::{Actor, Batch, Gate};
use crate::auth::secret::AuditKey;
use crate::domain::change::Event;
use crate::domain::person::PersonId;
use crate::domain::time::Timestamp;

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number, from 1 without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: String,
    /// Why it was refused, where it was.
    pub code: Option<String>,
    /// The user name it concerns, as it was then.
    pub user: Option<String>,
    /// Who caused it.
    pub actor: String,
    /// More facts: the text of a JSON object.
    #[serde(serialize_with = "as_json")]
    pub detail: String,
    /// The hash of the chain up to this row.
    pub hash: String,
    /// The person it concerns.
    #[serde(skip)]
    pub person: Option<PersonId>,
}

/// Which rows of the audit are wanted, the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only rows before this one.
    pub before: Option<i64>,
    /// Only rows about this person.
    pub person: Option<PersonId>,
    /// How many at most.
    pub limit: u32,
}

/// What the verification of the chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditVerdict {
    /// Rows that were read.
    pub rows: i64,
    /// The first row at which the chain breaks, and how.
    pub broken: Option<BrokenChain>,
}

/// Where and how the audit chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenChain {
    /// The number of the row.
    pub seq: i64,
    /// What is wrong.
    pub reason: String,
}

impl Batch<'_> {
    /// Appends an event to the audit.
    pub(super) fn record(&mut self, event: &Event, actor: &Actor) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO audit \
             (seq, at, event, code, person_id, user_name, actor, detail, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let detail = serde_json::to_string(&Detail(&event.detail))
            .map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let seq = self.gate.audit_seq + 1;
        let link = Link {
            seq,
            at: self.now,
            event: event.kind.name(),
            code: event.code.as_deref(),
            person: event.person.as_ref().map(PersonId::as_str),
            user: event.user.as_deref(),
            actor: &actor.0,
            detail: &detail,
        };
        let hash = link.hash(&self.options.audit_key, &self.gate.audit_hash);
        self.db.execute(
            SQL,
            values![
                seq,
                link.at,
                link.event,
                link.code,
                link.person,
                link.user,
                link.actor,
                &detail,
                &hash,
            ],
        )?;
        self.gate.audit_seq = seq;
        self.gate.audit_hash = hash;
        Ok(())
    }
}

impl Store {
    /// Rows of the audit, the newest first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        const ALL: &str = "SELECT seq, at, event, code, person_id, user_name, actor, detail, hash \
             FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
        let before = filter.before.unwrap_or(i64::MAX);
        self.read(|db| match &filter.person {
            None => db.query(ALL, values![before, i64::from(filter.limit)], row),
            Some(person) => db.snapshot(|db| rows_of(db, person, before, filter.limit as usize)),
        })
    }

    /// Rows of the audit from a number on, the oldest first; for exports.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn audit_from(&self, seq: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.read(|db| rows_from(db, seq, limit))
    }

    /// Reads the whole audit and checks its chain.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        self.read(|db| db.snapshot(|db| verify(db, &self.0.options.audit_key)))
    }
}

/// Rows that one step of a verification reads.
const VERIFY_ROWS: u32 = 1000;

fn verify(db: &Db, key: &AuditKey) -> Result<AuditVerdict, StoreError> {
    let head = Gate::read(db)?;
    let broken = |rows, seq, reason: &str| {
        Ok(AuditVerdict {
            rows,
            broken: Some(BrokenChain {
                seq,
                reason: reason.to_owned(),
            }),
        })
    };
    let (mut seq, mut hash) = (0, String::new());
    // A row that was put in front of the first has a number below it.
    let mut from = i64::MIN;
    loop {
        let rows = rows_from(db, from, VERIFY_ROWS)?;
        let read = rows.len();
        for row in rows {
            if row.seq <= seq {
                return broken(seq, row.seq, "the row was put in front");
            }
            if row.seq != seq + 1 {
                return broken(seq, seq + 1, "the row is missing");
            }
            if row.link().hash(key, &hash) != row.hash {
                return broken(seq, row.seq, "the row was changed, or the one before it");
            }
            (seq, hash) = (row.seq, row.hash);
        }
        from = seq + 1;
        if read < VERIFY_ROWS as usize {
            break;
        }
    }
    if (seq, &hash) != (head.audit_seq, &head.audit_hash) {
        return broken(seq, seq + 1, "the audit does not end where the ledger says");
    }
    Ok(AuditVerdict {
        rows: seq,
        broken: None,
    })
}

/// Rows that stand together in the index of people; the index says so too.
const INDEXED_TOGETHER: i64 = 1024;

/// Rows about a person, the newest first: the index is searched part by part.
fn rows_of(
    db: &Db,
    person: &PersonId,
    before: i64,
    limit: usize,
) -> Result<Vec<AuditRow>, StoreError> {
    const SQL: &str = "SELECT seq, at, event, code, person_id, user_name, actor, detail, hash \
         FROM audit WHERE seq / 1024 = $1 AND person_id = $2 AND seq < $3 \
         ORDER BY seq DESC LIMIT $4";
    let newest = Gate::read(db)?.audit_seq;
    let mut part = newest.min(before) / INDEXED_TOGETHER;
    let mut rows = Vec::new();
    while part >= 0 && rows.len() < limit {
        let left = i64::try_from(limit - rows.len()).unwrap_or(i64::MAX);
        rows.extend(db.query(SQL, values![part, person.as_str(), before, left], row)?);
        part -= 1;
    }
    Ok(rows)
}

fn rows_from(db: &Db, seq: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    const SQL: &str = "SELECT seq, at, event, code, person_id, user_name, actor, detail, hash \
         FROM audit WHERE seq >= $1 ORDER BY seq LIMIT $2";
    db.query(SQL, values![seq, i64::from(limit)], row)
}

fn row(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: row.int(0)?,
        at: row.at(1)?,
        event: row.text(2)?,
        code: row.maybe_text(3)?,
        person: row.maybe_text(4)?.map(PersonId),
        user: row.maybe_text(5)?,
        actor: row.text(6)?,
        detail: row.text(7)?,
        hash: row.text(8)?,
    })
}

impl AuditRow {
    fn link(&self) -> Link<'_> {
        Link {
            seq: self.seq,
            at: self.at,
            event: &self.event,
            code: self.code.as_deref(),
            person: self.person.as_ref().map(PersonId::as_str),
            user: self.user.as_deref(),
            actor: &self.actor,
            detail: &self.detail,
        }
    }
}

/// Writes the text of a JSON object as that object; as text where it is none.
fn as_json<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => value.serialize(serializer),
        Err(_) => text.serialize(serializer),
    }
}

/// The fields of a row that its hash covers.
struct Link<'a> {
    seq: i64,
    at: Timestamp,
    event: &'a str,
    code: Option<&'a str>,
    person: Option<&'a str>,
    user: Option<&'a str>,
    actor: &'a str,
    detail: &'a str,
}

impl Link<'_> {
    /// A MAC over the hash before and each field with its length in front, in hex.
    fn hash(&self, key: &AuditKey, before: &str) -> String {
        let mut hash = key.begin();
        hash.update(before);
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at.0.to_be_bytes());
        for field in [
            Some(self.event),
            self.code,
            self.person,
            self.user,
            Some(self.actor),
            Some(self.detail),
        ] {
            let length = field.map_or(u64::MAX, |field| field.len() as u64);
            hash.update(length.to_be_bytes());
            hash.update(field.unwrap_or_default());
        }
        hash.finish()
    }
}

/// Facts as a JSON object, in their order.
struct Detail<'a>(&'a [(&'static str, String)]);

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
