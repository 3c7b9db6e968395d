//! The document behind its launch ticket, and what offline verifiers of leases need.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::content::content;
use super::edge::see_other;
use super::extract::{Params, Visitor, is_prefetch};
use super::failure::Failure;
use super::json::Json;
use super::pages::no_head;
use crate::app::App;
use crate::app::open::Launched;
use crate::text::Problem;

/// Routes of documents' content.
pub(super) fn routes() -> Router<App> {
    let route = get(launch).head(no_head("GET"));
    Router::new().route("/documents/{id}/content", route)
}

#[derive(Deserialize)]
struct LaunchQuery {
    #[serde(default)]
    launch: String,
}

async fn launch(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Params(query): Params<LaunchQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if is_prefetch(&headers) {
        return Err(Problem::LaunchTicketInvalid.into());
    }
    let resumes = headers.contains_key(header::RANGE) && headers.contains_key(header::IF_RANGE);
    let session = &visitor.signed.info;
    match app.launch(session, &id, &query.launch, resumes).await? {
        Launched::File(file) => {
            let ended = app.session_end(session);
            let streamed = content(&Method::GET, &headers, *file, Some(ended));
            streamed.map_err(|error| Failure::fault(&error))
        }
        Launched::Onward(path) => Ok(see_other(&path)),
        Launched::Used => Err(Problem::LaunchTicketUsed.into()),
        Launched::Invalid => Err(Problem::LaunchTicketInvalid.into()),
        Launched::Gone => Err(Problem::NotFound.into()),
    }
}

/// `GET /.well-known/jwks.json`.
pub(super) async fn public_keys(State(app): State<App>) -> Result<Response, Failure> {
    let set = app.keys().public_set(app.now())?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(set)).into_response())
}

/// `GET /.well-known/lease-status`: leases that ended before their tokens say so.
pub(super) async fn lease_status(State(app): State<App>) -> Result<Response, Failure> {
    let ended = app.ledger().leases_ended_early()?;
    let ended: Vec<_> = ended
        .into_iter()
        .map(|(id, expires_at)| json!({ "id": id, "expires_at": expires_at }))
        .collect();
    let body = Json(json!({ "as_of": app.now(), "ended": ended }));
    Ok(([(header::CACHE_CONTROL, "public, max-age=60")], body).into_response())
}
