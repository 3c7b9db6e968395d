//! Use cases: sign in, open a document, administer, upkeep; one file each.
//!
//! [`App`] holds what they share. It knows no SQL and no HTML; the edges (`http`, `cli`) call it.

pub mod administer;
pub mod arrive;
pub mod check;
pub mod check_sources;
mod deep_link;
pub mod documents;
pub mod estate;
mod evidence;
pub mod factors;
pub mod identities;
mod identity_gate;
pub mod keys;
pub mod mapping;
pub mod oidc;
pub mod open;
mod pace;
pub(crate) mod private_file;
mod providers;
pub mod qms_service;
pub mod second_factor;
pub mod sign_in;
mod sources;
pub mod tokens;
mod under_way;
pub mod upkeep;
pub mod web_ticket;
mod workstation_name;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::auth::oidc::Provider;
use crate::auth::passkey::Passkeys;
use crate::auth::password::Passwords;
use crate::auth::seal::SealKey;
use crate::auth::secret::{AuditKey, CsrfKey};
use crate::clock::Clock;
use crate::config::{Config, Database, LicenseServer};
use crate::documents::{Library, Rule, RuleError, Rules};
use crate::domain::time::Timestamp;
use crate::fresh::Fresh;
use crate::store::{Store, StoreError, StoreOptions};
use estate::{Estate, EstateSetUpError};
use evidence::Strangers;
use keys::{KeyError, LeaseKeys};
use pace::Pace;
use sources::Sources;
use under_way::UnderWay;

/// The port of `https:` addresses that name none.
const HTTPS_PORT: u16 = 443;

/// The gateway's parts, opened and ready. Clones share them.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: Config,
    store: Store,
    library: Library,
    passwords: Passwords,
    sources: Sources,
    pace: Pace,
    keys: LeaseKeys,
    csrf: CsrfKey,
    seal: SealKey,
    passkeys: Option<Passkeys>,
    oidc: BTreeMap<String, Provider>,
    estate: Option<Arc<Estate>>,
    under_way: Arc<UnderWay>,
    strangers: Strangers,
    draining: AtomicBool,
    hosts: Vec<String>,
    origin: String,
}

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration asks for something that this version does not have.
    #[error("{}", .0.join("\n"))]
    NotYetBuilt(Vec<String>),
    /// A file or folder of ours cannot be used.
    #[error("{what} {path} cannot be used")]
    File {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The document rules cannot be used.
    #[error("the [[documents.rule]] cannot be used")]
    Rule(#[from] RuleError),
    /// The ledger cannot be opened.
    #[error("the ledger cannot be opened")]
    Store(#[from] StoreError),
    /// A sign-in source cannot be set up.
    #[error("the sign-in source {name} cannot be set up")]
    Source {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server of the estate cannot be called.
    #[error("the estate cannot be asked")]
    Estate(#[source] EstateSetUpError),
    /// The key that seals cannot be made.
    #[error("the sealing key cannot be made")]
    Seal,
    /// The keys cannot be read or made.
    #[error("the signing keys cannot be used")]
    Keys(#[from] KeyError),
}

impl App {
    /// Opens the ledger, the documents and the keys; makes what is missing.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn open(config: Config, clock: &Clock, fresh: &Fresh) -> Result<Self, StartError> {
        let missing = config.not_yet_built();
        if !missing.is_empty() {
            return Err(StartError::NotYetBuilt(missing));
        }
        let Database::Sqlite(ledger) = &config.database else {
            return Err(StartError::NotYetBuilt(vec![
                "database.url: only SQLite".to_owned(),
            ]));
        };
        make_private_folder(&config.data_dir)?;
        let server_key = server_key(&config.data_dir, ledger, fresh)?;
        let options = StoreOptions {
            clock: clock.clone(),
            fresh: fresh.clone(),
            policy: config.license.policy.clone(),
            owns_cals: config.license.server == LicenseServer::Embedded,
            session_idle: config.session.idle,
            launch_life: config.launch.ticket,
            audit_key: AuditKey::of_server(&server_key),
        };
        let store = Store::open(ledger, options)?;
        let library = Library::new(&config.documents.root, document_rules(&config)?);
        let passwords = Passwords::start().map_err(|source| StartError::File {
            what: "the password threads of",
            path: config.data_dir.clone(),
            source,
        })?;
        let keys = LeaseKeys::open(&config.data_dir, clock.now(), fresh)?;
        let sources = Sources::new(&config)?;
        let csrf = CsrfKey::new(&server_key);
        let seal = SealKey::of_server(&server_key).ok_or(StartError::Seal)?;
        let oidc = providers::in_use(&config, clock)?;
        let estate = Estate::of(&config, &store).map_err(StartError::Estate)?;
        let passkeys = Passkeys::of_site(&config.public_url);
        let hosts = accepted_hosts(&config);
        Ok(Self(Arc::new(Inner {
            pace: Pace::default(),
            hosts,
            origin: config.public_url.origin(),
            config,
            store,
            library,
            passwords,
            sources,
            keys,
            csrf,
            seal,
            passkeys,
            oidc,
            estate,
            under_way: Arc::default(),
            strangers: Strangers::default(),
            draining: AtomicBool::new(false),
        })))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The origin of the site's public address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// The ledger, for what needs no use case of its own: lists and single reads.
    #[must_use]
    pub fn ledger(&self) -> &Store {
        &self.0.store
    }

    /// The documents.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.0.library
    }

    /// The estate that the gateway stands in front of; none where it owns CALs and leases itself.
    #[must_use]
    pub fn estate(&self) -> Option<&Arc<Estate>> {
        self.0.estate.as_ref()
    }

    /// The keys that sign lease tokens.
    #[must_use]
    pub fn keys(&self) -> &LeaseKeys {
        &self.0.keys
    }

    /// The key of CSRF tokens.
    #[must_use]
    pub fn csrf(&self) -> &CsrfKey {
        &self.0.csrf
    }

    /// Ids and tokens.
    #[must_use]
    pub fn fresh(&self) -> &Fresh {
        self.0.store.fresh()
    }

    /// The time that decisions are made with.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.store.now()
    }

    /// Whether requests for this `Host` are for us: that of `public_url`, or an extra one.
    #[must_use]
    pub fn accepts_host(&self, host: &str) -> bool {
        let ours = &self.0.hosts;
        ours.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    }

    /// How many accounts and addresses have sign-ins under way.
    #[must_use]
    pub fn sign_ins_under_way(&self) -> usize {
        self.0.under_way.len()
    }

    /// Says that this node is about to stop: it is no longer ready, but serves what it has.
    pub fn begin_drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }

    /// Whether this node is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    /// Waits until everything that was asked is written. Call it on the last clone.
    pub fn close(self) {
        let store = self.0.store.clone();
        if let Some(estate) = self.estate() {
            estate.stop();
        }
        drop(self);
        store.close();
    }
}

/// The spellings of the hosts that requests may be for: a port that is the usual one may be left
/// out.
fn accepted_hosts(config: &Config) -> Vec<String> {
    let mut hosts = vec![config.public_url.authority()];
    if config.public_url.port == HTTPS_PORT {
        hosts.push(format!("{}:{HTTPS_PORT}", config.public_url.host));
    }
    hosts.extend(config.extra_hosts.iter().cloned());
    hosts
}

/// The configured document rules; names are folded there already.
fn document_rules(config: &Config) -> Result<Rules, RuleError> {
    Rules::new(config.documents.rules.iter().map(|rule| Rule {
        pattern: rule.path.clone(),
        users: rule.users.clone(),
        groups: rule.groups.clone(),
    }))
}

/// Makes a folder that only its owner can enter, where it is missing.
fn make_private_folder(path: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StartError::File {
            what: "the folder data_dir",
            path: path.to_owned(),
            source,
        })
}

const SERVER_KEY_BYTES: usize = 32;

/// The key of CSRF tokens and of the audit chain: kept, so that both outlive a restart.
fn server_key(
    data_dir: &Path,
    ledger: &Path,
    fresh: &Fresh,
) -> Result<[u8; SERVER_KEY_BYTES], StartError> {
    let path = data_dir.join("server-key");
    // The key is made before its ledger, so the ledger is looked for first.
    if ledger.exists() && !path.exists() {
        tracing::warn!(
            path = %path.display(),
            "the server key is missing and made anew: the audit so far cannot be verified, and second \
             factors and forms that were sealed with it count no more; put it back from the backup"
        );
    }
    let key = private_file::create(&path, || Ok(fresh.bytes::<SERVER_KEY_BYTES>().to_vec()))
        .and_then(|()| fs::read(&path))
        .and_then(|bytes| {
            bytes
                .try_into()
                .map_err(|_| io::Error::other("it does not hold 32 bytes"))
        });
    key.map_err(|source| StartError::File {
        what: "the key file",
        path,
        source,
    })
}
