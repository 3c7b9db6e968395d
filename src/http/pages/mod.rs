//! Pages for people: each handler loads what a view model of [`super::page`] needs and shows it.

mod access_point;
mod account;
mod lease_outcome;
mod open;
mod second_factors;
mod second_step;
mod sign_in;
mod tiles;

pub(super) use open::open_for;
pub(super) use sign_in::{BrowserSecret, enter, with_workstation};

use std::future::{Ready, ready};

use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::cookie::{Cookie, SameSite};

use super::extract::{Asked, LANGUAGE_COOKIE, Params, Signed, Visitor};
use super::failure::{Failure, allowing};
use super::page::{DesktopPage, Frame, Help, Person, respond, way_out_address};
use super::session;
use crate::app::App;
use crate::domain::refusal::WayOut;
use crate::domain::time::{Millis, SECOND_MS};
use crate::text::{Language, Problem};
use axum::extract::State;
use axum::http::StatusCode;

/// The name on every page.
const PRODUCT: &str = "AccessPoint";
/// The version in the footer.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a chosen language is kept.
const LANGUAGE_KEPT: Millis = Millis::days(400);

/// Routes of pages.
pub(super) fn routes(app: &App) -> Router<App> {
    let changing = |handlers| session::changing(app, handlers);
    let tiles = tiles::Tiles::default();
    Router::new()
        .route(
            "/",
            get(
                async move |State(app): State<App>, visitor, Params(query)| {
                    access_point::show(&app, &tiles, visitor, query).await
                },
            ),
        )
        .route("/login", changing(post(sign_in::submit)).get(sign_in::show))
        .route(
            "/logout",
            changing(post(sign_in::sign_out)).get(sign_in::not_signed_out),
        )
        .route(
            "/login/second-factor",
            changing(post(second_step::submit))
                .layer(Extension(second_step::Sent::default()))
                .get(second_step::show),
        )
        .route("/login/passkey", changing(post(sign_in::submit_passkey)))
        .route("/documents/{id}/open", post(open::open))
        .route(
            "/documents/{id}/favourite",
            post(access_point::set_favourite),
        )
        .route("/desktop", get(desktop))
        .route("/account/lease", get(lease_outcome::show))
        .merge(account::routes())
        .merge(second_factors::routes())
}

/// What stands at no other path.
pub(super) async fn not_found() -> Failure {
    Problem::NotFound.into()
}

/// What a path answers to other methods.
pub(super) async fn method_not_allowed() -> Failure {
    Problem::MethodNotAllowed.into()
}

/// What a path answers to HEAD that would redeem or begin something as a GET does (contract 5);
/// these methods are allowed.
pub(super) fn no_head(allowed: &'static str) -> impl Fn() -> Ready<Response> + Clone {
    move || ready(allowing(allowed, Problem::MethodNotAllowed.into()))
}

/// Head, header and footer of a page.
pub(super) fn frame<'a>(
    app: &'a App,
    asked: &'a Asked,
    signed: Option<&'a Signed>,
    csrf_token: &'a str,
) -> Frame<'a> {
    if let Some(signed) = signed
        && let Some(origin) = app.provider_origin(&signed.info.source)
    {
        asked.may_lead_to(origin);
    }
    Frame {
        product: PRODUCT,
        language: asked.language(),
        now: app.now(),
        path: asked.path_and_query(),
        person: signed.map(|signed| Person {
            display_name: &signed.info.person.display_name,
            is_administrator: false,
        }),
        csrf_token,
        request_id: asked.request_id(),
        version: VERSION,
        help: app.config().help.as_ref().map(|help| Help {
            text: &help.text,
            address: help.address.as_deref(),
        }),
        in_desktop: asked.in_desktop(),
    }
}

/// Where a way out leads, as the API tells it: what pages link to, whole; or nothing.
pub(super) fn way_out_url(app: &App, way: WayOut) -> Option<String> {
    let help = app.config().help.as_ref();
    let address = way_out_address(way, help.and_then(|help| help.address.as_deref()))?;
    Some(if address.starts_with('/') {
        format!("{}{address}", app.origin())
    } else {
        address.to_owned()
    })
}

/// A cookie that is kept; it says so in both ways, for old browsers know only the first.
pub(super) fn kept_cookie(
    app: &App,
    name: &'static str,
    value: String,
    life: Millis,
) -> Cookie<'static> {
    let ends_at = (app.now() + life).calendar();
    let expires = OffsetDateTime::from_unix_timestamp(ends_at.unix_timestamp());
    let mut cookie = host_cookie(name, value);
    cookie.set_max_age(tower_sessions::cookie::time::Duration::seconds(
        life.0 / SECOND_MS,
    ));
    if let Ok(expires) = expires {
        cookie.set_expires(expires);
    }
    cookie
}

/// A cookie of this host alone, out of reach of scripts.
pub(super) fn host_cookie(name: &'static str, value: String) -> Cookie<'static> {
    Cookie::build((name, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .build()
}

/// Adds a cookie to an answer.
pub(super) fn add_cookie(response: &mut Response, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// The header that keeps a chosen language.
pub(super) fn keep_language(app: &App, language: Language) -> HeaderValue {
    let word = language.word().to_owned();
    let cookie = kept_cookie(app, LANGUAGE_COOKIE, word, LANGUAGE_KEPT);
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// `GET /desktop`.
async fn desktop(State(app): State<App>, visitor: Visitor) -> Response {
    let token = visitor.signed.csrf_token(&app);
    let address = format!("{}/", app.origin());
    let frame = frame(&app, &visitor.asked, Some(&visitor.signed), &token);
    respond(
        StatusCode::OK,
        &DesktopPage {
            frame,
            address: &address,
        },
    )
}
