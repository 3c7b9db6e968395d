//! What passes between a signed-in person and the web servers, and in which shape.
//!
//! The pure parts stand in files of their own: paths, heads, the judging of bodies, where answers
//! lead, the rewriting of addresses. Nothing passes that is on no list. What comes back is an answer
//! for a browser of ours: no cookie, no challenge and no address of the inside is in it.

mod body;
mod heads;
mod judge;
mod location;
mod path;
mod rewrite;
mod websocket;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

pub use body::ProxyBody;
pub use path::{PathRefusal, UpstreamPath, upstream_path};

use super::web::{
    BoxError, Lent, OutBody, Seat, Server, UpstreamSession, WebError, WebServers, whole,
};
pub(super) use body::Down;
use body::{IDLE_MAX, judged, when};
use heads::{Hosts, Up, authority_of};
pub(super) use heads::{down_through_tunnel, is_challenge, up_through_tunnel};
use judge::{Reading, is_global};
pub(super) use location::leads_to_sign_in;
use location::{Leads, Sides};
use rewrite::{Addresses, Rewriter};

/// How long a web server may take to begin its answer: a large document is opened in it.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// The way of one request of a signed-in person.
pub struct Passing {
    /// The web servers.
    pub servers: WebServers,
    /// The person's session at one of them.
    pub session: UpstreamSession,
    /// Our own origin, as browsers write it.
    pub public_origin: String,
    /// Turns true when the gateway's session ends: answers under way and websockets end with it. A
    /// sender that is gone counts as that.
    pub ended: watch::Receiver<bool>,
}

/// Why a request did not pass, or its answer did not come down. The words are for a log.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// It is never passed (403).
    #[error("the request is refused: {0}")]
    Refused(&'static str),
    /// It could be read in several ways (400).
    #[error("the request cannot be judged: {0}")]
    Unjudged(&'static str),
    /// Its method is not passed (405).
    #[error("the method is not passed")]
    Method,
    /// The web server no longer knows the session.
    #[error("the web server {server} does not know the session")]
    SignedOut {
        /// Its origin, which belongs on no page.
        server: String,
    },
    /// The gateway's own session ended meanwhile.
    #[error("the session has ended")]
    Ended,
    /// The web server does not answer (503).
    #[error("the web server {server} does not answer: {why}")]
    Silent {
        /// Its origin, which belongs on no page.
        server: String,
        /// In words.
        why: String,
    },
    /// It answers what must not come down (502).
    #[error("the answer of the web server {server} does not come down: {why}")]
    Answer {
        /// Its origin, which belongs on no page.
        server: String,
        /// In words.
        why: String,
    },
}

impl From<WebError> for PassError {
    fn from(error: WebError) -> Self {
        match error {
            WebError::Silent { server, why } => Self::Silent { server, why },
            WebError::SignedOut { server } => Self::SignedOut { server },
            WebError::Answer { server, why } => Self::Answer { server, why },
            WebError::InvalidCall { ref server, .. } => Self::Answer {
                server: server.clone(),
                why: error.to_string(),
            },
            WebError::Name(bad) => Self::Answer {
                server: String::new(),
                why: bad.to_string(),
            },
        }
    }
}

impl Passing {
    /// Passes a request up and its answer down. Bodies stream; what may not pass is an error. A GET
    /// or HEAD is sent again where its connection broke.
    ///
    /// # Errors
    ///
    /// See [`PassError`].
    pub async fn pass<B>(
        self,
        path: UpstreamPath,
        request: Request<B>,
    ) -> Result<Response<ProxyBody>, PassError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let ended = when(self.ended.clone());
        tokio::select! {
            biased;
            () = ended => Err(PassError::Ended),
            passed = self.pass_while_signed_in(&path, request) => passed,
        }
    }

    async fn pass_while_signed_in<B>(
        &self,
        path: &UpstreamPath,
        mut request: Request<B>,
    ) -> Result<Response<ProxyBody>, PassError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let method = request.method().clone();
        let mut up = Up::of(
            request.headers(),
            path,
            &self.public_origin,
            self.servers.settings(),
        )?;
        let address = address(path, request.uri().query(), &self.session)?;
        if method == Method::GET && heads::asks_for_websocket(request.headers()) {
            up.upgrade(request.headers())?;
            let client = hyper::upgrade::on(&mut request);
            return self.pass_websocket(path, address, &up, client).await;
        }
        let body = Lent::new(passed_body(request).await?);
        let make = |server: &Server| {
            let mut request = Request::new(body.lend());
            *request.method_mut() = method.clone();
            *request.uri_mut() = address.clone();
            *request.headers_mut() = up.for_server(server.origin());
            request
        };
        let is_safe = method != Method::POST;
        let sending = self
            .servers
            .send_for(&self.session, is_safe, Some(ANSWER_TIMEOUT), make);
        let (seat, response) = sending.await?;
        self.come_down(&seat, path, response).await
    }

    /// The answer as it comes down.
    async fn come_down(
        &self,
        seat: &Seat,
        path: &UpstreamPath,
        response: Response<Incoming>,
    ) -> Result<Response<ProxyBody>, PassError> {
        let (head, body) = response.into_parts();
        let server = seat.server.origin();
        let unfit = |why: &str| PassError::Answer {
            server: server.to_owned(),
            why: why.to_owned(),
        };
        if is_challenge(head.status, &head.headers) {
            return Err(self.refused_by(seat, "it asks who asks").await);
        }
        if head.status == StatusCode::UNAUTHORIZED {
            return Err(signed_out(seat));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(unfit("it changes the protocol, which nobody asked for"));
        }
        let addresses = self.addresses();
        let location = match head.headers.get(LOCATION) {
            None => None,
            Some(location) => match self.sides(&addresses).leads(location.as_bytes(), path) {
                Leads::Here(location) => {
                    self.note_tickets(&location);
                    Some(location)
                }
                Leads::ToSignIn => return Err(signed_out(seat)),
                Leads::Away => return Err(self.refused_by(seat, "it leads elsewhere").await),
            },
        };
        let is_rewritten = is_rewritten(head.headers.get(CONTENT_TYPE));
        if is_rewritten && is_encoded(head.headers.get(CONTENT_ENCODING)) {
            return Err(unfit("it encodes a page although it was asked not to"));
        }
        if is_rewritten && head.status == StatusCode::PARTIAL_CONTENT {
            return Err(unfit("it sends a part of a page, which was not asked for"));
        }
        let hosts = self.hosts();
        let mut headers = heads::down(&head.headers, &addresses, &hosts, !is_rewritten);
        if let Some(location) = location {
            let location = HeaderValue::try_from(location);
            headers.insert(LOCATION, location.map_err(|_| unfit("it leads nowhere"))?);
        }
        let rewriter = is_rewritten.then(|| Rewriter::new(addresses));
        let down = Down::of_session(body, rewriter, self.ended.clone(), IDLE_MAX);
        let mut response = Response::new(down.boxed_unsync());
        *response.status_mut() = head.status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Tickets in an address to which the server sends this person come back to it.
    fn note_tickets(&self, location: &str) {
        let (_, query) = location.split_once('?').unwrap_or_default();
        let query = query.split('#').next().unwrap_or_default();
        for ticket in query.split('&').filter_map(ticket_in) {
            self.session.note_ticket(ticket);
        }
    }

    /// Why a server refuses something: where it no longer knows the session, that is why.
    async fn refused_by(&self, seat: &Seat, why: &str) -> PassError {
        if self.servers.knows(seat).await == Some(false) {
            return signed_out(seat);
        }
        PassError::Answer {
            server: seat.server.origin().to_owned(),
            why: why.to_owned(),
        }
    }

    fn addresses(&self) -> Arc<Addresses> {
        let inside = self.servers.settings().web_servers.iter();
        let inside = inside.map(String::as_str);
        Arc::new(Addresses::new(inside, &self.public_origin))
    }

    fn hosts(&self) -> Hosts<'_> {
        let inside = self.servers.settings().web_servers.iter();
        Hosts {
            inside: inside.map(|origin| authority_of(origin)).collect(),
            outside: authority_of(&self.public_origin),
        }
    }

    fn sides<'a>(&'a self, addresses: &'a Arc<Addresses>) -> Sides<'a> {
        Sides {
            settings: self.servers.settings(),
            public_origin: &self.public_origin,
            addresses,
        }
    }
}

fn signed_out(seat: &Seat) -> PassError {
    PassError::SignedOut {
        server: seat.server.origin().to_owned(),
    }
}

/// The body that goes up with a request, judged where it is one that can ask for something.
async fn passed_body<B>(request: Request<B>) -> Result<OutBody, PassError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    match head.method {
        Method::POST if head.headers.contains_key(CONTENT_ENCODING) => {
            Err(PassError::Unjudged("its body is encoded"))
        }
        Method::POST => judged(Reading::of(head.headers.get(CONTENT_TYPE)), body).await,
        Method::GET | Method::HEAD => {
            if has_body(body).await {
                return Err(PassError::Unjudged(
                    "its method has no body, and it has one",
                ));
            }
            Ok(whole(""))
        }
        _ => Err(PassError::Method),
    }
}

/// Whether a body holds anything, or may still.
async fn has_body<B: Body<Data = Bytes>>(body: B) -> bool {
    let mut body = std::pin::pin!(body);
    while !body.is_end_stream() {
        match tokio::time::timeout(IDLE_MAX, body.as_mut().frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) if frame.data_ref().is_none_or(Bytes::is_empty) => {}
            _ => return true,
        }
    }
    false
}

/// Path and query as they go up.
fn address(
    path: &UpstreamPath,
    query: Option<&str>,
    session: &UpstreamSession,
) -> Result<Uri, PassError> {
    let query = match query {
        None => None,
        Some(query) if query.split('&').any(has_command) => {
            return Err(PassError::Refused("the root element Global is not passed"));
        }
        Some(query) => {
            let passed = query_up(query, |ticket| session.has_ticket(ticket));
            Some(passed.ok_or(PassError::Unjudged("its query"))?)
        }
    };
    let address = match query {
        Some(query) if !query.is_empty() => format!("{}?{query}", path.encoded()),
        _ => path.encoded().to_owned(),
    };
    let address =
        PathAndQuery::try_from(address).map_err(|_| PassError::Unjudged("its address"))?;
    Ok(Uri::from(address))
}

/// Whether a parameter is a command that is never passed, as in a body.
fn has_command(pair: &str) -> bool {
    pair.splitn(2, '=').any(is_global)
}

/// A query as it goes up: byte for byte, but without tickets, which would make the session somebody
/// else's; those that the server gave this person go back to it. None where it holds what no query
/// does.
fn query_up(query: &str, is_given: impl Fn(&str) -> bool) -> Option<Cow<'_, str>> {
    if query.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        return None;
    }
    let passes = |pair: &&str| ticket_in(pair).is_none_or(&is_given);
    if query.split('&').all(|pair| passes(&pair)) {
        return Some(query.into());
    }
    let kept: Vec<&str> = query.split('&').filter(passes).collect();
    Some(kept.join("&").into())
}

/// The ticket of a parameter, as it is written, where it is one that carries a ticket.
fn ticket_in(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = name.replace('+', " ");
    let name = percent_decode_str(&name).decode_utf8_lossy();
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let is_ticket = ["ticket", "webticket"]
        .iter()
        .any(|ticket| name.eq_ignore_ascii_case(ticket));
    is_ticket.then_some(value)
}

/// Whether a body is a page, XML or a script, in which addresses are replaced.
fn is_rewritten(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok());
    let media = text
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let media = media.trim().to_ascii_lowercase();
    let (kind, subtype) = media.split_once('/').unwrap_or_default();
    let names = [
        "html",
        "xml",
        "javascript",
        "x-javascript",
        "ecmascript",
        "jscript",
    ];
    matches!(kind, "text" | "application" | "image")
        && (names.contains(&subtype) || subtype.ends_with("+xml"))
}

fn is_encoded(encoding: Option<&HeaderValue>) -> bool {
    encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod socket_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_up_byte_for_byte_but_for_tickets() {
        for query in [
            "",
            "open=&id=QVS@cluster|Sales/Demo.qvw&client=Ajax",
            "id=QVS%40cluster%257CSales%2fDemo.qvw&select=LB01,A+b",
            "&&a&=b&",
            "a=ticket&tickets=1&xticket=2&my.webticket=3",
            "a=1;ticket=2",
            "\u{e4}=\u{f6}",
        ] {
            assert_eq!(query_up(query, |_| false).as_deref(), Some(query));
        }
        for (query, expected) in [
            ("ticket=0123", ""),
            ("a=1&webticket=0&b=2", "a=1&b=2"),
            ("WebTicket=0&a=1", "a=1"),
            ("a=1&TICKET", "a=1"),
            ("a=1&%74icket=0&%57eb%54icket=1", "a=1"),
            ("a=1&+ticket=0&ticket%20=0&%00ticket=0&ticket%09=1", "a=1"),
        ] {
            assert_eq!(
                query_up(query, |_| false).as_deref(),
                Some(expected),
                "{query}"
            );
        }
        for query in ["a b", "a\tb", "a\rb", "a\nb", "a\0", "\u{7f}"] {
            assert_eq!(query_up(query, |_| true), None, "{query:?}");
        }
        let given = |ticket: &str| ticket == "0123";
        let query = "a=1&ticket=0123&b&Ticket=0124&webticket";
        assert_eq!(query_up(query, given).as_deref(), Some("a=1&ticket=0123&b"));
    }

    #[test]
    fn pages_xml_and_scripts_are_rewritten_and_nothing_else() {
        let rewritten = |text| is_rewritten(Some(&HeaderValue::from_static(text)));
        for text in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "application/xhtml+xml",
            "text/xml",
            "application/xml",
            "application/rss+xml;x",
            "text/javascript",
            "application/javascript",
            "application/x-javascript",
            "image/svg+xml",
        ] {
            assert!(rewritten(text), "{text}");
        }
        for text in [
            "",
            "text/plain",
            "text/css",
            "application/json",
            "application/octet-stream",
            "image/png",
            "html",
        ] {
            assert!(!rewritten(text), "{text}");
        }
        assert!(!is_rewritten(None));
    }
}
