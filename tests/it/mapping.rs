//! From claims to people: arrivals, the commands that try mappings, and linking.

#![cfg(test)]

use accesspoint::app::administer::{AddUser, AdministerError};
use accesspoint::app::arrive::{Arrival, Arrived, ProviderSession, RefusedArrival};
use accesspoint::app::sign_in::{Begins, Client as From, SignedIn};
use accesspoint::domain::person::Role;
use accesspoint::store::{Actor, PersonChange, Scope};
use serde_json::{Value, json};

use crate::door::Door;
use crate::gateway::{Gateway, PASSWORD};
use crate::support::Site;

/// Two providers of which nobody answers: people arrive as if they had.
const PROVIDERS: &str = "[[sign_in.source]]\nkind = 'local'\nname = 'local'\n\
    [[sign_in.source]]\nkind = 'webhook'\nname = 'corp'\n\
    [[sign_in.source]]\nkind = 'webhook'\nname = 'other'\n\
    [webhook.other]\nurl = 'https://127.0.0.1:9'\nsecret = 's'\nuser_name = '{name}'\n\
    [[webhook.other.rule]]\n\
    [webhook.corp]\nurl = 'https://127.0.0.1:9'\nsecret = 's'\n\
    user_name = '{name}'\ngroups = 'groups'\n";
const RULES: &str = "[[webhook.corp.rule]]\nwhen = { claim = 'groups', has = 'left' }\ndeny = true\n\
    [[webhook.corp.rule]]\nwhen = { claim = 'groups', has = 'bosses' }\nroles = ['administrator']\n\
    [[webhook.corp.rule]]\nwhen = { claim = 'groups', has = 'staff' }\nnamed_cal = 'assign'\n\
    [[webhook.corp.rule]]\nwhen = { claim = 'groups', has = 'guests' }\nnamed_cal = 'never'\n";

async fn site() -> Door {
    Door::with(&format!("{PROVIDERS}{RULES}")).await
}

fn from() -> From {
    From {
        address: [192, 0, 2, 7].into(),
        agent: "a browser".to_owned(),
        workstation_cookie: None,
        workstation_header: None,
    }
}

async fn arrives(gateway: &Gateway, source: &str, subject: &str, claims: Value) -> Arrived {
    let Value::Object(claims) = claims else {
        panic!("no object: {claims}")
    };
    let arrival = Arrival {
        source: source.to_owned(),
        subject: subject.to_owned(),
        claims,
        provider: Some(ProviderSession {
            since: gateway.clock.now(),
            sid: Some("session there".to_owned()),
            id_token: "a.b.c".to_owned(),
            proved_at: None,
        }),
    };
    gateway.app.arrive(arrival, &from()).await.unwrap()
}

async fn comes(gateway: &Gateway, subject: &str, name: &str, groups: &[&str]) -> Box<SignedIn> {
    let claims = json!({ "name": name, "groups": groups });
    match arrives(gateway, "corp", subject, claims).await {
        Arrived::Done(signed_in) => signed_in,
        Arrived::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// Gives somebody a password of the gateway's own.
async fn gives_password(user: &str, gateway: &Gateway) {
    let password = PASSWORD.to_owned().into();
    let actor = Actor::command_line();
    let set = gateway.app.set_user_password(user, password, None, actor);
    set.await.unwrap();
}

async fn refused(door: &Door, source: &str, subject: &str, claims: Value) -> (String, String) {
    let before = door.last_event().map_or(0, |event| event.seq);
    let arrived = arrives(&door.gateway, source, subject, claims).await;
    let Arrived::Refused(refusal) = arrived else {
        panic!("let in: {arrived:?}")
    };
    let event = door.last_event().unwrap();
    assert_eq!(event.event, "sign_in_refused");
    let refusals = door
        .events(3)
        .into_iter()
        .filter(|event| event.seq > before);
    let refusals = refusals.filter(|event| event.event == "sign_in_refused");
    assert_eq!(refusals.count(), 1, "not one event");
    assert_eq!(event.code.as_deref(), Some(refusal.problem().code()));
    (refusal.problem().code().to_owned(), event.detail)
}

async fn begins(gateway: &Gateway, signed_in: &SignedIn) -> usize {
    let secret = gateway.app.fresh().id();
    let begun = gateway
        .app
        .begin_session(signed_in, &secret, &from(), Begins::default())
        .await;
    begun.unwrap();
    sessions(gateway)
}

fn sessions(gateway: &Gateway) -> usize {
    let sessions = gateway.app.ledger().sessions(None, "", 100);
    sessions.unwrap().len()
}

#[tokio::test]
async fn roles_and_groups_are_those_of_the_rule_at_each_sign_in() {
    let door = site().await;
    let first = comes(&door.gateway, "1", "ann", &["bosses"]).await;
    assert_eq!(first.person.roles, [Role::Administrator]);
    assert_eq!(
        (first.source.as_str(), first.person.name.as_str()),
        ("corp", "ann")
    );
    let second = comes(&door.gateway, "1", "ann", &["guests"]).await;
    assert_eq!(second.person.id, first.person.id);
    assert_eq!(second.person.roles, []);
    assert_eq!(second.person.groups, ["guests"]);
    let stored = door.gateway.app.user("ann").unwrap();
    assert_eq!(stored, second.person);
}

#[tokio::test]
async fn s_02_a_role_that_the_mapping_gives_ends_the_sessions_that_began_without_it() {
    let door = site().await;
    let first = comes(&door.gateway, "1", "ann", &["guests"]).await;
    assert_eq!(begins(&door.gateway, &first).await, 1);
    // The same again, and other groups, end nothing.
    let again = comes(&door.gateway, "1", "ann", &["guests", "more"]).await;
    assert_eq!(begins(&door.gateway, &again).await, 2);
    let boss = comes(&door.gateway, "1", "ann", &["bosses"]).await;
    assert_eq!(sessions(&door.gateway), 0);
    assert_eq!(begins(&door.gateway, &boss).await, 1);
    // What was proved before the role was given begins nothing.
    assert_eq!(begins(&door.gateway, &again).await, 1);
    assert_eq!(
        door.last_event().unwrap().code.as_deref(),
        Some("SIGN_IN_OVERTAKEN")
    );
    // A role that is gone is gone at once, and the session stays.
    comes(&door.gateway, "1", "ann", &["guests"]).await;
    assert_eq!(sessions(&door.gateway), 1);
}

#[tokio::test]
async fn roles_that_an_administrator_gave_to_a_local_account_stay_when_it_is_linked() {
    let door = site().await;
    door.gateway.add("ann", &[Role::Operator]).await;
    let app = &door.gateway.app;
    let linked = app.link_identity("ann", "corp", "1", Actor::command_line());
    linked.await.unwrap();
    let signed_in = comes(&door.gateway, "1", "whoever", &["guests"]).await;
    assert_eq!(signed_in.person.name, "ann");
    assert_eq!(signed_in.person.roles, [Role::Operator]);
    assert_eq!(signed_in.person.groups, ["guests"]);
}

#[tokio::test]
async fn a_11_roles_of_a_mapping_stay_the_mappings_also_with_a_password_here() {
    let door = site().await;
    let app = &door.gateway.app;
    let boss = comes(&door.gateway, "1", "ann", &["bosses"]).await;
    assert_eq!(boss.person.roles, [Role::Administrator]);
    gives_password("ann", &door.gateway).await;
    let guest = comes(&door.gateway, "1", "ann", &["guests"]).await;
    assert_eq!(guest.person.roles, []);
    // Given by hand, they are not the mapping's any more.
    let given = PersonChange {
        roles: Some(vec![Role::Operator]),
        ..PersonChange::default()
    };
    app.change_user("ann", given, Actor::command_line())
        .await
        .unwrap();
    let boss = comes(&door.gateway, "1", "ann", &["bosses"]).await;
    assert_eq!(boss.person.roles, [Role::Operator]);
}

#[tokio::test]
async fn a_11_what_a_mapping_gave_goes_with_the_identity_and_with_the_mapping() {
    let door = site().await;
    let app = &door.gateway.app;
    door.gateway.add("root", &[Role::Administrator]).await;
    for ends in ["unlinked", "denied"] {
        let linked = app.link_identity("root", "other", ends, Actor::command_line());
        linked.await.unwrap();
        comes(&door.gateway, ends, ends, &["bosses"]).await;
        gives_password(ends, &door.gateway).await;
        if ends == "unlinked" {
            let unlinked = app.unlink_identity(ends, "corp", ends, Actor::command_line());
            unlinked.await.unwrap();
        } else {
            let claims = json!({ "name": ends, "groups": ["left", "bosses"] });
            refused(&door, "corp", ends, claims).await;
        }
        let left = app.user(ends).unwrap();
        assert_eq!((left.roles, left.groups), (vec![], vec![]), "{ends}");
    }
    // What others gave stays.
    let root = app.user("root").unwrap();
    assert_eq!(root.roles, [Role::Administrator]);
}

#[tokio::test]
async fn a_04_the_last_administrator_is_not_unlinked_from_what_makes_them_one() {
    let door = site().await;
    let app = &door.gateway.app;
    comes(&door.gateway, "1", "ann", &["bosses"]).await;
    gives_password("ann", &door.gateway).await;
    let unlinked = app.unlink_identity("ann", "corp", "1", Actor::command_line());
    let refused = unlinked.await.unwrap_err();
    assert!(
        matches!(refused, AdministerError::LastAdministrator(_)),
        "{refused:?}"
    );
    door.gateway.add("root", &[Role::Administrator]).await;
    let unlinked = app.unlink_identity("ann", "corp", "1", Actor::command_line());
    unlinked.await.unwrap();
    assert_eq!(app.user("ann").unwrap().roles, []);
}

#[tokio::test]
async fn o_74_one_name_of_two_sources_is_two_people_until_an_administrator_links_them() {
    let door = site().await;
    comes(&door.gateway, "1", "ann", &["staff"]).await;
    let (code, detail) = refused(&door, "other", "7", json!({ "name": "ANN" })).await;
    assert_eq!(code, "USER_NAME_TAKEN");
    assert!(detail.contains("\"subject\":\"7\""), "{detail}");
    let (code, _) = refused(
        &door,
        "corp",
        "2",
        json!({"name": "ann", "groups": "staff"}),
    )
    .await;
    assert_eq!(code, "USER_NAME_TAKEN");
    let app = &door.gateway.app;
    let linked = app.link_identity("ann", "other", "7", Actor::command_line());
    linked.await.unwrap();
    let arrived = arrives(&door.gateway, "other", "7", json!({ "name": "ANN" })).await;
    assert!(matches!(arrived, Arrived::Done(signed_in) if signed_in.person.name == "ann"));
}

#[tokio::test]
async fn o_74_a_name_stays_its_persons_when_their_last_identity_is_taken() {
    let door = site().await;
    comes(&door.gateway, "1", "ann", &["staff"]).await;
    let app = &door.gateway.app;
    let unlinked = app.unlink_identity("ann", "corp", "1", Actor::command_line());
    unlinked.await.unwrap();
    let ann = app.user("ann").unwrap();
    assert_eq!(app.identities("ann").unwrap(), []);
    // Neither a stranger nor who it was comes in, from wherever they come.
    for (source, subject) in [("corp", "2"), ("corp", "1"), ("other", "7")] {
        let claims = json!({ "name": "ann", "groups": ["bosses"] });
        let (code, detail) = refused(&door, source, subject, claims).await;
        assert_eq!(code, "USER_NAME_TAKEN", "{source} {subject}");
        assert!(
            detail.contains(&format!("\"subject\":\"{subject}\"")),
            "{detail}"
        );
    }
    assert_eq!(app.user("ann").unwrap(), ann);
    assert_eq!(sessions(&door.gateway), 0);
    // Nor does adding somebody make another person of the name.
    let again = AddUser {
        name: "ann".to_owned(),
        display_name: None,
        roles: Vec::new(),
        groups: Vec::new(),
        password: PASSWORD.to_owned().into(),
    };
    let added = app.add_user(again, Actor::command_line()).await;
    assert!(matches!(added, Err(AdministerError::NameTaken(name)) if name == "ann"));
    // An administrator's word alone lets one in, as who they were.
    let linked = app.link_identity("ann", "other", "7", Actor::command_line());
    linked.await.unwrap();
    let arrived = arrives(&door.gateway, "other", "7", json!({ "name": "ann" })).await;
    assert!(matches!(arrived, Arrived::Done(signed_in) if signed_in.person.id == ann.id));
}

#[tokio::test]
async fn o_74_an_administrator_whose_password_was_taken_is_nobody_elses() {
    let door = site().await;
    door.gateway.add("root", &[Role::Administrator]).await;
    door.gateway.add("ann", &[Role::Administrator]).await;
    let app = &door.gateway.app;
    let subject = app.user("ann").unwrap().id;
    let unlinked = app.unlink_identity("ann", "local", subject.as_str(), Actor::command_line());
    unlinked.await.unwrap();
    let ann = app.user("ann").unwrap();
    let claims = json!({ "name": "ann", "groups": ["guests"] });
    let (code, _) = refused(&door, "corp", "2", claims).await;
    assert_eq!(code, "USER_NAME_TAKEN");
    assert_eq!(app.user("ann").unwrap(), ann);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_arrive_at_once_under_one_name_one_gets_it() {
    let door = site().await;
    let mut arriving = tokio::task::JoinSet::new();
    for subject in 0..20 {
        let app = door.gateway.app.clone();
        arriving.spawn(async move {
            let claims = json!({"name": "ann", "groups": "staff"});
            let arrival = Arrival {
                source: "corp".to_owned(),
                subject: subject.to_string(),
                claims: claims.as_object().unwrap().clone(),
                provider: None,
            };
            matches!(
                app.arrive(arrival, &from()).await.unwrap(),
                Arrived::Done(_)
            )
        });
    }
    let let_in = arriving.join_all().await;
    assert_eq!(let_in.iter().filter(|&&let_in| let_in).count(), 1);
    assert_eq!(door.people(), ["ann"]);
}

#[tokio::test]
async fn a_name_that_was_only_named_becomes_theirs_with_its_cal() {
    let door = site().await;
    let assigned = door.gateway.app.assign_cal("ann", Actor::command_line());
    assigned.await.unwrap();
    let named = door.gateway.app.user("ann").unwrap();
    let signed_in = comes(&door.gateway, "1", "Ann", &["guests"]).await;
    assert_eq!(signed_in.person.id, named.id);
    let cal = door.gateway.app.ledger().cal_of(&named.id).unwrap();
    assert!(cal.is_some());
}

#[tokio::test]
async fn a_changed_claim_does_not_rename() {
    let door = site().await;
    comes(&door.gateway, "1", "ann", &["staff"]).await;
    let again = comes(&door.gateway, "1", "ann-married", &["staff"]).await;
    assert_eq!(again.person.name, "ann");
    assert_eq!(door.people(), ["ann"]);
    // Nor does it take the name from whoever comes by it.
    let other = comes(&door.gateway, "2", "ann-married", &["staff"]).await;
    assert_eq!(other.person.name, "ann-married");
}

#[tokio::test]
async fn losing_the_mapping_ends_the_sessions_from_that_source_and_no_others() {
    let door = site().await;
    door.gateway.add("ann", &[]).await;
    let app = &door.gateway.app;
    for (source, subject) in [("corp", "1"), ("other", "7")] {
        let linked = app.link_identity("ann", source, subject, Actor::command_line());
        linked.await.unwrap();
    }
    for (groups, reason) in [
        ("left", "rule 1 denies it"),
        ("nobodies", "no rule matches"),
    ] {
        let staff = comes(&door.gateway, "1", "ann", &["staff"]).await;
        begins(&door.gateway, &staff).await;
        let arrived = arrives(&door.gateway, "other", "7", json!({ "name": "ann" })).await;
        let Arrived::Done(elsewhere) = arrived else {
            panic!("{arrived:?}")
        };
        begins(&door.gateway, &elsewhere).await;
        let before = sessions(&door.gateway);
        let (code, detail) =
            refused(&door, "corp", "1", json!({"name": "ann", "groups": groups})).await;
        assert_eq!(code, "SIGN_IN_REFUSED");
        assert!(detail.contains(reason), "{detail}");
        assert_eq!(sessions(&door.gateway), before - 1);
    }
    let left = app.ledger().sessions(None, "", 100).unwrap();
    assert!(left.iter().all(|session| session.source == "other"));
}

#[tokio::test]
async fn a_disabled_person_is_refused_by_every_source() {
    let door = site().await;
    comes(&door.gateway, "1", "ann", &["staff"]).await;
    let app = &door.gateway.app;
    app.set_user_active("ann", false, Actor::command_line())
        .await
        .unwrap();
    let (code, _) = refused(
        &door,
        "corp",
        "1",
        json!({"name": "ann", "groups": "staff"}),
    )
    .await;
    assert_eq!(code, "USER_DISABLED");
    // Also a name that was only named so far.
    app.assign_cal("ben", Actor::command_line()).await.unwrap();
    app.set_user_active("ben", false, Actor::command_line())
        .await
        .unwrap();
    let (code, _) = refused(
        &door,
        "corp",
        "2",
        json!({"name": "ben", "groups": "staff"}),
    )
    .await;
    assert_eq!(code, "USER_DISABLED");
}

#[tokio::test]
async fn whom_no_rule_knows_becomes_nobody() {
    let door = site().await;
    for claims in [
        json!({"name": "ann", "groups": []}),
        json!({"name": "ann", "groups": ["left", "staff"]}),
        json!({"name": "a/b", "groups": ["staff"]}),
        json!({"groups": ["staff"]}),
        json!({"name": "ann", "groups": 7}),
        json!({"name": "ann", "_claim_names": {"groups": "src1"}}),
    ] {
        let (code, _) = refused(&door, "corp", "1", claims.clone()).await;
        assert_eq!(code, "SIGN_IN_REFUSED", "{claims}");
    }
    let arrived = arrives(&door.gateway, "unknown", "1", json!({ "name": "ann" })).await;
    let Arrived::Refused(refusal) = arrived else {
        panic!("{arrived:?}")
    };
    assert!(matches!(refusal.reason, RefusedArrival::Unmapped(_)));
    assert_eq!(door.people(), [""; 0]);
}

#[tokio::test]
async fn a_cal_is_assigned_when_the_session_begins_and_the_sign_in_goes_on_without_one() {
    let door = site().await;
    for number in 0..6 {
        let name = format!("user{number}");
        let signed_in = comes(&door.gateway, &name, &name, &["staff"]).await;
        let cals = door.gateway.app.ledger().cals("", 10).unwrap().len();
        assert_eq!(cals, number.min(5), "an arrival alone assigns nothing");
        begins(&door.gateway, &signed_in).await;
    }
    assert_eq!(door.gateway.app.ledger().cals("", 10).unwrap().len(), 5);
    assert_eq!(sessions(&door.gateway), 6);
    let codes: Vec<Option<String>> = door.events(2).into_iter().map(|event| event.code).collect();
    assert_eq!(codes, [Some("NO_FREE_CAL".to_owned()), None]);
}

#[tokio::test]
async fn the_prefix_of_the_site_is_taken_off_names_that_arrive() {
    let door = site().await;
    let signed_in = comes(&door.gateway, "1", "custom\\Ann", &["staff"]).await;
    assert_eq!(signed_in.person.name, "ann");
}

#[tokio::test]
async fn identities_are_linked_by_administrators_alone_and_never_with_a_token() {
    let door = site().await;
    door.gateway.add("root", &[Role::Administrator]).await;
    door.gateway.add("ann", &[]).await;
    door.gateway.add("oper", &[Role::Operator]).await;
    let path = "/api/v1/admin/users/ann/identities";
    let identity = json!({"source": "corp", "subject": "cn=ann, dc=x"});
    let token = door
        .gateway
        .with_token(&[Scope::AdminRead, Scope::AdminWrite])
        .await;
    for client in [
        token,
        door.gateway.signed_in("oper").await,
        door.gateway.signed_in("ann").await,
    ] {
        client.post(path, &identity).await.problem(403, "FORBIDDEN");
        let one = format!("{path}?source=corp&subject=1");
        client.delete(&one).await.problem(403, "FORBIDDEN");
    }
    let ann = door.gateway.signed_in("ann").await;
    ann.get(path).await.problem(403, "FORBIDDEN");
    let root = door.gateway.signed_in("root").await;
    assert_eq!(root.post(path, &identity).await.status, 201);
    assert_eq!(root.post(path, &identity).await.status, 201);
    let listed = root.get(path).await.body;
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{listed}");
    let linked = json!({"source": "corp", "subject": "cn=ann, dc=x", "last_sign_in_at": null});
    assert_eq!(items[0], linked);
    assert_eq!(items[1]["source"], "local");
    assert_eq!(listed["next_cursor"], Value::Null);

    let other = "/api/v1/admin/users/oper/identities";
    root.post(other, &identity)
        .await
        .problem(409, "IDENTITY_TAKEN");
    for wrong in [
        json!({"source": "nowhere", "subject": "1"}),
        json!({"source": "local", "subject": "1"}),
        json!({"source": "corp", "subject": ""}),
        json!({"source": "corp", "subject": "a\nb"}),
        json!({"source": "corp"}),
        json!({"source": "corp", "subject": "1", "more": 1}),
    ] {
        root.post(path, &wrong).await.problem(422, "BODY_INVALID");
    }
    let nobody = "/api/v1/admin/users/nobody/identities";
    root.get(nobody).await.problem(404, "NOT_FOUND");
    root.post(nobody, &identity).await.problem(404, "NOT_FOUND");
    let one = format!("{path}?source=corp&subject=cn%3Dann%2C%20dc%3Dx");
    assert_eq!(root.delete(&one).await.status, 204);
    root.delete(&one).await.problem(404, "NOT_FOUND");
    root.delete(path).await.problem(422, "BODY_INVALID");
}

#[tokio::test]
async fn a_04_the_last_administrator_keeps_the_last_way_in() {
    let door = site().await;
    door.gateway.add("root", &[Role::Administrator]).await;
    let root = door.gateway.signed_in("root").await;
    let path = "/api/v1/admin/users/root/identities";
    let subject = root.get(path).await.body["items"][0]["subject"].clone();
    let local = format!("{path}?source=local&subject={}", subject.as_str().unwrap());
    root.delete(&local).await.problem(409, "LAST_ADMINISTRATOR");
    let identity = json!({"source": "corp", "subject": "1"});
    assert_eq!(root.post(path, &identity).await.status, 201);
    // The password goes with it, and so does the session that it began.
    assert_eq!(root.delete(&local).await.status, 204);
    root.get(path).await.problem(401, "SIGN_IN_REQUIRED");
    let answer = door
        .gateway
        .client()
        .sign_in("root", crate::gateway::PASSWORD)
        .await;
    assert_ne!(answer.status, 201);
}

/// A folder with the providers and a claim set.
fn folder(claims: &Value) -> Site {
    let site = Site::new();
    site.write("accesspoint.toml", &format!("{PROVIDERS}{RULES}"));
    site.write("claims.json", &claims.to_string());
    site
}

const TEST: [&str; 8] = [
    "mapping",
    "test",
    "--source",
    "corp",
    "--claims",
    "claims.json",
    "--config",
    "accesspoint.toml",
];

#[test]
fn mapping_test_says_step_by_step_what_a_claim_set_gives() {
    let site = folder(&json!({"name": "CUSTOM\\Ann", "groups": ["staff"]}));
    let walked = site.json(&TEST);
    assert_eq!(walked["outcome"], "mapped");
    assert_eq!(walked["user"], "ann");
    assert_eq!(walked["groups"], json!(["staff"]));
    assert_eq!(walked["named_cal"], "assign");
    let steps = walked["steps"].as_array().unwrap();
    let told: Vec<(&str, bool)> = steps
        .iter()
        .map(|step| (step["key"].as_str().unwrap(), step["passed"] == true))
        .collect();
    let expected = [
        ("user_name", true),
        ("groups", true),
        ("names", true),
        ("rule 1", false),
        ("rule 2", false),
        ("rule 3", true),
    ];
    assert_eq!(told, expected);
    let text = site.run(&TEST);
    assert_eq!(text.code, 0);
    assert!(
        text.stdout.contains("groups has \"left\": deny"),
        "{}",
        text.stdout
    );
    assert!(
        text.stdout.contains("named CAL     assign"),
        "{}",
        text.stdout
    );
    // Trying a mapping makes no ledger.
    assert!(!site.path().join("accesspoint-data").exists());
}

#[test]
fn mapping_test_says_why_somebody_is_refused() {
    let site = folder(&json!({"name": "ann", "groups": ["left", "staff"]}));
    let refused = site.run(&[&TEST[..], &["--json"]].concat());
    assert_eq!(refused.code, 1);
    assert_eq!(refused.json()["outcome"], "refused");
    assert_eq!(refused.json()["code"], "SIGN_IN_REFUSED");
    assert_eq!(refused.json()["reason"], "rule 1 denies it");
    let text = site.run(&TEST);
    assert!(
        text.stdout.contains(
            "\nRefused (SIGN_IN_REFUSED): rule 1 denies it.\nThe ledger was not looked at"
        )
    );
}

#[test]
fn mapping_test_names_what_is_wrong_with_its_input() {
    let site = folder(&json!([1]));
    let mut unknown = TEST;
    unknown[3] = "nowhere";
    let mut missing = TEST;
    missing[5] = "no-such-file";
    for (arguments, words) in [(TEST, "are no JSON object"), (missing, "no-such-file")] {
        let ran = site.run(&arguments);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    // A name that is there twice is read by no sign-in either.
    for claims in ["{", r#"{"name": "ann", "name": "root"}"#] {
        site.write("claims.json", claims);
        assert!(site.run(&TEST).stderr.contains("are no JSON object"));
    }
    site.write("claims.json", "{}");
    assert!(
        site.run(&unknown)
            .stderr
            .contains("there is no source nowhere")
    );
    assert_eq!(site.run(&["mapping", "test"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn mapping_diff_says_who_would_gain_or_lose_what() {
    let door = site().await;
    for (subject, name, groups) in [
        ("1", "ann", "staff"),
        ("2", "ben", "bosses"),
        ("3", "cat", "guests"),
    ] {
        comes(&door.gateway, subject, name, &[groups]).await;
    }
    let arrived = arrives(&door.gateway, "other", "7", json!({ "name": "dan" })).await;
    assert!(matches!(arrived, Arrived::Done(_)));
    door.gateway.add("local", &[]).await;
    let app = &door.gateway.app;
    let linked = app.link_identity("local", "corp", "9", Actor::command_line());
    linked.await.unwrap();
    let same = app.mapping_diff().unwrap();
    assert_eq!(
        (same.items.len(), same.known, same.without_claims),
        (0, 5, 1)
    );

    // A new configuration on the same ledger.
    let new = "[[webhook.corp.rule]]\nwhen = { claim = 'groups', has = 'staff' }\n\
        groups = ['finance']\nroles = ['auditor']\n\
        [[webhook.corp.rule]]\nwhen = { claim = 'groups', has = 'bosses' }\n";
    let settings = PROVIDERS.replacen(
        "[[sign_in.source]]\nkind = 'webhook'\nname = 'other'\n",
        "",
        1,
    );
    let file = door.gateway.path("new.toml");
    std::fs::write(&file, format!("{settings}{new}")).unwrap();
    let ran = Site::new().run(&[
        "mapping",
        "diff",
        "--json",
        "--config",
        file.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let diff = ran.json();
    let items = diff["items"].as_array().unwrap();
    assert_eq!(items.len(), 4, "{diff}");
    let of = |user: &str| items.iter().find(|item| item["user"] == user).unwrap();
    assert_eq!(of("ann")["groups_gained"], json!(["finance"]));
    assert_eq!(of("ann")["roles_gained"], json!(["auditor"]));
    assert_eq!(of("ann")["named_cal"], "dynamic");
    assert_eq!(of("ann")["refused"], Value::Null);
    assert_eq!(of("ben")["roles_lost"], json!(["administrator"]));
    assert_eq!(of("cat")["refused"], "no rule matches");
    assert_eq!(of("dan")["refused"], "its source is not used");
    assert_eq!(
        (&diff["known"], &diff["without_claims"]),
        (&json!(5), &json!(1))
    );
    let text = Site::new().run(&["mapping", "diff", "--config", file.to_str().unwrap()]);
    assert!(
        text.stdout.contains("group finance, role auditor"),
        "{}",
        text.stdout
    );
    assert!(
        text.stdout.contains("access: no rule matches"),
        "{}",
        text.stdout
    );
    // Nothing was changed by looking.
    assert_eq!(app.user("ben").unwrap().roles, [Role::Administrator]);
}

#[test]
fn a_mapping_is_compared_with_the_people_of_a_ledger_or_not_at_all() {
    let site = folder(&json!({}));
    let diff = site.run(&["mapping", "diff", "--config", "accesspoint.toml"]);
    assert_eq!(diff.code, 1);
    assert!(
        diff.stderr.contains("there is no ledger"),
        "{}",
        diff.stderr
    );
    assert!(!site.path().join("accesspoint-data").exists());
}

#[test]
fn the_command_line_links_lists_and_unlinks() {
    let site = folder(&json!({}));
    let add = [
        "user",
        "add",
        "ann",
        "--password-stdin",
        "--config",
        "accesspoint.toml",
    ];
    assert_eq!(site.run_with(&add, "tin-whistle-9\n").code, 0);
    let run =
        |arguments: &[&str]| site.run(&[arguments, &["--config", "accesspoint.toml"]].concat());
    let identity = ["--source", "corp", "--subject", "7"];
    let linked = run(&[&["user", "link", "ann"][..], &identity].concat());
    // A password is held against the first of her sources, and against no other.
    let first = "the password of local counts, because it stands before corp in the configuration";
    assert_eq!(linked.stdout, format!("ann: linked; {first}\n"));
    let listed = run(&["user", "identities", "ann", "--json"]).json();
    assert_eq!(listed["items"][0]["source"], "corp");
    assert_eq!(listed["items"][0]["subject"], "7");
    let set = [
        "user",
        "set-password",
        "ann",
        "--password-stdin",
        "--config",
        "accesspoint.toml",
    ];
    assert_eq!(
        site.run_with(&set, "tin-whistle-10\n").stdout,
        format!("ann: password set; {first}\n")
    );
    let unlinked = run(&[&["user", "unlink", "ann"][..], &identity].concat());
    assert_eq!(unlinked.stdout, "ann: unlinked\n");
    let own = run(&["user", "identities", "ann", "--json"]).json();
    let subject = own["items"][0]["subject"].as_str().unwrap();
    let own = ["--source", "local", "--subject", subject];
    let unlinked = run(&[&["user", "unlink", "ann"][..], &own].concat());
    assert_eq!(
        unlinked.stdout,
        "ann: unlinked; nobody can sign in as ann until \"user link\" or \"user set-password\"\n"
    );
    assert_eq!(run(&["user", "disable", "ann"]).stdout, "ann: disabled\n");
    let root = [&add[..2], &["root", "--role", "administrator"], &add[3..]].concat();
    assert_eq!(site.run_with(&root, "tin-whistle-9\n").code, 0);
    assert_eq!(
        run(&["user", "disable", "root"]).stdout,
        "root: disabled; nobody is left who may administer\n"
    );
    for (arguments, words) in [
        (
            [
                "user",
                "unlink",
                "ann",
                "--source",
                "corp",
                "--subject",
                "7",
            ],
            "there is no identity",
        ),
        (
            ["user", "link", "bob", "--source", "corp", "--subject", "7"],
            "there is no user bob",
        ),
        (
            ["user", "link", "ann", "--source", "no", "--subject", "7"],
            "no sign-in source no",
        ),
        (
            ["user", "link", "ann", "--source", "corp", "--subject", ""],
            "subject: 1 to 1024",
        ),
    ] {
        let ran = run(&arguments);
        assert_eq!(ran.code, 1, "{arguments:?}");
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_that_is_gone_gave_ends_at_the_start() {
    let settings = format!("{PROVIDERS}{RULES}").replace("name = 'local'", "name = 'here'");
    let door = Door::with(&settings).await;
    let gateway = &door.gateway;
    gateway.add("ben", &[]).await;
    let ben = gateway.signed_in("ben").await;
    comes(gateway, "7", "ann", &["staff"]).await;
    // What is in use stays, whatever the local accounts are called.
    assert!(gateway.app.end_sessions_without_source().await);
    assert_eq!(ben.get("/api/v1/session").await.status, 200);
    assert_eq!(gateway.app.user("ann").unwrap().groups, ["staff"]);
    // As if the source had another name in the configuration now.
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let gone = "UPDATE person SET groups_from = 'gone' WHERE groups_from = 'corp'";
    assert_eq!(ledger.execute(gone, []).unwrap(), 1);
    assert!(gateway.app.end_sessions_without_source().await);
    let ann = gateway.app.user("ann").unwrap();
    assert_eq!(ann.groups, [""; 0]);
    assert_eq!(ben.get("/api/v1/session").await.status, 200);
}
