//! placeholder until merged
use super::time::Millis;
/// P
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// W
    pub lease_window: Millis,
    /// Q
    pub quarantine: Millis,
    /// 30 d
    pub lease_length: Millis,
    /// names
    pub lef: LefAttributes,
}
/// N
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LefAttributes {
    /// a
    pub named_cals: Vec<String>,
    /// b
    pub special_edition: Vec<String>,
}
impl Default for LefAttributes {
    fn default() -> Self {
        Self {
            named_cals: ["NUMBER_OF_NAMED_CALS", "NAMED_CALS", "NAMED_USER_CALS"]
                .map(str::to_owned)
                .to_vec(),
            special_edition: vec!["SPECIAL_EDITION".to_owned()],
        }
    }
}
impl Default for Policy {
    fn default() -> Self {
        Self {
            lease_window: Millis::days(7),
            quarantine: Millis::days(7),
            lease_length: Millis::days(30),
            lef: LefAttributes::default(),
        }
    }
}
