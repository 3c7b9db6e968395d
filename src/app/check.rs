//! `accesspoint check`: looks at configuration, peers and stored state, one finding a line.

use serde::Serialize;

use super::App;
use crate::causes::in_one_line;
use crate::domain::time::Millis;
use crate::store::StoreError;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but somebody should look.
    Warning,
    /// Does not work.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub subject: &'static str,
    /// What was found, and what to do.
    pub text: String,
}

/// How soon before its end a licence is worth a warning.
const LICENSE_ENDS_SOON: Millis = Millis::days(30);

impl App {
    /// Looks at everything that this gateway depends on.
    #[must_use]
    pub fn check(&self) -> Vec<CheckFinding> {
        let mut found: Vec<CheckFinding> = Vec::new();
        found.extend(
            self.config()
                .warnings()
                .into_iter()
                .map(|w| warning("configuration", w)),
        );
        if self.estate().is_none() {
            found.push(self.check_documents());
            found.extend(or_fault("license", self.check_license()));
        }
        found.extend(or_fault("invariants", self.check_invariants()));
        found.extend(or_fault("audit", self.check_audit()));
        found
    }

    fn check_documents(&self) -> CheckFinding {
        let snapshot = self.library().snapshot();
        let root = self.library().root().display();
        match (snapshot.problem(), snapshot.documents().len()) {
            (Some(problem), _) => fault("documents", problem.to_owned()),
            (None, 0) => warning("documents", format!("{root} holds no .qvw file")),
            (None, count) => ok("documents", format!("{count} documents in {root}")),
        }
    }

    fn check_license(&self) -> Result<Vec<CheckFinding>, StoreError> {
        let now = self.now();
        let state = self.license()?;
        let Some(license) = &state.license else {
            let text = "no LEF is loaded; load one with: accesspoint license load FILE";
            return Ok(vec![warning("license", text.to_owned())]);
        };
        let mut found = Vec::new();
        let (held, taken) = (state.held, state.taken);
        if state.overcommitted() {
            found.push(warning(
                "license",
                format!(
                    "OVERCOMMITTED: {taken} named CALs are taken, the licence holds {held}; \
                     nobody new gets one until it fits"
                ),
            ));
        } else {
            found.push(ok(
                "license",
                format!("{taken} of {held} named CALs are taken"),
            ));
        }
        if !license.in_force(now) {
            let text = "the licence is not in force: no workstation can lease".to_owned();
            found.push(warning("license", text));
        } else if let Some(end) = license
            .ends_at()
            .filter(|end| *end <= now + LICENSE_ENDS_SOON)
        {
            found.push(warning("license", format!("the licence ends at {end}")));
        }
        if !state.switches.allow_license_lease {
            found.push(warning("license", "Allow license lease is off".to_owned()));
        }
        Ok(found)
    }

    fn check_invariants(&self) -> Result<Vec<CheckFinding>, StoreError> {
        let violations = self.ledger().check()?;
        if violations.is_empty() {
            return Ok(vec![ok(
                "invariants",
                "all hold over the stored state".to_owned(),
            )]);
        }
        let faults = violations.into_iter();
        Ok(faults
            .map(|v| fault("invariants", format!("{}: {}", v.invariant, v.found)))
            .collect())
    }

    fn check_audit(&self) -> Result<Vec<CheckFinding>, StoreError> {
        let verdict = self.ledger().verify_audit()?;
        Ok(vec![match verdict.broken {
            None => ok(
                "audit",
                format!("the chain of {} events holds", verdict.rows),
            ),
            Some(broken) => fault(
                "audit",
                format!("the chain breaks at {}: {}", broken.seq, broken.reason),
            ),
        }])
    }
}

/// Findings, or the fault that kept them from being made.
fn or_fault(
    subject: &'static str,
    found: Result<Vec<CheckFinding>, StoreError>,
) -> Vec<CheckFinding> {
    found.unwrap_or_else(|error| vec![fault(subject, in_one_line(&error))])
}

/// As it should be.
#[must_use]
pub fn ok(subject: &'static str, text: String) -> CheckFinding {
    CheckFinding {
        level: Level::Ok,
        subject,
        text,
    }
}

/// Somebody should look.
#[must_use]
pub fn warning(subject: &'static str, text: String) -> CheckFinding {
    CheckFinding {
        level: Level::Warning,
        subject,
        text,
    }
}

/// Does not work.
#[must_use]
pub fn fault(subject: &'static str, text: String) -> CheckFinding {
    CheckFinding {
        level: Level::Fault,
        subject,
        text,
    }
}
