//! Calls for administrators; each takes a proof first that the caller may.

mod cals;
mod identities;
mod license;
mod site;
mod users;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::app::App;
use crate::http::extract::{Asked, FromClient, bearer_token};
use crate::http::failure::Failure;
use crate::store::Actor;

/// Routes below `/api/v1/admin`.
pub(super) fn routes(app: &App) -> Router<App> {
    Router::new()
        .merge(cals::routes())
        .merge(identities::routes())
        .merge(license::routes())
        .merge(site::routes())
        .merge(users::routes())
        .route_layer(from_fn_with_state(app.clone(), tell_refused))
}

/// Tells the audit of commands that were refused for want of the right to them (R18). A look that was
/// refused is no command.
async fn tell_refused(
    State(app): State<App>,
    asked: Asked,
    FromClient(client): FromClient,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if request.method().is_safe() {
        return Ok(next.run(request).await);
    }
    let command = format!("{} {}", request.method(), request.uri().path());
    let token = bearer_token(&app, request.headers())?;
    let response = next.run(request).await;
    let failure = response.extensions().get::<Failure>();
    if let Some(code) = failure.and_then(Failure::lack_of_right) {
        let actor = match (token, asked.signed(&app)?) {
            (Some(token), _) => Actor::token(&token.id),
            (None, Some(signed)) => signed.actor(),
            (None, None) => Actor::gateway(),
        };
        app.note_refused_command(&command, code, actor, client.address)
            .await?;
    }
    Ok(response)
}
