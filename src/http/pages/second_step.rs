//! The second step of a sign-in.
//!
//! The address of the page holds which challenge it is for, sealed for this browser: each tab has a
//! step of its own, and the address is worth nothing elsewhere.

use std::time::Instant;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::sign_in::{BrowserSecret, fitting_cookie, problem_text, with_workstation};
use super::{Frame, frame};
use crate::app::App;
use crate::app::second_factor::{Finished, Proof, SecondStep, StepPage};
use crate::app::sign_in::{Client, SignedIn};
use crate::auth::secret::{SecretKind, hash_secret};
use crate::http::deep_link;
use crate::http::edge::see_other;
use crate::http::extract::{Asked, FromClient, Params, Signed, read_form};
use crate::http::failure::{self, Failure, Refused};
use crate::http::page::{SecondStepPage, respond};
use crate::http::repeat::Repeats;
use crate::http::session;
use crate::store::Aim;
use crate::text::Problem;

/// The page.
const PATH: &str = "/login/second-factor";

/// The forms that were sent of late.
pub(super) type Sent = Repeats<Result<Stepped, Failure>>;

#[derive(Deserialize)]
pub(super) struct StepQuery {
    #[serde(default)]
    step: String,
}

#[derive(Deserialize)]
struct StepForm {
    #[serde(default)]
    step: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    answer: String,
}

/// Sends a browser on to the page that asks for the second factor.
pub(super) fn ask(
    app: &App,
    asked: &Asked,
    challenge: String,
    wanted: &str,
) -> Result<Response, Failure> {
    let browser = BrowserSecret::of(app, asked);
    let step = StepPage {
        challenge,
        wanted: wanted.to_owned(),
    };
    let hidden = app
        .hide_step(&browser.secret, &step)
        .ok_or(Problem::Internal)?;
    let mut response = see_other(&address(&hidden));
    browser.keep(&mut response);
    Ok(response)
}

/// `GET /login/second-factor`.
pub(super) async fn show(
    State(app): State<App>,
    asked: Asked,
    Params(query): Params<StepQuery>,
) -> Result<Response, Failure> {
    let browser = BrowserSecret::of(&app, &asked);
    let Some(step) = app.hidden_step(&browser.secret, &query.step) else {
        return Ok(see_other("/login"));
    };
    let Some(second) = app.second_step(&step.challenge)? else {
        return Err(ended(&app, &asked, &step));
    };
    let shown = Shown {
        step: &query.step,
        wanted: &step.wanted,
        second: &second,
        failure: None,
    };
    Ok(page(&app, &asked, StatusCode::OK, &shown))
}

/// `POST /login/second-factor`: a code, or the browser's answer for a passkey.
pub(super) async fn submit(
    State(app): State<App>,
    Extension(repeats): Extension<Sent>,
    asked: Asked,
    session: Session,
    FromClient(client): FromClient,
    request: Request,
) -> Result<Response, Failure> {
    let (token, fields) = read_form::<StepForm>(&app, request).await?;
    let again = |problem| Failure::start_again(problem, "/login".to_owned());
    let cookie = fitting_cookie(&app, &asked, &token).map_err(again)?;
    let step = app.hidden_step(cookie, &fields.step);
    let step = step.ok_or_else(|| again(Problem::CsrfTokenInvalid))?;
    let proof = match fields.answer {
        answer if answer.is_empty() => Proof::Code(fields.code),
        answer => Proof::Passkey(answer),
    };
    let sent = sent(&step.challenge, &proof);
    let is_in = |stepped: &Result<Stepped, Failure>| matches!(stepped, Ok(Stepped::In { .. }));
    let entering = enter(&app, &asked, &session, &client, &step, &proof);
    let stepped = repeats.once(&sent, Instant::now(), is_in, entering).await?;
    match stepped {
        Stepped::In { signed_in, secret } => {
            // What was sent once more is given once more, while it lives, and in nobody's place.
            let lives = Signed::by_secret(&app, &secret)?.is_some();
            let is_other = |there: Signed| !there.is_of(&secret);
            if !lives || asked.signed(&app)?.is_some_and(is_other) {
                return Err(ended(&app, &asked, &step));
            }
            session::give(&session, &secret).await?;
            Ok(with_workstation(&app, see_other(&step.wanted), &signed_in))
        }
        Stepped::Not { second, problem } => {
            let text = problem_text(asked.language(), &problem);
            let shown = Shown {
                step: &fields.step,
                wanted: &step.wanted,
                second: &second,
                failure: Some(&text),
            };
            let mut page = page(&app, &asked, failure::status(&problem), &shown);
            page.extensions_mut().insert(Refused::of(&problem));
            Ok(failure::with_retry_after(page, &problem))
        }
    }
}

/// What came of a second step.
#[derive(Clone)]
pub(super) enum Stepped {
    /// They are in, with the session of this secret.
    In {
        signed_in: Box<SignedIn>,
        secret: String,
    },
    /// The page asks again.
    Not {
        second: SecondStep,
        problem: Problem,
    },
}

/// Takes the second step, and begins the session.
async fn enter(
    app: &App,
    asked: &Asked,
    session: &Session,
    client: &Client,
    step: &StepPage,
    proof: &Proof,
) -> Result<Stepped, Failure> {
    let Some(second) = app.second_step(&step.challenge)? else {
        return Err(ended(app, asked, step));
    };
    let finished = app.finish_second_step(&step.challenge, proof, client).await;
    let signed_in = match finished {
        Ok(Finished::Ended) => return Err(ended(app, asked, step)),
        Ok(finished) => finished.into_result(app.now()),
        Err(error) => Err(Failure::busy_ledger(error)?),
    };
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(problem) => return Ok(Stepped::Not { second, problem }),
    };
    let written = session::write(app, session, &signed_in, client, None).await;
    let secret = written.map_err(|error| {
        let again = deep_link::again(app, asked, &signed_in.source, &Aim::to(&step.wanted));
        Failure::not_begun(error, again)
    })?;
    Ok(Stepped::In { signed_in, secret })
}

/// What is the same where this is sent once more.
fn sent(challenge: &str, proof: &Proof) -> String {
    let proof = match proof {
        Proof::Code(proof) | Proof::Passkey(proof) => proof,
    };
    hash_secret(SecretKind::Challenge, &format!("{challenge} {proof}"))
}

/// What the page shows.
struct Shown<'a> {
    step: &'a str,
    wanted: &'a str,
    second: &'a SecondStep,
    failure: Option<&'a str>,
}

fn page(app: &App, asked: &Asked, status: StatusCode, shown: &Shown<'_>) -> Response {
    let browser = BrowserSecret::of(app, asked);
    let token = browser.token(app);
    let path = address(shown.step);
    let back = deep_link::sign_in_page(app, asked, shown.wanted);
    let page = SecondStepPage {
        frame: Frame {
            path: &path,
            ..frame(app, asked, None, &token)
        },
        step: shown.step,
        totp: shown.second.totp,
        passkey: shown.second.passkey.as_deref(),
        failure: shown.failure,
        back: &back,
    };
    respond(status, &page)
}

/// The step has ended; what was wanted is kept.
fn ended(app: &App, asked: &Asked, step: &StepPage) -> Failure {
    // Which source it was is forgotten with the challenge.
    let again = deep_link::sign_in_page(app, asked, &step.wanted);
    Failure::start_again(Problem::ChallengeEnded, again)
}

fn address(hidden: &str) -> String {
    format!("{PATH}?step={hidden}")
}
