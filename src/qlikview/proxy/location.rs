//! Where an answer leads: to a path of ours, to sign in, or away.

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
    pub(super) addresses: &'a Addresses,
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
