//! What every request passes: its id, its host, and the headers of its answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tower::Service;

use super::extract::{Asked, SIGN_IN_COOKIE, WORKSTATION_COOKIE, command, shortened};
use super::failure::{Failure, Refused};
use super::leftover;
use super::oidc::{ATTEMPT_COOKIE, SIGN_OUT_COOKIE};
use super::pages::keep_language;
use super::session::{SESSION_COOKIE, protect_cookies};
use super::web_server::{self, FromWebServer};
use crate::app::App;
use crate::causes;
use crate::text::Problem;

/// What pages may load and where they may lead; see [`policy_leading_to`].
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer that does not set its own; copied whole, which hashes no name.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (HeaderName::from_static("x-ua-compatible"), "IE=edge"),
        // What belongs to a person is never kept; what may be kept says so itself.
        (header::CACHE_CONTROL, "no-store"),
    ];
    let values = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    values.into_iter().collect()
});

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

/// The outermost layer, around a whole router.
#[derive(Clone)]
pub(super) struct Edge<S> {
    app: App,
    any_host: bool,
    inner: S,
}

impl<S> Edge<S> {
    /// Around what answers for our hosts alone.
    pub(super) const fn new(app: App, inner: S) -> Self {
        Self {
            app,
            any_host: false,
            inner,
        }
    }

    /// Around what answers whatever host it is asked for.
    pub(super) const fn for_any_host(app: App, inner: S) -> Self {
        Self {
            app,
            any_host: true,
            inner,
        }
    }

    /// Why a request is not looked at further, if it is not.
    fn refuse(&self, request: &Request, asked: &Asked) -> Option<Problem> {
        if self.any_host {
            return None;
        }
        if !ANY_HOST.contains(&request.uri().path()) && !has_our_host(&self.app, request) {
            return Some(Problem::WrongHost);
        }
        // Two cookies of one name: one of them was planted, and nobody can tell which (S-04).
        has_doubled_cookie(asked).then_some(Problem::CookieTwice)
    }
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        join_cookies(request.headers_mut());
        let id = self.app.fresh().id();
        let asked = Asked::new(&mut request, id, &self.app.config().proxy.trusted);
        let method = request.method().clone();
        let (mut request, leftover) = leftover::lend(request);
        let answer = if let Some(problem) = self.refuse(&request, &asked) {
            Err(problem)
        } else {
            request.extensions_mut().insert(asked.clone());
            Ok(self.inner.call(request))
        };
        let app = self.app.clone();
        Box::pin(async move {
            let response = match answer {
                Ok(answer) => caught(answer).await,
                Err(problem) => Failure::from(problem).into_response(),
            };
            if let Some(leftover) = leftover {
                leftover.discard();
            }
            let refused = response.extensions().get::<Refused>().copied();
            if let Some(Refused { code, .. }) = refused.filter(|refused| refused.is_suspect) {
                note(&app, &asked, &method, code).await;
            }
            let answer = finish(&app, &asked, &method, response);
            log(&asked, &method, answer.status(), refused);
            Ok(answer)
        })
    }
}

/// Logs a request that was answered; by itself where it was refused, so that an administrator finds it
/// by the number that its page tells. That nobody was signed in is nothing to look for.
fn log(asked: &Asked, method: &Method, status: StatusCode, refused: Option<Refused>) {
    // Asked for only where the line is written.
    let method = || shortened(method.as_str());
    let path = || shortened(asked.uri().path());
    let (status, id) = (status.as_u16(), asked.request_id());
    let code = refused.map(|refused| refused.code);
    if let Some(code) = code.filter(|code| *code != Problem::SignInRequired.code()) {
        tracing::info!(
            target: "accesspoint::request",
            method = method(), path = path(), status, code, id,
        );
    } else {
        tracing::debug!(
            target: "accesspoint::request",
            method = method(), path = path(), status, id,
        );
    }
}

/// Tells the audit of a request of which nobody can tell whose it is. It is refused in any case, and
/// its sender told why.
async fn note(app: &App, asked: &Asked, method: &Method, code: &str) {
    // Of two cookies, nobody can tell whose session it is either.
    let signed = asked.signed(app).ok().flatten();
    let signed = signed.filter(|_| !has_doubled_cookie(asked));
    let person = signed.as_ref().map(|signed| &signed.info.person);
    let command = command(method, asked.uri().path());
    let noted = app.note_suspect(&command, code, person, asked.refused_address());
    if let Err(error) = noted.await {
        let error = causes::in_one_line(&error);
        tracing::error!(error, %command, code, "the audit was not told of a refusal");
    }
}

/// Waits for an answer. A panic in place of one is a failure of this request alone.
async fn caught(answer: impl Future<Output = Result<Response, Infallible>>) -> Response {
    let mut answer = pin!(answer);
    let answered = poll_fn(|context| {
        let step = AssertUnwindSafe(|| answer.as_mut().poll(context));
        match catch_unwind(step) {
            Ok(step) => step.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    match answered.await {
        Ok(Ok(response)) => response,
        Err(panic) => Failure::panicked(panic.as_ref()).into_response(),
    }
}

/// The answer as it leaves: failures as pages or JSON, and with every header. What the web server
/// answered stays as it is, but for a few headers.
fn finish(app: &App, asked: &Asked, method: &Method, mut response: Response) -> Response {
    if response.extensions().get::<FromWebServer>().is_some() {
        response.headers_mut().extend(web_server::HEADERS);
    } else {
        if let Some(failure) = failure_of(&mut response) {
            response = in_place_of(&response, failure.render(app, asked));
            if *method == Method::HEAD {
                take_body(&mut response);
            }
        }
        complete(response.headers_mut(), asked.leads_to());
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(asked.request_id()) {
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
    let own = std::mem::replace(headers, HEADERS.clone());
    if let Some(policy) = leads_to.and_then(policy_leading_to) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.extend(own);
}

/// The policy of a page whose form for signing out leads on to a provider: browsers hold the
/// redirects after a form to `form-action` too, and a provider may send people on to where they
/// signed in behind it.
fn policy_leading_to(origin: &str) -> Option<HeaderValue> {
    let targets = format!("form-action 'self' {origin} https:");
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

/// Leaves the length of a body in place of it, as the router does with other answers to `HEAD`.
fn take_body(response: &mut Response) {
    if let Some(length) = response.body().size_hint().exact() {
        let length = HeaderValue::from(length);
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
    }
    *response.body_mut() = Body::empty();
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

/// Makes one line of all cookie lines: over HTTP/2 browsers send one for each cookie. A cookie of
/// another program on this host that is no plain text is left out, so that it hides none of ours.
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::COOKIE).iter();
    let is_plain = |line: &HeaderValue| line.to_str().is_ok();
    if lines.next().is_none_or(is_plain) && lines.next().is_none() {
        return;
    }
    let lines = headers.get_all(header::COOKIE).iter();
    let cookies: Vec<&[u8]> = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter(|cookie| {
            cookie
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        })
        .map(<[u8]>::trim_ascii)
        .collect();
    if cookies.is_empty() {
        headers.remove(header::COOKIE);
    } else if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Whether one of our cookies came twice.
fn has_doubled_cookie(asked: &Asked) -> bool {
    let mut seen = [false; OUR_COOKIES.len()];
    for (name, _) in asked.cookies() {
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
