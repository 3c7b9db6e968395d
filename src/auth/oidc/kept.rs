//! Metadata and keys that are kept for a while. Whoever needs them while they are fetched waits for
//! that one call and takes what comes of it; one that failed is told to everybody for a moment. So
//! nobody waits for more than one call, however many come and however slow the provider is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openidconnect::url::Url;
use tokio::sync::watch;

use super::http::Http;
use super::keys::KeySet;
use super::metadata::{self, Demands, Metadata};
use super::refusal::{Reason, Refused};
use super::token::{Kind, Signed, Unchecked};
use crate::clock::Clock;
use crate::domain::time::{Millis, Timestamp};

/// How long metadata counts.
const METADATA_LIFE: Millis = Millis::hours(1);
/// How long keys count; a key that the provider took back is good for no longer.
const KEYS_LIFE: Millis = Millis::minutes(10);
/// How long a failure is told to others without trying again.
const FAILURE_LIFE: Millis = Millis::seconds(5);
/// How often keys are fetched because of tokens that none of those at hand has signed.
const NEW_KEY_EVERY: Millis = Millis::minutes(1);

/// Something of the provider's: fetched when it is needed, once for all who need it, and kept.
#[derive(Debug)]
struct Kept<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    got: Option<(Timestamp, Arc<T>)>,
    failed: Option<(Timestamp, Refused)>,
    coming: Option<Coming<T>>,
}

/// What came of a call.
type Fetched<T> = Result<Arc<T>, Refused>;
/// What comes of a call that is under way; nothing yet.
type Coming<T> = watch::Receiver<Option<Fetched<T>>>;

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            got: None,
            failed: None,
            coming: None,
        })))
    }
}

impl<T: Send + Sync + 'static> Kept<T> {
    /// What counts now, fetched where nothing does.
    async fn get<F>(&self, life: Millis, clock: &Clock, fetch: impl FnOnce() -> F) -> Fetched<T>
    where
        F: Future<Output = Result<T, Refused>> + Send + 'static,
    {
        let coming = {
            let mut state = locked(&self.0);
            // The time is read under the lock: what was kept is then never of later.
            if let Some(current) = state.current(life, clock.now()) {
                return current;
            }
            self.coming(&mut state, clock, fetch)
        };
        arrived(coming).await
    }

    /// What is newer than this: what somebody fetched since, else what comes of a call. None where no
    /// call is under way and none may be made.
    async fn newer_than<F>(
        &self,
        old: &Arc<T>,
        clock: &Clock,
        may_fetch: impl FnOnce(Timestamp) -> bool,
        fetch: impl FnOnce() -> F,
    ) -> Result<Option<Arc<T>>, Refused>
    where
        F: Future<Output = Result<T, Refused>> + Send + 'static,
    {
        let coming = {
            let mut state = locked(&self.0);
            let now = clock.now();
            if let Some((_, got)) = &state.got
                && !Arc::ptr_eq(got, old)
            {
                return Ok(Some(Arc::clone(got)));
            }
            if let Some(why) = state.failed_lately(now) {
                return Err(why);
            }
            if state.coming.is_none() && !may_fetch(now) {
                return Ok(None);
            }
            self.coming(&mut state, clock, fetch)
        };
        arrived(coming).await.map(Some)
    }

    /// The call that is under way, or this one. It goes on when nobody waits for it any more.
    fn coming<F>(&self, state: &mut State<T>, clock: &Clock, fetch: impl FnOnce() -> F) -> Coming<T>
    where
        F: Future<Output = Result<T, Refused>> + Send + 'static,
    {
        if let Some(coming) = state.coming.as_ref().filter(|it| it.has_changed().is_ok()) {
            return coming.clone();
        }
        let (tell, coming) = watch::channel(None);
        state.coming = Some(coming.clone());
        let (kept, clock, fetched) = (Arc::clone(&self.0), clock.clone(), fetch());
        tokio::spawn(async move {
            let fetched = fetched.await.map(Arc::new);
            locked(&kept).keep(&fetched, &clock);
            tell.send_replace(Some(fetched));
        });
        coming
    }
}

impl<T> State<T> {
    /// What counts now, if anything does.
    fn current(&self, life: Millis, now: Timestamp) -> Option<Fetched<T>> {
        if let Some((at, value)) = &self.got
            && is_within(*at, life, now)
        {
            return Some(Ok(Arc::clone(value)));
        }
        self.failed_lately(now).map(Err)
    }

    fn failed_lately(&self, now: Timestamp) -> Option<Refused> {
        let (at, why) = self.failed.as_ref()?;
        is_within(*at, FAILURE_LIFE, now).then(|| why.clone())
    }

    fn keep(&mut self, fetched: &Fetched<T>, clock: &Clock) {
        let now = clock.now();
        self.coming = None;
        match fetched {
            Ok(value) => {
                self.got = Some((now, Arc::clone(value)));
                self.failed = None;
            }
            Err(why) => self.failed = Some((now, why.clone())),
        }
    }
}

async fn arrived<T>(mut coming: Coming<T>) -> Fetched<T> {
    let fetched = coming.wait_for(Option::is_some).await;
    let fetched = fetched.ok().and_then(|fetched| fetched.clone());
    fetched.unwrap_or_else(|| Err(Refused::new(Reason::ProviderSilent, "the call broke off")))
}

/// Whether less than `life` has passed; a clock that was set back counts as more.
fn is_within(since: Timestamp, life: Millis, now: Timestamp) -> bool {
    since <= now && now < since + life
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A provider's metadata.
#[derive(Debug, Default)]
pub(super) struct KeptMetadata {
    kept: Kept<Metadata>,
    sought: Arc<Mutex<Sought>>,
}

impl KeptMetadata {
    /// The metadata, fetched where none counts.
    pub(super) async fn get(
        &self,
        http: &Http,
        demands: impl FnOnce() -> Demands,
        clock: &Clock,
    ) -> Result<Arc<Metadata>, Refused> {
        let fetch = || fetch_metadata(http.clone(), demands());
        self.kept.get(METADATA_LIFE, clock, fetch).await
    }

    /// Metadata that is newer than this, because a token or a failed call makes one think that it has
    /// changed; none where that was thought less than a minute ago.
    pub(super) async fn newer(
        &self,
        old: &Arc<Metadata>,
        http: &Http,
        demands: impl FnOnce() -> Demands,
        kind: Kind,
        clock: &Clock,
    ) -> Result<Option<Arc<Metadata>>, Refused> {
        let may_seek = |now| {
            let mut sought = locked(&self.sought);
            let may = sought.may_seek(kind, now);
            if may {
                *sought.of(kind) = Some(now);
            }
            may
        };
        let fetch = || fetch_metadata(http.clone(), demands());
        self.kept.newer_than(old, clock, may_seek, fetch).await
    }
}

async fn fetch_metadata(http: Http, demands: Demands) -> Result<Metadata, Refused> {
    let answer = http.get(&metadata::address(&demands.issuer)).await?;
    Metadata::parse(answer.body(), &demands)
}

/// A provider's keys.
#[derive(Debug, Default)]
pub(super) struct KeptKeys {
    kept: Kept<KeySet>,
    sought: Arc<Mutex<Sought>>,
}

/// When something newer was fetched last because of a token. Those that strangers send are counted by
/// themselves, for they could else use up what a real rotation needs.
#[derive(Debug, Default)]
struct Sought {
    for_the_provider: Option<Timestamp>,
    for_strangers: Option<Timestamp>,
}

impl KeptKeys {
    /// A token whose signature is right. Where none of the keys at hand made it, there may be a new
    /// one: they are fetched again for it at once, and then once a minute, however many such tokens
    /// come.
    pub(super) async fn verify(
        &self,
        http: &Http,
        address: &Url,
        token: &Unchecked<'_>,
        kind: Kind,
        clock: &Clock,
    ) -> Result<Signed, Refused> {
        let fetch = || {
            let (http, address) = (http.clone(), address.clone());
            async move { fetch_keys(&http, &address).await }
        };
        let set = self.kept.get(KEYS_LIFE, clock, fetch).await?;
        let refused = match by_one_of(&set, token) {
            Err(refused) if matches!(refused.reason, Reason::KeyUnknown | Reason::Signature) => {
                refused
            }
            decided => return decided,
        };
        let seek = || {
            let (sought, clock, newer) = (Arc::clone(&self.sought), clock.clone(), fetch());
            async move {
                let found = newer.await;
                // A call that failed was no look at the keys.
                if found.is_ok() {
                    *locked(&sought).of(kind) = Some(clock.now());
                }
                found
            }
        };
        let may_seek = |now| locked(&self.sought).may_seek(kind, now);
        match self.kept.newer_than(&set, clock, may_seek, seek).await {
            Ok(Some(newer)) => by_one_of(&newer, token),
            Err(silent) if refused.reason == Reason::KeyUnknown => Err(silent),
            Ok(None) | Err(_) => Err(refused),
        }
    }
}

impl Sought {
    /// Logout tokens come from whoever sends them; all others from the provider, which was called.
    const fn of(&mut self, kind: Kind) -> &mut Option<Timestamp> {
        match kind {
            Kind::Id | Kind::UserInfo => &mut self.for_the_provider,
            Kind::Logout => &mut self.for_strangers,
        }
    }

    fn may_seek(&mut self, kind: Kind, now: Timestamp) -> bool {
        let last = *self.of(kind);
        !last.is_some_and(|at| is_within(at, NEW_KEY_EVERY, now))
    }
}

/// Fetches a provider's keys.
pub(super) async fn fetch_keys(http: &Http, address: &Url) -> Result<KeySet, Refused> {
    let answer = http.get(address.as_str()).await?;
    KeySet::parse(answer.body())
}

fn by_one_of(set: &KeySet, token: &Unchecked<'_>) -> Result<Signed, Refused> {
    let key = set.choose(token.key_id.as_deref(), token.algorithm);
    token.verify(key.map_err(no_key)?)
}

fn no_key(reason: Reason) -> Refused {
    Refused::new(reason, "no one key of the provider fits the token")
}
