//! Sessions, audit, tokens, reports, explanations.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::app::tokens::TOKEN_DAYS_MAX;
use crate::domain::client::ClientKind;
use crate::http::api::account::SessionItem;
use crate::http::api::documents::{desktop, explanation};
use crate::http::api::list::{self, PageParams};
use crate::http::api::{Body, Params};
use crate::http::extract::{Asked, Caller, Permission};
use crate::http::failure::Failure;
use crate::http::told::Reader;
use crate::store::{ApiToken, AuditFilter, AuditRow, Scope};
use crate::text::Problem;

/// How long a token lives where nothing else is asked for, in days.
const TOKEN_DAYS: u32 = 90;
/// Characters of a token's name.
const TOKEN_NAME_CHARACTERS_MAX: usize = 64;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/sessions", get(sessions))
        .route("/sessions/{id}", delete(end_session))
        .route("/audit", get(audit))
        .route("/tokens", get(tokens).post(create_token))
        .route("/tokens/{id}", delete(revoke_token))
        .route("/reports", get(reports))
        .route("/explain", get(explain))
}

async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    caller.may(Permission::Read)?;
    let wanted = params.wanted()?;
    let rows = app.ledger().sessions(None, &wanted.after, wanted.limit)?;
    let items = rows.into_iter().map(SessionItem::from).collect();
    Ok(list::answer(items, &wanted, SessionItem::key))
}

async fn end_session(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    let actor = caller.may(Permission::ManageSite)?;
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
    caller: Caller,
    Params(params): Params<AuditParams>,
) -> Result<Response, Failure> {
    caller.may(Permission::Read)?;
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
        limit: wanted.limit,
    })?;
    Ok(list::answer(rows, &wanted, |row: &AuditRow| {
        row.seq.to_string()
    }))
}

async fn tokens(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    caller.may(Permission::Read)?;
    let wanted = params.wanted()?;
    let items = app.ledger().tokens(&wanted.after, wanted.limit)?;
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
    caller: Caller,
    Body(create): Body<CreateToken>,
) -> Result<Response, Failure> {
    let actor = caller.may(Permission::ManagePeople)?;
    let name = create.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > TOKEN_NAME_CHARACTERS_MAX {
        return Err(Failure::body_invalid("name: 1 to 64 characters"));
    }
    if create.scopes.is_empty() {
        return Err(Failure::body_invalid("scopes: at least one"));
    }
    let days = create.expires_days.unwrap_or(TOKEN_DAYS);
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        return Err(Failure::body_invalid("expires_days: from 1 to 365"));
    }
    let made = app.create_token(name, create.scopes, days, actor).await?;
    let body = json!({ "id": made.id, "token": made.secret });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn revoke_token(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    let actor = caller.may(Permission::ManagePeople)?;
    let revoked = app.ledger().revoke_token(id, actor).await?;
    if revoked {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound.into())
    }
}

async fn reports(State(app): State<App>, caller: Caller) -> Result<Response, Failure> {
    caller.may(Permission::Read)?;
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
    caller: Caller,
    asked: Asked,
    Params(params): Params<ExplainParams>,
) -> Result<Response, Failure> {
    caller.may(Permission::Read)?;
    let workstation = params.workstation.as_deref().filter(|id| !id.is_empty());
    let standing = app.explain_for(&params.user, workstation, &params.document, params.client)?;
    Ok(explanation(
        &standing,
        Reader::Administrator,
        asked.language(),
        app.now(),
    ))
}
