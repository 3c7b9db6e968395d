//! Redeeming a web ticket at `Authenticate.aspx`, in the browser's place.

use http::header::LOCATION;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;

use super::cookies::Jar;
use super::server::Server;
use super::ticket::Ticket;
use super::{OutBody, TicketUser, WebError, WebServers, request};

const PAGE: &str = "/QvAJAXZfc/Authenticate.aspx";
/// Where a good ticket leads.
const TRY: &str = "/QvAJAXZfc/AccessPoint.aspx";
/// Where a bad one does.
const BACK: &str = "/qlikview/login.htm";

impl WebServers {
    /// Asks for a ticket at a server and redeems it there; the cookies of the session that it opens.
    pub(super) async fn sign_in_at(
        &self,
        server: &Server,
        user: &TicketUser,
    ) -> Result<Jar, WebError> {
        let ticket = server.ticket(user).await?;
        let redemption = redemption(&ticket);
        let asking = self.send_plain(server, redemption, Some(self.0.timeout));
        let response = asking.await.map_err(|error| server.silent(error.why))?;
        check_outcome(server, &response)?;
        let mut jar = Jar::default();
        jar.keep(response.headers(), PAGE, self.0.clock.now());
        if jar.is_empty() {
            let why = "it takes the ticket and opens no session: it sets no cookie";
            return Err(server.unusable(why));
        }
        Ok(jar)
    }
}

fn redemption(ticket: &Ticket) -> Request<OutBody> {
    let ticket = ticket.as_str();
    let address = format!("{PAGE}?type=html&webticket={ticket}&try={TRY}&back={BACK}");
    request(Method::GET, &address, "")
}

fn check_outcome(server: &Server, response: &Response<Incoming>) -> Result<(), WebError> {
    let status = response.status();
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    match location {
        Some(to) if status.is_redirection() && leads_to(to, TRY) => Ok(()),
        Some(to) if status.is_redirection() && leads_to(to, BACK) => Err(server.unusable(
            "it does not take the ticket that it gave: used, too old, or given by another server \
             behind the same name",
        )),
        Some(_) if status.is_redirection() => {
            Err(server.unusable("it leads elsewhere after a ticket was redeemed"))
        }
        _ => Err(server.unusable(format!(
            "it answers the redemption of a ticket with status {}",
            status.as_u16()
        ))),
    }
}

/// Whether a `Location`, relative or whole, has this path.
fn leads_to(location: &str, path: &str) -> bool {
    let address: Option<Uri> = location.parse().ok();
    address.is_some_and(|address| address.path().eq_ignore_ascii_case(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_compared_by_its_path() {
        for location in [
            "/QvAJAXZfc/AccessPoint.aspx",
            "/qvajaxzfc/accesspoint.aspx?x=1",
            "https://qvws.internal/QvAjaxZfc/AccessPoint.aspx",
        ] {
            assert!(leads_to(location, TRY), "{location}");
        }
        for location in [
            "",
            "/",
            "AccessPoint.aspx",
            "/QvAJAXZfc/AccessPoint.aspx/x",
            BACK,
            "//",
        ] {
            assert!(!leads_to(location, TRY), "{location}");
        }
    }
}
