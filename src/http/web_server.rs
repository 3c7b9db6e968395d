//! Pages of the customer's web server, passed on for people who are signed in; and its tunnel.
//!
//! Such pages share the gateway's origin. So a session that has used one may change nothing sensitive
//! here any more, and one that was begun in its place for doing that may use none ([`Side`]).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use http_body_util::BodyExt;

use super::extract::{FromClient, Signed, Visitor, may_be_foreign};
use super::failure::{Failure, WEB_SERVER_NAME};
use crate::app::App;
use crate::app::estate::TunnelPlace;
use crate::qlikview::open_link::OpenLink;
use crate::qlikview::proxy::{PassError, Passing, PathRefusal, ProxyBody, upstream_path};
use crate::qlikview::tunnel::pass_tunnel;
use crate::qlikview::web::UpstreamSession;
use crate::store::Side;
use crate::text::Problem;

/// Marks an answer of the web server, which keeps its own headers but for a few.
#[derive(Clone, Copy, Debug)]
pub(super) struct FromWebServer;

/// Headers that every answer of the web server gets.
pub(super) const HEADERS: [(header::HeaderName, HeaderValue); 4] = [
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::X_FRAME_OPTIONS,
        HeaderValue::from_static("SAMEORIGIN"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// Whatever path of the web server no route of ours answers.
pub(super) async fn page(
    State(app): State<App>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, Failure> {
    pass(&app, visitor.signed, request).await
}

/// Passes a request on in the name of the person of a session, and its answer back.
pub(super) async fn pass(app: &App, signed: Signed, request: Request) -> Result<Response, Failure> {
    let estate = app.estate().ok_or(Problem::NotFound)?;
    // No token of ours speaks for these pages, so no page of another site may send them anything.
    if !request.method().is_safe() && may_be_foreign(app, request.headers()) {
        return Err(Problem::NotAsked.into());
    }
    let path = upstream_path(request.uri().path(), estate.settings())?;
    take_to_web_server(app, &signed).await?;
    let session = estate.upstream(&signed.info).await?;
    let again = repeatable(&request);
    let passing = |session: &UpstreamSession| Passing {
        servers: estate.web().clone(),
        session: session.clone(),
        public_origin: app.config().public_url.origin(),
        ended: app.session_end(&signed.info),
    };
    let answer = match passing(&session).pass(path.clone(), request).await {
        Err(ended @ PassError::SignedOut { .. }) => {
            let renewed = estate.upstream_in_place_of(&signed.info, &session).await?;
            match again {
                Some(again) => passing(&renewed).pass(path, again).await?,
                // What may not be sent twice is for its sender to repeat, in the new session.
                None => return Err(ended.into()),
            }
        }
        answer => answer?,
    };
    Ok(passed(answer.map(Body::new)))
}

/// Whether a launch of this session leads to an open link, so that the link opens nothing anew.
pub(super) fn is_led_to(
    app: &App,
    visitor: &Visitor,
    document: &str,
    link: &OpenLink,
) -> Result<bool, Failure> {
    if app.estate().is_none() {
        return Ok(false);
    }
    let session = &visitor.signed.info.id;
    Ok(app
        .ledger()
        .is_led_to(session, document, link.client_kind())?)
}

/// `/scripts/QVSTunnel.dll`: opaque bytes, for addresses from which somebody has just opened.
pub(super) async fn tunnel(
    State(app): State<App>,
    FromClient(client): FromClient,
    request: Request,
) -> Result<Response, Failure> {
    let estate = app.estate().ok_or(Problem::NotFound)?;
    if !estate.settings().tunnel {
        return Err(Problem::NotFound.into());
    }
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Err(Problem::MethodNotAllowed.into());
    }
    if !estate.may_tunnel(client.address)? {
        return Err(Problem::Forbidden.into());
    }
    let place = estate.tunnel_place(client.address);
    let place = place.ok_or_else(Failure::busy)?;
    let ended = estate.tunnel_end(client.address);
    let answer = pass_tunnel(estate.web(), request, ended).await?;
    Ok(passed(answer.map(|body| held(body, place))))
}

/// Notes, once for each session, that it uses pages of the web server; refuses one that may not.
async fn take_to_web_server(app: &App, signed: &Signed) -> Result<(), Failure> {
    match signed.info.side {
        Side::WebServer => Ok(()),
        Side::Gateway => Err(Problem::SignInAgain.into()),
        Side::Undecided => {
            let hash = signed.info.hash.clone();
            Ok(app.ledger().take_to_web_server(hash).await?)
        }
    }
}

/// The same request once more, where it may be sent twice: it changes nothing and has no body.
fn repeatable(request: &Request) -> Option<Request> {
    let upgrades = request.headers().contains_key(header::UPGRADE);
    if !request.method().is_safe() || upgrades {
        return None;
    }
    let mut again = Request::new(Body::empty());
    request.method().clone_into(again.method_mut());
    request.uri().clone_into(again.uri_mut());
    request.headers().clone_into(again.headers_mut());
    Some(again)
}

/// A body that keeps the place of its tunnel until it ends.
fn held(body: ProxyBody, place: TunnelPlace) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &place;
        frame
    }))
}

/// Marks an answer for the outermost layer.
fn passed(mut answer: Response) -> Response {
    answer.extensions_mut().insert(FromWebServer);
    answer
}

impl From<PathRefusal> for Failure {
    fn from(refusal: PathRefusal) -> Self {
        match refusal {
            PathRefusal::Malformed(_) => Problem::BadRequest.into(),
            PathRefusal::Unlisted | PathRefusal::SignIn => Problem::NotFound.into(),
        }
    }
}

impl From<PassError> for Failure {
    fn from(error: PassError) -> Self {
        let name = WEB_SERVER_NAME.to_owned();
        match error {
            PassError::Refused(_) => Problem::Forbidden.into(),
            PassError::Unjudged(_) => Problem::BadRequest.into(),
            PassError::Method => Problem::MethodNotAllowed.into(),
            PassError::Ended => Problem::SignInRequired.into(),
            PassError::Silent { .. } => {
                tracing::warn!(%error, "no web server answers");
                Problem::UpstreamSilent { name }.into()
            }
            PassError::SignedOut { .. } | PassError::Answer { .. } => {
                tracing::warn!(%error, "the web server gave no answer that can be used");
                Problem::UpstreamAnswer { name }.into()
            }
        }
    }
}
