//! Signing in and out.
//!
//! The form belongs to a cookie that is set when it is shown; its token is a MAC over that cookie's
//! value, so showing it makes no session row, and it works as long as the cookie lives.

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::{Frame, add_cookie, frame, host_cookie, kept_cookie, second_step};
use crate::app::App;
use crate::app::second_factor::NextStep;
use crate::app::sign_in::{Attempt, Client, SignedIn, WORKSTATION_COOKIE_LIFE};
use crate::config::SourceKind;
use crate::http::deep_link;
use crate::http::edge::see_other;
use crate::http::extract::{
    Asked, EnrollingForm, FromClient, SIGN_IN_COOKIE, WORKSTATION_COOKIE, read_form,
};
use crate::http::failure::{self, Failure, Refused, with_return_to};
use crate::http::oidc::SIGN_OUT_COOKIE;
use crate::http::once::only;
use crate::http::page::{LeavingPage, PasskeyAlone, SignInPage, SignInWay, respond};
use crate::http::session::{self, SESSION_COOKIE};
use crate::store::Aim;
use crate::text::{Language, Problem};

#[derive(Deserialize)]
struct SignInForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    return_to: String,
}

/// `GET /login`.
pub(super) async fn show(
    State(app): State<App>,
    asked: Asked,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    let notices = &asked.language().text().notice;
    let notice = match only(&query, "notice").as_deref() {
        Some("signed-out") => Some(notices.signed_out),
        Some("signed-out-here") => Some(notices.signed_out_here),
        Some("session-ended") => Some(notices.session_ended),
        Some("web-ticket") => Some(notices.web_ticket_invalid),
        Some("web-ticket-alone") => Some(notices.web_ticket_alone),
        // A session that nobody used for long enough ends without anybody being told.
        _ if asked.cookie(SESSION_COOKIE).is_some() && asked.signed(&app)?.is_none() => {
            Some(notices.session_ended)
        }
        _ => None,
    };
    let shown = Shown {
        notice,
        return_to: &only(&query, "return_to").unwrap_or_default(),
        ..Shown::default()
    };
    Ok(form(&app, &asked, StatusCode::OK, &shown))
}

/// `POST /login`.
pub(super) async fn submit(
    State(app): State<App>,
    asked: Asked,
    session: Session,
    FromClient(client): FromClient,
    request: Request,
) -> Result<Response, Failure> {
    let (token, fields) = read_form::<SignInForm>(&app, request).await?;
    let shown = Shown {
        username: &fields.username,
        return_to: &fields.return_to,
        ..Shown::default()
    };
    if let Err(problem) = fitting_cookie(&app, &asked, &token) {
        return Ok(refused(&app, &asked, &problem, shown));
    }
    let attempt = Attempt {
        name: fields.username.clone(),
        password: fields.password.into(),
        client: client.clone(),
    };
    let signed_in = match app.sign_in_with_password(attempt).await {
        Ok(outcome) => outcome.into_result(app.now()),
        Err(error) => Err(Failure::busy_ledger(error)?),
    };
    match signed_in {
        Ok(signed_in) => {
            let to = deep_link::wanted(&app, &asked, &fields.return_to);
            enter(&app, &asked, &session, &client, &signed_in, &to).await
        }
        Err(problem) => Ok(refused(&app, &asked, &problem, shown)),
    }
}

#[derive(Deserialize)]
struct PasskeyForm {
    #[serde(default)]
    return_to: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    answer: String,
}

/// `POST /login/passkey`: a passkey that is used alone.
pub(super) async fn submit_passkey(
    State(app): State<App>,
    asked: Asked,
    session: Session,
    FromClient(client): FromClient,
    request: Request,
) -> Result<Response, Failure> {
    let (token, fields) = read_form::<PasskeyForm>(&app, request).await?;
    let shown = Shown {
        return_to: &fields.return_to,
        ..Shown::default()
    };
    let cookie = match fitting_cookie(&app, &asked, &token) {
        Ok(cookie) => cookie,
        Err(problem) => return Ok(refused(&app, &asked, &problem, shown)),
    };
    let signed_in = app
        .sign_in_with_passkey(cookie, &fields.state, &fields.answer, &client)
        .await;
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(error) => Err(Failure::busy_ledger(error)?),
    };
    match signed_in {
        Ok(signed_in) => {
            let to = deep_link::wanted(&app, &asked, &fields.return_to);
            enter(&app, &asked, &session, &client, &signed_in, &to).await
        }
        Err(problem) => Ok(refused(&app, &asked, &problem, shown)),
    }
}

/// Lets somebody in whose first step was right: with a session, or on to the second step.
pub(in crate::http) async fn enter(
    app: &App,
    asked: &Asked,
    session: &Session,
    client: &Client,
    signed_in: &SignedIn,
    wanted: &str,
) -> Result<Response, Failure> {
    let again = || deep_link::again(app, asked, &signed_in.source, &Aim::to(wanted));
    let next = app.next_step(signed_in, client).await;
    let (enrol_for, to) = match next.map_err(|error| Failure::of_ledger(error, again()))? {
        NextStep::Ask(challenge) => {
            let asking = second_step::ask(app, asked, challenge, wanted)?;
            return Ok(with_workstation(app, asking, signed_in));
        }
        NextStep::Enter => (None, wanted),
        NextStep::Enrol => (Some(wanted), failure::SECOND_FACTORS_PATH),
    };
    let begun = session::begin(app, session, signed_in, client, enrol_for).await;
    begun.map_err(|error| Failure::not_begun(error, again()))?;
    let answer = see_other(to);
    Ok(with_workstation(app, answer, signed_in))
}

/// The form again, with what went wrong.
fn refused(app: &App, asked: &Asked, problem: &Problem, shown: Shown<'_>) -> Response {
    let text = problem_text(asked.language(), problem);
    let shown = Shown {
        failure: Some(&text),
        ..shown
    };
    let mut page = form(app, asked, failure::status(problem), &shown);
    page.extensions_mut().insert(Refused::of(problem));
    failure::with_retry_after(page, problem)
}

/// `POST /logout`: the session ends here, and at the provider that it came from, where that offers
/// it.
pub(super) async fn sign_out(
    State(app): State<App>,
    asked: Asked,
    session: Session,
    FromClient(client): FromClient,
    form: Result<EnrollingForm<NoFields>, Failure>,
) -> Result<Response, Failure> {
    let form = match form {
        Ok(EnrollingForm(form)) => form,
        // Another tab has signed out before, or the session has ended.
        Err(_) if asked.signed(&app)?.is_none() => {
            session
                .flush()
                .await
                .map_err(|error| Failure::fault(&error))?;
            return Ok(see_other("/login?notice=signed-out"));
        }
        Err(failure) => return Err(failure),
    };
    let ending = form.visitor.signed.info;
    let id_token = app.id_token(&ending);
    // Here it ends at once, however long the provider takes to answer.
    session
        .flush()
        .await
        .map_err(|error| Failure::fault(&error))?;
    let source = ending.source.as_str();
    let is_old = form.visitor.asked.in_desktop() || client.agent.contains("Trident/");
    let leads_to = app
        .provider_sign_out(source, id_token.as_deref(), is_old)
        .await;
    let Some(provider) = leads_to else {
        let goes_on = app.has_provider(source);
        let notice = if goes_on {
            "signed-out-here"
        } else {
            "signed-out"
        };
        return Ok(see_other(&format!("/login?notice={notice}")));
    };
    let mut away = if provider.at_issuer {
        see_other(&provider.to)
    } else {
        leaving(&app, &form.visitor.asked, source, &provider.to)
    };
    add_cookie(&mut away, &host_cookie(SIGN_OUT_COOKIE, provider.state));
    Ok(away)
}

/// `GET /logout`: whoever can make a browser follow a link could end its session, so it ends nothing,
/// and the audit is told of it (L-06).
pub(super) async fn not_signed_out() -> Response {
    let mut answer = failure::allowing("POST", Problem::MethodNotAllowed.into());
    answer.extensions_mut().insert(Refused {
        is_suspect: true,
        ..Refused::of(&Problem::MethodNotAllowed)
    });
    answer
}

/// A page that leads on to where the provider signs people out. Browsers hold the redirect after a
/// form to the policy of the form's page, which names the issuer's origin alone.
fn leaving(app: &App, asked: &Asked, source: &str, url: &str) -> Response {
    let page = LeavingPage {
        frame: Frame {
            path: "/login",
            ..frame(app, asked, None, "")
        },
        source: app.config().sign_in.label(source),
        url,
    };
    let mut response = respond(StatusCode::OK, &page);
    if let Ok(refresh) = HeaderValue::from_str(&format!("1; url={url}")) {
        response.headers_mut().insert("refresh", refresh);
    }
    response
}

/// A form that has nothing but its token.
#[derive(Deserialize)]
pub(super) struct NoFields {}

/// Keeps the workstation's cookie for another 400 days.
pub(in crate::http) fn with_workstation(
    app: &App,
    mut response: Response,
    signed_in: &SignedIn,
) -> Response {
    if let Some(value) = &signed_in.workstation_cookie {
        let life = WORKSTATION_COOKIE_LIFE;
        let cookie = kept_cookie(app, WORKSTATION_COOKIE, value.clone(), life);
        add_cookie(&mut response, &cookie);
    }
    response
}

/// What the form shows beside its fields.
#[derive(Clone, Copy, Default)]
struct Shown<'a> {
    username: &'a str,
    return_to: &'a str,
    notice: Option<&'a str>,
    failure: Option<&'a str>,
}

fn form(app: &App, asked: &Asked, status: StatusCode, shown: &Shown<'_>) -> Response {
    let browser = BrowserSecret::of(app, asked);
    let token = browser.token(app);
    let alone = app.ask_passkey_alone(&browser.secret);
    let silent = app.silent_ways();
    let is_signed_in = asked.signed(app).is_ok_and(|signed| signed.is_some());
    let return_to = deep_link::passed_on(app, asked, shown.return_to);
    let providers = providers(app, &return_to, is_signed_in);
    // The address of a form that was sent does not say what was wanted; a choice of language asks for
    // the page again.
    let path = match shown.failure {
        Some(_) => with_return_to("/login", shown.return_to),
        None => asked.path_and_query().to_owned(),
    };
    let page = SignInPage {
        frame: Frame {
            path: &path,
            ..frame(app, asked, None, &token)
        },
        ways: &ways(app, &providers),
        passwords_of: &passwords_of(app, asked.language()),
        silent: &silent,
        username: shown.username,
        return_to: shown.return_to,
        passkey: alone.as_ref().map(|asked| PasskeyAlone {
            options: &asked.options,
            state: &asked.state,
        }),
        notice: shown.notice,
        failure: shown.failure,
    };
    let mut response = respond(status, &page);
    browser.keep(&mut response);
    response
}

/// The secret that the forms of somebody who is not signed in belong to: the value of a cookie.
pub(in crate::http) struct BrowserSecret {
    pub(in crate::http) secret: String,
    is_new: bool,
}

impl BrowserSecret {
    pub(in crate::http) fn of(app: &App, asked: &Asked) -> Self {
        let known = asked
            .cookie(SIGN_IN_COOKIE)
            .filter(|value| value.len() >= 22);
        Self {
            secret: known.map_or_else(|| app.fresh().id(), str::to_owned),
            is_new: known.is_none(),
        }
    }

    pub(super) fn token(&self, app: &App) -> String {
        app.csrf().token(&form_secret(&self.secret))
    }

    /// Sets the cookie where the browser has none.
    pub(in crate::http) fn keep(self, response: &mut Response) {
        if self.is_new {
            add_cookie(response, &host_cookie(SIGN_IN_COOKIE, self.secret));
        }
    }
}

/// The cookie's value that a form with this token belongs to.
pub(super) fn fitting_cookie<'a>(
    app: &App,
    asked: &'a Asked,
    token: &str,
) -> Result<&'a str, Problem> {
    let cookie = asked.cookie(SIGN_IN_COOKIE).ok_or(Problem::NoCookies)?;
    if app.csrf().accepts(&form_secret(cookie), token) {
        Ok(cookie)
    } else {
        Err(Problem::CsrfTokenInvalid)
    }
}

/// The ways in, in the order of the configuration; the form stands at the first source that takes
/// passwords.
fn ways<'a>(app: &App, providers: &'a [(String, String)]) -> Vec<SignInWay<'a>> {
    let mut ways = Vec::new();
    let mut providers = providers.iter();
    for source in &app.config().sign_in.sources {
        match source.kind {
            SourceKind::Oidc => ways.extend(
                providers
                    .next()
                    .map(|(label, url)| SignInWay::Provider { label, url }),
            ),
            _ if ways.contains(&SignInWay::Password) => {}
            _ => ways.push(SignInWay::Password),
        }
    }
    ways
}

/// Whose passwords count, in their order; none where those of the gateway alone do.
fn passwords_of(app: &App, language: Language) -> Vec<&str> {
    let sign_in = &app.config().sign_in;
    let mut names = Vec::new();
    let mut is_local_alone = true;
    for source in &sign_in.sources {
        match source.kind {
            SourceKind::Oidc => {}
            SourceKind::Local => names.push(language.text().sign_in.this_gateway),
            SourceKind::Ldap | SourceKind::Webhook => {
                is_local_alone = false;
                names.push(sign_in.label(&source.name));
            }
        }
    }
    if is_local_alone {
        names.clear();
    }
    names
}

/// Label and address of each provider, in the order of the configuration. Whoever signs in `again`
/// is to prove anew who they are.
fn providers(app: &App, return_to: &str, again: bool) -> Vec<(String, String)> {
    let sign_in = &app.config().sign_in;
    let used = sign_in.sources.iter();
    let providers = used.filter(|source| source.kind == SourceKind::Oidc);
    providers
        .map(|source| {
            let url = deep_link::at_provider(&source.name, return_to, again);
            (sign_in.label(&source.name).to_owned(), url)
        })
        .collect()
}

/// What the token of a sign-in form is made from; never that of a session's.
fn form_secret(cookie: &str) -> String {
    format!("sign-in:{cookie}")
}

pub(super) fn problem_text(language: Language, problem: &Problem) -> String {
    let text = (language.text().problem)(problem);
    match problem {
        Problem::SignInFailed => text.happened.into_owned(),
        _ => format!("{} {}", text.happened, text.next),
    }
}
