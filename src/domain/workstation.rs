//! Workstations: what leases are counted by (R13, R23).

use serde::{Deserialize, Serialize};

use super::opaque_id;
use super::time::Timestamp;

opaque_id! {
    /// The public id of a workstation; never the value of its cookie.
    WorkstationId
}

/// A workstation as refusals, leases and pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workstation {
    /// The public id.
    pub id: WorkstationId,
    /// The name that its people gave it, or one made from what the browser told.
    pub name: String,
}

/// A workstation and the last instant at which a person leased on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkstationUse {
    /// The workstation.
    #[serde(flatten)]
    pub workstation: Workstation,
    /// The last grant or renewal there.
    pub last_leased_at: Timestamp,
    /// From when this use no longer counts (exclusive end of the window `W`).
    pub counts_until: Timestamp,
}
