//! In front of an estate: the customer's `QlikView` Server owns CALs and leases; the gateway asks its
//! management service, predicts with its own rules, explains, and shows what really happened.

mod assign;
pub mod check;
mod predict;
mod sync;
mod watch;

use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::causes;
use crate::config::{Config, LicenseServer, QlikView};
use crate::domain::name::{UserName, with_prefix};
use crate::qlikview::LinkError;
use crate::qlikview::qms::{Qms, QmsError, QmsSetUpError};
use crate::store::{Store, StoreError};
use sync::Health;

/// What the gateway knows of the estate that it stands in front of, and how it asks.
pub struct Estate {
    settings: QlikView,
    store: Store,
    qms: Qms,
    /// Held while the picture is read, so that nobody reads it twice.
    reading: Mutex<()>,
    /// Held while a CAL is assigned, so that two opens do not contend with each other.
    assigning: Mutex<()>,
    health: StdMutex<Health>,
    watches: StdMutex<JoinSet<()>>,
}

/// Why something could not be asked of the estate, or done there.
#[derive(Debug, thiserror::Error)]
pub enum EstateError {
    /// The management service does not answer.
    #[error("{0}")]
    Silent(String),
    /// It answers, and not what can be used; a refusal of its own is one.
    #[error("{0}")]
    Answer(String),
    /// Somebody else kept changing the CALs.
    #[error("somebody else is changing the CALs at the same time; nothing was assigned")]
    Contended,
    /// The ledger.
    #[error("the ledger failed")]
    Store(#[from] StoreError),
}

/// How long somebody waits for several questions to the management service, at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// Several questions to the management service, given up where they take too long together.
async fn patiently<T>(asking: impl Future<Output = Result<T, QmsError>>) -> Result<T, EstateError> {
    let answered = tokio::time::timeout(PATIENCE, asking).await;
    Ok(answered.unwrap_or(Err(LinkError::TimedOut(PATIENCE).into()))?)
}

impl From<QmsError> for EstateError {
    fn from(error: QmsError) -> Self {
        let why = causes::in_one_line(&error);
        if error.is_silence() {
            Self::Silent(why)
        } else {
            Self::Answer(why)
        }
    }
}

impl Estate {
    /// The estate of this configuration; none with `license.server = "embedded"`. Nothing is asked
    /// yet.
    ///
    /// # Errors
    ///
    /// The management service cannot be called with what is configured.
    pub(super) fn of(config: &Config, store: &Store) -> Result<Option<Arc<Self>>, QmsSetUpError> {
        if config.license.server == LicenseServer::Embedded {
            return Ok(None);
        }
        let settings = config.qlikview.clone();
        Ok(Some(Arc::new(Self {
            qms: Qms::new(&settings)?,
            settings,
            store: store.clone(),
            reading: Mutex::new(()),
            assigning: Mutex::new(()),
            health: StdMutex::default(),
            watches: StdMutex::default(),
        })))
    }

    /// `[qlikview]`.
    #[must_use]
    pub fn settings(&self) -> &QlikView {
        &self.settings
    }

    /// The management service.
    #[must_use]
    pub fn qms(&self) -> &Qms {
        &self.qms
    }

    /// Ends the watches that are under way, so that the ledger can be closed.
    pub(super) fn stop(&self) {
        lock(&self.watches).abort_all();
    }

    /// A user as the estate spells them.
    fn name_there(&self, user: &str) -> String {
        with_prefix(user, &self.settings.user_prefix)
    }

    /// A user of the estate as we fold them. A name that none of ours can have stays as it is.
    fn name_here(&self, user: &str) -> String {
        UserName::parse(user, &self.settings.user_prefix)
            .map_or_else(|_| user.to_lowercase(), |name| name.folded().to_owned())
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
