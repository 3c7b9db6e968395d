//! How the list of documents of an old client is searched, sorted and paged: kept with its session.

use super::Store;
use super::db::{StoreError, values};

impl Store {
    /// What was kept with the session of this hash; none before something was.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn list_view(&self, session_hash: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT list_view FROM session WHERE hash = $1";
        self.read(|db| {
            let found = db.query_one(SQL, values![session_hash], |row| row.maybe_text(0))?;
            Ok(found.flatten())
        })
    }

    /// Keeps it for as long as the session lives; nothing where the session has ended.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn keep_list_view(
        &self,
        session_hash: String,
        view: String,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE session SET list_view = $1 WHERE hash = $2";
        self.write(move |batch| {
            batch
                .db
                .execute(SQL, values![&view, &session_hash])
                .map(drop)
        })
        .await
    }
}
