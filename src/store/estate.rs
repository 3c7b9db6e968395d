//! In front of an estate: the picture of its CALs and leases, what the rules predict from it, and
//! what was seen after a launch.
//!
//! The rows of the picture are the server's; they are replaced, never decided on here. An open writes
//! its audit event and its launch ticket, and no CAL or lease.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::db::{Db, Row, StoreError, values};
use super::opens::issue_ticket;
use super::writer::{Actor, Batch};
use super::{
    CalRow, Explanation, LeaseRow, LicenseNow, OpenCommand, Opened, Standing, Store, WhatIf, people,
};
use crate::domain::cal::{CalState, NamedCal};
use crate::domain::change::{Change, Decision, Event, EventKind};
use crate::domain::client::ClientKind;
use crate::domain::lease::{Lease, LeaseId, LeaseState};
use crate::domain::lef::License;
use crate::domain::open::{
    Access, Finding, OpenAnswer, OpenView, Owner, RequestedDocument, Rule, Switches, decide_open,
    examine, leave_to_server,
};
use crate::domain::person::{AutomaticCal, Person, PersonId};
use crate::domain::policy::Policy;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId};

/// How long an ended lease of the server is shown.
const ENDED_KEPT: Millis = super::leases::ENDED_KEPT;

/// What the management service told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateTold {
    /// The name of the server.
    pub server: String,
    /// Its LEF: none where no licence is loaded, empty where the server keeps the text to itself.
    pub lef: Option<String>,
    /// Named CALs that its licence holds.
    pub named_cals: u32,
    /// CALs of the other kinds that its licence holds, together.
    pub other_cals: u32,
    /// Its switches.
    pub switches: Switches,
    /// Why nothing can be predicted, if nothing can.
    pub unpredicted: Option<Unpredicted>,
    /// Its named CALs.
    pub cals: Vec<EstateCal>,
    /// Its leases.
    pub leases: Vec<EstateLease>,
}

/// Why the rules cannot predict what a server will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpredicted {
    /// A signed licence key counts in place of a LEF; how leases go under it is UNKNOWN.
    SignedKey,
    /// Its named CALs belong to machines, which are not known before they call.
    MachineNames,
}

/// A named CAL of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateCal {
    /// What tells it from all others there.
    pub id: String,
    /// The user name as we fold it.
    pub user: String,
    /// The last use; none for never.
    pub last_used_at: Option<Timestamp>,
    /// When its quarantine ends; none for an assigned one.
    pub quarantined_until: Option<Timestamp>,
}

/// A lease of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateLease {
    /// What tells it from all others there.
    pub id: String,
    /// The user name as we fold it.
    pub user: String,
    /// What the server calls the machine.
    pub machine: String,
    /// When it was leased.
    pub leased_at: Timestamp,
    /// When the machine was last in contact.
    pub seen_at: Timestamp,
}

/// The picture as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateNow {
    /// The name of the server.
    pub server: String,
    /// When the picture was made.
    pub read_at: Timestamp,
    /// Named CALs that its licence holds.
    pub named_cals: u32,
    /// Named CALs that are taken there.
    pub taken: u32,
    /// Leases that are live there.
    pub live_leases: u32,
    /// Its switches.
    pub switches: Switches,
    /// Why nothing can be predicted, if nothing can.
    pub unpredicted: Option<Unpredicted>,
}

/// An open whose outcome is the server's affair.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// What the rules say, with the launch ticket.
    pub opened: Opened,
    /// Why they say nothing of the lease, if they do not.
    pub unpredicted: Option<Unpredicted>,
}

/// What was seen of a lease after a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// When the launch was followed.
    pub begun_at: Timestamp,
    /// When the watch was over; none while it goes on.
    pub ended_at: Option<Timestamp>,
    /// When the server saw the machine; none where no lease was seen.
    pub seen_at: Option<Timestamp>,
    /// What the server calls the workstation, as far as that is known.
    pub machine: Option<String>,
}

/// What one open is predicted from.
struct Picture {
    now: EstateHead,
    license: Option<License>,
    person: Person,
    workstation: Workstation,
    cal: Option<NamedCal>,
    leases: Vec<Lease>,
    taken: u32,
    quarantine_ends: Vec<Timestamp>,
}

/// The one row of the server itself.
struct EstateHead {
    server: String,
    read_at: Timestamp,
    lef: Option<String>,
    named_cals: u32,
    other_cals: u32,
    switches: Switches,
    unpredicted: Option<Unpredicted>,
}

impl EstateHead {
    fn license(&self, policy: &Policy) -> Option<License> {
        let text = self.lef.as_deref()?;
        Some(License::of_server(text, &policy.lef, self.named_cals))
    }
}

impl Unpredicted {
    const fn word(self) -> &'static str {
        match self {
            Self::SignedKey => "signed_key",
            Self::MachineNames => "machine_names",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        [Self::SignedKey, Self::MachineNames]
            .into_iter()
            .find(|reason| reason.word() == word)
            .ok_or_else(|| StoreError::Corrupt(format!("the reason {word}")))
    }
}

impl Store {
    /// Replaces the picture, in one transaction; rows that stay the same are not written.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn replace_estate(&self, told: EstateTold) -> Result<(), StoreError> {
        self.write(move |batch| {
            write_head(batch.db, &told, batch.now)?;
            write_cals(batch.db, &told.cals)?;
            let known = leases_by_id(batch.db)?;
            write_leases(batch.db, &told.leases, known)
        })
        .await
    }

    /// Replaces the leases of one user in the picture.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn replace_estate_leases(
        &self,
        user: String,
        leases: Vec<EstateLease>,
    ) -> Result<(), StoreError> {
        self.write(move |batch| {
            let known = leases_of(batch.db, &user)?;
            let known = known.into_iter().map(|lease| (lease.id.clone(), lease));
            write_leases(batch.db, &leases, known.collect())
        })
        .await
    }

    /// The picture as a whole; none before the first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_now(&self) -> Result<Option<EstateNow>, StoreError> {
        const LIVE: &str = "SELECT COUNT(*) FROM estate_lease WHERE seen_at > $1";
        let length = self.policy().lease_length;
        self.read_now(|db, now| {
            let Some(head) = head(db)? else {
                return Ok(None);
            };
            let live = db.query_one(LIVE, values![now - length], |row| row.count(0))?;
            Ok(Some(EstateNow {
                taken: taken(db, now)?,
                live_leases: live.unwrap_or(0),
                server: head.server,
                read_at: head.read_at,
                named_cals: head.named_cals,
                switches: head.switches,
                unpredicted: head.unpredicted,
            }))
        })
    }

    /// The licence, the switches and the CALs of the server; without a licence before the first
    /// picture.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_license(&self) -> Result<LicenseNow, StoreError> {
        let policy = self.policy();
        self.read_now(|db, now| {
            let head = head(db)?;
            let license = head.as_ref().and_then(|head| head.license(policy));
            Ok(LicenseNow {
                license: license.map(Arc::new),
                loaded_at: None,
                switches: head
                    .as_ref()
                    .map_or(Switches::default(), |head| head.switches),
                held: head.map_or(0, |head| head.named_cals),
                taken: taken(db, now)?,
            })
        })
    }

    /// When the picture was made; none before the first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_read_at(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT read_at FROM estate WHERE id = 1";
        self.read(|db| db.query_one(SQL, &[], |row| row.at(0)))
    }

    /// Named CALs of the server that are taken, by user name, from after `cursor` on.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_cals(&self, cursor: &str, limit: u32) -> Result<Vec<CalRow>, StoreError> {
        const SQL: &str = "SELECT estate_cal.id, estate_cal.user_name, estate_cal.last_used_at, \
             estate_cal.quarantined_until, person.display_name FROM estate_cal \
             LEFT JOIN person ON person.name = estate_cal.user_name \
             WHERE estate_cal.user_name > $1 \
             AND (estate_cal.state = 'assigned' OR estate_cal.quarantined_until > $2) \
             ORDER BY estate_cal.user_name, estate_cal.id LIMIT $3";
        let policy = self.policy();
        self.read_now(|db, now| {
            db.query(SQL, values![cursor, now, i64::from(limit)], |row| {
                let cal = cal(row)?;
                let display_name = row.maybe_text(4)?;
                Ok(CalRow {
                    cal: as_named_cal(&cal, &PersonId::from(""), policy, now),
                    assigned_at: None,
                    display_name: display_name.unwrap_or_else(|| cal.user.clone()),
                    user: cal.user,
                })
            })
        })
    }

    /// Leases of the server, by id: those of everybody, or of one user.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_leases(
        &self,
        after: &str,
        user: Option<&str>,
        limit: u32,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        const ALL: &str = "SELECT id, user_name, machine, leased_at, seen_at FROM estate_lease \
             WHERE id > $1 ORDER BY id LIMIT $2";
        const OF_USER: &str = "SELECT id, user_name, machine, leased_at, seen_at \
             FROM estate_lease WHERE id > $1 AND user_name = $2 ORDER BY id LIMIT $3";
        let length = self.policy().lease_length;
        let read = |row: &Row<'_>| {
            let lease = estate_lease(row)?;
            Ok(LeaseRow {
                user: lease.user.clone(),
                lease: as_lease(lease, &PersonId::from(""), length),
            })
        };
        let limit = i64::from(limit);
        self.read(|db| match user {
            None => db.query(ALL, values![after, limit], read),
            Some(user) => db.query(OF_USER, values![after, user, limit], read),
        })
    }

    /// The leases that the server has for a person, the latest first; ended ones for 90 days.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_leases_of(&self, person: &Person) -> Result<Vec<Lease>, StoreError> {
        let length = self.policy().lease_length;
        self.read_now(|db, now| {
            let found = leases_of(db, &person.name)?;
            let mut leases: Vec<Lease> = found
                .into_iter()
                .map(|lease| as_lease(lease, &person.id, length))
                .filter(|lease| now < lease.expires_at + ENDED_KEPT)
                .collect();
            leases.sort_by_key(|lease| std::cmp::Reverse(lease.renewed_at));
            Ok(leases)
        })
    }

    /// Predicts an open, and writes its audit event and its launch ticket. `may_assign` is whether
    /// the gateway itself assigns CALs there. None before the first picture.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn predict_open(
        &self,
        command: OpenCommand,
        may_assign: bool,
    ) -> Result<Option<Predicted>, StoreError> {
        let life = self.0.options.launch_life;
        self.write(move |batch| predict(batch, &command, may_assign, life))
            .await
    }

    /// What an open would be predicted to answer and why: writes nothing (R18).
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn explain_estate(
        &self,
        what_if: WhatIf<'_>,
        may_assign: bool,
    ) -> Result<Option<Explanation>, StoreError> {
        let policy = self.policy();
        self.read_now(|db, now| {
            let person = what_if.person.clone();
            let found = picture(db, policy, person, what_if.workstation, may_assign, now)?;
            Ok(found.map(|picture| {
                let view = picture.view(policy, what_if.document);
                let answer = picture.decide(&view, what_if.client, now).answer;
                let findings = picture.examine(&view, what_if.client, now);
                Explanation {
                    standing: Standing {
                        owner: view.owner,
                        here: picture.workstation.id.clone(),
                        cal: picture.cal,
                        leases: picture.leases,
                        findings,
                    },
                    answer,
                }
            }))
        })
    }

    /// Notes that a launch was followed, from now on watched for.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_watch(
        &self,
        person: PersonId,
        workstation: WorkstationId,
    ) -> Result<Timestamp, StoreError> {
        const SQL: &str = "INSERT INTO estate_watch (person_id, workstation_id, begun_at) \
             VALUES ($1, $2, $3) ON CONFLICT (person_id, workstation_id) \
             DO UPDATE SET begun_at = $3, ended_at = NULL, seen_at = NULL";
        self.write(move |batch| {
            let row = values![person.as_str(), workstation.as_str(), batch.now];
            batch.db.execute(SQL, row)?;
            Ok(batch.now)
        })
        .await
    }

    /// Notes what became of a watch, with one audit event: the machine that leased, or none. A watch
    /// that a later launch took over is left alone.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn end_watch(
        &self,
        person: PersonId,
        workstation: WorkstationId,
        begun_at: Timestamp,
        found: Option<EstateLease>,
    ) -> Result<(), StoreError> {
        self.write(move |batch| end_watch(batch, &person, &workstation, begun_at, found.as_ref()))
            .await
    }

    /// What was seen after the last launch of a person on a workstation.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn watched(
        &self,
        person: &PersonId,
        workstation: &WorkstationId,
    ) -> Result<Option<Watched>, StoreError> {
        self.read(|db| watched(db, person, workstation))
    }
}

impl Picture {
    fn view<'a>(&'a self, policy: &'a Policy, document: &'a RequestedDocument) -> OpenView<'a> {
        OpenView {
            owner: Owner::Estate {
                other_cals: self.now.other_cals > 0,
            },
            license: self.license.as_ref(),
            switches: self.now.switches,
            policy,
            person: &self.person,
            document,
            workstation: &self.workstation,
            cal: self.cal.as_ref(),
            taken: self.taken,
            quarantine_ends: &self.quarantine_ends,
            leases: &self.leases,
        }
    }

    fn decide(
        &self,
        view: &OpenView<'_>,
        client: ClientKind,
        now: Timestamp,
    ) -> Decision<OpenAnswer> {
        match self.now.unpredicted {
            None => decide_open(view, client, now, LeaseId::from("")),
            Some(_) => leave_to_server(view, client, now),
        }
    }

    fn examine(&self, view: &OpenView<'_>, client: ClientKind, now: Timestamp) -> Vec<Finding> {
        let mut findings = examine(view, client, now);
        if self.now.unpredicted.is_some() {
            findings.retain(|finding| finding.rule == Rule::R8);
        }
        findings
    }
}

fn predict(
    batch: &mut Batch<'_>,
    command: &OpenCommand,
    may_assign: bool,
    life: Millis,
) -> Result<Option<Predicted>, StoreError> {
    let policy = &batch.options.policy;
    let found = people::by_id(batch.db, &command.person)?;
    let person = found
        .ok_or_else(|| StoreError::Corrupt(format!("the person {} is missing", command.person)))?;
    let now = batch.now;
    let found = picture(
        batch.db,
        policy,
        person,
        &command.workstation,
        may_assign,
        now,
    )?;
    let Some(picture) = found else {
        return Ok(None);
    };
    let view = picture.view(policy, &command.document);
    let decision = picture.decide(&view, command.client, now);
    let user = picture.person.name.clone();
    if let Some(event) = &decision.event {
        batch.record(event, &Actor::person(&user))?;
    }
    let launch = match decision.answer.access {
        Access::Granted(_) => Some(issue_ticket(batch, command, life)?),
        Access::Refused(_) => None,
    };
    let ended = |change: &Change| matches!(change, Change::LeaseEnded { .. });
    Ok(Some(Predicted {
        opened: Opened {
            lease_ended: decision.changes.iter().any(ended),
            answer: decision.answer,
            user,
            at: now,
            launch,
        },
        unpredicted: picture.now.unpredicted,
    }))
}

/// What an open of this person there is predicted from; none before the first picture.
fn picture(
    db: &Db,
    policy: &Policy,
    mut person: Person,
    workstation: &Workstation,
    may_assign: bool,
    now: Timestamp,
) -> Result<Option<Picture>, StoreError> {
    let Some(mut head) = head(db)? else {
        return Ok(None);
    };
    if head.switches.allow_dynamic_assignment {
        // The server's own switch asks nobody's mapping.
        person.automatic_cal = AutomaticCal::Dynamic;
    }
    head.switches.allow_dynamic_assignment |= may_assign;
    let license = head.license(policy);
    let leases = leases_of(db, &person.name)?
        .into_iter()
        .map(|lease| as_lease(lease, &person.id, policy.lease_length))
        .filter(|lease| lease.is_live(now) || lease.counts_at(now, policy.lease_window))
        .collect();
    Ok(Some(Picture {
        license,
        workstation: as_called_there(db, &person.id, workstation)?,
        cal: cal_of(db, policy, &person, now)?,
        leases,
        taken: taken(db, now)?,
        quarantine_ends: quarantine_ends(db, now)?,
        person,
        now: head,
    }))
}

/// The workstation under the name by which the server knows it; one that is not known there yet is a
/// new one to the rules.
fn as_called_there(
    db: &Db,
    person: &PersonId,
    workstation: &Workstation,
) -> Result<Workstation, StoreError> {
    let known = watched(db, person, &workstation.id)?.and_then(|watched| watched.machine);
    Ok(known.map_or_else(
        || workstation.clone(),
        |machine| Workstation {
            id: WorkstationId(machine.clone()),
            name: machine,
        },
    ))
}

/// The CAL of a person there: assigned, or in a quarantine that has not ended.
fn cal_of(
    db: &Db,
    policy: &Policy,
    person: &Person,
    now: Timestamp,
) -> Result<Option<NamedCal>, StoreError> {
    const SQL: &str = "SELECT id, user_name, last_used_at, quarantined_until FROM estate_cal \
         WHERE user_name = $1 ORDER BY state, id";
    let found = db.query(SQL, values![&person.name], cal)?;
    let taken = |cal: &EstateCal| cal.quarantined_until.is_none_or(|until| now < until);
    let cal = found.into_iter().find(taken);
    Ok(cal.map(|cal| as_named_cal(&cal, &person.id, policy, now)))
}

/// When it was assigned or taken back the server does not tell, so the instants that no rule reads
/// are guessed.
fn as_named_cal(cal: &EstateCal, person: &PersonId, policy: &Policy, now: Timestamp) -> NamedCal {
    NamedCal {
        person: person.clone(),
        state: cal
            .quarantined_until
            .map_or(CalState::Assigned, |until| CalState::Quarantined {
                since: until - policy.quarantine,
                until,
            }),
        assigned_at: cal.last_used_at.unwrap_or(now),
        last_used_at: cal.last_used_at,
    }
}

fn taken(db: &Db, now: Timestamp) -> Result<u32, StoreError> {
    const SQL: &str = "SELECT COUNT(*) FROM estate_cal \
         WHERE state = 'assigned' OR quarantined_until > $1";
    Ok(db
        .query_one(SQL, values![now], |row| row.count(0))?
        .unwrap_or(0))
}

fn quarantine_ends(db: &Db, now: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
    const SQL: &str = "SELECT quarantined_until FROM estate_cal \
         WHERE quarantined_until > $1 ORDER BY quarantined_until, id";
    db.query(SQL, values![now], |row| row.at(0))
}

fn as_lease(lease: EstateLease, person: &PersonId, length: Millis) -> Lease {
    Lease {
        id: LeaseId(lease.id),
        person: person.clone(),
        workstation: Workstation {
            id: WorkstationId(lease.machine.clone()),
            name: lease.machine,
        },
        state: LeaseState::Live,
        granted_at: lease.leased_at,
        renewed_at: lease.seen_at,
        expires_at: lease.seen_at + length,
        ended_at: None,
        counts: true,
    }
}

fn head(db: &Db) -> Result<Option<EstateHead>, StoreError> {
    const SQL: &str = "SELECT server, read_at, lef, named_cals, other_cals, \
         allow_license_lease, allow_dynamic_assignment, unpredicted FROM estate WHERE id = 1";
    db.query_one(SQL, &[], |row| {
        let unpredicted = row.maybe_text(7)?;
        Ok(EstateHead {
            server: row.text(0)?,
            read_at: row.at(1)?,
            lef: row.maybe_text(2)?,
            named_cals: row.count(3)?,
            other_cals: row.count(4)?,
            switches: Switches {
                allow_license_lease: row.flag(5)?,
                allow_dynamic_assignment: row.flag(6)?,
            },
            unpredicted: unpredicted
                .map(|word| Unpredicted::from_word(&word))
                .transpose()?,
        })
    })
}

fn write_head(db: &Db, told: &EstateTold, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO estate (id, server, read_at, lef, named_cals, other_cals, \
         allow_license_lease, allow_dynamic_assignment, unpredicted) \
         VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET server = $1, \
         read_at = $2, lef = $3, named_cals = $4, other_cals = $5, allow_license_lease = $6, \
         allow_dynamic_assignment = $7, unpredicted = $8";
    let row = values![
        &told.server,
        now,
        told.lef.as_deref(),
        i64::from(told.named_cals),
        i64::from(told.other_cals),
        told.switches.allow_license_lease,
        told.switches.allow_dynamic_assignment,
        told.unpredicted.map(Unpredicted::word),
    ];
    db.change_one(SQL, row)
}

fn write_cals(db: &Db, told: &[EstateCal]) -> Result<(), StoreError> {
    const KNOWN: &str = "SELECT id, user_name, last_used_at, quarantined_until FROM estate_cal";
    const DELETE: &str = "DELETE FROM estate_cal WHERE id = $1";
    const WRITE: &str = "INSERT INTO estate_cal \
         (id, user_name, state, last_used_at, quarantined_until) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET user_name = $2, state = $3, last_used_at = $4, \
         quarantined_until = $5";
    let known = db.query(KNOWN, &[], cal)?;
    let known = known.into_iter().map(|cal| (cal.id.clone(), cal)).collect();
    let (gone, changed) = difference(known, told, |cal| &cal.id);
    for id in gone {
        db.execute(DELETE, values![&id])?;
    }
    for cal in changed {
        let state = match cal.quarantined_until {
            None => "assigned",
            Some(_) => "quarantined",
        };
        let (last, until) = (cal.last_used_at, cal.quarantined_until);
        db.change_one(WRITE, values![&cal.id, &cal.user, state, last, until])?;
    }
    Ok(())
}

fn write_leases(
    db: &Db,
    told: &[EstateLease],
    known: BTreeMap<String, EstateLease>,
) -> Result<(), StoreError> {
    const DELETE: &str = "DELETE FROM estate_lease WHERE id = $1";
    const WRITE: &str = "INSERT INTO estate_lease (id, user_name, machine, leased_at, seen_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET user_name = $2, \
         machine = $3, leased_at = $4, seen_at = $5";
    let (gone, changed) = difference(known, told, |lease| &lease.id);
    for id in gone {
        db.execute(DELETE, values![&id])?;
    }
    for lease in changed {
        let (leased, seen) = (lease.leased_at, lease.seen_at);
        db.change_one(
            WRITE,
            values![&lease.id, &lease.user, &lease.machine, leased, seen],
        )?;
    }
    Ok(())
}

/// The ids that are told no more, and the rows that are new or not as they were.
fn difference<T: PartialEq>(
    mut known: BTreeMap<String, T>,
    told: &[T],
    id: impl Fn(&T) -> &String,
) -> (Vec<String>, Vec<&T>) {
    let changed = told
        .iter()
        .filter(|row| known.remove(id(row)).as_ref() != Some(*row))
        .collect();
    (known.into_keys().collect(), changed)
}

fn leases_by_id(db: &Db) -> Result<BTreeMap<String, EstateLease>, StoreError> {
    const SQL: &str = "SELECT id, user_name, machine, leased_at, seen_at FROM estate_lease";
    let found = db.query(SQL, &[], estate_lease)?;
    Ok(found
        .into_iter()
        .map(|lease| (lease.id.clone(), lease))
        .collect())
}

fn leases_of(db: &Db, user: &str) -> Result<Vec<EstateLease>, StoreError> {
    const SQL: &str = "SELECT id, user_name, machine, leased_at, seen_at FROM estate_lease \
         WHERE user_name = $1 ORDER BY id";
    db.query(SQL, values![user], estate_lease)
}

fn estate_lease(row: &Row<'_>) -> Result<EstateLease, StoreError> {
    Ok(EstateLease {
        id: row.text(0)?,
        user: row.text(1)?,
        machine: row.text(2)?,
        leased_at: row.at(3)?,
        seen_at: row.at(4)?,
    })
}

fn cal(row: &Row<'_>) -> Result<EstateCal, StoreError> {
    Ok(EstateCal {
        id: row.text(0)?,
        user: row.text(1)?,
        last_used_at: row.maybe_at(2)?,
        quarantined_until: row.maybe_at(3)?,
    })
}

fn watched(
    db: &Db,
    person: &PersonId,
    workstation: &WorkstationId,
) -> Result<Option<Watched>, StoreError> {
    const SQL: &str = "SELECT begun_at, ended_at, seen_at, machine FROM estate_watch \
         WHERE person_id = $1 AND workstation_id = $2";
    let key = values![person.as_str(), workstation.as_str()];
    db.query_one(SQL, key, |row| {
        Ok(Watched {
            begun_at: row.at(0)?,
            ended_at: row.maybe_at(1)?,
            seen_at: row.maybe_at(2)?,
            machine: row.maybe_text(3)?,
        })
    })
}

fn end_watch(
    batch: &mut Batch<'_>,
    person: &PersonId,
    workstation: &WorkstationId,
    begun_at: Timestamp,
    found: Option<&EstateLease>,
) -> Result<(), StoreError> {
    const SEEN: &str = "UPDATE estate_watch SET ended_at = $1, seen_at = $2, machine = $3 \
         WHERE person_id = $4 AND workstation_id = $5 AND begun_at = $6";
    const NOT_SEEN: &str = "UPDATE estate_watch SET ended_at = $1 \
         WHERE person_id = $2 AND workstation_id = $3 AND begun_at = $4";
    let (now, id, at) = (batch.now, person.as_str(), workstation.as_str());
    let rows = match found {
        Some(lease) => {
            let row = values![now, lease.seen_at, &lease.machine, id, at, begun_at];
            batch.db.execute(SEEN, row)?
        }
        None => batch.db.execute(NOT_SEEN, values![now, id, at, begun_at])?,
    };
    if rows == 0 {
        return Ok(());
    }
    let user = people::by_id(batch.db, person)?.map(|person| person.name);
    let user = user.unwrap_or_default();
    let mut event = Event::new(EventKind::LeaseWatched)
        .about(person, &user)
        .with("workstation", at);
    event = match found {
        Some(lease) => event
            .with("machine", lease.machine.clone())
            .with("seen_at", lease.seen_at.to_string()),
        None => event.with("machine", "none"),
    };
    batch.record(&event, &Actor::person(&user))
}
