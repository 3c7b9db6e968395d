//! What clients written for `QlikView` call, over real connections: as they call it, and as those
//! would who want more than they may.

#![cfg(test)]

mod access_point;
mod authenticate;
mod open_link;
mod qms;
mod web_ticket;
mod zeep;

use std::net::SocketAddr;

use accesspoint::app::web_ticket::{WebTicketAsked, WebTicketIssued};
use accesspoint::clock::Clock;
use accesspoint::config::Config;
use accesspoint::domain::administer::AssignAnswer;
use accesspoint::http::server::{ServerLimits, serve_plain};
use accesspoint::http::web_ticket_router;
use accesspoint::store::{Actor, PersonChange};
use reqwest::{Method, RequestBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::{Answer, Client, Gateway};

/// Whoever calls from this machine may ask for tickets.
const TRUSTED: &str = "[compat]\nweb_ticket_trusted = ['127.0.0.1']\n";
const TICKETS: &str = "/QvAJAXZfc/GetWebTicket.aspx";

/// A gateway with settings, and alice and bob.
async fn with(settings: &str) -> Gateway {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let gateway = Gateway::with_clock(5, settings, clock, |_: &mut Config| ()).await;
    for name in ["alice", "bob"] {
        gateway.add(name, &[]).await;
    }
    gateway
}

/// The body that asks for a ticket; `more` stands after the user.
fn asks_for(user: &str, more: &str) -> String {
    format!("<Global method=\"GetWebTicket\"><UserId>{user}</UserId>{more}</Global>")
}

/// A ticket for somebody, with these groups where there are any.
async fn ticket(gateway: &Gateway, user: &str, groups: &[&str]) -> String {
    let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
    let asked = WebTicketAsked {
        user: user.to_owned(),
        groups: (!groups.is_empty()).then_some(groups),
    };
    let from = [127, 0, 0, 1].into();
    let issued = gateway.app.issue_web_ticket(asked, from, Actor::gateway());
    match issued.await.unwrap() {
        WebTicketIssued::Ticket(ticket) => ticket,
        WebTicketIssued::Refused(why) => panic!("{why}"),
    }
}

/// Brings a ticket, with further parameters.
async fn brings(browser: &Client, ticket: &str, more: &str) -> Answer {
    let path = format!("/QvAJAXZfc/Authenticate.aspx?type=html&webticket={ticket}{more}");
    browser.get(&path).await
}

/// The plain listener of a gateway, as `compat.http_listen` opens it.
async fn plain_listener(gateway: &Gateway, limits: ServerLimits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = web_ticket_router(gateway.app.clone());
    tokio::spawn(serve_plain(
        listener,
        routes,
        limits,
        std::future::pending(),
    ));
    address
}

/// What a server answers to these bytes, to the end of the connection or of a second.
async fn conversation(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let whole = stream.read_to_end(&mut answer);
    // HTTP/1.1 connections that are not told to close stay open.
    tokio::time::timeout(std::time::Duration::from_secs(20), whole)
        .await
        .expect("every request here asks for the connection to be closed")
        .unwrap();
    String::from_utf8(answer).unwrap()
}

/// A form of ours, sent as a browser does.
async fn submits(browser: &Client, action: &str, fields: &[(&str, &str)]) -> Answer {
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    let request = browser
        .request(Method::POST, action)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.join("&"));
    browser.send(request).await
}

/// The value of a hidden field of a page.
fn field(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let rest = page.split(&start).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no field {name} in {page}"));
    let value = rest.split('"').next().unwrap();
    value.replace("&#38;", "&").replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A GET with headers of one's own.
fn get_with(browser: &Client, path: &str, headers: &[(&str, &str)]) -> RequestBuilder {
    let request = browser.request(Method::GET, path);
    let headers = headers.iter();
    headers.fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

async fn joins(gateway: &Gateway, user: &str, group: &str) {
    let change = PersonChange {
        groups: Some(vec![group.to_owned()]),
        ..PersonChange::default()
    };
    let changed = gateway.app.change_user(user, change, Actor::command_line());
    changed.await.unwrap();
}

async fn assigns(gateway: &Gateway, user: &str) -> AssignAnswer {
    let assigned = gateway.app.assign_cal(user, Actor::command_line());
    assigned.await.unwrap()
}
