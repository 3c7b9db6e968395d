//! The licence domain: rules as pure functions over plain values.
//!
//! Nothing here waits, logs, reads a clock or draws a random number: the time of a decision and
//! every fresh id are arguments. The rules carry the ids of the design (`R0` to `R24`).
//!
//! # Invariants
//!
//! | id | what always holds | kept by |
//! | --- | --- | --- |
//! | I1 | assigned plus quarantined CALs never grow beyond what the licence holds (R17) | [`open::decide_open`], [`administer`], the CAL counter written in the same transaction |
//! | I2 | a person has at most one named CAL, assigned or quarantined | the key of the CAL table |
//! | I3 | a person has at most one live lease on one workstation (R20) | a partial unique index |
//! | I4 | at most two workstations of a person have a live lease whose last grants or renewals lie within one window `W` (R13, R14) | [`open::decide_open`] |
//! | I5 | every lease ends after its last grant or renewal, at most 30 days after it (R12) | [`open::decide_open`], a CHECK |
//! | I6 | a quarantined CAL was used, and has an end (R10) | [`cal::CalState`] |
//! | I7 | every open and every command that changed something or was refused left one audit event (R18) | the writer: state and event are one transaction |
//! | I8 | the CAL counter equals the CALs that are stored | [`check::check`] |
//!
//! [`check::check`] looks for violations over a whole state.

pub mod administer;
pub mod cal;
pub mod change;
pub mod check;
pub mod client;
pub mod document;
pub mod flood;
pub mod lease;
pub mod lef;
pub mod mapping;
pub mod name;
pub mod open;
pub mod person;
pub mod policy;
pub mod refusal;
pub mod throttle;
pub mod time;
pub mod version;
pub mod web_path;
pub mod workstation;

#[cfg(test)]
mod administer_tests;
#[cfg(test)]
mod exhaustive_tests;
#[cfg(test)]
mod mapping_tests;
#[cfg(test)]
mod open_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod simulation_tests;

/// Makes a newtype around an opaque text id: made outside the domain, compared whole, shown as is.
macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}
pub(crate) use opaque_id;
