//! `accesspoint explain`: what an open would answer, rule by rule.

use clap::Args;
use serde_json::{Value, json};

use super::output::{Output, Table};
use super::{Outcome, one_of, refusal};
use crate::app::App;
use crate::domain::client::ClientKind;
use crate::domain::open::{Access, Finding, LeaseOutcome, OpenAnswer};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::store::Explanation;
use crate::text::Language;

/// The open to explain.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Who opens
    #[arg(long, value_name = "U")]
    user: String,
    /// What is opened, by id or by name
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    document: String,
    /// Where, by id; without it, on a workstation that is new
    #[arg(long, value_name = "W", allow_hyphen_values = true)]
    workstation: Option<String>,
    /// With what
    #[arg(
        long,
        value_name = "KIND",
        default_value = "desktop",
        value_parser = one_of(&ClientKind::ALL, ClientKind::word)
    )]
    client: ClientKind,
}

/// Explains it; a refusal is an explanation, so the exit code is 0.
pub(super) fn run(arguments: &Arguments, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let workstation = arguments.workstation.as_deref();
    let (user, document) = (&arguments.user, &arguments.document);
    let explained = app.explain_for(user, workstation, document, arguments.client)?;
    let now = app.now();
    output.print(&as_json(&explained, now), || text(&explained, now))?;
    Ok(Outcome::Done)
}

fn as_json(explained: &Explanation, now: Timestamp) -> Value {
    let rules: Vec<Value> = explained
        .standing
        .findings
        .iter()
        .map(|finding| {
            json!({
                "id": finding.rule.id(),
                "passed": finding.passed,
                "code": finding.refusal.as_ref().map(Refusal::code),
                "message": message(finding, now),
                "retry_at": finding.refusal.as_ref().and_then(Refusal::retry_at),
            })
        })
        .collect();
    json!({
        "access": access_word(&explained.answer.access),
        "lease": explained.answer.lease.word(),
        "rules": rules,
    })
}

const fn access_word(access: &Access) -> &'static str {
    match access {
        Access::Granted(_) => "granted",
        Access::Refused(_) => "refused",
    }
}

/// Why it refuses, or what it asks for.
fn message(finding: &Finding, now: Timestamp) -> String {
    match &finding.refusal {
        Some(refused) => refusal::sentence(refused, now),
        None => rule_words(finding).to_owned(),
    }
}

/// The message without the id of the rule, which stands in front of the row.
fn reason(finding: &Finding, now: Timestamp) -> String {
    let message = message(finding, now);
    let id = format!("{}: ", finding.rule.id());
    message.strip_prefix(&id).unwrap_or(&message).to_owned()
}

fn rule_words(finding: &Finding) -> &'static str {
    let number = finding.rule.id().trim_start_matches('R').parse().ok();
    let rules = &Language::English.text().refusal.rules;
    number
        .and_then(|number: usize| rules.get(number))
        .copied()
        .unwrap_or_default()
}

fn text(explained: &Explanation, now: Timestamp) -> String {
    let mut table = Table::new(&["rule", "", "why"]);
    for finding in &explained.standing.findings {
        let mark = if finding.passed { "passed" } else { "refused" };
        let why = match &finding.refusal {
            Some(refused) => format!("{}: {}", refused.code().as_str(), reason(finding, now)),
            None => message(finding, now),
        };
        table.row([finding.rule.id().to_owned(), mark.to_owned(), why]);
    }
    table.foot(summary(&explained.answer)).to_string()
}

fn summary(answer: &OpenAnswer) -> String {
    let access = match &answer.access {
        Access::Granted(_) => "granted".to_owned(),
        Access::Refused(refused) => format!("refused, {}", refused.code().as_str()),
    };
    let lease = match &answer.lease {
        LeaseOutcome::Refused(refused) => format!("refused, {}", refused.code().as_str()),
        LeaseOutcome::NotApplicable => "not applicable".to_owned(),
        other => other.word().to_owned(),
    };
    format!("Access: {access}. Lease: {lease}.")
}
