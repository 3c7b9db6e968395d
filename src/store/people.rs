//! People: added, disabled, renamed; their passwords, identities and favourites.

use std::collections::BTreeSet;

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::name::UserName;
use crate::domain::person::{AutomaticCal, Person, PersonId, Role};
use crate::domain::time::Timestamp;

/// The source of people whose password the ledger holds.
pub const LOCAL_SOURCE: &str = "local";

/// Somebody to add with a local password.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// The user name.
    pub name: UserName,
    /// The name that pages show.
    pub display_name: String,
    /// Roles.
    pub roles: Vec<Role>,
    /// Groups.
    pub groups: Vec<String>,
    /// The hash of the password.
    pub password_hash: String,
}

/// What became of adding somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// They can sign in.
    Added(PersonId),
    /// The name belongs to somebody who can sign in, or could before their identities were taken.
    NameTaken,
}

/// What became of a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// Done; CAL, leases and history moved with the name.
    Renamed,
    /// Nobody has the old name.
    Unknown,
    /// Somebody has the new name.
    NameTaken,
}

/// Somebody as lists show them.
#[derive(Clone, Debug)]
pub struct PersonRow {
    /// The person.
    pub person: Person,
    /// When they were added, or named first.
    pub created_at: Timestamp,
    /// When they signed in last.
    pub last_sign_in_at: Option<Timestamp>,
    /// Where they sign in; empty for somebody who was only named so far.
    pub sources: Vec<String>,
}

/// Which people are wanted, by user name.
#[derive(Clone, Debug, Default)]
pub struct PersonFilter {
    /// Only names after this one.
    pub after: String,
    /// How many at most.
    pub limit: u32,
}

impl Store {
    /// Somebody by user name.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn person(&self, name: &UserName) -> Result<Option<Person>, StoreError> {
        self.read(|db| by_name(db, name.folded()))
    }

    /// Somebody by id.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn person_by_id(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
        self.read(|db| by_id(db, id))
    }

    /// Somebody with a local password, and its hash.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn password(&self, name: &UserName) -> Result<Option<(Person, String)>, StoreError> {
        const SQL: &str = "SELECT person.id, person.name, person.display_name, person.active, \
             person.roles, person.user_groups, person.automatic_cal, person.sign_in_epoch, \
             password.hash FROM person JOIN password ON password.person_id = person.id \
             WHERE person.name = $1";
        self.read(|db| {
            db.query_one(SQL, values![name.folded()], |row| {
                Ok((person(row)?, row.text(8)?))
            })
        })
    }

    /// Whether the ledger holds a password of this person.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn has_password(&self, person: &PersonId) -> Result<bool, StoreError> {
        self.read(|db| has_password(db, person))
    }

    /// Whether a mapping leaves the roles of this person alone: an administrator gave them to somebody
    /// with a password of the gateway's own.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn keeps_roles(&self, person: &PersonId) -> Result<bool, StoreError> {
        self.read(|db| keeps_roles(db, person, &mapped_by(db, person)?))
    }

    /// People by user name.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn people(&self, filter: &PersonFilter) -> Result<Vec<PersonRow>, StoreError> {
        const SQL: &str = "SELECT person.id, person.name, person.display_name, person.active, \
             person.roles, person.user_groups, person.automatic_cal, person.sign_in_epoch, \
             person.created_at, person.last_sign_in_at FROM person WHERE person.name > $1 \
             ORDER BY person.name LIMIT $2";
        const SOURCES: &str = "SELECT source FROM identity WHERE person_id = $1 ORDER BY source";
        self.read(|db| {
            let mut rows = db.query(
                SQL,
                values![&filter.after, i64::from(filter.limit)],
                |row| {
                    Ok(PersonRow {
                        person: person(row)?,
                        created_at: row.at(8)?,
                        last_sign_in_at: row.maybe_at(9)?,
                        sources: Vec::new(),
                    })
                },
            )?;
            for row in &mut rows {
                let id = row.person.id.as_str();
                row.sources = db.query(SOURCES, values![id], |row| row.text(0))?;
            }
            Ok(rows)
        })
    }

    /// Adds somebody with a local password. A name that was only named so far (it was assigned a
    /// CAL before its first sign-in) becomes theirs.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn add_person(&self, new: NewPerson, actor: Actor) -> Result<Added, StoreError> {
        self.write(move |batch| add(batch, &new, &actor)).await
    }

    /// Disables or enables somebody; disabling ends their sessions (R21). False where nobody has
    /// the name.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn set_active(
        &self,
        name: UserName,
        active: bool,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        self.write(move |batch| set_active(batch, &name, active, &actor))
            .await
    }

    /// Sets a local password and ends the person's sessions but `keep`. False where nobody has
    /// the name.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn set_password(
        &self,
        name: UserName,
        hash: String,
        keep: Option<String>,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        self.write(move |batch| set_password(batch, &name, &hash, keep.as_deref(), &actor))
            .await
    }

    /// Stores a password again with today's parameters, where it is still the same one.
    ///
    /// # Errors
    ///
    /// The ledger is busy or closed.
    pub fn rehash_later(
        &self,
        person: PersonId,
        old: String,
        new: String,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE password SET hash = $1 WHERE person_id = $2 AND hash = $3";
        self.0.writer.write_later(move |batch| {
            batch
                .db
                .execute(SQL, values![&new, person.as_str(), &old])
                .map(drop)
        })
    }

    /// Renames somebody.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn rename(
        &self,
        old: UserName,
        new: UserName,
        actor: Actor,
    ) -> Result<Renamed, StoreError> {
        self.write(move |batch| rename(batch, &old, &new, &actor))
            .await
    }

    /// The documents that somebody marked.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn favourites(&self, person: &PersonId) -> Result<Vec<String>, StoreError> {
        self.read(|db| favourites(db, person))
    }

    /// Marks a document, or takes the mark away.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn set_favourite(
        &self,
        person: PersonId,
        document: String,
        on: bool,
    ) -> Result<(), StoreError> {
        const ADD: &str = "INSERT INTO favourite (person_id, document_id) VALUES ($1, $2) \
             ON CONFLICT (person_id, document_id) DO NOTHING";
        const REMOVE: &str = "DELETE FROM favourite WHERE person_id = $1 AND document_id = $2";
        self.write(move |batch| {
            let sql = if on { ADD } else { REMOVE };
            batch
                .db
                .execute(sql, values![person.as_str(), &document])
                .map(drop)
        })
        .await
    }
}

pub(super) fn favourites(db: &Db, person: &PersonId) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "SELECT document_id FROM favourite WHERE person_id = $1 ORDER BY document_id";
    db.query(SQL, values![person.as_str()], |row| row.text(0))
}

fn add(batch: &mut Batch<'_>, new: &NewPerson, actor: &Actor) -> Result<Added, StoreError> {
    const UPDATE: &str = "UPDATE person SET display_name = $1, roles = $2, user_groups = $3 \
         WHERE id = $4";
    let known = by_name(batch.db, new.name.folded())?;
    let mut person = match &known {
        Some(person) if is_identified(batch.db, &person.id)? => {
            let event = Event::new(EventKind::UserAdded).about(&person.id, &person.name);
            batch.record(&name_taken(event), actor)?;
            return Ok(Added::NameTaken);
        }
        Some(person) => person.clone(),
        None => unseen(batch, &new.name),
    };
    person.display_name.clone_from(&new.display_name);
    person.roles.clone_from(&new.roles);
    person.groups.clone_from(&new.groups);
    if known.is_none() {
        insert(batch, &person)?;
    } else {
        let (roles, groups) = (roles_text(&person.roles), groups_text(&person.groups));
        let row = values![&person.display_name, &roles, &groups, person.id.as_str()];
        batch.db.change_one(UPDATE, row)?;
    }
    add_local_identity(batch, &person)?;
    store_password(batch, &person.id, &new.password_hash)?;
    let event = Event::new(EventKind::UserAdded)
        .about(&person.id, &person.name)
        .with("roles", roles_text(&person.roles));
    batch.record(&event, actor)?;
    Ok(Added::Added(person.id))
}

/// Somebody who was named but has not signed in.
pub(super) fn unseen(batch: &Batch<'_>, name: &UserName) -> Person {
    Person {
        id: PersonId(batch.options.fresh.id()),
        name: name.folded().to_owned(),
        display_name: name.as_typed().to_owned(),
        active: true,
        roles: Vec::new(),
        groups: Vec::new(),
        automatic_cal: AutomaticCal::Dynamic,
        sign_in_epoch: 0,
    }
}

pub(super) fn insert(batch: &Batch<'_>, person: &Person) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO person (id, name, display_name, active, roles, user_groups, \
         automatic_cal, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    batch.db.change_one(
        SQL,
        values![
            person.id.as_str(),
            &person.name,
            &person.display_name,
            person.active,
            &roles_text(&person.roles),
            &groups_text(&person.groups),
            person.automatic_cal.word(),
            batch.now,
        ],
    )
}

/// Whether somebody has, or had, an identity. Who had one keeps the name when it is taken from
/// them: the next who maps to the name is not them, until an administrator links the two.
pub(super) fn is_identified(db: &Db, person: &PersonId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT identified FROM person WHERE id = $1";
    let identified = db.query_one(SQL, values![person.as_str()], |row| row.flag(0))?;
    Ok(identified.unwrap_or(false))
}

/// Whether the ledger holds a password of this person.
pub(super) fn has_password(db: &Db, person: &PersonId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT set_at FROM password WHERE person_id = $1";
    Ok(db
        .query_one(SQL, values![person.as_str()], |row| row.at(0))?
        .is_some())
}

/// From whose mapping somebody has what; none where an administrator gave it, or nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MappedBy {
    /// The source of the groups and of the CAL policy.
    pub(super) groups: Option<String>,
    /// The source of the roles.
    pub(super) roles: Option<String>,
}

pub(super) fn mapped_by(db: &Db, person: &PersonId) -> Result<MappedBy, StoreError> {
    const SQL: &str = "SELECT groups_from, roles_from FROM person WHERE id = $1";
    let found = db.query_one(SQL, values![person.as_str()], |row| {
        Ok(MappedBy {
            groups: row.maybe_text(0)?,
            roles: row.maybe_text(1)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// Whether a mapping leaves the roles of somebody alone: an administrator gave them to somebody with
/// a password of the gateway's own.
pub(super) fn keeps_roles(db: &Db, person: &PersonId, by: &MappedBy) -> Result<bool, StoreError> {
    Ok(by.roles.is_none() && has_password(db, person)?)
}

/// Stores what of a person a mapping or an administrator changes, and whose mapping gave it.
pub(super) fn store(batch: &Batch<'_>, person: &Person, by: &MappedBy) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE person SET active = $1, display_name = $2, roles = $3, \
         user_groups = $4, automatic_cal = $5, groups_from = $6, roles_from = $7 WHERE id = $8";
    let (roles, groups) = (roles_text(&person.roles), groups_text(&person.groups));
    let row = values![
        person.active,
        &person.display_name,
        &roles,
        &groups,
        person.automatic_cal.word(),
        by.groups.as_ref(),
        by.roles.as_ref(),
        person.id.as_str(),
    ];
    batch.db.change_one(SQL, row)
}

/// The subject of a local identity is the person's id, so that a rename does not touch it.
fn add_local_identity(batch: &Batch<'_>, person: &Person) -> Result<(), StoreError> {
    add_identity(batch, LOCAL_SOURCE, person.id.as_str(), &person.id)
}

/// Gives somebody an identity; nothing is done where it is given already.
pub(super) fn add_identity(
    batch: &Batch<'_>,
    source: &str,
    subject: &str,
    person: &PersonId,
) -> Result<(), StoreError> {
    const IDENTITY: &str = "INSERT INTO identity (source, subject, person_id) VALUES ($1, $2, $3) \
         ON CONFLICT (source, subject) DO NOTHING";
    const PERSON: &str = "UPDATE person SET identified = 1 WHERE id = $1";
    let person = person.as_str();
    batch
        .db
        .execute(IDENTITY, values![source, subject, person])?;
    batch.db.change_one(PERSON, values![person])
}

fn store_password(batch: &Batch<'_>, person: &PersonId, hash: &str) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO password (person_id, hash, set_at) VALUES ($1, $2, $3) \
         ON CONFLICT (person_id) DO UPDATE SET hash = $2, set_at = $3";
    batch
        .db
        .change_one(SQL, values![person.as_str(), hash, batch.now])
}

fn set_active(
    batch: &mut Batch<'_>,
    name: &UserName,
    active: bool,
    actor: &Actor,
) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE person SET active = $1 WHERE id = $2";
    let Some(person) = by_name(batch.db, name.folded())? else {
        return Ok(false);
    };
    if person.active == active {
        return Ok(true);
    }
    batch
        .db
        .change_one(SQL, values![active, person.id.as_str()])?;
    let kind = if active {
        EventKind::UserEnabled
    } else {
        EventKind::UserDisabled
    };
    let mut event = Event::new(kind).about(&person.id, &person.name);
    if !active {
        let ended = batch.end_sessions_of(&person.id, None)?;
        event = event.with("sessions_ended", ended.to_string());
    }
    batch.record(&event, actor)?;
    Ok(true)
}

fn set_password(
    batch: &mut Batch<'_>,
    name: &UserName,
    hash: &str,
    keep: Option<&str>,
    actor: &Actor,
) -> Result<bool, StoreError> {
    let Some(person) = by_name(batch.db, name.folded())? else {
        return Ok(false);
    };
    store_password(batch, &person.id, hash)?;
    add_local_identity(batch, &person)?;
    let ended = batch.end_sessions_of(&person.id, keep)?;
    let event = Event::new(EventKind::PasswordSet)
        .about(&person.id, &person.name)
        .with("sessions_ended", ended.to_string());
    batch.record(&event, actor)?;
    Ok(true)
}

fn rename(
    batch: &mut Batch<'_>,
    old: &UserName,
    new: &UserName,
    actor: &Actor,
) -> Result<Renamed, StoreError> {
    const SQL: &str = "UPDATE person SET name = $1 WHERE id = $2";
    let Some(person) = by_name(batch.db, old.folded())? else {
        return Ok(Renamed::Unknown);
    };
    if person.name == new.folded() {
        return Ok(Renamed::Renamed);
    }
    let event = Event::new(EventKind::UserRenamed);
    if by_name(batch.db, new.folded())?.is_some() {
        let event = event.about(&person.id, &person.name);
        batch.record(&name_taken(event.with("new_name", new.folded())), actor)?;
        return Ok(Renamed::NameTaken);
    }
    batch
        .db
        .change_one(SQL, values![new.folded(), person.id.as_str()])?;
    batch.forget_sessions();
    let event = event
        .about(&person.id, new.folded())
        .with("old_name", person.name);
    batch.record(&event, actor)?;
    Ok(Renamed::Renamed)
}

/// The event of a command that was refused because its name belongs to somebody (R18).
fn name_taken(mut event: Event) -> Event {
    event.code = Some("USER_NAME_TAKEN".to_owned());
    event
}

pub(super) fn by_name(db: &Db, folded: &str) -> Result<Option<Person>, StoreError> {
    const SQL: &str = "SELECT id, name, display_name, active, roles, user_groups, automatic_cal, \
         sign_in_epoch FROM person WHERE name = $1";
    db.query_one(SQL, values![folded], person)
}

pub(super) fn by_id(db: &Db, id: &PersonId) -> Result<Option<Person>, StoreError> {
    const SQL: &str = "SELECT id, name, display_name, active, roles, user_groups, automatic_cal, \
         sign_in_epoch FROM person WHERE id = $1";
    db.query_one(SQL, values![id.as_str()], person)
}

/// Reads the first eight columns of a row.
pub(super) fn person(row: &Row<'_>) -> Result<Person, StoreError> {
    let (roles, groups, cal) = (row.text(4)?, row.text(5)?, row.text(6)?);
    Ok(Person {
        id: PersonId(row.text(0)?),
        name: row.text(1)?,
        display_name: row.text(2)?,
        active: row.flag(3)?,
        roles: roles
            .split_whitespace()
            .filter_map(Role::from_word)
            .collect(),
        groups: groups_of(&groups),
        automatic_cal: AutomaticCal::from_word(&cal)
            .ok_or_else(|| StoreError::Corrupt(format!("the CAL policy {cal}")))?,
        sign_in_epoch: row.int(7)?,
    })
}

/// Roles as they are stored: words with spaces between, each once, so that the same roles are the
/// same text.
pub(super) fn roles_text(roles: &[Role]) -> String {
    let words: BTreeSet<&str> = roles.iter().map(|role| role.word()).collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// Groups as they are stored, read again.
pub(super) fn groups_of(lines: &str) -> Vec<String> {
    lines.lines().map(str::to_owned).collect()
}

/// Groups as they are stored: one a line; a name with a line break is no group name.
pub(super) fn groups_text(groups: &[String]) -> String {
    let lines: Vec<&str> = groups
        .iter()
        .map(String::as_str)
        .filter(|g| !g.contains(['\n', '\r']))
        .collect();
    lines.join("\n")
}
