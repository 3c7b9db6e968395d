//! The customer's `QlikView` Server, and what the gateway offers to clients written for it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::network::Networks;
use super::secret::Secret;
use super::section::Section;
use super::site::{LicenseServer, parse_http_url, parse_listener};
use crate::domain::time::Millis;

/// `[qlikview]`: used with `license.server = "qlikview"`, but for the prefix.
#[derive(Clone, Debug)]
pub struct QlikView {
    /// URLs of the web servers; several hold the same documents.
    pub web_servers: Vec<String>,
    /// The URL of the management service.
    pub management_service: Option<String>,
    /// Who asks the management service; `DOMAIN\name`.
    pub management_user: Option<String>,
    /// The password of that account.
    pub management_password: Option<Secret>,
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
        let web_servers = section.one_or_list("web_server", parse_http_url);
        if web_servers.as_ref().is_some_and(Vec::is_empty) {
            section.mistake("web_server", "expected at least one URL");
        }
        let any_text = |text: &str| Ok::<_, &str>(text.to_owned());
        let tunnel_minutes = section.integer("tunnel_minutes", &(1..=30 * 24 * 60));
        let qlikview = Self {
            web_servers: web_servers.unwrap_or_default(),
            management_service: section.parsed("management_service", parse_http_url),
            management_user: section.text("management_user"),
            management_password: section.secret("management_password", "management_password_file"),
            server_name: section.text("server_name"),
            user_prefix: section
                .parsed("user_prefix", any_text)
                .unwrap_or_else(|| "CUSTOM\\".to_owned()),
            assign_cals: section.flag("assign_cals").unwrap_or(false),
            tunnel: section.flag("tunnel").unwrap_or(false),
            tunnel_life: Millis::minutes(tunnel_minutes.unwrap_or(720)),
            tunnel_open_to: section.networks("tunnel_open_to"),
            ca_file: section.path("ca_file"),
        };
        section.finish();
        qlikview
    }
}

/// `[compat]`: for clients written for `QlikView`, with either licence server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compat {
    /// TCP peers that may ask for web tickets without a token.
    pub web_ticket_trusted: Networks,
    /// Plain HTTP on loopback, for web tickets alone.
    pub http_listen: Option<SocketAddr>,
    /// Whether the gateway itself answers as a management service.
    pub qms: bool,
}

impl Compat {
    /// No peer may be both a trusted proxy and trusted with web tickets: what comes from a proxy
    /// was sent by somebody else.
    pub(super) fn read(mut section: Section<'_>, proxies: &Networks) -> Self {
        let compat = Self {
            web_ticket_trusted: section.networks("web_ticket_trusted"),
            http_listen: section.parsed("http_listen", parse_loopback_listener),
            qms: section.flag("qms").unwrap_or(false),
        };
        if let Some((peer, proxy)) = compat.web_ticket_trusted.first_overlap(proxies) {
            section.mistake(
                "web_ticket_trusted",
                format!("{peer} overlaps with {proxy} in proxy.trusted"),
            );
        }
        section.finish();
        compat
    }
}

fn parse_loopback_listener(text: &str) -> Result<SocketAddr, &'static str> {
    parse_listener(text)
        .ok()
        .filter(|address| address.ip().is_loopback())
        .ok_or("expected a loopback address and a port such as \"127.0.0.1:8081\"")
}
