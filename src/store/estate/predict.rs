//! What the rules predict of an open. It writes its audit event and its launch ticket, and no CAL or
//! lease.

use super::onward::{Onward, note_onward};
use super::watch::watched;
use super::{
    EstateCal, EstateHead, Unpredicted, as_lease, as_named_cal, cal, head, leases_of, taken,
};
use crate::domain::cal::NamedCal;
use crate::domain::change::{Change, Decision};
use crate::domain::client::ClientKind;
use crate::domain::lease::{Lease, LeaseId};
use crate::domain::lef::License;
use crate::domain::open::{
    Access, Finding, OpenAnswer, OpenView, Owner, RequestedDocument, Rule, decide_open, examine,
    leave_to_server,
};
use crate::domain::person::{AutomaticCal, Person, PersonId};
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::domain::workstation::{Workstation, WorkstationId};
use crate::store::db::{Db, StoreError, values};
use crate::store::opens::issue_ticket;
use crate::store::writer::{Actor, Batch};
use crate::store::{Explanation, OpenCommand, Opened, Standing, Store, WhatIf, people};

/// An open whose outcome is the server's affair.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// What the rules say, with the launch ticket.
    pub opened: Opened,
    /// Why they say nothing of the lease, if they do not.
    pub unpredicted: Option<Unpredicted>,
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

impl Store {
    /// Predicts an open, and writes its audit event and its launch ticket, which leads `onward`.
    /// `may_assign` is whether the gateway itself assigns CALs there. None before the first picture.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn predict_open(
        &self,
        command: OpenCommand,
        onward: Onward,
        may_assign: bool,
    ) -> Result<Option<Predicted>, StoreError> {
        self.write(move |batch| predict(batch, &command, &onward, may_assign))
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
    onward: &Onward,
    may_assign: bool,
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
        Access::Granted(_) => {
            let ticket = issue_ticket(batch, command, batch.options.launch_life)?;
            note_onward(batch, command, onward, &ticket)?;
            Some(ticket)
        }
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

fn quarantine_ends(db: &Db, now: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
    const SQL: &str = "SELECT quarantined_until FROM estate_cal \
         WHERE quarantined_until > $1 ORDER BY quarantined_until, id";
    db.query(SQL, values![now], |row| row.at(0))
}
