//! Users: listed, added, changed, given a password.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, put};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::app::administer::AddUser;
use crate::domain::person::{AutomaticCal, Role};
use crate::domain::time::Timestamp;
use crate::http::api::list::{self, PageParams};
use crate::http::api::{Body, Params};
use crate::http::extract::{Command, MayManagePeople, MayManageSite, MayRead, Permission};
use crate::http::failure::Failure;
use crate::http::json::Json;
use crate::store::{PersonChange, PersonFilter, PersonRow};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/admin/users", get(users).post(add))
        .route("/api/v1/admin/users/{user}", patch(change))
        .route("/api/v1/admin/users/{user}/password", put(set_password))
        .route(
            "/api/v1/admin/users/{user}/second-factors",
            delete(reset_second_factors),
        )
}

#[derive(Serialize)]
struct UserItem {
    user: String,
    display_name: String,
    active: bool,
    roles: Vec<Role>,
    groups: Vec<String>,
    named_cal: AutomaticCal,
    sources: Vec<String>,
    created_at: Timestamp,
    last_sign_in_at: Option<Timestamp>,
}

impl From<PersonRow> for UserItem {
    fn from(row: PersonRow) -> Self {
        Self {
            user: row.person.name,
            display_name: row.person.display_name,
            active: row.person.active,
            roles: row.person.roles,
            groups: row.person.groups,
            named_cal: row.person.automatic_cal,
            sources: row.sources,
            created_at: row.created_at,
            last_sign_in_at: row.last_sign_in_at,
        }
    }
}

async fn users(
    State(app): State<App>,
    _: MayRead,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let filter = PersonFilter {
        after: wanted.after.clone(),
        limit: wanted.rows(),
    };
    let rows = app.ledger().people(&filter)?;
    let items = rows.into_iter().map(UserItem::from).collect();
    Ok(list::answer(items, &wanted, |item: &UserItem| {
        item.user.clone()
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    user: String,
    password: String,
    display_name: Option<String>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    groups: Vec<String>,
}

async fn add(
    State(app): State<App>,
    MayManagePeople(actor): MayManagePeople,
    Body(add): Body<Add>,
) -> Result<Response, Failure> {
    let user = add.user.clone();
    let add = AddUser {
        name: add.user,
        display_name: add.display_name,
        roles: add.roles,
        groups: add.groups,
        password: add.password.into(),
    };
    app.add_user(add, actor).await?;
    Ok((
        StatusCode::CREATED,
        Json(json!({ "user": app.user(&user)?.name })),
    )
        .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    active: Option<bool>,
    display_name: Option<String>,
    roles: Option<Vec<Role>>,
    groups: Option<Vec<String>>,
}

impl Change {
    /// Disabling and enabling is an affair of the site; who people are is one for people alone.
    const fn needs(&self) -> Permission {
        match self {
            Self {
                display_name: None,
                roles: None,
                groups: None,
                ..
            } => Permission::ManageSite,
            _ => Permission::ManagePeople,
        }
    }
}

async fn change(
    State(app): State<App>,
    Path(user): Path<String>,
    _: MayManageSite,
    command: Command,
    Body(change): Body<Change>,
) -> Result<StatusCode, Failure> {
    let actor = command.may(&app, change.needs()).await?;
    let change = PersonChange {
        active: change.active,
        display_name: change.display_name,
        roles: change.roles,
        groups: change.groups,
    };
    app.change_user(&user, change, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPassword {
    password: String,
}

async fn set_password(
    State(app): State<App>,
    Path(user): Path<String>,
    MayManagePeople(actor): MayManagePeople,
    Body(set): Body<SetPassword>,
) -> Result<StatusCode, Failure> {
    app.set_user_password(&user, set.password.into(), None, actor)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset_second_factors(
    State(app): State<App>,
    Path(user): Path<String>,
    MayManagePeople(actor): MayManagePeople,
) -> Result<StatusCode, Failure> {
    app.reset_factors(&user, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
