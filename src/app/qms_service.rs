//! The gateway as a management service: what scripts written for QMS ask for and change, on the
//! embedded licence server.
//!
//! A saved configuration is compared with the ledger, and what differs is done by the same commands
//! that administrators use, so the rules hold here too.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::App;
use super::administer::{AdministerError, LIST_ROWS_MAX};
use crate::auth::secret::{SecretKind, hash_secret, same_secret};
use crate::domain::administer::AssignAnswer;
use crate::domain::cal::NamedCal;
use crate::domain::lease::Lease;
use crate::domain::name::{UserName, with_prefix};
use crate::domain::person::Person;
use crate::domain::time::{Millis, Timestamp};
use crate::store::{Actor, CalRow, LeaseFilter, LeaseRow, Setting, StoreError};
use crate::text::Language;

/// What the embedded licence server is called where `QlikView` names servers.
pub const SERVER_NAME: &str = "QVS@accesspoint";

/// How long a service key counts. `QlikView`'s own number is not known; clients fetch one before
/// each round of calls (CONFIRMED).
const KEY_LIFE: Millis = Millis::hours(1);
/// Hex characters of a key that say until when it counts, in minutes.
const KEY_END_CHARACTERS: usize = 8;
/// Characters of a key. CONFIRMED
const KEY_CHARACTERS: usize = 32;

/// A service that the gateway stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// Its id, the same as long as `public_url` is.
    pub id: String,
    /// Its name.
    pub name: &'static str,
    /// `QlikView`'s word for its kind.
    pub kind: &'static str,
    /// Where it answers.
    pub address: String,
}

/// Named CALs, leases and switches as they are now.
#[derive(Clone, Debug)]
pub struct NamedCals {
    /// *Allow dynamic assignment*.
    pub allow_dynamic_assignment: bool,
    /// *Allow license lease*.
    pub allow_license_lease: bool,
    /// How many the licence holds now.
    pub held: u32,
    /// Those that are assigned.
    pub assigned: Vec<CalRow>,
    /// Those in quarantine.
    pub quarantined: Vec<CalRow>,
    /// Leases that are live.
    pub leased: Vec<LeaseRow>,
}

/// What somebody holds.
#[derive(Clone, Debug)]
pub struct UserCals {
    /// Their named CAL, where one is assigned.
    pub named: Option<CalRow>,
    /// Their live leases.
    pub leased: Vec<Lease>,
}

/// A configuration that is to be saved; what it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalsToSave {
    /// *Allow dynamic assignment*.
    pub allow_dynamic_assignment: Option<bool>,
    /// *Allow license lease*.
    pub allow_license_lease: Option<bool>,
    /// The user names of everybody who is to hold a named CAL, as they came.
    pub assigned: Option<Vec<String>>,
}

/// A licence as a management service tells it; the serial number is never whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseFacts {
    /// The LEF.
    pub lef: String,
    /// The serial number.
    pub serial: Option<String>,
    /// Whether it is in force.
    pub in_force: bool,
    /// Its lines: attributes and values.
    pub features: Vec<(String, String)>,
}

/// An id of the form that `QlikView` gives its things, made from what it stands for: the same
/// whenever it is asked for.
#[must_use]
pub fn guid(kind: &str, of: &str) -> String {
    let hash = Sha256::digest(format!("accesspoint:{kind}:{of}"));
    let hex = const_hex::encode(&hash[..16]);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

impl App {
    /// The id of the licence server among the services.
    #[must_use]
    pub fn qvs_id(&self) -> String {
        guid("QlikViewServer", self.origin())
    }

    /// The services that the gateway stands for.
    #[must_use]
    pub fn qms_services(&self) -> [ServiceFacts; 3] {
        let origin = self.origin();
        let service = |name, kind, path: &str| ServiceFacts {
            id: guid(kind, origin),
            name,
            kind,
            address: format!("{origin}{path}"),
        };
        [
            service(SERVER_NAME, "QlikViewServer", "/"),
            service("QVWS@accesspoint", "QlikViewWebServer", "/QvAJAXZfc/"),
            service(
                "QMS@accesspoint",
                "QlikViewManagementService",
                "/QMS/Service",
            ),
        ]
    }

    /// A key for the calls of a program with this token. Keys are not stored: each says until when it
    /// counts, and that it is ours.
    #[must_use]
    pub fn qms_service_key(&self, token: &str) -> String {
        let until = self.now() + KEY_LIFE;
        self.service_key_until(token, until.0.div_euclid(Millis::minutes(1).0))
    }

    /// Whether a key was made for this token, and still counts.
    #[must_use]
    pub fn is_qms_service_key(&self, token: &str, key: &str) -> bool {
        let end = key.get(..KEY_END_CHARACTERS).unwrap_or_default();
        let Ok(minute) = i64::from_str_radix(end, 16) else {
            return false;
        };
        let ours = self.service_key_until(token, minute);
        let counts = self.now() < Timestamp(Millis::minutes(minute).0);
        counts && same_secret(ours.as_bytes(), key.as_bytes())
    }

    fn service_key_until(&self, token: &str, minute: i64) -> String {
        let end = format!("{minute:0KEY_END_CHARACTERS$x}");
        let tag = self.csrf().token(&format!("qms-service-key:{token}:{end}"));
        let tag = hash_secret(SecretKind::ServiceKey, &tag);
        format!("{end}{}", &tag[..KEY_CHARACTERS - KEY_END_CHARACTERS])
    }

    /// A user name as it goes out.
    #[must_use]
    pub fn outside_name(&self, user: &str) -> String {
        with_prefix(user, &self.config().qlikview.user_prefix)
    }

    /// Named CALs, leases and switches as they are now.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn named_cals(&self) -> Result<NamedCals, StoreError> {
        let license = self.ledger().license()?;
        let (assigned, quarantined) = self
            .taken_cals()?
            .into_iter()
            .partition(|row| row.cal.is_assigned());
        Ok(NamedCals {
            allow_dynamic_assignment: license.switches.allow_dynamic_assignment,
            allow_license_lease: license.switches.allow_license_lease,
            held: license.held,
            assigned,
            quarantined,
            leased: self.live_leases()?,
        })
    }

    /// What somebody holds; nothing for a name that nobody has.
    ///
    /// # Errors
    ///
    /// The name cannot be one, or the database fails.
    pub fn user_cals(&self, user: &str) -> Result<UserCals, AdministerError> {
        let Some(person) = self.ledger().person(&self.user_name(user)?)? else {
            return Ok(UserCals {
                named: None,
                leased: Vec::new(),
            });
        };
        let now = self.now();
        let mut leased = self.ledger().leases_of(&person.id)?;
        leased.retain(|lease| lease.is_live(now));
        Ok(UserCals {
            named: self.assigned_cal(person)?,
            leased,
        })
    }

    fn assigned_cal(&self, person: Person) -> Result<Option<CalRow>, StoreError> {
        let cal = self.ledger().cal_of(&person.id)?;
        Ok(cal.filter(NamedCal::is_assigned).map(|cal| CalRow {
            assigned_at: Some(cal.assigned_at),
            cal,
            user: person.name,
            display_name: person.display_name,
        }))
    }

    /// Makes the ledger what a saved configuration says: switches first, then CALs that are taken
    /// back, then those that are assigned, in the order of names. Answers the sentences of what was
    /// refused; everything else was done.
    ///
    /// # Errors
    ///
    /// A name cannot be one: then nothing was changed. Or the ledger fails.
    pub async fn save_cals(
        &self,
        save: CalsToSave,
        actor: Actor,
    ) -> Result<Vec<String>, AdministerError> {
        let wanted = match &save.assigned {
            Some(names) => Some(self.folded_names(names)?),
            None => None,
        };
        let dynamic = save.allow_dynamic_assignment;
        let settings = [
            dynamic.map(|on| (Setting::AllowDynamicAssignment, on)),
            save.allow_license_lease
                .map(|on| (Setting::AllowLicenseLease, on)),
        ];
        let settings = settings.into_iter().flatten().collect();
        self.ledger().set_all(settings, actor.clone()).await?;
        match wanted {
            Some(wanted) => self.hold_cals(&wanted, actor).await,
            None => Ok(Vec::new()),
        }
    }

    /// Has exactly these people hold a named CAL, as far as the rules let them.
    async fn hold_cals(
        &self,
        wanted: &BTreeSet<UserName>,
        actor: Actor,
    ) -> Result<Vec<String>, AdministerError> {
        let rows = self.taken_cals()?.into_iter();
        let assigned = rows.filter(|row| row.cal.is_assigned());
        let held: BTreeSet<UserName> = assigned
            .map(|row| UserName::try_from(row.user))
            .collect::<Result<_, _>>()?;
        for user in held.difference(wanted) {
            let unassign = self.ledger().unassign_cal(user.clone(), actor.clone());
            unassign.await?;
        }
        let mut refused = Vec::new();
        for user in wanted.difference(&held) {
            let assign = self.ledger().assign_cal(user.clone(), actor.clone());
            if let AssignAnswer::Refused(refusal) = assign.await? {
                let text = &Language::English.text().refusal;
                let sentence = (text.to_administrator)(&refusal, self.now());
                refused.push(format!("{user}: {} {sentence}", refusal.code().as_str()));
            }
        }
        Ok(refused)
    }

    fn folded_names(&self, names: &[String]) -> Result<BTreeSet<UserName>, AdministerError> {
        let names = names.iter().map(|name| self.user_name(name));
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// The licence that is loaded.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn license_facts(&self) -> Result<Option<LicenseFacts>, StoreError> {
        let license = self.ledger().license()?.license;
        let now = self.now();
        Ok(license.map(|license| LicenseFacts {
            lef: license.masked_text(),
            serial: license.masked_serial(),
            in_force: license.in_force(now),
            features: license.features(),
        }))
    }

    /// Every CAL that is taken, by user name.
    fn taken_cals(&self) -> Result<Vec<CalRow>, StoreError> {
        let mut all: Vec<CalRow> = Vec::new();
        loop {
            let after = all.last().map(|row| row.user.clone()).unwrap_or_default();
            let rows = self.ledger().cals(&after, LIST_ROWS_MAX)?;
            let last = rows.len() < LIST_ROWS_MAX as usize;
            all.extend(rows);
            if last {
                return Ok(all);
            }
        }
    }

    /// Every live lease.
    fn live_leases(&self) -> Result<Vec<LeaseRow>, StoreError> {
        let now = self.now();
        let mut live = Vec::new();
        let mut filter = LeaseFilter {
            limit: LIST_ROWS_MAX,
            ..LeaseFilter::default()
        };
        loop {
            let rows = self.ledger().leases(&filter)?;
            let last = rows.len() < LIST_ROWS_MAX as usize;
            if let Some(row) = rows.last() {
                row.lease.id.as_str().clone_into(&mut filter.after);
            }
            live.extend(rows.into_iter().filter(|row| row.lease.is_live(now)));
            if last {
                return Ok(live);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_same_whenever_it_is_asked_for() {
        let one = guid("QlikViewServer", "https://ap.example");
        assert_eq!(one, guid("QlikViewServer", "https://ap.example"));
        assert_ne!(one, guid("QlikViewServer", "https://ap.other"));
        assert_ne!(one, guid("QlikViewWebServer", "https://ap.example"));
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(one.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
    }
}
