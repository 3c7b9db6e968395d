//! A `QlikView` estate for tests: a management service (QMS) and web servers (QVWS), strict about
//! what they are asked and able to misbehave.
//!
//! Everything that they serve is made up: nothing of the vendor's is copied. One source is used in
//! three ways: by the integration tests, as a program of its own (`main.rs`, the example `estate`),
//! and by the benchmark.

mod listening;
pub(crate) mod management;
mod ntlm;
pub(crate) mod schemas;
mod tunnel;
pub(crate) mod web;
mod xml;

use std::sync::{Arc, Mutex, MutexGuard};

use accesspoint::clock::Clock;
use accesspoint::domain::time::Timestamp;
use rustls::ServerConfig;

use listening::Listening;
use management::{Known, Wrong};
use web::WebServer;

/// The date by which `QlikView` says "never".
pub(crate) const NEVER: &str = "0001-01-01T00:00:00";

/// What the services of one estate know in common.
type Shared = Arc<Mutex<Known>>;

/// A running estate; it stops when this is dropped.
pub(crate) struct StandIn {
    known: Shared,
    clock: Clock,
    tls: Option<Arc<ServerConfig>>,
    management: Listening,
    web: Vec<Listening>,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        Self::listen(None, Clock::system()).await
    }

    /// With the time of somebody else.
    pub(crate) async fn at(clock: &Clock) -> Self {
        Self::listen(None, clock.clone()).await
    }

    /// Over TLS.
    pub(crate) async fn over_tls(tls: Arc<ServerConfig>) -> Self {
        Self::listen(Some(tls), Clock::system()).await
    }

    async fn listen(tls: Option<Arc<ServerConfig>>, clock: Clock) -> Self {
        let known = Shared::default();
        let routes = management::routes(Arc::clone(&known));
        let mut estate = Self {
            management: Listening::start(tls.clone(), |_| routes).await,
            known,
            clock,
            tls,
            web: Vec::new(),
        };
        estate.add_web_server().await;
        estate
    }

    /// One more web server for the same documents; it does not know the sessions of the others.
    pub(crate) async fn add_web_server(&mut self) {
        let number = self.web.len();
        let listening = Listening::start(self.tls.clone(), |origin| {
            let known = Arc::clone(&self.known);
            WebServer::new(known, self.clock.clone(), number, origin.to_owned()).routes()
        });
        self.web.push(listening.await);
    }

    /// Ends a web server, and every connection to it.
    pub(crate) fn end_web_server(&mut self, number: usize) {
        self.web[number].end();
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// What the management service does wrong from now on.
    pub(crate) fn does(&self, wrong: Wrong) {
        self.known().wrong = wrong;
    }

    /// The address of the management service.
    pub(crate) fn service(&self) -> String {
        format!("{}/QMS/Service", self.management.origin)
    }

    /// The address of the first web server.
    pub(crate) fn web_server(&self) -> &str {
        &self.web[0].origin
    }

    /// The addresses of all web servers.
    pub(crate) fn web_servers(&self) -> Vec<&str> {
        self.web.iter().map(|web| web.origin.as_str()).collect()
    }

    /// What came over the wire to a web server, one text for each connection.
    pub(crate) fn heard(&self, number: usize) -> Vec<String> {
        self.web[number].heard()
    }

    /// A configuration in front of this estate, with more lines under `[qlikview]`.
    pub(crate) fn settings(&self, more: &str) -> String {
        settings(&self.web_servers(), &self.service(), more)
    }

    /// How often an operation of the management service was asked.
    pub(crate) fn times(&self, operation: &str) -> usize {
        let known = self.known();
        let asked = known.asked.iter();
        asked.filter(|(name, _)| name == operation).count()
    }

    /// Nothing that was asked was other than these services want it.
    pub(crate) fn was_asked_well(&self) {
        assert_eq!(self.known().complaints, [""; 0]);
    }

    /// Holds everything that went to and fro with the management service against the vendor's
    /// schemas, where they are here.
    pub(crate) fn validate(&self) {
        schemas::validate(&self.known().envelopes);
    }
}

/// A configuration in front of an estate.
pub(crate) fn settings(web_servers: &[&str], service: &str, more: &str) -> String {
    format!(
        "[license]\nserver = 'qlikview'\n[qlikview]\nweb_server = {web_servers:?}\n\
         management_service = '{service}'\n{more}"
    )
}

/// An instant as `QlikView` writes it, to the second.
fn instant(at: Timestamp) -> String {
    let text = at.to_string();
    text.split('.').next().unwrap_or(&text).to_owned()
}

/// Text between tags and in attributes.
fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
