//! The client of the management service (QMS): SOAP 1.1 over HTTP, signed in with NTLM where the
//! server asks for it, with the service key that every call but one needs.

mod contract;
mod error;
mod types;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

pub use contract::Contract;
pub use error::{Fault, QmsError};
pub use types::{
    Cal, CalConfiguration, DocumentNode, LeasedCal, ServerLicense, ServerSecurity, Service,
    UserCals, WebServerSettings,
};

use crate::auth::trust::TrustError;
use crate::config::QlikView;
use crate::domain::time::Timestamp;
use crate::qlikview::link::{Call, Link};
use crate::qlikview::xml::Element;
use contract::{Operation, Parameter, result};

/// How long a call may take, waiting for its turn included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a change of CALs is tried anew where somebody else changed them meanwhile.
const SAVE_TRIES_MAX: u32 = 3;

/// A management service. Clones share one connection.
#[derive(Clone)]
pub struct Qms(Arc<Inner>);

struct Inner {
    link: Link,
    address: String,
    server_name: Option<String>,
    contract: Mutex<Option<Contract>>,
    key: Mutex<Option<String>>,
    server: Mutex<Option<Service>>,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum QmsSetUpError {
    /// The configuration names no service that can be called.
    #[error("qlikview.management_service is missing or no URL")]
    Address,
    /// Certificates cannot be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// What became of assigning a CAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// The user holds one, by this call or before it.
    Held,
    /// None is free.
    NoneFree,
    /// Somebody else kept changing the CALs at the same time; nothing of theirs was overwritten.
    Contended,
}

/// What is asked of the kinds of services. CONFIRMED
const SERVER_KIND: &str = "QlikViewServer";
const WEB_SERVER_KIND: &str = "QlikViewWebServer";

impl Qms {
    /// The service of `[qlikview]`; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// No address is configured, or `ca_file` cannot be used.
    pub fn new(settings: &QlikView) -> Result<Self, QmsSetUpError> {
        Self::with_timeout(settings, CALL_TIMEOUT)
    }

    /// The same with another limit for each call.
    ///
    /// # Errors
    ///
    /// As [`Qms::new`].
    pub fn with_timeout(settings: &QlikView, timeout: Duration) -> Result<Self, QmsSetUpError> {
        let address = settings.management_service.as_deref();
        let address = address.ok_or(QmsSetUpError::Address)?;
        let uri: Uri = address.parse().map_err(|_| QmsSetUpError::Address)?;
        let account = settings.management_account.clone();
        Ok(Self(Arc::new(Inner {
            link: Link::new(&uri, account, settings.ca_file.as_deref(), timeout)?,
            address: address.to_owned(),
            server_name: settings.server_name.clone(),
            contract: Mutex::new(None),
            key: Mutex::new(None),
            server: Mutex::new(None),
        })))
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// The certificate (DER) that it showed last; none without TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<Vec<u8>> {
        self.0.link.certificate()
    }

    /// Whether it asked for NTLM.
    #[must_use]
    pub fn was_asked_to_sign_in(&self) -> bool {
        self.0.link.was_asked_to_sign_in()
    }

    /// The contract that is spoken: the newest that both sides know. A server that does not describe
    /// itself is spoken to in the oldest.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses the account.
    pub async fn contract(&self) -> Result<Contract, QmsError> {
        if let Some(known) = *lock(&self.0.contract) {
            return Ok(known);
        }
        let mut found = None;
        for query in ["?wsdl", ""] {
            let answer = self.0.link.call(&get(query)).await?;
            let text = String::from_utf8_lossy(&answer.body);
            if answer.status.is_server_error() {
                // It may only be starting: nothing is concluded from that.
                return Err(QmsError::Status(answer.status.as_u16()));
            }
            if answer.status == StatusCode::OK {
                found = Contract::newest_in(&text);
            }
            if found.is_some() {
                break;
            }
        }
        let contract = found.unwrap_or(Contract::OLDEST);
        *lock(&self.0.contract) = Some(contract);
        Ok(contract)
    }

    /// Fetches a new service key, which calls carry against forgery from other sites.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn renew_key(&self) -> Result<(), QmsError> {
        const NAME: &str = "GetTimeLimitedServiceKey";
        let found = self.ask_once(NAME, Vec::new(), None, true).await?;
        let key = found.as_ref().and_then(Element::text);
        let key = key.ok_or_else(|| unusable(NAME, "it holds no key"))?;
        *lock(&self.0.key) = Some(key.to_owned());
        Ok(())
    }

    /// Asks whether the service is there.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn ping(&self) -> Result<(), QmsError> {
        self.ask("Ping", Vec::new).await.map(drop)
    }

    /// The `QlikView` Servers that it manages.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn servers(&self) -> Result<Vec<Service>, QmsError> {
        self.services(SERVER_KIND).await
    }

    /// The web servers that it manages.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn web_servers(&self) -> Result<Vec<Service>, QmsError> {
        self.services(WEB_SERVER_KIND).await
    }

    /// The server that is meant: the one of `server_name`, or the only one. It is remembered.
    ///
    /// # Errors
    ///
    /// It knows none, or several and none of them is named; else see [`QmsError`].
    pub async fn server(&self) -> Result<Service, QmsError> {
        if let Some(known) = lock(&self.0.server).clone() {
            return Ok(known);
        }
        let meant = meant(self.servers().await?, self.0.server_name.as_deref())?;
        *lock(&self.0.server) = Some(meant.clone());
        Ok(meant)
    }

    /// Forgets which server is meant, so that a change there is seen.
    pub fn forget_server(&self) {
        *lock(&self.0.server) = None;
    }

    /// Has QMS read CALs and licence from QVS again, in place of what it remembers. A server that
    /// refuses answers from what it remembers.
    ///
    /// # Errors
    ///
    /// All but a fault; see [`QmsError`].
    pub async fn clear_cache(&self) -> Result<(), QmsError> {
        let objects = || vec![text("objects", "License CALConfiguration")];
        match self.ask("ClearQVSCache", objects).await {
            Err(QmsError::Fault(fault)) => {
                tracing::debug!(%fault, "QMS answers from what it remembers");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// All CALs and leases.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn cal_configuration(&self, server: &str) -> Result<CalConfiguration, QmsError> {
        self.cals(server, "All").await
    }

    /// The CALs and leases of one user, spelt with the prefix.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn cals_of(&self, server: &str, user: &str) -> Result<UserCals, QmsError> {
        const NAME: &str = "GetCALInfoForUser";
        let found = self
            .ask(NAME, || vec![text("qvsID", server), text("user", user)])
            .await?;
        let found = found.ok_or_else(|| unusable(NAME, "it is empty"))?;
        Ok(UserCals::read(&found))
    }

    /// The licence of the server.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn license(&self, server: &str) -> Result<ServerLicense, QmsError> {
        const NAME: &str = "GetLicense";
        let parameters = || vec![text("licenseType", SERVER_KIND), text("serviceID", server)];
        let found = self.ask(NAME, parameters).await?;
        let found = found.ok_or_else(|| unusable(NAME, "it is empty"))?;
        Ok(ServerLicense::read(&found))
    }

    /// The security settings of the server; what it does not tell is absent.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn security(&self, server: &str) -> Result<ServerSecurity, QmsError> {
        let parameters = || vec![text("qvsID", server), text("scope", "Security")];
        let found = self.ask("GetQVSSettings", parameters).await?;
        Ok(found.as_ref().map(ServerSecurity::read).unwrap_or_default())
    }

    /// What a web server says of signing in; nothing before 12.10, which does not tell.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn web_server_settings(
        &self,
        web_server: &str,
    ) -> Result<Option<WebServerSettings>, QmsError> {
        if !self.contract().await?.tells_web_servers() {
            return Ok(None);
        }
        let parameters = || vec![text("qvwsID", web_server)];
        let found = self.ask("GetQVWSSetting", parameters).await?;
        Ok(found.as_ref().map(WebServerSettings::read))
    }

    /// The documents in the server's folders, whoever may open them.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn user_documents(&self, server: &str) -> Result<Vec<DocumentNode>, QmsError> {
        let parameters = || vec![text("qvsID", server)];
        let found = self.ask("GetUserDocuments", parameters).await?;
        let nodes = found.map(|found| found.children).unwrap_or_default();
        Ok(nodes.iter().filter_map(DocumentNode::read).collect())
    }

    /// Assigns a named CAL to a user, spelt with the prefix.
    ///
    /// QMS saves the whole list. So it is read, changed, read again, and saved only where nobody
    /// changed it meanwhile; and then read once more, because QMS reports no failure of its own.
    ///
    /// # Errors
    ///
    /// See [`QmsError`].
    pub async fn assign(
        &self,
        server: &str,
        user: &str,
        now: Timestamp,
    ) -> Result<Assigned, QmsError> {
        const NAME: &str = "SaveCALConfiguration";
        self.clear_cache().await?;
        let mut before = self.cals(server, "NamedCALs").await?;
        for _ in 0..SAVE_TRIES_MAX {
            if before.holds(user) {
                return Ok(Assigned::Held);
            }
            if !before.has_room_for(user, now) {
                return Ok(Assigned::NoneFree);
            }
            let changed = before.document_with(user);
            let changed = changed.ok_or_else(|| unusable(NAME, "NamedCALs is missing"))?;
            self.clear_cache().await?;
            let now = self.cals(server, "NamedCALs").await?;
            if now.document != before.document {
                before = now;
                continue;
            }
            let document = || vec![("calConfiguration", Parameter::Document(changed.clone()))];
            self.change(NAME, document).await?;
            self.clear_cache().await?;
            before = self.cals(server, "NamedCALs").await?;
        }
        Ok(if before.holds(user) {
            Assigned::Held
        } else {
            Assigned::Contended
        })
    }

    async fn cals(&self, server: &str, scope: &str) -> Result<CalConfiguration, QmsError> {
        const NAME: &str = "GetCALConfiguration";
        let found = self
            .ask(NAME, || vec![text("qvsID", server), text("scope", scope)])
            .await?;
        let found = found.ok_or_else(|| unusable(NAME, "it is empty"))?;
        CalConfiguration::read(NAME, found)
    }

    async fn services(&self, kind: &str) -> Result<Vec<Service>, QmsError> {
        let parameters = || vec![text("serviceTypes", kind)];
        let found = self.ask("GetServices", parameters).await?;
        let listed = found.map(|found| found.children).unwrap_or_default();
        let services = listed.iter().filter_map(Service::read);
        // A server that ignores the filter must not be taken at its first word.
        Ok(services
            .filter(|service| service.kinds.iter().any(|found| found == kind))
            .collect())
    }

    /// Asks something that may be asked again.
    async fn ask(
        &self,
        name: &'static str,
        parameters: impl Fn() -> Vec<(&'static str, Parameter)>,
    ) -> Result<Option<Element>, QmsError> {
        self.with_key(name, parameters, true).await
    }

    /// Changes something, which is never sent twice where nobody knows if it arrived.
    async fn change(
        &self,
        name: &'static str,
        parameters: impl Fn() -> Vec<(&'static str, Parameter)>,
    ) -> Result<(), QmsError> {
        self.with_key(name, parameters, false).await.map(drop)
    }

    /// Calls with the key that is known, and once more with a new one where the server wants that.
    async fn with_key(
        &self,
        name: &'static str,
        parameters: impl Fn() -> Vec<(&'static str, Parameter)>,
        repeatable: bool,
    ) -> Result<Option<Element>, QmsError> {
        let known = lock(&self.0.key).clone();
        let was_known = known.is_some();
        let key = match known {
            Some(key) => key,
            None => self.fresh_key().await?,
        };
        let answer = self
            .ask_once(name, parameters(), Some(&key), repeatable)
            .await;
        match answer {
            Err(error) if error.asks_for_key() && was_known => {
                let key = self.fresh_key().await?;
                self.ask_once(name, parameters(), Some(&key), repeatable)
                    .await
            }
            answer => answer,
        }
    }

    async fn fresh_key(&self) -> Result<String, QmsError> {
        self.renew_key().await?;
        Ok(lock(&self.0.key).clone().unwrap_or_default())
    }

    async fn ask_once(
        &self,
        name: &'static str,
        parameters: Vec<(&'static str, Parameter)>,
        key: Option<&str>,
        repeatable: bool,
    ) -> Result<Option<Element>, QmsError> {
        let contract = self.contract().await?;
        let header = |text: &str| {
            HeaderValue::try_from(text).map_err(|_| unusable(name, "its key is no header"))
        };
        let mut headers = HeaderMap::new();
        headers.insert(SOAP_ACTION, header(&contract.action(name))?);
        if let Some(key) = key {
            headers.insert(SERVICE_KEY, header(key)?);
        }
        let call = Call {
            method: Method::POST,
            query: "",
            headers,
            body: contract.envelope(Operation { name, parameters }),
            repeatable,
        };
        let answer = self.0.link.call(&call).await?;
        // SOAP 1.1 sends its faults with 500.
        if answer.status != StatusCode::OK && answer.status != StatusCode::INTERNAL_SERVER_ERROR {
            return Err(QmsError::Status(answer.status.as_u16()));
        }
        let text = std::str::from_utf8(&answer.body)
            .map_err(|_| QmsError::NotSoap("it is no UTF-8".to_owned()))?;
        result(name, text.trim_start_matches('\u{FEFF}'))
    }
}

impl fmt::Debug for Qms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Qms({})", self.0.address)
    }
}

const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");
const SERVICE_KEY: HeaderName = HeaderName::from_static("x-service-key");

/// The one of these servers that is meant.
fn meant(mut servers: Vec<Service>, name: Option<&str>) -> Result<Service, QmsError> {
    if servers.is_empty() {
        return Err(QmsError::NoServer);
    }
    let at = match name {
        Some(name) => servers.iter().position(|server| server.is_called(name)),
        None => (servers.len() == 1).then_some(0),
    };
    match at {
        Some(at) => Ok(servers.swap_remove(at)),
        None => Err(QmsError::WhichServer(
            servers.into_iter().map(|server| server.name).collect(),
        )),
    }
}

fn get(query: &'static str) -> Call {
    Call {
        method: Method::GET,
        query,
        headers: HeaderMap::new(),
        body: String::new(),
        repeatable: true,
    }
}

fn text(name: &'static str, value: &str) -> (&'static str, Parameter) {
    (name, Parameter::Text(value.to_owned()))
}

fn unusable(operation: &'static str, problem: &str) -> QmsError {
    QmsError::Answer {
        operation,
        problem: problem.to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> Service {
        Service {
            id: format!("id of {name}"),
            name: name.to_owned(),
            host: None,
            kinds: vec![SERVER_KIND.to_owned()],
        }
    }

    #[test]
    fn the_server_is_the_named_one_or_the_only_one() {
        let one = || vec![server("QVS@a")];
        let two = || vec![server("QVS@a"), server("QVS@b")];
        assert_eq!(meant(one(), None).unwrap().name, "QVS@a");
        for name in ["QVS@b", "qvs@B", "b"] {
            assert_eq!(meant(two(), Some(name)).unwrap().name, "QVS@b", "{name}");
        }
        for (servers, name) in [(two(), None), (one(), Some("c"))] {
            let error = meant(servers, name).unwrap_err().to_string();
            assert!(
                error.contains("QVS@a") && error.contains("server_name"),
                "{error}"
            );
        }
        assert!(matches!(meant(Vec::new(), None), Err(QmsError::NoServer)));
    }
}
