//! Every small state of an open, decided twice: by [`super::open`] and by a second, deliberately
//! naive reading of the rules below, which is slow and looks at each instant in turn.
//!
//! Windows and leases last a few milliseconds here, so that every instant can be looked at. The
//! dates of a LEF are whole days; therefore `now` lies around a midnight.

use std::collections::{BTreeMap, BTreeSet};

use super::cal::{CalState, NamedCal};
use super::change::{Change, Decision};
use super::client::ClientKind;
use super::lease::{Lease, LeaseState};
use super::lef::License;
use super::open::{Access, CalStep, LeaseOutcome, OpenAnswer, Rule, examine};
use super::person::AutomaticCal;
use super::policy::LefAttributes;
use super::refusal::{Refusal, RefusalCode};
use super::samples::{
    ALICE, Case, FRESH, HERE, TICK, TODAY, lease, quarantined_cal, unused_cal, used_cal,
};
use super::time::{Millis, Timestamp};

/// `W`, in milliseconds.
const WINDOW: i64 = 6;
/// How long a lease lasts, in milliseconds.
const LENGTH: i64 = 14;
/// How far ahead of `now` each millisecond is looked at; later only midnights matter.
const HORIZON: i64 = 12;
/// How many midnights are looked at, from [`TODAY`] on.
const MIDNIGHTS: i64 = 4;

/// A line of a LEF; days are counted from [`TODAY`], the last one included.
#[derive(Clone, Copy, Debug)]
struct RawLine {
    attribute: &'static str,
    value: &'static str,
    from: Option<i64>,
    to: Option<i64>,
}

const fn always(attribute: &'static str, value: &'static str) -> RawLine {
    dated(attribute, value, None, None)
}

const fn from(day: i64, attribute: &'static str, value: &'static str) -> RawLine {
    dated(attribute, value, Some(day), None)
}

const fn until(day: i64, attribute: &'static str, value: &'static str) -> RawLine {
    dated(attribute, value, None, Some(day))
}

const fn dated(
    attribute: &'static str,
    value: &'static str,
    from: Option<i64>,
    to: Option<i64>,
) -> RawLine {
    RawLine {
        attribute,
        value,
        from,
        to,
    }
}

const TWO_CALS: RawLine = always("NAMED_CALS", "2");

/// The licences of the small states; the first of them stands for none.
const LICENSES: [&[RawLine]; 18] = [
    &[],
    &[TWO_CALS],
    &[TWO_CALS, always("SPECIAL_EDITION", "TEST")],
    &[TWO_CALS, until(-1, "SPECIAL_EDITION", "TEST")],
    &[TWO_CALS, from(0, "SPECIAL_EDITION", "TEST")],
    &[
        TWO_CALS,
        until(-1, "SPECIAL_EDITION", "EXTRANET"),
        always("SPECIAL_EDITION", "SMALL_BUSINESS"),
    ],
    &[
        TWO_CALS,
        dated("LICENSE_LEASE", "NO", Some(0), Some(0)),
        always("SPECIAL_EDITION", "ENTERPRISE"),
    ],
    &[TWO_CALS, until(-1, "NUMBER_OF_DOCUMENTS", "3")],
    &[TWO_CALS, from(0, "TIMELIMIT", "VALUE")],
    &[TWO_CALS, until(-1, "TIMELIMIT", "VALUE")],
    &[
        TWO_CALS,
        from(0, "TIMELIMIT", "VALUE"),
        dated("PRODUCTLEVEL", "10", Some(1), Some(1)),
    ],
    &[
        TWO_CALS,
        until(-1, "TIMELIMIT", "VALUE"),
        from(1, "PRODUCTLEVEL", "10"),
    ],
    &[always("PRODUCTLEVEL", "10")],
    &[until(-1, "NAMED_CALS", "2")],
    &[
        always("NAMED_CALS", "1"),
        from(0, "NUMBER_OF_NAMED_CALS", "1"),
    ],
    &[
        until(-1, "NAMED_CALS", "3"),
        from(2, "NAMED_USER_CALS", "2"),
    ],
    &[
        always("NAMED_CALS", "1"),
        until(-1, "NAMED_CALS", "2"),
        from(1, "NAMED_CALS", "9"),
    ],
    &[
        TWO_CALS,
        until(-1, "SPECIAL_EDITION", "TEST"),
        until(0, "SPECIAL_EDITION", "EXTRANET"),
        until(1, "LICENSE_LEASE", "NO"),
        until(2, "NUMBER_OF_DOCUMENTS", "1"),
        from(2, "TIMELIMIT", ""),
    ],
];

/// The licence of these lines, read by the parser that the gateway uses.
fn read(lines: &[RawLine]) -> Option<License> {
    if lines.is_empty() {
        return None;
    }
    let date = |day: Option<i64>| day.map_or(String::new(), |d| format!("2026-03-{:02}", 10 + d));
    let text: Vec<String> = lines
        .iter()
        .map(|line| {
            let (from, to) = (date(line.from), date(line.to));
            format!("{};{};{from};{to}", line.attribute, line.value)
        })
        .collect();
    Some(License::parse(&text.join("\n"), &LefAttributes::default()).unwrap())
}

/// The naive reading: whether a rule passes is asked anew for each instant.
struct Naive<'a> {
    lines: &'a [RawLine],
    case: &'a Case,
    client: ClientKind,
}

impl Naive<'_> {
    fn counting(&self, t: Timestamp) -> impl Iterator<Item = &RawLine> {
        let midnight = |day: i64| TODAY + Millis::days(day);
        self.lines.iter().filter(move |line| {
            line.from.is_none_or(|day| midnight(day) <= t)
                && line.to.is_none_or(|day| t < midnight(day + 1))
        })
    }

    fn says(&self, attribute: &str, t: Timestamp) -> Vec<&'static str> {
        let lines = self.counting(t).filter(|line| line.attribute == attribute);
        lines.map(|line| line.value).collect()
    }

    fn held(&self, t: Timestamp) -> u32 {
        let cals = self
            .counting(t)
            .filter(|line| line.attribute.ends_with("_CALS"));
        cals.map(|line| line.value.parse::<u32>().unwrap()).sum()
    }

    /// Whether the person has a CAL, and whether it rests.
    fn own(&self, t: Timestamp) -> Option<CalState> {
        let state = self.case.cal.as_ref()?.state;
        match state {
            CalState::Quarantined { until, .. } if until <= t => None,
            _ => Some(state),
        }
    }

    fn is_free(&self, t: Timestamp) -> bool {
        let mut taken = self.case.taken;
        for end in &self.case.quarantine_ends {
            if *end <= t {
                taken -= 1;
            }
        }
        taken < self.held(t)
    }

    fn may_assign(&self) -> bool {
        let switch = self.case.switches.allow_dynamic_assignment;
        let mapping = self.case.person.automatic_cal;
        switch && mapping != AutomaticCal::Never
    }

    /// The last event of each other workstation that counts at an instant.
    fn others(&self, t: Timestamp) -> BTreeMap<&str, Timestamp> {
        let mut others = BTreeMap::new();
        for lease in &self.case.leases {
            let on = lease.workstation.id.as_str();
            let counts = lease.counts && t.0 < lease.renewed_at.0 + WINDOW;
            if counts && on != HERE {
                let last = others.entry(on).or_insert(lease.renewed_at);
                *last = lease.renewed_at.max(*last);
            }
        }
        others
    }

    fn passes(&self, rule: Rule, t: Timestamp) -> bool {
        match rule {
            Rule::R0 => !self.lines.is_empty(),
            Rule::R1 => !self.says("SPECIAL_EDITION", t).contains(&"TEST"),
            Rule::R2 => !self.says("SPECIAL_EDITION", t).contains(&"EXTRANET"),
            Rule::R3 => !self.says("LICENSE_LEASE", t).contains(&"NO"),
            Rule::R4 => self.says("NUMBER_OF_DOCUMENTS", t).is_empty(),
            Rule::R5 => {
                let is_term = |line: &&RawLine| {
                    line.attribute == "TIMELIMIT" || line.attribute == "PRODUCTLEVEL"
                };
                let all = self.lines.iter().filter(is_term).count();
                self.counting(t).filter(is_term).count() == all
            }
            Rule::R6 => self.held(t) > 0,
            Rule::R7 => self.case.switches.allow_license_lease,
            Rule::R8 => self.case.person.active && self.case.document.name.is_some(),
            Rule::R9 => match self.own(t) {
                Some(CalState::Assigned) => true,
                Some(CalState::Quarantined { .. }) => self.may_assign(),
                None => self.may_assign() && self.is_free(t),
            },
            Rule::R11 => matches!(self.client, ClientKind::Desktop | ClientKind::Plugin),
            Rule::R13 => self.others(t).len() < 2,
        }
    }

    /// The first instant after `now` at which a rule passes: each millisecond of the horizon,
    /// then each midnight.
    fn passes_from(&self, rule: Rule, now: Timestamp) -> Option<Timestamp> {
        let soon = (1..=HORIZON).map(|ahead| now + Millis(ahead));
        let midnights = (0..=MIDNIGHTS).map(|day| TODAY + Millis::days(day));
        soon.chain(midnights.filter(|at| *at > now))
            .find(|at| self.passes(rule, *at))
    }

    /// The rule that refuses access.
    fn refuses_access(&self, now: Timestamp) -> Option<Rule> {
        let order = [Rule::R0, Rule::R8, Rule::R6, Rule::R9];
        order.into_iter().find(|rule| {
            let asked = *rule != Rule::R6 || self.own(now).is_none();
            asked && !self.passes(*rule, now)
        })
    }

    /// The rule that refuses the lease of an open with access.
    fn refuses_lease(&self, now: Timestamp) -> Option<Rule> {
        let order = [
            Rule::R1,
            Rule::R2,
            Rule::R3,
            Rule::R4,
            Rule::R5,
            Rule::R6,
            Rule::R7,
            Rule::R13,
        ];
        order.into_iter().find(|rule| !self.passes(*rule, now))
    }

    fn code(&self, rule: Rule, now: Timestamp) -> RefusalCode {
        match rule {
            Rule::R0 => RefusalCode::LicenseMissing,
            Rule::R1 => RefusalCode::LicenseTestEdition,
            Rule::R2 => RefusalCode::LicenseEditionCannotLease,
            Rule::R3 => RefusalCode::LicenseForbidsLease,
            Rule::R4 => RefusalCode::LicenseLimitsDocuments,
            Rule::R5 => RefusalCode::LicenseExpired,
            Rule::R6 => RefusalCode::LicenseHasNoNamedCals,
            Rule::R7 => RefusalCode::LeasingSwitchedOff,
            Rule::R8 => RefusalCode::DocumentNotFound,
            Rule::R9 if self.may_assign() => RefusalCode::NoFreeCal,
            Rule::R9 if self.own(now).is_some() => RefusalCode::CalQuarantined,
            Rule::R9 => RefusalCode::NoCalAssigned,
            Rule::R11 => panic!("R11 refuses with no code"),
            Rule::R13 => RefusalCode::WorkstationLimit,
        }
    }

    fn step(&self, now: Timestamp) -> CalStep {
        match self.own(now) {
            Some(CalState::Assigned) => CalStep::Held,
            Some(CalState::Quarantined { .. }) => CalStep::GivenBack,
            None => CalStep::Assigned,
        }
    }

    fn live_here(&self, now: Timestamp) -> Option<&Lease> {
        self.case.leases.iter().find(|lease| {
            let live = lease.state == LeaseState::Live && now < lease.expires_at;
            live && lease.workstation.id.as_str() == HERE
        })
    }

    /// The lease that a granted or renewed one should be.
    fn leased(&self, now: Timestamp) -> Lease {
        let until = now + Millis(LENGTH);
        match self.live_here(now) {
            None => Lease {
                id: FRESH.into(),
                expires_at: until,
                ..lease(ALICE, HERE, now)
            },
            Some(old) => Lease {
                renewed_at: old.renewed_at.max(now),
                expires_at: old.expires_at.max(until),
                ..old.clone()
            },
        }
    }

    /// Everything that the open should write.
    fn changes(&self, now: Timestamp) -> Vec<Change> {
        if self.refuses_access(now).is_some() {
            return Vec::new();
        }
        let person = || ALICE.into();
        let mut changes = match self.step(now) {
            CalStep::Held => Vec::new(),
            CalStep::GivenBack => vec![Change::CalGivenBack { person: person() }],
            CalStep::Assigned => vec![Change::CalAssigned {
                person: person(),
                at: now,
            }],
            CalStep::LeftToServer => panic!("the ledger leaves nothing to a server"),
        };
        changes.push(Change::CalUsed {
            person: person(),
            at: now,
        });
        if self.passes(Rule::R11, now) {
            changes.extend(self.lease_change(now));
        }
        changes
    }

    fn lease_change(&self, now: Timestamp) -> Option<Change> {
        let live = self.live_here(now);
        match (self.refuses_lease(now), live) {
            (None, None) => Some(Change::LeaseGranted(self.leased(now))),
            (None, Some(_)) => {
                let renewed = self.leased(now);
                Some(Change::LeaseRenewed {
                    id: renewed.id,
                    renewed_at: renewed.renewed_at,
                    expires_at: renewed.expires_at,
                })
            }
            (Some(Rule::R13), Some(lease)) => Some(Change::LeaseEnded {
                id: lease.id.clone(),
                state: LeaseState::Revoked,
                at: now,
            }),
            _ => None,
        }
    }
}

/// Compares one open with the naive reading; `None` where they agree.
fn difference(naive: &Naive<'_>, now: Timestamp) -> Option<String> {
    let decision = naive.case.open(naive.client, now);
    let expected = (naive.refuses_access(now), naive.refuses_lease(now));
    answer_difference(naive, &decision.answer, expected, now)
        .or_else(|| changes_difference(naive, &decision, now))
        .or_else(|| explanation_difference(naive, &decision.answer, expected, now))
}

fn answer_difference(
    naive: &Naive<'_>,
    answer: &OpenAnswer,
    (access, lease): (Option<Rule>, Option<Rule>),
    now: Timestamp,
) -> Option<String> {
    let access_agrees = match (&answer.access, access) {
        (Access::Refused(refusal), Some(rule)) => refuses(naive, refusal, rule, now),
        (Access::Granted(step), None) => *step == naive.step(now),
        _ => false,
    };
    let asked = access.is_none() && naive.passes(Rule::R11, now);
    let lease_agrees = match (&answer.lease, lease) {
        (LeaseOutcome::NotApplicable, _) => !asked,
        (LeaseOutcome::Refused(refusal), Some(rule)) => asked && refuses(naive, refusal, rule, now),
        (LeaseOutcome::Granted(lease), None) => {
            asked && naive.live_here(now).is_none() && *lease == naive.leased(now)
        }
        (LeaseOutcome::Renewed(lease), None) => {
            asked && naive.live_here(now).is_some() && *lease == naive.leased(now)
        }
        _ => false,
    };
    (!access_agrees || !lease_agrees)
        .then(|| format!("expected {access:?} and {lease:?}, found {answer:?}"))
}

/// Whether a refusal has the code, the instant and the workstations of a rule.
fn refuses(naive: &Naive<'_>, refusal: &Refusal, rule: Rule, now: Timestamp) -> bool {
    let found: BTreeSet<_> = refusal
        .workstations()
        .iter()
        .map(|used| {
            let id = used.workstation.id.as_str();
            (id, used.last_leased_at, used.counts_until)
        })
        .collect();
    let others = if rule == Rule::R13 {
        naive.others(now)
    } else {
        BTreeMap::new()
    };
    let expected: BTreeSet<_> = others
        .into_iter()
        .map(|(id, last)| (id, last, last + Millis(WINDOW)))
        .collect();
    refusal.code() == naive.code(rule, now)
        && refusal.retry_at() == naive.passes_from(rule, now)
        && found == expected
}

fn changes_difference(
    naive: &Naive<'_>,
    decision: &Decision<OpenAnswer>,
    now: Timestamp,
) -> Option<String> {
    let expected = naive.changes(now);
    if decision.changes != expected {
        let found = &decision.changes;
        return Some(format!("expected {expected:?}, found {found:?}"));
    }
    let code = decision.answer.refusal().map(|r| r.code().as_str());
    let event = decision.event.as_ref();
    let remembered = event.map(|event| event.code.as_deref());
    (remembered != Some(code)).then(|| format!("the event says {remembered:?}"))
}

/// `examine` finds each rule as the naive reading does, and the rule that decides refuses there
/// with what the open was refused with.
fn explanation_difference(
    naive: &Naive<'_>,
    answer: &OpenAnswer,
    (access, lease): (Option<Rule>, Option<Rule>),
    now: Timestamp,
) -> Option<String> {
    let findings = examine(&naive.case.view(), naive.client, now);
    let decides = access.or(lease.filter(|_| naive.passes(Rule::R11, now)));
    let wrong = findings.iter().find(|finding| {
        let passed = finding.passed == naive.passes(finding.rule, now);
        let refusal = decides != Some(finding.rule) || finding.refusal.as_ref() == answer.refusal();
        !passed || !refusal
    });
    wrong.map(|finding| format!("explained as {finding:?}"))
}

/// What became of a lease that was taken on a workstation so many milliseconds ago.
#[derive(Clone, Copy, Debug)]
enum Past {
    Nothing,
    Leased(i64),
    Released(i64),
    Lifted(i64),
    /// Released, then leased again after so many milliseconds.
    Again(i64, i64),
}

impl Past {
    fn leases(self, on: &str, now: Timestamp) -> Vec<Lease> {
        let leased = |age: i64| {
            let taken = lease(ALICE, on, now - Millis(age));
            Lease {
                expires_at: taken.renewed_at + Millis(LENGTH),
                ..taken
            }
        };
        let over = |age: i64, counts: bool| Lease {
            id: format!("over@{on}").into(),
            state: LeaseState::Released,
            ended_at: Some(now),
            counts,
            ..leased(age)
        };
        match self {
            Self::Nothing => Vec::new(),
            Self::Leased(age) => vec![leased(age)],
            Self::Released(age) => vec![over(age, true)],
            Self::Lifted(age) => vec![over(age, false)],
            Self::Again(age, later) => vec![over(age, true), leased(later)],
        }
    }
}

/// Leases on the workstation of the open: a negative age is one that was taken before the clock
/// was set back.
const PAST_HERE: [Past; 9] = [
    Past::Nothing,
    Past::Leased(-2),
    Past::Leased(0),
    Past::Leased(LENGTH - 1),
    Past::Leased(LENGTH),
    Past::Leased(LENGTH + 1),
    Past::Released(1),
    Past::Lifted(1),
    Past::Again(3, 1),
];

const PAST_THERE: [Past; 9] = [
    Past::Nothing,
    Past::Leased(-2),
    Past::Leased(1),
    Past::Leased(WINDOW - 1),
    Past::Leased(WINDOW),
    Past::Leased(WINDOW + 1),
    Past::Released(WINDOW - 1),
    Past::Lifted(1),
    Past::Again(WINDOW, 2),
];

/// Positions of `now`: one millisecond before a midnight, at it, and one after.
fn around_midnight() -> [Timestamp; 3] {
    [TODAY - TICK, TODAY, TODAY + TICK]
}

/// The person's own CAL in each state, at each side of the end of a quarantine.
fn own_cals(now: Timestamp) -> [Option<NamedCal>; 6] {
    let resting = |ahead| Some(quarantined_cal(ALICE, now + Millis(ahead)));
    [
        None,
        Some(unused_cal(ALICE)),
        Some(used_cal(ALICE)),
        resting(0),
        resting(1),
        resting(4),
    ]
}

/// CALs that are taken, and after how many milliseconds quarantines end.
const SEATS: [(u32, &[i64]); 6] = [
    (1, &[]),
    (2, &[]),
    (2, &[1]),
    (3, &[3, 4]),
    (4, &[1, 2, 2, 5]),
    (9, &[1]),
];

fn small_case() -> Case {
    let mut case = Case::sound();
    case.policy.lease_window = Millis(WINDOW);
    case.policy.lease_length = Millis(LENGTH);
    case
}

/// A number's bits as switches, so that one loop goes through all of their positions.
fn bit(number: u8, index: u8) -> bool {
    number & (1 << index) != 0
}

/// Compares the open of a case with every client kind; gives how many that were.
fn compare(case: &Case, lines: &[RawLine], clients: &[ClientKind], now: Timestamp) -> u64 {
    for client in clients {
        let naive = Naive {
            lines,
            case,
            client: *client,
        };
        if let Some(found) = difference(&naive, now) {
            panic!("{found}\nat {now} with {client:?}, {lines:#?}\n{case:#?}");
        }
    }
    clients.len() as u64
}

/// Leases on three workstations x licences x `now` x the leasing switch x CALs x client kinds.
#[test]
fn every_small_state_of_leases_is_decided_as_the_rules_say() {
    let mut compared = 0;
    for lines in LICENSES {
        let mut case = small_case();
        case.license = read(lines);
        for now in around_midnight() {
            for_each_past(now, &mut |leases| {
                case.leases = leases;
                compared += compare_leases(&mut case, lines, now);
            });
        }
    }
    println!("{compared} small states of leases compared");
}

fn compare_leases(case: &mut Case, lines: &[RawLine], now: Timestamp) -> u64 {
    let mut compared = 0;
    for cal in [Some(used_cal(ALICE)), None] {
        case.cal = cal;
        for leasing in [true, false] {
            case.switches.allow_license_lease = leasing;
            compared += compare(case, lines, &ClientKind::ALL, now);
        }
    }
    compared
}

fn for_each_past(now: Timestamp, visit: &mut impl FnMut(Vec<Lease>)) {
    for here in PAST_HERE {
        for second in PAST_THERE {
            for third in PAST_THERE {
                let mut leases = third.leases("third", now);
                leases.extend(second.leases("second", now));
                leases.extend(here.leases(HERE, now));
                visit(leases);
            }
        }
    }
}

/// CALs x seats x switches x mapping x person and document x licences x `now` x client kinds, for
/// a workstation without a lease, with a live one, and with a live one beyond the limit.
#[test]
fn every_small_state_of_cals_is_decided_as_the_rules_say() {
    let mut compared = 0;
    let elsewhere = [
        (Past::Nothing, Past::Nothing),
        (Past::Leased(2), Past::Leased(4)),
    ];
    for lines in LICENSES {
        let mut case = small_case();
        case.license = read(lines);
        for now in around_midnight() {
            for here in [Past::Nothing, Past::Leased(3)] {
                for (second, third) in elsewhere {
                    case.leases = here.leases(HERE, now);
                    case.leases.extend(second.leases("second", now));
                    case.leases.extend(third.leases("third", now));
                    compared += compare_cals(&mut case, lines, now);
                }
            }
        }
    }
    println!("{compared} small states of CALs compared");
}

fn compare_cals(case: &mut Case, lines: &[RawLine], now: Timestamp) -> u64 {
    let mut compared = 0;
    for cal in own_cals(now) {
        case.cal = cal;
        for (taken, ends) in SEATS {
            case.taken = taken;
            case.quarantine_ends = ends.iter().map(|ahead| now + Millis(*ahead)).collect();
            compared += compare_switches(case, lines, now);
        }
    }
    compared
}

fn compare_switches(case: &mut Case, lines: &[RawLine], now: Timestamp) -> u64 {
    let mut compared = 0;
    for switches in 0..16 {
        case.switches.allow_license_lease = bit(switches, 0);
        case.switches.allow_dynamic_assignment = bit(switches, 1);
        case.person.active = bit(switches, 2);
        case.document.name = bit(switches, 3).then(|| "Sales.qvw".to_owned());
        // An open that R8 refuses is the same with every mapping and client.
        let hidden = switches < 12;
        let clients = if hidden {
            &ClientKind::ALL[..1]
        } else {
            &ClientKind::ALL
        };
        for mapping in [
            AutomaticCal::Dynamic,
            AutomaticCal::Assign,
            AutomaticCal::Never,
        ] {
            case.person.automatic_cal = mapping;
            compared += compare(case, lines, clients, now);
        }
    }
    compared
}
