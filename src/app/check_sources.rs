//! `accesspoint check`: whether each directory and webhook can be asked, and for how long its
//! certificate lasts.

use super::App;
use super::check::{CheckFinding, fault, ok};
use super::providers::{certificate_finding, clock_finding};
use super::sources::PasswordSource;
use crate::auth::ldap::Directory;
use crate::auth::webhook::Webhook;
use crate::causes;
use crate::domain::time::Timestamp;

/// What a clock that is off means.
const OFF_CLOCK: &str = "passwords and certificates may end too early or too late there";
const OFF_CLOCK_OF_WEBHOOK: &str = "a receiver that looks at the time of a request refuses it";

impl App {
    /// Tries every server of the directories and the webhooks in use, without anybody's password.
    pub async fn check_password_sources(&self) -> Vec<CheckFinding> {
        let now = self.now();
        let mut found = Vec::new();
        for source in self.0.sources.all() {
            found.extend(match source {
                PasswordSource::Local => Vec::new(),
                PasswordSource::Ldap(directory) => directory_findings(directory, now).await,
                PasswordSource::Webhook(webhook) => webhook_findings(webhook, now).await,
            });
        }
        found
    }
}

async fn directory_findings(directory: &Directory, now: Timestamp) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    for (index, url) in directory.servers().iter().enumerate() {
        let server = format!("{}, {url}", directory.name());
        match directory.probe(index).await {
            Ok(probed) => {
                let text = format!("{server}: it answers, and user_base is there");
                found.push(ok("sign-in", text));
                let certificate = probed.certificate.as_deref();
                found.extend(certificate.map(|der| certificate_finding(&server, der, now)));
                let ahead = probed.date.map(|date| date - now);
                found.extend(clock_finding(&server, ahead, OFF_CLOCK));
            }
            Err(why) => {
                let why = causes::in_one_line(&why);
                found.push(fault("sign-in", format!("{server}: {why}")));
            }
        }
    }
    found
}

async fn webhook_findings(webhook: &Webhook, now: Timestamp) -> Vec<CheckFinding> {
    let name = webhook.name();
    match webhook.probe().await {
        Ok(probed) => {
            let mut found = vec![ok("sign-in", format!("{name}: the webhook can be reached"))];
            let certificate = probed.certificate.as_deref();
            found.extend(certificate.map(|der| certificate_finding(name, der, now)));
            let ahead = probed.date.map(|date| date - now);
            found.extend(clock_finding(name, ahead, OFF_CLOCK_OF_WEBHOOK));
            found
        }
        Err(why) => {
            let why = causes::in_one_line(&why);
            vec![fault("sign-in", format!("{name}: {why}"))]
        }
    }
}
