//! Signing in: passwords, the rules for them, the sources that check them, second factors, and what
//! is done with secrets.
//!
//! Nothing here stores anything: the app fetches a stored hash and passes it in, and passes in what
//! is random.

pub mod answer;
pub mod breaker;
pub mod json;
pub mod ldap;
pub mod oidc;
mod outgoing;
pub mod passkey;
pub mod password;
pub mod password_rules;
pub mod recovery;
pub mod seal;
pub mod secret;
pub mod totp;
pub mod trust;
pub mod webhook;
