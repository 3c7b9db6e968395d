use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::*;
use crate::domain::policy::Policy;
use crate::domain::time::Millis;

const EXAMPLE: &str = include_str!("../../deploy/accesspoint.toml");

/// Reads a text as the file `accesspoint.toml`, which is not on the disk.
fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    load_in(Path::new(""), text, variables)
}

fn load_in(base: &Path, text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let name: Arc<str> = "accesspoint.toml".into();
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let place = Place::File(Arc::clone(&name));
    Config::read(place, base, variables.into_iter(), |mistakes| {
        tree::parse_file(text, &name, mistakes)
    })
}

fn load(text: &str) -> Config {
    load_with(text, &[]).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn mistakes(text: &str) -> Vec<String> {
    lines(&load_with(text, &[]).unwrap_err())
}

fn lines(errors: &ConfigErrors) -> Vec<String> {
    errors.to_string().lines().map(str::to_owned).collect()
}

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("accesspoint-config-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A key of the tests (Ed25519).
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIGJH7mUtr7j5JnZRDqajhO+piI3ZzwCePZ8zyUXU/6dZ\n\
    -----END PRIVATE KEY-----\n";

/// The example with every example line activated: those with text right behind the `#`.
fn activated_example() -> String {
    let activate = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(|line| activate(line) + "\n").collect()
}

fn folder_with_secrets(name: &str) -> Folder {
    let folder = Folder::new(name);
    for secret in [
        "oidc-corp-secret",
        "ldap-hq-password",
        "webhook-hr-secret",
        "qms-password",
    ] {
        folder.write(secret, &format!("{secret}-value\n"));
    }
    folder.write("oidc-corp-key.pem", PRIVATE_KEY);
    let certificate = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    for trusted in ["corp-ca.pem", "hq-ca.pem", "hr-ca.pem", "qlikview-ca.pem"] {
        folder.write(trusted, &certificate.cert.pem());
    }
    folder
}

#[test]
fn without_file_and_environment_everything_is_the_documented_default() {
    let config = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(config.public_url.origin(), "https://127.0.0.1:8443");
    assert_eq!(config.data_dir, Path::new("accesspoint-data"));
    assert_eq!(config.listen.https.to_string(), "127.0.0.1:8443");
    assert_eq!(config.listen.metrics, None);
    assert_eq!(config.tls, None);
    let file = PathBuf::from("accesspoint-data/accesspoint.db");
    assert_eq!(config.database, Database::Sqlite(file));
    assert_eq!(config.license.server, LicenseServer::Embedded);
    assert_eq!(config.license.policy, Policy::default());
    assert_eq!(config.documents.root, Path::new("documents"));
    assert!(config.documents.rules.is_empty());
    assert_eq!(config.session.idle, Millis::hours(8));
    assert_eq!(config.session.absolute, Millis::hours(24));
    assert_eq!(config.launch.ticket, Millis::seconds(90));
    assert_eq!(config.workstation.header, None);
    assert_eq!(config.proxy.trusted, Networks::default());
    assert_eq!(config.sign_in.sources.len(), 1);
    assert_eq!(config.sign_in.sources[0].kind, SourceKind::Local);
    assert_eq!(config.qlikview.user_prefix, "CUSTOM\\");
    assert_eq!(config.qlikview.tunnel_life, Millis::hours(12));
    assert!(!config.compat.qms && !config.qlikview.assign_cals && !config.qlikview.tunnel);
    assert_eq!(config.not_yet_built(), [""; 0]);
    assert_eq!(config.warnings(), [""; 0]);
}

#[test]
fn the_example_as_it_is_holds_the_defaults() {
    let defaults = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(format!("{:?}", load(EXAMPLE)), format!("{defaults:?}"));
}

#[test]
fn the_example_is_valid_with_every_example_line_activated() {
    let folder = folder_with_secrets("example");
    let config =
        load_in(&folder.0, &activated_example(), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let corp = &config.sign_in.oidc["corp"];
    let secret = corp.client_secret.as_ref().unwrap();
    assert_eq!(secret.expose(), "oidc-corp-secret-value");
    assert_eq!(corp.mapping.rules[0].groups, ["sales"]);
    assert_eq!(config.sign_in.ldap["hq"].servers, ["ldaps://dc1.example"]);
    assert_eq!(config.sign_in.webhook["hr"].mapping.rules.len(), 1);
    assert_eq!(config.documents.rules[0].users, ["alice"]);
    assert_eq!(config.sign_in.sources.len(), 4);
    assert_eq!(config.not_yet_built(), [""; 0]);
}

#[test]
fn the_example_shows_every_key() {
    let text = activated_example();
    let shown = |key: &str| {
        text.lines()
            .any(|line| line.starts_with(&format!("{key} =")))
    };
    let hidden: Vec<&str> = "public_url data_dir https metrics certificate_file private_key_file \
        url server qlikview_version lease_window_hours quarantine_hours named_cals \
        special_edition root path users groups idle_minutes absolute_hours ticket_seconds header \
        trusted kind name label issuer allow_http_loopback client_id client_secret_file ca_file \
        client_auth private_key_file private_key_id id_token_algs max_age_minutes acr_values \
        scopes user_name display_name names when deny roles named_cal servers start_tls bind_dn \
        bind_password_file user_base user_filter group_name secret_file \
        web_server management_service management_user management_password_file server_name \
        user_prefix assign_cals tunnel tunnel_minutes tunnel_open_to paths web_ticket_trusted \
        http_listen qms text address"
        .split_whitespace()
        .filter(|key| !shown(key))
        .collect();
    assert_eq!(hidden, [""; 0]);
    assert!(EXAMPLE.contains("group_base = ") && EXAMPLE.contains("group_filter = "));
}

#[test]
fn a_typo_in_any_section_names_line_and_nearest_key() {
    let table = [
        (
            "publik_url = 'x'",
            1,
            "unknown key \"publik_url\"; did you mean \"public_url\"?",
        ),
        (
            "[listn]\nhttps = 'x'",
            1,
            "unknown key \"listn\"; did you mean \"listen\"?",
        ),
        (
            "[listen]\nhtps = 'x'",
            2,
            "unknown key \"htps\" in [listen]; did you mean \"https\"?",
        ),
        (
            "[tls]\n\ncertificate = 'x'",
            3,
            "unknown key \"certificate\" in [tls]; did you mean \"certificate_file\"?",
        ),
        (
            "[database]\nuri = 'x'",
            2,
            "unknown key \"uri\" in [database]; did you mean \"url\"?",
        ),
        (
            "[license]\nquarantine_hour = 1",
            2,
            "unknown key \"quarantine_hour\" in [license]; did you mean \"quarantine_hours\"?",
        ),
        (
            "[license.lef]\nnamed_cal = []",
            2,
            "unknown key \"named_cal\" in [license.lef]; did you mean \"named_cals\"?",
        ),
        (
            "[documents]\nroute = 1",
            2,
            "unknown key \"route\" in [documents]; did you mean \"root\"?",
        ),
        (
            "[[documents.rule]]\npath = 'a'\nuser = []",
            3,
            "unknown key \"user\" in [documents.rule]; did you mean \"users\"?",
        ),
        (
            "[session]\nidle_minute = 1",
            2,
            "unknown key \"idle_minute\" in [session]; did you mean \"idle_minutes\"?",
        ),
        (
            "[launch]\nticket_second = 1",
            2,
            "unknown key \"ticket_second\" in [launch]; did you mean \"ticket_seconds\"?",
        ),
        (
            "[workstation]\nheaders = 1",
            2,
            "unknown key \"headers\" in [workstation]; did you mean \"header\"?",
        ),
        (
            "[proxy]\ntrust = []",
            2,
            "unknown key \"trust\" in [proxy]; did you mean \"trusted\"?",
        ),
        (
            "sign_in.sources = []",
            1,
            "unknown key \"sources\" in [sign_in]; did you mean \"source\"?",
        ),
        (
            "[[sign_in.source]]\nkind = 'local'\nname = 'local'\nnam = 1",
            4,
            "unknown key \"nam\" in [sign_in.source]; did you mean \"name\"?",
        ),
        (
            "[qlikview]\nuser_prefx = 1",
            2,
            "unknown key \"user_prefx\" in [qlikview]; did you mean \"user_prefix\"?",
        ),
        (
            "[compat]\nqsm = true",
            2,
            "unknown key \"qsm\" in [compat]; did you mean \"qms\"?",
        ),
    ];
    for (text, line, message) in table {
        assert_eq!(
            mistakes(text),
            [format!("accesspoint.toml:{line}: {message}")]
        );
    }
}

#[test]
fn a_typo_in_a_sign_in_source_is_found_too() {
    let folder = folder_with_secrets("typo");
    let example = activated_example();
    for (header, typo, nearest) in [
        ("[oidc.corp]", "isuer", "issuer"),
        ("[[oidc.corp.rule]]", "denny", "deny"),
        ("[ldap.hq]", "user_bases", "user_base"),
        ("[[ldap.hq.rule]]", "role", "roles"),
        ("[webhook.hr]", "secrets_file", "secret_file"),
    ] {
        let text = example.replace(header, &format!("{header}\n{typo} = 1"));
        let found = lines(&load_in(&folder.0, &text, &[]).unwrap_err());
        let section = header.trim_matches(['[', ']']);
        let wanted = format!("unknown key \"{typo}\" in [{section}]; did you mean \"{nearest}\"?");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(&wanted), "{found:?}");
    }
    let text = example.replace("has = \"analysts\"", "has = \"analysts\", clam = 1");
    let found = lines(&load_in(&folder.0, &text, &[]).unwrap_err());
    assert!(
        found[0].contains("\"clam\" in [oidc.corp.rule.when]"),
        "{found:?}"
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_lines() {
    let text = "public_url = 'http://a'\n[listen]\nhtps = 'x'\n[session]\nidle_minutes = 'long'\n\
        [proxy]\ntrusted = [\n  '10.0.0.0/8',\n  '10.0.0.0/33',\n  'x',\n]\n";
    let found =
        lines(&load_with(text, &[("ACCESSPOINT__LAUNCH__TICKET_SECONDS", "5")]).unwrap_err());
    let starts = [
        "accesspoint.toml:1: public_url: expected an https URL",
        "accesspoint.toml:3: unknown key \"htps\" in [listen]",
        "accesspoint.toml:5: session.idle_minutes: expected a whole number from 1 to 43200, found text",
        "accesspoint.toml:9: proxy.trusted: expected an address or a network",
        "accesspoint.toml:10: proxy.trusted: expected an address or a network",
        "ACCESSPOINT__LAUNCH__TICKET_SECONDS: launch.ticket_seconds: expected a whole number from 15",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (line, start) in found.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn syntax_errors_carry_line_and_column() {
    let found = mistakes("[listen]\nhttps = \"127.0.0.1:8443\nmetrics = 3\n[proxy\n");
    assert!(found[0].starts_with("accesspoint.toml:2:"), "{found:?}");
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("accesspoint.toml:4:7: ")),
        "{found:?}"
    );
    assert!(
        found.iter().all(|line| line.matches(':').count() >= 3),
        "{found:?}"
    );
}

#[test]
fn a_quote_that_is_missing_is_one_mistake_and_not_one_on_each_line_below() {
    let table = "[[webhook.hr.rule]]\nwhen = { claim = 'groups', has = 'x }\n";
    let rest = "[session]\nidle_minutes = 480\nmax_per_user = 20\nwhen_full = 'end_oldest'\n";
    let found = mistakes(&format!("{table}{rest}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("accesspoint.toml:2:"), "{found:?}");
}

#[test]
fn duplicate_keys_and_tables_are_mistakes_beside_others() {
    let found = mistakes("[session]\nidle_minutes = 1\nidle_minutes = 2\nidle = 3\n");
    assert_eq!(
        found,
        [
            "accesspoint.toml:3:1: duplicate key",
            "accesspoint.toml:4: unknown key \"idle\" in [session]; did you mean \"idle_minutes\"?",
        ]
    );
    let found = mistakes("[session]\n[proxy]\n[session]\n");
    assert_eq!(found, ["accesspoint.toml:3:2: duplicate key"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    let config = load("\u{feff}[session]\r\nidle_minutes = 5\r\n");
    assert_eq!(config.session.idle, Millis::minutes(5));
}

#[test]
fn wrong_types_say_what_is_expected() {
    let table = [
        ("listen = 3", "listen: expected a table, found a number"),
        ("data_dir = 3", "data_dir: expected text, found a number"),
        ("data_dir = ''", "data_dir: expected text, found none"),
        (
            "compat.qms = 'true'",
            "compat.qms: expected true or false, found text",
        ),
        (
            "proxy.trusted = '::1'",
            "proxy.trusted: expected a list, found text",
        ),
        (
            "proxy.trusted = [1]",
            "proxy.trusted: expected text, found a number",
        ),
        (
            "documents.rule = {}",
            "documents.rule: expected a list, found a table",
        ),
        (
            "documents.rule = [1]",
            "documents.rule: expected a table, found a number",
        ),
        ("oidc = []", "oidc: expected a table, found a list"),
        (
            "oidc.corp = 1",
            "oidc.corp: expected a table, found a number",
        ),
        (
            "data_dir = 1979-05-27",
            "data_dir: expected text, found a date or time",
        ),
        (
            "session.idle_minutes = 1.5",
            "session.idle_minutes: expected a whole number from 1 to 43200, found a number with a point",
        ),
        (
            "license.server = 'embeded'",
            "license.server: expected \"embedded\" or \"qlikview\", found \"embeded\"",
        ),
    ];
    for (text, message) in table {
        assert_eq!(mistakes(text), [format!("accesspoint.toml:1: {message}")]);
    }
}

#[test]
fn numbers_are_held_to_their_ranges() {
    for (key, low, high) in [
        ("launch.ticket_seconds", 15, 300),
        ("session.idle_minutes", 1, 43_200),
        ("session.absolute_hours", 1, 8_760),
        ("license.lease_window_hours", 1, 8_760),
        ("license.quarantine_hours", 1, 8_760),
        ("qlikview.tunnel_minutes", 1, 43_200),
    ] {
        load(&format!("{key} = {low}"));
        load(&format!("{key} = {high}"));
        assert_eq!(mistakes(&format!("{key} = {}", low - 1)).len(), 1, "{key}");
        assert_eq!(mistakes(&format!("{key} = {}", high + 1)).len(), 1, "{key}");
        assert_eq!(
            mistakes(&format!("{key} = 99999999999999999999")).len(),
            1,
            "{key}"
        );
    }
}

#[test]
fn the_version_decides_the_windows_unless_they_are_set() {
    let policy = |text: &str| load(text).license.policy;
    let old = policy("license.qlikview_version = '11.20 SR17'");
    assert_eq!(old.lease_window, Millis::hours(24));
    assert_eq!(old.quarantine, Millis::hours(24));
    let mixed = policy("[license]\nqlikview_version = '10 SR4'\nlease_window_hours = 48");
    assert_eq!(mixed.lease_window, Millis::hours(48));
    assert_eq!(mixed.quarantine, Millis::hours(24));
    let quick = policy("license.quarantine_hours = 1");
    assert_eq!(quick.lease_window, Millis::days(7));
    assert_eq!(quick.quarantine, Millis::hours(1));
    let unknown = mistakes("license.qlikview_version = 'newest'");
    assert!(unknown[0].ends_with("found \"newest\""), "{unknown:?}");
}

#[test]
fn variables_override_the_file_key_by_key() {
    let text = "[listen]\nhttps = '127.0.0.1:1'\nmetrics = '127.0.0.1:2'\n[oidc.Corp-1]\n\
        issuer = 'https://a'\nclient_id = 'c'\nuser_name = '{sub}'\n";
    let config = load_with(
        text,
        &[
            ("ACCESSPOINT__LISTEN__HTTPS", "[::1]:443"),
            ("ACCESSPOINT__LICENSE__LEF__NAMED_CALS", "A, B"),
            ("ACCESSPOINT__SESSION__IDLE_MINUTES", "7"),
            ("ACCESSPOINT__COMPAT__QMS", "true"),
            ("ACCESSPOINT__PROXY__TRUSTED", "[\"10.0.0.0/8\", '::1']"),
            ("ACCESSPOINT__OIDC__CORP_1__ISSUER", "https://b"),
            ("ACCESSPOINT__OIDC__CORP_1__CLIENT_SECRET", "s"),
            (
                "ACCESSPOINT__DOCUMENTS__RULE",
                r#"[{"path": "a/**", "users": ["Ann"], "groups": []}]"#,
            ),
            ("ACCESSPOINT_OTHER", "x"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.https.to_string(), "[::1]:443");
    assert_eq!(config.public_url.origin(), "https://[::1]");
    assert_eq!(config.listen.metrics.unwrap().port(), 2);
    assert_eq!(config.license.policy.lef.named_cals, ["A", "B"]);
    assert_eq!(config.session.idle, Millis::minutes(7));
    assert!(config.compat.qms);
    assert_eq!(config.proxy.trusted.0.len(), 2);
    let corp = &config.sign_in.oidc["Corp-1"];
    assert_eq!(corp.issuer, "https://b");
    assert_eq!(corp.client_secret.as_ref().unwrap().expose(), "s");
    assert_eq!(config.documents.rules[0].users, ["ann"]);
}

#[test]
fn an_unknown_variable_is_a_mistake_that_names_the_nearest() {
    let found = |name: &str| lines(&load_with("", &[(name, "x")]).unwrap_err());
    assert_eq!(
        found("ACCESSPOINT__LISTEN__HTPS"),
        [
            "ACCESSPOINT__LISTEN__HTPS: unknown key \"htps\" in [listen]; \
          did you mean ACCESSPOINT__LISTEN__HTTPS?"
        ]
    );
    assert_eq!(
        found("ACCESSPOINT__LISTN__HTTPS"),
        ["ACCESSPOINT__LISTN__HTTPS: unknown key \"listn\"; \
          did you mean ACCESSPOINT__LISTEN__HTTPS?"]
    );
    assert_eq!(found("ACCESSPOINT__").len(), 1);
    assert_eq!(found("ACCESSPOINT____").len(), 1);
    assert_eq!(found("ACCESSPOINT__LISTEN__HTTPS__PORT").len(), 1);
    let both = [("ACCESSPOINT__A__B", "x"), ("ACCESSPOINT__A__C", "y")];
    assert_eq!(lines(&load_with("", &both).unwrap_err()).len(), 2);
}

#[test]
fn a_variable_that_leads_into_something_else_than_a_table_is_a_mistake() {
    let variables = [("ACCESSPOINT__DATA_DIR__SUB", "x")];
    let found = lines(&load_with("data_dir = 'd'", &variables).unwrap_err());
    assert_eq!(
        found,
        ["ACCESSPOINT__DATA_DIR__SUB: what it leads into is no table"]
    );
    let broken = [("ACCESSPOINT__DATA_DIR", "a\u{fffd}")];
    let found = lines(&load_with("", &broken).unwrap_err());
    assert_eq!(
        found,
        ["ACCESSPOINT__DATA_DIR: the value is not valid UTF-8"]
    );
}

const WEBHOOK: &str = "[webhook.hr]\nurl = 'https://hr.example/'\nuser_name = '{n}'\n";

#[test]
fn a_secret_comes_inline_or_from_a_file_without_its_line_end() {
    let inline = load(&format!("{WEBHOOK}secret = ' s p '"));
    assert_eq!(inline.sign_in.webhook["hr"].secret.expose(), " s p ");
    let folder = Folder::new("secret");
    for (content, secret) in [("a b", "a b"), ("a b\n", "a b"), ("a b \r\n", "a b ")] {
        folder.write("s", content);
        let config = load_in(&folder.0, &format!("{WEBHOOK}secret_file = 's'"), &[]).unwrap();
        assert_eq!(config.sign_in.webhook["hr"].secret.expose(), secret);
    }
    assert!(!format!("{inline:?}").contains(" s p "));
}

#[test]
fn a_secret_that_is_missing_double_or_unreadable_is_a_mistake() {
    let folder = Folder::new("no-secret");
    folder.write("empty", "\n");
    let found = |extra: &str| {
        let text = format!("{WEBHOOK}{extra}");
        let found = lines(&load_in(&folder.0, &text, &[]).unwrap_err());
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    assert!(found("").ends_with("missing key \"secret\" or \"secret_file\" in [webhook.hr]"));
    let gone = found("secret_file = 'gone'");
    let path = folder.0.join("gone");
    let start = format!(
        "accesspoint.toml:4: webhook.hr.secret_file: cannot read {}: ",
        path.display()
    );
    assert!(gone.starts_with(&start), "{gone}");
    assert!(found("secret_file = 'empty'").ends_with("is empty"));
    folder.write("s", "x");
    let both = found("secret = 'topsecret'\nsecret_file = 's'");
    assert!(
        both.ends_with("secret_file: secret is set too; keep one of the two"),
        "{both}"
    );
    assert!(!found("secret = ['topsecret']").contains("topsecret"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = Folder::new("paths");
    let text = "data_dir = 'd'\n[tls]\ncertificate_file = '/abs/c'\nprivate_key_file = 'k'\n";
    let file = folder.write("site.toml", text);
    let config = Config::load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(config.data_dir, folder.0.join("d"));
    assert_eq!(config.documents.root, folder.0.join("documents"));
    let ledger = folder.0.join("d/accesspoint.db");
    assert_eq!(config.database, Database::Sqlite(ledger));
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, Path::new("/abs/c"));
    assert_eq!(tls.private_key, folder.0.join("k"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new("unreadable");
    let path = folder.0.join("none.toml");
    let errors = Config::load(Some(&path), std::iter::empty()).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with(&format!("{}: cannot be read: ", path.display()))
    );
    let binary = folder.0.join("binary.toml");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(Config::load(Some(&binary), std::iter::empty()).is_err());
}

#[test]
fn a_certificate_needs_its_key() {
    let found = mistakes("[tls]\ncertificate_file = 'c'");
    assert_eq!(
        found,
        ["accesspoint.toml:1: missing key \"private_key_file\" in [tls]"]
    );
}

#[test]
fn database_urls_are_told_apart_and_never_repeated() {
    let database = |url: &str| load(&format!("database.url = '{url}'")).database;
    assert_eq!(
        database("sqlite://a/b.db"),
        Database::Sqlite("a/b.db".into())
    );
    assert_eq!(
        database("sqlite:///a/b.db"),
        Database::Sqlite("/a/b.db".into())
    );
    let postgres = database("postgres://u:hunter2@h/n");
    assert!(matches!(&postgres, Database::Postgres(url) if url.expose().ends_with("@h/n")));
    assert!(!format!("{postgres:?}").contains("hunter2"));
    for url in [
        "sqlite://",
        "sqlite://a?mode=ro",
        "mysql://u:hunter2@h/n",
        "postgres://h",
        "x",
    ] {
        let found = mistakes(&format!("database.url = '{url}'"));
        assert!(
            found[0].contains("database.url: expected sqlite://PATH"),
            "{found:?}"
        );
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
}

#[test]
fn document_rules_have_checked_patterns_and_folded_users() {
    let rule = "[[documents.rule]]\npath = 'Finance\\*.qvw'\n\
        users = ['custom\\Alice', 'A\u{308}NN']\ngroups = ['Finance']\n";
    let config = load(rule);
    let rule = &config.documents.rules[0];
    assert_eq!(rule.users, ["alice", "\u{e4}nn"]);
    assert_eq!(rule.groups, ["Finance"]);
    assert_eq!(rule.path.text(), "Finance/*.qvw");
    for pattern in ["", "/a", "a[", "{a", "../**", "Finance//x", "[äö].qvw"] {
        let found = mistakes(&format!("[[documents.rule]]\npath = '{pattern}'"));
        assert!(
            found[0].contains(":2: documents.rule.path: expected "),
            "{found:?}"
        );
    }
    assert_eq!(
        mistakes("[[documents.rule]]\nusers = ['', 'CUSTOM\\']").len(),
        3
    );
}

#[test]
fn help_is_a_text_an_address_or_both() {
    let help = |text: &str| load(&format!("[help]\n{text}")).help;
    assert_eq!(help(""), None);
    let shown = help("text = 'Ring 4711'").unwrap();
    assert_eq!((&*shown.text, shown.address), ("Ring 4711", None));
    let mail = help("address = 'mailto:help@corp.example'").unwrap();
    assert_eq!(mail.text, "help@corp.example");
    assert_eq!(mail.address.as_deref(), Some("mailto:help@corp.example"));
    for address in [
        "javascript:alert(1)",
        "http://corp.example",
        "https://",
        "mailto:help",
        "corp.example",
        "https://corp.example/a b",
    ] {
        let found = mistakes(&format!("[help]\naddress = '{address}'"));
        assert!(found[0].contains(":2: help.address: expected"), "{found:?}");
    }
}

#[test]
fn sources_keep_their_order_and_need_their_settings() {
    let two = "[[sign_in.source]]\nkind = 'webhook'\nname = 'hr'\n\
        [[sign_in.source]]\nkind = 'local'\nname = 'here'\n";
    let config = load(&format!("{two}{WEBHOOK}secret = 'shared with nobody'"));
    let names: Vec<&str> = config
        .sign_in
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["hr", "here"]);
    assert_eq!(config.not_yet_built(), [""; 0]);
    assert_eq!(
        config.warnings(),
        ["[webhook.hr] lets nobody in: it has no rule."]
    );
    assert_eq!(
        mistakes(two),
        ["accesspoint.toml:3: sign_in.source.name: there is no [webhook.hr]"]
    );
    let twice = format!("{two}[[sign_in.source]]\nkind = 'local'\nname = 'there'\n");
    assert!(
        mistakes(&twice)
            .iter()
            .any(|line| line.ends_with("kind: there is one local source at most"))
    );
    let config = load(&format!(
        "{two}{WEBHOOK}secret = 'short'\n[[webhook.hr.rule]]\n"
    ));
    let guessable = "[webhook.hr] secret is shorter than 16 characters: whoever guesses it speaks for the \
         webhook.";
    assert_eq!(config.warnings(), [guessable]);
    assert_eq!(mistakes("sign_in.source = []").len(), 1);
    assert_eq!(mistakes("[[sign_in.source]]\nkind = 'saml'").len(), 2);
    assert_eq!(
        mistakes("[webhook.'a b']\nurl = 'https://a'\nuser_name = '{n}'\nsecret = 's'").len(),
        1
    );
}

const OIDC: &str = "[oidc.corp]\nclient_id = 'c'\nuser_name = '{sub}'\n";

#[test]
fn rules_behind_one_for_everybody_are_told() {
    let used = "[[sign_in.source]]\nkind = 'oidc'\nname = 'corp'\n";
    let warned = |rules: &str| {
        let text = format!("{used}{OIDC}issuer = 'https://a'\n{rules}");
        load_with(&text, &[]).unwrap().warnings()
    };
    let some = "[[oidc.corp.rule]]\nwhen = { claim = 'groups', has = 'staff' }\n";
    let all = "[[oidc.corp.rule]]\n";
    assert_eq!(warned(&format!("{some}{all}")), [""; 0]);
    let never = "[oidc.corp] rule 1 has no `when` and decides for everybody: the rules after it \
                 never count.";
    assert_eq!(warned(&format!("{all}{some}")), [never]);
}

#[test]
fn an_issuer_is_https_or_loopback_on_demand() {
    let with = |extra: &str| load_with(&format!("{OIDC}{extra}"), &[]);
    assert!(with("issuer = 'https://idp.example/realm'").is_ok());
    assert!(with("issuer = 'http://127.0.0.1:9'\nallow_http_loopback = true").is_ok());
    assert!(with("issuer = 'http://127.0.0.1:9'").is_err());
    assert!(with("issuer = 'http://10.0.0.1'\nallow_http_loopback = true").is_err());
    assert!(with("").is_err());
    assert!(with("issuer = 'https://a'\nscopes = ['email']").is_err());
    let config = with("issuer = 'https://a'").unwrap();
    assert_eq!(config.sign_in.oidc["corp"].label, "corp");
    assert_eq!(config.sign_in.oidc["corp"].scopes, ["openid"]);
    let unused = "[oidc.corp] is not used: no [[sign_in.source]] names it.";
    assert_eq!(config.warnings(), [unused]);
}

#[test]
fn w_03_addresses_that_must_not_be_called_are_mistakes() {
    let issuer = |url: &str, extra: &str| {
        load_with(&format!("{OIDC}issuer = '{url}'\n{extra}"), &[]).is_ok()
    };
    let hook = "[webhook.hr]\nuser_name = '{n}'\nsecret = 's'\n";
    let hook =
        |url: &str, extra: &str| load_with(&format!("{hook}url = '{url}'\n{extra}"), &[]).is_ok();
    let forbidden = "private_addresses = false";
    for url in [
        "https://169.254.169.254/latest",
        "https://2852039166/latest",
        "https://[fe80::1]/",
        "https://0.0.0.0/",
        "https://[fd00:ec2::254]/",
    ] {
        assert!(!issuer(url, "") && !hook(url, ""), "{url}");
    }
    for url in ["https://10.1.2.3/", "https://[fc00::1]/"] {
        assert!(issuer(url, "") && hook(url, ""), "{url}");
        assert!(!issuer(url, forbidden) && !hook(url, forbidden), "{url}");
    }
    // A program on this machine is one of its administrator's own, unless they say otherwise.
    for url in [
        "https://127.0.0.1:9/",
        "https://[::1]:9/",
        "https://0x7f.1/",
    ] {
        assert!(hook(url, "") && !hook(url, forbidden), "{url}");
        assert!(
            !issuer(url, "") && issuer(url, "allow_http_loopback = true"),
            "{url}"
        );
    }
}

#[test]
fn a_client_shows_itself_with_what_is_set() {
    let with = |extra: &str| load_with(&format!("{OIDC}issuer = 'https://a'\n{extra}"), &[]);
    let auth = |extra: &str| with(extra).unwrap().sign_in.oidc["corp"].client_auth;
    assert_eq!(auth(""), None);
    assert_eq!(auth("client_secret = 's'"), None);
    assert_eq!(
        auth(&format!("private_key = '''{PRIVATE_KEY}'''")),
        Some(ClientAuthKind::PrivateKeyJwt)
    );
    let wrong = with("private_key = 'k'\nca_file = 'nowhere.pem'").unwrap_err();
    let wrong = wrong.to_string();
    for words in [
        "private_key: expected a private key in PEM form",
        "ca_file: cannot read ",
    ] {
        assert!(wrong.contains(words), "{wrong}");
    }
    let post = "client_auth = 'client_secret_post'\nclient_secret = 's'";
    assert_eq!(auth(post), Some(ClientAuthKind::SecretPost));
    assert_eq!(auth("client_auth = 'none'"), Some(ClientAuthKind::None));
    for bad in [
        "client_auth = 'client_secret_basic'",
        "client_auth = 'private_key_jwt'\nclient_secret = 's'",
        "client_auth = 'tls_client_auth'",
        "id_token_algs = []",
        "id_token_algs = ['HS256']",
        "id_token_algs = ['none']",
        "max_age_minutes = 0",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
    let config = with("id_token_algs = ['ES384']\nmax_age_minutes = 5").unwrap();
    let oidc = &config.sign_in.oidc["corp"];
    assert_eq!(
        (oidc.id_token_algs.as_slice(), oidc.max_age),
        (&["ES384"][..], Some(Millis::minutes(5)))
    );
    let default = with("").unwrap().sign_in.oidc["corp"].id_token_algs.clone();
    assert_eq!(default, ["RS256", "PS256", "ES256", "EdDSA"]);
}

#[test]
fn conditions_have_exactly_one_test() {
    let with = |when: &str| {
        let rule = format!("[[oidc.corp.rule]]\nwhen = {{ {when} }}\n");
        load_with(&format!("{OIDC}issuer = 'https://a'\n{rule}"), &[])
    };
    for when in [
        "claim = 'a', has = 'x'",
        "claim = 'a.b', equals = true",
        "claim = 'a', equals = 3",
        "claim = 'a', matches = 'x|y'",
        "claim = 'a', exists = true",
    ] {
        let config = with(when).unwrap_or_else(|errors| panic!("{when}: {errors}"));
        assert!(config.sign_in.oidc["corp"].mapping.rules[0].when.is_some());
    }
    for when in [
        "",
        "claim = 'a'",
        "has = 'x'",
        "claim = 'a', has = 'x', equals = 'y'",
        "claim = 'a', exists = false",
        "claim = 'a', matches = '('",
        "claim = 'a', equals = []",
    ] {
        assert!(with(when).is_err(), "{when}");
    }
    let rule = "[[oidc.corp.rule]]\nroles = ['admin']\nnamed_cal = 'always'\n";
    assert_eq!(
        mistakes(&format!("{OIDC}issuer = 'https://a'\n{rule}")).len(),
        2
    );
}

#[test]
fn ldap_is_encrypted_and_its_filters_are_whole() {
    let with = |extra: &str| {
        let base = "[ldap.hq]\nuser_base = 'dc=x'\nuser_name = '{uid}'\n";
        load_with(&format!("{base}{extra}"), &[])
    };
    let servers = "servers = ['ldaps://a']\n";
    let filter = "user_filter = '(uid={username})'\n";
    let good = format!("{servers}{filter}");
    assert!(with(&good).is_ok());
    assert!(
        with(&format!(
            "servers = ['ldap://a:389']\nstart_tls = true\n{filter}"
        ))
        .is_ok()
    );
    assert!(with(&format!("servers = ['ldap://a']\n{filter}")).is_err());
    assert!(with(&format!("servers = []\n{filter}")).is_err());
    for bad in [
        "uid={username}",
        "(uid=x)",
        "(uid={username}",
        "(uid={username}))",
        "(a)(b={username})",
    ] {
        assert!(
            with(&format!("{servers}user_filter = '{bad}'")).is_err(),
            "{bad}"
        );
    }
    assert!(with(&format!("{good}bind_dn = 'cn=a'")).is_err());
    assert!(with(&format!("{good}bind_password = 'p'")).is_err());
    assert!(with(&format!("{good}bind_dn = 'cn=a'\nbind_password = 'p'")).is_ok());
    assert!(with(&format!("{good}group_base = 'dc=g'")).is_err());
    let search = "group_base = 'dc=g'\ngroup_filter = '(member={dn})'\n";
    let config = with(&format!("{good}{search}")).unwrap();
    assert!(matches!(
        config.sign_in.ldap["hq"].groups,
        LdapGroups::Search { .. }
    ));
    assert!(with(&format!("{good}{search}groups = 'memberOf'")).is_err());
}

#[test]
fn web_ticket_peers_and_proxies_must_not_overlap() {
    let with = |tickets: &str, proxies: &str| {
        let text =
            format!("compat.web_ticket_trusted = ['{tickets}']\nproxy.trusted = ['{proxies}']");
        load_with(&text, &[])
    };
    assert!(with("10.0.0.1", "10.0.0.2").is_ok());
    let errors = with("10.0.0.1", "10.0.0.0/8").unwrap_err();
    assert_eq!(
        lines(&errors),
        [
            "accesspoint.toml:1: compat.web_ticket_trusted: 10.0.0.1 overlaps with 10.0.0.0/8 in proxy.trusted"
        ]
    );
    assert!(with("::/0", "::1").is_err());
    let config = with("127.0.0.1", "10.0.0.0/8").unwrap();
    let local: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    assert!(config.compat.web_ticket_trusted.contains(local));
}

#[test]
fn the_plain_listener_is_on_loopback() {
    assert!(
        load("compat.http_listen = '[::1]:8081'")
            .compat
            .http_listen
            .is_some()
    );
    for address in [
        "0.0.0.0:8081",
        "10.0.0.1:8081",
        "127.0.0.1",
        "localhost:8081",
    ] {
        assert_eq!(
            mistakes(&format!("compat.http_listen = '{address}'")).len(),
            1,
            "{address}"
        );
    }
}

#[test]
fn an_estate_needs_its_services() {
    assert_eq!(mistakes("license.server = 'qlikview'").len(), 2);
    let config = load(
        "license.server = 'qlikview'\ndatabase.url = 'postgres://u@h/n'\n[qlikview]\n\
         web_server = 'http://a'\nmanagement_service = 'http://b:4799/QMS/Service'\n",
    );
    assert_eq!(config.qlikview.web_servers, ["http://a"]);
    let sentences = config.not_yet_built();
    assert!(sentences[0].contains("database.url"), "{sentences:?}");
    assert_eq!(sentences.len(), 1);
    let warnings = config.warnings();
    assert_eq!(
        warnings[0],
        "qlikview.web_server: http://a is not encrypted."
    );
    assert!(
        warnings[1].starts_with("qlikview.management_service: http://b:4799"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 2);
    let several = load("qlikview.web_server = ['https://a', 'https://b']");
    assert_eq!(several.qlikview.web_servers.len(), 2);
    assert_eq!(load("qlikview.user_prefix = ''").qlikview.user_prefix, "");
}

#[test]
fn addresses_of_the_estate_are_read_strictly() {
    let qlikview = |text: &str| load(&format!("[qlikview]\n{text}")).qlikview;
    assert_eq!(
        qlikview("web_server = 'https://a/'").web_servers,
        ["https://a"]
    );
    let service = |url: &str| qlikview(&format!("management_service = '{url}'")).management_service;
    let usual = Some("http://q:4799/QMS/Service".to_owned());
    assert_eq!(service("http://q:4799"), usual);
    assert_eq!(service("http://q:4799/"), usual);
    assert_eq!(service("http://q:4799/QMS/Service"), usual);
    let account = qlikview("management_user = 'D\\svc'\nmanagement_password = 'p'");
    let account = account.management_account.unwrap();
    assert_eq!(
        (account.user.as_str(), account.password.expose()),
        ("D\\svc", "p")
    );
    for wrong in [
        "web_server = 'https://u:p@a'",
        "web_server = 'https://u@a'",
        "web_server = 'https://a/path'",
        "web_server = 'https://a?q'",
        "web_server = ['https://a', 'https://A/']",
        "web_server = []",
        "web_server = 'ftp://a'",
        "management_service = 'https://u:p@a/QMS/Service'",
        "management_service = 'https://a/QMS/Service?wsdl'",
        "management_user = 'D\\svc'",
        "management_password = 'p'",
        "management_user = 'D\\svc@d'\nmanagement_password = 'p'",
        "management_user = '\\svc'\nmanagement_password = 'p'",
        "management_user = 'A\\D\\svc'\nmanagement_password = 'p'",
    ] {
        let found = mistakes(&format!("[qlikview]\n{wrong}"));
        assert!(found[0].contains("qlikview"), "{wrong}: {found:?}");
        assert!(found.iter().all(|line| !line.contains(":p@")), "{found:?}");
    }
}

#[test]
fn folders_that_are_passed_on_are_canonical_and_none_of_ours() {
    let paths = |text: &str| load(&format!("qlikview.paths = [{text}]")).qlikview.paths;
    assert_eq!(paths(""), [""; 0]);
    assert_eq!(
        paths("'/Extensions', '/a/B c/', '/x/../y/'"),
        ["/extensions/", "/a/b c/", "/y/"]
    );
    for wrong in [
        "''",
        "'/'",
        "'extensions/'",
        "'/a//b'",
        "'/../a'",
        "'/a%20b'",
        "'/a;b'",
        "'/a./'",
        "'/Admin'",
        "'/api/v1/'",
        "'/x/../login'",
        "'/account'",
        "'/documents/x'",
        "'/oidc'",
        "'/static'",
        "'/.well-known/'",
        "'/desktop'",
        "'/healthz'",
        "'/readyz'",
        "'/metrics'",
        "'/scripts'",
        "'/QMS/'",
    ] {
        let found = mistakes(&format!("qlikview.paths = [{wrong}]"));
        assert!(found[0].contains("qlikview.paths"), "{wrong}: {found:?}");
    }
}

#[test]
fn what_cannot_work_is_warned_of() {
    let config =
        load("workstation.header = 'X-PC'\nlisten.https = '0.0.0.0:443'\nqlikview.tunnel = true");
    let found = config.warnings();
    for (sentence, key) in found
        .iter()
        .zip(["public_url", "workstation.header", "qlikview.tunnel"])
    {
        assert!(sentence.starts_with(key), "{found:?}");
    }
    assert_eq!(found.len(), 3);
    assert_eq!(mistakes("workstation.header = 'X PC'").len(), 1);
}
