//! `POST AccessPoint.aspx`: the XML by which old clients list, search, sort, page and mark documents,
//! and sign out.
//!
//! The names of values and attributes are `QlikView`'s (CONFIRMED); a value that means nothing here
//! is told as hidden.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tower_sessions::Session;

use super::list_view::{ListView, PAGE_SIZES, SortBy, View, Wishes};
use super::xml::{self, Writer};
use crate::app::App;
use crate::app::documents::{DocumentList, DocumentQuery, linked_document, requested};
use crate::app::qms_service::{SERVER_NAME, guid};
use crate::documents::{Document, Snapshot};
use crate::domain::document::fold;
use crate::domain::name::with_prefix;
use crate::domain::time::Timestamp;
use crate::http::extract::{Asked, Signed, Visitor, WholeBody, may_be_foreign};
use crate::http::failure::Failure;
use crate::http::web_server;
use crate::qlikview::open_link::OpenLink;
use crate::text::{FileSize, Language, Problem};

/// The media type of answers.
const XML: &str = "text/xml; charset=utf-8";
/// How documents open here, in `QlikView`'s words.
const CLIENTS: [&str; 3] = ["Plugin", "Ajax", "Download"];
/// The same as an attribute.
const CLIENTS_OF_DOCUMENT: &str = "Plugin;Ajax;Download";
/// 100-nanosecond ticks from the year 1 to 1970.
const TICKS_TO_EPOCH: i64 = 621_355_968_000_000_000;

/// `POST AccessPoint.aspx` in front of an estate: its web server answers. Who signs out there has signed
/// out here.
pub(super) async fn update_there(
    State(app): State<App>,
    session: Session,
    visitor: Visitor,
    request: Request,
) -> Result<Response, Failure> {
    if OpenLink::is_named_in(request.uri().query().unwrap_or_default()) {
        // A document opens by a link, which is decided on.
        return Err(Problem::MethodNotAllowed.into());
    }
    let (parts, body) = request.into_parts();
    let whole = Request::from_parts(parts.clone(), body);
    let WholeBody(body) = WholeBody::from_request(whole, &app).await?;
    let signs_out = xml::parse(&body).is_ok_and(|update| {
        let wishes = ListView::default().change(&update);
        wishes.sign_out
    });
    let id = visitor.signed.info.id.clone();
    let request = Request::from_parts(parts, Body::from(body));
    let answer = web_server::pass(&app, visitor.signed, request).await?;
    if signs_out {
        let ended = session.flush().await;
        ended.map_err(|error| Failure::fault(&error))?;
        if let Some(estate) = app.estate() {
            estate.end_upstream(&id).await;
        }
    }
    Ok(answer)
}

/// `POST AccessPoint.aspx` with an `<update>`.
pub(super) async fn update(
    State(app): State<App>,
    session: Session,
    visitor: Visitor,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Failure> {
    // No token of ours speaks for these clients, so no other page may speak in their place.
    if may_be_foreign(&app, &headers) {
        return Err(Problem::NotAsked.into());
    }
    let update = xml::parse(&body).map_err(|bad| Failure::body_invalid(bad.to_string()))?;
    if update.name != "update" {
        return Err(Failure::body_invalid("the body is not <update>"));
    }
    let Visitor { asked, signed } = visitor;
    let info = &signed.info;
    let before = ListView::kept(app.ledger().list_view(&info.hash)?.as_deref());
    let mut view = before.clone();
    let wishes = view.change(&update);
    let snapshot = app.documents_for(info).await?;
    let missing = mark(&app, &signed, &snapshot, &wishes).await?;
    let shown = Shown::of(&app, &signed, snapshot, (&view, &wishes))?;
    view.page = shown.page;
    if wishes.sign_out {
        let ended = session.flush().await;
        ended.map_err(|error| Failure::fault(&error))?;
    } else if view != before {
        let kept = serde_json::to_string(&view).map_err(|error| Failure::fault(&error))?;
        app.ledger().keep_list_view(info.hash.clone(), kept).await?;
    }
    let answer = Answer {
        app: &app,
        asked: &asked,
        signed: &signed,
        view: &view,
        shown: &shown,
        missing,
        mark: update.attribute("mark").unwrap_or_default(),
    };
    Ok(([(header::CONTENT_TYPE, XML)], answer.render()).into_response())
}

/// Sets the marks that are wished for; true where a document is missing, or hidden from this person.
async fn mark(
    app: &App,
    signed: &Signed,
    snapshot: &Snapshot,
    wishes: &Wishes,
) -> Result<bool, Failure> {
    let person = &signed.info.person;
    let mut missing = false;
    for (document, on) in &wishes.favourites {
        let id = linked_document(snapshot, person, document);
        if *on && requested(snapshot, person, &id).name.is_none() {
            missing = true;
            continue;
        }
        let set = app.ledger().set_favourite(person.id.clone(), id, *on);
        set.await?;
    }
    Ok(missing)
}

/// The documents of one page of the list.
struct Shown {
    list: DocumentList,
    /// Places in the picture of the folder, those of this page alone.
    places: Vec<usize>,
    /// How many were found.
    found: usize,
    /// Counts from 1.
    page: usize,
    pages: usize,
}

impl Shown {
    fn of(
        app: &App,
        signed: &Signed,
        snapshot: Arc<Snapshot>,
        (view, wishes): (&ListView, &Wishes),
    ) -> Result<Self, Failure> {
        let query = DocumentQuery {
            search: view.search.clone(),
            category: Some(view.category.clone()).filter(|category| !category.is_empty()),
        };
        let list = app.documents(snapshot, &signed.info.person, &query)?;
        let mut places = list.found.clone();
        if wishes.favourites_only {
            places.retain(|place| list.is_favourite(*place));
        }
        sort(&mut places, list.snapshot.documents(), view);
        let size = match view.page_size {
            0 => places.len().max(1),
            size => size,
        };
        let (found, pages) = (places.len(), places.len().div_ceil(size).max(1));
        let page = view.page.clamp(1, pages);
        let places = places.into_iter().skip((page - 1) * size).take(size);
        Ok(Self {
            places: places.collect(),
            list,
            found,
            page,
            pages,
        })
    }
}

/// Sorts places by what the view says; equal ones stay in the order of their names.
fn sort(places: &mut [usize], documents: &[Document], view: &ListView) {
    let compare = |one: &Document, other: &Document| match view.sort_by {
        SortBy::Favourites => Ordering::Equal,
        SortBy::Title => fold(&one.title).cmp(&fold(&other.title)),
        SortBy::Category => one.category.cmp(&other.category),
        SortBy::LastChange => one.modified_at.cmp(&other.modified_at),
        SortBy::Size => one.size_bytes.cmp(&other.size_bytes),
    };
    places.sort_by(|one, other| {
        let order = compare(&documents[*one], &documents[*other]);
        if view.descending {
            order.reverse()
        } else {
            order
        }
    });
}

/// Everything that an answer says.
struct Answer<'a> {
    app: &'a App,
    asked: &'a Asked,
    signed: &'a Signed,
    view: &'a ListView,
    shown: &'a Shown,
    missing: bool,
    mark: &'a str,
}

impl Answer<'_> {
    fn render(&self) -> String {
        let now = self.app.now();
        let stamp = (now.0 * 10_000 + TICKS_TO_EPOCH).to_string();
        let session = format!("{{{}}}", guid("session", &self.signed.info.id));
        let mut xml = Writer::default();
        xml.open(
            "result",
            &[
                ("mark", self.mark),
                ("stamp", &stamp),
                ("session", &session),
            ],
        )
        .open("object", &[("name", "AccessPoint")]);
        self.facts(&mut xml, now);
        self.person(&mut xml);
        self.choices(&mut xml);
        self.documents(&mut xml);
        xml.close("object").close("result");
        xml.finish()
    }

    /// Counts, search and error.
    fn facts(&self, xml: &mut Writer, now: Timestamp) {
        let problem = (self.language().text().problem)(&Problem::NotFound);
        let error: &str = if self.missing { &problem.happened } else { "" };
        for (name, text) in [
            ("LastUpdate", seconds(now).as_str()),
            ("DocCount", &self.shown.list.visible.to_string()),
            ("FilteredDocCount", &self.shown.found.to_string()),
            ("LiveQVS_text", SERVER_NAME),
            ("SearchFilter", &self.view.search),
        ] {
            value(xml, name, &[("mode", "enabled"), ("text", text)]);
        }
        let mode = if self.missing { "enabled" } else { "hidden" };
        value(xml, "ErrorMessage", &[("mode", mode), ("text", error)]);
    }

    /// Who is signed in, and what they may do about it.
    fn person(&self, xml: &mut Writer) {
        let person = &self.signed.info.person;
        let name = with_prefix(&person.name, &self.app.config().qlikview.user_prefix);
        let user = [
            ("mode", "enabled"),
            ("text", person.display_name.as_str()),
            ("value", &name),
        ];
        value(xml, "User", &user);
        value(xml, "Login", &[("mode", "hidden"), ("value", "/login")]);
        value(xml, "Logout", &[("mode", "enabled")]);
        value(xml, "ChangePassword", &[("mode", "hidden")]);
        for name in ["DownloadPluginUrl", "DownloadPluginUrlWin8"] {
            value(xml, name, &[("mode", "hidden"), ("value", "")]);
        }
        value(
            xml,
            "AskForClient",
            &[("mode", "hidden"), ("cansave", "false")],
        );
    }

    /// What the list can be filtered, paged and shown by.
    fn choices(&self, xml: &mut Writer) {
        let view = self.view;
        let clients = CLIENTS.map(|client| (client.to_owned(), None));
        choice(xml, "PreferedClient", "enabled", &view.client, &clients);
        let views = [View::Thumbnails, View::Details];
        let views = views.map(|view| (view.word().to_owned(), None));
        choice(xml, "View", "enabled", view.view.word(), &views);
        let sizes = PAGE_SIZES.map(|size| (size.to_string(), None));
        choice(
            xml,
            "Pagesize",
            "enabled",
            &view.page_size.to_string(),
            &sizes,
        );
        let categories = self.shown.list.categories.iter();
        let named = categories.filter(|(name, _)| !name.is_empty());
        let categories: Vec<(String, Option<usize>)> = named
            .map(|(name, count)| (name.clone(), Some(*count)))
            .collect();
        choice(xml, "Category", "enabled", &view.category, &categories);
        for name in ["Attribute", "AttributeValue"] {
            choice(xml, name, "hidden", "", &[]);
        }
        value(xml, "SortBy", &[("mode", "enabled")]);
        let (page, pages) = (self.shown.page.to_string(), self.shown.pages.to_string());
        let text = format!("{page} / {pages}");
        value(
            xml,
            "Pages",
            &[
                ("mode", "enabled"),
                ("text", &text),
                ("max", &pages),
                ("current", &page),
            ],
        );
    }

    fn documents(&self, xml: &mut Writer) {
        let attributes = [
            ("name", "Documents"),
            ("mode", "enabled"),
            ("pref_client", self.view.client.as_str()),
            ("view", self.view.view.word()),
            ("target", ""),
            ("max_depth", "0"),
        ];
        xml.open("value", &attributes);
        for place in &self.shown.places {
            if let Some(document) = self.shown.list.snapshot.documents().get(*place) {
                self.document(xml, document, self.shown.list.is_favourite(*place));
            }
        }
        xml.close("value");
    }

    fn document(&self, xml: &mut Writer, document: &Document, favourite: bool) {
        let value = format!("{SERVER_NAME}|{}", document.name);
        let changed = seconds(document.modified_at);
        let image = guid("picture", document.id.as_str()).replace('-', "");
        let folder = document
            .name
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        let size = FileSize {
            bytes: document.size_bytes,
            language: self.language(),
        };
        let size = size.to_string().replace('\u{a0}', " ");
        let mut attributes = vec![
            ("text", document.title.as_str()),
            ("value", &value),
            ("depth", "0"),
            ("lastUpdate", &changed),
            ("nextUpdate", ""),
            ("lastModified", &changed),
            ("clients", CLIENTS_OF_DOCUMENT),
            ("imgHash", &image),
            ("path", folder),
            ("server", SERVER_NAME),
            ("category", document.category.as_deref().unwrap_or_default()),
            ("description", ""),
            ("filesize", &size),
        ];
        if favourite {
            attributes.push(("favorite", "true"));
        }
        xml.empty("element", &attributes);
    }

    fn language(&self) -> Language {
        self.asked.language()
    }
}

fn value(xml: &mut Writer, name: &str, attributes: &[(&str, &str)]) {
    let mut all = vec![("name", name)];
    all.extend_from_slice(attributes);
    xml.empty("value", &all);
}

/// A value with what it can be; counts stand where there are some.
fn choice(
    xml: &mut Writer,
    name: &str,
    mode: &str,
    chosen: &str,
    elements: &[(String, Option<usize>)],
) {
    let attributes = [
        ("name", name),
        ("mode", mode),
        ("value", chosen),
        ("text", chosen),
    ];
    xml.open("value", &attributes).open("choice", &[]);
    for (element, count) in elements {
        let count = count.map(|count| count.to_string());
        let mut attributes = vec![("value", element.as_str()), ("text", element)];
        attributes.extend(count.as_deref().map(|count| ("count", count)));
        xml.empty("element", &attributes);
    }
    xml.close("choice").close("value");
}

/// `YYYY-MM-DD HH:MM:SS`, UTC.
fn seconds(at: Timestamp) -> String {
    let text = at.to_string();
    text.split('.').next().unwrap_or(&text).replace('T', " ")
}
