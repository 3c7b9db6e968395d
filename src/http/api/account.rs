//! What belongs to the caller beside leases: workstations, sessions, password.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{delete, get, patch, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::list::{self, PageParams};
use super::{Body, Params};
use crate::app::App;
use crate::app::sign_in::workstation_name;
use crate::domain::time::Timestamp;
use crate::domain::workstation::{Workstation, WorkstationId};
use crate::http::extract::{ApiPerson, FromClient};
use crate::http::failure::Failure;
use crate::http::to_its_end::to_its_end;
use crate::store::{SessionRow, WorkstationRow};
use crate::text::Problem;

/// Routes of the caller's account.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/workstations", get(workstations))
        .route("/api/v1/workstations/{id}", patch(rename))
        .route("/api/v1/sessions", get(sessions).delete(end_other_sessions))
        .route("/api/v1/sessions/{id}", delete(end_session))
        .route("/api/v1/password", put(change_password))
        .layer(from_fn(to_its_end))
}

/// A workstation as the API shows it.
#[derive(Serialize)]
pub(super) struct WorkstationItem {
    id: WorkstationId,
    name: String,
    users: Vec<String>,
    created_at: Timestamp,
    last_seen_at: Timestamp,
}

impl From<WorkstationRow> for WorkstationItem {
    fn from(row: WorkstationRow) -> Self {
        Self {
            id: row.workstation.id,
            name: row.workstation.name,
            users: row.users,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
        }
    }
}

impl WorkstationItem {
    pub(super) fn key(&self) -> String {
        self.id.as_str().to_owned()
    }
}

async fn workstations(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let rows = app.ledger().workstations_of(&signed.info.person.id)?;
    let name = &signed.info.person.name;
    let items = rows.into_iter().map(|row| {
        let mut item = WorkstationItem::from(row);
        item.users = vec![name.clone()];
        item
    });
    list::part(items.collect(), &wanted, WorkstationItem::key)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    name: String,
}

async fn rename(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
    Body(rename): Body<Rename>,
) -> Result<StatusCode, Failure> {
    signed.keeps_to_gateway()?;
    let name = workstation_name(&rename.name)
        .ok_or_else(|| Failure::body_invalid("name: 1 to 64 characters, no controls"))?;
    let (person, actor) = (signed.info.person.id.clone(), signed.actor());
    let renamed = app
        .ledger()
        .rename_workstation(person, WorkstationId(id), name, actor)
        .await?;
    if renamed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound.into())
    }
}

/// A session as the API shows it.
#[derive(Serialize)]
pub(super) struct SessionItem {
    id: String,
    user: String,
    workstation: Workstation,
    source: String,
    address: String,
    agent: String,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    ends_at: Timestamp,
}

impl From<SessionRow> for SessionItem {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            user: row.user,
            workstation: row.workstation,
            source: row.source,
            address: row.address,
            agent: row.agent,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            ends_at: row.ends_at,
        }
    }
}

impl SessionItem {
    pub(super) fn key(&self) -> String {
        self.id.clone()
    }
}

async fn sessions(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let person = Some(&signed.info.person.id);
    let rows = app
        .ledger()
        .sessions(person, &wanted.after, wanted.rows())?;
    let items = rows.into_iter().map(SessionItem::from).collect();
    Ok(list::answer(items, &wanted, SessionItem::key))
}

/// How many sessions ended.
#[derive(Serialize)]
pub(super) struct Ended {
    pub(super) ended: usize,
}

async fn end_other_sessions(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
) -> Result<Json<Ended>, Failure> {
    signed.may_change_account()?;
    let person = signed.info.person.id.clone();
    let keep = Some(signed.info.hash.clone());
    let ended = app
        .ledger()
        .end_sessions_of(person, keep, signed.actor())
        .await?;
    Ok(Json(Ended { ended }))
}

async fn end_session(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
) -> Result<StatusCode, Failure> {
    if id != signed.info.id {
        signed.may_change_account()?;
    }
    let person = Some(signed.info.person.id.clone());
    let ended = app
        .ledger()
        .end_session_of(person, id, signed.actor())
        .await?;
    if ended {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound.into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    current_password: String,
    new_password: String,
}

async fn change_password(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
    FromClient(client): FromClient,
    Body(change): Body<ChangePassword>,
) -> Result<StatusCode, Failure> {
    signed.may_change_account()?;
    let person = &signed.info.person;
    if !app.ledger().has_password(&person.id)? {
        return Err(Problem::PasswordElsewhere.into());
    }
    let name = person.name.clone();
    app.confirm_password(&name, change.current_password.into(), client)
        .await?
        .into_result(Problem::SignInFailed, app.now())?;
    let (keep, actor) = (Some(signed.info.hash.clone()), signed.actor());
    app.set_user_password(&name, change.new_password.into(), keep, actor)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
