//! Builders for the tests of the rules: one person at one workstation, spelt briefly.

use super::cal::{CalState, NamedCal};
use super::change::Decision;
use super::client::ClientKind;
use super::lease::{Lease, LeaseId, LeaseState};
use super::lef::License;
use super::open::{
    Access, CalStep, LeaseOutcome, OpenAnswer, OpenView, Owner, RequestedDocument, Rule, Switches,
    decide_open,
};
use super::person::{AutomaticCal, Person};
use super::policy::{LefAttributes, Policy};
use super::refusal::{Refusal, RefusalCode};
use super::time::{Millis, Timestamp};
use super::workstation::Workstation;

/// 2026-03-10T12:00:00.000Z, the instant of a test that needs no other.
pub(super) const NOW: Timestamp = Timestamp(1_773_144_000_000);
/// 2026-03-10T00:00:00.000Z.
pub(super) const TODAY: Timestamp = Timestamp(1_773_100_800_000);
/// One millisecond: how far both sides of a boundary are apart.
pub(super) const TICK: Millis = Millis(1);
/// The id that an open gives to a lease that it grants.
pub(super) const FRESH: &str = "fresh";
/// The user name of [`Case`].
pub(super) const ALICE: &str = "alice";
/// The workstation of [`Case`].
pub(super) const HERE: &str = "here";

/// An instant, spelt as the API does.
pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A licence for five named CALs and these lines more.
pub(super) fn license_with(lines: &str) -> License {
    license(&format!("PRODUCTLEVEL;10;;\nNAMED_CALS;5;;\n{lines}"))
}

/// A licence of these lines alone.
pub(super) fn license(lines: &str) -> License {
    License::parse(lines, &LefAttributes::default()).unwrap()
}

/// An active person whose id is their name.
pub(super) fn person(name: &str) -> Person {
    Person {
        id: name.into(),
        name: name.to_owned(),
        display_name: name.to_owned(),
        active: true,
        roles: Vec::new(),
        groups: Vec::new(),
        automatic_cal: AutomaticCal::Dynamic,
        sign_in_epoch: 0,
    }
}

/// A workstation whose name is its id.
pub(super) fn workstation(id: &str) -> Workstation {
    Workstation {
        id: id.into(),
        name: id.to_owned(),
    }
}

/// A CAL that the person holds and never used.
pub(super) fn unused_cal(person: &str) -> NamedCal {
    NamedCal {
        person: person.into(),
        state: CalState::Assigned,
        assigned_at: NOW - Millis::days(100),
        last_used_at: None,
    }
}

/// A CAL that the person holds and used.
pub(super) fn used_cal(person: &str) -> NamedCal {
    NamedCal {
        last_used_at: Some(NOW - Millis::days(50)),
        ..unused_cal(person)
    }
}

/// A used CAL that rests until an instant, taken back seven days before it.
pub(super) fn quarantined_cal(person: &str, until: Timestamp) -> NamedCal {
    let since = until - Millis::days(7);
    NamedCal {
        state: CalState::Quarantined { since, until },
        ..used_cal(person)
    }
}

/// A lease granted at an instant, for 30 days; its id names person and workstation.
pub(super) fn lease(person: &str, on: &str, granted_at: Timestamp) -> Lease {
    Lease {
        id: format!("{person}@{on}").into(),
        person: person.into(),
        workstation: workstation(on),
        state: LeaseState::Live,
        granted_at,
        renewed_at: granted_at,
        expires_at: granted_at + Millis::days(30),
        ended_at: None,
        counts: true,
    }
}

/// The lease, ended before its time; its event goes on to count.
pub(super) fn ended(lease: Lease, state: LeaseState) -> Lease {
    Lease {
        state,
        ended_at: Some(lease.renewed_at + TICK),
        ..lease
    }
}

/// The lease after its workstation was lifted (R19).
pub(super) fn lifted(lease: Lease) -> Lease {
    Lease {
        counts: false,
        ..ended(lease, LeaseState::Revoked)
    }
}

/// All that an open looks at, owned. [`Case::sound`] passes every rule; each method spoils or
/// changes one thing.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) license: Option<License>,
    pub(super) owner: Owner,
    pub(super) switches: Switches,
    pub(super) policy: Policy,
    pub(super) person: Person,
    pub(super) document: RequestedDocument,
    pub(super) workstation: Workstation,
    pub(super) cal: Option<NamedCal>,
    pub(super) taken: u32,
    pub(super) quarantine_ends: Vec<Timestamp>,
    pub(super) leases: Vec<Lease>,
}

impl Case {
    /// Alice holds a used CAL, one of five; no workstation of hers has leased.
    pub(super) fn sound() -> Self {
        Self {
            license: Some(license_with("")),
            owner: Owner::Ledger,
            switches: Switches::default(),
            policy: Policy::default(),
            person: person(ALICE),
            document: RequestedDocument {
                id: "sales".to_owned(),
                name: Some("Sales.qvw".to_owned()),
            },
            workstation: workstation(HERE),
            cal: Some(used_cal(ALICE)),
            taken: 1,
            quarantine_ends: Vec::new(),
            leases: Vec::new(),
        }
    }

    pub(super) fn license(mut self, license: License) -> Self {
        self.license = Some(license);
        self
    }

    pub(super) fn without_license(mut self) -> Self {
        self.license = None;
        self
    }

    pub(super) fn cal(mut self, cal: NamedCal) -> Self {
        self.cal = Some(cal);
        self
    }

    /// Alice has no CAL at all.
    pub(super) fn without_cal(mut self) -> Self {
        self.cal = None;
        self.taken = 0;
        self
    }

    /// So many CALs are taken; quarantines end at these instants.
    pub(super) fn taken(mut self, taken: u32, quarantine_ends: &[Timestamp]) -> Self {
        self.taken = taken;
        self.quarantine_ends = quarantine_ends.to_vec();
        self
    }

    pub(super) fn without_leasing(mut self) -> Self {
        self.switches.allow_license_lease = false;
        self
    }

    pub(super) fn without_dynamic_assignment(mut self) -> Self {
        self.switches.allow_dynamic_assignment = false;
        self
    }

    pub(super) fn automatic_cal(mut self, policy: AutomaticCal) -> Self {
        self.person.automatic_cal = policy;
        self
    }

    pub(super) fn disabled(mut self) -> Self {
        self.person.active = false;
        self
    }

    pub(super) fn document_hidden(mut self) -> Self {
        self.document.name = None;
        self
    }

    pub(super) fn window(mut self, window: Millis) -> Self {
        self.policy.lease_window = window;
        self
    }

    /// One more lease of Alice.
    pub(super) fn lease(mut self, lease: Lease) -> Self {
        self.leases.push(lease);
        self
    }

    /// Alice leased on this workstation at an instant.
    pub(super) fn leased_on(self, on: &str, at: Timestamp) -> Self {
        self.lease(lease(ALICE, on, at))
    }

    /// Two other workstations leased a minute ago, so that R13 refuses.
    pub(super) fn limit_reached(self) -> Self {
        self.leased_on("other-1", NOW - Millis::minutes(2))
            .leased_on("other-2", NOW - Millis::minutes(1))
    }

    pub(super) fn view(&self) -> OpenView<'_> {
        OpenView {
            owner: self.owner,
            license: self.license.as_ref(),
            switches: self.switches,
            policy: &self.policy,
            person: &self.person,
            document: &self.document,
            workstation: &self.workstation,
            cal: self.cal.as_ref(),
            taken: self.taken,
            quarantine_ends: &self.quarantine_ends,
            leases: &self.leases,
        }
    }

    pub(super) fn open(&self, client: ClientKind, now: Timestamp) -> Decision<OpenAnswer> {
        decide_open(&self.view(), client, now, LeaseId::from(FRESH))
    }

    pub(super) fn open_with_desktop(&self, now: Timestamp) -> Decision<OpenAnswer> {
        self.open(ClientKind::Desktop, now)
    }

    /// What access of a desktop open is refused with, or on which CAL it stands.
    pub(super) fn access(&self, now: Timestamp) -> Result<CalStep, Refusal> {
        match self.open_with_desktop(now).answer.access {
            Access::Granted(step) => Ok(step),
            Access::Refused(refusal) => Err(refusal),
        }
    }

    /// The code that refuses access to a desktop open.
    pub(super) fn access_code(&self, now: Timestamp) -> Option<RefusalCode> {
        self.access(now).err().map(|refusal| refusal.code())
    }

    /// What refuses the lease of a desktop open that has access.
    pub(super) fn lease_refusal(&self, now: Timestamp) -> Option<Refusal> {
        let answer = self.open_with_desktop(now).answer;
        assert!(matches!(answer.access, Access::Granted(_)), "{answer:?}");
        match answer.lease {
            LeaseOutcome::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The code that refuses the lease of a desktop open that has access.
    pub(super) fn lease_code(&self, now: Timestamp) -> Option<RefusalCode> {
        self.lease_refusal(now).map(|refusal| refusal.code())
    }

    /// The same case as the ledger shows it at a later instant: quarantines have ended.
    pub(super) fn seen_at(&self, now: Timestamp) -> Self {
        let mut seen = self.clone();
        seen.quarantine_ends.retain(|end| now < *end);
        let ended = self.quarantine_ends.len() - seen.quarantine_ends.len();
        seen.taken -= u32::try_from(ended).unwrap();
        seen
    }

    /// A rule that refuses now says from when it passes: it still refuses one millisecond
    /// before `retry_at` and passes at it. Gives that instant.
    pub(super) fn assert_retry_is_exact(&self, rule: Rule, now: Timestamp) -> Timestamp {
        let id = rule.id();
        let refusal = rule.refusal(&self.view(), now);
        let refusal = refusal.unwrap_or_else(|| panic!("{id} should refuse"));
        let retry_at = refusal.retry_at();
        let retry_at = retry_at.unwrap_or_else(|| panic!("{id} should say when: {refusal:?}"));
        assert!(now < retry_at, "{id}: {retry_at} is not after {now}");
        let before = retry_at - TICK;
        let just_before = rule.refusal(&self.seen_at(before).view(), before);
        let then = rule.refusal(&self.seen_at(retry_at).view(), retry_at);
        assert!(
            just_before.is_some(),
            "{id} passes earlier than {retry_at} already"
        );
        assert_eq!(then, None, "{id} should pass at {retry_at}");
        retry_at
    }
}
