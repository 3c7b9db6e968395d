//! The `AccessPoint` page's protocol: an `<update>` says what changed, the answer says everything.

use std::fmt::Write;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{
    Document, Query, SERVER, SIGN_IN_PAGE, Session, Web, WebServer, body_of, encoded, pages,
};
use crate::stand_in::escaped;
use crate::stand_in::xml::Node;

/// The attributes of every `<update>`.
const ATTRIBUTES: [&str; 6] = ["mark", "stamp", "cookie", "scope", "ident", "kind"];
/// What may be set. CONFIRMED
const SETTINGS: [&str; 17] = [
    "AccessPoint.Update",
    "AccessPoint.Pages.Current",
    "AccessPoint.Pagesize",
    "AccessPoint.Category",
    "AccessPoint.Attribute",
    "AccessPoint.AttributeValue",
    "AccessPoint.SearchFilter",
    "AccessPoint.SortBy",
    "AccessPoint.View",
    "AccessPoint.PreferedClient",
    "AccessPoint.Favorites.Add",
    "AccessPoint.Favorites.Remove",
    "AccessPoint.GetFavorites",
    "AccessPoint.ClearState",
    "AccessPoint.WelcomeName",
    "AccessPoint.Logout",
    "Document",
];
/// Documents of a page; 0 is all. CONFIRMED
const PAGE_SIZES: [usize; 5] = [12, 20, 40, 100, 0];
/// A picture of one dot.
const PICTURE: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x4a\x7a\xb5\xff\xff\xff!\xf9\x04\x01\
    \x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// How the list of a session is searched, sorted and paged.
#[derive(Clone, Debug)]
pub(super) struct View {
    search: String,
    category: String,
    sort_by: String,
    page: usize,
    page_size: usize,
    favourites: bool,
}

impl Default for View {
    fn default() -> Self {
        Self {
            search: String::new(),
            category: String::new(),
            sort_by: "Title asc".to_owned(),
            page: 1,
            page_size: PAGE_SIZES[0],
            favourites: false,
        }
    }
}

impl WebServer {
    /// `POST AccessPoint.aspx`
    pub(super) async fn update(&self, id: &str, request: Request) -> Response {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let kind = kind.map(|kind| kind.to_str().unwrap_or_default().to_owned());
        let kind = kind.unwrap_or_default();
        if !kind.starts_with("text/plain") && !kind.starts_with("text/xml") {
            self.complain("AccessPoint.aspx", &format!("{kind:?} for XML"));
        }
        let body = body_of(request).await;
        let update = match Node::read(&body) {
            Ok(update) if update.name == "update" => update,
            other => {
                self.complain("AccessPoint.aspx", &format!("{other:?} in {body}"));
                return StatusCode::BAD_REQUEST.into_response();
            }
        };
        for complaint in complaints(&update) {
            self.complain("AccessPoint.aspx", &complaint);
        }
        let stamp = format!("63{:016}", self.clock.now().0);
        let text = self.web(|web| {
            let place = (self.number, id.to_owned());
            let mut session = web.sessions.remove(&place)?;
            let signs_out = change(web, &mut session, &update);
            let text = rendered(web, &session, id, &stamp, &self.origin);
            if !signs_out {
                web.sessions.insert(place, session);
            }
            Some(text)
        });
        // Two may sign out at once.
        text.map_or(StatusCode::UNAUTHORIZED.into_response(), pages::xml)
    }

    /// `GET AccessPoint.aspx`: an open link, or the picture of a document.
    pub(super) fn open(&self, query: &Query, session: &Session) -> Response {
        if query.get("datamode") == "binary" {
            return self.picture(query.get("name"), session);
        }
        if !query.has("open") {
            return self.leads_to("/qlikview/");
        }
        let id = query.get("id");
        let path = id.split_once('|').map_or(id, |(_, path)| path);
        let Some(document) = self.document(path, session) else {
            return pages::no_document(path);
        };
        let place = format!(
            "document={}&host={}",
            encoded(&document.path),
            encoded(SERVER)
        );
        let (origin, ticket) = (&self.origin, self.fresh.hex::<20>());
        match query.get("client") {
            "Plugin" => self.leads_to(&format!("/QvPlugin/opendoc.htm?{place}&ticket={ticket}")),
            "AjaxOnSmallDevices" => {
                self.leads_to(&format!("{origin}/QvAJAXZfc/mobile/opendoc.htm?{place}"))
            }
            "Download" => pages::download(origin, 4_096, None),
            _ => self.leads_to(&format!("{origin}/QvAJAXZfc/opendoc.htm?{place}")),
        }
    }

    /// A document by its path, where the person sees it.
    pub(super) fn document(&self, path: &str, session: &Session) -> Option<Document> {
        self.web(|web| {
            let mut documents = web.documents.iter();
            let found = documents.find(|document| document.path == path);
            found.filter(|document| session.sees(document)).cloned()
        })
    }

    fn picture(&self, name: &str, session: &Session) -> Response {
        let path = name.split_once('|').map_or(name, |(_, path)| path);
        match self.document(path, session) {
            Some(_) => ([(header::CONTENT_TYPE, "image/gif")], PICTURE).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

fn complaints(update: &Node) -> Vec<String> {
    let mut found = Vec::new();
    let missing = ATTRIBUTES
        .iter()
        .filter(|name| update.attribute(name).is_none());
    found.extend(missing.map(|name| format!("without {name}")));
    if update.attribute("ident") != Some("AccessPoint") {
        found.push("not for AccessPoint".to_owned());
    }
    for set in &update.children {
        let name = set.attribute("name").unwrap_or_default();
        if set.name != "set" || !SETTINGS.contains(&name) {
            found.push(format!("{} {name:?} cannot be set", set.name));
        }
    }
    found
}

/// Does what is asked; true where the person signs out.
fn change(web: &mut Web, session: &mut Session, update: &Node) -> bool {
    let mut signs_out = false;
    let view = &mut session.view;
    view.favourites = false;
    let user = session.user.to_lowercase();
    for set in &update.children {
        let text = |name: &str| set.attribute(name).unwrap_or_default().to_owned();
        let name = set.attribute("name").unwrap_or_default();
        match name.trim_start_matches("AccessPoint.") {
            "Pages.Current" => view.page = text("value").parse().unwrap_or(1),
            "Pagesize" => view.page_size = text("value").parse().unwrap_or(PAGE_SIZES[0]),
            "Category" => view.category = text("value"),
            "SearchFilter" => view.search = text("text"),
            "SortBy" => view.sort_by = text("value"),
            "ClearState" => *view = View::default(),
            "GetFavorites" => view.favourites = true,
            "Favorites.Add" => drop(web.favourites.insert((user.clone(), text("action")))),
            "Favorites.Remove" => drop(web.favourites.remove(&(user.clone(), text("action")))),
            "Logout" => signs_out = true,
            _ => {}
        }
    }
    signs_out
}

fn is_favourite(web: &Web, session: &Session, document: &Document) -> bool {
    let place = (session.user.to_lowercase(), value_of(document));
    web.favourites.contains(&place)
}

fn value_of(document: &Document) -> String {
    format!("{SERVER}|{}", document.path)
}

fn rendered(web: &Web, session: &Session, id: &str, stamp: &str, origin: &str) -> String {
    let view = &session.view;
    let visible: Vec<&Document> = web.documents.iter().filter(|d| session.sees(d)).collect();
    let fits = |document: &&Document| {
        let title = document.title.to_lowercase();
        title.contains(&view.search.to_lowercase())
            && (view.category.is_empty() || document.category == view.category)
            && (!view.favourites || is_favourite(web, session, document))
    };
    let mut found: Vec<&Document> = visible.iter().copied().filter(fits).collect();
    sort(&mut found, &view.sort_by);
    let size = if view.page_size == 0 {
        found.len().max(1)
    } else {
        view.page_size
    };
    let pages = found.len().div_ceil(size).max(1);
    let page = view.page.clamp(1, pages);
    let mut xml = format!(
        "<result mark=\"\" stamp=\"{stamp}\" session=\"{{{id}}}\"><object name=\"AccessPoint\">"
    );
    for (name, text) in [
        ("LastUpdate", "2026-11-24 06:00:00".to_owned()),
        ("DocCount", visible.len().to_string()),
        ("FilteredDocCount", found.len().to_string()),
        ("LiveQVS_text", SERVER.to_owned()),
        ("SearchFilter", view.search.clone()),
    ] {
        let text = escaped(&text);
        write!(
            xml,
            "<value name=\"{name}\" mode=\"enabled\" text=\"{text}\"/>"
        )
        .unwrap();
    }
    let user = escaped(&session.user);
    write!(
        xml,
        "<value name=\"ErrorMessage\" mode=\"hidden\" text=\"\"/>\
         <value name=\"User\" mode=\"enabled\" text=\"{user}\" value=\"{user}\"/>\
         <value name=\"Login\" mode=\"hidden\" value=\"{SIGN_IN_PAGE}\"/>\
         <value name=\"Logout\" mode=\"enabled\"/><value name=\"ChangePassword\" mode=\"enabled\"/>\
         <value name=\"DownloadPluginUrl\" mode=\"enabled\" \
         value=\"{origin}/QvPlugin/QvPluginSetup.exe\"/>\
         <value name=\"AskForClient\" mode=\"hidden\" cansave=\"false\"/>\
         <value name=\"SortBy\" mode=\"enabled\"/>\
         <value name=\"Pages\" mode=\"enabled\" text=\"{page} / {pages}\" max=\"{pages}\" \
         current=\"{page}\"/>"
    )
    .unwrap();
    let sizes = PAGE_SIZES.map(|size| size.to_string());
    choice(&mut xml, "Pagesize", &view.page_size.to_string(), &sizes);
    let mut categories: Vec<String> = visible.iter().map(|d| d.category.clone()).collect();
    categories.sort();
    categories.dedup();
    choice(&mut xml, "Category", &view.category, &categories);
    xml += "<value name=\"Documents\" mode=\"enabled\" pref_client=\"Ajax\" view=\"Thumbnails\" \
            target=\"\" max_depth=\"0\">";
    for document in found.iter().skip((page - 1) * size).take(size) {
        element(&mut xml, document, is_favourite(web, session, document));
    }
    xml + "</value></object></result>"
}

fn sort(documents: &mut [&Document], by: &str) {
    let (by, direction) = by.split_once(' ').unwrap_or((by, "asc"));
    documents.sort_by_key(|document| match by {
        "Category" => document.category.clone(),
        "LastReload" => document.modified.clone(),
        _ => document.title.to_lowercase(),
    });
    if direction == "desc" {
        documents.reverse();
    }
}

fn choice(xml: &mut String, name: &str, chosen: &str, elements: &[String]) {
    let chosen = escaped(chosen);
    write!(
        xml,
        "<value name=\"{name}\" mode=\"enabled\" value=\"{chosen}\" text=\"{chosen}\"><choice>"
    )
    .unwrap();
    for element in elements {
        let element = escaped(element);
        write!(xml, "<element value=\"{element}\" text=\"{element}\"/>").unwrap();
    }
    *xml += "</choice></value>";
}

fn element(xml: &mut String, document: &Document, favourite: bool) {
    let value = value_of(document);
    let folder = document.path.rsplit_once('/').map_or("", |(path, _)| path);
    let changed = document.modified.as_str();
    *xml += "<element";
    for (name, text) in [
        ("text", document.title.as_str()),
        ("value", &value),
        ("depth", "0"),
        ("lastUpdate", changed),
        ("nextUpdate", ""),
        ("lastModified", changed),
        ("clients", &document.clients),
        ("imgHash", "0123456789abcdef0123456789abcdef"),
        ("path", folder),
        ("server", SERVER),
        ("category", &document.category),
        ("description", ""),
        ("filesize", &document.size),
    ] {
        write!(xml, " {name}=\"{}\"", escaped(text)).unwrap();
    }
    if favourite {
        *xml += " favorite=\"true\"";
    }
    *xml += "/>";
}
