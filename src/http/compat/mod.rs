//! What clients written for `QlikView` call: web tickets, the `AccessPoint` page's XML, open links and
//! the management service.
//!
//! Old clients spell folders and pages in many ways (CONFIRMED), so these paths are compared without
//! regard to case and only then routed, by the spelling of this file.

mod access_point;
mod authenticate;
mod list_view;
mod open_link;
mod qms;
mod qms_answers;
mod query;
mod soap;
mod web_ticket;
mod xml;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use tower::{Layer, ServiceExt};

use super::BODY_BYTES_MAX;
use super::edge::{Edge, see_other};
use super::failure::Failure;
use super::server::Answers;
use super::{pages, session, web_server};
use crate::app::App;
use crate::app::estate::Estate;
use crate::qlikview::open_link::OpenPage;
use crate::qlikview::proxy::upstream_path;
use crate::text::Problem;

const GET_WEB_TICKET: &str = "/QvAJAXZfc/GetWebTicket.aspx";
const AUTHENTICATE: &str = "/QvAJAXZfc/Authenticate.aspx";
const GET_LOGIN_PAGE_URL: &str = "/QvAJAXZfc/GetLoginpageUrl.aspx";
const TUNNEL: &str = "/scripts/QVSTunnel.dll";
const MANAGEMENT_SERVICE: &str = "/QMS/Service";

/// Pages of `QlikView` in whose place there is one of ours.
const ACCESS_POINT_PAGES: [&str; 3] = ["/qlikview", "/qlikview/", "/qlikview/index.htm"];
const SIGN_IN_PAGES: [&str; 2] = ["/qlikview/login.htm", "/qlikview/FormLogin.htm"];

/// Bytes of a call of the management service; the CALs of 10,000 people are a quarter of it.
const CALL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The form that a web ticket asks with before it ends somebody else's session.
pub(super) fn routes(app: &App) -> Router<App> {
    let confirm = session::changing(app, post(authenticate::confirm));
    Router::new().route(authenticate::CONFIRM, confirm)
}

/// What the paths of `QlikView` answer, however they are spelt.
#[derive(Clone)]
pub(super) struct OldPages {
    router: Router,
    /// Set in front of an estate: its web server answers where no route of ours does.
    estate: Option<Arc<Estate>>,
}

impl OldPages {
    pub(super) fn new(app: &App) -> Self {
        let authenticate =
            session::changing(app, get(authenticate::authenticate)).head(pages::no_head("GET"));
        let router = Router::new()
            .route(GET_WEB_TICKET, post(web_ticket::get_web_ticket))
            .route(AUTHENTICATE, authenticate)
            .route(GET_LOGIN_PAGE_URL, get(authenticate::login_page_url));
        let router = SIGN_IN_PAGES.into_iter().fold(router, |router, path| {
            router.route(path, get(|| async { see_other("/login") }))
        });
        let router = match app.estate() {
            None => embedded(app, router),
            Some(_) => in_front(app, router),
        };
        let router = router.method_not_allowed_fallback(pages::method_not_allowed);
        Self {
            router: router.with_state(app.clone()),
            estate: app.estate().cloned(),
        }
    }

    /// Answers whatever no other route does.
    pub(super) async fn answer(self, mut request: Request) -> Response {
        match self.place(request.uri().path()) {
            Ok(Some(path)) => *request.uri_mut() = with_path(request.uri(), path),
            // The web server's own; the path goes up as the rules of the proxy write it.
            Ok(None) => {}
            Err(failure) => return failure.into_response(),
        }
        match self.router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The spelling of this file for a path; none for one that is the web server's alone.
    fn place(&self, path: &str) -> Result<Option<&'static str>, Failure> {
        if let Some(known) = spelling(path) {
            return Ok(Some(known));
        }
        let Some(estate) = &self.estate else {
            return Err(Problem::NotFound.into());
        };
        // A page that opens documents is one however its path is written.
        let path = upstream_path(path, estate.settings())?;
        Ok(spelling(path.folded()))
    }
}

/// Lists and opens from the gateway's own folder.
fn embedded(app: &App, router: Router<App>) -> Router<App> {
    let mut router = opening_pages(router);
    let update = session::changing(app, post(access_point::update));
    router = router.route(OpenPage::AccessPoint.path(), update);
    if app.config().compat.qms {
        let service = get(qms::description).post(qms::call);
        let limit = DefaultBodyLimit::max(CALL_BYTES_MAX);
        router = router.route(MANAGEMENT_SERVICE, service.layer(limit));
    }
    for path in ACCESS_POINT_PAGES {
        router = router.route(path, get(|| async { see_other("/") }));
    }
    router.fallback(pages::not_found)
}

/// In front of an estate its web server lists and shows; what opens is decided on here first.
fn in_front(app: &App, router: Router<App>) -> Router<App> {
    let update = session::changing(app, post(access_point::update_there));
    opening_pages(router)
        .route(OpenPage::AccessPoint.path(), update)
        .route(TUNNEL, any(web_server::tunnel))
        .route("/qlikview", get(|| async { see_other("/qlikview/") }))
        .fallback(web_server::page)
}

fn opening_pages(router: Router<App>) -> Router<App> {
    OpenPage::ALL.into_iter().fold(router, |router, page| {
        let allowed = match page {
            OpenPage::AccessPoint => "GET,POST",
            OpenPage::OpenDoc | OpenPage::Mobile | OpenPage::Plugin => "GET",
        };
        let follow = get(open_link::follow).head(pages::no_head(allowed));
        router.route(page.path(), follow)
    })
}

/// The plain listener on loopback: web tickets, and nothing else.
#[must_use]
pub fn web_ticket_router(app: App) -> impl Answers {
    let tickets = Router::new()
        .route(GET_WEB_TICKET, post(web_ticket::get_web_ticket))
        .method_not_allowed_fallback(pages::method_not_allowed)
        .with_state(app.clone());
    let tickets = OldPages {
        router: tickets.fallback(pages::not_found),
        estate: None,
    };
    let routes = Router::new()
        .fallback(move |request| tickets.clone().answer(request))
        // Makes its handler ready once, instead of for each request.
        .with_state(());
    let limited = DefaultBodyLimit::max(BODY_BYTES_MAX).layer(routes);
    Edge::for_any_host(app, limited)
}

/// The spelling of this file for a path that old clients call.
fn spelling(path: &str) -> Option<&'static str> {
    let routed = [
        GET_WEB_TICKET,
        AUTHENTICATE,
        GET_LOGIN_PAGE_URL,
        TUNNEL,
        MANAGEMENT_SERVICE,
    ];
    let mut all = routed
        .into_iter()
        .chain(OpenPage::ALL.map(OpenPage::path))
        .chain(ACCESS_POINT_PAGES)
        .chain(SIGN_IN_PAGES);
    all.find(|known| known.eq_ignore_ascii_case(path))
}

/// The same address with another path.
fn with_path(uri: &Uri, path: &'static str) -> Uri {
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => Ok(PathAndQuery::from_static(path)),
    };
    // The query was part of an address before.
    let path_and_query = path_and_query.unwrap_or_else(|_| PathAndQuery::from_static(path));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_in_any_case_and_in_no_other_way() {
        for folder in ["QvAJAXZfc", "QvAjaxZfc", "qvajaxzfc", "QVAJAXZFC"] {
            for page in ["GetWebTicket.aspx", "getwebticket.ASPX"] {
                assert_eq!(spelling(&format!("/{folder}/{page}")), Some(GET_WEB_TICKET));
            }
        }
        assert_eq!(spelling("/QLIKVIEW/"), Some("/qlikview/"));
        for path in [
            "/",
            "/QvAJAXZfc",
            "/QvAJAXZfc/",
            "/QvAJAXZfc//AccessPoint.aspx",
            "/QvAJAXZfc/AccessPoint.aspx/",
            "/QvAJAXZfc/./AccessPoint.aspx",
            "/QvAJAXZfc/%41ccessPoint.aspx",
            "/QvAJAXZfc/AccessPoint.aspx;x",
            "/QvAJAXZfc\\AccessPoint.aspx",
            "//QvAJAXZfc/AccessPoint.aspx",
            "/x/../QvAJAXZfc/AccessPoint.aspx",
            "/QvAJAXZfc/AccessPoint.aspx%00",
        ] {
            assert_eq!(spelling(path), None, "H-10: {path}");
        }
    }

    #[test]
    fn the_query_stays_as_it_was() {
        let uri: Uri = "/qvajaxzfc/opendoc.htm?document=a%7Cb&c".parse().unwrap();
        assert_eq!(
            with_path(&uri, OpenPage::OpenDoc.path()),
            "/QvAJAXZfc/opendoc.htm?document=a%7Cb&c"
        );
        let uri: Uri = "https://ap.example/qlikview".parse().unwrap();
        assert_eq!(with_path(&uri, "/qlikview"), "https://ap.example/qlikview");
    }
}
