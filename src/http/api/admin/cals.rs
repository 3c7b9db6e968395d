//! CALs, leases and workstations.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::app::administer::AdministerError;
use crate::domain::administer::{AssignAnswer, UnassignAnswer};
use crate::domain::cal::CalState;
use crate::domain::lease::{LeaseId, LeaseState};
use crate::domain::time::Timestamp;
use crate::domain::workstation::{Workstation, WorkstationId};
use crate::http::api::account::WorkstationItem;
use crate::http::api::list::{self, PageParams};
use crate::http::api::{Body, Params};
use crate::http::extract::{MayManageCals, MayRead};
use crate::http::failure::Failure;
use crate::http::json::Json;
use crate::http::told::Reader;
use crate::store::{CalRow, LeaseFilter, LeaseRow};
use crate::text::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/admin/cals", get(cals).post(assign))
        .route("/api/v1/admin/cals/{user}", delete(unassign))
        .route("/api/v1/admin/leases", get(leases))
        .route("/api/v1/admin/leases/{id}", delete(revoke))
        .route("/api/v1/admin/workstations", get(workstations))
        .route("/api/v1/admin/workstations/{id}/lift", post(lift))
        .route("/api/v1/admin/workstations/{id}/merge", post(merge))
}

#[derive(Serialize)]
struct CalItem {
    user: String,
    display_name: String,
    state: &'static str,
    assigned_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl From<CalRow> for CalItem {
    fn from(row: CalRow) -> Self {
        let (state, until) = match row.cal.state {
            CalState::Assigned => ("assigned", None),
            CalState::Quarantined { until, .. } => ("quarantined", Some(until)),
        };
        Self {
            user: row.user,
            display_name: row.display_name,
            state,
            assigned_at: row.assigned_at,
            last_used_at: row.cal.last_used_at,
            until,
        }
    }
}

async fn cals(
    State(app): State<App>,
    _: MayRead,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let rows = app.cals(&wanted.after, wanted.rows())?;
    let items = rows.into_iter().map(CalItem::from).collect();
    Ok(list::answer(items, &wanted, |item: &CalItem| {
        item.user.clone()
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assign {
    user: String,
}

async fn assign(
    State(app): State<App>,
    MayManageCals(actor): MayManageCals,
    Body(assign): Body<Assign>,
) -> Result<Response, Failure> {
    let (status, outcome) = match app.assign_cal(&assign.user, actor).await? {
        AssignAnswer::AlreadyHeld => (StatusCode::OK, "already_held"),
        AssignAnswer::Assigned => (StatusCode::CREATED, "assigned"),
        AssignAnswer::GivenBack => (StatusCode::OK, "given_back"),
        AssignAnswer::Refused(refusal) => {
            return Err(Failure::refused(refusal, Reader::Administrator));
        }
    };
    let user = app.user_name(&assign.user).map_err(AdministerError::from)?;
    let body = json!({ "user": user, "outcome": outcome });
    Ok((status, Json(body)).into_response())
}

async fn unassign(
    State(app): State<App>,
    Path(user): Path<String>,
    MayManageCals(actor): MayManageCals,
) -> Result<Response, Failure> {
    let unassigned = app.unassign_cal(&user, actor).await?;
    let (outcome, until) = match unassigned.answer {
        UnassignAnswer::NotHeld => ("not_held", None),
        UnassignAnswer::Freed => ("freed", None),
        UnassignAnswer::Quarantined { until } => ("quarantined", Some(until)),
    };
    let user = app.user_name(&user).map_err(AdministerError::from)?;
    Ok(Json(json!({
        "user": user, "outcome": outcome, "until": until,
        "comes_back_by_itself": unassigned.comes_back_by_itself,
    }))
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseParams {
    user: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct LeaseItem {
    id: LeaseId,
    user: String,
    workstation: Workstation,
    state: LeaseState,
    granted_at: Timestamp,
    renewed_at: Timestamp,
    expires_at: Timestamp,
    ended_at: Option<Timestamp>,
}

async fn leases(
    State(app): State<App>,
    _: MayRead,
    Params(params): Params<LeaseParams>,
) -> Result<Response, Failure> {
    let wanted = PageParams::new(params.cursor, params.limit).wanted()?;
    let person = params
        .user
        .map(|user| app.user(&user))
        .transpose()?
        .map(|person| person.id);
    let filter = LeaseFilter {
        after: wanted.after.clone(),
        person,
        limit: wanted.rows(),
    };
    let now = app.now();
    let rows = app.leases(&filter)?;
    let items = rows.into_iter().map(|LeaseRow { lease, user }| LeaseItem {
        user,
        state: lease.state_at(now),
        id: lease.id,
        workstation: lease.workstation,
        granted_at: lease.granted_at,
        renewed_at: lease.renewed_at,
        expires_at: lease.expires_at,
        ended_at: lease.ended_at,
    });
    Ok(list::answer(
        items.collect(),
        &wanted,
        |item: &LeaseItem| item.id.as_str().to_owned(),
    ))
}

async fn revoke(
    State(app): State<App>,
    Path(id): Path<String>,
    MayManageCals(actor): MayManageCals,
) -> Result<StatusCode, Failure> {
    let ended = app.end_lease(LeaseId(id), None, actor).await?;
    ended.ok_or(Problem::NotFound)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn workstations(
    State(app): State<App>,
    _: MayRead,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let rows = app.ledger().workstations(&wanted.after, wanted.rows())?;
    let items = rows.into_iter().map(WorkstationItem::from).collect();
    Ok(list::answer(items, &wanted, WorkstationItem::key))
}

async fn lift(
    State(app): State<App>,
    Path(id): Path<String>,
    MayManageCals(actor): MayManageCals,
) -> Result<Response, Failure> {
    let ended = app.lift_workstation(WorkstationId(id), actor).await?;
    let ended = ended.ok_or(Problem::NotFound)?;
    Ok(Json(json!({ "leases_ended": ended })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    into: String,
}

async fn merge(
    State(app): State<App>,
    Path(id): Path<String>,
    MayManageCals(actor): MayManageCals,
    Body(merge): Body<Merge>,
) -> Result<Response, Failure> {
    let (from, into) = (WorkstationId(id), WorkstationId(merge.into));
    if from == into {
        return Err(Failure::body_invalid("into: another workstation"));
    }
    let ended = app.ledger().merge_workstation(from, into, actor).await?;
    let ended = ended.ok_or(Problem::NotFound)?;
    Ok(Json(json!({ "leases_ended": ended })).into_response())
}
