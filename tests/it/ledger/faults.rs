//! Failures: a command that fails within a batch fails alone, and a full disk answers errors until
//! there is room, with nothing half done.

use std::path::{Path, PathBuf};
use std::process::Command;

use accesspoint::clock::Clock;
use accesspoint::store::{OpenCommand, Store, StoreError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::harness::{
    Ledger, add, admin, all_at_once, document, environment, granted, is_sound, lef, options, see,
    session_hash, user,
};

/// Makes each event about one of these users fail, in the middle of its command.
pub(super) const FAULTS: &str = "
    CREATE TABLE fault (user_name TEXT NOT NULL PRIMARY KEY);
    CREATE TRIGGER fault_strikes BEFORE INSERT ON audit
    WHEN NEW.user_name IN (SELECT user_name FROM fault)
    BEGIN SELECT RAISE(ABORT, 'the fault of this test'); END;";

#[tokio::test]
async fn a_command_that_fails_within_a_batch_fails_alone() {
    let ledger = Ledger::with_cals(40).await;
    ledger.raw().execute_batch(FAULTS).unwrap();
    let mut commands = Vec::new();
    for number in 0..40 {
        let who = format!("person-{number:02}");
        ledger.person(&who).await;
        commands.push(ledger.command(&who, &format!("pc-{number}")).await);
    }
    let struck = "INSERT INTO fault (user_name) VALUES ('person-07'), ('person-39')";
    ledger.raw().execute_batch(struck).unwrap();
    let before = ledger.events();
    let opens = commands
        .into_iter()
        .map(|c| ledger.store().open_document(c));
    let answers = all_at_once(opens).await;
    for (number, answer) in answers.iter().enumerate() {
        if [7, 39].contains(&number) {
            let failed = matches!(answer, Err(StoreError::Database(_)));
            assert!(failed, "{number}: {answer:?}");
        } else {
            assert!(granted(answer.as_ref().unwrap()), "{number}");
        }
    }
    assert_eq!(ledger.events(), before + 38);
    assert_eq!(ledger.store().license().unwrap().taken, 38);
    assert!(!ledger.cal_holders().contains(&"person-07".to_owned()));
    ledger.is_sound();

    ledger.raw().execute_batch("DELETE FROM fault").unwrap();
    assert!(granted(&ledger.opens("person-07", "pc-7").await));
    assert_eq!(ledger.store().committed_at(), ledger.now());
}

#[tokio::test]
async fn a_failed_load_leaves_the_licence_before_it() {
    let ledger = Ledger::with_cals(3).await;
    let fault = "CREATE TRIGGER no_licence BEFORE INSERT ON audit
        WHEN NEW.event = 'license_loaded' BEGIN SELECT RAISE(ABORT, 'fault'); END";
    ledger.raw().execute_batch(fault).unwrap();
    let text = accesspoint::domain::policy::LefAttributes::default();
    let license = accesspoint::domain::lef::License::parse(&lef(9), &text).unwrap();
    let force = accesspoint::domain::administer::Force::No;
    let load = ledger.store().load_license(license, force, admin());
    assert!(load.await.is_err());
    assert_eq!(ledger.store().license().unwrap().held, 3);
    ledger
        .raw()
        .execute_batch("DROP TRIGGER no_licence")
        .unwrap();
    for number in 0..4 {
        ledger.assigns(&format!("person-{number}")).await;
    }
    assert_eq!(ledger.cal_holders().len(), 3);
    ledger.is_sound();
}

/// Under this name the child finds its folder.
const FOLDER: &str = "ACCESSPOINT_TEST_FULL_DISK";

#[test]
fn a_full_disk_answers_errors_and_recovers_with_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    // A file that may not grow ends a process, unless the signal is ignored from outside.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("ledger::faults::child_on_a_full_disk")
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}");
    assert!(told.contains("recovered"), "{told}\n{errors}");
}

#[tokio::test]
#[ignore = "the test above starts it as a process of its own"]
async fn child_on_a_full_disk() {
    let Some(folder) = environment(FOLDER) else {
        return;
    };
    let file = PathBuf::from(folder).join("ledger.db");
    let store = Store::open(&file, options(&Clock::system(), 1)).unwrap();
    let command = ready(&store).await;
    let mut done = 0;
    for _ in 0..20 {
        store.open_document(command.clone()).await.unwrap();
        done += 1;
    }

    let unlimited = getrlimit(Resource::Fsize);
    leave_little_room(&file, unlimited);
    let error = loop {
        match store.open_document(command.clone()).await {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 10_000, "the disk never was full");
    };
    assert!(matches!(error, StoreError::Database(_)), "{error:?}");
    // Smaller commands may still find room; readiness asks for the smallest.
    let mut pings = 0;
    while store.ping().await.is_ok() {
        pings += 1;
        assert!(pings < 1_000, "the disk never was full");
    }
    for _ in 0..3 {
        assert!(store.assign_cal(user("bob"), admin()).await.is_err());
    }
    assert_eq!(store.license().unwrap().taken, 1);
    is_sound(&store);

    setrlimit(Resource::Fsize, unlimited).unwrap();
    for _ in 0..20 {
        store.open_document(command.clone()).await.unwrap();
        done += 1;
    }
    is_sound(&store);
    let opens = |store: &Store| {
        let rows = store.audit_from(1, u32::MAX).unwrap();
        rows.iter().filter(|r| r.event == "document_opened").count()
    };
    assert_eq!(opens(&store), done);
    store.close();
    let again = Store::open(&file, options(&Clock::system(), 2)).unwrap();
    assert_eq!(opens(&again), done);
    is_sound(&again);
    println!("recovered");
}

/// A ledger with a licence, and alice's open.
async fn ready(store: &Store) -> OpenCommand {
    let attributes = accesspoint::domain::policy::LefAttributes::default();
    let license = accesspoint::domain::lef::License::parse(&lef(2), &attributes).unwrap();
    let force = accesspoint::domain::administer::Force::No;
    let load = store.load_license(license, force, admin());
    load.await.unwrap();
    OpenCommand {
        person: add(store, "alice").await,
        workstation: see(store, "pc-1").await,
        document: document("sales"),
        client: accesspoint::domain::client::ClientKind::Desktop,
        session_hash: session_hash("alice", "pc-1"),
    }
}

/// Lets no file of this process grow beyond the ledger's largest and a little.
fn leave_little_room(file: &Path, unlimited: Rlimit) {
    let log = file.with_extension("db-wal");
    let largest = [file, &log]
        .iter()
        .map(|file| std::fs::metadata(file).unwrap().len())
        .max();
    let limit = Rlimit {
        current: largest.map(|size| size + 100_000),
        ..unlimited
    };
    setrlimit(Resource::Fsize, limit).unwrap();
}
