//! Documents, as the rules know them: by their id alone.

use super::opaque_id;

opaque_id! {
    /// The id of a document: made from its path below the root, so a renamed document is another.
    DocumentId
}
