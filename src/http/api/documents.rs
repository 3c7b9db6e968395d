//! Documents: listed, opened, explained, marked; and the leases that opens make.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::list::{self, PageParams};
use super::{Body, Params};
use crate::app::App;
use crate::app::documents::{DocumentQuery, document_named, requested};
use crate::app::open::{DocumentOpened, Prediction, Wanted};
use crate::domain::client::ClientKind;
use crate::domain::lease::{Lease, LeaseId, LeaseState};
use crate::domain::open::{Access, LeaseOutcome};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::workstation::Workstation;
use crate::http::extract::{ApiPerson, Asked, FromClient};
use crate::http::failure::{Failure, refusal_members};
use crate::http::json::Json;
use crate::http::told::{self, Reader};
use crate::store;
use crate::text::{Language, Problem};

/// Routes of documents and of the leases of the caller.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/documents", get(documents))
        .route("/api/v1/documents/{id}/open", post(open))
        .route("/api/v1/documents/{id}/favourite", put(mark).delete(unmark))
        .route("/api/v1/leases", get(leases))
        .route("/api/v1/leases/{id}", delete(release))
        .route("/api/v1/explain", get(explain))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentParams {
    #[serde(default)]
    q: String,
    category: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct DocumentItem {
    id: String,
    name: String,
    title: String,
    category: Option<String>,
    size_bytes: u64,
    modified_at: Timestamp,
    favourite: bool,
    clients: Vec<ClientKind>,
}

async fn documents(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
    Params(params): Params<DocumentParams>,
) -> Result<Response, Failure> {
    let wanted = PageParams::new(params.cursor, params.limit).wanted()?;
    let query = DocumentQuery {
        search: params.q,
        category: params.category,
    };
    let snapshot = app.documents_for(&signed.info).await?;
    let list = app.documents(snapshot, &signed.info.person, &query)?;
    let items = list
        .documents()
        .map(|document| DocumentItem {
            id: document.id.as_str().to_owned(),
            name: document.name.clone(),
            title: document.title.clone(),
            category: document.category.clone(),
            size_bytes: document.size_bytes,
            modified_at: document.modified_at,
            favourite: list.favourites.contains(document.id.as_str()),
            clients: document.clients.clone(),
        })
        .collect();
    list::part(items, &wanted, |item: &DocumentItem| item.id.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenRequest {
    client: ClientKind,
}

/// The answer to an open with access granted (contract 4).
#[derive(Serialize)]
struct OpenBody<'a> {
    document: &'a str,
    client: ClientKind,
    access: &'static str,
    lease: LeaseBody<'a>,
    launch: LaunchBody,
}

#[derive(Serialize)]
struct LeaseBody<'a> {
    outcome: &'static str,
    id: Option<&'a LeaseId>,
    workstation: Option<&'a Workstation>,
    expires_at: Option<Timestamp>,
    token: Option<&'a str>,
    refusal: Option<Map<String, Value>>,
    /// Why nothing is predicted, in front of an estate where nothing can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct LaunchBody {
    url: String,
    expires_at: Timestamp,
}

async fn open(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
    asked: Asked,
    FromClient(from): FromClient,
    Body(request): Body<OpenRequest>,
) -> Result<Response, Failure> {
    let wanted = Wanted {
        document: &id,
        client: request.client,
        link: None,
        address: from.address,
    };
    let opened = app.open_document(&signed.info, wanted).await?;
    match &opened.opened.answer.access {
        Access::Refused(refusal) => Err(Failure::refused(refusal.clone(), Reader::User)),
        Access::Granted(_) => Ok(open_body(&app, &asked, &opened)),
    }
}

fn open_body(app: &App, asked: &Asked, opened: &DocumentOpened) -> Response {
    let (Some(path), Some(launch)) = (opened.launch_path(), &opened.opened.launch) else {
        return Failure::from(Problem::Internal).into_response();
    };
    let outcome = &opened.opened.answer.lease;
    let is_ours = opened.prediction.is_none();
    let (lease, refusal) = match outcome {
        LeaseOutcome::Granted(lease) | LeaseOutcome::Renewed(lease) => (Some(lease), None),
        LeaseOutcome::Refused(refusal) => {
            (None, Some(refusal_members(refusal, asked.language(), app)))
        }
        LeaseOutcome::NotApplicable => (None, None),
    };
    let body = OpenBody {
        document: &opened.document.id,
        client: opened.client,
        access: "granted",
        lease: LeaseBody {
            outcome: outcome.word(),
            id: lease.map(|lease| &lease.id).filter(|_| is_ours),
            workstation: is_ours.then_some(&opened.workstation),
            expires_at: lease.map(|lease| lease.expires_at),
            token: opened.lease_token.as_deref(),
            refusal,
            note: note(asked, opened.prediction),
        },
        launch: LaunchBody {
            url: format!("{}{path}", app.origin()),
            expires_at: launch.expires_at,
        },
    };
    Json(body).into_response()
}

fn note(asked: &Asked, prediction: Option<Prediction>) -> Option<&'static str> {
    let reason = prediction?.unpredicted?;
    Some(told::unpredicted(reason, asked.language()))
}

async fn mark(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
) -> Result<StatusCode, Failure> {
    let person = &signed.info.person;
    let snapshot = app.documents_for(&signed.info).await?;
    if requested(&snapshot, person, &id).name.is_none() {
        return Err(Problem::NotFound.into());
    }
    app.ledger()
        .set_favourite(person.id.clone(), id, true)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unmark(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
) -> Result<StatusCode, Failure> {
    app.ledger()
        .set_favourite(signed.info.person.id.clone(), id, false)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A lease as its person sees it.
#[derive(Serialize)]
struct LeaseItem {
    id: LeaseId,
    workstation: Workstation,
    state: LeaseState,
    granted_at: Timestamp,
    renewed_at: Timestamp,
    expires_at: Timestamp,
    ended_at: Option<Timestamp>,
    token: Option<String>,
}

async fn leases(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let wanted = params.wanted()?;
    let person = &signed.info.person;
    let leases = app.leases_of(person)?;
    let items: Result<Vec<LeaseItem>, Failure> = leases
        .into_iter()
        .map(|lease| lease_item(&app, lease, &person.name))
        .collect();
    list::part(items?, &wanted, |item: &LeaseItem| {
        item.id.as_str().to_owned()
    })
}

fn lease_item(app: &App, lease: Lease, user: &str) -> Result<LeaseItem, Failure> {
    let now = app.now();
    let live = lease.is_live(now);
    // A lease of the estate's server is nothing that we sign.
    let token = (live && app.estate().is_none())
        .then(|| app.keys().sign(&lease, user, app.origin(), now))
        .transpose()?;
    Ok(LeaseItem {
        state: lease.state_at(now),
        id: lease.id,
        workstation: lease.workstation,
        granted_at: lease.granted_at,
        renewed_at: lease.renewed_at,
        expires_at: lease.expires_at,
        ended_at: lease.ended_at,
        token,
    })
}

async fn release(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiPerson(signed): ApiPerson,
) -> Result<StatusCode, Failure> {
    signed.keeps_to_gateway()?;
    let owner = Some(signed.info.person.id.clone());
    let ended = app.end_lease(LeaseId(id), owner, signed.actor()).await?;
    ended.ok_or(Problem::NotFound)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainParams {
    document: String,
    #[serde(default = "desktop")]
    client: ClientKind,
}

/// The client kind that is explained where none is named.
pub(super) const fn desktop() -> ClientKind {
    ClientKind::Desktop
}

async fn explain(
    State(app): State<App>,
    ApiPerson(signed): ApiPerson,
    asked: Asked,
    Params(params): Params<ExplainParams>,
) -> Result<Response, Failure> {
    let info = &signed.info;
    let snapshot = app.documents_for(info).await?;
    let id = document_named(&snapshot, &params.document);
    let document = requested(&snapshot, &info.person, &id);
    let explained = app.explain(&info.person, &info.workstation, &document, params.client)?;
    Ok(explanation(
        &explained,
        Reader::User,
        asked.language(),
        app.now(),
    ))
}

#[derive(Serialize)]
struct Explanation {
    access: &'static str,
    lease: &'static str,
    rules: Vec<RuleItem>,
}

#[derive(Serialize)]
struct RuleItem {
    id: &'static str,
    passed: bool,
    code: Option<&'static str>,
    message: String,
    retry_at: Option<Timestamp>,
}

/// What an open would answer, rule by rule.
pub(super) fn explanation(
    explained: &store::Explanation,
    reader: Reader,
    language: Language,
    now: Timestamp,
) -> Response {
    let titles = &language.text().refusal.rules;
    let rules = explained.standing.findings.iter().map(|finding| {
        let reason = told::reason(finding, &explained.answer, reader, language, now);
        let title = titles
            .get(usize::from(finding.rule.number()))
            .copied()
            .unwrap_or_default();
        RuleItem {
            id: finding.rule.id(),
            passed: finding.passed,
            code: finding
                .refusal
                .as_ref()
                .map(|refusal| refusal.code().as_str()),
            message: reason.map_or_else(|| title.to_owned(), |reason| reason.to_string()),
            retry_at: finding.refusal.as_ref().and_then(Refusal::retry_at),
        }
    });
    let body = Explanation {
        access: match explained.answer.access {
            Access::Granted(_) => "granted",
            Access::Refused(_) => "refused",
        },
        lease: explained.answer.lease.word(),
        rules: rules.collect(),
    };
    Json(body).into_response()
}
