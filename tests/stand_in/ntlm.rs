//! NTLM as a web server asks for it: three messages that sign one connection in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sspi::{
    AuthIdentity, AuthIdentityBuffers, BufferType, CredentialUse, DataRepresentation, Ntlm,
    SecurityBuffer, SecurityStatus, ServerRequestFlags, Sspi, SspiImpl, Username,
};

/// Who may sign a connection in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// `DOMAIN\name`.
    pub(crate) user: String,
    pub(crate) password: String,
}

/// How far a connection is.
#[derive(Default)]
pub(super) struct Channel {
    exchange: Option<Exchange>,
    signed_in: bool,
}

impl Channel {
    /// Takes the next message; what the server asks in its answer, where the connection is not
    /// signed in yet.
    pub(super) fn asks(
        &mut self,
        account: &Account,
        authorization: Option<&str>,
    ) -> Option<String> {
        let message = authorization.and_then(|value| value.strip_prefix("NTLM "));
        if self.signed_in && message.is_none() {
            return None;
        }
        self.signed_in = false;
        let Some(message) = message.and_then(|message| STANDARD.decode(message).ok()) else {
            self.exchange = None;
            return Some("NTLM".to_owned());
        };
        let mut exchange = self
            .exchange
            .take()
            .unwrap_or_else(|| Exchange::new(account));
        match exchange.next(message) {
            Ok(None) => {
                self.signed_in = true;
                None
            }
            Ok(Some(challenge)) => {
                self.exchange = Some(exchange);
                Some(format!("NTLM {}", STANDARD.encode(challenge)))
            }
            Err(_) => Some("NTLM".to_owned()),
        }
    }
}

/// The acceptor's side of the three messages.
struct Exchange {
    ntlm: Ntlm,
    credentials: Option<AuthIdentityBuffers>,
}

impl Exchange {
    fn new(account: &Account) -> Self {
        let mut ntlm = Ntlm::new();
        let identity = AuthIdentity {
            username: Username::parse(&account.user).unwrap(),
            password: account.password.clone().into(),
        };
        let acquired = ntlm
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Inbound)
            .with_auth_data(&identity)
            .execute(&mut ntlm)
            .unwrap();
        Self {
            ntlm,
            credentials: acquired.credentials_handle,
        }
    }

    /// The challenge to a message, or nothing where it was the last and right.
    fn next(&mut self, message: Vec<u8>) -> Result<Option<Vec<u8>>, sspi::Error> {
        let mut input = [SecurityBuffer::new(message, BufferType::Token)];
        let mut output = vec![SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let builder = self
            .ntlm
            .accept_security_context()
            .with_credentials_handle(&mut self.credentials)
            .with_context_requirements(ServerRequestFlags::ALLOCATE_MEMORY)
            .with_target_data_representation(DataRepresentation::Native)
            .with_input(&mut input)
            .with_output(&mut output);
        let accepted = self
            .ntlm
            .accept_security_context_impl(builder)?
            .resolve_to_result()?;
        if accepted.status == SecurityStatus::ContinueNeeded {
            return Ok(Some(output.remove(0).buffer));
        }
        self.ntlm.complete_auth_token(&mut output)?;
        Ok(None)
    }
}
