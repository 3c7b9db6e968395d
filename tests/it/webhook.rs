//! Signing in by a webhook: one that does everything wrong, and the example receiver.

#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use accesspoint::app::check::Level;
use accesspoint::auth::answer::Answer;
use accesspoint::auth::webhook::{
    Limits, NONCE_HEADER, SIGNATURE_HEADER, TIME_HEADER, Webhook, sign,
};
use accesspoint::clock::Clock;
use accesspoint::config::Config;
use accesspoint::domain::time::{Millis, Timestamp};
use aws_lc_rs::hmac;
use serde_json::json;
use tempfile::TempDir;

use crate::door::{Door, LOCAL, WANTED};
use crate::gateway::PASSWORD;
use crate::pki::Authority;
use crate::receiver::{HOOK_PASSWORD, HOOK_SECRET, Receiver, Wrong};
use crate::second_factor::{enrol, second_step_on_page};

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

    async fn receiver(&self) -> Receiver {
        Receiver::start(self.authority.server(&["127.0.0.1"])).await
    }

    /// `[webhook.hr]` at this port, in use after the local accounts.
    fn hook(&self, port: u16) -> String {
        format!(
            "{LOCAL}[[sign_in.source]]\nkind = 'webhook'\nname = 'hr'\n[webhook.hr]\n\
             url = 'https://127.0.0.1:{port}/check'\nsecret = '{HOOK_SECRET}'\n\
             user_name = '{{preferred_username}}'\ngroups = 'groups'\nca_file = {:?}\n\
             [[webhook.hr.rule]]\nnamed_cal = 'assign'\n",
            self.authority.file
        )
    }

    /// The source by itself, with little patience.
    fn impatient(&self, port: u16) -> Webhook {
        let file = self.folder.path().join("source.toml");
        std::fs::write(&file, self.hook(port)).unwrap();
        let config = Config::load(Some(&file), std::iter::empty()).unwrap();
        let limits = Limits {
            connect: Duration::from_secs(1),
            answer: Duration::from_millis(1500),
        };
        Webhook::new("hr", &config.sign_in.webhook["hr"], limits).unwrap()
    }
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00.000Z".parse().unwrap()
}

async fn asks(hook: &Webhook, nonce: &str) -> Answer {
    let password = HOOK_PASSWORD.to_owned().into();
    hook.check("ann", &password, nonce, now()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_lets_in_whom_it_vouches_for() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    receiver.puts_in(&["finance"]);
    let door = Door::with(&setting.hook(receiver.port)).await;
    let session = door.lets_in("Ann", HOOK_PASSWORD).await;
    assert_eq!(session["user"], "ann");
    assert_eq!(door.gateway.app.user("ann").unwrap().groups, ["finance"]);
    assert_eq!(door.gateway.app.ledger().cals("", 10).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_after_a_webhook_too() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    let rule = "[[second_factor.rule]]\nsource = 'hr'\nrequired = true\n";
    let door = Door::with(&format!("{}{rule}", setting.hook(receiver.port))).await;
    // The rule asks for one, and Ann has none.
    let answer = door.tries("ann", HOOK_PASSWORD).await;
    assert_eq!(answer.location(), "/account/second-factors");
    let mut ann = door.browser.clone();
    let session = ann.get("/api/v1/session").await.body;
    assert_eq!(session["must_enrol"], true);
    let token = session["csrf_token"].as_str().unwrap();
    token.clone_into(&mut ann.csrf_token);
    let (phone, _) = enrol(&door.gateway, &mut ann).await;
    assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    let asked = door.tries("ann", HOOK_PASSWORD).await.location();
    assert!(asked.starts_with("/login/second-factor?step="), "{asked}");
    assert_eq!(door.browser.cookie("__Host-session"), None);
    let page = door.browser.get(&asked).await.text();
    let done = second_step_on_page(&door.browser, &page, &phone.fresh()).await;
    assert_eq!(done.location(), WANTED);
    let session = door.browser.get("/api/v1/sessions").await.body;
    assert_eq!(session["items"][0]["source"], "hr");
}

#[tokio::test(flavor = "multi_thread")]
async fn w_01_whatever_is_no_signed_yes_refuses() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    let door = Door::with(&setting.hook(receiver.port)).await;
    door.refuses("ann", "wrong", 401, "SIGN_IN_FAILED").await;
    let wrongs = [
        (Wrong::Garbage("<html>yes</html>"), 503),
        (Wrong::Garbage(""), 503),
        (Wrong::Garbage("{\"allow\": true}"), 503),
        (Wrong::Garbage("[true]"), 503),
        (Wrong::SomebodyElse, 401),
        (Wrong::NamedElse, 401),
        (Wrong::NoSubject, 401),
        (Wrong::Status(201), 503),
        (Wrong::Status(204), 503),
        (Wrong::Status(401), 503),
        (Wrong::Status(500), 503),
        (Wrong::Status(503), 503),
        (Wrong::Bytes(10 * 1024 * 1024), 503),
        (Wrong::Closes, 503),
    ];
    for (wrong, status) in wrongs {
        // Long enough for failures to be forgotten.
        door.gateway.clock.advance(Millis::minutes(2));
        receiver.does(wrong.clone());
        receiver.requests();
        let code = match status {
            503 => "UPSTREAM_SIGN_IN_SILENT",
            _ => "SIGN_IN_FAILED",
        };
        door.refuses("ann", HOOK_PASSWORD, status, code).await;
        assert_eq!(receiver.requests().len(), 1, "{wrong:?} was not met");
    }
    assert_eq!(door.people(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn w_01_a_redirect_is_not_followed() {
    let setting = Setting::new();
    let (receiver, elsewhere) = (setting.receiver().await, setting.receiver().await);
    let door = Door::with(&setting.hook(receiver.port)).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("https://127.0.0.1:{}/check", elsewhere.port);
        receiver.does(Wrong::Redirects(status, to));
        let hook = setting.impatient(receiver.port);
        assert_eq!(asks(&hook, "n").await, Answer::Down, "{status}");
        door.gateway.clock.advance(Millis::minutes(2));
        door.refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
            .await;
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn w_01_silence_a_slow_drip_and_a_strange_certificate_end_in_time() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    let door = Door::with(&setting.hook(receiver.port)).await;
    for wrong in [Wrong::Silent, Wrong::Drips] {
        receiver.does(wrong.clone());
        door.gateway.clock.advance(Millis::minutes(2));
        door.refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
            .await;
        let hook = setting.impatient(receiver.port);
        assert_eq!(asks(&hook, "n").await, Answer::Down, "{wrong:?}");
    }
    let other = Setting::new();
    for tls in [
        other.authority.server(&["127.0.0.1"]),
        setting.authority.server(&["other.example"]),
    ] {
        let stranger = Receiver::start(tls).await;
        let door = Door::with(&setting.hook(stranger.port)).await;
        door.refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
            .await;
        let hook = setting.impatient(stranger.port);
        assert_eq!(asks(&hook, "n").await, Answer::Down);
        assert!(stranger.requests().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w_02_requests_are_signed_with_time_and_a_new_nonce() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    let door = Door::with(&setting.hook(receiver.port)).await;
    door.refuses("ann", "wrong", 401, "SIGN_IN_FAILED").await;
    door.lets_in("ann", HOOK_PASSWORD).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    let key = hmac::Key::new(hmac::HMAC_SHA256, HOOK_SECRET.as_bytes());
    for request in &requests {
        let (time, nonce) = (request.header(TIME_HEADER), request.header(NONCE_HEADER));
        assert_eq!(request.line, "POST /check HTTP/1.1");
        assert_eq!(request.header("content-type"), "application/json");
        let signature = sign(&key, time, nonce, &request.body);
        assert_eq!(request.header(SIGNATURE_HEADER), signature);
        let body = request.json();
        assert_eq!(body["time"], time);
        assert_eq!(body["nonce"], nonce);
        assert_eq!(body["username"], "ann");
        assert_eq!(body.as_object().unwrap().len(), 4);
        assert!(time.parse::<Timestamp>().is_ok(), "{time}");
    }
    assert_eq!(requests[1].json()["password"], HOOK_PASSWORD);
    assert_ne!(
        requests[0].header(NONCE_HEADER),
        requests[1].header(NONCE_HEADER)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w_02_an_answer_that_is_replayed_unsigned_or_signed_by_others_refuses() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    let first = asks(&setting.impatient(receiver.port), "one").await;
    assert!(matches!(first, Answer::Vouched { .. }));
    for wrong in [
        Wrong::Replays,
        Wrong::Unsigned,
        Wrong::OtherSecret,
        Wrong::OtherNonce,
        Wrong::OtherTime("2026-11-24T11:54:59.000Z"),
        Wrong::OtherTime("2026-11-24T12:05:01.000Z"),
        Wrong::OtherTime("now"),
        Wrong::SignedTwice,
    ] {
        receiver.does(wrong.clone());
        let hook = setting.impatient(receiver.port);
        assert_eq!(asks(&hook, "two").await, Answer::Down, "{wrong:?}");
        // A gateway of its own each time: times are told by its clock, and failures are remembered.
        let door = Door::with(&setting.hook(receiver.port)).await;
        door.refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
            .await;
    }
    // Its clock need not be ours to the minute.
    receiver.does(Wrong::OtherTime("2026-11-24T12:04:00.000Z"));
    let off = asks(&setting.impatient(receiver.port), "three").await;
    assert!(matches!(off, Answer::Vouched { .. }), "{off:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn w_03_a_redirect_to_an_address_of_the_inside_reaches_nobody() {
    let setting = Setting::new();
    let (receiver, inside) = (setting.receiver().await, setting.receiver().await);
    let door = Door::with(&setting.hook(receiver.port)).await;
    for to in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://localhost/".to_owned(),
        "file:///etc/passwd".to_owned(),
        format!("https://127.0.0.1:{}/check", inside.port),
        format!("http://127.0.0.1:{}/check", inside.port),
        format!("//127.0.0.1:{}/check", inside.port),
    ] {
        receiver.does(Wrong::Redirects(302, to.clone()));
        let hook = setting.impatient(receiver.port);
        assert_eq!(asks(&hook, "n").await, Answer::Down, "{to}");
        door.gateway.clock.advance(Millis::minutes(2));
        door.refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
            .await;
    }
    assert_eq!(inside.connections(), 0);
    assert_eq!(door.people(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn w_03_a_name_that_leads_to_where_policy_forbids_reaches_nobody() {
    let setting = Setting::new();
    let tls = setting.authority.server(&["localhost"]);
    let receiver = Receiver::start(tls).await;
    let door = |more: &str| {
        let hook = setting
            .hook(receiver.port)
            .replace("127.0.0.1", "localhost");
        let hook = hook.replace("ca_file", &format!("{more}ca_file"));
        async move { Door::with(&hook).await }
    };
    let forbidden = door("private_addresses = false\n").await;
    forbidden
        .refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
        .await;
    assert_eq!(receiver.connections(), 0);
    door("").await.lets_in("ann", HOOK_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w_04_a_webhook_that_fails_is_left_alone_and_other_ways_go_on() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    receiver.does(Wrong::Status(500));
    let door = Door::with(&setting.hook(receiver.port)).await;
    door.gateway.add("bea", &[]).await;
    for _ in 0..6 {
        door.refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
            .await;
    }
    assert_eq!(receiver.requests().len(), 3);
    assert!(door.page().await.text().contains("hr does not answer now"));
    assert_eq!(door.lets_in("bea", PASSWORD).await["user"], "bea");
    receiver.does(Wrong::Nothing);
    door.gateway.clock.advance(Millis::seconds(31));
    let again = Door {
        browser: door.gateway.client(),
        gateway: door.gateway,
    };
    assert_eq!(again.lets_in("ann", HOOK_PASSWORD).await["user"], "ann");
}

/// A directory that is down, before all other sources.
const DOWN: &str = "[[sign_in.source]]\nkind = 'ldap'\nname = 'hq'\n";
const DOWN_SETTINGS: &str = "[ldap.hq]\nservers = ['ldaps://127.0.0.1:9']\nuser_base = 'dc=x'\n\
    user_filter = '(uid={username})'\nuser_name = '{uid}'\n[[ldap.hq.rule]]\n";

#[tokio::test(flavor = "multi_thread")]
async fn while_an_earlier_source_is_down_people_of_later_ones_come_in() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    let settings = format!("{DOWN}{}{DOWN_SETTINGS}", setting.hook(receiver.port));
    let mut door = Door::with(&settings).await;
    // New here, then known; while the directory is still asked, and when it is left alone.
    for _ in 0..5 {
        door.browser = door.gateway.client();
        assert_eq!(door.lets_in("ann", HOOK_PASSWORD).await["user"], "ann");
    }
    assert_eq!(door.gateway.app.silent_sources(), ["hq"]);
}

/// The example receiver of the README, run as it stands.
struct Example {
    child: Child,
    port: u16,
}

impl Example {
    fn start(setting: &Setting) -> Self {
        let leaf = setting.authority.leaf(&["127.0.0.1"]);
        let path = |name: &str| setting.folder.path().join(name);
        std::fs::write(path("hook.pem"), leaf.certificate + &leaf.key).unwrap();
        std::fs::write(path("hook.secret"), format!("{HOOK_SECRET}\n")).unwrap();
        let people = json!({"ann": {"password": HOOK_PASSWORD, "groups": ["finance"]}});
        std::fs::write(path("people.json"), people.to_string()).unwrap();
        let mut child = Command::new("python3")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/deploy/webhook-receiver.py"
            ))
            .arg("0")
            .args([path("hook.pem"), path("hook.secret"), path("people.json")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self { child, port }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_receiver_lets_in_and_refuses() {
    let setting = Setting::new();
    let example = Example::start(&setting);
    let door = Door::with_clock(&setting.hook(example.port), Clock::system()).await;
    door.refuses("ann", "wrong", 401, "SIGN_IN_FAILED").await;
    door.refuses("bob", HOOK_PASSWORD, 401, "SIGN_IN_FAILED")
        .await;
    let session = door.lets_in("ann", HOOK_PASSWORD).await;
    assert_eq!(session["user"], "ann");
    assert_eq!(door.gateway.app.user("ann").unwrap().groups, ["finance"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_receiver_answers_nobody_who_does_not_know_the_secret() {
    let setting = Setting::new();
    let example = Example::start(&setting);
    let settings = setting.hook(example.port).replace(HOOK_SECRET, "guessed");
    let door = Door::with_clock(&settings, Clock::system()).await;
    door.refuses("ann", HOOK_PASSWORD, 503, "UPSTREAM_SIGN_IN_SILENT")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reaches_a_webhook_without_asking_about_anybody() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    receiver.does(Wrong::Status(405));
    let site = crate::support::Site::new();
    let check = ["check", "--config", "accesspoint.toml"];
    site.write("accesspoint.toml", &setting.hook(receiver.port));
    let ran = site.run(&check);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("hr: the webhook can be reached"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("days left"), "{}", ran.stdout);
    let asked = receiver.requests();
    assert!(
        asked
            .iter()
            .all(|request| request.line.starts_with("HEAD ") && request.body.is_empty())
    );
    drop(receiver);
    let ran = site.run(&check);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("fault   sign-in: hr: it cannot be asked"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_a_clock_that_is_off() {
    let setting = Setting::new();
    let receiver = setting.receiver().await;
    let door = Door::with(&setting.hook(receiver.port)).await;
    let found = async |date| {
        receiver.does(Wrong::SaysDate(date));
        let found = door.gateway.checked_sources().await;
        let mut found = found.into_iter();
        found.find(|found| found.text.contains("clock"))
    };
    // The gateway's is 12:00:00.
    assert_eq!(found("Tue, 24 Nov 2026 12:01:00 GMT").await, None);
    let off = found("Tue, 24 Nov 2026 11:57:00 GMT").await.unwrap();
    assert_eq!(off.level, Level::Warning);
    assert!(
        off.text
            .starts_with("hr: its clock is -180 s ahead of ours"),
        "{off:?}"
    );
}

#[test]
fn the_readme_shows_the_example_receiver_as_it_is() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../../deploy/webhook-receiver.py");
    assert!(readme.contains(&format!("```python\n{example}```")));
}
