//! The identities of users: listed, linked, unlinked; by people alone, never with a token.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::domain::time::Timestamp;
use crate::http::api::{Body, Params};
use crate::http::extract::{MayManagePeople, MayRead};
use crate::http::failure::Failure;
use crate::http::json::Json;
use crate::store::IdentityRow;

pub(super) fn routes() -> Router<App> {
    Router::new().route(
        "/api/v1/admin/users/{user}/identities",
        get(identities).post(link).delete(unlink),
    )
}

#[derive(Serialize)]
struct IdentityItem {
    source: String,
    subject: String,
    last_sign_in_at: Option<Timestamp>,
}

impl From<IdentityRow> for IdentityItem {
    fn from(row: IdentityRow) -> Self {
        Self {
            source: row.source,
            subject: row.subject,
            last_sign_in_at: row.last_sign_in_at,
        }
    }
}

/// An identity as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    source: String,
    subject: String,
}

async fn identities(
    State(app): State<App>,
    Path(user): Path<String>,
    _: MayRead,
) -> Result<Response, Failure> {
    let rows = app.identities(&user)?.into_iter();
    let items: Vec<IdentityItem> = rows.map(IdentityItem::from).collect();
    // Nobody has more than a page.
    Ok(Json(json!({ "items": items, "next_cursor": null })).into_response())
}

async fn link(
    State(app): State<App>,
    Path(user): Path<String>,
    MayManagePeople(actor): MayManagePeople,
    Body(Identity { source, subject }): Body<Identity>,
) -> Result<Response, Failure> {
    app.link_identity(&user, &source, &subject, actor).await?;
    let linked = json!({ "source": source, "subject": subject });
    Ok((StatusCode::CREATED, Json(linked)).into_response())
}

async fn unlink(
    State(app): State<App>,
    Path(user): Path<String>,
    MayManagePeople(actor): MayManagePeople,
    Params(Identity { source, subject }): Params<Identity>,
) -> Result<StatusCode, Failure> {
    app.unlink_identity(&user, &source, &subject, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
