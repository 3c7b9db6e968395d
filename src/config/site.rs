//! The gateway itself: where it listens, keeps its data, and which rules it applies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::HeaderName;

use super::network::Networks;
use super::secret::Secret;
use super::section::{Section, one_of};
use crate::domain::name::UserName;
use crate::domain::path_pattern::PathPattern;
use crate::domain::policy::Policy;
use crate::domain::time::Millis;
use crate::domain::version::QlikViewVersion;

const HTTPS_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8443);
const YEAR_HOURS: i64 = 365 * 24;

/// `[listen]`: the sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The one HTTPS door.
    pub https: SocketAddr,
    /// Plain HTTP for `/metrics` alone; absent where metrics are only on https, with a token.
    pub metrics: Option<SocketAddr>,
}

impl Listen {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let listen = Self {
            https: section
                .parsed("https", parse_listener)
                .unwrap_or(HTTPS_DEFAULT),
            metrics: section.parsed("metrics", parse_listener),
        };
        section.finish();
        listen
    }
}

/// `[tls]`: a certificate from files, in place of the self-signed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub private_key: PathBuf,
}

impl TlsFiles {
    /// Nothing where neither file is set; one without the other is a mistake.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        section.demand_together(&["certificate_file", "private_key_file"]);
        let certificate = section.path("certificate_file");
        let private_key = section.path("private_key_file");
        section.finish();
        Some(Self {
            certificate: certificate?,
            private_key: private_key?,
        })
    }
}

/// `[database]`: where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// An `SQLite` file.
    Sqlite(PathBuf),
    /// A `PostgreSQL` URL, which may hold a password.
    Postgres(Secret),
}

impl Database {
    /// `accesspoint.db` in the data folder where no URL is set.
    pub(super) fn read(mut section: Section<'_>, data_dir: &Path) -> Self {
        let url = section.text("url");
        let database = url
            .as_deref()
            .map(|url| Self::parse(url, section.base()))
            .transpose()
            .unwrap_or_else(|expected| {
                section.mistake("url", expected);
                None
            });
        section.finish();
        database.unwrap_or_else(|| Self::Sqlite(data_dir.join("accesspoint.db")))
    }

    /// The URL does not go into the error: it may hold a password.
    fn parse(url: &str, base: &Path) -> Result<Self, &'static str> {
        let expected = "expected sqlite://PATH without options, or postgres://USER@HOST/NAME";
        if let Some(path) = url.strip_prefix("sqlite://") {
            let plain = !path.is_empty() && !path.contains(['?', '#']);
            return plain.then(|| Self::Sqlite(base.join(path))).ok_or(expected);
        }
        let uri: http::Uri = url.parse().map_err(|_| expected)?;
        let postgres = matches!(uri.scheme_str(), Some("postgres" | "postgresql"));
        let named = uri.host().is_some_and(|host| !host.is_empty()) && uri.path().len() > 1;
        (postgres && named)
            .then(|| Self::Postgres(Secret::new(url.to_owned())))
            .ok_or(expected)
    }
}

/// Who owns CALs and leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LicenseServer {
    /// The gateway's own ledger.
    Embedded,
    /// The customer's `QlikView` Server.
    QlikView,
}

/// `[license]`: the licence server and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    /// Who owns CALs and leases.
    pub server: LicenseServer,
    /// The version that decides `W` and `Q` where they are not set by hand.
    pub version: QlikViewVersion,
    /// The numbers of the rules, overrides applied.
    pub policy: Policy,
}

impl License {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let servers = [
            ("embedded", LicenseServer::Embedded),
            ("qlikview", LicenseServer::QlikView),
        ];
        let server = section.parsed("server", one_of(&servers));
        let version: QlikViewVersion = section
            .parsed("qlikview_version", str::parse)
            .unwrap_or_default();
        let mut policy = Policy::of(version);
        if let Some(hours) = section.integer("lease_window_hours", &(1..=YEAR_HOURS)) {
            policy.lease_window = Millis::hours(hours);
        }
        if let Some(hours) = section.integer("quarantine_hours", &(1..=YEAR_HOURS)) {
            policy.quarantine = Millis::hours(hours);
        }
        read_lef(section.section("lef"), &mut policy);
        section.finish();
        Self {
            server: server.unwrap_or(LicenseServer::Embedded),
            version,
            policy,
        }
    }
}

fn read_lef(mut section: Section<'_>, policy: &mut Policy) {
    if let Some(names) = section.texts("named_cals") {
        policy.lef.named_cals = names;
    }
    if let Some(names) = section.texts("special_edition") {
        policy.lef.special_edition = names;
    }
    section.finish();
}

/// `[documents]`: the folder and who sees what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// The folder of `.qvw` files.
    pub root: PathBuf,
    /// Who sees which documents.
    pub rules: Vec<DocumentRule>,
}

/// `[[documents.rule]]`. A document is visible where no rule names it, or one that names it lists
/// the user or a group of theirs (R8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRule {
    /// Which documents, by their paths under the root.
    pub path: PathPattern,
    /// User names, folded and without the prefix.
    pub users: Vec<String>,
    /// Groups, compared exactly.
    pub groups: Vec<String>,
}

impl Documents {
    /// `user_prefix` is taken off the user names in the rules.
    pub(super) fn read(mut section: Section<'_>, user_prefix: &str) -> Self {
        let root = section.path("root");
        let rules = section.list_sections("rule").unwrap_or_default();
        let documents = Self {
            root: root.unwrap_or_else(|| section.base().join("documents")),
            rules: rules
                .into_iter()
                .filter_map(|rule| DocumentRule::read(rule, user_prefix))
                .collect(),
        };
        section.finish();
        documents
    }
}

impl DocumentRule {
    fn read(mut section: Section<'_>, user_prefix: &str) -> Option<Self> {
        section.demand("path");
        let path = section.parsed("path", PathPattern::parse);
        let users = section.list("users", |name| {
            UserName::parse(name, user_prefix).map(|name| name.folded().to_owned())
        });
        let groups = section.texts("groups");
        section.finish();
        Some(Self {
            path: path?,
            users: users.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
        })
    }
}

/// `[help]`: where people get help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// What pages show.
    pub text: String,
    /// An `https:` or `mailto:` address behind it, and behind every way out that asks somebody.
    pub address: Option<String>,
}

impl Help {
    /// Nothing where neither is set; an address alone is shown itself.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let text = section.text("text");
        let address = section.parsed("address", parse_help_address);
        section.finish();
        let shown = |address: &String| {
            let plain = address.strip_prefix("mailto:").unwrap_or(address);
            plain.to_owned()
        };
        let text = text.or_else(|| address.as_ref().map(shown))?;
        Some(Self { text, address })
    }
}

fn parse_help_address(text: &str) -> Result<String, &'static str> {
    let web = text
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.is_empty());
    let mail = text
        .strip_prefix("mailto:")
        .is_some_and(|rest| rest.contains('@'));
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    ((web || mail) && plain).then(|| text.to_owned()).ok_or(
        "expected an address such as \"https://help.example\" or \"mailto:help@example.org\"",
    )
}

/// `[session]`: how long a session lasts, in milliseconds, and how many a person may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Without a request.
    pub idle: Millis,
    /// From signing in, whatever happens.
    pub absolute: Millis,
    /// How many sessions a person may have at once.
    pub max_per_user: u32,
    /// What becomes of one too many.
    pub when_full: WhenFull,
}

/// What becomes of a session that is one too many for its person (S-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It begins, and the oldest ends.
    EndOldest,
    /// It does not begin.
    RefuseNewest,
}

impl Session {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let idle = section.integer("idle_minutes", &(1..=30 * 24 * 60));
        let absolute = section.integer("absolute_hours", &(1..=YEAR_HOURS));
        let most = section.integer("max_per_user", &(1..=1_000));
        let words = [
            ("end_oldest", WhenFull::EndOldest),
            ("refuse_newest", WhenFull::RefuseNewest),
        ];
        let when_full = section.parsed("when_full", one_of(&words));
        section.finish();
        Self {
            idle: Millis::minutes(idle.unwrap_or(480)),
            absolute: Millis::hours(absolute.unwrap_or(24)),
            max_per_user: most.and_then(|most| most.try_into().ok()).unwrap_or(20),
            when_full: when_full.unwrap_or(WhenFull::EndOldest),
        }
    }
}

/// `[launch]`: launch tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The life of a ticket, in milliseconds.
    pub ticket: Millis,
}

impl Launch {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let seconds = section.integer("ticket_seconds", &(15..=300));
        section.finish();
        Self {
            ticket: Millis::seconds(seconds.unwrap_or(90)),
        }
    }
}

/// `[workstation]`: what names a workstation besides its cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workstation {
    /// The header in which a trusted proxy names the PC.
    pub header: Option<HeaderName>,
}

impl Workstation {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let header = section.parsed("header", |text| {
            text.parse::<HeaderName>()
                .map_err(|_| "expected the name of an HTTP header")
        });
        section.finish();
        Self { header }
    }
}

/// `[proxy]`: the proxies in front of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The peers whose forwarding headers are believed.
    pub trusted: Networks,
}

impl Proxy {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let trusted = section.networks("trusted");
        section.finish();
        Self { trusted }
    }
}

/// An address to listen on: an IP address and a port.
pub(super) fn parse_listener(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected an address and a port such as \"127.0.0.1:8443\"")
}
