//! Who may see which document: allow rules by path, for users and groups.

use std::collections::HashSet;

use globset::{GlobSet, GlobSetBuilder};

use super::Document;
use crate::domain::document::fold;
use crate::domain::path_pattern::PathPattern;

/// One rule of the configuration: the documents that it names, and who may see them.
///
/// A rule that lists nobody hides its documents from everybody whom no other rule lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which documents.
    pub pattern: PathPattern,
    /// User names, folded.
    pub users: Vec<String>,
    /// Group names; they compare exactly, with case.
    pub groups: Vec<String>,
}

/// The rules are too much for the pattern engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the paths of the rules cannot be matched together: {0}")]
pub struct RuleError(String);

/// All rules, ready to be matched.
#[derive(Debug, Default)]
pub struct Rules {
    patterns: GlobSet,
    /// The rule that each of `patterns` belongs to; a rule may need two.
    rule_of_pattern: Vec<usize>,
    readers: Vec<Readers>,
}

#[derive(Debug)]
struct Readers {
    users: HashSet<String>,
    groups: HashSet<String>,
}

impl Rules {
    /// Compiles the rules.
    ///
    /// # Errors
    ///
    /// They are too large together.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let mut patterns = GlobSetBuilder::new();
        let mut rule_of_pattern = Vec::new();
        let mut readers = Vec::new();
        for rule in rules {
            for glob in rule.pattern.globs() {
                patterns.add(glob.clone());
                rule_of_pattern.push(readers.len());
            }
            readers.push(Readers {
                users: rule.users.into_iter().collect(),
                groups: rule.groups.into_iter().collect(),
            });
        }
        let patterns = patterns
            .build()
            .map_err(|error| RuleError(error.kind().to_string()))?;
        Ok(Self {
            patterns,
            rule_of_pattern,
            readers,
        })
    }

    /// Whether a person may see a document: no rule names it, or one that names it lists the person
    /// or a group of theirs (R8).
    ///
    /// `folded_user` is the user name as it is stored, folded. The document must come from a library
    /// with these rules.
    #[must_use]
    pub fn visible(&self, document: &Document, folded_user: &str, groups: &[String]) -> bool {
        let lists = |rule: &usize| self.readers[*rule].list(folded_user, groups);
        document.named_by.is_empty() || document.named_by.iter().any(lists)
    }

    /// For each rule, whether it lists the person: worked out once for a whole list of documents.
    pub(super) fn listing(&self, folded_user: &str, groups: &[String]) -> Vec<bool> {
        let lists = |readers: &Readers| readers.list(folded_user, groups);
        self.readers.iter().map(lists).collect()
    }

    /// The rules that name a document, by their place.
    pub(super) fn naming(&self, name: &str) -> Vec<usize> {
        let matched = self.patterns.matches(fold(name));
        let mut rules: Vec<usize> = matched
            .into_iter()
            .map(|pattern| self.rule_of_pattern[pattern])
            .collect();
        rules.dedup();
        rules
    }
}

impl Readers {
    fn list(&self, folded_user: &str, groups: &[String]) -> bool {
        self.users.contains(folded_user) || groups.iter().any(|group| self.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(patterns: &[&str]) -> Rules {
        let rule = |pattern: &&str| Rule {
            pattern: PathPattern::parse(pattern).unwrap(),
            users: Vec::new(),
            groups: Vec::new(),
        };
        Rules::new(patterns.iter().map(rule)).unwrap()
    }

    #[test]
    fn patterns_name_documents() {
        for (pattern, name, names) in [
            ("Finance/**", "Finance/Budget.qvw", true),
            ("Finance/**", "Finance/2024/Budget.qvw", true),
            ("Finance/**", "Finances/Budget.qvw", false),
            ("Finance/**", "Finance.qvw", false),
            ("finance/**", "FINANCE/Budget.QVW", true),
            ("Finance/*", "Finance/Budget.qvw", true),
            ("Finance/*", "Finance/2024/Budget.qvw", false),
            ("*", "Budget.qvw", true),
            ("*", "Finance/Budget.qvw", false),
            ("**", "Finance/2024/Budget.qvw", true),
            ("**/*.qvw", "Budget.qvw", true),
            ("**/Budget.qvw", "Finance/2024/Budget.qvw", true),
            ("Finance/Budget.qvw", "Finance/Budget.qvw", true),
            ("Finance/Budget.qvw", "Old/Finance/Budget.qvw", false),
            ("Finance", "Finance/2024/Budget.qvw", true),
            ("Finance/", "Finance/Budget.qvw", true),
            ("F*/", "Finance/2024/Budget.qvw", true),
            ("F*/", "Finance.qvw", false),
            ("Finance", "Finance 2/Budget.qvw", false),
            ("Q?.qvw", "Q1.qvw", true),
            ("Q?.qvw", "Q10.qvw", false),
            ("{Sales,Finance}/**", "Sales/Budget.qvw", true),
            ("Q[1-3].qvw", "q2.qvw", true),
            ("Übersicht/**", "üBERSICHT/Plan.qvw", true),
            ("U\u{308}bersicht/**", "Übersicht/Plan.qvw", true),
            ("Übersicht/**", "U\u{308}bersicht/Plan.qvw", true),
        ] {
            let named = !rules(&[pattern]).naming(name).is_empty();
            assert_eq!(named, names, "{pattern} {name}");
        }
    }

    #[test]
    fn several_rules_may_name_a_document_and_each_is_given_once() {
        let rules = rules(&["Sales", "Finance/**", "**/*.qvw", "Finance"]);
        assert_eq!(rules.naming("Finance/Budget.qvw"), [1, 2, 3]);
        assert_eq!(rules.naming("Other/Budget.qvw"), [2]);
        assert_eq!(rules.naming("Sales"), [0]);
    }
}
