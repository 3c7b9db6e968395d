//! `/api/v1`: JSON for users and administrators (contract 4).

use axum::Router;

use super::failure::Failure;
use crate::app::App;
use crate::text::Problem;

/// Routes below `/api/v1`.
pub(super) fn routes() -> Router<App> {
    Router::new().fallback(not_found)
}

async fn not_found() -> Failure {
    Problem::NotFound.into()
}
