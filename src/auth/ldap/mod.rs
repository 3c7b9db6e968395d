//! Passwords that a directory keeps: LDAP and Active Directory.
//!
//! A service account looks the person up by an escaped filter; a second connection binds as them.
//! Nothing is sent before TLS stands, an empty password never leaves the gateway (a server would
//! take it for an anonymous bind, and say yes), and referrals are not followed.
//!
//! The client library trusts a server to speak LDAP and gives up with a panic where it does not, so
//! each exchange runs in a task of its own, with a limit of time; `wire` measures what comes back.

mod dn;
mod ended;
mod groups;
mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, StdStream,
    ldap_escape,
};
use rustls::ClientConfig;
use serde_json::Value;

use super::answer::Answer;
use super::breaker::Breaker;
use super::password::Password;
use super::trust::{TrustError, client_config};
use crate::causes;
use crate::config::{self, LDAP_GROUPS, LdapGroups};
use crate::domain::mapping::{CLAIM_NAMES, Claims, GROUPS_MAX};
use crate::domain::time::{SECOND_MS, Timestamp};
use wire::Address;

/// Entries that a search asks for at a time.
const PAGE_ENTRIES: i32 = 500;
/// Attributes that name an entry for ever, in the order in which they are looked for.
const ENTRY_UUID: &str = "entryUUID";
const OBJECT_GUID: &str = "objectGUID";
/// The attribute in which a server tells the time.
const CURRENT_TIME: &str = "currentTime";
/// The result codes that matter here (RFC 4511).
const SUCCESS: u32 = 0;
const CONSTRAINT_VIOLATION: u32 = 19;
const NO_SUCH_OBJECT: u32 = 32;
const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
const INVALID_CREDENTIALS: u32 = 49;
const INSUFFICIENT_ACCESS: u32 = 50;
const UNWILLING_TO_PERFORM: u32 = 53;
/// Where the client library looks for its end of a pair of sockets.
const LIBRARY_URL: &str = "ldapi:///";

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one connection with its TLS.
    pub connect: Duration,
    /// For finding the person and binding as them.
    pub exchange: Duration,
    /// For reading all groups afterwards; of somebody with thousands this takes a while.
    pub groups: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            exchange: Duration::from_secs(8),
            groups: Duration::from_mins(1),
        }
    }
}

/// Asked before a password is tried: whether one of this subject may be tried now.
pub type MayTry = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// A directory, which one or several servers hold. Clones share it.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    name: String,
    settings: config::Ldap,
    servers: Vec<Server>,
    tls: Arc<ClientConfig>,
    attributes: Vec<String>,
    limits: Limits,
}

struct Server {
    url: String,
    address: Address,
    breaker: Breaker,
}

/// Why a directory cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The file with trusted certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A server's URL names no server.
    #[error("{0} names no server")]
    Address(String),
}

/// Why a server gave no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection, or TLS on it.
    #[error("{0}")]
    Connection(#[from] std::io::Error),
    /// The protocol.
    #[error("{0}")]
    Ldap(#[from] LdapError),
    /// The server refused what it should not.
    #[error("{what} was refused with code {code}: {text}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The result code.
        code: u32,
        /// What the server says.
        text: String,
    },
    /// It took too long.
    #[error("it did not answer in time")]
    Slow,
    /// It sends more than anybody needs.
    #[error("it sends more than is read")]
    TooMuch,
    /// Not all groups of the person can be read.
    #[error("{0}")]
    Groups(&'static str),
    /// It does not speak LDAP, or sends what cannot be.
    #[error("its answer cannot be read: {0}")]
    Unreadable(&'static str),
}

/// What a probe of a server found.
#[derive(Clone, Debug)]
pub struct Probed {
    /// The server's certificate (DER).
    pub certificate: Option<Vec<u8>>,
    /// The time there, where it says so; Active Directory does.
    pub date: Option<Timestamp>,
}

impl Directory {
    /// A directory by its settings; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// The file with trusted certificates cannot be used, or a URL names no server.
    pub fn new(name: &str, settings: &config::Ldap, limits: Limits) -> Result<Self, SetUpError> {
        let server = |url: &String| match Address::parse(url) {
            None => Err(SetUpError::Address(url.clone())),
            Some(address) => Ok(Server {
                url: url.clone(),
                address,
                breaker: Breaker::default(),
            }),
        };
        let servers: Result<_, _> = settings.servers.iter().map(server).collect();
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            servers: servers?,
            tls: Arc::new(client_config(settings.ca_file.as_deref())?),
            attributes: attributes(settings),
            settings: settings.clone(),
            limits,
        })))
    }

    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The URLs of its servers, in order.
    #[must_use]
    pub fn servers(&self) -> &[String] {
        &self.0.settings.servers
    }

    /// Whether no server answered when they were asked a moment ago.
    #[must_use]
    pub fn is_down(&self, now: Timestamp) -> bool {
        let servers = &self.0.servers;
        servers.iter().all(|server| server.breaker.is_failing(now))
    }

    /// Checks a name and a password at the first server that answers. Where the person that it finds
    /// may not be tried now, the password is not, and is as good as wrong.
    pub async fn check(
        &self,
        name: &str,
        password: &Password,
        now: Timestamp,
        may_try: MayTry,
    ) -> Answer {
        if password.as_str().is_empty() {
            return Answer::Wrong;
        }
        for (index, server) in self.0.servers.iter().enumerate() {
            if !server.breaker.may_ask(now) {
                continue;
            }
            let inner = Arc::clone(&self.0);
            let (name, password) = (name.to_owned(), password.clone());
            let may_try = Arc::clone(&may_try);
            let limits = self.0.limits;
            let asked = contained(limits.exchange + limits.groups, async move {
                inner.exchange(index, &name, &password, &may_try).await
            });
            match asked.await {
                Ok(answer) => {
                    server.breaker.answered();
                    return answer;
                }
                Err(fault) => {
                    server.breaker.failed(now);
                    let fault = causes::in_one_line(&fault);
                    tracing::warn!(
                        source = self.0.name,
                        server = server.url,
                        fault,
                        "no answer"
                    );
                }
            }
        }
        Answer::Down
    }

    /// Connects to one server, binds as the service account and looks for the base of people.
    ///
    /// # Errors
    ///
    /// What the server does not do.
    pub async fn probe(&self, index: usize) -> Result<Probed, Fault> {
        let inner = Arc::clone(&self.0);
        contained(self.0.limits.exchange, async move {
            let (mut ldap, certificate) = inner.service(index).await?;
            let settings = &inner.settings;
            let group_base = match &settings.groups {
                LdapGroups::Search { base, .. } => Some(base),
                LdapGroups::None | LdapGroups::Attribute(_) => None,
            };
            let user_base = ("the search of user_base", &settings.user_base);
            let group_base = group_base.map(|base| ("the search of group_base", base));
            for (what, base) in [Some(user_base), group_base].into_iter().flatten() {
                let nothing = vec!["1.1".to_owned()];
                let found = search(&mut ldap, base, Scope::Base, "(objectClass=*)", nothing);
                found.await.map_err(|fault| match fault {
                    Fault::Refused { code, text, .. } => Fault::Refused { what, code, text },
                    fault => fault,
                })?;
            }
            Ok(Probed {
                certificate,
                date: time_of(&mut ldap).await,
            })
        })
        .await
    }
}

/// A person whose password is right, and the connection on which their groups can be read.
struct Verified {
    ldap: Ldap,
    entry: SearchEntry,
}

impl Inner {
    async fn exchange(
        &self,
        index: usize,
        name: &str,
        password: &Password,
        may_try: &MayTry,
    ) -> Result<Answer, Fault> {
        let verified = self.verify(index, name, password, may_try);
        let verified = in_time(self.limits.exchange, verified).await?;
        let Verified { ldap, entry } = match verified {
            Ok(verified) => verified,
            Err(answer) => return Ok(answer),
        };
        let groups = groups::of_person(&ldap, &self.settings, &entry);
        let groups = match in_time(self.limits.groups, groups).await {
            Err(why) if groups::left_out(&why) => {
                tracing::warn!(
                    source = self.name,
                    dn = entry.dn,
                    %why,
                    "groups are left out"
                );
                None
            }
            told => Some(told?),
        };
        Ok(Answer::Vouched {
            subject: subject(&entry),
            claims: self.claims(&entry, groups),
        })
    }

    /// Finds the person and binds as them; else what there is to answer.
    async fn verify(
        &self,
        index: usize,
        name: &str,
        password: &Password,
        may_try: &MayTry,
    ) -> Result<Result<Verified, Answer>, Fault> {
        let (mut ldap, _) = self.service(index).await?;
        let mut entries = self.find(&mut ldap, name).await?;
        let Some(entry) = entries.pop() else {
            return Ok(Err(Answer::Unknown));
        };
        // An entry without a DN would make the bind an anonymous one.
        if !entries.is_empty() || entry.dn.is_empty() {
            tracing::warn!(
                source = self.name,
                "more than one entry has the name, or it has no DN"
            );
            return Ok(Err(Answer::Wrong));
        }
        if !may_try(subject(&entry)).await {
            return Ok(Err(Answer::Wrong));
        }
        Ok(match self.bind_as(index, &entry.dn, password).await? {
            Bound::Wrong => Err(Answer::Wrong),
            Bound::Ended => Err(Answer::PasswordEnded),
            Bound::Right => Ok(Verified { ldap, entry }),
        })
    }

    /// A connection on which the service account may look people up, and the server's certificate.
    async fn service(&self, index: usize) -> Result<(Ldap, Option<Vec<u8>>), Fault> {
        let (mut ldap, certificate) = self.connect(index).await?;
        if let Some(bind) = &self.settings.bind {
            let result = ldap.simple_bind(&bind.dn, bind.password.expose()).await?;
            if result.rc != SUCCESS {
                return Err(refused("the bind of bind_dn", &result));
            }
        }
        Ok((ldap, certificate))
    }

    async fn connect(&self, index: usize) -> Result<(Ldap, Option<Vec<u8>>), Fault> {
        let server = self.servers.get(index);
        let server = server.ok_or(Fault::Unreadable("there is no such server"))?;
        let connected = server.address.connect(Arc::clone(&self.tls));
        let connected = in_time(self.limits.connect, connected).await?;
        let stream = StdStream::Unix(connected.library);
        let settings = LdapConnSettings::new().set_std_stream(stream);
        let (connection, ldap) = LdapConnAsync::with_settings(settings, LIBRARY_URL).await?;
        tokio::spawn(async move {
            // Whoever waits for an answer hears of it.
            drop(connection.drive().await);
        });
        Ok((ldap, connected.certificate))
    }

    /// The entries with this name, two at most.
    async fn find(&self, ldap: &mut Ldap, name: &str) -> Result<Vec<SearchEntry>, Fault> {
        let filter = self
            .settings
            .user_filter
            .replace("{username}", &ldap_escape(name));
        let two = SearchOptions::new().sizelimit(2);
        let mut found = ldap
            .with_search_options(two)
            .streaming_search_with(
                EntriesOnly::new(),
                &self.settings.user_base,
                Scope::Subtree,
                &filter,
                self.attributes.clone(),
            )
            .await?;
        let mut entries = Vec::new();
        while entries.len() < 2
            && let Some(entry) = found.next().await?
        {
            entries.push(SearchEntry::construct(entry));
        }
        let result = found.finish().await;
        if entries.len() < 2 && result.rc != SUCCESS {
            return Err(refused("the search for the person", &result));
        }
        Ok(entries)
    }

    /// Binds as the person, on a connection of its own: that of the service account keeps its
    /// rights.
    async fn bind_as(&self, index: usize, dn: &str, password: &Password) -> Result<Bound, Fault> {
        let (mut ldap, _) = self.connect(index).await?;
        ldap.with_controls(ended::asked());
        let result = ldap.simple_bind(dn, password.as_str()).await?;
        match result.rc {
            SUCCESS | INVALID_CREDENTIALS if ended::is_told(&result) => Ok(Bound::Ended),
            SUCCESS => Ok(Bound::Right),
            INVALID_CREDENTIALS
            | INAPPROPRIATE_AUTHENTICATION
            | INSUFFICIENT_ACCESS
            | UNWILLING_TO_PERFORM
            | CONSTRAINT_VIOLATION
            | NO_SUCH_OBJECT => Ok(Bound::Wrong),
            _ => Err(refused("the bind of the person", &result)),
        }
    }

    /// The attributes that the mapping names, in its spelling, and the groups.
    /// Groups that are not all known are said to be elsewhere, so that nothing is decided by them.
    fn claims(&self, entry: &SearchEntry, groups: Option<Vec<String>>) -> Claims {
        let mut claims = Claims::new();
        for name in self.settings.mapping.claim_names() {
            if let Some(values) = values_of(entry, &name) {
                let value = match values {
                    [single] => Value::from(single.as_str()),
                    several => Value::from(several.to_vec()),
                };
                claims.insert(name, value);
            }
        }
        if self.settings.groups != LdapGroups::None {
            match groups {
                Some(groups) => claims.insert(LDAP_GROUPS.to_owned(), Value::from(groups)),
                None => claims.insert(
                    CLAIM_NAMES.to_owned(),
                    serde_json::json!({ LDAP_GROUPS: self.name }),
                ),
            };
        }
        claims
    }
}

/// The time that a server tells of itself.
async fn time_of(ldap: &mut Ldap) -> Option<Timestamp> {
    let wanted = vec![CURRENT_TIME.to_owned()];
    let found = search(ldap, "", Scope::Base, "(objectClass=*)", wanted).await;
    let entry = found.ok()?.into_iter().next()?;
    let told = values_of(&entry, CURRENT_TIME)?.first()?;
    generalized_time(told)
}

/// An instant as directories write it (RFC 4517), by the whole second.
fn generalized_time(text: &str) -> Option<Timestamp> {
    let format = time::macros::format_description!("[year][month][day][hour][minute][second]");
    let (digits, rest) = text.split_at_checked(14)?;
    let is_utc = rest.ends_with('Z') && rest.starts_with(['Z', '.', ',']);
    let at = time::PrimitiveDateTime::parse(digits, format).ok()?;
    is_utc.then(|| Timestamp(at.assume_utc().unix_timestamp() * SECOND_MS))
}

enum Bound {
    Right,
    Wrong,
    Ended,
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let in_time = tokio::time::timeout(limit, work).await;
    in_time.unwrap_or(Err(Fault::Slow))
}

/// Runs an exchange in a task of its own, so that a server that makes the library give up is a
/// fault like any other.
async fn contained<T: Send + 'static>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::spawn(tokio::time::timeout(limit, work)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Fault::Slow),
        Err(_) => Err(Fault::Unreadable("it is no LDAP")),
    }
}

/// All entries that match, page by page, without referrals.
async fn search(
    ldap: &mut Ldap,
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: Vec<String>,
) -> Result<Vec<SearchEntry>, Fault> {
    let adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> = vec![
        Box::new(EntriesOnly::new()),
        Box::new(PagedResults::new(PAGE_ENTRIES)),
    ];
    let mut found = ldap
        .streaming_search_with(adapters, base, scope, filter, attributes)
        .await?;
    let mut entries = Vec::new();
    while let Some(entry) = found.next().await? {
        if entries.len() == GROUPS_MAX {
            return Err(Fault::TooMuch);
        }
        entries.push(SearchEntry::construct(entry));
    }
    let result = found.finish().await;
    if result.rc == SUCCESS {
        Ok(entries)
    } else {
        Err(refused("a search", &result))
    }
}

fn refused(what: &'static str, result: &ldap3::LdapResult) -> Fault {
    Fault::Refused {
        what,
        code: result.rc,
        text: match (result.text.as_str(), result.rc) {
            ("", INVALID_CREDENTIALS) => "name or password is not right".to_owned(),
            ("", NO_SUCH_OBJECT) => "there is no such entry".to_owned(),
            ("", INSUFFICIENT_ACCESS) => "that is not allowed".to_owned(),
            ("", _) => "it says no more".to_owned(),
            (text, _) => text.to_owned(),
        },
    }
}

/// What is asked of an entry: what the mapping names, its lasting name, and its groups.
fn attributes(settings: &config::Ldap) -> Vec<String> {
    let mut names = settings.mapping.claim_names();
    names.extend([ENTRY_UUID, OBJECT_GUID].map(str::to_owned));
    if let LdapGroups::Attribute(groups) = &settings.groups {
        names.insert(groups.clone());
    }
    names.into_iter().collect()
}

/// Who an entry is for ever: its UUID or GUID as tools write it, else its DN.
fn subject(entry: &SearchEntry) -> String {
    let uuid = values_of(entry, ENTRY_UUID).and_then(|values| values.first());
    if let Some(uuid) = uuid.filter(|uuid| !uuid.is_empty()) {
        return uuid.to_lowercase();
    }
    guid(entry).unwrap_or_else(|| entry.dn.clone())
}

/// The GUID of Active Directory: 16 bytes, of which the first three groups stand backwards.
fn guid(entry: &SearchEntry) -> Option<String> {
    let text = values_of(entry, OBJECT_GUID).and_then(|values| values.first());
    let binary = entry
        .bin_attrs
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(OBJECT_GUID))
        .and_then(|(_, values)| values.first());
    let bytes = binary.map(Vec::as_slice).or(text.map(String::as_bytes))?;
    let bytes: &[u8; 16] = bytes.try_into().ok()?;
    let backwards = |part: &[u8]| {
        let reversed: Vec<u8> = part.iter().rev().copied().collect();
        const_hex::encode(reversed)
    };
    let (first, second, third) = (&bytes[..4], &bytes[4..6], &bytes[6..8]);
    let (clock, node) = (
        const_hex::encode(&bytes[8..10]),
        const_hex::encode(&bytes[10..]),
    );
    let (first, second) = (backwards(first), backwards(second));
    Some(format!(
        "{first}-{second}-{}-{clock}-{node}",
        backwards(third)
    ))
}

/// The values of an attribute, whatever the case of its name.
fn values_of<'a>(entry: &'a SearchEntry, name: &str) -> Option<&'a [String]> {
    let found = entry
        .attrs
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(found.1.as_slice()).filter(|values| !values.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_directory_is_read() {
        let at = "2026-11-24T12:00:01.000Z".parse().unwrap();
        for text in ["20261124120001.0Z", "20261124120001Z", "20261124120001,5Z"] {
            assert_eq!(generalized_time(text), Some(at), "{text}");
        }
        for text in [
            "",
            "20261124120001",
            "20261124120001+0100",
            "20261324120001Z",
            "now",
        ] {
            assert_eq!(generalized_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_guid_is_written_as_the_tools_of_its_directory_write_it() {
        let mut entry = SearchEntry {
            dn: "cn=ann".to_owned(),
            attrs: std::collections::HashMap::new(),
            bin_attrs: std::collections::HashMap::new(),
        };
        assert_eq!(subject(&entry), "cn=ann");
        let bytes = const_hex::decode("33221100554477668899aabbccddeeff").unwrap();
        entry.bin_attrs.insert("objectguid".to_owned(), vec![bytes]);
        assert_eq!(subject(&entry), "00112233-4455-6677-8899-aabbccddeeff");
        let uuid = vec!["ABCD".to_owned()];
        entry.attrs.insert("entryuuid".to_owned(), uuid);
        assert_eq!(subject(&entry), "abcd");
    }
}
