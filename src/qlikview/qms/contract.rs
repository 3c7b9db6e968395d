//! The contracts of the management service, and SOAP 1.1 envelopes for them.
//!
//! A server offers its own contract and all older ones at one address (CONFIRMED); the newest that
//! both sides know is spoken. The message elements stand in the contract's namespace, the types in
//! namespaces that all contracts share.

use super::error::{Fault, QmsError};
use crate::qlikview::xml::Element;

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const QMS: &str = "http://ws.qliktech.com/QMS/";

/// A contract: the part of its namespace that is its own, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    part: &'static str,
    name: &'static str,
}

/// Every contract that is known, oldest first: 11.20 to 12.70. CONFIRMED
pub(super) const CONTRACTS: [Contract; 8] = [
    Contract {
        part: "11/",
        name: "IQMS",
    },
    Contract {
        part: "12/",
        name: "IQMS",
    },
    Contract {
        part: "12/2/",
        name: "IQMS2",
    },
    Contract {
        part: "12/3/",
        name: "IQMS3",
    },
    Contract {
        part: "12/4/",
        name: "IQMS4",
    },
    Contract {
        part: "12/5/",
        name: "IQMS5",
    },
    Contract {
        part: "12/6/",
        name: "IQMS6",
    },
    Contract {
        part: "12/7/",
        name: "IQMS7",
    },
];

/// An operation of QMS that the gateway calls, with its parameters in the order of the schema.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) parameters: Vec<(&'static str, Parameter)>,
}

/// A parameter.
pub(super) enum Parameter {
    /// A plain value: a guid, a text, flags.
    Text(String),
    /// A document; it is renamed to the parameter and keeps what is in it.
    Document(Element),
}

impl Contract {
    /// The oldest, which every server of 11.20 and later offers.
    pub(super) const OLDEST: Self = CONTRACTS[0];

    /// The newest known contract that a description names.
    pub(super) fn newest_in(wsdl: &str) -> Option<Self> {
        let offers = |contract: &&Self| {
            let namespace = contract.namespace();
            wsdl.contains(&format!("\"{namespace}\"")) || wsdl.contains(&format!("'{namespace}'"))
        };
        CONTRACTS.iter().rev().find(offers).copied()
    }

    /// The name with the namespace, as people tell contracts apart.
    #[must_use]
    pub fn label(self) -> String {
        format!("{} ({})", self.name, self.namespace())
    }

    /// Whether it has `GetQVWSSetting`: from IQMS2, that is 12.10. CONFIRMED
    pub(super) fn tells_web_servers(self) -> bool {
        !matches!(self.part, "11/" | "12/")
    }

    fn namespace(self) -> String {
        format!("{QMS}{}", self.part)
    }

    /// The value of `SOAPAction`, in its quotes.
    pub(super) fn action(self, operation: &str) -> String {
        format!("\"{}{}/{operation}\"", self.namespace(), self.name)
    }

    /// The request, as bytes to send.
    pub(super) fn envelope(self, operation: Operation) -> String {
        let namespace = self.namespace();
        let parameters = operation
            .parameters
            .into_iter()
            .map(|(name, parameter)| match parameter {
                Parameter::Text(text) => Element::new(&namespace, name).with_text(text),
                Parameter::Document(document) => Element {
                    namespace: namespace.clone(),
                    name: name.to_owned(),
                    ..document
                },
            })
            .collect();
        let message = Element::new(&namespace, operation.name).with_children(parameters);
        let body = Element::new(SOAP, "Body").with_children(vec![message]);
        let envelope = Element::new(SOAP, "Envelope").with_children(vec![body]);
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>{}",
            envelope.write()
        )
    }
}

/// The result in an answer: the element `...Result`, or nothing where the operation has none.
pub(super) fn result(operation: &'static str, answer: &str) -> Result<Option<Element>, QmsError> {
    let mut envelope = Element::parse(answer)?;
    if (envelope.namespace.as_str(), envelope.name.as_str()) != (SOAP, "Envelope") {
        let name = envelope.name;
        return Err(QmsError::NotSoap(format!("its root element is {name}")));
    }
    let body = envelope.take("Body");
    let mut message = body
        .and_then(|body| body.children.into_iter().next())
        .ok_or_else(|| QmsError::NotSoap("its body is empty".to_owned()))?;
    if (message.namespace.as_str(), message.name.as_str()) == (SOAP, "Fault") {
        return Err(QmsError::Fault(Fault::read(operation, &message)));
    }
    if message.name != format!("{operation}Response") {
        let problem = format!("it is a {}", message.name);
        return Err(QmsError::Answer { operation, problem });
    }
    Ok(message.take(&format!("{operation}Result")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_contract_is_spoken() {
        let import = |part: &str| format!("<wsdl:import namespace=\"{QMS}{part}\"/>");
        let wsdl = [import("11/"), import("12/"), import("12/4/")].concat();
        assert_eq!(Contract::newest_in(&wsdl).unwrap().name, "IQMS4");
        assert_eq!(Contract::newest_in(&import("11/")), Some(Contract::OLDEST));
        let later = [import("12/7/"), import("12/9/")].concat();
        assert_eq!(Contract::newest_in(&later).unwrap().name, "IQMS7");
        assert_eq!(Contract::newest_in("<html/>"), None);
    }

    #[test]
    fn actions_and_messages_are_in_the_namespace_of_the_contract() {
        let contract = Contract::OLDEST;
        assert_eq!(
            contract.action("GetCALConfiguration"),
            "\"http://ws.qliktech.com/QMS/11/IQMS/GetCALConfiguration\""
        );
        let envelope = contract.envelope(Operation {
            name: "GetCALConfiguration",
            parameters: vec![
                ("qvsID", Parameter::Text("1 & 2".to_owned())),
                ("scope", Parameter::Text("NamedCALs".to_owned())),
            ],
        });
        let wanted = "<Body><GetCALConfiguration xmlns=\"http://ws.qliktech.com/QMS/11/\">\
            <qvsID>1 &amp; 2</qvsID><scope>NamedCALs</scope></GetCALConfiguration></Body>";
        assert!(envelope.contains(wanted), "{envelope}");
    }

    #[test]
    fn answers_are_results_or_errors_that_say_why() {
        let answer = |body: &str| {
            format!("<s:Envelope xmlns:s=\"{SOAP}\"><s:Body>{body}</s:Body></s:Envelope>")
        };
        let found = result("Ping", &answer("<PingResponse xmlns='urn:x'/>")).unwrap();
        assert_eq!(found, None);
        let text = "<GetXResponse xmlns='urn:x'><GetXResult>k</GetXResult></GetXResponse>";
        let found = result("GetX", &answer(text)).unwrap().unwrap();
        assert_eq!(found.text(), Some("k"));
        for (wrong, part) in [
            (answer(""), "its body is empty"),
            (answer("<OtherResponse/>"), "it is a OtherResponse"),
            ("<html/>".to_owned(), "its root element is html"),
            ("no XML".to_owned(), "no SOAP"),
            (
                answer("<s:Fault><faultstring>QVS is off</faultstring></s:Fault>"),
                "QVS is off",
            ),
        ] {
            let error = result("GetX", &wrong).unwrap_err().to_string();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }
}
