//! What providers and the browsers between us and them call.

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_sessions::Session;

use super::deep_link;
use super::edge::see_other;
use super::extract::{Asked, FromClient, WholeBody, is_prefetch};
use super::failure::{self, Failure, allowing, is_about_person};
use super::json::Json;
use super::once::only;
use super::pages::{add_cookie, enter, host_cookie, no_head};
use super::session;
use crate::app::App;
use crate::app::oidc::{Begun, Browser, Finished, NotSignedIn};
use crate::auth::oidc::{Blame, Callback, Reason, Refused};
use crate::causes::in_one_line;
use crate::store::Aim;
use crate::text::Problem;

/// The cookie of a browser that signs in at a provider: one for all its tabs.
pub(super) const ATTEMPT_COOKIE: &str = "__Host-attempt";
/// The cookie of a browser that signs out at a provider.
pub(super) const SIGN_OUT_COOKIE: &str = "__Host-sign-out";

/// Routes of providers.
pub(super) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/oidc/{name}/login", get(login).head(no_head("GET")))
        .route(
            "/oidc/{name}/callback",
            session::changing(app, get(callback))
                .head(unread_callback)
                .fallback(unread_callback),
        )
        .route(
            "/oidc/{name}/backchannel-logout",
            post(backchannel_logout).fallback(unread_logout),
        )
        .route(
            "/oidc/{name}/frontchannel-logout",
            get(frontchannel_logout).head(no_head("GET")),
        )
        .route(
            "/oidc/{name}/signed-out",
            get(signed_out).head(no_head("GET")),
        )
}

/// `GET /oidc/{name}/login`; parameters other than `return_to` and our own `again` are ignored, whoever
/// sends them.
async fn login(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Asked,
    FromClient(client): FromClient,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let wanted = only(&query, "return_to").unwrap_or_default();
    // A session there is no proof: of whoever is signed in here, a fresh one is wanted; others
    // may want to be somebody else.
    let anew = only(&query, "again").is_some_and(|again| again == "1");
    let aim = Aim {
        wanted: deep_link::wanted(&app, &asked, &wanted),
        again: anew && asked.signed(&app)?.is_some(),
    };
    let browser = Browser {
        cookie: asked.cookie(ATTEMPT_COOKIE),
        client: &client,
    };
    if is_prefetch(&headers) || is_embedded(&headers) {
        let refused = app.refuse_to_begin(&name, aim, browser).await?;
        let refused = refused.ok_or(Problem::NotFound)?;
        return Err(not_signed_in(&app, &asked, &name, refused));
    }
    let again = deep_link::again(&app, &asked, &name, &aim);
    let begun = app.begin_at_provider(&name, aim, anew, browser).await;
    match begun.map_err(|error| Failure::of_ledger(error, again))? {
        None => Err(Problem::NotFound.into()),
        Some(Begun::Refused(refused)) => Err(not_signed_in(&app, &asked, &name, refused)),
        Some(Begun::Busy { wait, aim }) => Err(Failure::start_again(
            Problem::Busy { wait },
            deep_link::again(&app, &asked, &name, &aim),
        )),
        Some(Begun::Away { to, cookie }) => {
            let mut away = see_other(&to);
            add_cookie(&mut away, &host_cookie(ATTEMPT_COOKIE, cookie));
            Ok(away)
        }
    }
}

/// `GET /oidc/{name}/callback`.
async fn callback(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Asked,
    session: Session,
    FromClient(client): FromClient,
    request: Request,
) -> Result<Response, Failure> {
    let callback = Callback::parse(request.uri().query().unwrap_or_default());
    let browser = Browser {
        cookie: asked.cookie(ATTEMPT_COOKIE),
        client: &client,
    };
    // Nobody has gone there yet: it spends no code, and begins no session that may take a CAL.
    if is_prefetch(request.headers()) {
        let refused = app.refuse_unread(&name, Reason::NotAsked, &callback, browser);
        let refused = refused.await?.ok_or(Problem::NotFound)?;
        return Err(not_signed_in(&app, &asked, &name, refused));
    }
    let finished = app.finish_at_provider(&name, &callback, browser).await;
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => {
            let aim = app.aim_of(&name, &callback, browser)?;
            let again = deep_link::again(&app, &asked, &name, &aim);
            return Err(Failure::of_ledger(error, again));
        }
    };
    match finished {
        None => Err(Problem::NotFound.into()),
        Some(Finished::Done { signed_in, wanted }) => {
            enter(&app, &asked, &session, &client, &signed_in, &wanted).await
        }
        Some(Finished::Again(aim)) => Ok(see_other(&deep_link::again(&app, &asked, &name, &aim))),
        Some(Finished::NotLetIn { refusal, aim }) => {
            let problem = refusal.problem();
            // With their session there they would only come back as the same.
            let again = aim.again || is_about_person(&problem);
            let again = deep_link::again(&app, &asked, &name, &Aim { again, ..aim });
            Err(Failure::start_again(problem, again))
        }
        Some(Finished::Refused(refused)) => Err(not_signed_in(&app, &asked, &name, refused)),
    }
}

/// `/oidc/{name}/callback` by another method than `GET`: an answer in the wrong way, which spends
/// nothing.
async fn unread_callback(
    State(app): State<App>,
    Path(name): Path<String>,
    method: Method,
    asked: Asked,
    FromClient(client): FromClient,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let browser = Browser {
        cookie: asked.cookie(ATTEMPT_COOKIE),
        client: &client,
    };
    let reason = match method {
        Method::POST => Reason::Posted,
        _ => Reason::Method,
    };
    let callback = Callback::parse(&query.unwrap_or_default());
    let refused = app.refuse_unread(&name, reason, &callback, browser).await?;
    let refused = refused.ok_or(Problem::NotFound)?;
    Ok(allowing("GET", not_signed_in(&app, &asked, &name, refused)))
}

/// `POST /oidc/{name}/backchannel-logout`: a form with one `logout_token`.
async fn backchannel_logout(
    State(app): State<App>,
    Path(name): Path<String>,
    FromClient(client): FromClient,
    headers: HeaderMap,
    body: Result<WholeBody, Failure>,
) -> Result<Response, Failure> {
    if !app.has_provider(&name) {
        return Err(Problem::NotFound.into());
    }
    let WholeBody(body) = match body {
        Ok(body) => body,
        Err(failure) => {
            let refused = Refused::new(Reason::TokenMalformed, "the body cannot be read");
            app.refuse_logout(&name, &refused, client.address).await?;
            let code = failure.code();
            let mut answer = failure.into_response();
            // The audit is told already.
            let is_suspect = false;
            answer
                .extensions_mut()
                .insert(failure::Refused { code, is_suspect });
            return Ok(answer);
        }
    };
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.split(';').next().is_some_and(|kind| {
        kind.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    let text = std::str::from_utf8(&body).ok().filter(|_| is_form);
    let Some(token) = text.and_then(|form| only(form, "logout_token")) else {
        let refused = Refused::new(Reason::TokenMalformed, "there is no one logout_token");
        app.refuse_logout(&name, &refused, client.address).await?;
        return Ok(logout_refused(&refused));
    };
    match app.backchannel_logout(&name, &token, client.address).await {
        Ok(Ok(_)) => Ok(StatusCode::OK.into_response()),
        Ok(Err(refused)) => Ok(logout_refused(&refused)),
        // Nothing has ended: the provider is told to come again, whatever is wrong here.
        Err(error) => {
            tracing::error!(error = in_one_line(&error), "a logout could not be written");
            let refused = Refused::new(Reason::LogoutUnwritten, "nothing has ended");
            // Told where the audit can still be written.
            let _ = app.refuse_logout(&name, &refused, client.address).await;
            Err(Failure::busy())
        }
    }
}

/// `/oidc/{name}/backchannel-logout` by another method than `POST`.
async fn unread_logout(
    State(app): State<App>,
    Path(name): Path<String>,
    FromClient(client): FromClient,
) -> Result<Response, Failure> {
    if !app.has_provider(&name) {
        return Err(Problem::NotFound.into());
    }
    let refused = Refused::new(Reason::Method, "a logout token is posted");
    app.refuse_logout(&name, &refused, client.address).await?;
    Ok(allowing("POST", Problem::MethodNotAllowed.into()))
}

/// The answer to a logout token that does not count. Where the provider could not be asked for its
/// keys, it may try again.
fn logout_refused(refused: &Refused) -> Response {
    let status = match refused.reason.blame() {
        Blame::Silence => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = serde_json::json!({
        "error": "invalid_request", "error_description": refused.reason.code(),
    });
    (status, Json(body)).into_response()
}

/// `GET /oidc/{name}/frontchannel-logout`, in a frame of the provider's page.
async fn frontchannel_logout(
    State(app): State<App>,
    Path(name): Path<String>,
    FromClient(client): FromClient,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    if !app.has_provider(&name) {
        return Err(Problem::NotFound.into());
    }
    let query = query.unwrap_or_default();
    let (iss, sid) = (only(&query, "iss"), only(&query, "sid"));
    app.frontchannel_logout(&name, iss.as_deref(), sid.as_deref(), client.address)
        .await?;
    // The one page that may stand in a frame, and in the provider's alone.
    let origins = app.sign_out_origins(&name).await.join(" ");
    let policy = format!("default-src 'none'; frame-ancestors {origins}");
    let mut page =
        axum::response::Html("<!doctype html><title>AccessPoint</title>").into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        page.headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(page)
}

/// `GET /oidc/{name}/signed-out`: back from signing out at the provider. Only who brings the state
/// with which they left is told that they signed out.
async fn signed_out(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: Asked,
    FromClient(client): FromClient,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    if !app.has_provider(&name) {
        return Err(Problem::NotFound.into());
    }
    let state = only(&query.unwrap_or_default(), "state");
    let left = asked.cookie(SIGN_OUT_COOKIE);
    if state.is_some() && state.as_deref() == left {
        return Ok(see_other("/login?notice=signed-out"));
    }
    let refused = Refused::new(Reason::LogoutState, "it is not the state of this browser");
    app.refuse_logout(&name, &refused, client.address).await?;
    Ok(see_other("/login"))
}

/// Whether something else than a page that somebody goes to asks: a picture, a frame, a script.
fn is_embedded(headers: &HeaderMap) -> bool {
    let destination = headers.get("sec-fetch-dest");
    destination.is_some_and(|destination| destination != "document")
}

fn not_signed_in(app: &App, asked: &Asked, name: &str, refused: NotSignedIn) -> Failure {
    let source = app.config().sign_in.label(name).to_owned();
    let problem = match (refused.reason, refused.reason.blame()) {
        (Reason::AuthTime | Reason::AuthContext, _) => Problem::ProviderTooWeak { source },
        (Reason::IssuedAt | Reason::NotYetValid, _) => Problem::ClocksDiffer { source },
        (Reason::NotAsked, _) => Problem::NotAsked,
        (Reason::Posted, _) => Problem::AnswerPosted { source },
        (Reason::ProviderIll, _) => Problem::ProviderIll {
            source,
            said: refused.said.unwrap_or_default(),
        },
        (Reason::Method, _) => Problem::MethodNotAllowed,
        (Reason::CallbackIssuer | Reason::CodeRefused, _) => Problem::AttemptUnconfirmed { source },
        (_, Blame::Request) => Problem::AttemptInvalid { source },
        (_, Blame::Browser) => Problem::CookieMissing { source },
        (_, Blame::Said) => Problem::ProviderSaid {
            source,
            said: refused.said.unwrap_or_default(),
        },
        (_, Blame::Answer) => Problem::UpstreamAnswer { name: source },
        (_, Blame::Silence) => Problem::UpstreamSilent { name: source },
    };
    let path = deep_link::again(app, asked, name, &refused.aim);
    Failure::start_again(problem, path)
}
