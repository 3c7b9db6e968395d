//! The `AccessPoint` page: my licence and my documents.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::frame;
use super::tiles::Tiles;
use crate::app::App;
use crate::app::documents::{DocumentQuery, requested};
use crate::app::estate::EstateError;
use crate::documents::{Document, Snapshot};
use crate::domain::client::ClientKind;
use crate::domain::open::{Finding, LEASE_RULES, Owner, Rule, workstations_in_use};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::workstation::WorkstationUse;
use crate::http::edge::see_other;
use crate::http::extract::{CheckedForm, Signed, Visitor};
use crate::http::failure::Failure;
use crate::http::page::{
    AccessPointPage, CalLine, CategoryLink, DocumentTile, LeaseHere, MyLicense, respond,
};
use crate::store::Standing;
use crate::text::Problem;

/// How a document is opened in a browser, the *Open* button first.
const IN_BROWSER: [ClientKind; 3] = [
    ClientKind::Plugin,
    ClientKind::Desktop,
    ClientKind::Download,
];
/// How a document is opened in Desktop's embedded browser.
const IN_DESKTOP: [ClientKind; 1] = [ClientKind::Desktop];

/// Characters of a search that are looked at.
const SEARCH_CHARACTERS_MAX: usize = 200;

#[derive(Deserialize)]
pub(super) struct AccessPointQuery {
    #[serde(default)]
    q: String,
    category: Option<String>,
}

/// `GET /`.
pub(super) async fn show(
    app: &App,
    tiles: &Tiles,
    visitor: Visitor,
    query: AccessPointQuery,
) -> Result<Response, Failure> {
    let Visitor { asked, signed } = visitor;
    let search: String = query.q.chars().take(SEARCH_CHARACTERS_MAX).collect();
    let category = query.category.filter(|category| !category.is_empty());
    let wanted = DocumentQuery { search, category };
    let info = &signed.info;
    let (snapshot, unlisted) = listed(app, &signed).await?;
    let (list, standing) =
        app.documents_and_standing(snapshot, &info.person, &wanted, &info.workstation)?;
    let used = used(app, &standing);
    let token = signed.csrf_token(app);
    let frame = frame(app, &asked, Some(&signed), &token);
    let clients: &[ClientKind] = if frame.in_desktop {
        &IN_DESKTOP
    } else {
        &IN_BROWSER
    };
    let rendered = tiles
        .of(&list.snapshot, frame.dates())
        .map_err(|error| Failure::fault(&error))?;
    let own = |place: usize| {
        // Only the documents of an estate open each in its own ways.
        app.estate()?;
        own_clients(list.snapshot.documents().get(place)?, clients)
    };
    let tiles = |places: &[usize]| -> Vec<DocumentTile<'_>> {
        let tile = |place: &usize| {
            Some(DocumentTile {
                tile: rendered.tile(*place)?,
                clients: own(*place),
            })
        };
        places.iter().filter_map(tile).collect()
    };
    let (marked, unmarked) = list.by_mark();
    let named = list.categories.iter().filter(|(name, _)| !name.is_empty());
    let categories: Vec<CategoryLink<'_>> = named
        .map(|(name, count)| CategoryLink {
            name,
            count: *count,
        })
        .collect();
    let page = AccessPointPage {
        frame,
        license: my_license(&standing, &used, frame.now),
        search: &wanted.search,
        category: wanted.category.as_deref(),
        categories: &categories,
        marked: &tiles(marked),
        unmarked: &tiles(unmarked),
        clients,
        total: list.visible,
        notice: unlisted.then_some(asked.language().text().access_point.unlisted),
    };
    Ok(respond(StatusCode::OK, &page))
}

/// The documents, and whether they cannot be listed now: then those that were listed last stand in
/// for them, because where a person stands is worth a page all the same.
async fn listed(app: &App, signed: &Signed) -> Result<(Arc<Snapshot>, bool), Failure> {
    match app.documents_for(&signed.info).await {
        Ok(snapshot) => Ok((snapshot, false)),
        Err(EstateError::WebSilent(why) | EstateError::WebAnswer(why)) => {
            tracing::warn!(%why, "the documents cannot be listed");
            let last = app.last_documents_of(&signed.info.person);
            Ok((last, true))
        }
        Err(error) => Err(error.into()),
    }
}

/// How a document of an estate opens, where that is not as every other document does.
fn own_clients<'a>(document: &'a Document, clients: &[ClientKind]) -> Option<&'a [ClientKind]> {
    let own: &[ClientKind] = &document.clients;
    let in_desktop = clients == IN_DESKTOP;
    (document.server.is_some() && !in_desktop && own != clients).then_some(own)
}

/// The workstations that count in R13 now.
fn used(app: &App, standing: &Standing) -> Vec<WorkstationUse> {
    workstations_in_use(
        standing.leases.iter(),
        app.ledger().policy().lease_window,
        app.now(),
    )
}

fn my_license<'a>(
    standing: &'a Standing,
    used: &'a [WorkstationUse],
    now: Timestamp,
) -> MyLicense<'a> {
    MyLicense {
        cal: cal_line(standing),
        lease: lease_here(standing, now),
        used,
        this_workstation: &standing.here,
    }
}

/// The state of a person's CAL in a line.
pub(super) fn cal_line(standing: &Standing) -> CalLine {
    use crate::domain::cal::CalState;
    let refused = |rule| refusal(&standing.findings, rule);
    match &standing.cal {
        Some(cal) => match cal.state {
            CalState::Assigned if standing.owner != Owner::Ledger => CalLine::AssignedThere,
            CalState::Assigned => CalLine::Assigned {
                since: cal.assigned_at,
            },
            CalState::Quarantined { since, until } => CalLine::Quarantined { since, until },
        },
        None if is_left_to_server(standing) => CalLine::LeftToServer,
        None if refused(Rule::R0).is_some() => CalLine::LicenseMissing,
        None if refused(Rule::R6).is_some() || refused(Rule::R9).is_some() => CalLine::Missing,
        None => CalLine::AssignedByOpening,
    }
}

/// Whether the rules say nothing of CALs and leases.
fn is_left_to_server(standing: &Standing) -> bool {
    let mut rules = standing.findings.iter().map(|finding| finding.rule);
    standing.owner != Owner::Ledger && !rules.any(|rule| rule == Rule::R9)
}

fn lease_here(standing: &Standing, now: Timestamp) -> LeaseHere {
    let live = standing
        .leases
        .iter()
        .find(|l| l.workstation.id == standing.here && l.is_live(now));
    if let Some(lease) = live {
        return LeaseHere::Live {
            until: lease.expires_at,
        };
    }
    if is_left_to_server(standing) {
        return LeaseHere::LeftToServer;
    }
    let refuses = |rule: &Rule| refusal(&standing.findings, *rule).is_some();
    if [Rule::R0].iter().chain(&LEASE_RULES).any(refuses) {
        return LeaseHere::NotPossible;
    }
    if refuses(&Rule::R9) {
        return LeaseHere::NeedsCal;
    }
    match refusal(&standing.findings, Rule::R13) {
        Some(Refusal::WorkstationLimit { retry_at, .. }) => LeaseHere::Waits { from: *retry_at },
        _ => LeaseHere::ByOpening,
    }
}

fn refusal(findings: &[Finding], rule: Rule) -> Option<&Refusal> {
    findings
        .iter()
        .find(|finding| finding.rule == rule)?
        .refusal
        .as_ref()
}

#[derive(Deserialize)]
pub(super) struct FavouriteForm {
    on: Favourite,
    #[serde(default)]
    q: String,
    #[serde(default)]
    category: String,
}

/// Whether a document is marked from now on. A form holds texts alone.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Favourite {
    True,
    False,
}

/// `POST /documents/{id}/favourite`.
pub(super) async fn set_favourite(
    State(app): State<App>,
    Path(id): Path<String>,
    form: CheckedForm<FavouriteForm>,
) -> Result<Response, Failure> {
    let person = &form.visitor.signed.info.person;
    let snapshot = app.documents_for(&form.visitor.signed.info).await?;
    if requested(&snapshot, person, &id).name.is_none() {
        return Err(Problem::NotFound.into());
    }
    app.ledger()
        .set_favourite(person.id.clone(), id, form.fields.on == Favourite::True)
        .await?;
    Ok(see_other(&list_address(&form.fields)))
}

/// The list that the form stood in: the same search and category.
fn list_address(form: &FavouriteForm) -> String {
    let pairs = [("q", &form.q), ("category", &form.category)];
    let pairs: Vec<String> = pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    if pairs.is_empty() {
        return "/".to_owned();
    }
    format!("/?{}", pairs.join("&"))
}
