//! Linking: which identities of which sources are one person, by an administrator's word.

use super::App;
use super::administer::AdministerError;
use crate::store::{Actor, IdentityRow, Linked};

/// Characters of a subject; whole distinguished names fit.
pub const SUBJECT_CHARACTERS_MAX: usize = 1024;

impl App {
    /// The identities of somebody.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the database fails.
    pub fn identities(&self, name: &str) -> Result<Vec<IdentityRow>, AdministerError> {
        let person = self.user(name)?;
        Ok(self.ledger().identities(&person.id)?)
    }

    /// Gives somebody an identity of a configured source.
    ///
    /// # Errors
    ///
    /// The name or the source is unknown, the subject cannot be one, the identity is somebody
    /// else's, or the ledger fails.
    pub async fn link_identity(
        &self,
        name: &str,
        source: &str,
        subject: &str,
        actor: Actor,
    ) -> Result<(), AdministerError> {
        let user = self.user_name(name)?;
        if self.config().sign_in.mapping(source).is_none() {
            return Err(AdministerError::Source(source.to_owned()));
        }
        check_subject(subject)?;
        let (source, subject) = (source.to_owned(), subject.to_owned());
        let linked = self.ledger().link_identity(user, source, subject, actor);
        done(linked.await?, name)
    }

    /// Takes an identity from somebody. The local one takes the password with it.
    ///
    /// # Errors
    ///
    /// The name or the identity is unknown, nobody could administer any longer, or the ledger
    /// fails.
    pub async fn unlink_identity(
        &self,
        name: &str,
        source: &str,
        subject: &str,
        actor: Actor,
    ) -> Result<(), AdministerError> {
        let user = self.user_name(name)?;
        let (source, subject) = (source.to_owned(), subject.to_owned());
        let unlinked = self.ledger().unlink_identity(user, source, subject, actor);
        done(unlinked.await?, name)
    }
}

fn check_subject(subject: &str) -> Result<(), AdministerError> {
    let length = subject.chars().count();
    let fits = (1..=SUBJECT_CHARACTERS_MAX).contains(&length);
    if fits && !subject.chars().any(char::is_control) {
        return Ok(());
    }
    Err(AdministerError::Text {
        what: "subject",
        characters_max: SUBJECT_CHARACTERS_MAX,
    })
}

fn done(linked: Linked, name: &str) -> Result<(), AdministerError> {
    match linked {
        Linked::Done => Ok(()),
        Linked::UnknownUser => Err(AdministerError::UnknownUser(name.to_owned())),
        Linked::UnknownIdentity => Err(AdministerError::Unknown {
            what: "identity of that source and subject of the user",
            id: name.to_owned(),
        }),
        Linked::Taken { user } => Err(AdministerError::IdentityTaken(user)),
        Linked::LastAdministrator => Err(AdministerError::LastAdministrator(name.to_owned())),
    }
}
