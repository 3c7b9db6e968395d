//! Which new passwords are taken: 8 to 128 characters, not a common one, no other rule.
//!
//! Only a new password is judged. Signing in never looks at these rules, so a change of them locks
//! nobody out.

/// The fewest characters of a new password.
pub const PASSWORD_CHARACTERS_MIN: usize = 8;
/// The most characters of a new password.
pub const PASSWORD_CHARACTERS_MAX: usize = 128;

/// Sorted, lower case, one a line after the first empty line; the lines before tell its origin.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why a new password is not taken. The sentences never repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Fewer than [`PASSWORD_CHARACTERS_MIN`] characters.
    #[error("the password has {characters} characters; it needs at least 8")]
    TooShort {
        /// How many it has.
        characters: usize,
    },
    /// More than [`PASSWORD_CHARACTERS_MAX`] characters.
    #[error("the password has {characters} characters; it may have at most 128")]
    TooLong {
        /// How many it has.
        characters: usize,
    },
    /// It stands, in whatever case, in the list of common passwords.
    #[error("the password is a common one that attackers try first; choose another")]
    Common,
}

/// Judges a new password exactly as it was typed.
///
/// # Errors
///
/// The first rule that it breaks: length, then the list.
pub fn check_password(password: &str) -> Result<(), BadPassword> {
    let characters = password.chars().count();
    if characters < PASSWORD_CHARACTERS_MIN {
        return Err(BadPassword::TooShort { characters });
    }
    if characters > PASSWORD_CHARACTERS_MAX {
        return Err(BadPassword::TooLong { characters });
    }
    if is_common(password) {
        return Err(BadPassword::Common);
    }
    Ok(())
}

/// A walk over the list takes far less time than the hash of the password that follows.
fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    common_passwords().any(|common| common == lower)
}

fn common_passwords() -> impl Iterator<Item = &'static str> {
    COMMON
        .split_once("\n\n")
        .map_or(COMMON, |(_header, list)| list)
        .lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_characters_not_bytes() {
        let of = |character: &str, times: usize| check_password(&character.repeat(times));
        assert_eq!(of("ü", 7), Err(BadPassword::TooShort { characters: 7 }));
        assert_eq!(of("ü", 8), Ok(()));
        assert_eq!(of("🔑", 128), Ok(()));
        assert_eq!(of("🔑", 129), Err(BadPassword::TooLong { characters: 129 }));
        assert_eq!(
            check_password(""),
            Err(BadPassword::TooShort { characters: 0 })
        );
    }

    #[test]
    fn nothing_else_is_asked_of_a_password() {
        for password in [
            "correct horse",
            "        ~",
            "\u{0}\u{0}12ab56\u{0}78",
            " leading and trailing ",
        ] {
            assert_eq!(check_password(password), Ok(()), "{password:?}");
        }
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for password in [
            "password",
            "PassWord1",
            "12345678",
            "QWERTYUIOP",
            "iloveyou",
            "!QAZ2wsx",
            "#1stunna",
        ] {
            assert_eq!(
                check_password(password),
                Err(BadPassword::Common),
                "{password}"
            );
        }
        assert_eq!(
            check_password(" password"),
            Ok(()),
            "not as typed in the list"
        );
    }

    #[test]
    fn the_list_is_long_lower_case_sorted_and_without_its_header() {
        let list: Vec<&str> = common_passwords().collect();
        assert!(list.len() > 3_000, "{}", list.len());
        assert!(list.is_sorted());
        for entry in list {
            assert!(entry.chars().count() >= PASSWORD_CHARACTERS_MIN, "{entry}");
            assert_eq!(entry, entry.to_lowercase());
            assert!(!entry.starts_with("# "), "{entry}");
        }
    }

    #[test]
    fn a_sentence_says_what_is_wrong() {
        assert_eq!(
            check_password("short").unwrap_err().to_string(),
            "the password has 5 characters; it needs at least 8"
        );
    }
}
