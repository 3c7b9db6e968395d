//! API tokens: made, listed, revoked, found by hash.

use serde::{Deserialize, Serialize};

use super::Store;
use super::db::{Row, StoreError, values};
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::time::{Millis, Timestamp};

/// What an API token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Ask for web tickets.
    #[serde(rename = "web-ticket")]
    WebTicket,
    /// Call the QMS service.
    #[serde(rename = "qms")]
    Qms,
    /// Read the metrics.
    #[serde(rename = "metrics")]
    Metrics,
    /// Read what administrators read.
    #[serde(rename = "admin:read")]
    AdminRead,
    /// Change what administrators change, but people's roles, passwords and second factors.
    #[serde(rename = "admin:write")]
    AdminWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        Self::WebTicket,
        Self::Qms,
        Self::Metrics,
        Self::AdminRead,
        Self::AdminWrite,
    ];

    /// The word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::WebTicket => "web-ticket",
            Self::Qms => "qms",
            Self::Metrics => "metrics",
            Self::AdminRead => "admin:read",
            Self::AdminWrite => "admin:write",
        }
    }

    /// The scope with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is called.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The hash of its secret.
    pub hash: String,
    /// How long it lives.
    pub life: Millis,
}

/// A token as lists show it; its secret is shown once, when it is made.
#[derive(Clone, Debug, Serialize)]
pub struct ApiToken {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Its exclusive end.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// Makes a token and answers its id.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn create_token(&self, new: NewToken, actor: Actor) -> Result<String, StoreError> {
        self.write(move |batch| create(batch, &new, &actor)).await
    }

    /// Revokes a token; false where there is none of that id.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn revoke_token(&self, id: String, actor: Actor) -> Result<bool, StoreError> {
        self.write(move |batch| revoke(batch, &id, &actor)).await
    }

    /// Every token, by id.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn tokens(&self, after: &str, limit: u32) -> Result<Vec<ApiToken>, StoreError> {
        const SQL: &str = "SELECT id, name, scopes, created_at, created_by, expires_at, \
             revoked_at FROM api_token WHERE id > $1 ORDER BY id LIMIT $2";
        self.read(|db| db.query(SQL, values![after, i64::from(limit)], token))
    }

    /// The token with this hash, unless it has ended.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn token(&self, hash: &str) -> Result<Option<ApiToken>, StoreError> {
        const SQL: &str = "SELECT id, name, scopes, created_at, created_by, expires_at, \
             revoked_at FROM api_token WHERE hash = $1 AND revoked_at IS NULL AND expires_at > $2";
        let now = self.now();
        self.read(|db| db.query_one(SQL, values![hash, now], token))
    }
}

fn create(batch: &mut Batch<'_>, new: &NewToken, actor: &Actor) -> Result<String, StoreError> {
    const SQL: &str = "INSERT INTO api_token \
         (id, name, scopes, hash, created_at, created_by, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let id = batch.options.fresh.id();
    let words: Vec<&str> = new.scopes.iter().map(|scope| scope.word()).collect();
    let scopes = words.join(" ");
    batch.db.change_one(
        SQL,
        values![
            &id,
            &new.name,
            &scopes,
            &new.hash,
            batch.now,
            &actor.0,
            batch.now + new.life
        ],
    )?;
    let event = Event::new(EventKind::TokenCreated)
        .with("token", id.clone())
        .with("name", new.name.clone())
        .with("scopes", scopes);
    batch.record(&event, actor)?;
    Ok(id)
}

fn revoke(batch: &mut Batch<'_>, id: &str, actor: &Actor) -> Result<bool, StoreError> {
    const KNOWN: &str = "SELECT id FROM api_token WHERE id = $1";
    const SQL: &str = "UPDATE api_token SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    if batch
        .db
        .query_one(KNOWN, values![id], |row| row.text(0))?
        .is_none()
    {
        return Ok(false);
    }
    if batch.db.execute(SQL, values![batch.now, id])? == 1 {
        let event = Event::new(EventKind::TokenRevoked).with("token", id);
        batch.record(&event, actor)?;
    }
    Ok(true)
}

fn token(row: &Row<'_>) -> Result<ApiToken, StoreError> {
    let scopes = row.text(2)?;
    Ok(ApiToken {
        id: row.text(0)?,
        name: row.text(1)?,
        scopes: scopes.split(' ').filter_map(Scope::from_word).collect(),
        created_at: row.at(3)?,
        created_by: row.text(4)?,
        expires_at: row.at(5)?,
        revoked_at: row.maybe_at(6)?,
    })
}
