//! The group-commit writer: one thread, one transaction for all that waits, replies after commit.
//!
//! A command is a function from a [`Batch`] to an answer. It reads, decides and writes within the
//! transaction and waits for nothing else. The thread takes what is queued, up to
//! [`BATCH_COMMANDS_MAX`]; there is no timer, so under low load a batch is one command. When one
//! command fails, the batch is taken back and each is run again by itself, so that only the culprit
//! gets the error; a command may therefore run more than once, and must not keep state of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::StoreOptions;
use super::db::{Db, StoreError, values};
use super::sessions::GLANCE_HOLDS;
use crate::causes::in_one_line;
use crate::domain::change::{Event, EventKind};
use crate::domain::lef::License;
use crate::domain::open::Switches;
use crate::domain::policy::Policy;
use crate::domain::time::{Millis, Timestamp};

/// The largest batch. More gains nothing and makes the first of it wait.
pub const BATCH_COMMANDS_MAX: usize = 64;
/// Commands that may wait; beyond that the ledger is busy.
pub const QUEUE_COMMANDS_MAX: usize = 1024;
/// How often a batch is tried again when another process holds the lock.
const TRIES_MAX: usize = 5;
/// A clock that goes back by no more than this is held at the last decision.
pub const CLOCK_CLAMP: Millis = Millis::minutes(10);

/// Who causes a change, as the audit names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub String);

impl Actor {
    /// The gateway itself.
    #[must_use]
    pub fn gateway() -> Self {
        Self("gateway".to_owned())
    }

    /// Somebody at the command line of the machine.
    #[must_use]
    pub fn command_line() -> Self {
        Self("command line".to_owned())
    }

    /// A person, by user name.
    #[must_use]
    pub fn person(name: &str) -> Self {
        Self(format!("user {name}"))
    }

    /// An API token, by its id.
    #[must_use]
    pub fn token(id: &str) -> Self {
        Self(format!("token {id}"))
    }
}

/// What every decision shares: one row, read and written in each transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) last_decision_at: Timestamp,
    pub(super) cals_taken: u32,
    pub(super) license_version: i64,
    pub(super) switches: Switches,
    pub(super) session_epoch: i64,
    pub(super) audit_seq: i64,
    pub(super) audit_hash: String,
}

impl Gate {
    pub(super) fn read(db: &Db) -> Result<Self, StoreError> {
        const SQL: &str = "SELECT last_decision_at, cals_taken, license_version, \
             allow_license_lease, allow_dynamic_assignment, session_epoch, audit_seq, audit_hash \
             FROM gate WHERE id = 1";
        let gate = db.query_one(SQL, &[], |row| {
            Ok(Self {
                last_decision_at: row.at(0)?,
                cals_taken: row.count(1)?,
                license_version: row.int(2)?,
                switches: Switches {
                    allow_license_lease: row.flag(3)?,
                    allow_dynamic_assignment: row.flag(4)?,
                },
                session_epoch: row.int(5)?,
                audit_seq: row.int(6)?,
                audit_hash: row.text(7)?,
            })
        })?;
        gate.ok_or_else(|| StoreError::Corrupt("the gate row is missing".to_owned()))
    }

    fn write(&self, db: &Db) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE gate SET last_decision_at = $1, cals_taken = $2, \
             license_version = $3, allow_license_lease = $4, allow_dynamic_assignment = $5, \
             session_epoch = $6, audit_seq = $7, audit_hash = $8 WHERE id = 1";
        db.change_one(
            SQL,
            values![
                self.last_decision_at,
                i64::from(self.cals_taken),
                self.license_version,
                self.switches.allow_license_lease,
                self.switches.allow_dynamic_assignment,
                self.session_epoch,
                self.audit_seq,
                &self.audit_hash,
            ],
        )
    }
}

/// The licence that a version number stands for, read and understood.
#[derive(Clone, Debug, Default)]
pub(super) struct LoadedLicense {
    version: i64,
    license: Option<Arc<License>>,
}

impl LoadedLicense {
    /// The licence of this version; read again only where the version changed.
    pub(super) fn current(
        &mut self,
        db: &Db,
        version: i64,
        policy: &Policy,
    ) -> Result<Option<Arc<License>>, StoreError> {
        if self.version != version {
            const SQL: &str = "SELECT lef FROM license WHERE version = $1";
            let text = db.query_one(SQL, values![version], |row| row.text(0))?;
            let text = text.ok_or_else(|| StoreError::Corrupt("the licence is missing".into()))?;
            let license = License::parse(&text, &policy.lef).map_err(|errors| {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                StoreError::Corrupt(format!("the licence: {}", errors.join("; ")))
            })?;
            *self = Self {
                version,
                license: Some(Arc::new(license)),
            };
        }
        Ok(self.license.clone())
    }
}

/// What a command sees of its transaction.
pub(super) struct Batch<'a> {
    /// The connection.
    pub(super) db: &'a Db,
    /// The gate, written back at the end.
    pub(super) gate: Gate,
    /// The time of this decision; never earlier than that of the one before, unless the clock
    /// was set back by more than [`CLOCK_CLAMP`].
    pub(super) now: Timestamp,
    /// What the ledger was opened with.
    pub(super) options: &'a StoreOptions,
    license: &'a mut LoadedLicense,
}

impl Batch<'_> {
    /// The licence that is loaded.
    pub(super) fn license(&mut self) -> Result<Option<Arc<License>>, StoreError> {
        self.license
            .current(self.db, self.gate.license_version, &self.options.policy)
    }

    /// Makes the sessions that gateways remember be read again.
    pub(super) fn forget_sessions(&mut self) {
        self.gate.session_epoch += 1;
    }

    /// Takes the time of the next decision.
    fn tick(&mut self) -> Result<(), StoreError> {
        let clock = self.options.clock.now();
        let last = self.gate.last_decision_at;
        if clock >= last {
            self.now = clock;
        } else if last - clock <= CLOCK_CLAMP {
            self.now = last;
        } else {
            self.now = clock;
            self.settle(last)?;
            let event = Event::new(EventKind::ClockSetBack)
                .with("from", last.to_string())
                .with("to", clock.to_string());
            self.record(&event, &Actor::gateway())?;
        }
        self.gate.last_decision_at = self.now;
        Ok(())
    }
}

/// A command in the queue: runs, perhaps again, and replies at the end.
trait Command: Send {
    /// Decides and writes; keeps the answer.
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), StoreError>;
    /// Replies with the answer that was kept; called after the commit.
    fn reply(self: Box<Self>);
    /// Replies with an error.
    fn fail(self: Box<Self>, error: StoreError);
}

struct Pending<T, F> {
    run: F,
    answer: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Batch<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), StoreError> {
        self.answer = Some((self.run)(batch)?);
        Ok(())
    }

    fn reply(self: Box<Self>) {
        let answer = self.answer.ok_or(StoreError::Closed);
        // The asker may have gone away; its command counts all the same.
        drop(self.reply.send(answer));
    }

    fn fail(self: Box<Self>, error: StoreError) {
        drop(self.reply.send(Err(error)));
    }
}

/// The queue of the writer thread.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Command>>,
    committed: Arc<Committed>,
}

/// What this writer's last commit left.
#[derive(Debug, Default)]
pub(super) struct Committed {
    at: AtomicI64,
    session_epoch: AtomicI64,
}

impl Committed {
    /// The time of the last decision; the epoch before the first.
    pub(super) fn at(&self) -> Timestamp {
        Timestamp(self.at.load(Ordering::Relaxed))
    }

    /// The session epoch; 0 before the first commit.
    pub(super) fn session_epoch(&self) -> i64 {
        self.session_epoch.load(Ordering::Acquire)
    }

    /// Notes a commit, before anybody gets its reply.
    fn note(&self, commit: &Commit) {
        self.at.store(commit.at.0, Ordering::Relaxed);
        let epoch = commit.session_epoch;
        self.session_epoch.store(epoch, Ordering::Release);
        if commit.sessions_ended {
            // Other processes may go on for as long without looking.
            std::thread::sleep(GLANCE_HOLDS);
        }
    }
}

/// One commit.
struct Commit {
    at: Timestamp,
    session_epoch: i64,
    /// Whether it moved the session epoch.
    sessions_ended: bool,
}

/// What the writer thread works with.
pub(super) struct Tools {
    pub(super) db: Db,
    pub(super) options: StoreOptions,
}

impl Writer {
    /// Starts the thread. It ends when the last `Writer` is gone and the queue is empty.
    pub(super) fn start(tools: Tools) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, waiting) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let committed = Arc::new(Committed::default());
        let noted = Arc::clone(&committed);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                let work = std::panic::AssertUnwindSafe(|| run(tools, waiting, &noted));
                if std::panic::catch_unwind(work).is_err() {
                    // A restart is safer than a half-known state.
                    tracing::error!("the ledger's writer failed; the process ends");
                    std::process::abort();
                }
            })?;
        Ok((Self { queue, committed }, thread))
    }

    /// Runs a command in the next batch; the answer comes after its commit.
    pub(super) async fn write<T, F>(&self, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let answer = self.send(run)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs a command in the next batch; nobody waits for its answer.
    pub(super) fn write_later<F>(&self, run: F) -> Result<(), StoreError>
    where
        F: FnMut(&mut Batch<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        self.send(run).map(drop)
    }

    fn send<T, F>(&self, run: F) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(Pending {
            run,
            answer: None,
            reply,
        });
        self.queue.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        Ok(answer)
    }

    /// What the last commit left, as it moves on.
    pub(super) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }
}

/// The thread: batches until the queue is closed and empty.
fn run(mut tools: Tools, mut waiting: mpsc::Receiver<Box<dyn Command>>, committed: &Committed) {
    let mut license = LoadedLicense::default();
    let mut commands = Vec::with_capacity(BATCH_COMMANDS_MAX);
    while waiting.blocking_recv_many(&mut commands, BATCH_COMMANDS_MAX) > 0 {
        match transaction(&mut tools, &mut license, &mut commands) {
            Ok(commit) => {
                committed.note(&commit);
                commands.drain(..).for_each(Command::reply);
            }
            // Every one of them would wait for the lock as long again.
            Err(error) if error.is_transient() => {
                tracing::error!(error = in_one_line(&error), "a batch failed");
                commands
                    .drain(..)
                    .for_each(|command| command.fail(StoreError::Busy));
            }
            Err(error) if commands.len() > 1 => {
                tracing::warn!(
                    error = in_one_line(&error),
                    "a batch failed; its commands are run one by one"
                );
                one_by_one(&mut tools, &mut license, &mut commands, committed);
            }
            Err(error) => {
                if let Some(command) = commands.pop() {
                    fail(command, error);
                }
            }
        }
    }
}

fn one_by_one(
    tools: &mut Tools,
    license: &mut LoadedLicense,
    commands: &mut Vec<Box<dyn Command>>,
    committed: &Committed,
) {
    for mut command in commands.drain(..) {
        match transaction(tools, license, std::slice::from_mut(&mut command)) {
            Ok(commit) => {
                committed.note(&commit);
                command.reply();
            }
            Err(error) => fail(command, error),
        }
    }
}

fn fail(command: Box<dyn Command>, error: StoreError) {
    tracing::error!(error = in_one_line(&error), "a command failed");
    let told = if error.is_transient() {
        StoreError::Busy
    } else {
        error
    };
    command.fail(told);
}

/// One transaction for these commands, tried again while another process holds the lock.
fn transaction(
    tools: &mut Tools,
    license: &mut LoadedLicense,
    commands: &mut [Box<dyn Command>],
) -> Result<Commit, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt(tools, license, commands) {
            Err(error) if error.is_transient() && tries < TRIES_MAX => {
                tracing::warn!(
                    error = in_one_line(&error),
                    tries,
                    "the database is locked; the batch is tried again"
                );
            }
            outcome => return outcome,
        }
    }
}

fn attempt(
    tools: &mut Tools,
    license: &mut LoadedLicense,
    commands: &mut [Box<dyn Command>],
) -> Result<Commit, StoreError> {
    tools.db.begin()?;
    let outcome = fill(tools, license, commands).and_then(|commit| {
        tools.db.commit()?;
        Ok(commit)
    });
    if outcome.is_err() {
        tools.db.rollback();
        // What was read within the transaction may have been taken back with it.
        *license = LoadedLicense::default();
    }
    outcome
}

fn fill(
    tools: &mut Tools,
    license: &mut LoadedLicense,
    commands: &mut [Box<dyn Command>],
) -> Result<Commit, StoreError> {
    let gate = Gate::read(&tools.db)?;
    let epoch_before = gate.session_epoch;
    let mut batch = Batch {
        db: &tools.db,
        now: gate.last_decision_at,
        gate,
        options: &tools.options,
        license,
    };
    for command in commands {
        batch.tick()?;
        command.run(&mut batch)?;
    }
    batch.gate.write(batch.db)?;
    Ok(Commit {
        at: batch.now,
        session_epoch: batch.gate.session_epoch,
        sessions_ended: batch.gate.session_epoch != epoch_before,
    })
}
