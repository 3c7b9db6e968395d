//! Reads how the claims of a sign-in source become a person; the types are
//! [`crate::domain::mapping`]'s.

use super::section::{Section, one_of};
use crate::domain::mapping::{ClaimPath, ClaimTest, Condition, Mapping, MappingRule};
use crate::domain::person::{AutomaticCal, Role};

/// Reads the shared keys of a source, which has read where its groups are; the caller reads its
/// own keys and finishes.
pub(super) fn read_mapping(
    section: &mut Section<'_>,
    groups: Option<ClaimPath>,
) -> Option<Mapping> {
    section.demand("user_name");
    let user_name = section.parsed("user_name", str::parse);
    let display_name = section.parsed("display_name", str::parse);
    let names = section.parsed("names", str::parse);
    let rules = section.list_sections("rule").unwrap_or_default();
    let rules = rules.into_iter().filter_map(read_rule).collect();
    Some(Mapping {
        user_name: user_name?,
        display_name,
        groups,
        names: names.or_else(|| ".*".parse().ok())?,
        rules,
    })
}

fn read_rule(mut section: Section<'_>) -> Option<MappingRule> {
    let condition = section.optional_section("when");
    let is_conditional = condition.is_some();
    let when = condition.and_then(read_condition);
    let deny = section.flag("deny");
    let roles = section.list("roles", one_of(&Role::ALL.map(|role| (role.word(), role))));
    let groups = section.texts("groups");
    let policies = [
        AutomaticCal::Dynamic,
        AutomaticCal::Assign,
        AutomaticCal::Never,
    ];
    let policies = policies.map(|policy| (policy.word(), policy));
    let named_cal = section.parsed("named_cal", one_of(&policies));
    section.finish();
    if is_conditional && when.is_none() {
        return None;
    }
    Some(MappingRule {
        when,
        deny: deny.unwrap_or(false),
        roles: roles.unwrap_or_default(),
        groups: groups.unwrap_or_default(),
        named_cal: named_cal.unwrap_or_default(),
    })
}

fn read_condition(mut section: Section<'_>) -> Option<Condition> {
    section.demand("claim");
    let claim = section.parsed("claim", str::parse);
    let has = section.text("has").map(ClaimTest::Has);
    let equals = section.scalar("equals").map(ClaimTest::Equals);
    let matches = section
        .parsed("matches", str::parse)
        .map(ClaimTest::Matches);
    let exists = section.flag("exists");
    if exists == Some(false) {
        section.mistake("exists", "expected true; there is no test for absence");
    }
    let keys = ["has", "equals", "matches", "exists"];
    if keys.iter().filter(|key| section.is_set(key)).count() != 1 {
        section.mistake_here("expected exactly one of has, equals, matches, exists = true");
    }
    section.finish();
    let test = has.or(equals).or(matches);
    let exists = exists.map(|_| ClaimTest::Exists);
    Some(Condition {
        claim: claim?,
        test: test.or(exists)?,
    })
}
