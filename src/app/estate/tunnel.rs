//! Who may use the tunnel: addresses from which somebody opened a document for Desktop or the plug-in
//! lately, and networks that the site names. The clients of `QlikView` that use it bring no cookie.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex as StdMutex};

use tokio::sync::watch;

use super::{Estate, lock};
use crate::app::open::end_of;
use crate::store::StoreError;

/// Tunnels at once from one address; Desktop keeps a few, and many people may share an address.
const TUNNELS_PER_ADDRESS: usize = 128;

/// How many tunnels each address has.
#[derive(Clone, Default)]
pub(super) struct Tunnels(Arc<StdMutex<HashMap<IpAddr, usize>>>);

/// Counts as one tunnel of its address until it is dropped.
pub struct TunnelPlace {
    tunnels: Tunnels,
    address: IpAddr,
}

impl Estate {
    /// Whether the tunnel is passed on for an address now.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn may_tunnel(&self, address: IpAddr) -> Result<bool, StoreError> {
        let settings = &self.settings;
        if !settings.tunnel {
            return Ok(false);
        }
        if settings.tunnel_open_to.contains(address) {
            return Ok(true);
        }
        let life = settings.tunnel_life;
        self.store.has_opened_from(&address.to_string(), life)
    }

    /// Turns true when the tunnel is passed on for this address no longer, so that one that is open
    /// ends with the last session that opened from there (S-17).
    #[must_use]
    pub fn tunnel_end(self: &Arc<Self>, address: IpAddr) -> watch::Receiver<bool> {
        let estate = Arc::clone(self);
        end_of(move || estate.may_tunnel(address).unwrap_or(false))
    }

    /// A place for one more tunnel of an address; none where it has too many.
    #[must_use]
    pub fn tunnel_place(&self, address: IpAddr) -> Option<TunnelPlace> {
        self.tunnels.enter(address)
    }
}

impl Tunnels {
    fn enter(&self, address: IpAddr) -> Option<TunnelPlace> {
        let mut counts = lock(&self.0);
        let count = counts.entry(address).or_default();
        if *count >= TUNNELS_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(TunnelPlace {
            tunnels: self.clone(),
            address,
        })
    }
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        let mut counts = lock(&self.tunnels.0);
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_tunnels_and_gets_them_back() {
        let tunnels = Tunnels::default();
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut places: Vec<TunnelPlace> = std::iter::from_fn(|| tunnels.enter(here)).collect();
        assert_eq!(places.len(), TUNNELS_PER_ADDRESS);
        assert!(tunnels.enter(there).is_some());
        places.pop();
        assert!(tunnels.enter(here).is_some());
        places.clear();
        assert!(lock(&tunnels.0).is_empty());
    }
}
