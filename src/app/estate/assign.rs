//! Assigning named CALs through the management service, where the site allows it.

use super::{Estate, EstateError, patiently};
use crate::domain::change::{Event, EventKind};
use crate::domain::open::{Access, CalStep};
use crate::domain::person::{AutomaticCal, Person};
use crate::qlikview::qms::Assigned;
use crate::store::{Actor, OpenCommand, WhatIf};

impl Estate {
    /// Assigns the CAL that an open needs, if it needs one and one is free. What cannot be assigned
    /// is refused by the prediction that follows.
    pub(super) async fn assign_for(
        &self,
        person: &Person,
        command: &OpenCommand,
    ) -> Result<(), EstateError> {
        if person.automatic_cal == AutomaticCal::Never || !self.needs_cal(person, command)? {
            return Ok(());
        }
        let _turn = self.assigning.lock().await;
        // Another open of the same person may have been here meanwhile.
        if !self.needs_cal(person, command)? {
            return Ok(());
        }
        let user = self.name_there(&person.name);
        let outcome = patiently(async {
            let server = self.qms.server().await?;
            self.qms.assign(&server.id, &user, self.store.now()).await
        })
        .await?;
        self.sync().await?;
        match outcome {
            Assigned::Held => self.note_assigned(person).await,
            Assigned::NoneFree => Ok(()),
            Assigned::Contended => Err(EstateError::Contended),
        }
    }

    fn needs_cal(&self, person: &Person, command: &OpenCommand) -> Result<bool, EstateError> {
        let explained = self.explain(WhatIf {
            person,
            workstation: &command.workstation,
            document: &command.document,
            client: command.client,
        })?;
        let access = explained.map(|explained| explained.answer.access);
        Ok(matches!(
            access,
            Some(Access::Granted(CalStep::Assigned | CalStep::GivenBack))
        ))
    }

    async fn note_assigned(&self, person: &Person) -> Result<(), EstateError> {
        let event = Event::new(EventKind::CalAssigned)
            .about(&person.id, &person.name)
            .with("through", "QMS");
        let actor = Actor::person(&person.name);
        self.store.note(event, actor).await?;
        Ok(())
    }
}
