//! Sign-in sources: their order, and the settings of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::address::{address_of, is_loopback, parse_url};
use super::mapping::read_mapping;
use super::reach::Reach;
use super::secret::Secret;
use super::section::{Section, one_of};
use crate::domain::mapping::{ClaimPath, Mapping};
use crate::domain::time::Millis;

const NAME_LEN_MAX: usize = 64;
/// The algorithms that ID tokens may be signed with; none has a shared secret.
const ID_TOKEN_ALGS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];
/// Those that are allowed where the configuration does not say.
const ID_TOKEN_ALGS_DEFAULT: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];
/// 400 days, in minutes.
const MAX_AGE_MINUTES_MAX: i64 = 576_000;
/// What is said of an address that calls must not reach.
const NOT_TO_BE_CALLED: &str = "this address must not be called (link-local, or not allowed by \
     private_addresses)";
/// How long an answer of a provider may take.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);

/// The claim in which a directory's groups stand, wherever they were found.
pub const LDAP_GROUPS: &str = "groups";

/// The kind of a sign-in source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// Accounts of the gateway itself.
    Local,
    /// An `OpenID` Connect provider.
    Oidc,
    /// LDAP servers.
    Ldap,
    /// A webhook that checks passwords.
    Webhook,
}

impl SourceKind {
    /// The word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Oidc => "oidc",
            Self::Ldap => "ldap",
            Self::Webhook => "webhook",
        }
    }
}

/// `[[sign_in.source]]`: a source that is in use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignInSource {
    /// Its kind.
    pub kind: SourceKind,
    /// Its name: the last part of `[oidc.NAME]`, `[ldap.NAME]` or `[webhook.NAME]`.
    pub name: String,
}

/// All about signing in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The sources in use, in the order in which they are offered; never empty.
    pub sources: Vec<SignInSource>,
    /// `[oidc.NAME]`, in use or not.
    pub oidc: BTreeMap<String, Oidc>,
    /// `[ldap.NAME]`, in use or not.
    pub ldap: BTreeMap<String, Ldap>,
    /// `[webhook.NAME]`, in use or not.
    pub webhook: BTreeMap<String, Webhook>,
}

impl SignIn {
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        let mut settings = BTreeSet::new();
        let oidc = read_named(root, SourceKind::Oidc, &mut settings, Oidc::read);
        let ldap = read_named(root, SourceKind::Ldap, &mut settings, Ldap::read);
        let webhook = read_named(root, SourceKind::Webhook, &mut settings, Webhook::read);
        let sources = read_sources(root.section("sign_in"), &settings);
        Self {
            sources,
            oidc,
            ldap,
            webhook,
        }
    }

    /// Whether the gateway's own accounts are among the sources.
    #[must_use]
    pub fn has_local(&self) -> bool {
        let mut kinds = self.sources.iter().map(|used| used.kind);
        kinds.any(|kind| kind == SourceKind::Local)
    }

    /// How the claims of a source become a person; none for local accounts and unknown sources.
    #[must_use]
    pub fn mapping(&self, source: &str) -> Option<&Mapping> {
        let used = self.sources.iter().find(|used| used.name == source)?;
        match used.kind {
            SourceKind::Local => None,
            SourceKind::Oidc => self.oidc.get(source).map(|oidc| &oidc.mapping),
            SourceKind::Ldap => self.ldap.get(source).map(|ldap| &ldap.mapping),
            SourceKind::Webhook => self.webhook.get(source).map(|hook| &hook.mapping),
        }
    }

    /// The same for a source that need not be in use.
    #[must_use]
    pub fn any_mapping(&self, source: &str) -> Option<&Mapping> {
        let unused = || {
            let oidc = self.oidc.get(source).map(|oidc| &oidc.mapping);
            let ldap = self.ldap.get(source).map(|ldap| &ldap.mapping);
            let webhook = self.webhook.get(source).map(|hook| &hook.mapping);
            oidc.or(ldap).or(webhook)
        };
        self.mapping(source).or_else(unused)
    }

    /// What people call a source: its label, else its name.
    #[must_use]
    pub fn label<'a>(&'a self, source: &'a str) -> &'a str {
        let oidc = self.oidc.get(source).map(|oidc| &oidc.label);
        let ldap = self.ldap.get(source).map(|ldap| &ldap.label);
        let webhook = self.webhook.get(source).map(|hook| &hook.label);
        oidc.or(ldap).or(webhook).map_or(source, String::as_str)
    }

    /// The settings that are there, in use or not, and how claims become a person in each.
    pub(super) fn settings(&self) -> Vec<(SignInSource, &Mapping)> {
        fn entry<'a>(
            kind: SourceKind,
            name: &str,
            mapping: &'a Mapping,
        ) -> (SignInSource, &'a Mapping) {
            let name = name.to_owned();
            (SignInSource { kind, name }, mapping)
        }
        let oidc = self.oidc.iter();
        let ldap = self.ldap.iter();
        let webhook = self.webhook.iter();
        oidc.map(|(name, oidc)| entry(SourceKind::Oidc, name, &oidc.mapping))
            .chain(ldap.map(|(name, ldap)| entry(SourceKind::Ldap, name, &ldap.mapping)))
            .chain(webhook.map(|(name, hook)| entry(SourceKind::Webhook, name, &hook.mapping)))
            .collect()
    }
}

/// `[oidc.NAME]`: an `OpenID` Connect provider.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// What the button says; the name of the source where it is not set.
    pub label: String,
    /// The issuer, compared as it is written.
    pub issuer: String,
    /// Our id at the provider.
    pub client_id: String,
    /// Our secret; absent for a public client.
    pub client_secret: Option<Secret>,
    /// Certificates trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// What is asked for; always with `openid`.
    pub scopes: Vec<String>,
    /// Which addresses calls to it may reach; the issuer may be plain http on this machine alone,
    /// where that is allowed.
    pub reach: Reach,
    /// How we show that it is us; as the provider's metadata offers where it is absent.
    pub client_auth: Option<ClientAuthKind>,
    /// Our private key there, PEM.
    pub private_key: Option<Secret>,
    /// The id of that key.
    pub private_key_id: Option<String>,
    /// To whom statements signed with that key are addressed.
    pub assertion_audience: AssertionAudience,
    /// With which algorithms ID tokens may be signed.
    pub id_token_algs: Vec<&'static str>,
    /// How long ago people may have signed in at the provider.
    pub max_age: Option<Millis>,
    /// How strongly they must have signed in there: one of these.
    pub acr_values: Vec<String>,
    /// How long an answer of the provider may take. No key sets it.
    pub timeout: Duration,
    /// How claims become a user.
    pub mapping: Mapping,
}

impl Oidc {
    fn read(name: &str, mut section: Section<'_>) -> Option<Self> {
        section.demand("issuer");
        section.demand("client_id");
        let label = section.text("label");
        let reach = Reach {
            loopback: section.flag("allow_http_loopback").unwrap_or(false),
            private: section.flag("private_addresses").unwrap_or(true),
        };
        let issuer = section.parsed("issuer", |url| parse_issuer(url, reach));
        let client_id = section.text("client_id");
        let client_auth = ClientAuthKind::read(&mut section);
        let client_secret = section.secret("client_secret", "client_secret_file");
        let ca_file = section.certificates("ca_file");
        let scopes = section
            .texts("scopes")
            .unwrap_or_else(|| vec!["openid".to_owned()]);
        if !scopes.iter().any(|scope| scope == "openid") {
            section.mistake("scopes", "expected \"openid\" among them");
        }
        let private_key = section.private_key("private_key", "private_key_file");
        let private_key_id = section.text("private_key_id");
        let audience = section.parsed("assertion_audience", one_of(&AssertionAudience::ALL));
        let algs = ID_TOKEN_ALGS.map(|word| (word, word));
        let id_token_algs = section.list("id_token_algs", one_of(&algs));
        if id_token_algs.as_ref().is_some_and(Vec::is_empty) {
            section.mistake("id_token_algs", "expected at least one algorithm");
        }
        let max_age = section.integer("max_age_minutes", &(1..=MAX_AGE_MINUTES_MAX));
        let acr_values = section.texts("acr_values").unwrap_or_default();
        let groups = section.parsed("groups", str::parse);
        let mapping = read_mapping(&mut section, groups);
        section.finish();
        Some(Self {
            client_auth,
            private_key,
            private_key_id,
            assertion_audience: audience.unwrap_or_default(),
            id_token_algs: id_token_algs.unwrap_or_else(|| ID_TOKEN_ALGS_DEFAULT.to_vec()),
            max_age: max_age.map(Millis::minutes),
            acr_values,
            timeout: PROVIDER_TIMEOUT,
            label: label.unwrap_or_else(|| name.to_owned()),
            issuer: issuer?,
            client_id: client_id?,
            client_secret,
            ca_file,
            scopes,
            reach,
            mapping: mapping?,
        })
    }
}

/// To whom a client addresses the statement that shows a provider who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer: no other provider can use it.
    #[default]
    Issuer,
    /// The address that is called, which some providers demand.
    Endpoint,
}

impl AssertionAudience {
    const ALL: [(&'static str, Self); 2] = [("issuer", Self::Issuer), ("endpoint", Self::Endpoint)];
}

/// How a client shows a provider that it is the one of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthKind {
    /// Not at all.
    None,
    /// Its secret in a header.
    SecretBasic,
    /// Its secret in the form.
    SecretPost,
    /// A statement signed with its private key.
    PrivateKeyJwt,
}

impl ClientAuthKind {
    /// Reads the key, and holds it against the secrets that are there.
    fn read(section: &mut Section<'_>) -> Option<Self> {
        const KINDS: [(&str, ClientAuthKind); 4] = [
            ("none", ClientAuthKind::None),
            ("client_secret_basic", ClientAuthKind::SecretBasic),
            ("client_secret_post", ClientAuthKind::SecretPost),
            ("private_key_jwt", ClientAuthKind::PrivateKeyJwt),
        ];
        let has_key = ["private_key", "private_key_file"]
            .iter()
            .any(|key| section.has(key));
        let kind = section.parsed("client_auth", one_of(&KINDS));
        match kind {
            Some(Self::SecretBasic | Self::SecretPost) => {
                section.demand_any(&["client_secret", "client_secret_file"]);
            }
            Some(Self::PrivateKeyJwt) => {
                section.demand_any(&["private_key", "private_key_file"]);
            }
            Some(Self::None) => {}
            None => return has_key.then_some(Self::PrivateKeyJwt),
        }
        kind
    }
}

/// `[ldap.NAME]`: one directory, which several servers hold.
#[derive(Clone, Debug)]
pub struct Ldap {
    /// What people call it; the name of the source where it is not set.
    pub label: String,
    /// URLs of the servers, in the order in which they are tried.
    pub servers: Vec<String>,
    /// Whether `ldap://` connections turn to TLS before anything is sent.
    pub start_tls: bool,
    /// Who looks people up; anonymous where it is absent.
    pub bind: Option<LdapBind>,
    /// Where people are looked up.
    pub user_base: String,
    /// The filter that finds a person by `{username}`.
    pub user_filter: String,
    /// Where groups come from.
    pub groups: LdapGroups,
    /// The part of a group's DN that is its name; the whole value where it is absent.
    pub group_name: Option<String>,
    /// Certificates trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How attributes become a user.
    pub mapping: Mapping,
}

/// An account that looks people up.
#[derive(Clone, Debug)]
pub struct LdapBind {
    /// Its DN.
    pub dn: String,
    /// Its password.
    pub password: Secret,
}

/// Where the groups of a person come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LdapGroups {
    /// Nowhere.
    None,
    /// An attribute of the person.
    Attribute(String),
    /// A search for entries that name the person.
    Search {
        /// Where to search.
        base: String,
        /// The filter, with `{dn}` for the person.
        filter: String,
    },
}

impl Ldap {
    fn read(name: &str, mut section: Section<'_>) -> Option<Self> {
        let label = section.text("label");
        for key in ["servers", "user_base", "user_filter"] {
            section.demand(key);
        }
        let start_tls = section.flag("start_tls").unwrap_or(false);
        let servers = section.one_or_list("servers", |url| parse_ldap_url(url, start_tls));
        if servers.as_ref().is_some_and(Vec::is_empty) {
            section.mistake("servers", "expected at least one ldaps:// URL");
        }
        let bind = LdapBind::read(&mut section);
        let user_base = section.text("user_base");
        let user_filter = section.parsed("user_filter", |text| parse_filter(text, "{username}"));
        let groups = LdapGroups::read(&mut section);
        let group_name = section.text("group_name");
        let ca_file = section.certificates("ca_file");
        let claim = (groups != LdapGroups::None).then(|| ClaimPath(vec![LDAP_GROUPS.to_owned()]));
        let mapping = read_mapping(&mut section, claim);
        section.finish();
        Some(Self {
            label: label.unwrap_or_else(|| name.to_owned()),
            servers: servers?,
            start_tls,
            bind,
            user_base: user_base?,
            user_filter: user_filter?,
            groups,
            group_name,
            ca_file,
            mapping: mapping?,
        })
    }
}

impl LdapBind {
    /// A DN without a password is a mistake: most servers take it for an anonymous bind.
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let secret_keys = ["bind_password", "bind_password_file"];
        if section.has("bind_dn") {
            section.demand_any(&secret_keys);
        } else if secret_keys.iter().any(|key| section.has(key)) {
            section.demand("bind_dn");
        }
        let dn = section.text("bind_dn");
        let password = section.secret("bind_password", "bind_password_file");
        Some(Self {
            dn: dn?,
            password: password?,
        })
    }
}

impl LdapGroups {
    fn read(section: &mut Section<'_>) -> Self {
        section.demand_together(&["group_base", "group_filter"]);
        let attribute = section.text("groups");
        let base = section.text("group_base");
        let filter = section.parsed("group_filter", |text| parse_filter(text, "{dn}"));
        if attribute.is_some() && base.is_some() {
            section.mistake("groups", "group_base is set too; keep one of the two");
        }
        match (attribute, base, filter) {
            (Some(attribute), _, _) => Self::Attribute(attribute),
            (None, Some(base), Some(filter)) => Self::Search { base, filter },
            _ => Self::None,
        }
    }
}

/// `[webhook.NAME]`: a service that checks names and passwords.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What people call it; the name of the source where it is not set.
    pub label: String,
    /// Where it is asked; https alone, because passwords go there.
    pub url: String,
    /// Which addresses its name may lead to.
    pub reach: Reach,
    /// What both sides sign with.
    pub secret: Secret,
    /// Certificates trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How the claims of the answer become a user.
    pub mapping: Mapping,
}

impl Webhook {
    fn read(name: &str, mut section: Section<'_>) -> Option<Self> {
        let label = section.text("label");
        section.demand("url");
        section.demand_any(&["secret", "secret_file"]);
        let private = section.flag("private_addresses").unwrap_or(true);
        let url = section.parsed("url", |url| parse_webhook_url(url, private));
        let secret = section.secret("secret", "secret_file");
        let ca_file = section.certificates("ca_file");
        let groups = section.parsed("groups", str::parse);
        let mapping = read_mapping(&mut section, groups);
        section.finish();
        let (url, reach) = url?;
        Some(Self {
            label: label.unwrap_or_else(|| name.to_owned()),
            url,
            reach,
            secret: secret?,
            ca_file,
            mapping: mapping?,
        })
    }
}

/// Reads every `[KIND.NAME]`; also notes which there are, those with mistakes too.
fn read_named<T>(
    root: &mut Section<'_>,
    kind: SourceKind,
    settings: &mut BTreeSet<SignInSource>,
    read: impl Fn(&str, Section<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut sources = BTreeMap::new();
    for (name, section) in root.named_sections(kind.word()) {
        if let Err(expected) = parse_source_name(&name) {
            section.mistake_here(format!("{expected} in place of {name:?}"));
        }
        if let Some(source) = read(&name, section) {
            sources.insert(name.clone(), source);
        }
        settings.insert(SignInSource { kind, name });
    }
    sources
}

fn read_sources(mut section: Section<'_>, settings: &BTreeSet<SignInSource>) -> Vec<SignInSource> {
    let mut sources: Vec<SignInSource> = Vec::new();
    let listed = section.list_sections("source");
    if listed.as_ref().is_some_and(Vec::is_empty) {
        section.mistake("source", "expected at least one source");
    }
    for item in listed.unwrap_or_default() {
        sources.extend(read_source(item, settings, &sources));
    }
    section.finish();
    if sources.is_empty() {
        sources.push(SignInSource {
            kind: SourceKind::Local,
            name: SourceKind::Local.word().to_owned(),
        });
    }
    sources
}

/// What sessions say they came from that began with a passkey alone.
pub const PASSKEY_SOURCE: &str = "passkey";

/// What sessions say they came from that a web ticket opened; no source can have the name, for it
/// holds a space.
pub const WEB_TICKET_SOURCE: &str = "web ticket";

fn read_source(
    mut section: Section<'_>,
    settings: &BTreeSet<SignInSource>,
    earlier: &[SignInSource],
) -> Option<SignInSource> {
    use SourceKind::{Ldap, Local, Oidc, Webhook};
    section.demand("kind");
    section.demand("name");
    let kinds = [Local, Oidc, Ldap, Webhook].map(|kind| (kind.word(), kind));
    let kind = section.parsed("kind", one_of(&kinds));
    let name = section.parsed("name", parse_source_name);
    let source = kind
        .zip(name)
        .map(|(kind, name)| SignInSource { kind, name });
    if let Some(source) = &source {
        let is_local = source.kind == Local;
        if earlier.iter().any(|other| other.name == source.name) {
            section.mistake("name", format!("{:?} is there twice", source.name));
        } else if is_local && earlier.iter().any(|other| other.kind == Local) {
            section.mistake("kind", "there is one local source at most");
        }
        if source.name == PASSKEY_SOURCE {
            section.mistake(
                "name",
                "\"passkey\" is kept for passkeys that are used alone",
            );
        }
        if !is_local && source.name == Local.word() {
            // Identities are kept by the name of their source.
            section.mistake("name", "\"local\" is kept for the gateway's own accounts");
        }
        if !is_local && !settings.contains(source) {
            let table = format!("[{}.{}]", source.kind.word(), source.name);
            section.mistake("name", format!("there is no {table}"));
        }
    }
    section.finish();
    source
}

/// A name that can stand in a path of ours.
fn parse_source_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = (1..=NAME_LEN_MAX).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_owned())
        .ok_or("expected a name of 1 to 64 letters, digits, - or _")
}

fn parse_issuer(text: &str, reach: Reach) -> Result<String, &'static str> {
    let expected = "expected an https URL (http only on loopback, with allow_http_loopback = true)";
    let uri = parse_url(text, &["http", "https"]).ok_or(expected)?;
    if text.contains('?') {
        return Err("expected no query: an issuer has none");
    }
    let is_https = uri.scheme_str() == Some("https");
    // Whatever a name leads to is looked at when it is called.
    let is_plain = !is_https || address_of(&uri).is_some();
    if is_loopback(&uri) && !reach.loopback && is_plain {
        return Err(
            "an address of this machine: write allow_http_loopback = true to have it called",
        );
    }
    if address_of(&uri).is_some_and(|address| !reach.permits(address)) {
        return Err(NOT_TO_BE_CALLED);
    }
    if is_https || (reach.loopback && is_loopback(&uri)) {
        Ok(text.to_owned())
    } else {
        Err(expected)
    }
}

/// The URL of a webhook, and which addresses calls to it may reach: this machine where it names it.
fn parse_webhook_url(text: &str, private: bool) -> Result<(String, Reach), &'static str> {
    let uri = parse_url(text, &["https"]).ok_or("expected an https URL")?;
    let reach = Reach {
        loopback: private && is_loopback(&uri),
        private,
    };
    if address_of(&uri).is_some_and(|address| !reach.permits(address)) {
        return Err(NOT_TO_BE_CALLED);
    }
    Ok((text.to_owned(), reach))
}

fn parse_ldap_url(text: &str, start_tls: bool) -> Result<String, &'static str> {
    let schemes: &[&str] = if start_tls {
        &["ldaps", "ldap"]
    } else {
        &["ldaps"]
    };
    parse_url(text, schemes)
        .map(|_| text.to_owned())
        .ok_or("expected an ldaps:// URL, or ldap:// with start_tls = true")
}

/// A filter in parentheses that holds a placeholder.
fn parse_filter(text: &str, placeholder: &str) -> Result<String, String> {
    if is_parenthesized(text) && text.contains(placeholder) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "expected an LDAP filter in parentheses with {placeholder} in it"
        ))
    }
}

/// Whether the first parenthesis is closed by the last character, and by none before it.
fn is_parenthesized(text: &str) -> bool {
    let mut depth = 0_usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_last = index + 1 == text.len();
        if (depth == 0) != is_last {
            return false;
        }
    }
    !text.is_empty()
}
