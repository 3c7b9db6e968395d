//! Changing what a person is called, may do and belongs to, in one step.

use super::Store;
use super::db::{Db, StoreError, values};
use super::people;
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::name::UserName;
use crate::domain::person::{Person, PersonId, Role, leaves_no_administrator};

/// What of a person is to be changed; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct PersonChange {
    /// Not disabled (R21).
    pub active: Option<bool>,
    /// The name that pages show.
    pub display_name: Option<String>,
    /// Roles.
    pub roles: Option<Vec<Role>>,
    /// Groups.
    pub groups: Option<Vec<String>>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonChanged {
    /// The person is as wanted.
    Done,
    /// Nobody has the name.
    Unknown,
    /// Refused: nobody would be left who may administer.
    LastAdministrator,
}

impl Store {
    /// Changes somebody. Disabling and other roles end their sessions; nothing is done where the
    /// site would lose its last administrator.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn change_person(
        &self,
        name: UserName,
        change: PersonChange,
        actor: Actor,
    ) -> Result<PersonChanged, StoreError> {
        self.write(move |batch| run(batch, &name, &change, &actor))
            .await
    }
}

fn run(
    batch: &mut Batch<'_>,
    name: &UserName,
    change: &PersonChange,
    actor: &Actor,
) -> Result<PersonChanged, StoreError> {
    let Some(before) = people::by_name(batch.db, name.folded())? else {
        return Ok(PersonChanged::Unknown);
    };
    let after = change.applied_to(&before);
    if after == before {
        return Ok(PersonChanged::Done);
    }
    let mut event = changed(&before, &after);
    let others = other_administrators(batch.db, &before.id)?;
    if leaves_no_administrator(&before, &after, others) {
        event.code = Some("LAST_ADMINISTRATOR".to_owned());
        batch.record(&event, actor)?;
        return Ok(PersonChanged::LastAdministrator);
    }
    store(batch, &before, &after)?;
    if before.roles != after.roles || before.active && !after.active {
        let ended = batch.end_sessions_of(&after.id, None)?;
        event = event.with("sessions_ended", ended.to_string());
    }
    batch.forget_sessions();
    batch.record(&event, actor)?;
    Ok(PersonChanged::Done)
}

impl PersonChange {
    fn applied_to(&self, person: &Person) -> Person {
        let mut person = person.clone();
        if let Some(active) = self.active {
            person.active = active;
        }
        if let Some(display_name) = &self.display_name {
            person.display_name.clone_from(display_name);
        }
        if let Some(roles) = &self.roles {
            person.roles.clone_from(roles);
        }
        if let Some(groups) = &self.groups {
            person.groups.clone_from(groups);
        }
        person
    }
}

/// One event for all that changes.
pub(super) fn changed(before: &Person, after: &Person) -> Event {
    let kind = match (before.active, after.active) {
        (true, false) => EventKind::UserDisabled,
        (false, true) => EventKind::UserEnabled,
        _ => EventKind::UserChanged,
    };
    let mut event = Event::new(kind).about(&before.id, &before.name);
    if before.display_name != after.display_name {
        event = event.with("display_name", after.display_name.clone());
    }
    if before.roles != after.roles {
        event = event.with("roles", people::roles_text(&after.roles));
    }
    if before.groups != after.groups {
        event = event.with("groups", people::groups_text(&after.groups));
    }
    event
}

/// What an administrator changes is no mapping's any more.
fn store(batch: &Batch<'_>, before: &Person, after: &Person) -> Result<(), StoreError> {
    let mut by = people::mapped_by(batch.db, &after.id)?;
    if before.groups != after.groups {
        by.groups = None;
    }
    if before.roles != after.roles {
        by.roles = None;
    }
    people::store(batch, after, &by)
}

/// How many other people may administer, and have a way to sign in.
pub(super) fn other_administrators(db: &Db, person: &PersonId) -> Result<u32, StoreError> {
    const SQL: &str = "SELECT COUNT(*) FROM person \
         WHERE active = 1 AND id <> $1 AND roles LIKE $2 \
         AND EXISTS (SELECT 1 FROM identity WHERE identity.person_id = person.id)";
    // No word of a role is part of another one.
    let pattern = format!("%{}%", Role::Administrator.word());
    let count = db.query_one(SQL, values![person.as_str(), &pattern], |row| row.count(0))?;
    Ok(count.unwrap_or(0))
}
