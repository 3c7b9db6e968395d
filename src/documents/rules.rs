//! Who may see which document: allow rules by path, for users and groups.

use std::collections::HashSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{Document, fold};

/// One rule of the configuration: the documents that it names, and who may see them.
///
/// A rule that lists nobody hides its documents from everybody whom no other rule lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Path below the root, with `/`; `*` and `?` stay within a folder, `**` does not. Case does not
    /// matter. Without wildcards it names a document, or a folder and all below it. `?` and `[..]`
    /// stand for one ASCII character.
    pub pattern: String,
    /// User names, folded.
    pub users: Vec<String>,
    /// Group names; they compare exactly, with case.
    pub groups: Vec<String>,
}

/// A rule that cannot be understood; it could leave documents open that it was meant to close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document rule path {pattern:?} {reason}")]
pub struct RuleError {
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it, as the rest of a sentence.
    pub reason: String,
}

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
    /// The first rule whose pattern is no pattern or could match nothing.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let mut patterns = GlobSetBuilder::new();
        let mut rule_of_pattern = Vec::new();
        let mut readers = Vec::new();
        for rule in rules {
            for glob in globs(&rule.pattern)? {
                patterns.add(glob);
                rule_of_pattern.push(readers.len());
            }
            readers.push(Readers {
                users: rule.users.into_iter().collect(),
                groups: rule.groups.into_iter().collect(),
            });
        }
        let patterns = patterns
            .build()
            .map_err(|error| wrong(error.glob().unwrap_or_default(), &error.kind().to_string()))?;
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

/// The pattern as globs over folded names: one, or two where it may name a document or a folder.
fn globs(pattern: &str) -> Result<Vec<globset::Glob>, RuleError> {
    check(pattern)?;
    let folded = fold(pattern.strip_suffix('/').unwrap_or(pattern));
    let mut spellings = vec![folded.clone()];
    if !folded.contains(['*', '?', '[', '{']) {
        spellings.push(format!("{folded}/**"));
    } else if pattern.ends_with('/') {
        spellings = vec![format!("{folded}/**")];
    }
    spellings
        .iter()
        .map(|spelling| {
            GlobBuilder::new(spelling)
                .literal_separator(true)
                .build()
                .map_err(|error| wrong(pattern, &error.kind().to_string()))
        })
        .collect()
}

/// Refuses what would compile and match nothing.
fn check(pattern: &str) -> Result<(), RuleError> {
    if pattern.contains('\\') {
        return Err(wrong(pattern, "holds a backslash; folders are parted by /"));
    }
    let path = pattern.strip_suffix('/').unwrap_or(pattern);
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(wrong(
            pattern,
            "must be a path below the documents folder, without empty, . or .. parts",
        ));
    }
    if classes_hold_other_than_ascii(pattern) {
        return Err(wrong(
            pattern,
            "holds a letter other than ASCII within [..]; write {a,b} instead",
        ));
    }
    Ok(())
}

/// The pattern engine compares classes byte by byte, so a longer letter would never match.
fn classes_hold_other_than_ascii(pattern: &str) -> bool {
    pattern
        .split('[')
        .skip(1)
        .any(|class| !class.split(']').next().unwrap_or_default().is_ascii())
}

fn wrong(pattern: &str, reason: &str) -> RuleError {
    RuleError {
        pattern: pattern.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(patterns: &[&str]) -> Rules {
        let rule = |pattern: &&str| Rule {
            pattern: (*pattern).to_owned(),
            ..Rule::default()
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
    fn a_pattern_that_could_match_nothing_is_refused_by_name() {
        for pattern in [
            "",
            "/",
            "/Finance/**",
            "Finance//x",
            "../**",
            "a/./b",
            "Finance\\**",
            "[",
            "{a",
            "[äö].qvw",
        ] {
            let rule = Rule {
                pattern: pattern.to_owned(),
                ..Rule::default()
            };
            let error = Rules::new([rule]).unwrap_err();
            assert_eq!(error.pattern, pattern);
            assert!(error.to_string().contains(&format!("{pattern:?}")));
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
