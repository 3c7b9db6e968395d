//! `accesspoint check`: the way to the management service, step by step, and the settings of the
//! server that must be right; then each web server. Each line says what to change and where.

use http::StatusCode;

use crate::app::App;
use crate::app::check::{CheckFinding, fault, ok, warning};
use crate::app::check_sources::certificate_finding;
use crate::causes;
use crate::config::QlikView;
use crate::domain::name::with_prefix;
use crate::domain::time::Timestamp;
use crate::qlikview::LinkError;
use crate::qlikview::qms::{
    CalConfiguration, Qms, QmsError, ServerLicense, ServerSecurity, Service, WebServerSettings,
};
use crate::qlikview::web::{Probe, TicketUser, WebError, WebServers};

const SUBJECT: &str = "qlikview";

/// The management service of a configuration, looked at; a ledger is not needed.
struct Chain<'a> {
    qms: &'a Qms,
    settings: &'a QlikView,
}

/// In whose name `check` asks for tickets, which nobody redeems.
const TICKET_NAME: &str = "accesspoint-check";

/// Walks the chain of a configuration until it breaks, and looks at its web servers; every step that
/// holds is a line too.
pub async fn check(settings: &QlikView, now: Timestamp) -> Vec<CheckFinding> {
    let mut found = match Qms::new(settings) {
        Ok(qms) => {
            let qms = &qms;
            Chain { qms, settings }.walk(now).await
        }
        Err(error) => vec![line(fault, causes::in_one_line(&error))],
    };
    found.extend(web_findings(settings, now).await);
    found
}

async fn web_findings(settings: &QlikView, now: Timestamp) -> Vec<CheckFinding> {
    let servers = match WebServers::new(settings) {
        Ok(servers) => servers,
        Err(error) => return vec![line(fault, causes::in_one_line(&error))],
    };
    let user = TicketUser {
        name: with_prefix(TICKET_NAME, &settings.user_prefix),
        groups: Vec::new(),
    };
    let probes = servers.probe(&user).await;
    let findings = probes.iter().map(|probe| probe_findings(probe, now));
    findings.flatten().collect()
}

/// Name, port, TLS, tickets, and the page of `AccessPoint`.
fn probe_findings(probe: &Probe, now: Timestamp) -> Vec<CheckFinding> {
    let server = &probe.server;
    if let Err(error @ WebError::Silent { .. }) = &probe.ticket {
        let text = format!(
            "{error}; is qlikview.web_server the right name, the service QlikView WebServer (or IIS) \
             started, and its port open from here?"
        );
        return vec![line(fault, text)];
    }
    let mut found = vec![line(ok, format!("the web server answers at {server}"))];
    found.extend(probe.certificate.iter().map(|der| CheckFinding {
        subject: SUBJECT,
        ..certificate_finding(server, der, now)
    }));
    found.push(match &probe.ticket {
        Ok(()) if probe.was_asked_to_sign_in => line(
            ok,
            format!("{server} gives web tickets to the account of management_user (NTLM)"),
        ),
        Ok(()) => line(ok, format!("{server} gives web tickets to this machine")),
        Err(error) => line(fault, error.to_string()),
    });
    found.push(match &probe.access_point {
        Ok(status) if status.is_server_error() => line(
            fault,
            format!("{server} answers /qlikview/ with status {status}"),
        ),
        Ok(status) if *status == StatusCode::NOT_FOUND => line(
            warning,
            format!("{server} has no AccessPoint at /qlikview/; is it a QlikView web server?"),
        ),
        Ok(_) => line(ok, format!("{server} has the pages of AccessPoint")),
        Err(error) => line(fault, error.to_string()),
    });
    found
}

impl App {
    /// How old the picture of the estate is that pages and lists show; nothing without an estate.
    #[must_use]
    pub fn check_picture(&self) -> Option<CheckFinding> {
        self.estate()?;
        Some(match self.ledger().estate_read_at() {
            Ok(Some(at)) => line(ok, format!("CALs and leases were read last at {at}")),
            Ok(None) => line(
                warning,
                "CALs and leases were not read yet; the running gateway reads them every minute"
                    .to_owned(),
            ),
            Err(error) => line(fault, causes::in_one_line(&error)),
        })
    }
}

impl Chain<'_> {
    async fn walk(&self, now: Timestamp) -> Vec<CheckFinding> {
        let mut found = Vec::new();
        match self.qms.contract().await {
            Ok(contract) => {
                found.extend(self.way_findings(now));
                let label = contract.label();
                found.push(line(ok, format!("QMS speaks {label}")));
            }
            Err(error) => {
                if !error.is_silence() {
                    found.push(self.answers());
                }
                found.push(self.broken(&error));
                return found;
            }
        }
        if let Err(error) = self.qms.renew_key().await {
            found.push(self.broken(&error));
            return found;
        }
        found.push(line(ok, "QMS gives a service key".to_owned()));
        match self.qms.server().await {
            Ok(server) => {
                let name = &server.name;
                found.push(line(ok, format!("QMS manages the server {name}")));
                found.extend(self.check_server(&server).await);
                found.extend(self.check_web_servers().await);
            }
            Err(error) => found.push(self.broken(&error)),
        }
        found
    }

    /// Name, port and TLS hold.
    fn answers(&self) -> CheckFinding {
        let address = self.qms.address();
        line(ok, format!("QMS answers at {address}"))
    }

    /// Name, port, TLS and NTLM hold where QMS has answered.
    fn way_findings(&self, now: Timestamp) -> Vec<CheckFinding> {
        let mut found = vec![self.answers()];
        let certificate = self.qms.certificate();
        found.extend(certificate.map(|der| CheckFinding {
            subject: SUBJECT,
            ..certificate_finding("QMS", &der, now)
        }));
        found.push(if self.qms.was_asked_to_sign_in() {
            line(
                ok,
                "QMS takes the account of management_user (NTLM)".to_owned(),
            )
        } else {
            line(
                warning,
                "QMS asks nobody to sign in; a management service of QlikView asks for NTLM. Is \
                 management_service the right address?"
                    .to_owned(),
            )
        });
        found
    }

    /// What broke the chain, and what to do about it.
    fn broken(&self, error: &QmsError) -> CheckFinding {
        let address = self.qms.address();
        let advice = match error {
            QmsError::Link(LinkError::Name { .. }) => {
                "; set qlikview.management_service to a name that resolves here"
            }
            QmsError::Link(LinkError::Connect { .. } | LinkError::TimedOut(_)) => {
                "; is the service QlikView Management Service started, and port 4799 open from here?"
            }
            QmsError::Link(LinkError::AccountRefused { .. }) => {
                "; set management_user as DOMAIN\\name, and management_password"
            }
            QmsError::Status(403) => {
                "; add the account of management_user to the group QlikView Management API on the \
                 machine of QMS, and start the service again"
            }
            QmsError::Status(404) => "; the usual path is /QMS/Service",
            QmsError::Fault(fault) if fault.missing_group().is_some() => {
                "; add the account to that local group on the machine of QMS, and start the service \
                 QlikView Management Service again"
            }
            QmsError::NoServer => "; look at System > Setup > QlikView Servers in the QMC",
            _ => "",
        };
        let why = causes::in_one_line(error);
        line(fault, format!("{address}: {why}{advice}"))
    }

    async fn check_server(&self, server: &Service) -> Vec<CheckFinding> {
        let mut found = Vec::new();
        match self.qms.cal_configuration(&server.id).await {
            Ok(cals) => found.extend(self.cal_findings(&cals)),
            Err(error) => found.push(self.broken(&error)),
        }
        match self.qms.license(&server.id).await {
            Ok(license) => found.extend(license_findings(&license)),
            Err(error) => found.push(untold("the licence", &error)),
        }
        match self.qms.security(&server.id).await {
            Ok(security) => found.extend(security_findings(&security)),
            Err(error) => found.push(untold("the security settings", &error)),
        }
        found
    }

    fn cal_findings(&self, cals: &CalConfiguration) -> Vec<CheckFinding> {
        const GENERAL: &str = "System > Licenses > QlikView Servers > Client Access Licenses \
             (CALs) > General";
        let (held, assigned) = (cals.in_license, cals.assigned.len());
        let mut found = vec![
            line(ok, format!("{assigned} of {held} named CALs are assigned")),
            match cals.allow_license_lease {
                Some(true) => line(ok, "Allow license lease is on".to_owned()),
                Some(false) => line(
                    fault,
                    format!(
                        "no workstation can lease: switch on Allow license lease in the QMC, {GENERAL}"
                    ),
                ),
                None => line(
                    warning,
                    format!(
                        "the server does not tell whether Allow license lease is on; see the QMC, {GENERAL}"
                    ),
                ),
            },
        ];
        if self.settings.assign_cals && cals.allow_dynamic_assignment == Some(false) {
            found.push(line(
                warning,
                "qlikview.assign_cals assigns CALs although Allow dynamic CAL assignment is off in \
                 the QMC"
                    .to_owned(),
            ));
        }
        if cals.by_machine_name {
            found.push(line(
                warning,
                format!("named CALs are identified by machine name, so leases cannot be predicted; see Identification in the QMC, {GENERAL}"),
            ));
        }
        found
    }

    /// Only web servers that sign users in by ticket or form carry names of custom users.
    async fn check_web_servers(&self) -> Vec<CheckFinding> {
        let servers = match self.qms.web_servers().await {
            Ok(servers) => servers,
            Err(error) => return vec![untold("the web servers", &error)],
        };
        let mut found = Vec::new();
        for server in servers {
            found.push(match self.qms.web_server_settings(&server.id).await {
                Ok(Some(settings)) => self.web_server_finding(&server, &settings),
                Ok(None) => line(
                    warning,
                    format!(
                        "{}: before 12.10 QMS does not tell how it signs users in",
                        server.name
                    ),
                ),
                Err(error) => untold(&format!("the settings of {}", server.name), &error),
            });
        }
        found
    }

    fn web_server_finding(&self, server: &Service, settings: &WebServerSettings) -> CheckFinding {
        const WHERE: &str = "System > Setup > QlikView Web Servers > Authentication";
        let (name, ours) = (&server.name, &self.settings.user_prefix);
        match (&settings.sign_in, &settings.prefix) {
            (None, _) => line(
                warning,
                format!("{name} does not tell how it signs users in; see the QMC, {WHERE}"),
            ),
            (Some(kind), Some(prefix)) if !prefix.eq_ignore_ascii_case(ours) => line(
                warning,
                format!(
                    "{name} signs in by {kind} with the prefix {prefix}, qlikview.user_prefix is {ours}; see the QMC, {WHERE}"
                ),
            ),
            (Some(kind), _) => line(ok, format!("{name} signs users in by {kind}")),
        }
    }
}

fn license_findings(license: &ServerLicense) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    if license.signed_key {
        found.push(line(
            warning,
            "the server runs under a signed licence key: how leases go there is not known, so the \
             gateway predicts nothing and the server decides"
                .to_owned(),
        ));
    } else if license.lef.is_none() {
        found.push(line(
            warning,
            "the server does not tell its LEF, so what it forbids is not known".to_owned(),
        ));
    }
    if license.lef_ok == Some(false) && !license.signed_key {
        found.push(line(
            fault,
            "the server does not accept its LEF; see the QMC, System > Licenses > QlikView Servers"
                .to_owned(),
        ));
    }
    found
}

fn security_findings(security: &ServerSecurity) -> Vec<CheckFinding> {
    const WHERE: &str = "System > Setup > QlikView Servers > Security";
    let anonymous = match security.anonymous.as_deref() {
        Some("ProhibitAnonymous") => line(ok, "Prohibit anonymous is set".to_owned()),
        Some(other) => line(
            fault,
            format!(
                "the server takes anonymous users ({other}): set Prohibit anonymous in the QMC, {WHERE}"
            ),
        ),
        None => line(
            warning,
            format!(
                "the server does not tell whether it prohibits anonymous users; see the QMC, {WHERE}"
            ),
        ),
    };
    let dms = match security.dms {
        Some(true) => line(ok, "DMS authorization is on".to_owned()),
        Some(false) => line(
            fault,
            format!(
                "web tickets need DMS authorization, the server uses NTFS: change that in the QMC, {WHERE}"
            ),
        ),
        None => line(
            warning,
            format!(
                "the server does not tell whether it uses DMS authorization; see the QMC, {WHERE}"
            ),
        ),
    };
    vec![anonymous, dms]
}

fn untold(what: &str, error: &QmsError) -> CheckFinding {
    let why = causes::in_one_line(error);
    line(warning, format!("{what} cannot be read: {why}"))
}

fn line(level: fn(&'static str, String) -> CheckFinding, text: String) -> CheckFinding {
    level(SUBJECT, text)
}
