//! Signing in by a directory: Debian's slapd, and one that does everything wrong.

#![cfg(test)]

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use accesspoint::auth::answer::Answer;
use accesspoint::auth::ldap::{Directory as Source, Limits};
use accesspoint::config::Config;
use accesspoint::domain::time::{Millis, Timestamp};
use tempfile::TempDir;

use crate::directory::{Directory, Entry, Request, SERVICE, Wrong};
use crate::door::{Door, LOCAL, WANTED_IN_FORM, says_why};
use crate::gateway::PASSWORD;
use crate::passwords::{on_page, seen};
use crate::pki::Authority;
use crate::slapd::{LDAP_PASSWORD, Slapd};

/// An authority and settings that trust it.
struct Setting {
    folder: TempDir,
    authority: Authority,
}

impl Setting {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new(folder.path());
        Self { folder, authority }
    }

    /// `[ldap.hq]` with these servers and this much more, in use after the local accounts.
    fn ldap(&self, servers: &[String], more: &str) -> String {
        let source = self.source(servers, more);
        format!("{LOCAL}[[sign_in.source]]\nkind = 'ldap'\nname = 'hq'\n{source}")
    }

    fn source(&self, servers: &[String], more: &str) -> String {
        let (dn, password) = SERVICE;
        format!(
            "[ldap.hq]\nservers = {servers:?}\nbind_dn = '{dn}'\nbind_password = '{password}'\n\
             user_base = 'ou=people,dc=example'\n\
             user_filter = '(&(objectClass=person)(uid={{username}}))'\n\
             user_name = '{{uid}}'\ndisplay_name = '{{cn}}'\nca_file = {:?}\n{more}\n",
            self.authority.file
        )
    }

    /// A directory of the test tree with `ldaps://`, and its address.
    async fn directory(&self) -> (Directory, String) {
        let tls = self.authority.server(&["127.0.0.1"]);
        let directory = Directory::start(tls, true).await;
        directory.holds(vec![ann()]);
        let url = format!("ldaps://127.0.0.1:{}", directory.port);
        (directory, url)
    }

    /// The source by itself, with little patience.
    fn impatient(&self, servers: &[String], more: &str) -> Source {
        let file = self.folder.path().join("source.toml");
        std::fs::write(&file, self.ldap(servers, &format!("{more}\n{ALL}"))).unwrap();
        let config = Config::load(Some(&file), std::iter::empty()).unwrap();
        let limits = Limits {
            connect: Duration::from_millis(1500),
            exchange: Duration::from_secs(3),
            groups: Duration::from_secs(3),
        };
        Source::new("hq", &config.sign_in.ldap["hq"], limits).unwrap()
    }
}

/// A rule that lets everybody in.
const ALL: &str = "[[ldap.hq.rule]]\n";
/// Groups by search, by their common name.
const GROUPS: &str = "group_base = 'ou=groups,dc=example'\n\
    group_filter = '(&(objectClass=groupOfNames)(member={dn}))'\ngroup_name = 'cn'\n";
const ANN_DN: &str = "uid=ann,ou=people,dc=example";

fn ann() -> Entry {
    let attributes = [("objectClass", "person"), ("uid", "ann"), ("cn", "Ann Lee")];
    Entry::new(ANN_DN, LDAP_PASSWORD, &attributes)
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00.000Z".parse().unwrap()
}

async fn asks(source: &Source, name: &str, password: &str) -> Answer {
    let password = password.to_owned().into();
    source
        .check(name, &password, now(), Arc::new(|_| Box::pin(ready(true))))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_slapd_sign_in_with_the_groups_that_lie_within_groups() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let rules = "[[ldap.hq.rule]]\nwhen = { claim = 'groups', has = 'staff' }\n\
        roles = ['auditor']\ngroups = ['finance']\nnamed_cal = 'assign'\n";
    let ldaps = format!("ldaps://127.0.0.1:{}", slapd.ldaps);
    let door = Door::with(&setting.ldap(&[ldaps], &format!("{GROUPS}{rules}"))).await;
    let session = door.lets_in("ANN", LDAP_PASSWORD).await;
    assert_eq!(session["user"], "ann");
    assert_eq!(session["display_name"], "ann of the directory");
    assert_eq!(session["roles"], serde_json::json!(["auditor"]));
    let ann = door.gateway.app.user("ann").unwrap();
    let mut groups = ann.groups.clone();
    groups.sort();
    assert_eq!(groups, ["analysts", "everybody", "finance", "staff"]);
    let cals = door.gateway.app.ledger().cals("", 10).unwrap();
    assert_eq!(cals.len(), 1);
    let identities = door.gateway.app.identities("ann").unwrap();
    assert_eq!(identities.len(), 1);
    assert_eq!(identities[0].source, "hq");
    // The entryUUID that slapd gave, which outlives a new name and another place.
    assert_eq!(identities[0].subject.len(), 36, "{identities:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slapd_refuses_wrong_passwords_unknown_names_and_those_without_a_rule() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let rules = "[[ldap.hq.rule]]\nwhen = { claim = 'groups', has = 'staff' }\n";
    let ldap = format!("ldap://127.0.0.1:{}", slapd.ldap);
    let more = format!("start_tls = true\n{GROUPS}{rules}");
    let door = Door::with(&setting.ldap(&[ldap], &more)).await;
    door.refuses("ann", "wrong", 401, "SIGN_IN_FAILED").await;
    door.refuses("nobody", LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
        .await;
    door.refuses("ben", LDAP_PASSWORD, 403, "SIGN_IN_REFUSED")
        .await;
    assert_eq!(door.people(), [""; 0]);
    door.lets_in("ann", LDAP_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d_01_an_empty_password_never_reaches_the_directory() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let door = Door::with(&setting.ldap(std::slice::from_ref(&url), ALL)).await;
    door.refuses("ann", "", 401, "SIGN_IN_FAILED").await;
    assert_eq!(directory.requests(), []);
    // The directory would have said yes.
    assert_eq!(
        asks(&setting.impatient(&[url], ""), "ann", "").await,
        Answer::Wrong
    );
    assert_eq!(directory.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_02_what_is_typed_never_becomes_a_filter_or_a_dn() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    for name in [
        "*",
        "a*",
        "ann)(uid=*",
        "*)(|(uid=*",
        "ann\\00",
        "\\2a",
        "ann,ou=people",
        "ann+cn=x",
        "\"ann\"",
        "ann)(objectClass=*))(&(uid=x",
    ] {
        door.gateway.clock.advance(Millis::minutes(1));
        door.refuses(name, LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
            .await;
        let filter = format!("(&(objectClass=person)(uid={name}))");
        let searched = directory
            .requests()
            .into_iter()
            .filter_map(|request| match request {
                Request::Search { filter, .. } => Some(filter),
                Request::Bind { .. } => None,
            });
        assert_eq!(searched.collect::<Vec<_>>(), [filter]);
    }
    // White space at the ends makes no user name: nobody is asked.
    door.gateway.clock.advance(Millis::minutes(1));
    door.refuses("ann ", LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
        .await;
    assert_eq!(directory.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_02_slapd_finds_a_name_that_filters_dislike_and_nobody_else() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let url = format!("ldaps://127.0.0.1:{}", slapd.ldaps);
    let door = Door::with(&setting.ldap(&[url], &format!("{GROUPS}{ALL}"))).await;
    for name in ["*", "a*", "ann)(uid=*", "o(neil)"] {
        door.refuses(name, LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
            .await;
    }
    let session = door.lets_in("o(neil)*", LDAP_PASSWORD).await;
    assert_eq!(session["user"], "o(neil)*");
    // The groups that hold this very DN, not those of whom a pattern of it finds.
    let neil = door.gateway.app.user("o(neil)*").unwrap();
    assert_eq!(neil.groups, ["odd"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_03_two_entries_or_one_without_what_is_needed_let_nobody_in() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let url = format!("ldaps://127.0.0.1:{}", slapd.ldaps);
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    door.refuses("twin", LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
        .await;

    let (directory, url) = setting.directory().await;
    let mut nameless = ann();
    nameless.attributes.remove("uid");
    nameless.add("login", b"ann");
    directory.holds(vec![nameless]);
    let settings = setting.ldap(&[url], ALL);
    let settings = settings.replace("(uid={username})", "(login={username})");
    let door = Door::with(&settings).await;
    door.refuses("ann", LDAP_PASSWORD, 403, "SIGN_IN_REFUSED")
        .await;
    directory.holds(vec![ann()]);
    directory.does(Wrong::NoDn);
    let door = Door::with(&settings.replace("(login=", "(uid=")).await;
    directory.requests();
    door.refuses("ann", LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
        .await;
    assert!(!directory.requests().iter().any(is_of_a_person));
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_start_tls_cannot_be_stripped() {
    let setting = Setting::new();
    let tls = setting.authority.server(&["127.0.0.1"]);
    let directory = Directory::start(tls, false).await;
    directory.holds(vec![ann()]);
    let url = format!("ldap://127.0.0.1:{}", directory.port);
    let source = setting.impatient(&[url], "start_tls = true");
    assert!(matches!(
        asks(&source, "ann", LDAP_PASSWORD).await,
        Answer::Vouched { .. }
    ));
    directory.requests();
    for wrong in [Wrong::RefusesStartTls, Wrong::StaysInClear] {
        directory.does(wrong.clone());
        // A source of its own each time: failures are remembered.
        let url = format!("ldap://127.0.0.1:{}", directory.port);
        let source = setting.impatient(&[url], "start_tls = true");
        assert_eq!(
            asks(&source, "ann", LDAP_PASSWORD).await,
            Answer::Down,
            "{wrong:?}"
        );
        assert_eq!(
            directory.requests(),
            [],
            "{wrong:?}: something was sent in clear"
        );
    }
    // What is said in clear behind the yes spoils the TLS that follows.
    directory.does(Wrong::AnswersBeforeTls);
    assert_eq!(asks(&source, "ann", LDAP_PASSWORD).await, Answer::Down);
    assert_eq!(directory.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_a_certificate_of_another_name_or_of_nobody_known_is_refused() {
    let setting = Setting::new();
    let other = Setting::new();
    for tls in [
        setting.authority.server(&["other.example"]),
        other.authority.server(&["127.0.0.1"]),
    ] {
        let directory = Directory::start(tls, true).await;
        directory.holds(vec![ann()]);
        let url = format!("ldaps://127.0.0.1:{}", directory.port);
        let door = Door::with(&setting.ldap(&[url], ALL)).await;
        door.refuses("ann", LDAP_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
            .await;
        assert_eq!(directory.requests(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_referrals_to_another_host_are_not_followed() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let (elsewhere, other_url) = setting.directory().await;
    let source = setting.impatient(&[url], "");
    directory.does(Wrong::RefersSearches(other_url.clone()));
    assert!(matches!(
        asks(&source, "ann", LDAP_PASSWORD).await,
        Answer::Vouched { .. }
    ));
    assert_eq!(asks(&source, "bea", LDAP_PASSWORD).await, Answer::Unknown);
    directory.does(Wrong::RefersBinds(other_url));
    assert_eq!(asks(&source, "ann", LDAP_PASSWORD).await, Answer::Down);
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_a_server_that_is_down_slow_half_open_or_no_ldap_gives_way_to_the_next() {
    let setting = Setting::new();
    let (good, good_url) = setting.directory().await;
    let mut first = vec![closed_port()];
    let mut kept = Vec::new();
    for wrong in [
        Wrong::Silent,
        Wrong::GoneAtSearch,
        Wrong::Slow(Duration::from_mins(1)),
        Wrong::Garbage,
        Wrong::UnknownOperation,
    ] {
        let (directory, url) = setting.directory().await;
        directory.does(wrong);
        first.push(url);
        kept.push(directory);
    }
    for url in first {
        let alone = setting.impatient(std::slice::from_ref(&url), "");
        assert_eq!(
            asks(&alone, "ann", LDAP_PASSWORD).await,
            Answer::Down,
            "{url}"
        );
        assert!(alone.is_down(now()));
        let both = setting.impatient(&[url, good_url.clone()], "");
        let answer = asks(&both, "ann", LDAP_PASSWORD).await;
        assert!(matches!(answer, Answer::Vouched { .. }), "{answer:?}");
        assert!(!both.is_down(now()));
    }
    assert!(good.connections() > 0);
}

fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!(
        "ldaps://127.0.0.1:{}",
        listener.local_addr().unwrap().port()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_a_server_that_keeps_failing_is_left_alone_for_a_while() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    directory.does(Wrong::GoneAtSearch);
    let source = setting.impatient(&[url], "");
    for _ in 0..5 {
        assert_eq!(asks(&source, "ann", LDAP_PASSWORD).await, Answer::Down);
    }
    assert_eq!(directory.connections(), 3);
    directory.does(Wrong::Nothing);
    let later = now() + Millis::seconds(30);
    let answer = source
        .check(
            "ann",
            &LDAP_PASSWORD.to_owned().into(),
            later,
            Arc::new(|_| Box::pin(ready(true))),
        )
        .await;
    assert!(matches!(answer, Answer::Vouched { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_ten_thousand_groups_and_groups_in_a_loop_are_read_once_each() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let mut ann = ann();
    for number in 0..10_000 {
        ann.add(
            "memberOf",
            format!("cn=group {number},ou=groups,dc=example").as_bytes(),
        );
    }
    let mut one = Entry::new("cn=group 1,ou=groups,dc=example", "", &[]);
    one.add("memberOf", b"cn=outer\\, all,ou=groups,dc=example");
    let mut outer = Entry::new("cn=outer\\, all,ou=groups,dc=example", "", &[]);
    outer.add("memberOf", b"cn=group 1,ou=groups,dc=example");
    outer.add("memberOf", b"cn=elsewhere,dc=other");
    directory.holds(vec![ann, one, outer]);
    let more = "groups = 'memberOf'\ngroup_name = 'cn'";
    let door = Door::with(&setting.ldap(&[url], &format!("{more}\n{ALL}"))).await;
    door.lets_in("ann", LDAP_PASSWORD).await;
    let ann = door.gateway.app.user("ann").unwrap();
    assert_eq!(ann.groups.len(), 10_002);
    assert!(ann.groups.contains(&"outer, all".to_owned()));
    assert!(ann.groups.contains(&"elsewhere".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_an_address_of_ipv6_is_one_like_others() {
    let setting = Setting::new();
    let tls = setting.authority.server(&["::1"]);
    for (scheme, ldaps) in [("ldaps", true), ("ldap", false)] {
        let directory = Directory::start_at("[::1]:0", Arc::clone(&tls), ldaps).await;
        directory.holds(vec![ann()]);
        let url = format!("{scheme}://[::1]:{}", directory.port);
        let source = setting.impatient(&[url], &format!("start_tls = {}", !ldaps));
        let answer = asks(&source, "ann", LDAP_PASSWORD).await;
        assert!(matches!(answer, Answer::Vouched { .. }), "{scheme}");
    }
    let other = Directory::start_at("[::1]:0", setting.authority.server(&["::2"]), true).await;
    let url = format!("ldaps://[::1]:{}", other.port);
    let source = setting.impatient(&[url], "");
    assert_eq!(asks(&source, "ann", LDAP_PASSWORD).await, Answer::Down);
    assert_eq!(other.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_answers_that_are_too_much_end_before_they_do_harm() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    for wrong in [
        Wrong::EndlessPages,
        Wrong::Announces,
        Wrong::Deep(40),
        Wrong::Deep(200_000),
    ] {
        directory.does(wrong.clone());
        let source = setting.impatient(std::slice::from_ref(&url), GROUPS);
        assert_eq!(
            asks(&source, "ann", LDAP_PASSWORD).await,
            Answer::Down,
            "{wrong:?}"
        );
    }
    // Groups without end are those of one person: nothing is known of them.
    directory.does(Wrong::EndlessEntries);
    let source = setting.impatient(std::slice::from_ref(&url), GROUPS);
    match asks(&source, "ann", LDAP_PASSWORD).await {
        Answer::Vouched { claims, .. } => {
            assert!(claims.contains_key("_claim_names") && !claims.contains_key("groups"));
        }
        answer => panic!("{answer:?}"),
    }
    // Who would have been let in is, as soon as the directory is well.
    directory.does(Wrong::Nothing);
    let source = setting.impatient(&[url], GROUPS);
    let answer = asks(&source, "ann", LDAP_PASSWORD).await;
    assert!(matches!(answer, Answer::Vouched { .. }), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_whatever_a_directory_does_wrong_the_page_refuses_and_keeps_what_was_wanted() {
    let setting = Setting::new();
    let start_tls = Directory::start(setting.authority.server(&["127.0.0.1"]), false).await;
    start_tls.holds(vec![ann()]);
    let in_clear = format!("ldap://127.0.0.1:{}", start_tls.port);
    let (ldaps, url) = setting.directory().await;
    let (elsewhere, other_url) = setting.directory().await;
    let of_tls = vec![
        Wrong::RefusesStartTls,
        Wrong::StaysInClear,
        Wrong::AnswersBeforeTls,
    ];
    // Pages without end are read for longer than a test should wait: see below.
    let of_answers = vec![
        Wrong::RefersBinds(other_url),
        Wrong::GoneAtSearch,
        Wrong::Garbage,
        Wrong::UnknownOperation,
        Wrong::EndlessEntries,
        Wrong::Announces,
        Wrong::Deep(40),
        Wrong::Deep(200_000),
        Wrong::Silent,
        Wrong::Slow(Duration::from_mins(1)),
    ];
    let by_tls = format!("start_tls = true\n{GROUPS}{ALL}");
    let cases = [
        (&start_tls, setting.ldap(&[in_clear], &by_tls), of_tls),
        (
            &ldaps,
            setting.ldap(&[url], &format!("{GROUPS}{ALL}")),
            of_answers,
        ),
    ];
    for (directory, settings, wrongs) in cases {
        let door = Door::with(&settings).await;
        for wrong in wrongs {
            directory.does(wrong.clone());
            // Long enough for failures to be forgotten.
            door.gateway.clock.advance(Millis::minutes(2));
            let before = directory.connections();
            let (status, code) = match wrong {
                Wrong::EndlessEntries => (403, "SIGN_IN_REFUSED"),
                _ => (503, "UPSTREAM_SIGN_IN_SILENT"),
            };
            door.refuses("ann", LDAP_PASSWORD, status, code).await;
            assert!(directory.connections() > before, "{wrong:?} was not met");
        }
        assert_eq!(door.people(), [""; 0]);
        directory.does(Wrong::Nothing);
        door.gateway.clock.advance(Millis::minutes(2));
        assert_eq!(door.lets_in("ann", LDAP_PASSWORD).await["user"], "ann");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_01_beside_a_directory_unknown_wrong_disabled_and_locked_get_one_answer() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let url = format!("ldaps://127.0.0.1:{}", slapd.ldaps);
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    for name in ["bea", "dan"] {
        door.gateway.add(name, &[]).await;
    }
    door.lets_in("ann", LDAP_PASSWORD).await;
    for name in ["ann", "dan"] {
        let actor = accesspoint::store::Actor::command_line();
        let disabled = door.gateway.app.set_user_active(name, false, actor);
        disabled.await.unwrap();
    }
    let door = Door {
        browser: door.gateway.client(),
        gateway: door.gateway,
    };
    let (mut answers, mut pages) = (BTreeSet::new(), BTreeSet::new());
    for (name, password, code) in [
        ("nobody", LDAP_PASSWORD, "SIGN_IN_FAILED"),
        ("no/name", LDAP_PASSWORD, "SIGN_IN_FAILED"),
        // Of the directory: right, wrong and disabled here, locked there.
        ("ben", "wrong", "SIGN_IN_FAILED"),
        ("ann", "wrong", "SIGN_IN_FAILED"),
        ("ann", LDAP_PASSWORD, "USER_DISABLED"),
        ("locked", "wrong", "SIGN_IN_FAILED"),
        ("locked", LDAP_PASSWORD, "SIGN_IN_FAILED"),
        // Local accounts.
        ("bea", "wrong", "SIGN_IN_FAILED"),
        ("dan", PASSWORD, "SIGN_IN_FAILED"),
        ("dan", "wrong", "SIGN_IN_FAILED"),
    ] {
        door.refuses(name, password, 401, code).await;
        let answer = door.gateway.client().sign_in(name, password).await;
        answer.problem(401, "SIGN_IN_FAILED");
        answers.insert(seen(&answer, name));
        let page = on_page(&door.gateway, name, password).await;
        pages.insert(seen(&page, name));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_eq!(pages.len(), 1, "{pages:#?}");
    // Those that had their ten wrong ones, too: of nobody, of the directory, of the gateway.
    door.gateway.clock.advance(Millis::minutes(1));
    let (mut answers, mut pages) = (BTreeSet::new(), BTreeSet::new());
    for (name, password) in [
        ("nobody", LDAP_PASSWORD),
        ("ben", LDAP_PASSWORD),
        ("ann", LDAP_PASSWORD),
        ("bea", PASSWORD),
    ] {
        for _ in 0..10 {
            let answer = door.gateway.client().sign_in(name, "wrong").await;
            answer.problem(401, "SIGN_IN_FAILED");
        }
        door.refuses(name, password, 429, "TOO_MANY_ATTEMPTS").await;
        let answer = door.gateway.client().sign_in(name, password).await;
        answer.problem(429, "TOO_MANY_ATTEMPTS");
        answers.insert(seen(&answer, name));
        let page = on_page(&door.gateway, name, password).await;
        pages.insert(seen(&page, name));
    }
    let kinds = (answers.len(), pages.len());
    assert_eq!(kinds, (1, 1), "{answers:#?} {pages:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p_03_and_p_05_who_hangs_up_meanwhile_has_tried_all_the_same() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    directory.does(Wrong::Slow(Duration::from_millis(300)));
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    for _ in 0..10 {
        let mut client = door.gateway.client();
        let attempt = tokio::spawn(async move { client.sign_in("ann", "wrong").await });
        // The directory is asked, and nothing is answered yet.
        until(|| !directory.requests().is_empty()).await;
        attempt.abort();
        assert!(attempt.await.unwrap_err().is_cancelled());
        // What the directory is asked from here on is of this try.
        until(|| directory.requests().iter().any(is_of_a_person)).await;
    }
    directory.does(Wrong::Nothing);
    let wrong = (Some("SIGN_IN_FAILED".to_owned()), Some("ann".to_owned()));
    until(|| door.gateway.audited("sign_in_refused").len() >= 10).await;
    assert_eq!(
        door.gateway.audited("sign_in_refused"),
        vec![wrong; 10],
        "one event each"
    );
    let right = door.gateway.client().sign_in("ann", LDAP_PASSWORD).await;
    right.problem(429, "TOO_MANY_ATTEMPTS");
    door.gateway.gave_nothing();
}

/// Waits for what nobody tells of.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that");
}

/// Whether this is the bind that tries somebody's password.
fn is_of_a_person(request: &Request) -> bool {
    matches!(request, Request::Bind { dn, .. } if dn != SERVICE.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_groups_that_a_limit_of_the_server_cut_off_are_not_taken_for_all() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let group = [("objectClass", "groupOfNames"), ("member", ANN_DN)];
    let staff = Entry::new("cn=staff,ou=groups,dc=example", "", &group);
    directory.holds(vec![ann(), staff]);
    let door = Door::with(&setting.ldap(&[url], &format!("{GROUPS}{ALL}"))).await;
    directory.does(Wrong::TellsSome);
    // However often: that is about them, and no failure of the directory.
    for _ in 0..4 {
        door.refuses("ann", LDAP_PASSWORD, 403, "SIGN_IN_REFUSED")
            .await;
    }
    assert_eq!(door.gateway.app.silent_sources(), [""; 0]);
    directory.does(Wrong::Nothing);
    door.lets_in("ann", LDAP_PASSWORD).await;
    assert_eq!(door.gateway.app.user("ann").unwrap().groups, ["staff"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_04_groups_that_are_told_in_parts_are_not_taken_for_all() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let mut ann = ann();
    ann.add("memberOf", b"cn=staff,dc=example");
    directory.holds(vec![ann]);
    directory.does(Wrong::Ranged);
    let door = Door::with(&setting.ldap(&[url], &format!("groups = 'memberOf'\n{ALL}"))).await;
    // However often: that is about them, and no failure of the directory.
    for _ in 0..4 {
        door.refuses("ann", LDAP_PASSWORD, 403, "SIGN_IN_REFUSED")
            .await;
    }
    assert_eq!(door.gateway.app.silent_sources(), [""; 0]);
    directory.does(Wrong::Nothing);
    door.lets_in("ann", LDAP_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d_05_an_ended_password_is_told_only_after_a_right_one() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    let said = |code: &str| {
        let text = format!("80090308: LdapErr: DSID-0C09044E, comment: error, data {code}, v2580");
        Wrong::Binds(49, text)
    };
    for code in ["532", "773"] {
        directory.does(said(code));
        door.refuses("ann", "right", 403, "PASSWORD_EXPIRED").await;
    }
    for code in ["52e", "525", "533", "701", "775"] {
        directory.does(said(code));
        door.refuses("ann", "wrong", 401, "SIGN_IN_FAILED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d_05_a_password_policy_tells_an_ended_password_too() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    for (code, error) in [(49, 0), (0, 0), (0, 2)] {
        directory.does(Wrong::Policy(code, error));
        door.refuses("ann", "right", 403, "PASSWORD_EXPIRED").await;
    }
    // Too short, too young, locked: nothing of it says that this password is right.
    for error in [1, 3, 5, 6, 7, 8] {
        directory.does(Wrong::Policy(49, error));
        door.refuses("ann", "wrong", 401, "SIGN_IN_FAILED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d_05_slapd_tells_an_ended_password_after_a_right_one_alone() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let url = format!("ldaps://127.0.0.1:{}", slapd.ldaps);
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    for name in ["old", "reset"] {
        door.refuses(name, "wrong", 401, "SIGN_IN_FAILED").await;
        door.refuses(name, LDAP_PASSWORD, 403, "PASSWORD_EXPIRED")
            .await;
        let page = door.tries(name, LDAP_PASSWORD).await.text();
        assert!(page.contains("hq"), "where to change it is told: {page}");
    }
    for password in ["wrong", LDAP_PASSWORD] {
        door.refuses("locked", password, 401, "SIGN_IN_FAILED")
            .await;
    }
    assert_eq!(door.people(), [""; 0]);
    door.lets_in("ann", LDAP_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d_06_the_first_source_that_knows_a_name_decides() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let settings = setting.ldap(&[url], ALL);
    let door = Door::with(&settings).await;
    door.gateway.add("ann", &[]).await;
    // The order is there for everybody to see.
    let page = door.page().await.text();
    let order = "they are asked in this order: this AccessPoint, hq.";
    assert!(page.contains(order), "{page}");
    // Local first: the directory, whose password it is, is not even asked.
    door.refuses("ann", LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
        .await;
    assert_eq!(directory.requests(), []);
    assert_eq!(door.lets_in("ann", PASSWORD).await["user"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn d_06_with_the_directory_first_a_wrong_password_there_does_not_fall_through() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let source = setting.source(&[url], ALL);
    let source = source.replace("[ldap.hq]", "[ldap.hq]\nlabel = 'Head office'");
    let settings = format!("[[sign_in.source]]\nkind = 'ldap'\nname = 'hq'\n{LOCAL}{source}");
    let door = Door::with(&settings).await;
    let page = door.page().await.text();
    let order = "they are asked in this order: Head office, this AccessPoint.";
    assert!(page.contains(order), "{page}");
    door.lets_in("ann", LDAP_PASSWORD).await;
    let other = Door {
        browser: door.gateway.client(),
        gateway: door.gateway,
    };
    let before = other.last_event().unwrap().seq;
    let answer = other.tries("ann", PASSWORD).await;
    assert_eq!(answer.status, 401);
    let page = answer.text();
    says_why(&page);
    assert!(page.contains(WANTED_IN_FORM), "{page}");
    let refused = other.last_event().unwrap();
    assert_eq!(
        (refused.seq, refused.event.as_str()),
        (before + 1, "sign_in_refused")
    );
    assert_eq!(refused.code.as_deref(), Some("SIGN_IN_FAILED"));
    assert_eq!(refused.user.as_deref(), Some("ann"));
    assert_eq!(other.browser.cookie("__Host-session"), None);
    let sessions = other.gateway.app.ledger().sessions(None, "", 10).unwrap();
    assert_eq!(sessions.len(), 1, "that of before");
    other.gateway.gave_no_cal();
    // A name that the directory does not know goes on to the next source.
    other.gateway.add("bea", &[]).await;
    directory.requests();
    assert_eq!(other.lets_in("bea", PASSWORD).await["user"], "bea");
}

#[tokio::test(flavor = "multi_thread")]
async fn d_06_of_two_linked_sources_a_wrong_password_at_the_first_is_wrong() {
    let setting = Setting::new();
    let (_directory, url) = setting.directory().await;
    let source = setting.source(&[url], ALL);
    let settings = format!("[[sign_in.source]]\nkind = 'ldap'\nname = 'hq'\n{LOCAL}{source}");
    let door = Door::with(&settings).await;
    door.lets_in("ann", LDAP_PASSWORD).await;
    let actor = accesspoint::store::Actor::command_line();
    let set = door
        .gateway
        .app
        .set_user_password("ann", PASSWORD.to_owned().into(), None, actor);
    set.await.unwrap();
    let sources = door.gateway.app.identities("ann").unwrap();
    assert_eq!(sources.len(), 2, "{sources:?}");
    // The local password is right, and is not even looked at.
    let fresh = Door {
        browser: door.gateway.client(),
        gateway: door.gateway,
    };
    fresh.refuses("ann", PASSWORD, 401, "SIGN_IN_FAILED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p_06_many_names_of_one_entry_do_not_dodge_the_limit() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let url = format!("ldaps://127.0.0.1:{}", slapd.ldaps);
    let settings = setting.ldap(&[url], ALL).replace(
        "(uid={username})",
        "(|(uid={username})(mail={username})(cn={username}))",
    );
    let door = Door::with(&settings).await;
    let names = [
        "ann",
        "ann@corp.example",
        "Ann of the directory",
        "ann  of the directory",
    ];
    for number in 0..10 {
        let name = names[number % names.len()];
        door.refuses(name, "wrong", 401, "SIGN_IN_FAILED").await;
    }
    // None of the names has had its ten, and yet there were ten of Ann's. What is answered is what
    // anybody's name is: else it would tell whose the names are.
    for name in names {
        door.refuses(name, LDAP_PASSWORD, 401, "SIGN_IN_FAILED")
            .await;
    }
    assert_eq!(door.people(), [""; 0]);
    // Others of the directory are not concerned, and Ann is let in after the minute.
    assert_eq!(
        door.gateway
            .client()
            .sign_in("ben", LDAP_PASSWORD)
            .await
            .status,
        201
    );
    door.gateway.clock.advance(Millis::minutes(1));
    door.lets_in("ann@corp.example", LDAP_PASSWORD).await;
    // On the workstation on which she signed in she has a way in, whoever tries her names elsewhere.
    for number in 0..10 {
        let name = names[number % names.len()];
        let answer = door.gateway.client().sign_in(name, "wrong").await;
        answer.problem(401, "SIGN_IN_FAILED");
    }
    let elsewhere = door.gateway.client().sign_in("ann", LDAP_PASSWORD).await;
    elsewhere.problem(401, "SIGN_IN_FAILED");
    door.lets_in("ann@corp.example", LDAP_PASSWORD).await;
    // Also by the name that was typed here, however full that name's own limit is (P-04).
    for _ in 0..10 {
        let answer = door
            .gateway
            .client()
            .sign_in("ANN@corp.example", "wrong")
            .await;
        assert!(matches!(answer.status.as_u16(), 401 | 429));
    }
    let elsewhere = door.gateway.client();
    let refused = elsewhere
        .clone()
        .sign_in("ann@corp.example", LDAP_PASSWORD)
        .await;
    refused.problem(429, "TOO_MANY_ATTEMPTS");
    door.lets_in("ann@corp.example", LDAP_PASSWORD).await;
    // But no more wrong tries than anywhere else, by whatever names.
    let mut here = door.browser.clone();
    for number in 0..10 {
        let wrong = here.sign_in(names[number % names.len()], "wrong").await;
        wrong.problem(401, "SIGN_IN_FAILED");
    }
    for name in names {
        let right = here.sign_in(name, LDAP_PASSWORD).await;
        right.problem(401, "SIGN_IN_FAILED");
    }
    door.gateway.clock.advance(Millis::minutes(1));
    assert_eq!(here.sign_in("ann", LDAP_PASSWORD).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_06_tries_at_once_by_many_names_of_one_entry_slip_under_no_limit() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let mut ann = ann();
    for number in 0..40 {
        ann.add("uid", format!("ann-{number}").as_bytes());
    }
    directory.holds(vec![ann]);
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    let tries = (0..40).map(|number| {
        let mut client = door.gateway.client();
        let name = format!("ann-{number}");
        tokio::spawn(async move { client.sign_in(&name, "wrong").await.status.as_u16() })
    });
    for one in tries.collect::<Vec<_>>() {
        let status = one.await.unwrap();
        assert_eq!(status, 401);
    }
    let binds = directory
        .requests()
        .into_iter()
        .filter(|request| matches!(request, Request::Bind { dn, .. } if dn == ANN_DN));
    assert!((1..=10).contains(&binds.count()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_down_leaves_local_accounts_working_and_the_page_says_so() {
    let setting = Setting::new();
    let door = Door::with(&setting.ldap(&[closed_port()], ALL)).await;
    door.gateway.add("bea", &[]).await;
    assert!(!door.page().await.text().contains("hq does not answer now"));
    // One answer for known and unknown names as long as it is down, and in the audit what is so.
    let silent = "UPSTREAM_SIGN_IN_SILENT";
    for (name, code) in [("ann", silent), ("bea", "SIGN_IN_FAILED")] {
        door.refuses(name, "wrong", 503, code).await;
    }
    // What nobody judged does not count as wrong, however often.
    for _ in 0..12 {
        door.refuses("ann", "wrong", 503, silent).await;
    }
    assert!(door.page().await.text().contains("hq does not answer now"));
    let ready = door.browser.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(
        ready.body["ill"],
        serde_json::json!(["the sign-in source hq does not answer"])
    );
    assert_eq!(door.lets_in("bea", PASSWORD).await["user"], "bea");
    let api = door.gateway.client().sign_in("ann", "wrong").await;
    api.problem(503, "UPSTREAM_SIGN_IN_SILENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_two_sources_know_comes_in_by_the_second_while_the_first_is_down() {
    let setting = Setting::new();
    let settings = format!(
        "[[sign_in.source]]\nkind = 'ldap'\nname = 'hq'\n{LOCAL}{}",
        setting.source(&[closed_port()], ALL)
    );
    let door = Door::with(&settings).await;
    door.gateway.add("ann", &[]).await;
    let app = &door.gateway.app;
    let actor = accesspoint::store::Actor::command_line();
    app.link_identity("ann", "hq", "11111111", actor)
        .await
        .unwrap();
    // Where another source has judged, it is wrong.
    door.refuses("ann", "wrong", 503, "SIGN_IN_FAILED").await;
    assert_eq!(door.lets_in("ann", PASSWORD).await["user"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_user_and_one_of_the_directory_are_two_until_an_administrator_links_them() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let mut entry = ann();
    entry.add("login", b"lee");
    entry.add("entryUUID", b"11111111-2222-3333-4444-555555555555");
    directory.holds(vec![entry]);
    let settings = setting
        .ldap(&[url], ALL)
        .replace("(uid={username})", "(login={username})");
    let door = Door::with(&settings).await;
    door.gateway.add("ann", &[]).await;
    door.refuses("lee", LDAP_PASSWORD, 403, "USER_NAME_TAKEN")
        .await;
    let subject = "11111111-2222-3333-4444-555555555555";
    assert!(door.last_event().unwrap().detail.contains(subject));
    let actor = accesspoint::store::Actor::command_line();
    let app = &door.gateway.app;
    app.link_identity("ann", "hq", subject, actor)
        .await
        .unwrap();
    assert_eq!(door.lets_in("lee", LDAP_PASSWORD).await["user"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_person_gets_the_answer_of_a_wrong_password() {
    let setting = Setting::new();
    let (_directory, url) = setting.directory().await;
    let door = Door::with(&setting.ldap(&[url], ALL)).await;
    door.lets_in("ann", LDAP_PASSWORD).await;
    let actor = accesspoint::store::Actor::command_line();
    let disabled = door.gateway.app.set_user_active("ann", false, actor).await;
    disabled.unwrap();
    let door = Door {
        browser: door.gateway.client(),
        gateway: door.gateway,
    };
    door.refuses("ann", LDAP_PASSWORD, 401, "USER_DISABLED")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_a_directory_whose_clock_is_off() {
    let setting = Setting::new();
    let (directory, url) = setting.directory().await;
    let door = Door::with(&setting.ldap(std::slice::from_ref(&url), ALL)).await;
    let people = Entry::new("ou=people,dc=example", "", &[]);
    for (time, off) in [("20261124120059.0Z", false), ("20261124120500.0Z", true)] {
        let root = Entry::new("", "", &[("currentTime", time)]);
        directory.holds(vec![root, people.clone(), ann()]);
        let found = door.gateway.checked_sources().await;
        let told = found.iter().find(|found| found.text.contains("clock"));
        assert_eq!(told.is_some(), off, "{found:?}");
        if let Some(told) = told {
            let text = format!("hq, {url}: its clock is 300 s ahead of ours");
            assert!(told.text.starts_with(&text), "{told:?}");
        }
    }
}

/// What `accesspoint check` says of the sources, and its exit code.
fn checked(settings: &str) -> (i32, String) {
    let site = crate::support::Site::new();
    site.write("accesspoint.toml", settings);
    let ran = site.run(&["check", "--config", "accesspoint.toml"]);
    (ran.code, ran.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_every_server_and_tells_how_long_its_certificate_lasts() {
    let setting = Setting::new();
    let slapd = Slapd::start(&setting.authority);
    let url = format!("ldaps://127.0.0.1:{}", slapd.ldaps);
    let (code, told) = checked(&setting.ldap(std::slice::from_ref(&url), ALL));
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains(&format!("hq, {url}: it answers, and its bases are there")),
        "{told}"
    );
    assert!(told.contains("days left"), "{told}");
    let nowhere = "group_base = 'ou=gone,dc=example'\ngroup_filter = '(member={dn})'\n";
    let urls = std::slice::from_ref(&url);
    let (code, told) = checked(&setting.ldap(urls, &format!("{nowhere}{ALL}")));
    assert_eq!(code, 1, "{told}");
    let refused = "the search of group_base was refused with code 32";
    assert!(told.contains(refused), "{told}");
    let closed = closed_port();
    let (code, told) = checked(&setting.ldap(&[url.clone(), closed.clone()], ALL));
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains(&format!("fault   sign-in: hq, {closed}: ")),
        "{told}"
    );
    let wrong = setting.ldap(&[url], "").replace(SERVICE.1, "wrong");
    let (code, told) = checked(&wrong);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("the bind of bind_dn was refused with code 49"),
        "{told}"
    );
    assert!(
        told.contains("[ldap.hq] lets nobody in: it has no rule."),
        "{told}"
    );
}
