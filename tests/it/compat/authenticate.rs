//! `GET Authenticate.aspx`: a browser brings a ticket, its own, somebody else's, or one too often.

#![cfg(test)]

use accesspoint::domain::person::Role;
use accesspoint::domain::time::Millis;
use accesspoint::store::Actor;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{TRUSTED, brings, encoded, field, get_with, joins, submits, ticket, with};
use crate::gateway::{Client, Gateway, PASSWORD};
use crate::other_sites::other_sites;
use crate::second_factor::enrol;

/// Whether somebody is signed in with this browser; if so, who.
async fn who(browser: &Client) -> Option<String> {
    let session = browser.get("/api/v1/session").await;
    session.body["user"].as_str().map(str::to_owned)
}

/// A browser that was signed in by a ticket.
async fn by_ticket(gateway: &Gateway, user: &str, groups: &[&str]) -> Client {
    let mut browser = gateway.client();
    let ticket = ticket(gateway, user, groups).await;
    let answer = brings(&browser, &ticket, "&try=%2Fqlikview%2F&back=").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location(), "/qlikview/");
    let session = browser.get("/api/v1/session").await;
    let token = session.body["csrf_token"].as_str().unwrap();
    token.clone_into(&mut browser.csrf_token);
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_signs_its_person_in_with_its_groups() {
    let gateway = with(TRUSTED).await;
    joins(&gateway, "bob", "finance").await;
    let names = |answer: crate::gateway::Answer| -> Vec<String> {
        let items = answer.body["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let sales = ["Sales/Orders.qvw", "Sales/Prices.qvw"];
    let all = ["Finance/Budget.qvw", sales[0], sales[1]];
    for (user, groups, seen) in [
        ("alice", &["finance"][..], &all[..]),
        ("alice", &[], &sales),
        // The groups of the ticket stand in place of the person's own.
        ("bob", &["sales"], &sales),
        ("bob", &[], &all),
    ] {
        let browser = by_ticket(&gateway, user, groups).await;
        assert_eq!(who(&browser).await.as_deref(), Some(user));
        let found = names(browser.get("/api/v1/documents").await);
        assert_eq!(found, seen, "{user} {groups:?}");
    }
    let browser = by_ticket(&gateway, "alice", &["finance"]).await;
    let opened = browser
        .open(&gateway.document("Finance/Budget"), "plugin")
        .await;
    assert_eq!(opened.body["access"], "granted");
    let source: Vec<String> = gateway
        .app
        .ledger()
        .sessions(None, "", 10)
        .unwrap()
        .into_iter()
        .map(|row| row.source)
        .collect();
    assert!(source.iter().all(|source| source == "web ticket"));
    assert_eq!(gateway.audited("signed_in").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_session_has_no_role_and_changes_nothing_of_the_account() {
    let gateway = with(TRUSTED).await;
    gateway.add("root", &[Role::Administrator]).await;
    let elsewhere = gateway.signed_in("root").await;
    let browser = by_ticket(&gateway, "root", &[]).await;
    assert_eq!(
        browser.get("/api/v1/session").await.body["roles"],
        json!([])
    );
    browser
        .get("/api/v1/admin/users")
        .await
        .problem(403, "FORBIDDEN");
    let change = json!({ "current_password": PASSWORD, "new_password": "another long one" });
    let request = browser
        .request(Method::PUT, "/api/v1/password")
        .json(&change);
    browser.send(request).await.problem(403, "SIGN_IN_AGAIN");
    let sessions = browser.get("/api/v1/sessions").await;
    let ids: Vec<&str> = sessions.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 2);
    let mut refused = 0;
    for id in &ids {
        let answer = browser.delete(&format!("/api/v1/sessions/{id}")).await;
        refused += usize::from(answer.code() == "SIGN_IN_AGAIN");
    }
    assert_eq!(refused, 1, "its own session it may end");
    assert!(who(&elsewhere).await.is_some() && who(&browser).await.is_none());
    let browser = by_ticket(&gateway, "root", &[]).await;
    let other = gateway.app.ledger().sessions(None, "", 10).unwrap();
    let other = other.iter().find(|row| row.source == "local").unwrap();
    let token = ("csrf_token", browser.csrf_token.as_str());
    let password = [
        token,
        ("current_password", PASSWORD),
        ("new_password", "another long one"),
        ("repeat_password", "another long one"),
    ];
    let end = format!("/account/sessions/{}/end", other.id);
    for (action, fields) in [
        ("/account/password", &password[..]),
        ("/account/sessions/end", &[token]),
        (end.as_str(), &[token]),
    ] {
        let answer = submits(&browser, action, fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{action}");
        assert!(answer.text().contains("fresh sign-in"), "{action}");
    }
    assert!(who(&elsewhere).await.is_some());
    gateway.signed_in("root").await;
}

/// The rule under test: a second factor is asked for from these addresses.
fn factor_from(addresses: &str, more: &str) -> String {
    let rule = format!("[[second_factor.rule]]\naddress = ['{addresses}']\nrequired = true\n");
    format!("{TRUSTED}{more}{rule}")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_second_factor_is_asked_for_a_ticket_opens_nothing() {
    let gateway = with(&factor_from("127.0.0.0/8", "")).await;
    let held = ticket(&gateway, "alice", &[]).await;
    let browser = gateway.client();
    let wanted = "/account";
    let answer = brings(&browser, &held, &format!("&try={wanted}&back=")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let sign_in = answer.location();
    assert_eq!(
        sign_in,
        "/login?return_to=%2Faccount&notice=web-ticket-alone"
    );
    let page = browser.get(&sign_in).await.text();
    assert!(page.contains("A second factor is asked for here"), "{page}");
    assert_eq!(field(&page, "return_to"), wanted);
    assert_eq!(who(&browser).await, None);
    gateway.gave_nothing();
    let refused = gateway.audited("sign_in_refused");
    let expected = (
        Some("SECOND_FACTOR_REQUIRED".to_owned()),
        Some("alice".to_owned()),
    );
    assert_eq!(refused, [expected]);
    // It asks nobody to give up their session for nothing; theirs goes on.
    let enrols = gateway.signed_in("bob").await;
    let answer = brings(&enrols, &held, "").await;
    assert_eq!(answer.location(), "/login?notice=web-ticket-alone");
    assert_eq!(who(&enrols).await.as_deref(), Some("bob"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_nothing_for_whoever_has_enrolled_a_second_factor() {
    let inside = "[[second_factor.rule]]\naddress = ['127.0.0.0/8']\nrequired = false\n";
    let tickets = "[[second_factor.rule]]\nsource = 'web ticket'\nrequired = false\n";
    for (rules, opens) in [("", false), (inside, false), (tickets, true)] {
        let gateway = with(&format!("{TRUSTED}{rules}")).await;
        let mut alice = gateway.signed_in("alice").await;
        enrol(&gateway, &mut alice).await;
        alice.delete("/api/v1/session").await;
        let held = ticket(&gateway, "alice", &[]).await;
        let browser = gateway.client();
        let answer = brings(&browser, &held, "&try=/account&back=").await;
        if opens {
            assert_eq!(who(&browser).await.as_deref(), Some("alice"));
            continue;
        }
        assert_eq!(
            answer.location(),
            "/login?return_to=%2Faccount&notice=web-ticket-alone",
            "{rules}"
        );
        assert_eq!(who(&browser).await, None);
        gateway.gave_nothing();
        let refused = gateway.audited("sign_in_refused");
        let code = refused[0].0.as_deref();
        assert_eq!((refused.len(), code), (1, Some("SECOND_FACTOR_REQUIRED")));
        // Others come in by theirs.
        by_ticket(&gateway, "bob", &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_rule_asks_for_a_second_factor_a_ticket_counts() {
    let role = "[[second_factor.rule]]\nrole = 'administrator'\nrequired = true\n";
    let tickets = "[[second_factor.rule]]\nsource = 'web ticket'\nrequired = false\n";
    for settings in [
        factor_from("192.0.2.0/24", ""),
        factor_from("0.0.0.0/0", tickets),
        // A session without a role is not what such a rule is for.
        format!("{TRUSTED}{role}"),
    ] {
        let gateway = with(&settings).await;
        gateway.add("root", &[Role::Administrator]).await;
        let browser = by_ticket(&gateway, "root", &[]).await;
        let session = browser.get("/api/v1/session").await;
        assert_eq!(session.body["roles"], json!([]), "{settings}");
        browser
            .get("/api/v1/admin/users")
            .await
            .problem(403, "FORBIDDEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s_11_a_ticket_opens_nothing_once_the_sessions_of_its_person_were_ended() {
    let gateway = with(TRUSTED).await;
    let (app, actor) = (&gateway.app, Actor::command_line);
    let alice = app.user("alice").unwrap();
    for what in ["ended", "password", "disabled for a moment"] {
        let held = ticket(&gateway, "alice", &[]).await;
        let others = ticket(&gateway, "bob", &[]).await;
        match what {
            "ended" => {
                let ended = app
                    .ledger()
                    .end_sessions_of(alice.id.clone(), None, actor());
                ended.await.unwrap();
            }
            "password" => {
                let set = app.set_user_password("alice", PASSWORD.to_owned().into(), None, actor());
                set.await.unwrap();
            }
            _ => {
                for active in [false, true] {
                    app.set_user_active("alice", active, actor()).await.unwrap();
                }
            }
        }
        let browser = gateway.client();
        let before = gateway.audited("sign_in_refused").len();
        let answer = brings(&browser, &held, "").await;
        assert_eq!(answer.location(), "/login?notice=web-ticket", "{what}");
        assert_eq!(who(&browser).await, None, "{what}");
        let refused = gateway.audited("sign_in_refused");
        let code = refused[0].0.as_deref();
        assert_eq!(
            (refused.len(), code),
            (before + 1, Some("WEB_TICKET_EXPIRED")),
            "{what}"
        );
        brings(&browser, &others, "").await;
        assert_eq!(who(&browser).await.as_deref(), Some("bob"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_by_ticket_is_told_to_sign_in_again_where_a_proof_is_wanted() {
    let gateway = with(TRUSTED).await;
    let browser = by_ticket(&gateway, "alice", &[]).await;
    for proof in [json!({ "password": PASSWORD }), json!({ "code": "123456" })] {
        let path = "/api/v1/account/second-factors/confirm";
        browser
            .post(path, &proof)
            .await
            .problem(403, "SIGN_IN_AGAIN");
    }
    let page = browser.get("/account/second-factors").await.text();
    assert!(
        page.contains("href=\"/login?return_to=%2Faccount\""),
        "{page}"
    );
    assert!(!page.contains("second-factors/confirm"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_holds_once_and_for_a_minute() {
    let gateway = with(TRUSTED).await;
    let late = ticket(&gateway, "alice", &[]).await;
    let just = ticket(&gateway, "alice", &[]).await;
    gateway.clock.advance(Millis(59_999));
    let browser = gateway.client();
    assert_eq!(
        brings(&browser, &just, "&try=/account").await.location(),
        "/account"
    );
    assert_eq!(who(&browser).await.as_deref(), Some("alice"));
    gateway.clock.advance(Millis(1));
    for (ticket, what) in [
        (&late, "expired"),
        (&just, "replayed"),
        (&"0".repeat(40), "made up"),
        (&String::new(), "empty"),
    ] {
        let other = gateway.client();
        let answer = brings(&other, ticket, "&try=%2Faccount&back=").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{what}");
        assert_eq!(
            answer.location(),
            "/login?return_to=%2Faccount&notice=web-ticket",
            "{what}"
        );
        let page = other.get(&answer.location()).await.text();
        assert!(
            page.contains("used already, or is older than a minute"),
            "{what}"
        );
        assert_eq!(field(&page, "return_to"), "/account", "{what}");
        let back = brings(&other, ticket, "&try=&back=/desktop").await;
        assert_eq!(back.location(), "/desktop", "{what}");
        assert_eq!(who(&other).await, None, "{what}");
    }
    // One that is signed in already stays so.
    brings(&browser, &just, "").await;
    assert_eq!(who(&browser).await.as_deref(), Some("alice"));
    let refused = gateway.audited("sign_in_refused");
    let codes: Vec<&str> = refused
        .iter()
        .map(|(code, _)| code.as_deref().unwrap())
        .collect();
    assert_eq!(
        codes
            .iter()
            .filter(|code| **code == "WEB_TICKET_USED")
            .count(),
        3
    );
    assert_eq!(
        codes
            .iter()
            .filter(|code| **code == "WEB_TICKET_EXPIRED")
            .count(),
        2
    );
    assert_eq!(codes.len(), 5, "what is made up leaves no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_revives_no_ticket() {
    let gateway = with(TRUSTED).await;
    let expired = ticket(&gateway, "alice", &[]).await;
    gateway.clock.advance(Millis::minutes(20));
    gateway.app.ledger().ping().await.unwrap();
    gateway
        .clock
        .set("2026-11-24T12:00:10.000Z".parse().unwrap());
    let browser = gateway.client();
    brings(&browser, &expired, "").await;
    assert_eq!(who(&browser).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_bring_one_ticket_at_once_one_gets_in() {
    let gateway = with(TRUSTED).await;
    for _ in 0..10 {
        let ticket = ticket(&gateway, "alice", &[]).await;
        let browsers = [gateway.client(), gateway.client(), gateway.client()];
        let [a, b, c] = &browsers;
        tokio::join!(
            brings(a, &ticket, ""),
            brings(b, &ticket, ""),
            brings(c, &ticket, "")
        );
        let mut signed_in = 0;
        for browser in &browsers {
            signed_in += usize::from(who(browser).await.is_some());
        }
        assert_eq!(signed_in, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_for_somebody_else_asks_before_it_ends_a_session() {
    let gateway = with(TRUSTED).await;
    let browser = gateway.signed_in("bob").await;
    let ticket_of_alice = ticket(&gateway, "alice", &[]).await;
    let page = brings(&browser, &ticket_of_alice, "&try=/account&back=/desktop").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    assert!(
        text.contains("Sign in as alice") && text.contains("as bob"),
        "{text}"
    );
    assert!(!text.contains("lang=de\"") || !text.contains(&format!("webticket={ticket_of_alice}")));
    assert_eq!(who(&browser).await.as_deref(), Some("bob"));
    // Nobody can agree in their place.
    let forged = [
        ("csrf_token", "x"),
        ("webticket", ticket_of_alice.as_str()),
        ("wanted", "/account"),
    ];
    assert_eq!(
        submits(&browser, "/web-ticket", &forged).await.status,
        StatusCode::FORBIDDEN
    );
    let other = gateway.client();
    assert_eq!(
        submits(&other, "/web-ticket", &forged).await.status,
        StatusCode::UNAUTHORIZED
    );
    let token = field(&text, "csrf_token");
    let agreed = [
        ("csrf_token", token.as_str()),
        ("webticket", ticket_of_alice.as_str()),
        ("wanted", "/account"),
        ("back", "/desktop"),
    ];
    assert_eq!(
        submits(&browser, "/web-ticket", &agreed).await.location(),
        "/account"
    );
    assert_eq!(who(&browser).await.as_deref(), Some("alice"));
    let sessions = gateway.app.ledger().sessions(None, "", 10).unwrap();
    assert_eq!(sessions.len(), 1, "the session of bob has ended");
    // One's own ticket asks nothing, and the old session is over (S-01).
    let old = browser.cookie("__Host-session").unwrap();
    let again = ticket(&gateway, "alice", &[]).await;
    assert_eq!(
        brings(&browser, &again, "&try=/desktop").await.location(),
        "/desktop"
    );
    assert_ne!(browser.cookie("__Host-session").unwrap(), old);
    assert_eq!(
        gateway.app.ledger().sessions(None, "", 10).unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_too_long_to_agree_is_told() {
    let gateway = with(TRUSTED).await;
    let browser = gateway.signed_in("bob").await;
    let of_alice = ticket(&gateway, "alice", &[]).await;
    let page = brings(&browser, &of_alice, "&try=//evil.example")
        .await
        .text();
    gateway.clock.advance(Millis::minutes(2));
    let token = field(&page, "csrf_token");
    assert_eq!(field(&page, "wanted"), "/");
    let fields = [
        ("csrf_token", token.as_str()),
        ("webticket", &of_alice),
        ("wanted", "//evil.example"),
        ("back", "//evil.example"),
    ];
    let answer = submits(&browser, "/web-ticket", &fields).await;
    assert_eq!(answer.location(), "/login?notice=web-ticket");
    assert_eq!(who(&browser).await.as_deref(), Some("bob"));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_was_disabled_meanwhile_stays_out() {
    let gateway = with(TRUSTED).await;
    let held = ticket(&gateway, "alice", &[]).await;
    gateway
        .app
        .set_user_active("alice", false, Actor::command_line())
        .await
        .unwrap();
    let browser = gateway.client();
    assert_eq!(
        brings(&browser, &held, "").await.location(),
        "/login?notice=web-ticket"
    );
    assert_eq!(who(&browser).await, None);
    let refused = gateway.audited("sign_in_refused");
    assert_eq!(
        refused,
        [(Some("USER_DISABLED".to_owned()), Some("alice".to_owned()))]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_head_nor_a_prefetch_redeems() {
    let gateway = with(TRUSTED).await;
    let held = ticket(&gateway, "alice", &[]).await;
    let browser = gateway.client();
    let path = format!("/QvAJAXZfc/Authenticate.aspx?type=html&webticket={held}");
    let answer = browser.send(browser.request(Method::HEAD, &path)).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    let posted = browser.send(browser.request(Method::POST, &path)).await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
    for header in ["sec-purpose", "purpose"] {
        let ahead = get_with(&browser, &path, &[(header, "prefetch")]);
        assert_eq!(browser.send(ahead).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(brings(&browser, &held, "").await.location(), "/");
    assert_eq!(who(&browser).await.as_deref(), Some("alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_signs_nobody_in_by_a_picture_or_a_frame() {
    let gateway = with(TRUSTED).await;
    let held = ticket(&gateway, "alice", &[]).await;
    let browser = gateway.client();
    let path = format!("/QvAJAXZfc/Authenticate.aspx?type=html&webticket={held}");
    let arrives =
        async |headers: &[(&str, &str)]| browser.send(get_with(&browser, &path, headers)).await;
    for destination in ["image", "iframe", "script", "empty"] {
        let from = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-dest", destination),
        ];
        let answer = arrives(&from).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{destination}");
    }
    let foreign = arrives(&[("origin", "https://evil.example")]).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert_eq!(who(&browser).await, None);
    // A portal sends people here as a page.
    let from = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(arrives(&from).await.location(), "/");
    assert_eq!(who(&browser).await.as_deref(), Some("alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_arrive_whole_however_they_were_encoded() {
    let gateway = with(TRUSTED).await;
    let open = "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS%40accesspoint%7CSales%2FOrders.qvw";
    for (more, expected) in [
        // Not encoded at all, as in the vendor's own example.
        (
            "&try=/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS@accesspoint|Sales/Orders.qvw&client=Ajax&back=/x",
            format!("{open}&client=Ajax"),
        ),
        (
            "&try=/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS@accesspoint%7CSales/Orders.qvw&back=",
            open.to_owned(),
        ),
        (
            "&try=/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS@accesspoint%257CSales/Orders.qvw&back=",
            open.to_owned(),
        ),
        // Encoded, with more beside it.
        (
            "&try=%2FQvAjaxZfc%2FAccessPoint.aspx%3Fopen%3D%26id%3DQVS%2540accesspoint%257CSales%252FOrders.qvw&back=&select=LB01,A&select=LB02,B&client=Plugin",
            format!("{open}&client=Plugin&select=LB01,A&select=LB02,B"),
        ),
        (
            "&try=/QvAjaxZfc/opendoc.htm?document=Sales/Orders.qvw&originsystem=%E4&back=",
            "/QvAJAXZfc/opendoc.htm?document=Sales%2FOrders.qvw".to_owned(),
        ),
        ("&try=/QlikView&back=", "/qlikview/".to_owned()),
        ("", "/".to_owned()),
    ] {
        let held = ticket(&gateway, "alice", &[]).await;
        let answer = brings(&gateway.client(), &held, more).await;
        assert_eq!(answer.location(), expected, "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_01_to_r_55_neither_try_nor_back_leaves_the_site() {
    let gateway = with(TRUSTED).await;
    for (id, wanted) in other_sites() {
        let held = ticket(&gateway, "alice", &[]).await;
        let target = encoded(&wanted);
        let browser = gateway.client();
        let failed = brings(
            &browser,
            &"0".repeat(40),
            &format!("&try={target}&back={target}"),
        )
        .await;
        assert_eq!(failed.location(), "/login?notice=web-ticket", "{id}: back");
        let done = brings(&browser, &held, &format!("&try={target}&back={target}")).await;
        assert_eq!(done.location(), "/", "{id}: try");
    }
    // Two of one name, and what stands beside a link.
    for (id, more) in [
        (
            "R-45",
            "&try=/account&try=//evil.example&back=/account&back=//evil.example",
        ),
        (
            "R-54",
            "&try=/QvAJAXZfc/AccessPoint.aspx?open=&id=//evil.example",
        ),
        (
            "R-54",
            "&try=/QvAJAXZfc/opendoc.htm&document=https://evil.example&back=//evil.example",
        ),
    ] {
        let held = ticket(&gateway, "alice", &[]).await;
        assert_eq!(
            brings(&gateway.client(), &held, more).await.location(),
            "/",
            "{id}"
        );
    }
    let held = ticket(&gateway, "alice", &[]).await;
    let path = format!("/QvAJAXZfc/Authenticate.aspx?webticket={held}&try=/account");
    let browser = gateway.client();
    let request = get_with(&browser, &path, &[("x-forwarded-host", "evil.example")]);
    assert_eq!(browser.send(request).await.location(), "/account", "R-50");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_script_finds_what_it_asks_for() {
    let gateway = with(TRUSTED).await;
    let browser = gateway.client();
    let probe = "/QvAJAXZfc/Authenticate.aspx";
    assert_eq!(browser.get(probe).await.status, StatusCode::UNAUTHORIZED);
    let page = browser.get("/qvajaxzfc/getloginpageurl.aspx").await;
    assert_eq!(
        (page.status, page.text().as_str()),
        (StatusCode::OK, "/login")
    );
    let signed_in = gateway.signed_in("alice").await;
    assert_eq!(signed_in.get(probe).await.status, StatusCode::OK);
    for (path, there) in [
        ("/qlikview", "/"),
        ("/QlikView/", "/"),
        ("/QLIKVIEW/Index.htm", "/"),
        ("/qlikview/FormLogin.htm", "/login"),
        ("/qlikview/login.htm", "/login"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status, answer.location().as_str()),
            (StatusCode::SEE_OTHER, there),
            "{path}"
        );
    }
    for path in [
        "/qlikview/x",
        "/QvAJAXZfc/",
        "/QvAJAXZfc/Other.aspx",
        "/QMS/Service",
    ] {
        assert_eq!(
            signed_in.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}
