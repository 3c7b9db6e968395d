//! Sessions that began at a provider, and how the provider ends them.

use super::Store;
use super::db::{Db, StoreError, values};
use super::identities;
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::person::PersonId;
use crate::domain::time::Timestamp;

/// Whose sessions of a provider end.
#[derive(Clone, Debug)]
pub struct ProviderLogout {
    /// The configured name of the provider.
    pub source: String,
    /// The subject; absent where the session alone is named.
    pub subject: Option<String>,
    /// The session at the provider; absent where all of the subject's end.
    pub sid: Option<String>,
    /// The id of the notice, and until when it is remembered; absent where it came by a browser.
    pub notice: Option<(String, Timestamp)>,
}

/// A session at a provider that a sign-in goes on in.
#[derive(Clone, Debug)]
pub struct NewAtProvider {
    /// What the provider knows it by; none where it does not say.
    pub sid: Option<String>,
    /// When the provider was asked: a logout that came since is meant for it.
    pub since: Timestamp,
}

impl ProviderLogout {
    /// Subject and session as they are compared; empty where one is not named.
    fn named(&self) -> (&str, &str) {
        let subject = self.subject.as_deref().unwrap_or_default();
        (subject, self.sid.as_deref().unwrap_or_default())
    }
}

/// What came of a provider's wish to end sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderLoggedOut {
    /// So many sessions ended, and sign-ins that waited for a second step.
    Ended(usize),
    /// The notice came before.
    Replayed,
}

impl Store {
    /// Ends the sessions that a provider names, and remembers its notice in the same transaction.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails; then nothing has ended, and the provider
    /// must ask again.
    pub async fn end_provider_sessions(
        &self,
        logout: ProviderLogout,
    ) -> Result<ProviderLoggedOut, StoreError> {
        self.write(move |batch| end(batch, &logout)).await
    }

    /// The sealed ID token of a session, where it began at a provider.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn sealed_id_token(&self, session_hash: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT id_token FROM session WHERE hash = $1";
        let found =
            self.read(|db| db.query_one(SQL, values![session_hash], |row| row.maybe_text(0)))?;
        Ok(found.flatten())
    }
}

fn end(batch: &mut Batch<'_>, logout: &ProviderLogout) -> Result<ProviderLoggedOut, StoreError> {
    const REMEMBER: &str = "INSERT INTO logout_notice (source, notice_id, expires_at) \
         VALUES ($1, $2, $3) ON CONFLICT (source, notice_id) DO NOTHING";
    const END: &str = "DELETE FROM session WHERE hash = $1";
    if let Some((id, until)) = &logout.notice
        && batch
            .db
            .execute(REMEMBER, values![&logout.source, id, *until])?
            == 0
    {
        return Ok(ProviderLoggedOut::Replayed);
    }
    let waiting = end_second_steps(batch, logout)?;
    if logout.notice.is_some() {
        overtake(batch, logout)?;
    }
    let named = named_sessions(batch.db, logout)?;
    for session in &named {
        batch.db.change_one(END, values![&session.hash])?;
        let event = Event::new(EventKind::SessionsEnded)
            .about(&session.person, &session.user)
            .with("session", session.id.clone())
            .with("source", logout.source.clone());
        batch.record(&event, &Actor::gateway())?;
    }
    if !named.is_empty() {
        batch.forget_sessions();
    }
    Ok(ProviderLoggedOut::Ended(named.len() + waiting))
}

/// Lets no sign-in that is under way come to one of the sessions that end. Only what the provider
/// signed is remembered: anybody can make a browser say something.
fn overtake(batch: &Batch<'_>, logout: &ProviderLogout) -> Result<(), StoreError> {
    const REMEMBER: &str =
        "INSERT INTO provider_logout (source, subject, sid, at) VALUES ($1, $2, $3, $4)";
    let (subject, sid) = logout.named();
    let row = values![&logout.source, subject, sid, batch.now];
    batch.db.change_one(REMEMBER, row)?;
    match identities::person_of(batch.db, &logout.source, subject)? {
        Some(person) => batch.end_sign_ins_of(&person.id),
        None => Ok(()),
    }
}

/// Whether a provider has ended this session since then, or all of its subject.
pub(super) fn has_ended(
    batch: &Batch<'_>,
    source: &str,
    subject: &str,
    session: &NewAtProvider,
) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT at FROM provider_logout WHERE source = $1 AND at > $2 AND at <= $3 \
         AND (sid = '' OR sid = $4 OR ($4 = '' AND subject <> '')) \
         AND (subject = '' OR subject = $5)";
    let sid = session.sid.as_deref().unwrap_or_default();
    let asked = values![source, session.since, batch.now, sid, subject];
    let found = batch.db.query_one(SQL, asked, |row| row.at(0))?;
    Ok(found.is_some())
}

/// Ends sign-ins that came from the provider and wait for a second step.
fn end_second_steps(batch: &Batch<'_>, logout: &ProviderLogout) -> Result<usize, StoreError> {
    let (subject, sid) = logout.named();
    if sid.is_empty() && subject.is_empty() {
        return Ok(0);
    }
    batch.end_challenges_of_provider(&logout.source, sid, subject)
}

/// A session that a provider names.
struct Named {
    hash: String,
    id: String,
    person: PersonId,
    user: String,
}

/// The sessions of one provider with this subject and this session there, as far as each is named. Of
/// one whose ID token told no session the subject decides.
fn named_sessions(db: &Db, logout: &ProviderLogout) -> Result<Vec<Named>, StoreError> {
    const SQL: &str = "SELECT session.hash, session.id, session.person_id, person.name \
         FROM session JOIN person ON person.id = session.person_id \
         WHERE session.source = $1 AND (session.provider_sid = $2 OR $2 = '' \
         OR (session.provider_sid IS NULL AND $3 <> '')) \
         AND ($3 = '' OR session.person_id IN (SELECT person_id FROM identity \
         WHERE identity.source = $1 AND identity.subject = $3)) ORDER BY session.id";
    let (subject, sid) = logout.named();
    if sid.is_empty() && subject.is_empty() {
        return Ok(Vec::new());
    }
    db.query(SQL, values![&logout.source, sid, subject], |row| {
        Ok(Named {
            hash: row.text(0)?,
            id: row.text(1)?,
            person: PersonId(row.text(2)?),
            user: row.text(3)?,
        })
    })
}
