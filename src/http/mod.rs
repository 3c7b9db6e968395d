//! The edge: routes, extractors, pages, API, TLS.
//!
//! A request passes, outside in: `edge` (request id, host, headers, the catch for panics), then its
//! route; where sessions begin and end, the session cookie (`session`) is around it, and what was begun
//! goes on where the client hangs up (`to_its_end`). Handlers take what they need through
//! extractors (`extract`), call `app`, and answer with a page or JSON; what stops them is a `failure`.

pub mod api;
mod compat;
pub mod content;
mod deep_link;
mod edge;
mod extract;
mod failure;
mod health;
mod json;
mod launch;
mod leftover;
mod oidc;
mod once;
pub mod page;
mod pages;
mod proxy_protocol;
mod repeat;
pub mod return_to;
pub mod server;
mod session;
pub mod tls;
mod to_its_end;
mod told;
mod web_server;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use tower::Layer;

use crate::app::App;
pub use compat::web_ticket_router;
use edge::Edge;
pub use health::metrics_router;
use server::Answers;

/// Bytes that a body may have where no route says otherwise.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Everything that the gateway serves over HTTPS.
#[must_use]
pub fn router(app: App) -> impl Answers {
    let old_pages = compat::OldPages::new(&app);
    let routes = Router::new()
        .merge(pages::routes(&app))
        .merge(launch::routes())
        .merge(api::routes(&app))
        .merge(oidc::routes(&app))
        .merge(compat::routes(&app))
        .merge(health::routes())
        .route("/.well-known/jwks.json", get(launch::public_keys))
        .route("/.well-known/lease-status", get(launch::lease_status))
        .route("/static/{name}", get(page::static_files::serve))
        .fallback(move |request| old_pages.clone().answer(request))
        .method_not_allowed_fallback(pages::method_not_allowed)
        .with_state(app.clone());
    // Around the router, not layers of it: those it boxes once for each route and request.
    let limited = DefaultBodyLimit::max(BODY_BYTES_MAX).layer(routes);
    Edge::new(app, limited)
}
