//! The client of the web servers, against the stand-in.

use std::time::Duration;

use accesspoint::app::check::Level;
use accesspoint::app::estate::check::check;
use accesspoint::clock::Clock;
use accesspoint::config::QlikView;
use accesspoint::domain::client::ClientKind;
use accesspoint::qlikview::web::{TicketUser, WebError, WebServers};
use tempfile::TempDir;

use super::{config, config_of};
use crate::pki::Authority;
use crate::stand_in::StandIn;
use crate::stand_in::web::{Account, Document, TicketAsked, WebWrong};

fn settings(stand_in: &StandIn, more: &str) -> QlikView {
    config_of(&stand_in.settings(more)).qlikview
}

fn ann() -> TicketUser {
    TicketUser {
        name: "CUSTOM\\ann".to_owned(),
        groups: vec!["finance".to_owned(), "R & D".to_owned()],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lists_what_its_person_sees_and_ends() {
    let stand_in = StandIn::start().await;
    for number in 0..120 {
        let path = format!("More/Document {number}.qvw");
        let more = Document::new(&path, "More", &[]);
        stand_in.known().web.documents.push(more);
    }
    let servers = WebServers::new(&settings(&stand_in, "")).unwrap();
    let session = servers.sign_in(&ann()).await.unwrap();
    let listed = servers.documents(&session).await.unwrap();
    assert_eq!(listed.len(), 124);
    let budget = listed
        .iter()
        .find(|listed| listed.path == "Finance/Budget.qvw");
    let budget = budget.unwrap();
    assert_eq!(
        (budget.host.as_str(), budget.size_bytes),
        ("QVS@cluster", 2 * 1024 * 1024)
    );
    assert_eq!(budget.modified_at, "2026-11-20T06:30:00.000Z".parse().ok());
    assert_eq!(
        budget.clients,
        [ClientKind::Desktop, ClientKind::Plugin, ClientKind::Ajax]
    );
    let asked = stand_in.known().web.tickets_asked.clone();
    let expected = TicketAsked {
        user: "CUSTOM\\ann".to_owned(),
        groups: Some(vec!["finance".to_owned(), "R & D".to_owned()]),
        groups_is_names: Some(true),
    };
    assert_eq!(asked, [expected]);
    let ben = TicketUser {
        name: "CUSTOM\\ben".to_owned(),
        groups: Vec::new(),
    };
    let other = servers.sign_in(&ben).await.unwrap();
    assert_eq!(servers.documents(&other).await.unwrap().len(), 123);
    assert_eq!(stand_in.known().web.sessions(), 2);
    servers.sign_out(&session).await;
    assert_eq!(stand_in.known().web.sessions(), 1);
    let error = servers.documents(&session).await.unwrap_err();
    assert!(matches!(error, WebError::SignedOut { .. }), "{error}");
    stand_in.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_stands_where_the_certificate_is_trusted() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path());
    let stand_in = StandIn::over_tls(authority.server(&["127.0.0.1"])).await;
    let trusts = format!("ca_file = {:?}\n", authority.file);
    let servers = WebServers::new(&settings(&stand_in, &trusts)).unwrap();
    let session = servers.sign_in(&ann()).await.unwrap();
    assert_eq!(servers.documents(&session).await.unwrap().len(), 4);
    let strangers = WebServers::new(&settings(&stand_in, "")).unwrap();
    let error = strangers.sign_in(&ann()).await.unwrap_err();
    assert!(
        error.is_silence() && error.to_string().contains("ca_file"),
        "{error}"
    );
    stand_in.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_asked_for_by_the_account_where_the_server_wants_one() {
    let stand_in = StandIn::start().await;
    stand_in.known().web.ntlm = Some(Account {
        user: "DOMAIN\\svc".to_owned(),
        password: "right".to_owned(),
    });
    let with = |password: &str| {
        let account =
            format!("management_user = 'DOMAIN\\svc'\nmanagement_password = '{password}'\n");
        WebServers::new(&settings(&stand_in, &account)).unwrap()
    };
    let servers = with("right");
    for _ in 0..6 {
        let session = servers.sign_in(&ann()).await.unwrap();
        servers.documents(&session).await.unwrap();
    }
    let error = with("wrong").sign_in(&ann()).await.unwrap_err().to_string();
    assert!(
        error.contains("DOMAIN\\svc") && !error.contains("wrong:"),
        "{error}"
    );
    let nobody = WebServers::new(&settings(&stand_in, "")).unwrap();
    let error = nobody.sign_in(&ann()).await.unwrap_err().to_string();
    assert!(error.contains("management_user"), "{error}");
    stand_in.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_web_server_does_wrong_is_told() {
    for (path, wrong, part) in [
        (
            "/QvAJAXZfc/GetWebTicket.aspx",
            WebWrong::Says("Invalid call".to_owned()),
            "TrustedIP",
        ),
        (
            "/QvAJAXZfc/GetWebTicket.aspx",
            WebWrong::Status(500),
            "status 500",
        ),
        (
            "/QvAJAXZfc/GetWebTicket.aspx",
            WebWrong::HangsUp,
            "broke the connection",
        ),
        (
            "/QvAJAXZfc/GetWebTicket.aspx",
            WebWrong::CutsBodies,
            "broke the connection",
        ),
        ("/QvAJAXZfc/GetWebTicket.aspx", WebWrong::Slow, "within"),
        (
            "/QvAJAXZfc/Authenticate.aspx",
            WebWrong::LeadsTo("/qlikview/login.htm".to_owned()),
            "does not take",
        ),
        (
            "/QvAJAXZfc/Authenticate.aspx",
            WebWrong::AsksFor("NTLM".to_owned()),
            "status 401",
        ),
    ] {
        let stand_in = StandIn::start().await;
        stand_in.known().web.does(path, wrong.clone());
        let limit = Duration::from_secs(2);
        let servers = WebServers::with(&settings(&stand_in, ""), Clock::system(), limit).unwrap();
        let signed_in = servers.sign_in(&ann()).await;
        let error = signed_in.map(drop).map_err(|error| error.to_string());
        let told = error.as_ref().is_err_and(|text| text.contains(part));
        assert!(told, "{wrong:?}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_looks_at_each_web_server() {
    let mut stand_in = StandIn::start().await;
    stand_in.add_web_server().await;
    let lines = async |settings: &QlikView| -> Vec<(Level, String)> {
        let found = check(settings, Clock::system().now()).await;
        found
            .into_iter()
            .map(|line| (line.level, line.text))
            .collect()
    };
    let says = |found: &[(Level, String)], level: Level, part: &str| {
        let fits = |(at, text): &&(Level, String)| *at == level && text.contains(part);
        let count = found.iter().filter(fits).count();
        assert!(count > 0, "{part}: {found:#?}");
        count
    };
    let two = settings(&stand_in, "");
    let good = lines(&two).await;
    for part in [
        "the web server answers at",
        "gives web tickets",
        "pages of AccessPoint",
    ] {
        assert_eq!(says(&good, Level::Ok, part), 2, "{part}");
    }
    assert!(
        good.iter().all(|(level, _)| *level != Level::Fault),
        "{good:#?}"
    );
    assert_eq!(
        stand_in.known().web.tickets_asked[0].user,
        "CUSTOM\\accesspoint-check"
    );
    assert_eq!(stand_in.known().web.sessions(), 0);
    stand_in.known().web.trusted.clear();
    let untrusted = lines(&two).await;
    for part in ["<TrustedIP>127.0.0.1</TrustedIP>", "::1", "DMS"] {
        assert_eq!(says(&untrusted, Level::Fault, part), 2, "{part}");
    }
    let nowhere = lines(&config(&stand_in.service(), "").qlikview).await;
    says(&nowhere, Level::Fault, "https://127.0.0.1:9");
    says(&nowhere, Level::Ok, "QMS speaks");
    stand_in.was_asked_well();
}
