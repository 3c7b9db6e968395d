//! The caller's second factors. Passkeys are enrolled and used on pages alone, where a browser is.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Body, Params};
use crate::app::App;
use crate::app::factors::{Enrolment, factor_name};
use crate::domain::time::Timestamp;
use crate::http::extract::{ApiPerson, EnrollingPerson, FromClient, Signed};
use crate::http::failure::Failure;
use crate::http::json::Json;
use crate::http::pages::{add_cookie, host_cookie};
use crate::http::session::{self, SESSION_COOKIE};
use crate::http::to_its_end::to_its_end;
use crate::store::{Factor, FactorKind, FactorRemoved};
use crate::text::Problem;

/// Routes of the caller's second factors.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/account/second-factors", get(list))
        .route("/api/v1/account/second-factors/confirm", post(confirm))
        .route("/api/v1/account/second-factors/totp", post(begin_totp))
        .route(
            "/api/v1/account/second-factors/totp/code",
            post(finish_totp),
        )
        .route(
            "/api/v1/account/second-factors/recovery-codes",
            post(new_codes),
        )
        .route(
            "/api/v1/account/second-factors/{id}",
            patch(rename).delete(remove),
        )
        .layer(from_fn(to_its_end))
}

#[derive(Serialize)]
struct FactorItem {
    id: String,
    kind: FactorKind,
    name: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

impl From<Factor> for FactorItem {
    fn from(factor: Factor) -> Self {
        Self {
            id: factor.id,
            kind: factor.kind,
            name: factor.name,
            created_at: factor.created_at,
            last_used_at: factor.last_used_at,
        }
    }
}

async fn list(
    State(app): State<App>,
    EnrollingPerson(signed): EnrollingPerson,
    FromClient(client): FromClient,
) -> Result<Response, Failure> {
    let mine = app.my_factors(&signed.info, &client)?;
    let items: Vec<FactorItem> = mine.factors.into_iter().map(FactorItem::from).collect();
    Ok(Json(json!({
        "items": items,
        "next_cursor": null,
        "recovery_codes_left": mine.codes_left,
        "required": mine.required,
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {
    password: Option<String>,
    code: Option<String>,
}

/// Proves again who one is; the session goes on under a new id.
async fn confirm(
    State(app): State<App>,
    EnrollingPerson(signed): EnrollingPerson,
    FromClient(client): FromClient,
    Body(confirm): Body<Confirm>,
) -> Result<Response, Failure> {
    let person = &signed.info.person;
    let ways = app.confirms(&signed.info)?;
    if !ways.password && !ways.code {
        return Err(Problem::SignInAgain.into());
    }
    let (confirmed, wrong) = match (confirm.password, confirm.code) {
        (Some(_), None) if !ways.password => return Err(Problem::SecondFactorRequired.into()),
        (Some(password), None) => {
            let confirmed = app.confirm_password(&person.name, password.into(), client);
            (confirmed.await?, Problem::SignInFailed)
        }
        (None, Some(code)) => {
            let confirmed = app.confirm_code(person, &code, &client);
            (confirmed.await?, Problem::SecondFactorFailed)
        }
        _ => return Err(Failure::body_invalid("either password or code")),
    };
    confirmed.into_result(wrong, app.now())?;
    renewed(&app, &signed, StatusCode::OK, json!({})).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

impl Name {
    fn checked(&self) -> Result<String, Failure> {
        factor_name(&self.name)
            .ok_or_else(|| Failure::body_invalid("name: 1 to 64 characters, no controls"))
    }
}

async fn begin_totp(
    State(app): State<App>,
    EnrollingPerson(signed): EnrollingPerson,
    Body(name): Body<Name>,
) -> Result<Response, Failure> {
    signed.must_be_confirmed(&app)?;
    app.begin_totp(&signed.info, name.checked()?).await?;
    let waiting = app.totp_waiting(&signed.info)?.ok_or(Problem::Internal)?;
    Ok(Json(json!({ "key": waiting.key, "address": waiting.address })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstCode {
    code: String,
    #[serde(default)]
    end_other_sessions: bool,
}

async fn finish_totp(
    State(app): State<App>,
    EnrollingPerson(signed): EnrollingPerson,
    Body(first): Body<FirstCode>,
) -> Result<Response, Failure> {
    signed.must_be_confirmed(&app)?;
    let FirstCode {
        code,
        end_other_sessions,
    } = first;
    let enrolment = app.finish_totp(&signed.info, &code, end_other_sessions);
    match enrolment.await? {
        Enrolment::Done { codes } => {
            let told = json!({ "recovery_codes": codes });
            renewed(&app, &signed, StatusCode::CREATED, told).await
        }
        Enrolment::Wrong => Err(Failure::body_invalid(
            "code: not the one that the app shows now",
        )),
        Enrolment::Ended | Enrolment::Taken => Err(Problem::NotFound.into()),
    }
}

async fn new_codes(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
) -> Result<Response, Failure> {
    signed.must_be_confirmed(&app)?;
    let codes = app.new_recovery_codes(&signed.info).await?;
    let codes = codes.ok_or(Problem::NotFound)?;
    Ok(Json(json!({ "recovery_codes": codes })).into_response())
}

async fn rename(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
    Body(name): Body<Name>,
) -> Result<StatusCode, Failure> {
    signed.must_be_confirmed(&app)?;
    let name = name.checked()?;
    if app.rename_factor(&signed.info, id, name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound.into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    #[serde(default)]
    end_other_sessions: bool,
}

async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
    FromClient(client): FromClient,
    Params(remove): Params<Remove>,
) -> Result<StatusCode, Failure> {
    signed.must_be_confirmed(&app)?;
    let removed = app.remove_factor(&signed.info, id, remove.end_other_sessions, &client);
    match removed.await? {
        FactorRemoved::Done => Ok(StatusCode::NO_CONTENT),
        FactorRemoved::Unknown => Err(Problem::NotFound.into()),
        FactorRemoved::Needed => Err(Problem::SecondFactorNeeded.into()),
    }
}

/// An answer that gives the session a new id (S-02), with the CSRF token that goes with it.
async fn renewed(
    app: &App,
    signed: &Signed,
    status: StatusCode,
    mut told: serde_json::Value,
) -> Result<Response, Failure> {
    let secret = session::renew(app, &signed.info.hash).await?;
    let secret = secret.ok_or(Problem::SignInRequired)?;
    let signed = Signed::by_secret(app, &secret)?.ok_or(Problem::SignInRequired)?;
    told["csrf_token"] = json!(signed.csrf_token(app));
    let mut answer = (status, Json(told)).into_response();
    add_cookie(&mut answer, &host_cookie(SESSION_COOKIE, secret));
    Ok(answer)
}
