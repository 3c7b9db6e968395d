//! Passkeys (`WebAuthn`): enrolled by somebody who is signed in, used as a second factor after a
//! password or a provider, or alone.
//!
//! Every check asks the authenticator to verify its person (a PIN, a finger, a face), so a passkey
//! alone is two factors. What waits for the browser's answer is a text that the caller keeps on
//! the server.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey, PasskeyAuthentication,
    PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential, Webauthn,
    WebauthnBuilder, WebauthnError,
};

use crate::config::PublicUrl;
use crate::domain::person::{Person, PersonId};

/// What the browser shows as the name of the site.
const SITE_NAME: &str = "AccessPoint";

/// The passkeys of a site.
pub struct Passkeys(Webauthn);

/// Why a passkey was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// What the browser sent, or what was kept for it, cannot be read.
    #[error("the browser's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// The answer does not fit: another site, another challenge, a wrong signature.
    #[error("the passkey does not fit: {0}")]
    Refused(WebauthnError),
    /// Its counter did not go on: it may be a copy.
    #[error("the passkey may be a copy: its counter did not go on")]
    Copied,
    /// The id of the person is none of ours.
    #[error("the id of the person cannot be told to an authenticator")]
    Handle,
}

impl From<WebauthnError> for PasskeyError {
    fn from(error: WebauthnError) -> Self {
        Self::Refused(error)
    }
}

/// What the browser is asked, and what has to be kept until it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The options of the browser's call, JSON.
    pub options: String,
    /// What finishes it, JSON; it must not leave the server in the clear.
    pub state: String,
}

/// A passkey to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPasskey {
    /// By which the browser names it, base64url.
    pub credential_id: String,
    /// The public key and what goes with it, JSON.
    pub data: String,
}

/// Whom a passkey that is used alone belongs to, as it says itself; not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The person.
    pub person: PersonId,
    /// The passkey, base64url.
    pub credential_id: String,
}

impl Passkeys {
    /// The passkeys of the site at this address; none where its host is an IP address, for
    /// browsers keep passkeys for names alone.
    #[must_use]
    pub fn of_site(site: &PublicUrl) -> Option<Self> {
        let origin = Url::parse(&site.origin()).ok()?;
        let name = origin.domain()?;
        let builder = WebauthnBuilder::new(name, &origin).ok()?;
        builder.rp_name(SITE_NAME).build().ok().map(Self)
    }

    /// Asks the browser for a new passkey of this person; none that they have already.
    ///
    /// # Errors
    ///
    /// The person's id is none of ours, or a stored passkey cannot be read.
    pub fn begin_enrolment(
        &self,
        person: &Person,
        known: &[String],
    ) -> Result<Asking, PasskeyError> {
        let handle = handle_of(&person.id)?;
        let known: Vec<Passkey> = read_all(known)?;
        let known = known.iter().map(|key| key.cred_id().clone()).collect();
        let (asked, state) = self.0.start_passkey_registration(
            handle,
            &person.name,
            &person.display_name,
            Some(known),
        )?;
        let mut options = serde_json::to_value(asked)?;
        // The crate discourages keys that can be found without a name; those alone can be used
        // without a password, so they are preferred here.
        options["publicKey"]["authenticatorSelection"]["residentKey"] = json!("preferred");
        asking(&options, &state)
    }

    /// The new passkey, out of the browser's answer.
    ///
    /// # Errors
    ///
    /// The answer cannot be read, or does not fit what was asked.
    pub fn finish_enrolment(
        &self,
        answer: &str,
        state: &str,
    ) -> Result<StoredPasskey, PasskeyError> {
        let answer: RegisterPublicKeyCredential = serde_json::from_str(answer)?;
        let state: PasskeyRegistration = serde_json::from_str(state)?;
        let passkey = self.0.finish_passkey_registration(&answer, &state)?;
        stored(&passkey)
    }

    /// Asks the browser for one of these passkeys.
    ///
    /// # Errors
    ///
    /// A stored passkey cannot be read.
    pub fn begin_check(&self, known: &[String]) -> Result<Asking, PasskeyError> {
        let known = read_all(known)?;
        let (asked, state) = self.0.start_passkey_authentication(&known)?;
        asking(&serde_json::to_value(asked)?, &state)
    }

    /// Which passkey answered; `finish_check` has not been asked yet whether it fits.
    ///
    /// # Errors
    ///
    /// The answer cannot be read.
    pub fn credential_id(answer: &str) -> Result<String, PasskeyError> {
        let answer: PublicKeyCredential = serde_json::from_str(answer)?;
        Ok(URL_SAFE_NO_PAD.encode(answer.get_credential_id()))
    }

    /// Checks the browser's answer against the passkey as it is stored now, and gives it as it is
    /// to be stored from now on.
    ///
    /// # Errors
    ///
    /// The answer cannot be read, does not fit, or may come from a copy.
    pub fn finish_check(
        &self,
        answer: &str,
        state: &str,
        data: &str,
    ) -> Result<String, PasskeyError> {
        let answer: PublicKeyCredential = serde_json::from_str(answer)?;
        let state: PasskeyAuthentication = serde_json::from_str(state)?;
        let result = self.0.finish_passkey_authentication(&answer, &state)?;
        used(data, &result)
    }

    /// Asks the browser for whichever passkey of this site its person picks.
    ///
    /// # Errors
    ///
    /// None that is known; the crate may refuse to draw a challenge.
    pub fn begin_alone(&self) -> Result<Asking, PasskeyError> {
        let (asked, state) = self.0.start_discoverable_authentication()?;
        let mut options = serde_json::to_value(asked)?;
        // A button asks; the crate thinks of browsers that offer passkeys by themselves.
        if let Some(members) = options.as_object_mut() {
            members.remove("mediation");
        }
        asking(&options, &state)
    }

    /// Whose passkey answered, as it says itself.
    ///
    /// # Errors
    ///
    /// The answer cannot be read, or names nobody.
    pub fn claimed(&self, answer: &str) -> Result<Claimed, PasskeyError> {
        let answer: PublicKeyCredential = serde_json::from_str(answer)?;
        let (handle, credential) = self.0.identify_discoverable_authentication(&answer)?;
        Ok(Claimed {
            person: PersonId(URL_SAFE_NO_PAD.encode(handle.as_bytes())),
            credential_id: URL_SAFE_NO_PAD.encode(credential),
        })
    }

    /// Checks the answer of a passkey that is used alone, as [`Passkeys::finish_check`] does.
    ///
    /// # Errors
    ///
    /// The answer cannot be read, does not fit, or may come from a copy.
    pub fn finish_alone(
        &self,
        answer: &str,
        state: &str,
        data: &str,
    ) -> Result<String, PasskeyError> {
        let answer: PublicKeyCredential = serde_json::from_str(answer)?;
        let state: DiscoverableAuthentication = serde_json::from_str(state)?;
        let passkey: Passkey = serde_json::from_str(data)?;
        let result = self
            .0
            .finish_discoverable_authentication_v2(&answer, state, &passkey)?;
        used(data, &result)
    }
}

impl std::fmt::Debug for Passkeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passkeys(..)")
    }
}

/// The 16 bytes by which an authenticator knows a person: those of the person's id.
fn handle_of(person: &PersonId) -> Result<Uuid, PasskeyError> {
    let bytes = URL_SAFE_NO_PAD.decode(person.as_str());
    let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Uuid::from_bytes).ok_or(PasskeyError::Handle)
}

fn asking(options: &Value, state: &impl Serialize) -> Result<Asking, PasskeyError> {
    Ok(Asking {
        options: options.to_string(),
        state: serde_json::to_string(state)?,
    })
}

fn read_all<T: DeserializeOwned>(texts: &[String]) -> Result<Vec<T>, PasskeyError> {
    let read = texts.iter().map(|text| serde_json::from_str(text));
    Ok(read.collect::<Result<_, _>>()?)
}

fn stored(passkey: &Passkey) -> Result<StoredPasskey, PasskeyError> {
    Ok(StoredPasskey {
        credential_id: URL_SAFE_NO_PAD.encode(passkey.cred_id()),
        data: serde_json::to_string(passkey)?,
    })
}

/// The passkey after it was used. One that counts must have counted on.
fn used(data: &str, result: &AuthenticationResult) -> Result<String, PasskeyError> {
    let mut passkey: Passkey = serde_json::from_str(data)?;
    let changed = passkey.update_credential(result) == Some(true);
    if result.counter() > 0 && !changed {
        return Err(PasskeyError::Copied);
    }
    Ok(serde_json::to_string(&passkey)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str) -> Option<Passkeys> {
        Passkeys::of_site(&url.parse().unwrap())
    }

    fn ann(id: &str) -> Person {
        Person {
            id: PersonId(id.to_owned()),
            name: "ann".to_owned(),
            display_name: "Ann".to_owned(),
            active: true,
            roles: Vec::new(),
            groups: Vec::new(),
            automatic_cal: crate::domain::person::AutomaticCal::Dynamic,
            sign_in_epoch: 0,
        }
    }

    #[test]
    fn a_site_at_an_address_has_no_passkeys() {
        for url in [
            "https://127.0.0.1:8443",
            "https://[::1]",
            "https://10.1.2.3",
        ] {
            assert!(site(url).is_none(), "{url}");
        }
        for url in ["https://localhost:8443", "https://accesspoint.example"] {
            assert!(site(url).is_some(), "{url}");
        }
    }

    #[test]
    fn the_browser_is_asked_for_a_verified_person_and_a_key_that_can_be_found() {
        let passkeys = site("https://ap.example:8443").unwrap();
        let asked = passkeys
            .begin_enrolment(&ann("AAECAwQFBgcICQoLDA0ODw"), &[])
            .unwrap();
        let options: Value = serde_json::from_str(&asked.options).unwrap();
        let public_key = &options["publicKey"];
        assert_eq!(public_key["rp"]["id"], "ap.example");
        assert_eq!(public_key["user"]["id"], "AAECAwQFBgcICQoLDA0ODw");
        let selection = &public_key["authenticatorSelection"];
        assert_eq!(selection["userVerification"], "required");
        assert_eq!(selection["residentKey"], "preferred");
        let alone: Value = serde_json::from_str(&passkeys.begin_alone().unwrap().options).unwrap();
        assert_eq!(alone["publicKey"]["userVerification"], "required");
        assert_eq!(alone.get("mediation"), None);
    }

    #[test]
    fn an_id_that_is_none_of_ours_and_answers_that_are_none_are_errors() {
        let passkeys = site("https://ap.example").unwrap();
        let strange = passkeys.begin_enrolment(&ann("ann"), &[]);
        assert!(matches!(strange, Err(PasskeyError::Handle)));
        let state = passkeys.begin_alone().unwrap().state;
        for answer in ["", "{}", "null", "[]", "{\"id\":1}"] {
            assert!(passkeys.claimed(answer).is_err(), "{answer}");
            assert!(passkeys.finish_alone(answer, &state, "{}").is_err());
            assert!(passkeys.finish_enrolment(answer, &state).is_err());
            assert!(Passkeys::credential_id(answer).is_err());
        }
    }
}
