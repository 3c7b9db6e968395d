//! API tokens: shown once, stored hashed, at most 365 days.

use super::App;
use super::administer::AdministerError;
use crate::auth::secret::{SecretKind, hash_secret};
use crate::domain::time::Millis;
use crate::store::{Actor, ApiToken, NewToken, Scope, StoreError};

/// The longest life of a token, in days.
pub const TOKEN_DAYS_MAX: u32 = 365;
/// Characters of a token's name.
const NAME_CHARACTERS_MAX: usize = 64;

/// A token that was made; its secret is shown this once.
#[derive(Clone, Debug)]
pub struct TokenMade {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl App {
    /// Makes a token that lives `days`, at most [`TOKEN_DAYS_MAX`].
    ///
    /// # Errors
    ///
    /// The name cannot be one; the ledger is busy, closed, or its database fails.
    pub async fn create_token(
        &self,
        name: &str,
        scopes: Vec<Scope>,
        days: u32,
        actor: Actor,
    ) -> Result<TokenMade, AdministerError> {
        let name = name.trim().to_owned();
        let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
        if !fits || name.chars().any(char::is_control) {
            return Err(AdministerError::Text {
                what: "name",
                characters_max: NAME_CHARACTERS_MAX,
            });
        }
        let secret = format!("ap_{}", self.fresh().token());
        let hash = hash_secret(SecretKind::ApiToken, &secret);
        let life = Millis::days(i64::from(days.min(TOKEN_DAYS_MAX)));
        let id = self
            .ledger()
            .create_token(
                NewToken {
                    name,
                    scopes,
                    hash,
                    life,
                },
                actor,
            )
            .await?;
        Ok(TokenMade { id, secret })
    }

    /// The token with this secret, unless it has ended.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn token(&self, secret: &str) -> Result<Option<ApiToken>, StoreError> {
        self.ledger()
            .token(&hash_secret(SecretKind::ApiToken, secret))
    }
}
