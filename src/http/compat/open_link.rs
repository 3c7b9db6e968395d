//! Open links: pages of `QlikView` that open a document when they are merely visited.
//!
//! An open may use a CAL and a lease, so a page of another site must not cause one by leading here:
//! where a browser does not vouch that its person came by themselves, the gateway asks first.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::query::Query;
use crate::app::App;
use crate::domain::client::ClientKind;
use crate::http::edge::see_other;
use crate::http::extract::{Visitor, is_prefetch};
use crate::http::failure::Failure;
use crate::http::page::static_files::document_picture;
use crate::http::page::{AskPage, respond};
use crate::http::pages::{frame, open_for};
use crate::http::return_to::OpenLink;
use crate::text::Problem;

/// `GET AccessPoint.aspx`: an open link, the picture of a document, or the page itself.
pub(super) async fn access_point(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = Query::read(visitor.asked.uri.query().unwrap_or_default());
    if query.only("datamode") == Some("binary") {
        return picture(&app, &visitor, query.only("name").unwrap_or_default());
    }
    follow(&app, visitor, &headers).await
}

/// `GET opendoc.htm?document=`.
pub(super) async fn open_doc(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    follow(&app, visitor, &headers).await
}

/// What is no open link leads to the documents.
async fn follow(app: &App, visitor: Visitor, headers: &HeaderMap) -> Result<Response, Failure> {
    if is_prefetch(headers) {
        return Err(Problem::Forbidden.into());
    }
    let Some(link) = OpenLink::parse(visitor.asked.path_and_query()) else {
        return Ok(see_other("/"));
    };
    let client = client_kind(link.client);
    let id = app.linked_document(&visitor.signed.info.person, &link.document);
    if came_by_themselves(app, headers) {
        return open_for(app, visitor, &id, client).await;
    }
    Ok(ask_first(app, &visitor, &id, client))
}

/// What `QlikView`'s word for a client means here. In a browser without any client of `QlikView` the
/// document comes as a file.
fn client_kind(word: Option<&str>) -> ClientKind {
    match word {
        Some("Plugin") => ClientKind::Plugin,
        Some("Desktop") => ClientKind::Desktop,
        Some("Download") => ClientKind::Download,
        _ => ClientKind::Ajax,
    }
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

fn ask_first(app: &App, visitor: &Visitor, id: &str, client: ClientKind) -> Response {
    let Visitor { asked, signed } = visitor;
    let token = signed.csrf_token(app);
    let text = &asked.language().text().ask;
    let document = app.requested(&signed.info.person, id);
    let title = document.title();
    let page = AskPage {
        frame: frame(app, asked, Some(signed), &token),
        title: text.open_title,
        sentence: &(text.open)(title),
        action: &format!("/documents/{id}/open"),
        fields: &[("client", client.word())],
        button: text.open_button,
    };
    respond(StatusCode::OK, &page)
}

/// The picture of a document that the person may see: the same for all.
fn picture(app: &App, visitor: &Visitor, name: &str) -> Result<Response, Failure> {
    let person = &visitor.signed.info.person;
    let id = app.linked_document(person, name);
    if app.requested(person, &id).name.is_none() {
        return Err(Problem::NotFound.into());
    }
    Ok(document_picture())
}
