//! Addresses that people write as URLs: our own, and those of peers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::Uri;
use url::{Host, Url};

const HTTPS_PORT: u16 = 443;

/// The address that browsers use: always https, with neither path nor query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Name or address, in lower case; an IPv6 address stands in brackets.
    pub host: String,
    /// The port, 443 where the URL names none.
    pub port: u16,
}

impl PublicUrl {
    /// The scheme; there is no other.
    pub const SCHEME: &'static str = "https";

    /// The URL of a listener, for a site that set none.
    #[must_use]
    pub fn of_listener(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        Self {
            host,
            port: address.port(),
        }
    }

    /// Host and port as they stand in a `Host` header: without the port where it is 443.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == HTTPS_PORT {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The origin as browsers write it, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", Self::SCHEME, self.authority())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected an https URL without path and query, \
                        such as \"https://accesspoint.example\"";
        let uri = parse_url(text, &["https"]).ok_or(expected)?;
        let host = uri.host().ok_or(expected)?.to_ascii_lowercase();
        if uri.path() != "/" || uri.query().is_some() {
            return Err(expected);
        }
        let port = uri.port_u16().unwrap_or(HTTPS_PORT);
        Ok(Self { host, port })
    }
}

/// Reads an absolute URL with a host and without a user, a fragment or a port that is no number.
pub(super) fn parse_url(text: &str, schemes: &[&str]) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = uri.host().filter(|host| !host.is_empty())?;
    let port = authority.strip_prefix(host)?;
    let port_fits = port.is_empty() || uri.port_u16().is_some();
    let known = schemes.contains(&uri.scheme_str()?);
    let whole = !text.contains('#');
    (port_fits && known && whole).then_some(uri)
}

/// Whether the host of a URL is this machine itself, by name or address.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let by_name = host.eq_ignore_ascii_case("localhost");
    by_name || address_of(uri).is_some_and(|address| address.to_canonical().is_loopback())
}

/// The address that is the host of a URL; none where that is a name. Clients read `2130706433` and
/// `0x7f.1` as addresses too.
pub(super) fn address_of(uri: &Uri) -> Option<IpAddr> {
    match Url::parse(&uri.to_string()).ok()?.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_is_taken_apart() {
        let table = [
            (
                "https://ap.example",
                "ap.example",
                443,
                "https://ap.example",
            ),
            (
                "https://AP.example/",
                "ap.example",
                443,
                "https://ap.example",
            ),
            (
                "https://ap.example:443",
                "ap.example",
                443,
                "https://ap.example",
            ),
            (
                "https://127.0.0.1:8443",
                "127.0.0.1",
                8443,
                "https://127.0.0.1:8443",
            ),
            ("https://[::1]:8443", "[::1]", 8443, "https://[::1]:8443"),
        ];
        for (text, host, port, origin) in table {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.origin(), origin, "{text}");
        }
    }

    #[test]
    fn what_is_no_public_url_is_refused() {
        for text in [
            "",
            "ap.example",
            "http://ap.example",
            "https://",
            "https://ap.example/path",
            "https://ap.example?q",
            "https://ap.example/#f",
            "https://u@ap.example",
            "https://u:p@ap.example",
            "https://ap.example:99999",
            "https://ap.example:",
            "https://ap example",
            "/",
            "https:ap.example",
            "https://:8443",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_has_a_public_url() {
        let url = |text: &str| PublicUrl::of_listener(text.parse().unwrap()).origin();
        assert_eq!(url("127.0.0.1:8443"), "https://127.0.0.1:8443");
        assert_eq!(url("[::1]:443"), "https://[::1]");
    }

    #[test]
    fn loopback_is_told_by_name_and_address() {
        let loopback = |text: &str| is_loopback(&parse_url(text, &["http"]).unwrap());
        assert!(loopback("http://localhost:80"));
        assert!(loopback("http://127.9.9.9/x"));
        assert!(loopback("http://[::1]:80"));
        assert!(loopback("http://2130706433/") && loopback("http://0x7f.1/"));
        assert!(!loopback("http://localhost.example"));
        assert!(!loopback("http://10.0.0.1"));
    }
}
