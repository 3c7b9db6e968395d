//! The customer's web servers (QVWS, or IIS in its place): sessions at them in people's names, their
//! list of documents, and whether they are well.
//!
//! A session begins with a web ticket, which the gateway asks for and redeems itself; ticket and
//! cookies never leave it. A session belongs to one server, because servers do not share them. Where
//! that server is gone, the session begins anew at another one.

mod cookies;
mod lent;
mod list;
mod redeem;
mod server;
mod ticket;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use tokio::sync::Mutex;

pub use list::ListedDocument;
pub use ticket::UnwritableName;
pub use wire::BoxError;

use crate::auth::trust::TrustError;
use crate::clock::Clock;
use crate::config::QlikView;
use crate::qlikview::proxy::leads_to_sign_in;
use cookies::Jar;
pub(super) use lent::Lent;
pub(super) use server::Server;
pub(super) use wire::{OutBody, Wire, WireError, whole};

/// How long a question of the gateway's own may take: a ticket, its redemption, whether one is well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the list may take.
const LIST_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest list that is read; 100,000 documents are about half of it.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often each server is asked whether it is well.
const HEALTH_PERIOD: Duration = Duration::from_secs(10);
/// How long it may take to say so.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// A page that every server has and that needs no session. CONFIRMED
const HEALTH_PAGE: &str = "/QvAJAXZfc/GetLoginpageUrl.aspx";
/// Without a query it tells whether somebody is signed in. CONFIRMED
const PROBE_PAGE: &str = "/QvAJAXZfc/Authenticate.aspx";
/// How many tickets of a session are known that its server put into addresses.
const GIVEN_MAX: usize = 32;
/// How often a request is sent where it may be sent again.
const TRIES_MAX: usize = 3;

/// The customer's web servers. Clones share connections and what is known of their health.
#[derive(Clone)]
pub struct WebServers(Arc<Inner>);

struct Inner {
    /// In the order of the configuration.
    servers: Vec<Arc<Server>>,
    wire: Wire,
    settings: QlikView,
    clock: Clock,
    /// How long a question of the gateway's own may take.
    timeout: Duration,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum WebSetUpError {
    /// The configuration names no web server.
    #[error("qlikview.web_server is missing")]
    None,
    /// It names one that is no URL.
    #[error("qlikview.web_server: {0} is no URL")]
    Address(String),
    /// Certificates cannot be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Somebody in whose name a ticket is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketUser {
    /// The name as it goes out, with the prefix.
    pub name: String,
    /// Names of groups; where there are none, none are sent and the server looks them up itself.
    pub groups: Vec<String>,
}

/// A person's session at one of the servers: which one, and its cookies. Clones share them.
#[derive(Clone)]
pub struct UpstreamSession(Arc<Session>);

struct Session {
    user: TicketUser,
    seat: StdMutex<Seat>,
    /// Held while the session begins anew at another server, so that it does so once.
    moving: Mutex<()>,
    /// Tickets that the server itself put into addresses, the oldest first. They are other than ours:
    /// they open a document, and come back in the next request.
    given: StdMutex<VecDeque<String>>,
}

/// Where a session is at the moment.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) server: Arc<Server>,
    jar: Arc<StdMutex<Jar>>,
}

/// Why a web server did not do what was wanted. The addresses are of the inside: they belong into a
/// log and into `check`, and on no page.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It does not answer.
    #[error("the web server {server} does not answer: {why}")]
    Silent {
        /// Its origin.
        server: String,
        /// In words.
        why: String,
    },
    /// It answers, and not what can be used.
    #[error("the web server {server} cannot be used: {why}")]
    Answer {
        /// Its origin.
        server: String,
        /// In words.
        why: String,
    },
    /// It gives no ticket.
    #[error("the web server {server} answers Invalid call: {}", .causes.join("; or "))]
    InvalidCall {
        /// Its origin.
        server: String,
        /// The causes that fit, the likeliest first, with where to change each.
        causes: Vec<String>,
    },
    /// It no longer knows the session, or never did.
    #[error("the web server {server} does not know the session")]
    SignedOut {
        /// Its origin.
        server: String,
    },
    /// A ticket cannot be asked for in this name.
    #[error(transparent)]
    Name(#[from] UnwritableName),
}

impl WebError {
    /// Whether the server could not be reached at all, in contrast to one that answers badly.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

/// What `check` finds at one server.
#[derive(Debug)]
pub struct Probe {
    /// Its origin.
    pub server: String,
    /// The certificate (DER) that it showed; none without TLS.
    pub certificate: Option<Vec<u8>>,
    /// Whether it gave a ticket.
    pub ticket: Result<(), WebError>,
    /// Whether it asked for NTLM before.
    pub was_asked_to_sign_in: bool,
    /// The status with which the page of `AccessPoint` answers somebody without a session.
    pub access_point: Result<StatusCode, WebError>,
}

impl WebServers {
    /// The servers of `[qlikview]`; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// None is configured, or `ca_file` cannot be used.
    pub fn new(settings: &QlikView) -> Result<Self, WebSetUpError> {
        Self::with(settings, Clock::system(), ANSWER_TIMEOUT)
    }

    /// The same with another clock, which decides when cookies end, and another limit for questions
    /// of the gateway's own.
    ///
    /// # Errors
    ///
    /// As [`WebServers::new`].
    pub fn with(
        settings: &QlikView,
        clock: Clock,
        timeout: Duration,
    ) -> Result<Self, WebSetUpError> {
        let origins = settings.web_servers.iter();
        let server = |origin: &String| Server::new(origin, settings, timeout).map(Arc::new);
        let servers: Vec<_> = origins.map(server).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(WebSetUpError::None);
        }
        Ok(Self(Arc::new(Inner {
            servers,
            wire: Wire::new(settings.ca_file.as_deref())?,
            settings: settings.clone(),
            clock,
            timeout,
        })))
    }

    /// Asks for a ticket, in order, at the servers that are well and then at the others, redeems it,
    /// and keeps the cookies.
    ///
    /// # Errors
    ///
    /// None of them signs the person in: what the first that answered said, or the last silence.
    pub async fn sign_in(&self, user: &TicketUser) -> Result<UpstreamSession, WebError> {
        let seat = self.seat_for(user, None).await?;
        Ok(UpstreamSession(Arc::new(Session {
            user: user.clone(),
            seat: StdMutex::new(seat),
            moving: Mutex::new(()),
            given: StdMutex::default(),
        })))
    }

    /// The documents that the person of the session sees.
    ///
    /// # Errors
    ///
    /// See [`WebError`].
    pub async fn documents(
        &self,
        session: &UpstreamSession,
    ) -> Result<Vec<ListedDocument>, WebError> {
        let make = |_: &Server| update(list::ALL);
        let asking = self.send_for(session, true, Some(LIST_TIMEOUT), make);
        let (seat, response) = asking.await?;
        let server = &seat.server;
        check_list_status(server, &response)?;
        let body = read_whole(response, LIST_BYTES_MAX, LIST_TIMEOUT).await;
        let body = body.map_err(|why| server.unusable(format!("its list of documents {why}")))?;
        match list::read(&body) {
            Ok(list::Told::Documents(documents)) => Ok(documents),
            Ok(list::Told::SignedOut) => Err(signed_out(server)),
            Err(bad) => Err(server.unusable(format!("its list of documents: {bad}"))),
        }
    }

    /// Ends the session there, as far as the server does that.
    pub async fn sign_out(&self, session: &UpstreamSession) {
        let seat = session.seat();
        let ended = self.send(&seat, update(list::SIGN_OUT), Some(self.0.timeout));
        if let Err(WireError { why, .. }) = ended.await {
            let server = seat.server.origin();
            tracing::debug!(server, why, "a session at a web server could not be ended");
        }
    }

    /// One sentence for each server that does not answer.
    #[must_use]
    pub fn ill(&self) -> Vec<String> {
        let servers = self.0.servers.iter();
        servers.filter_map(|server| server.illness()).collect()
    }

    /// Asks each server from time to time whether it is well, for ever.
    pub async fn watch_health(self) {
        loop {
            for server in &self.0.servers {
                self.ask_health(server).await;
            }
            tokio::time::sleep(HEALTH_PERIOD).await;
        }
    }

    /// Looks at each server for `check`; a ticket is asked for in this name and not redeemed.
    pub async fn probe(&self, user: &TicketUser) -> Vec<Probe> {
        let mut found = Vec::new();
        for server in &self.0.servers {
            let ticket = server.ticket(user).await.map(drop);
            let page = get(&self.0.wire, server, "/qlikview/", self.0.timeout).await;
            found.push(Probe {
                server: server.origin().to_owned(),
                certificate: server.certificate(),
                ticket,
                was_asked_to_sign_in: server.was_asked_to_sign_in(),
                access_point: page
                    .map(|answer| answer.status())
                    .map_err(|error| server.silent(error.why)),
            });
        }
        found
    }

    /// `[qlikview]`.
    pub(super) fn settings(&self) -> &QlikView {
        &self.0.settings
    }

    /// The servers in the order in which they are asked: those that are well before the others.
    pub(super) fn in_order(&self) -> Vec<Arc<Server>> {
        let (ill, mut all): (Vec<_>, Vec<_>) = self
            .0
            .servers
            .iter()
            .cloned()
            .partition(|server| server.is_ill());
        all.extend(ill);
        all
    }

    /// Sends a request whose address is path and query, in nobody's name.
    pub(super) async fn send_plain(
        &self,
        server: &Server,
        request: Request<OutBody>,
        wait: Option<Duration>,
    ) -> Result<Response<Incoming>, WireError> {
        send_to(&self.0.wire, server, request, wait).await
    }

    /// Sends a request whose address is path and query, with the cookies of a session.
    pub(super) async fn send(
        &self,
        seat: &Seat,
        mut request: Request<OutBody>,
        wait: Option<Duration>,
    ) -> Result<Response<Incoming>, WireError> {
        let path = request.uri().path().to_owned();
        let now = self.0.clock.now();
        if let Some(cookies) = lock(&seat.jar).header(&path, now) {
            request.headers_mut().insert(COOKIE, cookies);
        }
        let response = send_to(&self.0.wire, &seat.server, request, wait).await?;
        lock(&seat.jar).keep(response.headers(), &path, now);
        Ok(response)
    }

    /// Sends a request in the name of a session. One that changes nothing is sent again where its
    /// connection broke; where the server is gone, the session goes on at another one.
    pub(super) async fn send_for(
        &self,
        session: &UpstreamSession,
        is_safe: bool,
        wait: Option<Duration>,
        make: impl Fn(&Server) -> Request<OutBody>,
    ) -> Result<(Seat, Response<Incoming>), WebError> {
        let mut seat = session.seat();
        let mut tries = 1;
        loop {
            let request = make(&seat.server);
            let error = match self.send(&seat, request, wait).await {
                Ok(response) => return Ok((seat, response)),
                Err(error) => error,
            };
            let may_repeat = error.unsent || (is_safe && !error.slow);
            if tries == TRIES_MAX || !may_repeat {
                return Err(seat.server.silent(error.why));
            }
            tries += 1;
            if error.unsent {
                let moved = self.move_on(session, &seat).await;
                seat = moved.ok_or_else(|| seat.server.silent(error.why))?;
            }
        }
    }

    /// Whether the server still knows a session that it refused something; nothing where it does not
    /// tell.
    pub(super) async fn knows(&self, seat: &Seat) -> Option<bool> {
        let request = request(Method::GET, PROBE_PAGE, "");
        let answer = self.send(seat, request, Some(self.0.timeout)).await.ok()?;
        match answer.status() {
            status if status.is_success() => Some(true),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(false),
            status if status.is_redirection() => Some(false),
            _ => None,
        }
    }

    /// Begins a session anew at another server than this one, unless it has moved already.
    async fn move_on(&self, session: &UpstreamSession, from: &Seat) -> Option<Seat> {
        let _held = session.0.moving.lock().await;
        let now_at = session.seat();
        if !Arc::ptr_eq(&now_at.jar, &from.jar) {
            return Some(now_at);
        }
        if self.0.servers.len() == 1 {
            return None;
        }
        match self.seat_for(&session.0.user, Some(&from.server)).await {
            Ok(seat) => {
                *lock(&session.0.seat) = seat.clone();
                Some(seat)
            }
            Err(error) => {
                tracing::warn!(%error, "a session cannot go on at another web server");
                None
            }
        }
    }

    /// Signs somebody in at the first server that does it.
    async fn seat_for(
        &self,
        user: &TicketUser,
        except: Option<&Arc<Server>>,
    ) -> Result<Seat, WebError> {
        let mut servers = self.in_order();
        servers.retain(|server| except.is_none_or(|except| !Arc::ptr_eq(server, except)));
        let mut told: Option<WebError> = None;
        for server in servers {
            match self.sign_in_at(&server, user).await {
                Ok(jar) => {
                    return Ok(Seat {
                        server,
                        jar: Arc::new(StdMutex::new(jar)),
                    });
                }
                Err(error @ WebError::Name(_)) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "a web server does not sign somebody in");
                    if told.as_ref().is_none_or(WebError::is_silence) {
                        told = Some(error);
                    }
                }
            }
        }
        Err(told.unwrap_or_else(|| self.0.servers[0].silent("there is no other")))
    }

    /// A server that says nothing is ill, and one that says that it is.
    async fn ask_health(&self, server: &Server) {
        let mut request = request(Method::GET, HEALTH_PAGE, "");
        *request.uri_mut() = address(server, request.uri());
        match self.0.wire.send(request, Some(HEALTH_TIMEOUT)).await {
            Ok(answer) if answer.status().is_server_error() => {
                let status = answer.status().as_u16();
                server.note_failure(&format!("it answers with status {status}"));
            }
            Ok(_) => server.answered(),
            Err(error) => server.note_failure(&error.why),
        }
    }
}

impl UpstreamSession {
    /// In whose name it is.
    #[must_use]
    pub fn user(&self) -> &TicketUser {
        &self.0.user
    }

    /// The origin of the server that it is at.
    #[must_use]
    pub fn server(&self) -> String {
        self.seat().server.origin().to_owned()
    }

    /// Whether both are the same session.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Notes a ticket that the server sends this person on with.
    pub(super) fn note_ticket(&self, ticket: &str) {
        let mut given = lock(&self.0.given);
        if given.len() == GIVEN_MAX {
            given.pop_front();
        }
        given.push_back(ticket.to_owned());
    }

    /// Whether the server sent this person on with a ticket.
    pub(super) fn has_ticket(&self, ticket: &str) -> bool {
        lock(&self.0.given).iter().any(|given| given == ticket)
    }

    pub(super) fn seat(&self) -> Seat {
        lock(&self.0.seat).clone()
    }
}

impl fmt::Debug for WebServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins = self.0.servers.iter().map(|server| server.origin());
        f.debug_list().entries(origins).finish()
    }
}

/// Cookies are never shown.
impl fmt::Debug for UpstreamSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamSession({})", self.server())
    }
}

/// Sends a request whose address is path and query, and notes what that tells of the server.
async fn send_to(
    wire: &Wire,
    server: &Server,
    mut request: Request<OutBody>,
    wait: Option<Duration>,
) -> Result<Response<Incoming>, WireError> {
    *request.uri_mut() = address(server, request.uri());
    match wire.send(request, wait).await {
        Ok(response) => {
            // What stands before a server that is down says so.
            if response.status() != StatusCode::SERVICE_UNAVAILABLE {
                server.answered();
            }
            Ok(response)
        }
        Err(error) => {
            if !error.slow {
                server.note_failure(&error.why);
            }
            Err(error)
        }
    }
}

/// The whole address of a path and query at a server.
fn address(server: &Server, path: &Uri) -> Uri {
    let mut parts = server.address().clone().into_parts();
    parts.path_and_query = path.path_and_query().cloned();
    Uri::from_parts(parts).unwrap_or_else(|_| server.address().clone())
}

/// A request of the gateway's own.
fn request(method: Method, path_and_query: &str, body: &'static str) -> Request<OutBody> {
    let mut request = Request::new(whole(body));
    *request.method_mut() = method;
    *request.uri_mut() = path_and_query.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("accesspoint"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    request
}

async fn get(
    wire: &Wire,
    server: &Server,
    path: &'static str,
    wait: Duration,
) -> Result<Response<Incoming>, WireError> {
    send_to(wire, server, request(Method::GET, path, ""), Some(wait)).await
}

/// A request of the `AccessPoint` page's own protocol.
fn update(body: &'static str) -> Request<OutBody> {
    let mut request = request(Method::POST, list::ADDRESS, body);
    let media_type = HeaderValue::from_static(list::MEDIA_TYPE);
    request.headers_mut().insert(CONTENT_TYPE, media_type);
    request
}

/// A list comes with a good status; what sends people to sign in has forgotten them.
fn check_list_status(server: &Server, response: &Response<Incoming>) -> Result<(), WebError> {
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED || leads_to_sign_in(response.headers()) {
        return Err(signed_out(server));
    }
    if !status.is_success() {
        let status = status.as_u16();
        return Err(server.unusable(format!("its list of documents comes with status {status}")));
    }
    Ok(())
}

fn signed_out(server: &Server) -> WebError {
    WebError::SignedOut {
        server: server.origin().to_owned(),
    }
}

/// The body of an answer, up to a size and within a time; else what is wrong with it.
async fn read_whole(
    response: Response<Incoming>,
    bytes_max: usize,
    wait: Duration,
) -> Result<Bytes, String> {
    let body = Limited::new(response.into_body(), bytes_max).collect();
    match tokio::time::timeout(wait, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(format!("is larger than {bytes_max} bytes"))
        }
        Ok(Err(error)) => Err(format!("breaks off: {error}")),
        Err(_) => Err(format!("does not end within {} seconds", wait.as_secs())),
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod socket_tests;
