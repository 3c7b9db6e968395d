//! `GET Authenticate.aspx`: a browser brings a web ticket and is signed in; and where old clients
//! find the sign-in page.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tower_sessions::Session;

use super::query::Query;
use crate::app::App;
use crate::app::sign_in::Client;
use crate::app::web_ticket::ByWebTicket;
use crate::http::edge::see_other;
use crate::http::extract::{Asked, CheckedForm, FromClient, Signed, is_foreign, is_prefetch};
use crate::http::failure::{Failure, with_return_to};
use crate::http::page::{AskPage, Frame, respond};
use crate::http::pages::{frame, with_workstation};
use crate::http::return_to::ReturnTo;
use crate::http::session;
use crate::store::WebTicketRefusal;
use crate::text::Problem;

/// Where the form leads that asks before somebody else's session ends.
pub(super) const CONFIRM: &str = "/web-ticket";

/// `GET Authenticate.aspx?type=html&webticket=&try=&back=`; further parameters are ignored.
pub(super) async fn authenticate(
    State(app): State<App>,
    asked: Asked,
    session: Session,
    FromClient(client): FromClient,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    if is_prefetch(&headers) || is_part_of_another(&app, &headers) {
        return Err(Problem::NotAsked.into());
    }
    let query = Query::read(&query.unwrap_or_default());
    let signed = asked.signed(&app)?;
    if !query.has("webticket") {
        return probe(signed.as_ref());
    }
    let brought = Brought::of(&query);
    if let Some(signed) = signed
        && let Some(holder) = app.web_ticket_holder(&brought.ticket, &client)?
        && holder.id != signed.info.person.id
    {
        return Ok(ask_first(&app, &asked, &signed, &brought, &holder.name));
    }
    redeem(&app, &session, &client, &brought).await
}

/// The fields of the form that asks first.
#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    #[serde(default)]
    webticket: String,
    #[serde(default)]
    wanted: String,
    #[serde(default)]
    back: String,
}

/// `POST /web-ticket`: somebody agreed that their session ends.
pub(super) async fn confirm(
    State(app): State<App>,
    session: Session,
    FromClient(client): FromClient,
    form: CheckedForm<ConfirmForm>,
) -> Result<Response, Failure> {
    let fields = form.fields;
    let brought = Brought {
        ticket: fields.webticket,
        wanted: ReturnTo::parse(&fields.wanted).location(),
        back: back(&fields.back),
    };
    redeem(&app, &session, &client, &brought).await
}

/// `GET GetLoginpageUrl.aspx`: the body is the address of the sign-in page. CONFIRMED
pub(super) async fn login_page_url() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (kind, "/login").into_response()
}

/// Whether this is a picture or a frame in a page of another site: its person did not come here, and
/// would be somebody else from then on.
fn is_part_of_another(app: &App, headers: &HeaderMap) -> bool {
    let destination = headers.get("sec-fetch-dest");
    is_foreign(app, headers) && destination.is_none_or(|destination| destination != "document")
}

/// A ticket, and where it is to lead: paths of ours alone.
struct Brought {
    ticket: String,
    wanted: String,
    back: Option<String>,
}

impl Brought {
    fn of(query: &Query) -> Self {
        let wanted = query.only("try").unwrap_or_default();
        Self {
            ticket: query.only("webticket").unwrap_or_default().to_owned(),
            wanted: ReturnTo::parse_with_strays(wanted, query.pairs()).location(),
            back: back(query.only("back").unwrap_or_default()),
        }
    }
}

/// Where a failure leads, where that is a page of ours that was named.
fn back(named: &str) -> Option<String> {
    match ReturnTo::parse(named) {
        ReturnTo::Start if named != "/" => None,
        recognised => Some(recognised.location()),
    }
}

/// Without a ticket the page only says whether somebody is signed in: the login script of
/// `QlikView` asks it so. CONFIRMED
fn probe(signed: Option<&Signed>) -> Result<Response, Failure> {
    match signed {
        Some(_) => Ok(StatusCode::OK.into_response()),
        None => Err(Problem::SignInRequired.into()),
    }
}

async fn redeem(
    app: &App,
    session: &Session,
    client: &Client,
    brought: &Brought,
) -> Result<Response, Failure> {
    match app.sign_in_by_web_ticket(&brought.ticket, client).await? {
        ByWebTicket::Done(signed_in) => {
            let begun = session::begin(app, session, &signed_in, client, None).await;
            let again = with_return_to("/login", &brought.wanted);
            begun.map_err(|error| Failure::not_begun(error, again))?;
            Ok(with_workstation(
                app,
                see_other(&brought.wanted),
                &signed_in,
            ))
        }
        ByWebTicket::Refused(refusal) => {
            tracing::info!(?refusal, "a web ticket opened nothing");
            Ok(see_other(&brought.back.clone().unwrap_or_else(|| {
                let sign_in = with_return_to("/login", &brought.wanted);
                let separator = if sign_in.contains('?') { '&' } else { '?' };
                let notice = match refusal {
                    WebTicketRefusal::SecondFactorRequired => "web-ticket-alone",
                    _ => "web-ticket",
                };
                format!("{sign_in}{separator}notice={notice}")
            })))
        }
    }
}

/// Asks before the session of somebody else ends; the ticket is not redeemed yet.
fn ask_first(
    app: &App,
    asked: &Asked,
    signed: &Signed,
    brought: &Brought,
    holder: &str,
) -> Response {
    let token = signed.csrf_token(app);
    let text = &asked.language().text().ask;
    let page = AskPage {
        // The address of this page holds the ticket; a choice of language is no reason to repeat it.
        frame: Frame {
            path: "/",
            ..frame(app, asked, Some(signed), &token)
        },
        title: text.sign_in_title,
        sentence: &(text.sign_in)(holder, &signed.info.person.name),
        action: CONFIRM,
        fields: &[
            ("webticket", &brought.ticket),
            ("wanted", &brought.wanted),
            ("back", brought.back.as_deref().unwrap_or_default()),
        ],
        button: &(text.sign_in_button)(holder),
    };
    respond(StatusCode::OK, &page)
}
