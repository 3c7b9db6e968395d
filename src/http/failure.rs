//! What stops a request, and how it is said: the only place where failures become answers.
//!
//! A [`Failure`] is a bare response that carries its reason; the outermost layer ([`super::edge`])
//! turns it into a page or into problem+json, in the language of the one who asked. Faults are
//! logged here, once, with their causes.

use std::any::Any;
use std::error::Error;

use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::deep_link::{self, Named};
use super::edge::see_other;
use super::extract::Asked;
use super::page::{ErrorPage, respond};
use super::pages::frame;
use super::session::BeginError;
use super::told::Reader;
use crate::app::App;
use crate::app::administer::AdministerError;
use crate::app::estate::EstateError;
use crate::app::keys::KeyError;
use crate::app::open::OpenError;
use crate::causes;
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::time::{Millis, SECOND_MS};
use crate::store::StoreError;
use crate::text::{Language, Problem, Touches};

/// What people know the management service as.
const QMS_NAME: &str = "QlikView Management Service";
/// What people know the web server as.
pub(super) const WEB_SERVER_NAME: &str = "QlikView web server";

/// How long to wait when the ledger's queue is full.
const BUSY_WAIT: Millis = Millis::seconds(1);

/// The page on which people enrol second factors.
pub(super) const SECOND_FACTORS_PATH: &str = "/account/second-factors";

const BODY_INVALID: &str = "BODY_INVALID";
const NAME_TAKEN: &str = "USER_NAME_TAKEN";
const IDENTITY_TAKEN: &str = "IDENTITY_TAKEN";
const LAST_ADMINISTRATOR: &str = "LAST_ADMINISTRATOR";
const OWNED_BY_SERVER: &str = "OWNED_BY_SERVER";

/// Why a request was not done.
#[derive(Clone, Debug)]
pub(super) struct Failure(Box<Reason>);

#[derive(Clone, Debug)]
enum Reason {
    Problem(Problem),
    Refusal {
        refusal: Refusal,
        reader: Reader,
    },
    /// What was sent is no JSON, and where.
    Unreadable(String),
    /// What an administrator named is not there.
    Unknown(String),
    /// R17: a licence that is too small, and whose CALs are taken.
    TooSmall {
        held: u32,
        taken: u32,
        users: Vec<String>,
    },
    NameTaken(String),
    IdentityTaken(String),
    LastAdministrator(String),
    /// The estate's server owns what was to be changed.
    OwnedByServer(String),
    SignInFirst(String),
    /// The second step of a sign-in by the API; this is the secret of its challenge.
    SecondFactorRequired(String),
    /// Nothing can be done in this session before a second factor is enrolled.
    EnrolFirst,
    /// A sign-in at a provider that came to nothing, and the path that starts it again.
    StartAgain {
        problem: Problem,
        path: String,
    },
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Reason::Problem(problem)))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::Closed => Self::busy(),
            error => Self::fault(&error),
        }
    }
}

impl From<BeginError> for Failure {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Store(error) => error.into(),
            BeginError::TooMany { most } => Problem::TooManySessions { most }.into(),
            BeginError::Overtaken => Problem::SignInOvertaken.into(),
            error @ BeginError::Layer(_) => Self::fault(&error),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::fault(&error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Estate(error) => error.into(),
            error => Self::fault(&error),
        }
    }
}

impl From<EstateError> for Failure {
    fn from(error: EstateError) -> Self {
        let name = QMS_NAME.to_owned();
        match error {
            EstateError::Store(error) => error.into(),
            EstateError::Silent(why) => {
                tracing::warn!(%why, "QMS cannot be asked");
                Problem::UpstreamSilent { name }.into()
            }
            EstateError::Answer(why) => {
                tracing::warn!(%why, "QMS gave no answer that can be used");
                Problem::UpstreamAnswer { name }.into()
            }
            EstateError::WebSilent(why) => {
                tracing::warn!(%why, "no web server answers");
                let name = WEB_SERVER_NAME.to_owned();
                Problem::UpstreamSilent { name }.into()
            }
            EstateError::WebAnswer(why) => {
                tracing::warn!(%why, "the web server gave no answer that can be used");
                let name = WEB_SERVER_NAME.to_owned();
                Problem::UpstreamAnswer { name }.into()
            }
            EstateError::Contended => Problem::UpstreamChanging { name }.into(),
        }
    }
}

impl From<AdministerError> for Failure {
    fn from(error: AdministerError) -> Self {
        match error {
            AdministerError::UnknownUser(_) | AdministerError::Unknown { .. } => {
                Self(Box::new(Reason::Unknown(error.to_string())))
            }
            AdministerError::Name(_)
            | AdministerError::Text { .. }
            | AdministerError::Source(_)
            | AdministerError::Password(_)
            | AdministerError::Lef(_) => Self::body_invalid(error.to_string()),
            AdministerError::LastAdministrator(_) => {
                Self(Box::new(Reason::LastAdministrator(error.to_string())))
            }
            AdministerError::OwnedByServer => {
                Self(Box::new(Reason::OwnedByServer(error.to_string())))
            }
            AdministerError::IdentityTaken(_) => {
                Self(Box::new(Reason::IdentityTaken(error.to_string())))
            }
            AdministerError::NameTaken(_) => Self(Box::new(Reason::NameTaken(error.to_string()))),
            AdministerError::TooSmall {
                held,
                taken,
                people,
            } => Self(Box::new(Reason::TooSmall {
                held,
                taken,
                users: people,
            })),
            AdministerError::Busy(busy) => Problem::Busy {
                wait: Millis::seconds(busy.retry_after_s.into()),
            }
            .into(),
            AdministerError::Store(error) => error.into(),
            AdministerError::Keys(error) => error.into(),
        }
    }
}

impl Failure {
    /// A fault of ours: logged whole, told without detail.
    pub(super) fn fault(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = causes::in_one_line(error), "a request failed");
        Problem::Internal.into()
    }

    /// A fault of ours that ended in a panic.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        tracing::error!(panic = text, "a handler panicked");
        Problem::Internal.into()
    }

    /// More is waiting than can be done soon.
    pub(super) fn busy() -> Self {
        Problem::Busy { wait: BUSY_WAIT }.into()
    }

    /// The problem of a ledger that has no time now, which a page can show and lead on from; any other
    /// failure of it is one of the whole request.
    pub(super) fn busy_ledger(error: StoreError) -> Result<Problem, Self> {
        match error {
            StoreError::Busy | StoreError::Closed => Ok(Problem::Busy { wait: BUSY_WAIT }),
            error => Err(Self::fault(&error)),
        }
    }

    /// The same, leading on by this path.
    pub(super) fn of_ledger(error: StoreError, again: String) -> Self {
        match Self::busy_ledger(error) {
            Ok(problem) => Self::start_again(problem, again),
            Err(failure) => failure,
        }
    }

    /// An open that the rules refused, told to the person who opens; or what an administrator
    /// asked for, told to them.
    pub(super) fn refused(refusal: Refusal, reader: Reader) -> Self {
        Self(Box::new(Reason::Refusal { refusal, reader }))
    }

    /// What was sent cannot be read.
    pub(super) fn unreadable(detail: String) -> Self {
        Self(Box::new(Reason::Unreadable(detail)))
    }

    /// What was sent can be read, but says something that does not fit.
    pub(super) fn body_invalid(detail: impl Into<String>) -> Self {
        Problem::BodyInvalid {
            detail: detail.into(),
        }
        .into()
    }

    /// A form that cannot be read.
    pub(super) fn form(rejection: &FormRejection) -> Self {
        match rejection {
            FormRejection::FailedToDeserializeFormBody(error) => {
                Self::body_invalid(causes::innermost(error))
            }
            other => Self::status(other.status()),
        }
    }

    /// Nobody is signed in: they sign in first, and come back to what they wanted.
    pub(super) fn sign_in_first(asked: &Asked) -> Self {
        let wanted = asked.path_and_query().to_owned();
        Self(Box::new(Reason::SignInFirst(wanted)))
    }

    /// The password is right, and a second factor is to answer this challenge.
    pub(super) fn second_factor_required(challenge: String) -> Self {
        Self(Box::new(Reason::SecondFactorRequired(challenge)))
    }

    /// A second factor has to be enrolled first: pages lead there.
    pub(super) fn enrol_first() -> Self {
        Self(Box::new(Reason::EnrolFirst))
    }

    /// A sign-in at a provider came to nothing; this path starts it again.
    pub(super) fn start_again(problem: Problem, path: String) -> Self {
        Self(Box::new(Reason::StartAgain { problem, path }))
    }

    /// A session did not begin for somebody who signed in; this path starts again.
    pub(super) fn not_begun(error: BeginError, again: String) -> Self {
        match error {
            BeginError::TooMany { most } => {
                Self::start_again(Problem::TooManySessions { most }, again)
            }
            BeginError::Overtaken => Self::start_again(Problem::SignInOvertaken, again),
            BeginError::Store(error) => Self::of_ledger(error, again),
            error @ BeginError::Layer(_) => error.into(),
        }
    }

    /// The problem that a status of the framework stands for.
    pub(super) fn status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Problem::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Problem::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Problem::BodyInvalid {
                detail: "a value does not fit".to_owned(),
            },
            status if status.is_server_error() => Problem::Internal,
            _ => Problem::BadRequest,
        }
        .into()
    }

    /// Its code, as answer, audit and log spell it.
    pub(super) fn code(&self) -> &'static str {
        match &*self.0 {
            Reason::Problem(problem) | Reason::StartAgain { problem, .. } => problem.code(),
            Reason::Refusal { refusal, .. } => refusal.code().as_str(),
            Reason::Unreadable(_) => BODY_INVALID,
            Reason::Unknown(_) => Problem::NotFound.code(),
            Reason::TooSmall { .. } => RefusalCode::NoFreeCal.as_str(),
            Reason::NameTaken(_) => NAME_TAKEN,
            Reason::IdentityTaken(_) => IDENTITY_TAKEN,
            Reason::LastAdministrator(_) => LAST_ADMINISTRATOR,
            Reason::OwnedByServer(_) => OWNED_BY_SERVER,
            Reason::SignInFirst(_) => Problem::SignInRequired.code(),
            Reason::SecondFactorRequired(_) => Problem::SecondFactorRequired.code(),
            Reason::EnrolFirst => Problem::SecondFactorMissing.code(),
        }
    }

    fn problem(&self) -> Option<&Problem> {
        match &*self.0 {
            Reason::Problem(problem) | Reason::StartAgain { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The answer, for the one who asked.
    pub(super) fn render(self, app: &App, asked: &Asked) -> Response {
        match *self.0 {
            Reason::SignInFirst(_) if asked.is_api() => {
                problem_json(&Problem::SignInRequired, asked)
            }
            Reason::SignInFirst(wanted) => to_sign_in(&wanted, app, asked),
            Reason::SecondFactorRequired(challenge) => challenge_json(challenge, asked),
            Reason::EnrolFirst if asked.is_api() => {
                problem_json(&Problem::SecondFactorMissing, asked)
            }
            Reason::EnrolFirst => see_other(SECOND_FACTORS_PATH),
            Reason::Problem(Problem::SignInAgain) => sign_in_again(app, asked),
            Reason::Problem(problem) | Reason::StartAgain { problem, .. } if asked.is_api() => {
                problem_json(&problem, asked)
            }
            Reason::Problem(problem) => problem_page(&problem, None, app, asked),
            Reason::StartAgain { problem, path } => problem_page(&problem, Some(&path), app, asked),
            Reason::Refusal { refusal, reader } => refusal_json(&refusal, reader, app, asked),
            Reason::Unreadable(detail) => unreadable_json(&detail, asked),
            Reason::Unknown(detail) => detailed_json(&Problem::NotFound, &detail, asked),
            Reason::NameTaken(detail) => {
                conflict_json(NAME_TAKEN, "The name is taken", &detail, asked)
            }
            Reason::IdentityTaken(detail) => {
                conflict_json(IDENTITY_TAKEN, "Somebody else's identity", &detail, asked)
            }
            Reason::LastAdministrator(detail) => {
                conflict_json(LAST_ADMINISTRATOR, "The last administrator", &detail, asked)
            }
            Reason::OwnedByServer(detail) if asked.is_api() => {
                conflict_json(OWNED_BY_SERVER, "Not the gateway's own", &detail, asked)
            }
            // No page of ours offers it.
            Reason::OwnedByServer(_) => problem_page(&Problem::NotFound, None, app, asked),
            Reason::TooSmall { held, taken, users } => {
                too_small_json(held, taken, &users, app, asked)
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        let is_suspect = self.problem().is_some_and(is_suspect);
        let code = self.code();
        response
            .extensions_mut()
            .insert(Refused { code, is_suspect });
        response.extensions_mut().insert(self);
        response
    }
}

/// Whether whoever was refused may come in as somebody else.
pub(super) const fn is_about_person(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::SignInRefused { .. } | Problem::UserNameTaken { .. } | Problem::UserDisabled
    )
}

/// The answer to a method that is not allowed, with those that are.
pub(super) fn allowing(methods: &'static str, failure: Failure) -> Response {
    let mut answer = failure.into_response();
    let methods = HeaderValue::from_static(methods);
    answer.headers_mut().insert(header::ALLOW, methods);
    answer
}

/// Marks the answer to a request that was refused, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    /// Why.
    pub(super) code: &'static str,
    /// Whether nobody can tell whose it is, or it was refused before anybody looked who sends it: the
    /// audit is told too (R18).
    pub(super) is_suspect: bool,
}

impl Refused {
    /// What is to be told of a problem that a page shows.
    pub(super) const fn of(problem: &Problem) -> Self {
        Self {
            code: problem.code(),
            is_suspect: is_suspect(problem),
        }
    }
}

const fn is_suspect(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::CsrfTokenInvalid
            | Problem::NoCookies
            | Problem::CookieTwice
            | Problem::TooLarge
            | Problem::TooManyGuesses { .. }
    )
}

/// The status of a problem.
pub(super) const fn status(problem: &Problem) -> StatusCode {
    match problem {
        Problem::BadRequest
        | Problem::AttemptInvalid { .. }
        | Problem::AttemptUnconfirmed { .. }
        | Problem::CookieMissing { .. }
        | Problem::CookieTwice
        | Problem::ProviderSaid { .. } => StatusCode::BAD_REQUEST,
        Problem::SignInRequired
        | Problem::SignInFailed
        | Problem::SignInOvertaken
        | Problem::SecondFactorRequired
        | Problem::SecondFactorFailed
        | Problem::ChallengeEnded
        | Problem::PasskeyRefused => StatusCode::UNAUTHORIZED,
        Problem::SecondFactorNeeded | Problem::PasskeyTaken => StatusCode::CONFLICT,
        Problem::CsrfTokenInvalid
        | Problem::NoCookies
        | Problem::Forbidden
        | Problem::NotAsked
        | Problem::PasswordElsewhere
        | Problem::SignInAgain
        | Problem::SecondFactorMissing
        | Problem::SignInRefused { .. }
        | Problem::UserNameTaken { .. }
        | Problem::UserDisabled
        | Problem::TooManySessions { .. }
        | Problem::PasswordEnded { .. }
        | Problem::LaunchTicketInvalid
        | Problem::LaunchTicketUsed => StatusCode::FORBIDDEN,
        Problem::NotFound => StatusCode::NOT_FOUND,
        Problem::MethodNotAllowed | Problem::AnswerPosted { .. } => StatusCode::METHOD_NOT_ALLOWED,
        Problem::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Problem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Problem::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Problem::WrongHost => StatusCode::MISDIRECTED_REQUEST,
        Problem::BodyInvalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Problem::TooManyAttempts { .. } | Problem::TooManyGuesses { .. } => {
            StatusCode::TOO_MANY_REQUESTS
        }
        Problem::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Problem::UpstreamAnswer { .. }
        | Problem::ProviderTooWeak { .. }
        | Problem::ClocksDiffer { .. } => StatusCode::BAD_GATEWAY,
        Problem::SourceSilent { .. }
        | Problem::ProviderIll { .. }
        | Problem::UpstreamSilent { .. }
        | Problem::UpstreamChanging { .. }
        | Problem::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn problem_json(problem: &Problem, asked: &Asked) -> Response {
    let text = (asked.language().text().problem)(problem);
    let detail = match problem {
        Problem::BodyInvalid { detail } => detail.clone(),
        _ => format!("{} {}", text.happened, text.next),
    };
    let mut body = members(status(problem), problem.code(), text.title, &detail, asked);
    if let Some(wait) = wait(problem) {
        body.insert("retry_after_s".to_owned(), json!(seconds(wait)));
    }
    with_retry_after(json_response(status(problem), &body), problem)
}

/// A fresh sign-in is wanted, and where that is to be had: at a provider it must be one that looks
/// anew.
fn sign_in_again(app: &App, asked: &Asked) -> Response {
    let problem = Problem::SignInAgain;
    let signed = asked.signed(app).ok().flatten();
    let source = signed.as_ref().map(|signed| &*signed.info.source);
    let path = deep_link::fresh(app, asked, source.unwrap_or_default());
    if !asked.is_api() {
        return problem_page(&problem, Some(&path), app, asked);
    }
    let text = (asked.language().text().problem)(&problem);
    let detail = format!("{} {}", text.happened, text.next);
    let mut body = members(status(&problem), problem.code(), text.title, &detail, asked);
    body.insert(
        "way_out".to_owned(),
        json!([{ "text": text.title, "url": format!("{}{path}", app.origin()) }]),
    );
    json_response(status(&problem), &body)
}

/// A problem that says in English what of the request it is about.
fn detailed_json(problem: &Problem, detail: &str, asked: &Asked) -> Response {
    let title = (asked.language().text().problem)(problem).title;
    let body = members(status(problem), problem.code(), title, detail, asked);
    json_response(status(problem), &body)
}

/// JSON that does not parse has the code of what does not fit, and a status of its own (contract 4).
fn unreadable_json(detail: &str, asked: &Asked) -> Response {
    let status = StatusCode::BAD_REQUEST;
    let title = (asked.language().text().problem)(&Problem::BadRequest).title;
    json_response(status, &members(status, BODY_INVALID, title, detail, asked))
}

fn challenge_json(challenge: String, asked: &Asked) -> Response {
    let problem = Problem::SecondFactorRequired;
    let text = (asked.language().text().problem)(&problem);
    let detail = format!("{} {}", text.happened, text.next);
    let mut body = members(status(&problem), problem.code(), text.title, &detail, asked);
    body.insert("challenge".to_owned(), Value::String(challenge));
    json_response(status(&problem), &body)
}

fn problem_page(
    problem: &Problem,
    start_again: Option<&str>,
    app: &App,
    asked: &Asked,
) -> Response {
    let signed = asked.signed(app).ok().flatten();
    let token = signed
        .as_ref()
        .map(|signed| signed.csrf_token(app))
        .unwrap_or_default();
    let sign_in = sign_in_as(start_again.unwrap_or_default());
    let mut frame = frame(app, asked, signed.as_ref(), &token);
    if start_again.is_some() || !asked.is_safe() {
        // The address of a callback holds its code, and that of a form takes no look: they are no
        // pages to come back to in another language.
        frame.path = if signed.is_some() { "/" } else { &sign_in };
    }
    let problem_text = (frame.language.text().problem)(problem);
    let page = respond(
        status(problem),
        &ErrorPage {
            frame,
            problem: problem_text,
            start_again,
            as_other: is_about_person(problem),
            sign_in: &sign_in,
        },
    );
    with_retry_after(page, problem)
}

/// The sign-in page that leads to what this path, which starts a sign-in, leads to.
fn sign_in_as(start: &str) -> String {
    let query = start.split_once('?').map_or("", |(_, query)| query);
    let wanted = query.split('&').find(|pair| pair.starts_with("return_to="));
    wanted.map_or_else(|| "/login".to_owned(), |pair| format!("/login?{pair}"))
}

fn refusal_json(refusal: &Refusal, reader: Reader, app: &App, asked: &Asked) -> Response {
    let status = match refusal {
        Refusal::DocumentNotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::FORBIDDEN,
    };
    let text = asked.language().text();
    let (title, detail) = match reader {
        Reader::User => (
            text.refused.title,
            (text.refusal.to_user)(refusal, Touches::Open, app.now()),
        ),
        Reader::Administrator => (
            text.marks.refused,
            (text.refusal.to_administrator)(refusal, app.now()),
        ),
    };
    let code = refusal.code().as_str();
    let mut body = members(status, code, title, &detail.to_string(), asked);
    body.extend(ends_and_ways_out(refusal, asked.language(), app));
    json_response(status, &body)
}

/// The refusal object of contract 4, of a lease that the person who opens did not get.
pub(super) fn refusal_members(
    refusal: &Refusal,
    language: Language,
    app: &App,
) -> Map<String, Value> {
    let text = &language.text().refusal;
    let message = (text.to_user)(refusal, Touches::Lease, app.now()).to_string();
    let mut members = ends_and_ways_out(refusal, language, app);
    members.insert("code".to_owned(), json!(refusal.code()));
    members.insert("message".to_owned(), json!(message));
    members
}

/// What ends a refusal and when, what stands in the way, and what can be done.
fn ends_and_ways_out(refusal: &Refusal, language: Language, app: &App) -> Map<String, Value> {
    let text = &language.text().refusal;
    let ways = refusal.ways_out().iter().map(
        |way| json!({ "text": (text.way_out)(*way), "url": super::pages::way_out_url(app, *way) }),
    );
    let mut members = Map::new();
    members.insert("retry_at".to_owned(), json!(refusal.retry_at()));
    members.insert("ends_by".to_owned(), json!(refusal.ends_by()));
    members.insert("workstations".to_owned(), json!(refusal.workstations()));
    members.insert("way_out".to_owned(), ways.collect());
    members
}

fn too_small_json(held: u32, taken: u32, users: &[String], app: &App, asked: &Asked) -> Response {
    let detail = format!(
        "The licence holds {held} named CALs, but {taken} are taken, by: {}. Nothing was changed. \
         Unassign some of them, or load it with force; then nobody new gets one until it fits.",
        users.join(", ")
    );
    let status = StatusCode::CONFLICT;
    // No instant is known: it fits when CALs are given back, or with a licence that holds more.
    let refusal = Refusal::NoFreeCal {
        held,
        taken,
        retry_at: None,
    };
    let code = refusal.code().as_str();
    let mut body = members(status, code, "Too few named CALs", &detail, asked);
    body.insert("users".to_owned(), json!(users));
    body.extend(ends_and_ways_out(&refusal, asked.language(), app));
    let url = |path: &str| format!("{}{path}", app.origin());
    // Those of a refusal are for the person who opens; this is for the administrator who loads.
    let ways = json!([
        { "text": "See who holds CALs, and unassign some", "url": url("/api/v1/admin/cals") },
        { "text": "Load it all the same", "url": url("/api/v1/admin/license?force=true") },
    ]);
    body.insert("way_out".to_owned(), ways);
    json_response(status, &body)
}

fn conflict_json(code: &str, title: &str, detail: &str, asked: &Asked) -> Response {
    let status = StatusCode::CONFLICT;
    let detail = format!("Nothing was changed: {detail}.");
    let body = members(status, code, title, &detail, asked);
    json_response(status, &body)
}

/// What every problem has.
fn members(
    status: StatusCode,
    code: &str,
    title: &str,
    detail: &str,
    asked: &Asked,
) -> Map<String, Value> {
    let value = json!({
        "type": "about:blank", "title": title, "status": status.as_u16(), "code": code,
        "detail": detail, "request_id": asked.request_id(),
    });
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn json_response(status: StatusCode, body: &Map<String, Value>) -> Response {
    let body = Value::Object(body.clone()).to_string();
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body,
    )
        .into_response()
}

const fn wait(problem: &Problem) -> Option<Millis> {
    match problem {
        Problem::TooManyAttempts { wait }
        | Problem::TooManyGuesses { wait }
        | Problem::Busy { wait } => Some(*wait),
        _ => None,
    }
}

/// Whole seconds, rounded up: never promise earlier.
const fn seconds(wait: Millis) -> i64 {
    let whole = wait.0.div_euclid(SECOND_MS);
    let rounded = if wait.0.rem_euclid(SECOND_MS) > 0 {
        whole + 1
    } else {
        whole
    };
    if rounded < 1 { 1 } else { rounded }
}

/// An answer that says from when to try again, where the problem does.
pub(super) fn with_retry_after(mut response: Response, problem: &Problem) -> Response {
    if let Some(wait) = wait(problem) {
        let seconds = HeaderValue::from(seconds(wait));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Characters that a query value may have as they are.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn to_sign_in(wanted: &str, app: &App, asked: &Asked) -> Response {
    match deep_link::name(app, asked, wanted) {
        Named::Path(path) => see_other(&with_return_to("/login", &path)),
        Named::Kept(id, browser) => {
            let mut answer = see_other(&with_return_to("/login", &id));
            browser.keep(&mut answer);
            answer
        }
    }
}

/// A path that signs somebody in, and then leads to what they wanted.
pub(super) fn with_return_to(path: &str, wanted: &str) -> String {
    if matches!(wanted, "" | "/") {
        return path.to_owned();
    }
    format!("{path}?return_to={}", utf8_percent_encode(wanted, QUERY))
}
