//! Every number of the licence rules in one value, and the attribute names of the LEF.

use super::time::Millis;
use super::version::QlikViewVersion;

/// How long a grant or a renewal makes a lease valid (R12).
pub const LEASE_LENGTH: Millis = Millis::days(30);

/// What a site can set about the rules; the rules themselves cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `W`: over how long R13 counts the workstations of a person, in milliseconds.
    pub lease_window: Millis,
    /// `Q`: how long a used CAL rests after it was unassigned (R10), in milliseconds.
    pub quarantine: Millis,
    /// How long a lease lasts from its last grant or renewal (R12), in milliseconds.
    pub lease_length: Millis,
    /// Which attributes of a LEF say what.
    pub lef: LefAttributes,
}

impl Policy {
    /// The rules as a `QlikView` Server of this version applies them.
    #[must_use]
    pub fn of(version: QlikViewVersion) -> Self {
        Self {
            lease_window: version.window(),
            quarantine: version.quarantine(),
            lease_length: LEASE_LENGTH,
            lef: LefAttributes::default(),
        }
    }
}

/// The rules of version 12.10, with the usual attribute names.
impl Default for Policy {
    fn default() -> Self {
        Self::of(QlikViewVersion::default())
    }
}

/// The attribute names in a LEF that differ between releases; they are compared without regard to
/// case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LefAttributes {
    /// Attributes whose values, added up, are the number of named user CALs (R6).
    pub named_cals: Vec<String>,
    /// Attributes that name the edition (R1, R2).
    pub special_edition: Vec<String>,
}

impl Default for LefAttributes {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            named_cals: owned(&["NUMBER_OF_NAMED_CALS", "NAMED_CALS", "NAMED_USER_CALS"]),
            special_edition: owned(&["SPECIAL_EDITION"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_the_configuration_documents() {
        let policy = Policy::default();
        assert_eq!(policy.lease_window, Millis::days(7));
        assert_eq!(policy.quarantine, Millis::days(7));
        assert_eq!(policy.lease_length, Millis(30 * 86_400_000));
        assert_eq!(policy.lef.special_edition, ["SPECIAL_EDITION"]);
        assert_eq!(policy.lef.named_cals.len(), 3);
    }

    #[test]
    fn an_old_version_has_windows_of_one_day() {
        let policy = Policy::of("11.20 SR17".parse().unwrap());
        assert_eq!(policy.lease_window, Millis::hours(24));
        assert_eq!(policy.quarantine, Millis::hours(24));
    }
}
