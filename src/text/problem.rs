//! Everything that can stop a request besides the refusals of the rules.

use std::borrow::Cow;

use crate::domain::mapping::Unmapped;
use crate::domain::time::Millis;

/// What stopped a request, with the facts that its sentences need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// 400: the request cannot be read.
    BadRequest,
    /// 401: nobody is signed in.
    SignInRequired,
    /// 401: name or password do not fit.
    SignInFailed,
    /// 401: what the sign-in proved was changed while it went on.
    SignInOvertaken,
    /// 401: a second factor is wanted.
    SecondFactorRequired,
    /// 401: the second factor is not right.
    SecondFactorFailed,
    /// 401: the second step took too long, or was wrong too often.
    ChallengeEnded,
    /// 401: a passkey that was used alone is not accepted.
    PasskeyRefused,
    /// 403: a second factor has to be enrolled before anything else.
    SecondFactorMissing,
    /// 409: it is the last second factor of somebody who needs one.
    SecondFactorNeeded,
    /// 409: the passkey belongs to an account already.
    PasskeyTaken,
    /// 403: the form is too old or was made elsewhere.
    CsrfTokenInvalid,
    /// 403: the browser sent none of the cookies that go with the form.
    NoCookies,
    /// 403: the person may not do this.
    Forbidden,
    /// 403: a page of another site made the request, or a browser that nobody told to.
    NotAsked,
    /// 403: the person has no password of the gateway's own.
    PasswordElsewhere,
    /// 403: a fresh sign-in is wanted.
    SignInAgain,
    /// 403: a provider let the person in, but no rule of the mapping does.
    SignInRefused {
        /// The label of the sign-in source.
        source: String,
        /// The name by which the source knows the person.
        name: String,
        /// The groups that the source told; may be empty.
        groups: Vec<String>,
        /// Why the mapping makes nobody of them.
        why: Unmapped,
    },
    /// 400: what came back does not show that it is a provider's, or the provider does not know it.
    AttemptUnconfirmed {
        /// The label of the provider.
        source: String,
    },
    /// 502: the sign-in at a provider was longer ago or weaker than is asked.
    ProviderTooWeak {
        /// The label of the provider.
        source: String,
    },
    /// 502: the clock of a provider is not ours.
    ClocksDiffer {
        /// The label of the provider.
        source: String,
    },
    /// 400: what came back from a provider belongs to no sign-in that waits for it.
    AttemptInvalid {
        /// The label of the provider.
        source: String,
    },
    /// 400: it came back in another browser, or in one that keeps no cookies.
    CookieMissing {
        /// The label of the provider.
        source: String,
    },
    /// 400: the provider itself says that there was no sign-in.
    ProviderSaid {
        /// The label of the provider.
        source: String,
        /// Its words; may be empty, and is nothing to rely on.
        said: String,
    },
    /// 503: the provider itself says that it can sign nobody in now.
    ProviderIll {
        /// The label of the provider.
        source: String,
        /// Its words; may be empty, and is nothing to rely on.
        said: String,
    },
    /// 405: the answer of a provider came as a form.
    AnswerPosted {
        /// The label of the provider.
        source: String,
    },
    /// 400: one of the gateway's cookies came twice: one of them was planted.
    CookieTwice,
    /// 403: another identity owns the user name.
    UserNameTaken {
        /// The user name.
        name: String,
    },
    /// 403: the account is disabled.
    UserDisabled,
    /// 403: there are as many sessions of one person as there may be.
    TooManySessions {
        /// How many.
        most: u32,
    },
    /// 403: the password is right, but has ended where it is kept.
    PasswordEnded {
        /// The label of the sign-in source.
        name: String,
    },
    /// 503: name and password are not right, or belong to a source that does not answer.
    SourceSilent {
        /// The labels of the sign-in sources.
        name: String,
    },
    /// 403: a launch ticket that was never good, or is no longer.
    LaunchTicketInvalid,
    /// 403: a launch ticket that was used already.
    LaunchTicketUsed,
    /// 404: there is no such page or thing, or it is not for this person.
    NotFound,
    /// 405: the page does not answer to this method.
    MethodNotAllowed,
    /// 408: what was sent did not arrive in time (H-04).
    TooSlow,
    /// 413: what was sent is too large.
    TooLarge,
    /// 415: what was sent is of a kind that is not understood.
    UnsupportedMediaType,
    /// 421: the request is for another host.
    WrongHost,
    /// 422: what was sent can be read, but says something that does not fit.
    BodyInvalid {
        /// The member and what is wrong with it, in English.
        detail: String,
    },
    /// 429: too many wrong passwords or factors.
    TooManyAttempts {
        /// How long to wait.
        wait: Millis,
    },
    /// 429: too many sessions were named that do not exist.
    TooManyGuesses {
        /// How long to wait.
        wait: Millis,
    },
    /// 500: a fault of the gateway.
    Internal,
    /// 502: a server behind the gateway gave an answer that makes no sense.
    UpstreamAnswer {
        /// The name of the server or source, as people know it.
        name: String,
    },
    /// 503: a server behind the gateway does not answer.
    UpstreamSilent {
        /// The name of the server or source, as people know it.
        name: String,
    },
    /// 503: somebody else kept changing the CALs behind the gateway while it wanted to assign one.
    UpstreamChanging {
        /// The name of the server, as people know it.
        name: String,
    },
    /// 503: more work is waiting than can be done soon.
    Busy {
        /// How long to wait.
        wait: Millis,
    },
}

/// The words for a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemText {
    /// A heading.
    pub title: &'static str,
    /// What happened.
    pub happened: Cow<'static, str>,
    /// Whether anything was changed.
    pub changed: &'static str,
    /// What to do.
    pub next: Cow<'static, str>,
}

impl Problem {
    /// The code as the API and the audit spell it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::SignInRequired => "SIGN_IN_REQUIRED",
            Self::SignInFailed => "SIGN_IN_FAILED",
            Self::SignInOvertaken => "SIGN_IN_OVERTAKEN",
            Self::SecondFactorRequired => "SECOND_FACTOR_REQUIRED",
            Self::SecondFactorFailed => "SECOND_FACTOR_FAILED",
            Self::ChallengeEnded => "CHALLENGE_ENDED",
            Self::PasskeyRefused => "PASSKEY_REFUSED",
            Self::SecondFactorMissing => "SECOND_FACTOR_MISSING",
            Self::SecondFactorNeeded => "SECOND_FACTOR_NEEDED",
            Self::PasskeyTaken => "PASSKEY_TAKEN",
            Self::CsrfTokenInvalid => "CSRF_TOKEN_INVALID",
            Self::NoCookies => "NO_COOKIES",
            Self::Forbidden | Self::NotAsked | Self::PasswordElsewhere => "FORBIDDEN",
            Self::SignInAgain => "SIGN_IN_AGAIN",
            Self::SignInRefused { .. } => "SIGN_IN_REFUSED",
            Self::AttemptInvalid { .. } => "ATTEMPT_INVALID",
            Self::AttemptUnconfirmed { .. } => "ATTEMPT_UNCONFIRMED",
            Self::ProviderTooWeak { .. } => "UPSTREAM_SIGN_IN_WEAK",
            Self::ClocksDiffer { .. } => "UPSTREAM_CLOCK",
            Self::CookieMissing { .. } => "COOKIE_MISSING",
            Self::ProviderSaid { .. } => "PROVIDER_SAID",
            Self::ProviderIll { .. } => "UPSTREAM_ILL",
            Self::AnswerPosted { .. } => "ANSWER_POSTED",
            Self::CookieTwice => "COOKIE_TWICE",
            Self::UserNameTaken { .. } => "USER_NAME_TAKEN",
            Self::UserDisabled => "USER_DISABLED",
            Self::TooManySessions { .. } => "TOO_MANY_SESSIONS",
            Self::PasswordEnded { .. } => "PASSWORD_EXPIRED",
            Self::SourceSilent { .. } => "UPSTREAM_SIGN_IN_SILENT",
            Self::LaunchTicketInvalid => "LAUNCH_TICKET_INVALID",
            Self::LaunchTicketUsed => "LAUNCH_TICKET_USED",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::TooSlow => "TOO_SLOW",
            Self::TooLarge => "TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::WrongHost => "WRONG_HOST",
            Self::BodyInvalid { .. } => "BODY_INVALID",
            Self::TooManyAttempts { .. } => "TOO_MANY_ATTEMPTS",
            Self::TooManyGuesses { .. } => "TOO_MANY_REQUESTS",
            Self::Internal => "INTERNAL",
            Self::UpstreamAnswer { .. } => "UPSTREAM_ANSWER",
            Self::UpstreamSilent { .. } => "UPSTREAM_SILENT",
            Self::UpstreamChanging { .. } => "UPSTREAM_CHANGING",
            Self::Busy { .. } => "BUSY",
        }
    }
}
