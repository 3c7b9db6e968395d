//! Web tickets: a program that is trusted asks for one in somebody's name, and their browser brings
//! it here.

use std::net::IpAddr;

use super::App;
use super::administer::{AdministerError, GROUP_CHARACTERS_MAX};
use super::sign_in::{Client, SignedIn};
use crate::auth::secret::{SecretKind, hash_secret};
use crate::config::WEB_TICKET_SOURCE;
use crate::domain::person::Person;
use crate::store::{
    Actor, BroughtWebTicket, FactorBesideTicket, NewWebTicket, StoreError, TicketSession,
    WebTicketRefusal, WebTicketTaken,
};

/// Random bytes of a ticket: 40 hex characters, and clients refuse any other length (CONFIRMED).
const TICKET_BYTES: usize = 20;
/// Groups of one ticket.
const GROUPS_MAX: usize = 1000;

/// A web ticket that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebTicketAsked {
    /// The user name as it came, with or without the site's prefix.
    pub user: String,
    /// The groups that came with it; none where none were sent.
    pub groups: Option<Vec<String>>,
}

/// What became of the wish for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebTicketIssued {
    /// Its secret, 40 hex characters.
    Ticket(String),
    /// There is none, and why not: a sentence for whoever wrote the program that asked.
    Refused(String),
}

/// What became of a ticket that a browser brought.
#[derive(Clone, Debug)]
pub enum ByWebTicket {
    /// They may have a session.
    Done(Box<SignedIn>),
    /// They may not.
    Refused(WebTicketRefusal),
}

impl App {
    /// Issues a ticket for somebody whom the gateway knows.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn issue_web_ticket(
        &self,
        asked: WebTicketAsked,
        from: IpAddr,
        actor: Actor,
    ) -> Result<WebTicketIssued, StoreError> {
        let refused = |why: String| Ok(WebTicketIssued::Refused(why));
        if let Some(groups) = &asked.groups
            && let Some(why) = wrong_groups(groups)
        {
            return refused(why);
        }
        let person = match self.user(&asked.user) {
            Ok(person) if person.active => person,
            Ok(_) => return refused("The user is disabled.".to_owned()),
            Err(AdministerError::Store(error)) => return Err(error),
            Err(AdministerError::Name(bad)) => {
                return refused(format!("The UserId cannot be used: {bad}."));
            }
            Err(_) => return refused("The user is not known to the gateway.".to_owned()),
        };
        let secret = self.fresh().hex::<TICKET_BYTES>();
        let new = NewWebTicket {
            hash: hash_secret(SecretKind::WebTicket, &secret),
            person: person.id,
            groups: asked.groups,
            address: from.to_string(),
        };
        self.ledger().issue_web_ticket(new, actor).await?;
        Ok(WebTicketIssued::Ticket(secret))
    }

    /// Whose ticket this is, while this client could redeem it; redeems nothing.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn web_ticket_holder(
        &self,
        secret: &str,
        client: &Client,
    ) -> Result<Option<Person>, StoreError> {
        let hash = hash_secret(SecretKind::WebTicket, secret);
        self.ledger()
            .web_ticket_holder(&hash, self.factor_beside_ticket(client))
    }

    /// Redeems a ticket for a browser. The session that it opens has no role and satisfies no second
    /// factor, whoever its person is: the gateway itself has checked nothing of them. So where a
    /// second factor is asked for, there is none.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn sign_in_by_web_ticket(
        &self,
        secret: &str,
        client: &Client,
    ) -> Result<ByWebTicket, StoreError> {
        let brought = BroughtWebTicket {
            hash: hash_secret(SecretKind::WebTicket, secret),
            address: client.address.to_string(),
            factor: self.factor_beside_ticket(client),
        };
        let (person, groups) = match self.ledger().redeem_web_ticket(brought).await? {
            WebTicketTaken::Granted { person, groups } => (person, groups),
            WebTicketTaken::Refused(refusal) => return Ok(ByWebTicket::Refused(refusal)),
        };
        let (workstation, workstation_cookie) = self.workstation_of(client).await?;
        Ok(ByWebTicket::Done(Box::new(SignedIn {
            person: *person,
            workstation,
            workstation_cookie,
            source: WEB_TICKET_SOURCE.to_owned(),
            provider: None,
            ticket: Some(TicketSession { groups }),
            typed_name: None,
        })))
    }

    /// Of whom a second factor is asked where this client brings a ticket. A rule for a role asks
    /// nobody, for the session would have none.
    fn factor_beside_ticket(&self, client: &Client) -> FactorBesideTicket {
        let needs = &self.config().second_factor;
        match needs.deciding_rule(&[], WEB_TICKET_SOURCE, client.address) {
            Some(rule) if rule.required => FactorBesideTicket::OfEverybody,
            Some(rule) if rule.source.is_some() => FactorBesideTicket::OfNobody,
            _ => FactorBesideTicket::OfEnrolled,
        }
    }
}

/// What is wrong with the groups of a ticket, where something is.
fn wrong_groups(groups: &[String]) -> Option<String> {
    if groups.len() > GROUPS_MAX {
        return Some(format!("There are more than {GROUPS_MAX} groups."));
    }
    let fits = |group: &String| {
        group.chars().count() <= GROUP_CHARACTERS_MAX && !group.chars().any(char::is_control)
    };
    (!groups.iter().all(fits)).then(|| {
        format!("A group is longer than {GROUP_CHARACTERS_MAX} characters or holds a control.")
    })
}
