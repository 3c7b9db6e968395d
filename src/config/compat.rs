//! What the gateway offers to clients written for `QlikView`.

use std::net::SocketAddr;

use super::network::Networks;
use super::section::Section;
use super::site::parse_listener;

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
