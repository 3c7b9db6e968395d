//! `POST GetWebTicket.aspx`: a program that is trusted gets a ticket in somebody's name.
//!
//! Trust is that of the TCP peer or of a token. A request that passed a proxy, or that a page of
//! another site makes a browser send, is somebody else's than its peer's, so it needs a token.

use std::net::IpAddr;

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::xml::{self, Element, Writer};
use crate::app::App;
use crate::app::web_ticket::{WebTicketAsked, WebTicketIssued};
use crate::http::extract::{Asked, WholeBody, bearer_token, may_be_foreign};
use crate::http::failure::Failure;
use crate::store::{Actor, Scope};
use crate::text::Problem;

/// What every known client looks for in an answer without a ticket (CONFIRMED).
const INVALID_CALL: &str = "Invalid call";
/// The media type of answers. RECALLED
const XML: &str = "text/xml; charset=utf-8";

/// `POST GetWebTicket.aspx`.
pub(super) async fn get_web_ticket(
    State(app): State<App>,
    asked: Asked,
    request: Request,
) -> Result<Response, Failure> {
    let peer = asked.peer();
    let from = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.tcp.ip());
    let Some(actor) = trusted(&app, from, request.headers())? else {
        tracing::info!(peer = %from, "a web ticket was refused: neither trusted nor with a token");
        return Err(Problem::Forbidden.into());
    };
    let WholeBody(body) = WholeBody::from_request(request, &app).await?;
    let asked = match read(&body) {
        Ok(asked) => asked,
        Err(why) => return Ok(invalid_call(&why)),
    };
    match app.issue_web_ticket(asked, from, actor).await? {
        WebTicketIssued::Ticket(ticket) => {
            let mut answer = Writer::default();
            answer
                .open("Global", &[])
                .text("_retval_", &ticket)
                .close("Global");
            Ok(answered(answer.finish()))
        }
        WebTicketIssued::Refused(why) => Ok(invalid_call(&why)),
    }
}

/// Who the audit names as the one who asked, where they may ask.
fn trusted(app: &App, peer: IpAddr, headers: &HeaderMap) -> Result<Option<Actor>, Failure> {
    if let Some(token) = bearer_token(app, headers)?
        && token.scopes.contains(&Scope::WebTicket)
    {
        return Ok(Some(Actor::token(&token.id)));
    }
    let config = app.config();
    let direct = !config.proxy.trusted.contains(peer)
        && !was_forwarded(headers)
        && !may_be_foreign(app, headers);
    let trusted = direct && config.compat.web_ticket_trusted.contains(peer);
    Ok(trusted.then(Actor::gateway))
}

/// Whether a proxy says that it passed the request on.
fn was_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name == "forwarded" || name == "via" || name.starts_with("x-forwarded-")
    })
}

/// Reads what is asked for. The media type does not matter: some clients call the XML a form, some
/// call it text, some call it nothing (CONFIRMED).
fn read(body: &[u8]) -> Result<WebTicketAsked, String> {
    let global = xml::parse(body).map_err(|bad| format!("{}.", capitalised(&bad.to_string())))?;
    if global.name != "Global" || global.attribute("method") != Some("GetWebTicket") {
        return Err("The body is not <Global method=\"GetWebTicket\">.".to_owned());
    }
    let users: Vec<&Element> = global.children_named("UserId").collect();
    let [user] = users.as_slice() else {
        return Err("There is not one UserId.".to_owned());
    };
    Ok(WebTicketAsked {
        user: user.text.trim().to_owned(),
        groups: groups(&global)?,
    })
}

/// The groups that were sent. An empty list is none: then `QlikView` looks for the person's own
/// groups (CONFIRMED). Some clients put a space before each name (CONFIRMED).
fn groups(global: &Element) -> Result<Option<Vec<String>>, String> {
    // `GroupIsNames` is how the documentation spells it once. SIDs are compared as they are.
    for name in ["GroupsIsNames", "GroupIsNames"] {
        for told in global.children_named(name) {
            if !["true", "false", "1", "0", ""]
                .contains(&told.text.trim().to_ascii_lowercase().as_str())
            {
                return Err(format!("{name} is neither true nor false."));
            }
        }
    }
    let groups: Vec<String> = global
        .children_named("GroupList")
        .flat_map(|list| list.children_named("string"))
        .map(|group| group.text.trim().to_owned())
        .filter(|group| !group.is_empty())
        .collect();
    Ok((!groups.is_empty()).then_some(groups))
}

/// What the clients look for, and beside it, for whoever reads their logs, why.
fn invalid_call(why: &str) -> Response {
    tracing::info!(why, "a web ticket was refused");
    // Two hyphens would end the comment.
    let why = why.replace("--", "- -").replace(['<', '>'], "|");
    answered(format!("<Global>{INVALID_CALL}<!-- {why} --></Global>"))
}

fn answered(body: String) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, XML)], body).into_response()
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> WebTicketAsked {
        read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"))
    }

    #[test]
    fn what_clients_in_the_wild_send_is_understood() {
        let plain =
            asked("<Global method=\"GetWebTicket\"><UserId>CUSTOM\\alice</UserId></Global>\r\n");
        assert_eq!(plain.user, "CUSTOM\\alice");
        assert_eq!(plain.groups, None);
        for flag in ["GroupsIsNames", "GroupIsNames"] {
            let body = format!(
                "<Global method='GetWebTicket'><UserId> alice </UserId><GroupList>\
                 <string> Sales</string><string></string><string>R&amp;D</string></GroupList>\
                 <{flag}>True</{flag}></Global>"
            );
            let grouped = asked(&body);
            assert_eq!(grouped.user, "alice");
            assert_eq!(
                grouped.groups,
                Some(vec!["Sales".to_owned(), "R&D".to_owned()])
            );
        }
        let empty = asked("<Global method='GetWebTicket'><UserId>a</UserId><GroupList/></Global>");
        assert_eq!(empty.groups, None);
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        for (body, why) in [
            ("", "not one element"),
            ("UserId=alice", "not one element"),
            (
                "<Global method='GetWebTicket'><UserId>A & B</UserId></Global>",
                "not well-formed",
            ),
            (
                "<Global method='GetTicket'><UserId>a</UserId></Global>",
                "GetWebTicket",
            ),
            ("<Global><UserId>a</UserId></Global>", "GetWebTicket"),
            (
                "<Other method='GetWebTicket'><UserId>a</UserId></Other>",
                "GetWebTicket",
            ),
            ("<Global method='GetWebTicket'/>", "one UserId"),
            (
                "<Global method='GetWebTicket'><UserId>a</UserId><UserId>b</UserId></Global>",
                "one UserId",
            ),
            (
                "<Global method='GetWebTicket'><UserId>a</UserId><GroupsIsNames>x</GroupsIsNames></Global>",
                "GroupsIsNames",
            ),
        ] {
            let told = read(body.as_bytes()).unwrap_err();
            assert!(told.contains(why), "{body}: {told}");
            assert!(
                told.ends_with('.') && told.starts_with(char::is_uppercase),
                "{told}"
            );
        }
    }

    #[test]
    fn proxies_are_known_by_their_headers() {
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, "x".parse().unwrap());
            assert!(was_forwarded(&headers), "{name}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarding", "x".parse().unwrap());
        assert!(!was_forwarded(&headers));
    }
}
