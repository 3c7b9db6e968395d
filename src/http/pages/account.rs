//! My account: CAL, leases, workstations, sessions, password.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::access_point::cal_line;
use super::frame;
use super::sign_in::NoFields;
use crate::app::App;
use crate::app::administer::AdministerError;
use crate::app::sign_in::{Confirmed, workstation_name};
use crate::auth::password::Password;
use crate::auth::password_rules::BadPassword;
use crate::domain::lease::{Lease, LeaseId, LeaseState as State_};
use crate::domain::workstation::WorkstationId;
use crate::http::edge::see_other;
use crate::http::extract::{CheckedForm, FromClient, Params, Signed, Visitor};
use crate::http::failure::Failure;
use crate::http::page::{AccountPage, LeaseRow, LeaseState, SessionRow, WorkstationRow, respond};
use crate::http::to_its_end::to_its_end;
use crate::store::SessionRow as StoredSession;
use crate::text::{NoticeText, Problem};

/// Sessions that the page lists at most.
const SESSIONS_MAX: u32 = 200;

/// Routes of the account.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/account", get(show))
        .route("/account/leases/{id}/release", post(release))
        .route("/account/workstations/{id}", post(rename))
        .route("/account/sessions/{id}/end", post(end_session))
        .route("/account/sessions/end", post(end_sessions))
        .route("/account/password", post(change_password))
        .layer(from_fn(to_its_end))
}

#[derive(Deserialize)]
struct AccountQuery {
    #[serde(default)]
    done: String,
}

/// `GET /account`.
async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Params(query): Params<AccountQuery>,
) -> Result<Response, Failure> {
    let notices = &visitor.asked.language().text().notice;
    let notice = match query.done.as_str() {
        "lease-released" => Some(notices.lease_released),
        "workstation-renamed" => Some(notices.workstation_renamed),
        "session-ended" => Some(notices.one_session_ended),
        "sessions-ended" => Some(notices.every_session_ended),
        "password-changed" => Some(notices.password_changed),
        _ => None,
    };
    page(
        &app,
        &visitor,
        StatusCode::OK,
        Told {
            notice,
            failure: None,
        },
    )
}

/// What the page says first.
#[derive(Clone, Copy)]
struct Told<'a> {
    notice: Option<&'a str>,
    failure: Option<&'a str>,
}

fn page(
    app: &App,
    visitor: &Visitor,
    status: StatusCode,
    told: Told<'_>,
) -> Result<Response, Failure> {
    let Visitor { asked, signed } = visitor;
    let (person, here) = (&signed.info.person, &signed.info.workstation);
    let standing = app.standing(person, here)?;
    let leases = app.leases_of(person)?;
    let workstations = app.ledger().workstations_of(&person.id)?;
    let sessions = app.ledger().sessions(Some(&person.id), "", SESSIONS_MAX)?;
    let labels: Vec<String> = sessions.iter().map(session_label).collect();
    let token = signed.csrf_token(app);
    let frame = super::Frame {
        path: "/account",
        ..frame(app, asked, Some(signed), &token)
    };
    let mut lease_rows: Vec<LeaseRow<'_>> = leases
        .iter()
        .map(|lease| lease_row(lease, frame.now))
        .collect();
    lease_rows.sort_by_key(|row| row.state != LeaseState::Live);
    let workstation_rows: Vec<WorkstationRow<'_>> = workstations
        .iter()
        .map(|row| WorkstationRow {
            id: row.workstation.id.as_str(),
            name: &row.workstation.name,
            last_leased_at: last_leased(&leases, &row.workstation.id),
            is_this: row.workstation.id == here.id,
        })
        .collect();
    let session_rows: Vec<SessionRow<'_>> = sessions
        .iter()
        .zip(&labels)
        .map(|(row, label)| session_row(row, label, signed))
        .collect();
    let page = AccountPage {
        frame,
        notice: told.notice,
        failure: told.failure,
        cal: cal_line(&standing),
        leases: &lease_rows,
        workstations: &workstation_rows,
        sessions: &session_rows,
        can_release: app.estate().is_none(),
        second_factors: app.ledger().factors(&person.id)?.len(),
        can_change_password: app.ledger().has_password(&person.id)?,
    };
    Ok(respond(status, &page))
}

fn lease_row(lease: &Lease, now: crate::domain::time::Timestamp) -> LeaseRow<'_> {
    LeaseRow {
        id: lease.id.as_str(),
        workstation_name: &lease.workstation.name,
        state: match lease.state_at(now) {
            State_::Live => LeaseState::Live,
            State_::Expired => LeaseState::Expired,
            State_::Revoked => LeaseState::Revoked,
            State_::Released => LeaseState::Released,
        },
        granted_at: lease.granted_at,
        renewed_at: (lease.renewed_at > lease.granted_at).then_some(lease.renewed_at),
        expires_at: lease.ended_at.unwrap_or(lease.expires_at),
    }
}

fn last_leased(leases: &[Lease], id: &WorkstationId) -> Option<crate::domain::time::Timestamp> {
    let there = leases.iter().filter(|lease| lease.workstation.id == *id);
    there.map(|lease| lease.renewed_at).max()
}

fn session_label(row: &StoredSession) -> String {
    format!("{}, {}", row.workstation.name, row.address)
}

fn session_row<'a>(row: &'a StoredSession, label: &'a str, signed: &Signed) -> SessionRow<'a> {
    SessionRow {
        id: &row.id,
        label,
        signed_in_at: row.created_at,
        last_seen_at: row.last_seen_at,
        is_this: row.id == signed.info.id,
    }
}

async fn release(
    State(app): State<App>,
    Path(id): Path<String>,
    form: CheckedForm<NoFields>,
) -> Result<Response, Failure> {
    let signed = &form.visitor.signed;
    signed.keeps_to_gateway()?;
    let owner = Some(signed.info.person.id.clone());
    let ended = app.end_lease(LeaseId(id), owner, signed.actor()).await?;
    ended.ok_or(Problem::NotFound)?;
    Ok(see_other("/account?done=lease-released"))
}

#[derive(Deserialize)]
struct RenameForm {
    #[serde(default)]
    name: String,
}

async fn rename(
    State(app): State<App>,
    Path(id): Path<String>,
    form: CheckedForm<RenameForm>,
) -> Result<Response, Failure> {
    let signed = &form.visitor.signed;
    signed.keeps_to_gateway()?;
    let Some(name) = workstation_name(&form.fields.name) else {
        let notices = &form.visitor.asked.language().text().notice;
        let failure = Some(notices.workstation_name_invalid);
        let told = Told {
            notice: None,
            failure,
        };
        return page(&app, &form.visitor, StatusCode::UNPROCESSABLE_ENTITY, told);
    };
    let person = signed.info.person.id.clone();
    let actor = signed.actor();
    let renamed = app
        .ledger()
        .rename_workstation(person, WorkstationId(id), name, actor)
        .await?;
    if renamed {
        Ok(see_other("/account?done=workstation-renamed"))
    } else {
        Err(Problem::NotFound.into())
    }
}

async fn end_session(
    State(app): State<App>,
    Path(id): Path<String>,
    form: CheckedForm<NoFields>,
) -> Result<Response, Failure> {
    let signed = &form.visitor.signed;
    if id != signed.info.id {
        signed.may_change_account()?;
    }
    let person = Some(signed.info.person.id.clone());
    if app
        .ledger()
        .end_session_of(person, id, signed.actor())
        .await?
    {
        Ok(see_other("/account?done=session-ended"))
    } else {
        Err(Problem::NotFound.into())
    }
}

async fn end_sessions(
    State(app): State<App>,
    form: CheckedForm<NoFields>,
) -> Result<Response, Failure> {
    let signed = &form.visitor.signed;
    signed.may_change_account()?;
    let person = signed.info.person.id.clone();
    app.ledger()
        .end_sessions_of(person, None, signed.actor())
        .await?;
    Ok(see_other("/login?notice=session-ended"))
}

#[derive(Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names of the fields of the form"
)]
struct PasswordForm {
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    new_password: String,
    #[serde(default)]
    repeat_password: String,
}

async fn change_password(
    State(app): State<App>,
    FromClient(client): FromClient,
    form: CheckedForm<PasswordForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    visitor.signed.may_change_account()?;
    let notices = &visitor.asked.language().text().notice;
    let refuse = |failure: &str| {
        let told = Told {
            notice: None,
            failure: Some(failure),
        };
        page(&app, &visitor, StatusCode::UNPROCESSABLE_ENTITY, told)
    };
    if fields.new_password != fields.repeat_password {
        return refuse(notices.passwords_differ);
    }
    let info = &visitor.signed.info;
    let name = &info.person.name;
    if !app.ledger().has_password(&info.person.id)? {
        return Err(Problem::PasswordElsewhere.into());
    }
    let current = Password::from(fields.current_password);
    match app.confirm_password(name, current, client).await? {
        Confirmed::Wrong => return refuse(notices.password_wrong),
        other => other.into_result(Problem::SignInFailed, app.now())?,
    }
    let new = Password::from(fields.new_password);
    let (keep, actor) = (Some(info.hash.clone()), visitor.signed.actor());
    match app.set_user_password(name, new, keep, actor).await {
        Ok(()) => Ok(see_other("/account?done=password-changed")),
        Err(AdministerError::Password(bad)) => refuse(password_notice(&bad, notices)),
        Err(error) => Err(error.into()),
    }
}

const fn password_notice(bad: &BadPassword, notices: &NoticeText) -> &'static str {
    match bad {
        BadPassword::TooShort { .. } => notices.password_too_short,
        BadPassword::TooLong { .. } => notices.password_too_long,
        BadPassword::Common => notices.password_too_common,
    }
}
