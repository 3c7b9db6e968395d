//! The configuration: `accesspoint.toml` and the environment become valid, typed values, or one
//! list of all mistakes.
//!
//! Nothing else reads the environment. The example in `deploy/accesspoint.toml` shows every key
//! and is parsed by a test.

mod address;
mod compat;
mod error;
mod mapping;
mod network;
mod pem;
mod qlikview;
mod reach;
mod second_factor;
mod secret;
mod section;
mod site;
mod sources;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use address::PublicUrl;
pub use compat::Compat;
pub use error::{ConfigError, ConfigErrors, Place};
pub use network::{BadNetwork, Network, Networks};
pub use pem::read_certificates;
pub use qlikview::{ManagementAccount, QlikView};
pub use reach::Reach;
pub use second_factor::{SecondFactor, SecondFactorRule};
pub use secret::Secret;
pub use site::{
    Database, DocumentRule, Documents, Help, Launch, License, LicenseServer, Listen, Proxy,
    Session, TlsFiles, WhenFull, Workstation,
};
pub use sources::{
    AssertionAudience, ClientAuthKind, LDAP_GROUPS, Ldap, LdapBind, LdapGroups, Oidc,
    PASSKEY_SOURCE, SignIn, SignInSource, SourceKind, WEB_TICKET_SOURCE, Webhook,
};

use crate::domain::mapping::Mapping;
use error::Mistakes;
use section::Section;
use tree::Table;

/// Characters of a webhook's secret below which it is warned of.
const SECRET_BYTES_MIN: usize = 16;

/// The whole configuration; every value in it is valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that browsers use, and the issuer of lease tokens.
    pub public_url: PublicUrl,
    /// Further values of `Host` that are accepted, written like [`PublicUrl::authority`]. No key
    /// sets them; the demonstration site adds `localhost`.
    pub extra_hosts: Vec<String>,
    /// Where keys, the certificate and the `SQLite` file are kept.
    pub data_dir: PathBuf,
    /// The sockets.
    pub listen: Listen,
    /// A certificate from files; absent where the gateway makes its own.
    pub tls: Option<TlsFiles>,
    /// Where the ledger is.
    pub database: Database,
    /// The licence server and its rules.
    pub license: License,
    /// The folder of documents and who sees what.
    pub documents: Documents,
    /// How long sessions last.
    pub session: Session,
    /// Launch tickets.
    pub launch: Launch,
    /// What names a workstation besides its cookie.
    pub workstation: Workstation,
    /// The proxies in front of the gateway.
    pub proxy: Proxy,
    /// The sign-in sources.
    pub sign_in: SignIn,
    /// Who needs a second factor.
    pub second_factor: SecondFactor,
    /// The customer's `QlikView` Server.
    pub qlikview: QlikView,
    /// What is offered to clients written for `QlikView`.
    pub compat: Compat,
    /// Where people get help.
    pub help: Option<Help>,
}

impl Config {
    /// Reads a file, where there is one, and lays the variables `ACCESSPOINT__SECTION__KEY` over
    /// it. Without both, every value is the documented default.
    ///
    /// # Errors
    ///
    /// All mistakes at once, each with its place. After a syntax error only the mistakes of
    /// syntax are told.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let Some(path) = file else {
            return Self::read(Place::Defaults, Path::new(""), environment, |_| {
                Some(Table::new())
            });
        };
        let name: Arc<str> = path.display().to_string().into();
        let place = Place::File(Arc::clone(&name));
        let base = path.parent().unwrap_or(Path::new(""));
        Self::read(place.clone(), base, environment, |mistakes| {
            std::fs::read_to_string(path)
                .map_err(|error| mistakes.add(&place, format!("cannot be read: {error}")))
                .ok()
                .and_then(|text| tree::parse_file(&text, &name, mistakes))
        })
    }

    /// What is configured, valid, and not built yet: one sentence each, which names the key. A
    /// gateway with any of it must not start.
    #[must_use]
    pub fn not_yet_built(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if matches!(self.database, Database::Postgres(_)) {
            sentences
                .push("database.url: PostgreSQL is not built yet; use sqlite://PATH.".to_owned());
        }
        sentences
    }

    /// What is valid but probably not meant, or worth knowing: one sentence each, which names the
    /// key.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut sentences = self.source_warnings();
        if self.public_url == PublicUrl::of_listener(self.listen.https)
            && self.listen.https.ip().is_unspecified()
        {
            sentences.push(format!(
                "public_url: {} is no address that a browser can open.",
                self.public_url
            ));
        }
        if self.workstation.header.is_some() && self.proxy.trusted.0.is_empty() {
            sentences
                .push("workstation.header is never believed: proxy.trusted is empty.".to_owned());
        }
        for url in &self.qlikview.web_servers {
            if url.starts_with("http:") {
                sentences.push(format!("qlikview.web_server: {url} is not encrypted."));
            }
        }
        if let Some(url) = &self.qlikview.management_service
            && url.starts_with("http:")
            && self.license.server == LicenseServer::QlikView
        {
            sentences.push(format!(
                "qlikview.management_service: {url} is not encrypted; the password is not sent in \
                 clear, everything else is."
            ));
        }
        if self.qlikview.tunnel {
            sentences.push(
                "qlikview.tunnel: people behind one address share what one of them may use."
                    .to_owned(),
            );
        }
        sentences
    }

    fn source_warnings(&self) -> Vec<String> {
        let settings = self.sign_in.settings();
        let hooks = self.sign_in.webhook.iter();
        let guessable = hooks.filter(|(_, hook)| hook.secret.expose().len() < SECRET_BYTES_MIN);
        let guessable = guessable.map(|(name, _)| {
            format!(
                "[webhook.{name}] secret is shorter than {SECRET_BYTES_MIN} characters: whoever \
                 guesses it speaks for the webhook."
            )
        });
        let sentence = |(source, mapping): (SignInSource, &Mapping)| {
            let table = format!("[{}.{}]", source.kind.word(), source.name);
            if !self.sign_in.sources.contains(&source) {
                return Some(format!(
                    "{table} is not used: no [[sign_in.source]] names it."
                ));
            }
            let rules = &mapping.rules;
            if rules.is_empty() {
                return Some(format!("{table} lets nobody in: it has no rule."));
            }
            let decides = rules.iter().position(|rule| rule.when.is_none())? + 1;
            (decides < rules.len()).then(|| {
                format!(
                    "{table} rule {decides} has no `when` and decides for everybody: the rules \
                     after it never count."
                )
            })
        };
        let unused = settings.into_iter().filter_map(sentence);
        unused.chain(guessable).collect()
    }

    fn read(
        place: Place,
        base: &Path,
        environment: impl Iterator<Item = (String, String)>,
        parse: impl FnOnce(&Mistakes) -> Option<Table>,
    ) -> Result<Self, ConfigErrors> {
        let mistakes = Mistakes::default();
        let Some(mut table) = parse(&mistakes) else {
            return Err(mistakes.into_errors());
        };
        tree::overlay(&mut table, environment, &mistakes);
        let config = Self::from_root(Section::root(table, place, base, &mistakes));
        mistakes.into_result(config)
    }

    fn from_root(mut root: Section<'_>) -> Self {
        let listen = Listen::read(root.section("listen"));
        let public_url = root.parsed("public_url", str::parse);
        let data_dir = root
            .path("data_dir")
            .unwrap_or_else(|| root.base().join("accesspoint-data"));
        let license = License::read(root.section("license"));
        let qlikview = QlikView::read(root.section("qlikview"), license.server);
        let proxy = Proxy::read(root.section("proxy"));
        let sign_in = SignIn::read(&mut root);
        let second_factor = SecondFactor::read(root.section("second_factor"), &sign_in.sources);
        let config = Self {
            public_url: public_url.unwrap_or_else(|| PublicUrl::of_listener(listen.https)),
            extra_hosts: Vec::new(),
            listen,
            tls: TlsFiles::read(root.section("tls")),
            database: Database::read(root.section("database"), &data_dir),
            data_dir,
            license,
            documents: Documents::read(root.section("documents"), &qlikview.user_prefix),
            session: Session::read(root.section("session")),
            launch: Launch::read(root.section("launch")),
            help: Help::read(root.section("help")),
            workstation: Workstation::read(root.section("workstation")),
            sign_in,
            second_factor,
            compat: Compat::read(root.section("compat"), &proxy.trusted),
            qlikview,
            proxy,
        };
        root.finish();
        config
    }
}

/// The variables of this process that are the gateway's. A value that is not UTF-8 is kept with
/// replacement characters, which [`Config::load`] reports.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let is_ours = name.starts_with(tree::VARIABLE_PREFIX);
        is_ours.then(|| (name, value.to_string_lossy().into_owned()))
    })
}

#[cfg(test)]
mod tests;
