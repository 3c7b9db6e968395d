//! Administrative decisions: assigning and unassigning CALs, ending leases, lifting and merging
//! workstations, loading a licence (R10, R15, R17, R19, R21, R23).
//!
//! Each returns what to write and the audit event, like [`super::open::decide_open`].

use super::cal::{CalState, NamedCal};
use super::change::{Change, Decision, Event, EventKind};
use super::lease::{Lease, LeaseState};
use super::lef::License;
use super::open::{free_cal, no_named_cals};
use super::person::Person;
use super::policy::Policy;
use super::refusal::Refusal;
use super::time::Timestamp;
use super::workstation::WorkstationId;

/// What an assignment looks at.
#[derive(Clone, Debug)]
pub struct AssignView<'a> {
    /// The licence that is loaded.
    pub license: Option<&'a License>,
    /// To whom.
    pub person: &'a Person,
    /// Their own CAL: assigned, or in a quarantine that has not ended.
    pub cal: Option<&'a NamedCal>,
    /// CALs that are taken, assigned or in quarantine.
    pub taken: u32,
    /// The ends of all running quarantines, ascending.
    pub quarantine_ends: &'a [Timestamp],
}

/// What became of an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignAnswer {
    /// The person held one before; nothing was changed.
    AlreadyHeld,
    /// A free CAL was assigned.
    Assigned,
    /// Their own came back from quarantine.
    GivenBack,
    /// Refused.
    Refused(Refusal),
}

/// Assigns a named CAL, the person's own quarantined one first (R10, R17, R21).
#[must_use]
pub fn decide_assign(view: &AssignView<'_>, now: Timestamp) -> Decision<AssignAnswer> {
    let person = view.person.id.clone();
    let event = Event::new(EventKind::CalAssigned).about(&person, &view.person.name);
    let own = view
        .cal
        .filter(|cal| cal.is_taken(now))
        .map(|cal| cal.state);
    let refuse = |refusal: Refusal, event: Event| {
        let event = Some(event.refused(refusal.code()));
        Decision {
            answer: AssignAnswer::Refused(refusal),
            changes: Vec::new(),
            event,
        }
    };
    if own == Some(CalState::Assigned) {
        return unchanged(AssignAnswer::AlreadyHeld);
    }
    if view.license.is_none() {
        return refuse(Refusal::LicenseMissing, event);
    }
    if !view.person.active {
        return refuse(Refusal::UserDisabled, event);
    }
    if own.is_some() {
        return Decision {
            answer: AssignAnswer::GivenBack,
            changes: vec![Change::CalGivenBack { person }],
            event: Some(event.with("cal", "given back")),
        };
    }
    if let Some(refusal) = no_named_cals(view.license, now) {
        return refuse(refusal, event);
    }
    match free_cal(view.license, view.taken, view.quarantine_ends, now) {
        Err(refusal) => refuse(refusal, event),
        Ok(()) => Decision {
            answer: AssignAnswer::Assigned,
            changes: vec![Change::CalAssigned { person, at: now }],
            event: Some(event.with("cal", "assigned")),
        },
    }
}

/// What became of an unassignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnassignAnswer {
    /// The person held none; nothing was changed.
    NotHeld,
    /// It was unused and is free at once.
    Freed,
    /// It was used and rests until this instant.
    Quarantined {
        /// Exclusive end.
        until: Timestamp,
    },
}

/// Takes a person's named CAL back; running leases run on (R10, R15).
#[must_use]
pub fn decide_unassign(
    person: &Person,
    cal: Option<&NamedCal>,
    policy: &Policy,
    now: Timestamp,
) -> Decision<UnassignAnswer> {
    let Some(cal) = cal.filter(|cal| cal.is_assigned()) else {
        return unchanged(UnassignAnswer::NotHeld);
    };
    let event = Event::new(EventKind::CalUnassigned).about(&person.id, &person.name);
    let id = person.id.clone();
    if cal.last_used_at.is_none() {
        return Decision {
            answer: UnassignAnswer::Freed,
            changes: vec![Change::CalFreed { person: id }],
            event: Some(event.with("cal", "free")),
        };
    }
    let until = now + policy.quarantine;
    Decision {
        answer: UnassignAnswer::Quarantined { until },
        changes: vec![Change::CalQuarantined {
            person: id,
            since: now,
            until,
        }],
        event: Some(event.with("quarantined_until", until.to_string())),
    }
}

/// Who ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Its person: it is released.
    Person,
    /// An administrator: it is revoked.
    Administrator,
}

/// Ends a lease at once; its workstation still counts in R13 (R19). The answer is whether
/// anything was changed.
#[must_use]
pub fn decide_end_lease(
    lease: &Lease,
    person: &Person,
    by: EndedBy,
    now: Timestamp,
) -> Decision<bool> {
    if !lease.is_live(now) {
        return unchanged(false);
    }
    let (state, kind) = match by {
        EndedBy::Person => (LeaseState::Released, EventKind::LeaseReleased),
        EndedBy::Administrator => (LeaseState::Revoked, EventKind::LeaseRevoked),
    };
    let event = Event::new(kind)
        .about(&person.id, &person.name)
        .with("lease_id", lease.id.as_str())
        .with("workstation", lease.workstation.id.as_str());
    Decision {
        answer: true,
        changes: vec![Change::LeaseEnded {
            id: lease.id.clone(),
            state,
            at: now,
        }],
        event: Some(event),
    }
}

/// Lifts a workstation: its leases end, its events no longer count (R19). The answer is how many
/// leases ended.
#[must_use]
pub fn decide_lift(
    workstation: &WorkstationId,
    leases: &[Lease],
    now: Timestamp,
) -> Decision<usize> {
    let mut changes: Vec<Change> = leases
        .iter()
        .filter(|lease| lease.workstation.id == *workstation && lease.is_live(now))
        .map(|lease| Change::LeaseEnded {
            id: lease.id.clone(),
            state: LeaseState::Revoked,
            at: now,
        })
        .collect();
    let ended = changes.len();
    changes.push(Change::WorkstationLifted {
        workstation: workstation.clone(),
    });
    let event = Event::new(EventKind::WorkstationLifted)
        .with("workstation", workstation.as_str())
        .with("leases_ended", ended.to_string());
    Decision {
        answer: ended,
        changes,
        event: Some(event),
    }
}

/// Merges a workstation into another (R23): its leases and events move there. Where a person has
/// a live lease on both, the one that ends first is revoked, so that one stays.
///
/// `leases` are the leases of both workstations. The answer is how many leases were revoked.
#[must_use]
pub fn decide_merge(
    workstation: &WorkstationId,
    into: &WorkstationId,
    leases: &[Lease],
    now: Timestamp,
) -> Decision<usize> {
    if workstation == into {
        return unchanged(0);
    }
    let live = |id: &WorkstationId| {
        let id = id.clone();
        leases
            .iter()
            .filter(move |lease| lease.workstation.id == id && lease.is_live(now))
    };
    let mut changes: Vec<Change> = live(workstation)
        .filter_map(|lease| {
            let twin = live(into).find(|twin| twin.person == lease.person)?;
            let first = if lease.expires_at <= twin.expires_at {
                lease
            } else {
                twin
            };
            Some(Change::LeaseEnded {
                id: first.id.clone(),
                state: LeaseState::Revoked,
                at: now,
            })
        })
        .collect();
    let ended = changes.len();
    changes.push(Change::WorkstationMerged {
        workstation: workstation.clone(),
        into: into.clone(),
    });
    let event = Event::new(EventKind::WorkstationMerged)
        .with("workstation", workstation.as_str())
        .with("into", into.as_str());
    Decision {
        answer: ended,
        changes,
        event: Some(event),
    }
}

/// What became of loading a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadAnswer {
    /// It counts from now.
    Loaded {
        /// Named CALs that it holds now.
        held: u32,
        /// Named CALs that are taken.
        taken: u32,
    },
    /// It holds fewer CALs than are taken (R17).
    TooSmall {
        /// Named CALs that it holds now.
        held: u32,
        /// Named CALs that are taken.
        taken: u32,
    },
}

/// Loads a licence; one that holds fewer CALs than are taken only with `force` (R17).
#[must_use]
pub fn decide_load_license(
    license: &License,
    taken: u32,
    force: Force,
    now: Timestamp,
) -> Decision<LoadAnswer> {
    let held = license.named_cals(now);
    let event = Event::new(EventKind::LicenseLoaded)
        .with("named_cals", held.to_string())
        .with("taken", taken.to_string());
    if held < taken && force == Force::No {
        return Decision {
            answer: LoadAnswer::TooSmall { held, taken },
            changes: Vec::new(),
            event: Some(event.refused(super::refusal::RefusalCode::NoFreeCal)),
        };
    }
    let forced = if held < taken { "yes" } else { "no" };
    Decision {
        answer: LoadAnswer::Loaded { held, taken },
        changes: Vec::new(),
        event: Some(event.with("forced", forced)),
    }
}

/// Whether a licence that is too small is loaded all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// It is refused.
    No,
    /// It is loaded; the site is over-committed until it fits.
    Yes,
}

/// An answer that changes nothing and leaves no event.
fn unchanged<A>(answer: A) -> Decision<A> {
    Decision {
        answer,
        changes: Vec::new(),
        event: None,
    }
}
