//! The ledger: people, CALs, leases, sessions, audit; every verb that the app may use.
//!
//! Writes go through one writer that commits them in groups (`writer`); reads use connections of
//! their own and see what was committed last, by whichever process. No rule is written here: the
//! verbs load what `domain` decides on and write what it decided.

mod attempts;
mod audit;
mod cals;
mod challenges;
mod change_person;
mod checkpoint;
mod db;
mod estate;
mod factors;
mod identities;
mod leases;
mod license;
mod list_view;
mod opens;
mod people;
mod provider_sessions;
mod report;
mod sessions;
mod tokens;
mod tries;
mod upkeep;
mod web_tickets;
mod workstations;
mod writer;

use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

pub use attempts::{Aim, Attempt, NewAttempt, Taken};
pub use audit::{AuditFilter, AuditRow, AuditVerdict, BrokenChain};
pub use cals::{CalRow, Unassigned};
pub use challenges::{
    Answered, CHALLENGE_LIFE, CHALLENGE_WRONG_MAX, Challenge, ChallengePurpose, NewChallenge,
    WrongFactor,
};
pub use change_person::{PersonChange, PersonChanged};
pub use db::{SCHEMA, StoreError};
pub use estate::{
    EstateCal, EstateLease, EstateNow, EstateTold, LaunchTarget, Onward, Predicted, Unpredicted,
    Watched,
};
pub use factors::{Enrolled, Factor, FactorKind, FactorRemoved, FactorUse, NewFactor};
pub use identities::{ArrivedAs, Arriving, IdentityRow, KnownClaims, Linked};
pub use leases::{LeaseFilter, LeaseRow};
pub use license::{LicenseNow, Setting};
pub use opens::{
    Explanation, LaunchTicket, OpenCommand, Opened, Redeem, Redemption, Standing, WhatIf,
};
pub use people::{Added, LOCAL_SOURCE, NewPerson, PersonFilter, PersonRow, Renamed};
pub use provider_sessions::{NewAtProvider, ProviderLoggedOut, ProviderLogout};
pub use report::{OpensCounted, Report};
pub use sessions::{NewSession, SessionBegun, SessionInfo, SessionRow, Side, TicketSession};
pub use tokens::{ApiToken, NewToken, Scope};
pub use upkeep::Swept;
pub use web_tickets::{
    BroughtWebTicket, FactorBesideTicket, NewWebTicket, WebTicketRefusal, WebTicketTaken,
};
pub use workstations::{WorkstationRow, WorkstationSeen};
pub use writer::{Actor, BATCH_COMMANDS_MAX, CLOCK_CLAMP, QUEUE_COMMANDS_MAX};

use crate::auth::secret::AuditKey;
use crate::clock::Clock;
use crate::domain::change::Event;
use crate::domain::policy::Policy;
use crate::domain::time::{Millis, Timestamp};
use crate::fresh::Fresh;
use db::{Db, Place};
use writer::{Batch, Gate, LoadedLicense, Tools, Writer};

/// What the ledger is opened with.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The clock of its decisions.
    pub clock: Clock,
    /// Ids and tokens.
    pub fresh: Fresh,
    /// The numbers of the rules.
    pub policy: Policy,
    /// Whether CALs are the ledger's own, and not a server's behind the gateway.
    pub owns_cals: bool,
    /// How long a session lives without a request.
    pub session_idle: Millis,
    /// How long a launch ticket lives.
    pub launch_life: Millis,
    /// The key of the audit chain.
    pub audit_key: AuditKey,
}

/// The ledger. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    place: Place,
    writer: Writer,
    /// Its end stops the checkpoints.
    _checkpoints: Sender<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    readers: Mutex<Vec<Db>>,
    license: Mutex<LoadedLicense>,
    sessions: RwLock<sessions::Remembered>,
    options: StoreOptions,
}

impl Store {
    /// Opens the ledger in this file, makes it where it is missing, and starts its writer.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or was written by a newer program.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let place = Place::new(path);
        let tools = Tools {
            db: place.writer()?,
            options: options.clone(),
        };
        let (writer, writing) = Writer::start(tools).map_err(StoreError::Thread)?;
        let (checkpoints, checkpointing) =
            checkpoint::start(place.checkpointer()?, Arc::clone(writer.committed()))
                .map_err(StoreError::Thread)?;
        Ok(Self(Arc::new(Inner {
            place,
            writer,
            _checkpoints: checkpoints,
            threads: Mutex::new(vec![writing, checkpointing]),
            readers: Mutex::new(Vec::new()),
            license: Mutex::new(LoadedLicense::default()),
            sessions: RwLock::default(),
            options,
        })))
    }

    /// The time that a decision would be made with: the clock's, but not before the last decision
    /// that was committed here.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.options.clock.now().max(self.committed_at())
    }

    /// The numbers of the rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0.options.policy
    }

    /// Ids and tokens.
    #[must_use]
    pub fn fresh(&self) -> &Fresh {
        &self.0.options.fresh
    }

    /// Commits an empty command: answers whether this node can write (readiness).
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn ping(&self) -> Result<Timestamp, StoreError> {
        self.write(|batch| Ok(batch.now)).await
    }

    /// Remembers something in the audit that changed no row of the ledger.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn note(&self, event: Event, actor: Actor) -> Result<(), StoreError> {
        self.write(move |batch| batch.record(&event, &actor)).await
    }

    /// The time of the last decision that was committed here; the epoch before the first.
    #[must_use]
    pub fn committed_at(&self) -> Timestamp {
        self.0.writer.committed().at()
    }

    /// Waits until everything that was asked is written, and ends the writer.
    ///
    /// Call it on the last clone; with others alive the writer goes on.
    pub fn close(self) {
        let threads = std::mem::take(
            &mut *self
                .0
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        drop(self);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the ledger did not end well");
            }
        }
    }

    /// Runs a command in the writer's next batch.
    async fn write<T, F>(&self, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.0.writer.write(run).await
    }

    /// Reads on a connection of the pool. Reads are short (a page at most) and never wait for a
    /// writer, so they run where they are asked.
    fn read<T>(&self, read: impl FnOnce(&Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let pooled = self.readers().pop();
        let db = match pooled {
            Some(db) => db,
            None => self.0.place.reader()?,
        };
        let answer = read(&db)?;
        // One that failed is not kept: it may be left within a transaction.
        self.readers().push(db);
        Ok(answer)
    }

    /// Reads what depends on the time. It never is before the last decision of any process, so
    /// that what had ended in a decision stays ended when the clock steps back.
    fn read_now<T>(
        &self,
        read: impl FnOnce(&Db, Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read_gate(|db, _, now| read(db, now))
    }

    /// As [`Self::read_now`], with the gate of the same picture.
    fn read_gate<T>(
        &self,
        read: impl FnOnce(&Db, &Gate, Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let clock = self.0.options.clock.now();
        self.read(|db| {
            db.snapshot(|db| {
                let gate = Gate::read(db)?;
                let now = clock.max(gate.last_decision_at);
                read(db, &gate, now)
            })
        })
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Db>> {
        self.0
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
