//! A client of another make at `/QMS/Service`: Python's zeep, from the vendor's own description where
//! it is on this machine, and from ours.

#![cfg(test)]

use std::path::Path;
use std::process::Command;

use accesspoint::domain::administer::Force;
use accesspoint::store::{Actor, Scope};
use serde_json::{Value, json};

use super::{assigns, with};
use crate::gateway::Gateway;
use crate::stand_in::schemas;

/// Runs the script, and answers what it got.
async fn script(gateway: &Gateway, description: Option<&Path>) -> Value {
    let mut command = Command::new(schemas::python());
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/compat/zeep_client.py"
        ))
        .arg(gateway.url("/QMS/Service"))
        .arg(gateway.token(&[Scope::Qms]).await)
        .args(description);
    if let Some(folder) = schemas::folder() {
        command.env("ACCESSPOINT_QMS_WSDL", folder);
    }
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failed}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A site with somebody who holds a lease, and somebody in quarantine.
async fn site() -> Gateway {
    let gateway = with("[compat]\nqms = true\n").await;
    let lef = "1234567890123456\nPRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;5;;\n";
    let loaded = gateway
        .app
        .load_license(lef, Force::No, Actor::command_line());
    loaded.await.unwrap();
    for name in ["alice", "bob"] {
        assigns(&gateway, name).await;
        let client = gateway.signed_in(name).await;
        let opened = client
            .open(&gateway.document("Sales/Orders"), "plugin")
            .await;
        assert_eq!(opened.body["lease"]["outcome"], "granted");
    }
    let unassigned = gateway.app.unassign_cal("bob", Actor::command_line());
    unassigned.await.unwrap();
    gateway
}

fn is_told(got: &Value) {
    for name in ["without a key", "letters", "another server"] {
        assert!(got[name].is_string(), "{name}: {got}");
    }
    let names = |services: &Value| -> Vec<Value> {
        let services = services.as_array().unwrap().iter();
        services.map(|service| service["Name"].clone()).collect()
    };
    assert_eq!(names(&got["GetServices"]), ["QVS@accesspoint"]);
    assert_eq!(names(&got["all services"]).len(), 3);
    assert_eq!(names(&got["two kinds"]).len(), 2);
    let whole = &got["GetCALConfiguration"];
    assert_eq!(whole["Scope"], json!(["All"]));
    let named = &whole["NamedCALs"];
    assert_eq!(
        (&named["Assigned"], &named["InLicense"], &named["Limit"]),
        (&json!(1), &json!(5), &json!(5))
    );
    let user = |list: &str, kind: &str| named[list][kind][0]["UserName"].clone();
    assert_eq!(user("AssignedCALs", "AssignedNamedCAL"), "CUSTOM\\alice");
    assert_eq!(
        user("RemovedAssignedCALs", "AssignedNamedCAL"),
        "CUSTOM\\bob"
    );
    let leases = named["LeasedCALs"]["LeasedNamedCAL"].as_array().unwrap();
    assert_eq!(leases.len(), 2, "a lease outlives its CAL (R15)");
    let parts = &got["two parts"];
    // What stands for nothing is an object full of nothing to zeep.
    assert!(parts["DocumentCALs"]["Limit"].is_null());
    assert_eq!(parts["SessionCALs"]["Limit"], 0);
    let after = &got["after an assignment"]["NamedCALs"];
    assert_eq!(
        (&after["Assigned"], &after["AllowLicenseLease"]),
        (&json!(2), &json!(false))
    );
    let after = &got["after it was taken back"]["NamedCALs"];
    assert_eq!(
        (&after["Assigned"], &after["AllowLicenseLease"]),
        (&json!(1), &json!(true))
    );
    let alice = &got["GetCALInfoForUser"];
    assert_eq!(alice["NamedCAL"]["UserName"], "CUSTOM\\alice");
    let leased = &alice["LeasedNamedCALs"]["LeasedNamedCAL"][0];
    assert!(
        leased["LeasedAt"]
            .as_str()
            .unwrap()
            .starts_with("2026-11-24")
    );
    assert!(got["GetCALInfoForUser of nobody"]["NamedCAL"]["UserName"].is_null());
    let documents = got["GetUserDocuments"].as_array().unwrap();
    assert_eq!(documents.len(), 3, "those of everybody");
    assert_eq!(documents[1]["Type"], "User");
    let license = &got["GetLicense"];
    assert!(
        license["LEFFile"]
            .to_string()
            .contains("NUMBER_OF_NAMED_CALS")
    );
    assert_eq!(license["LEFOk"], true);
    assert!(!license.to_string().contains("1234567890123456"));
    assert!(got["GetLicense of a publisher"]["LEFFile"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn zeep_calls_every_operation_and_gets_the_same_from_either_description() {
    let gateway = site().await;
    let ours = script(&gateway, None).await;
    is_told(&ours);
    let Some(folder) = schemas::folder() else {
        return;
    };
    assert!(ours["validated"].as_u64().unwrap() > 30, "{ours}");
    let theirs = script(&gateway, Some(&folder)).await;
    for (name, got) in ours.as_object().unwrap() {
        assert_eq!(&theirs[name], got, "{name}");
    }
}
