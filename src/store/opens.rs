//! Opens and launch tickets: the view that `decide_open` looks at, and what it decided, written.

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::writer::{Actor, Batch};
use super::{cals, leases, people};
use crate::auth::secret::{SecretKind, hash_secret};
use crate::domain::cal::NamedCal;
use crate::domain::change::{Change, Event, EventKind};
use crate::domain::client::ClientKind;
use crate::domain::lease::{Lease, LeaseId};
use crate::domain::open::{
    Access, Finding, OpenAnswer, OpenView, Owner, RequestedDocument, decide_open, examine,
    has_free_cal,
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

impl<'a> WhatIf<'a> {
    /// An open of any document that the person may see, with a client that leases.
    #[must_use]
    pub const fn of_any_document(person: &'a Person, workstation: &'a Workstation) -> Self {
        static ANY: RequestedDocument = RequestedDocument {
            id: String::new(),
            name: Some(String::new()),
        };
        Self {
            person,
            workstation,
            document: &ANY,
            client: ClientKind::Plugin,
        }
    }
}

/// What the ledger holds of a person that the rules ask about.
#[derive(Default)]
struct Holdings {
    cal: Option<NamedCal>,
    /// Those that are live or count in R13.
    leases: Vec<Lease>,
}

impl Holdings {
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
        let (standing, answer) = self.look(what_if, |_, view, now| {
            Ok(decide_open(view, what_if.client, now, LeaseId::from("")).answer)
        })?;
        Ok(Explanation { standing, answer })
    }

    /// Where the person of an open stands, without its answer: writes nothing (R18).
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn standing(&self, what_if: WhatIf<'_>) -> Result<Standing, StoreError> {
        let (standing, ()) = self.look(what_if, |_, _, _| Ok(()))?;
        Ok(standing)
    }

    /// The same, and the documents that the person marked.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn standing_and_favourites(
        &self,
        what_if: WhatIf<'_>,
    ) -> Result<(Standing, Vec<String>), StoreError> {
        self.look(what_if, |db, _, _| {
            people::favourites(db, &what_if.person.id)
        })
    }

    /// Reads what an open would be decided on, and what else is asked of that.
    fn look<T>(
        &self,
        what_if: WhatIf<'_>,
        ask: impl FnOnce(&Db, &OpenView<'_>, Timestamp) -> Result<T, StoreError>,
    ) -> Result<(Standing, T), StoreError> {
        let policy = self.policy();
        self.read_gate(|db, gate, now| {
            let license = self.license_of(db, gate)?;
            // The person is given; they may have the groups of a web ticket.
            let held = load(db, policy, &what_if.person.id, now, |_| Ok(()))?;
            let ((), held) = held.unwrap_or_default();
            let mut taken = gate.cals_taken;
            let mut quarantine_ends = Vec::new();
            if held.has_no_cal() && !has_free_cal(license.as_deref(), taken, now) {
                // A quarantine that ended is not taken any more, though it may still be counted.
                taken = taken.saturating_sub(cals::ended_quarantines(db, now)?);
                quarantine_ends = cals::quarantine_ends(db, now)?;
            }
            let view = OpenView {
                owner: Owner::Ledger,
                license: license.as_deref(),
                switches: gate.switches,
                policy,
                person: what_if.person,
                document: what_if.document,
                workstation: what_if.workstation,
                cal: held.cal.as_ref(),
                taken,
                quarantine_ends: &quarantine_ends,
                leases: &held.leases,
            };
            let findings = examine(&view, what_if.client, now);
            let answer = ask(db, &view, now)?;
            let standing = Standing {
                owner: Owner::Ledger,
                here: what_if.workstation.id.clone(),
                cal: held.cal.filter(|cal| cal.is_taken(now)),
                leases: held.leases,
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
    let (policy, now) = (&batch.options.policy, batch.now);
    let found = load(batch.db, policy, &command.person, now, people::person)?;
    let (person, held) = found
        .ok_or_else(|| StoreError::Corrupt(format!("the person {} is missing", command.person)))?;
    let mut quarantine_ends = Vec::new();
    if held.has_no_cal() {
        batch.end_quarantines()?;
        quarantine_ends = cals::quarantine_ends(batch.db, now)?;
    }
    let view = OpenView {
        owner: Owner::Ledger,
        license: license.as_deref(),
        switches: batch.gate.switches,
        policy,
        person: &person,
        document: &command.document,
        workstation: &command.workstation,
        cal: held.cal.as_ref(),
        taken: batch.gate.cals_taken,
        quarantine_ends: &quarantine_ends,
        leases: &held.leases,
    };
    let fresh = LeaseId(batch.options.fresh.id());
    let decision = decide_open(&view, command.client, now, fresh);
    let actor = Actor::person(&person.name);
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
        user: person.name,
        at: now,
        launch,
    })
}

/// Reads a person with what they hold, in one statement, for each costs more than its rows; none
/// where there is no such person. `read` takes what it needs of the person's columns.
fn load<P>(
    db: &Db,
    policy: &Policy,
    person: &PersonId,
    now: Timestamp,
    read: impl Fn(&Row<'_>) -> Result<P, StoreError>,
) -> Result<Option<(P, Holdings)>, StoreError> {
    const SQL: &str = "SELECT person.id, person.name, person.display_name, person.active, \
         person.roles, person.user_groups, person.automatic_cal, person.sign_in_epoch, \
         cal.person_id, cal.state, cal.assigned_at, cal.last_used_at, cal.quarantined_since, \
         cal.quarantined_until, \
         lease.id, lease.person_id, lease.workstation_id, workstation.name, lease.state, \
         lease.granted_at, lease.renewed_at, lease.expires_at, lease.ended_at, lease.counts \
         FROM person LEFT JOIN cal ON cal.person_id = person.id \
         LEFT JOIN lease ON lease.person_id = person.id AND lease.renewed_at > $1 \
         LEFT JOIN workstation ON workstation.id = lease.workstation_id \
         WHERE person.id = $2";
    const CAL: usize = 8;
    const LEASE: usize = 14;
    // Every live lease and every event that counts was granted or renewed since then.
    let since = now - policy.lease_length.max(policy.lease_window);
    let mut holder = None;
    let leases = db.query(SQL, values![since, person.as_str()], |row| {
        if holder.is_none() {
            holder = Some((read(row)?, row.joined(CAL, cals::cal)?));
        }
        row.joined(LEASE, leases::lease)
    })?;
    let Some((person, cal)) = holder else {
        return Ok(None);
    };
    let counts = |lease: &Lease| lease.is_live(now) || lease.counts_at(now, policy.lease_window);
    let mut leases: Vec<Lease> = leases.into_iter().flatten().filter(counts).collect();
    leases.sort_by(|one, other| (one.renewed_at, &one.id).cmp(&(other.renewed_at, &other.id)));
    Ok(Some((person, Holdings { cal, leases })))
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
    let secret = issued_at(batch.now) + &batch.options.fresh.token();
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
