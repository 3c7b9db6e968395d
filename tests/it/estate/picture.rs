//! The gateway in front of an estate: its picture, its predictions, what it assigns and watches for.

use accesspoint::app::check::Level;
use accesspoint::app::estate::EstateError;
use accesspoint::app::estate::check::check;
use accesspoint::clock::Clock;
use accesspoint::domain::client::ClientKind;
use accesspoint::domain::open::{Access, CalStep, LeaseOutcome, RequestedDocument};
use accesspoint::domain::person::{AutomaticCal, Person};
use accesspoint::domain::refusal::RefusalCode;
use accesspoint::domain::time::Millis;
use accesspoint::domain::workstation::{Workstation, WorkstationId};
use accesspoint::store::{Onward, OpenCommand, Predicted, Scope, Unpredicted};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::gateway::Gateway;
use crate::stand_in::management::{Lease, Wrong};
use crate::stand_in::{NEVER, StandIn, settings};

/// A gateway in front of the stand-in, with somebody called ann.
async fn gateway(stand_in: &StandIn, more: &str) -> Gateway {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let gateway = Gateway::with_clock(1, &stand_in.settings(more), clock, |_| ()).await;
    gateway.add("ann", &[]).await;
    gateway
}

fn workstation(id: &str) -> Workstation {
    Workstation {
        id: WorkstationId::from(id),
        name: id.to_owned(),
    }
}

fn ann_holds_a_cal(stand_in: &StandIn) {
    stand_in.known().assigned = vec![("CUSTOM\\ANN".to_owned(), "2026-11-20T00:00:00", NEVER)];
}

fn command(person: &Person, client: ClientKind, on: &str) -> OpenCommand {
    OpenCommand {
        person: person.id.clone(),
        workstation: workstation(on),
        document: RequestedDocument {
            id: "orders".to_owned(),
            name: Some("Sales/Orders.qvw".to_owned()),
        },
        client,
        session_hash: "a session".to_owned(),
    }
}

fn onward() -> Onward {
    Onward {
        session_id: "a session".to_owned(),
        address: "127.0.0.1".to_owned(),
        path: "/QvAJAXZfc/opendoc.htm?document=Sales%2FOrders.qvw".to_owned(),
    }
}

/// What an open on a workstation by ann is predicted to become.
async fn try_to_predict(
    gateway: &Gateway,
    client: ClientKind,
    on: &str,
) -> Result<Predicted, EstateError> {
    let person = gateway.app.user("ann").unwrap();
    let open = command(&person, client, on);
    let estate = gateway.app.estate().unwrap();
    estate.predict(&person, open, onward()).await
}

async fn predicted(gateway: &Gateway, client: ClientKind, on: &str) -> Predicted {
    try_to_predict(gateway, client, on).await.unwrap()
}

async fn lease(gateway: &Gateway, on: &str) -> LeaseOutcome {
    predicted(gateway, ClientKind::Plugin, on)
        .await
        .opened
        .answer
        .lease
}

fn code(outcome: &LeaseOutcome) -> RefusalCode {
    match outcome {
        LeaseOutcome::Refused(refusal) => refusal.code(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_predicted_from_the_picture() {
    let stand_in = StandIn::start().await;
    ann_holds_a_cal(&stand_in);
    let gateway = gateway(&stand_in, "").await;
    let answer = predicted(&gateway, ClientKind::Plugin, "here").await.opened;
    assert_eq!(answer.answer.access, Access::Granted(CalStep::Held));
    let LeaseOutcome::Granted(lease) = answer.answer.lease else {
        panic!("{:?}", answer.answer.lease)
    };
    assert_eq!(lease.expires_at.to_string(), "2026-12-24T12:00:00.000Z");
    assert!(answer.launch.is_some());
    let browser = predicted(&gateway, ClientKind::Ajax, "here").await.opened;
    assert_eq!(browser.answer.lease, LeaseOutcome::NotApplicable);
    // Nothing of it became the gateway's own.
    let ledger = gateway.app.ledger();
    assert!(ledger.cals("", 10).unwrap().is_empty());
    // Two opens, one picture: it is less than a minute old.
    assert_eq!(stand_in.times("GetCALConfiguration"), 1);
    gateway.clock.advance(Millis::seconds(61));
    predicted(&gateway, ClientKind::Plugin, "here").await;
    assert_eq!(stand_in.times("GetCALConfiguration"), 2);
    stand_in.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn opens_leave_one_event_each_that_says_predicted() {
    let stand_in = StandIn::start().await;
    ann_holds_a_cal(&stand_in);
    let gateway = gateway(&stand_in, "").await;
    predicted(&gateway, ClientKind::Plugin, "here").await;
    let ledger = gateway.app.ledger();
    let rows = ledger.audit(&accesspoint::store::AuditFilter {
        limit: 1,
        ..Default::default()
    });
    let row = rows.unwrap().remove(0);
    let text = format!("{row:?}");
    assert!(
        text.contains("document_opened") && text.contains("predicted"),
        "{text}"
    );
    assert!(!text.contains("lease_id"), "{text}");
    assert!(ledger.check().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_over_direct_qvp_count() {
    let stand_in = StandIn::start().await;
    ann_holds_a_cal(&stand_in);
    stand_in.known().leases = vec![
        Lease::new(
            "CUSTOM\\ANN",
            "PC-1",
            "2026-11-20T00:00:00",
            "2026-11-24T08:00:00",
        ),
        Lease::new("custom\\ann", "PC-2", "2026-11-22T00:00:00", NEVER),
        Lease::new("CUSTOM\\BEN", "PC-3", "2026-11-22T00:00:00", NEVER),
    ];
    let gateway = gateway(&stand_in, "").await;
    let LeaseOutcome::Refused(refusal) = lease(&gateway, "here").await else {
        panic!("granted on a third workstation")
    };
    assert_eq!(refusal.code(), RefusalCode::WorkstationLimit);
    let retry_at = refusal.retry_at().unwrap().to_string();
    assert_eq!(retry_at, "2026-11-29T00:00:00.000Z");
    let others = refusal.workstations().iter();
    let names: Vec<&str> = others
        .map(|other| other.workstation.name.as_str())
        .collect();
    assert_eq!(names, ["PC-2", "PC-1"]);
    let client = gateway.signed_in("ann").await;
    let listed = client.get("/api/v1/leases").await;
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{items:?}");
    let machine = items
        .iter()
        .find(|item| item["workstation"]["id"] == "PC-1")
        .unwrap();
    assert_eq!(machine["expires_at"], "2026-12-24T08:00:00.000Z");
    assert_eq!(
        (&machine["state"], &machine["workstation"]["name"]),
        (&"live".into(), &"PC-1".into())
    );
    assert!(machine["token"].is_null());
    let auditor = gateway.with_token(&[Scope::AdminRead]).await;
    let listed = auditor.get("/api/v1/admin/leases?user=ann").await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    let all = auditor.get("/api/v1/admin/leases").await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 3);
    let cals = auditor.get("/api/v1/admin/cals").await;
    let cal = &cals.body["items"][0];
    assert_eq!(
        (&cal["user"], &cal["state"]),
        (&"ann".into(), &"assigned".into())
    );
    assert!(cal["assigned_at"].is_null());
    let license = auditor.get("/api/v1/admin/license").await;
    assert_eq!(license.body["named_cals"], 5);
    let writer = gateway.with_token(&[Scope::AdminWrite]).await;
    let assigned = writer
        .post("/api/v1/admin/cals", &json!({ "user": "ben" }))
        .await;
    assigned.problem(409, "OWNED_BY_SERVER");
    assert!(
        assigned.body["detail"].to_string().contains("QMC"),
        "{assigned:?}"
    );
    let switch = json!({ "allow_license_lease": false });
    let request = writer.request(Method::PATCH, "/api/v1/admin/settings");
    let switched = writer.send(request.json(&switch)).await;
    switched.problem(409, "OWNED_BY_SERVER");
    let metrics = gateway.with_token(&[Scope::Metrics]).await;
    let metrics = String::from_utf8(metrics.get("/metrics").await.bytes).unwrap();
    assert!(
        metrics.contains("accesspoint_estate_age_seconds 0\n"),
        "{metrics}"
    );
    assert!(metrics.contains("accesspoint_cals_held 5\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_outcome_says_what_was_seen() {
    let stand_in = StandIn::start().await;
    ann_holds_a_cal(&stand_in);
    let gateway = gateway(&stand_in, "").await;
    let estate = gateway.app.estate().unwrap();
    estate.sync().await.unwrap();
    let client = gateway.signed_in("ann").await;
    let page = async || {
        let answer = client.get("/account/lease").await;
        assert_eq!(answer.status, 200);
        let comes_again = answer.headers.contains_key("refresh");
        (String::from_utf8(answer.bytes).unwrap(), comes_again)
    };
    assert!(page().await.0.contains("Nothing was opened"));
    let session = client.get("/api/v1/session").await;
    let here = workstation(session.body["workstation"]["id"].as_str().unwrap());
    let person = gateway.app.user("ann").unwrap();
    estate.watch(&person, &here).await.unwrap();
    let (text, comes_again) = page().await;
    assert!(text.contains("is being asked") && comes_again, "{text}");
    stand_in.known().leases.push(Lease::new(
        "CUSTOM\\ANN",
        "PC <7>",
        "2026-11-24T12:00:05",
        NEVER,
    ));
    let text = loop {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let (text, comes_again) = page().await;
        if !comes_again {
            break text;
        }
    };
    assert!(
        text.contains("has leased to PC &#60;7&#62; until"),
        "{text}"
    );
    let account = String::from_utf8(client.get("/account").await.bytes).unwrap();
    assert!(
        account.contains("PC &#60;7&#62;") && !account.contains("/release"),
        "{account}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_cal_refuses_access_where_there_is_no_other_kind() {
    let stand_in = StandIn::start().await;
    let gateway = gateway(&stand_in, "").await;
    let refused = predicted(&gateway, ClientKind::Plugin, "here").await.opened;
    let Access::Refused(refusal) = refused.answer.access else {
        panic!("{:?}", refused.answer)
    };
    assert_eq!(refusal.code(), RefusalCode::NoCalAssigned);
    assert!(refused.launch.is_none());
    stand_in.known().session_cals = 3;
    gateway.app.estate().unwrap().sync().await.unwrap();
    let granted = predicted(&gateway, ClientKind::Plugin, "here").await.opened;
    assert_eq!(
        granted.answer.access,
        Access::Granted(CalStep::LeftToServer)
    );
    assert_eq!(code(&granted.answer.lease), RefusalCode::NoCalAssigned);
    assert!(granted.launch.is_some());
    stand_in.known().dynamic = true;
    gateway.app.estate().unwrap().sync().await.unwrap();
    let dynamic = predicted(&gateway, ClientKind::Plugin, "here").await.opened;
    assert_eq!(dynamic.answer.access, Access::Granted(CalStep::Assigned));
    assert!(matches!(dynamic.answer.lease, LeaseOutcome::Granted(_)));
    // It is the server that assigns: nothing was saved.
    assert_eq!(stand_in.known().saved, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_licence_forbids_is_predicted() {
    let stand_in = StandIn::start().await;
    ann_holds_a_cal(&stand_in);
    let gateway = gateway(&stand_in, "").await;
    let estate = gateway.app.estate().unwrap();
    for (lef, expected) in [
        (
            "PRODUCTLEVEL;10;;\nSPECIAL_EDITION;TEST;;",
            RefusalCode::LicenseTestEdition,
        ),
        (
            "PRODUCTLEVEL;10;;\nLICENSE_LEASE;NO;;",
            RefusalCode::LicenseForbidsLease,
        ),
        (
            "PRODUCTLEVEL;10;;\nNUMBER_OF_DOCUMENTS;3;;",
            RefusalCode::LicenseLimitsDocuments,
        ),
        ("PRODUCTLEVEL;10;;2026-11-01", RefusalCode::LicenseExpired),
    ] {
        stand_in.known().lef = Some(lef);
        estate.sync().await.unwrap();
        assert_eq!(code(&lease(&gateway, "here").await), expected, "{lef}");
    }
    stand_in.known().lef = None;
    stand_in.known().lease = Some(false);
    estate.sync().await.unwrap();
    assert_eq!(
        code(&lease(&gateway, "here").await),
        RefusalCode::LeasingSwitchedOff
    );
    stand_in.known().lease = None;
    estate.sync().await.unwrap();
    assert!(matches!(
        lease(&gateway, "here").await,
        LeaseOutcome::Granted(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_predicted_is_left_to_the_server() {
    let stand_in = StandIn::start().await;
    let gateway = gateway(&stand_in, "assign_cals = true\n").await;
    let estate = gateway.app.estate().unwrap();
    stand_in.known().signed_key = true;
    let found = predicted(&gateway, ClientKind::Plugin, "here").await;
    assert_eq!(found.unpredicted, Some(Unpredicted::SignedKey));
    assert_eq!(
        found.opened.answer.access,
        Access::Granted(CalStep::LeftToServer)
    );
    assert_eq!(found.opened.answer.lease, LeaseOutcome::NotApplicable);
    stand_in.known().signed_key = false;
    stand_in.known().identification = "MachineName";
    estate.sync().await.unwrap();
    let found = predicted(&gateway, ClientKind::Plugin, "here").await;
    assert_eq!(found.unpredicted, Some(Unpredicted::MachineNames));
    assert_eq!(stand_in.known().saved, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_assigns_where_the_site_wants_it() {
    let stand_in = StandIn::start().await;
    let gateway = gateway(&stand_in, "assign_cals = true\n").await;
    let first = predicted(&gateway, ClientKind::Plugin, "here").await.opened;
    assert_eq!(first.answer.access, Access::Granted(CalStep::Held));
    assert_eq!(stand_in.known().assigned[0].0, "CUSTOM\\ann");
    predicted(&gateway, ClientKind::Plugin, "here").await;
    assert_eq!(stand_in.known().saved, 1);
    stand_in.known().assigned.clear();
    stand_in.known().in_license = 0;
    stand_in.known().session_cals = 1;
    gateway.app.estate().unwrap().sync().await.unwrap();
    let none = predicted(&gateway, ClientKind::Plugin, "here").await.opened;
    assert_eq!(code(&none.answer.lease), RefusalCode::LicenseHasNoNamedCals);
    assert_eq!(stand_in.known().saved, 1);
    stand_in.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_lease_is_seen_after_a_launch_and_its_machine_known_from_then_on() {
    let stand_in = StandIn::start().await;
    ann_holds_a_cal(&stand_in);
    stand_in.known().leases = vec![Lease::new(
        "CUSTOM\\ANN",
        "PC-1",
        "2026-11-23T00:00:00",
        NEVER,
    )];
    let gateway = gateway(&stand_in, "").await;
    let here = workstation("here");
    lease(&gateway, "here").await;
    let estate = gateway.app.estate().unwrap();
    let person = gateway.app.user("ann").unwrap();
    estate.watch(&person, &here).await.unwrap();
    let watched = estate.watched(&person, &here).unwrap().unwrap();
    assert_eq!((watched.ended_at, watched.machine), (None, None));
    stand_in.known().leases.push(Lease::new(
        "CUSTOM\\ANN",
        "PC-2",
        "2026-11-24T12:00:05",
        NEVER,
    ));
    let watched = loop {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let watched = estate.watched(&person, &here).unwrap().unwrap();
        if watched.ended_at.is_some() {
            break watched;
        }
    };
    assert_eq!(watched.machine.as_deref(), Some("PC-2"));
    assert_eq!(
        watched.seen_at.unwrap().to_string(),
        "2026-11-24T12:00:05.000Z"
    );
    assert_eq!(gateway.app.leases_of(&person).unwrap().len(), 2);
    // Two machines leased: a third is refused, and this one, whose name is known now, renews.
    assert!(matches!(
        lease(&gateway, "here").await,
        LeaseOutcome::Renewed(_)
    ));
    assert_eq!(
        code(&lease(&gateway, "third").await),
        RefusalCode::WorkstationLimit
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ill_service_is_listed_and_said_at_opens() {
    let stand_in = StandIn::start().await;
    ann_holds_a_cal(&stand_in);
    let gateway = gateway(&stand_in, "").await;
    let estate = gateway.app.estate().unwrap();
    estate.sync().await.unwrap();
    let ready = async || gateway.client().get("/readyz").await;
    assert_eq!(ready().await.body["ill"], json!([]));
    stand_in.does(Wrong::Fault(
        "GetCALConfiguration",
        "QVS could not be contacted",
    ));
    estate.sync().await.unwrap_err();
    let answer = ready().await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body["ill"]
            .to_string()
            .contains("QVS could not be contacted"),
        "{answer:?}"
    );
    // The picture is good for a minute; then opens say what is wrong.
    predicted(&gateway, ClientKind::Plugin, "here").await;
    gateway.clock.advance(Millis::seconds(61));
    let stale = estate.ensure_fresh().await.unwrap_err().to_string();
    assert!(stale.contains("QVS could not be contacted"), "{stale}");
    let asked = stand_in.times("GetCALConfiguration");
    estate.ensure_fresh().await.unwrap_err();
    assert_eq!(stand_in.times("GetCALConfiguration"), asked);
    stand_in.does(Wrong::Nothing);
    gateway.clock.advance(Millis::seconds(6));
    predicted(&gateway, ClientKind::Plugin, "here").await;
    assert_eq!(ready().await.body["ill"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_cals_become_a_picture_that_follows_changes() {
    let stand_in = StandIn::start().await;
    stand_in.known().in_license = 20_000;
    stand_in.known().assigned = (0..10_000)
        .map(|number| {
            (
                format!("CUSTOM\\USER{number}"),
                "2026-11-01T08:00:00",
                NEVER,
            )
        })
        .collect();
    let gateway = gateway(&stand_in, "").await;
    let estate = gateway.app.estate().unwrap();
    estate.sync().await.unwrap();
    let ledger = gateway.app.ledger();
    assert_eq!(ledger.estate_now().unwrap().unwrap().taken, 10_000);
    stand_in.known().assigned.truncate(9_000);
    let resting = (
        "CUSTOM\\USER9999".to_owned(),
        "2026-11-01T08:00:00",
        "2026-11-25T00:00:00",
    );
    stand_in.known().removed = vec![resting];
    estate.sync().await.unwrap();
    assert_eq!(ledger.estate_now().unwrap().unwrap().taken, 9_001);
    let rows = ledger.estate_cals("user9998", 10).unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].cal.is_assigned() && rows[0].assigned_at.is_none());
    gateway.clock.advance(Millis::days(1));
    assert_eq!(ledger.estate_now().unwrap().unwrap().taken, 9_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_walks_the_chain_and_says_what_to_change() {
    let stand_in = StandIn::start().await;
    let gateway = gateway(&stand_in, "").await;
    let qlikview = gateway.app.config().qlikview.clone();
    let found = async || {
        let findings = check(&qlikview, gateway.app.now()).await;
        let lines = findings.into_iter();
        lines
            .map(|line| (line.level, line.text))
            .collect::<Vec<_>>()
    };
    let says = |found: &[(Level, String)], level: Level, part: &str| {
        assert!(
            found
                .iter()
                .any(|(at, text)| *at == level && text.contains(part)),
            "{part}: {found:#?}"
        );
    };
    let good = found().await;
    assert!(
        good.iter().all(|(level, _)| *level != Level::Fault),
        "{good:#?}"
    );
    for part in [
        "IQMS7",
        "service key",
        "QVS@cluster",
        "Allow license lease",
        "Prohibit",
        "DMS",
    ] {
        says(&good, Level::Ok, part);
    }
    {
        let mut known = stand_in.known();
        known.lease = Some(false);
        known.anonymous = Some("AllowAnonymous");
        known.dms = Some(false);
    }
    let bad = found().await;
    says(&bad, Level::Fault, "Client Access Licenses");
    says(&bad, Level::Fault, "Prohibit anonymous");
    says(&bad, Level::Fault, "DMS authorization");
    {
        let mut known = stand_in.known();
        known.lease = None;
        known.anonymous = None;
        known.dms = None;
    }
    let untold = found().await;
    assert!(
        untold.iter().all(|(level, _)| *level != Level::Fault),
        "{untold:#?}"
    );
    says(&untold, Level::Warning, "Allow license lease");
    says(&untold, Level::Warning, "anonymous");
    says(&untold, Level::Warning, "DMS");
    for (operation, group) in [
        ("GetTimeLimitedServiceKey", "QlikView Management API"),
        ("GetServices", "QlikView Management API"),
    ] {
        stand_in.does(Wrong::Fault(operation, "Access is denied."));
        let denied = found().await;
        says(&denied, Level::Fault, group);
    }
    stand_in.does(Wrong::Fault("GetQVSSettings", "Access is denied."));
    says(&found().await, Level::Warning, "QlikView Administrators");
    stand_in.does(Wrong::Status(404));
    says(&found().await, Level::Fault, "/QMS/Service");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_assigns_nothing_while_somebody_else_changes_the_cals() {
    let stand_in = StandIn::start().await;
    stand_in.known().in_license = 500;
    let gateway = gateway(&stand_in, "assign_cals = true\n").await;
    gateway.app.estate().unwrap().sync().await.unwrap();
    stand_in.does(Wrong::Contends(100));
    let error = try_to_predict(&gateway, ClientKind::Plugin, "here").await;
    assert!(matches!(error, Err(EstateError::Contended)), "{error:?}");
    assert_eq!(stand_in.known().saved, 0);
    stand_in.does(Wrong::Nothing);
    let answer = predicted(&gateway, ClientKind::Plugin, "here").await;
    assert_eq!(answer.opened.answer.access, Access::Granted(CalStep::Held));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_cal_through_the_gateway_whose_mapping_says_never() {
    let stand_in = StandIn::start().await;
    let gateway = gateway(&stand_in, "assign_cals = true\n").await;
    let mut person = gateway.app.user("ann").unwrap();
    person.automatic_cal = AutomaticCal::Never;
    let estate = gateway.app.estate().unwrap();
    let open = command(&person, ClientKind::Plugin, "here");
    estate.predict(&person, open, onward()).await.unwrap();
    assert_eq!(stand_in.known().saved, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_checks_an_estate_that_was_never_started_in_front_of() {
    let stand_in = StandIn::start().await;
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("documents")).unwrap();
    let file = folder.path().join("accesspoint.toml");
    let run = async |settings: String| {
        std::fs::write(&file, settings).unwrap();
        let file = file.clone();
        let output = tokio::task::spawn_blocking(move || {
            std::process::Command::new(env!("CARGO_BIN_EXE_accesspoint"))
                .args(["check", "--config"])
                .arg(file)
                .output()
        });
        let output = output.await.unwrap().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = run(stand_in.settings("")).await;
    assert!(
        said.contains("QMS manages the server QVS@cluster"),
        "{said}"
    );
    let faults: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("fault"))
        .collect();
    assert_eq!((code, faults.len()), (Some(0), 0), "{said}");
    let (code, said) = run(settings(
        &["https://127.0.0.1:9"],
        "http://127.0.0.1:9/QMS/Service",
        "",
    ))
    .await;
    assert!(said.contains("port 4799 open from here"), "{said}");
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = run("license.server = 'qlikview'\n".to_owned()).await;
    assert!(
        said.contains("web_server") && said.contains("management_service"),
        "{said}"
    );
    assert_eq!(code, Some(1), "{said}");
}
