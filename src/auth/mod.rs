//! Signing in: passwords, the rules for them, and what is done with secrets.
//!
//! May import `domain`. Nothing here stores anything: the app fetches a stored hash and passes it
//! in, and passes in what is random.

pub mod oidc;
pub mod password;
pub mod password_rules;
pub mod seal;
pub mod secret;
