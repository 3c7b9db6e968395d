//! Second factors and recovery codes: enrolled, used once a step or code, named, removed.

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::people;
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::name::UserName;
use crate::domain::person::{Person, PersonId};
use crate::domain::time::Timestamp;

/// What kind of thing a second factor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FactorKind {
    /// An app that shows one-time codes.
    Totp,
    /// A passkey.
    Passkey,
}

/// A second factor of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: FactorKind,
    /// What its person calls it.
    pub name: String,
    /// The sealed key of an app, or the public half of a passkey.
    pub data: String,
    /// By which a browser names a passkey.
    pub credential_id: Option<String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// A second factor to enrol.
#[derive(Clone, Debug)]
pub struct NewFactor {
    /// The hash of the challenge that it answered.
    pub challenge: String,
    /// Its id.
    pub id: String,
    /// Whose.
    pub person: PersonId,
    /// In which session, by the hash of its secret.
    pub session: String,
    /// What it is.
    pub kind: FactorKind,
    /// What its person calls it.
    pub name: String,
    /// See [`Factor::data`].
    pub data: String,
    /// See [`Factor::credential_id`].
    pub credential_id: Option<String>,
    /// The step whose code was used to enrol; 0 for a passkey.
    pub last_step: i64,
    /// Hashes of the recovery codes that the person gets where it is their first factor.
    pub recovery_codes: Vec<String>,
    /// Whether their other sessions end.
    pub end_others: bool,
}

/// What became of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// It counts from now on.
    Done {
        /// Whether the recovery codes were stored: it is the first one.
        with_codes: bool,
    },
    /// The challenge has ended.
    Ended,
    /// Somebody has this passkey.
    Taken,
}

/// What somebody proves themselves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactorUse {
    /// A code of this step of an app.
    Totp {
        /// The factor.
        factor: String,
        /// The step.
        step: i64,
    },
    /// A recovery code, by its hash.
    RecoveryCode(String),
    /// A passkey.
    Passkey {
        /// The factor.
        factor: String,
        /// As it was read.
        before: String,
        /// As it is from now on.
        after: String,
    },
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorRemoved {
    /// It is gone.
    Done,
    /// The person has none of this id.
    Unknown,
    /// It is their last one, and they need one.
    Needed,
}

impl FactorUse {
    /// What was used, as the audit names it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Totp { .. } => "totp",
            Self::RecoveryCode(_) => "recovery_code",
            Self::Passkey { .. } => "passkey",
        }
    }
}

impl Store {
    /// The second factors of a person, the oldest first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn factors(&self, person: &PersonId) -> Result<Vec<Factor>, StoreError> {
        self.read(|db| factors(db, person))
    }

    /// How many recovery codes a person has left.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn recovery_codes_left(&self, person: &PersonId) -> Result<u32, StoreError> {
        const SQL: &str =
            "SELECT COUNT(*) FROM recovery_code WHERE person_id = $1 AND used_at IS NULL";
        self.read(|db| {
            let left = db.query_one(SQL, values![person.as_str()], |row| row.count(0))?;
            Ok(left.unwrap_or(0))
        })
    }

    /// Enrols a factor that answered its challenge. Sessions of its person that may do nothing
    /// before they enrol end, but for this one, which may do everything from now on.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn enrol_factor(&self, new: NewFactor) -> Result<Enrolled, StoreError> {
        self.write(move |batch| enrol(batch, &new)).await
    }

    /// Uses a factor of somebody who is signed in and proves themselves again. False where the
    /// step, the code or the passkey was used already.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn use_factor(&self, person: PersonId, used: FactorUse) -> Result<bool, StoreError> {
        self.write(move |batch| batch.use_factor(&person, &used))
            .await
    }

    /// Names a factor. False where the person has none of this id.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn rename_factor(
        &self,
        person: PersonId,
        id: String,
        name: String,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE factor SET name = $1 WHERE id = $2 AND person_id = $3";
        self.write(move |batch| {
            let named = values![&name, &id, person.as_str()];
            Ok(batch.db.execute(SQL, named)? > 0)
        })
        .await
    }

    /// Removes a factor; with the last one the recovery codes go too. `needed` keeps the last one.
    /// `keep` is the session that lives on where the others end.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn remove_factor(
        &self,
        person: PersonId,
        id: String,
        needed: bool,
        keep: Option<String>,
    ) -> Result<FactorRemoved, StoreError> {
        self.write(move |batch| remove(batch, &person, &id, needed, keep.as_deref()))
            .await
    }

    /// Replaces the recovery codes of somebody who has a factor; false where they have none.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn replace_recovery_codes(
        &self,
        person: PersonId,
        hashes: Vec<String>,
    ) -> Result<bool, StoreError> {
        self.write(move |batch| {
            if factors(batch.db, &person)?.is_empty() {
                return Ok(false);
            }
            store_codes(batch, &person, &hashes)?;
            let event = of(batch, EventKind::RecoveryCodesMade, &person)?;
            let actor = Actor::person(event.user.as_deref().unwrap_or_default());
            batch.record(&event, &actor)?;
            Ok(true)
        })
        .await
    }

    /// Takes every second factor and recovery code from somebody, and ends their sessions. None
    /// where nobody has the name, else how many factors they had.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn reset_factors(
        &self,
        name: UserName,
        actor: Actor,
    ) -> Result<Option<usize>, StoreError> {
        self.write(move |batch| {
            let Some(person) = people::by_name(batch.db, name.folded())? else {
                return Ok(None);
            };
            reset(batch, &person, &actor).map(Some)
        })
        .await
    }

    /// Whose a passkey is, and the factor.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn passkey(&self, credential_id: &str) -> Result<Option<(PersonId, Factor)>, StoreError> {
        const SQL: &str = "SELECT id, kind, name, data, credential_id, created_at, last_used_at, \
             person_id FROM factor WHERE credential_id = $1";
        self.read(|db| {
            db.query_one(SQL, values![credential_id], |row| {
                Ok((PersonId(row.text(7)?), factor(row)?))
            })
        })
    }

    /// Uses a passkey alone: the answer, by its hash, counts once until `until`.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn use_passkey_alone(
        &self,
        person: PersonId,
        used: FactorUse,
        answer: String,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO passkey_answer (hash, expires_at) VALUES ($1, $2) \
             ON CONFLICT (hash) DO NOTHING";
        self.write(move |batch| {
            let first = batch.db.execute(SQL, values![&answer, until])? > 0;
            Ok(first && batch.use_factor(&person, &used)?)
        })
        .await
    }
}

pub(super) fn factors(db: &Db, person: &PersonId) -> Result<Vec<Factor>, StoreError> {
    const SQL: &str = "SELECT id, kind, name, data, credential_id, created_at, last_used_at \
         FROM factor WHERE person_id = $1 ORDER BY created_at, id";
    db.query(SQL, values![person.as_str()], factor)
}

/// Reads the first seven columns of a row.
fn factor(row: &Row<'_>) -> Result<Factor, StoreError> {
    let kind = match row.text(1)?.as_str() {
        "totp" => FactorKind::Totp,
        "passkey" => FactorKind::Passkey,
        other => return Err(StoreError::Corrupt(format!("the factor kind {other}"))),
    };
    Ok(Factor {
        id: row.text(0)?,
        kind,
        name: row.text(2)?,
        data: row.text(3)?,
        credential_id: row.maybe_text(4)?,
        created_at: row.at(5)?,
        last_used_at: row.maybe_at(6)?,
    })
}

fn enrol(batch: &mut Batch<'_>, new: &NewFactor) -> Result<Enrolled, StoreError> {
    const TAKEN: &str = "SELECT id FROM factor WHERE credential_id = $1";
    const INSERT: &str = "INSERT INTO factor (id, person_id, kind, name, data, credential_id, \
         last_step, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let had = factors(batch.db, &new.person)?;
    let (session_id, limited) = match enrolling(batch.db, new)? {
        // Who has to enrol proved a password alone, which is not enough for another factor.
        Some((_, true)) if !had.is_empty() => return Ok(Enrolled::Ended),
        Some(session) => session,
        None => return Ok(Enrolled::Ended),
    };
    if !batch.take_challenge(&new.challenge, &new.person, &session_id)? {
        return Ok(Enrolled::Ended);
    }
    let credential = new.credential_id.as_ref();
    if let Some(credential) = credential
        && batch
            .db
            .query_one(TAKEN, values![credential], |row| row.text(0))?
            .is_some()
    {
        return Ok(Enrolled::Taken);
    }
    let kind = match new.kind {
        FactorKind::Totp => "totp",
        FactorKind::Passkey => "passkey",
    };
    let person = new.person.as_str();
    batch.db.change_one(
        INSERT,
        values![
            &new.id,
            person,
            kind,
            &new.name,
            &new.data,
            credential,
            new.last_step,
            batch.now,
        ],
    )?;
    let with_codes = had.is_empty();
    if with_codes {
        store_codes(batch, &new.person, &new.recovery_codes)?;
    }
    let ended = admit_session(batch, new, limited)?;
    let event = of(batch, EventKind::SecondFactorEnrolled, &new.person)?
        .with("factor", new.id.clone())
        .with("kind", kind)
        .with("sessions_ended", ended.to_string());
    let actor = Actor::person(event.user.as_deref().unwrap_or_default());
    batch.record(&event, &actor)?;
    Ok(Enrolled::Done { with_codes })
}

/// The public id of the session in which somebody enrols, and whether it may do nothing else.
fn enrolling(db: &Db, new: &NewFactor) -> Result<Option<(String, bool)>, StoreError> {
    const SQL: &str = "SELECT id, enrol_for FROM session WHERE hash = $1 AND person_id = $2";
    db.query_one(SQL, values![&new.session, new.person.as_str()], |row| {
        Ok((row.text(0)?, row.maybe_text(1)?.is_some()))
    })
}

/// Lets the session in which somebody enrolled do everything, and ends the others that may not, or
/// all of them; counts those.
fn admit_session(
    batch: &mut Batch<'_>,
    new: &NewFactor,
    limited: bool,
) -> Result<usize, StoreError> {
    const ADMIT: &str = "UPDATE session SET enrol_for = NULL WHERE hash = $1";
    const LIMITED: &str = "DELETE FROM session WHERE person_id = $1 AND hash <> $2 \
         AND enrol_for IS NOT NULL";
    let mut ended = if new.end_others {
        batch.end_sessions_of(&new.person, Some(&new.session))?
    } else {
        0
    };
    ended += batch
        .db
        .execute(LIMITED, values![new.person.as_str(), &new.session])?;
    if limited {
        batch.db.change_one(ADMIT, values![&new.session])?;
    }
    batch.forget_sessions();
    Ok(ended)
}

fn remove(
    batch: &mut Batch<'_>,
    person: &PersonId,
    id: &str,
    needed: bool,
    keep: Option<&str>,
) -> Result<FactorRemoved, StoreError> {
    const REMOVE: &str = "DELETE FROM factor WHERE id = $1 AND person_id = $2";
    const CODES: &str = "DELETE FROM recovery_code WHERE person_id = $1";
    let had = factors(batch.db, person)?;
    if !had.iter().any(|factor| factor.id == id) {
        return Ok(FactorRemoved::Unknown);
    }
    if needed && had.len() == 1 {
        return Ok(FactorRemoved::Needed);
    }
    batch.db.change_one(REMOVE, values![id, person.as_str()])?;
    if had.len() == 1 {
        batch.db.execute(CODES, values![person.as_str()])?;
    }
    let ended = match keep {
        Some(session) => batch.end_sessions_of(person, Some(session))?,
        None => 0,
    };
    let event = of(batch, EventKind::SecondFactorRemoved, person)?
        .with("factor", id)
        .with("sessions_ended", ended.to_string());
    let actor = Actor::person(event.user.as_deref().unwrap_or_default());
    batch.record(&event, &actor)?;
    Ok(FactorRemoved::Done)
}

fn reset(batch: &mut Batch<'_>, person: &Person, actor: &Actor) -> Result<usize, StoreError> {
    const FACTORS: &str = "DELETE FROM factor WHERE person_id = $1";
    const CODES: &str = "DELETE FROM recovery_code WHERE person_id = $1";
    const TRIES: &str = "DELETE FROM wrong_try WHERE key = $1";
    let id = person.id.as_str();
    let removed = batch.db.execute(FACTORS, values![id])?;
    batch.db.execute(CODES, values![id])?;
    // Wrong ones of the factors that are gone do not count against the new ones.
    let tried = format!("factor:{}", person.name);
    batch.db.execute(TRIES, values![&tried])?;
    let ended = batch.end_sessions_of(&person.id, None)?;
    let event = Event::new(EventKind::SecondFactorsReset)
        .about(&person.id, &person.name)
        .with("factors", removed.to_string())
        .with("sessions_ended", ended.to_string());
    batch.record(&event, actor)?;
    Ok(removed)
}

fn store_codes(batch: &Batch<'_>, person: &PersonId, hashes: &[String]) -> Result<(), StoreError> {
    const FORGET: &str = "DELETE FROM recovery_code WHERE person_id = $1";
    const INSERT: &str = "INSERT INTO recovery_code (hash, person_id) VALUES ($1, $2)";
    batch.db.execute(FORGET, values![person.as_str()])?;
    for hash in hashes {
        batch
            .db
            .change_one(INSERT, values![hash, person.as_str()])?;
    }
    Ok(())
}

/// An event about a person who is there.
fn of(batch: &Batch<'_>, kind: EventKind, person: &PersonId) -> Result<Event, StoreError> {
    let found = people::by_id(batch.db, person)?;
    let found = found.ok_or_else(|| StoreError::Corrupt("a factor of nobody".to_owned()))?;
    Ok(Event::new(kind).about(&found.id, &found.name))
}

impl Batch<'_> {
    /// Uses a factor, where it was not used like this before, and remembers it in the audit.
    pub(super) fn use_factor(
        &mut self,
        person: &PersonId,
        used: &FactorUse,
    ) -> Result<bool, StoreError> {
        const STEP: &str = "UPDATE factor SET last_step = $1, last_used_at = $2 \
             WHERE id = $3 AND person_id = $4 AND last_step < $1";
        const CODE: &str = "UPDATE recovery_code SET used_at = $1 \
             WHERE hash = $2 AND person_id = $3 AND used_at IS NULL";
        const PASSKEY: &str = "UPDATE factor SET data = $1, last_used_at = $2 \
             WHERE id = $3 AND person_id = $4 AND data = $5";
        let (now, whose) = (self.now, person.as_str());
        let changed = match used {
            FactorUse::Totp { factor, step } => {
                self.db.execute(STEP, values![*step, now, factor, whose])?
            }
            FactorUse::RecoveryCode(hash) => self.db.execute(CODE, values![now, hash, whose])?,
            FactorUse::Passkey {
                factor,
                before,
                after,
            } => self
                .db
                .execute(PASSKEY, values![after, now, factor, whose, before])?,
        };
        if changed == 0 {
            return Ok(false);
        }
        let event = of(self, EventKind::SecondFactorUsed, person)?.with("kind", used.word());
        let actor = Actor::person(event.user.as_deref().unwrap_or_default());
        self.record(&event, &actor)?;
        Ok(true)
    }
}
