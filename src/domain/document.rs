//! Documents, as the rules know them: by their id alone.

use unicode_normalization::UnicodeNormalization;

use super::opaque_id;

opaque_id! {
    /// The id of a document: made from its path below the root, so a renamed document is another.
    DocumentId
}

/// One spelling of a document's path, for comparing and sorting without regard to case.
///
/// File systems keep "é" composed or decomposed as it was written; a rule must match both.
#[must_use]
pub fn fold(path: &str) -> String {
    path.nfc().collect::<String>().to_lowercase()
}
