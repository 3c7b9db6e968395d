//! The management service: strict about what it is asked, and able to misbehave.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::web::Web;
use super::xml::Node;
use super::{NEVER, Shared, escaped};

/// Bytes of a call; the CALs of 10,000 people are a part of it.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(crate) const SERVER_ID: &str = "11111111-2222-3333-4444-555555555555";
const OTHER_ID: &str = "66666666-2222-3333-4444-555555555555";
const WEB_SERVER_ID: &str = "99999999-2222-3333-4444-555555555555";
const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const QMS: &str = "http://ws.qliktech.com/QMS/";
const DATA: &str = "http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects";
const CALS: &str = "http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects.CALs";

/// The parameters of each operation, in the order of the schema.
const PARAMETERS: [(&str, &[&str]); 11] = [
    ("GetTimeLimitedServiceKey", &[]),
    ("Ping", &[]),
    ("GetServices", &["serviceTypes"]),
    ("GetCALConfiguration", &["qvsID", "scope"]),
    ("SaveCALConfiguration", &["calConfiguration"]),
    ("GetCALInfoForUser", &["qvsID", "user"]),
    ("GetUserDocuments", &["qvsID"]),
    ("GetLicense", &["licenseType", "serviceID"]),
    ("GetQVSSettings", &["qvsID", "scope"]),
    ("GetQVWSSetting", &["qvwsID"]),
    ("ClearQVSCache", &["objects"]),
];

/// The members of the types that are saved, in the order of the schema.
const MEMBERS: [(&str, &[&str]); 4] = [
    (
        "calConfiguration",
        &[
            "DocumentCALs",
            "NamedCALs",
            "QVSID",
            "Scope",
            "SessionCALs",
            "Uncapped",
            "UsageCALs",
        ],
    ),
    (
        "NamedCALs",
        &[
            "AllowDynamicAssignment",
            "AllowDynamicAssignmentAnalyzer",
            "AllowDynamicAssignmentProfessional",
            "AllowLicenseLease",
            "Assigned",
            "AssignedCALs",
            "IdentificationMode",
            "InLicense",
            "LeasedCALs",
            "Limit",
            "RemovedAssignedCALs",
        ],
    ),
    (
        "AssignedNamedCAL",
        &["LastUsed", "MachineID", "QuarantinedUntil", "UserName"],
    ),
    (
        "LeasedNamedCAL",
        &[
            "LastUsed",
            "MachineID",
            "QuarantinedUntil",
            "UserName",
            "LeasedAt",
        ],
    ),
];

/// What the service does wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wrong {
    #[default]
    Nothing,
    /// Answers this operation with this fault.
    Fault(&'static str, &'static str),
    /// Answers everything with this status.
    Status(u16),
    /// Answers every operation with this text.
    Garbage(&'static str),
    /// Answers nothing in time.
    Slow,
    /// Somebody else takes a CAL whenever CALs were read, so many times.
    Contends(u32),
}

/// A named CAL: user, last use, end of its quarantine.
pub(crate) type Cal = (String, &'static str, &'static str);

/// A lease; instants as `QlikView` writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) user: String,
    pub(crate) machine: String,
    pub(crate) leased_at: String,
    pub(crate) last_used: String,
}

impl Lease {
    pub(crate) fn new(user: &str, machine: &str, leased_at: &str, last_used: &str) -> Self {
        Self {
            user: user.to_owned(),
            machine: machine.to_owned(),
            leased_at: leased_at.to_owned(),
            last_used: last_used.to_owned(),
        }
    }
}

/// What the server knows and what it was asked.
pub(crate) struct Known {
    pub(crate) wrong: Wrong,
    /// The parts of the namespaces of the contracts on offer, and the names of the contracts.
    pub(crate) contracts: Vec<(&'static str, &'static str)>,
    pub(crate) key: u32,
    pub(crate) servers: Vec<&'static str>,
    pub(crate) in_license: u32,
    pub(crate) session_cals: u32,
    pub(crate) dynamic: bool,
    pub(crate) lease: Option<bool>,
    pub(crate) identification: &'static str,
    pub(crate) assigned: Vec<Cal>,
    pub(crate) removed: Vec<Cal>,
    pub(crate) leases: Vec<Lease>,
    pub(crate) lef: Option<&'static str>,
    pub(crate) signed_key: bool,
    pub(crate) anonymous: Option<&'static str>,
    pub(crate) dms: Option<bool>,
    /// Each operation that was asked, with the contract.
    pub(crate) asked: Vec<(String, String)>,
    /// Envelopes that went back and forth.
    pub(crate) envelopes: Vec<String>,
    /// What was not as the schema wants it.
    pub(crate) complaints: Vec<String>,
    pub(crate) saved: u32,
    /// What the web servers know.
    pub(crate) web: Web,
    intruders: u32,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            wrong: Wrong::Nothing,
            contracts: vec![
                ("11/", "IQMS"),
                ("12/", "IQMS"),
                ("12/2/", "IQMS2"),
                ("12/7/", "IQMS7"),
            ],
            key: 1,
            servers: vec!["QVS@cluster"],
            in_license: 5,
            session_cals: 0,
            dynamic: false,
            lease: Some(true),
            identification: "UserName",
            assigned: Vec::new(),
            removed: Vec::new(),
            leases: Vec::new(),
            lef: Some("PRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;5;;"),
            signed_key: false,
            anonymous: Some("ProhibitAnonymous"),
            dms: Some(true),
            asked: Vec::new(),
            envelopes: Vec::new(),
            complaints: Vec::new(),
            saved: 0,
            web: Web::default(),
            intruders: 0,
        }
    }
}

/// Its routes.
pub(super) fn routes(known: Shared) -> Router {
    let service = post(answer).get(describe);
    let limit = DefaultBodyLimit::max(BODY_BYTES_MAX);
    Router::new()
        .route("/QMS/Service", service.layer(limit))
        .with_state(known)
}

async fn describe(
    State(known): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let known = known.lock().unwrap();
    if let Wrong::Status(status) = known.wrong {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    if !query.contains_key("wsdl") || known.contracts.len() < 2 {
        return (StatusCode::OK, "<html>A service</html>").into_response();
    }
    let mut text = "<wsdl:definitions xmlns:wsdl='http://schemas.xmlsoap.org/wsdl/'>".to_owned();
    for (part, _) in &known.contracts {
        write!(
            text,
            "<wsdl:import namespace=\"{QMS}{part}\" location='x'/>"
        )
        .unwrap();
    }
    text += "</wsdl:definitions>";
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}

async fn answer(State(known): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let wrong = known.lock().unwrap().wrong.clone();
    match wrong {
        Wrong::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Wrong::Garbage(text) => return (StatusCode::OK, text).into_response(),
        Wrong::Slow => tokio::time::sleep(Duration::from_mins(1)).await,
        _ => {}
    }
    let mut known = known.lock().unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let (status, envelope) = known.answer(&headers, &text);
    known.envelopes.push(text);
    known.envelopes.push(envelope.clone());
    let kind = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
    (status, kind, envelope).into_response()
}

impl Known {
    fn answer(&mut self, headers: &HeaderMap, text: &str) -> (StatusCode, String) {
        let envelope = match Node::read(text) {
            Ok(envelope) => envelope,
            Err(why) => {
                self.complaints.push(format!("{why}: {text}"));
                return fault("The envelope cannot be read");
            }
        };
        self.expect(&envelope.namespace, SOAP);
        let message = envelope.child("Body").children[0].clone();
        let contract = self
            .contracts
            .iter()
            .find(|(part, _)| message.namespace == format!("{QMS}{part}"));
        let Some(&(part, contract)) = contract else {
            return fault("ContractFilter mismatch at the EndpointDispatcher");
        };
        let operation = message.name.clone();
        self.check_request(headers, part, contract, &message);
        self.asked.push((operation.clone(), contract.to_owned()));
        if let Wrong::Fault(at, why) = self.wrong
            && at == operation
        {
            return fault(why);
        }
        if operation != "GetTimeLimitedServiceKey" {
            match headers
                .get("x-service-key")
                .map(|key| key.to_str().unwrap())
            {
                None => return fault("Service key is missing"),
                Some(key) if key != self.key_text() => return fault("Service key has expired"),
                Some(_) => {}
            }
        }
        match self.result(&operation, &message) {
            Ok(result) => (
                StatusCode::OK,
                format!(
                    "<s:Envelope xmlns:s=\"{SOAP}\"><s:Body><{operation}Response \
                     xmlns=\"{QMS}{part}\">{result}</{operation}Response></s:Body></s:Envelope>"
                ),
            ),
            Err(why) => fault(&why),
        }
    }

    fn check_request(&mut self, headers: &HeaderMap, part: &str, contract: &str, message: &Node) {
        let header = |name: &str| {
            let value = headers.get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        self.expect(&header("content-type"), "text/xml; charset=utf-8");
        let operation = &message.name;
        self.expect(
            &header("soapaction"),
            &format!("\"{QMS}{part}{contract}/{operation}\""),
        );
        let wanted = PARAMETERS.iter().find(|(name, _)| name == operation);
        let wanted = wanted.map_or(&[][..], |(_, wanted)| wanted);
        self.expect(&message.names().join(" "), &wanted.join(" "));
        for parameter in &message.children {
            self.expect(&parameter.namespace, &message.namespace);
            self.check_members(parameter);
        }
    }

    /// Members stand in the order of their type; WCF drops those that do not.
    fn check_members(&mut self, node: &Node) {
        if let Some((_, members)) = MEMBERS.iter().find(|(name, _)| *name == node.name) {
            let mut rest = members.iter();
            for name in node.names() {
                if !rest.any(|member| *member == name) {
                    let complaint = format!("{name} out of order in {}", node.name);
                    self.complaints.push(complaint);
                }
            }
        }
        for child in &node.children {
            self.expect(&child.namespace, CALS);
            self.check_members(child);
        }
    }

    fn expect(&mut self, found: &str, wanted: &str) {
        if found != wanted {
            self.complaints
                .push(format!("{found:?} in place of {wanted:?}"));
        }
    }

    fn key_text(&self) -> String {
        format!("{:032}", self.key)
    }

    fn result(&mut self, operation: &str, message: &Node) -> Result<String, String> {
        let wrap = |inner: String| {
            format!(
                "<{operation}Result xmlns:d=\"{DATA}\" xmlns:c=\"{CALS}\" \
                 xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">{inner}</{operation}Result>"
            )
        };
        if message.names().contains(&"qvsID") && message.text_of("qvsID") != SERVER_ID {
            return Err("There is no such server".to_owned());
        }
        Ok(match operation {
            "GetTimeLimitedServiceKey" => wrap(self.key_text()),
            "GetServices" => wrap(self.services(message.text_of("serviceTypes"))),
            "GetCALConfiguration" => {
                let result = wrap(self.configuration(message.text_of("scope")));
                if let Wrong::Contends(left @ 1..) = self.wrong {
                    self.wrong = Wrong::Contends(left - 1);
                    self.intruders += 1;
                    let user = format!("CUSTOM\\INTRUDER{}", self.intruders);
                    self.assigned.push((user, NEVER, NEVER));
                }
                result
            }
            "SaveCALConfiguration" => {
                self.save(message.child("calConfiguration"));
                String::new()
            }
            "GetCALInfoForUser" => wrap(self.of_user(message.text_of("user"))),
            "GetLicense" => wrap(self.license()),
            "GetQVSSettings" => wrap(self.settings()),
            "GetQVWSSetting" => wrap(
                "<d:Port>443</d:Port><d:Prefix>CUSTOM\\</d:Prefix>\
                 <d:QvWsAuthenticationType>CustomUser</d:QvWsAuthenticationType>"
                    .to_owned(),
            ),
            "GetUserDocuments" => wrap(
                "<d:DocumentNode><d:Name>Orders.qvw</d:Name>\
                 <d:RelativePath>Sales</d:RelativePath></d:DocumentNode>"
                    .to_owned(),
            ),
            _ => String::new(),
        })
    }

    fn services(&self, kind: &str) -> String {
        let service = |id: &str, name: &str| {
            format!(
                "<d:ServiceInfo><d:Address>qvp://{name}/</d:Address><d:ID>{id}</d:ID>\
                 <d:Name>{name}</d:Name><d:Type>{kind}</d:Type></d:ServiceInfo>"
            )
        };
        if kind == "QlikViewWebServer" {
            return service(WEB_SERVER_ID, "QVWS@web");
        }
        let ids = [SERVER_ID, OTHER_ID];
        let servers = self.servers.iter().zip(ids);
        servers.map(|(name, id)| service(id, name)).collect()
    }

    fn configuration(&self, scope: &str) -> String {
        let cals = |cals: &[Cal]| -> String { cals.iter().map(cal).collect() };
        let lease = self.lease.map_or_else(String::new, |on| {
            format!("<c:AllowLicenseLease>{on}</c:AllowLicenseLease>")
        });
        let others = if scope == "All" {
            format!(
                "<c:SessionCALs><c:InLicense>{}</c:InLicense></c:SessionCALs>",
                self.session_cals
            )
        } else {
            String::new()
        };
        let leases: String = self.leases.iter().map(leased).collect();
        format!(
            "<c:NamedCALs><c:AllowDynamicAssignment>{}</c:AllowDynamicAssignment>{lease}\
             <c:Assigned>{}</c:Assigned><c:AssignedCALs>{}</c:AssignedCALs>\
             <c:IdentificationMode>{}</c:IdentificationMode><c:InLicense>{}</c:InLicense>\
             <c:LeasedCALs>{leases}</c:LeasedCALs><c:Limit>{}</c:Limit>\
             <c:RemovedAssignedCALs>{}</c:RemovedAssignedCALs></c:NamedCALs>\
             <c:QVSID>{SERVER_ID}</c:QVSID><c:Scope>{scope}</c:Scope>{others}",
            self.dynamic,
            self.assigned.len(),
            cals(&self.assigned),
            self.identification,
            self.in_license,
            self.in_license,
            cals(&self.removed),
        )
    }

    /// What is saved becomes what is known, as far as a server lets itself be told.
    fn save(&mut self, document: &Node) {
        let named = document.child("NamedCALs");
        let users = |list: &str| -> Vec<String> {
            let entries = named.child(list).children.iter();
            entries
                .map(|cal| cal.text_of("UserName").to_owned())
                .collect()
        };
        let kept = |cals: &[Cal], user: &str| cals.iter().find(|cal| cal.0 == user).cloned();
        let assigned = users("AssignedCALs");
        self.expect(named.text_of("Assigned"), &assigned.len().to_string());
        self.assigned = assigned
            .iter()
            .map(|user| {
                let before = kept(&self.assigned, user).or_else(|| kept(&self.removed, user));
                before.map_or((user.clone(), NEVER, NEVER), |cal| (cal.0, cal.1, NEVER))
            })
            .collect();
        let removed = users("RemovedAssignedCALs");
        self.removed.retain(|cal| removed.contains(&cal.0));
        self.saved += 1;
    }

    fn of_user(&self, user: &str) -> String {
        let same = |name: &str| name.eq_ignore_ascii_case(user);
        let leases: String = self
            .leases
            .iter()
            .filter(|lease| same(&lease.user))
            .map(leased)
            .collect();
        let named = self.assigned.iter().find(|cal| same(&cal.0));
        let named = named.map_or_else(String::new, |found| {
            cal(found).replace("c:AssignedNamedCAL", "c:NamedCAL")
        });
        format!("<c:LeasedNamedCALs>{leases}</c:LeasedNamedCALs>{named}")
    }

    fn license(&self) -> String {
        let text = self.lef.map_or_else(String::new, |lef| {
            format!("<d:LEFFile>{lef}</d:LEFFile><d:LEFOk>true</d:LEFOk>")
        });
        format!("{text}<d:UseSignedKey>{}</d:UseSignedKey>", self.signed_key)
    }

    fn settings(&self) -> String {
        let level = self.anonymous.map_or_else(String::new, |level| {
            format!("<d:Authentication><d:Level>{level}</d:Level></d:Authentication>")
        });
        let dms = self.dms.map_or_else(String::new, |on| {
            format!(
                "<d:Authorization><d:UseDMSAuthorization>{on}</d:UseDMSAuthorization>\
                 </d:Authorization>"
            )
        });
        format!(
            "<d:QVSID>{SERVER_ID}</d:QVSID><d:Scope>Security</d:Scope>\
             <d:Security>{level}{dms}</d:Security>"
        )
    }
}

fn cal((user, last_used, until): &Cal) -> String {
    let user = escaped(user);
    format!(
        "<c:AssignedNamedCAL><c:LastUsed>{last_used}</c:LastUsed><c:MachineID/>\
         <c:QuarantinedUntil>{until}</c:QuarantinedUntil><c:UserName>{user}</c:UserName>\
         </c:AssignedNamedCAL>"
    )
}

fn leased(lease: &Lease) -> String {
    let (user, machine) = (escaped(&lease.user), escaped(&lease.machine));
    let Lease {
        leased_at,
        last_used,
        ..
    } = lease;
    format!(
        "<c:LeasedNamedCAL><c:LastUsed>{last_used}</c:LastUsed><c:MachineID>{machine}</c:MachineID>\
         <c:QuarantinedUntil>{NEVER}</c:QuarantinedUntil><c:UserName>{user}</c:UserName>\
         <c:LeasedAt>{leased_at}</c:LeasedAt></c:LeasedNamedCAL>"
    )
}

fn fault(why: &str) -> (StatusCode, String) {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        format!(
            "<s:Envelope xmlns:s=\"{SOAP}\"><s:Body><s:Fault><faultcode>s:Client</faultcode>\
             <faultstring xml:lang=\"en-US\">{why}</faultstring></s:Fault></s:Body></s:Envelope>"
        ),
    )
}
