//! `[second_factor]`: who needs a second factor.

use std::net::IpAddr;

use super::network::Networks;
use super::section::{Section, one_of};
use super::sources::{SignInSource, SourceKind, WEB_TICKET_SOURCE};
use crate::domain::person::Role;

/// Who needs a second factor: the first rule that matches decides, and nobody does without one.
/// Somebody who has enrolled one is asked for it in any case; a web ticket, which cannot be asked,
/// opens nothing for them unless a rule for web tickets alone says that none is required.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondFactor {
    /// The rules, in order.
    pub rules: Vec<SecondFactorRule>,
}

/// `[[second_factor.rule]]`: it matches where everything that it names does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactorRule {
    /// A role of the person.
    pub role: Option<Role>,
    /// The source that they signed in with: its name, `local` for the gateway's own passwords, or
    /// [`WEB_TICKET_SOURCE`].
    pub source: Option<String>,
    /// Where they come from.
    pub address: Option<Networks>,
    /// Whether they need a second factor.
    pub required: bool,
}

impl SecondFactor {
    pub(super) fn read(mut section: Section<'_>, sources: &[SignInSource]) -> Self {
        let rules = section.list_sections("rule").unwrap_or_default();
        let rules = rules
            .into_iter()
            .filter_map(|rule| SecondFactorRule::read(rule, sources))
            .collect();
        section.finish();
        Self { rules }
    }

    /// Whether somebody with these roles, who signs in with this source from this address, needs a
    /// second factor.
    #[must_use]
    pub fn is_required(&self, roles: &[Role], source: &str, address: IpAddr) -> bool {
        self.deciding_rule(roles, source, address)
            .is_some_and(|rule| rule.required)
    }

    /// The rule that decides about them, where one does.
    #[must_use]
    pub fn deciding_rule(
        &self,
        roles: &[Role],
        source: &str,
        address: IpAddr,
    ) -> Option<&SecondFactorRule> {
        self.rules
            .iter()
            .find(|rule| rule.matches(roles, source, address))
    }
}

impl SecondFactorRule {
    fn read(mut section: Section<'_>, sources: &[SignInSource]) -> Option<Self> {
        section.demand("required");
        let roles = Role::ALL.map(|role| (role.word(), role));
        let role = section.parsed("role", one_of(&roles));
        let source = section.text("source");
        let used = |name: &String| sources.iter().find(|used| used.name == *name);
        let source = source.map(|name| match used(&name) {
            // Whatever the local source is called, its sessions are of this one.
            Some(used) if used.kind == SourceKind::Local => SourceKind::Local.word().to_owned(),
            Some(_) => name,
            None => {
                if name != WEB_TICKET_SOURCE {
                    let why = format!("no [[sign_in.source]] is named {name:?}");
                    section.mistake("source", why);
                }
                name
            }
        });
        let has_address = section.has("address");
        let address = section.networks("address");
        let required = section.flag("required");
        section.finish();
        Some(Self {
            role,
            source,
            address: has_address.then_some(address),
            required: required?,
        })
    }

    fn matches(&self, roles: &[Role], source: &str, address: IpAddr) -> bool {
        let role = self.role.is_none_or(|role| roles.contains(&role));
        let from = self.source.as_deref().is_none_or(|wanted| wanted == source);
        let there = self
            .address
            .as_ref()
            .is_none_or(|there| there.contains(address));
        role && from && there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(role: Option<Role>, source: Option<&str>, address: Option<&str>) -> SecondFactorRule {
        SecondFactorRule {
            role,
            source: source.map(str::to_owned),
            address: address.map(|text| Networks(vec![text.parse().unwrap()])),
            required: true,
        }
    }

    fn is_asked(table: &[SecondFactorRule], roles: &[Role], source: &str, address: &str) -> bool {
        let needs = SecondFactor {
            rules: table.to_vec(),
        };
        needs.is_required(roles, source, address.parse().unwrap())
    }

    #[test]
    fn nobody_needs_one_without_a_rule() {
        assert!(!is_asked(&[], &[Role::Administrator], "local", "192.0.2.1"));
    }

    #[test]
    fn a_rule_matches_where_all_that_it_names_does() {
        let admins = rule(Some(Role::Administrator), None, None);
        let outside = rule(None, Some("local"), Some("192.0.2.0/24"));
        let rules = [admins, outside];
        for (roles, source, address, expected) in [
            (&[Role::Administrator][..], "corp", "10.0.0.1", true),
            (&[Role::Operator], "corp", "192.0.2.1", false),
            (&[], "local", "192.0.2.1", true),
            (&[], "local", "192.0.3.1", false),
            (&[], "corp", "192.0.2.1", false),
        ] {
            let found = is_asked(&rules, roles, source, address);
            assert_eq!(found, expected, "{roles:?} {source} {address}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let inside = SecondFactorRule {
            required: false,
            ..rule(None, None, Some("10.0.0.0/8"))
        };
        let rules = [inside, rule(None, None, None)];
        assert!(!is_asked(&rules, &[], "local", "10.1.2.3"));
        assert!(is_asked(&rules, &[], "local", "192.0.2.1"));
    }
}
