//! Alive, ready, and the counters.

use std::fmt::Write;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::extract::Caller;
use super::failure::Failure;
use super::json::Json;
use crate::app::App;
use crate::causes::in_one_line;
use crate::domain::time::SECOND_MS;
use crate::store::Scope;
use crate::text::Problem;

/// A ledger that does not commit within this is not ready.
const COMMITS_WITHIN: Duration = Duration::from_secs(5);

/// Routes that are for machines.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_with_token))
}

/// What the plain listener for metrics serves.
pub fn metrics_router(app: App) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(app)
}

async fn alive() -> &'static str {
    "alive\n"
}

/// `503` only where this node cannot commit or is about to stop; ill peers are listed with `200`.
async fn ready(State(app): State<App>) -> Response {
    if app.is_draining() {
        return not_ready("draining");
    }
    match tokio::time::timeout(COMMITS_WITHIN, app.ledger().ping()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = in_one_line(&error), "not ready");
            return not_ready("the ledger cannot commit");
        }
        Err(_) => return not_ready("the ledger does not commit in time"),
    }
    Json(json!({ "ready": true, "ill": ill(&app) })).into_response()
}

/// What does not do what it should: one sentence each.
fn ill(app: &App) -> Vec<String> {
    let mut ill: Vec<String> = match app.estate() {
        None => app.library().problem().into_iter().collect(),
        Some(estate) => {
            let management = estate
                .problem()
                .unwrap_or_else(|error| Some(error.to_string()));
            management.into_iter().chain(estate.web().ill()).collect()
        }
    };
    let silent = app.silent_ways().into_iter();
    ill.extend(silent.map(|way| format!("the sign-in source {way} does not answer")));
    ill
}

/// How old the picture of the estate is, and the leases in it; nothing without an estate or a picture.
fn estate_gauges(app: &App) -> Result<Vec<(&'static str, &'static str, u64)>, Failure> {
    let now = match app.estate() {
        Some(_) => app.ledger().estate_now()?,
        None => None,
    };
    Ok(now.map_or_else(Vec::new, |estate| {
        let age = (app.now() - estate.read_at).0.max(0) / SECOND_MS;
        vec![
            (
                "accesspoint_estate_age_seconds",
                "Seconds since CALs and leases were read from QlikView Server.",
                age.unsigned_abs(),
            ),
            (
                "accesspoint_estate_leases_live",
                "Leases of QlikView Server that are live.",
                u64::from(estate.live_leases),
            ),
        ]
    }))
}

fn not_ready(why: &str) -> Response {
    let body = Json(json!({ "ready": false, "why": why }));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn metrics_with_token(State(app): State<App>, caller: Caller) -> Result<Response, Failure> {
    let allowed = match &caller {
        Caller::Token(token) => token.scopes.contains(&Scope::Metrics),
        Caller::Person(_) => false,
    };
    if allowed {
        metrics(State(app)).await
    } else {
        Err(Problem::Forbidden.into())
    }
}

/// The state of the site in the Prometheus text format.
async fn metrics(State(app): State<App>) -> Result<Response, Failure> {
    let license = app.license()?;
    let documents = app.library().snapshot().documents().len();
    let mut text = String::new();
    let mut gauges = vec![
        (
            "accesspoint_cals_held",
            "Named CALs that the licence holds.",
            u64::from(license.held),
        ),
        (
            "accesspoint_cals_taken",
            "Named CALs that are taken.",
            u64::from(license.taken),
        ),
        (
            "accesspoint_documents",
            "Documents in the folder.",
            documents as u64,
        ),
        (
            "accesspoint_sign_ins_waiting",
            "Sign-ins under way.",
            app.sign_ins_under_way() as u64,
        ),
    ];
    gauges.extend(estate_gauges(&app)?);
    for (name, help, value) in gauges {
        let _ = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        );
    }
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((kind, text).into_response())
}
