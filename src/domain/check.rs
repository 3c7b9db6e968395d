//! The invariants of [`super`], looked for over a whole state.

use std::collections::{BTreeMap, BTreeSet};

use super::cal::{CalState, NamedCal};
use super::lease::{Lease, LeaseState};
use super::policy::Policy;
use super::time::{Millis, Timestamp};

/// A whole state, as far as the invariants speak of it.
#[derive(Clone, Debug)]
pub struct State<'a> {
    /// The numbers of the rules.
    pub policy: &'a Policy,
    /// Named CALs that the licence holds now.
    pub held: u32,
    /// The CAL counter of the ledger.
    pub counter: u32,
    /// Whether a licence was forced or a line of it lapsed (R17), so that I1 does not hold.
    pub overcommitted: bool,
    /// All CALs.
    pub cals: &'a [NamedCal],
    /// All leases.
    pub leases: &'a [Lease],
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I8`.
    pub invariant: &'static str,
    /// What was found.
    pub found: String,
}

/// Every violation in a state; empty for a sound one.
#[must_use]
pub fn check(state: &State<'_>, now: Timestamp) -> Vec<Violation> {
    let mut found = Vec::new();
    cals(state, now, &mut found);
    live_leases(state, now, &mut found);
    for lease in state.leases {
        lease_times(lease, state.policy, &mut found);
    }
    found
}

fn cals(state: &State<'_>, now: Timestamp, found: &mut Vec<Violation>) {
    let stored = u32::try_from(state.cals.len()).unwrap_or(u32::MAX);
    if stored != state.counter {
        found.push(violation(
            "I8",
            format!("{stored} CALs, but the counter says {}", state.counter),
        ));
    }
    let taken = state.cals.iter().filter(|cal| cal.is_taken(now)).count();
    if taken > state.held as usize && !state.overcommitted {
        found.push(violation(
            "I1",
            format!("{taken} CALs are taken of {}", state.held),
        ));
    }
    let mut people = BTreeSet::new();
    for cal in state.cals {
        if !people.insert(&cal.person) {
            found.push(violation("I2", format!("{} has two CALs", cal.person)));
        }
        if let CalState::Quarantined { since, until } = cal.state
            && (cal.last_used_at.is_none() || until <= since)
        {
            found.push(violation(
                "I6",
                format!("the quarantine of {} is wrong", cal.person),
            ));
        }
    }
}

fn live_leases(state: &State<'_>, now: Timestamp, found: &mut Vec<Violation>) {
    let mut live = BTreeSet::new();
    let mut counting: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for lease in state.leases.iter().filter(|lease| lease.is_live(now)) {
        let workstation = &lease.workstation.id;
        if !live.insert((&lease.person, workstation)) {
            let both = format!("{} has two live leases on {workstation}", lease.person);
            found.push(violation("I3", both));
        }
        if lease.counts_at(now, state.policy.lease_window) {
            counting.entry(&lease.person).or_default().push(lease);
        }
    }
    for (person, leases) in counting {
        let count = workstations_at_once(&leases, state.policy.lease_window);
        if count > 2 {
            let many = format!("{person} leases on {count} workstations");
            found.push(violation("I4", many));
        }
    }
}

/// On how many workstations, at most, one of these leases found the others counting when it was
/// granted or renewed. Asked at the events and not now: after the clock was set back, events that
/// never counted together do so for a while, although each of them obeyed R13.
fn workstations_at_once(leases: &[&Lease], window: Millis) -> usize {
    let counted_at = |event: Timestamp| {
        let before = leases.iter().filter(|lease| lease.renewed_at <= event);
        let counting = before.filter(|lease| lease.counts_at(event, window));
        let workstations: BTreeSet<_> = counting.map(|lease| &lease.workstation.id).collect();
        workstations.len()
    };
    let counts = leases.iter().map(|lease| counted_at(lease.renewed_at));
    counts.max().unwrap_or(0)
}

fn lease_times(lease: &Lease, policy: &Policy, found: &mut Vec<Violation>) {
    let ordered = lease.granted_at <= lease.renewed_at && lease.renewed_at < lease.expires_at;
    let length: Millis = lease.expires_at - lease.renewed_at;
    let ended = matches!(lease.state, LeaseState::Revoked | LeaseState::Released);
    if !ordered || length > policy.lease_length || ended != lease.ended_at.is_some() {
        found.push(violation(
            "I5",
            format!("the times of lease {} are wrong", lease.id),
        ));
    }
}

fn violation(invariant: &'static str, found: String) -> Violation {
    Violation { invariant, found }
}
