//! Signing in and out by JSON.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::Body;
use crate::app::App;
use crate::app::sign_in::Attempt;
use crate::domain::person::Role;
use crate::domain::time::Timestamp;
use crate::domain::workstation::Workstation;
use crate::http::extract::{ApiPerson, From, Signed, may_be_foreign};
use crate::http::failure::Failure;
use crate::http::pages::with_workstation;
use crate::http::session;
use crate::text::Problem;

/// Routes of the session.
pub(super) fn routes(app: &App) -> Router<App> {
    let changing = post(begin).delete(end).layer(session::layer(app));
    Router::new().route("/api/v1/session", changing.get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: String,
}

#[derive(Serialize)]
struct SessionBody<'a> {
    user: &'a str,
    display_name: &'a str,
    roles: &'a [Role],
    csrf_token: String,
    expires_at: Timestamp,
    workstation: &'a Workstation,
}

async fn begin(
    State(app): State<App>,
    old: Session,
    From(client): From,
    headers: HeaderMap,
    body: Body<Credentials>,
) -> Result<Response, Failure> {
    // There is no token yet that could speak for a page of ours.
    if may_be_foreign(&app, &headers) {
        return Err(Problem::Forbidden.into());
    }
    let Body(Credentials { username, password }) = body;
    let attempt = Attempt {
        name: username,
        password: password.into(),
        client: client.clone(),
    };
    let signed_in = app
        .sign_in_with_password(attempt)
        .await?
        .into_result(app.now())?;
    let secret = session::begin(&app, &old, &signed_in, &client).await?;
    let signed = Signed::by_secret(&app, &secret)?.ok_or(Problem::SignInRequired)?;
    let answer = (StatusCode::CREATED, Json(body_of(&app, &signed))).into_response();
    Ok(with_workstation(&app, answer, &signed_in))
}

async fn show(State(app): State<App>, ApiPerson(signed): ApiPerson) -> Response {
    Json(body_of(&app, &signed)).into_response()
}

async fn end(session: Session, _: ApiPerson) -> Result<StatusCode, Failure> {
    session
        .flush()
        .await
        .map_err(|error| Failure::fault(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

fn body_of<'a>(app: &App, signed: &'a Signed) -> SessionBody<'a> {
    let info = &signed.info;
    SessionBody {
        user: &info.person.name,
        display_name: &info.person.display_name,
        roles: &info.person.roles,
        csrf_token: signed.csrf_token(app),
        expires_at: info.ends_at,
        workstation: &info.workstation,
    }
}
