//! Leases: written as decided, listed, ended early.

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::people;
use super::writer::{Actor, Batch};
use crate::domain::administer::{EndedBy, decide_end_lease};
use crate::domain::change::Change;
use crate::domain::lease::{Lease, LeaseId, LeaseState};
use crate::domain::person::PersonId;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId};

/// How long ended leases are kept and listed.
pub(super) const ENDED_KEPT: Millis = Millis::days(90);

/// A lease with its person's name.
#[derive(Clone, Debug)]
pub struct LeaseRow {
    /// The lease.
    pub lease: Lease,
    /// The user name.
    pub user: String,
}

/// Which leases are wanted, by id.
#[derive(Clone, Debug, Default)]
pub struct LeaseFilter {
    /// Only leases after this id.
    pub after: String,
    /// Only this person's.
    pub person: Option<PersonId>,
    /// How many at most.
    pub limit: u32,
}

impl Store {
    /// A person's leases, the latest first; ended ones for 90 days.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn leases_of(&self, person: &PersonId) -> Result<Vec<Lease>, StoreError> {
        const SQL: &str = "SELECT lease.id, lease.person_id, lease.workstation_id, \
             workstation.name, lease.state, lease.granted_at, lease.renewed_at, \
             lease.expires_at, lease.ended_at, lease.counts \
             FROM lease JOIN workstation ON workstation.id = lease.workstation_id \
             WHERE lease.person_id = $1 ORDER BY lease.renewed_at DESC, lease.id";
        self.read_now(|db, now| {
            let ended_since = now - ENDED_KEPT;
            let mut leases = db.query(SQL, values![person.as_str()], lease)?;
            leases.retain(|lease| lease.ended_at.unwrap_or(lease.expires_at) > ended_since);
            Ok(leases)
        })
    }

    /// Leases of everybody or of one person, by id.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn leases(&self, filter: &LeaseFilter) -> Result<Vec<LeaseRow>, StoreError> {
        const ALL: &str = "SELECT lease.id, lease.person_id, lease.workstation_id, \
             workstation.name, lease.state, lease.granted_at, lease.renewed_at, \
             lease.expires_at, lease.ended_at, lease.counts, person.name \
             FROM lease JOIN workstation ON workstation.id = lease.workstation_id \
             JOIN person ON person.id = lease.person_id \
             WHERE lease.id > $1 ORDER BY lease.id LIMIT $2";
        const OF_PERSON: &str = "SELECT lease.id, lease.person_id, lease.workstation_id, \
             workstation.name, lease.state, lease.granted_at, lease.renewed_at, \
             lease.expires_at, lease.ended_at, lease.counts, person.name \
             FROM lease JOIN workstation ON workstation.id = lease.workstation_id \
             JOIN person ON person.id = lease.person_id \
             WHERE lease.id > $1 AND lease.person_id = $2 ORDER BY lease.id LIMIT $3";
        let read = |row: &Row<'_>| {
            Ok(LeaseRow {
                lease: lease(row)?,
                user: row.text(10)?,
            })
        };
        let (after, limit) = (&filter.after, i64::from(filter.limit));
        self.read(|db| match &filter.person {
            None => db.query(ALL, values![after, limit], read),
            Some(person) => db.query(OF_PERSON, values![after, person.as_str(), limit], read),
        })
    }

    /// The ids of leases that ended before their time and would still be valid otherwise, with
    /// the ends that their tokens claim.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn leases_ended_early(&self) -> Result<Vec<(LeaseId, Timestamp)>, StoreError> {
        const SQL: &str = "SELECT id, expires_at FROM lease \
             WHERE ended_at IS NOT NULL AND expires_at > $1 ORDER BY expires_at, id";
        self.read_now(|db, now| {
            db.query(SQL, values![now], |row| {
                Ok((LeaseId(row.text(0)?), row.at(1)?))
            })
        })
    }

    /// Ends a lease. With [`EndedBy::Person`] only one of `owner`'s. None where there is no such
    /// lease, else whether anything was changed.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn end_lease(
        &self,
        id: LeaseId,
        owner: Option<PersonId>,
        actor: Actor,
    ) -> Result<Option<bool>, StoreError> {
        self.write(move |batch| end(batch, &id, owner.as_ref(), &actor))
            .await
    }
}

fn end(
    batch: &mut Batch<'_>,
    id: &LeaseId,
    owner: Option<&PersonId>,
    actor: &Actor,
) -> Result<Option<bool>, StoreError> {
    let lease = by_id(batch.db, id)?;
    let Some(lease) = lease.filter(|lease| owner.is_none_or(|owner| *owner == lease.person)) else {
        return Ok(None);
    };
    let Some(person) = people::by_id(batch.db, &lease.person)? else {
        return Ok(None);
    };
    let by = if owner.is_some() {
        EndedBy::Person
    } else {
        EndedBy::Administrator
    };
    let decision = decide_end_lease(&lease, &person, by, batch.now);
    batch.apply(&decision.changes)?;
    if let Some(event) = &decision.event {
        batch.record(event, actor)?;
    }
    Ok(Some(decision.answer))
}

fn by_id(db: &Db, id: &LeaseId) -> Result<Option<Lease>, StoreError> {
    const SQL: &str = "SELECT lease.id, lease.person_id, lease.workstation_id, \
         workstation.name, lease.state, lease.granted_at, lease.renewed_at, \
         lease.expires_at, lease.ended_at, lease.counts \
         FROM lease JOIN workstation ON workstation.id = lease.workstation_id \
         WHERE lease.id = $1";
    db.query_one(SQL, values![id.as_str()], lease)
}

/// The leases of a workstation.
pub(super) fn of_workstation(db: &Db, id: &WorkstationId) -> Result<Vec<Lease>, StoreError> {
    const SQL: &str = "SELECT lease.id, lease.person_id, lease.workstation_id, \
         workstation.name, lease.state, lease.granted_at, lease.renewed_at, \
         lease.expires_at, lease.ended_at, lease.counts \
         FROM lease JOIN workstation ON workstation.id = lease.workstation_id \
         WHERE lease.workstation_id = $1 ORDER BY lease.id";
    db.query(SQL, values![id.as_str()], lease)
}

/// Every lease.
pub(super) fn all(db: &Db) -> Result<Vec<Lease>, StoreError> {
    const SQL: &str = "SELECT lease.id, lease.person_id, lease.workstation_id, \
         workstation.name, lease.state, lease.granted_at, lease.renewed_at, \
         lease.expires_at, lease.ended_at, lease.counts \
         FROM lease JOIN workstation ON workstation.id = lease.workstation_id ORDER BY lease.id";
    db.query(SQL, &[], lease)
}

pub(super) fn lease(row: &Row<'_>) -> Result<Lease, StoreError> {
    let state = row.text(4)?;
    Ok(Lease {
        id: LeaseId(row.text(0)?),
        person: PersonId(row.text(1)?),
        workstation: Workstation {
            id: WorkstationId(row.text(2)?),
            name: row.text(3)?,
        },
        state: LeaseState::from_word(&state)
            .ok_or_else(|| StoreError::Corrupt(format!("the lease state {state}")))?,
        granted_at: row.at(5)?,
        renewed_at: row.at(6)?,
        expires_at: row.at(7)?,
        ended_at: row.maybe_at(8)?,
        counts: row.flag(9)?,
    })
}

impl Batch<'_> {
    pub(super) fn apply_to_leases(&mut self, change: &Change) -> Result<(), StoreError> {
        const RENEW: &str = "UPDATE lease SET renewed_at = $1, expires_at = $2, counts = 1 \
             WHERE id = $3 AND state = 'live' AND expires_at <= $2";
        const END: &str = "UPDATE lease SET state = $1, ended_at = $2 \
             WHERE id = $3 AND state = 'live'";
        const LIFT: &str = "UPDATE lease SET counts = 0 WHERE workstation_id = $1";
        match change {
            Change::LeaseGranted(lease) => self.grant(lease)?,
            Change::LeaseRenewed {
                id,
                renewed_at,
                expires_at,
            } => {
                let renewed = values![*renewed_at, *expires_at, id.as_str()];
                self.db.change_one(RENEW, renewed)?;
            }
            Change::LeaseEnded { id, state, at } => {
                self.db
                    .change_one(END, values![state.word(), *at, id.as_str()])?;
            }
            Change::WorkstationLifted { workstation } => {
                self.db.execute(LIFT, values![workstation.as_str()])?;
            }
            Change::WorkstationMerged { workstation, into } => self.merge(workstation, into)?,
            _ => {}
        }
        Ok(())
    }

    fn grant(&mut self, lease: &Lease) -> Result<(), StoreError> {
        // One whose end has come makes room: its state was live until this decision.
        const EXPIRE: &str = "UPDATE lease SET state = 'expired' \
             WHERE person_id = $1 AND workstation_id = $2 AND state = 'live' AND expires_at <= $3";
        const GRANT: &str = "INSERT INTO lease (id, person_id, workstation_id, state, granted_at, \
             renewed_at, expires_at, settle_at, counts) VALUES ($1, $2, $3, 'live', $4, $5, $6, $6, 1)";
        let (person, workstation) = (lease.person.as_str(), lease.workstation.id.as_str());
        self.db
            .execute(EXPIRE, values![person, workstation, self.now])?;
        self.db.change_one(
            GRANT,
            values![
                lease.id.as_str(),
                person,
                workstation,
                lease.granted_at,
                lease.renewed_at,
                lease.expires_at,
            ],
        )
    }

    fn merge(&mut self, from: &WorkstationId, into: &WorkstationId) -> Result<(), StoreError> {
        // Live leases whose end has come must not meet a live twin.
        const EXPIRE: &str = "UPDATE lease SET state = 'expired' \
             WHERE workstation_id = $1 AND state = 'live' AND expires_at <= $2";
        const LEASES: &str = "UPDATE lease SET workstation_id = $1 WHERE workstation_id = $2";
        const SESSIONS: &str = "UPDATE session SET workstation_id = $1 WHERE workstation_id = $2";
        const PEOPLE: &str = "INSERT INTO workstation_person \
             (person_id, workstation_id, last_sign_in_at) \
             SELECT person_id, $1, last_sign_in_at FROM workstation_person \
             WHERE workstation_id = $2 ON CONFLICT (person_id, workstation_id) DO UPDATE \
             SET last_sign_in_at = excluded.last_sign_in_at \
             WHERE excluded.last_sign_in_at > workstation_person.last_sign_in_at";
        // Sessions move along, so what they were handed must go on to fit.
        const TICKETS: &str = "UPDATE launch SET workstation_id = $1 WHERE workstation_id = $2";
        const NAMES: &str = "INSERT INTO workstation_name \
             (workstation_id, name, last_sign_in_at) \
             SELECT $1, name, last_sign_in_at FROM workstation_name \
             WHERE workstation_id = $2 ON CONFLICT (workstation_id, name) DO UPDATE \
             SET last_sign_in_at = excluded.last_sign_in_at \
             WHERE excluded.last_sign_in_at > workstation_name.last_sign_in_at";
        const FORGET: &str = "DELETE FROM workstation_person WHERE workstation_id = $1";
        const FORGET_NAMES: &str = "DELETE FROM workstation_name WHERE workstation_id = $1";
        // Those that were merged into it before follow, so that one step leads to the end.
        const MARK: &str = "UPDATE workstation SET merged_into = $1 \
             WHERE id = $2 OR merged_into = $2";
        for workstation in [from, into] {
            self.db
                .execute(EXPIRE, values![workstation.as_str(), self.now])?;
        }
        for sql in [LEASES, SESSIONS, PEOPLE, NAMES, TICKETS] {
            self.db
                .execute(sql, values![into.as_str(), from.as_str()])?;
        }
        for sql in [FORGET, FORGET_NAMES] {
            self.db.execute(sql, values![from.as_str()])?;
        }
        self.db
            .execute(MARK, values![into.as_str(), from.as_str()])?;
        self.forget_sessions();
        Ok(())
    }
}
