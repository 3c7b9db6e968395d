//! People: who may sign in, with which roles, groups and CAL policy.

use serde::{Deserialize, Serialize};

use super::opaque_id;

opaque_id! {
    /// The lasting id of a person; a rename keeps it.
    PersonId
}

/// What a person may do beside opening documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Administrator,
    /// CALs, leases and workstations; no people, licence or settings.
    Operator,
    /// Reads everything, changes nothing.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Operator, Self::Auditor];

    /// The word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }

    /// The role with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Whether a named CAL may be assigned to a person without an administrator (`named_cal`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutomaticCal {
    /// As *Allow dynamic assignment* says (R9).
    #[default]
    Dynamic,
    /// At sign-in, whatever the switch says; an open obeys the switch.
    Assign,
    /// Never; administrators may.
    Never,
}

impl AutomaticCal {
    /// The word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Assign => "assign",
            Self::Never => "never",
        }
    }

    /// The policy with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Dynamic, Self::Assign, Self::Never]
            .into_iter()
            .find(|p| p.word() == word)
    }
}

/// A person as the rules see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The lasting id.
    pub id: PersonId,
    /// The user name, folded.
    pub name: String,
    /// The name that pages show.
    pub display_name: String,
    /// Not disabled (R21).
    pub active: bool,
    /// Roles.
    pub roles: Vec<Role>,
    /// Groups, compared exactly.
    pub groups: Vec<String>,
    /// The CAL policy of the person's mapping.
    pub automatic_cal: AutomaticCal,
    /// How often everything that goes on in the person's name was ended: a sign-in that was proved
    /// before the last time comes to no session.
    pub sign_in_epoch: i64,
}

impl Person {
    /// Whether the person may do everything.
    #[must_use]
    pub fn administers(&self) -> bool {
        self.active && self.roles.contains(&Role::Administrator)
    }
}

/// Whether a change of a person takes the last administrator from a site that has one; `others`
/// is how many other people administer.
#[must_use]
pub fn leaves_no_administrator(before: &Person, after: &Person, others: u32) -> bool {
    before.administers() && !after.administers() && others == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(active: bool, roles: &[Role]) -> Person {
        Person {
            id: PersonId::from("1"),
            name: "ann".to_owned(),
            display_name: "Ann".to_owned(),
            active,
            roles: roles.to_vec(),
            groups: Vec::new(),
            automatic_cal: AutomaticCal::Dynamic,
            sign_in_epoch: 0,
        }
    }

    #[test]
    fn a_04_only_a_change_of_the_last_administrator_is_in_the_way() {
        let administrator = person(true, &[Role::Operator, Role::Administrator]);
        let disabled = person(false, &[Role::Administrator]);
        let operator = person(true, &[Role::Operator]);
        for after in [&disabled, &operator] {
            assert!(leaves_no_administrator(&administrator, after, 0));
            assert!(!leaves_no_administrator(&administrator, after, 1));
        }
        assert!(!leaves_no_administrator(&administrator, &administrator, 0));
        assert!(!leaves_no_administrator(&operator, &disabled, 0));
        assert!(!leaves_no_administrator(&disabled, &operator, 0));
    }
}
