//! In front of an estate: the customer's `QlikView` Server owns CALs and leases; the gateway asks,
//! predicts and explains.

use crate::config::{Config, LicenseServer, QlikView};

/// What the gateway knows of the estate that it stands in front of, and how it asks.
#[derive(Debug)]
pub struct Estate {
    settings: QlikView,
}

impl Estate {
    /// The estate of this configuration; none with `license.server = "embedded"`.
    pub(super) fn of(config: &Config) -> Option<Self> {
        (config.license.server == LicenseServer::QlikView).then(|| Self {
            settings: config.qlikview.clone(),
        })
    }

    /// `[qlikview]`.
    #[must_use]
    pub fn settings(&self) -> &QlikView {
        &self.settings
    }
}
