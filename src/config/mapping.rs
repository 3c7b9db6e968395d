//! How the claims of a sign-in source become a user: templates, conditions and rules.

use std::str::FromStr;

use regex::Regex;

use super::section::{Section, one_of};

/// The roles that a rule may give.
const ROLES: [&str; 3] = ["administrator", "operator", "auditor"];

/// What oidc, ldap and webhook sources share.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The user name.
    pub user_name: Template,
    /// What pages call the person; the user name where it is absent.
    pub display_name: Option<Template>,
    /// The user names that this source may give.
    pub names: WholeRegex,
    /// The first that matches decides; where none does, the sign-in is refused.
    pub rules: Vec<MappingRule>,
}

impl Mapping {
    /// Reads the shared keys of a source; the caller reads its own and finishes.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        section.demand("user_name");
        let user_name = section.parsed("user_name", str::parse);
        let display_name = section.parsed("display_name", str::parse);
        let names = section.parsed("names", str::parse);
        let rules = section.list_sections("rule").unwrap_or_default();
        let rules = rules.into_iter().filter_map(MappingRule::read).collect();
        Some(Self {
            user_name: user_name?,
            display_name,
            names: names.map_or_else(WholeRegex::any, Some)?,
            rules,
        })
    }
}

/// One rule of a mapping.
#[derive(Clone, Debug)]
pub struct MappingRule {
    /// When it matches; always where it is absent.
    pub when: Option<Condition>,
    /// Whether whom it matches is refused.
    pub deny: bool,
    /// Roles of whom it matches: `administrator`, `operator`, `auditor`.
    pub roles: Vec<String>,
    /// Groups that are added to those of the claims.
    pub groups: Vec<String>,
    /// How whom it matches comes by a named CAL.
    pub named_cal: NamedCalMode,
}

/// How a person comes by a named CAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedCalMode {
    /// By an open, as R9 is set.
    Dynamic,
    /// At sign-in, whatever the switch says.
    Assign,
    /// By an administrator alone.
    Never,
}

impl MappingRule {
    fn read(mut section: Section<'_>) -> Option<Self> {
        let modes = [
            ("dynamic", NamedCalMode::Dynamic),
            ("assign", NamedCalMode::Assign),
            ("never", NamedCalMode::Never),
        ];
        let condition = section.optional_section("when");
        let is_conditional = condition.is_some();
        let when = condition.and_then(Condition::read);
        let deny = section.flag("deny");
        let roles = section.list("roles", one_of(&ROLES.map(|role| (role, role.to_owned()))));
        let groups = section.texts("groups");
        let named_cal = section.parsed("named_cal", one_of(&modes));
        section.finish();
        if is_conditional && when.is_none() {
            return None;
        }
        Some(Self {
            when,
            deny: deny.unwrap_or(false),
            roles: roles.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
            named_cal: named_cal.unwrap_or(NamedCalMode::Dynamic),
        })
    }
}

/// When a rule matches.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The claim that is looked at.
    pub claim: ClaimPath,
    /// What it must be.
    pub test: ClaimTest,
}

/// What a claim must be.
#[derive(Clone, Debug)]
pub enum ClaimTest {
    /// The array holds exactly this; text counts as an array of one.
    Has(String),
    /// It is exactly this text, number or flag.
    Equals(serde_json::Value),
    /// It is text that matches as a whole.
    Matches(WholeRegex),
    /// It is there.
    Exists,
}

impl Condition {
    fn read(mut section: Section<'_>) -> Option<Self> {
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
        Some(Self {
            claim: claim?,
            test: test.or(exists)?,
        })
    }
}

/// A path into the claims: `a.b` is the member `b` of the object `a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(pub Vec<String>);

impl FromStr for ClaimPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_name = |part: &String| !part.is_empty() && !part.contains(['{', '}', ' ']);
        if parts.iter().all(is_name) {
            Ok(Self(parts))
        } else {
            Err("expected the name of a claim such as \"groups\" or \"a.b\"")
        }
    }
}

/// A text with claims in it, such as `{given_name} {family_name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text that stands as it is.
    Text(String),
    /// The value of a claim.
    Claim(ClaimPath),
}

impl FromStr for Template {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected a text with claims in braces such as \"{preferred_username}\"";
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (claim, behind) = after.split_once('}').ok_or(expected)?;
            parts.push(TemplatePart::Text(before.to_owned()));
            parts.push(TemplatePart::Claim(claim.parse().map_err(|_| expected)?));
            rest = behind;
        }
        parts.push(TemplatePart::Text(rest.to_owned()));
        let is_filled = |part: &TemplatePart| *part != TemplatePart::Text(String::new());
        parts.retain(is_filled);
        let stray =
            |part: &TemplatePart| matches!(part, TemplatePart::Text(text) if text.contains('}'));
        let names_a_claim = parts
            .iter()
            .any(|part| matches!(part, TemplatePart::Claim(_)));
        if names_a_claim && !parts.iter().any(stray) {
            Ok(Self(parts))
        } else {
            Err(expected)
        }
    }
}

/// A regular expression that must match the whole value, in linear time.
#[derive(Clone, Debug)]
pub struct WholeRegex(Regex);

impl WholeRegex {
    /// Whether the whole text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Matches every name.
    fn any() -> Option<Self> {
        ".*".parse().ok()
    }
}

impl FromStr for WholeRegex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let compile = |pattern: &str| {
            Regex::new(pattern).map_err(|error| {
                let lines = error.to_string();
                let reason = lines.lines().last().unwrap_or_default().trim().to_owned();
                format!("expected a regular expression ({reason})")
            })
        };
        // Alone first: "a)|(b" would become valid by the group around it.
        compile(text)?;
        compile(&format!(r"\A(?:{text})\z")).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_matches_the_whole_value() {
        let regex: WholeRegex = "a|ab".parse().unwrap();
        assert!(regex.matches("a") && regex.matches("ab"));
        for text in ["abc", "xa", "a\n", "", "A"] {
            assert!(!regex.matches(text), "{text:?}");
        }
        assert!(WholeRegex::any().unwrap().matches("any name"));
    }

    #[test]
    fn a_bad_regular_expression_is_refused_with_its_reason() {
        for text in ["(", "a)|(b", "[z-a]", r"(?=x)", r"(a)\1", "*"] {
            let error = text.parse::<WholeRegex>().unwrap_err();
            assert!(
                error.starts_with("expected a regular expression ("),
                "{error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_template_is_taken_apart() {
        let template: Template = "{given}.{name.family}@x".parse().unwrap();
        let claim = |parts: &[&str]| {
            TemplatePart::Claim(ClaimPath(
                parts.iter().map(|&part| part.to_owned()).collect(),
            ))
        };
        let text = |text: &str| TemplatePart::Text(text.to_owned());
        assert_eq!(
            template.0,
            [
                claim(&["given"]),
                text("."),
                claim(&["name", "family"]),
                text("@x"),
            ]
        );
        for text in [
            "", "fixed", "{", "{}", "{a", "a}", "{a}}", "{a..b}", "{{a}}", "{.a}",
        ] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }
}
