//! Launch tickets, sentence by sentence of the contract: single use, bound, 90 seconds, durable.

use accesspoint::domain::client::ClientKind;
use accesspoint::domain::time::Timestamp;
use accesspoint::store::{Redeem, Redemption};

use super::harness::{LAUNCH_LIFE, Ledger, MS, SALES, admin, session_hash, user};

/// Alice's open on `pc-1`, and its ticket as she brings it back.
async fn opened(ledger: &Ledger) -> (Redeem, Timestamp) {
    ledger.loads(2).await;
    ledger.person("alice").await;
    let launch = ledger.opens("alice", "pc-1").await.launch.unwrap();
    assert_eq!(launch.expires_at, ledger.now() + LAUNCH_LIFE);
    let redeem = Redeem {
        secret: launch.secret,
        session_hash: session_hash("alice", "pc-1"),
        person: ledger.who("alice").id,
        workstation: ledger.workstation("pc-1").await.id,
        document: SALES.to_owned(),
        resumes: false,
    };
    (redeem, launch.expires_at)
}

/// The same, as the resumption of a download.
fn resumed(redeem: &Redeem) -> Redeem {
    Redeem {
        resumes: true,
        ..redeem.clone()
    }
}

async fn come(ledger: &Ledger, redeem: &Redeem) -> Redemption {
    ledger.store().redeem(redeem.clone()).await.unwrap()
}

#[tokio::test]
async fn within_its_life_a_second_redemption_gives_the_same_answer() {
    let ledger = Ledger::new();
    let (ticket, end) = opened(&ledger).await;
    assert_eq!(come(&ledger, &ticket).await, Redemption::Granted);
    assert_eq!(come(&ledger, &ticket).await, Redemption::Granted);
    ledger.at(end - MS);
    assert_eq!(come(&ledger, &ticket).await, Redemption::Granted);
}

#[tokio::test]
async fn a_redeemed_ticket_is_used_after_its_life_but_may_resume() {
    let ledger = Ledger::new();
    let (ticket, end) = opened(&ledger).await;
    come(&ledger, &ticket).await;
    for later in [end, end + MS, end + LAUNCH_LIFE] {
        ledger.at(later);
        assert_eq!(come(&ledger, &ticket).await, Redemption::Used);
        assert_eq!(come(&ledger, &resumed(&ticket)).await, Redemption::Granted);
    }
}

#[tokio::test]
async fn a_ticket_that_was_never_redeemed_is_invalid_after_its_life() {
    let ledger = Ledger::new();
    let (ticket, end) = opened(&ledger).await;
    ledger.at(end);
    assert_eq!(come(&ledger, &ticket).await, Redemption::Invalid);
    assert_eq!(come(&ledger, &resumed(&ticket)).await, Redemption::Invalid);
}

#[tokio::test]
async fn a_ticket_may_be_redeemed_first_in_the_last_millisecond_of_its_life() {
    let ledger = Ledger::new();
    let (ticket, end) = opened(&ledger).await;
    ledger.at(end - MS);
    assert_eq!(come(&ledger, &resumed(&ticket)).await, Redemption::Granted);
    ledger.at(end);
    assert_eq!(come(&ledger, &ticket).await, Redemption::Used);
}

#[tokio::test]
async fn in_wrong_hands_it_is_invalid_and_not_used_up() {
    let ledger = Ledger::new();
    let (ticket, end) = opened(&ledger).await;
    let bob = ledger.person("bob").await;
    let other = ledger.workstation("pc-2").await.id;
    let wrong = [
        Redeem {
            session_hash: session_hash("alice", "pc-2"),
            ..ticket.clone()
        },
        Redeem {
            person: bob,
            ..ticket.clone()
        },
        Redeem {
            workstation: other,
            ..ticket.clone()
        },
        Redeem {
            document: "costs".to_owned(),
            ..ticket.clone()
        },
        Redeem {
            secret: "guessed".to_owned(),
            ..ticket.clone()
        },
        Redeem {
            secret: String::new(),
            ..ticket.clone()
        },
    ];
    for wrong in &wrong {
        assert_eq!(come(&ledger, wrong).await, Redemption::Invalid, "{wrong:?}");
        let resumed = resumed(wrong);
        assert_eq!(come(&ledger, &resumed).await, Redemption::Invalid);
    }
    ledger.at(end - MS);
    assert_eq!(come(&ledger, &ticket).await, Redemption::Granted);
    for wrong in &wrong {
        assert_eq!(come(&ledger, wrong).await, Redemption::Invalid, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_ticket_survives_a_restart_redeemed_or_not() {
    let mut ledger = Ledger::new();
    let (ticket, end) = opened(&ledger).await;
    ledger.reopen();
    assert_eq!(come(&ledger, &ticket).await, Redemption::Granted);
    ledger.reopen();
    assert_eq!(come(&ledger, &ticket).await, Redemption::Granted);
    ledger.at(end);
    ledger.reopen();
    assert_eq!(come(&ledger, &ticket).await, Redemption::Used);
}

#[tokio::test]
async fn it_is_stored_only_as_a_hash() {
    let ledger = Ledger::new();
    let (ticket, _) = opened(&ledger).await;
    assert_eq!(
        ticket.secret.len(),
        12 + 43,
        "when it was issued, and 256 bits"
    );
    let stored: String = ledger
        .raw()
        .query_one("SELECT id FROM launch", [], |row| row.get(0))
        .unwrap();
    assert_ne!(stored[12..], ticket.secret[12..]);
    assert_eq!(stored.len(), 12 + 64);
}

#[tokio::test]
async fn two_tickets_of_one_lease_live_their_own_lives() {
    let ledger = Ledger::new();
    let (first, end) = opened(&ledger).await;
    ledger.at(end - MS);
    let launch = ledger.opens("alice", "pc-1").await.launch.unwrap();
    let second = Redeem {
        secret: launch.secret,
        ..first.clone()
    };
    assert_eq!(come(&ledger, &first).await, Redemption::Granted);
    ledger.at(end);
    assert_eq!(come(&ledger, &first).await, Redemption::Used);
    assert_eq!(come(&ledger, &second).await, Redemption::Granted);
}

#[tokio::test]
async fn every_client_kind_with_access_gets_one() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    for client in ClientKind::ALL {
        let opened = ledger.opens_with("alice", "pc-1", client).await;
        assert!(opened.launch.is_some(), "{client:?}");
    }
}

#[tokio::test]
async fn it_goes_along_when_its_workstation_is_merged() {
    let ledger = Ledger::new();
    let (mut ticket, _) = opened(&ledger).await;
    let into = ledger.workstation("pc-2").await.id;
    let merge = ledger
        .store()
        .merge_workstation(ticket.workstation.clone(), into.clone(), admin());
    merge.await.unwrap();
    ticket.workstation = into;
    assert_eq!(come(&ledger, &ticket).await, Redemption::Granted);
}

#[tokio::test]
async fn a_sweep_leaves_what_may_still_be_resumed() {
    let ledger = Ledger::new();
    let (ticket, _) = opened(&ledger).await;
    come(&ledger, &ticket).await;
    ledger.store().sweep().await.unwrap();
    ledger.after(LAUNCH_LIFE);
    ledger.store().sweep().await.unwrap();
    assert_eq!(come(&ledger, &resumed(&ticket)).await, Redemption::Granted);
    assert!(ledger.store().person(&user("alice")).unwrap().is_some());
}
