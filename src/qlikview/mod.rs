//! Speaking to `QlikView`: the management service (QMS) over SOAP.
//!
//! Nothing is stored here; what is read becomes plain values.

pub mod open_link;
pub mod qms;
