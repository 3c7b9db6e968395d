//! My second factors: enrol, name, remove, recovery codes. Changing them needs a fresh proof of who
//! one is; who has to enrol one before anything else does it here too.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tower_sessions::cookie::Cookie;

use super::sign_in::{NoFields, problem_text};
use super::{Frame, add_cookie, frame, host_cookie};
use crate::app::App;
use crate::app::factors::{Enrolment, factor_name};
use crate::app::sign_in::{Client, Confirmed};
use crate::auth::password::Password;
use crate::auth::totp;
use crate::http::deep_link;
use crate::http::edge::see_other;
use crate::http::extract::{
    CheckedForm, EnrollingForm, EnrollingVisitor, FromClient, Params, Signed, Visitor,
};
use crate::http::failure::{self, Failure, SECOND_FACTORS_PATH};
use crate::http::page::{
    ConfirmWays, FactorRow, PasskeyPage, RecoveryCodesPage, SecondFactorsPage, TotpPage, respond,
};
use crate::http::session::{self, SESSION_COOKIE};
use crate::http::to_its_end::to_its_end;
use crate::store::FactorRemoved;
use crate::text::{Problem, SecondFactorText};

/// Routes of second factors.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/account/second-factors", get(show))
        .route("/account/second-factors/confirm", post(confirm))
        .route(
            "/account/second-factors/totp",
            get(show_totp).post(begin_totp),
        )
        .route("/account/second-factors/totp/picture", get(picture))
        .route("/account/second-factors/totp/code", post(finish_totp))
        .route(
            "/account/second-factors/passkey",
            get(show_passkey).post(begin_passkey),
        )
        .route(
            "/account/second-factors/passkey/answer",
            post(finish_passkey),
        )
        .route("/account/second-factors/codes", post(new_codes))
        .route("/account/second-factors/{id}/name", post(rename))
        .route("/account/second-factors/{id}/remove", post(remove))
        .layer(from_fn(to_its_end))
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    done: String,
}

/// `GET /account/second-factors`.
async fn show(
    State(app): State<App>,
    EnrollingVisitor(visitor): EnrollingVisitor,
    FromClient(client): FromClient,
    Params(query): Params<ListQuery>,
) -> Result<Response, Failure> {
    let text = text_of(&visitor);
    let notice = match query.done.as_str() {
        "added" => Some(text.added),
        "removed" => Some(text.removed),
        "renamed" => Some(text.renamed),
        "confirmed" => Some(text.confirmed),
        _ => None,
    };
    let told = Told {
        notice,
        failure: None,
    };
    list(&app, &visitor, &client, StatusCode::OK, told)
}

#[derive(Deserialize)]
struct ConfirmForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    code: String,
}

/// Proves again who one is, with the password or a code; the session goes on under a new id.
async fn confirm(
    State(app): State<App>,
    FromClient(client): FromClient,
    EnrollingForm(form): EnrollingForm<ConfirmForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    let info = &visitor.signed.info;
    let person = &info.person;
    let confirmed = if !info.can_be_confirmed() {
        return Err(Problem::SignInAgain.into());
    } else if !fields.code.is_empty() {
        app.confirm_code(person, &fields.code, &client).await?
    } else if app.confirms(info)?.password {
        let password = Password::from(fields.password);
        app.confirm_password(&person.name, password, client.clone())
            .await?
    } else {
        Confirmed::Wrong
    };
    let text = text_of(&visitor);
    match confirmed {
        Confirmed::Wrong => {
            let told = Told::failure(text.not_confirmed);
            list(&app, &visitor, &client, StatusCode::UNAUTHORIZED, told)
        }
        other => {
            other.into_result(Problem::SignInFailed, app.now())?;
            let (_, cookie) = renewed(&app, &visitor).await?;
            let mut answer = see_other(&format!("{SECOND_FACTORS_PATH}?done=confirmed"));
            add_cookie(&mut answer, &cookie);
            Ok(answer)
        }
    }
}

#[derive(Deserialize)]
struct NameForm {
    #[serde(default)]
    name: String,
}

async fn begin_totp(
    State(app): State<App>,
    FromClient(client): FromClient,
    EnrollingForm(form): EnrollingForm<NameForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    let name = match changing(&app, &visitor, &client, Some(&fields.name))? {
        Ok(name) => name,
        Err(page) => return Ok(page),
    };
    app.begin_totp(&visitor.signed.info, name).await?;
    Ok(see_other("/account/second-factors/totp"))
}

/// `GET /account/second-factors/totp`: the key of the app that is being enrolled.
async fn show_totp(
    State(app): State<App>,
    EnrollingVisitor(visitor): EnrollingVisitor,
) -> Result<Response, Failure> {
    totp_page(&app, &visitor, StatusCode::OK, None)
}

/// `GET /account/second-factors/totp/picture`: the same as a QR code.
async fn picture(
    State(app): State<App>,
    EnrollingVisitor(visitor): EnrollingVisitor,
) -> Result<Response, Failure> {
    let waiting = app.totp_waiting(&visitor.signed.info)?;
    let picture = waiting.and_then(|waiting| totp::picture(&waiting.address));
    let picture = picture.ok_or(Problem::NotFound)?;
    let svg = HeaderValue::from_static("image/svg+xml");
    Ok(([(header::CONTENT_TYPE, svg)], picture).into_response())
}

#[derive(Deserialize)]
struct CodeForm {
    #[serde(default)]
    code: String,
    #[serde(default)]
    end_others: String,
}

async fn finish_totp(
    State(app): State<App>,
    FromClient(client): FromClient,
    EnrollingForm(form): EnrollingForm<CodeForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    if let Err(page) = changing(&app, &visitor, &client, None)? {
        return Ok(page);
    }
    let end_others = !fields.end_others.is_empty();
    let info = &visitor.signed.info;
    match app.finish_totp(info, &fields.code, end_others).await? {
        Enrolment::Wrong => {
            let failure = text_of(&visitor).code_wrong;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            totp_page(&app, &visitor, status, Some(failure))
        }
        enrolment => after_enrolment(&app, &visitor, &client, enrolment).await,
    }
}

async fn begin_passkey(
    State(app): State<App>,
    FromClient(client): FromClient,
    EnrollingForm(form): EnrollingForm<NameForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    let name = match changing(&app, &visitor, &client, Some(&fields.name))? {
        Ok(name) => name,
        Err(page) => return Ok(page),
    };
    if !app.begin_passkey(&visitor.signed.info, name).await? {
        return Err(Problem::NotFound.into());
    }
    Ok(see_other("/account/second-factors/passkey"))
}

/// `GET /account/second-factors/passkey`: asks the browser for the passkey.
async fn show_passkey(
    State(app): State<App>,
    EnrollingVisitor(visitor): EnrollingVisitor,
) -> Result<Response, Failure> {
    passkey_page(&app, &visitor, StatusCode::OK, None)
}

#[derive(Deserialize)]
struct AnswerForm {
    #[serde(default)]
    answer: String,
    #[serde(default)]
    end_others: String,
}

async fn finish_passkey(
    State(app): State<App>,
    FromClient(client): FromClient,
    EnrollingForm(form): EnrollingForm<AnswerForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    if let Err(page) = changing(&app, &visitor, &client, None)? {
        return Ok(page);
    }
    let end_others = !fields.end_others.is_empty();
    let info = &visitor.signed.info;
    match app.finish_passkey(info, &fields.answer, end_others).await? {
        Enrolment::Wrong => {
            let failure = text_of(&visitor).passkey_failed;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            passkey_page(&app, &visitor, status, Some(failure))
        }
        enrolment => after_enrolment(&app, &visitor, &client, enrolment).await,
    }
}

async fn new_codes(
    State(app): State<App>,
    FromClient(client): FromClient,
    form: CheckedForm<NoFields>,
) -> Result<Response, Failure> {
    let visitor = form.visitor;
    if let Err(page) = changing(&app, &visitor, &client, None)? {
        return Ok(page);
    }
    let codes = app.new_recovery_codes(&visitor.signed.info).await?;
    let codes = codes.ok_or(Problem::NotFound)?;
    Ok(codes_page(&app, &visitor, &codes, SECOND_FACTORS_PATH))
}

async fn rename(
    State(app): State<App>,
    Path(id): Path<String>,
    FromClient(client): FromClient,
    form: CheckedForm<NameForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    let name = match changing(&app, &visitor, &client, Some(&fields.name))? {
        Ok(name) => name,
        Err(page) => return Ok(page),
    };
    if !app.rename_factor(&visitor.signed.info, id, name).await? {
        return Err(Problem::NotFound.into());
    }
    Ok(see_other(&format!("{SECOND_FACTORS_PATH}?done=renamed")))
}

#[derive(Deserialize)]
struct RemoveForm {
    #[serde(default)]
    end_others: String,
}

async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    FromClient(client): FromClient,
    form: CheckedForm<RemoveForm>,
) -> Result<Response, Failure> {
    let CheckedForm { visitor, fields } = form;
    if let Err(page) = changing(&app, &visitor, &client, None)? {
        return Ok(page);
    }
    let end_others = !fields.end_others.is_empty();
    let info = &visitor.signed.info;
    let removed = app.remove_factor(info, id, end_others, &client).await?;
    match removed {
        FactorRemoved::Done => Ok(see_other(&format!("{SECOND_FACTORS_PATH}?done=removed"))),
        FactorRemoved::Unknown => Err(Problem::NotFound.into()),
        FactorRemoved::Needed => refuse(&app, &visitor, &client, &Problem::SecondFactorNeeded),
    }
}

/// The name that was given, where one is wanted; or the page that says why nothing may be changed.
fn changing(
    app: &App,
    visitor: &Visitor,
    client: &Client,
    name: Option<&str>,
) -> Result<Result<String, Response>, Failure> {
    if !app.is_confirmed(&visitor.signed.info) {
        return refuse(app, visitor, client, &Problem::SignInAgain).map(Err);
    }
    let Some(name) = name else {
        return Ok(Ok(String::new()));
    };
    if let Some(name) = factor_name(name) {
        return Ok(Ok(name));
    }
    let told = Told::failure(text_of(visitor).name_invalid);
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    list(app, visitor, client, status, told).map(Err)
}

/// What follows an enrolment that was not wrong.
async fn after_enrolment(
    app: &App,
    visitor: &Visitor,
    client: &Client,
    enrolment: Enrolment,
) -> Result<Response, Failure> {
    let codes = match enrolment {
        Enrolment::Done { codes } => codes,
        Enrolment::Taken => return refuse(app, visitor, client, &Problem::PasskeyTaken),
        Enrolment::Wrong | Enrolment::Ended => {
            let told = Told::failure(text_of(visitor).took_too_long);
            return list(app, visitor, client, StatusCode::CONFLICT, told);
        }
    };
    let wanted = visitor.signed.info.enrol_for.as_deref();
    // The session may do more from now on.
    let (visitor, cookie) = renewed(app, visitor).await?;
    let mut answer = match codes {
        Some(codes) => codes_page(app, &visitor, &codes, wanted.unwrap_or(SECOND_FACTORS_PATH)),
        None => see_other(wanted.unwrap_or("/account/second-factors?done=added")),
    };
    add_cookie(&mut answer, &cookie);
    Ok(answer)
}

/// The same visitor after their session got a new id, and the cookie that holds it (S-02).
async fn renewed(app: &App, visitor: &Visitor) -> Result<(Visitor, Cookie<'static>), Failure> {
    let renewed = session::renew(app, &visitor.signed.info.hash).await?;
    let secret = renewed.ok_or(Problem::SignInRequired)?;
    let signed = Signed::by_secret(app, &secret)?.ok_or(Problem::SignInRequired)?;
    let asked = visitor.asked.clone();
    Ok((
        Visitor { asked, signed },
        host_cookie(SESSION_COOKIE, secret),
    ))
}

/// What the list says first.
#[derive(Clone, Copy)]
struct Told<'a> {
    notice: Option<&'a str>,
    failure: Option<&'a str>,
}

impl<'a> Told<'a> {
    const fn failure(failure: &'a str) -> Self {
        Self {
            notice: None,
            failure: Some(failure),
        }
    }
}

fn text_of(visitor: &Visitor) -> &'static SecondFactorText {
    &visitor.asked.language().text().second_factor
}

/// The list, with a problem.
fn refuse(
    app: &App,
    visitor: &Visitor,
    client: &Client,
    problem: &Problem,
) -> Result<Response, Failure> {
    let text = problem_text(visitor.asked.language(), problem);
    let told = Told::failure(&text);
    list(app, visitor, client, failure::status(problem), told)
}

fn list(
    app: &App,
    visitor: &Visitor,
    client: &Client,
    status: StatusCode,
    told: Told<'_>,
) -> Result<Response, Failure> {
    let info = &visitor.signed.info;
    let mine = app.my_factors(info, client)?;
    let token = visitor.signed.csrf_token(app);
    let rows: Vec<FactorRow<'_>> = mine.factors.iter().map(FactorRow::of).collect();
    let sign_in = deep_link::fresh(app, &visitor.asked, &info.source);
    let confirm = (!app.is_confirmed(info)).then(|| ConfirmWays {
        password: mine.confirms.password,
        code: mine.confirms.code,
        sign_in: &sign_in,
    });
    let page = SecondFactorsPage {
        frame: page_frame(app, visitor, SECOND_FACTORS_PATH, &token),
        notice: told.notice,
        failure: told.failure,
        factors: &rows,
        codes_left: mine.codes_left,
        must_enrol: info.enrol_for.is_some(),
        required: mine.required,
        confirm,
        has_passkeys: app.has_passkeys(),
    };
    Ok(respond(status, &page))
}

fn totp_page(
    app: &App,
    visitor: &Visitor,
    status: StatusCode,
    failure: Option<&str>,
) -> Result<Response, Failure> {
    let Some(waiting) = app.totp_waiting(&visitor.signed.info)? else {
        return Ok(see_other(SECOND_FACTORS_PATH));
    };
    let token = visitor.signed.csrf_token(app);
    let page = TotpPage {
        frame: page_frame(app, visitor, "/account/second-factors/totp", &token),
        failure,
        name: &waiting.name,
        key: &in_groups(&waiting.key),
        address: &waiting.address,
    };
    Ok(respond(status, &page))
}

fn passkey_page(
    app: &App,
    visitor: &Visitor,
    status: StatusCode,
    failure: Option<&str>,
) -> Result<Response, Failure> {
    let Some(waiting) = app.passkey_waiting(&visitor.signed.info)? else {
        return Ok(see_other(SECOND_FACTORS_PATH));
    };
    let token = visitor.signed.csrf_token(app);
    let page = PasskeyPage {
        frame: page_frame(app, visitor, "/account/second-factors/passkey", &token),
        failure,
        name: &waiting.name,
        options: &waiting.options,
    };
    Ok(respond(status, &page))
}

/// The page that tells recovery codes, once.
fn codes_page(app: &App, visitor: &Visitor, codes: &[String], to: &str) -> Response {
    let token = visitor.signed.csrf_token(app);
    let page = RecoveryCodesPage {
        frame: page_frame(app, visitor, SECOND_FACTORS_PATH, &token),
        codes,
        to,
    };
    respond(StatusCode::OK, &page)
}

fn page_frame<'a>(app: &'a App, visitor: &'a Visitor, path: &'a str, token: &'a str) -> Frame<'a> {
    Frame {
        path,
        ..frame(app, &visitor.asked, Some(&visitor.signed), token)
    }
}

/// A key in groups of four characters, as people read it off.
fn in_groups(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(" ")
}
