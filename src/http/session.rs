//! The session cookie: `tower-sessions` over the ledger, which keeps only a hash of its value.
//!
//! [`begin`] writes the session row and the sign-in's audit event together; the record that is saved
//! then only takes the id over, so that the layer sets the cookie. What a request needs of a live
//! session comes from the ledger directly ([`super::extract`]).

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::from_fn;
use axum::routing::MethodRouter;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};

use super::to_its_end::to_its_end;
use crate::app::App;
use crate::app::sign_in::{Begins, Client, SignedIn};
use crate::auth::secret::{SecretKind, hash_secret};
use crate::store::{SessionBegun, StoreError};

/// The cookie of a session.
pub(super) const SESSION_COOKIE: &str = "__Host-session";
/// Characters of its value: 128 bits in base64.
pub(super) const SECRET_CHARACTERS: usize = 22;

/// What a record holds until it is saved: the key of the sign-in that it is for.
const SIGN_IN: &str = "sign_in";

/// Handlers that begin or end a session: what they set or take away of the cookie goes out, and they
/// are done to their end. All others read the cookie themselves.
pub(super) fn changing(app: &App, handlers: MethodRouter<App>) -> MethodRouter<App> {
    let sessions = SessionManagerLayer::new(LedgerSessions(app.clone()))
        .with_name(SESSION_COOKIE)
        .with_path("/")
        .with_secure(true)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnSessionEnd);
    handlers.layer(sessions).layer(from_fn(to_its_end))
}

/// The hash under which the ledger knows the session that this value of the cookie opens.
pub(super) fn hash_of(secret: &str) -> String {
    hash_secret(SecretKind::Session, secret)
}

/// Begins a session under a new id; one that the browser had before is over then (S-01, S-02), and
/// goes on where the new one does not begin. Answers the value of its cookie. With `enrol_for`, the
/// wanted path, nothing can be done in it before a second factor is enrolled.
pub(super) async fn begin(
    app: &App,
    session: &Session,
    signed_in: &SignedIn,
    client: &Client,
    enrol_for: Option<&str>,
) -> std::result::Result<String, BeginError> {
    let secret = write(app, session, signed_in, client, enrol_for).await?;
    give(session, &secret).await?;
    Ok(secret)
}

/// Writes the session of somebody who signed in, in the place of the browser's; answers its secret.
pub(super) async fn write(
    app: &App,
    session: &Session,
    signed_in: &SignedIn,
    client: &Client,
    enrol_for: Option<&str>,
) -> std::result::Result<String, BeginError> {
    let replaced = session.id().map(|id| hash_of(&id.to_string()));
    let before = match &replaced {
        Some(hash) => app.ledger().session(hash)?,
        None => None,
    };
    let begins = Begins {
        enrol_for,
        side: before
            .map(|before| before.side.of_successor())
            .unwrap_or_default(),
        replaces: replaced.as_deref(),
    };
    let secret = new_secret(app);
    let begun = app
        .begin_session(signed_in, &secret, client, begins)
        .await?;
    match begun {
        SessionBegun::Done => {}
        SessionBegun::TooMany => {
            return Err(BeginError::TooMany {
                most: app.config().session.max_per_user,
            });
        }
        SessionBegun::Overtaken => return Err(BeginError::Overtaken),
    }
    Ok(secret)
}

/// Gives a session that was written to the browser, unless it has it already.
pub(super) async fn give(session: &Session, secret: &str) -> std::result::Result<(), BeginError> {
    match session.id() {
        Some(id) if id.to_string() == secret => return Ok(()),
        Some(_) => session.flush().await?,
        None => {}
    }
    session.insert(SIGN_IN, secret).await?;
    session.save().await?;
    Ok(())
}

/// The value of a new session's cookie: 128 random bits.
fn new_secret(app: &App) -> String {
    Id(i128::from_le_bytes(app.fresh().bytes())).to_string()
}

/// Gives a live session another id, because its person proved who they are again or may do more
/// from now on (S-02); none where it has ended. Answers the value of its cookie.
pub(super) async fn renew(
    app: &App,
    hash: &str,
) -> std::result::Result<Option<String>, StoreError> {
    let secret = new_secret(app);
    let renewed = app
        .ledger()
        .renew_session(hash.to_owned(), hash_of(&secret));
    Ok(renewed.await?.then_some(secret))
}

/// Why a session could not be begun.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    /// The ledger.
    #[error("the ledger failed")]
    Store(#[from] StoreError),
    /// Its person has as many sessions as they may.
    #[error("there are {most} sessions already")]
    TooMany {
        /// How many.
        most: u32,
    },
    /// What the sign-in proved counts no longer.
    #[error("the sign-in was overtaken")]
    Overtaken,
    /// The session layer.
    #[error("the session layer failed")]
    Layer(#[from] tower_sessions::session::Error),
}

/// Sessions of the ledger.
#[derive(Clone)]
pub(super) struct LedgerSessions(App);

impl fmt::Debug for LedgerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerSessions")
    }
}

#[async_trait::async_trait]
impl SessionStore for LedgerSessions {
    /// Takes the id of the session that [`begin`] wrote.
    async fn create(&self, record: &mut Record) -> Result<()> {
        let begun = record.data.get(SIGN_IN).and_then(|value| value.as_str());
        let id = begun.and_then(|secret| secret.parse().ok());
        record.id = id.ok_or_else(|| Error::Backend("only a sign-in begins a session".into()))?;
        Ok(())
    }

    /// Nothing in a record changes after the sign-in.
    async fn save(&self, _: &Record) -> Result<()> {
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let session = self
            .0
            .ledger()
            .session(&hash_of(&id.to_string()))
            .map_err(|error| backend(&error))?;
        let Some(session) = session else {
            return Ok(None);
        };
        let expiry_date = session.ends_at.calendar();
        Ok(Some(Record {
            id: *id,
            data: std::collections::HashMap::new(),
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0
            .ledger()
            .end_session(hash_of(&id.to_string()))
            .await
            .map_err(|error| backend(&error))
    }
}

fn backend(error: &StoreError) -> Error {
    Error::Backend(error.to_string())
}

/// Gives every `__Host-` cookie, also one that is taken away, the attributes without which a
/// browser refuses to hear of it (S-03).
pub(super) fn protect_cookies(headers: &mut HeaderMap) {
    if !headers.contains_key(header::SET_COOKIE) {
        return;
    }
    for (_, value) in headers
        .iter_mut()
        .filter(|(name, _)| *name == header::SET_COOKIE)
    {
        let Ok(text) = value.to_str() else { continue };
        if text.starts_with("__Host-") && !text.contains("; Secure") {
            let whole = format!("{text}; Secure; HttpOnly; SameSite=Lax");
            if let Ok(whole) = HeaderValue::from_str(&whole) {
                *value = whole;
            }
        }
    }
}
