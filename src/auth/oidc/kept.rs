//! Metadata and keys that are kept for a while. Whoever needs them while they are fetched waits for
//! that one call; after one that failed everybody is told so for a moment, so that nobody queues up
//! behind a provider that does not answer.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use openidconnect::url::Url;
use tokio::sync::Mutex;

use super::http::Http;
use super::keys::KeySet;
use super::metadata::{self, Demands, Metadata};
use super::refusal::{Reason, Refused};
use crate::domain::time::{Millis, Timestamp};

/// How long metadata counts.
const METADATA_LIFE: Millis = Millis::hours(1);
/// How long keys count; a key that the provider took back is good for no longer.
const KEYS_LIFE: Millis = Millis::minutes(10);
/// How long a failure is told to others without trying again.
const FAILURE_LIFE: Millis = Millis::seconds(5);
/// How often keys are fetched because of tokens whose key is unknown.
const UNKNOWN_KEY_EVERY: Millis = Millis::minutes(1);

/// What was fetched last, or why that failed.
#[derive(Debug)]
struct Kept<T> {
    got: Option<(Timestamp, Arc<T>)>,
    failed: Option<(Timestamp, Refused)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            got: None,
            failed: None,
        }
    }
}

impl<T> Kept<T> {
    /// What counts now, if anything does.
    fn current(&self, life: Millis, now: Timestamp) -> Option<Result<Arc<T>, Refused>> {
        if let Some((at, value)) = &self.got
            && is_within(*at, life, now)
        {
            return Some(Ok(Arc::clone(value)));
        }
        match &self.failed {
            Some((at, why)) if is_within(*at, FAILURE_LIFE, now) => Some(Err(why.clone())),
            _ => None,
        }
    }

    fn keep(&mut self, fetched: Result<T, Refused>, now: Timestamp) -> Result<Arc<T>, Refused> {
        match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                self.got = Some((now, Arc::clone(&value)));
                self.failed = None;
                Ok(value)
            }
            Err(why) => {
                self.failed = Some((now, why.clone()));
                Err(why)
            }
        }
    }
}

/// Whether less than `life` has passed; a clock that was set back counts as more.
fn is_within(since: Timestamp, life: Millis, now: Timestamp) -> bool {
    since <= now && now < since + life
}

/// A provider's metadata.
#[derive(Debug, Default)]
pub(super) struct KeptMetadata(Mutex<Kept<Metadata>>);

impl KeptMetadata {
    /// The metadata, fetched where none counts.
    pub(super) async fn get(
        &self,
        http: &Http,
        demands: &Demands<'_>,
        now: Timestamp,
    ) -> Result<Arc<Metadata>, Refused> {
        let mut kept = self.0.lock().await;
        if let Some(current) = kept.current(METADATA_LIFE, now) {
            return current;
        }
        let answer = http.get(&metadata::address(demands.issuer)).await;
        let fetched = answer.and_then(|answer| Metadata::parse(answer.body(), demands));
        kept.keep(fetched, now)
    }
}

/// A provider's keys.
#[derive(Debug, Default)]
pub(super) struct KeptKeys(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    kept: Kept<KeySet>,
    /// When they were fetched last because of a token whose key was unknown.
    sought_at: Option<Timestamp>,
}

impl KeptKeys {
    /// The key for a token with this header. One that is unknown may be new: the keys are fetched
    /// again for it at once, and then once a minute, however many such tokens come.
    pub(super) async fn choose(
        &self,
        http: &Http,
        address: &Url,
        id: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<DecodingKey, Refused> {
        let mut keys = self.0.lock().await;
        let set = match keys.kept.current(KEYS_LIFE, now) {
            Some(current) => current?,
            None => keys.kept.keep(fetch_keys(http, address).await, now)?,
        };
        match set.choose(id, algorithm) {
            Ok(key) => return Ok(key.clone()),
            Err(Reason::KeyUnknown) if keys.may_seek(now) => {}
            Err(reason) => return Err(no_key(reason)),
        }
        keys.sought_at = Some(now);
        let set = keys.kept.keep(fetch_keys(http, address).await, now)?;
        set.choose(id, algorithm).cloned().map_err(no_key)
    }
}

impl Keys {
    fn may_seek(&self, now: Timestamp) -> bool {
        !self
            .sought_at
            .is_some_and(|at| is_within(at, UNKNOWN_KEY_EVERY, now))
    }
}

/// Fetches a provider's keys.
pub(super) async fn fetch_keys(http: &Http, address: &Url) -> Result<KeySet, Refused> {
    let answer = http.get(address.as_str()).await?;
    KeySet::parse(answer.body())
}

fn no_key(reason: Reason) -> Refused {
    Refused::new(reason, "no one key of the provider fits the token")
}
