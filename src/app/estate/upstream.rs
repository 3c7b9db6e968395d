//! People's sessions at the web server: begun with a ticket in their name when they are first needed,
//! kept in memory alone, and over with the gateway's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::{Estate, EstateError, lock};
use crate::documents::{Rules, Snapshot, ToldDocument};
use crate::domain::person::PersonId;
use crate::domain::time::{Millis, Timestamp};
use crate::qlikview::web::{ListedDocument, TicketUser, UpstreamSession, WebError};
use crate::store::SessionInfo;

/// For how long a list of documents is shown again.
const LIST_HOLDS: Millis = Millis::seconds(30);

/// How soon what a session has at the web server ends after the session.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Sessions at the web server, by the public ids of the gateway's own.
#[derive(Default)]
pub(super) struct Upstreams(StdMutex<HashMap<String, Arc<Upstream>>>);

/// What one session of the gateway has at the web server.
struct Upstream {
    person: PersonId,
    /// The hash by which the session was seen last; one that was renewed and not seen since is begun
    /// anew when it is.
    hash: StdMutex<String>,
    /// Held while somebody is signed in there, so that the many requests of a page do it once.
    signed: Mutex<Option<Signed>>,
    /// Held while the list is read.
    listed: Mutex<Option<Listed>>,
}

struct Signed {
    user: TicketUser,
    session: UpstreamSession,
}

struct Listed {
    at: Timestamp,
    snapshot: Arc<Snapshot>,
}

impl Upstreams {
    fn of(&self, info: &SessionInfo) -> Arc<Upstream> {
        let mut all = lock(&self.0);
        let upstream = all.entry(info.id.clone()).or_insert_with(|| {
            Arc::new(Upstream {
                person: info.person.id.clone(),
                hash: StdMutex::default(),
                signed: Mutex::default(),
                listed: Mutex::default(),
            })
        });
        info.hash.clone_into(&mut lock(&upstream.hash));
        Arc::clone(upstream)
    }
}

impl Estate {
    /// The session at the web server that goes with one of the gateway's, begun where there is none.
    /// Somebody whose groups have changed is signed in anew, because the ticket tells them.
    ///
    /// # Errors
    ///
    /// The web server does not answer, or gives no ticket.
    pub async fn upstream(&self, info: &SessionInfo) -> Result<UpstreamSession, EstateError> {
        let upstream = self.upstreams.of(info);
        let mut signed = upstream.signed.lock().await;
        let user = self.ticket_user(info);
        if let Some(signed) = signed.as_ref().filter(|signed| signed.user == user) {
            return Ok(signed.session.clone());
        }
        let session = self.web.sign_in(&user).await?;
        *signed = Some(Signed {
            user,
            session: session.clone(),
        });
        Ok(session)
    }

    /// Begins a new session in place of one that the web server no longer knows, unless that was done
    /// already.
    ///
    /// # Errors
    ///
    /// As [`Estate::upstream`].
    pub async fn upstream_in_place_of(
        &self,
        info: &SessionInfo,
        ended: &UpstreamSession,
    ) -> Result<UpstreamSession, EstateError> {
        let upstream = self.upstreams.of(info);
        let mut signed = upstream.signed.lock().await;
        if signed
            .as_ref()
            .is_some_and(|signed| signed.session.is(ended))
        {
            *signed = None;
        }
        drop(signed);
        self.upstream(info).await
    }

    /// The documents that the web server lists for somebody, at most half a minute old.
    ///
    /// # Errors
    ///
    /// As [`Estate::upstream`].
    pub async fn documents_of(
        &self,
        info: &SessionInfo,
        rules: &Arc<Rules>,
    ) -> Result<Arc<Snapshot>, EstateError> {
        let upstream = self.upstreams.of(info);
        let mut listed = upstream.listed.lock().await;
        let now = self.store.now();
        if let Some(listed) = listed.as_ref().filter(|kept| now < kept.at + LIST_HOLDS) {
            return Ok(Arc::clone(&listed.snapshot));
        }
        let documents = self.list(info).await?.into_iter().map(told).collect();
        let snapshot = Arc::new(Snapshot::told(documents, Arc::clone(rules)));
        *listed = Some(Listed {
            at: now,
            snapshot: Arc::clone(&snapshot),
        });
        Ok(snapshot)
    }

    /// The documents that were last listed for somebody in any of their sessions, however old.
    #[must_use]
    pub fn last_documents_of(&self, person: &PersonId) -> Option<Arc<Snapshot>> {
        let all: Vec<Arc<Upstream>> = lock(&self.upstreams.0)
            .values()
            .filter(|upstream| upstream.person == *person)
            .cloned()
            .collect();
        let known = all.iter().filter_map(|upstream| {
            let listed = upstream.listed.try_lock().ok()?;
            let listed = listed.as_ref()?;
            Some((listed.at, Arc::clone(&listed.snapshot)))
        });
        known
            .max_by_key(|(at, _)| *at)
            .map(|(_, snapshot)| snapshot)
    }

    /// Ends what a session of the gateway has at the web server; what the server says to that does not
    /// matter.
    pub async fn end_upstream(&self, session_id: &str) {
        let ended = lock(&self.upstreams.0).remove(session_id);
        if let Some(ended) = ended {
            self.sign_out_there(&ended).await;
        }
    }

    /// Ends what ended sessions have at the web server, whoever ended them, for ever.
    pub async fn follow_sessions(self: Arc<Self>) {
        let mut every = interval(ENDS_WITHIN);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.end_upstreams_of_ended().await;
        }
    }

    /// Ends what ended sessions have at the web server.
    async fn end_upstreams_of_ended(&self) {
        let ended: Vec<Arc<Upstream>> = {
            let mut all = lock(&self.upstreams.0);
            let lives = |upstream: &Upstream| {
                let hash = lock(&upstream.hash).clone();
                // One that cannot be looked up may live on.
                self.store.session_lives(&hash).unwrap_or(true)
            };
            let ended: Vec<String> = all
                .iter()
                .filter(|(_, upstream)| !lives(upstream))
                .map(|(id, _)| id.clone())
                .collect();
            ended.iter().filter_map(|id| all.remove(id)).collect()
        };
        for upstream in ended {
            self.sign_out_there(&upstream).await;
        }
    }

    async fn sign_out_there(&self, upstream: &Upstream) {
        let signed = upstream.signed.lock().await.take();
        if let Some(signed) = signed {
            self.web.sign_out(&signed.session).await;
        }
    }

    /// The list as it is now; a session that the server has forgotten is begun anew, once.
    async fn list(&self, info: &SessionInfo) -> Result<Vec<ListedDocument>, EstateError> {
        let session = self.upstream(info).await?;
        match self.web.documents(&session).await {
            Err(WebError::SignedOut { .. }) => {
                let session = self.upstream_in_place_of(info, &session).await?;
                Ok(self.web.documents(&session).await?)
            }
            listed => Ok(listed?),
        }
    }

    fn ticket_user(&self, info: &SessionInfo) -> TicketUser {
        TicketUser {
            name: self.name_there(&info.person.name),
            groups: info.person.groups.clone(),
        }
    }
}

fn told(listed: ListedDocument) -> ToldDocument {
    ToldDocument {
        server: listed.host,
        name: listed.path,
        title: listed.title,
        category: listed.category,
        size_bytes: listed.size_bytes,
        modified_at: listed.modified_at.unwrap_or(Timestamp(0)),
        clients: listed.clients,
    }
}
