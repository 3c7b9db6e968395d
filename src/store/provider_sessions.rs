//! Sessions that began at a provider, and how the provider ends them.

use super::Store;
use super::db::{Db, StoreError, values};
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

/// What came of a provider's wish to end sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderLoggedOut {
    /// So many sessions ended.
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
    end_second_steps(batch, logout)?;
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
    Ok(ProviderLoggedOut::Ended(named.len()))
}

/// Ends sign-ins that came from the provider and wait for a second step.
fn end_second_steps(batch: &Batch<'_>, logout: &ProviderLogout) -> Result<(), StoreError> {
    let sid = logout.sid.as_deref().unwrap_or_default();
    let subject = logout.subject.as_deref().unwrap_or_default();
    if sid.is_empty() && subject.is_empty() {
        return Ok(());
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

/// The sessions of one provider with this subject and this session there, as far as each is named.
fn named_sessions(db: &Db, logout: &ProviderLogout) -> Result<Vec<Named>, StoreError> {
    const SQL: &str = "SELECT session.hash, session.id, session.person_id, person.name \
         FROM session JOIN person ON person.id = session.person_id \
         WHERE session.source = $1 AND (session.provider_sid = $2 OR $2 = '') \
         AND ($3 = '' OR session.person_id IN (SELECT person_id FROM identity \
         WHERE identity.source = $1 AND identity.subject = $3)) ORDER BY session.id";
    let sid = logout.sid.as_deref().unwrap_or_default();
    let subject = logout.subject.as_deref().unwrap_or_default();
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
