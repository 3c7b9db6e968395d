//! What was seen of a lease after a launch.

use super::EstateLease;
use crate::domain::change::{Event, EventKind};
use crate::domain::person::PersonId;
use crate::domain::time::Timestamp;
use crate::domain::workstation::WorkstationId;
use crate::store::db::{Db, StoreError, values};
use crate::store::writer::{Actor, Batch};
use crate::store::{Store, people};

/// What was seen of a lease after a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// When the launch was followed.
    pub begun_at: Timestamp,
    /// When the watch was over; none while it goes on.
    pub ended_at: Option<Timestamp>,
    /// When the server saw the machine; none where no lease was seen.
    pub seen_at: Option<Timestamp>,
    /// What the server calls the workstation, as far as that is known.
    pub machine: Option<String>,
}

impl Store {
    /// Notes that a launch was followed, from now on watched for.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_watch(
        &self,
        person: PersonId,
        workstation: WorkstationId,
    ) -> Result<Timestamp, StoreError> {
        const SQL: &str = "INSERT INTO estate_watch (person_id, workstation_id, begun_at) \
             VALUES ($1, $2, $3) ON CONFLICT (person_id, workstation_id) \
             DO UPDATE SET begun_at = $3, ended_at = NULL, seen_at = NULL";
        self.write(move |batch| {
            let row = values![person.as_str(), workstation.as_str(), batch.now];
            batch.db.execute(SQL, row)?;
            Ok(batch.now)
        })
        .await
    }

    /// Notes what became of a watch, with one audit event: the machine that leased, or none. A watch
    /// that a later launch took over is left alone.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn end_watch(
        &self,
        person: PersonId,
        workstation: WorkstationId,
        begun_at: Timestamp,
        found: Option<EstateLease>,
    ) -> Result<(), StoreError> {
        self.write(move |batch| end_watch(batch, &person, &workstation, begun_at, found.as_ref()))
            .await
    }

    /// What was seen after the last launch of a person on a workstation.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn watched(
        &self,
        person: &PersonId,
        workstation: &WorkstationId,
    ) -> Result<Option<Watched>, StoreError> {
        self.read(|db| watched(db, person, workstation))
    }
}

pub(super) fn watched(
    db: &Db,
    person: &PersonId,
    workstation: &WorkstationId,
) -> Result<Option<Watched>, StoreError> {
    const SQL: &str = "SELECT begun_at, ended_at, seen_at, machine FROM estate_watch \
         WHERE person_id = $1 AND workstation_id = $2";
    let key = values![person.as_str(), workstation.as_str()];
    db.query_one(SQL, key, |row| {
        Ok(Watched {
            begun_at: row.at(0)?,
            ended_at: row.maybe_at(1)?,
            seen_at: row.maybe_at(2)?,
            machine: row.maybe_text(3)?,
        })
    })
}

fn end_watch(
    batch: &mut Batch<'_>,
    person: &PersonId,
    workstation: &WorkstationId,
    begun_at: Timestamp,
    found: Option<&EstateLease>,
) -> Result<(), StoreError> {
    const SEEN: &str = "UPDATE estate_watch SET ended_at = $1, seen_at = $2, machine = $3 \
         WHERE person_id = $4 AND workstation_id = $5 AND begun_at = $6";
    const NOT_SEEN: &str = "UPDATE estate_watch SET ended_at = $1 \
         WHERE person_id = $2 AND workstation_id = $3 AND begun_at = $4";
    let (now, id, at) = (batch.now, person.as_str(), workstation.as_str());
    let rows = match found {
        Some(lease) => {
            let row = values![now, lease.seen_at, &lease.machine, id, at, begun_at];
            batch.db.execute(SEEN, row)?
        }
        None => batch.db.execute(NOT_SEEN, values![now, id, at, begun_at])?,
    };
    if rows == 0 {
        return Ok(());
    }
    let user = people::by_id(batch.db, person)?.map(|person| person.name);
    let user = user.unwrap_or_default();
    let mut event = Event::new(EventKind::LeaseWatched)
        .about(person, &user)
        .with("workstation", at);
    event = match found {
        Some(lease) => event
            .with("machine", lease.machine.clone())
            .with("seen_at", lease.seen_at.to_string()),
        None => event.with("machine", "none"),
    };
    batch.record(&event, &Actor::person(&user))
}
