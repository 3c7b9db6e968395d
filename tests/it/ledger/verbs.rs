//! Each verb of the store, by itself: what it answers and what it leaves behind.

use accesspoint::domain::administer::{AssignAnswer, Force, LoadAnswer, UnassignAnswer};
use accesspoint::domain::client::ClientKind;
use accesspoint::domain::lease::LeaseState;
use accesspoint::domain::open::{Access, CalStep, LeaseOutcome, Rule};
use accesspoint::domain::person::Role;
use accesspoint::domain::refusal::Refusal;
use accesspoint::domain::throttle::ThrottleKey;
use accesspoint::domain::time::Millis;
use accesspoint::store::{
    Actor, Added, Explanation, LeaseFilter, NewPerson, NewToken, OpenCommand, PersonFilter,
    Renamed, Scope, Setting, Store, StoreError, Unassigned, WhatIf,
};

use super::harness::{
    Ledger, MS, admin, code, explain, granted, lease, new_person, options, raw, see, user,
    workstation_hash,
};

#[tokio::test]
async fn a_new_ledger_is_empty_sound_and_can_write() {
    let ledger = Ledger::new();
    let store = ledger.store();
    assert_eq!(store.ping().await.unwrap(), ledger.now());
    assert_eq!(store.committed_at(), ledger.now());
    let license = store.license().unwrap();
    assert_eq!((license.held, license.taken), (0, 0));
    assert!(license.license.is_none() && license.loaded_at.is_none());
    assert!(license.switches.allow_license_lease && license.switches.allow_dynamic_assignment);
    assert_eq!(ledger.events(), 0);
    ledger.is_sound();
}

#[tokio::test]
async fn a_ledger_of_a_newer_program_is_refused_and_left_alone() {
    let ledger = Ledger::new();
    let newer = "UPDATE schema_version SET version = 1000";
    ledger.raw().execute_batch(newer).unwrap();
    let refused = Store::open(&ledger.file(), options(&ledger.clock, 9));
    let Err(StoreError::Newer { found: 1000, known }) = refused else {
        panic!("a newer ledger was opened");
    };
    assert!(known < 1000);
}

#[test]
fn a_ledger_that_cannot_be_opened_is_named() {
    let ledger = Ledger::new();
    let nowhere = ledger.file().join("below a file");
    let Err(error) = Store::open(&nowhere, options(&ledger.clock, 9)) else {
        panic!("a ledger below a file was opened");
    };
    assert!(error.to_string().contains("below a file"), "{error}");
}

#[test]
fn many_stores_may_make_the_same_ledger_at_once() {
    for round in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.db");
        let clock = accesspoint::clock::Clock::system();
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (file, options) = (&file, options(&clock, round * 10 + number));
                scope.spawn(move || Store::open(file, options).unwrap().close());
            }
        });
        let versions = "SELECT COUNT(*) FROM schema_version";
        let count: i64 = raw(&file)
            .query_one(versions, [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 1);
    }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let mut ledger = Ledger::with_cals(3).await;
    ledger.person("alice").await;
    let before = ledger.opens("alice", "pc-1").await;
    let session = ledger.signs_in("alice", "pc-1").await;
    ledger.sets(Setting::AllowDynamicAssignment, false).await;
    ledger.reopen();
    assert_eq!(ledger.cal_holders(), ["alice"]);
    assert!(ledger.store().session(&session).unwrap().is_some());
    let license = ledger.store().license().unwrap();
    assert_eq!((license.held, license.taken), (3, 1));
    assert!(!license.switches.allow_dynamic_assignment);
    let after = ledger.opens("alice", "pc-1").await;
    assert_eq!(lease(&after).id, lease(&before).id);
    ledger.is_sound();
}

#[tokio::test]
async fn an_open_assigns_grants_and_then_renews_the_same_lease() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let first = ledger.opens("alice", "pc-1").await;
    assert_eq!(first.answer.access, Access::Granted(CalStep::Assigned));
    assert!(matches!(first.answer.lease, LeaseOutcome::Granted(_)));
    assert_eq!(lease(&first).expires_at, ledger.now() + Millis::days(30));

    ledger.after(Millis::days(20));
    let again = ledger.opens("alice", "pc-1").await;
    assert_eq!(again.answer.access, Access::Granted(CalStep::Held));
    assert!(matches!(again.answer.lease, LeaseOutcome::Renewed(_)));
    assert_eq!(lease(&again).id, lease(&first).id);
    assert_eq!(lease(&again).expires_at, ledger.now() + Millis::days(30));
    assert_ne!(
        first.launch.unwrap().secret,
        again.launch.unwrap().secret,
        "R20: each may carry its own launch ticket"
    );
    ledger.is_sound();
}

#[tokio::test]
async fn a_lease_that_was_renewed_is_swept_at_its_new_end() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    let first_end = lease(&ledger.opens("alice", "pc-1").await).expires_at;
    ledger.at(first_end - Millis::days(1));
    let end = lease(&ledger.opens("alice", "pc-1").await).expires_at;
    let state = || ledger.store().leases_of(&alice).unwrap()[0].state;
    for (at, swept, stored) in [
        (first_end, 0, LeaseState::Live),
        (end - MS, 0, LeaseState::Live),
        (end, 1, LeaseState::Expired),
    ] {
        ledger.at(at);
        assert_eq!(
            ledger.store().report().unwrap().leases_live,
            u32::from(at < end)
        );
        assert_eq!(ledger.store().sweep().await.unwrap().leases, swept);
        assert_eq!(state(), stored);
        assert_eq!(
            ledger.store().report().unwrap().leases_live,
            u32::from(at < end)
        );
    }
    ledger.is_sound();
}

#[tokio::test]
async fn a_lease_ends_at_its_end_and_the_next_open_grants_another() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    let end = lease(&ledger.opens("alice", "pc-1").await).expires_at;
    ledger.at(end - MS);
    let command = ledger.command("alice", "pc-1").await;
    let renewed = explain(ledger.store(), &command);
    assert!(matches!(renewed.answer.lease, LeaseOutcome::Renewed(_)));
    ledger.at(end);
    let next = ledger.opens("alice", "pc-1").await;
    assert!(matches!(next.answer.lease, LeaseOutcome::Granted(_)));
    let states: Vec<LeaseState> = ledger
        .store()
        .leases_of(&alice)
        .unwrap()
        .iter()
        .map(|lease| lease.state)
        .collect();
    assert_eq!(states, [LeaseState::Live, LeaseState::Expired]);
    ledger.is_sound();
}

#[tokio::test]
async fn an_open_without_a_lease_is_access_alone() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    for client in [ClientKind::Ajax, ClientKind::Download] {
        let opened = ledger.opens_with("alice", "pc-1", client).await;
        assert!(granted(&opened) && opened.launch.is_some());
        assert_eq!(opened.answer.lease, LeaseOutcome::NotApplicable);
    }
    assert_eq!(ledger.store().leases_of(&alice).unwrap(), []);
}

#[tokio::test]
async fn refused_opens_say_why_and_leave_no_ticket() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    assert_eq!(
        code(&ledger.opens("alice", "pc-1").await),
        Some("LICENSE_MISSING")
    );
    ledger.loads(0).await;
    assert_eq!(
        code(&ledger.opens("alice", "pc-1").await),
        Some("LICENSE_HAS_NO_NAMED_CALS")
    );
    ledger.loads(1).await;
    ledger.sets(Setting::AllowDynamicAssignment, false).await;
    assert_eq!(
        code(&ledger.opens("alice", "pc-1").await),
        Some("NO_CAL_ASSIGNED")
    );
    let mut hidden = ledger.command("alice", "pc-1").await;
    hidden.document.name = None;
    let opened = ledger.store().open_document(hidden).await.unwrap();
    assert_eq!(code(&opened), Some("DOCUMENT_NOT_FOUND"));
    assert!(opened.launch.is_none());
    assert_eq!(ledger.cal_holders(), Vec::<String>::new());
}

#[tokio::test]
async fn an_open_by_nobody_is_an_error_that_names_them() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let command = OpenCommand {
        person: "nobody".into(),
        ..ledger.command("alice", "pc-1").await
    };
    let before = ledger.events();
    let error = ledger.store().open_document(command).await.unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
    assert_eq!(ledger.events(), before);
}

#[tokio::test]
async fn a_third_workstation_leases_once_one_of_two_was_silent_for_the_window() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    ledger.opens("alice", "pc-1").await;
    let silent_since = ledger.now();
    ledger.after(Millis::hours(1)).opens("alice", "pc-2").await;

    ledger.at(silent_since + Millis::days(7) - MS);
    let refused = ledger.opens("alice", "pc-3").await;
    assert!(granted(&refused), "R16: the document opens all the same");
    let refusal = refused.answer.refusal().unwrap();
    assert_eq!(refusal.code().as_str(), "WORKSTATION_LIMIT");
    assert_eq!(refusal.retry_at(), Some(silent_since + Millis::days(7)));
    assert_eq!(refusal.workstations().len(), 2);

    ledger.at(silent_since + Millis::days(7));
    let leased = ledger.opens("alice", "pc-3").await;
    assert!(matches!(leased.answer.lease, LeaseOutcome::Granted(_)));
    // R14: the first one now meets two others, and loses what it still had.
    let first = ledger.opens("alice", "pc-1").await;
    assert_eq!(code(&first), Some("WORKSTATION_LIMIT"));
    let early = ledger.store().leases_ended_early().unwrap();
    assert_eq!(early.len(), 1);
    ledger.is_sound();
}

#[tokio::test]
async fn an_explanation_lists_every_rule_and_agrees_with_the_open() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    ledger.person("bob").await;
    ledger.opens("bob", "pc-1").await;
    let command = ledger.command("alice", "pc-1").await;
    let Explanation { standing, answer } = explain(ledger.store(), &command);
    let rules: Vec<Rule> = standing.findings.iter().map(|f| f.rule).collect();
    assert_eq!(rules, Rule::ALL);
    let failed: Vec<Rule> = standing
        .findings
        .iter()
        .filter(|finding| !finding.passed)
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(failed, [Rule::R9]);
    let opened = ledger.store().open_document(command).await.unwrap();
    assert_eq!(opened.answer, answer);
}

#[tokio::test]
async fn a_used_cal_rests_and_an_unused_one_is_free_at_once() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    ledger.person("bob").await;
    assert_eq!(ledger.assigns("alice").await, AssignAnswer::Assigned);
    assert_eq!(ledger.assigns("alice").await, AssignAnswer::AlreadyHeld);
    assert_eq!(ledger.unassigns("alice").await, UnassignAnswer::Freed);
    assert_eq!(ledger.unassigns("alice").await, UnassignAnswer::NotHeld);

    ledger.opens("alice", "pc-1").await;
    let until = ledger.now() + Millis::days(7);
    let rests = UnassignAnswer::Quarantined { until };
    assert_eq!(ledger.unassigns("alice").await, rests);
    assert_eq!(ledger.cal_holders(), ["alice"]);
    ledger.at(until - MS);
    let refused = ledger.opens("bob", "pc-2").await;
    assert_eq!(code(&refused), Some("NO_FREE_CAL"));
    assert_eq!(refused.answer.refusal().unwrap().retry_at(), Some(until));
    ledger.at(until);
    assert_eq!(ledger.store().license().unwrap().taken, 0);
    assert!(granted(&ledger.opens("bob", "pc-2").await));
    assert_eq!(ledger.cal_holders(), ["bob"]);
    ledger.is_sound();
}

#[tokio::test]
async fn an_explanation_waits_for_a_quarantine_only_where_no_cal_is_free() {
    let ledger = Ledger::with_cals(1).await;
    for name in ["alice", "bob"] {
        ledger.person(name).await;
    }
    ledger.opens("alice", "pc-1").await;
    ledger.unassigns("alice").await;
    let until = ledger.now() + Millis::days(7);
    let command = ledger.command("bob", "pc-2").await;
    let explained = || explain(ledger.store(), &command).answer;
    let refused = explained();
    let retry_at = refused.refusal().and_then(Refusal::retry_at);
    assert_eq!(retry_at, Some(until));
    let assigned = Access::Granted(CalStep::Assigned);
    ledger.loads(2).await;
    assert_eq!(explained().access, assigned);
    ledger.loads(1).await;
    assert_eq!(explained(), refused);
    // Nothing has been written since it ended, so it still counts as taken there.
    ledger.at(until);
    assert_eq!(explained().access, assigned);
}

#[tokio::test]
async fn an_open_sees_every_lease_of_its_person_and_nobody_elses() {
    let ledger = Ledger::with_cals(2).await;
    ledger.person("alice").await;
    ledger.person("bob").await;
    for (who, workstation) in [("alice", "pc-1"), ("bob", "pc-3"), ("alice", "pc-2")] {
        assert!(granted(&ledger.opens(who, workstation).await));
        ledger.after(MS);
    }
    let command = ledger.command("alice", "pc-1").await;
    let standing = explain(ledger.store(), &command).standing;
    let names = standing.leases.iter().map(|lease| &lease.workstation.name);
    assert_eq!(names.collect::<Vec<_>>(), ["pc-1", "pc-2"]);
    assert!(
        standing
            .leases
            .iter()
            .all(|lease| lease.person == command.person)
    );
    let cal = standing.cal.unwrap();
    assert_eq!(
        (cal.person, cal.last_used_at),
        (command.person, Some(ledger.now() - MS))
    );
}

#[tokio::test]
async fn a_cal_that_is_given_back_stays_used_and_rests_for_a_full_quarantine_again() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    ledger.opens("alice", "pc-1").await;
    ledger.unassigns("alice").await;
    ledger.after(Millis::days(6));
    assert_eq!(ledger.assigns("alice").await, AssignAnswer::GivenBack);
    let cal = ledger.store().cal_of(&alice).unwrap().unwrap();
    assert!(cal.is_assigned() && cal.last_used_at.is_some());
    let until = ledger.now() + Millis::days(7);
    let rests = UnassignAnswer::Quarantined { until };
    assert_eq!(ledger.unassigns("alice").await, rests);
    ledger.at(until - MS);
    assert!(ledger.store().cal_of(&alice).unwrap().is_some());
    ledger.at(until);
    assert!(ledger.store().cal_of(&alice).unwrap().is_none());
    ledger.is_sound();
}

#[tokio::test]
async fn an_open_gives_a_resting_cal_back_only_where_assignment_is_dynamic() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    ledger.opens("alice", "pc-1").await;
    let unassigned = ledger.store().unassign_cal(user("alice"), admin()).await;
    let until = ledger.now() + Millis::days(7);
    let answer = UnassignAnswer::Quarantined { until };
    let comes_back_by_itself = true;
    assert_eq!(
        unassigned.unwrap(),
        Some(Unassigned {
            answer,
            comes_back_by_itself
        })
    );
    ledger.sets(Setting::AllowDynamicAssignment, false).await;
    let refused = ledger.opens("alice", "pc-1").await;
    assert_eq!(code(&refused), Some("CAL_QUARANTINED"));
    ledger.sets(Setting::AllowDynamicAssignment, true).await;
    let opened = ledger.opens("alice", "pc-1").await;
    assert_eq!(opened.answer.access, Access::Granted(CalStep::GivenBack));
    assert_eq!(ledger.store().license().unwrap().taken, 1);
}

#[tokio::test]
async fn unassigning_somebody_unknown_is_answered_with_nothing() {
    let ledger = Ledger::with_cals(1).await;
    let unassign = ledger.store().unassign_cal(user("nobody"), admin());
    assert_eq!(unassign.await.unwrap(), None);
}

#[tokio::test]
async fn a_cal_may_be_assigned_to_a_name_not_yet_seen_and_becomes_theirs() {
    let ledger = Ledger::with_cals(1).await;
    assert_eq!(ledger.assigns("Carol").await, AssignAnswer::Assigned);
    let carol = ledger.who("carol");
    let first = PersonFilter {
        limit: 10,
        ..PersonFilter::default()
    };
    assert_eq!(
        ledger.store().people(&first).unwrap()[0].sources,
        Vec::<String>::new()
    );
    assert_eq!(ledger.person("CAROL").await, carol.id);
    let row = ledger.store().people(&first).unwrap().remove(0);
    assert_eq!(row.sources, ["local"]);
    assert_eq!(ledger.cal_holders(), ["carol"]);
}

#[tokio::test]
async fn a_refused_assignment_makes_nobody() {
    let ledger = Ledger::with_cals(0).await;
    let AssignAnswer::Refused(refusal) = ledger.assigns("carol").await else {
        panic!("assigned without a CAL");
    };
    assert_eq!(refusal.code().as_str(), "LICENSE_HAS_NO_NAMED_CALS");
    assert!(ledger.store().person(&user("carol")).unwrap().is_none());
}

#[tokio::test]
async fn a_disabled_person_keeps_cal_and_lease_and_is_assigned_nothing() {
    let ledger = Ledger::with_cals(2).await;
    for name in ["alice", "bob"] {
        ledger.person(name).await;
    }
    ledger.opens("alice", "pc-1").await;
    for name in ["alice", "bob"] {
        let disable = ledger.store().set_active(user(name), false, admin());
        assert!(disable.await.unwrap());
    }
    assert_eq!(ledger.cal_holders(), ["alice"]);
    let refused = ledger.opens("alice", "pc-1").await;
    assert_eq!(code(&refused), Some("DOCUMENT_NOT_FOUND"));
    let AssignAnswer::Refused(refusal) = ledger.assigns("bob").await else {
        panic!("assigned to somebody disabled");
    };
    assert_eq!(refusal.code().as_str(), "USER_DISABLED");
    let nobody = ledger.store().set_active(user("nobody"), false, admin());
    assert!(!nobody.await.unwrap());
}

#[tokio::test]
async fn a_lease_is_released_by_its_person_and_revoked_by_an_administrator() {
    let ledger = Ledger::with_cals(2).await;
    let alice = ledger.person("alice").await;
    let bob = ledger.person("bob").await;
    let id = lease(&ledger.opens("alice", "pc-1").await).id.clone();
    let store = ledger.store();
    let end = |owner| store.end_lease(id.clone(), owner, admin());
    assert_eq!(end(Some(bob)).await.unwrap(), None);
    assert_eq!(end(Some(alice.clone())).await.unwrap(), Some(true));
    assert_eq!(end(Some(alice.clone())).await.unwrap(), Some(false));
    assert_eq!(end(None).await.unwrap(), Some(false));
    assert_eq!(
        store.leases_of(&alice).unwrap()[0].state,
        LeaseState::Released
    );
    let unknown = store.end_lease("unknown".into(), None, admin()).await;
    assert_eq!(unknown.unwrap(), None);

    // R19: the workstation still counts, and may lease again.
    let again = lease(&ledger.opens("alice", "pc-1").await).id.clone();
    assert_ne!(again, id);
    let revoke = store.end_lease(again.clone(), None, admin()).await;
    assert_eq!(revoke.unwrap(), Some(true));
    let early = store.leases_ended_early().unwrap();
    assert_eq!(early.len(), 2);
    ledger.is_sound();
}

#[tokio::test]
async fn leases_are_listed_by_page_and_by_person() {
    let ledger = Ledger::with_cals(3).await;
    let alice = ledger.person("alice").await;
    ledger.person("bob").await;
    for (who, workstation) in [("alice", "pc-1"), ("alice", "pc-2"), ("bob", "pc-1")] {
        ledger.opens(who, workstation).await;
    }
    let store = ledger.store();
    let mut filter = LeaseFilter {
        limit: 2,
        ..LeaseFilter::default()
    };
    let first = store.leases(&filter).unwrap();
    assert_eq!(first.len(), 2);
    filter.after = first[1].lease.id.0.clone();
    let second = store.leases(&filter).unwrap();
    assert_eq!(second.len(), 1);
    let of_alice = LeaseFilter {
        person: Some(alice),
        limit: 10,
        ..LeaseFilter::default()
    };
    let users: Vec<String> = store
        .leases(&of_alice)
        .unwrap()
        .into_iter()
        .map(|row| row.user)
        .collect();
    assert_eq!(users, ["alice", "alice"]);
}

#[tokio::test]
async fn an_ended_lease_is_listed_for_90_days() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    let id = lease(&ledger.opens("alice", "pc-1").await).id.clone();
    let end = ledger.store().end_lease(id, None, admin());
    end.await.unwrap();
    let listed = || ledger.store().leases_of(&alice).unwrap().len();
    ledger.at(ledger.now() + Millis::days(90) - MS);
    assert_eq!(listed(), 1);
    ledger.after(MS);
    assert_eq!(listed(), 0);
}

#[tokio::test]
async fn a_workstation_is_known_by_its_secret_and_named_by_who_signed_in_there() {
    let ledger = Ledger::new();
    let alice = ledger.person("alice").await;
    let bob = ledger.person("bob").await;
    let store = ledger.store();
    let made = see(store, "pc-1").await;
    assert_eq!(see(store, "pc-1").await, made);
    ledger.signs_in("alice", "pc-1").await;
    let rename = |person: &accesspoint::domain::person::PersonId| {
        let name = "desk".to_owned();
        store.rename_workstation(person.clone(), made.id.clone(), name, admin())
    };
    assert!(!rename(&bob).await.unwrap());
    assert!(rename(&alice).await.unwrap());
    let known = store.workstation_by_secret(&workstation_hash("pc-1"));
    assert_eq!(known.unwrap().unwrap().name, "desk");
    let listed = store.workstations("", 10).unwrap();
    assert_eq!(listed[0].users, ["alice"]);
    assert_eq!(store.workstations_of(&alice).unwrap().len(), 1);
    assert_eq!(store.workstations_of(&bob).unwrap().len(), 0);
}

#[tokio::test]
async fn a_sign_in_is_remembered_at_a_workstation_for_90_days() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    ledger.signs_in("alice", "pc-1").await;
    let pc = ledger.workstation("pc-1").await.id;
    let lately = |name: &str| ledger.store().signed_in_lately(&user(name), &pc).unwrap();
    assert!(!lately("bob"));
    ledger.at(ledger.now() + Millis::days(90) - MS);
    assert!(lately("alice"));
    ledger.after(MS);
    assert!(!lately("alice"));
}

#[tokio::test]
async fn a_lifted_workstation_loses_its_leases_and_counts_no_more() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    for name in ["pc-1", "pc-2"] {
        ledger.opens("alice", name).await;
    }
    let pc = ledger.workstation("pc-1").await.id;
    let lift = |id| ledger.store().lift_workstation(id, admin());
    assert_eq!(lift("unknown".into()).await.unwrap(), None);
    assert_eq!(lift(pc.clone()).await.unwrap(), Some(1));
    assert_eq!(lift(pc).await.unwrap(), Some(0));
    let third = ledger.opens("alice", "pc-3").await;
    assert!(matches!(third.answer.lease, LeaseOutcome::Granted(_)));
    ledger.is_sound();
}

#[tokio::test]
async fn a_merged_workstation_goes_on_as_the_other_one() {
    let ledger = Ledger::with_cals(2).await;
    ledger.person("alice").await;
    ledger.person("bob").await;
    let session = ledger.signs_in("alice", "pc-1").await;
    ledger.opens("alice", "pc-1").await;
    ledger.after(Millis::hours(1));
    let kept = lease(&ledger.opens("alice", "pc-2").await).id.clone();
    let moved = lease(&ledger.opens("bob", "pc-1").await).id.clone();
    let (from, into) = (
        ledger.workstation("pc-1").await,
        ledger.workstation("pc-2").await,
    );
    let store = ledger.store();
    let merge = |a, b| store.merge_workstation(a, b, admin());
    assert_eq!(
        merge(from.id.clone(), "unknown".into()).await.unwrap(),
        None
    );
    let merged = merge(from.id.clone(), into.id.clone()).await.unwrap();
    assert_eq!(merged, Some(1), "of alice's two live leases one stays");

    assert_eq!(ledger.workstation("pc-1").await, into);
    let seen = store.session(&session).unwrap().unwrap();
    assert_eq!(seen.workstation, into);
    assert_eq!(lease(&ledger.opens("alice", "pc-1").await).id, kept);
    assert_eq!(lease(&ledger.opens("bob", "pc-2").await).id, moved);
    assert_eq!(store.workstations("", 10).unwrap().len(), 1);
    assert!(store.signed_in_lately(&user("alice"), &into.id).unwrap());
    let again = merge(from.id, into.id).await.unwrap();
    assert_eq!(again, Some(0), "merging once more changes nothing");
    ledger.is_sound();
}

#[tokio::test]
async fn a_merge_keeps_the_later_sign_in() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    ledger.signs_in("alice", "pc-2").await;
    ledger
        .after(Millis::days(80))
        .signs_in("alice", "pc-1")
        .await;
    let (from, into) = (
        ledger.workstation("pc-1").await.id,
        ledger.workstation("pc-2").await.id,
    );
    let merge = ledger
        .store()
        .merge_workstation(from, into.clone(), admin());
    merge.await.unwrap();
    ledger.after(Millis::days(20));
    assert!(
        ledger
            .store()
            .signed_in_lately(&user("alice"), &into)
            .unwrap()
    );
}

#[tokio::test]
async fn a_long_row_of_merges_leads_to_its_end() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let id = lease(&ledger.opens("alice", "pc-0").await).id.clone();
    for number in 0..12 {
        let from = ledger.workstation(&format!("pc-{number}")).await.id;
        let into = ledger.workstation(&format!("pc-{}", number + 1)).await.id;
        ledger
            .store()
            .merge_workstation(from, into, admin())
            .await
            .unwrap();
    }
    let end = ledger.workstation("pc-12").await;
    assert_eq!(end.name, "pc-12");
    assert_eq!(ledger.workstation("pc-0").await, end);
    assert_eq!(lease(&ledger.opens("alice", "pc-0").await).id, id);
}

#[tokio::test]
async fn a_licence_that_is_too_small_is_loaded_only_by_force() {
    let ledger = Ledger::with_cals(2).await;
    for name in ["alice", "bob", "carol"] {
        ledger.person(name).await;
    }
    ledger.opens("alice", "pc-1").await;
    ledger.opens("bob", "pc-2").await;
    let too_small = LoadAnswer::TooSmall { held: 1, taken: 2 };
    assert_eq!(ledger.loads(1).await, too_small);
    assert_eq!(ledger.store().license().unwrap().held, 2);
    let forced = ledger.loads_lef(&super::harness::lef(1), Force::Yes).await;
    assert_eq!(forced, LoadAnswer::Loaded { held: 1, taken: 2 });
    let license = ledger.store().license().unwrap();
    assert!(license.overcommitted());
    assert_eq!(license.loaded_at, Some(ledger.now()));

    // Holders go on, giving back one's own is allowed, nobody new.
    assert!(granted(&ledger.opens("alice", "pc-1").await));
    ledger.unassigns("bob").await;
    assert_eq!(ledger.assigns("bob").await, AssignAnswer::GivenBack);
    assert_eq!(
        code(&ledger.opens("carol", "pc-3").await),
        Some("NO_FREE_CAL")
    );
    ledger.is_sound();
}

#[tokio::test]
async fn a_licence_whose_line_lapsed_may_be_overcommitted_and_stays_sound() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let text = "PRODUCTLEVEL;10;;\nNAMED_CALS;1;;2026-03-02\n";
    ledger.loads_lef(text, Force::No).await;
    ledger.opens("alice", "pc-1").await;
    ledger.at("2026-03-03T00:00:00.000Z".parse().unwrap());
    let license = ledger.store().license().unwrap();
    assert_eq!((license.held, license.taken), (0, 1));
    assert!(license.overcommitted());
    ledger.is_sound();
    assert!(
        granted(&ledger.opens("alice", "pc-1").await),
        "R6: lease alone"
    );
}

#[tokio::test]
async fn the_check_finds_cals_beyond_the_licence_and_a_wrong_counter() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    ledger.person("bob").await;
    ledger.opens("alice", "pc-1").await;
    let found = |sql: &str| {
        ledger.raw().execute_batch(sql).unwrap();
        let violations = ledger.store().check().unwrap();
        violations.iter().map(|v| v.invariant).collect::<Vec<_>>()
    };
    let stolen = "INSERT INTO cal (person_id, state, assigned_at)
                  SELECT id, 'assigned', 0 FROM person WHERE name = 'bob'";
    assert_eq!(found(stolen), ["I8", "I1"]);
    assert_eq!(found("UPDATE gate SET cals_taken = 2"), ["I1"]);
}

#[tokio::test]
async fn people_are_added_found_and_renamed_with_everything_they_have() {
    let ledger = Ledger::with_cals(1).await;
    let new = NewPerson {
        roles: vec![Role::Operator],
        groups: vec!["Sales, North".to_owned(), "HR".to_owned()],
        ..new_person("Alice")
    };
    let store = ledger.store();
    let added = store.add_person(new.clone(), admin()).await.unwrap();
    let Added::Added(id) = added else {
        panic!("the name is free")
    };
    let taken = store.add_person(new, admin()).await.unwrap();
    assert_eq!(taken, Added::NameTaken);
    let alice = ledger.who("ALICE");
    assert_eq!((&alice.id, alice.name.as_str()), (&id, "alice"));
    assert_eq!(alice.roles, [Role::Operator]);
    assert_eq!(alice.groups, ["Sales, North", "HR"]);
    assert_eq!(store.person_by_id(&id).unwrap(), Some(alice));

    ledger.person("bob").await;
    ledger.opens("alice", "pc-1").await;
    let rename = |old, new| store.rename(user(old), user(new), admin());
    assert_eq!(rename("nobody", "x").await.unwrap(), Renamed::Unknown);
    assert_eq!(rename("alice", "bob").await.unwrap(), Renamed::NameTaken);
    assert_eq!(rename("alice", "alicia").await.unwrap(), Renamed::Renamed);
    assert_eq!(ledger.cal_holders(), ["alicia"]);
    assert_eq!(store.leases_of(&id).unwrap().len(), 1);
    assert!(store.password(&user("alicia")).unwrap().is_some());
    assert!(store.person(&user("alice")).unwrap().is_none());
    ledger.is_sound();
}

#[tokio::test]
async fn people_are_listed_by_page() {
    let ledger = Ledger::new();
    for name in ["carol", "alice", "bob"] {
        ledger.person(name).await;
    }
    let names = |after: &str, limit| {
        let after = after.to_owned();
        let page = ledger.store().people(&PersonFilter { after, limit });
        let rows = page.unwrap().into_iter();
        rows.map(|row| row.person.name).collect::<Vec<_>>()
    };
    assert_eq!(names("", 2), ["alice", "bob"]);
    assert_eq!(names("bob", 2), ["carol"]);
}

#[tokio::test]
async fn a_password_is_set_and_rehashed_only_where_it_is_still_the_same() {
    let ledger = Ledger::new();
    let alice = ledger.person("alice").await;
    let store = ledger.store();
    let hash = || store.password(&user("alice")).unwrap().unwrap().1;
    assert_eq!(hash(), "hash of alice");
    let set = |who, hash: &str| store.set_password(user(who), hash.to_owned(), None, admin());
    assert!(set("alice", "second").await.unwrap());
    assert!(!set("nobody", "second").await.unwrap());
    let rehash = |old: &str, new: &str| {
        let (old, new) = (old.to_owned(), new.to_owned());
        store.rehash_later(alice.clone(), old, new).unwrap();
    };
    rehash("hash of alice", "stale");
    store.ping().await.unwrap();
    assert_eq!(hash(), "second");
    rehash("second", "stronger");
    store.ping().await.unwrap();
    assert_eq!(hash(), "stronger");
}

#[tokio::test]
async fn favourites_are_marked_once_and_taken_away() {
    let ledger = Ledger::new();
    let alice = ledger.person("alice").await;
    let store = ledger.store();
    for (id, on) in [("b", true), ("a", true), ("a", true), ("c", false)] {
        let mark = store.set_favourite(alice.clone(), id.to_owned(), on);
        mark.await.unwrap();
    }
    assert_eq!(store.favourites(&alice).unwrap(), ["a", "b"]);
    let unmark = store.set_favourite(alice.clone(), "a".to_owned(), false);
    unmark.await.unwrap();
    assert_eq!(store.favourites(&alice).unwrap(), ["b"]);
    let (person, here) = (ledger.who("alice"), ledger.workstation("pc-1").await);
    let what_if = WhatIf::of_any_document(&person, &here);
    let (standing, favourites) = store.standing_and_favourites(what_if).unwrap();
    assert_eq!(favourites, ["b"]);
    assert!(standing.cal.is_none() && standing.leases.is_empty());
}

#[tokio::test]
async fn wrong_tries_count_for_their_window_as_far_as_the_limit() {
    let ledger = Ledger::new();
    let store = ledger.store();
    let key = ThrottleKey::Account(user("alice"));
    let first = ledger.now();
    for number in 0..12 {
        let note =
            store.note_wrong_try(vec![key.clone()], Some("alice".into()), "192.0.2.7".into());
        let full_until = (number >= 10).then_some(first + Millis::minutes(1));
        assert_eq!(note.await.unwrap(), full_until, "{number}");
        ledger.after(MS);
    }
    let wrong_at = |key: &ThrottleKey| {
        let known = store.tries(std::slice::from_ref(key), &[]);
        known.unwrap().remove(0).wrong_at
    };
    let tries = wrong_at(&key);
    assert_eq!(tries.len(), key.limit().tries);
    assert!(tries.is_sorted() && tries[0] == first);
    ledger.at(tries[9] + Millis::minutes(1) - MS);
    assert_eq!(wrong_at(&key), [tries[9]]);
    ledger.after(MS);
    assert_eq!(wrong_at(&key), []);
    let other = ThrottleKey::Account(user("bob"));
    assert_eq!(wrong_at(&other), []);
}

#[tokio::test]
async fn a_token_is_found_by_hash_until_it_ends_or_is_revoked() {
    let ledger = Ledger::new();
    let store = ledger.store();
    let new = |hash: &str| NewToken {
        name: "script".to_owned(),
        scopes: vec![Scope::WebTicket, Scope::AdminRead],
        hash: hash.to_owned(),
        life: Millis::days(1),
    };
    let short = store.create_token(new("one"), Actor::command_line());
    short.await.unwrap();
    let found = store.token("one").unwrap().unwrap();
    assert_eq!(found.scopes, [Scope::WebTicket, Scope::AdminRead]);
    assert_eq!(found.created_by, "command line");
    assert!(store.token("two").unwrap().is_none());
    ledger.at(found.expires_at - MS);
    assert!(store.token("one").unwrap().is_some());
    ledger.at(found.expires_at);
    assert!(store.token("one").unwrap().is_none());

    let id = store.create_token(new("two"), admin()).await.unwrap();
    assert!(store.revoke_token(id.clone(), admin()).await.unwrap());
    assert!(store.revoke_token(id, admin()).await.unwrap());
    assert!(!store.revoke_token("none".into(), admin()).await.unwrap());
    assert!(store.token("two").unwrap().is_none());
    assert_eq!(store.tokens("", 10).unwrap().len(), 2);
}

#[tokio::test]
async fn a_sweep_ends_and_removes_what_time_has_ended() {
    let ledger = Ledger::with_cals(2).await;
    let alice = ledger.person("alice").await;
    ledger.signs_in("alice", "pc-1").await;
    ledger.opens("alice", "pc-1").await;
    ledger.unassigns("alice").await;
    let keys = vec![ThrottleKey::Account(user("alice"))];
    let note = ledger
        .store()
        .note_wrong_try(keys, Some("alice".into()), "::1".into());
    note.await.unwrap();
    let sweep = || ledger.store().sweep();
    assert_eq!(sweep().await.unwrap(), accesspoint::store::Swept::default());

    ledger.after(Millis::days(30));
    let swept = sweep().await.unwrap();
    assert_eq!(
        (swept.quarantines, swept.leases, swept.old_leases),
        (1, 1, 0)
    );
    assert_eq!((swept.sessions, swept.tickets, swept.tries), (1, 1, 1));
    ledger.after(Millis::days(90));
    assert_eq!(sweep().await.unwrap().old_leases, 1);
    assert_eq!(ledger.store().leases_of(&alice).unwrap(), []);
    ledger.is_sound();
}

#[tokio::test]
async fn cals_are_listed_by_page() {
    let ledger = Ledger::with_cals(3).await;
    for name in ["carol", "alice", "bob"] {
        ledger.person(name).await;
        ledger.assigns(name).await;
    }
    let names = |after: &str, limit| {
        let rows = ledger.store().cals(after, limit).unwrap().into_iter();
        rows.map(|row| row.user).collect::<Vec<_>>()
    };
    assert_eq!(names("", 2), ["alice", "bob"]);
    assert_eq!(names("bob", 2), ["carol"]);
}

#[tokio::test]
async fn a_switch_that_is_set_to_what_it_is_changes_nothing() {
    let ledger = Ledger::with_cals(1).await;
    let before = ledger.events();
    for setting in Setting::ALL {
        ledger.sets(setting, true).await;
    }
    assert_eq!(ledger.events(), before);
    ledger.person("alice").await;
    ledger.sets(Setting::AllowLicenseLease, false).await;
    let opened = ledger.opens("alice", "pc-1").await;
    assert!(granted(&opened));
    assert_eq!(code(&opened), Some("LEASING_SWITCHED_OFF"));
}

#[tokio::test]
async fn closing_waits_until_what_was_asked_is_written() {
    let mut ledger = Ledger::new();
    let alice = ledger.person("alice").await;
    let (old, new) = ("hash of alice".to_owned(), "last words".to_owned());
    ledger.store().rehash_later(alice, old, new).unwrap();
    ledger.reopen();
    let (_, hash) = ledger.store().password(&user("alice")).unwrap().unwrap();
    assert_eq!(hash, "last words");
}
