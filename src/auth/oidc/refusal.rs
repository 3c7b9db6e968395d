//! Why a provider's answer is not accepted: one reason code each, as the audit spells it.

use std::fmt;

/// Why a sign-in through a provider, or a logout that it asks for, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The callback has no state, or an empty one.
    StateMissing,
    /// The state was never issued, or was forgotten long ago.
    StateUnknown,
    /// The state was used already.
    StateUsed,
    /// The attempt is too old, and was started again before.
    StateExpired,
    /// The attempt belongs to another browser.
    OtherBrowser,
    /// The attempt was begun at another provider (mix-up).
    OtherSource,
    /// A parameter stands in the callback twice.
    ParameterTwice,
    /// The answer was posted, though a query was asked for.
    Posted,
    /// The answer came by a method that takes none.
    Method,
    /// A page of another site asked, or a browser before anybody went there.
    NotAsked,
    /// The callback has neither code nor error.
    CodeMissing,
    /// The callback has both code and error.
    CodeAndError,
    /// The provider says that the person, or it, refused.
    AccessDenied,
    /// The provider tells another error.
    ProviderError,
    /// The callback's `iss` is another provider's, or is missing although it was promised.
    CallbackIssuer,
    /// The provider does not answer.
    ProviderSilent,
    /// The provider answers that it can sign nobody in now.
    ProviderIll,
    /// The provider's answer cannot be read.
    ProviderAnswer,
    /// The metadata cannot be read, or lacks what is needed.
    MetadataInvalid,
    /// The metadata is another issuer's.
    MetadataIssuer,
    /// The metadata lists methods of PKCE, and S256 is not among them.
    MetadataWithoutS256,
    /// The metadata names an address that must not be called.
    EndpointNotAllowed,
    /// The provider does not take the code.
    CodeRefused,
    /// The token call failed otherwise.
    TokenCall,
    /// The token answer has a `token_type` other than Bearer.
    TokenType,
    /// The token answer has no ID token.
    IdTokenMissing,
    /// The key set cannot be read.
    KeysInvalid,
    /// No key of the provider fits the token.
    KeyUnknown,
    /// Several keys of the provider fit the token.
    KeyAmbiguous,
    /// The token is no signed token in compact form.
    TokenMalformed,
    /// The token is of another type.
    TokenKind,
    /// The token's header asks for something that is not understood.
    HeaderCritical,
    /// The token is signed with an algorithm that is not allowed.
    Algorithm,
    /// The signature is wrong.
    Signature,
    /// The token is another issuer's.
    Issuer,
    /// The token is not for us, or not for us alone.
    Audience,
    /// The token was issued to another client.
    AuthorizedParty,
    /// The token has ended, or lives longer than is allowed.
    Expired,
    /// The token is too old, from the future, or does not say when it was issued.
    IssuedAt,
    /// The token does not count yet.
    NotYetValid,
    /// The token belongs to another attempt.
    Nonce,
    /// The subject is missing or is none.
    Subject,
    /// The token belongs to another access token, code or state.
    Hash,
    /// The person signed in at the provider too long ago.
    AuthTime,
    /// The person signed in at the provider more weakly than was asked.
    AuthContext,
    /// `UserInfo` cannot be read or was not given.
    UserInfo,
    /// `UserInfo` is another person's.
    UserInfoSubject,
    /// The logout token has no logout event.
    LogoutEvent,
    /// The logout token has a nonce, as an ID token has.
    LogoutNonce,
    /// The provider names neither a session nor a subject.
    LogoutNobody,
    /// No session here is the one that the provider names.
    LogoutNoSession,
    /// The logout token has no id.
    LogoutId,
    /// The logout token was used already.
    LogoutReplayed,
    /// The logout could not be written.
    LogoutUnwritten,
    /// Somebody came back from signing out without the state with which they left.
    LogoutState,
}

/// Whose turn it is after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The request that came does not fit.
    Request,
    /// It came back through another browser, or without cookies.
    Browser,
    /// The provider said no.
    Said,
    /// The provider's answer makes no sense here.
    Answer,
    /// The provider does not answer.
    Silence,
}

impl Reason {
    /// The code in the audit.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::StateMissing => "OIDC_STATE_MISSING",
            Self::StateUnknown => "OIDC_STATE_UNKNOWN",
            Self::StateUsed => "OIDC_STATE_USED",
            Self::StateExpired => "OIDC_STATE_EXPIRED",
            Self::OtherBrowser => "OIDC_OTHER_BROWSER",
            Self::OtherSource => "OIDC_OTHER_SOURCE",
            Self::ParameterTwice => "OIDC_PARAMETER_TWICE",
            Self::Posted => "OIDC_POSTED",
            Self::Method => "OIDC_METHOD",
            Self::NotAsked => "OIDC_NOT_ASKED",
            Self::CodeMissing => "OIDC_CODE_MISSING",
            Self::CodeAndError => "OIDC_CODE_AND_ERROR",
            Self::AccessDenied => "OIDC_ACCESS_DENIED",
            Self::ProviderError => "OIDC_PROVIDER_ERROR",
            Self::CallbackIssuer => "OIDC_CALLBACK_ISSUER",
            Self::ProviderSilent => "OIDC_PROVIDER_SILENT",
            Self::ProviderIll => "OIDC_PROVIDER_ILL",
            Self::ProviderAnswer => "OIDC_PROVIDER_ANSWER",
            Self::MetadataInvalid => "OIDC_METADATA_INVALID",
            Self::MetadataIssuer => "OIDC_METADATA_ISSUER",
            Self::MetadataWithoutS256 => "OIDC_METADATA_WITHOUT_S256",
            Self::EndpointNotAllowed => "OIDC_ENDPOINT_NOT_ALLOWED",
            Self::CodeRefused => "OIDC_CODE_REFUSED",
            Self::TokenCall => "OIDC_TOKEN_CALL",
            Self::TokenType => "OIDC_TOKEN_TYPE",
            Self::IdTokenMissing => "OIDC_ID_TOKEN_MISSING",
            Self::KeysInvalid => "OIDC_KEYS_INVALID",
            Self::KeyUnknown => "OIDC_KEY_UNKNOWN",
            Self::KeyAmbiguous => "OIDC_KEY_AMBIGUOUS",
            Self::TokenMalformed => "OIDC_TOKEN_MALFORMED",
            Self::TokenKind => "OIDC_TOKEN_KIND",
            Self::HeaderCritical => "OIDC_HEADER_CRITICAL",
            Self::Algorithm => "OIDC_ALGORITHM",
            Self::Signature => "OIDC_SIGNATURE",
            Self::Issuer => "OIDC_ISSUER_MISMATCH",
            Self::Audience => "OIDC_AUDIENCE_MISMATCH",
            Self::AuthorizedParty => "OIDC_AUTHORIZED_PARTY",
            Self::Expired => "OIDC_EXPIRED",
            Self::IssuedAt => "OIDC_ISSUED_AT",
            Self::NotYetValid => "OIDC_NOT_YET_VALID",
            Self::Nonce => "OIDC_NONCE_MISMATCH",
            Self::Subject => "OIDC_SUBJECT",
            Self::Hash => "OIDC_HASH_MISMATCH",
            Self::AuthTime => "OIDC_AUTH_TIME",
            Self::AuthContext => "OIDC_AUTH_CONTEXT",
            Self::UserInfo => "OIDC_USERINFO",
            Self::UserInfoSubject => "OIDC_USERINFO_SUBJECT",
            Self::LogoutEvent => "OIDC_LOGOUT_EVENT",
            Self::LogoutNonce => "OIDC_LOGOUT_NONCE",
            Self::LogoutNobody => "OIDC_LOGOUT_NOBODY",
            Self::LogoutNoSession => "OIDC_LOGOUT_NO_SESSION",
            Self::LogoutId => "OIDC_LOGOUT_ID",
            Self::LogoutReplayed => "OIDC_LOGOUT_REPLAYED",
            Self::LogoutUnwritten => "OIDC_LOGOUT_UNWRITTEN",
            Self::LogoutState => "OIDC_LOGOUT_STATE",
        }
    }

    /// Whose turn it is.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::StateMissing
            | Self::StateUnknown
            | Self::StateUsed
            | Self::StateExpired
            | Self::OtherSource
            | Self::ParameterTwice
            | Self::Posted
            | Self::Method
            | Self::NotAsked
            | Self::CodeMissing
            | Self::CodeAndError
            | Self::CallbackIssuer
            | Self::CodeRefused => Blame::Request,
            Self::OtherBrowser => Blame::Browser,
            Self::AccessDenied | Self::ProviderError => Blame::Said,
            Self::ProviderSilent | Self::ProviderIll => Blame::Silence,
            _ => Blame::Answer,
        }
    }
}

/// A refusal with what was found, for the log and the audit; never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// What was found.
    pub detail: String,
}

impl Refused {
    /// A refusal for this reason.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}
