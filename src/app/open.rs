//! Opening a document, explaining an open, and redeeming its launch ticket.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::App;
use super::documents::requested;
use super::estate::{Estate, EstateError};
use super::keys::KeyError;
use crate::documents::{OpenFile, Snapshot};
use crate::domain::client::ClientKind;
use crate::domain::document::DocumentId;
use crate::domain::lease::Lease;
use crate::domain::open::{LeaseOutcome, RequestedDocument};
use crate::domain::person::Person;
use crate::domain::workstation::Workstation;
use crate::qlikview::open_link::OpenLink;
use crate::store::{
    Explanation, Onward, OpenCommand, Opened, Redeem, Redemption, SessionInfo, Standing,
    StoreError, Unpredicted, WhatIf,
};

/// The longest document id that is looked at; a longer one is no id of ours.
const DOCUMENT_ID_BYTES_MAX: usize = 64;

/// How soon a download notices that its session has ended: within a second, all told (L-08).
const END_SEEN_WITHIN: Duration = Duration::from_millis(500);
const _: () = assert!(END_SEEN_WITHIN.as_millis() < 1_000);

/// An open that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The id of the document.
    pub document: &'a str,
    /// With what.
    pub client: ClientKind,
    /// The link of `QlikView` that asks, where one does; in front of an estate the open leads back to
    /// it.
    pub link: Option<&'a OpenLink>,
    /// From where.
    pub address: IpAddr,
}

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
    /// A link past the gateway, where the client takes one and the estate's server answers there.
    pub direct_link: Option<String>,
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
    /// A path of ours that is passed on to the web server of the estate.
    Onward(String),
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
        wanted: Wanted<'_>,
    ) -> Result<DocumentOpened, OpenError> {
        let client = wanted.client;
        let id = wanted.document;
        let id = &id[..id.floor_char_boundary(DOCUMENT_ID_BYTES_MAX)];
        let snapshot = self.documents_for(session).await?;
        let document = requested(&snapshot, &session.person, id);
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
                let onward = onward(session, &wanted, &snapshot, &document);
                let predicted = estate.predict(&session.person, command, onward);
                let predicted = Box::pin(predicted).await?;
                let unpredicted = predicted.unpredicted;
                (predicted.opened, Some(Prediction { unpredicted }))
            }
        };
        let lease_token = match &opened.answer.lease {
            LeaseOutcome::Granted(lease) | LeaseOutcome::Renewed(lease) if prediction.is_none() => {
                let keys = self.keys();
                Some(keys.sign(lease, &opened.user, self.origin(), opened.at)?)
            }
            _ => None,
        };
        let workstation = session.workstation.clone();
        let direct_link = match (self.estate(), &document.name) {
            (Some(estate), Some(name)) if client.leases() => estate.direct_link(name),
            _ => None,
        };
        Ok(DocumentOpened {
            document,
            client,
            workstation,
            opened,
            lease_token,
            prediction,
            direct_link,
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
        document: &RequestedDocument,
        client: ClientKind,
    ) -> Result<Explanation, StoreError> {
        let what_if = WhatIf {
            person,
            workstation,
            document,
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
        match self.estate() {
            Some(estate) => estate.standing(person, workstation),
            None => self
                .ledger()
                .standing(WhatIf::of_any_document(person, workstation)),
        }
    }

    /// The same, and the documents that the person marked.
    pub(super) fn standing_and_favourites(
        &self,
        person: &Person,
        workstation: &Workstation,
    ) -> Result<(Standing, Vec<String>), StoreError> {
        let ledger = self.ledger();
        match self.estate() {
            Some(estate) => {
                let standing = estate.standing(person, workstation)?;
                Ok((standing, ledger.favourites(&person.id)?))
            }
            None => ledger.standing_and_favourites(WhatIf::of_any_document(person, workstation)),
        }
    }

    /// Turns true when a session has ended, so that a long download ends with it (S-17).
    #[must_use]
    pub fn session_end(&self, session: &SessionInfo) -> watch::Receiver<bool> {
        let (ledger, hash) = (self.ledger().clone(), session.hash.clone());
        end_of(move || ledger.session_lives(&hash).unwrap_or(false))
    }

    /// Redeems a launch ticket and opens the document's content, or says where in the estate it leads
    /// to; from then on the lease of such a launch is watched for.
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
        if let Some(estate) = self.estate() {
            return Box::pin(self.lead_on(estate, session, secret)).await;
        }
        let snapshot = self.library().snapshot();
        if requested(&snapshot, &session.person, document)
            .name
            .is_none()
        {
            return Ok(Launched::Gone);
        }
        let library = self.library().clone();
        let id = DocumentId::from(document);
        let opening = tokio::task::spawn_blocking(move || library.open(&id)).await;
        let file = opening.map_err(io::Error::other)??;
        Ok(file.map_or(Launched::Gone, |file| Launched::File(Box::new(file))))
    }

    /// Where a launch that was redeemed leads to. The person is signed in at the web server first, so
    /// that trouble with it is told here and not on one of its pages.
    async fn lead_on(
        &self,
        estate: &Arc<Estate>,
        session: &SessionInfo,
        secret: &str,
    ) -> Result<Launched, OpenError> {
        let Some(target) = self.ledger().launch_target(secret)? else {
            return Ok(Launched::Gone);
        };
        estate.upstream(session).await?;
        if target.client.leases() {
            estate.watch(&session.person, &session.workstation).await?;
        }
        Ok(Launched::Onward(target.path))
    }
}

/// Where an open of the estate leads to: back to the link that asked for it, or to the page of its
/// client.
fn onward(
    session: &SessionInfo,
    wanted: &Wanted<'_>,
    snapshot: &Snapshot,
    document: &RequestedDocument,
) -> Onward {
    let place = || {
        let document = snapshot.get(&DocumentId::from(document.id.as_str()))?;
        let server = document.server.as_deref()?;
        Some(OpenLink::to(server, &document.name, wanted.client).location())
    };
    let path = wanted.link.map(OpenLink::location).or_else(place);
    Onward {
        session_id: session.id.clone(),
        address: wanted.address.to_string(),
        path: path.unwrap_or_default(),
    }
}

/// Turns true when this goes on no longer; looked at for as long as somebody waits for it.
pub(super) fn end_of(goes_on: impl Fn() -> bool + Send + 'static) -> watch::Receiver<bool> {
    let (ended, end) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = ended.closed() => return,
                () = tokio::time::sleep(END_SEEN_WITHIN) => {}
            }
            if !goes_on() {
                ended.send_replace(true);
                return;
            }
        }
    });
    end
}
