//! `/api/v1`: JSON for users and administrators (contract 4).
//!
//! Every call is listed in `src/openapi.json`; a test compares the two.

mod account;
mod admin;
mod documents;
mod list;
mod second_factors;
mod session;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::extract::{Params, WholeBody, announces_no_more_than_is_read};
use super::failure::Failure;
use crate::app::App;
use crate::causes;
use crate::openapi::OPENAPI;
use crate::text::Problem;

/// Routes below `/api/v1`, each with its whole path: a nested router would take every request's
/// address apart once more.
pub(super) fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .merge(session::routes(app))
        .merge(documents::routes())
        .merge(account::routes())
        .merge(second_factors::routes())
        .merge(admin::routes())
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// A body that is a JSON object; what does not fit is named.
struct Body<T>(T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        announces_no_more_than_is_read(&request)?;
        if !is_json(request.headers()) {
            return Err(Problem::UnsupportedMediaType.into());
        }
        let WholeBody(body) = WholeBody::from_request(request, app).await?;
        read(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
}

/// Reads a body. Lists that happen to hold the members in their order are no objects, though the
/// reader of structs would take them.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice::<IgnoredAny>(body)
        .map_err(|error| Failure::unreadable(format!("no JSON: {error}")))?;
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Failure::body_invalid("a JSON object is expected"));
    }
    let read = Json::from_bytes(body);
    let Json(read) = read.map_err(|misfit| Failure::body_invalid(causes::innermost(&misfit)))?;
    Ok(read)
}
