//! The web server (QVWS): tickets, the `AccessPoint` page and its protocol, documents in a browser,
//! the plug-in's page, the tunnel.

mod access_point;
mod judge;
mod pages;
mod socket;
mod ticket;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use accesspoint::clock::Clock;
use accesspoint::fresh::Fresh;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::listening::Connection;
use super::management::Lease;
use super::{NEVER, Shared, instant, tunnel};
use access_point::View;
use ticket::Ticket;
pub(crate) use ticket::TicketAsked;
pub(crate) use wrong::WebWrong;

pub(crate) use super::ntlm::Account;

/// The server whose documents the web servers have.
pub(crate) const SERVER: &str = "QVS@cluster";
/// The cookie of a session there. RECALLED
pub(crate) const SESSION_COOKIE: &str = "AccessPointSession";
/// A cookie that every answer sets.
const NODE_COOKIE: &str = "QvNode";
/// The page that asks for a name and a password.
const SIGN_IN_PAGE: &str = "/qlikview/login.htm";

/// A document of the server.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) path: String,
    pub(crate) title: String,
    pub(crate) category: String,
    pub(crate) size: String,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    pub(crate) modified: String,
    pub(crate) clients: String,
    /// User names and groups that see it; empty for everybody.
    pub(crate) readers: Vec<String>,
}

impl Document {
    pub(crate) fn new(path: &str, category: &str, readers: &[&str]) -> Self {
        let file = path.rsplit('/').next().unwrap_or(path);
        Self {
            path: path.to_owned(),
            title: file.trim_end_matches(".qvw").to_owned(),
            category: category.to_owned(),
            size: "2 MB".to_owned(),
            modified: "2026-11-20 06:30:00".to_owned(),
            clients: "Plugin;Ajax;AjaxOnSmallDevices".to_owned(),
            readers: readers.iter().map(|&reader| reader.to_owned()).collect(),
        }
    }
}

/// What the web servers know and were asked.
pub(crate) struct Web {
    /// What they do wrong: where the folded path begins so, and what.
    pub(crate) wrong: Vec<(String, WebWrong)>,
    /// Who may ask for tickets.
    pub(crate) trusted: Vec<IpAddr>,
    /// Whoever may ask for tickets signs in by NTLM, where there is an account.
    pub(crate) ntlm: Option<Account>,
    pub(crate) documents: Vec<Document>,
    /// The machine on which the plug-in runs, as the server tells machines.
    pub(crate) machine: String,
    /// How long after the plug-in's page a lease is there.
    pub(crate) lease_after: Duration,
    pub(crate) tickets_asked: Vec<TicketAsked>,
    /// Whether requests are judged and kept; a load would fill the memory with them.
    pub(crate) keeps_requests: bool,
    /// Every request, in the order in which they came.
    pub(crate) asked: Vec<Asked>,
    tickets: BTreeMap<String, Ticket>,
    sessions: BTreeMap<(usize, String), Session>,
    /// Users, folded, and the documents that they marked.
    favourites: BTreeSet<(String, String)>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            wrong: Vec::new(),
            trusted: vec![IpAddr::from([127, 0, 0, 1])],
            ntlm: None,
            documents: vec![
                Document::new("Sales/Orders.qvw", "Sales", &[]),
                Document::new("Sales/Prices & Terms.qvw", "Sales", &[]),
                Document::new("Größen/Maße.qvw", "Production", &[]),
                Document::new("Finance/Budget.qvw", "Finance", &["finance"]),
            ],
            machine: "PC-STAND-IN".to_owned(),
            lease_after: Duration::from_millis(200),
            tickets_asked: Vec::new(),
            keeps_requests: true,
            asked: Vec::new(),
            tickets: BTreeMap::new(),
            sessions: BTreeMap::new(),
            favourites: BTreeSet::new(),
        }
    }
}

impl Web {
    /// What is wrong from now on with paths that begin so, whatever their case.
    pub(crate) fn does(&mut self, at: &str, wrong: WebWrong) {
        self.wrong.push((at.to_lowercase(), wrong));
    }

    /// How often a path was asked, whatever its case.
    pub(crate) fn times(&self, path: &str) -> usize {
        let asked = self.asked.iter();
        asked.filter(|asked| asked.is_at(path)).count()
    }

    /// Nobody is signed in any more.
    pub(crate) fn forget_sessions(&mut self) {
        self.sessions.clear();
    }

    /// How many people are signed in.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The number of the web server.
    pub(crate) server: usize,
    pub(crate) method: Method,
    /// Path and query, as they came.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// Whose session it came in.
    pub(crate) user: Option<String>,
}

impl Asked {
    fn is_at(&self, path: &str) -> bool {
        let (asked, _) = self.target.split_once('?').unwrap_or((&self.target, ""));
        asked.eq_ignore_ascii_case(path)
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
struct Session {
    user: String,
    groups: Vec<String>,
    view: View,
}

impl Session {
    fn sees(&self, document: &Document) -> bool {
        let is_theirs = |reader: &String| {
            reader.eq_ignore_ascii_case(&self.user) || self.groups.contains(reader)
        };
        document.readers.is_empty() || document.readers.iter().any(is_theirs)
    }
}

/// One web server.
#[derive(Clone)]
pub(super) struct WebServer {
    known: Shared,
    clock: Clock,
    fresh: Fresh,
    number: usize,
    /// Its own address, which is of no use outside.
    origin: String,
}

impl WebServer {
    pub(super) fn new(known: Shared, clock: Clock, number: usize, origin: String) -> Self {
        Self {
            known,
            clock,
            fresh: Fresh::system(),
            number,
            origin,
        }
    }

    pub(super) fn routes(self) -> Router {
        Router::new().fallback(answer).with_state(self)
    }

    /// Reads and changes what the web servers know.
    fn web<T>(&self, with: impl FnOnce(&mut Web) -> T) -> T {
        with(&mut self.known.lock().unwrap().web)
    }

    fn complain(&self, about: &str, complaint: &str) {
        let mut known = self.known.lock().unwrap();
        known.complaints.push(format!("{about}: {complaint}"));
    }

    /// Keeps a request and what is wrong with it; what is wrong with this server's answer.
    fn note(&self, request: &Request) -> Option<WebWrong> {
        let mut known = self.known.lock().unwrap();
        if !known.web.keeps_requests {
            return None;
        }
        let target = request.uri().to_string();
        let session = self.session_in(&known.web, request.headers());
        let user = session.map(|(_, session)| session.user.clone());
        for complaint in judge::complaints(request, &self.origin, user.is_some()) {
            known.complaints.push(format!("{target}: {complaint}"));
        }
        known.web.asked.push(Asked {
            server: self.number,
            method: request.method().clone(),
            target,
            headers: request.headers().clone(),
            user,
        });
        let path = request.uri().path().to_lowercase();
        let mut wrong = known.web.wrong.iter();
        let wrong = wrong.find(|(at, _)| path.starts_with(at.as_str()));
        wrong.map(|(_, wrong)| wrong.clone())
    }

    /// The session of a request, with the cookie that it has.
    fn session(&self, headers: &HeaderMap) -> Option<(String, Session)> {
        self.web(|web| self.session_in(web, headers))
    }

    fn session_in(&self, web: &Web, headers: &HeaderMap) -> Option<(String, Session)> {
        let id = cookie(headers, SESSION_COOKIE)?;
        let session = web.sessions.get(&(self.number, id.clone()))?.clone();
        Some((id, session))
    }

    async fn page(&self, connection: &Connection, request: Request) -> Response {
        let path = request.uri().path().to_lowercase();
        let query = Query::of(request.uri());
        match path.as_str() {
            "/qvajaxzfc/getwebticket.aspx" => self.get_web_ticket(connection, request).await,
            "/qvajaxzfc/authenticate.aspx" => self.authenticate(&query, request.headers()),
            "/qvajaxzfc/getloginpageurl.aspx" => SIGN_IN_PAGE.into_response(),
            "/qvajaxzfc/qvsstatus.aspx" => pages::xml("<status>OK</status>".to_owned()),
            SIGN_IN_PAGE | "/qlikview/formlogin.htm" => pages::sign_in(),
            tunnel::PATH => tunnel::echo(request),
            _ => match self.session(request.headers()) {
                Some((id, session)) => self.inner_page(&path, &query, (id, session), request).await,
                None => self.without_session(&request),
            },
        }
    }

    /// Pages lead to the sign-in page, programs are told.
    fn without_session(&self, request: &Request) -> Response {
        if request.method() == Method::GET {
            let wanted = encoded(&request.uri().to_string());
            return self.leads_to(&format!("{}{SIGN_IN_PAGE}?try={wanted}", self.origin));
        }
        StatusCode::UNAUTHORIZED.into_response()
    }

    #[expect(clippy::unused_self, reason = "it reads as what this server does")]
    fn leads_to(&self, location: &str) -> Response {
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    }

    async fn inner_page(
        &self,
        path: &str,
        query: &Query,
        (id, session): (String, Session),
        request: Request,
    ) -> Response {
        match path {
            "/qvajaxzfc/accesspoint.aspx" if request.method() == Method::POST => {
                self.update(&id, request).await
            }
            "/qvajaxzfc/accesspoint.aspx" => self.open(query, &session),
            "/qvajaxzfc/qvsviewclient.aspx" if socket::is_asked_for(&request) => {
                socket::answer(request)
            }
            "/qvajaxzfc/qvsviewclient.aspx" => self.view(query, &session, request).await,
            "/qvplugin/opendoc.htm" => self.plugin_page(query, &session),
            _ => pages::plain(&self.origin, path, query, request.headers()),
        }
    }

    /// The server leases to the machine of the plug-in, where the person has a named CAL.
    fn lease_soon(&self, user: &str) {
        let (known, clock) = (Shared::clone(&self.known), self.clock.clone());
        let user = user.to_uppercase();
        tokio::spawn(async move {
            let after = known.lock().unwrap().web.lease_after;
            tokio::time::sleep(after).await;
            let mut known = known.lock().unwrap();
            let holds = |cal: &super::management::Cal| cal.0.eq_ignore_ascii_case(&user);
            if known.lease != Some(true) || !known.assigned.iter().any(holds) {
                return;
            }
            let machine = known.web.machine.clone();
            let at = instant(clock.now());
            let leases = &mut known.leases;
            leases.retain(|lease| lease.user != user || lease.machine != machine);
            leases.push(Lease::new(&user, &machine, &at, NEVER));
        });
    }
}

async fn answer(State(server): State<WebServer>, request: Request) -> Response {
    let wrong = server.note(&request);
    let connection = request.extensions().get::<Connection>().unwrap().clone();
    let path = request.uri().path().to_owned();
    let answer = match &wrong {
        Some(wrong) => match wrong.before().await {
            Some(answer) => answer,
            None => wrong.after(server.page(&connection, request).await).await,
        },
        None => server.page(&connection, request).await,
    };
    with_what_is_inside(answer, &server.origin, &path)
}

/// Every answer tells what nobody outside should know.
fn with_what_is_inside(mut answer: Response, origin: &str, path: &str) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in [
        ("server", "Microsoft-HTTPAPI/2.0"),
        ("x-powered-by", "ASP.NET"),
        ("x-inside-node", origin),
        ("content-location", &format!("{origin}{path}")),
        ("access-control-allow-origin", "*"),
        ("strict-transport-security", "max-age=0"),
        ("keep-alive", "timeout=5"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let node = format!("{NODE_COOKIE}=inside; path=/");
    headers.append(header::SET_COOKIE, HeaderValue::try_from(node).unwrap());
    answer
}

/// The value of a cookie.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.to_str().unwrap_or_default().split("; "));
    let mut values = pairs.filter_map(|pair| pair.split_once('='));
    let found = values.find(|(known, _)| *known == name)?;
    Some(found.1.to_owned())
}

/// The parameters of a query, decoded.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(uri: &Uri) -> Self {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The value of a parameter; empty where there is none.
    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The whole body of a request.
async fn body_of(request: Request) -> String {
    let body: Body = request.into_body();
    let bytes = axum::body::to_bytes(body, 1024 * 1024).await;
    String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap_or_default()
}
