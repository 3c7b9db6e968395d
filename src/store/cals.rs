//! Named CALs: assigned, given back, taken back, listed.

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::people;
use super::writer::{Actor, Batch};
use crate::domain::administer::{
    AssignAnswer, AssignView, UnassignAnswer, decide_assign, decide_unassign,
};
use crate::domain::cal::{CalState, NamedCal};
use crate::domain::change::{Change, Decision};
use crate::domain::name::UserName;
use crate::domain::person::{AutomaticCal, Person, PersonId};
use crate::domain::time::Timestamp;

/// A CAL that is taken, with its holder's names.
#[derive(Clone, Debug)]
pub struct CalRow {
    /// The CAL.
    pub cal: NamedCal,
    /// When it was assigned; none where its server does not tell.
    pub assigned_at: Option<Timestamp>,
    /// The user name.
    pub user: String,
    /// The name that pages show.
    pub display_name: String,
}

/// What an unassignment did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unassigned {
    /// The answer of the rules.
    pub answer: UnassignAnswer,
    /// Whether the person's next open would give it back by itself (R9).
    pub comes_back_by_itself: bool,
}

impl Store {
    /// Assigns a CAL to a name; one not seen before becomes a person who has not signed in yet.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn assign_cal(
        &self,
        user: UserName,
        actor: Actor,
    ) -> Result<AssignAnswer, StoreError> {
        self.write(move |batch| assign(batch, &user, &actor)).await
    }

    /// Takes a CAL back; none where the name is unknown.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn unassign_cal(
        &self,
        user: UserName,
        actor: Actor,
    ) -> Result<Option<Unassigned>, StoreError> {
        self.write(move |batch| unassign(batch, &user, &actor))
            .await
    }

    /// CALs that are taken now, by user name, from after `cursor` on.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn cals(&self, cursor: &str, limit: u32) -> Result<Vec<CalRow>, StoreError> {
        const SQL: &str = "SELECT cal.person_id, cal.state, cal.assigned_at, cal.last_used_at, \
             cal.quarantined_since, cal.quarantined_until, person.name, person.display_name \
             FROM cal JOIN person ON person.id = cal.person_id \
             WHERE person.name > $1 AND (cal.state = 'assigned' OR cal.quarantined_until > $2) \
             ORDER BY person.name LIMIT $3";
        self.read_now(|db, now| {
            db.query(SQL, values![cursor, now, i64::from(limit)], |row| {
                let cal = cal(row)?;
                Ok(CalRow {
                    assigned_at: Some(cal.assigned_at),
                    cal,
                    user: row.text(6)?,
                    display_name: row.text(7)?,
                })
            })
        })
    }

    /// The CAL of a person, unless its quarantine has ended.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn cal_of(&self, person: &PersonId) -> Result<Option<NamedCal>, StoreError> {
        self.read_now(|db, now| Ok(of_person(db, person)?.filter(|cal| cal.is_taken(now))))
    }
}

fn assign(
    batch: &mut Batch<'_>,
    user: &UserName,
    actor: &Actor,
) -> Result<AssignAnswer, StoreError> {
    if let Some(person) = people::by_name(batch.db, user.folded())? {
        return assign_to(batch, &person, actor);
    }
    let person = people::unseen(batch, user);
    let decision = assignment(batch, &person)?;
    if !decision.changes.is_empty() {
        people::insert(batch, &person)?;
    }
    carry_out(batch, decision, actor)
}

/// Assigns within a batch; also for mappings that assign at sign-in.
pub(super) fn assign_to(
    batch: &mut Batch<'_>,
    person: &Person,
    actor: &Actor,
) -> Result<AssignAnswer, StoreError> {
    let decision = assignment(batch, person)?;
    carry_out(batch, decision, actor)
}

fn assignment(
    batch: &mut Batch<'_>,
    person: &Person,
) -> Result<Decision<AssignAnswer>, StoreError> {
    batch.end_quarantines()?;
    let license = batch.license()?;
    let cal = of_person(batch.db, &person.id)?;
    let ends = quarantine_ends(batch.db, batch.now)?;
    let view = AssignView {
        license: license.as_deref(),
        person,
        cal: cal.as_ref(),
        taken: batch.gate.cals_taken,
        quarantine_ends: &ends,
    };
    Ok(decide_assign(&view, batch.now))
}

fn carry_out(
    batch: &mut Batch<'_>,
    decision: Decision<AssignAnswer>,
    actor: &Actor,
) -> Result<AssignAnswer, StoreError> {
    batch.apply(&decision.changes)?;
    if let Some(event) = &decision.event {
        batch.record(event, actor)?;
    }
    Ok(decision.answer)
}

fn unassign(
    batch: &mut Batch<'_>,
    user: &UserName,
    actor: &Actor,
) -> Result<Option<Unassigned>, StoreError> {
    let Some(person) = people::by_name(batch.db, user.folded())? else {
        return Ok(None);
    };
    let cal = of_person(batch.db, &person.id)?;
    let decision = decide_unassign(&person, cal.as_ref(), &batch.options.policy, batch.now);
    batch.apply(&decision.changes)?;
    if let Some(event) = &decision.event {
        batch.record(event, actor)?;
    }
    let comes_back_by_itself = batch.gate.switches.allow_dynamic_assignment
        && person.automatic_cal != AutomaticCal::Never
        && person.active
        && decision.answer != UnassignAnswer::NotHeld;
    Ok(Some(Unassigned {
        answer: decision.answer,
        comes_back_by_itself,
    }))
}

/// The CAL of a person as it is stored; its quarantine may have ended.
pub(super) fn of_person(db: &Db, person: &PersonId) -> Result<Option<NamedCal>, StoreError> {
    const SQL: &str = "SELECT person_id, state, assigned_at, last_used_at, quarantined_since, \
         quarantined_until FROM cal WHERE person_id = $1";
    db.query_one(SQL, values![person.as_str()], cal)
}

/// Every CAL as it is stored.
pub(super) fn all(db: &Db) -> Result<Vec<NamedCal>, StoreError> {
    const SQL: &str = "SELECT person_id, state, assigned_at, last_used_at, quarantined_since, \
         quarantined_until FROM cal ORDER BY person_id";
    db.query(SQL, &[], cal)
}

/// The ends of all running quarantines, ascending.
pub(super) fn quarantine_ends(db: &Db, now: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
    const SQL: &str = "SELECT quarantined_until FROM cal \
         WHERE state = 'quarantined' AND quarantined_until > $1 \
         ORDER BY quarantined_until, person_id";
    db.query(SQL, values![now], |row| row.at(0))
}

/// How many quarantines have ended that are still stored.
pub(super) fn ended_quarantines(db: &Db, now: Timestamp) -> Result<u32, StoreError> {
    const SQL: &str =
        "SELECT COUNT(*) FROM cal WHERE state = 'quarantined' AND quarantined_until <= $1";
    Ok(db
        .query_one(SQL, values![now], |row| row.count(0))?
        .unwrap_or(0))
}

pub(super) fn cal(row: &Row<'_>) -> Result<NamedCal, StoreError> {
    let state = match (row.text(1)?.as_str(), row.maybe_at(4)?, row.maybe_at(5)?) {
        ("quarantined", Some(since), Some(until)) => CalState::Quarantined { since, until },
        _ => CalState::Assigned,
    };
    Ok(NamedCal {
        person: PersonId(row.text(0)?),
        state,
        assigned_at: row.at(2)?,
        last_used_at: row.maybe_at(3)?,
    })
}

impl Batch<'_> {
    /// Frees the CALs whose quarantine has ended by now; they have ended for good.
    pub(super) fn end_quarantines(&mut self) -> Result<u32, StoreError> {
        const SQL: &str = "DELETE FROM cal WHERE state = 'quarantined' AND quarantined_until <= $1";
        let ended = self.db.execute(SQL, values![self.now])?;
        let ended = u32::try_from(ended).unwrap_or(u32::MAX);
        self.gate.cals_taken = self.gate.cals_taken.saturating_sub(ended);
        Ok(ended)
    }

    pub(super) fn apply_to_cal(&mut self, change: &Change) -> Result<(), StoreError> {
        const ASSIGN: &str = "INSERT INTO cal (person_id, state, assigned_at) \
             VALUES ($1, 'assigned', $2)";
        const GIVE_BACK: &str = "UPDATE cal SET state = 'assigned', quarantined_since = NULL, \
             quarantined_until = NULL WHERE person_id = $1 AND state = 'quarantined'";
        const QUARANTINE: &str = "UPDATE cal SET state = 'quarantined', quarantined_since = $1, \
             quarantined_until = $2 WHERE person_id = $3 AND state = 'assigned'";
        const FREE: &str = "DELETE FROM cal WHERE person_id = $1 AND state = 'assigned' \
             AND last_used_at IS NULL";
        const USE: &str = "UPDATE cal SET last_used_at = $1 \
             WHERE person_id = $2 AND state = 'assigned'";
        match change {
            Change::CalAssigned { person, at } => {
                self.db.change_one(ASSIGN, values![person.as_str(), *at])?;
                self.gate.cals_taken += 1;
            }
            Change::CalGivenBack { person } => {
                self.db.change_one(GIVE_BACK, values![person.as_str()])?;
            }
            Change::CalQuarantined {
                person,
                since,
                until,
            } => {
                self.db
                    .change_one(QUARANTINE, values![*since, *until, person.as_str()])?;
            }
            Change::CalFreed { person } => {
                self.db.change_one(FREE, values![person.as_str()])?;
                self.gate.cals_taken = self.gate.cals_taken.saturating_sub(1);
            }
            Change::CalUsed { person, at } => {
                self.db.change_one(USE, values![*at, person.as_str()])?;
            }
            _ => {}
        }
        Ok(())
    }
}
