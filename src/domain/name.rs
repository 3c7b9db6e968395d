//! User names: what a person is called in CALs, tickets and audit, whatever the spelling.
//!
//! Two spellings of one name must never be two people, and two people must never look like one.
//! So a name is brought to one form (NFC, lower case) before it is compared, and characters that
//! cannot be seen are refused instead of dropped.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

/// The most characters of a user name, as typed and as folded.
pub const NAME_CHARACTERS_MAX: usize = 128;

/// A user name: 1 to 128 characters, no controls, no `/`, nothing invisible, no white space at its
/// ends. Compared, ordered, shown and stored by its folded form.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct UserName {
    typed: String,
    folded: String,
}

/// Why a text is no user name. Characters are named by their number, so that no sentence carries
/// them into a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUserName {
    /// Nothing is left when the prefix is taken off.
    #[error("the user name is empty")]
    Empty,
    /// More than [`NAME_CHARACTERS_MAX`] characters.
    #[error("the user name has {characters} characters; it may have at most 128")]
    TooLong {
        /// How many it has.
        characters: usize,
    },
    /// White space before or after the name.
    #[error("the user name begins or ends with white space")]
    WhiteSpaceAround,
    /// A control character.
    #[error("the user name holds the control character U+{code:04X}")]
    Control {
        /// Its number.
        code: u32,
    },
    /// A `/`.
    #[error("the user name holds a '/'")]
    Slash,
    /// A character that shows nothing, turns the writing direction, or looks like a plain space.
    #[error("the user name holds U+{code:04X}, which cannot be seen or looks like a space")]
    Invisible {
        /// Its number.
        code: u32,
    },
}

impl UserName {
    /// Reads a name that comes in, and takes off the configured prefix (`CUSTOM\`), whatever its
    /// case and however often it stands there, so that reading a name again changes nothing.
    ///
    /// # Errors
    ///
    /// The first rule that the name breaks.
    pub fn parse(text: &str, prefix: &str) -> Result<Self, BadUserName> {
        let composed: String = text.nfc().collect();
        let typed = strip_prefixes(&composed, &fold(prefix));
        check_characters(typed)?;
        let folded = fold(typed);
        check_length(typed)?;
        check_length(&folded)?;
        Ok(Self {
            typed: typed.to_owned(),
            folded,
        })
    }

    /// The name as it is stored and compared: NFC, lower case.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The name as it was typed, in NFC and without the prefix.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.typed
    }
}

/// A user name as it goes out to `QlikView`, with the configured prefix (`CUSTOM\`) in front. The
/// other way is [`UserName::parse`].
#[must_use]
pub fn with_prefix(name: &str, prefix: &str) -> String {
    format!("{prefix}{name}")
}

/// A name that was stored or sent by ourselves, without a prefix.
impl TryFrom<String> for UserName {
    type Error = BadUserName;

    fn try_from(text: String) -> Result<Self, BadUserName> {
        Self::parse(&text, "")
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folded)
    }
}

impl Serialize for UserName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.folded)
    }
}

impl PartialEq for UserName {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for UserName {}

impl Hash for UserName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl PartialOrd for UserName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UserName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded.cmp(&other.folded)
    }
}

/// One form for all spellings: NFC, then lower case letter by letter, then NFC again.
///
/// The two small sigmas are one letter; which of them is written depends on what follows.
fn fold(text: &str) -> String {
    text.nfc()
        .flat_map(char::to_lowercase)
        .map(|letter| if letter == 'ς' { 'σ' } else { letter })
        .nfc()
        .collect()
}

fn strip_prefixes<'a>(text: &'a str, folded_prefix: &str) -> &'a str {
    let mut rest = text;
    while let Some(shorter) = strip_prefix(rest, folded_prefix) {
        rest = shorter;
    }
    rest
}

/// Walks over `text` until what was passed folds to the prefix, or no longer can.
fn strip_prefix<'a>(text: &'a str, folded_prefix: &str) -> Option<&'a str> {
    if folded_prefix.is_empty() {
        return None;
    }
    text.char_indices()
        .map(|(at, letter)| at + letter.len_utf8())
        .take(folded_prefix.chars().count())
        .find(|&end| fold(&text[..end]) == folded_prefix)
        .map(|end| &text[end..])
}

fn check_characters(name: &str) -> Result<(), BadUserName> {
    let first_bad = name.chars().find_map(bad_character);
    if name.is_empty() {
        return Err(BadUserName::Empty);
    }
    if let Some(bad) = first_bad {
        return Err(bad);
    }
    if name.trim() != name {
        return Err(BadUserName::WhiteSpaceAround);
    }
    Ok(())
}

fn check_length(name: &str) -> Result<(), BadUserName> {
    let characters = name.chars().count();
    if characters > NAME_CHARACTERS_MAX {
        return Err(BadUserName::TooLong { characters });
    }
    Ok(())
}

fn bad_character(character: char) -> Option<BadUserName> {
    let code = u32::from(character);
    if character.is_control() {
        Some(BadUserName::Control { code })
    } else if character == '/' {
        Some(BadUserName::Slash)
    } else if is_invisible(character) {
        Some(BadUserName::Invisible { code })
    } else {
        None
    }
}

/// White space other than the plain space, and the characters that Unicode lets a display ignore
/// (zero widths, direction marks, joiners, fillers, variation selectors, tags).
pub(crate) fn is_invisible(character: char) -> bool {
    (character.is_whitespace() && character != ' ')
        || matches!(character,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "CUSTOM\\";

    fn folded(text: &str) -> Result<String, BadUserName> {
        UserName::parse(text, PREFIX).map(|name| name.folded().to_owned())
    }

    #[test]
    fn what_goes_out_comes_in_again() {
        for name in ["alice", "o'neil & sons", "domain\\bob", "müller"] {
            for prefix in [PREFIX, "", "Ext-"] {
                let outside = with_prefix(name, prefix);
                for spelling in [outside.clone(), outside.to_uppercase()] {
                    let back = UserName::parse(&spelling, prefix).unwrap();
                    assert_eq!(back.folded(), name, "{spelling}");
                }
            }
        }
    }

    #[test]
    fn spellings_of_one_name_are_one_name() {
        for (text, expected) in [
            ("alice", "alice"),
            ("ALICE", "alice"),
            ("CUSTOM\\alice", "alice"),
            ("custom\\Alice", "alice"),
            ("Custom\\cUSTOM\\alice", "alice"),
            ("DOM\\alice", "dom\\alice"),
            ("alice@dom", "alice@dom"),
            ("Mr & Mrs Smith", "mr & mrs smith"),
            ("a  b", "a  b"),
            ("J\u{F6}rg", "j\u{F6}rg"),
            ("Jo\u{308}rg", "j\u{F6}rg"),
            ("JO\u{308}RG", "j\u{F6}rg"),
            ("\u{212A}im", "kim"),
            ("\u{212B}sa", "\u{E5}sa"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("οδυσσευς", "οδυσσευσ"),
            ("\u{130}z", "i\u{307}z"),
            ("😀", "😀"),
            ("CUSTOMalice", "customalice"),
            ("\"};{\"a\":1", "\"};{\"a\":1"),
        ] {
            assert_eq!(folded(text), Ok(expected.to_owned()), "{text:?}");
            assert_eq!(
                folded(expected),
                Ok(expected.to_owned()),
                "folding again: {text:?}"
            );
        }
    }

    #[test]
    fn names_that_only_look_alike_stay_two() {
        for (one, other) in [
            ("alice", "\u{430}lice"),
            ("alice", "ａｌｉｃｅ"),
            ("DOM\\alice", "alice@dom"),
            ("a b", "a  b"),
            ("jorg", "jörg"),
        ] {
            assert_ne!(folded(one).unwrap(), folded(other).unwrap());
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (text, expected) in [
            ("", BadUserName::Empty),
            ("CUSTOM\\", BadUserName::Empty),
            (" alice", BadUserName::WhiteSpaceAround),
            ("alice ", BadUserName::WhiteSpaceAround),
            ("   ", BadUserName::WhiteSpaceAround),
            ("CUSTOM\\ alice", BadUserName::WhiteSpaceAround),
            ("a/b", BadUserName::Slash),
            ("al\0ice", BadUserName::Control { code: 0 }),
            ("alice\r\nroot", BadUserName::Control { code: 13 }),
            ("\u{1B}[31malice", BadUserName::Control { code: 0x1B }),
            ("a\tb", BadUserName::Control { code: 9 }),
            ("a\u{7F}b", BadUserName::Control { code: 0x7F }),
            ("a\u{85}b", BadUserName::Control { code: 0x85 }),
            ("a\u{A0}b", BadUserName::Invisible { code: 0xA0 }),
            ("a\u{3000}b", BadUserName::Invisible { code: 0x3000 }),
            ("a\u{2028}b", BadUserName::Invisible { code: 0x2028 }),
            ("al\u{200B}ice", BadUserName::Invisible { code: 0x200B }),
            ("al\u{200D}ice", BadUserName::Invisible { code: 0x200D }),
            ("\u{FEFF}alice", BadUserName::Invisible { code: 0xFEFF }),
            ("a\u{202E}ecil", BadUserName::Invisible { code: 0x202E }),
            ("a\u{2066}b", BadUserName::Invisible { code: 0x2066 }),
            ("a\u{AD}b", BadUserName::Invisible { code: 0xAD }),
            ("a\u{FE0F}", BadUserName::Invisible { code: 0xFE0F }),
            ("a\u{E0061}", BadUserName::Invisible { code: 0xE_0061 }),
        ] {
            assert_eq!(folded(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_128_characters_in_both_forms() {
        assert_eq!(folded(&"ö".repeat(128)), Ok("ö".repeat(128)));
        assert_eq!(folded(&"o\u{308}".repeat(128)), Ok("ö".repeat(128)));
        assert_eq!(
            folded(&"a".repeat(129)),
            Err(BadUserName::TooLong { characters: 129 })
        );
        // This letter becomes two in lower case, and what is stored must be readable again.
        assert_eq!(
            folded(&"\u{130}".repeat(65)),
            Err(BadUserName::TooLong { characters: 130 })
        );
    }

    #[test]
    fn the_prefix_may_be_any_text_or_none() {
        let parse = |text, prefix| UserName::parse(text, prefix).unwrap().folded().to_owned();
        assert_eq!(parse("MU\u{308}NCHEN\\Eva", "München\\"), "eva");
        assert_eq!(parse("CUSTOM\\Eva", ""), "custom\\eva");
        assert_eq!(parse("é", "CUSTOM\\"), "é");
    }

    #[test]
    fn a_name_keeps_what_was_typed_and_is_compared_without_it() {
        let name = UserName::parse("CUSTOM\\Alice", PREFIX).unwrap();
        assert_eq!(name.as_typed(), "Alice");
        assert_eq!(name, UserName::parse("aLICE", PREFIX).unwrap());
        assert_eq!(name.to_string(), "alice");
    }

    #[test]
    fn a_name_travels_as_its_folded_text() {
        let name = UserName::parse("Alice", PREFIX).unwrap();
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(json, "\"alice\"");
        assert_eq!(serde_json::from_str::<UserName>(&json).unwrap(), name);
        assert!(serde_json::from_str::<UserName>("\"a/b\"").is_err());
    }

    #[test]
    fn the_sentence_names_the_character_by_its_number() {
        let error = folded("a\u{200B}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the user name holds U+200B, which cannot be seen or looks like a space"
        );
    }
}
