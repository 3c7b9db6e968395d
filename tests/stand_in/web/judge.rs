//! What must never come up to a web server from outside.

use axum::extract::Request;
use axum::http::{HeaderName, Method, header};

/// Headers that say who somebody is, or where they come from.
const IDENTITY: [&str; 16] = [
    "qvuser",
    "remote-user",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-csrf-token",
    "x-workstation",
    "x-service-key",
    "proxy-authorization",
    "early-data",
    "x-auth-request-user",
];
/// How the names of more of them begin.
const IDENTITY_BEGINS: [&str; 4] = ["x-user", "x-forwarded", "x-remote", "x-method"];
/// Headers of one connection, which are no other connection's affair.
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "te", "trailer"];
/// Pages that nobody calls in a session of somebody.
const NEVER_PASSED: [&str; 5] = [
    "/qvajaxzfc/getwebticket.aspx",
    "/qvajaxzfc/authenticate.aspx",
    "/qvajaxzfc/getloginpageurl.aspx",
    "/qlikview/login.htm",
    "/qlikview/formlogin.htm",
];
/// Parts of a path that another server may read in another way.
const NOT_CANONICAL: [&str; 9] = ["//", "/.", "\\", "%2f", "%5c", "%00", "%2e", "%25", ";"];

/// Everything that is wrong with a request. `in_session`: it came with somebody's session.
pub(super) fn complaints(request: &Request, origin: &str, in_session: bool) -> Vec<String> {
    let mut found = Vec::new();
    let headers = request.headers();
    let text = |name: &HeaderName| {
        let lines = headers.get_all(name).iter();
        let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
        lines.collect::<Vec<_>>().join(", ")
    };
    let path = request.uri().path().to_lowercase();
    for name in headers.keys() {
        let word = name.as_str();
        let is_identity = IDENTITY.contains(&word)
            || IDENTITY_BEGINS.iter().any(|begin| word.starts_with(begin))
            || word.contains('_');
        if is_identity || HOP_BY_HOP.contains(&word) {
            found.push(format!("{word} came up"));
        }
    }
    let by_ntlm = path == NEVER_PASSED[0] && text(&header::AUTHORIZATION).starts_with("NTLM ");
    if headers.contains_key(header::AUTHORIZATION) && !by_ntlm {
        found.push("authorization came up".to_owned());
    }
    if text(&header::COOKIE).contains("__Host-") {
        found.push("a cookie of the gateway came up".to_owned());
    }
    let connection = text(&header::CONNECTION).to_lowercase();
    if !["", "keep-alive", "close", "upgrade"].contains(&connection.as_str()) {
        found.push(format!("connection: {connection}"));
    }
    if headers.contains_key(header::UPGRADE) && text(&header::UPGRADE) != "websocket" {
        found.push(format!("upgrade: {}", text(&header::UPGRADE)));
    }
    let host = origin.split("://").nth(1).unwrap_or_default();
    if text(&header::HOST) != host {
        found.push(format!("host: {}", text(&header::HOST)));
    }
    // Where somebody was before holds tickets of the gateway.
    if text(&header::REFERER).contains("ticket=") || text(&header::REFERER).contains("launch=") {
        found.push("a ticket came up in referer".to_owned());
    }
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
    if !methods.contains(request.method()) {
        found.push(format!("the method {}", request.method()));
    }
    if let Some(part) = NOT_CANONICAL.iter().find(|part| path.contains(*part)) {
        found.push(format!("{part} in the path"));
    }
    if path.rsplit('.').next() == Some("asmx") || path.starts_with("/qms/") {
        found.push("a service came up".to_owned());
    }
    if in_session && NEVER_PASSED.contains(&path.as_str()) {
        found.push("this page is not for people of the gateway".to_owned());
    }
    found
}
