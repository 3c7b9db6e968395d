//! In front of an estate: the customer's `QlikView` Server owns CALs and leases; the gateway asks its
//! management service, predicts with its own rules, explains, and shows what really happened.

mod assign;
pub mod check;
mod direct;
mod predict;
mod sync;
mod tunnel;
mod upstream;
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
use crate::qlikview::web::{WebError, WebServers, WebSetUpError};
use crate::store::{Store, StoreError};
use sync::Health;
pub use tunnel::TunnelPlace;
use tunnel::Tunnels;
use upstream::Upstreams;

/// What the gateway knows of the estate that it stands in front of, and how it asks.
pub struct Estate {
    settings: QlikView,
    store: Store,
    qms: Qms,
    web: WebServers,
    upstreams: Upstreams,
    tunnels: Tunnels,
    /// Held while the picture is read, so that nobody reads it twice.
    reading: Mutex<()>,
    /// Held while a CAL is assigned, so that two opens do not contend with each other.
    assigning: Mutex<()>,
    health: StdMutex<Health>,
    watches: StdMutex<JoinSet<()>>,
    /// The machine of the server, where it answers to its own protocol.
    direct: StdMutex<Option<String>>,
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
    /// No web server answers.
    #[error("{0}")]
    WebSilent(String),
    /// A web server answers, and not what can be used; one that gives no ticket is one.
    #[error("{0}")]
    WebAnswer(String),
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

impl From<WebError> for EstateError {
    fn from(error: WebError) -> Self {
        let why = causes::in_one_line(&error);
        if error.is_silence() {
            Self::WebSilent(why)
        } else {
            Self::WebAnswer(why)
        }
    }
}

/// Why the estate cannot be asked with what is configured.
#[derive(Debug, thiserror::Error)]
pub enum EstateSetUpError {
    /// The management service.
    #[error(transparent)]
    Qms(#[from] QmsSetUpError),
    /// The web servers.
    #[error(transparent)]
    Web(#[from] WebSetUpError),
}

impl Estate {
    /// The estate of this configuration; none with `license.server = "embedded"`. Nothing is asked
    /// yet.
    ///
    /// # Errors
    ///
    /// A server cannot be called with what is configured.
    pub(super) fn of(
        config: &Config,
        store: &Store,
    ) -> Result<Option<Arc<Self>>, EstateSetUpError> {
        if config.license.server == LicenseServer::Embedded {
            return Ok(None);
        }
        let settings = config.qlikview.clone();
        Ok(Some(Arc::new(Self {
            qms: Qms::new(&settings)?,
            web: WebServers::new(&settings)?,
            upstreams: Upstreams::default(),
            tunnels: Tunnels::default(),
            settings,
            store: store.clone(),
            reading: Mutex::new(()),
            assigning: Mutex::new(()),
            health: StdMutex::default(),
            watches: StdMutex::default(),
            direct: StdMutex::default(),
        })))
    }

    /// `[qlikview]`.
    #[must_use]
    pub fn settings(&self) -> &QlikView {
        &self.settings
    }

    /// The web servers.
    #[must_use]
    pub fn web(&self) -> &WebServers {
        &self.web
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
