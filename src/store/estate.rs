//! In front of an estate: the picture of its CALs and leases, as it is read.
//!
//! The rows are the server's; they are replaced (`write`), never decided on here. What the rules
//! predict from them stands in `predict`, where launches lead to in `onward`, what was seen after
//! one in `watch`.

mod onward;
mod predict;
mod watch;
mod write;

use std::sync::Arc;

pub use onward::{LaunchTarget, Onward};
pub use predict::Predicted;
pub use watch::Watched;

use super::db::{Db, Row, StoreError, values};
use super::{CalRow, LeaseRow, LicenseNow, Store};
use crate::domain::cal::{CalState, NamedCal};
use crate::domain::lease::{Lease, LeaseId, LeaseState};
use crate::domain::lef::License;
use crate::domain::open::Switches;
use crate::domain::person::{Person, PersonId};
use crate::domain::policy::Policy;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId};

/// How long an ended lease of the server is shown.
const ENDED_KEPT: Millis = super::leases::ENDED_KEPT;

/// What the management service told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateTold {
    /// The name of the server.
    pub server: String,
    /// Its LEF: none where no licence is loaded, empty where the server keeps the text to itself.
    pub lef: Option<String>,
    /// Named CALs that its licence holds.
    pub named_cals: u32,
    /// CALs of the other kinds that its licence holds, together.
    pub other_cals: u32,
    /// Its switches.
    pub switches: Switches,
    /// Why nothing can be predicted, if nothing can.
    pub unpredicted: Option<Unpredicted>,
    /// Its named CALs.
    pub cals: Vec<EstateCal>,
    /// Its leases.
    pub leases: Vec<EstateLease>,
}

/// Why the rules cannot predict what a server will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpredicted {
    /// A signed licence key counts in place of a LEF; how leases go under it is UNKNOWN.
    SignedKey,
    /// Its named CALs belong to machines, which are not known before they call.
    MachineNames,
}

/// A named CAL of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateCal {
    /// What tells it from all others there.
    pub id: String,
    /// The user name as we fold it.
    pub user: String,
    /// The last use; none for never.
    pub last_used_at: Option<Timestamp>,
    /// When its quarantine ends; none for an assigned one.
    pub quarantined_until: Option<Timestamp>,
}

/// A lease of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateLease {
    /// What tells it from all others there.
    pub id: String,
    /// The user name as we fold it.
    pub user: String,
    /// What the server calls the machine.
    pub machine: String,
    /// When it was leased.
    pub leased_at: Timestamp,
    /// When the machine was last in contact.
    pub seen_at: Timestamp,
}

/// The picture as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateNow {
    /// The name of the server.
    pub server: String,
    /// When the picture was made.
    pub read_at: Timestamp,
    /// Named CALs that its licence holds.
    pub named_cals: u32,
    /// Named CALs that are taken there.
    pub taken: u32,
    /// Leases that are live there.
    pub live_leases: u32,
    /// Its switches.
    pub switches: Switches,
    /// Why nothing can be predicted, if nothing can.
    pub unpredicted: Option<Unpredicted>,
}

/// The one row of the server itself.
struct EstateHead {
    server: String,
    read_at: Timestamp,
    lef: Option<String>,
    named_cals: u32,
    other_cals: u32,
    switches: Switches,
    unpredicted: Option<Unpredicted>,
}

impl Store {
    /// The picture as a whole; none before the first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_now(&self) -> Result<Option<EstateNow>, StoreError> {
        const LIVE: &str = "SELECT COUNT(*) FROM estate_lease WHERE seen_at > $1";
        let length = self.policy().lease_length;
        self.read_now(|db, now| {
            let Some(head) = head(db)? else {
                return Ok(None);
            };
            let live = db.query_one(LIVE, values![now - length], |row| row.count(0))?;
            Ok(Some(EstateNow {
                taken: taken(db, now)?,
                live_leases: live.unwrap_or(0),
                server: head.server,
                read_at: head.read_at,
                named_cals: head.named_cals,
                switches: head.switches,
                unpredicted: head.unpredicted,
            }))
        })
    }

    /// The licence, the switches and the CALs of the server; without a licence before the first
    /// picture.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_license(&self) -> Result<LicenseNow, StoreError> {
        let policy = self.policy();
        self.read_now(|db, now| {
            let head = head(db)?;
            let license = head.as_ref().and_then(|head| head.license(policy));
            Ok(LicenseNow {
                license: license.map(Arc::new),
                loaded_at: None,
                switches: head
                    .as_ref()
                    .map_or(Switches::default(), |head| head.switches),
                held: head.map_or(0, |head| head.named_cals),
                taken: taken(db, now)?,
            })
        })
    }

    /// When the picture was made; none before the first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_read_at(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT read_at FROM estate WHERE id = 1";
        self.read(|db| db.query_one(SQL, &[], |row| row.at(0)))
    }

    /// Named CALs of the server that are taken, by user name, from after `cursor` on.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_cals(&self, cursor: &str, limit: u32) -> Result<Vec<CalRow>, StoreError> {
        const SQL: &str = "SELECT estate_cal.id, estate_cal.user_name, estate_cal.last_used_at, \
             estate_cal.quarantined_until, person.display_name FROM estate_cal \
             LEFT JOIN person ON person.name = estate_cal.user_name \
             WHERE estate_cal.user_name > $1 \
             AND (estate_cal.state = 'assigned' OR estate_cal.quarantined_until > $2) \
             ORDER BY estate_cal.user_name, estate_cal.id LIMIT $3";
        let policy = self.policy();
        self.read_now(|db, now| {
            db.query(SQL, values![cursor, now, i64::from(limit)], |row| {
                let cal = cal(row)?;
                let display_name = row.maybe_text(4)?;
                Ok(CalRow {
                    cal: as_named_cal(&cal, &PersonId::from(""), policy, now),
                    assigned_at: None,
                    display_name: display_name.unwrap_or_else(|| cal.user.clone()),
                    user: cal.user,
                })
            })
        })
    }

    /// Leases of the server, by id: those of everybody, or of one user.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_leases(
        &self,
        after: &str,
        user: Option<&str>,
        limit: u32,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        const ALL: &str = "SELECT id, user_name, machine, leased_at, seen_at FROM estate_lease \
             WHERE id > $1 ORDER BY id LIMIT $2";
        const OF_USER: &str = "SELECT id, user_name, machine, leased_at, seen_at \
             FROM estate_lease WHERE id > $1 AND user_name = $2 ORDER BY id LIMIT $3";
        let length = self.policy().lease_length;
        let read = |row: &Row<'_>| {
            let lease = estate_lease(row)?;
            Ok(LeaseRow {
                user: lease.user.clone(),
                lease: as_lease(lease, &PersonId::from(""), length),
            })
        };
        let limit = i64::from(limit);
        self.read(|db| match user {
            None => db.query(ALL, values![after, limit], read),
            Some(user) => db.query(OF_USER, values![after, user, limit], read),
        })
    }

    /// The leases that the server has for a person, the latest first; ended ones for 90 days.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn estate_leases_of(&self, person: &Person) -> Result<Vec<Lease>, StoreError> {
        let length = self.policy().lease_length;
        self.read_now(|db, now| {
            let found = leases_of(db, &person.name)?;
            let mut leases: Vec<Lease> = found
                .into_iter()
                .map(|lease| as_lease(lease, &person.id, length))
                .filter(|lease| now < lease.expires_at + ENDED_KEPT)
                .collect();
            leases.sort_by_key(|lease| std::cmp::Reverse(lease.renewed_at));
            Ok(leases)
        })
    }
}

impl EstateHead {
    fn license(&self, policy: &Policy) -> Option<License> {
        let text = self.lef.as_deref()?;
        Some(License::of_server(text, &policy.lef, self.named_cals))
    }
}

impl Unpredicted {
    const fn word(self) -> &'static str {
        match self {
            Self::SignedKey => "signed_key",
            Self::MachineNames => "machine_names",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        [Self::SignedKey, Self::MachineNames]
            .into_iter()
            .find(|reason| reason.word() == word)
            .ok_or_else(|| StoreError::Corrupt(format!("the reason {word}")))
    }
}

/// When it was assigned or taken back the server does not tell, so the instants that no rule reads
/// are guessed.
fn as_named_cal(cal: &EstateCal, person: &PersonId, policy: &Policy, now: Timestamp) -> NamedCal {
    NamedCal {
        person: person.clone(),
        state: cal
            .quarantined_until
            .map_or(CalState::Assigned, |until| CalState::Quarantined {
                since: until - policy.quarantine,
                until,
            }),
        assigned_at: cal.last_used_at.unwrap_or(now),
        last_used_at: cal.last_used_at,
    }
}

fn taken(db: &Db, now: Timestamp) -> Result<u32, StoreError> {
    const SQL: &str = "SELECT COUNT(*) FROM estate_cal \
         WHERE state = 'assigned' OR quarantined_until > $1";
    Ok(db
        .query_one(SQL, values![now], |row| row.count(0))?
        .unwrap_or(0))
}

fn as_lease(lease: EstateLease, person: &PersonId, length: Millis) -> Lease {
    Lease {
        id: LeaseId(lease.id),
        person: person.clone(),
        workstation: Workstation {
            id: WorkstationId(lease.machine.clone()),
            name: lease.machine,
        },
        state: LeaseState::Live,
        granted_at: lease.leased_at,
        renewed_at: lease.seen_at,
        expires_at: lease.seen_at + length,
        ended_at: None,
        counts: true,
    }
}

fn head(db: &Db) -> Result<Option<EstateHead>, StoreError> {
    const SQL: &str = "SELECT server, read_at, lef, named_cals, other_cals, \
         allow_license_lease, allow_dynamic_assignment, unpredicted FROM estate WHERE id = 1";
    db.query_one(SQL, &[], |row| {
        let unpredicted = row.maybe_text(7)?;
        Ok(EstateHead {
            server: row.text(0)?,
            read_at: row.at(1)?,
            lef: row.maybe_text(2)?,
            named_cals: row.count(3)?,
            other_cals: row.count(4)?,
            switches: Switches {
                allow_license_lease: row.flag(5)?,
                allow_dynamic_assignment: row.flag(6)?,
            },
            unpredicted: unpredicted
                .map(|word| Unpredicted::from_word(&word))
                .transpose()?,
        })
    })
}

fn leases_of(db: &Db, user: &str) -> Result<Vec<EstateLease>, StoreError> {
    const SQL: &str = "SELECT id, user_name, machine, leased_at, seen_at FROM estate_lease \
         WHERE user_name = $1 ORDER BY id";
    db.query(SQL, values![user], estate_lease)
}

fn estate_lease(row: &Row<'_>) -> Result<EstateLease, StoreError> {
    Ok(EstateLease {
        id: row.text(0)?,
        user: row.text(1)?,
        machine: row.text(2)?,
        leased_at: row.at(3)?,
        seen_at: row.at(4)?,
    })
}

fn cal(row: &Row<'_>) -> Result<EstateCal, StoreError> {
    Ok(EstateCal {
        id: row.text(0)?,
        user: row.text(1)?,
        last_used_at: row.maybe_at(2)?,
        quarantined_until: row.maybe_at(3)?,
    })
}
