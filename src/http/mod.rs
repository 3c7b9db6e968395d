//! The edge: routes, extractors, pages, API, TLS.

pub mod content;
pub mod return_to;
pub mod server;
pub mod tls;

/// The routes. Stands in for the router of the pages and the API, and is replaced by it.
pub fn router(_app: crate::app::App) -> axum::Router {
    axum::Router::new().route("/healthz", axum::routing::get(async || "ok"))
}

/// The routes of the metrics listener. Stands in for those of the metrics, and is replaced by them.
pub fn metrics_router(_app: crate::app::App) -> axum::Router {
    axum::Router::new()
}
