//! `/QMS/Service` on the embedded licence server: who may call, what is answered, what is changed.

#![cfg(test)]

use accesspoint::store::Scope;
use reqwest::Method;

use super::{assigns, with};
use crate::gateway::{Answer, Client, Gateway};

const SERVICE: &str = "/QMS/Service";
const NAMESPACE: &str = "http://ws.qliktech.com/QMS/11/";

/// A script with a token.
struct Script {
    client: Client,
    token: String,
    key: Option<String>,
}

impl Script {
    async fn new(gateway: &Gateway, scopes: &[Scope]) -> Self {
        let mut script = Self {
            client: gateway.client(),
            token: gateway.token(scopes).await,
            key: None,
        };
        let answer = script.call("GetTimeLimitedServiceKey", "").await;
        if answer.status == 200 {
            script.key = Some(inner(&answer.text(), "GetTimeLimitedServiceKeyResult"));
        }
        script
    }

    async fn call(&self, operation: &str, parameters: &str) -> Answer {
        let call = self
            .client
            .request(Method::POST, SERVICE)
            .basic_auth("anybody", Some(&self.token))
            .header("content-type", "text/xml; charset=utf-8")
            .header("soapaction", format!("\"{NAMESPACE}IQMS/{operation}\""))
            .body(format!(
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
                 <{operation} xmlns=\"{NAMESPACE}\">{parameters}</{operation}></s:Body></s:Envelope>"
            ));
        let call = match &self.key {
            Some(key) => call.header("x-service-key", key),
            None => call,
        };
        self.client.send(call).await
    }

    async fn server(&self) -> String {
        let answer = self
            .call("GetServices", "<serviceTypes>QlikViewServer</serviceTypes>")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        inner(&answer.text(), "ID")
    }
}

/// What stands in the first element of this name, whatever its prefix.
fn inner(xml: &str, name: &str) -> String {
    let start = xml
        .match_indices(name)
        .find(|(at, _)| {
            matches!(xml.as_bytes()[at - 1], b'<' | b':') && !xml[..*at].ends_with("</")
        })
        .unwrap_or_else(|| panic!("no {name} in {xml}"))
        .0;
    let rest = &xml[start..];
    let rest = &rest[rest.find('>').unwrap() + 1..];
    rest[..rest.find("</").unwrap()].to_owned()
}

const ON: &str = "[compat]\nqms = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_of_the_scope_call_and_only_where_it_is_switched_on() {
    let gateway = with(ON).await;
    for scopes in [
        &[Scope::AdminWrite, Scope::AdminRead][..],
        &[Scope::WebTicket],
    ] {
        let script = Script::new(&gateway, scopes).await;
        let answer = script.call("Ping", "").await;
        assert_eq!(answer.status, 401);
        assert!(
            answer.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Basic")
        );
    }
    assert_eq!(gateway.client().get(SERVICE).await.status, 401);
    let alice = gateway.signed_in("alice").await;
    assert_eq!(
        alice.get(SERVICE).await.status,
        401,
        "a person is no script"
    );
    let off = with("").await;
    let script = Script::new(&off, &[Scope::Qms]).await;
    assert_eq!(script.call("Ping", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_need_the_service_key() {
    let gateway = with(ON).await;
    let mut script = Script::new(&gateway, &[Scope::Qms]).await;
    let key = script.key.take().unwrap();
    assert_eq!(key.len(), 32);
    let missing = script.call("Ping", "").await;
    assert_eq!(missing.status, 500);
    assert_eq!(
        inner(&missing.text(), "faultstring"),
        "Service key is missing"
    );
    assert!(missing.text().contains("ExceptionFault") || missing.text().contains("Exception"));
    script.key = Some("0".repeat(32));
    assert_eq!(script.call("Ping", "").await.status, 500);
    let other = Script::new(&gateway, &[Scope::Qms]).await;
    script.key = other.key.clone();
    assert_eq!(
        script.call("Ping", "").await.status,
        500,
        "another token's key"
    );
    script.key = Some(key);
    assert_eq!(script.call("Ping", "").await.status, 200);
    gateway
        .clock
        .advance(accesspoint::domain::time::Millis::hours(2));
    assert_eq!(script.call("Ping", "").await.status, 500, "a key ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn cals_are_told_and_changed_by_the_rules() {
    let gateway = with(ON).await;
    let script = Script::new(&gateway, &[Scope::Qms]).await;
    let server = script.server().await;
    assert_eq!(script.server().await, server, "stable");
    assigns(&gateway, "alice").await;
    let asked = format!("<qvsID>{server}</qvsID><scope>NamedCALs</scope>");
    let told = script.call("GetCALConfiguration", &asked).await.text();
    assert_eq!(inner(&told, "UserName"), "CUSTOM\\alice");
    assert_eq!(inner(&told, "InLicense"), "5");
    let save = |users: &[&str], lease: &str| {
        let one = |user: &&str| {
            format!(
                "<c:AssignedNamedCAL><c:UserName>CUSTOM\\{user}</c:UserName></c:AssignedNamedCAL>"
            )
        };
        let cals = users.iter().map(one).collect::<Vec<_>>().concat();
        format!(
            "<calConfiguration xmlns:c=\"http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects.CALs\">\
             <c:NamedCALs><c:AllowLicenseLease>{lease}</c:AllowLicenseLease>\
             <c:AssignedCALs>{cals}</c:AssignedCALs></c:NamedCALs><c:QVSID>{server}</c:QVSID>\
             <c:Scope>NamedCALs</c:Scope></calConfiguration>"
        )
    };
    let saved = script
        .call("SaveCALConfiguration", &save(&["bob"], "false"))
        .await;
    assert_eq!(saved.status, 200, "{}", saved.text());
    let cals = gateway.app.ledger().cals("", 10).unwrap();
    let holders: Vec<&str> = cals.iter().map(|cal| cal.user.as_str()).collect();
    assert_eq!(
        holders,
        ["bob"],
        "alice's was never used, so it is free at once"
    );
    let told = script.call("GetCALConfiguration", &asked).await.text();
    assert_eq!(inner(&told, "AllowLicenseLease"), "false");
    // A name that was not seen yet may hold one; more than the licence holds may not.
    let many = ["bob", "carl", "dora", "emil", "fay", "gus"];
    let refused = script
        .call("SaveCALConfiguration", &save(&many, "true"))
        .await;
    assert_eq!(refused.status, 500);
    assert!(
        inner(&refused.text(), "faultstring").contains("gus"),
        "{}",
        refused.text()
    );
    assert_eq!(gateway.app.ledger().cals("", 10).unwrap().len(), 5);
    let asked = format!("<qvsID>{server}</qvsID><user>custom\\Bob</user>");
    let bob = script.call("GetCALInfoForUser", &asked).await.text();
    assert_eq!(inner(&bob, "UserName"), "CUSTOM\\bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_licence_are_told_without_the_serial_number() {
    let gateway = with(ON).await;
    let lef = "1234567890123456\nPRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;5;;\n";
    let loaded = gateway.app.load_license(
        lef,
        accesspoint::domain::administer::Force::No,
        accesspoint::store::Actor::command_line(),
    );
    loaded.await.unwrap();
    let script = Script::new(&gateway, &[Scope::Qms]).await;
    let server = script.server().await;
    let documents = script
        .call("GetUserDocuments", &format!("<qvsID>{server}</qvsID>"))
        .await
        .text();
    assert!(documents.contains("Orders.qvw") && documents.contains("Budget.qvw"));
    let asked = format!("<licenseType>QlikViewServer</licenseType><serviceID>{server}</serviceID>");
    let license = script.call("GetLicense", &asked).await.text();
    assert!(license.contains("NUMBER_OF_NAMED_CALS"), "{license}");
    assert!(!license.contains("1234567890123456"), "{license}");
    assert_eq!(inner(&license, "LEFOk"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_a_fault_that_names_it() {
    let gateway = with(ON).await;
    let script = Script::new(&gateway, &[Scope::Qms]).await;
    let server = script.server().await;
    for (operation, parameters, word) in [
        ("GetEverything", String::new(), "GetEverything"),
        (
            "GetServices",
            "<serviceTypes>Q l i k</serviceTypes>".to_owned(),
            "\"Q\"",
        ),
        (
            "GetCALConfiguration",
            "<qvsID>none</qvsID><scope>All</scope>".to_owned(),
            "none",
        ),
        ("SaveCALConfiguration", String::new(), "calConfiguration"),
        (
            "GetCALInfoForUser",
            format!("<qvsID>{server}</qvsID>"),
            "user",
        ),
        (
            "GetLicense",
            format!("<licenseType>Sense</licenseType><serviceID>{server}</serviceID>"),
            "Sense",
        ),
    ] {
        let answer = script.call(operation, &parameters).await;
        assert_eq!(answer.status, 500, "{operation}");
        let fault = inner(&answer.text(), "faultstring");
        assert!(
            fault.contains(word) || fault.contains(&word.replace('"', "&quot;")),
            "{fault}"
        );
    }
    let wsdl = script
        .client
        .request(Method::GET, "/qms/service?wsdl")
        .basic_auth("x", Some(&script.token));
    let wsdl = script.client.send(wsdl).await;
    assert_eq!(wsdl.status, 200);
    assert!(
        wsdl.text()
            .contains(&format!("{}/QMS/Service", gateway.url("")))
    );
}
