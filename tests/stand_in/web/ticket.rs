//! Web tickets: asked for by a program that is trusted, redeemed once and within a minute.

use accesspoint::domain::time::{Millis, Timestamp};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::access_point::View;
use super::{Query, SESSION_COOKIE, SIGN_IN_PAGE, Session, WebServer, body_of, encoded, pages};
use crate::stand_in::listening::Connection;
use crate::stand_in::xml::Node;

/// What is answered where there is no ticket. CONFIRMED
const INVALID_CALL: &str = "<Global>Invalid call</Global>";
const TICKET_LIFE: Millis = Millis::seconds(60);

/// A call for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TicketAsked {
    pub(crate) user: String,
    /// None where no list was sent.
    pub(crate) groups: Option<Vec<String>>,
    /// Whether they are names; none where nothing was said.
    pub(crate) groups_is_names: Option<bool>,
}

/// A ticket that was given out.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    asked: TicketAsked,
    until: Timestamp,
}

impl WebServer {
    /// `POST GetWebTicket.aspx`
    pub(super) async fn get_web_ticket(
        &self,
        connection: &Connection,
        request: Request,
    ) -> Response {
        if request.method() != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        if let Some(challenge) = self.challenge(connection, request.headers()) {
            let challenge = [(header::WWW_AUTHENTICATE, challenge)];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        }
        let by_address = self.web(|web| web.ntlm.is_none());
        if by_address && !self.web(|web| web.trusted.contains(&connection.peer)) {
            return pages::xml(INVALID_CALL.to_owned());
        }
        // From 12 on it is particular about this. CONFIRMED
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let kind = kind.unwrap_or(HeaderValue::from_static("nothing"));
        if !kind.to_str().unwrap_or_default().starts_with("text/xml") {
            self.complain("GetWebTicket.aspx", &format!("{kind:?} for XML"));
            return pages::xml(INVALID_CALL.to_owned());
        }
        let body = body_of(request).await;
        match asked(&body) {
            Ok(asked) => pages::xml(format!(
                "<Global><_retval_>{}</_retval_></Global>",
                self.issue(asked)
            )),
            Err(why) => {
                self.complain("GetWebTicket.aspx", &format!("{why}: {body}"));
                pages::xml(INVALID_CALL.to_owned())
            }
        }
    }

    fn challenge(&self, connection: &Connection, headers: &HeaderMap) -> Option<String> {
        let account = self.web(|web| web.ntlm.clone())?;
        let authorization = headers.get(header::AUTHORIZATION);
        let authorization = authorization.and_then(|value| value.to_str().ok());
        let mut channel = connection.channel.lock().unwrap();
        channel.asks(&account, authorization)
    }

    fn issue(&self, asked: TicketAsked) -> String {
        let secret = self.fresh.hex::<20>();
        let until = self.clock.now() + TICKET_LIFE;
        self.web(|web| {
            web.tickets_asked.push(asked.clone());
            web.tickets.insert(secret.clone(), Ticket { asked, until });
        });
        secret
    }

    /// `GET Authenticate.aspx`
    pub(super) fn authenticate(&self, query: &Query, headers: &HeaderMap) -> Response {
        if !query.has("webticket") {
            let status = match self.session(headers) {
                Some(_) => StatusCode::OK,
                None => StatusCode::UNAUTHORIZED,
            };
            return status.into_response();
        }
        if query.get("type") != "html" {
            self.complain("Authenticate.aspx", "without type=html");
        }
        let wanted = query.get("try");
        if !wanted.starts_with('/') || wanted.starts_with("//") {
            self.complain("Authenticate.aspx", &format!("try={wanted}"));
        }
        let now = self.clock.now();
        let ticket = self.web(|web| web.tickets.remove(query.get("webticket")));
        match ticket.filter(|ticket| now < ticket.until) {
            Some(ticket) => self.begin_session(ticket, wanted),
            None => match query.get("back") {
                "" => self.leads_to(SIGN_IN_PAGE),
                back => self.leads_to(back),
            },
        }
    }

    fn begin_session(&self, ticket: Ticket, wanted: &str) -> Response {
        let id = self.fresh.hex::<16>();
        let user = ticket.asked.user;
        let welcome = encoded(&user);
        let session = Session {
            user,
            groups: ticket.asked.groups.unwrap_or_default(),
            view: View::default(),
        };
        self.web(|web| web.sessions.insert((self.number, id.clone()), session));
        let mut answer = self.leads_to(wanted);
        for cookie in [
            format!("{SESSION_COOKIE}={id}; path=/; HttpOnly"),
            format!("WelcomeName{welcome}={welcome}; path=/QvAJAXZfc/"),
        ] {
            let cookie = HeaderValue::try_from(cookie).unwrap();
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
        answer
    }
}

/// Reads a call, and takes nothing that the documentation does not have.
fn asked(body: &str) -> Result<TicketAsked, String> {
    let global = Node::read(body)?;
    if global.name != "Global" || global.attribute("method") != Some("GetWebTicket") {
        return Err("not a call for a ticket".to_owned());
    }
    let mut asked = TicketAsked {
        user: String::new(),
        groups: None,
        groups_is_names: None,
    };
    for (place, part) in global.children.iter().enumerate() {
        match part.name.as_str() {
            "UserId" if place == 0 && part.children.is_empty() => asked.user.clone_from(&part.text),
            "GroupList" if asked.groups.is_none() => {
                if part.names().iter().any(|name| *name != "string") {
                    return Err("GroupList holds something else than string".to_owned());
                }
                let names = part.children.iter();
                asked.groups = Some(names.map(|name| name.text.clone()).collect());
            }
            "GroupsIsNames" if asked.groups_is_names.is_none() => {
                let is_names = part.text.parse().map_err(|_| "GroupsIsNames")?;
                asked.groups_is_names = Some(is_names);
            }
            other => return Err(format!("{other} has no place here")),
        }
    }
    if asked.user.trim().is_empty() || asked.user.trim() != asked.user {
        return Err("no UserId".to_owned());
    }
    Ok(asked)
}
