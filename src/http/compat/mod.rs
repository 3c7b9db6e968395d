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

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::ServiceExt;

use super::BODY_BYTES_MAX;
use super::edge::{self, see_other};
use super::{pages, session};
use crate::app::App;

const GET_WEB_TICKET: &str = "/QvAJAXZfc/GetWebTicket.aspx";
const AUTHENTICATE: &str = "/QvAJAXZfc/Authenticate.aspx";
const GET_LOGIN_PAGE_URL: &str = "/QvAJAXZfc/GetLoginpageUrl.aspx";
const ACCESS_POINT: &str = "/QvAJAXZfc/AccessPoint.aspx";
const OPEN_DOC: &str = "/QvAJAXZfc/opendoc.htm";
const MANAGEMENT_SERVICE: &str = "/QMS/Service";

/// Pages of `QlikView` in whose place there is one of ours.
const ACCESS_POINT_PAGES: [&str; 3] = ["/qlikview", "/qlikview/", "/qlikview/index.htm"];
const SIGN_IN_PAGES: [&str; 2] = ["/qlikview/login.htm", "/qlikview/FormLogin.htm"];

/// Bytes of a call of the management service; the CALs of 10,000 people are a quarter of it.
const CALL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The form that a web ticket asks with before it ends somebody else's session.
pub(super) fn routes(app: &App) -> Router<App> {
    let confirm = post(authenticate::confirm).layer(session::layer(app));
    Router::new().route(authenticate::CONFIRM, confirm)
}

/// What the paths of `QlikView` answer, however they are spelt.
#[derive(Clone)]
pub(super) struct OldPages(Router);

impl OldPages {
    pub(super) fn new(app: &App) -> Self {
        let authenticate = get(authenticate::authenticate)
            .layer(session::layer(app))
            .head(pages::no_head("GET"));
        let access_point = post(access_point::update)
            .layer(session::layer(app))
            .get(open_link::access_point)
            .head(pages::no_head("GET,POST"));
        let mut router = Router::new()
            .route(GET_WEB_TICKET, post(web_ticket::get_web_ticket))
            .route(AUTHENTICATE, authenticate)
            .route(GET_LOGIN_PAGE_URL, get(authenticate::login_page_url))
            .route(ACCESS_POINT, access_point)
            .route(
                OPEN_DOC,
                get(open_link::open_doc).head(pages::no_head("GET")),
            );
        if app.config().compat.qms && app.estate().is_none() {
            let service = get(qms::description).post(qms::call);
            let limit = DefaultBodyLimit::max(CALL_BYTES_MAX);
            router = router.route(MANAGEMENT_SERVICE, service.layer(limit));
        }
        for path in ACCESS_POINT_PAGES {
            router = router.route(path, get(|| async { see_other("/") }));
        }
        for path in SIGN_IN_PAGES {
            router = router.route(path, get(|| async { see_other("/login") }));
        }
        let router = router
            .fallback(pages::not_found)
            .method_not_allowed_fallback(pages::method_not_allowed);
        Self(router.with_state(app.clone()))
    }

    /// Answers whatever no other route does.
    pub(super) async fn answer(self, mut request: Request) -> Response {
        let Some(path) = spelling(request.uri().path()) else {
            return pages::not_found().await.into_response();
        };
        *request.uri_mut() = with_path(request.uri(), path);
        match self.0.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// The plain listener on loopback: web tickets, and nothing else.
pub fn web_ticket_router(app: App) -> Router {
    let tickets = Router::new()
        .route(GET_WEB_TICKET, post(web_ticket::get_web_ticket))
        .method_not_allowed_fallback(pages::method_not_allowed)
        .with_state(app.clone());
    let tickets = OldPages(tickets.fallback(pages::not_found));
    Router::new()
        .fallback(move |request| tickets.clone().answer(request))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app, edge::pass_for_any_host))
}

/// The spelling of this file for a path that old clients call.
fn spelling(path: &str) -> Option<&'static str> {
    let routed = [
        GET_WEB_TICKET,
        AUTHENTICATE,
        GET_LOGIN_PAGE_URL,
        ACCESS_POINT,
        OPEN_DOC,
        MANAGEMENT_SERVICE,
    ];
    let all = routed
        .iter()
        .chain(&ACCESS_POINT_PAGES)
        .chain(&SIGN_IN_PAGES);
    all.copied().find(|known| known.eq_ignore_ascii_case(path))
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
            with_path(&uri, OPEN_DOC),
            "/QvAJAXZfc/opendoc.htm?document=a%7Cb&c"
        );
        let uri: Uri = "https://ap.example/qlikview".parse().unwrap();
        assert_eq!(with_path(&uri, "/qlikview"), "https://ap.example/qlikview");
    }
}
