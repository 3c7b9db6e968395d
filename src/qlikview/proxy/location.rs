//! Where an answer leads: to a path of ours, to sign in, or away.

use std::sync::Arc;

use http::HeaderMap;
use http::header::LOCATION;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::path::{PathRefusal, UpstreamPath, is_sign_in_page, upstream_path};
use super::rewrite::Addresses;
use crate::config::QlikView;
use crate::domain::web_path::WebPath;

/// What is encoded in a query that comes down: what no header may hold.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// What a `Location` means to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// To this path of ours.
    Here(String),
    /// To a page on which people sign in.
    ToSignIn,
    /// To anywhere else.
    Away,
}

/// The inside and the outside, as addresses of both begin.
pub(super) struct Sides<'a> {
    pub(super) settings: &'a QlikView,
    pub(super) public_origin: &'a str,
    pub(super) addresses: &'a Arc<Addresses>,
}

impl Sides<'_> {
    /// Where the `Location` of an answer to a request for `path` leads.
    pub(super) fn leads(&self, location: &[u8], path: &UpstreamPath) -> Leads {
        let Ok(location) = std::str::from_utf8(location) else {
            return Leads::Away;
        };
        let location = location.trim();
        if location.contains(char::is_control) {
            return Leads::Away;
        }
        match parted(location) {
            Some((scheme, authority, rest)) => {
                if same_origin(scheme, authority, self.public_origin) {
                    // Only somebody who is to sign in is sent from there to a page of ours.
                    return match self.here(rest, path) {
                        Leads::Away => Leads::ToSignIn,
                        leads => leads,
                    };
                }
                let inside = &self.settings.web_servers;
                if inside.iter().any(|origin| is_at(scheme, authority, origin)) {
                    return self.here(rest, path);
                }
                Leads::Away
            }
            None if location.starts_with("//") || location.contains('\\') => Leads::Away,
            None => self.here(location, path),
        }
    }

    /// Where a path, absolute or not, with or without a query, leads.
    fn here(&self, reference: &str, from: &UpstreamPath) -> Leads {
        let (reference, fragment) = match reference.split_once('#') {
            Some((reference, fragment)) => (reference, Some(fragment)),
            None => (reference, None),
        };
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let whole = joined(from.encoded(), path);
        let mut to = match upstream_path(&whole, self.settings) {
            Ok(path) => path.encoded().to_owned(),
            Err(PathRefusal::SignIn) => return Leads::ToSignIn,
            Err(PathRefusal::Unlisted) if whole == "/" => whole,
            Err(_) => return Leads::Away,
        };
        for (mark, part) in [('?', query), ('#', fragment)] {
            if let Some(part) = part {
                to.push(mark);
                to.push_str(&self.outward(part));
            }
        }
        Leads::Here(to)
    }

    /// A query without addresses of the inside, plain or encoded.
    fn outward(&self, query: &str) -> String {
        let plain = self.addresses.rewritten(query.as_bytes());
        let mut text = String::from_utf8_lossy(&plain).into_owned();
        for origin in &self.settings.web_servers {
            text = replaced(&text, &encoded(origin), &encoded(self.public_origin));
        }
        utf8_percent_encode(&text, QUERY).to_string()
    }
}

/// Whether an answer sends people to sign in.
pub(in crate::qlikview) fn leads_to_sign_in(headers: &HeaderMap) -> bool {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    location.is_some_and(|location| {
        let rest = parted(location).map_or(location, |(_, _, rest)| rest);
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let path = WebPath::parse(&joined("/", path));
        path.is_ok_and(|path| path.names().any(is_sign_in_page))
    })
}

/// Scheme, authority and the rest of an address that has them.
fn parted(location: &str) -> Option<(&str, &str, &str)> {
    let (scheme, after) = location.split_once("://")?;
    let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if scheme.is_empty() || !is_scheme(scheme) {
        return None;
    }
    let end = after.find(['/', '?', '#', '\\']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    Some((scheme, authority, if rest.is_empty() { "/" } else { rest }))
}

fn same_origin(scheme: &str, authority: &str, origin: &str) -> bool {
    parted(origin).is_some_and(|(ours, at, _)| {
        scheme.eq_ignore_ascii_case(ours)
            && host_and_port(scheme, authority) == host_and_port(ours, at)
    })
}

/// Whether an address is at a web server: at its port, or at its host without one, because a server
/// behind something that ends TLS does not know how it is reached.
fn is_at(scheme: &str, authority: &str, origin: &str) -> bool {
    let is_web = ["http", "https"]
        .iter()
        .any(|web| scheme.eq_ignore_ascii_case(web));
    parted(origin).is_some_and(|(its_scheme, its, _)| {
        let (host, port) = host_and_port(scheme, authority);
        let (its_host, its_port) = host_and_port(its_scheme, its);
        is_web && host == its_host && (port == its_port || !has_port(authority))
    })
}

fn has_port(authority: &str) -> bool {
    authority
        .rsplit(']')
        .next()
        .is_some_and(|end| end.contains(':'))
}

/// The host in lower case, and the port, by the scheme where none is written. What is no host, such as
/// one behind a user's name, equals nobody's.
fn host_and_port(scheme: &str, authority: &str) -> (String, String) {
    let usual = if scheme.eq_ignore_ascii_case("https") {
        "443"
    } else {
        "80"
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if has_port(authority) => (host, port),
        _ => (authority, ""),
    };
    let port = if port.is_empty() { usual } else { port };
    (host.to_ascii_lowercase(), port.to_owned())
}

/// A path, relative to the folder of another one.
fn joined(from: &str, path: &str) -> String {
    if path.is_empty() {
        return from.to_owned();
    }
    if path.starts_with('/') {
        return path.to_owned();
    }
    let folder = from.rfind('/').map_or("/", |at| &from[..=at]);
    format!("{folder}{path}")
}

fn encoded(origin: &str) -> String {
    origin.replace(':', "%3A").replace('/', "%2F")
}

/// Replaces a text that is no part of a longer name, whatever its case.
fn replaced(text: &str, wanted: &str, with: &str) -> String {
    let (lower, wanted) = (text.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in lower.match_indices(&wanted) {
        let after = &lower[at + wanted.len()..];
        let goes_on = after.starts_with(|c: char| c.is_ascii_alphanumeric() || "-._~@".contains(c))
            || after.starts_with("%3a")
            || after.starts_with("%40");
        if !goes_on {
            out.push_str(&text[done..at]);
            out.push_str(with);
            done = at + wanted.len();
        }
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::qlikview::test_estate::settings;

    const OURS: &str = "https://ap.example:8443";

    fn leads(location: &str) -> Leads {
        let settings = settings(
            "web_server = ['https://qvws.internal', 'http://10.0.0.7:8080', 'http://[fd00::7]']",
        );
        let inside = settings.web_servers.iter().map(String::as_str);
        let addresses = Arc::new(Addresses::new(inside, OURS));
        let sides = Sides {
            settings: &settings,
            public_origin: OURS,
            addresses: &addresses,
        };
        let path = upstream_path("/QvAJAXZfc/AccessPoint.aspx", &settings).unwrap();
        sides.leads(location.as_bytes(), &path)
    }

    #[test]
    fn paths_of_ours_stay_paths() {
        for (location, expected) in [
            ("/qlikview/", "/qlikview/"),
            (
                "opendoc.htm?document=a%7Cb#x",
                "/QvAJAXZfc/opendoc.htm?document=a%7Cb#x",
            ),
            ("../qlikview/./index.htm", "/qlikview/index.htm"),
            ("?open=&id=a|b", "/QvAJAXZfc/AccessPoint.aspx?open=&id=a|b"),
            ("", "/QvAJAXZfc/AccessPoint.aspx"),
            (" /qlikview/%61 ", "/qlikview/a"),
            ("/", "/"),
            ("https://qvws.internal", "/"),
            ("https://qvws.internal/qlikview/", "/qlikview/"),
            ("HTTPS://QVWS.internal:443/QvPlugin/?x", "/QvPlugin/?x"),
            ("http://qvws.internal/qlikview/", "/qlikview/"),
            ("http://10.0.0.7:8080/qlikview/", "/qlikview/"),
            ("http://10.0.0.7/qlikview/", "/qlikview/"),
            ("http://[FD00::7]/qlikview/", "/qlikview/"),
            ("http://[fd00::7]:80/qlikview/", "/qlikview/"),
            ("https://ap.example:8443/qlikview/x", "/qlikview/x"),
            (
                "/qlikview/?u=https://qvws.internal/x&v=https%3a%2F%2fqvws.internal%2Fy",
                "/qlikview/?u=https://ap.example:8443/x&v=https%3A%2F%2Fap.example%3A8443%2Fy",
            ),
            (
                "/qlikview/?v=http%3A%2F%2F10.0.0.7%3A8080&w=https%3A%2F%2Fqvws.internal.example",
                "/qlikview/?v=https%3A%2F%2Fap.example%3A8443&w=https%3A%2F%2Fqvws.internal.example",
            ),
            (
                "/qlikview/\u{e4} b?\u{f6} c",
                "/qlikview/%C3%A4%20b?%C3%B6%20c",
            ),
        ] {
            assert_eq!(
                leads(location),
                Leads::Here(expected.to_owned()),
                "{location}"
            );
        }
    }

    #[test]
    fn sign_in_pages_are_known() {
        for location in [
            "/qlikview/login.htm",
            "https://qvws.internal/qlikview/FormLogin.htm?x",
            "/QvAJAXZfc/Authenticate.aspx?type=html",
            "https://ap.example:8443/login?return_to=/",
            "https://ap.example:8443/account",
        ] {
            assert_eq!(leads(location), Leads::ToSignIn, "{location}");
        }
        let told = |location: &str| {
            let value = HeaderValue::try_from(location).unwrap();
            leads_to_sign_in(&HeaderMap::from_iter([(LOCATION, value)]))
        };
        assert!(told("login.htm") && told("https://anywhere/x/Authenticate.aspx?y"));
        assert!(!told("/qlikview/") && !told("/qlikview/?login.htm") && !told("//x/login.htm"));
        assert!(!leads_to_sign_in(&HeaderMap::new()));
    }

    #[test]
    fn r_series_nothing_leads_away() {
        for location in [
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/%5cevil.example",
            "/%2fevil.example",
            "/%09/evil.example",
            "/\t/evil.example",
            "/./\\evil.example",
            "http:evil.example",
            "https:/evil.example",
            "http:///evil.example",
            "HTTPS://evil.example",
            "https://qvws.internal@evil.example",
            "https://qvws.internal:443@evil.example",
            "https://evil.example#qvws.internal",
            "https://evil.example?qvws.internal",
            "https://evil.example\\.qvws.internal",
            "https://qvws.internal.evil.example",
            "https://xqvws.internal",
            "https://qvws.internal%2eevil.example",
            "https://qvws.internal:8443/qlikview/",
            "http://10.0.0.7:8081/qlikview/",
            "https://[::ffff:127.0.0.1]/",
            "https://2130706433/",
            "javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "ftp://qvws.internal/qlikview/",
            "/admin",
            "/api/v1/session",
            "/logout",
            "/login",
            "/documents/x/content",
            "/scripts/QVSTunnel.dll",
            "/QvAJAXZfc/GetWebTicket.aspx",
            "/QMS/Service",
            "/qlikview/../admin",
            "/qlikview/a;b",
            "/qlikview/%252e",
            "../../admin",
            "/qlikview/\u{7}",
            "https://ap.example:8443\\@evil.example",
        ] {
            let found = leads(location);
            assert!(
                matches!(found, Leads::Away | Leads::ToSignIn),
                "{location}: {found:?}"
            );
            if !location.contains("ap.example:8443") {
                assert_eq!(found, Leads::Away, "{location}");
            }
        }
        let settings = settings("web_server = 'https://qvws.internal'");
        let addresses = Arc::new(Addresses::new(["https://qvws.internal"].into_iter(), OURS));
        let sides = Sides {
            settings: &settings,
            public_origin: OURS,
            addresses: &addresses,
        };
        let path = upstream_path("/qlikview/", &settings).unwrap();
        assert_eq!(sides.leads(b"/qlikview/\xff", &path), Leads::Away);
    }
}
