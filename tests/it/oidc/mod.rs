//! Signing in and out through providers, over real HTTPS: conformance names and attacks, by id.
//!
//! Every refusal is held against [`Site::refused`].

#![cfg(test)]

mod begin;
mod check;
mod conformance;
mod logout;
mod metadata;
mod second_factor;
mod tokens;
mod under_way;

use std::sync::Mutex;
use std::time::Duration;

use accesspoint::clock::Clock;
use accesspoint::store::{AuditFilter, AuditRow, LeaseFilter};
use reqwest::Method;

use crate::gateway::{Answer, Client, Gateway};
use crate::provider::{CLIENT_ID, Provider, SECRET, Wrong};

/// What somebody wanted when they began: a document.
const WANTED: &str = "/QvAJAXZfc/AccessPoint.aspx?open=&id=Sales%2FOrders.qvw";
/// The same in the link that starts again.
const WANTED_AGAIN: &str = "/oidc/corp/login?return_to=%2FQvAJAXZfc%2FAccessPoint.aspx%3Fopen%3D%26id%3DSales%252FOrders.qvw";

/// How long a provider may take in these tests.
const PATIENCE: Duration = Duration::from_secs(2);

/// A gateway with a provider called corp, and a browser. Whoever signs in gets a named CAL.
pub(crate) struct Site {
    gateway: Gateway,
    provider: Provider,
    browser: Client,
    outside: reqwest::Client,
    noted: Mutex<Noted>,
}

/// What a refused sign-in is measured against.
#[derive(Default)]
struct Noted {
    /// The number of the last audit event.
    seq: i64,
    /// The sessions, CALs and leases that people have.
    given: Vec<String>,
}

/// Somebody without cookies signs in by this link; the answer to the callback.
pub(crate) async fn stranger_signs_in(site: &Site, path: &str) -> Answer {
    let browser = site.gateway.client();
    let away = browser.get(path).await;
    assert_eq!(away.status, 303, "{path}");
    let back = site.authorize(&away.location()).await;
    browser.get(&back).await
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// With more settings of the provider.
    async fn with(settings: &str) -> Self {
        let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
        let provider = Provider::start(clock.clone()).await;
        let settings = format!("client_secret = '{SECRET}'\n{settings}");
        Self::of(provider, &settings, clock).await
    }

    async fn of(provider: Provider, settings: &str, clock: Clock) -> Self {
        let settings = format!(
            "[[sign_in.source]]\nkind = 'local'\nname = 'local'\n{}",
            source("corp", &provider.issuer(), settings)
        );
        Self::from(provider, &settings, clock).await
    }

    async fn from(provider: Provider, settings: &str, clock: Clock) -> Self {
        let gateway = Gateway::with_clock(5, settings, clock, |config| {
            for oidc in config.sign_in.oidc.values_mut() {
                oidc.timeout = PATIENCE;
            }
        })
        .await;
        let outside = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let site = Self {
            browser: gateway.client(),
            gateway,
            provider,
            outside,
            noted: Mutex::default(),
        };
        site.note();
        site
    }

    /// The name by which browsers call the gateway.
    pub(crate) fn address(&self) -> String {
        self.gateway.address.to_string()
    }

    /// Begins a sign-in; answers where the browser is sent.
    async fn begin(&self) -> String {
        let path = WANTED_AGAIN;
        let away = self.browser.get(path).await;
        assert_eq!(away.status, 303, "{}", away.text());
        away.location()
    }

    /// What the provider sends the browser back with: a path of ours.
    async fn authorize(&self, url: &str) -> String {
        let back = self.outside.get(url).send().await.unwrap();
        assert_eq!(back.status(), 303);
        let to = back.headers()["location"].to_str().unwrap();
        to.strip_prefix(&self.gateway.url("")).unwrap().to_owned()
    }

    /// Begins a sign-in and lets the provider answer; the callback's path.
    async fn callback(&self) -> String {
        let url = self.begin().await;
        self.authorize(&url).await
    }

    /// A whole sign-in; the answer to the callback.
    async fn sign_in(&self) -> Answer {
        let callback = self.callback().await;
        self.browser.get(&callback).await
    }

    /// A whole sign-in that must succeed, and lead to what was wanted.
    async fn accepted(&self) {
        self.let_in(&self.sign_in().await);
        let session = self.browser.get("/api/v1/session").await;
        assert_eq!(session.status, 200);
    }

    /// The answer to a callback must begin a session, and lead to what was wanted.
    fn let_in(&self, answer: &Answer) {
        self.let_in_to(answer, WANTED);
    }

    fn let_in_to(&self, answer: &Answer, wanted: &str) {
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(answer.location(), wanted);
        let mut cookies = answer.headers.get_all("set-cookie").iter();
        let begins = cookies.any(|it| {
            it.to_str()
                .is_ok_and(|it| it.starts_with("__Host-session="))
        });
        assert!(begins, "{:?}", answer.headers);
        self.note();
    }

    /// Takes note of what has rightly happened so far: what comes next is told apart from it.
    fn note(&self) {
        *self.noted.lock().unwrap() = Noted {
            seq: self.last_event().seq,
            given: self.given(),
        };
    }

    /// Every session, CAL and lease.
    fn given(&self) -> Vec<String> {
        let ledger = self.gateway.app.ledger();
        let filter = LeaseFilter {
            limit: 1000,
            ..LeaseFilter::default()
        };
        let sessions = ledger.sessions(None, "", 1000).unwrap();
        let cals = ledger.cals("", 1000).unwrap();
        let leases = ledger.leases(&filter).unwrap();
        let sessions = sessions.iter().map(|row| format!("session {}", row.id));
        let cals = cals.iter().map(|row| format!("CAL of {}", row.user));
        let leases = leases.iter().map(|row| format!("{:?}", row.lease));
        sessions.chain(cals).chain(leases).collect()
    }

    /// A whole sign-in with something wrong, which must be refused for this reason.
    async fn refuses(&self, status: u16, code: &str, wrong: impl FnOnce(&mut Wrong)) {
        self.provider.right();
        self.provider.wrong(wrong);
        let answer = self.sign_in().await;
        self.refused(&answer, status, code);
        self.provider.right();
    }

    /// What every refused sign-in must be: no session, no CAL, no lease, exactly one audit event
    /// with its reason, and a page with a sentence and a link that starts again and keeps what was
    /// wanted.
    fn refused(&self, answer: &Answer, status: u16, code: &str) {
        self.refused_with_link(answer, status, code, WANTED_AGAIN);
    }

    fn refused_with_link(&self, answer: &Answer, status: u16, code: &str, link: &str) {
        assert_eq!(
            (answer.status.as_u16(), self.last_code().as_str()),
            (status, code),
            "{:?}",
            self.last_event()
        );
        let before = self.noted.lock().unwrap().seq;
        assert_eq!(self.last_event().seq, before + 1, "{code}: not one event");
        self.gave_nothing_more();
        match code {
            // Somebody who is known at the provider comes back as the same, unless they sign in anew.
            "SIGN_IN_REFUSED" | "USER_NAME_TAKEN" | "USER_DISABLED" => {
                let link = format!("{link}&#38;again=1");
                leads_on(answer, &link, "Sign in as somebody else");
            }
            _ => leads_back(answer, link),
        }
        self.note();
    }

    /// Asserts that nobody has got anything since the last note: no session, no CAL, no lease.
    fn gave_nothing_more(&self) {
        assert_eq!(self.given(), self.noted.lock().unwrap().given);
    }

    fn last_event(&self) -> AuditRow {
        self.events(1).remove(0)
    }

    fn last_code(&self) -> String {
        let event = self.last_event();
        assert_eq!(event.event, "sign_in_refused", "{event:?}");
        event.code.unwrap_or_default()
    }

    fn events(&self, limit: u32) -> Vec<AuditRow> {
        let filter = AuditFilter {
            limit,
            ..AuditFilter::default()
        };
        self.gateway.app.ledger().audit(&filter).unwrap()
    }

    fn sessions(&self) -> usize {
        let sessions = self.gateway.app.ledger().sessions(None, "", 1000);
        sessions.unwrap().len()
    }
}

/// Asserts that an answer begins no session, and is a page with a sentence and a link that starts
/// again.
fn leads_back(answer: &Answer, link: &str) {
    leads_on(answer, link, "Start again");
}

fn leads_on(answer: &Answer, link: &str, label: &str) {
    let page = answer.text();
    for cookie in answer.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(!cookie.starts_with("__Host-session="), "{cookie}");
    }
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/html"), "{kind}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let start_again = format!("href=\"{link}\">{label}</a>");
    assert!(page.contains(&start_again), "{link}: {page}");
    let sentence = page
        .split("<dd>")
        .nth(1)
        .unwrap()
        .split("</dd>")
        .next()
        .unwrap();
    assert!(sentence.len() > 20 && sentence.ends_with('.'), "{sentence}");
}

/// A gateway with two providers, corp and other.
async fn two_providers() -> (Site, Provider) {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let corp = Provider::start(clock.clone()).await;
    let other = Provider::start(clock.clone()).await;
    let secret = format!("client_secret = '{SECRET}'");
    let settings = format!(
        "{}{}",
        source("corp", &corp.issuer(), &secret),
        source("other", &other.issuer(), &secret)
    );
    (Site::from(corp, &settings, clock).await, other)
}

/// The settings of a provider that is in use.
fn source(name: &str, issuer: &str, settings: &str) -> String {
    format!(
        "[[sign_in.source]]\nkind = 'oidc'\nname = '{name}'\n[oidc.{name}]\nissuer = '{issuer}'\n\
         label = 'Corporate sign-in'\nallow_http_loopback = true\nclient_id = '{CLIENT_ID}'\n\
         user_name = '{{preferred_username}}'\ndisplay_name = '{{name}}'\ngroups = 'groups'\n\
         {settings}\n[[oidc.{name}.rule]]\nnamed_cal = 'assign'\n"
    )
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn location(&self) -> String {
        self.headers["location"].to_str().unwrap().to_owned()
    }
}

impl Client {
    async fn head(&self, path: &str) -> Answer {
        self.send(self.request(Method::HEAD, path)).await
    }
}
