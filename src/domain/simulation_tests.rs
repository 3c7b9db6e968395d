//! A site in memory under random commands and clock jumps. After each step [`check`] finds
//! nothing, R13 holds over the whole history of leases, and R17 over every change.
//!
//! `SEEDS` in the environment is how many seeds are run, from 0 on. A failure prints its seed.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::administer::{
    AssignAnswer, AssignView, EndedBy, Force, LoadAnswer, UnassignAnswer, decide_assign,
    decide_end_lease, decide_lift, decide_load_license, decide_merge, decide_unassign,
};
use super::cal::{CalState, NamedCal};
use super::change::{Change, Decision};
use super::check::{State, check};
use super::client::ClientKind;
use super::lease::{Lease, LeaseId};
use super::lef::License;
use super::open::{
    Access, CalStep, LeaseOutcome, OpenAnswer, OpenView, Owner, RequestedDocument, Rule, Switches,
    decide_open, workstations_in_use,
};
use super::person::{AutomaticCal, Person, PersonId};
use super::policy::Policy;
use super::refusal::{Refusal, RefusalCode};
use super::samples::{NOW, TICK, license, person, workstation};
use super::time::{Millis, Timestamp};
use super::workstation::WorkstationId;

const SEEDS_DEFAULT: u64 = 300;
const STEPS: u32 = 250;
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "eve"];
const WORKSTATIONS: [&str; 5] = ["pc-1", "pc-2", "pc-3", "pc-4", "pc-5"];
/// A clock that goes back by no more than this is clamped to the last decision.
const CLAMP: Millis = Millis::minutes(10);

#[test]
fn random_commands_and_clock_jumps_break_no_invariant() {
    let seeds = seeds();
    let mut tally = BTreeMap::new();
    for seed in 0..seeds {
        run(seed, &mut tally);
    }
    println!("{seeds} seeds of {STEPS} steps: {tally:#?}");
    // Enough seeds reach whatever can happen; a simulation that does not would prove little.
    if seeds >= SEEDS_DEFAULT {
        for what in EVERYTHING {
            assert!(tally.contains_key(what), "{what} never happened");
        }
    }
}

/// What a long simulation sees at least once, beside the refusal codes.
const EVERYTHING: [&str; 32] = [
    "open: held",
    "open: assigned",
    "open: given back",
    "open: lease granted",
    "open: lease renewed",
    "open: lease revoked",
    "open: LICENSE_TEST_EDITION",
    "open: LICENSE_EDITION_CANNOT_LEASE",
    "open: LICENSE_FORBIDS_LEASE",
    "open: LICENSE_LIMITS_DOCUMENTS",
    "open: LICENSE_EXPIRED",
    "open: LICENSE_HAS_NO_NAMED_CALS",
    "open: LEASING_SWITCHED_OFF",
    "open: DOCUMENT_NOT_FOUND",
    "open: NO_CAL_ASSIGNED",
    "open: NO_FREE_CAL",
    "open: CAL_QUARANTINED",
    "open: WORKSTATION_LIMIT",
    "assign: done",
    "assign: given back",
    "assign: NO_FREE_CAL",
    "assign: USER_DISABLED",
    "unassign: free",
    "unassign: quarantined",
    "lease ended",
    "lifted",
    "merged",
    "merged, a lease revoked",
    "license loaded",
    "license forced",
    "license refused",
    "overcommitted",
];

#[expect(
    clippy::disallowed_methods,
    reason = "how long to simulate is a matter of the test run, not of a configuration"
)]
fn seeds() -> u64 {
    std::env::var("SEEDS").map_or(SEEDS_DEFAULT, |text| text.parse().unwrap())
}

/// Prints the seed when a step panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the seed is {}", self.0);
        }
    }
}

fn run(seed: u64, tally: &mut BTreeMap<String, u64>) {
    let printed_on_failure = Seed(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut site = Site::new(&mut rng);
    for _ in 0..STEPS {
        let now = site.advance(&mut rng);
        for what in site.step(&mut rng, now) {
            *tally.entry(what).or_default() += 1;
        }
        site.assert_sound(now);
    }
    drop(printed_on_failure);
}

/// A site and its ledger, as plain lists.
#[derive(Clone)]
struct Site {
    policy: Policy,
    license: License,
    switches: Switches,
    people: Vec<Person>,
    cals: Vec<NamedCal>,
    leases: Vec<Lease>,
    /// When people leased on workstations, kept apart from the leases.
    history: BTreeMap<PersonId, Vec<(WorkstationId, Timestamp)>>,
    /// The machine's clock; see [`Site::advance`].
    clock: Timestamp,
    last_decision: Timestamp,
    /// More CALs are taken than held, because a licence was forced or a line of it lapsed.
    overcommitted: bool,
    leases_made: u32,
}

impl Site {
    fn new(rng: &mut StdRng) -> Self {
        let mut policy = Policy::default();
        let windows = [Millis::hours(24), Millis::days(7)];
        policy.lease_window = pick(rng, &windows);
        policy.quarantine = pick(rng, &windows);
        let mut people: Vec<_> = PEOPLE.iter().map(|name| person(name)).collect();
        people[3].automatic_cal = AutomaticCal::Never;
        people[4].automatic_cal = AutomaticCal::Assign;
        Self {
            policy,
            license: license("PRODUCTLEVEL;10\nNAMED_CALS;3"),
            switches: Switches::default(),
            people,
            cals: Vec::new(),
            leases: Vec::new(),
            history: BTreeMap::new(),
            clock: NOW,
            last_decision: NOW,
            overcommitted: false,
            leases_made: 0,
        }
    }

    /// Moves the clock, mostly a little and sometimes far or back, and gives the time of the
    /// next decision: a small step back is clamped, a larger one is accepted.
    fn advance(&mut self, rng: &mut StdRng) -> Timestamp {
        let ahead = match rng.random_range(0..100) {
            0..15 => Millis(0),
            15..25 => Millis(rng.random_range(1..3)),
            25..70 => Millis::minutes(rng.random_range(1..300)),
            70..82 => Millis::hours(rng.random_range(1..48)),
            82..86 => self.policy.lease_window,
            86..88 => self.policy.quarantine,
            88..90 => Millis::days(rng.random_range(5..35)),
            90..92 => self.policy.lease_length,
            92..97 => Millis::minutes(-rng.random_range(1..11)),
            _ => Millis::hours(-rng.random_range(1..400)),
        };
        self.clock = self.clock + ahead;
        let back = self.last_decision - self.clock;
        let clamped = Millis(0) < back && back <= CLAMP;
        let now = if clamped {
            self.last_decision
        } else {
            self.clock
        };
        self.last_decision = now;
        self.end_what_has_ended(now);
        self.overcommitted = self.taken() > self.license.named_cals(now);
        now
    }

    /// A quarantine or lease that has ended in one decision has ended for good.
    fn end_what_has_ended(&mut self, now: Timestamp) {
        self.cals.retain(|cal| cal.is_taken(now));
        for lease in &mut self.leases {
            lease.state = lease.state_at(now);
        }
    }

    fn step(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<String> {
        let seen = match rng.random_range(0..100) {
            0..58 => self.open(rng, now),
            58..66 => self.assign(rng, now),
            66..74 => self.unassign(rng, now),
            74..80 => self.end_lease(rng, now),
            80..83 => self.lift(rng, now),
            83..86 => self.merge(rng, now),
            86..91 => self.load(rng, now),
            91..96 => self.switch(rng),
            _ => self.disable_or_enable(rng),
        };
        let overcommitted = self.overcommitted.then_some("overcommitted");
        seen.into_iter()
            .chain(overcommitted)
            .map(str::to_owned)
            .collect()
    }

    fn open(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<&'static str> {
        let request = Request::any(rng, &self.people);
        let fresh = LeaseId::from(format!("lease-{}", self.leases_made));
        self.leases_made += 1;
        let seen = Seen::of(self, &request, now);
        let decision = decide_open(&seen.view(self, &request), request.client, now, fresh);
        let event = decision.event.as_ref().expect("R18: every open");
        let refusal = decision.answer.refusal();
        let code = refusal.map(|refusal| refusal.code().as_str());
        assert_eq!(event.code.as_deref(), code, "R18");
        if let Some(refusal) = refusal {
            self.assert_retry_is_exact(&request, refusal, now);
        }
        self.assert_limit(&request, &decision.answer, now);
        self.write(&decision.changes, now);
        opened(&decision)
    }

    /// R13, asked of the history: a lease needs at most one other workstation that counts, and
    /// the limit refuses only where there are two.
    fn assert_limit(&self, request: &Request, answer: &OpenAnswer, now: Timestamp) {
        let id = &self.people[request.person].id;
        let here = request.workstation;
        let mut others = self.counting(id, now);
        others.remove(&WorkstationId::from(here));
        match &answer.lease {
            LeaseOutcome::Granted(_) | LeaseOutcome::Renewed(_) => {
                assert!(others.len() < 2, "R13: leased beside {others:?}");
            }
            LeaseOutcome::Refused(refusal @ Refusal::WorkstationLimit { .. }) => {
                assert!(others.len() >= 2, "R13: refused beside {others:?}");
                assert_eq!(refusal.workstations().len(), others.len(), "R13");
            }
            _ => {}
        }
    }

    /// The workstations of a person that count at an instant, and their last events.
    fn counting(&self, person: &PersonId, now: Timestamp) -> BTreeMap<WorkstationId, Timestamp> {
        let mut counting = BTreeMap::new();
        let window = self.policy.lease_window.0;
        for (on, at) in self.history.get(person).into_iter().flatten() {
            if now.0 < at.0 + window {
                let last = counting.entry(on.clone()).or_insert(*at);
                *last = (*last).max(*at);
            }
        }
        counting
    }

    /// The rule that refused still refuses one millisecond before `retry_at` and passes at it,
    /// if nothing but time goes by.
    fn assert_retry_is_exact(&self, request: &Request, refusal: &Refusal, now: Timestamp) {
        let Some(retry_at) = refusal.retry_at() else {
            return;
        };
        let seen = Seen::of(self, request, now);
        let view = seen.view(self, request);
        let says = |rule: &Rule| rule.refusal(&view, now).as_ref() == Some(refusal);
        let rule = Rule::ALL.into_iter().find(says).unwrap();
        let refused_at = |then: Timestamp| {
            let mut later = self.clone();
            later.end_what_has_ended(then);
            let seen = Seen::of(&later, request, then);
            rule.refusal(&seen.view(&later, request), then).is_some()
        };
        let id = rule.id();
        assert!(now < retry_at, "{id}: {refusal:?} at {now}");
        assert!(refused_at(retry_at - TICK), "{id}: {refusal:?} at {now}");
        assert!(!refused_at(retry_at), "{id}: {refusal:?} at {now}");
    }

    fn assign(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<&'static str> {
        let person = pick(rng, &self.people);
        let cal = self.cal_of(&person.id).cloned();
        let ends = self.quarantine_ends();
        let view = AssignView {
            license: Some(&self.license),
            person: &person,
            cal: cal.as_ref(),
            taken: self.taken(),
            quarantine_ends: &ends,
        };
        let decision = decide_assign(&view, now);
        let refused = matches!(decision.answer, AssignAnswer::Refused(_));
        assert_one_event(&decision, refused);
        self.write(&decision.changes, now);
        match decision.answer {
            AssignAnswer::AlreadyHeld => vec!["assign: held"],
            AssignAnswer::Assigned => vec!["assign: done"],
            AssignAnswer::GivenBack => vec!["assign: given back"],
            AssignAnswer::Refused(refusal) => match refusal.code() {
                RefusalCode::NoFreeCal => vec!["assign: NO_FREE_CAL"],
                RefusalCode::UserDisabled => vec!["assign: USER_DISABLED"],
                RefusalCode::LicenseHasNoNamedCals => vec!["assign: LICENSE_HAS_NO_NAMED_CALS"],
                code => panic!("an assignment was refused with {code:?}"),
            },
        }
    }

    fn unassign(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<&'static str> {
        let person = pick(rng, &self.people);
        let cal = self.cal_of(&person.id).cloned();
        let leases = self.leases.clone();
        let decision = decide_unassign(&person, cal.as_ref(), &self.policy, now);
        assert_one_event(&decision, false);
        self.write(&decision.changes, now);
        assert_eq!(self.leases, leases, "R15: leases run on");
        match decision.answer {
            UnassignAnswer::NotHeld => vec!["unassign: not held"],
            UnassignAnswer::Freed => vec!["unassign: free"],
            UnassignAnswer::Quarantined { .. } => vec!["unassign: quarantined"],
        }
    }

    fn end_lease(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<&'static str> {
        if self.leases.is_empty() {
            return Vec::new();
        }
        let lease = pick(rng, &self.leases);
        let by = pick(rng, &[EndedBy::Person, EndedBy::Administrator]);
        let person = self.people.iter().find(|p| p.id == lease.person).unwrap();
        let decision = decide_end_lease(&lease, person, by, now);
        assert_eq!(decision.answer, lease.is_live(now), "R19");
        assert_one_event(&decision, false);
        let history = self.history.clone();
        self.write(&decision.changes, now);
        assert_eq!(self.history, history, "R19: the workstation still counts");
        vec!["lease ended"]
    }

    fn lift(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<&'static str> {
        let on = WorkstationId::from(pick(rng, &WORKSTATIONS));
        let decision = decide_lift(&on, &self.leases, now);
        assert_one_event(&decision, false);
        self.write(&decision.changes, now);
        let live = |lease: &Lease| lease.workstation.id == on && lease.is_live(now);
        assert!(!self.leases.iter().any(live), "R19: {on} was lifted");
        vec!["lifted"]
    }

    fn merge(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<&'static str> {
        let from = WorkstationId::from(pick(rng, &WORKSTATIONS));
        let into = WorkstationId::from(pick(rng, &WORKSTATIONS));
        let decision = decide_merge(&from, &into, &self.leases, now);
        assert_one_event(&decision, false);
        self.write(&decision.changes, now);
        match decision.answer {
            0 => vec!["merged"],
            _ => vec!["merged, a lease revoked"],
        }
    }

    fn load(&mut self, rng: &mut StdRng, now: Timestamp) -> Vec<&'static str> {
        let loaded = license(&any_lef(rng, now));
        let force = pick(rng, &[Force::No, Force::No, Force::Yes]);
        let decision = decide_load_license(&loaded, self.taken(), force, now);
        assert!(decision.event.is_some(), "R18: a license was loaded");
        let fits = self.taken() <= loaded.named_cals(now);
        match decision.answer {
            LoadAnswer::TooSmall { .. } => {
                assert!(!fits && force == Force::No, "R17");
                vec!["license refused"]
            }
            LoadAnswer::Loaded { .. } => {
                assert!(fits || force == Force::Yes, "R17");
                self.license = loaded;
                self.overcommitted = !fits;
                vec![if fits {
                    "license loaded"
                } else {
                    "license forced"
                }]
            }
        }
    }

    fn switch(&mut self, rng: &mut StdRng) -> Vec<&'static str> {
        self.switches = Switches {
            allow_license_lease: rng.random_bool(0.8),
            allow_dynamic_assignment: rng.random_bool(0.6),
        };
        Vec::new()
    }

    fn disable_or_enable(&mut self, rng: &mut StdRng) -> Vec<&'static str> {
        let index = rng.random_range(0..self.people.len());
        let person = &mut self.people[index];
        person.active = !person.active || rng.random_bool(0.7);
        Vec::new()
    }

    fn taken(&self) -> u32 {
        u32::try_from(self.cals.len()).unwrap()
    }

    fn cal_of(&self, person: &PersonId) -> Option<&NamedCal> {
        self.cals.iter().find(|cal| cal.person == *person)
    }

    fn quarantine_ends(&self) -> Vec<Timestamp> {
        let ends = self.cals.iter().filter_map(|cal| match cal.state {
            CalState::Assigned => None,
            CalState::Quarantined { until, .. } => Some(until),
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        ends
    }

    /// Writes the changes of one decision, and asserts R17 over all of them together.
    fn write(&mut self, changes: &[Change], now: Timestamp) {
        let before = self.taken();
        for change in changes {
            match change {
                Change::LeaseGranted(_)
                | Change::LeaseRenewed { .. }
                | Change::LeaseEnded { .. } => self.write_lease(change, now),
                Change::WorkstationLifted { workstation } => self.write_lift(workstation),
                Change::WorkstationMerged { workstation, into } => {
                    self.write_merge(workstation, into);
                }
                _ => self.write_cal(change),
            }
        }
        let held = self.license.named_cals(now);
        let taken = self.taken();
        let grew = taken > before;
        assert!(!grew || taken <= held, "R17: {taken} taken of {held}");
    }

    fn write_cal(&mut self, change: &Change) {
        let (Change::CalAssigned { person, .. }
        | Change::CalGivenBack { person }
        | Change::CalQuarantined { person, .. }
        | Change::CalFreed { person }
        | Change::CalUsed { person, .. }) = change
        else {
            panic!("{change:?} is no change of a CAL");
        };
        let index = self.cals.iter().position(|cal| cal.person == *person);
        if let Change::CalAssigned { at, .. } = change {
            assert_eq!(index, None, "{person} has a CAL already");
            self.cals.push(NamedCal {
                person: person.clone(),
                state: CalState::Assigned,
                assigned_at: *at,
                last_used_at: None,
            });
            return;
        }
        let index = index.unwrap_or_else(|| panic!("{person} has no CAL"));
        let cal = &mut self.cals[index];
        let gives_back = matches!(change, Change::CalGivenBack { .. });
        assert_eq!(cal.is_assigned(), !gives_back, "{change:?} of {cal:?}");
        match *change {
            Change::CalGivenBack { .. } => cal.state = CalState::Assigned,
            Change::CalQuarantined { since, until, .. } => {
                assert_eq!(until, since + self.policy.quarantine, "R10: a full Q");
                cal.state = CalState::Quarantined { since, until };
            }
            Change::CalUsed { at, .. } => cal.last_used_at = Some(at),
            _ => {
                assert_eq!(cal.last_used_at, None, "R10: a used CAL rests");
                self.cals.remove(index);
            }
        }
    }

    fn write_lease(&mut self, change: &Change, now: Timestamp) {
        if let Change::LeaseGranted(lease) = change {
            assert_eq!(lease.expires_at, now + self.policy.lease_length, "R12");
            self.remember(lease, now);
            self.leases.push(lease.clone());
            return;
        }
        let (Change::LeaseRenewed { id, .. } | Change::LeaseEnded { id, .. }) = change else {
            panic!("{change:?} is no change of a lease");
        };
        let lease = self.leases.iter_mut().find(|lease| lease.id == *id);
        let lease = lease.unwrap_or_else(|| panic!("no lease {id}"));
        assert!(lease.is_live(now), "{change:?} of {lease:?}");
        match *change {
            Change::LeaseEnded { state, at, .. } => {
                lease.state = state;
                lease.ended_at = Some(at);
            }
            Change::LeaseRenewed {
                renewed_at,
                expires_at,
                ..
            } => {
                let end = lease.expires_at.max(now + self.policy.lease_length);
                assert_eq!(expires_at, end, "R12");
                lease.renewed_at = renewed_at;
                lease.expires_at = expires_at;
                let renewed = lease.clone();
                self.remember(&renewed, now);
            }
            _ => {}
        }
    }

    fn remember(&mut self, lease: &Lease, now: Timestamp) {
        let events = self.history.entry(lease.person.clone()).or_default();
        events.push((lease.workstation.id.clone(), now));
    }

    fn write_lift(&mut self, on: &WorkstationId) {
        for lease in &mut self.leases {
            lease.counts &= lease.workstation.id != *on;
        }
        for events in self.history.values_mut() {
            events.retain(|(workstation, _)| workstation != on);
        }
    }

    fn write_merge(&mut self, from: &WorkstationId, into: &WorkstationId) {
        for lease in &mut self.leases {
            if lease.workstation.id == *from {
                lease.workstation = workstation(into.as_str());
            }
        }
        for (on, _) in self.history.values_mut().flatten() {
            if on == from {
                *on = into.clone();
            }
        }
    }

    fn assert_sound(&self, now: Timestamp) {
        let state = State {
            policy: &self.policy,
            held: self.license.named_cals(now),
            counter: self.taken(),
            overcommitted: self.overcommitted,
            cals: &self.cals,
            leases: &self.leases,
        };
        assert_eq!(check(&state, now), [], "at {now}");
        for person in &self.people {
            let leases = self.leases.iter().filter(|l| l.person == person.id);
            let used = workstations_in_use(leases, self.policy.lease_window, now);
            let stored: BTreeMap<_, _> = used
                .into_iter()
                .map(|used| (used.workstation.id, used.last_leased_at))
                .collect();
            let remembered = self.counting(&person.id, now);
            assert_eq!(stored, remembered, "R13: what counts for {}", person.id);
        }
    }
}

/// A random open.
struct Request {
    person: usize,
    workstation: &'static str,
    client: ClientKind,
    document: RequestedDocument,
}

impl Request {
    fn any(rng: &mut StdRng, people: &[Person]) -> Self {
        let clients = [
            ClientKind::Desktop,
            ClientKind::Desktop,
            ClientKind::Plugin,
            ClientKind::Ajax,
        ];
        let name = rng.random_bool(0.97).then(|| "Sales.qvw".to_owned());
        Self {
            person: rng.random_range(0..people.len()),
            workstation: pick(rng, &WORKSTATIONS),
            client: pick(rng, &clients),
            document: RequestedDocument {
                id: "sales".to_owned(),
                name,
            },
        }
    }
}

/// What a decision about an open is shown of the ledger.
struct Seen {
    workstation: super::workstation::Workstation,
    leases: Vec<Lease>,
    quarantine_ends: Vec<Timestamp>,
}

impl Seen {
    fn of(site: &Site, request: &Request, now: Timestamp) -> Self {
        let id = &site.people[request.person].id;
        let window = site.policy.lease_window;
        let shown = |lease: &&Lease| {
            lease.person == *id && (lease.is_live(now) || lease.counts_at(now, window))
        };
        Self {
            workstation: workstation(request.workstation),
            leases: site.leases.iter().filter(shown).cloned().collect(),
            quarantine_ends: site.quarantine_ends(),
        }
    }

    fn view<'a>(&'a self, site: &'a Site, request: &'a Request) -> OpenView<'a> {
        let person = &site.people[request.person];
        OpenView {
            owner: Owner::Ledger,
            license: Some(&site.license),
            switches: site.switches,
            policy: &site.policy,
            person,
            document: &request.document,
            workstation: &self.workstation,
            cal: site.cal_of(&person.id),
            taken: site.taken(),
            quarantine_ends: &self.quarantine_ends,
            leases: &self.leases,
        }
    }
}

/// R18: an event where something was changed or refused, and none otherwise.
fn assert_one_event<A>(decision: &Decision<A>, refused: bool) {
    let expected = refused || !decision.changes.is_empty();
    assert_eq!(
        decision.event.is_some(),
        expected,
        "R18: {:?}",
        decision.event
    );
    assert!(!refused || decision.changes.is_empty(), "R18: refused");
}

fn opened(decision: &Decision<OpenAnswer>) -> Vec<&'static str> {
    let mut seen = Vec::new();
    match &decision.answer.access {
        Access::Granted(CalStep::Held) => seen.push("open: held"),
        Access::Granted(CalStep::Assigned) => seen.push("open: assigned"),
        Access::Granted(CalStep::GivenBack) => seen.push("open: given back"),
        Access::Granted(CalStep::LeftToServer) | Access::Refused(_) => {}
    }
    match &decision.answer.lease {
        LeaseOutcome::Granted(_) => seen.push("open: lease granted"),
        LeaseOutcome::Renewed(_) => seen.push("open: lease renewed"),
        _ => {}
    }
    let revokes = |change: &Change| matches!(change, Change::LeaseEnded { .. });
    if decision.changes.iter().any(revokes) {
        seen.push("open: lease revoked");
    }
    if let Some(refusal) = decision.answer.refusal() {
        let code = refusal.code().as_str();
        let known = EVERYTHING.into_iter();
        seen.extend(known.filter(|what| what.strip_prefix("open: ") == Some(code)));
    }
    seen
}

/// A LEF whose lines begin and end around an instant; mostly one that may lease.
fn any_lef(rng: &mut StdRng, now: Timestamp) -> String {
    let mut lines = vec![format!("NAMED_CALS;{};;", rng.random_range(0..4))];
    let dates = |rng: &mut StdRng| {
        let day = |days: i64| (now + Millis::days(days)).to_string()[..10].to_owned();
        let from = rng.random_bool(0.5).then(|| day(rng.random_range(-5..4)));
        let to = rng.random_bool(0.7).then(|| day(rng.random_range(-2..20)));
        format!("{};{}", from.unwrap_or_default(), to.unwrap_or_default())
    };
    for (line, chance) in [
        ("NAMED_CALS;1", 0.5),
        ("NUMBER_OF_NAMED_CALS;2", 0.5),
        ("TIMELIMIT;VALUE", 0.15),
        ("PRODUCTLEVEL;10", 0.1),
        ("SPECIAL_EDITION;TEST", 0.05),
        ("SPECIAL_EDITION;EXTRANET", 0.05),
        ("LICENSE_LEASE;NO", 0.05),
        ("NUMBER_OF_DOCUMENTS;3", 0.05),
    ] {
        if rng.random_bool(chance) {
            lines.push(format!("{line};{}", dates(rng)));
        }
    }
    lines.join("\n")
}

fn pick<T: Clone>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())].clone()
}
