//! Many at once: the last CAL goes to one, a lease is granted once, a full queue says so.

use std::sync::mpsc;
use std::time::Duration;

use accesspoint::domain::administer::AssignAnswer;
use accesspoint::domain::open::LeaseOutcome;
use accesspoint::store::{BATCH_COMMANDS_MAX, Opened, QUEUE_COMMANDS_MAX, Store, StoreError};

use super::harness::{Ledger, admin, all_at_once, code, explain, granted, is_sound, lease, user};

/// How many come at once.
const CROWD: usize = 50;

/// A crowd that opens at once, each with a task of its own, spread over these stores.
async fn crowd_opens(ledger: &Ledger, stores: &[Store]) -> Vec<Opened> {
    let mut commands = Vec::new();
    for number in 0..CROWD {
        let who = format!("person-{number}");
        ledger.person(&who).await;
        commands.push(ledger.command(&who, &format!("pc-{number}")).await);
    }
    let tasks: Vec<_> = commands
        .into_iter()
        .zip(stores.iter().cycle().cloned())
        .map(|(command, store)| {
            tokio::spawn(async move { store.open_document(command).await.unwrap() })
        })
        .collect();
    let mut opened = Vec::new();
    for task in tasks {
        opened.push(task.await.unwrap());
    }
    opened
}

fn one_was_granted(opened: &[Opened]) {
    assert_eq!(opened.iter().filter(|opened| granted(opened)).count(), 1);
    let refused = |opened: &&Opened| code(opened) == Some("NO_FREE_CAL");
    assert_eq!(opened.iter().filter(refused).count(), CROWD - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_free_cal_goes_to_exactly_one_of_fifty() {
    let ledger = Ledger::with_cals(1).await;
    let opened = crowd_opens(&ledger, &[ledger.store().clone()]).await;
    one_was_granted(&opened);
    assert_eq!(ledger.cal_holders().len(), 1);
    ledger.is_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_free_cal_goes_to_exactly_one_of_fifty_over_two_processes() {
    let ledger = Ledger::with_cals(1).await;
    let other = ledger.another();
    let opened = crowd_opens(&ledger, &[ledger.store().clone(), other.clone()]).await;
    one_was_granted(&opened);
    assert_eq!(ledger.cal_holders().len(), 1);
    assert_eq!(other.license().unwrap().taken, 1);
    is_sound(&other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_assignments_of_the_last_cal_over_two_processes_give_one() {
    let ledger = Ledger::with_cals(1).await;
    let stores = [ledger.store().clone(), ledger.another()];
    let tasks: Vec<_> = (0..CROWD)
        .map(|number| {
            let store = stores[number % 2].clone();
            let who = user(&format!("person-{number}"));
            tokio::spawn(async move { store.assign_cal(who, admin()).await.unwrap() })
        })
        .collect();
    let mut assigned = 0;
    for task in tasks {
        assigned += usize::from(task.await.unwrap() == AssignAnswer::Assigned);
    }
    assert_eq!(assigned, 1);
    ledger.is_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_opens_of_one_person_on_one_workstation_make_one_lease() {
    let ledger = Ledger::with_cals(2).await;
    ledger.person("alice").await;
    let stores = [ledger.store().clone(), ledger.another()];
    let command = ledger.command("alice", "pc-1").await;
    let tasks: Vec<_> = (0..CROWD)
        .map(|number| {
            let (store, command) = (stores[number % 2].clone(), command.clone());
            tokio::spawn(async move { store.open_document(command).await.unwrap() })
        })
        .collect();
    let mut opened = Vec::new();
    for task in tasks {
        opened.push(task.await.unwrap());
    }
    let first = |opened: &&Opened| matches!(opened.answer.lease, LeaseOutcome::Granted(_));
    assert_eq!(opened.iter().filter(first).count(), 1);
    let id = &lease(&opened[0]).id;
    assert!(opened.iter().all(|opened| lease(opened).id == *id));
    assert_eq!(ledger.store().license().unwrap().taken, 1);
    ledger.is_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_workstations_of_one_person_two_lease() {
    let ledger = Ledger::with_cals(1).await;
    let alice = ledger.person("alice").await;
    let stores = [ledger.store().clone(), ledger.another()];
    let mut tasks = Vec::new();
    for number in 0..CROWD {
        let command = ledger.command("alice", &format!("pc-{number}")).await;
        let store = stores[number % 2].clone();
        tasks.push(tokio::spawn(async move {
            store.open_document(command).await.unwrap()
        }));
    }
    let mut leased = 0;
    for task in tasks {
        let opened = task.await.unwrap();
        assert!(granted(&opened));
        leased += usize::from(code(&opened).is_none());
    }
    assert_eq!(leased, 2);
    assert_eq!(ledger.store().leases_of(&alice).unwrap().len(), 2);
    ledger.is_sound();
}

/// Holds the write lock, as another process does, until the sender is dropped.
fn hold_the_lock(ledger: &Ledger) -> (mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let raw = ledger.raw();
    let (release, released) = mpsc::channel();
    let (locked, is_locked) = mpsc::channel();
    let holder = std::thread::spawn(move || {
        raw.execute_batch("BEGIN IMMEDIATE").unwrap();
        locked.send(()).unwrap();
        // An error is the drop of the sender.
        let _ = released.recv();
        raw.execute_batch("ROLLBACK").unwrap();
    });
    is_locked.recv().unwrap();
    (release, holder)
}

#[tokio::test]
async fn a_full_queue_says_busy_and_everything_in_it_is_done() {
    let ledger = Ledger::new();
    let (release, holder) = hold_the_lock(&ledger);
    let room = QUEUE_COMMANDS_MAX + BATCH_COMMANDS_MAX;
    let crowd = (0..room + 10).map(|_| ledger.store().ping());
    let (answers, ()) = tokio::join!(all_at_once(crowd), async move { drop(release) });
    holder.join().unwrap();
    let busy = |answer: &&Result<_, StoreError>| matches!(answer, Err(StoreError::Busy));
    let refused = answers.iter().filter(busy).count();
    assert!(
        (10..=10 + BATCH_COMMANDS_MAX).contains(&refused),
        "{refused}"
    );
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(done + refused, answers.len());
    ledger.store().ping().await.unwrap();
}

#[tokio::test]
async fn reads_go_on_while_another_process_holds_the_lock() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let hash = ledger.signs_in("alice", "pc-1").await;
    let command = ledger.command("alice", "pc-1").await;
    let (release, holder) = hold_the_lock(&ledger);
    assert!(ledger.store().session(&hash).unwrap().is_some());
    explain(ledger.store(), &command);
    ledger.is_sound();
    drop(release);
    holder.join().unwrap();
}

#[tokio::test]
async fn the_writer_tries_again_when_the_lock_is_held_beyond_its_patience() {
    let ledger = Ledger::with_cals(1).await;
    ledger.person("alice").await;
    let command = ledger.command("alice", "pc-1").await;
    let before = ledger.events();
    let (release, holder) = hold_the_lock(&ledger);
    let releaser = std::thread::spawn(move || {
        // A connection waits five seconds before it gives up.
        std::thread::sleep(Duration::from_millis(5_500));
        drop(release);
    });
    let opened = ledger.store().open_document(command).await.unwrap();
    assert!(granted(&opened));
    assert_eq!(ledger.events(), before + 1);
    releaser.join().unwrap();
    holder.join().unwrap();
}

#[tokio::test]
async fn a_command_whose_asker_went_away_counts_all_the_same() {
    let ledger = Ledger::with_cals(1).await;
    let (release, holder) = hold_the_lock(&ledger);
    let assign = ledger.store().assign_cal(user("alice"), admin());
    let asked = tokio::time::timeout(Duration::from_millis(1), assign).await;
    assert!(asked.is_err());
    drop(release);
    holder.join().unwrap();
    ledger.store().ping().await.unwrap();
    assert_eq!(ledger.cal_holders(), ["alice"]);
}
