//! What has to be done now and then, whoever asks: sweeping what ended, watching the invariants.

use std::time::Duration;

use super::App;
use super::sources::PasswordSource;
use crate::causes::in_one_line;
use crate::config::{PASSKEY_SOURCE, WEB_TICKET_SOURCE};

/// How often what has ended is swept.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How many sweeps pass between two looks at all invariants.
const SWEEPS_PER_CHECK: u32 = 60;

impl App {
    /// Keeps the ledger tidy until it is dropped.
    pub async fn upkeep(self) {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut sweeps, mut sources_known) = (0, false);
        loop {
            every.tick().await;
            if !sources_known {
                sources_known = self.end_sessions_without_source().await;
            }
            self.sweep().await;
            sweeps += 1;
            if sweeps % SWEEPS_PER_CHECK == 0 {
                self.watch_invariants().await;
            }
        }
    }

    /// Ends sessions of sources that the configuration no longer uses; whether that could be done.
    pub async fn end_sessions_without_source(&self) -> bool {
        match self
            .ledger()
            .end_sessions_of_other_sources(self.names_in_use())
            .await
        {
            Ok(ended) => {
                for (source, sessions) in ended {
                    tracing::warn!(source, sessions, "sessions of a source not in use ended");
                }
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = in_one_line(&error),
                    "sessions of sources that are not in use go on"
                );
                false
            }
        }
    }

    /// What the ledger calls the ways in that there are. A passkey alone is one where the gateway keeps
    /// passwords.
    fn names_in_use(&self) -> Vec<String> {
        let has_local = self.config().sign_in.has_local();
        let passwords = self.0.sources.all().map(PasswordSource::name);
        let providers = self.0.oidc.keys().map(String::as_str);
        let in_use = passwords.chain(providers).chain([WEB_TICKET_SOURCE]);
        let in_use = in_use.chain(has_local.then_some(PASSKEY_SOURCE));
        in_use.map(str::to_owned).collect()
    }

    async fn sweep(&self) {
        match self.ledger().sweep().await {
            Ok(swept) => tracing::debug!(?swept, "swept"),
            Err(error) => {
                tracing::warn!(error = in_one_line(&error), "the ledger could not be swept");
            }
        }
        if let Err(error) = self.tell_left_out().await {
            tracing::warn!(
                error = in_one_line(&error),
                "refusals were left out of the audit, and that is not told"
            );
        }
    }

    async fn watch_invariants(&self) {
        let ledger = self.ledger().clone();
        match tokio::task::spawn_blocking(move || ledger.check()).await {
            Ok(Ok(violations)) => {
                for violation in violations {
                    tracing::error!(
                        violation.invariant,
                        violation.found,
                        "an invariant is broken"
                    );
                }
            }
            Ok(Err(error)) => tracing::warn!(
                error = in_one_line(&error),
                "the invariants could not be checked"
            ),
            Err(error) => tracing::warn!(
                error = in_one_line(&error),
                "the check of the invariants failed"
            ),
        }
    }
}
