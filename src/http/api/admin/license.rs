//! The licence and its two switches.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::domain::administer::Force;
use crate::domain::lef::{LEF_BYTES_MAX, License};
use crate::domain::open::Switches;
use crate::domain::time::Timestamp;
use crate::http::api::{Body, Params};
use crate::http::extract::{MayManageSite, MayRead, WholeBody};
use crate::http::failure::Failure;
use crate::http::json::Json;
use crate::store::Setting;

pub(super) fn routes() -> Router<App> {
    let license = get(show)
        .put(load)
        .layer(DefaultBodyLimit::max(LEF_BYTES_MAX));
    Router::new().route("/api/v1/admin/license", license).route(
        "/api/v1/admin/settings",
        get(settings).patch(change_settings),
    )
}

#[derive(Serialize)]
struct LicenseBody {
    loaded: bool,
    serial: Option<String>,
    edition: Option<String>,
    named_cals: u32,
    taken: u32,
    overcommitted: bool,
    in_force: bool,
    loaded_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

async fn show(State(app): State<App>, _: MayRead) -> Result<Response, Failure> {
    let now = app.now();
    let state = app.license()?;
    let license = state.license.as_deref();
    let body = LicenseBody {
        loaded: license.is_some(),
        serial: license.and_then(License::masked_serial),
        edition: license.map(|license| license.edition(now).words().to_owned()),
        named_cals: state.held,
        taken: state.taken,
        overcommitted: state.overcommitted(),
        in_force: license.is_some_and(|license| license.in_force(now)),
        loaded_at: state.loaded_at,
        ends_at: license.and_then(License::ends_at),
    };
    Ok(Json(body).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadParams {
    #[serde(default)]
    force: bool,
}

async fn load(
    State(app): State<App>,
    MayManageSite(actor): MayManageSite,
    Params(params): Params<LoadParams>,
    WholeBody(lef): WholeBody,
) -> Result<Response, Failure> {
    let lef = License::text_of(&lef);
    let force = if params.force { Force::Yes } else { Force::No };
    let (named_cals, taken) = app.load_license(&lef, force, actor).await?;
    let overcommitted = taken > named_cals;
    let body = json!({ "named_cals": named_cals, "taken": taken, "overcommitted": overcommitted });
    Ok(Json(body).into_response())
}

#[derive(Serialize)]
struct SettingsBody {
    allow_license_lease: bool,
    allow_dynamic_assignment: bool,
}

impl From<Switches> for SettingsBody {
    fn from(switches: Switches) -> Self {
        Self {
            allow_license_lease: switches.allow_license_lease,
            allow_dynamic_assignment: switches.allow_dynamic_assignment,
        }
    }
}

async fn settings(State(app): State<App>, _: MayRead) -> Result<Response, Failure> {
    current_settings(&app)
}

fn current_settings(app: &App) -> Result<Response, Failure> {
    let switches = app.license()?.switches;
    Ok(Json(SettingsBody::from(switches)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeSettings {
    allow_license_lease: Option<bool>,
    allow_dynamic_assignment: Option<bool>,
}

async fn change_settings(
    State(app): State<App>,
    MayManageSite(actor): MayManageSite,
    Body(change): Body<ChangeSettings>,
) -> Result<Response, Failure> {
    let dynamic = change.allow_dynamic_assignment;
    let settings = [
        change
            .allow_license_lease
            .map(|on| (Setting::AllowLicenseLease, on)),
        dynamic.map(|on| (Setting::AllowDynamicAssignment, on)),
    ];
    app.set(settings.into_iter().flatten().collect(), actor)
        .await?;
    current_settings(&app)
}
