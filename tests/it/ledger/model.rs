//! The rules once more, naively, in memory: who holds what. The simulation compares the ledger
//! with it.

use std::collections::{BTreeMap, BTreeSet};

use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::store::CLOCK_CLAMP;

const WINDOW: Millis = Millis::days(7);
const QUARANTINE: Millis = Millis::days(7);
const LENGTH: Millis = Millis::days(30);
const KEPT: Millis = Millis::days(90);

/// A whole ledger.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// The last decision.
    last: Timestamp,
    /// Named CALs of the licence; none where none is loaded.
    pub(super) held: Option<u32>,
    pub(super) leasing: bool,
    pub(super) dynamic: bool,
    disabled: BTreeSet<String>,
    cals: BTreeMap<String, Cal>,
    leases: BTreeMap<String, Entry>,
    merged: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cal {
    used: bool,
    rests_until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    person: String,
    workstation: String,
    state: &'static str,
    event: Timestamp,
    end: Timestamp,
    ended: Option<Timestamp>,
    counts: bool,
}

/// What can be asked for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Open {
        person: String,
        workstation: String,
        leases: bool,
    },
    Assign(String),
    Unassign(String),
    EndLease {
        id: String,
        by_person: bool,
    },
    Lift(String),
    Merge(String, String),
    SetActive(String, bool),
    SetLeasing(bool),
    SetDynamic(bool),
    Load {
        cals: u32,
        force: bool,
    },
    Sweep,
    Ping,
}

/// What is answered, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The outcome.
    pub(super) answer: String,
    /// Whose event is written, where one is; empty where it is nobody's.
    pub(super) event: Option<String>,
    /// Whether the clock was found set back, which is one event more.
    pub(super) set_back: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            leasing: true,
            dynamic: true,
            ..Self::default()
        }
    }

    /// Does it. `granted` is the id that the ledger gave a lease that this grants.
    pub(super) fn does(&mut self, ask: &Ask, clock: Timestamp, granted: &str) -> Said {
        let set_back = self.ticks(clock);
        let (answer, event) = match ask {
            Ask::Open {
                person,
                workstation,
                leases,
            } => {
                let workstation = self.resolved(workstation);
                let answer = self.opens(person, &workstation, *leases, granted);
                (answer, Some(person.clone()))
            }
            Ask::Assign(person) => self.assigns(person),
            Ask::Unassign(person) => self.unassigns(person),
            Ask::EndLease { id, by_person } => self.ends(id, *by_person),
            Ask::Lift(workstation) => self.lifts(&self.resolved(workstation)),
            Ask::Merge(from, into) => self.merges(&self.resolved(from), &self.resolved(into)),
            Ask::SetActive(person, active) => self.sets_active(person, *active),
            Ask::SetLeasing(on) => changed(&mut self.leasing, *on),
            Ask::SetDynamic(on) => changed(&mut self.dynamic, *on),
            Ask::Load { cals, force } => self.loads(*cals, *force),
            Ask::Sweep => {
                self.sweeps();
                ("done".to_owned(), None)
            }
            Ask::Ping => ("done".to_owned(), None),
        };
        Said {
            answer,
            event,
            set_back,
        }
    }

    /// What reads show with this clock: never before the last decision.
    pub(super) fn shown_at(&self, clock: Timestamp) -> Timestamp {
        clock.max(self.last)
    }

    /// Whether a decision with this clock would find it set back by more than is clamped.
    pub(super) fn is_set_back(&self, clock: Timestamp) -> bool {
        self.last - clock > CLOCK_CLAMP
    }

    /// Who has a CAL that is taken, and until when it rests.
    pub(super) fn cals_at(&self, now: Timestamp) -> Vec<(String, Option<Timestamp>)> {
        let taken = |cal: &Cal| cal.rests_until.is_none_or(|until| now < until);
        let cals = self.cals.iter().filter(|(_, cal)| taken(cal));
        cals.map(|(person, cal)| (person.clone(), cal.rests_until))
            .collect()
    }

    /// Every lease: id, person, workstation, state, end.
    pub(super) fn leases_at(&self, now: Timestamp) -> Vec<[String; 5]> {
        let row = |(id, entry): (&String, &Entry)| {
            let over = entry.state == "live" && entry.end <= now;
            let state = if over { "expired" } else { entry.state };
            [
                id.clone(),
                entry.person.clone(),
                entry.workstation.clone(),
                state.to_owned(),
                entry.end.to_string(),
            ]
        };
        self.leases.iter().map(row).collect()
    }

    /// The workstation that this one became.
    pub(super) fn resolved(&self, workstation: &str) -> String {
        let mut name = workstation;
        while let Some(into) = self.merged.get(name) {
            name = into;
        }
        name.to_owned()
    }

    /// Takes the time of a decision, and ends for good what has ended by then.
    fn ticks(&mut self, clock: Timestamp) -> bool {
        let set_back = self.is_set_back(clock);
        self.last = if set_back {
            self.settles(self.last);
            clock
        } else {
            clock.max(self.last)
        };
        self.settles(self.last);
        set_back
    }

    fn settles(&mut self, now: Timestamp) {
        self.cals
            .retain(|_, cal| cal.rests_until.is_none_or(|until| now < until));
        for entry in self.leases.values_mut() {
            if entry.state == "live" && entry.end <= now {
                entry.state = "expired";
            }
        }
    }

    fn taken(&self) -> u32 {
        u32::try_from(self.cals.len()).unwrap()
    }

    fn opens(&mut self, person: &str, workstation: &str, leases: bool, granted: &str) -> String {
        let access = match self.access(person) {
            Ok(access) => access,
            Err(refused) => return format!("refused {refused}"),
        };
        let cal = Cal {
            used: true,
            rests_until: None,
        };
        self.cals.insert(person.to_owned(), cal);
        if !leases {
            return format!("{access}, not_applicable");
        }
        let lease = self.leases_on(person, workstation, granted);
        format!("{access}, {lease}")
    }

    fn access(&self, person: &str) -> Result<&'static str, &'static str> {
        let held = self.held.ok_or("LICENSE_MISSING")?;
        if self.disabled.contains(person) {
            return Err("DOCUMENT_NOT_FOUND");
        }
        match self.cals.get(person) {
            None if held == 0 => Err("LICENSE_HAS_NO_NAMED_CALS"),
            Some(cal) if cal.rests_until.is_none() => Ok("Held"),
            Some(_) if self.dynamic => Ok("GivenBack"),
            Some(_) => Err("CAL_QUARANTINED"),
            None if !self.dynamic => Err("NO_CAL_ASSIGNED"),
            None if self.taken() < held => Ok("Assigned"),
            None => Err("NO_FREE_CAL"),
        }
    }

    fn leases_on(&mut self, person: &str, workstation: &str, granted: &str) -> String {
        let now = self.last;
        if self.held == Some(0) {
            return "refused LICENSE_HAS_NO_NAMED_CALS".to_owned();
        }
        if !self.leasing {
            return "refused LEASING_SWITCHED_OFF".to_owned();
        }
        let others: BTreeSet<&String> = self
            .leases
            .values()
            .filter(|e| e.person == person && e.workstation != workstation)
            .filter(|e| e.counts && now < e.event + WINDOW)
            .map(|e| &e.workstation)
            .collect();
        let limited = others.len() >= 2;
        let live = self
            .leases
            .values_mut()
            .find(|e| e.person == person && e.workstation == workstation && e.state == "live");
        match live {
            Some(live) if limited => {
                live.state = "revoked";
                live.ended = Some(now);
            }
            Some(live) => {
                live.event = live.event.max(now);
                live.end = live.end.max(now + LENGTH);
                live.counts = true;
                return "renewed".to_owned();
            }
            None => {}
        }
        if limited {
            return "refused WORKSTATION_LIMIT".to_owned();
        }
        let entry = Entry {
            person: person.to_owned(),
            workstation: workstation.to_owned(),
            state: "live",
            event: now,
            end: now + LENGTH,
            ended: None,
            counts: true,
        };
        self.leases.insert(granted.to_owned(), entry);
        "granted".to_owned()
    }

    fn assigns(&mut self, person: &str) -> (String, Option<String>) {
        let event = Some(person.to_owned());
        let own = self.cals.get(person).copied();
        if own.is_some_and(|cal| cal.rests_until.is_none()) {
            return ("AlreadyHeld".to_owned(), None);
        }
        let refusal = match (self.held, own) {
            (None, _) => Some("LICENSE_MISSING"),
            _ if self.disabled.contains(person) => Some("USER_DISABLED"),
            (Some(0), None) => Some("LICENSE_HAS_NO_NAMED_CALS"),
            (Some(held), None) if self.taken() >= held => Some("NO_FREE_CAL"),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return (format!("refused {refusal}"), event);
        }
        let cal = Cal {
            used: own.is_some_and(|cal| cal.used),
            rests_until: None,
        };
        self.cals.insert(person.to_owned(), cal);
        let answer = if own.is_some() {
            "GivenBack"
        } else {
            "Assigned"
        };
        (answer.to_owned(), event)
    }

    fn unassigns(&mut self, person: &str) -> (String, Option<String>) {
        let event = Some(person.to_owned());
        let until = self.last + QUARANTINE;
        match self.cals.get_mut(person) {
            Some(cal) if cal.rests_until.is_none() && cal.used => {
                cal.rests_until = Some(until);
                ("Quarantined".to_owned(), event)
            }
            Some(cal) if cal.rests_until.is_none() => {
                self.cals.remove(person);
                ("Freed".to_owned(), event)
            }
            _ => ("NotHeld".to_owned(), None),
        }
    }

    fn ends(&mut self, id: &str, by_person: bool) -> (String, Option<String>) {
        let now = self.last;
        match self.leases.get_mut(id) {
            None => ("None".to_owned(), None),
            Some(entry) if entry.state == "live" => {
                entry.state = if by_person { "released" } else { "revoked" };
                entry.ended = Some(now);
                ("Some(true)".to_owned(), Some(entry.person.clone()))
            }
            Some(_) => ("Some(false)".to_owned(), None),
        }
    }

    fn lifts(&mut self, workstation: &str) -> (String, Option<String>) {
        let mut ended = 0;
        for entry in self.leases.values_mut() {
            if entry.workstation != workstation {
                continue;
            }
            entry.counts = false;
            if entry.state == "live" {
                entry.state = "revoked";
                entry.ended = Some(self.last);
                ended += 1;
            }
        }
        (format!("Some({ended})"), Some(String::new()))
    }

    fn merges(&mut self, from: &str, into: &str) -> (String, Option<String>) {
        if from == into {
            return ("Some(0)".to_owned(), None);
        }
        let live_on = |leases: &BTreeMap<String, Entry>, workstation: &str| {
            let live = leases.iter();
            live.filter(|(_, e)| e.workstation == workstation && e.state == "live")
                .map(|(id, e)| (e.person.clone(), (e.end, id.clone())))
                .collect::<BTreeMap<_, _>>()
        };
        let staying = live_on(&self.leases, into);
        let mut ended = 0;
        for (person, (end, id)) in live_on(&self.leases, from) {
            let Some((other_end, other)) = staying.get(&person) else {
                continue;
            };
            let first = if end <= *other_end { &id } else { other };
            let entry = self.leases.get_mut(first).unwrap();
            entry.state = "revoked";
            entry.ended = Some(self.last);
            ended += 1;
        }
        for entry in self.leases.values_mut() {
            if entry.workstation == from {
                into.clone_into(&mut entry.workstation);
            }
        }
        self.merged.insert(from.to_owned(), into.to_owned());
        (format!("Some({ended})"), Some(String::new()))
    }

    fn sets_active(&mut self, person: &str, active: bool) -> (String, Option<String>) {
        let changes = if active {
            self.disabled.remove(person)
        } else {
            self.disabled.insert(person.to_owned())
        };
        ("done".to_owned(), changes.then(|| person.to_owned()))
    }

    fn loads(&mut self, cals: u32, force: bool) -> (String, Option<String>) {
        let answer = if cals < self.taken() && !force {
            "TooSmall"
        } else {
            self.held = Some(cals);
            "Loaded"
        };
        (answer.to_owned(), Some(String::new()))
    }

    fn sweeps(&mut self) {
        let before = self.last - KEPT;
        self.leases.retain(|_, entry| {
            let ended = entry.ended.is_none_or(|ended| ended <= before);
            entry.state == "live" || entry.end > before || !ended
        });
    }
}

fn changed(switch: &mut bool, on: bool) -> (String, Option<String>) {
    let event = (*switch != on).then(String::new);
    *switch = on;
    ("done".to_owned(), event)
}
