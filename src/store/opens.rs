//! Opens and launch tickets: the view that `decide_open` looks at, and what it decided, written.

use super::Store;
use super::db::{Db, StoreError, values};
use super::leases::leases_since;
use super::people;
use super::writer::{Actor, Batch};
use crate::auth::secret::{SecretKind, hash_secret};
use crate::domain::cal::NamedCal;
use crate::domain::change::{Change, Event, EventKind};
use crate::domain::client::ClientKind;
use crate::domain::lease::{Lease, LeaseId};
use crate::domain::open::{
    Access, Finding, OpenAnswer, OpenView, Owner, RequestedDocument, decide_open, examine,
};
use crate::domain::person::{Person, PersonId};
use crate::domain::policy::Policy;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId};

/// An open as it is asked for.
#[derive(Clone, Debug)]
pub struct OpenCommand {
    /// Who.
    pub person: PersonId,
    /// Where.
    pub workstation: Workstation,
    /// What; its name only where the person may see it.
    pub document: RequestedDocument,
    /// With what.
    pub client: ClientKind,
    /// The hash of the session that asks; its launch ticket is bound to it.
    pub session_hash: String,
}

/// An open as it was decided.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The answer of the rules.
    pub answer: OpenAnswer,
    /// The user name.
    pub user: String,
    /// The time of the decision.
    pub at: Timestamp,
    /// Whether a lease that ran here ended with it (R14).
    pub lease_ended: bool,
    /// The launch ticket, where access was granted.
    pub launch: Option<LaunchTicket>,
}

/// A launch ticket, in clear for its holder alone.
#[derive(Clone, Debug)]
pub struct LaunchTicket {
    /// The secret.
    pub secret: String,
    /// Its exclusive end.
    pub expires_at: Timestamp,
}

/// A launch ticket that is brought back.
#[derive(Clone, Debug)]
pub struct Redeem {
    /// The secret as it came.
    pub secret: String,
    /// The hash of the session that brings it.
    pub session_hash: String,
    /// The person of that session.
    pub person: PersonId,
    /// The workstation of that session.
    pub workstation: WorkstationId,
    /// The document that is asked for.
    pub document: String,
    /// Whether this resumes a download (`Range` with `If-Range`).
    pub resumes: bool,
}

/// What became of a launch ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// It holds.
    Granted,
    /// It was redeemed, and its life is over.
    Used,
    /// It never held here.
    Invalid,
}

/// Where a person stands: what their page says of CAL, leases and workstations.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Who owns CALs and leases.
    pub owner: Owner,
    /// What the workstation is called by whoever leases to it.
    pub here: WorkstationId,
    /// Their CAL, unless its quarantine has ended.
    pub cal: Option<NamedCal>,
    /// Their leases that are live or count in R13.
    pub leases: Vec<Lease>,
    /// Every rule, for the document and client that were asked about.
    pub findings: Vec<Finding>,
}

/// What an open would answer, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Where the person stands.
    pub standing: Standing,
    /// The answer.
    pub answer: OpenAnswer,
}

/// An open that is asked about, and not made.
#[derive(Clone, Copy, Debug)]
pub struct WhatIf<'a> {
    /// Who would open.
    pub person: &'a Person,
    /// Where.
    pub workstation: &'a Workstation,
    /// What.
    pub document: &'a RequestedDocument,
    /// With what.
    pub client: ClientKind,
}

/// What is read from the ledger for one open.
struct Loaded {
    person: Person,
    cal: Option<NamedCal>,
    leases: Vec<Lease>,
    /// Read only for somebody without a CAL, whom they may concern.
    quarantine_ends: Vec<Timestamp>,
}

impl Loaded {
    /// Whether no CAL is assigned to the person, so that R9 looks for one.
    fn has_no_cal(&self) -> bool {
        self.cal.as_ref().is_none_or(|cal| !cal.is_assigned())
    }
}

impl Store {
    /// Opens a document: decides, and writes state, audit event and launch ticket together.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn open_document(&self, command: OpenCommand) -> Result<Opened, StoreError> {
        let life = self.0.options.launch_life;
        self.write(move |batch| open(batch, &command, life)).await
    }

    /// What an open would answer and why, without opening: writes nothing (R18).
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn explain(&self, what_if: WhatIf<'_>) -> Result<Explanation, StoreError> {
        let (standing, answer) = self.look(what_if, |view, now| {
            decide_open(view, what_if.client, now, LeaseId::from("")).answer
        })?;
        Ok(Explanation { standing, answer })
    }

    /// Where the person of an open stands, without its answer: writes nothing (R18).
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn standing(&self, what_if: WhatIf<'_>) -> Result<Standing, StoreError> {
        let (standing, ()) = self.look(what_if, |_, _| ())?;
        Ok(standing)
    }

    /// Reads what an open would be decided on, and what else is asked of that.
    fn look<T>(
        &self,
        what_if: WhatIf<'_>,
        ask: impl FnOnce(&OpenView<'_>, Timestamp) -> T,
    ) -> Result<(Standing, T), StoreError> {
        let policy = self.policy();
        self.read_gate(|db, gate, now| {
            let license = self.license_of(db, gate)?;
            let mut loaded = load(db, policy, what_if.person.clone(), now)?;
            let mut taken = gate.cals_taken;
            if loaded.has_no_cal() {
                // A quarantine that ended is not taken any more, though it may still be counted.
                taken = taken.saturating_sub(super::cals::ended_quarantines(db, now)?);
                loaded.quarantine_ends = super::cals::quarantine_ends(db, now)?;
            }
            let view = OpenView {
                owner: Owner::Ledger,
                license: license.as_deref(),
                switches: gate.switches,
                policy,
                person: &loaded.person,
                document: what_if.document,
                workstation: what_if.workstation,
                cal: loaded.cal.as_ref(),
                taken,
                quarantine_ends: &loaded.quarantine_ends,
                leases: &loaded.leases,
            };
            let findings = examine(&view, what_if.client, now);
            let answer = ask(&view, now);
            let standing = Standing {
                owner: Owner::Ledger,
                here: what_if.workstation.id.clone(),
                cal: loaded.cal.filter(|cal| cal.is_taken(now)),
                leases: loaded.leases,
                findings,
            };
            Ok((standing, answer))
        })
    }

    /// Redeems a launch ticket.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn redeem(&self, redeem: Redeem) -> Result<Redemption, StoreError> {
        self.write(move |batch| redeem_ticket(batch, &redeem)).await
    }
}

fn open(batch: &mut Batch<'_>, command: &OpenCommand, life: Millis) -> Result<Opened, StoreError> {
    let license = batch.license()?;
    let found = people::by_id(batch.db, &command.person)?;
    let person = found
        .ok_or_else(|| StoreError::Corrupt(format!("the person {} is missing", command.person)))?;
    let mut loaded = load(batch.db, &batch.options.policy, person, batch.now)?;
    if loaded.has_no_cal() {
        batch.end_quarantines()?;
        loaded.quarantine_ends = super::cals::quarantine_ends(batch.db, batch.now)?;
    }
    let view = OpenView {
        owner: Owner::Ledger,
        license: license.as_deref(),
        switches: batch.gate.switches,
        policy: &batch.options.policy,
        person: &loaded.person,
        document: &command.document,
        workstation: &command.workstation,
        cal: loaded.cal.as_ref(),
        taken: batch.gate.cals_taken,
        quarantine_ends: &loaded.quarantine_ends,
        leases: &loaded.leases,
    };
    let fresh = LeaseId(batch.options.fresh.id());
    let decision = decide_open(&view, command.client, batch.now, fresh);
    let actor = Actor::person(&loaded.person.name);
    batch.apply(&decision.changes)?;
    if let Some(event) = &decision.event {
        batch.record(event, &actor)?;
    }
    let launch = match decision.answer.access {
        Access::Granted(_) => Some(issue_ticket(batch, command, life)?),
        Access::Refused(_) => None,
    };
    let ended = |change: &Change| matches!(change, Change::LeaseEnded { .. });
    Ok(Opened {
        lease_ended: decision.changes.iter().any(ended),
        answer: decision.answer,
        user: loaded.person.name,
        at: batch.now,
        launch,
    })
}

fn load(db: &Db, policy: &Policy, person: Person, now: Timestamp) -> Result<Loaded, StoreError> {
    // Every live lease and every event that counts was granted or renewed since then.
    let since = now - policy.lease_length.max(policy.lease_window);
    let leases = leases_since(db, &person.id, since)?
        .into_iter()
        .filter(|lease| lease.is_live(now) || lease.counts_at(now, policy.lease_window))
        .collect();
    let cal = super::cals::of_person(db, &person.id)?;
    Ok(Loaded {
        person,
        cal,
        leases,
        quarantine_ends: Vec::new(),
    })
}

impl Batch<'_> {
    /// Writes what was decided; the other half of each assertion of the domain.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::CalAssigned { .. }
                | Change::CalGivenBack { .. }
                | Change::CalQuarantined { .. }
                | Change::CalFreed { .. }
                | Change::CalUsed { .. } => self.apply_to_cal(change)?,
                Change::LeaseGranted(_)
                | Change::LeaseRenewed { .. }
                | Change::LeaseEnded { .. }
                | Change::WorkstationLifted { .. }
                | Change::WorkstationMerged { .. } => self.apply_to_leases(change)?,
            }
        }
        Ok(())
    }
}

pub(super) fn issue_ticket(
    batch: &mut Batch<'_>,
    command: &OpenCommand,
    life: Millis,
) -> Result<LaunchTicket, StoreError> {
    const SQL: &str = "INSERT INTO launch \
         (id, session_hash, person_id, workstation_id, document_id, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    let secret = format!("{}{}", issued_at(batch.now), batch.options.fresh.token());
    let expires_at = batch.now + life;
    batch.db.execute(
        SQL,
        values![
            &ticket_id(&secret),
            &command.session_hash,
            command.person.as_str(),
            command.workstation.id.as_str(),
            &command.document.id,
            expires_at,
        ],
    )?;
    Ok(LaunchTicket { secret, expires_at })
}

/// Characters of a ticket that say when it was issued; 256 random bits follow.
const ISSUED_CHARACTERS: usize = 12;

/// How a ticket of this instant begins: as texts they stand in the order of their instants.
pub(super) fn issued_at(at: Timestamp) -> String {
    format!("{:0ISSUED_CHARACTERS$x}", at.0.max(0))
}

/// What is stored of a ticket: when it was issued, and its hash.
pub(super) fn ticket_id(secret: &str) -> String {
    let issued = secret.get(..ISSUED_CHARACTERS).unwrap_or_default();
    format!("{issued}{}", hash_secret(SecretKind::LaunchTicket, secret))
}

/// A ticket as it is stored, where it fits who brings it.
struct StoredTicket {
    expires_at: Timestamp,
    redeemed_at: Option<Timestamp>,
}

fn redeem_ticket(batch: &mut Batch<'_>, redeem: &Redeem) -> Result<Redemption, StoreError> {
    const REDEEM: &str = "UPDATE launch SET redeemed_at = $1 WHERE id = $2";
    let id = ticket_id(&redeem.secret);
    let ticket = stored_ticket(batch.db, &id, redeem)?;
    let first = ticket
        .as_ref()
        .is_some_and(|ticket| ticket.redeemed_at.is_none());
    let outcome = judge_ticket(ticket.as_ref(), redeem.resumes, batch.now);
    if outcome == Redemption::Granted && first {
        batch.db.change_one(REDEEM, values![batch.now, &id])?;
    }
    // A repeat that holds changes nothing and is no event.
    if outcome != Redemption::Granted || first {
        record_redemption(batch, redeem, outcome)?;
    }
    Ok(outcome)
}

fn stored_ticket(db: &Db, id: &str, redeem: &Redeem) -> Result<Option<StoredTicket>, StoreError> {
    const SQL: &str = "SELECT expires_at, redeemed_at FROM launch \
         WHERE id = $1 AND session_hash = $2 AND person_id = $3 AND workstation_id = $4 \
         AND document_id = $5";
    db.query_one(
        SQL,
        values![
            id,
            &redeem.session_hash,
            redeem.person.as_str(),
            redeem.workstation.as_str(),
            &redeem.document,
        ],
        |row| {
            Ok(StoredTicket {
                expires_at: row.at(0)?,
                redeemed_at: row.maybe_at(1)?,
            })
        },
    )
}

/// Contract 5: within its life a ticket holds, again and again; a redeemed one may resume after it.
fn judge_ticket(ticket: Option<&StoredTicket>, resumes: bool, now: Timestamp) -> Redemption {
    match ticket {
        None => Redemption::Invalid,
        Some(ticket) if now < ticket.expires_at => Redemption::Granted,
        Some(ticket) if ticket.redeemed_at.is_none() => Redemption::Invalid,
        Some(_) if resumes => Redemption::Granted,
        Some(_) => Redemption::Used,
    }
}

fn record_redemption(
    batch: &mut Batch<'_>,
    redeem: &Redeem,
    outcome: Redemption,
) -> Result<(), StoreError> {
    let user = people::by_id(batch.db, &redeem.person)?.map(|person| person.name);
    let user = user.unwrap_or_default();
    let mut event = Event::new(EventKind::DocumentLaunched)
        .about(&redeem.person, &user)
        .with("document", redeem.document.clone())
        .with("workstation", redeem.workstation.as_str());
    event.code = match outcome {
        Redemption::Granted => None,
        Redemption::Used => Some("LAUNCH_TICKET_USED".to_owned()),
        Redemption::Invalid => Some("LAUNCH_TICKET_INVALID".to_owned()),
    };
    batch.record(&event, &Actor::person(&user))
}
