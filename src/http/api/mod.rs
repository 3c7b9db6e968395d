//! `/api/v1`: JSON for users and administrators (contract 4).
//!
//! Every call is listed in `src/openapi.json`; a test compares the two.

mod account;
mod admin;
mod documents;
mod list;
mod second_factors;
mod session;

use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;

use super::extract::announces_no_more_than_is_read;
use super::failure::Failure;
use crate::app::App;
use crate::causes;
use crate::openapi::OPENAPI;

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

/// A JSON body; what does not fit is named.
struct Body<T>(T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        announces_no_more_than_is_read(&request)?;
        let body: Result<axum::Json<T>, JsonRejection> =
            axum::Json::from_request(request, app).await;
        Ok(Self(body?.0))
    }
}

/// The values of the query; what does not fit is named.
struct Params<T>(T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, app).await;
        match query {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Failure::body_invalid(causes::innermost(&rejection))),
        }
    }
}
