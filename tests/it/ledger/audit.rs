//! The audit: one event for each open and each command that changed or was refused (R18), and a
//! chain that shows every change of a row.

use accesspoint::domain::administer::Force;
use accesspoint::domain::change::{Event, EventKind};
use accesspoint::domain::person::Person;
use accesspoint::domain::time::Millis;
use accesspoint::store::{AuditFilter, BrokenChain, NewToken, OpenCommand, Setting};

use super::harness::{
    LAUNCH_LIFE, Ledger, SALES, admin, all_at_once, explain, lease, lef, new_person, see, user,
};

/// Asserts that what runs leaves exactly these events: name and code.
macro_rules! leaves {
    ($ledger:expr, $run:expr, [$($event:expr),*]) => {{
        let before = $ledger.events();
        let _answer = $run.await;
        let events = $ledger.audit().split_off(before);
        let events: Vec<(&str, Option<&str>)> = events
            .iter()
            .map(|row| (row.event.as_str(), row.code.as_deref()))
            .collect();
        let expected: Vec<(&str, Option<&str>)> = vec![$($event),*];
        assert_eq!(events, expected, "{}", stringify!($run));
    }};
}

#[tokio::test]
async fn each_open_leaves_one_event_with_its_outcome() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    ledger.person("bob").await;
    for name in ["pc-1", "pc-2", "pc-3"] {
        ledger.workstation(name).await;
    }
    let opened = ("document_opened", None);
    leaves!(ledger, ledger.opens("alice", "pc-1"), [opened]);
    leaves!(ledger, ledger.opens("alice", "pc-1"), [opened]);
    leaves!(ledger, ledger.opens("alice", "pc-2"), [opened]);
    let limited = ("document_opened", Some("WORKSTATION_LIMIT"));
    leaves!(ledger, ledger.opens("alice", "pc-3"), [limited]);
    let refused = ("document_opened", Some("NO_FREE_CAL"));
    leaves!(ledger, ledger.opens("bob", "pc-1"), [refused]);
    let row = ledger.audit().pop().unwrap();
    assert_eq!(row.user.as_deref(), Some("bob"));
    assert_eq!(row.actor, "user bob");
    assert_eq!(row.at, ledger.now());
    assert_eq!(row.person, Some(ledger.who("bob").id));
}

#[tokio::test]
async fn the_rows_of_a_person_are_found_among_many_of_others() {
    // More rows than stand together in the index of people.
    let ledger = Ledger::with_cals(2).await;
    for name in ["alice", "bob"] {
        ledger.person(name).await;
        ledger.opens(name, "pc-1").await;
    }
    let (alice, bob) = (ledger.who("alice"), ledger.who("bob"));
    for wave in 0..5 {
        let notes = (0..500).map(|number| {
            let rare = wave % 2 == 0 && number == 7;
            let about = if rare { &alice } else { &bob };
            let event = Event::new(EventKind::DocumentLaunched).about(&about.id, &about.name);
            ledger.store().note(event, admin())
        });
        for noted in all_at_once(notes).await {
            noted.unwrap();
        }
    }
    let all = ledger.audit();
    let expected = |person: &Person| -> Vec<i64> {
        let rows = all.iter().rev();
        let rows = rows.filter(|row| row.person.as_ref() == Some(&person.id));
        rows.map(|row| row.seq).collect()
    };
    for person in [&alice, &bob] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let rows = ledger.store().audit(&AuditFilter {
                before,
                person: Some(person.id.clone()),
                limit: 700,
            });
            let rows = rows.unwrap();
            found.extend(rows.iter().map(|row| row.seq));
            before = found.last().copied();
            if rows.len() < 700 {
                break;
            }
        }
        assert_eq!(found, expected(person), "{}", person.name);
    }
}

#[tokio::test]
async fn an_explanation_leaves_nothing() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let command = ledger.command("alice", "pc-1").await;
    let before = ledger.events();
    explain(ledger.store(), &command);
    assert_eq!(ledger.events(), before);
    assert!(ledger.cal_holders().is_empty());
}

#[tokio::test]
async fn each_command_on_cals_and_the_licence_leaves_one_event_or_none() {
    let ledger = Ledger::new();
    let refused = ("cal_assigned", Some("LICENSE_MISSING"));
    leaves!(ledger, ledger.assigns("alice"), [refused]);
    leaves!(ledger, ledger.loads(1), [("license_loaded", None)]);
    leaves!(ledger, ledger.assigns("alice"), [("cal_assigned", None)]);
    leaves!(ledger, ledger.assigns("alice"), []);
    let none_free = ("cal_assigned", Some("NO_FREE_CAL"));
    leaves!(ledger, ledger.assigns("bob"), [none_free]);
    let too_small = ("license_loaded", Some("NO_FREE_CAL"));
    leaves!(ledger, ledger.loads(0), [too_small]);
    let forced = lef(0);
    let by_force = ledger.loads_lef(&forced, Force::Yes);
    leaves!(ledger, by_force, [("license_loaded", None)]);
    leaves!(
        ledger,
        ledger.unassigns("alice"),
        [("cal_unassigned", None)]
    );
    leaves!(ledger, ledger.unassigns("alice"), []);
    let nobody = ledger.store().unassign_cal(user("nobody"), admin());
    leaves!(ledger, nobody, []);
    let switch = Setting::AllowLicenseLease;
    leaves!(
        ledger,
        ledger.sets(switch, false),
        [("setting_changed", None)]
    );
    leaves!(ledger, ledger.sets(switch, false), []);
}

#[tokio::test]
async fn each_command_on_leases_and_workstations_leaves_one_event_or_none() {
    let ledger = Ledger::with_cals(2).await;
    let alice = ledger.person("alice").await;
    ledger.signs_in("alice", "pc-1").await;
    let id = lease(&ledger.opens("alice", "pc-1").await).id.clone();
    let store = ledger.store();
    let release = || store.end_lease(id.clone(), Some(alice.clone()), admin());
    leaves!(ledger, release(), [("lease_released", None)]);
    leaves!(ledger, release(), []);
    let id = lease(&ledger.opens("alice", "pc-1").await).id.clone();
    let revoke = store.end_lease(id, None, admin());
    leaves!(ledger, revoke, [("lease_revoked", None)]);
    let unknown = store.end_lease("unknown".into(), None, admin());
    leaves!(ledger, unknown, []);
    let (one, two) = (see(store, "pc-1").await.id, see(store, "pc-2").await.id);
    let rename = store.rename_workstation(alice, one.clone(), "desk".to_owned(), admin());
    leaves!(ledger, rename, [("workstation_renamed", None)]);
    let lift = store.lift_workstation(one.clone(), admin());
    leaves!(ledger, lift, [("workstation_lifted", None)]);
    let merge = || store.merge_workstation(one.clone(), two.clone(), admin());
    leaves!(ledger, merge(), [("workstation_merged", None)]);
    leaves!(ledger, merge(), []);
}

#[tokio::test]
async fn each_command_on_people_leaves_one_event_or_none() {
    let ledger = Ledger::new();
    let store = ledger.store();
    let add = || store.add_person(new_person("alice"), admin());
    leaves!(ledger, add(), [("user_added", None)]);
    leaves!(ledger, add(), [("user_added", Some("USER_NAME_TAKEN"))]);
    ledger.person("bob").await;
    let active = |on| store.set_active(user("alice"), on, admin());
    leaves!(ledger, active(true), []);
    leaves!(ledger, active(false), [("user_disabled", None)]);
    leaves!(ledger, active(false), []);
    leaves!(ledger, active(true), [("user_enabled", None)]);
    let rename = |old, new| store.rename(user(old), user(new), admin());
    let taken = ("user_renamed", Some("USER_NAME_TAKEN"));
    leaves!(ledger, rename("alice", "bob"), [taken]);
    leaves!(ledger, rename("alice", "alice"), []);
    leaves!(ledger, rename("nobody", "x"), []);
    leaves!(ledger, rename("alice", "alicia"), [("user_renamed", None)]);
    let password = store.set_password(user("bob"), "hash".to_owned(), None, admin());
    leaves!(ledger, password, [("password_set", None)]);
    let keys = Vec::new();
    let wrong = store.note_wrong_try(keys, Some("bob".to_owned()), "192.0.2.7".to_owned());
    leaves!(ledger, wrong, [("sign_in_refused", Some("SIGN_IN_FAILED"))]);
}

#[tokio::test]
async fn each_command_on_sessions_and_tokens_leaves_one_event_or_none() {
    let ledger = Ledger::new();
    let alice = ledger.person("alice").await;
    ledger.workstation("pc-1").await;
    let store = ledger.store();
    let sign_in = ledger.begins("one", "alice", "pc-1");
    leaves!(ledger, sign_in, [("signed_in", None)]);
    let out = || store.end_session("one".to_owned());
    leaves!(ledger, out(), [("signed_out", None)]);
    leaves!(ledger, out(), []);
    ledger.begins("two", "alice", "pc-1").await;
    let id = store.session("two").unwrap().unwrap().id.clone();
    let end_one = || store.end_session_of(None, id.clone(), admin());
    leaves!(ledger, end_one(), [("sessions_ended", None)]);
    leaves!(ledger, end_one(), []);
    ledger.begins("three", "alice", "pc-1").await;
    let end_all = || store.end_sessions_of(alice.clone(), None, admin());
    leaves!(ledger, end_all(), [("sessions_ended", None)]);
    leaves!(ledger, end_all(), []);
    let new = NewToken {
        name: "script".to_owned(),
        scopes: Vec::new(),
        hash: "hash".to_owned(),
        life: Millis::days(1),
    };
    let create = store.create_token(new, admin());
    leaves!(ledger, create, [("token_created", None)]);
    let id = store.tokens("", 1).unwrap()[0].id.clone();
    let revoke = || store.revoke_token(id.clone(), admin());
    leaves!(ledger, revoke(), [("token_revoked", None)]);
    leaves!(ledger, revoke(), []);
}

#[tokio::test]
async fn no_secret_stands_in_the_audit() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let session = ledger.signs_in("alice", "pc-1").await;
    let secret = ledger.opens("alice", "pc-1").await.launch.unwrap().secret;
    for row in ledger.audit() {
        for hidden in [&session, &secret, "hash of alice"] {
            assert!(!row.detail.contains(hidden), "{row:?}");
        }
    }
}

#[tokio::test]
async fn the_audit_is_read_by_page_and_by_person_without_gaps() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    ledger.person("bob").await;
    ledger.opens("alice", "pc-1").await;
    let numbers = |filter: &AuditFilter| {
        let rows = ledger.store().audit(filter).unwrap();
        rows.iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    let mut filter = AuditFilter {
        limit: 3,
        ..AuditFilter::default()
    };
    assert_eq!(numbers(&filter), [4, 3, 2]);
    filter.before = Some(2);
    assert_eq!(numbers(&filter), [1]);
    let of_alice = AuditFilter {
        person: Some(alice),
        limit: 10,
        ..AuditFilter::default()
    };
    assert_eq!(numbers(&of_alice), [4, 2]);
    let oldest_first = ledger.store().audit_from(3, 10).unwrap();
    assert_eq!(
        oldest_first.iter().map(|row| row.seq).collect::<Vec<_>>(),
        [3, 4]
    );
}

/// A ledger with five events, and what its verification finds after a change past the store.
async fn verdict_after(change: &str) -> Option<BrokenChain> {
    let ledger = Ledger::with_cals(1).await;
    for name in ["alice", "bob", "carol", "dave"] {
        ledger.person(name).await;
    }
    let verdict = ledger.store().verify_audit().unwrap();
    assert_eq!((verdict.rows, verdict.broken), (5, None));
    assert_eq!(ledger.raw().execute(change, []).unwrap(), 1, "{change}");
    ledger.store().verify_audit().unwrap().broken
}

#[tokio::test]
async fn a_row_whose_field_was_changed_is_found() {
    for field in [
        "at = at + 1",
        "event = 'user_enabled'",
        "code = 'X'",
        "code = ''",
        "person_id = NULL",
        "user_name = 'mallory'",
        "actor = 'user mallory'",
        "detail = '{}'",
        "hash = 'ab'",
    ] {
        let broken = verdict_after(&format!("UPDATE audit SET {field} WHERE seq = 3")).await;
        assert_eq!(broken.map(|broken| broken.seq), Some(3), "{field}");
    }
}

#[tokio::test]
async fn a_row_that_was_removed_is_found() {
    for seq in 1..=5 {
        let broken = verdict_after(&format!("DELETE FROM audit WHERE seq = {seq}")).await;
        assert_eq!(broken.map(|broken| broken.seq), Some(seq));
    }
}

#[tokio::test]
async fn a_row_that_was_put_in_is_found() {
    for seq in [-7, 0, 6, 100] {
        let broken = verdict_after(&format!(
            "INSERT INTO audit (seq, at, event, actor, detail, hash)
             SELECT {seq}, at, event, actor, detail, hash FROM audit WHERE seq = 1"
        ))
        .await;
        assert!(broken.is_some(), "a row with the number {seq}");
    }
}

#[tokio::test]
async fn a_row_that_was_moved_to_the_front_is_found() {
    let broken = verdict_after("UPDATE audit SET seq = 0 WHERE seq = 3").await;
    assert_eq!(broken.map(|broken| broken.seq), Some(0));
}

#[tokio::test]
async fn an_audit_of_several_pages_verifies_and_its_last_row_counts() {
    let ledger = Ledger::new();
    for number in 0..1_050 {
        let wrong = ledger.store().note_wrong_try(
            Vec::new(),
            Some(format!("somebody {number}")),
            "192.0.2.7".to_owned(),
        );
        wrong.await.unwrap();
    }
    let verdict = ledger.store().verify_audit().unwrap();
    assert_eq!((verdict.rows, verdict.broken), (1_050, None));
    let cut = "DELETE FROM audit WHERE seq = 1050";
    ledger.raw().execute(cut, []).unwrap();
    let broken = ledger.store().verify_audit().unwrap().broken.unwrap();
    assert_eq!(broken.seq, 1_050);
}

#[tokio::test]
async fn a_redemption_leaves_one_event_at_its_first_time_and_where_it_is_refused() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    let command: OpenCommand = ledger.command("alice", "pc-1").await;
    let opened = ledger.store().open_document(command.clone()).await.unwrap();
    let redeem = || {
        let redeem = accesspoint::store::Redeem {
            secret: opened.launch.as_ref().unwrap().secret.clone(),
            session_hash: command.session_hash.clone(),
            person: alice.clone(),
            workstation: command.workstation.id.clone(),
            document: SALES.to_owned(),
            resumes: false,
        };
        ledger.store().redeem(redeem)
    };
    leaves!(ledger, redeem(), [("document_launched", None)]);
    leaves!(ledger, redeem(), []);
    ledger.after(LAUNCH_LIFE);
    let used = ("document_launched", Some("LAUNCH_TICKET_USED"));
    leaves!(ledger, redeem(), [used]);
    ledger.is_sound();
}
