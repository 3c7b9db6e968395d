//! Opens of one person with many others stored.

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
/// Opens that are timed.
const OPENS: u32 = 3_000;

/// Microseconds of one open, asked one after the other, with so many people and leases stored.
pub async fn open_micros(folder: &Path, people: usize) -> f64 {
    let store = store(&folder.join(format!("scale-{people}.db")));
    let policy = Policy::default();
    let license = License::parse("NAMED_CALS;4000000;;", &policy.lef).expect("a licence");
    store
        .load_license(license, Force::No, Actor::command_line())
        .await
        .expect("a licence");
    for from in (0..people).step_by(WAVE) {
        let wave = (from..people.min(from + WAVE)).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let command = person(&store, number).await;
                store.open_document(command).await.expect("an open");
            })
        });
        for stored in wave.collect::<Vec<_>>() {
            stored.await.expect("a person");
        }
    }
    let mut commands = Vec::new();
    for number in 0..64 {
        commands.push(person(&store, people + number).await);
    }
    let begun = Instant::now();
    for number in 0..OPENS {
        let command = commands[number as usize % commands.len()].clone();
        store.open_document(command).await.expect("an open");
    }
    let micros = begun.elapsed().as_micros() as f64 / f64::from(OPENS);
    store.close();
    micros
}

fn store(path: &Path) -> Store {
    let options = StoreOptions {
        clock: Clock::system(),
        fresh: Fresh::system(),
        policy: Policy::default(),
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
