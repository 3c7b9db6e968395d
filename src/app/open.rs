//! Opening a document, explaining an open, and redeeming its launch ticket.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

use super::App;
use super::estate::EstateError;
use super::keys::KeyError;
use crate::documents::OpenFile;
use crate::domain::client::ClientKind;
use crate::domain::document::DocumentId;
use crate::domain::lease::Lease;
use crate::domain::open::{LeaseOutcome, RequestedDocument};
use crate::domain::person::Person;
use crate::domain::workstation::Workstation;
use crate::store::{
    Explanation, OpenCommand, Opened, Redeem, Redemption, SessionInfo, Standing, StoreError,
    Unpredicted, WhatIf,
};

/// The longest document id that is looked at; a longer one is no id of ours.
const DOCUMENT_ID_BYTES_MAX: usize = 64;

/// How soon a download notices that its session has ended.
const SESSION_END_SEEN_WITHIN: Duration = Duration::from_millis(500);

/// An open that was decided, ready to be told.
#[derive(Debug)]
pub struct DocumentOpened {
    /// What was asked for.
    pub document: RequestedDocument,
    /// With what.
    pub client: ClientKind,
    /// Where.
    pub workstation: Workstation,
    /// What was decided.
    pub opened: Opened,
    /// The signed lease, where one was granted or renewed.
    pub lease_token: Option<String>,
    /// Set in front of an estate, where the lease is its server's and the outcome predicted.
    pub prediction: Option<Prediction>,
}

/// How far an outcome is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Why nothing is said of the lease, if nothing is.
    pub unpredicted: Option<Unpredicted>,
}

/// What became of a launch.
#[derive(Debug)]
pub enum Launched {
    /// The content.
    File(Box<OpenFile>),
    /// The ticket was redeemed and its life is over.
    Used,
    /// The ticket never held here.
    Invalid,
    /// The document is gone, or hidden by now (R22).
    Gone,
}

/// Why an open or a launch failed; a refusal is no failure.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ledger.
    #[error("the ledger failed")]
    Store(#[from] StoreError),
    /// The signing keys.
    #[error("the lease could not be signed")]
    Keys(#[from] KeyError),
    /// The estate.
    #[error(transparent)]
    Estate(#[from] EstateError),
    /// The documents.
    #[error("the document could not be read")]
    Content(#[from] io::Error),
}

impl DocumentOpened {
    /// The title of the document; none where the person may not know of it.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.document.title()
    }

    /// The path that leads on to the document, where access was granted.
    #[must_use]
    pub fn launch_path(&self) -> Option<String> {
        let launch = self.opened.launch.as_ref()?;
        Some(format!(
            "/documents/{}/content?launch={}",
            self.document.id, launch.secret
        ))
    }
}

impl App {
    /// Opens a document for the person and workstation of a session.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open_document(
        &self,
        session: &SessionInfo,
        document: &str,
        client: ClientKind,
    ) -> Result<DocumentOpened, OpenError> {
        let id = &document[..document.floor_char_boundary(DOCUMENT_ID_BYTES_MAX)];
        let document = self.requested(&session.person, id);
        let command = OpenCommand {
            person: session.person.id.clone(),
            workstation: session.workstation.clone(),
            document: document.clone(),
            client,
            session_hash: session.hash.clone(),
        };
        let (opened, prediction) = match self.estate() {
            None => (self.ledger().open_document(command).await?, None),
            Some(estate) => {
                // On the heap: an open of the gateway's own ledger must not carry its size.
                let predicted = Box::pin(estate.predict(&session.person, command)).await?;
                let unpredicted = predicted.unpredicted;
                (predicted.opened, Some(Prediction { unpredicted }))
            }
        };
        let lease_token = match &opened.answer.lease {
            LeaseOutcome::Granted(lease) | LeaseOutcome::Renewed(lease) if prediction.is_none() => {
                let issuer = self.config().public_url.origin();
                Some(self.keys().sign(lease, &opened.user, &issuer, opened.at)?)
            }
            _ => None,
        };
        let workstation = session.workstation.clone();
        Ok(DocumentOpened {
            document,
            client,
            workstation,
            opened,
            lease_token,
            prediction,
        })
    }

    /// What an open would answer, rule by rule; writes nothing.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn explain(
        &self,
        person: &Person,
        workstation: &Workstation,
        document: &str,
        client: ClientKind,
    ) -> Result<Explanation, StoreError> {
        let what_if = WhatIf {
            person,
            workstation,
            document: &self.requested(person, document),
            client,
        };
        if let Some(estate) = self.estate()
            && let Some(explained) = estate.explain(what_if)?
        {
            return Ok(explained);
        }
        self.ledger().explain(what_if)
    }

    /// A person's leases, the latest first: those of the estate's server, where there is one.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn leases_of(&self, person: &Person) -> Result<Vec<Lease>, StoreError> {
        match self.estate() {
            None => self.ledger().leases_of(&person.id),
            Some(_) => self.ledger().estate_leases_of(person),
        }
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
        if let Some(estate) = self.estate() {
            return estate.standing(person, workstation);
        }
        self.ledger().standing(WhatIf {
            person,
            workstation,
            document: &RequestedDocument {
                id: String::new(),
                name: Some(String::new()),
            },
            client: ClientKind::Plugin,
        })
    }

    /// Turns true when a session has ended, so that a long download ends with it (S-17).
    #[must_use]
    pub fn session_end(&self, session: &SessionInfo) -> watch::Receiver<bool> {
        let (ended, end) = watch::channel(false);
        let (ledger, hash) = (self.ledger().clone(), session.hash.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = ended.closed() => return,
                    () = tokio::time::sleep(SESSION_END_SEEN_WITHIN) => {}
                }
                if !ledger.session_lives(&hash).unwrap_or(false) {
                    ended.send_replace(true);
                    return;
                }
            }
        });
        end
    }

    /// Redeems a launch ticket and opens the document's content.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn launch(
        &self,
        session: &SessionInfo,
        document: &str,
        secret: &str,
        resumes: bool,
    ) -> Result<Launched, OpenError> {
        let redeem = Redeem {
            secret: secret.to_owned(),
            session_hash: session.hash.clone(),
            person: session.person.id.clone(),
            workstation: session.workstation.id.clone(),
            document: document.to_owned(),
            resumes,
        };
        match self.ledger().redeem(redeem).await? {
            Redemption::Used => return Ok(Launched::Used),
            Redemption::Invalid => return Ok(Launched::Invalid),
            Redemption::Granted => {}
        }
        if self.requested(&session.person, document).name.is_none() {
            return Ok(Launched::Gone);
        }
        let library = self.library().clone();
        let id = DocumentId::from(document);
        let opening = tokio::task::spawn_blocking(move || library.open(&id)).await;
        let file = opening.map_err(io::Error::other)??;
        Ok(file.map_or(Launched::Gone, |file| Launched::File(Box::new(file))))
    }
}
