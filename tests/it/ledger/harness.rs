//! A ledger in a folder of its own, with a clock that stands still and ids that follow from a seed.
//!
//! People and workstations are called by name; a verb of the harness is a verb of `Store` with
//! everything filled in that the test does not care about.

use std::cell::Cell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::task::Poll;

use accesspoint::auth::secret::{AuditKey, SecretKind, hash_secret};
use accesspoint::clock::Clock;
use accesspoint::domain::administer::{AssignAnswer, Force, LoadAnswer, UnassignAnswer};
use accesspoint::domain::client::ClientKind;
use accesspoint::domain::lef::License;
use accesspoint::domain::name::UserName;
use accesspoint::domain::open::{Access, LeaseOutcome, RequestedDocument};
use accesspoint::domain::person::{Person, PersonId};
use accesspoint::domain::policy::{LefAttributes, Policy};
use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::domain::workstation::Workstation;
use accesspoint::fresh::Fresh;
use accesspoint::store::{
    Actor, Added, AuditRow, Explanation, NewPerson, NewSession, OpenCommand, Opened, SessionBegun,
    Setting, Side, Store, StoreOptions, WhatIf, WorkstationSeen,
};
use tempfile::TempDir;

/// The document that everybody may see.
pub(super) const SALES: &str = "sales";
/// One millisecond.
pub(super) const MS: Millis = Millis(1);
/// How long a session lives without a request.
pub(super) const IDLE: Millis = Millis::minutes(480);
/// How long a session lives at most.
pub(super) const SESSION_LIFE: Millis = Millis::hours(24);
/// How long a launch ticket lives.
pub(super) const LAUNCH_LIFE: Millis = Millis::seconds(90);

/// A ledger under test.
pub(super) struct Ledger {
    /// The clock of all its stores.
    pub(super) clock: Clock,
    store: Option<Store>,
    folder: TempDir,
    seed: Cell<u64>,
}

impl Ledger {
    /// An empty ledger, on a Monday morning.
    pub(super) fn new() -> Self {
        Self::seeded(1)
    }

    /// An empty ledger whose ids follow from this seed.
    pub(super) fn seeded(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let monday = "2026-03-02T08:00:00.000Z".parse().unwrap();
        let mut ledger = Self {
            clock: Clock::simulated(monday),
            store: None,
            folder,
            seed: Cell::new(seed * 1_000_000),
        };
        ledger.store = Some(ledger.another());
        ledger
    }

    /// A ledger with a licence for so many named CALs.
    pub(super) async fn with_cals(cals: u32) -> Self {
        let ledger = Self::new();
        assert_eq!(
            ledger.loads(cals).await,
            LoadAnswer::Loaded {
                held: cals,
                taken: 0
            }
        );
        ledger
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// One more store on the same file, as another process has it.
    pub(super) fn another(&self) -> Store {
        self.seed.set(self.seed.get() + 1);
        Store::open(&self.file(), options(&self.clock, self.seed.get())).unwrap()
    }

    /// Closes the store and opens it again.
    pub(super) fn reopen(&mut self) {
        self.store.take().unwrap().close();
        self.store = Some(self.another());
    }

    /// The database file.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// A plain connection to the file, past the store.
    pub(super) fn raw(&self) -> rusqlite::Connection {
        raw(&self.file())
    }

    /// Moves the clock on, or back.
    pub(super) fn after(&self, length: Millis) -> &Self {
        self.clock.advance(length);
        self
    }

    /// Sets the clock.
    pub(super) fn at(&self, to: Timestamp) -> &Self {
        self.clock.set(to);
        self
    }

    /// What the clock shows.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Loads a licence for so many named CALs.
    pub(super) async fn loads(&self, cals: u32) -> LoadAnswer {
        self.loads_lef(&lef(cals), Force::No).await
    }

    /// Loads a licence, whatever it says.
    pub(super) async fn loads_lef(&self, text: &str, force: Force) -> LoadAnswer {
        let license = License::parse(text, &LefAttributes::default()).unwrap();
        let load = self.store().load_license(license, force, admin());
        load.await.unwrap()
    }

    /// Sets a switch.
    pub(super) async fn sets(&self, setting: Setting, on: bool) {
        self.store().set(setting, on, admin()).await.unwrap();
    }

    /// Adds somebody.
    pub(super) async fn person(&self, name: &str) -> PersonId {
        add(self.store(), name).await
    }

    /// Somebody who was added.
    pub(super) fn who(&self, name: &str) -> Person {
        self.store().person(&user(name)).unwrap().unwrap()
    }

    /// The workstation of this name, made at its first mention.
    pub(super) async fn workstation(&self, name: &str) -> Workstation {
        see(self.store(), name).await
    }

    /// An open of the sales document, from this workstation, with Desktop.
    pub(super) async fn command(&self, who: &str, workstation: &str) -> OpenCommand {
        OpenCommand {
            person: self.who(who).id,
            workstation: self.workstation(workstation).await,
            document: document(SALES),
            client: ClientKind::Desktop,
            session_hash: session_hash(who, workstation),
        }
    }

    /// Opens the sales document from this workstation with Desktop.
    pub(super) async fn opens(&self, who: &str, workstation: &str) -> Opened {
        self.opens_with(who, workstation, ClientKind::Desktop).await
    }

    /// Opens the sales document from this workstation.
    pub(super) async fn opens_with(
        &self,
        who: &str,
        workstation: &str,
        client: ClientKind,
    ) -> Opened {
        let command = OpenCommand {
            client,
            ..self.command(who, workstation).await
        };
        self.store().open_document(command).await.unwrap()
    }

    /// Signs somebody in, and answers the hash of the session.
    pub(super) async fn signs_in(&self, who: &str, workstation: &str) -> String {
        let hash = session_hash(who, workstation);
        self.begins(&hash, who, workstation).await;
        hash
    }

    /// Begins a session with this hash.
    pub(super) async fn begins(&self, hash: &str, who: &str, workstation: &str) {
        let new = self.proved(hash, who, workstation).await;
        let begun = self.store().begin_session(new).await.unwrap();
        assert_eq!(begun, SessionBegun::Done);
    }

    /// The session that a sign-in which was proved now will begin.
    pub(super) async fn proved(&self, hash: &str, who: &str, workstation: &str) -> NewSession {
        let person = self.who(who);
        NewSession {
            hash: hash.to_owned(),
            person: person.id,
            sign_in_epoch: person.sign_in_epoch,
            workstation: self.workstation(workstation).await.id,
            source: "local".to_owned(),
            proved_at: None,
            replaces: None,
            at_provider: None,
            id_token: None,
            ticket: None,
            typed_name: None,
            address: "192.0.2.7".to_owned(),
            agent: "a browser".to_owned(),
            life: SESSION_LIFE,
            most: 20,
            refused_beyond: false,
            enrol_for: None,
            side: Side::default(),
        }
    }

    /// Assigns a CAL.
    pub(super) async fn assigns(&self, who: &str) -> AssignAnswer {
        let assign = self.store().assign_cal(user(who), admin());
        assign.await.unwrap()
    }

    /// Takes a CAL back.
    pub(super) async fn unassigns(&self, who: &str) -> UnassignAnswer {
        let unassign = self.store().unassign_cal(user(who), admin());
        unassign.await.unwrap().unwrap().answer
    }

    /// Every event of the audit, the oldest first.
    pub(super) fn audit(&self) -> Vec<AuditRow> {
        self.store().audit_from(1, u32::MAX).unwrap()
    }

    /// How many events there are.
    pub(super) fn events(&self) -> usize {
        self.audit().len()
    }

    /// Who holds or held a CAL that is taken now.
    pub(super) fn cal_holders(&self) -> Vec<String> {
        let cals = self.store().cals("", u32::MAX).unwrap();
        cals.into_iter().map(|row| row.user).collect()
    }

    /// Asserts that every invariant holds and the audit verifies.
    pub(super) fn is_sound(&self) {
        is_sound(self.store());
    }
}

/// Chance that follows from a seed.
pub(super) struct Dice(Fresh);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub(super) fn seeded(seed: u64) -> Self {
        Self(Fresh::seeded(seed))
    }

    /// A number below `end`.
    pub(super) fn below(&self, end: u64) -> u64 {
        u64::from_le_bytes(self.0.bytes()) % end
    }

    /// Whether something happens that happens so many times in a hundred.
    pub(super) fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    pub(super) fn one_of<'a, T>(&self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len() as u64);
        &choices[usize::try_from(index).unwrap()]
    }
}

/// Asks for all of these at once, in their order, and answers in their order.
///
/// Each has been asked for before the first is waited for, so commands of one store stand in its
/// queue in this order.
pub(super) async fn all_at_once<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// What the environment says under this name.
#[expect(
    clippy::disallowed_methods,
    reason = "a test that starts itself again tells the child by the environment"
)]
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number of the environment, or the usual one.
pub(super) fn number_from(name: &str, usual: u64) -> u64 {
    environment(name).map_or(usual, |text| text.parse().unwrap())
}

/// The options of a store with this clock.
pub(super) fn options(clock: &Clock, seed: u64) -> StoreOptions {
    StoreOptions {
        audit_key: AuditKey::of_server(&[7; 32]),
        clock: clock.clone(),
        fresh: Fresh::seeded(seed),
        policy: Policy::default(),
        owns_cals: true,
        session_idle: IDLE,
        launch_life: LAUNCH_LIFE,
    }
}

/// A plain connection to a database file.
pub(super) fn raw(file: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(file).unwrap();
    let patience = std::time::Duration::from_secs(30);
    connection.busy_timeout(patience).unwrap();
    connection
}

/// Asserts that every invariant holds and the audit verifies.
pub(super) fn is_sound(store: &Store) {
    assert_eq!(store.check().unwrap(), []);
    assert_eq!(store.verify_audit().unwrap().broken, None);
}

/// A LEF for so many named CALs.
pub(super) fn lef(cals: u32) -> String {
    format!("PRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;{cals};;\n")
}

/// A user name.
pub(super) fn user(name: &str) -> UserName {
    UserName::parse(name, "").unwrap()
}

/// The administrator of all tests.
pub(super) fn admin() -> Actor {
    Actor::person("admin")
}

/// A document that may be seen.
pub(super) fn document(id: &str) -> RequestedDocument {
    RequestedDocument {
        id: id.to_owned(),
        name: Some(format!("{id}.qvw")),
    }
}

/// The hash of the session that a person has on a workstation.
pub(super) fn session_hash(who: &str, workstation: &str) -> String {
    hash_secret(SecretKind::Session, &format!("{who} on {workstation}"))
}

/// The hash of the secret of the workstation of this name.
pub(super) fn workstation_hash(name: &str) -> String {
    hash_secret(SecretKind::Workstation, name)
}

/// Adds somebody.
pub(super) async fn add(store: &Store, name: &str) -> PersonId {
    match store.add_person(new_person(name), admin()).await.unwrap() {
        Added::Added(id) => id,
        Added::NameTaken => panic!("{name} is taken"),
    }
}

/// Somebody to add.
pub(super) fn new_person(name: &str) -> NewPerson {
    NewPerson {
        name: user(name),
        display_name: name.to_owned(),
        roles: Vec::new(),
        groups: Vec::new(),
        password_hash: format!("hash of {name}"),
    }
}

/// The workstation of this name, made at its first mention.
pub(super) async fn see(store: &Store, name: &str) -> Workstation {
    let hash = workstation_hash(name);
    if let Some(known) = store.workstation_by_secret(&hash).unwrap() {
        return known;
    }
    let seen = WorkstationSeen {
        secret_hash: hash,
        name: name.to_owned(),
    };
    store.see_workstation(seen).await.unwrap()
}

/// The code with which an open or its lease was refused.
pub(super) fn code(opened: &Opened) -> Option<&'static str> {
    opened
        .answer
        .refusal()
        .map(|refusal| refusal.code().as_str())
}

/// The lease of an open that leased.
pub(super) fn lease(opened: &Opened) -> &accesspoint::domain::lease::Lease {
    match &opened.answer.lease {
        LeaseOutcome::Granted(lease) | LeaseOutcome::Renewed(lease) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

/// Whether an open was granted access.
pub(super) fn granted(opened: &Opened) -> bool {
    matches!(opened.answer.access, Access::Granted(_))
}

/// What an open would answer its person, and why.
pub(super) fn explain(store: &Store, command: &OpenCommand) -> Explanation {
    let person = store.person_by_id(&command.person).unwrap().unwrap();
    let what_if = WhatIf {
        person: &person,
        workstation: &command.workstation,
        document: &command.document,
        client: command.client,
    };
    store.explain(what_if).unwrap()
}
