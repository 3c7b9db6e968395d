//! The licence that is loaded, and the two switches.

use std::sync::{Arc, PoisonError};

use super::Store;
use super::db::{Db, StoreError, values};
use super::writer::{Actor, Batch, Gate};
use crate::domain::administer::{Force, LoadAnswer, decide_load_license};
use crate::domain::change::{Event, EventKind};
use crate::domain::lef::License;
use crate::domain::open::Switches;
use crate::domain::time::Timestamp;

/// The licence, the switches and the CALs, as they are now.
#[derive(Clone, Debug)]
pub struct LicenseNow {
    /// The licence that is loaded.
    pub license: Option<Arc<License>>,
    /// When it was loaded.
    pub loaded_at: Option<Timestamp>,
    /// The switches.
    pub switches: Switches,
    /// Named CALs that it holds now.
    pub held: u32,
    /// Named CALs that are taken now.
    pub taken: u32,
}

impl LicenseNow {
    /// R17: whether more CALs are taken than the licence holds.
    #[must_use]
    pub const fn overcommitted(&self) -> bool {
        self.taken > self.held
    }
}

/// A switch of the licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// *Allow license lease* (R7).
    AllowLicenseLease,
    /// *Allow dynamic assignment* (R9).
    AllowDynamicAssignment,
}

impl Setting {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AllowLicenseLease, Self::AllowDynamicAssignment];

    /// The key of the command line.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::AllowLicenseLease => "allow-license-lease",
            Self::AllowDynamicAssignment => "allow-dynamic-assignment",
        }
    }

    /// Its value among the switches.
    #[must_use]
    pub const fn of(self, switches: Switches) -> bool {
        match self {
            Self::AllowLicenseLease => switches.allow_license_lease,
            Self::AllowDynamicAssignment => switches.allow_dynamic_assignment,
        }
    }
}

impl Store {
    /// The licence, the switches and the CALs, as they are now.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn license(&self) -> Result<LicenseNow, StoreError> {
        const LOADED_AT: &str = "SELECT loaded_at FROM license WHERE version = $1";
        self.read_gate(|db, gate, now| {
            let license = self.license_of(db, gate)?;
            let loaded = values![gate.license_version];
            Ok(LicenseNow {
                loaded_at: db.query_one(LOADED_AT, loaded, |row| row.at(0))?,
                switches: gate.switches,
                held: license
                    .as_ref()
                    .map_or(0, |license| license.named_cals(now)),
                taken: gate
                    .cals_taken
                    .saturating_sub(super::cals::ended_quarantines(db, now)?),
                license,
            })
        })
    }

    /// Loads a licence that was read; one that is too small only with force (R17).
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn load_license(
        &self,
        license: License,
        force: Force,
        actor: Actor,
    ) -> Result<LoadAnswer, StoreError> {
        self.write(move |batch| load(batch, &license, force, &actor))
            .await
    }

    /// Sets a switch; setting it to what it is changes nothing.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn set(&self, setting: Setting, on: bool, actor: Actor) -> Result<(), StoreError> {
        self.set_all(vec![(setting, on)], actor).await
    }

    /// Sets several switches in one step, all or none; each that changes is an event.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn set_all(
        &self,
        settings: Vec<(Setting, bool)>,
        actor: Actor,
    ) -> Result<(), StoreError> {
        self.write(move |batch| {
            settings
                .iter()
                .try_for_each(|(setting, on)| set(batch, *setting, *on, &actor))
        })
        .await
    }

    /// The licence that a gate names, read once for each version.
    pub(super) fn license_of(
        &self,
        db: &Db,
        gate: &Gate,
    ) -> Result<Option<Arc<License>>, StoreError> {
        let mut loaded = self
            .0
            .license
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loaded.current(db, gate.license_version, self.policy())
    }
}

/// Whether the licence of this version was loaded by force (R17).
pub(super) fn forced(db: &Db, version: i64) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT forced FROM license WHERE version = $1";
    let forced = db.query_one(SQL, values![version], |row| row.flag(0))?;
    Ok(forced.unwrap_or(false))
}

fn load(
    batch: &mut Batch<'_>,
    license: &License,
    force: Force,
    actor: &Actor,
) -> Result<LoadAnswer, StoreError> {
    const SQL: &str =
        "INSERT INTO license (version, lef, loaded_at, forced) VALUES ($1, $2, $3, $4)";
    batch.end_quarantines()?;
    let decision = decide_load_license(license, batch.gate.cals_taken, force, batch.now);
    if let LoadAnswer::Loaded { held, taken } = decision.answer {
        let version = batch.gate.license_version + 1;
        let forced = held < taken;
        batch
            .db
            .execute(SQL, values![version, license.text(), batch.now, forced])?;
        batch.gate.license_version = version;
    }
    if let Some(event) = &decision.event {
        batch.record(event, actor)?;
    }
    Ok(decision.answer)
}

fn set(batch: &mut Batch<'_>, setting: Setting, on: bool, actor: &Actor) -> Result<(), StoreError> {
    let switches = &mut batch.gate.switches;
    let value = match setting {
        Setting::AllowLicenseLease => &mut switches.allow_license_lease,
        Setting::AllowDynamicAssignment => &mut switches.allow_dynamic_assignment,
    };
    if *value == on {
        return Ok(());
    }
    *value = on;
    let event = Event::new(EventKind::SettingChanged)
        .with("setting", setting.key())
        .with("value", on.to_string());
    batch.record(&event, actor)
}
