//! An open in front of an estate: the rules predict what its server will do.

use super::{Estate, EstateError};
use crate::domain::open::Owner;
use crate::domain::person::Person;
use crate::domain::workstation::Workstation;
use crate::store::{
    Explanation, Onward, OpenCommand, Predicted, Standing, StoreError, Unpredicted, WhatIf,
};

impl Estate {
    /// Predicts an open from a picture that is at most a minute old, and issues its launch ticket, which
    /// leads `onward`.
    /// Where the site wants that, a CAL that the open needs is assigned first.
    ///
    /// # Errors
    ///
    /// The management service cannot be asked, or see [`EstateError`].
    pub async fn predict(
        &self,
        person: &Person,
        command: OpenCommand,
        onward: Onward,
    ) -> Result<Predicted, EstateError> {
        self.ensure_fresh().await?;
        if self.settings.assign_cals {
            self.assign_for(person, &command).await?;
        }
        let predicted = self
            .store
            .predict_open(command, onward, self.settings.assign_cals);
        predicted
            .await?
            .ok_or_else(|| EstateError::Silent("CALs and leases were not read yet".to_owned()))
    }

    /// What an open would be predicted to answer and why, by the picture that is there; none before
    /// the first.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn explain(&self, what_if: WhatIf<'_>) -> Result<Option<Explanation>, StoreError> {
        self.store
            .explain_estate(what_if, self.settings.assign_cals)
    }

    /// Where a person stands on a workstation, whatever they open.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn standing(
        &self,
        person: &Person,
        workstation: &Workstation,
    ) -> Result<Standing, StoreError> {
        let explained = self.explain(WhatIf::of_any_document(person, workstation))?;
        Ok(explained.map_or_else(
            || Standing {
                owner: Owner::Estate { other_cals: true },
                here: workstation.id.clone(),
                cal: None,
                leases: Vec::new(),
                findings: Vec::new(),
            },
            |explained| explained.standing,
        ))
    }

    /// Why nothing is predicted there, if nothing is.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn unpredicted(&self) -> Result<Option<Unpredicted>, StoreError> {
        let now = self.store.estate_now()?;
        Ok(now.and_then(|now| now.unpredicted))
    }
}
