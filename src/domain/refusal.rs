//! Refusals: values with a code, what ends them, from when, and the ways out.
//!
//! A refusal is an answer of the rules, never an error. Its sentences, in each language, are in
//! `crate::text`; what they need to say (names, counts, instants) is carried here.

use serde::{Deserialize, Serialize};

use super::time::{Millis, Timestamp};
use super::workstation::WorkstationUse;

/// The code of a refusal, as the API and the audit write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefusalCode {
    /// R0: no LEF is loaded.
    LicenseMissing,
    /// R1: the LEF says special edition Test.
    LicenseTestEdition,
    /// R2: the edition is neither Enterprise nor Small Business.
    LicenseEditionCannotLease,
    /// R3: the LEF says `LICENSE_LEASE;NO;;`.
    LicenseForbidsLease,
    /// R4: the LEF limits the number of documents.
    LicenseLimitsDocuments,
    /// R5: a `TIMELIMIT` or `PRODUCTLEVEL` line does not count now.
    LicenseExpired,
    /// R6: the LEF holds no named user CALs.
    LicenseHasNoNamedCals,
    /// R7: *Allow license lease* is off.
    LeasingSwitchedOff,
    /// R8: the document is missing or hidden from this person.
    DocumentNotFound,
    /// R9: the person holds no named CAL and none may be assigned by the open.
    NoCalAssigned,
    /// R9, R17: every named CAL is taken.
    NoFreeCal,
    /// R9, R10: the person's own CAL is in quarantine.
    CalQuarantined,
    /// R13: two other workstations of the person have leased within the window.
    WorkstationLimit,
    /// R21: the person is disabled.
    UserDisabled,
}

impl RefusalCode {
    /// Every code, in the order of the rules.
    pub const ALL: [Self; 14] = [
        Self::LicenseMissing,
        Self::LicenseTestEdition,
        Self::LicenseEditionCannotLease,
        Self::LicenseForbidsLease,
        Self::LicenseLimitsDocuments,
        Self::LicenseExpired,
        Self::LicenseHasNoNamedCals,
        Self::LeasingSwitchedOff,
        Self::DocumentNotFound,
        Self::NoCalAssigned,
        Self::NoFreeCal,
        Self::CalQuarantined,
        Self::WorkstationLimit,
        Self::UserDisabled,
    ];

    /// The code as the contract spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LicenseMissing => "LICENSE_MISSING",
            Self::LicenseTestEdition => "LICENSE_TEST_EDITION",
            Self::LicenseEditionCannotLease => "LICENSE_EDITION_CANNOT_LEASE",
            Self::LicenseForbidsLease => "LICENSE_FORBIDS_LEASE",
            Self::LicenseLimitsDocuments => "LICENSE_LIMITS_DOCUMENTS",
            Self::LicenseExpired => "LICENSE_EXPIRED",
            Self::LicenseHasNoNamedCals => "LICENSE_HAS_NO_NAMED_CALS",
            Self::LeasingSwitchedOff => "LEASING_SWITCHED_OFF",
            Self::DocumentNotFound => "DOCUMENT_NOT_FOUND",
            Self::NoCalAssigned => "NO_CAL_ASSIGNED",
            Self::NoFreeCal => "NO_FREE_CAL",
            Self::CalQuarantined => "CAL_QUARANTINED",
            Self::WorkstationLimit => "WORKSTATION_LIMIT",
            Self::UserDisabled => "USER_DISABLED",
        }
    }
}

/// Who or what ends a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndsBy {
    /// It ends by itself, at `retry_at`.
    Time,
    /// An administrator can end it.
    Administrator,
    /// The person can end it.
    User,
    /// Another licence ends it.
    License,
}

/// Something that the person can do about a refusal.
///
/// *Release a workstation* is none: a released workstation still counts (R19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayOut {
    /// Ask an administrator for a named CAL.
    AskForCal,
    /// Ask an administrator to give the quarantined CAL back, which works at once.
    AskToGiveBack,
    /// Ask an administrator to lift one of the other workstations.
    AskToLift,
    /// Ask an administrator to switch leasing on.
    AskToSwitchLeasingOn,
    /// Ask an administrator to load another licence.
    AskForLicense,
    /// Ask an administrator to enable the account again.
    AskToEnable,
    /// Ask for access to the document, or look for another one.
    AskForDocument,
    /// Lease from the production server.
    LeaseFromProduction,
    /// Go on online: the document is open.
    WorkOnline,
    /// Use one of the workstations that already lease.
    UseOtherWorkstation,
    /// Sign in as somebody else.
    SignInAsSomeoneElse,
}

/// A refusal and the facts that its sentences need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// [`RefusalCode::LicenseMissing`]
    LicenseMissing,
    /// [`RefusalCode::LicenseTestEdition`]
    LicenseTestEdition {
        /// When the line that says so ends, where it does.
        retry_at: Option<Timestamp>,
    },
    /// [`RefusalCode::LicenseEditionCannotLease`]
    LicenseEditionCannotLease {
        /// The edition as the LEF writes it.
        edition: String,
        /// When the line that says so ends, where it does.
        retry_at: Option<Timestamp>,
    },
    /// [`RefusalCode::LicenseForbidsLease`]
    LicenseForbidsLease {
        /// When the line that says so ends, where it does.
        retry_at: Option<Timestamp>,
    },
    /// [`RefusalCode::LicenseLimitsDocuments`]
    LicenseLimitsDocuments {
        /// The limit as the LEF writes it.
        limit: String,
        /// When the line that says so ends, where it does.
        retry_at: Option<Timestamp>,
    },
    /// [`RefusalCode::LicenseExpired`]
    LicenseExpired {
        /// The end (exclusive) of a line that has ended.
        ended_at: Option<Timestamp>,
        /// The earliest instant at which every line counts, where there is one.
        retry_at: Option<Timestamp>,
    },
    /// [`RefusalCode::LicenseHasNoNamedCals`]
    LicenseHasNoNamedCals {
        /// When a line with CALs begins, where one does.
        retry_at: Option<Timestamp>,
    },
    /// [`RefusalCode::LeasingSwitchedOff`]
    LeasingSwitchedOff,
    /// [`RefusalCode::DocumentNotFound`]
    DocumentNotFound,
    /// [`RefusalCode::NoCalAssigned`]
    NoCalAssigned,
    /// [`RefusalCode::NoFreeCal`]
    NoFreeCal {
        /// Named CALs that the licence holds now.
        held: u32,
        /// Named CALs that are taken: assigned or in quarantine.
        taken: u32,
        /// When enough quarantines have ended for one to be free, if ever.
        retry_at: Option<Timestamp>,
    },
    /// [`RefusalCode::CalQuarantined`]
    CalQuarantined {
        /// When the CAL was taken back.
        since: Timestamp,
        /// When its quarantine ends; that gives this person no CAL, so it is no `retry_at`.
        until: Timestamp,
    },
    /// [`RefusalCode::WorkstationLimit`]
    WorkstationLimit {
        /// The other workstations that count, the longest silent first.
        others: Vec<WorkstationUse>,
        /// The window `W`.
        window: Millis,
        /// From when this workstation may lease if the others stay silent.
        retry_at: Timestamp,
    },
    /// [`RefusalCode::UserDisabled`]
    UserDisabled,
}

impl Refusal {
    /// The code.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::LicenseMissing => RefusalCode::LicenseMissing,
            Self::LicenseTestEdition { .. } => RefusalCode::LicenseTestEdition,
            Self::LicenseEditionCannotLease { .. } => RefusalCode::LicenseEditionCannotLease,
            Self::LicenseForbidsLease { .. } => RefusalCode::LicenseForbidsLease,
            Self::LicenseLimitsDocuments { .. } => RefusalCode::LicenseLimitsDocuments,
            Self::LicenseExpired { .. } => RefusalCode::LicenseExpired,
            Self::LicenseHasNoNamedCals { .. } => RefusalCode::LicenseHasNoNamedCals,
            Self::LeasingSwitchedOff => RefusalCode::LeasingSwitchedOff,
            Self::DocumentNotFound => RefusalCode::DocumentNotFound,
            Self::NoCalAssigned => RefusalCode::NoCalAssigned,
            Self::NoFreeCal { .. } => RefusalCode::NoFreeCal,
            Self::CalQuarantined { .. } => RefusalCode::CalQuarantined,
            Self::WorkstationLimit { .. } => RefusalCode::WorkstationLimit,
            Self::UserDisabled => RefusalCode::UserDisabled,
        }
    }

    /// The earliest instant at which the rule that refused would pass, where one is known.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::LicenseTestEdition { retry_at }
            | Self::LicenseEditionCannotLease { retry_at, .. }
            | Self::LicenseForbidsLease { retry_at }
            | Self::LicenseLimitsDocuments { retry_at, .. }
            | Self::LicenseExpired { retry_at, .. }
            | Self::LicenseHasNoNamedCals { retry_at }
            | Self::NoFreeCal { retry_at, .. } => *retry_at,
            Self::WorkstationLimit { retry_at, .. } => Some(*retry_at),
            Self::LicenseMissing
            | Self::LeasingSwitchedOff
            | Self::DocumentNotFound
            | Self::NoCalAssigned
            | Self::CalQuarantined { .. }
            | Self::UserDisabled => None,
        }
    }

    /// Who or what ends the refusal.
    #[must_use]
    pub const fn ends_by(&self) -> EndsBy {
        if self.retry_at().is_some() {
            return EndsBy::Time;
        }
        match self {
            Self::NoFreeCal { .. }
            | Self::LeasingSwitchedOff
            | Self::DocumentNotFound
            | Self::NoCalAssigned
            | Self::CalQuarantined { .. }
            | Self::UserDisabled => EndsBy::Administrator,
            Self::LicenseMissing
            | Self::LicenseTestEdition { .. }
            | Self::LicenseEditionCannotLease { .. }
            | Self::LicenseForbidsLease { .. }
            | Self::LicenseLimitsDocuments { .. }
            | Self::LicenseExpired { .. }
            | Self::LicenseHasNoNamedCals { .. } => EndsBy::License,
            Self::WorkstationLimit { .. } => EndsBy::Time,
        }
    }

    /// The other workstations that stand in the way; empty for every other code than R13's.
    #[must_use]
    pub fn workstations(&self) -> &[WorkstationUse] {
        match self {
            Self::WorkstationLimit { others, .. } => others,
            _ => &[],
        }
    }

    /// What the person can do, best first; never empty.
    #[must_use]
    pub const fn ways_out(&self) -> &'static [WayOut] {
        match self {
            Self::LicenseMissing => &[WayOut::AskForLicense],
            Self::LicenseTestEdition { .. } => &[WayOut::LeaseFromProduction, WayOut::WorkOnline],
            Self::LicenseEditionCannotLease { .. }
            | Self::LicenseForbidsLease { .. }
            | Self::LicenseLimitsDocuments { .. }
            | Self::LicenseExpired { .. } => &[WayOut::WorkOnline, WayOut::AskForLicense],
            Self::LicenseHasNoNamedCals { .. } => {
                &[WayOut::AskForLicense, WayOut::SignInAsSomeoneElse]
            }
            Self::LeasingSwitchedOff => &[WayOut::WorkOnline, WayOut::AskToSwitchLeasingOn],
            Self::DocumentNotFound => &[WayOut::AskForDocument, WayOut::SignInAsSomeoneElse],
            Self::NoCalAssigned | Self::NoFreeCal { .. } => {
                &[WayOut::AskForCal, WayOut::SignInAsSomeoneElse]
            }
            Self::CalQuarantined { .. } => &[WayOut::AskToGiveBack, WayOut::SignInAsSomeoneElse],
            Self::WorkstationLimit { .. } => &[
                WayOut::WorkOnline,
                WayOut::UseOtherWorkstation,
                WayOut::AskToLift,
            ],
            Self::UserDisabled => &[WayOut::AskToEnable],
        }
    }
}
