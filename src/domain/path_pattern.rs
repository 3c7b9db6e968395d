//! Patterns of document paths: which documents a rule of the configuration names.

use globset::{Glob, GlobBuilder};

use super::document::fold;

/// A pattern over paths below the documents folder, with `/` or `\` between folders; `*` and `?`
/// stay within a folder, `**` does not. Case does not matter. Without wildcards it names a document,
/// or a folder and all below it. `?` and `[..]` stand for one ASCII character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    globs: Vec<Glob>,
}

/// Why a text is no pattern, as what was expected in its place. A pattern that could match nothing
/// is none: it would leave documents open that it was meant to close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPathPattern {
    /// It leads out of the folder, or nowhere.
    #[error(
        "expected a path pattern below the documents folder such as \"Finance/**\", without empty, . \
         or .. parts"
    )]
    Path,
    /// Classes are compared byte by byte, so a longer letter would never match.
    #[error("expected ASCII letters alone within [..]; write {{a,b}} for others")]
    Class,
    /// The pattern engine does not understand it.
    #[error("expected a path pattern such as \"Finance/**\" ({0})")]
    Glob(String),
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// It is no pattern, or could match nothing.
    pub fn parse(text: &str) -> Result<Self, BadPathPattern> {
        let text = text.trim().replace('\\', "/");
        let path = text.strip_suffix('/').unwrap_or(&text);
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(BadPathPattern::Path);
        }
        if classes_hold_other_than_ascii(path) {
            return Err(BadPathPattern::Class);
        }
        let globs: Result<Vec<Glob>, BadPathPattern> =
            spellings(&text).iter().map(|text| glob(text)).collect();
        Ok(Self {
            globs: globs?,
            text,
        })
    }

    /// The pattern with `/` between folders.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it matches, over folded paths: one glob, or two where it may name a document or a
    /// folder.
    #[must_use]
    pub fn globs(&self) -> &[Glob] {
        &self.globs
    }
}

fn spellings(pattern: &str) -> Vec<String> {
    let folded = fold(pattern.strip_suffix('/').unwrap_or(pattern));
    let below = format!("{folded}/**");
    if !folded.contains(['*', '?', '[', '{']) {
        vec![folded, below]
    } else if pattern.ends_with('/') {
        vec![below]
    } else {
        vec![folded]
    }
}

fn glob(text: &str) -> Result<Glob, BadPathPattern> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(|error| BadPathPattern::Glob(error.kind().to_string()))
}

fn classes_hold_other_than_ascii(pattern: &str) -> bool {
    pattern
        .split('[')
        .skip(1)
        .any(|class| !class.split(']').next().unwrap_or_default().is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_could_match_nothing_says_what_was_expected() {
        for pattern in [
            "",
            " ",
            "/",
            "/Finance/**",
            "Finance//x",
            "../**",
            "a/./b",
            "\\\\host\\x",
        ] {
            assert_eq!(
                PathPattern::parse(pattern),
                Err(BadPathPattern::Path),
                "{pattern}"
            );
        }
        assert_eq!(PathPattern::parse("[äö].qvw"), Err(BadPathPattern::Class));
        for pattern in ["[", "{a"] {
            let error = PathPattern::parse(pattern).unwrap_err();
            assert!(
                matches!(error, BadPathPattern::Glob(_)),
                "{pattern}: {error}"
            );
        }
    }

    #[test]
    fn both_slashes_part_folders() {
        let (one, other) = (
            PathPattern::parse("Finance\\**"),
            PathPattern::parse(" Finance/** "),
        );
        assert_eq!(one, other);
        assert_eq!(one.unwrap().text(), "Finance/**");
    }
}
