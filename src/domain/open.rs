//! The open of a document: R0 to R9, R11 to R14, R16 to R18, R20 and R24 in one decision.
//!
//! [`decide_open`] answers and says what to write; [`examine`] shows every rule, passed or
//! refused. Both ask [`Rule::refusal`], so that an explanation cannot differ from the decision.

use super::cal::{CalState, NamedCal};
use super::change::{Change, Decision, Event, EventKind};
use super::client::ClientKind;
use super::lease::{Lease, LeaseId, LeaseState};
use super::lef::License;
use super::person::{AutomaticCal, Person};
use super::policy::Policy;
use super::refusal::Refusal;
use super::time::Timestamp;
use super::workstation::{Workstation, WorkstationUse};

/// The two switches of the licence, *Client Access Licenses > General* in the QMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// *Allow license lease* (R7).
    pub allow_license_lease: bool,
    /// *Allow dynamic assignment* (R9).
    pub allow_dynamic_assignment: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            allow_license_lease: true,
            allow_dynamic_assignment: true,
        }
    }
}

/// The document that is asked for, and whether the person may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedDocument {
    /// Its id, as asked for.
    pub id: String,
    /// Its name; none where it is missing or hidden.
    pub name: Option<String>,
}

impl RequestedDocument {
    /// The title; none where the person may not know of the document.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        let name = self.name.as_deref()?;
        let file = name.rsplit('/').next().unwrap_or(name);
        Some(file.rsplit_once('.').map_or(file, |(title, _)| title))
    }
}

/// Who owns CALs and leases, as far as the rules ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The gateway's own ledger: the rules decide.
    #[default]
    Ledger,
    /// The customer's `QlikView` Server: the rules predict what it will do.
    Estate {
        /// Whether its licence holds CALs of another kind: somebody without a named CAL may then
        /// have access by one of them, which is the server's affair.
        other_cals: bool,
    },
}

/// Everything that the decision looks at.
#[derive(Clone, Debug)]
pub struct OpenView<'a> {
    /// Who owns CALs and leases.
    pub owner: Owner,
    /// The licence that is loaded.
    pub license: Option<&'a License>,
    /// The switches.
    pub switches: Switches,
    /// The numbers of the rules.
    pub policy: &'a Policy,
    /// Who opens.
    pub person: &'a Person,
    /// What is opened.
    pub document: &'a RequestedDocument,
    /// Where.
    pub workstation: &'a Workstation,
    /// The person's own CAL: assigned, or in a quarantine that has not ended.
    pub cal: Option<&'a NamedCal>,
    /// CALs that are taken, assigned or in quarantine.
    pub taken: u32,
    /// The ends of all running quarantines, ascending. Read only where the person holds no
    /// CAL and none is free; may be left empty otherwise.
    pub quarantine_ends: &'a [Timestamp],
    /// The person's leases that are live or have an event within the window.
    pub leases: &'a [Lease],
}

/// The rules that an explanation lists, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A LEF is loaded.
    R0,
    /// No special edition Test.
    R1,
    /// An edition that can lease.
    R2,
    /// No `LICENSE_LEASE;NO;;`.
    R3,
    /// No document limit.
    R4,
    /// In force.
    R5,
    /// Holds named CALs.
    R6,
    /// Leasing is switched on.
    R7,
    /// Active, and may see the document.
    R8,
    /// Holds a named CAL, or gets one.
    R9,
    /// A client kind that leases.
    R11,
    /// At most two workstations within the window.
    R13,
}

/// The rules that refuse the lease before R13, in the order in which they are asked.
pub const LEASE_RULES: [Rule; 7] = [
    Rule::R1,
    Rule::R2,
    Rule::R3,
    Rule::R4,
    Rule::R5,
    Rule::R6,
    Rule::R7,
];

/// How many other workstations of a person may have leased within the window (R13).
const OTHER_WORKSTATIONS_MAX: usize = 1;

/// The answer to an open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAnswer {
    /// What became of access.
    pub access: Access,
    /// What became of the lease; not applicable where access is refused.
    pub lease: LeaseOutcome,
}

impl OpenAnswer {
    /// The refusal that the audit remembers: of the open, else of the lease.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match (&self.access, &self.lease) {
            (Access::Refused(refusal), _) | (_, LeaseOutcome::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }
}

/// Whether the document opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It does, on this CAL.
    Granted(CalStep),
    /// It does not.
    Refused(Refusal),
}

/// How the person came by the CAL that an open uses (R9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalStep {
    /// Held before.
    Held,
    /// A free one was assigned.
    Assigned,
    /// Their own came back from quarantine.
    GivenBack,
    /// On none that the rules know: the customer's server finds one of another kind, or not.
    LeftToServer,
}

/// Whether the workstation leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// A new lease.
    Granted(Lease),
    /// The workstation's live lease, renewed.
    Renewed(Lease),
    /// Refused; the document opens all the same (R16).
    Refused(Refusal),
    /// The client kind does not lease (R11), or access is refused.
    NotApplicable,
}

impl LeaseOutcome {
    /// The word of the contract.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::Renewed(_) => "renewed",
            Self::Refused(_) => "refused",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// One rule and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Whether it passes.
    pub passed: bool,
    /// What it refuses with; R11 refuses with nothing.
    pub refusal: Option<Refusal>,
}

/// Decides an open. `fresh` is the id of the lease where a new one is granted.
#[must_use]
pub fn decide_open(
    view: &OpenView<'_>,
    client: ClientKind,
    now: Timestamp,
    fresh: LeaseId,
) -> Decision<OpenAnswer> {
    let (access, mut changes) = match access(view, now) {
        Ok(step) => (Access::Granted(step), cal_changes(view, step, now)),
        Err(refusal) => (Access::Refused(refusal), Vec::new()),
    };
    let lease = match access {
        Access::Granted(step) if client.leases() => lease(view, step, now, fresh, &mut changes),
        _ => LeaseOutcome::NotApplicable,
    };
    let answer = OpenAnswer { access, lease };
    let event = Some(opened_event(view, client, &answer));
    Decision {
        answer,
        changes,
        event,
    }
}

/// The answer where an estate's licence is of a kind that nobody outside can predict: R8 alone is
/// asked, everything else is the server's affair.
#[must_use]
pub fn leave_to_server(
    view: &OpenView<'_>,
    client: ClientKind,
    now: Timestamp,
) -> Decision<OpenAnswer> {
    let answer = OpenAnswer {
        access: match Rule::R8.refusal(view, now) {
            None => Access::Granted(CalStep::LeftToServer),
            Some(refusal) => Access::Refused(refusal),
        },
        lease: LeaseOutcome::NotApplicable,
    };
    let event = Some(opened_event(view, client, &answer));
    Decision {
        answer,
        changes: Vec::new(),
        event,
    }
}

/// Every rule that an open obeys, passed or refused.
#[must_use]
pub fn examine(view: &OpenView<'_>, client: ClientKind, now: Timestamp) -> Vec<Finding> {
    Rule::ALL
        .into_iter()
        .map(|rule| {
            let refusal = rule.refusal(view, now);
            let passed = refusal.is_none() && (rule != Rule::R11 || client.leases());
            Finding {
                rule,
                passed,
                refusal,
            }
        })
        .collect()
}

impl Rule {
    /// The rules of an explanation, in order.
    pub const ALL: [Self; 12] = [
        Self::R0,
        Self::R1,
        Self::R2,
        Self::R3,
        Self::R4,
        Self::R5,
        Self::R6,
        Self::R7,
        Self::R8,
        Self::R9,
        Self::R11,
        Self::R13,
    ];

    /// The id, as the design and the API write it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::R0 => "R0",
            Self::R1 => "R1",
            Self::R2 => "R2",
            Self::R3 => "R3",
            Self::R4 => "R4",
            Self::R5 => "R5",
            Self::R6 => "R6",
            Self::R7 => "R7",
            Self::R8 => "R8",
            Self::R9 => "R9",
            Self::R11 => "R11",
            Self::R13 => "R13",
        }
    }

    /// The number in the id.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::R0 => 0,
            Self::R1 => 1,
            Self::R2 => 2,
            Self::R3 => 3,
            Self::R4 => 4,
            Self::R5 => 5,
            Self::R6 => 6,
            Self::R7 => 7,
            Self::R8 => 8,
            Self::R9 => 9,
            Self::R11 => 11,
            Self::R13 => 13,
        }
    }

    /// What this rule refuses with, if it does.
    #[must_use]
    pub fn refusal(self, view: &OpenView<'_>, now: Timestamp) -> Option<Refusal> {
        match self {
            Self::R0 => view.license.is_none().then_some(Refusal::LicenseMissing),
            Self::R1 | Self::R2 | Self::R3 | Self::R4 | Self::R5 => {
                self.license_refusal(view.license?, now)
            }
            Self::R6 => no_named_cals(view.license, now),
            Self::R7 => (!view.switches.allow_license_lease).then_some(Refusal::LeasingSwitchedOff),
            Self::R8 => {
                let visible = view.person.active && view.document.name.is_some();
                (!visible).then_some(Refusal::DocumentNotFound)
            }
            Self::R9 => cal_step(view, now).err(),
            Self::R11 => None,
            Self::R13 => workstation_limit(view, now),
        }
    }

    /// R1 to R5: what the lines of the LEF forbid.
    fn license_refusal(self, license: &License, now: Timestamp) -> Option<Refusal> {
        match self {
            Self::R1 => license.is_test(now).then(|| Refusal::LicenseTestEdition {
                retry_at: license.earliest(now, |t| !license.is_test(t)),
            }),
            Self::R2 => license.edition_without_lease(now).map(|edition| {
                let retry_at =
                    license.earliest(now, |t| license.edition_without_lease(t).is_none());
                Refusal::LicenseEditionCannotLease {
                    edition: edition.to_owned(),
                    retry_at,
                }
            }),
            Self::R3 => license
                .forbids_lease(now)
                .then(|| Refusal::LicenseForbidsLease {
                    retry_at: license.earliest(now, |t| !license.forbids_lease(t)),
                }),
            Self::R4 => license.document_limit(now).map(|limit| {
                let retry_at = license.earliest(now, |t| license.document_limit(t).is_none());
                Refusal::LicenseLimitsDocuments {
                    limit: limit.to_owned(),
                    retry_at,
                }
            }),
            _ => (!license.in_force(now)).then(|| Refusal::LicenseExpired {
                ended_at: license.ended_at(now),
                retry_at: license.earliest(now, |t| license.in_force(t)),
            }),
        }
    }
}

/// R0, R8, R6 (only where the person has no CAL at all), R9; the first that refuses counts.
fn access(view: &OpenView<'_>, now: Timestamp) -> Result<CalStep, Refusal> {
    let first = [Rule::R0, Rule::R8]
        .into_iter()
        .find_map(|rule| rule.refusal(view, now));
    if let Some(refusal) = first {
        return Err(refusal);
    }
    if own_cal(view, now).is_none()
        && let Some(refusal) = Rule::R6.refusal(view, now)
    {
        return without_named_cal(view, refusal);
    }
    cal_step(view, now).or_else(|refusal| without_named_cal(view, refusal))
}

/// In front of an estate a missing named CAL refuses access only where its licence holds no CALs of
/// another kind.
fn without_named_cal(view: &OpenView<'_>, refusal: Refusal) -> Result<CalStep, Refusal> {
    match view.owner {
        Owner::Estate { other_cals: true } => Ok(CalStep::LeftToServer),
        _ => Err(refusal),
    }
}

/// R6.
pub(super) fn no_named_cals(license: Option<&License>, now: Timestamp) -> Option<Refusal> {
    let held = |t| license.map_or(0, |license| license.named_cals(t));
    (held(now) == 0).then(|| Refusal::LicenseHasNoNamedCals {
        retry_at: license.and_then(|license| license.earliest(now, |t| held(t) > 0)),
    })
}

/// The person's own CAL, unless its quarantine has ended.
fn own_cal<'a>(view: &OpenView<'a>, now: Timestamp) -> Option<&'a NamedCal> {
    view.cal.filter(|cal| cal.is_taken(now))
}

/// R9: the CAL that the open uses.
fn cal_step(view: &OpenView<'_>, now: Timestamp) -> Result<CalStep, Refusal> {
    let own = own_cal(view, now).map(|cal| cal.state);
    let dynamic =
        view.switches.allow_dynamic_assignment && view.person.automatic_cal != AutomaticCal::Never;
    match own {
        Some(CalState::Assigned) => Ok(CalStep::Held),
        Some(CalState::Quarantined { .. }) if dynamic => Ok(CalStep::GivenBack),
        Some(CalState::Quarantined { since, until }) => {
            Err(Refusal::CalQuarantined { since, until })
        }
        None if dynamic => free_cal(view.license, view.taken, view.quarantine_ends, now)
            .map(|()| CalStep::Assigned),
        None => Err(Refusal::NoCalAssigned),
    }
}

/// Whether the licence holds more named CALs than are taken.
#[must_use]
pub fn has_free_cal(license: Option<&License>, taken: u32, now: Timestamp) -> bool {
    taken < license.map_or(0, |license| license.named_cals(now))
}

/// R17: whether the licence holds a CAL that nobody has.
///
/// `quarantine_ends` are the ends of all running quarantines, ascending.
pub(super) fn free_cal(
    license: Option<&License>,
    taken: u32,
    quarantine_ends: &[Timestamp],
    now: Timestamp,
) -> Result<(), Refusal> {
    if has_free_cal(license, taken, now) {
        return Ok(());
    }
    let held = |t| license.map_or(0, |license| license.named_cals(t));
    let is_free = |t: Timestamp| {
        let ended = quarantine_ends.iter().filter(|end| **end <= t).count();
        let still_taken = taken.saturating_sub(u32::try_from(ended).unwrap_or(u32::MAX));
        still_taken < held(t)
    };
    // Only the end of a quarantine or a line of the licence can free a CAL.
    let quarantine = quarantine_ends
        .iter()
        .copied()
        .find(|end| *end > now && is_free(*end));
    let line = license.and_then(|license| license.earliest(now, is_free));
    let retry_at = quarantine.into_iter().chain(line).min();
    Err(Refusal::NoFreeCal {
        held: held(now),
        taken,
        retry_at,
    })
}

/// R13: two or more other workstations of the person have an event within the window.
fn workstation_limit(view: &OpenView<'_>, now: Timestamp) -> Option<Refusal> {
    let others = other_workstations(view, now);
    // The rule passes once at most one other counts: when the last but one stops counting.
    let last_but_one = others.len().checked_sub(OTHER_WORKSTATIONS_MAX + 1)?;
    let retry_at = others[last_but_one].counts_until;
    Some(Refusal::WorkstationLimit {
        others,
        window: view.policy.lease_window,
        retry_at,
    })
}

/// The person's other workstations that count now, the longest silent first.
fn other_workstations(view: &OpenView<'_>, now: Timestamp) -> Vec<WorkstationUse> {
    let window = view.policy.lease_window;
    let others = view
        .leases
        .iter()
        .filter(|lease| lease.workstation.id != view.workstation.id);
    workstations_in_use(others, window, now)
}

/// The workstations of these leases that count in R13 now, the longest silent first.
#[must_use]
pub fn workstations_in_use<'a>(
    leases: impl Iterator<Item = &'a Lease>,
    window: super::time::Millis,
    now: Timestamp,
) -> Vec<WorkstationUse> {
    let mut uses: Vec<WorkstationUse> = Vec::new();
    for lease in leases.filter(|lease| lease.counts_at(now, window)) {
        let known = uses
            .iter_mut()
            .find(|u| u.workstation.id == lease.workstation.id);
        match known {
            Some(known) => known.last_leased_at = known.last_leased_at.max(lease.renewed_at),
            None => uses.push(WorkstationUse {
                workstation: lease.workstation.clone(),
                last_leased_at: lease.renewed_at,
                counts_until: lease.renewed_at,
            }),
        }
    }
    for used in &mut uses {
        used.counts_until = used.last_leased_at + window;
    }
    uses.sort_by(|a, b| {
        (a.last_leased_at, &a.workstation.id).cmp(&(b.last_leased_at, &b.workstation.id))
    });
    uses
}

/// What R9 and R10 write of the CAL.
fn cal_changes(view: &OpenView<'_>, step: CalStep, now: Timestamp) -> Vec<Change> {
    let person = view.person.id.clone();
    let used = Change::CalUsed {
        person: person.clone(),
        at: now,
    };
    match step {
        CalStep::Held => vec![used],
        CalStep::Assigned => vec![Change::CalAssigned { person, at: now }, used],
        CalStep::GivenBack => vec![Change::CalGivenBack { person }, used],
        CalStep::LeftToServer => Vec::new(),
    }
}

/// The lease of an open with access: refused, renewed or granted.
fn lease(
    view: &OpenView<'_>,
    step: CalStep,
    now: Timestamp,
    fresh: LeaseId,
    changes: &mut Vec<Change>,
) -> LeaseOutcome {
    let live = view
        .leases
        .iter()
        .find(|lease| lease.workstation.id == view.workstation.id && lease.is_live(now));
    if let Some(refusal) = lease_refusal(view, step, now) {
        // R14: only the workstation limit touches a running lease.
        if let (Refusal::WorkstationLimit { .. }, Some(lease)) = (&refusal, live) {
            let id = lease.id.clone();
            changes.push(Change::LeaseEnded {
                id,
                state: LeaseState::Revoked,
                at: now,
            });
        }
        return LeaseOutcome::Refused(refusal);
    }
    let end = now + view.policy.lease_length;
    if let Some(lease) = live {
        let renewed = Lease {
            renewed_at: now.max(lease.renewed_at),
            expires_at: end.max(lease.expires_at),
            counts: true,
            ..lease.clone()
        };
        changes.push(Change::LeaseRenewed {
            id: renewed.id.clone(),
            renewed_at: renewed.renewed_at,
            expires_at: renewed.expires_at,
        });
        return LeaseOutcome::Renewed(renewed);
    }
    let granted = Lease {
        id: fresh,
        person: view.person.id.clone(),
        workstation: view.workstation.clone(),
        state: LeaseState::Live,
        granted_at: now,
        renewed_at: now,
        expires_at: end,
        ended_at: None,
        counts: true,
    };
    changes.push(Change::LeaseGranted(granted.clone()));
    LeaseOutcome::Granted(granted)
}

/// The first that refuses of R1 to R7, a missing named CAL where access stands without one, R13.
fn lease_refusal(view: &OpenView<'_>, step: CalStep, now: Timestamp) -> Option<Refusal> {
    LEASE_RULES
        .into_iter()
        .find_map(|rule| rule.refusal(view, now))
        .or_else(|| (step == CalStep::LeftToServer).then_some(Refusal::NoCalAssigned))
        .or_else(|| Rule::R13.refusal(view, now))
}

/// R18: one event for each open, granted or refused. What is predicted has no lease of ours.
fn opened_event(view: &OpenView<'_>, client: ClientKind, answer: &OpenAnswer) -> Event {
    let mut event = Event::new(EventKind::DocumentOpened)
        .about(&view.person.id, &view.person.name)
        .with("document", view.document.id.clone())
        .with("client", client.word())
        .with("workstation", view.workstation.id.as_str());
    if let Some(name) = &view.document.name {
        event = event.with("name", name.clone());
    }
    let access = match &answer.access {
        Access::Granted(CalStep::Held) => "granted",
        Access::Granted(CalStep::Assigned) => "granted, CAL assigned",
        Access::Granted(CalStep::GivenBack) => "granted, CAL given back",
        Access::Granted(CalStep::LeftToServer) => "granted, CAL left to the server",
        Access::Refused(_) => "refused",
    };
    event = event
        .with("access", access)
        .with("lease", answer.lease.word());
    if let LeaseOutcome::Granted(lease) | LeaseOutcome::Renewed(lease) = &answer.lease {
        if view.owner == Owner::Ledger {
            event = event.with("lease_id", lease.id.as_str());
        }
        event = event.with("expires_at", lease.expires_at.to_string());
    }
    if view.owner != Owner::Ledger {
        event = event.with("predicted", "true");
    }
    match answer.refusal() {
        Some(refusal) => event.refused(refusal.code()),
        None => event,
    }
}
