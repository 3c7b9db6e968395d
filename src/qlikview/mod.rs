//! Speaking to `QlikView`: the management service (QMS) over SOAP, and the web servers (QVWS), to which
//! pages, documents and the tunnel are passed.
//!
//! Nothing is stored here; what is read becomes plain values.

mod link;
mod ntlm;
pub mod open_link;
pub mod proxy;
pub mod qms;
#[cfg(test)]
mod test_estate;
pub mod tunnel;
pub mod web;
mod xml;

pub use link::LinkError;
pub use ntlm::NtlmError;
pub use xml::XmlError;
