//! `GetWebTicket.aspx`: the body that asks for a ticket, the answer, and what an `Invalid call` means.

use std::net::IpAddr;

use quick_xml::escape::escape;

use super::TicketUser;
use crate::qlikview::xml::Element;

/// Where tickets are asked for. CONFIRMED
pub(super) const PATH: &str = "/QvAJAXZfc/GetWebTicket.aspx";
/// The characters of a ticket, all of them hex. CONFIRMED
const TICKET_CHARACTERS: usize = 40;
/// What a refused or misunderstood call is answered with, in whatever status. CONFIRMED
const INVALID_CALL: &str = "Invalid call";

/// A name that no XML can carry, so that it could only be sent changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} {} holds a character that a web ticket cannot carry", .name.escape_debug())]
pub struct UnwritableName {
    /// `user name` or `group`.
    pub what: &'static str,
    /// The name.
    pub name: String,
}

/// What the body of an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Ticket(Ticket),
    InvalidCall,
    /// Neither; what is wrong with it.
    Unusable(&'static str),
}

/// A ticket. It is never shown.
#[derive(PartialEq, Eq)]
pub(super) struct Ticket(String);

impl Ticket {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

/// The body that asks for a ticket. Without groups the server looks them up itself; with groups they
/// are names, for DMS authorization.
pub(super) fn body(user: &TicketUser) -> Result<String, UnwritableName> {
    let mut body = "<Global method=\"GetWebTicket\"><UserId>".to_owned();
    body.push_str(&written("user name", &user.name)?);
    body.push_str("</UserId>");
    if !user.groups.is_empty() {
        body.push_str("<GroupList>");
        for group in &user.groups {
            body.push_str("<string>");
            body.push_str(&written("group", group)?);
            body.push_str("</string>");
        }
        body.push_str("</GroupList>");
    }
    body.push_str("<GroupsIsNames>true</GroupsIsNames></Global>");
    Ok(body)
}

/// Reads an answer, whatever its status: an `Invalid call` comes with a good one. INFERRED
pub(super) fn read(body: &[u8]) -> Told {
    let Ok(text) = std::str::from_utf8(body) else {
        return Told::Unusable("it is no UTF-8");
    };
    if text.contains(INVALID_CALL) {
        return Told::InvalidCall;
    }
    let Ok(root) = Element::parse(text.trim_start_matches('\u{FEFF}')) else {
        return Told::Unusable("it is no XML");
    };
    match root.child_text("_retval_") {
        Some(ticket) if is_ticket(ticket) => Told::Ticket(Ticket(ticket.to_owned())),
        Some(_) => Told::Unusable("what stands in _retval_ is no ticket of 40 hex characters"),
        None => Told::Unusable("it holds no _retval_"),
    }
}

/// The known causes of an `Invalid call` that fit, the likeliest first, each with where to change it.
/// `local_ip` is the address that the server saw, `account` the one that NTLM signed in with.
pub(super) fn causes(local_ip: Option<IpAddr>, account: Option<&str>) -> Vec<String> {
    let mut causes = Vec::new();
    if let Some(account) = account {
        causes.push(format!(
            "the account {account} may be missing from the local group QlikView Administrators on the \
             machine of the web server"
        ));
    }
    let own = local_ip.map_or_else(|| "of this machine".to_owned(), |ip| ip.to_string());
    causes.push(format!(
        "the address {own} may be missing from config.xml of the web server: \
         <GetWebTicket url=\"/QvAjaxZfc/GetWebTicket.aspx\"><TrustedIP>{}</TrustedIP></GetWebTicket>; \
         restart it after the change",
        local_ip.map_or_else(|| "ADDRESS".to_owned(), |ip| ip.to_string()),
    ));
    if local_ip.is_some_and(|ip| ip.to_canonical().is_loopback()) {
        causes.push(
            "the web server may list 127.0.0.1 and see ::1, or list ::1 and see 127.0.0.1: list both"
                .to_owned(),
        );
    } else {
        causes.push(
            "a proxy or address translation between may show the web server another address: list \
             that one"
                .to_owned(),
        );
    }
    causes.push(
        "QlikView Server may use NTFS authorization, or a Small Business licence, which has no DMS: \
         web tickets need DMS authorization, in the QMC under System > Setup > QlikView Servers > \
         Security"
            .to_owned(),
    );
    causes
}

/// A name as it stands between tags. What XML cannot carry is an error, because a name that is sent
/// changed is somebody else's.
fn written(what: &'static str, name: &str) -> Result<String, UnwritableName> {
    let unwritable = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    if name.contains(unwritable) {
        let name = name.to_owned();
        return Err(UnwritableName { what, name });
    }
    Ok(escape(name).into_owned())
}

fn is_ticket(text: &str) -> bool {
    text.len() == TICKET_CHARACTERS && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, groups: &[&str]) -> Result<String, UnwritableName> {
        body(&TicketUser {
            name: name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        })
    }

    #[test]
    fn a_body_asks_for_a_person_with_or_without_groups() {
        assert_eq!(
            asked("CUSTOM\\alice", &["Sales", "R&D"]).unwrap(),
            "<Global method=\"GetWebTicket\"><UserId>CUSTOM\\alice</UserId><GroupList><string>Sales</string>\
             <string>R&amp;D</string></GroupList><GroupsIsNames>true</GroupsIsNames></Global>"
        );
        assert_eq!(
            asked("alice", &[]).unwrap(),
            "<Global method=\"GetWebTicket\"><UserId>alice</UserId><GroupsIsNames>true</GroupsIsNames></Global>"
        );
    }

    #[test]
    fn whatever_a_name_holds_it_stays_one_name() {
        for odd in [
            "a & b",
            "</UserId><UserId>admin",
            "<![CDATA[x]]>",
            "&amp;",
            "\"'",
            "]]>",
            " Söhne \u{1F600} ",
        ] {
            let text = asked(odd, &[odd]).unwrap();
            let root = Element::parse(&text).unwrap();
            let names: Vec<&str> = root
                .children
                .iter()
                .map(|child| child.name.as_str())
                .collect();
            assert_eq!(names, ["UserId", "GroupList", "GroupsIsNames"], "{odd}");
            assert_eq!(root.children[0].text, odd);
            assert_eq!(root.children[1].children[0].text, odd);
        }
    }

    #[test]
    fn what_xml_cannot_carry_is_an_error_that_names_it() {
        for odd in ["a\0b", "a\u{7}", "a\nb", "a\u{FFFE}", "\u{85}"] {
            let error = asked(odd, &[]).unwrap_err();
            assert_eq!((error.what, error.name.as_str()), ("user name", odd));
            assert!(!error.to_string().contains(odd), "{error}");
            assert_eq!(asked("alice", &["x", odd]).unwrap_err().what, "group");
        }
    }

    #[test]
    fn an_answer_is_a_ticket_of_40_hex_characters_or_none() {
        let ticket = "0123456789abcdefABCDEF012345678901234567";
        for text in [
            format!("<Global><_retval_>{ticket}</_retval_></Global>"),
            format!(
                "\u{FEFF}<?xml version=\"1.0\"?>\r\n<Global>\r\n <_retval_> {ticket} </_retval_></Global>\r\n"
            ),
        ] {
            assert_eq!(
                read(text.as_bytes()),
                Told::Ticket(Ticket(ticket.to_owned())),
                "{text}"
            );
        }
        for text in [
            format!("<Global><_retval_>{ticket}0</_retval_></Global>"),
            format!("<Global><_retval_>{}</_retval_></Global>", &ticket[1..]),
            format!("<Global><_retval_>{}g</_retval_></Global>", &ticket[1..]),
            format!("<Global><retval>{ticket}</retval></Global>"),
            format!("<Global><_retval_>{ticket}"),
            "<Global><_retval_/></Global>".to_owned(),
            "<html><body>Sign in</body></html>".to_owned(),
            String::new(),
        ] {
            assert!(matches!(read(text.as_bytes()), Told::Unusable(_)), "{text}");
        }
        assert!(matches!(read(b"<Global>\xff</Global>"), Told::Unusable(_)));
        for text in [
            "Invalid call",
            "<html>Invalid call!</html>",
            "<Global><_retval_>Invalid call</_retval_></Global>",
        ] {
            assert_eq!(read(text.as_bytes()), Told::InvalidCall, "{text}");
        }
    }

    #[test]
    fn the_causes_that_fit_are_told() {
        let causes = |ip: &str, account| causes(Some(ip.parse().unwrap()), account).join("\n");
        let remote = causes("10.0.0.7", None);
        assert!(
            remote.contains("<TrustedIP>10.0.0.7</TrustedIP>"),
            "{remote}"
        );
        assert!(
            !remote.contains("::1") && !remote.contains("Administrators"),
            "{remote}"
        );
        assert!(
            remote.contains("DMS") && remote.contains("Small Business"),
            "{remote}"
        );
        for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(causes(local, None).contains("see ::1"), "{local}");
        }
        let account = causes("10.0.0.7", Some("DOMAIN\\svc"));
        assert!(account.starts_with("the account DOMAIN\\svc"), "{account}");
    }
}
