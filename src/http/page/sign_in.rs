//! The sign-in page.

use askama::Template;

use super::Frame;

/// `/login`.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage<'a> {
    /// The frame, without a person.
    pub frame: Frame<'a>,
    /// The ways in, in the order of the configuration; the form stands where the first source that
    /// takes passwords does.
    pub ways: &'a [SignInWay<'a>],
    /// Whose passwords count, in the order in which they are asked; empty where those of the gateway
    /// alone do.
    pub passwords_of: &'a [&'a str],
    /// The sources that do not answer now.
    pub silent: &'a [String],
    /// The name that was typed, kept after a failure.
    pub username: &'a str,
    /// Where to go afterwards: a path, or the opaque id of a kept one.
    pub return_to: &'a str,
    /// What the browser is asked for a passkey that is used alone; its form is hidden until the
    /// script knows that the browser has passkeys.
    pub passkey: Option<PasskeyAlone<'a>>,
    /// Something good to know, such as that the session has ended.
    pub notice: Option<&'a str>,
    /// Why signing in failed.
    pub failure: Option<&'a str>,
}

/// A passkey that is used alone.
#[derive(Clone, Copy, Debug)]
pub struct PasskeyAlone<'a> {
    /// The options of the browser's call, JSON.
    pub options: &'a str,
    /// What comes back with the answer.
    pub state: &'a str,
}

/// One way to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInWay<'a> {
    /// Name and password, for all sources that take them.
    Password,
    /// A provider, which gets a button.
    Provider {
        /// What the button says.
        label: &'a str,
        /// Where it leads: a path of ours.
        url: &'a str,
    },
}
