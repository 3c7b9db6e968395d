//! Sessions, audit, tokens, reports, explanations.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::app::tokens::TOKEN_DAYS_MAX;
use crate::domain::client::ClientKind;
use crate::http::api::account::{Ended, SessionItem};
use crate::http::api::documents::{desktop, explanation};
use crate::http::api::list::{self, PageParams};
use crate::http::api::{Body, Params};
use crate::http::extract::{Asked, MayManagePeople, MayManageSite, MayRead};
use crate::http::failure::Failure;
use crate::http::json::Json;
use crate::http::told::Reader;
use crate::store::{ApiToken, AuditFilter, AuditRow, Scope};
use crate::text::Problem;

/// How long a token lives where nothing else is asked for, in days.
const TOKEN_DAYS: u32 = 90;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/v1/admin/sessions",
            get(sessions).delete(end_sessions_of),
        )
        .route("/api/v1/admin/sessions/{id}", delete(end_session))
        .route("/api/v1/admin/audit", get(audit))
        .route("/api/v1/admin/tokens", get(tokens).post(create_token))
        .route("/api/v1/admin/tokens/{id}", delete(revoke_token))
        .route("/api/v1/admin/reports", get(reports))
        .route("/api/v1/admin/explain", get(explain))
}

async fn sessions(
    State(app): State<App>,
    _: MayRead,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let rows = app.ledger().sessions(None, &wanted.after, wanted.rows())?;
    let items = rows.into_iter().map(SessionItem::from).collect();
    Ok(list::answer(items, &wanted, SessionItem::key))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhoseParams {
    user: String,
}

async fn end_sessions_of(
    State(app): State<App>,
    MayManageSite(actor): MayManageSite,
    Params(whose): Params<WhoseParams>,
) -> Result<Json<Ended>, Failure> {
    let person = app.user(&whose.user)?.id;
    let ended = app.ledger().end_sessions_of(person, None, actor).await?;
    Ok(Json(Ended { ended }))
}

async fn end_session(
    State(app): State<App>,
    Path(id): Path<String>,
    MayManageSite(actor): MayManageSite,
) -> Result<StatusCode, Failure> {
    let ended = app.ledger().end_session_of(None, id, actor).await?;
    if ended {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound.into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditParams {
    user: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn audit(
    State(app): State<App>,
    _: MayRead,
    Params(params): Params<AuditParams>,
) -> Result<Response, Failure> {
    let wanted = PageParams::new(params.cursor, params.limit).wanted()?;
    let before = match wanted.after.as_str() {
        "" => None,
        number => {
            let number = number.parse().ok();
            Some(number.ok_or_else(|| Failure::body_invalid("cursor: not one of this list"))?)
        }
    };
    let person = params
        .user
        .map(|user| app.user(&user))
        .transpose()?
        .map(|person| person.id);
    let rows = app.ledger().audit(&AuditFilter {
        before,
        person,
        limit: wanted.rows(),
    })?;
    Ok(list::answer(rows, &wanted, |row: &AuditRow| {
        row.seq.to_string()
    }))
}

async fn tokens(
    State(app): State<App>,
    _: MayRead,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let items = app.ledger().tokens(&wanted.after, wanted.rows())?;
    Ok(list::answer(items, &wanted, |token: &ApiToken| {
        token.id.clone()
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateToken {
    name: String,
    scopes: Vec<Scope>,
    expires_days: Option<u32>,
}

async fn create_token(
    State(app): State<App>,
    MayManagePeople(actor): MayManagePeople,
    Body(create): Body<CreateToken>,
) -> Result<Response, Failure> {
    if create.scopes.is_empty() {
        return Err(Failure::body_invalid("scopes: at least one"));
    }
    let days = create.expires_days.unwrap_or(TOKEN_DAYS);
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        return Err(Failure::body_invalid("expires_days: from 1 to 365"));
    }
    let made = app
        .create_token(&create.name, create.scopes, days, actor)
        .await?;
    let body = json!({ "id": made.id, "token": made.secret });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn revoke_token(
    State(app): State<App>,
    Path(id): Path<String>,
    MayManagePeople(actor): MayManagePeople,
) -> Result<StatusCode, Failure> {
    let revoked = app.ledger().revoke_token(id, actor).await?;
    if revoked {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound.into())
    }
}

async fn reports(State(app): State<App>, _: MayRead) -> Result<Response, Failure> {
    Ok(Json(app.ledger().report()?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainParams {
    user: String,
    document: String,
    workstation: Option<String>,
    #[serde(default = "desktop")]
    client: ClientKind,
}

async fn explain(
    State(app): State<App>,
    _: MayRead,
    asked: Asked,
    Params(params): Params<ExplainParams>,
) -> Result<Response, Failure> {
    let workstation = params.workstation.as_deref().filter(|id| !id.is_empty());
    let explained = app.explain_for(&params.user, workstation, &params.document, params.client)?;
    Ok(explanation(
        &explained,
        Reader::Administrator,
        asked.language(),
        app.now(),
    ))
}
