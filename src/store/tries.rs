//! Wrong passwords and factors: one row each for every key that they count for.

use super::Store;
use super::db::{Db, StoreError, values};
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::throttle::{Admission, ThrottleKey, Tries, admit};
use crate::domain::time::Timestamp;

impl Store {
    /// What is known of these keys: when their wrong tries that may still count were, and so many
    /// under way, none where `under_way` ends.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn tries(
        &self,
        keys: &[ThrottleKey],
        under_way: &[usize],
    ) -> Result<Vec<Tries>, StoreError> {
        self.read_now(|db, now| tries(db, keys, under_way, now))
    }

    /// Counts a wrong try for these keys; its audit event was written already. Where others, at any
    /// node, have filled a limit of theirs, it is not counted: until when.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn count_wrong_try(
        &self,
        keys: Vec<ThrottleKey>,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.write(move |batch| count(batch, &keys)).await
    }

    /// Notes a wrong try for these keys, with the audit event of the refused sign-in, as
    /// [`count_wrong_try`](Self::count_wrong_try) does.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn note_wrong_try(
        &self,
        keys: Vec<ThrottleKey>,
        user: Option<String>,
        address: String,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.write(move |batch| {
            if let Some(until) = count(batch, &keys)? {
                return Ok(Some(until));
            }
            let mut event = Event::new(EventKind::SignInRefused).with("address", address.clone());
            event.user.clone_from(&user);
            event.code = Some("SIGN_IN_FAILED".to_owned());
            batch.record(&event, &Actor::gateway())?;
            Ok(None)
        })
        .await
    }
}

fn tries(
    db: &Db,
    keys: &[ThrottleKey],
    under_way: &[usize],
    now: Timestamp,
) -> Result<Vec<Tries>, StoreError> {
    let counts = under_way.iter().copied().chain(std::iter::repeat(0));
    let known = keys.iter().zip(counts).map(|(key, under_way)| {
        Ok(Tries {
            key: key.clone(),
            wrong_at: wrong_at(db, key, now)?,
            under_way,
        })
    });
    known.collect()
}

/// When the wrong tries of a key that may still count were, ascending.
fn wrong_at(db: &Db, key: &ThrottleKey, now: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
    const SQL: &str =
        "SELECT at FROM wrong_try WHERE key = $1 AND at > $2 ORDER BY at DESC, id LIMIT $3";
    let limit = key.limit();
    let newest = i64::try_from(limit.tries).unwrap_or(i64::MAX);
    let (key, since) = (key.to_string(), now - limit.within);
    let mut tries = db.query(SQL, values![&key, since, newest], |row| row.at(0))?;
    tries.reverse();
    Ok(tries)
}

/// Counts a wrong try for these keys, unless a limit of theirs is filled: until when.
pub(super) fn count(
    batch: &Batch<'_>,
    keys: &[ThrottleKey],
) -> Result<Option<Timestamp>, StoreError> {
    const SQL: &str = "INSERT INTO wrong_try (id, key, at) VALUES ($1, $2, $3)";
    let known = tries(batch.db, keys, &[], batch.now)?;
    if let Admission::Wait { until } = admit(&known, batch.now) {
        return Ok(Some(until));
    }
    let id = batch.options.fresh.id();
    for key in keys {
        let key = key.to_string();
        batch.db.execute(SQL, values![&id, &key, batch.now])?;
    }
    Ok(None)
}
