//! Sessions: their limits, and that every change counts from the next read on, whoever made it.

use accesspoint::domain::name::UserName;
use accesspoint::domain::person::{PersonId, Role};
use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::store::{
    LOCAL_SOURCE, Linked, NewAtProvider, PersonChange, PersonChanged, ProviderLoggedOut,
    ProviderLogout, SessionBegun, Store,
};

use super::harness::{IDLE, Ledger, MS, SESSION_LIFE, admin, user};

/// When a session was seen last, as it is stored.
fn stored_last_seen(ledger: &Ledger) -> Timestamp {
    let sql = "SELECT last_seen_at FROM session";
    Timestamp(ledger.raw().query_one(sql, [], |row| row.get(0)).unwrap())
}

#[tokio::test]
async fn a_session_tells_who_and_where() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    let session = ledger.store().session(&hash).unwrap().unwrap();
    assert_eq!(session.person.name, "alice");
    assert_eq!(session.workstation.name, "pc-1");
    assert_eq!(session.created_at, ledger.now());
    assert_eq!(session.ends_at, ledger.now() + SESSION_LIFE);
    assert_ne!(session.id, hash);
    assert!(ledger.store().session("another").unwrap().is_none());
    let row = ledger.store().sessions(None, "", 10).unwrap().remove(0);
    assert_eq!(
        (row.id.as_str(), row.user.as_str()),
        (session.id.as_str(), "alice")
    );
    assert_eq!(
        (row.address.as_str(), row.agent.as_str()),
        ("192.0.2.7", "a browser")
    );
}

#[tokio::test]
async fn a_session_ends_when_it_was_idle_for_so_long() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    let alive = || ledger.store().session(&hash).unwrap().is_some();
    ledger.at(ledger.now() + IDLE - MS);
    assert!(alive(), "the last millisecond; the read is a sign of life");
    ledger.at(ledger.now() + IDLE - MS);
    assert!(alive());
    ledger.after(IDLE);
    assert!(!alive());
    ledger.after(MS);
    assert!(!alive());
}

#[tokio::test]
async fn a_session_ends_at_its_absolute_end_however_busy() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    let end = ledger.now() + SESSION_LIFE;
    let alive = || ledger.store().session(&hash).unwrap().is_some();
    while ledger.now() + Millis::hours(4) < end {
        ledger.after(Millis::hours(4));
        assert!(alive());
    }
    ledger.at(end - MS);
    assert!(alive());
    ledger.at(end);
    assert!(!alive());
    ledger.at(end + MS);
    assert!(!alive());
    assert_eq!(ledger.store().sessions(None, "", 10).unwrap().len(), 0);
}

#[tokio::test]
async fn last_seen_is_written_at_most_once_a_minute() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    let began = ledger.now();
    let read = || ledger.store().session(&hash).unwrap().unwrap();
    ledger.at(began + Millis::minutes(1) - MS);
    read();
    ledger.store().ping().await.unwrap();
    assert_eq!(stored_last_seen(&ledger), began);
    ledger.at(began + Millis::minutes(1));
    read();
    ledger.store().ping().await.unwrap();
    let written = stored_last_seen(&ledger);
    assert_eq!(written, began + Millis::minutes(1));
    ledger.at(written + Millis::minutes(1) - MS);
    read();
    ledger.store().ping().await.unwrap();
    assert_eq!(stored_last_seen(&ledger), written);
}

#[tokio::test]
async fn a_sign_of_life_at_one_gateway_counts_at_another() {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    let (here, there) = (ledger.store(), ledger.another());
    assert!(here.session(&hash).unwrap().is_some());
    for _ in 0..2 {
        ledger.after(Millis::hours(5));
        assert!(there.session(&hash).unwrap().is_some());
        there.ping().await.unwrap();
    }
    assert!(here.session(&hash).unwrap().is_some());
}

#[tokio::test]
async fn a_session_survives_a_restart_of_the_gateway() {
    let mut ledger = Ledger::new();
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    ledger.reopen();
    assert!(ledger.store().session(&hash).unwrap().is_some());
}

#[tokio::test]
async fn the_secret_itself_is_nowhere_in_the_file() {
    use accesspoint::auth::secret::{SecretKind, hash_secret};
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let secret = "the-secret-of-the-session-cookie";
    let hash = hash_secret(SecretKind::Session, secret);
    ledger.begins(&hash, "alice", "pc-1").await;
    for ending in ["", "-wal"] {
        let file = format!("{}{ending}", ledger.file().display());
        let bytes = std::fs::read(file).unwrap();
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "in the file{ending}");
    }
}

/// A ledger with a session of alice that the gateway remembers, and another process.
async fn remembered() -> (Ledger, String, Store) {
    let ledger = Ledger::new();
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    assert!(ledger.store().session(&hash).unwrap().is_some());
    let other = ledger.another();
    (ledger, hash, other)
}

fn alice() -> UserName {
    user("alice")
}

#[tokio::test]
async fn disabling_from_another_process_ends_it_at_the_next_read() {
    let (ledger, hash, other) = remembered().await;
    other.set_active(alice(), false, admin()).await.unwrap();
    assert!(ledger.store().session(&hash).unwrap().is_none());
    other.set_active(alice(), true, admin()).await.unwrap();
    assert!(ledger.store().session(&hash).unwrap().is_none());
}

#[tokio::test]
async fn ending_from_another_process_counts_at_the_next_read() {
    let (ledger, hash, other) = remembered().await;
    let id = ledger.store().session(&hash).unwrap().unwrap().id.clone();
    let mallory = ledger.person("mallory").await;
    let not_theirs = other.end_session_of(Some(mallory), id.clone(), admin());
    assert!(!not_theirs.await.unwrap());
    assert!(ledger.store().session(&hash).unwrap().is_some());
    let end = other.end_session_of(None, id, admin());
    assert!(end.await.unwrap());
    assert!(ledger.store().session(&hash).unwrap().is_none());
}

#[tokio::test]
async fn ending_all_from_another_process_spares_the_one_to_keep() {
    let (ledger, kept, other) = remembered().await;
    ledger.begins("second", "alice", "pc-2").await;
    assert!(ledger.store().session("second").unwrap().is_some());
    let person = ledger.who("alice").id;
    let ended = other.end_sessions_of(person, Some(kept.clone()), admin());
    assert_eq!(ended.await.unwrap(), 1);
    assert!(ledger.store().session("second").unwrap().is_none());
    assert!(ledger.store().session(&kept).unwrap().is_some());
}

#[tokio::test]
async fn signing_out_at_another_gateway_counts_at_the_next_read() {
    let (ledger, hash, other) = remembered().await;
    other.end_session(hash.clone()).await.unwrap();
    assert!(ledger.store().session(&hash).unwrap().is_none());
}

#[tokio::test]
async fn a_new_password_from_another_process_ends_all_but_one() {
    let (ledger, hash, other) = remembered().await;
    ledger.begins("second", "alice", "pc-2").await;
    let keep = Some("second".to_owned());
    let set = other.set_password(alice(), "new".to_owned(), keep, admin());
    assert!(set.await.unwrap());
    assert!(ledger.store().session(&hash).unwrap().is_none());
    assert!(ledger.store().session("second").unwrap().is_some());
}

#[tokio::test]
async fn a_rename_from_another_process_is_seen_and_ends_nothing() {
    let (ledger, hash, other) = remembered().await;
    let rename = other.rename(alice(), user("alicia"), admin());
    rename.await.unwrap();
    let session = ledger.store().session(&hash).unwrap().unwrap();
    assert_eq!(session.person.name, "alicia");
}

#[tokio::test]
async fn a_workstation_renamed_from_another_process_is_seen() {
    let (ledger, hash, other) = remembered().await;
    let session = ledger.store().session(&hash).unwrap().unwrap();
    let (person, workstation) = (session.person.id.clone(), session.workstation.id.clone());
    let rename = other.rename_workstation(person, workstation, "desk".to_owned(), admin());
    assert!(rename.await.unwrap());
    let session = ledger.store().session(&hash).unwrap().unwrap();
    assert_eq!(session.workstation.name, "desk");
}

#[tokio::test]
async fn a_session_lives_on_when_its_cal_is_taken() {
    let (ledger, hash, other) = remembered().await;
    ledger.loads(1).await;
    ledger.opens("alice", "pc-1").await;
    other.unassign_cal(alice(), admin()).await.unwrap();
    assert!(ledger.store().session(&hash).unwrap().is_some(), "R24");
}

/// What ends everything that goes on in the name of alice, from another process.
async fn ends_all(what: &str, other: &Store, id: &PersonId) {
    let change = |active, roles: Option<&[Role]>| PersonChange {
        active,
        roles: roles.map(<[Role]>::to_vec),
        ..PersonChange::default()
    };
    let done = match what {
        "disabled" => other.set_active(alice(), false, admin()).await.unwrap(),
        "another password" => {
            let set = other.set_password(alice(), "hash".to_owned(), None, admin());
            set.await.unwrap()
        }
        "all ended" => {
            let ended = other.end_sessions_of(id.clone(), None, admin());
            ended.await.unwrap() > 0
        }
        "another role" => {
            let changed =
                other.change_person(alice(), change(None, Some(&[Role::Auditor])), admin());
            changed.await.unwrap() == PersonChanged::Done
        }
        "disabled for a moment" => {
            for active in [false, true] {
                let changed = other.change_person(alice(), change(Some(active), None), admin());
                changed.await.unwrap();
            }
            true
        }
        _ => {
            let (source, subject) = (LOCAL_SOURCE.to_owned(), id.as_str().to_owned());
            let unlinked = other.unlink_identity(alice(), source, subject, admin());
            unlinked.await.unwrap() == Linked::Done
        }
    };
    assert!(done, "{what}");
}

#[tokio::test]
async fn s_09_a_sign_in_under_way_is_overtaken_by_what_ends_sessions() {
    for what in [
        "disabled",
        "disabled for a moment",
        "another password",
        "all ended",
        "another role",
        "unlinked",
    ] {
        let (ledger, _, other) = remembered().await;
        let new = ledger.proved("late", "alice", "pc-1").await;
        ends_all(what, &other, &new.person).await;
        let begun = ledger.store().begin_session(new).await.unwrap();
        assert_eq!(begun, SessionBegun::Overtaken, "{what}");
        assert!(ledger.store().session("late").unwrap().is_none(), "{what}");
        let refused = ledger.audit().pop().unwrap();
        let told = (refused.event.as_str(), refused.code.as_deref());
        assert_eq!(told, ("sign_in_refused", Some("SIGN_IN_OVERTAKEN")));
        ledger
            .store()
            .set_active(alice(), true, admin())
            .await
            .unwrap();
        ledger.begins("next", "alice", "pc-1").await;
    }
}

#[tokio::test]
async fn l_04_a_logout_of_a_session_alone_overtakes_a_sign_in_that_has_arrived() {
    let (ledger, _, other) = remembered().await;
    for (named, begins) in [
        ("another", SessionBegun::Done),
        ("s1", SessionBegun::Overtaken),
    ] {
        let mut new = ledger.proved("late", "alice", "pc-1").await;
        new.source = "corp".to_owned();
        new.at_provider = Some(NewAtProvider {
            sid: Some("s1".to_owned()),
            since: ledger.now(),
        });
        ledger.after(MS);
        let logout = ProviderLogout {
            source: "corp".to_owned(),
            subject: None,
            sid: Some(named.to_owned()),
            notice: Some((named.to_owned(), ledger.now() + Millis::hours(1))),
        };
        let ended = other.end_provider_sessions(logout).await.unwrap();
        assert_eq!(ended, ProviderLoggedOut::Ended(0));
        let begun = ledger.store().begin_session(new).await.unwrap();
        assert_eq!(begun, begins, "{named}");
        ledger.store().end_session("late".to_owned()).await.unwrap();
    }
}

#[tokio::test]
async fn sessions_of_a_source_that_is_not_in_use_end() {
    let (ledger, hash, other) = remembered().await;
    let mut gone = ledger.proved("gone", "alice", "pc-1").await;
    gone.source = "gone".to_owned();
    ledger.store().begin_session(gone).await.unwrap();
    assert!(ledger.store().session("gone").unwrap().is_some());
    let in_use = || vec![LOCAL_SOURCE.to_owned()];
    let ended = other.end_sessions_of_other_sources(in_use()).await.unwrap();
    assert_eq!(ended, [("gone".to_owned(), 1)]);
    assert!(ledger.store().session("gone").unwrap().is_none());
    assert!(ledger.store().session(&hash).unwrap().is_some());
    assert_eq!(ledger.audit().pop().unwrap().event, "sessions_ended");
    let events = ledger.events();
    let ended = other.end_sessions_of_other_sources(in_use()).await.unwrap();
    assert!(ended.is_empty() && ledger.events() == events);
}

#[tokio::test]
async fn sessions_are_listed_by_person_and_by_page() {
    let ledger = Ledger::new();
    let alice = ledger.person("alice").await;
    ledger.person("bob").await;
    for (hash, who) in [("a", "alice"), ("b", "alice"), ("c", "bob")] {
        ledger.begins(hash, who, "pc-1").await;
    }
    let store = ledger.store();
    assert_eq!(store.sessions(Some(&alice), "", 10).unwrap().len(), 2);
    let first = store.sessions(None, "", 2).unwrap();
    let rest = store.sessions(None, &first[1].id, 2).unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
}
