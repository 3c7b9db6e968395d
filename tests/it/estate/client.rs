//! The client of the management service, against the stand-in.

use std::time::{Duration, Instant};

use accesspoint::domain::time::Timestamp;
use accesspoint::qlikview::LinkError;
use accesspoint::qlikview::qms::{Assigned, Qms, QmsError};
use tempfile::TempDir;

use super::config;
use crate::pki::Authority;
use crate::stand_in::StandIn;
use crate::stand_in::management::{Lease, SERVER_ID, Wrong};

fn client(stand_in: &StandIn, more: &str) -> Qms {
    Qms::new(&config(&stand_in.service(), more).qlikview).unwrap()
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00.000Z".parse().unwrap()
}

fn never() -> &'static str {
    "0001-01-01T00:00:00"
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_asked_as_the_schema_wants_it() {
    let stand_in = StandIn::start().await;
    stand_in.known().assigned = vec![("CUSTOM\\ALICE".to_owned(), never(), never())];
    stand_in.known().leases = vec![Lease::new(
        "CUSTOM\\ALICE",
        "PC-1",
        "2026-11-01T00:00:00",
        never(),
    )];
    let qms = client(&stand_in, "");
    assert!(qms.contract().await.unwrap().label().starts_with("IQMS7"));
    qms.ping().await.unwrap();
    let server = qms.server().await.unwrap();
    assert_eq!(
        (server.id.as_str(), server.name.as_str()),
        (SERVER_ID, "QVS@cluster")
    );
    let cals = qms.cal_configuration(SERVER_ID).await.unwrap();
    assert!(cals.holds("custom\\alice"));
    let of_user = qms.cals_of(SERVER_ID, "CUSTOM\\alice").await.unwrap();
    assert_eq!(of_user.leased[0].machine, "PC-1");
    assert_eq!(of_user.named.unwrap().user, "CUSTOM\\ALICE");
    let license = qms.license(SERVER_ID).await.unwrap();
    assert!(license.lef.unwrap().contains("PRODUCTLEVEL") && !license.signed_key);
    assert_eq!(qms.security(SERVER_ID).await.unwrap().dms, Some(true));
    let web_server = qms.web_servers().await.unwrap().remove(0);
    let settings = qms.web_server_settings(&web_server.id).await.unwrap();
    assert_eq!(settings.unwrap().sign_in.as_deref(), Some("CustomUser"));
    let documents = qms.user_documents(SERVER_ID).await.unwrap();
    assert_eq!(documents[0].relative_path, "Sales");
    let assigned = qms.assign(SERVER_ID, "CUSTOM\\Bob & sons", now()).await;
    assert_eq!(assigned.unwrap(), Assigned::Held);
    assert_eq!(stand_in.known().assigned[1].0, "CUSTOM\\Bob & sons");
    stand_in.was_asked_well();
    stand_in.validate();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_contract_on_offer_is_spoken_and_iqms_where_none_is_described() {
    for (contracts, spoken) in [
        (
            vec![("11/", "IQMS"), ("12/", "IQMS"), ("12/2/", "IQMS2")],
            "IQMS2",
        ),
        (vec![("11/", "IQMS"), ("12/9/", "IQMS9")], "IQMS"),
        (vec![("11/", "IQMS")], "IQMS"),
    ] {
        let stand_in = StandIn::start().await;
        stand_in.known().contracts = contracts;
        let qms = client(&stand_in, "");
        qms.ping().await.unwrap();
        assert_eq!(
            stand_in.known().asked[1],
            ("Ping".to_owned(), spoken.to_owned())
        );
        let web_server = qms.web_server_settings("any").await.unwrap();
        assert_eq!(web_server.is_some(), spoken == "IQMS2");
        stand_in.was_asked_well();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_and_renewed_once() {
    let stand_in = StandIn::start().await;
    let qms = client(&stand_in, "");
    for _ in 0..3 {
        qms.ping().await.unwrap();
    }
    assert_eq!(stand_in.times("GetTimeLimitedServiceKey"), 1);
    stand_in.known().key = 2;
    qms.ping().await.unwrap();
    assert_eq!(stand_in.times("GetTimeLimitedServiceKey"), 2);
    stand_in.does(Wrong::Fault("Ping", "Service key is missing"));
    let error = qms.ping().await.unwrap_err().to_string();
    assert!(error.contains("Service key is missing"), "{error}");
    // One renewal, and no second.
    assert_eq!(stand_in.times("GetTimeLimitedServiceKey"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_nonsense_are_sentences() {
    let stand_in = StandIn::start().await;
    let qms = client(&stand_in, "");
    qms.ping().await.unwrap();
    for (wrong, part) in [
        (
            Wrong::Fault("Ping", "QVS could not be contacted"),
            "QVS could not be contacted",
        ),
        (
            Wrong::Fault("Ping", "Access is denied."),
            "QlikView Management API",
        ),
        (Wrong::Status(404), "status 404"),
        (Wrong::Status(503), "status 503"),
        (Wrong::Garbage("<html>Sign in</html>"), "no SOAP"),
        (Wrong::Garbage("not XML at all <"), "no SOAP"),
        (Wrong::Garbage(""), "no SOAP"),
        (Wrong::Garbage("<!DOCTYPE a><a/>"), "document type"),
    ] {
        stand_in.does(wrong.clone());
        let error = qms.ping().await.unwrap_err();
        assert!(error.to_string().contains(part), "{wrong:?}: {error}");
        assert_eq!(error.is_silence(), wrong == Wrong::Status(503), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_in_time_and_the_next_call_works_again() {
    let stand_in = StandIn::start().await;
    let settings = config(&stand_in.service(), "").qlikview;
    let qms = Qms::with_timeout(&settings, Duration::from_millis(300)).unwrap();
    qms.ping().await.unwrap();
    stand_in.does(Wrong::Slow);
    let begun = Instant::now();
    let error = qms.ping().await.unwrap_err();
    assert!(matches!(error, QmsError::Link(LinkError::TimedOut(_))) && error.is_silence());
    assert!(begun.elapsed() < Duration::from_secs(30));
    stand_in.does(Wrong::Nothing);
    qms.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_service_is_told_from_one_that_cannot_be_found() {
    let address = {
        let stand_in = StandIn::start().await;
        stand_in.service()
    };
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/QMS/Service", free.local_addr().unwrap());
    drop(free);
    let qms = |address: &str| Qms::new(&config(address, "").qlikview).unwrap();
    drop(address);
    let error = qms(&closed).ping().await.unwrap_err();
    assert!(
        matches!(error, QmsError::Link(LinkError::Connect { .. })),
        "{error}"
    );
    let error = qms("http://qms.invalid:4799/").ping().await.unwrap_err();
    assert!(
        matches!(error, QmsError::Link(LinkError::Name { .. })),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_trusted_by_the_file_alone() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path());
    let stand_in = StandIn::over_tls(authority.server(&["127.0.0.1"])).await;
    let error = client(&stand_in, "").ping().await.unwrap_err();
    assert!(
        matches!(error, QmsError::Link(LinkError::Tls(_))) && error.is_silence(),
        "{error}"
    );
    let trusting = client(&stand_in, &format!("ca_file = {:?}\n", authority.file));
    trusting.ping().await.unwrap();
    assert!(trusting.certificate().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn which_server_is_meant_must_be_clear() {
    let stand_in = StandIn::start().await;
    stand_in.known().servers = vec!["QVS@one", "QVS@two"];
    let error = client(&stand_in, "")
        .server()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("QVS@one, QVS@two") && error.contains("server_name"),
        "{error}"
    );
    let named = client(&stand_in, "server_name = 'qvs@TWO'\n");
    assert_eq!(named.server().await.unwrap().name, "QVS@two");
    stand_in.known().servers.clear();
    assert!(matches!(
        client(&stand_in, "").server().await,
        Err(QmsError::NoServer)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_cals_are_read_and_saved() {
    let stand_in = StandIn::start().await;
    stand_in.known().in_license = 20_000;
    stand_in.known().assigned = (0..10_000)
        .map(|number| {
            (
                format!("CUSTOM\\USER{number}"),
                "2026-11-01T08:00:00",
                never(),
            )
        })
        .collect();
    let qms = client(&stand_in, "");
    let cals = qms.cal_configuration(SERVER_ID).await.unwrap();
    assert_eq!(cals.assigned.len(), 10_000);
    let assigned = qms.assign(SERVER_ID, "CUSTOM\\new", now()).await.unwrap();
    assert_eq!(assigned, Assigned::Held);
    assert_eq!(stand_in.known().assigned.len(), 10_001);
    assert_eq!(stand_in.known().assigned[9_999].1, "2026-11-01T08:00:00");
    stand_in.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_somebody_else_is_never_overwritten() {
    let stand_in = StandIn::start().await;
    stand_in.known().in_license = 50;
    let qms = client(&stand_in, "");
    stand_in.does(Wrong::Contends(1));
    let assigned = qms.assign(SERVER_ID, "CUSTOM\\ann", now()).await.unwrap();
    assert_eq!(assigned, Assigned::Held);
    let users = |stand_in: &StandIn| -> Vec<String> {
        let known = stand_in.known();
        known.assigned.iter().map(|cal| cal.0.clone()).collect()
    };
    assert_eq!(users(&stand_in), ["CUSTOM\\INTRUDER1", "CUSTOM\\ann"]);
    stand_in.does(Wrong::Contends(100));
    let assigned = qms.assign(SERVER_ID, "CUSTOM\\ben", now()).await.unwrap();
    assert_eq!(assigned, Assigned::Contended);
    assert_eq!(stand_in.known().saved, 1);
    assert!(!users(&stand_in).contains(&"CUSTOM\\ben".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn cals_are_given_back_and_none_is_taken_where_none_is_free() {
    let stand_in = StandIn::start().await;
    stand_in.known().in_license = 2;
    stand_in.known().assigned = vec![("CUSTOM\\ALICE".to_owned(), never(), never())];
    let resting = (
        "CUSTOM\\BOB".to_owned(),
        "2026-11-20T00:00:00",
        "2026-11-27T00:00:00",
    );
    stand_in.known().removed = vec![resting];
    let qms = client(&stand_in, "");
    let assign = async |user: &str| qms.assign(SERVER_ID, user, now()).await.unwrap();
    assert_eq!(assign("CUSTOM\\carol").await, Assigned::NoneFree);
    assert_eq!(assign("custom\\alice").await, Assigned::Held);
    assert_eq!(stand_in.known().saved, 0);
    assert_eq!(assign("CUSTOM\\bob").await, Assigned::Held);
    assert!(stand_in.known().removed.is_empty());
    assert_eq!(stand_in.known().assigned[1].1, "2026-11-20T00:00:00");
}
