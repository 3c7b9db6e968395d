//! The clock of decisions: small steps back are clamped, larger ones accepted and audited, and
//! what had ended stays ended.

use accesspoint::domain::lease::LeaseState;
use accesspoint::domain::open::{Access, CalStep, LeaseOutcome};
use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::store::{CLOCK_CLAMP, Redeem, Redemption};

use super::harness::{
    IDLE, LAUNCH_LIFE, Ledger, MS, SALES, SESSION_LIFE, code, explain, granted, lease,
};

#[tokio::test]
async fn a_step_back_of_ten_minutes_is_held_at_the_last_decision() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let last = ledger.opens("alice", "pc-1").await.at;
    let before = ledger.events();
    for step in [MS, Millis::minutes(5), CLOCK_CLAMP] {
        ledger.at(last - step);
        assert_eq!(ledger.opens("alice", "pc-1").await.at, last);
    }
    assert_eq!(ledger.events(), before + 3, "three opens and nothing else");
    ledger.at(last + MS);
    assert_eq!(ledger.opens("alice", "pc-1").await.at, last + MS);
    ledger.is_sound();
}

#[tokio::test]
async fn a_larger_step_back_is_accepted_and_audited_once() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let last = ledger.opens("alice", "pc-1").await.at;
    let earlier = last - CLOCK_CLAMP - MS;
    ledger.at(earlier);
    let before = ledger.events();
    assert_eq!(ledger.opens("alice", "pc-1").await.at, earlier);
    assert_eq!(ledger.opens("alice", "pc-1").await.at, earlier);
    let events = ledger.audit();
    let names: Vec<&str> = events[before..].iter().map(|e| e.event.as_str()).collect();
    let expected = ["clock_set_back", "document_opened", "document_opened"];
    assert_eq!(names, expected);
    let set_back = &events[before];
    assert_eq!(set_back.actor, "gateway");
    assert!(set_back.detail.contains(&last.to_string()));
    assert!(set_back.detail.contains(&earlier.to_string()));
    ledger.is_sound();
}

#[tokio::test]
async fn the_last_decision_is_remembered_over_a_restart_and_by_other_processes() {
    let mut ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let last = ledger.opens("alice", "pc-1").await.at;
    ledger.reopen();
    ledger.at(last - Millis::minutes(1));
    assert_eq!(ledger.store().ping().await.unwrap(), last);
    assert_eq!(ledger.another().ping().await.unwrap(), last);
}

#[tokio::test]
async fn a_renewal_after_a_step_back_never_shortens_an_end() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let end = lease(&ledger.opens("alice", "pc-1").await).expires_at;
    ledger.after(Millis::days(-2));
    let renewed = ledger.opens("alice", "pc-1").await;
    assert!(matches!(renewed.answer.lease, LeaseOutcome::Renewed(_)));
    assert_eq!(lease(&renewed).expires_at, end);
    ledger.is_sound();
}

/// Alice has a lease and used CAL that rests; both end, then somebody else's decision is made.
async fn everything_has_ended(ledger: &Ledger) -> (Timestamp, Timestamp) {
    for name in ["alice", "bob"] {
        ledger.person(name).await;
    }
    let lease_end = lease(&ledger.opens("alice", "pc-1").await).expires_at;
    ledger.at(lease_end - Millis::days(7));
    ledger.unassigns("alice").await;
    ledger.assigns("bob").await;
    ledger.at(lease_end - MS);
    let alice = ledger.who("alice").id;
    assert!(ledger.store().cal_of(&alice).unwrap().is_some());
    // The last decision looks at neither: bob holds a CAL.
    ledger.at(lease_end);
    ledger.opens("bob", "pc-2").await;
    (lease_end, ledger.now())
}

#[tokio::test]
async fn what_has_ended_in_a_decision_stays_ended_whatever_the_clock_does() {
    for step in [MS, CLOCK_CLAMP, Millis(CLOCK_CLAMP.0 + 1), Millis::days(20)] {
        let ledger = Ledger::with_cals(2).await;
        let (_, last) = everything_has_ended(&ledger).await;
        let alice = ledger.who("alice").id;
        ledger.at(last - step);

        // Even before the next decision nothing that had ended is shown again.
        assert_eq!(ledger.cal_holders(), ["bob"], "{step:?} back");
        assert!(ledger.store().cal_of(&alice).unwrap().is_none());
        assert_eq!(ledger.store().license().unwrap().taken, 1);
        let command = ledger.command("alice", "pc-1").await;
        let explained = explain(ledger.store(), &command);
        assert!(matches!(explained.answer.lease, LeaseOutcome::Granted(_)));
        assert!(explained.standing.cal.is_none());

        ledger.store().ping().await.unwrap();
        assert_eq!(ledger.cal_holders(), ["bob"], "{step:?} back");
        let opened = ledger.opens("alice", "pc-1").await;
        assert_eq!(opened.answer.access, Access::Granted(CalStep::Assigned));
        assert!(matches!(opened.answer.lease, LeaseOutcome::Granted(_)));
        let states: Vec<LeaseState> = ledger
            .store()
            .leases_of(&alice)
            .unwrap()
            .iter()
            .map(|lease| lease.state)
            .collect();
        assert!(states.contains(&LeaseState::Expired), "{states:?}");
        ledger.is_sound();
    }
}

#[tokio::test]
async fn what_ended_is_stored_so_by_the_decision_that_accepts_the_earlier_time() {
    let mut ledger = Ledger::with_cals(2).await;
    let (_, last) = everything_has_ended(&ledger).await;
    ledger.at(last - Millis::days(20));
    ledger.store().ping().await.unwrap();
    ledger.reopen();
    let count = |sql| ledger.raw().query_one(sql, [], |row| row.get::<_, i64>(0));
    let resting = "SELECT COUNT(*) FROM cal WHERE state = 'quarantined'";
    assert_eq!(count(resting).unwrap(), 0);
    let expired = "SELECT COUNT(*) FROM lease WHERE state = 'expired'";
    assert_eq!(count(expired).unwrap(), 1);
    ledger.is_sound();
}

#[tokio::test]
async fn a_session_that_has_ended_never_comes_back() {
    for (ends_after, back) in [
        (IDLE, MS),
        (IDLE, CLOCK_CLAMP),
        (IDLE, Millis::hours(3)),
        (SESSION_LIFE, MS),
        (SESSION_LIFE, Millis::hours(20)),
    ] {
        let ledger = Ledger::new();
        ledger.person("alice").await;
        let session = ledger.signs_in("alice", "pc-1").await;
        let alive = || ledger.store().session(&session).unwrap().is_some();
        assert!(alive());
        ledger.after(ends_after);
        assert!(!alive());
        // The end is written without anybody waiting; a decision comes after it.
        ledger.store().ping().await.unwrap();
        ledger.at(ledger.now() - back);
        assert!(!alive(), "{ends_after:?}, then {back:?} back");
        ledger.store().ping().await.unwrap();
        assert!(!alive(), "{ends_after:?}, then {back:?} back");
    }
}

#[tokio::test]
async fn a_session_that_ended_unseen_never_comes_back_either() {
    for ends_after in [IDLE, SESSION_LIFE] {
        let ledger = Ledger::new();
        ledger.person("alice").await;
        let session = ledger.signs_in("alice", "pc-1").await;
        ledger.after(ends_after);
        ledger.store().ping().await.unwrap();
        ledger.after(Millis::hours(-7));
        ledger.store().ping().await.unwrap();
        assert!(ledger.store().session(&session).unwrap().is_none());
        let listed = ledger.store().sessions(None, "", 10).unwrap();
        assert_eq!(listed.len(), 0);
    }
}

#[tokio::test]
async fn a_launch_ticket_whose_life_is_over_never_holds_again() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    let command = ledger.command("alice", "pc-1").await;
    let redeem = |secret: String| Redeem {
        secret,
        session_hash: command.session_hash.clone(),
        person: alice.clone(),
        workstation: command.workstation.id.clone(),
        document: SALES.to_owned(),
        resumes: false,
    };
    let open = || async {
        let opened = ledger.store().open_document(command.clone()).await;
        opened.unwrap().launch.unwrap().secret
    };
    let (redeemed, unused) = (open().await, open().await);
    let come = |secret: &String| ledger.store().redeem(redeem(secret.clone()));
    assert_eq!(come(&redeemed).await.unwrap(), Redemption::Granted);
    ledger.after(LAUNCH_LIFE);
    ledger.store().ping().await.unwrap();
    for back in [MS, Millis::hours(1)] {
        ledger.at(ledger.now() - back);
        assert_eq!(come(&redeemed).await.unwrap(), Redemption::Used);
        assert_eq!(come(&unused).await.unwrap(), Redemption::Invalid);
    }
}

#[tokio::test]
async fn events_of_the_window_count_on_after_a_step_back() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    for name in ["pc-1", "pc-2"] {
        ledger.opens("alice", name).await;
    }
    ledger.after(Millis::days(-3));
    let third = ledger.opens("alice", "pc-3").await;
    assert!(granted(&third));
    assert_eq!(code(&third), Some("WORKSTATION_LIMIT"));
    ledger.is_sound();
}

#[tokio::test]
async fn an_event_that_left_the_window_counts_again_after_a_step_back() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    for name in ["pc-1", "pc-2"] {
        ledger.opens("alice", name).await;
    }
    ledger.after(Millis::days(7));
    let third = ledger.opens("alice", "pc-3").await;
    assert!(matches!(third.answer.lease, LeaseOutcome::Granted(_)));
    // R13 by its letter: an event at `e` counts while `now < e + W`.
    ledger.after(Millis::days(-1));
    let first = ledger.opens("alice", "pc-1").await;
    assert_eq!(code(&first), Some("WORKSTATION_LIMIT"));
    ledger.is_sound();
}
