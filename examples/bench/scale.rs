//! Opens with few and with many people stored, asked of the ledger one after the other.

use std::path::Path;
use std::time::Instant;

use accesspoint::auth::secret::AuditKey;
use accesspoint::clock::Clock;
use accesspoint::domain::administer::Force;
use accesspoint::domain::client::ClientKind;
use accesspoint::domain::lef::License;
use accesspoint::domain::name::UserName;
use accesspoint::domain::open::RequestedDocument;
use accesspoint::domain::policy::Policy;
use accesspoint::domain::time::Millis;
use accesspoint::fresh::Fresh;
use accesspoint::store::{
    Actor, Added, NewPerson, OpenCommand, Store, StoreOptions, WorkstationSeen,
};

/// Commands that wait for the writer at once while people are stored.
const WAVE: usize = 512;
/// People whose opens are timed, spread evenly over all.
const OPENERS: usize = 1_000;
/// The best of so many rounds counts.
const RUNS: usize = 5;

/// Microseconds of one open with so many people and leases stored, [`OPENERS`] at least.
pub(crate) async fn open_micros(folder: &Path, people: usize) -> f64 {
    let store = store(&folder.join(format!("scale-{people}.db")));
    let policy = Policy::default();
    let license = License::parse("NAMED_CALS;4000000;;", &policy.lef).expect("a licence");
    store
        .load_license(license, Force::No, Actor::command_line())
        .await
        .expect("a licence");
    let apart = people / OPENERS;
    let mut commands = Vec::new();
    for from in (0..people).step_by(WAVE) {
        let wave = (from..people.min(from + WAVE)).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let command = person(&store, number).await;
                store.open_document(command.clone()).await.expect("an open");
                (number % apart == 0).then_some(command)
            })
        });
        for stored in wave.collect::<Vec<_>>() {
            commands.extend(stored.await.expect("a person"));
        }
    }
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let begun = Instant::now();
        for command in &commands {
            store.open_document(command.clone()).await.expect("an open");
        }
        best = best.min(begun.elapsed().as_micros() as f64 / commands.len() as f64);
    }
    store.close();
    best
}

/// A ledger in this file, with the gateway's schema.
pub(crate) fn store(path: &Path) -> Store {
    let options = StoreOptions {
        clock: Clock::system(),
        fresh: Fresh::system(),
        policy: Policy::default(),
        owns_cals: true,
        session_idle: Millis::hours(8),
        launch_life: Millis::seconds(90),
        audit_key: AuditKey::of_server(&[7; 32]),
    };
    Store::open(path, options).expect("a ledger")
}

/// A new person on a new workstation, ready to open.
async fn person(store: &Store, number: usize) -> OpenCommand {
    let name = format!("person-{number}");
    let new = NewPerson {
        name: UserName::parse(&name, "").expect("a name"),
        display_name: name.clone(),
        roles: Vec::new(),
        groups: Vec::new(),
        password_hash: "none".to_owned(),
    };
    let Added::Added(person) = store
        .add_person(new, Actor::command_line())
        .await
        .expect("a row")
    else {
        panic!("{name} is there already");
    };
    let seen = WorkstationSeen {
        secret_hash: name.clone(),
        name,
    };
    OpenCommand {
        person,
        workstation: store.see_workstation(seen).await.expect("a workstation"),
        document: RequestedDocument {
            id: "x".to_owned(),
            name: Some("x.qvw".to_owned()),
        },
        client: ClientKind::Plugin,
        session_hash: "none".to_owned(),
    }
}
