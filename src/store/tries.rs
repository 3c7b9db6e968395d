//! Wrong passwords and factors: one row each for every key that they count for.

use super::Store;
use super::db::{StoreError, values};
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::throttle::ThrottleKey;
use crate::domain::time::Timestamp;

impl Store {
    /// When this key's wrong tries that may still count were, ascending.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn wrong_tries(&self, key: &ThrottleKey) -> Result<Vec<Timestamp>, StoreError> {
        const SQL: &str =
            "SELECT at FROM wrong_try WHERE key = $1 AND at > $2 ORDER BY at DESC, id LIMIT $3";
        let limit = key.limit();
        let since = self.now() - limit.within;
        let newest = i64::try_from(limit.tries).unwrap_or(i64::MAX);
        let key = key.to_string();
        let mut tries =
            self.read(|db| db.query(SQL, values![&key, since, newest], |row| row.at(0)))?;
        tries.reverse();
        Ok(tries)
    }

    /// Counts a wrong try for these keys; its audit event was written already.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn count_wrong_try(&self, keys: Vec<ThrottleKey>) -> Result<(), StoreError> {
        self.write(move |batch| count(batch, &keys)).await
    }

    /// Notes a wrong try for these keys, with the audit event of the refused sign-in.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn note_wrong_try(
        &self,
        keys: Vec<ThrottleKey>,
        user: Option<String>,
        address: String,
    ) -> Result<(), StoreError> {
        self.write(move |batch| {
            count(batch, &keys)?;
            let mut event = Event::new(EventKind::SignInRefused).with("address", address.clone());
            event.user.clone_from(&user);
            event.code = Some("SIGN_IN_FAILED".to_owned());
            batch.record(&event, &Actor::gateway())
        })
        .await
    }
}

/// Counts a wrong try for these keys.
pub(super) fn count(batch: &Batch<'_>, keys: &[ThrottleKey]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO wrong_try (id, key, at) VALUES ($1, $2, $3)";
    let id = batch.options.fresh.id();
    for key in keys {
        let key = key.to_string();
        batch.db.execute(SQL, values![&id, &key, batch.now])?;
    }
    Ok(())
}
