//! What became of the lease after a launch, in front of an estate.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::frame;
use crate::app::App;
use crate::domain::time::Millis;
use crate::http::extract::Visitor;
use crate::http::failure::Failure;
use crate::http::page::{LeaseOutcomePage, LeaseSeen, respond};
use crate::store::Watched;
use crate::text::Problem;

/// After how many seconds a page that waits comes again by itself.
const COMES_AGAIN: &str = "2";
/// How long a watch can last; one that a restart cut short is over too.
const WATCH_LIMIT: Millis = Millis::seconds(20);

/// `GET /account/lease`: what became of the lease of the last launch from here.
pub(super) async fn show(State(app): State<App>, visitor: Visitor) -> Result<Response, Failure> {
    let Visitor { asked, signed } = &visitor;
    let estate = app.estate().ok_or(Problem::NotFound)?;
    let (person, here) = (&signed.info.person, &signed.info.workstation);
    let watched = estate.watched(person, here)?;
    let standing = app.standing(person, here)?;
    let length = app.ledger().policy().lease_length;
    let seen = match &watched {
        None => LeaseSeen::NothingOpened,
        Some(Watched {
            machine: Some(machine),
            seen_at: Some(seen_at),
            ..
        }) => LeaseSeen::Leased {
            machine,
            until: *seen_at + length,
        },
        Some(watched)
            if watched.ended_at.is_none() && app.now() < watched.begun_at + WATCH_LIMIT =>
        {
            LeaseSeen::Waiting
        }
        Some(_) => LeaseSeen::NotLeased,
    };
    let token = signed.csrf_token(&app);
    let refusal = standing
        .findings
        .iter()
        .find_map(|finding| finding.refusal.as_ref());
    let page = LeaseOutcomePage {
        frame: frame(&app, asked, Some(signed), &token),
        seen,
        refusal,
    };
    let mut response = respond(StatusCode::OK, &page);
    if seen == LeaseSeen::Waiting {
        let again = HeaderValue::from_static(COMES_AGAIN);
        response.headers_mut().insert("refresh", again);
    }
    Ok(response)
}
