//! Workstations: found by their cookie, named, lifted, merged.

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::leases::of_workstation;
use super::writer::{Actor, Batch};
use crate::domain::administer::{decide_lift, decide_merge};
use crate::domain::change::{Event, EventKind};
use crate::domain::name::UserName;
use crate::domain::person::PersonId;
use crate::domain::throttle::KNOWN_WORKSTATION_DAYS;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId};

/// A workstation that signs in: known by its secret, or new.
#[derive(Clone, Debug)]
pub struct WorkstationSeen {
    /// The hash of what identifies it: its cookie, or the name in a trusted header.
    pub secret_hash: String,
    /// Its name where it is new.
    pub name: String,
}

/// A workstation as lists show it.
#[derive(Clone, Debug)]
pub struct WorkstationRow {
    /// Id and name.
    pub workstation: Workstation,
    /// The user names of those who signed in there.
    pub users: Vec<String>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When somebody signed in there last.
    pub last_seen_at: Timestamp,
}

impl Store {
    /// The workstation with this secret; one that is not known is made.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn see_workstation(&self, seen: WorkstationSeen) -> Result<Workstation, StoreError> {
        self.write(move |batch| see(batch, &seen)).await
    }

    /// The workstation with this secret, if it is known; a merged one is the one it became.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn workstation_by_secret(&self, hash: &str) -> Result<Option<Workstation>, StoreError> {
        self.read(|db| by_secret(db, hash))
    }

    /// The workstation with this id, if it is known; a merged one is the one it became.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn workstation(&self, id: &WorkstationId) -> Result<Option<Workstation>, StoreError> {
        self.read(|db| by_id(db, id))
    }

    /// Whether this account signed in on this workstation within 90 days.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn signed_in_lately(
        &self,
        name: &UserName,
        workstation: &WorkstationId,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT workstation_person.last_sign_in_at FROM workstation_person \
             JOIN person ON person.id = workstation_person.person_id \
             WHERE person.name = $1 AND workstation_person.workstation_id = $2";
        const BY_OTHER_NAME: &str = "SELECT last_sign_in_at FROM workstation_name \
             WHERE name = $1 AND workstation_id = $2";
        let since = self.now() - Millis::days(KNOWN_WORKSTATION_DAYS);
        let asked = values![name.folded(), workstation.as_str()];
        let lately = |sql| -> Result<bool, StoreError> {
            let last = self.read(|db| db.query_one(sql, asked, |row| row.at(0)))?;
            Ok(last.is_some_and(|last| last > since))
        };
        Ok(lately(SQL)? || lately(BY_OTHER_NAME)?)
    }

    /// The same for whoever has this identity.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn identity_signed_in_lately(
        &self,
        source: &str,
        subject: &str,
        workstation: &WorkstationId,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT workstation_person.last_sign_in_at FROM workstation_person \
             JOIN identity ON identity.person_id = workstation_person.person_id \
             WHERE identity.source = $1 AND identity.subject = $2 \
             AND workstation_person.workstation_id = $3";
        let since = self.now() - Millis::days(KNOWN_WORKSTATION_DAYS);
        let last = self.read(|db| {
            let values = values![source, subject, workstation.as_str()];
            db.query_one(SQL, values, |row| row.at(0))
        })?;
        Ok(last.is_some_and(|last| last > since))
    }

    /// Workstations on which a person signed in, the latest first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn workstations_of(&self, person: &PersonId) -> Result<Vec<WorkstationRow>, StoreError> {
        const SQL: &str = "SELECT workstation.id, workstation.name, workstation.created_at, \
             workstation_person.last_sign_in_at FROM workstation_person \
             JOIN workstation ON workstation.id = workstation_person.workstation_id \
             WHERE workstation_person.person_id = $1 \
             ORDER BY workstation_person.last_sign_in_at DESC, workstation.id";
        self.read(|db| db.query(SQL, values![person.as_str()], workstation_row))
    }

    /// Every workstation that was not merged into another, by id.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn workstations(&self, after: &str, limit: u32) -> Result<Vec<WorkstationRow>, StoreError> {
        const SQL: &str = "SELECT id, name, created_at, last_seen_at FROM workstation \
             WHERE id > $1 AND merged_into IS NULL ORDER BY id LIMIT $2";
        const USERS: &str = "SELECT person.name FROM workstation_person \
             JOIN person ON person.id = workstation_person.person_id \
             WHERE workstation_person.workstation_id = $1 ORDER BY person.name";
        self.read(|db| {
            let mut rows = db.query(SQL, values![after, i64::from(limit)], workstation_row)?;
            for row in &mut rows {
                let id = row.workstation.id.as_str();
                row.users = db.query(USERS, values![id], |user| user.text(0))?;
            }
            Ok(rows)
        })
    }

    /// Renames a workstation on which the person signed in; false where they did not.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn rename_workstation(
        &self,
        person: PersonId,
        id: WorkstationId,
        name: String,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        self.write(move |batch| rename(batch, &person, &id, &name, &actor))
            .await
    }

    /// Lifts a workstation (R19): how many leases that ended, or none where it is unknown.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn lift_workstation(
        &self,
        id: WorkstationId,
        actor: Actor,
    ) -> Result<Option<usize>, StoreError> {
        self.write(move |batch| lift(batch, &id, &actor)).await
    }

    /// Merges a workstation into another (R23): how many leases that ended, or none where one of
    /// them is unknown.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn merge_workstation(
        &self,
        id: WorkstationId,
        into: WorkstationId,
        actor: Actor,
    ) -> Result<Option<usize>, StoreError> {
        self.write(move |batch| merge(batch, &id, &into, &actor))
            .await
    }
}

fn see(batch: &mut Batch<'_>, seen: &WorkstationSeen) -> Result<Workstation, StoreError> {
    const SEEN: &str = "UPDATE workstation SET last_seen_at = $1 WHERE id = $2";
    const INSERT: &str = "INSERT INTO workstation \
         (id, secret_hash, name, created_at, last_seen_at) VALUES ($1, $2, $3, $4, $5)";
    if let Some(known) = by_secret(batch.db, &seen.secret_hash)? {
        batch
            .db
            .change_one(SEEN, values![batch.now, known.id.as_str()])?;
        return Ok(known);
    }
    let id = WorkstationId(batch.options.fresh.id());
    let row = values![
        id.as_str(),
        &seen.secret_hash,
        &seen.name,
        batch.now,
        batch.now
    ];
    batch.db.change_one(INSERT, row)?;
    Ok(Workstation {
        id,
        name: seen.name.clone(),
    })
}

fn by_secret(db: &Db, hash: &str) -> Result<Option<Workstation>, StoreError> {
    const BY_SECRET: &str = "SELECT id, name, merged_into FROM workstation WHERE secret_hash = $1";
    follow(db, db.query_one(BY_SECRET, values![hash], with_merge)?)
}

fn by_id(db: &Db, id: &WorkstationId) -> Result<Option<Workstation>, StoreError> {
    const BY_ID: &str = "SELECT id, name, merged_into FROM workstation WHERE id = $1";
    follow(db, db.query_one(BY_ID, values![id.as_str()], with_merge)?)
}

/// A workstation, and the one that it was merged into.
type Merged = (Workstation, Option<String>);

fn follow(db: &Db, found: Option<Merged>) -> Result<Option<Workstation>, StoreError> {
    const BY_ID: &str = "SELECT id, name, merged_into FROM workstation WHERE id = $1";
    match found {
        Some((_, Some(into))) => {
            let followed = db.query_one(BY_ID, values![&into], with_merge)?;
            Ok(followed.map(|(workstation, _)| workstation))
        }
        found => Ok(found.map(|(workstation, _)| workstation)),
    }
}

fn with_merge(row: &Row<'_>) -> Result<Merged, StoreError> {
    let workstation = Workstation {
        id: WorkstationId(row.text(0)?),
        name: row.text(1)?,
    };
    Ok((workstation, row.maybe_text(2)?))
}

fn workstation_row(row: &Row<'_>) -> Result<WorkstationRow, StoreError> {
    Ok(WorkstationRow {
        workstation: Workstation {
            id: WorkstationId(row.text(0)?),
            name: row.text(1)?,
        },
        users: Vec::new(),
        created_at: row.at(2)?,
        last_seen_at: row.at(3)?,
    })
}

fn rename(
    batch: &mut Batch<'_>,
    person: &PersonId,
    id: &WorkstationId,
    name: &str,
    actor: &Actor,
) -> Result<bool, StoreError> {
    const THEIRS: &str = "SELECT person.name FROM workstation_person \
         JOIN person ON person.id = workstation_person.person_id \
         WHERE workstation_person.person_id = $1 AND workstation_person.workstation_id = $2";
    const RENAME: &str = "UPDATE workstation SET name = $1 WHERE id = $2";
    let theirs = values![person.as_str(), id.as_str()];
    let Some(user) = batch.db.query_one(THEIRS, theirs, |row| row.text(0))? else {
        return Ok(false);
    };
    batch.db.change_one(RENAME, values![name, id.as_str()])?;
    batch.forget_sessions();
    let event = Event::new(EventKind::WorkstationRenamed)
        .about(person, &user)
        .with("workstation", id.as_str())
        .with("name", name);
    batch.record(&event, actor)?;
    Ok(true)
}

fn lift(
    batch: &mut Batch<'_>,
    id: &WorkstationId,
    actor: &Actor,
) -> Result<Option<usize>, StoreError> {
    let Some(workstation) = by_id(batch.db, id)? else {
        return Ok(None);
    };
    let leases = of_workstation(batch.db, &workstation.id)?;
    let decision = decide_lift(&workstation.id, &leases, batch.now);
    batch.apply(&decision.changes)?;
    if let Some(event) = &decision.event {
        batch.record(event, actor)?;
    }
    Ok(Some(decision.answer))
}

fn merge(
    batch: &mut Batch<'_>,
    id: &WorkstationId,
    into: &WorkstationId,
    actor: &Actor,
) -> Result<Option<usize>, StoreError> {
    let (Some(from), Some(into)) = (by_id(batch.db, id)?, by_id(batch.db, into)?) else {
        return Ok(None);
    };
    let mut leases = of_workstation(batch.db, &from.id)?;
    leases.extend(of_workstation(batch.db, &into.id)?);
    let decision = decide_merge(&from.id, &into.id, &leases, batch.now);
    batch.apply(&decision.changes)?;
    if let Some(event) = &decision.event {
        batch.record(event, actor)?;
    }
    Ok(Some(decision.answer))
}
