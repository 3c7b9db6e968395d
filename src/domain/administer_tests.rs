//! The rules of the administrative commands, and the invariants that [`check`] looks for:
//! R10, R15, R17 to R19, R21 and R23.

use super::administer::{
    AssignAnswer, AssignView, EndedBy, Force, LoadAnswer, UnassignAnswer, decide_assign,
    decide_end_lease, decide_lift, decide_load_license, decide_merge, decide_unassign,
};
use super::cal::{CalState, NamedCal};
use super::change::{Change, Decision, EventKind};
use super::check::{State, check};
use super::lease::{Lease, LeaseState};
use super::open::{CalStep, LeaseOutcome};
use super::person::AutomaticCal;
use super::policy::Policy;
use super::refusal::{Refusal, RefusalCode};
use super::samples::{
    ALICE, Case, HERE, NOW, TICK, ended, lease, license, lifted, person, quarantined_cal,
    unused_cal, used_cal,
};
use super::time::{Millis, Timestamp};

const DAY: Millis = Millis::days(1);
const HOUR: Millis = Millis::hours(1);
const WEEK: Millis = Millis::days(7);

/// Assigns a CAL to the person of a case.
fn assign(case: &Case, now: Timestamp) -> Decision<AssignAnswer> {
    let view = AssignView {
        license: case.license.as_ref(),
        person: &case.person,
        cal: case.cal.as_ref(),
        taken: case.taken,
        quarantine_ends: &case.quarantine_ends,
    };
    decide_assign(&view, now)
}

fn assign_code(case: &Case, now: Timestamp) -> Option<RefusalCode> {
    match assign(case, now).answer {
        AssignAnswer::Refused(refusal) => Some(refusal.code()),
        _ => None,
    }
}

fn unassign(cal: Option<&NamedCal>, quarantine: Millis) -> Decision<UnassignAnswer> {
    let policy = Policy {
        quarantine,
        ..Policy::default()
    };
    decide_unassign(&person(ALICE), cal, &policy, NOW)
}

fn lease_ended(id: &str, state: LeaseState) -> Change {
    Change::LeaseEnded {
        id: id.into(),
        state,
        at: NOW,
    }
}

/// R18: nothing was changed, so nothing is remembered.
fn assert_without_effect<A>(decision: &Decision<A>) {
    assert_eq!(decision.changes, []);
    assert_eq!(decision.event, None);
}

/// R18: exactly one event of this kind, with this code.
fn assert_event<A>(decision: &Decision<A>, kind: EventKind, code: Option<&str>) {
    let event = decision.event.as_ref().unwrap();
    assert_eq!(event.kind, kind, "R18");
    assert_eq!(event.code.as_deref(), code, "R18");
}

#[test]
fn assigning_takes_a_free_cal() {
    let decision = assign(&Case::sound().without_cal(), NOW);
    assert_eq!(decision.answer, AssignAnswer::Assigned);
    let person = ALICE.into();
    let assigned = Change::CalAssigned { person, at: NOW };
    assert_eq!(decision.changes, [assigned], "an assigned CAL is unused");
    assert_event(&decision, EventKind::CalAssigned, None);
}

#[test]
fn assigning_to_a_holder_is_done_without_effect() {
    for cal in [unused_cal(ALICE), used_cal(ALICE)] {
        let decision = assign(&Case::sound().cal(cal), NOW);
        assert_eq!(decision.answer, AssignAnswer::AlreadyHeld);
        assert_without_effect(&decision);
    }
}

#[test]
fn r9_an_administrator_assigns_whatever_switch_and_mapping_say() {
    for mapping in [AutomaticCal::Never, AutomaticCal::Assign] {
        let case = Case::sound().without_cal().automatic_cal(mapping);
        let case = case.without_dynamic_assignment();
        let answer = assign(&case, NOW).answer;
        assert_eq!(answer, AssignAnswer::Assigned, "R9: {mapping:?}");
    }
}

#[test]
fn r10_assigning_gives_a_quarantined_cal_back_even_where_none_is_free() {
    let end = NOW + HOUR;
    let quarantined = Case::sound().cal(quarantined_cal(ALICE, end));
    for lef in ["NAMED_CALS;5", "NAMED_CALS;2", "NAMED_CALS;0"] {
        let case = quarantined.clone().license(license(lef)).taken(9, &[end]);
        let decision = assign(&case, end - TICK);
        assert_eq!(decision.answer, AssignAnswer::GivenBack, "R17: {lef}");
        let person = ALICE.into();
        let given_back = Change::CalGivenBack { person };
        assert_eq!(decision.changes, [given_back], "R10: {lef}");
        assert_event(&decision, EventKind::CalAssigned, None);
    }
    // At its end it is anybody's, and a free one is needed.
    let case = quarantined.taken(5, &[]);
    assert_eq!(assign_code(&case, end), Some(RefusalCode::NoFreeCal));
    let one_free = case.taken(4, &[]);
    let answer = assign(&one_free, end).answer;
    assert_eq!(answer, AssignAnswer::Assigned, "R10");
}

#[test]
fn r17_assigning_never_exceeds_what_the_license_holds() {
    let no_free = Some(RefusalCode::NoFreeCal);
    for (taken, expected) in [(4, None), (5, no_free), (6, no_free)] {
        let case = Case::sound().without_cal().taken(taken, &[]);
        assert_eq!(assign_code(&case, NOW), expected, "R17: {taken} of 5");
    }
}

#[test]
fn r17_a_refused_assignment_says_when_a_cal_is_free() {
    let end = NOW + HOUR;
    let case = Case::sound().without_cal().taken(5, &[end]);
    let decision = assign(&case, NOW);
    let refused = AssignAnswer::Refused(Refusal::NoFreeCal {
        held: 5,
        taken: 5,
        retry_at: Some(end),
    });
    assert_eq!(decision.answer, refused, "R17");
    assert_eq!(decision.changes, [], "R17");
    assert_event(&decision, EventKind::CalAssigned, Some("NO_FREE_CAL"));
    let before = end - TICK;
    let just_before = assign_code(&case.seen_at(before), before);
    assert_eq!(just_before, Some(RefusalCode::NoFreeCal), "R17");
    assert_eq!(assign_code(&case.seen_at(end), end), None, "R17");
}

#[test]
fn r21_assigning_to_a_disabled_person_is_refused() {
    let end = NOW + HOUR;
    for case in [
        Case::sound().without_cal(),
        Case::sound().without_cal().taken(5, &[]),
        Case::sound().cal(quarantined_cal(ALICE, end)),
    ] {
        let decision = assign(&case.disabled(), NOW);
        let refused = AssignAnswer::Refused(Refusal::UserDisabled);
        assert_eq!(decision.answer, refused, "R21");
        assert_eq!(decision.changes, [], "R21");
        assert_event(&decision, EventKind::CalAssigned, Some("USER_DISABLED"));
    }
}

#[test]
fn r0_r6_assigning_needs_a_license_with_cals() {
    let case = Case::sound().without_cal();
    let missing = case.clone().without_license();
    let code = assign_code(&missing, NOW);
    assert_eq!(code, Some(RefusalCode::LicenseMissing), "R0");
    let empty = case.license(license("PRODUCTLEVEL;10"));
    let code = assign_code(&empty, NOW);
    assert_eq!(code, Some(RefusalCode::LicenseHasNoNamedCals), "R6");
}

#[test]
fn r10_an_unused_cal_is_free_at_once_and_a_used_one_rests() {
    let free = unassign(Some(&unused_cal(ALICE)), WEEK);
    assert_eq!(free.answer, UnassignAnswer::Freed, "R10");
    let person = ALICE.into();
    assert_eq!(free.changes, [Change::CalFreed { person }], "R10");
    assert_event(&free, EventKind::CalUnassigned, None);
    for quarantine in [DAY, WEEK] {
        let rests = unassign(Some(&used_cal(ALICE)), quarantine);
        let until = NOW + quarantine;
        assert_eq!(rests.answer, UnassignAnswer::Quarantined { until }, "R10");
        let change = Change::CalQuarantined {
            person: ALICE.into(),
            since: NOW,
            until,
        };
        assert_eq!(rests.changes, [change], "R10");
        assert_event(&rests, EventKind::CalUnassigned, None);
    }
}

#[test]
fn r10_an_open_of_this_very_instant_is_a_use() {
    let just_used = NamedCal {
        assigned_at: NOW,
        last_used_at: Some(NOW),
        ..unused_cal(ALICE)
    };
    let answer = unassign(Some(&just_used), WEEK).answer;
    let until = NOW + WEEK;
    assert_eq!(answer, UnassignAnswer::Quarantined { until }, "R10");
}

#[test]
fn r10_what_is_not_held_cannot_be_unassigned() {
    let quarantined = quarantined_cal(ALICE, NOW + HOUR);
    for cal in [None, Some(&quarantined)] {
        let decision = unassign(cal, WEEK);
        assert_eq!(decision.answer, UnassignAnswer::NotHeld, "R10");
        assert_without_effect(&decision);
    }
}

#[test]
fn r10_after_giving_back_the_next_unassignment_starts_a_full_quarantine() {
    // Giving back keeps what the CAL remembers of its use.
    let given_back = NamedCal {
        state: CalState::Assigned,
        ..quarantined_cal(ALICE, NOW + TICK)
    };
    let answer = unassign(Some(&given_back), WEEK).answer;
    let until = NOW + WEEK;
    assert_eq!(answer, UnassignAnswer::Quarantined { until }, "R10");
}

#[test]
fn r15_unassigning_writes_nothing_about_leases() {
    let changes = unassign(Some(&used_cal(ALICE)), WEEK).changes;
    let of_cals = matches!(changes[..], [Change::CalQuarantined { .. }]);
    assert!(of_cals, "R15: {changes:?}");
}

#[test]
fn r19_a_person_releases_and_an_administrator_revokes() {
    let running = lease(ALICE, HERE, NOW - DAY);
    let table = [
        (
            EndedBy::Person,
            LeaseState::Released,
            EventKind::LeaseReleased,
        ),
        (
            EndedBy::Administrator,
            LeaseState::Revoked,
            EventKind::LeaseRevoked,
        ),
    ];
    for (by, state, kind) in table {
        let decision = decide_end_lease(&running, &person(ALICE), by, NOW);
        assert!(decision.answer, "R19");
        let change = lease_ended("alice@here", state);
        assert_eq!(decision.changes, [change], "R19");
        assert_event(&decision, kind, None);
    }
}

#[test]
fn r19_a_lease_can_be_ended_until_its_end() {
    let running = lease(ALICE, HERE, NOW);
    let end = running.expires_at;
    for (now, live) in [(end - TICK, true), (end, false), (end + TICK, false)] {
        for by in [EndedBy::Person, EndedBy::Administrator] {
            let decision = decide_end_lease(&running, &person(ALICE), by, now);
            assert_eq!(decision.answer, live, "R19 at {now}");
            if !live {
                assert_without_effect(&decision);
            }
        }
    }
    for state in [LeaseState::Released, LeaseState::Revoked] {
        let over = ended(running.clone(), state);
        let decision = decide_end_lease(&over, &person(ALICE), EndedBy::Person, NOW);
        assert!(!decision.answer, "R19: {state:?}");
        assert_without_effect(&decision);
    }
}

#[test]
fn r19_lifting_ends_the_leases_of_the_workstation_and_no_others() {
    let leases = [
        lease(ALICE, HERE, NOW - DAY),
        lease("bob", HERE, NOW - WEEK),
        lease("carol", HERE, NOW - Millis::days(30)),
        ended(lease("dave", HERE, NOW - DAY), LeaseState::Released),
        lease(ALICE, "other", NOW - DAY),
    ];
    let decision = decide_lift(&HERE.into(), &leases, NOW);
    assert_eq!(decision.answer, 2, "R19");
    let workstation = HERE.into();
    let expected = [
        lease_ended("alice@here", LeaseState::Revoked),
        lease_ended("bob@here", LeaseState::Revoked),
        Change::WorkstationLifted { workstation },
    ];
    assert_eq!(decision.changes, expected, "R19");
    assert_event(&decision, EventKind::WorkstationLifted, None);
}

#[test]
fn r19_a_silent_workstation_can_be_lifted_so_that_its_events_no_longer_count() {
    let released = ended(lease(ALICE, HERE, NOW - DAY), LeaseState::Released);
    let decision = decide_lift(&HERE.into(), &[released], NOW);
    let workstation = HERE.into();
    let lifted = Change::WorkstationLifted { workstation };
    assert_eq!((decision.answer, decision.changes), (0, vec![lifted]));
}

#[test]
fn r23_merging_moves_the_leases() {
    let leases = [
        lease(ALICE, "old", NOW - DAY),
        lease("bob", "new", NOW - DAY),
    ];
    let decision = decide_merge(&"old".into(), &"new".into(), &leases, NOW);
    assert_eq!(decision.answer, 0, "R23: nobody has two");
    let merged = Change::WorkstationMerged {
        workstation: "old".into(),
        into: "new".into(),
    };
    assert_eq!(decision.changes, [merged], "R23");
    assert_event(&decision, EventKind::WorkstationMerged, None);
}

#[test]
fn r23_of_two_live_leases_of_one_person_the_longer_stays() {
    // Ages on the old and the new workstation, and the lease that is revoked.
    let table = [
        (HOUR, DAY, "alice@new"),
        (DAY, HOUR, "alice@old"),
        (DAY, DAY, "alice@old"),
    ];
    for (old, new, revoked) in table {
        let leases = [
            lease(ALICE, "old", NOW - old),
            lease(ALICE, "new", NOW - new),
            lease("bob", "new", NOW),
            lease("bob", "third", NOW),
        ];
        let decision = decide_merge(&"old".into(), &"new".into(), &leases, NOW);
        assert_eq!(decision.answer, 1, "R23");
        let change = lease_ended(revoked, LeaseState::Revoked);
        assert_eq!(decision.changes[0], change, "R23");
        assert_eq!(decision.changes.len(), 2, "R23");
    }
}

#[test]
fn r23_a_lease_that_has_ended_stands_in_nobodys_way() {
    let old = lease(ALICE, "old", NOW - Millis::days(30));
    let new = lease(ALICE, "new", NOW - DAY);
    let released = ended(lease(ALICE, "new", NOW - DAY), LeaseState::Released);
    let live = lease(ALICE, "old", NOW - DAY);
    for leases in [[old, new], [live, released]] {
        let decision = decide_merge(&"old".into(), &"new".into(), &leases, NOW);
        assert_eq!(decision.answer, 0, "R23");
    }
}

#[test]
fn r23_merging_a_workstation_into_itself_is_without_effect() {
    let leases = [lease(ALICE, HERE, NOW)];
    let decision = decide_merge(&HERE.into(), &HERE.into(), &leases, NOW);
    assert_without_effect(&decision);
}

#[test]
fn r23_a_merged_workstation_counts_once() {
    let moved = Lease {
        id: "moved".into(),
        ..ended(lease(ALICE, "new", NOW - TICK), LeaseState::Revoked)
    };
    let before = Case::sound()
        .leased_on("new", NOW)
        .leased_on("old", NOW - TICK);
    let code = before.lease_code(NOW);
    assert_eq!(code, Some(RefusalCode::WorkstationLimit), "R23");
    let after = Case::sound().leased_on("new", NOW).lease(moved);
    assert_eq!(after.lease_code(NOW), None, "R23");
}

#[test]
fn r17_a_license_that_holds_fewer_than_are_taken_needs_force() {
    let five = license("NAMED_CALS;5");
    let held = 5;
    for taken in [0, 4, 5] {
        for force in [Force::No, Force::Yes] {
            let decision = decide_load_license(&five, taken, force, NOW);
            let loaded = LoadAnswer::Loaded { held, taken };
            assert_eq!(decision.answer, loaded, "R17: {taken}");
            assert_event(&decision, EventKind::LicenseLoaded, None);
        }
    }
    let taken = 6;
    let refused = decide_load_license(&five, taken, Force::No, NOW);
    assert_eq!(refused.answer, LoadAnswer::TooSmall { held, taken }, "R17");
    assert_event(&refused, EventKind::LicenseLoaded, Some("NO_FREE_CAL"));
    let forced = decide_load_license(&five, taken, Force::Yes, NOW);
    assert_eq!(forced.answer, LoadAnswer::Loaded { held, taken }, "R17");
    assert_event(&forced, EventKind::LicenseLoaded, None);
}

#[test]
fn r17_only_the_lines_that_count_now_are_held() {
    let lines = "NAMED_CALS;2;;\nNAMED_CALS;3;2026-03-11;\nNAMED_CALS;9;;2026-03-09";
    let decision = decide_load_license(&license(lines), 3, Force::No, NOW);
    let too_small = LoadAnswer::TooSmall { held: 2, taken: 3 };
    assert_eq!(decision.answer, too_small, "R17");
}

#[test]
fn a_gift_back_and_a_lift_let_the_next_open_lease() {
    let end = NOW + HOUR;
    let resting = Case::sound().cal(quarantined_cal(ALICE, end));
    assert_eq!(resting.access(NOW), Ok(CalStep::GivenBack), "R9");
    let other = lease(ALICE, "other-1", NOW - HOUR);
    let limited = Case::sound().leased_on("other-2", NOW - HOUR);
    let before = limited.clone().lease(other.clone());
    assert!(before.lease_refusal(NOW).is_some(), "R13");
    let after = limited.lease(lifted(other)).open_with_desktop(NOW);
    let granted = matches!(after.answer.lease, LeaseOutcome::Granted(_));
    assert!(granted, "R19: {:?}", after.answer);
}

/// The invariants that a state of these CALs and leases breaks, of a licence that holds two.
fn broken(cals: &[NamedCal], leases: &[Lease]) -> Vec<&'static str> {
    let policy = Policy::default();
    let state = State {
        policy: &policy,
        held: 2,
        counter: u32::try_from(cals.len()).unwrap(),
        overcommitted: false,
        cals,
        leases,
    };
    let violations = check(&state, NOW);
    violations.iter().map(|found| found.invariant).collect()
}

#[test]
fn check_finds_nothing_in_a_sound_state() {
    let cals = [
        used_cal(ALICE),
        quarantined_cal("bob", NOW + TICK),
        quarantined_cal("carol", NOW),
    ];
    let leases = [
        lease(ALICE, HERE, NOW),
        lease(ALICE, "second", NOW - WEEK + TICK),
        lease(ALICE, "third", NOW - WEEK),
        lifted(lease(ALICE, "fourth", NOW - DAY)),
        ended(lease(ALICE, HERE, NOW - DAY), LeaseState::Revoked),
        lease("bob", HERE, NOW),
    ];
    assert_eq!(broken(&cals, &leases), [""; 0]);
}

#[test]
fn check_finds_what_is_wrong_with_cals() {
    let three = ["a", "b", "c"].map(used_cal);
    assert_eq!(broken(&three, &[]), ["I1"], "R17");
    let twice = [used_cal(ALICE), quarantined_cal(ALICE, NOW + DAY)];
    assert_eq!(broken(&twice, &[]), ["I2"]);
    let unused = NamedCal {
        last_used_at: None,
        ..quarantined_cal(ALICE, NOW + DAY)
    };
    assert_eq!(broken(&[unused], &[]), ["I6"], "R10");
    let since = NOW;
    let endless = NamedCal {
        state: CalState::Quarantined { since, until: NOW },
        ..used_cal(ALICE)
    };
    assert_eq!(broken(&[endless], &[]), ["I6"], "R10");
}

#[test]
fn check_knows_an_overcommitted_site_and_a_wrong_counter() {
    let policy = Policy::default();
    let three = ["a", "b", "c"].map(used_cal);
    let state = State {
        policy: &policy,
        held: 2,
        counter: 3,
        overcommitted: true,
        cals: &three,
        leases: &[],
    };
    assert_eq!(check(&state, NOW), [], "R17");
    let miscounted = State {
        counter: 2,
        ..state
    };
    assert_eq!(check(&miscounted, NOW)[0].invariant, "I8");
}

#[test]
fn check_finds_what_is_wrong_with_leases() {
    let twice = [lease(ALICE, HERE, NOW), lease(ALICE, HERE, NOW - DAY)];
    assert_eq!(broken(&[], &twice), ["I3"], "R20");
    let three = ["a", "b", "c"].map(|on| lease(ALICE, on, NOW - DAY));
    assert_eq!(broken(&[], &three), ["I4"], "R13");
    let long = Lease {
        expires_at: NOW + Millis::days(30) + TICK,
        ..lease(ALICE, HERE, NOW)
    };
    assert_eq!(broken(&[], &[long]), ["I5"], "R12");
    let backwards = Lease {
        granted_at: NOW + TICK,
        ..lease(ALICE, HERE, NOW)
    };
    assert_eq!(broken(&[], &[backwards]), ["I5"]);
    let without_end = Lease {
        ended_at: None,
        ..ended(lease(ALICE, HERE, NOW), LeaseState::Released)
    };
    assert_eq!(broken(&[], &[without_end]), ["I5"], "R19");
}

#[test]
fn check_is_not_misled_by_a_clock_that_was_set_back() {
    // Each of these was leased while at most one other counted. Since then the clock was set
    // back, so that all three count now; the next open obeys R13 as ever.
    let leases = [
        lease(ALICE, "first", NOW - DAY),
        lease(ALICE, "second", NOW),
        lease(ALICE, "third", NOW - DAY + WEEK),
    ];
    assert_eq!(broken(&[], &leases), [""; 0], "R13");
}
