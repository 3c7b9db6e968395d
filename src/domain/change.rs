//! What a decision does to the state, as values, and the audit event that goes with it.
//!
//! The store writes the changes and the event of one decision in one transaction (R18).

use serde::{Deserialize, Serialize};

use super::lease::{Lease, LeaseId, LeaseState};
use super::person::PersonId;
use super::refusal::RefusalCode;
use super::time::Timestamp;
use super::workstation::WorkstationId;

/// An answer, what it changes, and what the audit remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<A> {
    /// What the asker is told.
    pub answer: A,
    /// What the store writes, in order.
    pub changes: Vec<Change>,
    /// The audit event; none where nothing was changed or refused.
    pub event: Option<Event>,
}

/// One change of CALs, leases or workstations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A free CAL goes to a person: one more is taken.
    CalAssigned {
        /// To whom.
        person: PersonId,
        /// When.
        at: Timestamp,
    },
    /// A person's CAL comes back from quarantine: as many are taken as before.
    CalGivenBack {
        /// To whom.
        person: PersonId,
    },
    /// A used CAL is taken back and rests: as many are taken as before.
    CalQuarantined {
        /// From whom.
        person: PersonId,
        /// When.
        since: Timestamp,
        /// Exclusive end.
        until: Timestamp,
    },
    /// An unused CAL is free at once: one fewer is taken.
    CalFreed {
        /// From whom.
        person: PersonId,
    },
    /// An open with access used the CAL.
    CalUsed {
        /// Whose.
        person: PersonId,
        /// When.
        at: Timestamp,
    },
    /// A new lease.
    LeaseGranted(Lease),
    /// A live lease was renewed.
    LeaseRenewed {
        /// Which.
        id: LeaseId,
        /// Its event in R13.
        renewed_at: Timestamp,
        /// Its end, never earlier than before.
        expires_at: Timestamp,
    },
    /// A live lease ended before its time.
    LeaseEnded {
        /// Which.
        id: LeaseId,
        /// [`LeaseState::Revoked`] or [`LeaseState::Released`].
        state: LeaseState,
        /// When.
        at: Timestamp,
    },
    /// The events of a workstation no longer count in R13 (R19).
    WorkstationLifted {
        /// Which.
        workstation: WorkstationId,
    },
    /// A workstation's leases now belong to another one (R23).
    WorkstationMerged {
        /// Which.
        workstation: WorkstationId,
        /// Into which.
        into: WorkstationId,
    },
}

/// What happened, as the audit names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A document was opened, or an open was refused.
    DocumentOpened,
    /// A launch ticket was redeemed, or refused.
    DocumentLaunched,
    /// A CAL was assigned or given back, or that was refused.
    CalAssigned,
    /// A CAL was unassigned.
    CalUnassigned,
    /// After a launch in front of an estate: its server leased to a machine, or to none.
    LeaseWatched,
    /// A lease was revoked by an administrator.
    LeaseRevoked,
    /// A lease was released by its person.
    LeaseReleased,
    /// A workstation was lifted.
    WorkstationLifted,
    /// A workstation was merged into another.
    WorkstationMerged,
    /// A workstation was renamed.
    WorkstationRenamed,
    /// A licence was loaded, or refused.
    LicenseLoaded,
    /// A setting was changed.
    SettingChanged,
    /// Somebody signed in.
    SignedIn,
    /// A web ticket was issued.
    WebTicketIssued,
    /// A sign-in was refused.
    SignInRefused,
    /// Somebody signed out.
    SignedOut,
    /// Sessions were ended by their person, an administrator or the provider they came from.
    SessionsEnded,
    /// A provider's wish to end sessions was refused, or word of its own that it had done so.
    LogoutRefused,
    /// A provider's wish to end sessions came where there are none.
    LogoutEndedNothing,
    /// A command was refused: its sender may not give it, or nobody can tell whose it is.
    CommandRefused,
    /// Refusals of strangers that were too many to be told one by one.
    RefusalsLeftOut,
    /// A user was added.
    UserAdded,
    /// A user was disabled.
    UserDisabled,
    /// A user was enabled.
    UserEnabled,
    /// A password was set.
    PasswordSet,
    /// A user was renamed.
    UserRenamed,
    /// A user got another display name, other roles or other groups.
    UserChanged,
    /// An identity was given to a user, or that was refused.
    IdentityLinked,
    /// An identity was taken from a user.
    IdentityUnlinked,
    /// Somebody enrolled a second factor.
    SecondFactorEnrolled,
    /// Somebody proved themselves with a second factor.
    SecondFactorUsed,
    /// Somebody removed a second factor.
    SecondFactorRemoved,
    /// An administrator took every second factor from somebody.
    SecondFactorsReset,
    /// Somebody got new recovery codes.
    RecoveryCodesMade,
    /// An API token was made.
    TokenCreated,
    /// An API token was revoked.
    TokenRevoked,
    /// The signing key was replaced.
    KeyRotated,
    /// The clock was set back by more than is clamped.
    ClockSetBack,
}

impl EventKind {
    /// The name in the audit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DocumentOpened => "document_opened",
            Self::DocumentLaunched => "document_launched",
            Self::CalAssigned => "cal_assigned",
            Self::CalUnassigned => "cal_unassigned",
            Self::LeaseWatched => "lease_watched",
            Self::LeaseRevoked => "lease_revoked",
            Self::LeaseReleased => "lease_released",
            Self::WorkstationLifted => "workstation_lifted",
            Self::WorkstationMerged => "workstation_merged",
            Self::WorkstationRenamed => "workstation_renamed",
            Self::LicenseLoaded => "license_loaded",
            Self::SettingChanged => "setting_changed",
            Self::SignedIn => "signed_in",
            Self::WebTicketIssued => "web_ticket_issued",
            Self::SignInRefused => "sign_in_refused",
            Self::SignedOut => "signed_out",
            Self::SessionsEnded => "sessions_ended",
            Self::LogoutRefused => "logout_refused",
            Self::LogoutEndedNothing => "logout_ended_nothing",
            Self::CommandRefused => "command_refused",
            Self::RefusalsLeftOut => "refusals_left_out",
            Self::UserAdded => "user_added",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::PasswordSet => "password_set",
            Self::UserRenamed => "user_renamed",
            Self::UserChanged => "user_changed",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
            Self::SecondFactorEnrolled => "second_factor_enrolled",
            Self::SecondFactorUsed => "second_factor_used",
            Self::SecondFactorRemoved => "second_factor_removed",
            Self::SecondFactorsReset => "second_factors_reset",
            Self::RecoveryCodesMade => "recovery_codes_made",
            Self::TokenCreated => "token_created",
            Self::TokenRevoked => "token_revoked",
            Self::KeyRotated => "key_rotated",
            Self::ClockSetBack => "clock_set_back",
        }
    }
}

/// An audit event before it is numbered and chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Why it was refused, where it was.
    pub code: Option<String>,
    /// Whom it concerns.
    pub person: Option<PersonId>,
    /// The user name of that time.
    pub user: Option<String>,
    /// More facts: names and values, in order. Never a secret.
    pub detail: Vec<(&'static str, String)>,
}

impl Event {
    /// An event without a code.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            code: None,
            person: None,
            user: None,
            detail: Vec::new(),
        }
    }

    /// The event with the person it concerns.
    #[must_use]
    pub fn about(mut self, person: &PersonId, user: &str) -> Self {
        self.person = Some(person.clone());
        self.user = Some(user.to_owned());
        self
    }

    /// The event with the code of a refusal.
    #[must_use]
    pub fn refused(mut self, code: RefusalCode) -> Self {
        self.code = Some(code.as_str().to_owned());
        self
    }

    /// The event with one more fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.detail.push((name, value.into()));
        self
    }
}
