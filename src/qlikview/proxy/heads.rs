//! Heads of requests and answers: what is not on a list does not pass, either way.

use std::sync::Arc;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES, CACHE_CONTROL, CONNECTION,
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, ORIGIN, PRAGMA, PROXY_AUTHENTICATE, RANGE, REFERER,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use super::PassError;
use super::path::{UpstreamPath, upstream_path};
use super::rewrite::Addresses;
use crate::config::QlikView;

const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
const X_UA_COMPATIBLE: HeaderName = HeaderName::from_static("x-ua-compatible");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// What goes up as it is.
const UP: [HeaderName; 7] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_TYPE,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    USER_AGENT,
    X_REQUESTED_WITH,
];
/// What goes up for files that are never rewritten: a part of a body that is cannot be counted in
/// bytes of the other.
const UP_FOR_FILES: [HeaderName; 2] = [IF_RANGE, RANGE];
/// What goes up with an upgrade to a websocket, besides what makes it one.
const UP_FOR_WEBSOCKETS: [HeaderName; 4] = [
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
];
/// What goes up through the tunnel.
const UP_THROUGH_TUNNEL: [HeaderName; 5] =
    [ACCEPT, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, USER_AGENT];

/// What comes down as it is, but for addresses of the inside.
const DOWN: [HeaderName; 14] = [
    ACCEPT_RANGES,
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_RANGE,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    ETAG,
    EXPIRES,
    LAST_MODIFIED,
    PRAGMA,
    VARY,
    X_UA_COMPATIBLE,
];
/// What comes down with an upgrade to a websocket, besides what makes it one.
const DOWN_FOR_WEBSOCKETS: [HeaderName; 3] = [
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL,
];
/// What comes down through the tunnel.
const DOWN_THROUGH_TUNNEL: [HeaderName; 4] = [CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, PRAGMA];

/// Endings of files that no web server sends as a page or a script.
const FILE_ENDINGS: [&str; 20] = [
    "bmp", "cab", "csv", "cur", "eot", "exe", "gif", "ico", "jpeg", "jpg", "msi", "pdf", "png",
    "qvw", "ttf", "webp", "woff", "woff2", "xlsx", "zip",
];

/// The head of a request as it goes up, but for what names the server.
pub(super) struct Up {
    headers: HeaderMap,
    /// Whether it said to come from a page of ours.
    has_origin: bool,
    /// The page that it said to come from: path and query.
    referrer: Option<String>,
}

impl Up {
    /// Takes what may pass. A request that comes from elsewhere and changes something, or opens a
    /// websocket, is refused.
    pub(super) fn of(
        from: &HeaderMap,
        path: &UpstreamPath,
        public_origin: &str,
        settings: &QlikView,
    ) -> Result<Self, PassError> {
        let nominated = nominated(from);
        let mut headers = HeaderMap::new();
        take(from, &UP, &nominated, &mut headers);
        if FILE_ENDINGS.contains(&path.ending()) {
            take(from, &UP_FOR_FILES, &nominated, &mut headers);
        }
        if headers.get_all(CONTENT_TYPE).iter().count() > 1 {
            return Err(PassError::Unjudged("it has two content types"));
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let origin = one_origin(from, public_origin)?;
        Ok(Self {
            headers,
            has_origin: origin,
            referrer: referrer(from, public_origin, settings),
        })
    }

    /// Makes it the head of an upgrade to a websocket, which must say that it comes from us.
    pub(super) fn upgrade(&mut self, from: &HeaderMap) -> Result<(), PassError> {
        if !self.has_origin {
            return Err(FOREIGN);
        }
        take(from, &UP_FOR_WEBSOCKETS, &[], &mut self.headers);
        self.headers.insert(UPGRADE, WEBSOCKET);
        let connection = HeaderValue::from_static("upgrade");
        self.headers.insert(CONNECTION, connection);
        Ok(())
    }

    /// The head for a server, in whose eyes everything comes from its own pages.
    pub(super) fn for_server(&self, origin: &str) -> HeaderMap {
        let mut headers = self.headers.clone();
        if self.has_origin
            && let Ok(value) = HeaderValue::try_from(origin)
        {
            headers.insert(ORIGIN, value);
        }
        if let Some(referrer) = &self.referrer
            && let Ok(value) = HeaderValue::try_from(format!("{origin}{referrer}"))
        {
            headers.insert(REFERER, value);
        }
        headers
    }
}

const FOREIGN: PassError = PassError::Refused("it comes from a page of another site");

/// Whether the request names our origin. Another one is refused: no token of ours speaks for these
/// requests, so no other page may send them.
fn one_origin(from: &HeaderMap, public_origin: &str) -> Result<bool, PassError> {
    let mut origins = from.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(false),
        (Some(origin), None)
            if origin
                .as_bytes()
                .eq_ignore_ascii_case(public_origin.as_bytes()) =>
        {
            Ok(true)
        }
        _ => Err(FOREIGN),
    }
}

/// The page that a request comes from, where it is one that is passed on; pages of our own have
/// addresses that nobody else needs to know.
fn referrer(from: &HeaderMap, public_origin: &str, settings: &QlikView) -> Option<String> {
    let referrer: Uri = from.get(REFERER)?.to_str().ok()?.parse().ok()?;
    let authority = referrer.authority()?.as_str();
    let origin = format!("{}://{authority}", referrer.scheme_str()?);
    if !origin.eq_ignore_ascii_case(public_origin) {
        return None;
    }
    let path = upstream_path(referrer.path(), settings).ok()?;
    let query = referrer.query();
    let query = query.and_then(|query| super::query_up(query, |_| false));
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    Some(format!("{}{query}", path.encoded()))
}

/// The head of a request through the tunnel.
pub(in crate::qlikview) fn up_through_tunnel(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    take(from, &UP_THROUGH_TUNNEL, &nominated(from), &mut headers);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// The head of an answer through the tunnel.
pub(in crate::qlikview) fn down_through_tunnel(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    take(from, &DOWN_THROUGH_TUNNEL, &nominated(from), &mut headers);
    headers
}

/// The head of an answer, with addresses of the inside replaced. The length is told where the body
/// stays as it is.
pub(super) fn down(
    from: &HeaderMap,
    addresses: &Arc<Addresses>,
    hosts: &Hosts<'_>,
    keeps_length: bool,
) -> HeaderMap {
    let nominated = nominated(from);
    let mut plain = HeaderMap::new();
    take(from, &DOWN, &nominated, &mut plain);
    let mut headers = HeaderMap::new();
    for (name, value) in &plain {
        let mut bytes = addresses.rewritten(value.as_bytes());
        if *name == CONTENT_SECURITY_POLICY {
            bytes = hosts.replaced_in(&bytes).into();
        }
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.append(name, value);
        }
    }
    if keeps_length {
        take(from, &[CONTENT_LENGTH], &nominated, &mut headers);
    }
    headers
}

/// The head of an answer that became a websocket.
pub(super) fn down_for_websocket(from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    take(from, &DOWN_FOR_WEBSOCKETS, &[], &mut headers);
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers
}

/// Whether an answer asks who asks: the gateway signs in by tickets alone.
pub(in crate::qlikview) fn is_challenge(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        || headers.contains_key(WWW_AUTHENTICATE)
        || headers.contains_key(PROXY_AUTHENTICATE)
}

/// Whether a request asks for a websocket.
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let upgrades = headers.get_all(UPGRADE).iter();
    let mut words = upgrades.filter_map(|value| value.to_str().ok());
    nominated(headers).contains(&UPGRADE)
        && words.any(|word| word.trim().eq_ignore_ascii_case("websocket"))
}

/// Hosts of the inside as policies name them, without a scheme.
pub(super) struct Hosts<'a> {
    pub(super) inside: Vec<&'a str>,
    pub(super) outside: &'a str,
}

impl Hosts<'_> {
    /// Replaces each word that is such a host.
    fn replaced_in(&self, policy: &[u8]) -> Vec<u8> {
        let Ok(policy) = std::str::from_utf8(policy) else {
            return policy.to_vec();
        };
        let words = policy.split_inclusive([' ', ';', ',']);
        let replaced = words.map(|word| {
            let bare = word.trim_end_matches([' ', ';', ',']);
            let mut inside = self.inside.iter();
            if inside.any(|host| bare.eq_ignore_ascii_case(host)) {
                format!("{}{}", self.outside, &word[bare.len()..])
            } else {
                word.to_owned()
            }
        });
        replaced.collect::<String>().into_bytes()
    }
}

/// Host and port of an origin.
pub(super) fn authority_of(origin: &str) -> &str {
    origin
        .split_once("://")
        .map_or(origin, |(_, authority)| authority)
}

/// Copies the headers of a list, but for those that `Connection` names: they were meant for us.
fn take(from: &HeaderMap, list: &[HeaderName], nominated: &[HeaderName], to: &mut HeaderMap) {
    for name in list.iter().filter(|name| !nominated.contains(name)) {
        for value in from.get_all(name) {
            to.append(name, value.clone());
        }
    }
}

/// The headers that `Connection` names.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qlikview::test_estate::settings;

    const OURS: &str = "https://ap.example";
    const THEIRS: &str = "http://qvws.internal:8080";

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        map
    }

    fn up_for(path: &str, headers: &[(&str, &str)]) -> Result<HeaderMap, PassError> {
        let settings = settings(&format!("web_server = '{THEIRS}'"));
        let path = upstream_path(path, &settings).unwrap();
        Ok(Up::of(&map(headers), &path, OURS, &settings)?.for_server(THEIRS))
    }

    fn up(headers: &[(&str, &str)]) -> HeaderMap {
        up_for("/qlikview/", headers).unwrap()
    }

    fn down_with(headers: &[(&str, &str)], keeps_length: bool) -> HeaderMap {
        let addresses = Arc::new(Addresses::new([THEIRS].into_iter(), OURS));
        let hosts = Hosts {
            inside: vec![authority_of(THEIRS)],
            outside: authority_of(OURS),
        };
        down(&map(headers), &addresses, &hosts, keeps_length)
    }

    #[test]
    fn h_08_identity_and_transport_headers_never_go_up() {
        let plain = up(&[]);
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "QVUSER",
            "QvUser",
            "X-User",
            "X_User",
            "X-USER",
            "X-Remote-User",
            "Remote-User",
            "X-Forwarded-User",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Forwarded-Port",
            "X-Forwarded-Uri",
            "Forwarded",
            "Via",
            "X-Real-IP",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "X-Workstation",
            "X-CSRF-Token",
            "X-Service-Key",
            "SOAPAction",
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Expect",
            "Host",
            "Content-Length",
            "Max-Forwards",
            "X-AccessPoint-Time",
            "Front-End-Https",
            "Translate",
            "Range",
            "If-Range",
        ] {
            assert_eq!(up(&[(name, "x")]), plain, "{name}");
        }
        assert_eq!(plain, map(&[("accept-encoding", "identity")]));
        assert_eq!(up(&[("Accept-Encoding", "gzip, br")]), plain);
    }

    #[test]
    fn what_a_page_needs_goes_up() {
        let headers = [
            ("accept", "text/html"),
            ("accept", "*/*"),
            ("accept-language", "de"),
            ("content-type", "text/plain"),
            ("user-agent", "Mozilla/5.0"),
            ("if-modified-since", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("if-none-match", "\"x\""),
            ("x-requested-with", "XMLHttpRequest"),
        ];
        let mut expected = map(&headers);
        expected.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        assert_eq!(up(&headers), expected);
        let twice = up_for(
            "/qlikview/",
            &[("content-type", "text/xml"), ("content-type", "text/plain")],
        );
        assert!(matches!(twice, Err(PassError::Unjudged(_))));
    }

    #[test]
    fn what_connection_names_stays_here() {
        let found = up(&[
            ("connection", "close, Accept-Language"),
            ("connection", "user-agent"),
            ("accept-language", "de"),
            ("user-agent", "x"),
            ("accept", "text/html"),
        ]);
        assert_eq!(
            found,
            map(&[("accept", "text/html"), ("accept-encoding", "identity")])
        );
        let found = down_with(
            &[("connection", "etag"), ("etag", "x"), ("vary", "y")],
            true,
        );
        assert_eq!(found, map(&[("vary", "y")]));
    }

    #[test]
    fn a_part_is_asked_of_files_alone() {
        for (path, passes) in [
            ("/QvPlugin/QvPluginSetup.exe", true),
            ("/QvPlugin/SETUP.MSI", true),
            ("/qlikview/x.png", true),
            ("/qlikview/index.htm", false),
            ("/qlikview/x.js", false),
            ("/qlikview/x.svg", false),
            ("/QvAJAXZfc/QvsViewClient.aspx", false),
            ("/qlikview/", false),
        ] {
            let found = up_for(path, &[("range", "bytes=0-9"), ("if-range", "\"x\"")]).unwrap();
            assert_eq!(found.contains_key(RANGE), passes, "{path}");
            assert_eq!(found.contains_key(IF_RANGE), passes, "{path}");
        }
    }

    #[test]
    fn origin_and_referrer_go_up_as_the_servers_own_where_they_are_ours() {
        let found = up(&[
            ("origin", "https://ap.example"),
            (
                "referer",
                "https://AP.example/QvAJAXZfc/%6fpendoc.htm?document=a|b&ticket=1",
            ),
        ]);
        assert_eq!(found["origin"], THEIRS);
        assert_eq!(
            found["referer"],
            "http://qvws.internal:8080/QvAJAXZfc/opendoc.htm?document=a|b"
        );
        for referrer in [
            "https://evil.example/qlikview/",
            "http://ap.example/qlikview/",
            "https://ap.example:8443/qlikview/",
            "https://ap.example/documents/x/content?launch=secret",
            "https://ap.example/qlikview/login.htm",
            "/qlikview/",
            "x",
        ] {
            assert!(
                !up(&[("referer", referrer)]).contains_key(REFERER),
                "{referrer}"
            );
        }
        for origin in [
            "https://evil.example",
            "null",
            "http://ap.example",
            "https://ap.example:443",
            "https://ap.example.x",
            "https://xap.example",
            "",
        ] {
            let found = up_for("/qlikview/", &[("origin", origin)]);
            assert!(matches!(found, Err(PassError::Refused(_))), "{origin}");
        }
        let two = [
            ("origin", "https://ap.example"),
            ("origin", "https://ap.example"),
        ];
        assert!(up_for("/qlikview/", &two).is_err());
    }

    #[test]
    fn answers_come_down_by_list() {
        let passing = [
            ("content-type", "text/html"),
            ("content-encoding", "gzip"),
            ("content-language", "de"),
            ("content-disposition", "attachment"),
            ("content-range", "bytes 0-1/2"),
            ("accept-ranges", "bytes"),
            ("cache-control", "private"),
            ("expires", "0"),
            ("last-modified", "x"),
            ("etag", "\"x\""),
            ("vary", "*"),
            ("pragma", "no-cache"),
            ("content-security-policy", "default-src 'self'"),
            ("x-ua-compatible", "IE=8"),
        ];
        assert_eq!(down_with(&passing, true), map(&passing));
        for name in [
            "Set-Cookie",
            "Server",
            "X-Powered-By",
            "X-AspNet-Version",
            "WWW-Authenticate",
            "Connection",
            "Transfer-Encoding",
            "Keep-Alive",
            "Content-Location",
            "Refresh",
            "Link",
            "Access-Control-Allow-Origin",
            "Strict-Transport-Security",
            "X-Frame-Options",
            "Clear-Site-Data",
            "Alt-Svc",
            "Location",
            "Service-Worker-Allowed",
            "SourceMap",
            "Via",
            "Date",
        ] {
            assert_eq!(down_with(&[(name, "x")], true), HeaderMap::new(), "{name}");
        }
        assert_eq!(
            down_with(&[("content-length", "5")], true),
            map(&[("content-length", "5")])
        );
        assert_eq!(
            down_with(&[("content-length", "5")], false),
            HeaderMap::new()
        );
    }

    #[test]
    fn no_address_of_the_inside_is_in_a_header() {
        let found = down_with(
            &[
                (
                    "content-security-policy",
                    "default-src http://qvws.internal:8080 QVWS.internal:8080; img-src x.qvws.internal:8080, qvws.internal:8080",
                ),
                ("etag", "\"http://qvws.internal:8080/x\""),
            ],
            true,
        );
        assert_eq!(
            found["content-security-policy"],
            "default-src https://ap.example ap.example; img-src x.qvws.internal:8080, ap.example"
        );
        assert_eq!(found["etag"], "\"https://ap.example/x\"");
    }

    #[test]
    fn a_websocket_is_asked_for_by_both_headers_and_from_us() {
        assert!(asks_for_websocket(&map(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket")
        ])));
        for headers in [
            &[("upgrade", "websocket")][..],
            &[("connection", "upgrade")],
            &[("connection", "upgrade"), ("upgrade", "h2c")],
            &[],
        ] {
            assert!(!asks_for_websocket(&map(headers)), "{headers:?}");
        }
        let settings = settings(&format!("web_server = '{THEIRS}'"));
        let path = upstream_path("/QvAJAXZfc/x", &settings).unwrap();
        let from = map(&[
            ("origin", OURS),
            ("sec-websocket-key", "k"),
            ("sec-websocket-version", "13"),
            ("x-user", "x"),
        ]);
        let mut up = Up::of(&from, &path, OURS, &settings).unwrap();
        up.upgrade(&from).unwrap();
        let expected = map(&[
            ("accept-encoding", "identity"),
            ("connection", "upgrade"),
            ("origin", THEIRS),
            ("sec-websocket-key", "k"),
            ("sec-websocket-version", "13"),
            ("upgrade", "websocket"),
        ]);
        assert_eq!(up.for_server(THEIRS), expected);
        let mut up = Up::of(&HeaderMap::new(), &path, OURS, &settings).unwrap();
        assert!(matches!(up.upgrade(&from), Err(PassError::Refused(_))));
    }

    #[test]
    fn the_tunnel_carries_nobodys_identity() {
        let found = up_through_tunnel(&map(&[
            ("content-type", "application/octet-stream"),
            ("authorization", "x"),
            ("cookie", "x"),
            ("x-user", "x"),
            ("origin", "x"),
        ]));
        assert_eq!(
            found,
            map(&[
                ("content-type", "application/octet-stream"),
                ("accept-encoding", "identity")
            ])
        );
        let found = down_through_tunnel(&map(&[
            ("content-length", "1"),
            ("set-cookie", "x"),
            ("server", "x"),
        ]));
        assert_eq!(found, map(&[("content-length", "1")]));
    }
}
