//! The picture of the estate: read from the management service every minute and when it is wanted,
//! kept in the ledger, with its age.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Estate, EstateError, lock, patiently};
use crate::causes::in_one_line;
use crate::domain::open::Switches;
use crate::domain::time::{Millis, Timestamp};
use crate::qlikview::qms::{Cal, CalConfiguration, LeasedCal, QmsError, ServerLicense, Service};
use crate::store::{EstateCal, EstateLease, EstateTold, Unpredicted};

/// How often the picture is made.
const EVERY: Duration = Duration::from_mins(1);
/// How old a picture may be that an open is predicted from.
const FRESH_FOR: Millis = Millis::seconds(60);
/// From which age on a picture is worth a word to whoever looks after the gateway.
const OLD_AFTER: Millis = Millis::minutes(3);
/// For how long a failure is told to everybody, so that nobody queues up behind a dead service.
const FAILURE_HOLDS: Millis = Millis::seconds(5);

/// How the last reading went.
#[derive(Debug, Default)]
pub(super) struct Health {
    failure: Option<Failure>,
}

#[derive(Clone, Debug)]
struct Failure {
    at: Timestamp,
    silent: bool,
    why: String,
}

impl Estate {
    /// Keeps the picture current, until it is dropped.
    pub async fn keep_current(self: Arc<Self>) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(error) = self.sync().await {
                tracing::warn!(
                    error = in_one_line(&error),
                    "the picture of the estate could not be made"
                );
            }
            self.look_for_direct_way().await;
        }
    }

    /// Makes the picture anew.
    ///
    /// # Errors
    ///
    /// See [`EstateError`].
    pub async fn sync(&self) -> Result<(), EstateError> {
        let _turn = self.reading.lock().await;
        self.sync_in_turn().await
    }

    /// Makes the picture anew where it is too old to predict from.
    ///
    /// # Errors
    ///
    /// See [`EstateError`].
    pub async fn ensure_fresh(&self) -> Result<(), EstateError> {
        if self.is_fresh()? {
            return Ok(());
        }
        let _turn = self.reading.lock().await;
        if self.is_fresh()? {
            return Ok(());
        }
        match self.failure_that_holds() {
            Some(failure) if failure.silent => Err(EstateError::Silent(failure.why)),
            Some(failure) => Err(EstateError::Answer(failure.why)),
            None => self.sync_in_turn().await,
        }
    }

    /// What is ill about the management service, or about the age of the picture; one sentence.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn problem(&self) -> Result<Option<String>, EstateError> {
        if let Some(failure) = &lock(&self.health).failure {
            return Ok(Some(failure.why.clone()));
        }
        let (read_at, now) = (self.store.estate_read_at()?, self.store.now());
        Ok(match read_at {
            Some(at) if now <= at + OLD_AFTER => None,
            Some(at) => Some(format!("CALs and leases were read last at {at}")),
            None => Some("CALs and leases were not read yet".to_owned()),
        })
    }

    /// The leases of one user as the estate tells them now; the picture is brought up to date.
    pub(super) async fn read_leases_of(&self, user: &str) -> Result<Vec<EstateLease>, EstateError> {
        let server = self.qms.server().await?;
        self.qms.clear_cache().await?;
        let cals = self.qms.cals_of(&server.id, &self.name_there(user)).await?;
        let mut leases = self.leases(&cals.leased);
        // Whatever spelling the answer has, it is about this user.
        for lease in &mut leases {
            user.clone_into(&mut lease.user);
        }
        let written = self
            .store
            .replace_estate_leases(user.to_owned(), leases.clone());
        written.await?;
        Ok(leases)
    }

    /// Makes the picture anew; the caller holds the turn.
    async fn sync_in_turn(&self) -> Result<(), EstateError> {
        let read = patiently(self.read()).await;
        let now = self.store.now();
        lock(&self.health).failure = read.as_ref().err().map(|error| Failure {
            at: now,
            silent: matches!(error, EstateError::Silent(_)),
            why: error.to_string(),
        });
        self.store.replace_estate(read?).await?;
        Ok(())
    }

    async fn read(&self) -> Result<EstateTold, QmsError> {
        self.qms.forget_server();
        let server = self.qms.server().await?;
        self.qms.clear_cache().await?;
        let cals = self.qms.cal_configuration(&server.id).await?;
        let license = match self.qms.license(&server.id).await {
            Ok(license) => Some(license),
            // Who may read CALs may be kept from the licence; what it forbids is then unknown.
            Err(QmsError::Fault(fault)) => {
                tracing::debug!(%fault, "the licence of the server is not told");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(self.told(server, &cals, license.as_ref()))
    }

    fn told(
        &self,
        server: Service,
        cals: &CalConfiguration,
        license: Option<&ServerLicense>,
    ) -> EstateTold {
        let has_cals = cals.in_license > 0 || cals.others_in_license > 0;
        let taken_for_good = license.is_none_or(|license| license.lef_ok == Some(true));
        let text = license.and_then(|license| license.lef.clone());
        let without_text = (has_cals || taken_for_good).then(String::new);
        EstateTold {
            server: server.name,
            lef: text.or(without_text),
            named_cals: cals.in_license,
            other_cals: cals.others_in_license,
            switches: Switches {
                allow_license_lease: cals.allow_license_lease.unwrap_or(true),
                allow_dynamic_assignment: cals.allow_dynamic_assignment.unwrap_or(true),
            },
            unpredicted: unpredicted(cals, license),
            cals: self.cals(cals),
            leases: self.leases(&cals.leased),
        }
    }

    /// Named CALs that are taken. One that was taken away and is in no quarantine is free.
    fn cals(&self, told: &CalConfiguration) -> Vec<EstateCal> {
        let row = |cal: &Cal, quarantined_until: Option<Timestamp>| {
            let kind = if quarantined_until.is_some() {
                "removed"
            } else {
                "assigned"
            };
            EstateCal {
                id: id_of(&[kind, &cal.user]),
                user: self.name_here(&cal.user),
                last_used_at: cal.last_used,
                quarantined_until,
            }
        };
        let assigned = told.assigned.iter().map(|cal| row(cal, None));
        let removed = told.removed.iter();
        let resting = removed.filter_map(|cal| Some(row(cal, Some(cal.quarantined_until?))));
        unique(assigned.chain(resting), |cal| cal.id.clone())
    }

    /// Leases that tell when they were taken.
    fn leases(&self, told: &[LeasedCal]) -> Vec<EstateLease> {
        let row = |lease: &LeasedCal| {
            let seen_at = lease.seen_at()?;
            Some(EstateLease {
                id: id_of(&["lease", &lease.user, &lease.machine]),
                user: self.name_here(&lease.user),
                machine: lease.machine.clone(),
                leased_at: lease.leased_at.unwrap_or(seen_at),
                seen_at,
            })
        };
        unique(told.iter().filter_map(row), |lease| lease.id.clone())
    }

    fn is_fresh(&self) -> Result<bool, EstateError> {
        let now = self.store.now();
        let read_at = self.store.estate_read_at()?;
        Ok(read_at.is_some_and(|at| now <= at + FRESH_FOR))
    }

    fn failure_that_holds(&self) -> Option<Failure> {
        let now = self.store.now();
        let failure = lock(&self.health).failure.clone();
        failure.filter(|failure| now < failure.at + FAILURE_HOLDS)
    }
}

/// How leases go under a signed key is UNKNOWN, and CALs that belong to machines are found by a name
/// that no browser tells.
fn unpredicted(cals: &CalConfiguration, license: Option<&ServerLicense>) -> Option<Unpredicted> {
    if license.is_some_and(|license| license.signed_key) {
        Some(Unpredicted::SignedKey)
    } else if cals.by_machine_name {
        Some(Unpredicted::MachineNames)
    } else {
        None
    }
}

/// An id that the same entry has in every picture: the server gives its entries none.
fn id_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.to_lowercase().as_bytes());
        hash.update([0]);
    }
    let digits = const_hex::encode(hash.finalize());
    format!("qvs-{}", &digits[..32])
}

/// One row for each id; where the server tells an entry twice, the last counts.
fn unique<T>(rows: impl Iterator<Item = T>, id: impl Fn(&T) -> String) -> Vec<T> {
    let by_id: BTreeMap<String, T> = rows.map(|row| (id(&row), row)).collect();
    by_id.into_values().collect()
}
