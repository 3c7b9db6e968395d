//! Identities: who a source and its subject are here. One transaction finds or makes the person,
//! so that of two who arrive at once under one name only one gets it.

use super::Store;
use super::change_person::{changed, other_administrators};
use super::db::{Db, StoreError, values};
use super::people::{self, MappedBy};
use super::provider_sessions::{NewAtProvider, has_ended};
use super::sessions::OVERTAKEN;
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::mapping::{Mapped, Unmapped};
use crate::domain::name::UserName;
use crate::domain::person::{AutomaticCal, Person, PersonId};
use crate::domain::time::Timestamp;

/// Bytes of claims that are kept; longer ones are not known until the next sign-in.
const CLAIMS_KEPT_BYTES: usize = 256 * 1024;
/// Characters of a subject that the audit repeats.
const SUBJECT_TOLD_CHARACTERS: usize = 256;

/// Somebody whom a source vouches for, with what the mapping made of them.
#[derive(Clone, Debug)]
pub struct Arriving {
    /// The configured name of the source.
    pub source: String,
    /// Who they are there, for ever.
    pub subject: String,
    /// What the source says of them: the text of a JSON object.
    pub claims: String,
    /// Who they are here by the rules.
    pub mapped: Result<Mapped, Unmapped>,
    /// The name that the claims give, as far as they do.
    pub name: Option<UserName>,
    /// The client's address.
    pub address: String,
    /// The session at the provider, where the source is one.
    pub at_provider: Option<NewAtProvider>,
}

/// What became of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrivedAs {
    /// They are this person, and may go on.
    Person(Person),
    /// The rules let nobody in whom they do not know.
    Unmapped(Unmapped),
    /// Their name belongs to another identity.
    UserNameTaken,
    /// The person is disabled (R21).
    UserDisabled,
    /// Their provider has signed them out meanwhile.
    Overtaken,
}

/// An identity as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRow {
    /// The configured name of the source.
    pub source: String,
    /// Who it is there.
    pub subject: String,
    /// When it was last used to sign in; none for passwords that are kept here.
    pub last_sign_in_at: Option<Timestamp>,
}

/// What a source said last of somebody.
#[derive(Clone, Debug)]
pub struct KnownClaims {
    /// The configured name of the source.
    pub source: String,
    /// Who they are there.
    pub subject: String,
    /// Who they are here.
    pub person: Person,
    /// The text of a JSON object; none where it is not kept.
    pub claims: Option<String>,
}

/// What became of linking or unlinking an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// It is as wanted.
    Done,
    /// Nobody has the user name.
    UnknownUser,
    /// The person has no such identity.
    UnknownIdentity,
    /// It belongs to this other person.
    Taken {
        /// The user name.
        user: String,
    },
    /// Refused: the last administrator would have no way in.
    LastAdministrator,
}

impl Store {
    /// Finds or makes the person of an identity, and brings them up to date. A refusal leaves its
    /// audit event and ends the sessions that the identity had begun.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn arrive(&self, arriving: Arriving) -> Result<ArrivedAs, StoreError> {
        self.write(move |batch| arrive(batch, &arriving)).await
    }

    /// The identities of a person, by source and subject.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn identities(&self, person: &PersonId) -> Result<Vec<IdentityRow>, StoreError> {
        const SQL: &str = "SELECT source, subject, last_sign_in_at FROM identity \
             WHERE person_id = $1 ORDER BY source, subject";
        self.read(|db| {
            db.query(SQL, values![person.as_str()], |row| {
                Ok(IdentityRow {
                    source: row.text(0)?,
                    subject: row.text(1)?,
                    last_sign_in_at: row.maybe_at(2)?,
                })
            })
        })
    }

    /// The sources by which somebody of this name signs in; none for a name that nobody has.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn sources_of(&self, name: &UserName) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT identity.source FROM identity \
             JOIN person ON person.id = identity.person_id WHERE person.name = $1 \
             ORDER BY identity.source, identity.subject";
        self.read(|db| db.query(SQL, values![name.folded()], |row| row.text(0)))
    }

    /// The sources from which somebody is known.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn known_sources(&self) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT DISTINCT source FROM identity ORDER BY source";
        self.read(|db| db.query(SQL, &[], |row| row.text(0)))
    }

    /// The people of one source, by subject, with the claims that they brought last.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn known_claims(
        &self,
        source: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<KnownClaims>, StoreError> {
        const SQL: &str = "SELECT person.id, person.name, person.display_name, person.active, \
             person.roles, person.user_groups, person.automatic_cal, person.sign_in_epoch, \
             identity.subject, identity.claims \
             FROM identity JOIN person ON person.id = identity.person_id \
             WHERE identity.source = $1 AND identity.subject > $2 \
             ORDER BY identity.subject LIMIT $3";
        let values = values![source, after, i64::from(limit)];
        self.read(|db| {
            db.query(SQL, values, |row| {
                Ok(KnownClaims {
                    source: source.to_owned(),
                    person: people::person(row)?,
                    subject: row.text(8)?,
                    claims: row.maybe_text(9)?,
                })
            })
        })
    }

    /// Gives an identity to a person: whoever is that subject at the source is this person from
    /// the next sign-in on.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn link_identity(
        &self,
        user: UserName,
        source: String,
        subject: String,
        actor: Actor,
    ) -> Result<Linked, StoreError> {
        self.write(move |batch| link(batch, &user, &source, &subject, &actor))
            .await
    }

    /// Takes an identity from a person, with the groups and roles that its mapping gave, and ends the
    /// sessions from its source; a local one takes the password with it. The name stays the person's,
    /// also where this was the last one.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn unlink_identity(
        &self,
        user: UserName,
        source: String,
        subject: String,
        actor: Actor,
    ) -> Result<Linked, StoreError> {
        self.write(move |batch| unlink(batch, &user, &source, &subject, &actor))
            .await
    }
}

fn arrive(batch: &mut Batch<'_>, arriving: &Arriving) -> Result<ArrivedAs, StoreError> {
    let known = person_of(batch.db, &arriving.source, &arriving.subject)?;
    if let Some(session) = &arriving.at_provider
        && has_ended(batch, &arriving.source, &arriving.subject, session)?
    {
        refuse(batch, arriving, known.as_ref(), OVERTAKEN, None)?;
        return Ok(ArrivedAs::Overtaken);
    }
    let mapped = match &arriving.mapped {
        Ok(mapped) => mapped,
        Err(why) => return lose(batch, arriving, known.as_ref(), why),
    };
    let named = match &known {
        Some(_) => None,
        None => people::by_name(batch.db, mapped.name.folded())?,
    };
    if let Some(other) = &named
        && people::is_identified(batch.db, &other.id)?
    {
        refuse(batch, arriving, None, "USER_NAME_TAKEN", None)?;
        return Ok(ArrivedAs::UserNameTaken);
    }
    if let Some(person) = known.as_ref().or(named.as_ref())
        && !person.active
    {
        refuse(batch, arriving, Some(person), "USER_DISABLED", None)?;
        return Ok(ArrivedAs::UserDisabled);
    }
    let is_known = known.is_some();
    let person = match known.or(named) {
        Some(before) => update(batch, &before, mapped, &arriving.source)?,
        None => make(batch, mapped, &arriving.source)?,
    };
    if is_known {
        remember(batch, arriving)?;
    } else {
        add(batch, arriving, &person)?;
    }
    Ok(ArrivedAs::Person(person))
}

/// The mapping lets them in no longer, or never did: what they had begun from there ends, and what it
/// gave them goes.
fn lose(
    batch: &mut Batch<'_>,
    arriving: &Arriving,
    known: Option<&Person>,
    why: &Unmapped,
) -> Result<ArrivedAs, StoreError> {
    if let Some(person) = known {
        remember(batch, arriving)?;
        batch.end_sessions_from(&person.id, &arriving.source)?;
        take_mapped(batch, person, &arriving.source)?;
    }
    refuse(batch, arriving, known, "SIGN_IN_REFUSED", Some(why))?;
    Ok(ArrivedAs::Unmapped(why.clone()))
}

fn refuse(
    batch: &mut Batch<'_>,
    arriving: &Arriving,
    known: Option<&Person>,
    code: &str,
    why: Option<&Unmapped>,
) -> Result<(), StoreError> {
    let mut event = Event::new(EventKind::SignInRefused)
        .with("source", arriving.source.clone())
        .with("subject", told(&arriving.subject))
        .with("address", arriving.address.clone());
    match known {
        Some(person) => event = event.about(&person.id, &person.name),
        None => event.user = arriving.name.as_ref().map(ToString::to_string),
    }
    if let Some(why) = why {
        event = event.with("reason", why.to_string());
    }
    event.code = Some(code.to_owned());
    batch.record(&event, &Actor::gateway())
}

/// Brings a person to what their source says. Roles that an administrator gave to somebody with a
/// password of the gateway's own are that administrator's affair.
fn update(
    batch: &mut Batch<'_>,
    before: &Person,
    mapped: &Mapped,
    source: &str,
) -> Result<Person, StoreError> {
    let by_before = people::mapped_by(batch.db, &before.id)?;
    let mut by = by_before.clone();
    let mut after = before.clone();
    after.display_name.clone_from(&mapped.display_name);
    after.groups.clone_from(&mapped.groups);
    after.automatic_cal = mapped.automatic_cal;
    by.groups = Some(source.to_owned());
    if !people::keeps_roles(batch.db, &before.id, &by)? {
        after.roles.clone_from(&mapped.roles);
        by.roles = Some(source.to_owned());
    }
    if after == *before && by == by_before {
        return Ok(after);
    }
    people::store(batch, &after, &by)?;
    if after == *before {
        return Ok(after);
    }
    let mut event = changed(before, &after);
    if after.roles.iter().any(|role| !before.roles.contains(role)) {
        // Other sessions may have begun with less proof than the new role asks for (S-02).
        let ended = batch.end_sessions_of(&after.id, None)?;
        event = event.with("sessions_ended", ended.to_string());
        after.sign_in_epoch += 1;
    }
    batch.forget_sessions();
    batch.record(&event, &Actor::gateway())?;
    Ok(after)
}

/// Takes from everybody what the mappings of other sources than these gave them.
pub(super) fn take_mapped_by_others(
    batch: &mut Batch<'_>,
    in_use: &[String],
) -> Result<(), StoreError> {
    const SOURCES: &str = "SELECT groups_from AS source FROM person \
         WHERE groups_from IS NOT NULL UNION SELECT roles_from FROM person \
         WHERE roles_from IS NOT NULL ORDER BY source";
    const THEIRS: &str =
        "SELECT id FROM person WHERE groups_from = $1 OR roles_from = $1 ORDER BY id";
    let mut sources = batch.db.query(SOURCES, &[], |row| row.text(0))?;
    sources.retain(|source| !in_use.contains(source));
    for source in sources {
        for id in batch
            .db
            .query(THEIRS, values![&source], |row| row.text(0))?
        {
            if let Some(person) = people::by_id(batch.db, &PersonId(id))? {
                take_mapped(batch, &person, &source)?;
            }
        }
    }
    Ok(())
}

/// Takes from a person what the mapping of a source gave them.
fn take_mapped(batch: &mut Batch<'_>, before: &Person, source: &str) -> Result<(), StoreError> {
    let by_before = people::mapped_by(batch.db, &before.id)?;
    let (mut after, mut by) = (before.clone(), by_before.clone());
    if by.groups.as_deref() == Some(source) {
        after.groups.clear();
        after.automatic_cal = AutomaticCal::Dynamic;
        by.groups = None;
    }
    if by.roles.as_deref() == Some(source) {
        after.roles.clear();
        by.roles = None;
    }
    if by == by_before {
        return Ok(());
    }
    people::store(batch, &after, &by)?;
    batch.forget_sessions();
    if after == *before {
        return Ok(());
    }
    batch.record(&changed(before, &after), &Actor::gateway())
}

fn make(batch: &mut Batch<'_>, mapped: &Mapped, source: &str) -> Result<Person, StoreError> {
    let person = Person {
        display_name: mapped.display_name.clone(),
        roles: mapped.roles.clone(),
        groups: mapped.groups.clone(),
        automatic_cal: mapped.automatic_cal,
        ..people::unseen(batch, &mapped.name)
    };
    people::insert(batch, &person)?;
    let by = MappedBy {
        groups: Some(source.to_owned()),
        roles: Some(source.to_owned()),
    };
    people::store(batch, &person, &by)?;
    let event = Event::new(EventKind::UserAdded)
        .about(&person.id, &person.name)
        .with("roles", people::roles_text(&person.roles));
    batch.record(&event, &Actor::gateway())?;
    Ok(person)
}

/// A new identity of a person: of one who was made now, or of a name that was only named so far.
fn add(batch: &mut Batch<'_>, arriving: &Arriving, person: &Person) -> Result<(), StoreError> {
    people::add_identity(batch, &arriving.source, &arriving.subject, &person.id)?;
    remember(batch, arriving)?;
    let event = linked_event(
        EventKind::IdentityLinked,
        person,
        &arriving.source,
        &arriving.subject,
    );
    batch.record(&event, &Actor::gateway())
}

fn remember(batch: &Batch<'_>, arriving: &Arriving) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE identity SET claims = $1, last_sign_in_at = $2 \
         WHERE source = $3 AND subject = $4";
    let claims = Some(&arriving.claims).filter(|claims| claims.len() <= CLAIMS_KEPT_BYTES);
    let row = values![claims, batch.now, &arriving.source, &arriving.subject];
    batch.db.change_one(SQL, row)
}

fn link(
    batch: &mut Batch<'_>,
    user: &UserName,
    source: &str,
    subject: &str,
    actor: &Actor,
) -> Result<Linked, StoreError> {
    let Some(person) = people::by_name(batch.db, user.folded())? else {
        return Ok(Linked::UnknownUser);
    };
    let mut event = linked_event(EventKind::IdentityLinked, &person, source, subject);
    match person_of(batch.db, source, subject)? {
        Some(owner) if owner.id == person.id => return Ok(Linked::Done),
        Some(owner) => {
            event.code = Some("IDENTITY_TAKEN".to_owned());
            batch.record(&event.with("owner", owner.name.clone()), actor)?;
            return Ok(Linked::Taken { user: owner.name });
        }
        None => {}
    }
    people::add_identity(batch, source, subject, &person.id)?;
    batch.record(&event, actor)?;
    Ok(Linked::Done)
}

fn unlink(
    batch: &mut Batch<'_>,
    user: &UserName,
    source: &str,
    subject: &str,
    actor: &Actor,
) -> Result<Linked, StoreError> {
    const IDENTITY: &str = "DELETE FROM identity WHERE source = $1 AND subject = $2";
    const PASSWORD: &str = "DELETE FROM password WHERE person_id = $1";
    let Some(person) = people::by_name(batch.db, user.folded())? else {
        return Ok(Linked::UnknownUser);
    };
    let owner = person_of(batch.db, source, subject)?;
    if owner.is_none_or(|owner| owner.id != person.id) {
        return Ok(Linked::UnknownIdentity);
    }
    let mut event = linked_event(EventKind::IdentityUnlinked, &person, source, subject);
    let administers_by = people::mapped_by(batch.db, &person.id)?.roles;
    let loses_role = administers_by.as_deref() == Some(source);
    if person.administers() && (loses_role || is_last_way_in(batch.db, &person)?) {
        let others = other_administrators(batch.db, &person.id)?;
        if others == 0 {
            event.code = Some("LAST_ADMINISTRATOR".to_owned());
            batch.record(&event, actor)?;
            return Ok(Linked::LastAdministrator);
        }
    }
    batch.db.change_one(IDENTITY, values![source, subject])?;
    if source == people::LOCAL_SOURCE {
        batch.db.execute(PASSWORD, values![person.id.as_str()])?;
    }
    let ended = batch.end_sessions_from(&person.id, source)?;
    batch.record(&event.with("sessions_ended", ended.to_string()), actor)?;
    take_mapped(batch, &person, source)?;
    Ok(Linked::Done)
}

fn is_last_way_in(db: &Db, person: &Person) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT COUNT(*) FROM identity WHERE person_id = $1";
    let count = db.query_one(SQL, values![person.id.as_str()], |row| row.count(0))?;
    Ok(count == Some(1))
}

fn linked_event(kind: EventKind, person: &Person, source: &str, subject: &str) -> Event {
    Event::new(kind)
        .about(&person.id, &person.name)
        .with("source", source)
        .with("subject", told(subject))
}

pub(super) fn person_of(
    db: &Db,
    source: &str,
    subject: &str,
) -> Result<Option<Person>, StoreError> {
    const SQL: &str = "SELECT person.id, person.name, person.display_name, person.active, \
         person.roles, person.user_groups, person.automatic_cal, person.sign_in_epoch \
         FROM identity JOIN person ON person.id = identity.person_id \
         WHERE identity.source = $1 AND identity.subject = $2";
    db.query_one(SQL, values![source, subject], people::person)
}

fn told(subject: &str) -> String {
    subject.chars().take(SUBJECT_TOLD_CHARACTERS).collect()
}

impl Batch<'_> {
    /// Ends the sessions that a person began by one source, and counts them; sign-ins that are under
    /// way come to none. A passkey alone signs in by the gateway's own source.
    fn end_sessions_from(&mut self, person: &PersonId, source: &str) -> Result<usize, StoreError> {
        const SQL: &str = "DELETE FROM session WHERE person_id = $1 \
             AND (source = $2 OR ($2 = 'local' AND source = 'passkey'))";
        const CHALLENGES: &str = "DELETE FROM challenge WHERE person_id = $1 AND source = $2 \
             AND purpose = 'sign-in'";
        self.end_sign_ins_of(person)?;
        self.db
            .execute(CHALLENGES, values![person.as_str(), source])?;
        let ended = self.db.execute(SQL, values![person.as_str(), source])?;
        self.forget_sessions();
        Ok(ended)
    }
}
