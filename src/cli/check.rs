//! `accesspoint check`: configuration, ledger, documents, certificate, sign-in, invariants.
//!
//! What keeps the gateway from starting is a fault line like any other, so that one run shows all.
//! A ledger that does not exist yet is not made.

use std::path::Path;

use rustix::fs::Access;

use crate::app::check::{CheckFinding, Level, fault, ok, warning};
use crate::app::check_sources::{CERTIFICATE_ENDS_SOON_DAYS, check_sources};
use crate::app::{App, StartError, estate};
use crate::clock::Clock;
use crate::config::{self, Config, Database, LicenseServer, QlikView, SourceKind};
use crate::documents::{Library, Rules};
use crate::domain::time::Timestamp;
use crate::fresh::Fresh;
use crate::http::tls::{CERTIFICATE_FILE, CertificateSource, PRIVATE_KEY_FILE, ServerTls};
use crate::serve::certificate_source;
use crate::store::{PersonFilter, StoreError};
use crate::telemetry;

use super::Outcome;
use super::output::{Output, chain};

/// Looks at everything and prints one line for each finding.
pub(super) fn run(file: Option<&Path>, output: Output) -> anyhow::Result<Outcome> {
    let _log = telemetry::start(telemetry::COMMAND)?;
    let findings = match Config::load(file, config::environment()) {
        Ok(config) => {
            let mut findings = vec![ok("configuration", read_from(file))];
            findings.extend(check_site(config, &Clock::system()));
            findings
        }
        Err(mistakes) => mistakes
            .0
            .iter()
            .map(|mistake| fault("configuration", mistake.to_string()))
            .collect(),
    };
    let items = serde_json::json!({ "items": findings });
    output.print(&items, || findings.iter().map(line).collect())?;
    if findings.iter().any(|found| found.level == Level::Fault) {
        return Ok(Outcome::Refused);
    }
    Ok(Outcome::Done)
}

fn read_from(file: Option<&Path>) -> String {
    match file {
        Some(file) => format!("{} is valid", file.display()),
        None => "no file is named; the documented defaults hold".to_owned(),
    }
}

fn line(finding: &CheckFinding) -> String {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Fault => "fault",
    };
    // One line each, whatever an error says.
    let text = finding.text.replace('\n', " ");
    format!("{level:<8}{}: {text}\n", finding.subject)
}

fn check_site(config: Config, clock: &Clock) -> Vec<CheckFinding> {
    let certificate = check_certificate(&config, clock.now());
    let in_front = config.license.server == LicenseServer::QlikView;
    let qlikview = in_front.then(|| config.qlikview.clone());
    let mut findings = match &config.database {
        Database::Sqlite(file) if !file.exists() => check_unopened(&config, file, clock),
        _ => check_opened(config, clock),
    };
    findings.push(certificate);
    if let Some(qlikview) = qlikview {
        findings.extend(check_estate(&qlikview, clock.now()));
    }
    findings
}

/// Walks to the management service, whether the gateway was ever started or not.
fn check_estate(qlikview: &QlikView, now: Timestamp) -> Vec<CheckFinding> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(estate::check::check(qlikview, now)),
        Err(error) => vec![fault("qlikview", error.to_string())],
    }
}

fn check_opened(config: Config, clock: &Clock) -> Vec<CheckFinding> {
    match App::open(config, clock, &Fresh::system()) {
        Ok(app) => {
            let mut findings = vec![ok("ledger", "the database answers".to_owned())];
            findings.extend(app.check());
            findings.extend(check_sign_in(&app));
            findings.extend(check_peers(app.config(), clock));
            findings.extend(app.check_picture());
            app.close();
            findings
        }
        Err(error) => not_started(error),
    }
}

/// A site that was never started: nothing is made for looking at it.
fn check_unopened(config: &Config, ledger: &Path, clock: &Clock) -> Vec<CheckFinding> {
    let mut findings: Vec<CheckFinding> = config
        .not_yet_built()
        .into_iter()
        .map(|missing| fault("configuration", missing))
        .collect();
    let warnings = config.warnings().into_iter();
    findings.extend(warnings.map(|text| warning("configuration", text)));
    findings.push(warning(
        "ledger",
        format!(
            "{} does not exist yet; the first start makes it",
            ledger.display()
        ),
    ));
    findings.extend(not_to_be_made(&config.data_dir));
    let library = Library::new(&config.documents.root, Rules::default());
    let root = config.documents.root.display();
    findings.push(match library.problem() {
        Some(problem) => fault("documents", problem),
        None => ok(
            "documents",
            format!(
                "{} documents in {root}",
                library.snapshot().documents().len()
            ),
        ),
    });
    findings.extend(local_sources(config).map(nobody_yet));
    findings.extend(check_peers(config, clock));
    findings
}

/// That a folder cannot be made at the first start, where that shows without trying.
fn not_to_be_made(folder: &Path) -> Option<CheckFinding> {
    let there = std::path::absolute(folder).ok()?;
    let there = there.ancestors().find(|above| above.exists())?;
    let access = Access::WRITE_OK | Access::EXEC_OK;
    let why = if there.is_dir() {
        rustix::fs::access(there, access).err()?.to_string()
    } else {
        "it is not a folder".to_owned()
    };
    let (folder, there) = (folder.display(), there.display());
    let text = format!("data_dir {folder} cannot be made or written: {there}: {why}");
    Some(fault("files", text))
}

/// What kept the app from being opened.
fn not_started(error: StartError) -> Vec<CheckFinding> {
    let subject = match &error {
        StartError::NotYetBuilt(missing) => {
            let missing = missing.iter();
            return missing
                .map(|text| fault("configuration", text.clone()))
                .collect();
        }
        StartError::File { .. } => "files",
        StartError::Source { .. } => "sign-in",
        StartError::Rule(_) => "documents",
        StartError::Store(_) => "ledger",
        StartError::Estate(_) => "qlikview",
        StartError::Keys(_) | StartError::Seal => "keys",
    };
    vec![fault(subject, chain(&error.into()))]
}

fn check_sign_in(app: &App) -> Vec<CheckFinding> {
    local_sources(app.config())
        .map(|name| {
            check_local(name, app).unwrap_or_else(|error| {
                let error = chain(&error.into());
                fault("sign-in", format!("{name}: {error}"))
            })
        })
        .collect()
}

fn local_sources(config: &Config) -> impl Iterator<Item = &str> {
    let sources = config.sign_in.sources.iter();
    sources
        .filter(|source| source.kind == SourceKind::Local)
        .map(|source| source.name.as_str())
}

/// Asks every source in use besides the local one, one after the other.
fn check_peers(config: &Config, clock: &Clock) -> Vec<CheckFinding> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime
            .block_on(check_sources(config, clock, &Fresh::system()))
            .unwrap_or_else(not_started),
        Err(error) => vec![fault("sign-in", error.to_string())],
    }
}

fn check_local(name: &str, app: &App) -> Result<CheckFinding, StoreError> {
    let anybody = app.ledger().people(&PersonFilter {
        after: String::new(),
        limit: 1,
    })?;
    Ok(if anybody.is_empty() {
        nobody_yet(name)
    } else {
        ok("sign-in", format!("{name}: passwords are kept here"))
    })
}

fn nobody_yet(name: &str) -> CheckFinding {
    let add = "accesspoint user add NAME --role administrator";
    warning(
        "sign-in",
        format!("{name}: there is nobody yet; add somebody with: {add}"),
    )
}

fn check_certificate(config: &Config, now: Timestamp) -> CheckFinding {
    let (source, renewed) = match certificate_source(config) {
        CertificateSource::SelfSigned { data_dir, .. } => {
            let certificate_file = data_dir.join(CERTIFICATE_FILE);
            if !certificate_file.exists() {
                return ok(
                    "certificate",
                    "none yet; the first start makes one".to_owned(),
                );
            }
            // Read like a configured one, so that nothing is renewed by looking at it.
            let private_key_file = data_dir.join(PRIVATE_KEY_FILE);
            let files = CertificateSource::Files {
                certificate_file,
                private_key_file,
            };
            (files, true)
        }
        files @ CertificateSource::Files { .. } => (files, false),
    };
    let tls = match ServerTls::open(source, now) {
        Ok(tls) => tls,
        Err(error) => return fault("certificate", chain(&error.into())),
    };
    let host = config.public_url.host.trim_matches(['[', ']']);
    if renewed || tls.days_left(now) < 0 {
        certificate_age(tls.days_left(now), renewed)
    } else if tls.begins_at() > now {
        let text = format!("it is not valid before {}", tls.begins_at());
        fault("certificate", text)
    } else if !tls.is_for(host) {
        let text = format!("it is not for {host}, the host of public_url: browsers warn of it");
        warning("certificate", text)
    } else {
        certificate_age(tls.days_left(now), renewed)
    }
}

fn certificate_age(days_left: i64, renewed: bool) -> CheckFinding {
    match days_left {
        days if renewed => ok(
            "certificate",
            format!(
                "self-signed, {} days left; the gateway renews it",
                days.max(0)
            ),
        ),
        ..0 => fault("certificate", "it has ended; set another".to_owned()),
        0..CERTIFICATE_ENDS_SOON_DAYS => {
            warning("certificate", format!("it ends in {days_left} days"))
        }
        _ => ok("certificate", format!("{days_left} days left")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_its_level_in_front() {
        let found = fault("ledger", "one\ntwo".to_owned());
        assert_eq!(line(&found), "fault   ledger: one two\n");
        let found = ok("documents", "12 documents".to_owned());
        assert_eq!(line(&found), "ok      documents: 12 documents\n");
    }

    #[test]
    fn a_certificate_warns_before_its_end_unless_it_is_renewed_by_itself() {
        let level = |days, renewed| certificate_age(days, renewed).level;
        assert_eq!(level(14, false), Level::Ok);
        assert_eq!(level(13, false), Level::Warning);
        assert_eq!(level(0, false), Level::Warning);
        assert_eq!(level(-1, false), Level::Fault);
        assert_eq!(level(-1, true), Level::Ok);
    }
}
