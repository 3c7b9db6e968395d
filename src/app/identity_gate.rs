//! Whether a password of somebody of a directory may be tried now.
//!
//! A directory may find one person by many names: an address of mail, another domain, letters that
//! it takes for the same. Counted by name alone each of them would be allowed as many wrong tries
//! (P-06), so they are counted by whom the directory found as well, before the password is tried.
//! One that may not be tried is answered like a wrong one: that a name has a limit which nobody
//! filled would tell whose it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::App;
use super::sign_in::Client;
use super::under_way::Begun;
use crate::auth::ldap::MayTry;
use crate::domain::throttle::ThrottleKey;
use crate::store::StoreError;

/// How long a try waits for those of others, which could fill the limit of whom the directory found.
const OTHERS_DECIDED_WITHIN: Duration = Duration::from_secs(1);

/// The gate for one try.
pub(super) struct IdentityGate(Arc<Mutex<Held>>);

/// What the gate decided.
#[derive(Default)]
struct Held {
    tried: Option<IdentityTry>,
    failed: Option<StoreError>,
}

/// A try that is counted for an identity, if it turns out wrong; its place is held until this is
/// dropped.
pub(super) struct IdentityTry {
    /// What it counts for.
    pub(super) key: ThrottleKey,
    _begun: Begun,
}

impl IdentityGate {
    /// A gate, and how it is asked.
    pub(super) fn new(app: &App, source: &str, client: &Client) -> (Self, MayTry) {
        let held = Arc::new(Mutex::new(Held::default()));
        let gate = Self(Arc::clone(&held));
        let (app, source, client) = (app.clone(), source.to_owned(), client.clone());
        let may_try: MayTry = Arc::new(move |subject| {
            let (app, source, client) = (app.clone(), source.clone(), client.clone());
            let held = Arc::clone(&held);
            Box::pin(async move {
                let admitting = app.admit_identity(&source, &subject, &client);
                let admitted = tokio::time::timeout(OTHERS_DECIDED_WITHIN, admitting).await;
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                match admitted {
                    Ok(Ok(Some(tried))) => {
                        held.tried = Some(tried);
                        return true;
                    }
                    Ok(Ok(None)) | Err(_) => {
                        tracing::warn!(source, "a password is not tried: too many wrong ones were");
                    }
                    Ok(Err(error)) => held.failed = Some(error),
                }
                false
            })
        });
        (gate, may_try)
    }

    /// The try, where one was counted.
    pub(super) fn outcome(self) -> Result<Option<IdentityTry>, StoreError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.failed.take() {
            Some(error) => Err(error),
            None => Ok(held.tried.take()),
        }
    }
}

impl App {
    /// The try of whom a source found, where it may be tried. While others are tried that could fill
    /// the limit, it waits for them.
    async fn admit_identity(
        &self,
        source: &str,
        subject: &str,
        client: &Client,
    ) -> Result<Option<IdentityTry>, StoreError> {
        let (whose, subject_there) = (source.to_owned(), subject.to_owned());
        // A stranger cannot lock the owner out of a workstation on which they signed in (P-04).
        let key = match self.workstation_here(client)? {
            Some(here)
                if self
                    .ledger()
                    .identity_signed_in_lately(source, subject, &here)? =>
            {
                ThrottleKey::IdentityThere(whose, subject_there, here)
            }
            _ => ThrottleKey::Identity(whose, subject_there),
        };
        let admitted = self.admitted(std::slice::from_ref(&key)).await?.ok();
        Ok(admitted.map(|begun| IdentityTry { key, _begun: begun }))
    }
}
