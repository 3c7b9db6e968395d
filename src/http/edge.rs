//! What every request passes: its id, its host, and the headers of its answer.

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::extract::{Asked, SIGN_IN_COOKIE, WORKSTATION_COOKIE};
use super::failure::Failure;
use super::oidc::{ATTEMPT_COOKIE, SIGN_OUT_COOKIE};
use super::pages::keep_language;
use super::session::{SESSION_COOKIE, protect_cookies};
use super::web_server::{self, FromWebServer};
use crate::app::App;
use crate::text::Problem;

/// What pages may load and where they may lead; see [`policy_leading_to`].
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer that does not set its own.
const HEADERS: [(HeaderName, HeaderValue); 9] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_POLICY),
    ),
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("x-ua-compatible"),
        HeaderValue::from_static("IE=edge"),
    ),
    // What belongs to a person is never kept; what may be kept says so itself.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Our cookies that decide anything.
const OUR_COOKIES: [&str; 5] = [
    SESSION_COOKIE,
    WORKSTATION_COOKIE,
    SIGN_IN_COOKIE,
    ATTEMPT_COOKIE,
    SIGN_OUT_COOKIE,
];

/// Paths that answer whatever host they are asked for.
const ANY_HOST: [&str; 2] = ["/healthz", "/readyz"];

/// The outermost layer.
pub(super) async fn pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let refused = refuse(&app, &request);
    pass_unless(refused, &app, request, next).await
}

/// The outermost layer of a listener that answers whatever host it is asked for.
pub(super) async fn pass_for_any_host(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    pass_unless(None, &app, request, next).await
}

async fn pass_unless(
    refused: Option<Problem>,
    app: &App,
    mut request: Request,
    next: Next,
) -> Response {
    let id = app.fresh().id();
    join_cookies(request.headers_mut());
    let asked = Asked::new(&request, &id);
    let mut response = if let Some(problem) = refused {
        Failure::from(problem).into_response()
    } else {
        let method = request.method().clone();
        request.extensions_mut().insert(asked.clone());
        let response = next.run(request).await;
        tracing::debug!(
            target: "accesspoint::request",
            %method, path = asked.uri.path(), status = response.status().as_u16(), id,
        );
        response
    };
    let passed_on = response.extensions().get::<FromWebServer>().is_some();
    if !passed_on && let Some(failure) = failure_of(&mut response) {
        response = in_place_of(&response, failure.render(app, &asked));
    }
    let headers = response.headers_mut();
    if passed_on {
        headers.extend(web_server::HEADERS);
    } else {
        complete(headers, asked.leads_to());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if let Some(language) = asked.chosen_language() {
        headers.append(header::SET_COOKIE, keep_language(app, language));
    }
    protect_cookies(headers);
    response
}

/// Adds the headers of our own answers that are not set yet.
fn complete(headers: &mut HeaderMap, leads_to: Option<&str>) {
    headers.reserve(HEADERS.len() + 1);
    if let Some(policy) = leads_to.and_then(policy_leading_to) {
        headers
            .entry(header::CONTENT_SECURITY_POLICY)
            .or_insert(policy);
    }
    for (name, value) in &HEADERS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

/// The policy of a page whose form for signing out leads on to a provider: browsers hold the
/// redirect after a form to `form-action` too.
fn policy_leading_to(origin: &str) -> Option<HeaderValue> {
    let targets = format!("form-action 'self' {origin}");
    HeaderValue::from_str(&CONTENT_POLICY.replace("form-action 'self'", &targets)).ok()
}

/// What an answer failed with: what a handler says, or what the framework answered in its own words.
fn failure_of(response: &mut Response) -> Option<Failure> {
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        return Some(failure);
    }
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    // The faults of the management service are XML.
    let ours = kind.is_some_and(|kind| {
        kind.starts_with("text/html") || kind.starts_with("text/xml") || kind.contains("json")
    });
    let empty = status == StatusCode::RANGE_NOT_SATISFIABLE;
    (!ours && !empty).then(|| Failure::status(status))
}

/// The answer to a failure, with the cookies that were set before it failed, and the methods that
/// are allowed.
fn in_place_of(failed: &Response, mut answer: Response) -> Response {
    for name in [header::SET_COOKIE, header::ALLOW] {
        for value in failed.headers().get_all(&name) {
            answer.headers_mut().append(&name, value.clone());
        }
    }
    answer
}

/// Why a request is not looked at further, if it is not.
fn refuse(app: &App, request: &Request) -> Option<Problem> {
    if !ANY_HOST.contains(&request.uri().path()) && !has_our_host(app, request) {
        return Some(Problem::WrongHost);
    }
    // Two cookies of one name: one of them was planted, and nobody can tell which (S-04).
    has_doubled_cookie(request.headers()).then_some(Problem::BadRequest)
}

/// Whether the request is for the host of `public_url`, everywhere that it names one.
fn has_our_host(app: &App, request: &Request) -> bool {
    let in_line = authority(request.uri());
    let mut in_headers = request.headers().get_all(header::HOST).iter();
    let in_header = in_headers.next();
    if in_headers.next().is_some() {
        return false;
    }
    let in_header = match in_header.map(HeaderValue::to_str) {
        Some(Err(_)) => return false,
        Some(Ok(host)) => Some(host),
        None => None,
    };
    match (in_line, in_header) {
        (None, None) => false,
        (line, header) => line
            .into_iter()
            .chain(header)
            .all(|host| app.accepts_host(host)),
    }
}

fn authority(uri: &Uri) -> Option<&str> {
    uri.authority().map(axum::http::uri::Authority::as_str)
}

/// Makes one line of all cookie lines: over HTTP/2 browsers send one for each cookie.
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(_)) = (lines.next(), lines.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for line in headers.get_all(header::COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    match HeaderValue::from_bytes(&joined) {
        Ok(joined) => drop(headers.insert(header::COOKIE, joined)),
        Err(_) => drop(headers.remove(header::COOKIE)),
    }
}

/// Whether one of our cookies came twice.
fn has_doubled_cookie(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::COOKIE).iter();
    let cookies = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let mut seen = [false; OUR_COOKIES.len()];
    for cookie in cookies {
        let name = cookie.split('=').next().unwrap_or_default().trim();
        let ours = OUR_COOKIES.iter().position(|ours| *ours == name);
        if let Some(seen) = ours.and_then(|ours| seen.get_mut(ours)) {
            if *seen {
                return true;
            }
            *seen = true;
        }
    }
    false
}

/// An empty answer of a page that only redirects: always `303`, always to a path of ours.
pub(super) fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
