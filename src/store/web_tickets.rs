//! Web tickets: issued for somebody by a program that is trusted, redeemed once by their browser.

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::factors;
use super::people;
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::person::{Person, PersonId};
use crate::domain::time::{Millis, Timestamp};

/// How long a ticket can be redeemed. `QlikView`'s own number is not known.
const TICKET_LIFE: Millis = Millis::seconds(60);
/// How long a ticket is remembered after its end, so that a refusal can say why.
const REMEMBERED: Millis = Millis::hours(1);

/// A ticket to issue.
#[derive(Clone, Debug)]
pub struct NewWebTicket {
    /// The hash of its secret.
    pub hash: String,
    /// For whom.
    pub person: PersonId,
    /// The groups that it gives; none where it tells nothing of groups.
    pub groups: Option<Vec<String>>,
    /// The address that asked for it.
    pub address: String,
}

/// A ticket that a browser brought.
#[derive(Clone, Debug)]
pub struct BroughtWebTicket {
    /// The hash of its secret.
    pub hash: String,
    /// Where the browser is.
    pub address: String,
    /// Of whom a second factor is asked there.
    pub factor: FactorBesideTicket,
}

/// Of whom a second factor is asked, which no ticket proves: theirs opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorBesideTicket {
    /// A rule asks everybody.
    OfEverybody,
    /// Those are asked who have enrolled one.
    OfEnrolled,
    /// A rule for web tickets asks nobody.
    OfNobody,
}

/// What became of a ticket that was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebTicketTaken {
    /// It holds; nobody redeems it again.
    Granted {
        /// Whose it is.
        person: Box<Person>,
        /// The groups that it gives; none where it tells nothing of groups.
        groups: Option<Vec<String>>,
    },
    /// It opens nothing.
    Refused(WebTicketRefusal),
}

/// Why a web ticket opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebTicketRefusal {
    /// There is none, or none that is remembered.
    Unknown,
    /// It was redeemed before.
    Used,
    /// Its life is over.
    Expired,
    /// Its person is disabled.
    UserDisabled,
    /// A second factor is asked for.
    SecondFactorRequired,
}

impl WebTicketRefusal {
    /// The code in the audit; an unknown ticket leaves no event, for anybody can make one up.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Used => Some("WEB_TICKET_USED"),
            Self::Expired => Some("WEB_TICKET_EXPIRED"),
            Self::UserDisabled => Some("USER_DISABLED"),
            Self::SecondFactorRequired => Some("SECOND_FACTOR_REQUIRED"),
        }
    }
}

impl Store {
    /// Issues a ticket, and notes in the audit for whom and to whom.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn issue_web_ticket(
        &self,
        new: NewWebTicket,
        actor: Actor,
    ) -> Result<(), StoreError> {
        self.write(move |batch| issue(batch, &new, &actor)).await
    }

    /// Redeems a ticket. Of two browsers that bring the same one, one gets it.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn redeem_web_ticket(
        &self,
        brought: BroughtWebTicket,
    ) -> Result<WebTicketTaken, StoreError> {
        self.write(move |batch| redeem(batch, &brought)).await
    }

    /// Whose ticket this is, while it could be redeemed; redeems nothing.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn web_ticket_holder(
        &self,
        hash: &str,
        factor: FactorBesideTicket,
    ) -> Result<Option<Person>, StoreError> {
        self.read_now(|db, now| {
            let Some(ticket) = db.query_one(FIND, values![hash], stored)? else {
                return Ok(None);
            };
            let Some(person) = people::by_id(db, &ticket.person)? else {
                return Ok(None);
            };
            let refusal = judge(db, &ticket, &person, factor, now)?;
            Ok(refusal.is_none().then_some(person))
        })
    }
}

const FIND: &str = "SELECT person_id, user_groups, expires_at, redeemed_at FROM web_ticket \
     WHERE hash = $1";

struct Stored {
    person: PersonId,
    groups: Option<String>,
    expires_at: Timestamp,
    redeemed_at: Option<Timestamp>,
}

fn stored(row: &Row<'_>) -> Result<Stored, StoreError> {
    Ok(Stored {
        person: PersonId(row.text(0)?),
        groups: row.maybe_text(1)?,
        expires_at: row.at(2)?,
        redeemed_at: row.maybe_at(3)?,
    })
}

/// Why a ticket does not hold, where it does not.
fn judge(
    db: &Db,
    ticket: &Stored,
    person: &Person,
    factor: FactorBesideTicket,
    now: Timestamp,
) -> Result<Option<WebTicketRefusal>, StoreError> {
    let is_asked = match factor {
        FactorBesideTicket::OfEverybody => true,
        FactorBesideTicket::OfEnrolled => !factors::factors(db, &person.id)?.is_empty(),
        FactorBesideTicket::OfNobody => false,
    };
    Ok(if ticket.redeemed_at.is_some() {
        Some(WebTicketRefusal::Used)
    } else if !person.active {
        Some(WebTicketRefusal::UserDisabled)
    } else if now >= ticket.expires_at {
        Some(WebTicketRefusal::Expired)
    } else {
        is_asked.then_some(WebTicketRefusal::SecondFactorRequired)
    })
}

fn issue(batch: &mut Batch<'_>, new: &NewWebTicket, actor: &Actor) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO web_ticket (hash, person_id, user_groups, expires_at) \
         VALUES ($1, $2, $3, $4)";
    let person = people::by_id(batch.db, &new.person)?;
    let Some(person) = person.filter(|person| person.active) else {
        return Err(StoreError::Corrupt("a web ticket for nobody".to_owned()));
    };
    let groups = new
        .groups
        .as_ref()
        .map(|groups| people::groups_text(groups));
    batch.db.change_one(
        SQL,
        values![
            &new.hash,
            person.id.as_str(),
            groups.as_ref(),
            batch.now + TICKET_LIFE
        ],
    )?;
    let mut event = Event::new(EventKind::WebTicketIssued)
        .about(&person.id, &person.name)
        .with("address", new.address.clone());
    if let Some(groups) = groups {
        event = event.with("groups", groups);
    }
    batch.record(&event, actor)
}

fn redeem(batch: &mut Batch<'_>, brought: &BroughtWebTicket) -> Result<WebTicketTaken, StoreError> {
    const REDEEM: &str = "UPDATE web_ticket SET redeemed_at = $1 WHERE hash = $2";
    let Some(ticket) = batch.db.query_one(FIND, values![&brought.hash], stored)? else {
        return Ok(WebTicketTaken::Refused(WebTicketRefusal::Unknown));
    };
    let person = people::by_id(batch.db, &ticket.person)?
        .ok_or_else(|| StoreError::Corrupt(format!("the person {} is missing", ticket.person)))?;
    if let Some(refusal) = judge(batch.db, &ticket, &person, brought.factor, batch.now)? {
        record_refusal(batch, &person, refusal, &brought.address)?;
        return Ok(WebTicketTaken::Refused(refusal));
    }
    batch
        .db
        .change_one(REDEEM, values![batch.now, &brought.hash])?;
    Ok(WebTicketTaken::Granted {
        person: Box::new(person),
        groups: ticket.groups.as_deref().map(people::groups_of),
    })
}

fn record_refusal(
    batch: &mut Batch<'_>,
    person: &Person,
    refusal: WebTicketRefusal,
    address: &str,
) -> Result<(), StoreError> {
    let mut event = Event::new(EventKind::SignInRefused)
        .about(&person.id, &person.name)
        .with("address", address);
    event.code = refusal.code().map(str::to_owned);
    batch.record(&event, &Actor::gateway())
}

impl Batch<'_> {
    /// Forgets tickets that ended a while ago.
    pub(super) fn forget_web_tickets(&mut self) -> Result<usize, StoreError> {
        const SQL: &str = "DELETE FROM web_ticket WHERE expires_at <= $1";
        self.db.execute(SQL, values![self.now - REMEMBERED])
    }

    /// Stores that what had ended by `last` has ended, before the earlier time counts.
    pub(super) fn end_web_tickets(
        &mut self,
        earlier: Timestamp,
        last: Timestamp,
    ) -> Result<usize, StoreError> {
        const SQL: &str = "UPDATE web_ticket SET expires_at = $1 \
             WHERE expires_at <= $2 AND expires_at > $1";
        self.db.execute(SQL, values![earlier, last])
    }
}
