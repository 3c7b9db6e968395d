//! Where launches lead to in front of an estate, and who may use its tunnel.

use crate::domain::client::ClientKind;
use crate::domain::time::{Millis, Timestamp};
use crate::store::db::{StoreError, values};
use crate::store::opens::ticket_id;
use crate::store::writer::Batch;
use crate::store::{LaunchTicket, OpenCommand, Store};

/// Where an open leads to on the web server, and from where it came.
#[derive(Clone, Debug)]
pub struct Onward {
    /// The public id of the session that opens.
    pub session_id: String,
    /// The address of the client.
    pub address: String,
    /// A path of ours, with its query, that is passed on to the web server.
    pub path: String,
}

/// Where a redeemed launch leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchTarget {
    /// What the document was opened with.
    pub client: ClientKind,
    /// A path of ours, with its query, that is passed on to the web server.
    pub path: String,
}

impl Store {
    /// Where a launch of the estate leads to; none for a ticket that never was.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn launch_target(&self, secret: &str) -> Result<Option<LaunchTarget>, StoreError> {
        const SQL: &str = "SELECT client, path FROM estate_launch WHERE id = $1";
        let found = self.read(|db| {
            db.query_one(SQL, values![&ticket_id(secret)], |row| {
                Ok((row.text(0)?, row.text(1)?))
            })
        })?;
        found
            .map(|(word, path)| match ClientKind::from_word(&word) {
                Some(client) => Ok(LaunchTarget { client, path }),
                None => Err(StoreError::Corrupt(format!(
                    "the client {word} of a launch"
                ))),
            })
            .transpose()
    }

    /// Whether a launch that was followed leads to this document, opened in a way that leases or in
    /// one that does not: within its ticket's life its link is no further open.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn is_led_to(
        &self,
        session_id: &str,
        document: &str,
        client: ClientKind,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT estate_launch.client FROM estate_launch \
             JOIN launch ON launch.id = estate_launch.id \
             WHERE estate_launch.session_id = $1 AND estate_launch.document_id = $2 \
             AND launch.redeemed_at IS NOT NULL AND launch.expires_at > $3";
        let led = self.read_now(|db, now| {
            db.query(SQL, values![session_id, document, now], |row| row.text(0))
        })?;
        let led = led.iter().filter_map(|word| ClientKind::from_word(word));
        Ok(led.into_iter().any(|kind| is_same_way(kind, client)))
    }

    /// Whether somebody opened a document for Desktop or the plug-in from this address within the
    /// last `life`, and their session lives.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn has_opened_from(&self, address: &str, life: Millis) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM estate_launch \
             JOIN session ON session.id = estate_launch.session_id \
             WHERE estate_launch.address = $1 AND estate_launch.opened_at > $2 \
             AND estate_launch.client IN ('desktop', 'plugin') \
             AND session.ends_at > $3 AND session.last_seen_at > $4";
        let idle = self.0.options.session_idle;
        let count = self.read_now(|db, now: Timestamp| {
            let asked = values![address, now - life, now, now - idle];
            db.query_one(SQL, asked, |row| row.count(0))
        })?;
        Ok(count.unwrap_or(0) > 0)
    }
}

/// Desktop and the plug-in are led to one page; the others each to their own.
fn is_same_way(one: ClientKind, other: ClientKind) -> bool {
    one == other || (one.leases() && other.leases())
}

/// Notes where a ticket that was just issued leads to.
pub(super) fn note_onward(
    batch: &mut Batch<'_>,
    command: &OpenCommand,
    onward: &Onward,
    ticket: &LaunchTicket,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO estate_launch \
         (id, session_id, document_id, client, path, address, opened_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let id = ticket_id(&ticket.secret);
    let row = values![
        &id,
        &onward.session_id,
        &command.document.id,
        command.client.word(),
        &onward.path,
        &onward.address,
        batch.now,
    ];
    batch.db.change_one(SQL, row)
}

impl Batch<'_> {
    /// Forgets where launches led to whose session has ended.
    pub(in crate::store) fn forget_onward(&mut self) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM estate_launch \
             WHERE session_id NOT IN (SELECT id FROM session)";
        self.db.execute(SQL, &[]).map(drop)
    }
}
