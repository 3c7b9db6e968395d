//! Signing in through `OpenID` Connect providers, and what providers say of logouts.
//!
//! An attempt is a row: its state by hash, for one browser, taken once. Every refusal leaves one
//! audit event with its reason, and keeps the path that was wanted.

use std::net::IpAddr;
use std::time::Duration;

use super::App;
use super::arrive::{Arrival, ArrivalRefusal, Arrived, ProviderSession};
use super::second_factor::CONFIRMED_FOR;
use super::sign_in::{Client, SignedIn};
use crate::auth::oidc::{
    Answer, Callback, LONG_AGO, Proof, Provider, Reason, Refused, Secrets, Vouched,
};
use crate::auth::secret::{SecretKind, hash_secret};
use crate::domain::change::{Event, EventKind};
use crate::domain::time::Millis;
use crate::store::{
    Aim, Attempt, NewAttempt, ProviderLoggedOut, ProviderLogout, SessionInfo, StoreError, Taken,
};

/// Bytes of the address at which somebody signs out of a provider; web servers refuse longer ones.
const SIGN_OUT_URL_BYTES_MAX: usize = 7 * 1024;
/// The same for the engine of Internet Explorer, which cuts longer ones.
const OLD_ENGINE_URL_BYTES_MAX: usize = 2083;
/// How long somebody who signs out waits for their provider's answer.
const SIGN_OUT_WAIT: Duration = Duration::from_secs(3);
/// What an ID token is sealed for.
const ID_TOKEN: &str = "id-token";

/// Who asks, and the cookie that tells their browser from others.
#[derive(Clone, Copy, Debug)]
pub struct Browser<'a> {
    /// The value of the attempt cookie.
    pub cookie: Option<&'a str>,
    /// Where the request comes from.
    pub client: &'a Client,
}

/// A sign-in that came to nothing.
#[derive(Clone, Debug)]
pub struct NotSignedIn {
    /// Why.
    pub reason: Reason,
    /// What the provider says of it, where it says something.
    pub said: Option<String>,
    /// What starting again is for.
    pub aim: Aim,
}

/// What came of beginning a sign-in.
#[derive(Debug)]
pub enum Begun {
    /// The browser goes to the provider.
    Away {
        /// The provider's address.
        to: String,
        /// The attempt cookie to set.
        cookie: String,
    },
    /// It could not be begun.
    Refused(NotSignedIn),
    /// So many are begun from this address that this one has to wait.
    Busy {
        /// For how long.
        wait: Millis,
        /// What starting again is for.
        aim: Aim,
    },
}

/// What came of a callback.
#[derive(Debug)]
pub enum Finished {
    /// They may have a session.
    Done {
        /// Who.
        signed_in: Box<SignedIn>,
        /// Where to go: a path.
        wanted: String,
    },
    /// The provider vouches for them, but they may not come in.
    NotLetIn {
        /// Why.
        refusal: ArrivalRefusal,
        /// What starting again is for.
        aim: Aim,
    },
    /// The attempt was too old, and is begun again by itself.
    Again(Aim),
    /// It is not accepted.
    Refused(NotSignedIn),
}

/// How somebody signs out of their provider too.
#[derive(Clone, Debug)]
pub struct ProviderSignOut {
    /// Where the browser goes.
    pub to: String,
    /// Whether that is at the issuer's origin, which is the one that a form of ours may lead to.
    pub at_issuer: bool,
    /// What it brings back.
    pub state: String,
}

impl App {
    /// Whether there is a provider of this name in use.
    #[must_use]
    pub fn has_provider(&self, name: &str) -> bool {
        self.0.oidc.contains_key(name)
    }

    /// The origin of the provider from which sessions of this source come; none of other sources.
    #[must_use]
    pub fn provider_origin(&self, source: &str) -> Option<&str> {
        self.0.oidc.get(source).map(Provider::origin)
    }

    /// The origins whose pages sign people out of a provider; none where there is no such provider.
    pub async fn sign_out_origins(&self, name: &str) -> Vec<String> {
        match self.0.oidc.get(name) {
            Some(provider) => provider.sign_out_origins().await,
            None => Vec::new(),
        }
    }

    /// The issuer of a provider's metadata.
    #[must_use]
    pub fn issuer(&self, name: &str) -> Option<&str> {
        self.0.oidc.get(name).map(Provider::issuer)
    }

    /// Begins a sign-in at a provider that is in use; `None` where there is none of that name. `anew`
    /// is for somebody whom it may know already, and who wants to be somebody else.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_at_provider(
        &self,
        name: &str,
        aim: Aim,
        anew: bool,
        browser: Browser<'_>,
    ) -> Result<Option<Begun>, StoreError> {
        let Some(provider) = self.0.oidc.get(name) else {
            return Ok(None);
        };
        if let Err(wait) = self.begins(browser.client.address) {
            return Ok(Some(Begun::Busy { wait, aim }));
        }
        let (state, nonce, verifier) = (
            self.fresh().token(),
            self.fresh().token(),
            self.fresh().token(),
        );
        let secrets = Secrets {
            state: &state,
            nonce: &nonce,
            verifier: &verifier,
        };
        let proof = match (aim.again, anew) {
            (true, _) => Proof::Within(CONFIRMED_FOR),
            (false, true) => Proof::Anew,
            (false, false) => Proof::Any,
        };
        let to = match provider.begin(secrets, proof, self.fresh()).await {
            Ok(to) => to,
            Err(refused) => {
                let refused = self.refuse(name, refused, None, aim, browser).await?;
                return Ok(Some(Begun::Refused(refused)));
            }
        };
        let known = browser.cookie.filter(|cookie| cookie.len() >= 22);
        let cookie = known.map_or_else(|| self.fresh().id(), str::to_owned);
        let attempt = NewAttempt {
            state_hash: hash_secret(SecretKind::AttemptState, &state),
            browser_hash: hash_secret(SecretKind::AttemptBrowser, &cookie),
            source: name.to_owned(),
            nonce,
            verifier,
            aim,
        };
        self.ledger().begin_attempt(attempt).await?;
        Ok(Some(Begun::Away { to, cookie }))
    }

    /// Finishes a sign-in at a provider that is in use; `None` where there is none of that name.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn finish_at_provider(
        &self,
        name: &str,
        callback: &Callback,
        browser: Browser<'_>,
    ) -> Result<Option<Finished>, StoreError> {
        let Some(provider) = self.0.oidc.get(name) else {
            return Ok(None);
        };
        let (attempt, state) = match self.take_attempt_of(name, callback, browser).await? {
            Ok(taken) => taken,
            Err(finished) => return Ok(Some(finished)),
        };
        let aim = attempt.aim.clone();
        let since = self.now();
        let vouched = match self.vouched(provider, callback, &attempt, state).await {
            Ok(vouched) => vouched,
            Err(refused) => {
                let said = callback.said.clone();
                let refused = self.refuse(name, refused, said, aim, browser).await?;
                return Ok(Some(Finished::Refused(refused)));
            }
        };
        let arrival = Arrival {
            source: name.to_owned(),
            subject: vouched.subject,
            claims: vouched.claims,
            provider: Some(ProviderSession {
                sid: vouched.sid,
                since,
                id_token: self.sealed(&vouched.id_token),
                // Where nobody says when it was, it may have been long ago, unless it was asked for.
                proved_at: vouched.signed_in_at.or((!aim.again).then_some(LONG_AGO)),
            }),
        };
        Ok(Some(match self.arrive(arrival, browser.client).await? {
            Arrived::Done(signed_in) => Finished::Done {
                signed_in,
                wanted: aim.wanted,
            },
            Arrived::Refused(refusal) => Finished::NotLetIn { refusal, aim },
        }))
    }

    /// Refuses to begin a sign-in that nobody asked for, and tells the audit. `None` where there is no
    /// provider of that name.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn refuse_to_begin(
        &self,
        name: &str,
        aim: Aim,
        browser: Browser<'_>,
    ) -> Result<Option<NotSignedIn>, StoreError> {
        if !self.has_provider(name) {
            return Ok(None);
        }
        let refused = Refused::new(Reason::NotAsked, "nobody went there");
        let refused = self.refuse(name, refused, None, aim, browser);
        refused.await.map(Some)
    }

    /// Refuses an answer of a provider for how it came, and tells the audit; its attempt goes on.
    /// `None` where there is no provider of that name.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn refuse_unread(
        &self,
        name: &str,
        reason: Reason,
        callback: &Callback,
        browser: Browser<'_>,
    ) -> Result<Option<NotSignedIn>, StoreError> {
        if !self.has_provider(name) {
            return Ok(None);
        }
        let aim = self.aim_of(name, callback, browser)?;
        let refused = Refused::new(reason, "the answer is not read");
        let refused = self.refuse(name, refused, None, aim, browser);
        refused.await.map(Some)
    }

    /// What this browser began the attempt of a callback for; its last one at this provider, where the
    /// callback names none of its own.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn aim_of(
        &self,
        name: &str,
        callback: &Callback,
        browser: Browser<'_>,
    ) -> Result<Aim, StoreError> {
        let Some(browser) = browser.hash() else {
            return Ok(Aim::to("/"));
        };
        let state = callback.state.as_deref();
        let state = state.map(|state| hash_secret(SecretKind::AttemptState, state));
        let named = match state {
            Some(state) => self.ledger().aim_with(&state, &browser)?,
            None => None,
        };
        let aim = match named {
            Some(aim) => Some(aim),
            None => self.ledger().last_aim(&browser, name)?,
        };
        Ok(aim.unwrap_or_else(|| Aim::to("/")))
    }

    /// Takes the attempt of a callback, or says what the callback comes to without one.
    async fn take_attempt_of<'a>(
        &self,
        name: &str,
        callback: &'a Callback,
        browser: Browser<'_>,
    ) -> Result<Result<(Attempt, &'a str), Finished>, StoreError> {
        let aim = || self.aim_of(name, callback, browser);
        let (reason, aim) = match (callback.twice, callback.state.as_deref()) {
            (true, _) => (Reason::ParameterTwice, aim()?),
            (_, None) => (Reason::StateMissing, aim()?),
            (_, Some(state)) => {
                let state_hash = hash_secret(SecretKind::AttemptState, state);
                let taking =
                    self.ledger()
                        .take_attempt(state_hash, browser.hash(), name.to_owned());
                match taking.await? {
                    Taken::Ready(attempt) => return Ok(Ok((attempt, state))),
                    Taken::Restart(aim) => return Ok(Err(Finished::Again(aim))),
                    Taken::Expired(aim) => (Reason::StateExpired, aim),
                    Taken::Used(aim) => (Reason::StateUsed, aim),
                    Taken::OtherSource(aim) => (Reason::OtherSource, aim),
                    Taken::OtherBrowser => (Reason::OtherBrowser, aim()?),
                    Taken::Unknown => (Reason::StateUnknown, aim()?),
                }
            }
        };
        let refused = Refused::new(reason, "the callback is not accepted");
        let refused = self.refuse(name, refused, None, aim, browser).await?;
        Ok(Err(Finished::Refused(refused)))
    }

    /// Checks a callback whose attempt was taken, and all that comes of its code.
    async fn vouched(
        &self,
        provider: &Provider,
        callback: &Callback,
        attempt: &Attempt,
        state: &str,
    ) -> Result<Vouched, Refused> {
        let iss = callback.iss.as_deref();
        provider.check_callback_issuer(iss).await?;
        let code = match (&callback.code, callback.error.as_deref()) {
            (Some(code), None) => code,
            (Some(_), Some(_)) => {
                let both = "a code and an error came together";
                return Err(Refused::new(Reason::CodeAndError, both));
            }
            (None, Some(error)) => return Err(provider_said(error)),
            (None, None) => return Err(Refused::new(Reason::CodeMissing, "there is no code")),
        };
        let answer = Answer {
            code,
            secrets: Secrets {
                state,
                nonce: &attempt.nonce,
                verifier: &attempt.verifier,
            },
        };
        let vouched = provider.finish(answer, self.fresh()).await?;
        if !attempt.aim.again {
            return Ok(vouched);
        }
        // The browser may have changed what was asked for, unless it was pushed.
        let is_fresh = match vouched.signed_in_at {
            Some(at) => self.now() < at + CONFIRMED_FOR,
            None => provider.takes_pushed_requests().await,
        };
        if is_fresh {
            return Ok(vouched);
        }
        let detail = "a fresh proof was asked for, and auth_time does not tell one";
        Err(Refused::new(Reason::AuthTime, detail))
    }

    /// Tells the audit of a refusal.
    async fn refuse(
        &self,
        name: &str,
        refused: Refused,
        said: Option<String>,
        aim: Aim,
        browser: Browser<'_>,
    ) -> Result<NotSignedIn, StoreError> {
        let address = browser.client.address;
        let mut event = Event::new(EventKind::SignInRefused)
            .with("source", name)
            .with("address", address.to_string())
            .with("detail", refused.detail.clone());
        event.code = Some(refused.reason.code().to_owned());
        if self.note_stranger(event, address).await? {
            tracing::info!(source = name, %refused, "a sign-in was refused");
        }
        Ok(NotSignedIn {
            reason: refused.reason,
            said,
            aim,
        })
    }

    /// The ID token of a session that began at a provider; to be read before the session ends.
    #[must_use]
    pub fn id_token(&self, session: &SessionInfo) -> Option<String> {
        self.0.oidc.get(&session.source)?;
        let sealed = self
            .ledger()
            .sealed_id_token(&session.hash)
            .ok()
            .flatten()?;
        self.0.seal.open(ID_TOKEN, &sealed)
    }

    /// How somebody whose session from this source has ended signs out of their provider too, where
    /// it offers that; `for_old_engine` keeps the address short.
    pub async fn provider_sign_out(
        &self,
        source: &str,
        id_token: Option<&str>,
        for_old_engine: bool,
    ) -> Option<ProviderSignOut> {
        let provider = self.0.oidc.get(source)?;
        let state = self.fresh().token();
        let bytes_max = if for_old_engine {
            OLD_ENGINE_URL_BYTES_MAX
        } else {
            SIGN_OUT_URL_BYTES_MAX
        };
        let asking = provider.end_session_url(id_token, &state, bytes_max);
        // The session here has ended: nobody waits long for a provider that is silent.
        let asked = tokio::time::timeout(SIGN_OUT_WAIT, asking).await;
        let silent = |_| Err(Refused::new(Reason::ProviderSilent, "it takes too long"));
        match asked.unwrap_or_else(silent) {
            Ok(to) => to.map(|to| ProviderSignOut {
                at_issuer: to.origin().ascii_serialization() == provider.origin(),
                to: to.into(),
                state,
            }),
            Err(refused) => {
                tracing::warn!(source, %refused, "signing out ends here, not at the provider");
                None
            }
        }
    }

    /// Ends the sessions that a provider's logout token names.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails: nothing has ended.
    pub async fn backchannel_logout(
        &self,
        name: &str,
        token: &str,
        from: IpAddr,
    ) -> Result<Result<usize, Refused>, StoreError> {
        let Some(provider) = self.0.oidc.get(name) else {
            return Ok(Err(Refused::new(
                Reason::Issuer,
                "there is no such provider",
            )));
        };
        let refused = match provider.check_logout_token(token).await {
            Ok(notice) => {
                let logout = ProviderLogout {
                    source: name.to_owned(),
                    subject: notice.subject,
                    sid: notice.sid,
                    notice: Some((notice.id, notice.remember_until)),
                };
                match self.end_provider_sessions(logout, from).await? {
                    ProviderLoggedOut::Ended(sessions) => return Ok(Ok(sessions)),
                    ProviderLoggedOut::Replayed => {
                        Refused::new(Reason::LogoutReplayed, "its jti came before")
                    }
                }
            }
            Err(refused) => refused,
        };
        self.refuse_logout(name, &refused, from).await?;
        Ok(Err(refused))
    }

    /// Ends the sessions that a provider names; the audit is told where there are none.
    async fn end_provider_sessions(
        &self,
        logout: ProviderLogout,
        from: IpAddr,
    ) -> Result<ProviderLoggedOut, StoreError> {
        let name = logout.source.clone();
        let ended = self.ledger().end_provider_sessions(logout).await?;
        if ended == ProviderLoggedOut::Ended(0) {
            let nothing = Refused::new(Reason::LogoutNoSession, "it names no session here");
            let kind = EventKind::LogoutEndedNothing;
            self.note_logout(kind, &name, &nothing, from).await?;
        }
        Ok(ended)
    }

    /// Tells the audit of a refused wish to end sessions.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn refuse_logout(
        &self,
        name: &str,
        refused: &Refused,
        from: IpAddr,
    ) -> Result<(), StoreError> {
        self.note_logout(EventKind::LogoutRefused, name, refused, from)
            .await
    }

    async fn note_logout(
        &self,
        kind: EventKind,
        name: &str,
        why: &Refused,
        from: IpAddr,
    ) -> Result<(), StoreError> {
        let mut event = Event::new(kind)
            .with("source", name)
            .with("address", from.to_string())
            .with("detail", why.detail.clone());
        event.code = Some(why.reason.code().to_owned());
        if self.note_stranger(event, from).await? {
            tracing::info!(source = name, %why, "a provider's logout ended nothing");
        }
        Ok(())
    }

    /// Ends the session that a provider names in a frame of its logout page. A browser sends no
    /// cookie of ours there, so the session is named by its id at the provider, which nobody else
    /// knows.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn frontchannel_logout(
        &self,
        name: &str,
        iss: Option<&str>,
        sid: Option<&str>,
        from: IpAddr,
    ) -> Result<(), StoreError> {
        let refused = match (iss, sid.filter(|sid| !sid.is_empty())) {
            (Some(iss), Some(sid)) if self.issuer(name) == Some(iss) => {
                let logout = ProviderLogout {
                    source: name.to_owned(),
                    subject: None,
                    sid: Some(sid.to_owned()),
                    notice: None,
                };
                return self.end_provider_sessions(logout, from).await.map(drop);
            }
            (Some(_), Some(_)) => Refused::new(Reason::Issuer, "iss is another's"),
            _ => Refused::new(Reason::LogoutNobody, "there is not one iss and one sid"),
        };
        self.refuse_logout(name, &refused, from).await
    }

    /// Seals an ID token; one that cannot be sealed, or is too long to hint at the session in an
    /// address, is not kept.
    fn sealed(&self, id_token: &str) -> String {
        if id_token.len() > SIGN_OUT_URL_BYTES_MAX {
            return String::new();
        }
        let sealed = self.0.seal.seal(self.fresh().bytes(), ID_TOKEN, id_token);
        sealed.unwrap_or_default()
    }
}

impl Browser<'_> {
    fn hash(&self) -> Option<String> {
        let hash = |cookie| hash_secret(SecretKind::AttemptBrowser, cookie);
        self.cookie.map(hash)
    }
}

/// A provider answered with an error of the standard.
fn provider_said(error: &str) -> Refused {
    let reason = match error {
        "access_denied" => Reason::AccessDenied,
        "temporarily_unavailable" | "server_error" => Reason::ProviderIll,
        _ => Reason::ProviderError,
    };
    let shown: String = error.chars().filter(|c| !c.is_control()).take(64).collect();
    Refused::new(reason, shown)
}
