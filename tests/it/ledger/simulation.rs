//! Random commands, clock jumps, restarts and failures on the real ledger, through two stores on
//! one file. After each step every invariant holds, and a naive model agrees on who holds what.
//! `SEEDS=` says how many runs, `SEED=` repeats one.

use accesspoint::domain::administer::{AssignAnswer, Force, LoadAnswer, UnassignAnswer};
use accesspoint::domain::client::ClientKind;
use accesspoint::domain::lef::License;
use accesspoint::domain::open::{Access, LeaseOutcome, OpenAnswer};
use accesspoint::domain::policy::LefAttributes;
use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::store::{LeaseFilter, OpenCommand, Setting, Store, StoreError};

use super::faults::FAULTS;
use super::harness::{Dice, Ledger, admin, all_at_once, explain, is_sound, lef, number_from, user};
use super::model::{Ask, Model, Said};

const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
const STEPS: u32 = 120;

#[tokio::test]
async fn the_ledger_agrees_with_the_model_whatever_happens() {
    let one = number_from("SEED", 0);
    let seeds = if one > 0 {
        one..=one
    } else {
        1..=number_from("SEEDS", 25)
    };
    for seed in seeds {
        let _told = Told(seed);
        let mut run = Run::new(seed).await;
        for _ in 0..STEPS {
            run.step().await;
        }
        is_sound(run.ledger.store());
    }
}

/// Tells the seed where a run fails, so that it can be repeated.
struct Told(u64);

impl Drop for Told {
    #[expect(
        clippy::print_stderr,
        reason = "this is what the reader of a failure needs"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat this run with SEED={}", self.0);
        }
    }
}

struct Run {
    ledger: Ledger,
    /// The other process.
    other: Store,
    model: Model,
    dice: Dice,
    /// Workstations have numbers from 0; merged ones are followed by new ones.
    workstations: u64,
    /// Whose events fail now.
    struck: Option<&'static str>,
    /// What was done, for a failure's reader.
    log: Vec<String>,
}

/// An answer of the ledger in the model's words, with the id of a granted lease.
type Answer = Result<(String, String), StoreError>;

impl Run {
    async fn new(seed: u64) -> Self {
        let ledger = Ledger::seeded(seed);
        for name in PEOPLE {
            ledger.person(name).await;
        }
        ledger.raw().execute_batch(FAULTS).unwrap();
        let other = ledger.another();
        let mut model = Model::new();
        model.does(&Ask::Ping, ledger.now(), "");
        Self {
            ledger,
            other,
            model,
            dice: Dice::seeded(seed),
            workstations: 4,
            struck: None,
            log: Vec::new(),
        }
    }

    async fn step(&mut self) {
        if self.dice.percent(8) {
            self.the_clock_runs_wild().await;
        }
        self.something_happens();
        let asks: Vec<Ask> = if self.dice.percent(10) {
            (0..2 + self.dice.below(5))
                .map(|_| self.an_open())
                .collect()
        } else {
            vec![self.an_ask()]
        };
        if let [Ask::Open { .. }] = asks[..] {
            self.is_explained(&asks[0]).await;
        }
        self.are_done(&asks).await;
        self.agrees();
    }

    /// Time passes, the clock jumps, a process restarts, a fault comes or goes.
    fn something_happens(&mut self) {
        let jump = self.jump();
        self.ledger.after(jump);
        if self.dice.percent(4) {
            self.ledger.reopen();
        }
        if self.dice.percent(2) {
            self.other = self.ledger.another();
        }
        if self.dice.percent(8) {
            let raw = self.ledger.raw();
            raw.execute_batch("DELETE FROM fault").unwrap();
            self.struck = self.dice.percent(60).then(|| *self.dice.one_of(&PEOPLE));
            if let Some(name) = self.struck {
                let strike = "INSERT INTO fault (user_name) VALUES ($1)";
                raw.execute(strike, [name]).unwrap();
            }
        }
        self.log
            .push(format!("clock {jump:?}, fault {:?}", self.struck));
    }

    /// A decision far ahead, and a step back: what ended by then has ended for good.
    async fn the_clock_runs_wild(&mut self) {
        self.ledger.after(
            *self
                .dice
                .one_of(&[Millis::days(7), Millis::days(8), Millis::days(31)]),
        );
        self.log.push("far ahead".to_owned());
        self.model.does(&Ask::Ping, self.ledger.now(), "");
        self.ledger.store().ping().await.unwrap();
        self.agrees();
        self.ledger.after(*self.dice.one_of(&[
            Millis::minutes(-9),
            Millis::hours(-1),
            Millis::days(-6),
            Millis::days(-30),
        ]));
        self.agrees();
    }

    fn jump(&self) -> Millis {
        let up_to =
            |most: Millis| Millis(i64::try_from(self.dice.below(most.0.unsigned_abs())).unwrap());
        let back = |length: Millis| Millis(-length.0);
        match self.dice.below(100) {
            0..40 => up_to(Millis::minutes(1)),
            40..60 => up_to(Millis::hours(12)),
            60..75 => up_to(Millis::days(4)),
            75..79 => Millis::days(7),
            79..82 => up_to(Millis::days(40)),
            82..84 => Millis::days(91),
            84..94 => back(up_to(Millis::minutes(11))),
            94..96 => back(Millis::minutes(10)),
            _ => back(up_to(Millis::days(12))),
        }
    }

    fn person(&self) -> String {
        (*self.dice.one_of(&PEOPLE)).to_owned()
    }

    fn workstation(&self) -> String {
        format!("pc-{}", self.dice.below(self.workstations))
    }

    fn an_open(&self) -> Ask {
        Ask::Open {
            person: self.person(),
            workstation: self.workstation(),
            leases: self.dice.percent(85),
        }
    }

    fn an_ask(&mut self) -> Ask {
        match self.dice.below(100) {
            0..50 => self.an_open(),
            50..58 => Ask::Assign(self.person()),
            58..68 => Ask::Unassign(self.person()),
            68..74 => Ask::EndLease {
                id: self.a_lease(),
                by_person: self.dice.percent(50),
            },
            74..77 => Ask::Lift(self.workstation()),
            77..79 => {
                let merge = Ask::Merge(self.workstation(), self.workstation());
                self.workstations += 1;
                merge
            }
            79..84 => Ask::SetActive(self.person(), self.dice.percent(70)),
            84..87 => Ask::SetLeasing(self.dice.percent(80)),
            87..90 => Ask::SetDynamic(self.dice.percent(70)),
            90..95 => Ask::Load {
                cals: u32::try_from(self.dice.below(6)).unwrap(),
                force: self.dice.percent(30),
            },
            95..98 => Ask::Sweep,
            _ => Ask::Ping,
        }
    }

    fn a_lease(&self) -> String {
        let leases = self.model.leases_at(Timestamp(0));
        if leases.is_empty() {
            return "none".to_owned();
        }
        self.dice.one_of(&leases)[0].clone()
    }

    /// What an explanation says before an open is what the open then answers.
    async fn is_explained(&mut self, ask: &Ask) {
        let Ask::Open { person, .. } = ask else {
            return;
        };
        if self.struck == Some(person) || self.model.is_set_back(self.ledger.now()) {
            return;
        }
        let command = command(&self.ledger, ask).await;
        // Finding the workstation may have been the decision that passed a jump.
        self.model.does(&Ask::Ping, self.ledger.now(), "");
        let explained = words(&explain(&self.other, &command).answer);
        let said = self.model.clone().does(ask, self.ledger.now(), "");
        assert_eq!(explained, said.answer, "{:#?}", self.log);
    }

    /// Does these at once, in this order, and the model does them one after the other.
    async fn are_done(&mut self, asks: &[Ask]) {
        let mut commands = Vec::new();
        for ask in asks {
            commands.push(self.ready(ask).await);
        }
        let events = self.ledger.events();
        let here = self.dice.percent(50);
        let store = if here {
            self.ledger.store()
        } else {
            &self.other
        };
        let now = self.ledger.now();
        let done = asks
            .iter()
            .zip(commands)
            .map(|(ask, command)| does(store, ask, command));
        let answers = all_at_once(done).await;
        let mut expected = events;
        for (ask, answer) in asks.iter().zip(answers) {
            self.log.push(format!("{ask:?}: {answer:?}"));
            expected += self.model_does(ask, now, answer);
        }
        assert_eq!(self.ledger.events(), expected, "events, {:#?}", self.log);
    }

    /// Workstations are found before, so that the ledger's clock has moved as the model's.
    async fn ready(&mut self, ask: &Ask) -> Ready {
        let ledger = &self.ledger;
        let ready = match ask {
            Ask::Open { .. } => Ready {
                open: Some(command(ledger, ask).await),
                ..Ready::default()
            },
            Ask::EndLease { id, by_person } => {
                let leases = self.model.leases_at(Timestamp(0));
                let owner = leases.iter().find(|row| row[0] == *id);
                let owner = owner
                    .filter(|_| *by_person)
                    .map(|row| ledger.who(&row[1]).id);
                Ready {
                    owner,
                    ..Ready::default()
                }
            }
            Ask::Lift(one) => Ready {
                workstations: vec![ledger.workstation(one).await.id],
                ..Ready::default()
            },
            Ask::Merge(one, two) => Ready {
                workstations: vec![
                    ledger.workstation(one).await.id,
                    ledger.workstation(two).await.id,
                ],
                ..Ready::default()
            },
            _ => Ready::default(),
        };
        // One decision by both, so that they agree on the time whatever was looked up.
        let set_back = self.model.does(&Ask::Ping, self.ledger.now(), "").set_back;
        self.log.push(format!("looked up, set back: {set_back}"));
        self.ledger.store().ping().await.unwrap();
        ready
    }

    /// The model does what the ledger did or failed to do; how many events that leaves.
    fn model_does(&mut self, ask: &Ask, now: Timestamp, answer: Answer) -> usize {
        let mut after = self.model.clone();
        let granted = answer.as_ref().map_or("", |(_, id)| id);
        let Said {
            answer: expected,
            event,
            set_back,
        } = after.does(ask, now, granted);
        if event.is_some() && event.as_deref() == self.struck {
            assert!(
                matches!(answer, Err(StoreError::Database(_))),
                "{:#?}",
                self.log
            );
            return 0;
        }
        assert_eq!(answer.unwrap().0, expected, "{:#?}", self.log);
        self.model = after;
        usize::from(event.is_some()) + usize::from(set_back)
    }

    /// Both processes show what the model says, and every invariant holds.
    fn agrees(&self) {
        let now = self.model.shown_at(self.ledger.now());
        for store in [self.ledger.store(), &self.other] {
            let cals = store.cals("", u32::MAX).unwrap();
            let cals: Vec<_> = cals
                .into_iter()
                .map(|row| match row.cal.state {
                    accesspoint::domain::cal::CalState::Assigned => (row.user, None),
                    accesspoint::domain::cal::CalState::Quarantined { until, .. } => {
                        (row.user, Some(until))
                    }
                })
                .collect();
            assert_eq!(cals, self.model.cals_at(now), "CALs, {:#?}", self.log);
            let license = store.license().unwrap();
            assert_eq!(license.taken as usize, cals.len(), "{:#?}", self.log);
            assert_eq!(license.held, self.model.held.unwrap_or(0));
            let filter = LeaseFilter {
                limit: u32::MAX,
                ..LeaseFilter::default()
            };
            let leases: Vec<[String; 5]> = store
                .leases(&filter)
                .unwrap()
                .into_iter()
                .map(|row| {
                    [
                        row.lease.id.0.clone(),
                        row.user,
                        row.lease.workstation.name.clone(),
                        row.lease.state_at(now).word().to_owned(),
                        row.lease.expires_at.to_string(),
                    ]
                })
                .collect();
            assert_eq!(leases, self.model.leases_at(now), "leases, {:#?}", self.log);
            assert_eq!(store.check().unwrap(), [], "{:#?}", self.log);
        }
    }
}

/// What a command needs that was looked up before.
#[derive(Default)]
struct Ready {
    open: Option<OpenCommand>,
    owner: Option<accesspoint::domain::person::PersonId>,
    workstations: Vec<accesspoint::domain::workstation::WorkstationId>,
}

async fn command(ledger: &Ledger, ask: &Ask) -> OpenCommand {
    let Ask::Open {
        person,
        workstation,
        leases,
    } = ask
    else {
        panic!("no open: {ask:?}");
    };
    let client = if *leases {
        ClientKind::Desktop
    } else {
        ClientKind::Download
    };
    OpenCommand {
        client,
        ..ledger.command(person, workstation).await
    }
}

async fn does(store: &Store, ask: &Ask, ready: Ready) -> Answer {
    let mut workstations = ready.workstations.into_iter();
    let mut workstation = move || workstations.next().unwrap();
    let answer = match ask {
        Ask::Open { .. } => {
            let opened = store.open_document(ready.open.unwrap()).await?;
            let id = match &opened.answer.lease {
                LeaseOutcome::Granted(lease) => lease.id.0.clone(),
                _ => String::new(),
            };
            return Ok((words(&opened.answer), id));
        }
        Ask::Assign(person) => match store.assign_cal(user(person), admin()).await? {
            AssignAnswer::Refused(refusal) => format!("refused {}", refusal.code().as_str()),
            answer => format!("{answer:?}"),
        },
        Ask::Unassign(person) => {
            let unassigned = store.unassign_cal(user(person), admin()).await?;
            match unassigned.unwrap().answer {
                UnassignAnswer::Quarantined { .. } => "Quarantined".to_owned(),
                answer => format!("{answer:?}"),
            }
        }
        Ask::EndLease { id, .. } => {
            let end = store.end_lease(id.clone().into(), ready.owner, admin());
            format!("{:?}", end.await?)
        }
        Ask::Lift(_) => {
            let lift = store.lift_workstation(workstation(), admin());
            format!("{:?}", lift.await?)
        }
        Ask::Merge(..) => {
            let merge = store.merge_workstation(workstation(), workstation(), admin());
            format!("{:?}", merge.await?)
        }
        Ask::SetActive(person, active) => {
            assert!(store.set_active(user(person), *active, admin()).await?);
            "done".to_owned()
        }
        Ask::SetLeasing(on) => {
            store.set(Setting::AllowLicenseLease, *on, admin()).await?;
            "done".to_owned()
        }
        Ask::SetDynamic(on) => {
            let setting = Setting::AllowDynamicAssignment;
            store.set(setting, *on, admin()).await?;
            "done".to_owned()
        }
        Ask::Load { cals, force } => {
            let license = License::parse(&lef(*cals), &LefAttributes::default()).unwrap();
            let force = if *force { Force::Yes } else { Force::No };
            match store.load_license(license, force, admin()).await? {
                LoadAnswer::Loaded { .. } => "Loaded".to_owned(),
                LoadAnswer::TooSmall { .. } => "TooSmall".to_owned(),
            }
        }
        Ask::Sweep => store.sweep().await.map(|_| "done".to_owned())?,
        Ask::Ping => store.ping().await.map(|_| "done".to_owned())?,
    };
    Ok((answer, String::new()))
}

/// The answer to an open, in the model's words.
fn words(answer: &OpenAnswer) -> String {
    let lease = match &answer.lease {
        LeaseOutcome::Refused(refusal) => format!("refused {}", refusal.code().as_str()),
        lease => lease.word().to_owned(),
    };
    match &answer.access {
        Access::Granted(step) => format!("{step:?}, {lease}"),
        Access::Refused(refusal) => format!("refused {}", refusal.code().as_str()),
    }
}
