//! Speaking to `QlikView`: the management service (QMS) over SOAP.
//!
//! Nothing is stored here; what is read becomes plain values.

pub mod qms;
