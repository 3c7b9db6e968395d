//! Calls for administrators; each takes a proof first that the caller may.

mod cals;
mod identities;
mod license;
mod site;
mod users;

use axum::Router;

use crate::app::App;

/// Routes below `/api/v1/admin`.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .merge(cals::routes())
        .merge(identities::routes())
        .merge(license::routes())
        .merge(site::routes())
        .merge(users::routes())
}
