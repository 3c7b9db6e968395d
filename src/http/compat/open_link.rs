//! Open links: pages of `QlikView` that open a document when they are merely visited.
//!
//! An open may use a CAL and a lease, so a page of another site must not cause one by leading here:
//! where a browser does not vouch that its person came by themselves, the gateway asks first.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::query::Query;
use crate::app::App;
use crate::app::documents::{linked_document, requested};
use crate::app::open::Wanted;
use crate::http::edge::see_other;
use crate::http::extract::{FromClient, Visitor, is_prefetch};
use crate::http::failure::Failure;
use crate::http::page::static_files::document_picture;
use crate::http::page::{AskPage, respond};
use crate::http::pages::{frame, open_for};
use crate::http::web_server;
use crate::qlikview::open_link::OpenLink;
use crate::text::Problem;

/// `GET AccessPoint.aspx`, `opendoc.htm`: an open link, or a page itself. In front of an estate what
/// opens nothing, and what a launch leads to, is the web server's to answer.
pub(super) async fn follow(
    State(app): State<App>,
    visitor: Visitor,
    FromClient(from): FromClient,
    request: Request,
) -> Result<Response, Failure> {
    let query = visitor.asked.uri().query().unwrap_or_default();
    if !OpenLink::is_named_in(query) {
        return without_document(&app, visitor, request).await;
    }
    let link = OpenLink::parse(visitor.asked.path_and_query());
    let Some(link) = link else {
        return match app.estate() {
            // What is no link to us may be one to the web server.
            Some(_) => Err(Problem::BadRequest.into()),
            None => Ok(see_other("/")),
        };
    };
    let snapshot = app.documents_for(&visitor.signed.info).await?;
    let id = linked_document(&snapshot, &visitor.signed.info.person, &link.named());
    if web_server::is_led_to(&app, &visitor, &id, &link)? {
        return web_server::pass(&app, visitor.signed, request).await;
    }
    if is_prefetch(request.headers()) {
        return Err(Problem::NotAsked.into());
    }
    let wanted = Wanted {
        document: &id,
        client: link.client_kind(),
        link: Some(&link),
        address: from.address,
    };
    if came_by_themselves(&app, request.headers()) {
        return open_for(&app, visitor, wanted).await;
    }
    let title = requested(&snapshot, &visitor.signed.info.person, &id);
    Ok(ask_first(&app, &visitor, &wanted, title.title()))
}

/// A page that names no document: a picture, or the page itself.
async fn without_document(
    app: &App,
    visitor: Visitor,
    request: Request,
) -> Result<Response, Failure> {
    if app.estate().is_some() {
        return web_server::pass(app, visitor.signed, request).await;
    }
    let query = Query::read(visitor.asked.uri().query().unwrap_or_default());
    if query.only("datamode") == Some("binary") {
        return picture(app, &visitor, query.only("name").unwrap_or_default());
    }
    Ok(see_other("/"))
}

/// Whether the person themselves, or a page of ours, led here, as far as their browser tells.
fn came_by_themselves(app: &App, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let fetches = |name: &axum::http::HeaderName| name.as_str().starts_with("sec-fetch-");
    if headers.keys().any(fetches) {
        return text("sec-fetch-dest") == Some("document")
            && matches!(text("sec-fetch-site"), Some("same-origin" | "none"));
    }
    // The Internet Explorer engine and older clients tell nothing but where they come from.
    match headers.get(header::REFERER) {
        None => true,
        Some(_) => text("referer").is_some_and(|referer| is_ours(app, referer)),
    }
}

fn is_ours(app: &App, address: &str) -> bool {
    let host = address.strip_prefix("https://").map(|rest| {
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        &rest[..end]
    });
    host.is_some_and(|host| app.accepts_host(host))
}

fn ask_first(
    app: &App,
    visitor: &Visitor,
    wanted: &Wanted<'_>,
    document_title: Option<&str>,
) -> Response {
    let Visitor { asked, signed } = visitor;
    let token = signed.csrf_token(app);
    let text = &asked.language().text().ask;
    let link = wanted.link.map(OpenLink::location).unwrap_or_default();
    let page = AskPage {
        frame: frame(app, asked, Some(signed), &token),
        title: text.open_title,
        sentence: &(text.open)(document_title),
        action: &format!("/documents/{}/open", wanted.document),
        fields: &[("client", wanted.client.word()), ("link", &link)],
        button: text.open_button,
    };
    respond(StatusCode::OK, &page)
}

/// The picture of a document that the person may see: the same for all.
fn picture(app: &App, visitor: &Visitor, name: &str) -> Result<Response, Failure> {
    let person = &visitor.signed.info.person;
    let snapshot = app.library().snapshot();
    let id = linked_document(&snapshot, person, name);
    if requested(&snapshot, person, &id).name.is_none() {
        return Err(Problem::NotFound.into());
    }
    Ok(document_picture())
}
