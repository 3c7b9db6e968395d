//! A gateway in this process, over real HTTPS, with a simulated clock; and clients of it.

#![cfg(test)]

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use accesspoint::app::App;
use accesspoint::app::administer::AddUser;
use accesspoint::app::check::CheckFinding;
use accesspoint::app::check_sources::check_sources;
use accesspoint::app::documents::document_named;
use accesspoint::clock::Clock;
use accesspoint::config::Config;
use accesspoint::domain::administer::Force;
use accesspoint::domain::person::Role;
use accesspoint::fresh::Fresh;
use accesspoint::http::router;
use accesspoint::http::server::{ServerLimits, serve};
use accesspoint::http::tls::{CertificateSource, ServerTls};
use accesspoint::store::{Actor, AuditFilter, LeaseFilter, Scope};
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::{Method, RequestBuilder, StatusCode};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running gateway; it stops when this is dropped.
pub(crate) struct Gateway {
    pub(crate) app: App,
    pub(crate) clock: Clock,
    pub(crate) address: SocketAddr,
    folder: Arc<TempDir>,
    _stop: oneshot::Sender<()>,
}

impl Gateway {
    /// A gateway with a LEF of so many CALs and three documents; `Finance/Budget.qvw` is for
    /// the group `finance` alone.
    pub(crate) async fn with_cals(cals: u32) -> Self {
        let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
        Self::with_clock(cals, "", clock, |_| ()).await
    }

    /// [`Gateway::with_cals`] with more settings, some that no key sets, and a clock.
    pub(crate) async fn with_clock(
        cals: u32,
        settings: &str,
        clock: Clock,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["Sales/Orders", "Sales/Prices", "Finance/Budget"] {
            let path = folder.path().join(format!("documents/{name}.qvw"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name.repeat(50_000)).unwrap();
        }
        let file = folder.path().join("accesspoint.toml");
        fs::write(
            &file,
            format!(
                "{settings}\n[[documents.rule]]\npath = \"Finance/**\"\ngroups = [\"finance\"]\n"
            ),
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config::load(Some(&file), std::iter::empty()).unwrap();
        config.public_url.port = address.port();
        change(&mut config);
        let source = CertificateSource::SelfSigned {
            data_dir: folder.path().to_owned(),
            names: vec!["127.0.0.1".to_owned()],
        };
        let tls = ServerTls::open(source, clock.now())
            .unwrap()
            .server_config();
        let app = App::open(config, &clock, &Fresh::seeded(7)).unwrap();
        // In front of an estate the licence is its server's.
        if app.estate().is_none() {
            let lef = format!("PRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;{cals};;\n");
            let loaded = app
                .load_license(&lef, Force::No, Actor::command_line())
                .await;
            assert_eq!(loaded.unwrap(), (cals, 0));
        }
        let stop = serving(listener, tls, app.clone());
        Self {
            app,
            clock,
            address,
            folder: Arc::new(folder),
            _stop: stop,
        }
    }

    /// Another gateway on the same ledger and keys.
    pub(crate) async fn beside(&self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = self.app.config().clone();
        config.public_url.port = address.port();
        let source = CertificateSource::SelfSigned {
            data_dir: self.folder.path().to_owned(),
            names: vec!["127.0.0.1".to_owned()],
        };
        let tls = ServerTls::open(source, self.clock.now())
            .unwrap()
            .server_config();
        let app = App::open(config, &self.clock, &Fresh::seeded(8)).unwrap();
        let stop = serving(listener, tls, app.clone());
        Self {
            app,
            clock: self.clock.clone(),
            address,
            folder: Arc::clone(&self.folder),
            _stop: stop,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(crate) async fn add(&self, name: &str, roles: &[Role]) {
        let add = AddUser {
            name: name.to_owned(),
            display_name: None,
            roles: roles.to_vec(),
            groups: Vec::new(),
            password: PASSWORD.to_owned().into(),
        };
        self.app.add_user(add, Actor::command_line()).await.unwrap();
    }

    /// A client that nobody signed in with.
    pub(crate) fn client(&self) -> Client {
        Client {
            http: reqwest::Client::builder()
                .tls_danger_accept_invalid_certs(true)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            base: self.url(""),
            cookies: Arc::default(),
            csrf_token: String::new(),
            bearer: None,
        }
    }

    /// A client with which this person signed in.
    pub(crate) async fn signed_in(&self, name: &str) -> Client {
        let mut client = self.client();
        let answer = client.sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        client
    }

    /// A new API token.
    pub(crate) async fn token(&self, scopes: &[Scope]) -> String {
        let made = self
            .app
            .create_token("test", scopes.to_vec(), 1, Actor::command_line());
        made.await.unwrap().secret
    }

    /// A program with a token.
    pub(crate) async fn with_token(&self, scopes: &[Scope]) -> Client {
        Client {
            bearer: Some(self.token(scopes).await),
            ..self.client()
        }
    }

    /// The id of a document by its name under the root.
    pub(crate) fn document(&self, name: &str) -> String {
        document_named(&self.app.library().snapshot(), &format!("{name}.qvw"))
    }

    /// What the audit says of events of this kind, the newest first: code and user of each.
    pub(crate) fn audited(&self, event: &str) -> Vec<(Option<String>, Option<String>)> {
        let filter = AuditFilter {
            limit: 1000,
            ..AuditFilter::default()
        };
        let rows = self.app.ledger().audit(&filter).unwrap().into_iter();
        let rows = rows.filter(|row| row.event == event);
        rows.map(|row| (row.code, row.user)).collect()
    }

    /// What `accesspoint check` finds of the sign-in sources.
    pub(crate) async fn checked_sources(&self) -> Vec<CheckFinding> {
        let fresh = Fresh::seeded(7);
        let found = check_sources(self.app.config(), &self.clock, &fresh);
        found.await.unwrap()
    }

    /// Begins to download a document that no buffer holds; answers the path, too.
    pub(crate) async fn large_download(&self, client: &Client) -> (String, reqwest::Response) {
        let file = std::fs::File::create(self.path("documents/Sales/Large.qvw")).unwrap();
        file.set_len(256 * 1024 * 1024).unwrap();
        self.app.library().rescan();
        let open = client.open(&self.document("Sales/Large"), "download").await;
        let url = open.body["launch"]["url"].as_str().unwrap();
        let path = url.strip_prefix(&self.url("")).unwrap().to_owned();
        let download = client.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(download.status(), 200);
        (path, download)
    }

    /// Asserts that nobody has got anything: no session, no CAL, no lease.
    pub(crate) fn gave_nothing(&self) {
        let ledger = self.app.ledger();
        assert!(ledger.sessions(None, "", 10).unwrap().is_empty());
        assert!(ledger.cals("", 10).unwrap().is_empty());
        let leases = LeaseFilter {
            limit: 10,
            ..LeaseFilter::default()
        };
        assert!(ledger.leases(&leases).unwrap().is_empty());
    }

    /// Asserts that nobody has a CAL.
    pub(crate) fn gave_no_cal(&self) {
        assert!(self.app.ledger().cals("", 10).unwrap().is_empty());
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

/// Serves until what is answered is dropped.
fn serving(listener: TcpListener, tls: Arc<ServerConfig>, app: App) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let routes = router(app);
    tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        serve(listener, tls, routes, ServerLimits::default(), stopped)
            .await
            .unwrap();
    });
    stop
}

/// A client with cookies of its own.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    pub(crate) cookies: Arc<Mutex<Vec<(String, String)>>>,
    pub(crate) csrf_token: String,
    bearer: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The problem that it must be: with everything that every problem has.
    pub(crate) fn problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.code()),
            (status, code),
            "{:?}",
            self.body
        );
        let kind = self.headers["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(
            self.body["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
        assert_eq!(
            self.body["request_id"],
            self.headers["x-request-id"].to_str().unwrap()
        );
    }
}

impl Client {
    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        let body = json!({ "username": name, "password": password });
        let answer = self.post("/api/v1/session", &body).await;
        if let Some(token) = answer.body["csrf_token"].as_str() {
            token.clone_into(&mut self.csrf_token);
        }
        answer
    }

    /// The same client, with the same cookies, at another gateway.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self {
            base: format!("https://{address}"),
            ..self.clone()
        }
    }

    /// Another client with a copy of the cookies, which no answer to this one takes away.
    pub(crate) fn copy(&self) -> Self {
        let cookies = self.cookies.lock().unwrap().clone();
        Self {
            cookies: Arc::new(Mutex::new(cookies)),
            ..self.clone()
        }
    }

    /// The same client with another CSRF token.
    pub(crate) fn with_csrf_token(&self, token: &str) -> Self {
        Self {
            csrf_token: token.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn open(&self, document: &str, client: &str) -> Answer {
        let body = json!({ "client": client });
        self.post(&format!("/api/v1/documents/{document}/open"), &body)
            .await
    }

    /// A request with this client's cookies, CSRF token and bearer token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        let cookies = self.cookies.lock().unwrap();
        if !cookies.is_empty() {
            let pairs: Vec<String> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        if !self.csrf_token.is_empty() {
            request = request.header("x-csrf-token", &self.csrf_token);
        }
        match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            self.keep(cookie);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            bytes,
            body,
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        cookies
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
    }

    fn keep(&self, cookie: &HeaderValue) {
        let text = cookie.to_str().unwrap();
        let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        cookies.retain(|(known, _)| known != name);
        if !text.contains("Max-Age=0") {
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}
