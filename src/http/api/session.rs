//! Signing in and out by JSON.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use super::Body;
use crate::app::App;
use crate::app::second_factor::{NextStep, Proof};
use crate::app::sign_in::{Attempt, SignedIn};
use crate::domain::person::Role;
use crate::domain::time::Timestamp;
use crate::domain::workstation::Workstation;
use crate::http::extract::{EnrollingPerson, FromClient, Signed, may_be_foreign};
use crate::http::failure::Failure;
use crate::http::json::Json;
use crate::http::pages::with_workstation;
use crate::http::session;
use crate::text::Problem;

/// Routes of the session.
pub(super) fn routes(app: &App) -> Router<App> {
    let changing = |handlers| session::changing(app, handlers);
    Router::new()
        .route(
            "/api/v1/session",
            changing(post(begin).delete(end)).get(show),
        )
        .route("/api/v1/session/second-factor", changing(post(finish)))
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
    /// Nothing else can be done before a second factor is enrolled.
    must_enrol: bool,
}

async fn begin(
    State(app): State<App>,
    old: Session,
    FromClient(client): FromClient,
    headers: HeaderMap,
    body: Body<Credentials>,
) -> Result<Response, Failure> {
    refuse_foreign(&app, &headers)?;
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
    let enrol_for = match app.next_step(&signed_in, &client).await? {
        NextStep::Enter => None,
        NextStep::Enrol => Some("/"),
        NextStep::Ask(challenge) => return Ok(second_step(&app, &challenge, &signed_in)),
    };
    let secret = session::begin(&app, &old, &signed_in, &client, enrol_for).await?;
    begun(&app, &secret, &signed_in)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecondFactor {
    challenge: String,
    code: String,
}

/// `POST /session/second-factor`: the code of an app, or a recovery code.
async fn finish(
    State(app): State<App>,
    old: Session,
    FromClient(client): FromClient,
    headers: HeaderMap,
    body: Body<SecondFactor>,
) -> Result<Response, Failure> {
    refuse_foreign(&app, &headers)?;
    let Body(SecondFactor { challenge, code }) = body;
    let signed_in = app
        .finish_second_step(&challenge, &Proof::Code(code), &client)
        .await?
        .into_result(app.now())?;
    let secret = session::begin(&app, &old, &signed_in, &client, None).await?;
    begun(&app, &secret, &signed_in)
}

/// There is no token yet that could speak for a page of ours.
fn refuse_foreign(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    if may_be_foreign(app, headers) {
        return Err(Problem::NotAsked.into());
    }
    Ok(())
}

/// The answer that asks for the second factor.
fn second_step(app: &App, challenge: &str, signed_in: &SignedIn) -> Response {
    let failure = Failure::second_factor_required(challenge.to_owned());
    with_workstation(app, failure.into_response(), signed_in)
}

fn begun(app: &App, secret: &str, signed_in: &SignedIn) -> Result<Response, Failure> {
    let signed = Signed::by_secret(app, secret)?.ok_or(Problem::SignInRequired)?;
    let answer = (StatusCode::CREATED, Json(body_of(app, &signed))).into_response();
    Ok(with_workstation(app, answer, signed_in))
}

async fn show(State(app): State<App>, EnrollingPerson(signed): EnrollingPerson) -> Response {
    Json(body_of(&app, &signed)).into_response()
}

async fn end(session: Session, _: EnrollingPerson) -> Result<StatusCode, Failure> {
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
        must_enrol: info.enrol_for.is_some(),
    }
}
