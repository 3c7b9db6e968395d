//! The command line, run as people and scripts run it.

#![cfg(test)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use accesspoint::app::keys::LeaseKeys;
use accesspoint::clock::Clock;
use accesspoint::domain::lease::{Lease, LeaseId, LeaseState};
use accesspoint::domain::person::PersonId;
use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::domain::workstation::{Workstation, WorkstationId};
use accesspoint::fresh::Fresh;
use serde_json::{Value, json};

use crate::pki::Authority;
use crate::support::{Ran, Running, Site, get};

const PASSWORD: &str = "tin-whistle-9\n";

fn add_user(site: &Site, arguments: &[&str]) -> Ran {
    let command = [&["user", "add", "--password-stdin"], arguments].concat();
    site.run_with(&command, PASSWORD)
}

fn is_instant(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.parse::<Timestamp>().is_ok()
}

#[test]
fn second_factors_are_reset_by_name_and_the_audit_keeps_it() {
    let site = Site::new();
    assert_eq!(add_user(&site, &["ann"]).code, 0);
    let reset = site.json(&["user", "reset-second-factor", "Ann"]);
    assert_eq!(reset["user"], "ann");
    let audit = site.json(&["audit", "list"]);
    let last = &audit["items"][0];
    assert_eq!(
        (&last["event"], &last["user"]),
        (&"second_factors_reset".into(), &"ann".into())
    );
    let nobody = site.run(&["user", "reset-second-factor", "nobody"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.stderr.contains("nobody"), "{}", nobody.stderr);
}

#[test]
fn wrong_usage_is_2_and_says_so_on_standard_error() {
    let site = Site::new();
    for arguments in [
        &[][..],
        &["fly"],
        &["cal", "assign"],
        &["user", "add", "bob", "--password", "secret123"],
        &["user", "add", "bob", "--role", "king", "--password-stdin"],
        &["settings", "set", "allow-flying", "true"],
        &["settings", "set", "allow-license-lease", "maybe"],
        &["token", "create", "--name", "t", "--scope", "everything"],
        &["token", "create", "--name", "t"],
        &[
            "token",
            "create",
            "--name",
            "t",
            "--scope",
            "qms",
            "--expires",
            "366",
        ],
        &[
            "explain",
            "--user",
            "a",
            "--document",
            "b",
            "--client",
            "fax",
        ],
        &["audit", "list", "--limit", "0"],
    ] {
        let ran = site.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
    let data = site.path().join("accesspoint-data");
    assert!(!data.exists(), "wrong usage touches nothing");
    let help = site.run(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("explain"));
}

#[test]
fn every_mistake_of_the_configuration_is_told_with_its_line() {
    let site = Site::new();
    site.write("c.toml", "public_ulr = \"x\"\n[listen]\nhttps = \"nope\"\n");
    for command in [&["cal", "list"][..], &["serve"]] {
        let ran = site.run(&[command, &["--config", "c.toml"]].concat());
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains("c.toml:1: "), "{}", ran.stderr);
        assert!(ran.stderr.contains("public_url"), "{}", ran.stderr);
        assert!(ran.stderr.contains("c.toml:3: "), "{}", ran.stderr);
    }
    let check = site.run(&["check", "--config", "c.toml"]);
    assert_eq!(check.code, 1);
    assert_eq!(check.stdout.matches("fault   configuration: ").count(), 2);
}

#[test]
fn people_are_added_listed_disabled_and_renamed() {
    let site = Site::new();
    let options = [
        "--display-name",
        "Ann Other",
        "--group",
        "sales",
        "--group",
        "hr",
    ];
    let added = add_user(
        &site,
        &[&["Ann", "--role", "administrator"], &options[..]].concat(),
    );
    assert_eq!((added.code, added.stdout.as_str()), (0, "ann: added\n"));
    let again = add_user(&site, &["ANN"]);
    assert_eq!(again.code, 1);
    assert!(
        again.stderr.contains("ANN belongs to somebody"),
        "{}",
        again.stderr
    );

    let list = site.json(&["user", "list"]);
    let ann = &list["items"][0];
    assert!(is_instant(&ann["created_at"]));
    assert_eq!(ann["user"], "ann");
    assert_eq!(ann["display_name"], "Ann Other");
    assert_eq!(ann["roles"], json!(["administrator"]));
    assert_eq!(ann["groups"], json!(["sales", "hr"]));
    assert_eq!(ann["active"], true);

    assert_eq!(site.run(&["user", "disable", "ann"]).code, 0);
    assert_eq!(site.json(&["user", "list"])["items"][0]["active"], false);
    assert_eq!(site.run(&["user", "enable", "CUSTOM\\ann"]).code, 0);
    assert_eq!(site.run(&["user", "rename", "ann", "anna"]).code, 0);
    assert_eq!(site.json(&["user", "list"])["items"][0]["user"], "anna");
    let unknown = site.run(&["user", "disable", "ann"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("there is no user ann"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn passwords_come_from_standard_input_and_obey_the_rules() {
    let site = Site::new();
    for (input, reason) in [
        ("", "no password"),
        ("short\n", "at least 8"),
        ("password\n", "common"),
    ] {
        let ran = site.run_with(&["user", "add", "bob", "--password-stdin"], input);
        assert_eq!(ran.code, 1, "{input:?}");
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert!(!ran.stderr.contains("Error"), "{}", ran.stderr);
    }
    assert_eq!(site.json(&["user", "list"])["items"], json!([]));
    assert_eq!(add_user(&site, &["bob"]).code, 0);
    let set = ["user", "set-password", "bob", "--password-stdin"];
    assert_eq!(site.run_with(&set, "another-whistle\n").code, 0);
    assert_eq!(site.run_with(&set, "short\n").code, 1);
    let list = site.json(&["audit", "list"]);
    assert_eq!(list["items"][0]["event"], "password_set");
}

#[test]
fn a_lef_names_its_bad_lines_and_one_that_is_too_small_names_the_people() {
    let site = Site::new();
    assert_eq!(site.json(&["license", "show"])["loaded"], false);
    site.write("bad.lef", "Owner\nPRODUCTLEVEL;10;;\nNAMED_CALS;five;;\n");
    let bad = site.run(&["license", "load", "bad.lef"]);
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("line 3"), "{}", bad.stderr);
    assert!(bad.stderr.contains("five"), "{}", bad.stderr);

    site.write(
        "two.lef",
        "1234 5678 9012 3456\nPRODUCTLEVEL;10;;\nNAMED_CALS;2;;\n",
    );
    assert_eq!(site.run(&["license", "load", "two.lef"]).code, 0);
    let shown = site.run(&["license", "show"]);
    assert!(shown.stdout.contains("3456"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("9012"), "{}", shown.stdout);
    for user in ["ann", "bob"] {
        assert_eq!(site.run(&["cal", "assign", user]).code, 0);
    }
    site.write("one.lef", "NAMED_CALS;1;;\n");
    let refused = site.run(&["license", "load", "one.lef"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, "ann\nbob\n"));
    let refused = site.run(&["license", "load", "one.lef", "--json"]);
    assert_eq!(refused.json()["people"], json!(["ann", "bob"]));
    assert_eq!(site.json(&["license", "show"])["held"], 2);

    let forced = site.run(&["license", "load", "one.lef", "--force"]);
    assert_eq!(forced.code, 0);
    assert!(forced.stderr.contains("OVERCOMMITTED"), "{}", forced.stderr);
    let check = site.run(&["check"]);
    assert_eq!(
        check.code, 0,
        "a warning alone is no fault: {}",
        check.stdout
    );
    assert!(
        check.stdout.contains("warning license: OVERCOMMITTED"),
        "{}",
        check.stdout
    );
    site.write("no-cals.lef", "PRODUCTLEVEL;10;;\n");
    let empty = site.run(&["license", "load", "no-cals.lef", "--force"]);
    assert!(empty.stderr.contains("OVERCOMMITTED"), "{}", empty.stderr);
    let fresh = Site::new();
    fresh.write("no-cals.lef", "PRODUCTLEVEL;10;;\n");
    let empty = fresh.run(&["license", "load", "no-cals.lef"]);
    assert_eq!(empty.code, 0);
    let warning = "warning: it holds no named CALs, so nobody can open a document (R6).\n";
    assert_eq!(empty.stderr, warning);
    let missing = site.run(&["license", "load", "none.lef"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("none.lef"), "{}", missing.stderr);
}

#[test]
fn cals_are_assigned_listed_and_taken_back() {
    let site = Site::with_cals(1);
    assert_eq!(site.run(&["cal", "assign", "ann"]).code, 0);
    let again = site.json(&["cal", "assign", "ann"]);
    assert_eq!(again["outcome"], "held");
    let refused = site.run(&["cal", "assign", "bob", "--json"]);
    assert_eq!(refused.code, 1);
    assert_eq!(refused.json()["refusal"]["code"], "NO_FREE_CAL");
    assert!(!refused.stderr.is_empty());

    let list = site.json(&["cal", "list"]);
    let ann = &list["items"][0];
    assert!(is_instant(&ann["assigned_at"]));
    assert_eq!(ann["user"], "ann");
    assert_eq!(ann["state"], "assigned");
    assert_eq!(ann["last_used_at"], Value::Null);
    assert_eq!(ann["until"], Value::Null);

    let taken = site.run(&["cal", "unassign", "ann"]);
    assert_eq!(taken.code, 0);
    assert!(
        taken.stderr.contains("dynamic assignment"),
        "{}",
        taken.stderr
    );
    let dynamic = ["settings", "set", "allow-dynamic-assignment", "false"];
    assert_eq!(site.run(&dynamic).code, 0);
    assert_eq!(site.run(&["cal", "assign", "ann"]).code, 0);
    let taken = site.run(&["cal", "unassign", "ann"]);
    assert_eq!((taken.code, taken.stderr.as_str()), (0, ""));
    assert_eq!(
        site.json(&["cal", "unassign", "ann"])["outcome"],
        "not_held"
    );
    assert_eq!(site.run(&["cal", "unassign", "nobody"]).code, 1);
    assert_eq!(site.json(&["cal", "list"])["items"], json!([]));
}

#[test]
fn settings_are_shown_and_set() {
    let site = Site::new();
    let start = site.json(&["settings", "show"]);
    let both = json!({ "allow_license_lease": true, "allow_dynamic_assignment": true });
    assert_eq!(start, both);
    assert_eq!(
        site.run(&["settings", "set", "allow-license-lease", "false"])
            .code,
        0
    );
    assert_eq!(
        site.json(&["settings", "show"])["allow_license_lease"],
        false
    );
}

#[test]
fn an_explanation_lists_every_rule_and_changes_nothing() {
    let site = Site::with_cals(1);
    site.write("documents/Plan.qvw", "a document");
    assert_eq!(add_user(&site, &["ann"]).code, 0);
    let before = site.json(&["audit", "list"]);
    let open = ["explain", "--user", "ann", "--document", "Plan.qvw"];
    let explained = site.json(&open);
    assert_eq!(explained["access"], "granted");
    assert_eq!(explained["lease"], "granted");
    let ids: Vec<&str> = explained["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    let rules = [
        "R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R11", "R13",
    ];
    assert_eq!(ids, rules);
    let ajax = site.json(&[&open[..], &["--client", "ajax"]].concat());
    assert_eq!(ajax["lease"], "not_applicable");
    let missing = site.json(&["explain", "--user", "ann", "--document", "Other.qvw"]);
    assert_eq!(missing["access"], "refused");
    assert_eq!(missing["rules"][8]["code"], "DOCUMENT_NOT_FOUND");
    assert_eq!(missing["rules"][8]["passed"], false);
    let text = site.run(&open);
    assert!(
        text.stdout.contains("Access: granted. Lease: granted."),
        "{}",
        text.stdout
    );
    assert_eq!(site.json(&["audit", "list"]), before);
    let unknown = ["explain", "--user", "eve", "--document", "Plan.qvw"];
    assert_eq!(site.run(&unknown).code, 1);
    let nowhere = site.run(&[&open[..], &["--workstation", "-nowhere"]].concat());
    assert_eq!(nowhere.code, 1, "{}", nowhere.stdout);
    assert!(nowhere.stderr.contains("-nowhere"), "{}", nowhere.stderr);
}

#[test]
fn ids_may_begin_with_a_dash_as_they_are_made_at_random() {
    let site = Site::new();
    for arguments in [
        &["lease", "revoke", "-7Yx"][..],
        &["token", "revoke", "-7Yx"],
        &["workstation", "lift", "-7Yx"],
        &["workstation", "merge", "-7Yx", "-8Yx"],
    ] {
        let ran = site.run(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("-7Yx"), "{arguments:?}: {}", ran.stderr);
        for arguments in [
            [arguments, &["--json"]].concat(),
            [&["--json"], arguments].concat(),
        ] {
            let ran = site.run(&arguments);
            assert_eq!((ran.code, &*ran.stdout), (1, ""), "{arguments:?}");
        }
    }
}

#[test]
fn the_database_is_for_its_owner_alone() {
    let site = Site::with_cals(1);
    for name in ["accesspoint.db", "accesspoint.db-wal", "accesspoint.db-shm"] {
        let Ok(file) = fs::metadata(site.path().join("accesspoint-data").join(name)) else {
            assert_ne!(name, "accesspoint.db");
            continue;
        };
        assert_eq!(file.permissions().mode() & 0o077, 0, "{name}");
    }
}

#[test]
fn tokens_are_shown_once_listed_without_secret_and_revoked() {
    let site = Site::new();
    let create = ["token", "create", "--name", "probe", "--scope", "metrics"];
    let made = site.json(&[&create[..], &["--scope", "admin:read", "--expires", "30"]].concat());
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    let list = site.json(&["token", "list"]);
    assert_eq!(list["items"][0]["scopes"], json!(["metrics", "admin:read"]));
    assert!(is_instant(&list["items"][0]["expires_at"]));
    assert!(!list.to_string().contains(secret));
    assert_eq!(site.run(&["token", "revoke", id]).code, 0);
    assert!(is_instant(
        &site.json(&["token", "list"])["items"][0]["revoked_at"]
    ));
    for name in ["", " ", "two\nlines", &"x".repeat(65)] {
        let ran = site.run(&["token", "create", "--name", name, "--scope", "metrics"]);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{name:?}");
    }
    let unknown = site.run(&["token", "revoke", "none"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("none"));
}

#[test]
fn the_audit_is_listed_newest_first_and_exported_oldest_first() {
    let site = Site::with_cals(2);
    for user in ["ann", "bob"] {
        site.run(&["cal", "assign", user]);
    }
    let list = site.json(&["audit", "list", "--limit", "2"]);
    let seqs: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["seq"])
        .collect();
    assert_eq!(seqs, [3, 2]);
    let row = &list["items"][0];
    assert_eq!(
        (&row["event"], &row["user"]),
        (&json!("cal_assigned"), &json!("bob"))
    );
    assert!(is_instant(&row["at"]) && row["code"].is_null());
    let ann = site.json(&["audit", "list", "--user", "ann"]);
    assert_eq!(ann["items"].as_array().unwrap().len(), 1);

    let export = site.run(&["audit", "export"]);
    let rows: Vec<Value> = export
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seqs: Vec<&Value> = rows.iter().map(|row| &row["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(site.json(&["audit", "verify"])["broken"], Value::Null);
}

#[test]
fn leases_workstations_and_migrate_answer_on_an_empty_site() {
    let site = Site::new();
    assert_eq!(site.json(&["lease", "list"])["items"], json!([]));
    assert_eq!(site.json(&["workstation", "list"])["items"], json!([]));
    for arguments in [
        &["lease", "list", "--user", "nobody"][..],
        &["lease", "revoke", "none"],
        &["workstation", "lift", "none"],
        &["workstation", "merge", "none", "other"],
        &["workstation", "merge", "one", "one"],
    ] {
        let ran = site.run(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    let migrated = site.json(&["migrate"]);
    assert_eq!(migrated["schema"], accesspoint::store::SCHEMA);
}

fn lease(now: Timestamp) -> Lease {
    Lease {
        id: LeaseId::from("lease-1"),
        person: PersonId::from("person-1"),
        workstation: Workstation {
            id: WorkstationId::from("workstation-1"),
            name: "DESK-1".to_owned(),
        },
        state: LeaseState::Live,
        granted_at: now,
        renewed_at: now,
        expires_at: now + Millis::days(30),
        ended_at: None,
        counts: true,
    }
}

#[test]
fn a_lease_token_is_verified_offline_and_a_rotation_keeps_the_old_key() {
    let site = Site::new();
    // The keys that the commands of this site use.
    assert_eq!(site.run(&["migrate"]).code, 0);
    let data = site.path().join("accesspoint-data");
    let now = Clock::system().now();
    let keys = LeaseKeys::open(&data, now, &Fresh::system()).unwrap();
    let token = |lease: &Lease| keys.sign(lease, "ann", "https://ap.example", now).unwrap();
    site.write("token", &format!("{}\n", token(&lease(now))));
    let rotated = site.json(&["lease", "rotate-key"]);
    assert!(rotated["kid"].is_string());
    let key_set = keys.public_set(now).unwrap();
    assert_eq!(key_set["keys"].as_array().unwrap().len(), 2);
    site.write("jwks", &key_set.to_string());
    site.write("accesspoint.toml", "this is no configuration");

    let verified = site.json(&["lease", "verify", "token", "--jwks", "jwks"]);
    assert_eq!(verified["sub"], "ann");
    assert_eq!(verified["jti"], "lease-1");
    let piped = ["lease", "verify", "-", "--jwks", "jwks"];
    assert_eq!(site.run_with(&piped, &token(&lease(now))).code, 0);

    let ended = token(&lease(now - Millis::days(31)));
    let forged = token(&lease(now)).replace('.', ".e");
    for (bad, reason) in [(ended.as_str(), "ended"), (&forged, "token"), ("", "token")] {
        let ran = site.run_with(&piped, bad);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
    let no_keys = ["lease", "verify", "token", "--jwks", "token"];
    assert_eq!(site.run(&no_keys).code, 1);
}

#[test]
fn a_check_shows_all_faults_and_makes_nothing() {
    let site = Site::new();
    let fresh = site.run(&["check"]);
    assert_eq!(fresh.code, 0, "{}", fresh.stdout);
    assert!(
        fresh.stdout.contains("warning ledger: "),
        "{}",
        fresh.stdout
    );
    assert!(!site.path().join("accesspoint-data").exists());

    site.write(
        "c.toml",
        "data_dir = \"d\"\n[tls]\ncertificate_file = \"no.pem\"\nprivate_key_file = \"no.key\"\n",
    );
    std::fs::create_dir(site.path().join("d")).unwrap();
    site.write(
        "d/accesspoint.db",
        "this is no database, and long enough to be looked at",
    );
    let broken = site.run(&["check", "--config", "c.toml", "--json"]);
    assert_eq!(broken.code, 1);
    let found = broken.json();
    let faults: Vec<&str> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["level"] == "fault")
        .map(|finding| finding["subject"].as_str().unwrap())
        .collect();
    assert_eq!(faults, ["ledger", "certificate"], "{found}");
    assert!(found.to_string().contains("no.pem"));
}

#[test]
fn commands_at_the_same_time_never_give_out_more_than_there_is() {
    let site = Site::with_cals(3);
    let users = ["a", "b", "c", "d", "e", "f"];
    let children = users.map(|user| site.start(&["cal", "assign", user]));
    let codes = children.map(|child| child.wait_with_output().unwrap().status.code());
    let done = codes.iter().filter(|code| **code == Some(0)).count();
    let refused = codes.iter().filter(|code| **code == Some(1)).count();
    assert_eq!((done, refused), (3, 3));
    assert_eq!(
        site.json(&["cal", "list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let check = site.run(&["check"]);
    assert_eq!(check.code, 0, "{}", check.stdout);
}

#[test]
fn an_address_in_use_is_named() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.write("c.toml", &format!("[listen]\nhttps = \"{address}\"\n"));
    for arguments in [
        &["serve", "--config", "c.toml"][..],
        &["demo", "--listen", &address],
    ] {
        let ran = site.run(arguments);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(&address), "{}", ran.stderr);
        assert!(ran.stderr.contains("in use"), "{}", ran.stderr);
    }
}

#[test]
fn a_gateway_serves_until_it_is_told_to_end_and_commands_work_beside_it() {
    let site = Site::with_cals(1);
    site.write("c.toml", "[listen]\nhttps = \"127.0.0.1:0\"\n");
    let mut gateway = Running::new(site.start(&["serve", "--config", "c.toml"]));
    let line = gateway.log_line("serving");
    let url = line.split("public_url=").nth(1).unwrap().trim();
    let certificate = site.path().join("accesspoint-data/tls-certificate.pem");
    let host = url.strip_prefix("https://").unwrap();
    let answer = get(url, "/healthz", host, &certificate);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // What was refused is found in the log by the number that its page tells.
    let page = get(url, "/nowhere?token=x", host, &certificate);
    let number = page.split("<code>").nth(1).unwrap();
    let number = number.split("</code>").next().unwrap();
    let line = gateway.log_line(number);
    assert!(line.contains("path=\"/nowhere\" status=404"), "{line}");
    assert!(line.contains("NOT_FOUND"), "{line}");
    let beside = site.run(&["cal", "assign", "ann", "--config", "c.toml"]);
    assert_eq!(beside.code, 0, "{}", beside.stderr);
    let check = site.run(&["check", "--config", "c.toml"]);
    assert_eq!(check.code, 0, "{}", check.stdout);
    assert_eq!(gateway.stop(), 0);
}

/// The most memory that a process has had so far, in MiB.
fn peak_mib(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing() {
    let site = Site::with_cals(1);
    site.write("c.toml", "[listen]\nhttps = \"127.0.0.1:0\"\n");
    let mut gateway = Running::new(site.start(&["serve", "--config", "c.toml"]));
    let line = gateway.log_line("serving");
    let url = line.split("public_url=").nth(1).unwrap().trim();
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    let client = client.build().unwrap();
    // Each leaves a line; a pipe holds 64 KiB of them.
    let nowhere = format!("{url}/{}", "x".repeat(1_000));
    for _ in 0..200 {
        assert_eq!(client.get(&nowhere).send().await.unwrap().status(), 404);
    }
    assert_eq!(gateway.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_10_sign_ins_that_wait_for_their_hash_take_no_memory_for_it() {
    let site = Site::with_cals(1);
    site.write("c.toml", "[listen]\nhttps = \"127.0.0.1:0\"\n");
    let child = site.start(&["serve", "--config", "c.toml"]);
    let process = child.id();
    let mut gateway = Running::new(child);
    let line = gateway.log_line("serving");
    let url = line.split("public_url=").nth(1).unwrap().trim();
    let session = format!("{url}/api/v1/session");
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    let client = client.build().unwrap();
    let tries = |number: usize| {
        let body = json!({ "username": format!("nobody-{number}"), "password": "wrong" });
        let call = client.post(&session).json(&body).send();
        async move { call.await.unwrap().status().as_u16() }
    };
    assert_eq!(tries(200).await, 401);
    let before = peak_mib(process);
    let at_once: Vec<_> = (0..200).map(|number| tokio::spawn(tries(number))).collect();
    let mut hashed = 0;
    for one in at_once {
        match one.await.unwrap() {
            401 => hashed += 1,
            status => assert!(matches!(status, 429 | 503), "{status}"),
        }
    }
    assert!(hashed >= 60, "{hashed} had a place");
    // A hash takes 19 MiB, and there is one at once for each core. All that had a place would have
    // taken more than 1,000.
    let cores = std::thread::available_parallelism().unwrap().get();
    let taken = peak_mib(process) - before;
    assert!(taken < 2 * 19 * cores + 100, "{taken} MiB for {hashed}");
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_demo_tells_its_accounts_in_one_line_and_shows_every_state() {
    let site = Site::new();
    let demo = ["demo", "--json", "--data", "d", "--listen", "127.0.0.1:0"];
    let mut gateway = Running::new(site.start(&demo));
    let told: Value = serde_json::from_str(&gateway.first_line()).unwrap();
    let url = told["url"].as_str().unwrap();
    assert!(told["lef"].as_str().unwrap().contains("ENTERPRISE"));
    let accounts = told["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 7);
    for account in accounts {
        assert!(account["password"].as_str().unwrap().len() >= 12);
        assert!(!account["note"].as_str().unwrap().is_empty());
    }
    let config = told["config"].as_str().unwrap();
    let certificate = site.path().join("d/accesspoint-data/tls-certificate.pem");
    let port = url.rsplit(':').next().unwrap();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let answer = get(url, "/healthz", &host, &certificate);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let cals = site.json(&["cal", "list", "--config", config]);
    let states: Vec<&Value> = cals["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cal| &cal["state"])
        .collect();
    assert_eq!(states, ["assigned", "quarantined", "assigned", "assigned"]);
    assert_eq!(site.run(&["check", "--config", config]).code, 0);

    let second = site.run(&["demo", "--data", "d", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 1);
    assert!(
        second.stderr.contains("another demo is running"),
        "{}",
        second.stderr
    );
    assert_eq!(gateway.stop(), 0);
    let mut again = Running::new(site.start(&demo));
    let told_again: Value = serde_json::from_str(&again.first_line()).unwrap();
    assert_ne!(told_again["accounts"], told["accounts"], "new passwords");
}

#[test]
fn a_demo_refuses_other_peoples_folders_and_other_machines() {
    let site = Site::new();
    let used = site.run(&["demo", "--data", ".", "--listen", "127.0.0.1:0"]);
    assert_eq!(used.code, 1);
    assert!(
        used.stderr.contains("neither empty nor made by"),
        "{}",
        used.stderr
    );
    for address in ["0.0.0.0:0", "192.0.2.1:8443", "[::]:0"] {
        let ran = site.run(&["demo", "--listen", address]);
        assert_eq!(ran.code, 1, "{address}");
        assert!(ran.stderr.contains("loopback"), "{}", ran.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(site.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only documents: {left:?}");
    assert!(Path::new(&site.path().join("documents")).is_dir());
}

#[test]
fn check_tells_a_certificate_of_another_host() {
    let site = Site::new();
    let authority = Authority::new(site.path());
    for (host, expected) in [
        ("gateway.example", "ok      certificate: "),
        (
            "other.example",
            "warning certificate: it is not for gateway.example, the host of public_url: browsers warn of \
             it\n",
        ),
    ] {
        let leaf = authority.leaf(&[host]);
        site.write("chain.pem", &leaf.certificate);
        site.write("key.pem", &leaf.key);
        site.write(
            "a.toml",
            "public_url = \"https://gateway.example\"\n[tls]\ncertificate_file = \"chain.pem\"\n\
             private_key_file = \"key.pem\"\n",
        );
        let told = site.run(&["check", "--config", "a.toml"]).stdout;
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn check_tells_a_data_dir_that_cannot_be_made() {
    let site = Site::new();
    site.write("file", "");
    site.write("a.toml", "data_dir = \"file/below\"\n");
    let ran = site.run(&["check", "--config", "a.toml"]);
    assert_eq!(ran.code, 1);
    let told = format!(
        "fault   files: data_dir file/below cannot be made or written: {}: it is not a folder\n",
        site.path().join("file").display()
    );
    assert!(ran.stdout.contains(&told), "{}", ran.stdout);
}
