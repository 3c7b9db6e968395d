//! Recovery codes: what lets somebody in whose second factor is gone, each once.

use unicode_normalization::UnicodeNormalization;

use super::secret::{SecretKind, hash_secret};
use crate::domain::person::PersonId;

/// How many codes a person gets.
pub const CODES: usize = 10;
/// Random bytes of a code, one for each character.
pub const CODE_BYTES: usize = 16;

/// The characters of a code: 32 that nobody mixes up, so that a byte gives one evenly.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const GROUP_CHARACTERS: usize = 4;

/// The code of these random bytes: 80 bits, four groups of four characters.
#[must_use]
pub fn code(bytes: [u8; CODE_BYTES]) -> String {
    let characters: Vec<char> = bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect();
    let groups: Vec<String> = characters
        .chunks(GROUP_CHARACTERS)
        .map(|group| group.iter().collect())
        .collect();
    groups.join("-")
}

/// What is stored in place of a person's code, however it is typed; nothing for what can be none.
/// With 80 random bits there is nothing to guess, so a fast hash is enough.
#[must_use]
pub fn hash(person: &PersonId, typed: &str) -> Option<String> {
    // Programs for notes make other dashes of the plain one.
    let is_between = |c: char| {
        c.is_whitespace() || matches!(c, '-' | '\u{AD}' | '\u{2010}'..='\u{2015}' | '\u{2212}')
    };
    let code: String = typed
        .nfkc()
        .filter(|c| !is_between(*c))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let fits = code.len() == CODE_BYTES && code.bytes().all(|byte| ALPHABET.contains(&byte));
    let secret = format!("{}:{code}", person.as_str());
    fits.then(|| hash_secret(SecretKind::RecoveryCode, &secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_four_groups_of_its_alphabet() {
        let made = code([0, 1, 2, 3, 31, 32, 33, 255, 24, 25, 26, 27, 28, 29, 30, 8]);
        assert_eq!(made, "abcd-9ab9-2345-678i");
    }

    #[test]
    fn a_code_is_known_however_it_is_typed_and_for_its_person_alone() {
        let ann = PersonId("ann".to_owned());
        let made = hash(&ann, "abcd-9ab9-2345-678i").unwrap();
        for typed in [
            "ABCD9AB92345678I",
            " abcd 9ab9 2345 678i ",
            "abcd--9ab92345678i",
            "\u{ff41}bcd\u{ff0d}9ab9\u{ad}2345678i",
            "abcd\u{2013}9ab9\u{2011}2345\u{2212}678i",
        ] {
            assert_eq!(hash(&ann, typed).as_deref(), Some(made.as_str()), "{typed}");
        }
        assert_ne!(
            hash(&PersonId("eve".to_owned()), "abcd-9ab9-2345-678i"),
            Some(made)
        );
    }

    #[test]
    fn what_can_be_no_code_has_no_hash() {
        let ann = PersonId("ann".to_owned());
        for typed in [
            "",
            "123456",
            "abcd-9ab9-2345-678",
            "abcd-9ab9-2345-678l",
            "abcd-9ab9-2345-678é",
        ] {
            assert_eq!(hash(&ann, typed), None, "{typed}");
        }
    }
}
