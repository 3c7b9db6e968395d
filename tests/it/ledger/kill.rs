//! SIGKILL: a child writes as fast as it can and prints what was acknowledged; the parent kills it
//! at points that follow from a seed, opens the ledger and compares. `KILLS=` says how often.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use accesspoint::clock::Clock;
use accesspoint::domain::administer::AssignAnswer;
use accesspoint::domain::client::ClientKind;
use accesspoint::domain::open::LeaseOutcome;
use accesspoint::fresh::Fresh;
use accesspoint::store::{LeaseFilter, OpenCommand, Redeem, Redemption, Store, StoreOptions};

use super::harness::{
    Dice, SALES, add, admin, document, environment, is_sound, lef, number_from, options, see,
    session_hash, user,
};

/// Under this name the child finds its folder.
const FOLDER: &str = "ACCESSPOINT_TEST_KILLED";
/// How many commands the child has under way at once.
const TASKS: u64 = 6;
const PEOPLE: u64 = 20;
const WORKSTATIONS: u64 = 30;
const CALS: u32 = 12;

#[tokio::test]
async fn what_was_acknowledged_outlives_every_kill() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    prepare(&file).await;
    let dice = Dice::seeded(4747);
    for kill in 0..number_from("KILLS", 25) {
        let before = counted(&open(&file));
        let acknowledged = killed(folder.path(), 1 + dice.below(250));
        let store = open(&file);
        is_sound(&store);
        nothing_is_lost_or_doubled(&before, &counted(&store), &acknowledged, kill);
        leases_are_there(&store, &acknowledged);
        last_tickets_hold(&store, &acknowledged).await;
        store.close();
    }
}

/// A line of the child: what was acknowledged.
struct Acknowledged {
    /// The event in the audit.
    event: String,
    person: String,
    /// Of an open: the lease, workstation and ticket, each `-` where there is none.
    lease: String,
    workstation: String,
    ticket: String,
}

/// Starts the child, reads so many acknowledgements, kills it, and reads what it still had said.
fn killed(folder: &Path, acknowledgements: u64) -> Vec<Acknowledged> {
    let mut child = start(folder);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while (acknowledged.len() as u64) < acknowledgements {
        let line = lines.next().expect("the child goes on until it is killed");
        acknowledged.extend(parse(&line.unwrap()));
    }
    child.kill().unwrap();
    acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    acknowledged
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("ledger::kill::child_that_is_killed")
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A whole line; one that the kill cut short has no last word.
fn parse(line: &str) -> Option<Acknowledged> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["ack", event, person, lease, workstation, ticket, "end"] = words[..] else {
        return None;
    };
    Some(Acknowledged {
        event: event.to_owned(),
        person: person.to_owned(),
        lease: lease.to_owned(),
        workstation: workstation.to_owned(),
        ticket: ticket.to_owned(),
    })
}

/// Events by name and user.
type Counts = BTreeMap<(String, String), u64>;

fn counted(store: &Store) -> Counts {
    let mut counts = Counts::new();
    for row in store.audit_from(1, u32::MAX).unwrap() {
        let user = row.user.unwrap_or_default();
        *counts.entry((row.event, user)).or_default() += 1;
    }
    counts
}

/// Every acknowledged command is in the audit once; beyond them only those under way.
fn nothing_is_lost_or_doubled(
    before: &Counts,
    after: &Counts,
    acknowledged: &[Acknowledged],
    kill: u64,
) {
    let mut said = Counts::new();
    for command in acknowledged {
        let key = (command.event.clone(), command.person.clone());
        *said.entry(key).or_default() += 1;
    }
    for (key, said) in &said {
        let written = after.get(key).unwrap_or(&0) - before.get(key).unwrap_or(&0);
        assert!(written >= *said, "kill {kill}: {key:?} {written} < {said}");
    }
    let sum = |counts: &Counts| counts.values().sum::<u64>();
    let written = sum(after) - sum(before);
    let unsaid = written - sum(&said);
    assert!(unsaid <= TASKS, "kill {kill}: {unsaid} more than was said");
}

fn leases_are_there(store: &Store, acknowledged: &[Acknowledged]) {
    let filter = LeaseFilter {
        limit: u32::MAX,
        ..LeaseFilter::default()
    };
    let stored: BTreeMap<String, String> = store
        .leases(&filter)
        .unwrap()
        .into_iter()
        .map(|row| (row.lease.id.0, row.user))
        .collect();
    for command in acknowledged.iter().filter(|command| command.lease != "-") {
        assert_eq!(stored.get(&command.lease), Some(&command.person));
    }
}

/// The newest tickets are within their life; a slow machine may have let older ones end.
async fn last_tickets_hold(store: &Store, acknowledged: &[Acknowledged]) {
    let with_ticket = acknowledged.iter().filter(|command| command.ticket != "-");
    for command in with_ticket.rev().take(3) {
        let redeem = Redeem {
            secret: command.ticket.clone(),
            session_hash: session_hash(&command.person, &command.workstation),
            person: store.person(&user(&command.person)).unwrap().unwrap().id,
            workstation: see(store, &command.workstation).await.id,
            document: SALES.to_owned(),
            resumes: false,
        };
        let redeemed = store.redeem(redeem).await.unwrap();
        assert_eq!(redeemed, Redemption::Granted);
    }
}

async fn prepare(file: &Path) {
    let store = open(file);
    let attributes = accesspoint::domain::policy::LefAttributes::default();
    let license = accesspoint::domain::lef::License::parse(&lef(CALS), &attributes).unwrap();
    let force = accesspoint::domain::administer::Force::No;
    let load = store.load_license(license, force, admin());
    load.await.unwrap();
    for number in 0..PEOPLE {
        add(&store, &format!("person-{number}")).await;
    }
    for number in 0..WORKSTATIONS {
        see(&store, &format!("pc-{number}")).await;
    }
    store.close();
}

fn open(file: &Path) -> Store {
    let options = StoreOptions {
        fresh: Fresh::system(),
        // Long enough for the slowest machine; the 90 seconds are tested elsewhere.
        launch_life: accesspoint::domain::time::Millis::minutes(60),
        ..options(&Clock::system(), 0)
    };
    Store::open(file, options).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the test above starts it as a process of its own, and kills it"]
async fn child_that_is_killed() {
    let Some(folder) = environment(FOLDER) else {
        return;
    };
    let store = open(&PathBuf::from(folder).join("ledger.db"));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(work(store.clone())))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Opens, assigns and unassigns without end.
async fn work(store: Store) {
    let dice = Dice::seeded(u64::from_le_bytes(Fresh::system().bytes()));
    loop {
        let person = format!("person-{}", dice.below(PEOPLE));
        let line = match dice.below(10) {
            0 => assign(&store, &person).await,
            1 => unassign(&store, &person).await,
            _ => {
                let workstation = format!("pc-{}", dice.below(WORKSTATIONS));
                Some(open_one(&store, &person, &workstation).await)
            }
        };
        if let Some(line) = line {
            println!("ack {line} end");
        }
    }
}

async fn assign(store: &Store, person: &str) -> Option<String> {
    let answer = store.assign_cal(user(person), admin()).await.unwrap();
    (answer != AssignAnswer::AlreadyHeld).then(|| format!("cal_assigned {person} - - -"))
}

async fn unassign(store: &Store, person: &str) -> Option<String> {
    use accesspoint::domain::administer::UnassignAnswer;
    let unassigned = store.unassign_cal(user(person), admin()).await.unwrap();
    let answer = unassigned.unwrap().answer;
    (answer != UnassignAnswer::NotHeld).then(|| format!("cal_unassigned {person} - - -"))
}

async fn open_one(store: &Store, person: &str, workstation: &str) -> String {
    let command = OpenCommand {
        person: store.person(&user(person)).unwrap().unwrap().id,
        workstation: see(store, workstation).await,
        document: document(SALES),
        client: ClientKind::Plugin,
        session_hash: session_hash(person, workstation),
    };
    let opened = store.open_document(command).await.unwrap();
    let lease = match &opened.answer.lease {
        LeaseOutcome::Granted(lease) | LeaseOutcome::Renewed(lease) => lease.id.as_str(),
        _ => "-",
    };
    let ticket = opened.launch.as_ref().map_or("-", |l| l.secret.as_str());
    format!("document_opened {person} {lease} {workstation} {ticket}")
}
