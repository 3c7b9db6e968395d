//! What can go wrong between the gateway and the management service, in plain sentences.

use crate::qlikview::link::LinkError;
use crate::qlikview::xml::{Element, XmlError};

/// How much of a text of the server is repeated, in characters.
const REPEATED_MAX: usize = 300;

/// Why the management service gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum QmsError {
    /// It could not be asked.
    #[error("the management service {0}")]
    Link(LinkError),
    /// Another status than SOAP has.
    #[error("the management service answered with status {0}")]
    Status(u16),
    /// A SOAP fault.
    #[error("{0}")]
    Fault(Fault),
    /// An answer that is no SOAP.
    #[error("the management service answered something that is no SOAP: {0}")]
    NotSoap(String),
    /// An answer that lacks something, or holds what cannot be.
    #[error("the answer of the management service to {operation} cannot be used: {problem}")]
    Answer {
        /// The operation.
        operation: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It knows no `QlikView` Server.
    #[error("the management service knows no QlikView Server")]
    NoServer,
    /// It knows several, and the configuration names none or another one.
    #[error("the management service knows these QlikView Servers: {}; set qlikview.server_name to one of them", .0.join(", "))]
    WhichServer(Vec<String>),
}

/// A SOAP fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the management service refused {operation}: {text}{}", self.hint())]
pub struct Fault {
    /// The operation.
    pub operation: &'static str,
    /// What the server says, cut short, without line breaks.
    pub text: String,
}

impl QmsError {
    /// Whether the service could not be reached at all, in contrast to one that answers badly.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        match self {
            Self::Link(error) => error.is_silence(),
            Self::Status(status) => matches!(status, 502..=504),
            _ => false,
        }
    }

    /// Whether the fault asks for a new service key.
    pub(super) fn asks_for_key(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.asks_for_key())
    }
}

impl From<LinkError> for QmsError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<XmlError> for QmsError {
    fn from(error: XmlError) -> Self {
        Self::NotSoap(error.to_string())
    }
}

impl Fault {
    /// Reads the fault in a SOAP body, in the words of the exception where it brings one.
    pub(super) fn read(operation: &'static str, fault: &Element) -> Self {
        let exception = fault.child("detail").and_then(|detail| {
            let exception = detail.children.first()?;
            exception.child_text("Message")
        });
        let text = fault.child_text("faultstring").or(exception);
        Self {
            operation,
            text: shortened(text.unwrap_or("no reason is given")),
        }
    }

    /// The server words a missing key as `Service key is missing` (CONFIRMED); what it says of one
    /// that is too old is UNKNOWN, so every fault that speaks of a key counts.
    fn asks_for_key(&self) -> bool {
        let text = self.text.to_lowercase();
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
        words.contains(&"key") || text.contains("servicekey")
    }

    /// Whether the account may not ask this. The wording of the server is RECALLED.
    #[must_use]
    pub fn denies_access(&self) -> bool {
        let text = self.text.to_lowercase();
        [
            "denied",
            "authori",
            "permission",
            "not a member",
            "not member",
            "privilege",
        ]
        .iter()
        .any(|word| text.contains(word))
    }

    /// The group that an account lacks which may not ask this: nearly everything needs QlikView
    /// Management API, settings and licences QlikView Administrators too. CONFIRMED
    #[must_use]
    pub fn missing_group(&self) -> Option<&'static str> {
        if !self.denies_access() {
            return None;
        }
        let text = self.text.to_lowercase();
        let named = [ADMINISTRATORS, MANAGEMENT_API]
            .into_iter()
            .find(|group| text.contains(&group.to_lowercase()));
        let of_operation = match self.operation {
            "SaveCALConfiguration" | "GetQVSSettings" | "GetQVWSSetting" | "ClearQVSCache" => {
                ADMINISTRATORS
            }
            _ => MANAGEMENT_API,
        };
        Some(named.unwrap_or(of_operation))
    }

    fn hint(&self) -> String {
        self.missing_group().map_or_else(String::new, |group| {
            format!("; the account is probably missing from the group {group}")
        })
    }
}

const ADMINISTRATORS: &str = "QlikView Administrators";
const MANAGEMENT_API: &str = "QlikView Management API";

/// One line of what a server says, cut where it goes on for too long.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let visible = line.chars().filter(|letter| !letter.is_control());
    visible.take(REPEATED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(operation: &'static str, text: &str) -> Fault {
        let text = text.to_owned();
        Fault { operation, text }
    }

    #[test]
    fn faults_are_read_with_or_without_the_exception() {
        let xml = r#"<s:Fault xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">
            <faultcode>s:Client</faultcode><faultstring xml:lang="en-US">Service
            key is missing</faultstring></s:Fault>"#;
        let read = Fault::read("Ping", &Element::parse(xml).unwrap());
        assert_eq!(read, fault("Ping", "Service key is missing"));
        let xml = r#"<Fault><faultcode/><detail><Exception xmlns="urn:x"><Message>No QVS</Message>
            </Exception></detail></Fault>"#;
        assert_eq!(
            Fault::read("Ping", &Element::parse(xml).unwrap()).text,
            "No QVS"
        );
        let xml = "<Fault><faultcode>s:Server</faultcode></Fault>";
        assert_eq!(
            Fault::read("Ping", &Element::parse(xml).unwrap()).text,
            "no reason is given"
        );
    }

    #[test]
    fn a_fault_about_the_key_is_told_from_others() {
        for text in [
            "Service key is missing",
            "The key has expired",
            "Invalid service key.",
        ] {
            assert!(fault("GetServices", text).asks_for_key(), "{text}");
        }
        for text in ["Keyboard not found", "Access is denied.", ""] {
            assert!(!fault("GetServices", text).asks_for_key(), "{text}");
        }
    }

    #[test]
    fn the_missing_group_is_named() {
        let table = [
            ("GetServices", "Access is denied.", Some(MANAGEMENT_API)),
            ("GetQVSSettings", "Access is denied.", Some(ADMINISTRATORS)),
            (
                "GetServices",
                "Not a member of QlikView Administrators",
                Some(ADMINISTRATORS),
            ),
            ("GetServices", "Could not contact the server", None),
        ];
        for (operation, text, group) in table {
            assert_eq!(fault(operation, text).missing_group(), group, "{text}");
        }
    }

    #[test]
    fn what_the_server_says_is_one_short_line() {
        let xml = format!(
            "<Fault><faultstring>a\n\tb {}</faultstring></Fault>",
            "x".repeat(999)
        );
        let read = Fault::read("Ping", &Element::parse(&xml).unwrap());
        assert!(read.text.starts_with("a b x") && read.text.chars().count() == REPEATED_MAX);
    }
}
