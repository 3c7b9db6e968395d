//! The documents folder: what is in it, who may see it, and safe ways to read it.
//!
//! A [`Library`] holds the last picture ([`Snapshot`]) of a folder tree of `.qvw` files. Readers take
//! the picture and never wait for the disk; a [`Watch`] renews it. Who may see a document is decided
//! by [`Rules`] of the configuration, which are matched against the names once per picture.
//!
//! Nothing that a client sends becomes a path: an id is looked up in the picture, and the path is the
//! one that was found when the folder was read. What is opened is checked again (see `open.rs`).
//!
//! In front of an estate its web server lists the documents; its list becomes a picture of the same
//! kind (`told.rs`), and there is nothing to read here.
//!
//! May import `domain`; knows neither people's sessions nor HTTP.

mod library;
mod open;
mod rules;
pub mod sample;
mod scan;
#[cfg(test)]
pub(crate) mod test_folder;
mod told;
mod watch;

pub use library::{Library, Snapshot};
pub use open::{OpenFile, etag_of};
pub use rules::{Rule, RuleError, Rules};
pub use scan::{Document, document_id};
pub use told::ToldDocument;
pub use watch::Watch;

use unicode_normalization::UnicodeNormalization;

/// One spelling of a document's path, for comparing and sorting without regard to case.
///
/// File systems keep "é" composed or decomposed as it was written; a rule must match both.
fn fold(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}
