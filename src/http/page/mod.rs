//! Pages: typed view models over askama templates, and what every page shares.
//!
//! A view model holds plain or borrowed data and decides nothing but how to say it. Words come from
//! `crate::text`, marks and the style sheet from [`static_files`].

mod access_point;
mod account;
mod ask;
mod desktop;
mod error;
mod hand_over;
mod lease_outcome;
mod leaving;
mod mark;
mod refused;
mod room;
mod second_factor;
mod sign_in;
pub mod static_files;
mod tile;

pub use access_point::{AccessPointPage, CategoryLink, DocumentTile, LeaseHere, MyLicense};
pub use account::{AccountPage, LeaseRow, LeaseState, SessionRow, WorkstationRow};
pub use ask::AskPage;
pub use desktop::DesktopPage;
pub use error::ErrorPage;
pub use hand_over::{HandOverPage, LeaseOutcome};
pub use lease_outcome::{LeaseOutcomePage, LeaseSeen};
pub use leaving::LeavingPage;
pub use mark::{CalLine, Mark};
pub use refused::{RefusedPage, RuleLine};
pub use second_factor::{
    ConfirmWays, FactorRow, PasskeyPage, RecoveryCodesPage, SecondFactorsPage, SecondStepPage,
    TotpPage,
};
pub use sign_in::{PasskeyAlone, SignInPage, SignInWay};
pub use tile::DocumentFacts;

use askama::Template;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use room::Room;

use crate::domain::refusal::WayOut;
use crate::domain::time::Timestamp;
use crate::text::{Dates, Language};

/// What head, header and footer of a page need.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The name of the product or of the site.
    pub product: &'a str,
    /// The language of the page.
    pub language: Language,
    /// The time of the request.
    pub now: Timestamp,
    /// Path and query of the page, for the links that change its language; for the answer to a
    /// form, a path that can be visited.
    pub path: &'a str,
    /// Who is signed in.
    pub person: Option<Person<'a>>,
    /// The token that every form carries.
    pub csrf_token: &'a str,
    /// The id of the request.
    pub request_id: &'a str,
    /// The version of the gateway.
    pub version: &'a str,
    /// Where people get help.
    pub help: Option<Help<'a>>,
    /// Whether the page is shown inside Desktop.
    pub in_desktop: bool,
}

/// The person who is signed in.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The name to show.
    pub display_name: &'a str,
    /// Whether the header leads to the console.
    pub is_administrator: bool,
}

/// Where people get help.
#[derive(Clone, Copy, Debug)]
pub struct Help<'a> {
    /// What to show.
    pub text: &'a str,
    /// An `https:` or `mailto:` address.
    pub address: Option<&'a str>,
}

impl<'a> Frame<'a> {
    /// How dates are written on this page.
    #[must_use]
    pub fn dates(&self) -> Dates {
        Dates::new(self.language, self.now)
    }

    /// Where a way out leads, if anywhere.
    #[must_use]
    pub fn way_out_address(&self, way: WayOut) -> Option<&'a str> {
        way_out_address(way, self.help.and_then(|help| help.address))
    }

    /// This page in another language: its address with `lang` set.
    fn language_link(&self, language: Language) -> String {
        let (path, query) = self.path.split_once('?').unwrap_or((self.path, ""));
        let mut link = format!("{path}?");
        let kept = query.split('&').filter(|pair| !pair.starts_with("lang="));
        for pair in kept.filter(|pair| !pair.is_empty()) {
            link.push_str(pair);
            link.push('&');
        }
        link.push_str("lang=");
        link.push_str(language.word());
        link
    }
}

/// Where a way out leads, if anywhere: asking leads to the help address.
#[must_use]
pub const fn way_out_address(way: WayOut, help: Option<&str>) -> Option<&str> {
    match way {
        WayOut::SignInAsSomeoneElse => Some("/login"),
        WayOut::LeaseFromProduction => Some("/desktop"),
        WayOut::UseOtherWorkstation => Some("/account"),
        WayOut::WorkOnline => None,
        WayOut::AskForCal
        | WayOut::AskToGiveBack
        | WayOut::AskToLift
        | WayOut::AskToSwitchLeasingOn
        | WayOut::AskForLicense
        | WayOut::AskToEnable
        | WayOut::AskForDocument => help,
    }
}

/// The response that shows a page.
#[must_use]
pub fn respond(status: StatusCode, page: &impl Template) -> Response {
    let mut room = Room::take();
    match page.render_into(&mut room.0) {
        Ok(()) => (status, Html(Bytes::from_owner(room))).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
