//! What handlers take from a request: who asks, in which language, from where, with which form.

mod caller;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(super) use caller::{
    ApiPerson, Caller, Command, EnrollingPerson, MayManageCals, MayManagePeople, MayManageSite,
    MayRead, Permission, bearer_token, command, shortened,
};

use super::BODY_BYTES_MAX;
use super::deep_link;
use super::failure::Failure;
use super::server::Peer;
use super::session::{SECRET_CHARACTERS, SESSION_COOKIE, hash_of};
use crate::app::App;
use crate::app::sign_in::Client;
use crate::causes;
use crate::config::Networks;
use crate::store::{Actor, SessionInfo, Side};
use crate::text::{Language, Problem};

/// How long a body that is read whole may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// The cookie of a workstation.
pub(super) const WORKSTATION_COOKIE: &str = "__Host-workstation";
/// The cookie that a sign-in form belongs to.
pub(super) const SIGN_IN_COOKIE: &str = "__Host-sign-in";
/// The cookie of a chosen language.
pub(super) const LANGUAGE_COOKIE: &str = "__Host-language";

/// The cookie that our script sets inside Desktop's embedded browser.
const DESKTOP_COOKIE: &str = "__Host-desktop";

/// What the outermost layer keeps of a request: enough to say what went wrong with it. Clones share
/// it.
#[derive(Clone, Debug)]
pub(super) struct Asked(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    request_id: String,
    peer: Option<Peer>,
    address: Result<IpAddr, Problem>,
    uri: Uri,
    is_safe: bool,
    cookie: Option<HeaderValue>,
    accept_language: Option<HeaderValue>,
    provider_origin: OnceLock<String>,
}

impl Asked {
    pub(super) fn new(request: &mut Request, request_id: String, proxies: &Networks) -> Self {
        let peer = request.extensions_mut().remove();
        let header = |name| request.headers().get(name).cloned();
        Self(Arc::new(Kept {
            request_id,
            peer,
            address: client_address(peer_address(peer), proxies, request.headers()),
            uri: request.uri().clone(),
            is_safe: request.method().is_safe(),
            cookie: header(header::COOKIE),
            accept_language: header(header::ACCEPT_LANGUAGE),
            provider_origin: OnceLock::new(),
        }))
    }

    /// The id of the request.
    pub(super) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Where the request comes from; none where no server of ours took it.
    pub(super) fn peer(&self) -> Option<Peer> {
        self.0.peer
    }

    /// The address of the client: the trusted proxy in front says it, where there is one.
    ///
    /// # Errors
    ///
    /// The proxy says two of them.
    fn address(&self) -> Result<IpAddr, Problem> {
        self.0.address.clone()
    }

    /// The address that counts for what is refused: the client's; the proxy's where that says two.
    pub(super) fn refused_address(&self) -> IpAddr {
        self.address().unwrap_or(peer_address(self.0.peer))
    }

    /// Path and query.
    pub(super) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// Whether the same address can be asked for again: it was only looked at.
    pub(super) fn is_safe(&self) -> bool {
        self.0.is_safe
    }

    /// Notes where the form that signs out on the answer's page may lead besides this site.
    pub(super) fn may_lead_to(&self, origin: &str) {
        self.0.provider_origin.get_or_init(|| origin.to_owned());
    }

    /// Where forms on the answer's page may lead besides this site.
    pub(super) fn leads_to(&self) -> Option<&str> {
        self.0.provider_origin.get().map(String::as_str)
    }

    /// Whether a program asks, which wants problem+json.
    pub(super) fn is_api(&self) -> bool {
        self.uri().path().starts_with("/api/")
    }

    /// The value of a cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let mut cookies = self.cookies();
        cookies
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// The names and values of all cookies.
    pub(super) fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let line = self.0.cookie.as_ref().and_then(|line| line.to_str().ok());
        line.unwrap_or_default().split(';').map(|cookie| {
            let cookie = cookie.trim_ascii();
            let (name, value) = cookie.split_once('=').unwrap_or((cookie, ""));
            (name.trim_ascii_end(), value)
        })
    }

    /// The language: chosen in the address, chosen before, or what the browser prefers.
    pub(super) fn language(&self) -> Language {
        let before = || self.cookie(LANGUAGE_COOKIE).and_then(Language::from_word);
        let preferred = self
            .0
            .accept_language
            .as_ref()
            .and_then(|value| value.to_str().ok());
        self.chosen_language()
            .or_else(before)
            .unwrap_or_else(|| Language::from_accept_language(preferred.unwrap_or_default()))
    }

    /// The language that `lang` in the address chooses.
    pub(super) fn chosen_language(&self) -> Option<Language> {
        let mut pairs = self
            .uri()
            .query()?
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(name, _)| *name == "lang")
            .and_then(|(_, word)| Language::from_word(word))
    }

    /// Whether the page is shown inside Desktop; our script found out and set the cookie.
    pub(super) fn in_desktop(&self) -> bool {
        self.cookie(DESKTOP_COOKIE).is_some()
    }

    /// Path and query as text.
    pub(super) fn path_and_query(&self) -> &str {
        self.uri()
            .path_and_query()
            .map_or("/", axum::http::uri::PathAndQuery::as_str)
    }

    /// The live session that the cookie names.
    pub(super) fn signed(&self, app: &App) -> Result<Option<Signed>, Failure> {
        match self.cookie(SESSION_COOKIE) {
            Some(secret) if secret.len() == SECRET_CHARACTERS => Signed::by_secret(app, secret),
            _ => Ok(None),
        }
    }

    /// What is said where nobody is signed in: `wanted`; or to wait, where the address has named very
    /// many sessions that do not exist (S-05), which signing in does not have to.
    fn nobody(&self, app: &App, wanted: Failure) -> Failure {
        if self.cookie(SESSION_COOKIE).is_none() {
            return wanted;
        }
        match app.guesses_session(self.refused_address()) {
            Ok(()) => wanted,
            Err(wait) => {
                let page = if self.is_safe() {
                    self.path_and_query()
                } else {
                    "/"
                };
                let again = deep_link::sign_in_page(app, self, page);
                Failure::start_again(Problem::TooManyGuesses { wait }, again)
            }
        }
    }
}

/// Somebody with a live session.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// The session.
    pub(super) info: Arc<SessionInfo>,
    secret: String,
}

impl Signed {
    /// Whose live session this secret opens.
    pub(super) fn by_secret(app: &App, secret: &str) -> Result<Option<Self>, Failure> {
        let session = app.ledger().session(&hash_of(secret))?;
        Ok(session.map(|info| Self {
            info,
            secret: secret.to_owned(),
        }))
    }

    /// Whether this is the session that the secret opens.
    pub(super) fn is_of(&self, secret: &str) -> bool {
        self.secret == secret
    }

    /// The CSRF token of this session.
    pub(super) fn csrf_token(&self, app: &App) -> String {
        app.csrf().token(&self.secret)
    }

    /// Whether this is the CSRF token of this session.
    pub(super) fn accepts_token(&self, app: &App, token: &str) -> bool {
        app.csrf().accepts(&self.secret, token)
    }

    /// Refuses changes of password, factors and other sessions to a session that a web ticket opened,
    /// for the gateway itself has checked nothing of its person, and to one that uses pages of the
    /// web server.
    pub(super) fn may_change_account(&self) -> Result<(), Failure> {
        if self.info.by_ticket {
            return Err(Problem::SignInAgain.into());
        }
        self.keeps_to_gateway()
    }

    /// Refuses a session that uses pages of the web server: they share the gateway's origin, so that
    /// it may be such a page that asks.
    pub(super) fn keeps_to_gateway(&self) -> Result<(), Failure> {
        if self.info.side == Side::WebServer {
            return Err(Problem::SignInAgain.into());
        }
        Ok(())
    }

    /// Refuses a session whose person proved too long ago who they are.
    pub(super) fn must_be_confirmed(&self, app: &App) -> Result<(), Failure> {
        if app.is_confirmed(&self.info) {
            Ok(())
        } else {
            Err(Problem::SignInAgain.into())
        }
    }

    /// This person, as the audit names who caused something.
    pub(super) fn actor(&self) -> Actor {
        Actor::person(&self.info.person.name)
    }
}

impl FromRequestParts<App> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::Internal.into())
    }
}

/// The values of the query; what does not fit is named.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, app).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Failure::body_invalid(causes::innermost(&rejection))),
        }
    }
}

/// A page's visitor: somebody signed in; others are sent to sign in and come back, and whoever needs
/// a second factor and has none, to enrol one.
pub(super) struct Visitor {
    pub(super) asked: Asked,
    pub(super) signed: Signed,
}

/// A visitor who may be one that has to enrol a second factor before anything else.
pub(super) struct EnrollingVisitor(pub(super) Visitor);

impl FromRequestParts<App> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let EnrollingVisitor(visitor) = EnrollingVisitor::from_request_parts(parts, app).await?;
        match visitor.signed.info.enrol_for {
            Some(_) => Err(Failure::enrol_first()),
            None => Ok(visitor),
        }
    }
}

impl FromRequestParts<App> for EnrollingVisitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let asked = Asked::from_request_parts(parts, app).await?;
        match asked.signed(app)? {
            Some(signed) => Ok(Self(Visitor { asked, signed })),
            None if parts.method.is_safe() => {
                Err(asked.nobody(app, Failure::sign_in_first(&asked)))
            }
            None => Err(asked.nobody(app, Problem::SignInRequired.into())),
        }
    }
}

/// The fields of a form whose CSRF token was checked; there is no other way to them.
pub(super) struct CheckedForm<T> {
    pub(super) visitor: Visitor,
    pub(super) fields: T,
}

/// A checked form of somebody who may have to enrol a second factor before anything else.
pub(super) struct EnrollingForm<T>(pub(super) CheckedForm<T>);

#[derive(Deserialize)]
struct WithToken<T> {
    #[serde(default)]
    csrf_token: String,
    #[serde(flatten)]
    fields: T,
}

impl<T: DeserializeOwned> FromRequest<App> for CheckedForm<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let EnrollingForm(form) = EnrollingForm::from_request(request, app).await?;
        match form.visitor.signed.info.enrol_for {
            Some(_) => Err(Failure::enrol_first()),
            None => Ok(form),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<App> for EnrollingForm<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let EnrollingVisitor(visitor) =
            EnrollingVisitor::from_request_parts(&mut parts, app).await?;
        if is_prefetch(&parts.headers) {
            return Err(Problem::NotAsked.into());
        }
        let (token, fields) = read_form(app, Request::from_parts(parts, body)).await?;
        if !visitor.signed.accepts_token(app, &token) {
            return Err(Problem::CsrfTokenInvalid.into());
        }
        Ok(Self(CheckedForm { visitor, fields }))
    }
}

/// Reads a form that no page of another site sends: its CSRF token, not yet checked, and its fields.
pub(super) async fn read_form<T: DeserializeOwned>(
    app: &App,
    request: Request,
) -> Result<(String, T), Failure> {
    if is_foreign(app, request.headers()) {
        return Err(Problem::CsrfTokenInvalid.into());
    }
    announces_no_more_than_is_read(&request)?;
    let form = in_time(
        BODY_TIME_MAX,
        Form::<WithToken<T>>::from_request(request, &()),
    )
    .await?;
    let Form(form) = form.map_err(|rejection| Failure::form(&rejection))?;
    Ok((form.csrf_token, form.fields))
}

/// A body as it came, read whole.
pub(super) struct WholeBody(pub(super) Bytes);

impl FromRequest<App> for WholeBody {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let body = in_time(BODY_TIME_MAX, Bytes::from_request(request, app)).await?;
        let body = body.map_err(|rejection| Failure::status(rejection.status()))?;
        Ok(Self(body))
    }
}

/// Waits for a body, but not for ever: one that drips holds a place that others need (H-04).
async fn in_time<T>(most: Duration, reading: impl Future<Output = T>) -> Result<T, Failure> {
    let read = tokio::time::timeout(most, reading).await;
    read.map_err(|_| Problem::TooSlow.into())
}

/// Refuses a body by the length that it announces, before any of it is waited for. Bodies of forms
/// and of JSON are read up to the limit of all routes.
pub(super) fn announces_no_more_than_is_read(request: &Request) -> Result<(), Failure> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(Problem::TooLarge.into());
    }
    Ok(())
}

/// Whether a browser asks ahead, for something that nobody has clicked yet.
pub(super) fn is_prefetch(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-purpose") || headers.contains_key("purpose")
}

/// Whether a page of another site makes this request. `Origin: null` is what browsers send from our
/// own pages too, because they give no referrer; there the token decides.
pub(super) fn is_foreign(app: &App, headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    sites.any(|site| site == "cross-site" || site == "same-site")
        || origins.any(|origin| {
            let host = origin
                .to_str()
                .ok()
                .and_then(|text| text.strip_prefix("https://"));
            origin != "null" && !host.is_some_and(|host| app.accepts_host(host))
        })
}

/// Whether a page of another site may make this request, where no token of ours speaks for it:
/// `null` is then as foreign as any name, unless the browser vouches for it.
pub(super) fn may_be_foreign(app: &App, headers: &HeaderMap) -> bool {
    let holds = |name: &str, value: &str| headers.get_all(name).iter().any(|found| found == value);
    let null = holds("origin", "null") && !holds("sec-fetch-site", "same-origin");
    null || is_foreign(app, headers)
}

/// Where a request comes from, for sign-ins.
pub(super) struct FromClient(pub(super) Client);

impl FromRequestParts<App> for FromClient {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let asked = Asked::from_request_parts(parts, app).await?;
        let peer = peer_address(asked.peer());
        let trusted = app.config().proxy.trusted.contains(peer);
        let text = |name: &str| {
            let value = parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.map(str::trim).filter(|value| !value.is_empty())
        };
        let header = app.config().workstation.header.as_ref().filter(|_| trusted);
        Ok(Self(Client {
            address: asked.address()?,
            agent: text("user-agent").unwrap_or_default().to_owned(),
            workstation_cookie: asked.cookie(WORKSTATION_COOKIE).map(str::to_owned),
            workstation_header: header
                .and_then(|name| parts.headers.get(name.as_str()))
                .map(|name| any_text(name.as_bytes()).trim().to_owned())
                .filter(|name| !name.is_empty()),
        }))
    }
}

/// Text in UTF-8; in Latin-1 where it is none.
fn any_text(bytes: &[u8]) -> String {
    let latin = || bytes.iter().copied().map(char::from).collect();
    std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned)
}

/// The address of whoever is at the other end of the connection; none where no server of ours took it.
fn peer_address(peer: Option<Peer>) -> IpAddr {
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.client.ip())
}

/// The address of a request's client.
fn client_address(
    peer: IpAddr,
    proxies: &Networks,
    headers: &HeaderMap,
) -> Result<IpAddr, Problem> {
    if proxies.contains(peer) {
        last_hop(headers).map(|hop| hop.unwrap_or(peer))
    } else {
        Ok(peer)
    }
}

/// The client as the trusted proxy in front tells it: its own word is the last. Where both headers are
/// there and do not agree, one of them is the client's own, and nobody can tell which.
fn last_hop(headers: &HeaderMap) -> Result<Option<IpAddr>, Problem> {
    let last = |name: &str| {
        let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        line.rsplit(',').next().map(str::trim)
    };
    let forwarded = last("forwarded").map(|hop| {
        let pairs = hop
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        let mut node = pairs
            .filter(|(name, _)| name.eq_ignore_ascii_case("for"))
            .map(|(_, v)| v);
        node.next_back()
            .and_then(|node| address(node.trim_matches('"')))
    });
    match (forwarded, last("x-forwarded-for").map(address)) {
        (Some(one), Some(other)) if one != other => {
            tracing::warn!("Forwarded and X-Forwarded-For of a trusted proxy do not agree");
            Err(Problem::BadRequest)
        }
        (one, other) => Ok(one.or(other).flatten()),
    }
}

/// An address as proxies write it: with a port, in brackets, or plain.
fn address(text: &str) -> Option<IpAddr> {
    let socket = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(socket).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[tokio::test]
    async fn h_04_a_body_that_never_ends_is_not_waited_for() {
        let dripping = in_time(Duration::from_millis(1), std::future::pending::<Bytes>());
        let failure = dripping.await.unwrap_err();
        assert!(format!("{failure:?}").contains("TooSlow"));
        let whole = in_time(BODY_TIME_MAX, std::future::ready(1)).await;
        assert_eq!(whole.unwrap(), 1);
    }

    #[test]
    fn cookies_are_told_apart_by_their_whole_names() {
        let line = "a=1=2; __Host-session=x;b;\t__Host-session =y; __Host-sessions=z; c";
        let request = Request::builder().header(header::COOKIE, line);
        let mut request = request.body(Body::empty()).unwrap();
        let asked = Asked::new(&mut request, String::new(), &Networks::default());
        let sessions = asked.cookies().filter(|(name, _)| *name == SESSION_COOKIE);
        let sessions: Vec<&str> = sessions.map(|(_, value)| value).collect();
        assert_eq!(sessions, ["x", "y"]);
        assert_eq!(asked.cookie(SESSION_COOKIE), Some("x"));
        assert_eq!(asked.cookie("a"), Some("1=2"));
        assert_eq!(asked.cookie("b"), Some(""));
        assert_eq!(asked.cookie(" a"), None);
        assert_eq!(asked.cookie("__Host-"), None);
    }

    #[test]
    fn the_last_hop_is_what_the_nearest_proxy_says() {
        let table = [
            ("x-forwarded-for", "1.1.1.1, 10.0.0.9", Some("10.0.0.9")),
            ("x-forwarded-for", "10.0.0.9:4711", Some("10.0.0.9")),
            ("x-forwarded-for", "[2001:db8::1]:4711", Some("2001:db8::1")),
            ("x-forwarded-for", "unknown", None),
            (
                "forwarded",
                "for=1.1.1.1, for=\"[2001:db8::7]\";proto=https",
                Some("2001:db8::7"),
            ),
            ("forwarded", "proto=https;For=10.0.0.3", Some("10.0.0.3")),
            ("forwarded", "for=_hidden", None),
        ];
        for (name, value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(
                last_hop(&headers).unwrap(),
                expected.map(|text| text.parse().unwrap()),
                "{value}"
            );
        }
    }
}
