//! The customer's `QlikView` Server.

use std::path::PathBuf;

use super::address::parse_url;
use super::network::Networks;
use super::secret::Secret;
use super::section::Section;
use super::site::LicenseServer;
use crate::domain::time::Millis;
use crate::domain::web_path::WebPath;

/// Where every management service answers unless somebody moved it. CONFIRMED
const SERVICE_PATH: &str = "/QMS/Service";

/// The first names of the paths that the gateway answers itself.
const OWN_FOLDERS: [&str; 16] = [
    ".well-known",
    "account",
    "admin",
    "api",
    "desktop",
    "documents",
    "healthz",
    "login",
    "logout",
    "metrics",
    "oidc",
    "qms",
    "readyz",
    "scripts",
    "static",
    "web-ticket",
];

/// `[qlikview]`: used with `license.server = "qlikview"`, but for the prefix.
#[derive(Clone, Debug)]
pub struct QlikView {
    /// Origins of the web servers, without a slash at their ends, in the order in which they are
    /// tried; several hold the same documents.
    pub web_servers: Vec<String>,
    /// The URL of the management service.
    pub management_service: Option<String>,
    /// Who asks the management service where it asks back; absent for one that never does.
    pub management_account: Option<ManagementAccount>,
    /// Which server, where the management service knows several.
    pub server_name: Option<String>,
    /// Put before user names that go out, taken off those that come in whatever its case.
    pub user_prefix: String,
    /// Whether the gateway assigns CALs through the management service.
    pub assign_cals: bool,
    /// Whether the tunnel is passed on.
    pub tunnel: bool,
    /// For how long after an open an address may use the tunnel, in milliseconds.
    pub tunnel_life: Millis,
    /// Who may always use the tunnel.
    pub tunnel_open_to: Networks,
    /// Folders of the web servers that are passed on besides `QlikView`'s own: folded, with a slash at
    /// both ends.
    pub paths: Vec<String>,
    /// Certificates trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
}

impl QlikView {
    /// With `license.server = "qlikview"` the two services must be named.
    pub(super) fn read(mut section: Section<'_>, server: LicenseServer) -> Self {
        if server == LicenseServer::QlikView {
            section.demand("web_server");
            section.demand("management_service");
        }
        let web_servers = section.one_or_list("web_server", parse_origin);
        if web_servers.as_ref().is_some_and(Vec::is_empty) {
            section.mistake("web_server", "expected at least one URL");
        }
        if let Some(twice) = web_servers.as_deref().and_then(first_repeated) {
            section.mistake("web_server", format!("{twice} stands there twice"));
        }
        let any_text = |text: &str| Ok::<_, &str>(text.to_owned());
        let tunnel_minutes = section.integer("tunnel_minutes", &(1..=30 * 24 * 60));
        let qlikview = Self {
            web_servers: web_servers.unwrap_or_default(),
            management_service: section.parsed("management_service", parse_service),
            management_account: ManagementAccount::read(&mut section),
            server_name: section.text("server_name"),
            user_prefix: section
                .parsed("user_prefix", any_text)
                .unwrap_or_else(|| "CUSTOM\\".to_owned()),
            assign_cals: section.flag("assign_cals").unwrap_or(false),
            tunnel: section.flag("tunnel").unwrap_or(false),
            tunnel_life: Millis::minutes(tunnel_minutes.unwrap_or(720)),
            tunnel_open_to: section.networks("tunnel_open_to"),
            paths: section.list("paths", parse_folder).unwrap_or_default(),
            ca_file: section.certificates("ca_file"),
        };
        section.finish();
        qlikview
    }
}

/// A Windows account that asks the management service.
#[derive(Clone, Debug)]
pub struct ManagementAccount {
    /// `DOMAIN\name` or `name@domain`.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

impl ManagementAccount {
    /// One half without the other is a mistake.
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let secret_keys = ["management_password", "management_password_file"];
        if section.has("management_user") {
            section.demand_any(&secret_keys);
        } else if secret_keys.iter().any(|key| section.has(key)) {
            section.demand("management_user");
        }
        let user = section.parsed("management_user", parse_account);
        let password = section.secret("management_password", "management_password_file");
        Some(Self {
            user: user?,
            password: password?,
        })
    }
}

/// The address of a web server, without the slash at its end: everything below it is `QlikView`'s.
/// Credentials in it are refused as in every URL.
fn parse_origin(text: &str) -> Result<String, &'static str> {
    let uri = parse_url(text, &["http", "https"]);
    uri.filter(|uri| uri.path() == "/" && !text.contains('?'))
        .map(|_| text.trim_end_matches('/').to_owned())
        .ok_or("expected a URL without path and credentials such as \"https://qvws.internal\"")
}

/// The address of the management service; the usual path where none is written.
fn parse_service(text: &str) -> Result<String, &'static str> {
    let uri = parse_url(text, &["http", "https"]).filter(|_| !text.contains('?'));
    let uri = uri.ok_or(
        "expected a URL without credentials such as \"http://qms.internal:4799/QMS/Service\"",
    )?;
    let bare = uri.path() == "/";
    let origin = text.trim_end_matches('/');
    Ok(if bare {
        format!("{origin}{SERVICE_PATH}")
    } else {
        text.to_owned()
    })
}

/// A folder that is passed on, as paths are compared. What the gateway answers itself is none.
fn parse_folder(text: &str) -> Result<String, String> {
    let expected = |why: &str| format!("expected a folder such as \"/extensions/\" ({why})");
    let path = WebPath::from_decoded(text).map_err(|bad| expected(&bad.to_string()))?;
    let folder = format!("{}/", path.folded().trim_end_matches('/'));
    let first = path
        .names()
        .next()
        .ok_or_else(|| expected("not all of them"))?;
    if OWN_FOLDERS.contains(&first) {
        return Err(expected(&format!("/{first} is the gateway's own")));
    }
    Ok(folder)
}

/// An account of Windows; the mixed form `DOMAIN\name@domain` has no meaning there.
fn parse_account(text: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = text.split('\\').collect();
    let filled = parts.iter().all(|part| !part.trim().is_empty());
    let fits = match parts.as_slice() {
        [_] => true,
        [_, name] => !name.contains('@'),
        _ => false,
    };
    (filled && fits)
        .then(|| text.to_owned())
        .ok_or("expected an account such as \"DOMAIN\\svc\"")
}

fn first_repeated(urls: &[String]) -> Option<&String> {
    let same = |one: &String, other: &String| one.eq_ignore_ascii_case(other);
    let repeated = |&(at, url): &(usize, &String)| urls[..at].iter().any(|one| same(one, url));
    urls.iter().enumerate().find(repeated).map(|(_, url)| url)
}
