//! One web server: where it is, how tickets are asked for there, and whether it is well.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, Uri};

use super::ticket::{self, Ticket, Told};
use super::{TicketUser, WebError, WebSetUpError};
use crate::config::QlikView;
use crate::qlikview::link::{Call, Link, LinkError};

/// How many connections ask for tickets, so that one slow answer does not stop all who sign in.
const TICKET_LINKS: usize = 4;
/// Failures in a row after which others are asked first.
const FAILURES_MAX: u32 = 2;

/// One of the web servers.
pub(in crate::qlikview) struct Server {
    origin: String,
    address: Uri,
    /// Connections for tickets alone: NTLM signs them in, so nobody else's request goes over them.
    tickets: Vec<Link>,
    turn: AtomicUsize,
    account: Option<String>,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    why: String,
}

impl Server {
    pub(super) fn new(
        origin: &str,
        settings: &QlikView,
        timeout: Duration,
    ) -> Result<Self, WebSetUpError> {
        let parsed = |path: &str| {
            let address = format!("{origin}{path}").parse();
            address.map_err(|_| WebSetUpError::Address(origin.to_owned()))
        };
        let tickets_at: Uri = parsed(ticket::PATH)?;
        let account = settings.management_account.as_ref();
        let ca_file = settings.ca_file.as_deref();
        let link = |_| Link::new(&tickets_at, account.cloned(), ca_file, timeout);
        Ok(Self {
            origin: origin.to_owned(),
            address: parsed("/")?,
            tickets: (0..TICKET_LINKS).map(link).collect::<Result<_, _>>()?,
            turn: AtomicUsize::new(0),
            account: account.map(|account| account.user.clone()),
            health: Mutex::default(),
        })
    }

    /// Its origin, without a slash at the end.
    pub(in crate::qlikview) fn origin(&self) -> &str {
        &self.origin
    }

    /// The same, as an address.
    pub(in crate::qlikview) const fn address(&self) -> &Uri {
        &self.address
    }

    /// The certificate (DER) that it showed to the last who asked for a ticket; none without TLS.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        self.tickets.iter().find_map(Link::certificate)
    }

    /// Whether it asked for NTLM.
    pub(super) fn was_asked_to_sign_in(&self) -> bool {
        self.tickets.iter().any(Link::was_asked_to_sign_in)
    }

    /// Asks for a ticket in somebody's name.
    pub(super) async fn ticket(&self, user: &TicketUser) -> Result<Ticket, WebError> {
        let call = Call {
            method: Method::POST,
            query: "",
            headers: HeaderMap::new(),
            body: ticket::body(user)?,
            repeatable: true,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % TICKET_LINKS;
        let link = &self.tickets[turn];
        let answer = link
            .call(&call)
            .await
            .map_err(|error| self.failed(&error))?;
        self.answered();
        match ticket::read(&answer.body) {
            Told::InvalidCall => Err(WebError::InvalidCall {
                server: self.origin.clone(),
                causes: ticket::causes(
                    answer.local_ip,
                    self.account
                        .as_deref()
                        .filter(|_| link.was_asked_to_sign_in()),
                ),
            }),
            Told::Ticket(ticket) if answer.status.is_success() => Ok(ticket),
            Told::Ticket(_) => Err(self.bad_ticket_answer(answer.status.as_str())),
            Told::Unusable(_) if !answer.status.is_success() => {
                Err(self.bad_ticket_answer(answer.status.as_str()))
            }
            Told::Unusable(why) => Err(self.unusable(format!(
                "its answer to GetWebTicket.aspx is no ticket: {why}"
            ))),
        }
    }

    fn bad_ticket_answer(&self, status: &str) -> WebError {
        self.unusable(format!("it answers GetWebTicket.aspx with status {status}"))
    }

    /// The error for an answer that cannot be used.
    pub(super) fn unusable(&self, why: impl Into<String>) -> WebError {
        WebError::Answer {
            server: self.origin.clone(),
            why: why.into(),
        }
    }

    /// The error for no answer at all.
    pub(in crate::qlikview) fn silent(&self, why: impl Into<String>) -> WebError {
        WebError::Silent {
            server: self.origin.clone(),
            why: why.into(),
        }
    }

    fn failed(&self, error: &LinkError) -> WebError {
        let why = format!("it {error}");
        if error.is_silence() {
            self.note_failure(&why);
            self.silent(why)
        } else {
            self.answered();
            self.unusable(why)
        }
    }

    /// Whether others are asked first.
    pub(super) fn is_ill(&self) -> bool {
        self.health().failures >= FAILURES_MAX
    }

    /// What is ill about it; nothing where it answers.
    pub(super) fn illness(&self) -> Option<String> {
        let health = self.health();
        let ill = health.failures >= FAILURES_MAX;
        ill.then(|| {
            format!(
                "the web server {} does not answer: {}",
                self.origin, health.why
            )
        })
    }

    /// Notes that it answered.
    pub(super) fn answered(&self) {
        let mut health = self.health();
        if health.failures >= FAILURES_MAX {
            tracing::info!(server = self.origin, "a web server answers again");
        }
        *health = Health::default();
    }

    /// Notes that it did not.
    pub(super) fn note_failure(&self, why: &str) {
        let mut health = self.health();
        health.failures = health.failures.saturating_add(1);
        why.clone_into(&mut health.why);
        if health.failures == FAILURES_MAX {
            tracing::warn!(server = self.origin, why, "a web server does not answer");
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
